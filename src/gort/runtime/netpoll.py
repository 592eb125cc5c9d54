"""The network poller: epoll, one per runtime; a Polldesc for each fd waited for.

np.lock protects the table, the queues in it and what epoll is told about an
fd. An fd is armed anew (one-shot) for each wait: so a wait is level-triggered,
as a user of bare sockets expects, and a number that was closed and reused
behind our back is found and registered again. It costs the one system call
that a look before the wait would cost (docs/design.md).

find_runnable polls without blocking, then blocking until the next timer;
sysmon polls when nobody did for 10 ms.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import cython

from .gmp import P
from .park import Op

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        YIELD,
        add,
        cas,
        install_slots,
        lock,
        mutex,
        store,
        unlock,
    )
    from .gmp import WPENDING, WREADY, Grunning, sched
    from .park import opready


class Polldesc:
    """One fd: its readers and writers in waiting."""

    __slots__ = ("fd", "registered", "rq", "wq")

    def __init__(self) -> None:
        if not cython.compiled:
            self.fd = 0
            self.registered = False
            self.rq: Iowait | None = None
            self.wq: Iowait | None = None


class Netpoll:
    """The table of all Polldescs."""

    __slots__ = ("lock", "pds")

    def __init__(self) -> None:
        if not cython.compiled:
            self.lock = mutex()
        self.pds: dict[int, Polldesc] = {}


np = Netpoll()


class Iowait(Op):
    """wait_readable (mode 1) or wait_writable (mode 2)."""

    __slots__ = ("fd", "mode", "next", "error")

    def start(self, pp: P) -> int:
        fd = self.fd
        fresh = Polldesc.__new__(Polldesc)
        if not cython.compiled:
            fresh.__init__()  # type: ignore[misc]
        lock(np.lock)
        pd: Polldesc = np.pds.get(fd)
        if pd is None:
            pd = fresh
            pd.fd = fd
            np.pds[fd] = pd
        self.gopark(6)  # before epoll can report it
        if self.mode == 1:
            self.next = pd.rq
            pd.rq = self
        else:
            self.next = pd.wq
            pd.wq = self
        err = sched.poller.ctl(fd, waiting(pd), pd.registered)
        if err == 0:
            pd.registered = True
            add(sched.netpollwaiters, 1)
            unlock(np.lock)
            return YIELD
        if self.mode == 1:
            pd.rq = without(pd.rq, self)
        else:
            pd.wq = without(pd.wq, self)
        if waiting(pd) == 0:
            np.pds.pop(fd, None)
        unlock(np.lock)
        unpark(self)
        if err == errno.EPERM:
            return RETURN  # a plain file: epoll refuses it, it never blocks
        self.value = OSError(err, f"{os.strerror(err)}: cannot wait for file descriptor {fd}")
        return RAISE

    def finish(self) -> int:
        if self.error is not None:
            self.value = self.error
            self.error = None
            return RAISE
        return RETURN

    def unqueue(self) -> None:
        lock(np.lock)
        pd: Polldesc = np.pds.get(self.fd)
        if pd is not None:
            before = waiting(pd)
            if self.mode == 1:
                pd.rq = without(pd.rq, self)
            else:
                pd.wq = without(pd.wq, self)
            left = waiting(pd)
            if left == 0:
                np.pds.pop(self.fd, None)
            if left != before:
                sched.poller.ctl(self.fd, left, True)
        unlock(np.lock)
        add(sched.netpollwaiters, -1)


def waiting(pd: Polldesc) -> int:
    """What fd is waited for, as a mask: 1 read, 2 write."""
    return (1 if pd.rq is not None else 0) | (2 if pd.wq is not None else 0)


def without(head: Iowait | None, op: Iowait) -> Iowait | None:
    """The queue without op, which may stand in it or not."""
    if head is op:
        return op.next
    at = head
    while at is not None:
        if at.next is op:
            at.next = op.next
            break
        at = at.next
    return head


def netpoll(ns: int) -> list[Iowait] | None:
    """Poll for at most ns (0 does not block, negative for ever): the ops that are
    ready, won, to be handed to readylist. No lock is held while blocking."""
    got = sched.poller.wait(ns)
    if ns != 0:
        store(sched.netpollwake, 0)
    if got is None:
        return None
    ready: list[Iowait] = []
    lock(np.lock)
    for word in got:
        mask = word & 3
        pd: Polldesc = np.pds.get(word >> 2)
        if pd is None:
            continue
        if mask & 1:
            wakequeue(pd.rq, ready, None)
            pd.rq = None
        if mask & 2:
            wakequeue(pd.wq, ready, None)
            pd.wq = None
        left = waiting(pd)
        if left != 0:
            sched.poller.ctl(pd.fd, left, True)
    unlock(np.lock)
    return ready


def wakequeue(op: Iowait | None, ready: list[Iowait], error: Any) -> list[Iowait]:
    """Win every op of a queue that is taken apart; np.lock is held."""
    while op is not None:
        next = op.next
        op.next = None
        if cas(op.won, WPENDING, WREADY):
            op.error = error
            ready.append(op)
        op = next
    return ready


def readylist(ready: list[Iowait] | None, pp: P | None) -> int:
    """Make the goroutines of won ops runnable; how many."""
    if ready is None:
        return 0
    n = 0
    for op in ready:
        add(sched.netpollwaiters, -1)
        opready(op, pp, False)
        n += 1
    return n


def unpark(op: Iowait) -> None:
    """Take gopark back, for an op that nobody can have found."""
    if op.tw is None:
        gp = op.g
        gp.waiting = None
        gp.m.action = 0
        store(gp.status_, Grunning)


def fileno(fd: Any) -> int:
    """The file descriptor of an int or of an object with fileno()."""
    if isinstance(fd, bool) or not isinstance(fd, int):
        try:
            fd = fd.fileno()
        except AttributeError:
            raise TypeError(
                f"expected a file descriptor or an object with fileno(), not {type(fd).__name__}"
            ) from None
    if not isinstance(fd, int):
        raise TypeError(f"fileno() returned {type(fd).__name__}, not int")
    if not 0 <= fd < 1 << 31:
        raise ValueError(f"invalid file descriptor {fd}: it may be closed already")
    return fd


def newiowait(fd: Any, mode: int) -> Iowait:
    n = fileno(fd)
    op = Iowait.__new__(Iowait)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
        op.next = op.error = None
    op.fd = n
    op.mode = mode
    return op


def wait_readable(fd: Any) -> Iowait:
    """Wait until fd (an int, or an object with fileno()) is readable. Await it.

    Level-triggered, also at end of file and on an error. Raises TypeError or
    ValueError for what is no open descriptor, OSError when epoll refuses it or
    notify_closing was called for it.
    """
    return newiowait(fd, 1)


def wait_writable(fd: Any) -> Iowait:
    """Wait until fd (an int, or an object with fileno()) is writable. Await it.

    As wait_readable.
    """
    return newiowait(fd, 2)


@cython.locals(pd=Polldesc)
def notify_closing(fd: Any) -> None:
    """Wake every goroutine that waits for fd with OSError (EBADF); call it before
    fd is closed. From any thread."""
    n = fileno(fd)
    ready: list[Iowait] = []
    error = OSError(errno.EBADF, "file descriptor was closed while a goroutine waited for it")
    lock(np.lock)
    pd: Polldesc = np.pds.pop(n, None)
    if pd is not None:
        wakequeue(pd.rq, ready, error)
        wakequeue(pd.wq, ready, error)
        pd.rq = None
        pd.wq = None
        sched.poller.ctl(n, 0, True)
    unlock(np.lock)
    readylist(ready, None)


install_slots(Iowait)
