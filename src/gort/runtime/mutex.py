"""sync.Mutex: one CAS when nobody contends, a queue when somebody does.

As in Go's sync/mutex.go, a mutex with waiters is in one of two modes:

    normal    Unlock frees the word and wakes the first waiter, which competes
              with whoever comes; one that loses waits again, at the front. A
              running goroutine takes the mutex without a switch that way.
    starving  A waiter lost after 1 ms of waiting: from now on the mutex goes
              from hand to hand in the order of the queue, its word never shows
              it free, and who comes queues at the tail. It ends with the last
              waiter, or with one that waited less than 1 ms.

The word: LOCKED, and WAITERS while somebody is queued. WAITERS changes only
under `mu`, and where it is set the fast paths fail; so do the other fields.
woken says that a waiter is on its way to compete, and none other need be woken.
"""

from __future__ import annotations

from typing import Any

import cython

from .gmp import M, P
from .park import Cancelled, Op
from .sema import Locker, Semop, Waitq

if not cython.compiled:
    from ..platform import (
        RETURN,
        YIELD,
        atomic,
        cas,
        curm,
        install_slots,
        load,
        moved,
        mutex,
        nanotime,
        poolget,
        poolops,
        sealed,
        store,
    )
    from ..platform import lock as mlock
    from ..platform import unlock as munlock
    from .chan import enter, leave
    from .gmp import ALOSTP, OPAWAITED, OPDONE, OPNEW, OPPARKED, WPENDING, WREADY, sched
    from .machine import claim, release, stale
    from .park import gopark, opready
    from .sema import passed, requeue

    LOCKED = 1
    WAITERS = 2

    def fastwith() -> None:
        return


_STARVING = 1_000_000


class Mutex(Locker):
    """A mutual exclusion lock, as Go's sync.Mutex.

    `async with mu:` locks it for the block. Any goroutine may unlock it, not
    only the one that locked it. It is not re-entrant.
    """

    __slots__ = ("state", "mu", "q", "woken", "starving", "__weakref__")

    def __init__(self) -> None:
        if not cython.compiled:
            self.state = atomic()
            self.mu = mutex()
            self.woken = 0
            self.starving = False
        self.q = Waitq()

    @cython.binding(False)
    def lock(self) -> Lockop:
        """Lock the mutex; await it. Waits while it is locked.

        A cancelled wait leaves the queue and does not hold the mutex.
        """
        return newlock(self)

    def try_lock(self) -> bool:
        """Lock the mutex if that needs no waiting; whether it did. From any thread."""
        while True:
            s = load(self.state)
            if s & LOCKED != 0:
                return False
            if cas(self.state, s, s | LOCKED):
                return True

    @cython.binding(False)
    def unlock(self) -> None:
        """Unlock the mutex, from any goroutine or thread.

        Raises RuntimeError when it is not locked.
        """
        if not cas(self.state, LOCKED, 0):
            unlockmutex(self)

    @cython.binding(False)
    def __aenter__(self) -> Lockop:
        return newlock(self)

    @cython.binding(False)
    def __aexit__(self, kind: Any, exc: Any, tb: Any) -> Any:
        return leaveblock(self)

    def __repr__(self) -> str:
        return f"<Mutex {'locked' if self.held() else 'unlocked'}>"

    def grab(self) -> bool:
        """Lock the word if it is free; if not, mark it as waited for. mu is held."""
        while True:
            s = load(self.state)
            if s & LOCKED == 0:
                if cas(self.state, s, s | LOCKED):
                    return True
            elif s & WAITERS != 0 or cas(self.state, s, s | WAITERS):
                return False

    def lockslow(self, op: Lockop) -> int:
        mlock(self.mu)
        if self.grab():
            munlock(self.mu)
            return RETURN
        op.ticket = nanotime()
        gopark(op, 8)
        self.q.push(op)
        munlock(self.mu)
        return YIELD

    def lockagain(self, op: Lockop) -> int:
        """A woken waiter competes; where it loses it waits again, at the front."""
        mlock(self.mu)
        self.woken = 0
        if self.grab():
            munlock(self.mu)
            return RETURN
        if nanotime() - op.ticket >= _STARVING:
            self.starving = True
        # Nobody refers to the wait that is over: its winner took it off the queue,
        # and a cancel looks at a waiting G only, under its scan bit.
        store(op.won, WPENDING)
        gopark(op, 8)
        self.q.pushfront(op)
        munlock(self.mu)
        return YIELD

    def unlockslow(self, pp: P) -> bool:
        """Unlock where there were waiters; False when it is not locked."""
        mlock(self.mu)
        if load(self.state) & LOCKED == 0:
            munlock(self.mu)
            return False
        op = None
        if self.starving or self.woken != load(sched.gen):
            op = self.handoff()
        if op is None or not op.granted:
            store(self.state, WAITERS if self.q.first is not None else 0)
        munlock(self.mu)
        if op is not None:
            opready(op, pp, True)
        return True

    def handoff(self) -> Semop | None:
        """The waiter to wake: as the holder (granted), or to compete. mu is held."""
        op = self.q.take()
        if op is None:
            self.starving = False
            return None
        if self.starving or op.tw is not None or op.requeued:
            # A thread, and who comes from a Cond, wait once: theirs it is.
            op.granted = True
            if self.q.first is None or nanotime() - op.ticket < _STARVING:
                self.starving = False
            store(self.state, LOCKED | WAITERS if self.q.first is not None else LOCKED)
        else:
            # The run's number: of a waiter that an earlier run left behind none comes.
            self.woken = load(sched.gen)
        return op

    def held(self) -> bool:
        return load(self.state) & LOCKED != 0

    def drop(self, pp: P) -> None:
        if not cas(self.state, LOCKED, 0):
            self.unlockslow(pp)

    def relock(self, op: Semop, park: bool) -> bool:
        mlock(self.mu)
        if self.grab():
            munlock(self.mu)
            return True
        op.ticket = nanotime()
        requeue(self.q, op, 8, park)
        munlock(self.mu)
        return False


@cython.no_gc
@cython.cclass
class Lockop(Semop):
    """Mutex.lock."""

    __slots__ = ("m",)

    def reset(self) -> None:
        if self.ticket != 0:
            Semop.reset(self)
            self.ticket = 0
        else:  # it has not waited
            self.state = OPNEW
            self.value = None
        self.m = None

    def opname(self) -> str:
        return "Mutex.lock"

    def step(self) -> int:
        """A free mutex is locked as try_lock does it, from user code: with a look at what
        would keep the first step of an op from going on, but without a claim of the P."""
        mp: M = curm()
        if (
            self.state == OPAWAITED
            and mp is not None
            and mp.curg is not None
            and load(mp.curg.cancelreq) == 0
            and mp.p is not None
            and load(mp.p.status) == mp.userword
            and load(mp.p.preempt) == 0
            and cas(self.m.state, 0, LOCKED)
        ):
            self.state = OPDONE
            return RETURN
        return Op.step(self)

    def start(self, pp: P) -> int:
        m = self.m
        if cas(m.state, 0, LOCKED):
            return RETURN
        return m.lockslow(self)

    def resume(self, mp: M) -> int:
        if (
            self.state != OPPARKED
            or self.granted
            or self.g is not mp.curg
            or load(self.won) != WREADY
        ):
            return Op.resume(self, mp)
        pp = claim(mp)
        if pp is None:
            if stale(mp):
                self.state = OPDONE
                return self.fail(Cancelled("the runtime has gone down"))
            mp.action = ALOSTP  # and compete when there is a P to wait with
            return YIELD
        if self.m.lockagain(self) == YIELD:
            return YIELD
        self.state = OPDONE
        self.g = None
        mp.curg.waiting = None
        release(mp, pp)
        return RETURN

    def unqueue(self) -> None:
        m = self.m
        mlock(m.mu)
        # Where q was emptied by others the word shows it already.
        if m.q.remove(self) and m.q.first is None:
            m.starving = False
            if not cas(m.state, LOCKED | WAITERS, LOCKED):
                cas(m.state, WAITERS, 0)
        munlock(m.mu)


def newlock(m: Mutex) -> Lockop:
    op = poolget()
    if op is None:
        op = Lockop.__new__(Lockop)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
    op.m = m
    return moved(op)


def leaveblock(m: Mutex) -> Any:
    if not cas(m.state, LOCKED, 0):
        unlockmutex(m)
    return passed


def unlockmutex(m: Mutex) -> None:
    pp = enter()
    done = m.unlockslow(pp)
    leave(pp)
    if not done:
        raise RuntimeError("unlock of an unlocked Mutex: lock it first, and unlock it once")


sealed(Mutex, "()")
install_slots(Lockop)
poolops(Lockop)
fastwith()
