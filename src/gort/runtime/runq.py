"""Run queues: each P's ring of 256 and its runnext, and the global queue.

Ring invariants. The owner P alone puts, at runqtail, and publishes a slot with
a release store of the tail. Owner and thieves take, at runqhead, by a
compare-and-swap of the head: whoever advances it owns what it passed. Where there
is one P there is no thief, and its owner stores the head. A thief reads slots
before its CAS as raw words and counts no reference until it won.
The inherited slice: runnext goes first and keeps its predecessor's tick, so
that two goroutines which hand over to each other share one time slice.
"""

from __future__ import annotations

import cython

from .gmp import G, M, P

if not cython.compiled:
    from ..platform import (
        RUNQ,
        add,
        cas,
        load,
        lock,
        moved,
        queueput,
        queuetake,
        ringcopy,
        ringmove,
        ringput,
        ringtake,
        slotput,
        slotset,
        slotswap,
        store,
        store_rel,
        takecurg,
        unlock,
        usleep,
    )
    from .gmp import PSTATE, Prunning, Puser, sched

    # runq.pxd inlines these two.

    def runqputcurg(mp: M) -> None:
        """Queue the goroutine that ran on mp at the tail of its P, by move; owner only."""
        gp = takecurg(mp)
        t = load(mp.p.runqtail)
        if t - load(mp.p.runqhead) < RUNQ:
            ringmove(mp.p.runq, t, gp)
            store_rel(mp.p.runqtail, t + 1)  # publishes the slot to thieves
        else:
            runqput(mp.p, gp, False)

    def runqget(pp: P) -> G | None:
        """Take the next goroutine from the ring; owner only. runnext is the caller's."""
        while True:
            h = load(pp.runqhead)
            if load(pp.runqtail) == h:
                return None
            # The number of Ps changes in a stopped world only: where there is one P, nobody
            # steals until it has come to a safe-point.
            if load(sched.nprocs) == 1:
                store_rel(pp.runqhead, h + 1)
                return ringtake(pp.runq, h)
            if cas(pp.runqhead, h, h + 1):
                return ringtake(pp.runq, h)


def runqempty(pp: P) -> bool:
    """Whether pp has nothing queued. Callable by anyone; exact only for the owner.

    Head, tail and runnext are read in an order that cannot miss a goroutine
    which runqput kicks from runnext to the ring meanwhile (Go's runqempty).
    """
    while True:
        head = load(pp.runqhead)
        tail = load(pp.runqtail)
        next = slotset(pp.runnext)
        if tail == load(pp.runqtail):
            return head == tail and not next


def runqlen(pp: P) -> int:
    """How many pp has queued; an estimate for everyone but the owner."""
    n = load(pp.runqtail) - load(pp.runqhead)
    if slotset(pp.runnext):
        n += 1
    return n


def runqput(pp: P, gp: G, next: bool) -> None:
    """Queue gp on pp, as runnext when next is set; executed only by the owner."""
    if next:
        if not slotset(pp.runnext):
            slotput(pp.runnext, gp)  # thieves only empty it
            return
        # The one kicked out goes to the tail; a thief may have been faster.
        old = slotswap(pp.runnext, gp)
        if old is not None:
            runqputtail(pp, old)
        return
    runqputtail(pp, gp)


def runqputtail(pp: P, gp: G) -> None:
    while True:
        h = load(pp.runqhead)
        t = load(pp.runqtail)
        if t - h < RUNQ:
            ringput(pp.runq, t, gp)
            store_rel(pp.runqtail, t + 1)  # publishes the slot to thieves
            return
        if runqputslow(pp, gp, h, t):
            return


def runqputslow(pp: P, extra: G, h: int, t: int) -> bool:
    """Move half of a full ring and extra to the global queue; owner only."""
    n = (t - h) // 2
    if not cas(pp.runqhead, h, h + n):
        return False  # thieves made room
    lock(sched.lock)
    for i in range(n):
        gp = ringtake(pp.runq, h + i)
        globrunqput(gp)
    globrunqput(extra)
    unlock(sched.lock)
    return True


def runqgrab(victim: P, pp: P, stealrunnext: bool) -> int:
    """Move half of victim's ring to the end of pp's, unpublished; how many.

    Executed by the owner of pp. Go's runqgrab.
    """
    while True:
        h = load(victim.runqhead)
        t = load(victim.runqtail)
        n = t - h
        n = n - n // 2
        if n == 0:
            if not stealrunnext or not slotset(victim.runnext):
                return 0
            s = load(victim.status) & PSTATE
            if s == Prunning or s == Puser:
                # victim is about to run it: two goroutines that talk to each
                # other must not be torn apart, so give it time to.
                usleep(3)
                if load(victim.runqtail) != t or not slotset(victim.runnext):
                    return 0
            gp = slotswap(victim.runnext, None)
            if gp is None:
                return 0
            ringput(pp.runq, load(pp.runqtail), gp)
            return 1
        if n > RUNQ // 2:
            continue  # head and tail were read at different times
        tail = load(pp.runqtail)
        for i in range(n):
            ringcopy(victim.runq, h + i, pp.runq, tail + i)
        if cas(victim.runqhead, h, h + n):
            return n


def runqsteal(pp: P, victim: P, stealrunnext: bool) -> G | None:
    """Steal half of victim's queue into pp's and return one of it; owner of pp only."""
    n = runqgrab(victim, pp, stealrunnext)
    if n == 0:
        return None
    add(sched.nsteals, n)
    t = load(pp.runqtail)
    gp = ringtake(pp.runq, t + n - 1)
    if n > 1:
        store_rel(pp.runqtail, t + n - 1)
    return gp


def globrunqput(gp: G) -> None:
    """Put gp at the end of the global queue; sched.lock is held."""
    queueput(sched.runq, gp.schedlink, gp)
    store_rel(sched.runqsize, load(sched.runqsize) + 1)  # changed under the lock alone


def globrunqget(pp: P, max: int) -> G | None:
    """Take one from the global queue and a fair share of it to pp; sched.lock is held.

    The share is n/gomaxprocs+1, at most half the ring, at most max when not 0;
    just the one where P has no queue (gm.py).
    """
    size = load(sched.runqsize)
    if size == 0:
        return None
    n = size // load(sched.nprocs) + 1
    if n > size:
        n = size
    if max > 0 and n > max:
        n = max
    if n > RUNQ // 2:
        n = RUNQ // 2
    if sched.gm:
        n = 1
    first = globrunqpop()
    for i in range(n - 1):
        gp = globrunqpop()
        runqput(pp, gp, False)
    return first


def globrunqpop() -> G | None:
    """Take the first goroutine of the global queue; sched.lock is held."""
    gp = queuetake(sched.runq)
    if gp is not None:
        store_rel(sched.runqsize, load(sched.runqsize) - 1)
        store_rel(sched.nrunqget, load(sched.nrunqget) + 1)
        if load(sched.runqlate) != 0:
            store(sched.runqlate, 0)
    return moved(gp)
