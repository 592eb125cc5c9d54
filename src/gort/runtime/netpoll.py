"""The network poller: epoll, one per runtime; a Polldesc for each fd waited for.

np.lock protects the table, the queues in it and what epoll is told about an fd.

A wait is level-triggered, as a user of bare sockets expects: it ends for what was there
before it, too. And a number that was closed and reused behind our back is found: epoll
forgot the old file without a word. So an fd is armed for each wait (one-shot), which
finds both, at the price of a system call. One is spared it: a socket object that is read
from is left armed, and who waits for the same object again just queues. Its number means
the same file as long as it is one and the same object; we keep a weak reference to that.
What an armed fd reports while nobody waits for it is reported by each poll from then on,
and one that blocks would not: it is disarmed then. A poll that does not block lets it
pass a few times, for the goroutine may be on its way to read. Where that comes again and
again, before a wait was spared its call, more and more waits are one-shot meanwhile: one
call each, and not two. To write stays one-shot: mostly there is room, and nobody waits.

epoll knows a file, not a number: one that another descriptor keeps open (dup, fork) is
reported on under a number that was closed, or names another file by now. Nothing that is
said about the number changes that. Such an event is told by its sequence number, a new
one for each file that is registered; when there have been some, all is registered anew.

find_runnable polls without blocking, then blocking until the next timer;
sysmon polls when nobody did for 10 ms.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import cython

from .gmp import M, P
from .park import Op

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        YIELD,
        add,
        atomic,
        cas,
        closefd,
        dupfd,
        events,
        evfd,
        evmask,
        evseq,
        getm,
        install_slots,
        load,
        lock,
        moved,
        mutex,
        poolget,
        poolops,
        refsock,
        sockfileno,
        sockref,
        store,
        unlock,
    )
    from .gmp import OPNEW, WPENDING, WREADY, Grunning, sched
    from .park import gopark, opready

    READ = 1
    WRITE = 2
    KEEP = 4
    GONE = 8
    LATE = 16
    CTLADD = 1
    CTLDEL = 2
    CTLMOD = 3
    MAXMISSES = 5
    MAXPASSES = 4

_EEXIST = errno.EEXIST
_ENOENT = errno.ENOENT


class Polldesc:
    """One fd: its readers and writers in waiting.

    registered: epoll knows the fd, or did before somebody closed it.
    replaced: it did no longer when it was armed last: the fd is another file's by now.
    kept: it is armed to read until told otherwise. Nobody waits to write then.
    ref: of the socket that it was registered for, as sockref gives it, or None.
    misses: how often it was disarmed since the last wait that was spared its call.
    once: how many more waits to read are one-shot.
    passes: how often that was let pass.
    more: the last net.recv got as much as it asked for.
    was: seq while it was kept last.
    stamp: the place of its last wait to read among all of them.
    """

    __slots__ = (
        "fd",
        "seq",
        "was",
        "registered",
        "replaced",
        "kept",
        "misses",
        "once",
        "passes",
        "more",
        "ref",
        "stamp",
        "rq",
        "wq",
    )

    def __init__(self) -> None:
        if not cython.compiled:
            self.fd = self.seq = self.was = self.misses = self.once = self.passes = 0
            self.stamp = 0
            self.registered = self.replaced = self.kept = self.more = False
            self.ref = None
            self.rq: Iowait | None = None
            self.wq: Iowait | None = None


class Netpoll:
    """The table of all Polldescs.

    seq: the last registration's. strays: how many events were of none that we know.
    nwaits: how many waits to read there were; read without the lock.
    """

    __slots__ = ("lock", "pds", "seq", "strays", "nwaits")

    def __init__(self) -> None:
        if not cython.compiled:
            self.lock = mutex()
            self.nwaits = atomic()
            self.seq = self.strays = 0
        self.pds: dict[int, Polldesc] = {}


np = Netpoll()


@cython.no_gc
@cython.cclass
class Iowait(Op):
    """wait_readable (mode 1) or wait_writable (mode 2); with GONE, its file was closed, with
    LATE, its deadline passed."""

    # ref: the socket's that it was given, as sockref gives it, or None.
    # next, prev: its queue's, under np.lock.

    __slots__ = ("fd", "mode", "next", "prev", "error", "ref")

    def reset(self) -> None:
        self.state = OPNEW
        if self.g is not None:
            self.g = None
        if self.tw is not None:
            self.tw = None
        if self.next is not None:
            self.next = None
        if self.prev is not None:
            self.prev = None
        if self.error is not None:
            self.error = None
        if self.ref is not None:
            self.ref = None
        if self.value is not None:
            self.value = None

    def opname(self) -> str:
        return "gort.wait_readable" if self.mode & READ else "gort.wait_writable"

    def start(self, pp: P) -> int:
        sock = self.value if self.value is not None else refsock(self.ref)
        lock(np.lock)
        pd: Polldesc = np.pds.get(self.fd)
        if pd is None:
            unlock(np.lock)
            fresh = newpolldesc(self.fd)  # may run the collector
            lock(np.lock)
            pd = np.pds.get(self.fd)
            if pd is None:
                pd = fresh
        why = self.barred(sock)
        if why != 0:
            unlock(np.lock)
            return self.late() if why == LATE else self.closed()
        np.pds[self.fd] = pd
        gopark(self, 6)  # before epoll can report it
        if self.mode == READ:
            self.queueread(pd)
            if pd.kept and pd.ref is self.ref:
                pd.misses = pd.passes = 0
                add(sched.netpollwaiters, 1)
                unlock(np.lock)
                return YIELD
        else:
            pd.wq = before(pd.wq, self)
        err = arm(pd, self.ref)
        if err == 0:
            add(sched.netpollwaiters, 1)
            late = strangers(pd, self) if pd.replaced else None
            unlock(np.lock)
            if late is not None:
                readylist(late, pp)
            return YIELD
        dequeue(pd, self)
        if waiting(pd) == 0:
            np.pds.pop(self.fd, None)
        unlock(np.lock)
        unpark(self)
        if err == errno.EPERM:
            return RETURN  # a plain file: epoll refuses it, it never blocks
        self.value = OSError(err, f"{os.strerror(err)}: cannot wait for file descriptor {self.fd}")
        return RAISE

    def barred(self, sock: Any) -> int:
        """Why not to wait: GONE when the number is no longer the file's, LATE past its
        deadline, else 0. np.lock is held."""
        if self.ref is not None and (sock is None or sockfileno(sock) != self.fd):
            return GONE
        return 0

    def islate(self) -> bool:
        return False

    def waitsfor(self, f: Any) -> bool:
        """Whether f's deadlines are its own."""
        return self.value is f

    @cython.final
    def queueread(self, pd: Polldesc) -> None:
        """Wait to read pd. np.lock is held."""
        pd.rq = before(pd.rq, self)
        pd.stamp = add(np.nwaits, 1)

    @cython.final
    def startkept(self) -> bool:
        """Park to read a socket that is armed already, unless the last net.recv left
        something there; False when it is not so."""
        lock(np.lock)
        pd: Polldesc = np.pds.get(self.fd)
        if pd is None or not pd.kept or pd.ref is not self.ref or pd.more or self.islate():
            if pd is not None:
                pd.more = False
            unlock(np.lock)
            return False
        gopark(self, 6)
        self.queueread(pd)
        pd.misses = pd.passes = 0
        add(sched.netpollwaiters, 1)
        unlock(np.lock)
        return True

    def finish(self) -> int:
        if self.mode & GONE:
            return self.closed()
        return RETURN

    @cython.final
    def closed(self) -> int:
        self.value = OSError(
            errno.EBADF, "file descriptor was closed while a goroutine waited for it"
        )
        return RAISE

    @cython.final
    def late(self) -> int:
        what = "read" if self.mode & READ else "write"
        self.value = TimeoutError(errno.ETIMEDOUT, f"the {what} deadline has passed")
        return RAISE

    def unqueue(self) -> None:
        late = None
        lock(np.lock)
        pd: Polldesc = np.pds.get(self.fd)
        if pd is not None:
            before = waiting(pd)
            dequeue(pd, self)
            if waiting(pd) != before:
                late = settled(pd, None)
        unlock(np.lock)
        add(sched.netpollwaiters, -1)
        if late is not None:
            readylist(late, None)


def newpolldesc(fd: int) -> Polldesc:
    pd = Polldesc.__new__(Polldesc)
    if not cython.compiled:
        pd.__init__()  # type: ignore[misc]
    pd.fd = fd
    return pd


def waiting(pd: Polldesc) -> int:
    """What fd is waited for, as a mask."""
    return (READ if pd.rq is not None else 0) | (WRITE if pd.wq is not None else 0)


def arm(pd: Polldesc, ref: Any) -> int:
    """Have epoll report what pd is waited for; an errno, or 0. np.lock is held.

    ref: the socket's that pd.fd is the number of, if it is known to be one's.
    """
    mask = waiting(pd)
    if mask == READ and ref is not None:
        if pd.once > 0:
            pd.once -= 1
        else:
            mask = READ | KEEP
    unkeep(pd)
    err = _ENOENT
    if pd.registered and (ref is None or ref is pd.ref):
        err = sched.poller.ctl(CTLMOD, pd.fd, mask, pd.seq)
    pd.replaced = False
    if err == _ENOENT:
        err = register(pd, mask)
        pd.replaced = pd.registered and err == 0
    if err == _EEXIST:
        err = sched.poller.ctl(CTLMOD, pd.fd, mask, pd.seq)
    pd.registered = err == 0
    pd.kept = err == 0 and mask & KEEP != 0
    pd.ref = ref
    if err != 0:
        pd.seq = pd.was = 0  # what it still reports is a stray
    return err


def rearm(pd: Polldesc, list_: Iowait | None) -> Iowait | None:
    """Arm pd for those who are left; list_, and before it all of them if it is no longer
    their file, won. np.lock is held."""
    if arm(pd, pd.ref) == 0 and not pd.replaced:
        return list_
    return wakeall(pd, list_)


def settled(pd: Polldesc, list_: Iowait | None) -> Iowait | None:
    """Have epoll report what pd is waited for yet, when somebody waits no longer; gives what
    rearm gives. np.lock is held."""
    if pd.kept:
        return list_
    if waiting(pd) != 0:
        return rearm(pd, list_)
    np.pds.pop(pd.fd, None)
    sched.poller.ctl(CTLDEL, pd.fd, 0, 0)
    return list_


def strangers(pd: Polldesc, op: Iowait) -> Iowait | None:
    """Take out, won, who waits on pd but for op: for a file that was closed without a word,
    and whose number op's has. np.lock is held."""
    dequeue(pd, op)
    list_ = wakeall(pd, None)
    op.next = None
    if op.mode == READ:
        pd.rq = op
    else:
        pd.wq = op
    return list_


def wakeall(pd: Polldesc, list_: Iowait | None) -> Iowait | None:
    """list_, and before it all ops of pd, whose file is gone; np.lock is held."""
    list_ = wakequeue(pd.wq, wakequeue(pd.rq, list_, GONE), GONE)
    pd.rq = None
    pd.wq = None
    return list_


def unkeep(pd: Polldesc) -> None:
    """An event that another M is about to look into does not count from here on: a wait
    that begins now may have read before that what it is about."""
    if pd.kept:
        pd.kept = False
        pd.was = pd.seq
        nextseq(pd)


def nextseq(pd: Polldesc) -> None:
    np.seq = np.seq + 1 & 0x7FFFFFFF
    pd.seq = np.seq


def register(pd: Polldesc, mask: int) -> int:
    """To epoll this is a file that it does not know under the number pd.fd."""
    nextseq(pd)
    pd.was = 0
    return sched.poller.ctl(CTLADD, pd.fd, mask, pd.seq)


def disarm(pd: Polldesc, list_: Iowait | None) -> Iowait | None:
    """pd.fd is ready, and nobody waits for it. One-shot for nothing: it may yet report
    an error, once. Gives what stray gives."""
    unkeep(pd)
    pd.passes = 0
    pd.once = (1 << pd.misses) - 1
    if pd.misses < MAXMISSES:
        pd.misses += 1
    if sched.poller.ctl(CTLMOD, pd.fd, 0, pd.seq) != 0:
        pd.registered = False
        pd.seq = pd.was = 0
        return stray(list_)
    return list_


def stray(list_: Iowait | None) -> Iowait | None:
    """An event came of a file that is known under its number no more. Each poll reports
    it: when that has cost as much as to register all files anew, do so. An event that was
    overtaken by a close on another thread is taken for one; that costs no more than time.
    Gives list_, and before it the ops whose file is gone, as that shows.
    """
    np.strays += 1
    if 4 * np.strays < len(np.pds) + 64 or not sched.poller.renew():
        return list_
    np.strays = 0
    for fd in np.pds:
        pd: Polldesc = np.pds[fd]
        pd.registered = pd.kept = False
        if waiting(pd) != 0:
            list_ = rearm(pd, list_)
    return list_


def dequeue(pd: Polldesc, op: Iowait) -> None:
    """Take op out of its queue, in which it may stand or not."""
    if op.mode == READ:
        pd.rq = without(pd.rq, op)
    else:
        pd.wq = without(pd.wq, op)


def before(head: Iowait | None, op: Iowait) -> Iowait:
    """The queue with op, at its front."""
    if head is not None:
        head.prev = op
        op.next = head
    return op


def without(head: Iowait | None, op: Iowait) -> Iowait | None:
    """The queue without op, which may stand in it or not."""
    if head is not op and op.prev is None:
        return head
    next = op.next
    if next is not None:
        next.prev = op.prev
    if op.prev is not None:
        op.prev.next = next
        next = head
    op.next = None
    op.prev = None
    return next


def netpoll(ns: int) -> Iowait | None:
    """Poll for at most ns (0 does not block, negative for ever): the ops that are
    ready, won, linked by `next`, to be handed to readylist. No lock is held while
    blocking."""
    if not cython.compiled:
        evs = events()
    list_: Iowait | None = None
    while True:
        since = load(np.nwaits)
        n = sched.poller.wait(evs, ns)
        if ns != 0:
            store(sched.netpollwake, 0)
        if n == 0:
            return list_
        again = False
        lock(np.lock)
        while n > 0:
            n -= 1
            pd: Polldesc = np.pds.get(evfd(evs, n))
            if pd is None or pd.seq != evseq(evs, n):
                if pd is None or pd.was != evseq(evs, n):
                    list_ = stray(list_)
            elif pd.kept and pd.rq is None:
                if ns != 0 or pd.passes == MAXPASSES:
                    list_ = disarm(pd, list_)
                else:
                    pd.passes += 1
            elif pd.kept and pd.stamp > since:
                # It began to wait after we began to look, and may have read before that
                # what we have seen: look again.
                again = True
            else:
                list_ = wake(pd, evmask(evs, n), list_)
        unlock(np.lock)
        if not again:
            return list_
        ns = 0


def wake(pd: Polldesc, mask: int, list_: Iowait | None) -> Iowait | None:
    """list_, and before it the ops of pd that mask makes ready. np.lock is held."""
    if mask & READ and pd.rq is not None:
        list_ = wakequeue(pd.rq, list_, 0)
        pd.rq = None
    if mask & WRITE and pd.wq is not None:
        list_ = wakequeue(pd.wq, list_, 0)
        pd.wq = None
    if not pd.kept and waiting(pd) != 0:
        list_ = rearm(pd, list_)
    return list_


def wakequeue(op: Iowait | None, list_: Iowait | None, gone: int) -> Iowait | None:
    """Win every op of a queue that is taken apart, and put it before list_; gone: GONE
    if its file is. np.lock is held."""
    while op is not None:
        next = op.next
        op.prev = None
        if cas(op.won, WPENDING, WREADY):
            op.mode |= gone
            op.next = list_
            list_ = op
        else:
            op.next = None
        op = next
    return list_


def readylist(op: Iowait | None, pp: P | None) -> int:
    """Make the goroutines of won ops runnable; how many."""
    n = 0
    while op is not None:
        next = op.next
        op.next = None
        add(sched.netpollwaiters, -1)
        opready(op, pp, False)
        op = next
        n += 1
    return n


def unpark(op: Iowait) -> None:
    """Take gopark back, for an op that nobody can have found."""
    if op.tw is None:
        mp: M = getm()
        mp.curg.waiting = None
        mp.action = 0
        store(mp.curg.status_, Grunning)


def fileno(fd: Any) -> int:
    """The file descriptor of an int or of an object with fileno()."""
    if isinstance(fd, bool) or not isinstance(fd, int):
        if isinstance(fd, type) or not hasattr(fd, "fileno"):
            raise TypeError(
                f"expected a file descriptor or an object with fileno(), not {type(fd).__name__}"
            )
        fd = fd.fileno()
    if not isinstance(fd, int):
        raise TypeError(f"fileno() returned {type(fd).__name__}, not int")
    if not 0 <= fd < 1 << 31:
        raise ValueError(f"invalid file descriptor {fd}: it may be closed already")
    return fd


def newiowait(fd: Any, mode: int) -> Iowait:
    n = fileno(fd)
    op = poolget()
    if op is None:
        op = Iowait.__new__(Iowait)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
            op.next = op.prev = op.error = op.ref = None
    op.fd = n
    op.mode = mode
    if not isinstance(fd, int):
        op.ref = sockref(fd)
    return moved(op)


def wait_readable(fd: Any) -> Iowait:
    """Wait until fd (an int, or an object with fileno()) is readable. Await it.

    Level-triggered, also at end of file and on an error. Raises TypeError or
    ValueError for what is no open descriptor, OSError when epoll refuses it or
    notify_closing was called for it. Waits for one and the same socket object are
    cheaper than those for its number: give the socket. Its file must not be replaced
    behind its back (by os.dup2 or os.close) without notify_closing.
    """
    return newiowait(fd, 1)


def wait_writable(fd: Any) -> Iowait:
    """Wait until fd (an int, or an object with fileno()) is writable. Await it.

    As wait_readable.
    """
    return newiowait(fd, 2)


def notify_closing(fd: Any) -> None:
    """Wake every goroutine that waits for fd with OSError (EBADF); call it before
    fd is closed. From any thread. A wait that begins between the two is not woken:
    gort.net.close leaves no such gap."""
    evict(fileno(fd), False)


def evict(fd: int, close: bool) -> None:
    """Wake who waits for fd with EBADF. With close also close it, before another wait can
    begin; the file, which may take its time to close, only after that."""
    list_ = None
    spare = dupfd(fd) if close else -1
    lock(np.lock)
    pd: Polldesc = np.pds.pop(fd, None)
    if pd is not None:
        list_ = wakeall(pd, None)
        sched.poller.ctl(CTLDEL, fd, 0, 0)
    if close:
        closefd(fd)
    unlock(np.lock)
    readylist(list_, None)
    if spare >= 0:
        closelast(spare)


def closelast(fd: int) -> None:
    """As socket.close: a connection that the other end has reset is closed, too."""
    try:
        os.close(fd)
    except ConnectionResetError:
        pass


install_slots(Iowait)
poolops(Iowait)
