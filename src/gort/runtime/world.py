"""Stop and start the world; procresize, which needs it stopped.

Because user code is retakable, stopping takes the Ps and not the user's code:
a P in user code is taken at once by a CAS; one inside the runtime is waited
for until its M reaches the scheduler or user code again.
"""

from __future__ import annotations

import operator
import os
from typing import Any

import cython

from .gmp import M, P

if not cython.compiled:
    from ..platform import (
        cas,
        getm,
        load,
        lock,
        nanotime,
        noteclear,
        notesleep,
        notewakeup,
        slotswap,
        store,
        swap,
        unlock,
        usleep,
    )
    from .gm import matchall
    from .gmp import NSHARD, PSTATE, Pdead, Pgcstop, Pidle, Psyscall, Puser, allocp, sched, setclock
    from .machine import acquirep, claim, netpollbreak, pidleget, pidleput, release, startm, wakep
    from .runq import globrunqput, runqempty, runqget
    from .timers import movetimers

_MAXPROCS = 1024


def stoptheworld() -> P | None:
    """Stop every P but the caller's, which it returns claimed (None: it has none).

    The caller holds sched.worldsema and is in user code or a plain thread.
    """
    mp: M = getm()
    pp = claim(mp) if mp is not None else None
    lock(sched.lock)
    sched.stopwait = load(sched.nprocs)
    noteclear(sched.stopnote)
    store(sched.gcwaiting, 1)
    if pp is not None:
        sched.stopwait -= 1
    while True:
        idle = pidleget()
        if idle is None:
            break
        store(idle.status, Pgcstop)
        sched.stopwait -= 1
    unlock(sched.lock)
    while True:
        for p2 in sched.allp[: load(sched.nprocs)]:
            if p2 is not pp:
                preempttake(p2)
        lock(sched.lock)
        left = sched.stopwait
        unlock(sched.lock)
        if left == 0 or load(sched.exiting) != 0:
            return pp  # a runtime that goes down stops by itself
        # Go's retry: a P may have come out to user code since we looked.
        notesleep(sched.stopnote, 100_000)


def preempttake(pp: P) -> None:
    """Take pp out of user code into gcstop, or ask its M to stop."""
    store(pp.preempt, 1)
    s = load(pp.status)
    st = s & PSTATE
    if (st == Puser or st == Psyscall) and cas(pp.status, s, Pgcstop):
        lock(sched.lock)
        sched.stopwait -= 1
        unlock(sched.lock)


def starttheworld(mine: P | None) -> None:
    """Undo stoptheworld: Ps with work get an M, the others idle. A runtime that goes
    down stays as it is."""
    lock(sched.lock)
    store(sched.gcwaiting, 0)
    if load(sched.exiting) != 0:
        unlock(sched.lock)
        return
    runnable: list[P] = []
    for pp in sched.allp[: load(sched.nprocs)]:
        if pp is mine:
            continue
        store(pp.status, Pidle)
        if runqempty(pp):
            idlep(pp)
        else:
            runnable.append(pp)
    if load(sched.sysmonwait) != 0 and swap(sched.sysmonwait, 0) != 0:
        wakesysmon()
    more = load(sched.runqsize) != 0
    unlock(sched.lock)
    for pp in runnable:
        startm(pp, False, False)
    if more and sched.gm:
        matchall()
    elif more:
        startm(None, False, False)
    wakep(None)  # timers of idle Ps need somebody who looks
    netpollbreak()
    mp: M = getm()
    if mine is not None:
        release(mp, mine)


def freezetheworld() -> None:
    """Stop what can be stopped, for a dump before the process dies. Without locks, as
    a dying runtime may hold them; it is never undone."""
    for _ in range(5):
        store(sched.gcwaiting, 1)
        for pp in sched.allp[: load(sched.nprocs)]:
            store(pp.preempt, 1)
            s = load(pp.status)
            st = s & PSTATE
            if st == Puser or st == Psyscall:  # an idle one may be in somebody's hands
                cas(pp.status, s, Pgcstop)
        usleep(1000)


def idlep(pp: P) -> None:
    pidleput(pp)


def wakesysmon() -> None:
    setclock(nanotime())
    notewakeup(sched.sysmonnote)


def procresize(n: int) -> None:
    """Change the number of Ps; the world is stopped and the caller's P is among the
    first n. The work and the timers of those that die go to the others."""
    old = load(sched.nprocs)
    while len(sched.allp) < n:
        pp = allocp(len(sched.allp))
        store(pp.status, Pgcstop)
        sched.allp.append(pp)
    for i in range(old, n):
        pp = sched.allp[i]
        store(pp.status, Pgcstop)
    for i in range(n, old):
        destroy(sched.allp[i])
    used = 1 + min(n, NSHARD - 1)
    if used > load(sched.nshards):
        store(sched.nshards, used)
    store(sched.nprocs, n)


def destroy(pp: P) -> None:
    """Empty a P that dies: goroutines to the global queue, timers to P 0."""
    lock(sched.lock)
    while True:
        gp = runqget(pp)
        if gp is None:
            break
        globrunqput(gp)
    gp = slotswap(pp.runnext, None)
    if gp is not None:
        globrunqput(gp)
    unlock(sched.lock)
    movetimers(pp, sched.allp[0])
    store(pp.status, Pdead)


def gomaxprocs(n: int | None = None) -> int:
    """Set how many goroutines run at the same time; the previous value.

    None or 0 only asks. Stops the world for the change. From any thread while a
    runtime is up (RuntimeError otherwise). TypeError or ValueError for what is
    no int from 0 to 1024.
    """
    if load(sched.up) == 0:
        raise RuntimeError("gomaxprocs: no gort runtime is up")
    want = 0 if n is None else checkprocs(n)
    lock(sched.worldsema)
    old: int = load(sched.nprocs)
    if want in (0, old) or load(sched.up) == 0:
        unlock(sched.worldsema)
        return old
    mine = stoptheworld()
    if load(sched.exiting) == 0:
        if mine is not None and procid(mine) >= want:
            # The caller's P dies: go on with the first one, which is stopped.
            mine = takefirst(mine)
        procresize(want)
    starttheworld(mine)
    unlock(sched.worldsema)
    return old


def takefirst(mine: P) -> P:
    mp: M = getm()
    store(mine.status, Pgcstop)
    first: P = sched.allp[0]
    store(first.status, Pidle)
    acquirep(mp, first)
    return first


def procid(pp: P) -> int:
    return pp.id


def checkprocs(n: Any) -> int:
    """A number of procs that a user gave; 0 to ask."""
    try:
        count = operator.index(n)
    except TypeError:
        raise TypeError(f"procs must be an int, not {type(n).__name__}") from None
    if not 0 <= count <= _MAXPROCS:
        raise ValueError(f"procs must be from 0 to {_MAXPROCS}, not {count}")
    return count


def ncpu() -> int:
    """CPUs of the affinity mask, at most the cgroup's quota (osinit)."""
    try:
        n = len(os.sched_getaffinity(0))
    except (OSError, OverflowError):  # a sandbox refuses it
        n = os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max") as f:
            quota, period = f.read().split()[:2]
        if quota != "max":
            n = max(1, min(n, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        pass  # no cgroup v2 here, or no quota in it
    return n
