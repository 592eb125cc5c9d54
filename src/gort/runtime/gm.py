"""The G-M scheduler of Go 1.0: one queue, one lock, Ms and no P. GODEBUG=sched=gm.

A P is here nothing but the permit to run Go code, of which there are GOMAXPROCS
(Go 1.0 counted them: mcpu <= mcpumax). It has no queue and no timers of its own.
Everything that is runnable stands in the global queue, under sched.lock. Nobody
spins and nobody steals. What differs from G-M-P, and nothing else, is here and
behind `sched.gm`; choosing is schedinit's.

Invariant, under sched.lock: while the queue holds a goroutine, no permit is idle.
1. Who queues a goroutine hands the first one of the queue to an idle M, if there
   is a permit (matchmgandunlock).
2. Who gives its permit up looks at the queue first (giveup, handoffp, idlepermit).
"""

from __future__ import annotations

import cython

from .gmp import G, M, P

if not cython.compiled:
    from ..platform import cas, load, lock, notewakeup, unlock
    from .gmp import Pidle, sched
    from .machine import handoffp, mget, newm, pidleget, pidleput
    from .runq import globrunqpop, globrunqput


def gmready(gp: G) -> None:
    """Queue a runnable G, and match one with an M; by any thread."""
    lock(sched.lock)
    globrunqput(gp)
    matchmgandunlock()


def matchmgandunlock() -> bool:
    """Hand the first queued G to an idle M, if there is a permit; whether there was.
    sched.lock is held, and released.

    The M gets its G with the permit, however soon the waker itself could have run
    it: this is what tears goroutines that talk apart. A new M takes its G from the
    queue. Go 1.0 woke the M under the lock; uncompiled, a wake-up may run the
    collector, and that a finalizer which comes back for the lock.
    """
    pp = pidleget() if load(sched.runqsize) != 0 else None
    if pp is None:
        unlock(sched.lock)
        return False
    mp = mget()
    if mp is None:
        newm(pp, False, False)
        return True
    mp.nextg = globrunqpop()
    unlock(sched.lock)
    mp.nextp = pp
    notewakeup(mp.park)
    return True


def matchall() -> None:
    """Hand out what is queued, after permits were added."""
    for _ in range(load(sched.runqsize)):
        lock(sched.lock)
        if not matchmgandunlock():
            return


def gmentersyscall(mp: M) -> bool:
    """Give the permit up for a call that may block; False to leave it to sysmon.

    That is where nobody polls and this permit's M would have to: with G-M-P's
    timers and poller the last M to idle polls, and one that blocks cannot.
    """
    pp = mp.p
    if pp is None:
        return True
    if load(sched.lastpoll) != 0 and (load(pp.minwhen) != 0 or load(sched.netpollwaiters) > 0):
        return False
    if cas(pp.status, mp.userword, Pidle):
        mp.p = None
        idlepermit(pp)
    return True


def idlepermit(pp: P) -> None:
    """Give a permit up: to a queued G, or idle."""
    lock(sched.lock)
    if load(sched.gcwaiting) != 0:
        unlock(sched.lock)
        handoffp(pp)
        return
    pidleput(pp)
    matchmgandunlock()
