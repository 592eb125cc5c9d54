"""Files that goroutines wait for with deadlines, and gates: the same for what is in memory.

A deadline that passes marks its side of the file as late and wakes who waits there. Both
happen under np.lock, and a wait looks at the mark under it before it parks: so none is lost
between the look and the parking. A timer knows the arming that it belongs to; one that was
overtaken by another set marks nothing.
"""

from __future__ import annotations

import errno
import weakref
from typing import Any

import cython

from .gmp import M, P
from .netpoll import Iowait, Polldesc
from .park import Op
from .timers import Timer, seconds_of

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        YIELD,
        add,
        atomic,
        cas,
        fence,
        getm,
        install_slots,
        lock,
        sockfileno,
        sockref,
        unlock,
    )
    from .gmp import WPENDING, WREADY, sched
    from .machine import claim, release, stale
    from .netfd import awaitcall
    from .netpoll import GONE, LATE, READ, WRITE, dequeue, evict, np, readylist, settled
    from .park import gopark, opready
    from .timers import anyp, armtimer, deadline, stoptimer


class Pollfile:
    """A file, its two deadlines and, of a gate, who waits there. np.lock protects it.

    sock: the socket, whose number is read from it; or None, and fd is the number, -1 when
    closed. ref: as sockref gives it. late: the sides whose deadline has passed. rset, wset:
    somebody came to the gate while nobody waited. rop, wop: who waits.
    """

    __slots__ = (
        "sock",
        "ref",
        "fd",
        "late",
        "seqs",
        "rseq",
        "wseq",
        "rtimer",
        "wtimer",
        "isgate",
        "rset",
        "wset",
        "rop",
        "wop",
        "__weakref__",
    )

    def __init__(self, file: Any) -> None:
        """file: a socket.socket, a file descriptor, or None for a gate."""
        if not cython.compiled:
            self.late = self.rseq = self.wseq = 0
            self.seqs = atomic()
            self.rtimer: Timer | None = None
            self.wtimer: Timer | None = None
            self.rset = self.wset = False
            self.rop: Gatewait | None = None
            self.wop: Gatewait | None = None
        self.isgate = file is None
        plain = isinstance(file, int)
        self.sock: Any = None if plain else file
        self.fd = file if plain else -1
        self.ref = None if plain or file is None else sockref(file)

    def fileno(self) -> int:
        """The number; -1 when it is closed."""
        return number(self)

    def wait(self, mode: int) -> Any:
        """Wait to read (1) or to write (2); await it. Raises TimeoutError from the side's
        deadline on, OSError (EBADF) when it is closed. A gate opens for one wait after each
        wake()."""
        if self.isgate:
            return newgatewait(self, mode)
        return newfilewait(self, mode)

    def set_deadline(self, mode: int, seconds: Any) -> None:
        """Have the sides in mode be late in so many seconds, at once for 0 or less; None
        takes that back. From any thread."""
        setdeadline(self, mode, seconds)

    def islate(self, mode: int) -> bool:
        return self.late & mode != 0

    def wake(self, mode: int) -> None:
        """Let the next wait at a gate through, or the one that waits."""
        gatewake(self, mode)

    def close(self) -> None:
        """Close a descriptor, once nobody calls with it, or a gate; wake who waits."""
        closefile(self)


def number(f: Pollfile) -> int:
    return f.fd if f.sock is None else sockfileno(f.sock)


def setdeadline(f: Pollfile, mode: int, seconds: Any) -> None:
    when = -1 if seconds is None else deadline(seconds_of(seconds))
    seq = add(f.seqs, 1)
    t = None
    if when > 0:
        t = Timer(expired, (weakref.ref(f), mode, seq), 0)
    oldr = oldw = None
    lock(np.lock)
    if mode & READ:
        oldr = f.rtimer
        f.rtimer = t
        f.rseq = seq
    if mode & WRITE:
        oldw = f.wtimer
        f.wtimer = t
        f.wseq = seq
    f.late &= ~mode
    unlock(np.lock)
    if when == 0:
        expire(f, mode, seq)
    if t is not None:
        armtimer(t, when, anyp())
    if oldr is not None:
        stoptimer(oldr)
    if oldw is not None and oldw is not oldr:
        stoptimer(oldw)


def expired(arg: Any, now: int) -> None:
    """A deadline's timer."""
    f = arg[0]()
    if f is not None:
        expire(f, arg[1], arg[2])


def expire(f: Pollfile, mode: int, seq: int) -> None:
    """The sides in mode are late, unless their deadline was set anew."""
    list_ = None
    lock(np.lock)
    if f.rseq != seq:
        mode &= ~READ
    if f.wseq != seq:
        mode &= ~WRITE
    f.late |= mode
    if not f.isgate:
        list_ = latefile(f, mode)
    reader = takegate(f, mode & READ, LATE)
    writer = takegate(f, mode & WRITE, LATE)
    unlock(np.lock)
    readylist(list_, None)
    readygate(reader)
    readygate(writer)


def latefile(f: Pollfile, mode: int) -> Iowait | None:
    """Take out, won, who waits for the late sides of a file. np.lock is held."""
    pd: Polldesc = np.pds.get(number(f))
    if pd is None:
        return None
    list_: Iowait | None = None
    if mode & READ:
        list_ = lateops(f, pd, pd.rq, list_)
    if mode & WRITE:
        list_ = lateops(f, pd, pd.wq, list_)
    return list_ if list_ is None else settled(pd, list_)


def lateops(f: Pollfile, pd: Polldesc, op: Iowait | None, list_: Iowait | None) -> Iowait | None:
    while op is not None:
        next = op.next
        if op.waitsfor(f) and cas(op.won, WPENDING, WREADY):
            dequeue(pd, op)
            op.mode |= LATE
            op.next = list_
            list_ = op
        op = next
    return list_


def takegate(f: Pollfile, side: int, why: int) -> Gatewait | None:
    """Take out, won, who waits at one side of a gate. np.lock is held."""
    op = None
    if side == READ:
        op = f.rop
        f.rop = None
    elif side == WRITE:
        op = f.wop
        f.wop = None
    if op is None or not cas(op.won, WPENDING, WREADY):
        return None
    op.mode |= why
    return op


def readygate(op: Gatewait | None) -> None:
    if op is None:
        return
    mp: M = getm()
    pp = claim(mp) if mp is not None and mp.curg is not None and not stale(mp) else None
    opready(op, pp, False)
    if pp is not None:
        release(mp, pp)


def gatewake(f: Pollfile, side: int) -> None:
    lock(np.lock)
    op = takegate(f, side, 0)
    if op is None:
        if side == READ:
            f.rset = True
        else:
            f.wset = True
    unlock(np.lock)
    readygate(op)


def closefile(f: Pollfile) -> None:
    setdeadline(f, READ | WRITE, None)
    lock(np.lock)
    fd = f.fd
    f.fd = -1
    reader = takegate(f, READ, GONE)
    writer = takegate(f, WRITE, GONE)
    if f.isgate:
        f.late |= GONE
    unlock(np.lock)
    readygate(reader)
    readygate(writer)
    if fd >= 0:
        fence()
        for mp in list(sched.allm):
            awaitcall(mp, f)
        evict(fd, True)


@cython.no_gc
@cython.cclass
class Filewait(Iowait):
    """A wait for a file with deadlines, which lies in `value`."""

    __slots__ = ()

    def opname(self) -> str:
        return "a wait to read" if self.mode & READ else "a wait to write"

    def start(self, pp: P) -> int:
        f: Pollfile = self.value
        self.fd = number(f)
        if self.fd < 0:
            return self.closed()
        return Iowait.start(self, pp)

    def barred(self, sock: Any) -> int:
        f: Pollfile = self.value
        if number(f) != self.fd:
            return GONE
        return LATE if f.late & self.mode else 0

    def finish(self) -> int:
        if self.mode & LATE:
            return self.late()
        if self.mode & GONE:
            return self.closed()
        self.value = None
        return RETURN


@cython.no_gc
@cython.cclass
class Checkpoint(Op):
    """A safe-point, and where a cancel is raised: what an op's first step does."""

    __slots__ = ()


def checkpoint() -> Checkpoint:
    """Await it before what takes effect without an op."""
    op = Checkpoint.__new__(Checkpoint)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
    return op


@cython.no_gc
@cython.cclass
class Gatewait(Op):
    """A wait at a gate, which lies in `value`."""

    __slots__ = ("mode",)

    def opname(self) -> str:
        return "a wait to read" if self.mode & READ else "a wait to write"

    def start(self, pp: P) -> int:
        f: Pollfile = self.value
        reading = self.mode == READ
        lock(np.lock)
        if f.late & (self.mode | GONE):
            self.mode |= LATE if f.late & GONE == 0 else GONE
            unlock(np.lock)
            return self.finish()
        if f.rset if reading else f.wset:
            if reading:
                f.rset = False
            else:
                f.wset = False
            unlock(np.lock)
            self.value = None
            return RETURN
        gopark(self, 6)
        if reading:
            f.rop = self
        else:
            f.wop = self
        unlock(np.lock)
        return YIELD

    def finish(self) -> int:
        if self.mode & LATE:
            self.value = toolate(self.mode)
            return RAISE
        if self.mode & GONE:
            self.value = OSError(errno.EBADF, "closed while a goroutine waited for it")
            return RAISE
        self.value = None
        return RETURN

    def unqueue(self) -> None:
        f: Pollfile = self.value
        lock(np.lock)
        if f.rop is self:
            f.rop = None
        if f.wop is self:
            f.wop = None
        unlock(np.lock)


def toolate(mode: int) -> TimeoutError:
    what = "read" if mode & READ else "write"
    return TimeoutError(errno.ETIMEDOUT, f"the {what} deadline has passed")


def newfilewait(f: Pollfile, mode: int) -> Filewait:
    op = Filewait.__new__(Filewait)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
        op.next = op.prev = op.error = op.ref = None
    op.mode = mode
    op.ref = f.ref
    op.value = f
    return op


def newgatewait(f: Pollfile, mode: int) -> Gatewait:
    op = Gatewait.__new__(Gatewait)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
    op.mode = mode
    op.value = f
    return op


install_slots(Filewait)
install_slots(Gatewait)
install_slots(Checkpoint)
