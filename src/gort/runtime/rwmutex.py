"""sync.RWMutex: many readers or one writer, and a writer that waits goes first.

The word: how many readers hold it, WRITER while a writer does, WAITING while
somebody is queued. WAITING changes only under `mu`; while it is set every fast
path fails, so that the word changes only under `mu` too.

Readers queue behind a writer that holds the lock or waits for it. A writer's
unlock admits all readers that wait, the last reader's the first writer: so
neither side starves the other. All by hand-off; Go lets new writers compete
with a waiting one, here they take turns.
"""

from __future__ import annotations

from typing import Any

import cython

from .gmp import P
from .sema import Locker, Semop, Waitq

if not cython.compiled:
    from ..platform import (
        RETURN,
        YIELD,
        atomic,
        cas,
        install_slots,
        load,
        moved,
        mutex,
        poolget,
        poolops,
        sealed,
        store,
    )
    from ..platform import lock as mlock
    from ..platform import unlock as munlock
    from .chan import enter, leave
    from .park import gopark
    from .sema import chainlen, passed, readyall, requeue

    WRITER = 1 << 29
    WAITING = 1 << 30

    def fastwith() -> None:
        return


class RWMutex(Locker):
    """A reader/writer lock, as Go's sync.RWMutex.

    `async with rw:` locks it for writing, `async with rw.reader():` for
    reading. A waiting writer keeps new readers out, so a goroutine must not
    lock it for reading twice: with a writer in between it would wait for itself.
    """

    __slots__ = ("state", "mu", "readers", "writers", "__weakref__")

    def __init__(self) -> None:
        if not cython.compiled:
            self.state = atomic()
            self.mu = mutex()
        self.readers = Waitq()
        self.writers = Waitq()

    @cython.binding(False)
    def lock(self) -> Rwop:
        """Lock for writing; await it. Waits for readers and other writers."""
        return newrwop(self, False)

    def try_lock(self) -> bool:
        """Lock for writing if that needs no waiting; whether it did. From any thread."""
        return cas(self.state, 0, WRITER)

    @cython.binding(False)
    def unlock(self) -> None:
        """Undo lock, from any goroutine or thread.

        Raises RuntimeError when it is not locked for writing.
        """
        unlockwriter(self)

    @cython.binding(False)
    def rlock(self) -> Rwop:
        """Lock for reading; await it. Waits for a writer that holds it or waits."""
        return newrwop(self, True)

    def try_rlock(self) -> bool:
        """Lock for reading if that needs no waiting; whether it did. From any thread."""
        while True:
            s = load(self.state)
            if s >= WRITER:
                return False
            if cas(self.state, s, s + 1):
                return True

    @cython.binding(False)
    def runlock(self) -> None:
        """Undo one rlock, from any goroutine or thread.

        Raises RuntimeError when it is not locked for reading.
        """
        unlockreader(self)

    def reader(self) -> RLocker:
        """The reading side as a lock of its own: `async with rw.reader():`, Cond(rw.reader())."""
        return newrlocker(self)

    @cython.binding(False)
    def __aenter__(self) -> Rwop:
        return enterwriter(self)

    @cython.binding(False)
    def __aexit__(self, kind: Any, exc: Any, tb: Any) -> Any:
        return leavewriter(self)

    def __repr__(self) -> str:
        s = load(self.state)
        how = "locked" if s & WRITER else f"{s & (WRITER - 1)} readers"
        return f"<RWMutex {how}>"

    def grab(self) -> bool:
        """Lock for writing, or mark the word as waited for. mu is held."""
        while True:
            s = load(self.state)
            if s & ~WAITING == 0:
                if cas(self.state, s, s | WRITER):
                    return True
            elif s & WAITING != 0 or cas(self.state, s, s | WAITING):
                return False

    def rgrab(self) -> bool:
        """Lock for reading, or mark the word as waited for. mu is held."""
        while True:
            s = load(self.state)
            if s & WRITER == 0 and self.writers.first is None:
                if cas(self.state, s, s + 1):
                    return True
            elif s & WAITING != 0 or cas(self.state, s, s | WAITING):
                return False

    def settle(self, s: int) -> None:
        """The word after a change of the queues; mu is held, and WAITING was set."""
        if self.readers.first is not None or self.writers.first is not None:
            s |= WAITING
        else:
            s &= ~WAITING
        store(self.state, s)

    def lockslow(self, op: Rwop) -> int:
        mlock(self.mu)
        if self.grab():
            munlock(self.mu)
            return RETURN
        gopark(op, 9)
        self.writers.push(op)
        munlock(self.mu)
        return YIELD

    def rlockslow(self, op: Rwop) -> int:
        mlock(self.mu)
        if self.rgrab():
            munlock(self.mu)
            return RETURN
        gopark(op, 10)
        self.readers.push(op)
        munlock(self.mu)
        return YIELD

    def unlockslow(self, pp: P) -> bool:
        """Undo lock; False when it is not locked for writing."""
        mlock(self.mu)
        if load(self.state) & WRITER == 0:
            munlock(self.mu)
            return False
        # Nobody else writes the word: WRITER and mu are ours, or WAITING is set.
        op = self.readers.takeall()
        if op is not None:
            self.settle(chainlen(op))
        else:
            op = self.writers.take()
            self.settle(WRITER if op is not None else 0)
        munlock(self.mu)
        readyall(op, pp)
        return True

    def runlockslow(self, pp: P) -> bool:
        """Undo one rlock; False when it is not locked for reading."""
        mlock(self.mu)
        while True:
            s = load(self.state)
            if s & (WRITER - 1) == 0:
                munlock(self.mu)
                return False
            if cas(self.state, s, s - 1):
                s -= 1
                break
        op = None
        if s == WAITING:
            op = self.writers.take()
            if op is not None:
                self.settle(WRITER)
            else:
                op = self.admitreaders()
        munlock(self.mu)
        readyall(op, pp)
        return True

    def admitreaders(self) -> Semop | None:
        """Let in the readers that wait, as no writer is left. mu is held."""
        op = self.readers.takeall()
        self.settle(load(self.state) + chainlen(op))
        return op

    def leavequeue(self, op: Rwop) -> None:
        """A cancelled waiter goes; a writer that goes may have kept readers out."""
        woken = None
        mlock(self.mu)
        self.readers.remove(op)
        self.writers.remove(op)
        s = load(self.state)
        if s & WAITING != 0:
            if self.writers.first is None and s & WRITER == 0:
                woken = self.admitreaders()
            else:
                self.settle(s)
        munlock(self.mu)
        if woken is not None:
            pp = enter()
            readyall(woken, pp)
            leave(pp)

    def held(self) -> bool:
        return load(self.state) & WRITER != 0

    def drop(self, pp: P) -> None:
        self.unlockslow(pp)

    def relock(self, op: Semop, park: bool) -> bool:
        mlock(self.mu)
        if self.grab():
            munlock(self.mu)
            return True
        requeue(self.writers, op, 9, park)
        munlock(self.mu)
        return False


class RLocker(Locker):
    """The reading side of an RWMutex: what rw.reader() returns."""

    __slots__ = ("rw",)

    @cython.binding(False)
    def lock(self) -> Rwop:
        """rw.rlock()."""
        return newrwop(self.rw, True)

    @cython.binding(False)
    def unlock(self) -> None:
        """rw.runlock()."""
        unlockreader(self.rw)

    @cython.binding(False)
    def __aenter__(self) -> Rwop:
        return enterreader(self)

    @cython.binding(False)
    def __aexit__(self, kind: Any, exc: Any, tb: Any) -> Any:
        return leavereader(self)

    def __repr__(self) -> str:
        return f"<RLocker of {self.rw!r}>"

    def held(self) -> bool:
        return load(self.rw.state) & (WRITER - 1) != 0

    def drop(self, pp: P) -> None:
        self.rw.runlockslow(pp)

    def relock(self, op: Semop, park: bool) -> bool:
        rw = self.rw
        mlock(rw.mu)
        if rw.rgrab():
            munlock(rw.mu)
            return True
        requeue(rw.readers, op, 10, park)
        munlock(rw.mu)
        return False


@cython.no_gc
@cython.cclass
class Rwop(Semop):
    """RWMutex.lock and rlock."""

    __slots__ = ("rw",)

    def reset(self) -> None:
        Semop.reset(self)
        self.rw = None

    def opname(self) -> str:
        return "RWMutex.rlock" if self.reader else "RWMutex.lock"

    def start(self, pp: P) -> int:
        rw = self.rw
        if self.reader:
            s = load(rw.state)
            if s < WRITER and cas(rw.state, s, s + 1):
                return RETURN
            return rw.rlockslow(self)
        if cas(rw.state, 0, WRITER):
            return RETURN
        return rw.lockslow(self)

    def unqueue(self) -> None:
        self.rw.leavequeue(self)


def newrwop(rw: RWMutex, reader: bool) -> Rwop:
    op = poolget()
    if op is None:
        op = Rwop.__new__(Rwop)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
    op.rw = rw
    op.reader = reader
    return moved(op)


def newrlocker(rw: RWMutex) -> RLocker:
    locker = RLocker.__new__(RLocker)
    locker.rw = rw
    return locker


def unlockwriter(rw: RWMutex) -> None:
    if cas(rw.state, WRITER, 0):
        return
    pp = enter()
    done = rw.unlockslow(pp)
    leave(pp)
    if not done:
        raise RuntimeError(
            "unlock of an RWMutex that is not locked for writing: undo rlock with runlock"
        )


def unlockreader(rw: RWMutex) -> None:
    s = load(rw.state)
    if 0 < s < WRITER and cas(rw.state, s, s - 1):
        return
    pp = enter()
    done = rw.runlockslow(pp)
    leave(pp)
    if not done:
        raise RuntimeError(
            "runlock of an RWMutex that is not locked for reading: undo lock with unlock"
        )


def enterwriter(rw: RWMutex) -> Rwop:
    return newrwop(rw, False)


def leavewriter(rw: RWMutex) -> Any:
    unlockwriter(rw)
    return passed


def enterreader(reader: RLocker) -> Rwop:
    return newrwop(reader.rw, True)


def leavereader(reader: RLocker) -> Any:
    unlockreader(reader.rw)
    return passed


sealed(RWMutex, "()")
sealed(RLocker)
install_slots(Rwop)
poolops(Rwop)
fastwith()
