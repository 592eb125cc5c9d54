"""sync.Cond: wait for a change of what a lock protects.

A waiter queues here and then drops the lock, so that no signal is missed. Who
signals wins the first waiter and locks for it, or moves it to the lock's own
queue: woken, it holds the lock already. From the signal on no cancel reaches
it: the signal was taken, and wait ends with the lock held.

A cancel that wins the waiter takes the lock in the same way before wait raises.
That wait for the lock cannot be cancelled, as it must end with the lock held.
"""

from __future__ import annotations

import cython

from .._where import kind
from .gmp import M, P
from .park import Op, Threadwaiter
from .sema import Locker, Semop, Waitq

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        YIELD,
        getm,
        install_slots,
        load,
        lock,
        mutex,
        notesleep,
        sealed,
        store,
        unlock,
    )
    from .chan import enter, leave
    from .gmp import ALOSTP, OPPARKED, WCANCELLED, WREADY
    from .machine import claim, release, stale
    from .park import cancelexc, gopark, opready
    from .syscall import entersyscallblock, exitsyscall


class Cond:
    """A condition variable, as Go's sync.Cond.

    locker: a Mutex, an RWMutex (its writing side), or rw.reader(). Hold it, and
    wait in a loop: `while not ready: await c.wait()`.
    """

    __slots__ = ("locker", "mu", "q", "__weakref__")

    def __init__(self, locker: Locker) -> None:
        if not cython.compiled:
            self.mu = mutex()
        if not isinstance(locker, Locker):
            raise TypeError(f"Cond wants a Mutex, an RWMutex or rw.reader(), not {kind(locker)}")
        self.locker = locker
        self.q = Waitq()

    def wait(self) -> Condwait:
        """Unlock the locker, wait for signal or broadcast, lock it again; await it.

        A cancelled wait too raises with the locker held. Raises RuntimeError
        when the locker is not locked.
        """
        return newwait(self)

    def signal(self) -> None:
        """Wake the goroutine that has waited longest, if one waits. From any
        goroutine or thread; the locker may be held or not."""
        signalone(self)

    def broadcast(self) -> None:
        """Wake everybody who waits. From any goroutine or thread; the locker may be
        held or not."""
        signalall(self)

    def __repr__(self) -> str:
        waited = ", waited for" if self.q.first is not None else ""
        return f"<Cond of {self.locker!r}{waited}>"


@cython.no_gc
@cython.cclass
class Condwait(Semop):
    """Cond.wait."""

    __slots__ = ("c",)

    def opname(self) -> str:
        return "Cond.wait"

    def start(self, pp: P) -> int:
        c = self.c
        if not c.locker.held():
            self.value = RuntimeError("Cond.wait without its lock: lock it first, and wait then")
            return RAISE
        self.onthread = self.tw is not None
        lock(c.mu)
        gopark(self, 12)
        c.q.push(self)
        unlock(c.mu)
        c.locker.drop(pp)
        return YIELD

    def resume(self, mp: M) -> int:
        if (
            self.state != OPPARKED
            or self.cancelled
            or self.g is not mp.curg
            or load(self.won) != WCANCELLED
        ):
            return Op.resume(self, mp)
        pp = claim(mp)
        if pp is None:
            if stale(mp):
                return Op.resume(self, mp)
            mp.action = ALOSTP  # and lock when there is a P to wait with
            return YIELD
        self.unqueue()
        self.cancelled = True
        store(self.won, WREADY)
        if not self.c.locker.relock(self, True):
            return YIELD
        release(mp, pp)
        return Op.resume(self, mp)

    def finish(self) -> int:
        if not self.cancelled:
            return RETURN
        mp: M = getm()
        return self.fail(cancelexc(mp.curg))

    def unqueue(self) -> None:
        c = self.c
        lock(c.mu)
        c.q.remove(self)
        unlock(c.mu)
        if self.onthread:
            threadrelock(self)


def threadrelock(op: Condwait) -> None:
    """The way back to the lock for a thread whose gort.wait was cancelled or timed out."""
    tw = Threadwaiter()
    mp: M = getm()
    tw.g = mp.curg if mp is not None else None
    op.tw = tw
    store(op.won, WREADY)
    if not op.c.locker.relock(op, False):
        if mp is not None:
            entersyscallblock(mp)
        tw.idle()
        while not notesleep(tw.n, -1):
            pass
        if mp is not None and not stale(mp):
            exitsyscall(mp)
    op.tw = None


def wake(c: Cond, op: Semop) -> None:
    """Lock for a waiter that was won, and ready it; or have it wait for the lock."""
    pp = enter()
    if c.locker.relock(op, False):
        opready(op, pp, False)
    leave(pp)


def signalone(c: Cond) -> None:
    lock(c.mu)
    op = c.q.take()
    unlock(c.mu)
    if op is not None:
        wake(c, op)


def signalall(c: Cond) -> None:
    lock(c.mu)
    op = c.q.takeall()
    unlock(c.mu)
    while op is not None:
        next = op.next
        op.next = None
        wake(c, op)
        op = next


def newwait(c: Cond) -> Condwait:
    op = Condwait.__new__(Condwait)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
    op.c = c
    return op


sealed(Cond, "(locker)")
install_slots(Condwait)
