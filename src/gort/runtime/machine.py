"""Ms and Ps: claiming, parking, starting, handing over.

Parking and unparking of Ms follows Go's proc.go ("Worker thread parking and
unparking"). A spinning M looks for work without having any. Rules:

1. Who makes a goroutine runnable wakes a P if there is an idle one and nobody
   spins (wakep).
2. A spinning M that finds work stops spinning and, if it was the last, wakes
   another (resetspinning): one spinner stays ahead of the work.
3. A spinning M that gives up drops nmspinning first and looks at every source
   again after it (find_runnable): a submitter that saw a spinner in rule 1 is
   seen by the second look.
4. Where the second look finds work and no idle P, needspinning asks the next M
   that is about to give up its P to spin instead.

User code is retakable: release() leaves the P open to be taken by a CAS, and
claim() takes it back. A P that was taken has another state or another M's id in
its word, so claim() fails; the M then goes on with an idle P or none.
"""

from __future__ import annotations

import cython

from .._bytecode import safepoint
from .gmp import G, M, P

if not cython.compiled:
    from ..platform import (
        add,
        cas,
        fence,
        load,
        lock,
        nanotime,
        noteclear,
        noteinterrupt,
        notesleep,
        notewakeup,
        opdrop,
        setm,
        store,
        store_rel,
        swap,
        unlock,
    )
    from .gmp import PSTATE, Pgcstop, Pidle, allocm, checkmcount, sched, setclock, throw
    from .runq import runqempty
    from .template import altered, handm, newm1


def stale(mp: M) -> bool:
    """Whether mp's runtime is gone: it was left in user code at shutdown."""
    return mp.gen != load(sched.gen) or load(sched.exiting) != 0


if not cython.compiled:  # the .pxd has them inline

    def claim(mp: M) -> P | None:
        """Enter the runtime from user code: this M's P, claimed; None when it has none."""
        if mp.p is not None and cas(mp.p.status, mp.userword, mp.runword):
            return mp.p
        return reclaim(mp)

    def release(mp: M, pp: P) -> None:
        """Leave the runtime for user code: from this store on pp may be retaken.

        A release store: what the M wrote in the runtime is seen by the retaker.
        """
        store_rel(pp.status, mp.userword)


def reclaim(mp: M) -> P | None:
    """claim() where the fast path failed: out of a blocking block, or P lost.

    None also when the runtime is entered again from inside itself (a `__del__`
    that a decref ran): the caller then acts as a thread without a P.
    """
    pp = mp.p
    if pp is not None:
        if cas(pp.status, mp.sysword, mp.runword):
            return pp
        if load(pp.status) == mp.runword:
            return None
        mp.p = None
    if stale(mp):
        return None
    lock(sched.lock)
    pp = pidleget() if load(sched.gcwaiting) == 0 else None
    unlock(sched.lock)
    if pp is not None:
        acquirep(mp, pp)
    return pp


def pidleput(pp: P) -> None:
    """Put pp on the idle list; sched.lock is held."""
    if not runqempty(pp):
        throw("pidleput: P has non-empty run queue")
    # No slice goes on: one that P is taken for is new. A P that changes hands keeps its own.
    store(pp.preempt, 0)
    store(pp.free, 1)
    store_rel(pp.schedtick, load(pp.schedtick) + 1)
    store(pp.status, Pidle)
    pp.link = sched.pidle
    sched.pidle = pp
    add(sched.npidle, 1)


def pidleget() -> P | None:
    """Take a P off the idle list; sched.lock is held."""
    pp = sched.pidle
    if pp is None:
        return None
    sched.pidle = pp.link
    pp.link = None
    store(pp.free, 0)
    add(sched.npidle, -1)
    store_rel(sched.nwakes, load(sched.nwakes) + 1)
    if load(sched.sysmonwait) != 0 and swap(sched.sysmonwait, 0) != 0:
        setclock(nanotime())  # stood still while sysmon slept
        notewakeup(sched.sysmonnote)
    return pp


def pidlegetspinning() -> P | None:
    """pidleget for one who found work: without a P, ask the next to give up to spin."""
    pp = pidleget()
    if pp is None:
        store(sched.needspinning, 1)
    return pp


def acquirep(mp: M, pp: P) -> None:
    """Bind pp, which is in this M's hands, to mp."""
    if load(pp.status) & PSTATE != Pidle:
        throw("acquirep: P is not idle")
    mp.p = pp
    store(pp.status, mp.runword)


def releasep(mp: M) -> P:
    """Unbind mp's claimed P; the caller places it."""
    pp = mp.p
    if pp is None or load(pp.status) != mp.runword:
        throw("releasep: M does not hold its P")
    mp.p = None
    store(pp.status, Pidle)
    return pp


def mput(mp: M) -> None:
    """Put mp on the idle list; sched.lock is held."""
    mp.schedlink = sched.midle
    sched.midle = mp
    sched.nmidle += 1
    checkdead()


def mget() -> M | None:
    """Take an M off the idle list; sched.lock is held."""
    mp = sched.midle
    if mp is not None:
        sched.midle = mp.schedlink
        mp.schedlink = None
        sched.nmidle -= 1
    return mp


def checkdead() -> None:
    """Where every M is idle, have sysmon look for a deadlock; sched.lock is held.

    Not decided here: a plain Python thread may still wake a goroutine, and to
    ask for those means to let other threads run, which no lock allows.
    """
    run = sched.mcount - sched.nmidle - sched.nmidlelocked
    if run > 0 or load(sched.exiting) != 0:
        return
    store(sched.deadcheck, 1)
    notewakeup(sched.sysmonnote)


def mwait(mp: M) -> None:
    """Sleep on mp.park until woken; interrupted, look at what waits for the thread."""
    setm(None)  # a signal's handler acts as a foreign thread: it has no P to queue on
    while not notesleep(mp.park, -1):
        interrupted(mp)
    setm(mp)
    noteclear(mp.park)


def interrupted(mp: M) -> None:
    """This thread was woken without work: for a signal, whose handlers run here if it
    is Python's main one, or by nudge."""
    try:
        safepoint()
    except BaseException as exc:
        sched.interrupted(exc)
    add(sched.safepoints, 1)


def nudge() -> None:
    """Have every sleeping M pass a safe-point of the interpreter.

    On a free-threaded build an object that was dropped by another thread than
    the one that made it dies only when its maker runs the interpreter's loop;
    a goroutine's unretrieved exception is to be a panic at once.
    """
    for mp in list(sched.allm):
        nudgem(mp)
    netpollbreak()


def nudgem(mp: M) -> None:
    noteinterrupt(mp.park)


def stopm(mp: M) -> bool:
    """Wait for work without a P; False when the M is to end."""
    if mp.spinning:
        throw("stopm: M is spinning")
    lock(sched.lock)
    if load(sched.exiting) != 0:
        unlock(sched.lock)
        return False
    mput(mp)
    unlock(sched.lock)
    mwait(mp)
    pp = mp.nextp
    mp.nextp = None
    if pp is None:
        return False
    acquirep(mp, pp)
    return True


def startm(pp: P, spinning: bool, locked: bool) -> None:
    """Have some M run pp, which is in the caller's hands; locked: sched.lock is held.

    With spinning set the caller has counted in nmspinning already, and the M
    takes that count over.
    """
    if not locked:
        lock(sched.lock)
    if load(sched.up) == 0:
        nostart(pp, spinning)
        if not locked:
            unlock(sched.lock)
        return
    if pp is None:
        pp = pidleget()
        if pp is None:
            if not locked:
                unlock(sched.lock)
            return
    mp = mget()
    if mp is None:
        newm(pp, spinning, locked)
        return
    if not locked:
        unlock(sched.lock)
    # nextp and spinning are ours: mp sleeps until the note below.
    mp.spinning = spinning
    mp.nextp = pp
    notewakeup(mp.park)


def nostart(pp: P, spinning: bool) -> None:
    """startm() before main is there, or when all is over: nobody runs pp."""
    if spinning:
        add(sched.nmspinning, -1)
    if pp is not None and runqempty(pp):
        pidleput(pp)


def newm(pp: P, spinning: bool, locked: bool) -> None:
    """Start a thread that runs pp; sched.lock is held, and released meanwhile.

    Where the calling thread may be altered, another one starts it (template.py).
    """
    sched.mcount += 1
    checkmcount()
    id = sched.mnext
    sched.mnext += 1
    unlock(sched.lock)
    mp = allocm(id, load(sched.gen))
    mp.spinning = spinning
    mp.nextp = pp
    add(sched.nthreads, 1)
    sched.allm.add(mp)
    if not altered() or not handm(mp):
        newm1(mp)
    if locked:
        lock(sched.lock)


def mexit(mp: M) -> None:
    """This thread leaves the scheduler."""
    opdrop()
    sched.allm.discard(mp)
    lock(sched.lock)
    if mp.gen == load(sched.gen):
        sched.mcount -= 1
        checkdead()
        if sched.mcount == 0:
            notewakeup(sched.exitnote)
    unlock(sched.lock)


def wakep(pp: P) -> None:
    """Rule 1: there is new work; start a spinning M if none spins and a P idles.

    pp is the caller's P or None. Go tries even when no P is idle, to leave
    needspinning set; with a single P that the caller holds there is nobody to
    leave it to.
    """
    if pp is not None and load(sched.nprocs) == 1:
        return
    if sched.gm:
        startm(None, False, False)
        return
    # The work was put with release stores: it is seen by who stops spinning (rule 3)
    # before we read that somebody spins.
    fence()
    if load(sched.needspinning) != 0 and load(sched.npidle) == 0:
        # Asked for already: who gives its P up looks for work first (rule 4). It is set
        # under sched.lock alone, so whoever missed it counted its P as idle before.
        return
    if load(sched.nmspinning) != 0 or not cas(sched.nmspinning, 0, 1):
        return
    lock(sched.lock)
    idle = pidlegetspinning()
    if idle is None:
        add(sched.nmspinning, -1)
        unlock(sched.lock)
        return
    unlock(sched.lock)
    startm(idle, True, False)


def handoffp(pp: P) -> None:
    """Place pp, which was taken from an M in user code or locked: run it if there
    is anything to run, a collection that is asked for included, else idle it. Go's
    handoffp."""
    if not runqempty(pp) or load(sched.runqsize) != 0 or load(sched.gcforce) != 0:
        startm(pp, False, False)
        return
    if (
        not sched.gm
        and load(sched.nmspinning) + load(sched.npidle) == 0
        and cas(sched.nmspinning, 0, 1)
    ):
        # Nobody is looking for work: have somebody look.
        store(sched.needspinning, 0)
        startm(pp, True, False)
        return
    lock(sched.lock)
    if load(sched.gcwaiting) != 0:
        store(pp.status, Pgcstop)
        sched.stopwait -= 1
        if sched.stopwait == 0:
            notewakeup(sched.stopnote)
        unlock(sched.lock)
        return
    if load(sched.runqsize) != 0:
        startm(pp, False, True)
        unlock(sched.lock)
        return
    if load(sched.needspinning) != 0:
        # Rule 4: somebody found work and no P for it. Go leaves this to sysmon.
        add(sched.nmspinning, 1)
        store(sched.needspinning, 0)
        startm(pp, True, True)
        unlock(sched.lock)
        return
    # The last running P, and nobody polls the network: this one has to.
    if load(sched.npidle) == load(sched.nprocs) - 1 and load(sched.lastpoll) != 0:
        startm(pp, False, True)
        unlock(sched.lock)
        return
    when = load(pp.minwhen)
    pidleput(pp)
    unlock(sched.lock)
    if when != 0:
        wakenetpoller(when)


def wakenetpoller(when: int) -> None:
    """A timer at `when` exists: make sure that somebody wakes for it."""
    if load(sched.lastpoll) == 0:
        # An M blocks in netpoll. It stored polluntil before it dropped lastpoll.
        until = load(sched.polluntil)
        if until == 0 or until > when:
            netpollbreak()
    else:
        wakep(None)


def netpollbreak() -> None:
    """Wake the M that blocks in netpoll; one break in flight is enough."""
    if cas(sched.netpollwake, 0, 1):
        sched.poller.breakpoll()


def stoplockedm(mp: M) -> bool:
    """Give the P up and sleep until mp's locked goroutine can run; False to end."""
    if mp.p is not None:
        pp = releasep(mp)
        handoffp(pp)
    lock(sched.lock)
    sched.nmidlelocked += 1
    checkdead()
    unlock(sched.lock)
    mwait(mp)
    pp = mp.nextp
    mp.nextp = None
    if pp is None:
        return False
    acquirep(mp, pp)
    return True


def lockedexit(mp: M) -> bool:
    """A goroutine ended while locked: so does its thread, with what it has become.

    m0 cannot end, since run returns on it; as in Go it is wedged, and runs
    nothing any more. Always False: mp is to end, m0 with the runtime.
    """
    if mp.p is not None:
        handoffp(releasep(mp))
    if mp is not sched.m0:
        return False
    lock(sched.lock)
    sched.nmidlelocked += 1
    checkdead()
    unlock(sched.lock)
    while load(sched.exiting) == 0:
        mwait(mp)
    return False


def startlockedm(mp: M, gp: G) -> bool:
    """Hand mp's P to the M that gp is locked to, and wait for another; False to end."""
    lock(sched.lock)
    lm: M = sched.lockedms[gp]
    sched.nmidlelocked -= 1
    unlock(sched.lock)
    pp = releasep(mp)
    lm.nextp = pp
    notewakeup(lm.park)
    return stopm(mp)


def gcstopm(mp: M) -> bool:
    """Stop mp's P for a stopped world, and wait; False to end."""
    if mp.spinning:
        mp.spinning = False
        add(sched.nmspinning, -1)
    pp = releasep(mp)
    lock(sched.lock)
    store(pp.status, Pgcstop)
    sched.stopwait -= 1
    if sched.stopwait == 0:
        notewakeup(sched.stopnote)
    unlock(sched.lock)
    return stopm(mp)
