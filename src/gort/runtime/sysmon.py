"""The system monitor: retakes Ps from user code, polls when nobody does, finds
deadlocks. It runs on a thread of its own without a P.

It sleeps 20 us, after 50 idle rounds twice as long each time, up to 10 ms; and
deeply, until the next timer or a wake-up, while every P is idle. To wake it costs
whoever takes a P a system call, and on a build with a GIL a struggle for that. So,
unlike Go's, it sleeps deeply only when no P was taken during a nap; and naps longer
next time if it was woken at once.
"""

from __future__ import annotations

import sys
from typing import Any

import cython

from .asyncgen import closedropped, dropped
from .debug import debug, debugint, schedtrace
from .gil import gilcheck, watchgil
from .gmp import M, P
from .sigqueue import cankick, kick

if not cython.compiled:
    from ..platform import (
        DROPTICK,
        cas,
        getident,
        load,
        lock,
        nanotime,
        nforeign,
        noteclear,
        notesleep,
        nstrangers,
        store,
        swap,
        unlock,
        usleep,
    )
    from .blocktrace import blocktrace
    from .cleanup import wakecleanup
    from .gcwork import gclook
    from .gmp import PSTATE, Pidle, Prunning, Psyscall, Puser, sched, setclock
    from .machine import handoffp, netpollbreak, nudge, startm, wakep
    from .netpoll import netpoll, readylist
    from .proc import checktimersnop
    from .runq import runqempty
    from .scope import shielding
    from .template import closehandoff, handoff, startpending

    def watchps(ps: list[P], us: int) -> None:
        """Sleep; with a GIL for longer without it, while every busy P gets on (watch.h)."""
        usleep(us)

    INSLICE = 0
    PREEMPTED = 1
    PAST = 2

_MS = 1_000_000
_FORCEPREEMPT = 10 * _MS
_PRESS = 1_000 * _MS
_PIERCE = 1_400 * _MS
_LEAVE = 1_800 * _MS
_GRACE = 1_000 * _MS
_LAST = 20 * _MS
_GCLOOK = 20 * _MS
_NAP = 100
_LONGNAP = 4_000
_SOON = 2 * _MS
_LATE = 2 * _MS
_NUDGE = 100 * _MS
_FREETHREADED = "t" in getattr(sys, "abiflags", "")
_NEVER = (1 << 63) - 1


class DeadlockError(RuntimeError):
    """All goroutines are asleep, and nothing could wake one."""


def sysmon() -> None:
    """The monitor's loop."""
    handoff.sysmonident = getident()
    idle = 0
    delay = 0
    nap = False
    napus = _NAP
    wakes = 0
    slow = Slow()
    now = nanotime()
    while load(sched.exiting) == 0:
        if not nap:
            if idle == 0:
                delay = 20
            elif idle > 50:
                delay *= 2
        delay = min(delay, sliceleft(now))
        watchps(list(sched.allp), delay)
        last = now
        now = nanotime()
        setclock(now)
        if not cython.compiled and dropped:
            closedropped()
        if now >= slow.next:
            slow.look(now)
        if handoff.newm is not None and not handoff.have:
            startpending()
        if load(sched.cleanupwake) != 0:
            wakecleanup(None)
        if load(sched.deadcheck) != 0 and alldead():
            deadlock()
        if sched.drainstart != 0:
            drain(now, slow)
        if load(sched.gcwaiting) != 0 or load(sched.npidle) == load(sched.nprocs):
            if latepoll():
                netpollbreak()
            forcegc(now)
            if load(sched.gcwaiting) == 0 and (not nap or wakes != load(sched.nwakes)):
                # All idle at this moment, and busy a moment ago: a burst may come again.
                wakes = load(sched.nwakes)
                nap = True
                # Not longer: who blocks in a syscall after it loses its P that much later.
                delay = min(max(delay, napus), _LONGNAP)
                idle += 1
                continue
            deepsleep(now, slow)
            last = now
            now = nanotime()
            napus = min(2 * napus, _LONGNAP) if now - last < _SOON else _NAP
            nap = False
            idle = 0
            delay = 20
            continue
        nap = False
        lastpoll = load(sched.lastpoll)
        if (
            load(sched.netpollwaiters) > 0
            and lastpoll != 0
            and lastpoll + 10 * _MS < now
            and cas(sched.lastpoll, lastpoll, now)
        ):
            readylist(netpoll(0), None)
        slow.lookrunq(now)
        if forcegc(now) + retake(now, min((now - last) // 2, _LATE)) != 0:
            idle = 0
        else:
            idle += 1
    closehandoff()
    while load(sched.exiting) == 1:  # until m0, and so run, comes back
        noteclear(sched.sysmonnote)
        if load(sched.exiting) == 1:
            notesleep(sched.sysmonnote, _LAST)
        now = nanotime()
        if sched.drainstart != 0 and now - sched.drainstart > _PRESS:
            sched.unwind(now)


def drain(now: int, slow: Slow) -> None:
    """The program goes down. Who runs Python code after 1 s is interrupted; shields without a
    time end after 1.4 s; what still runs after 1.8 s, and after the other shields, is left."""
    past = now - sched.drainstart
    if past > _PRESS:
        sched.unwind(now)
    if past > _PIERCE and load(sched.pierced) == 0:
        sched.pierce()
    if past <= _LEAVE:
        return
    if shielding():
        slow.held = now + _GRACE
    elif now > slow.held and (load(sched.draining) != 0 or sched.maing.cancelled):
        sched.leave()


def latepoll() -> bool:
    """Whether an M polls until a time for which there is no timer any more.

    It would wake then, but not be idle until then: a deadlock would not be seen.
    """
    until = load(sched.polluntil)
    if until == 0:
        return False
    first = checktimersnop()
    return first == 0 or first > until


class Slow:
    """What sysmon does seldom or on request: schedtrace, blocktrace, the look for a GIL.

    next: when the first of them is due; without a request that is far away, so
    that a program in which all sleep is not woken for it. And the global queue: nserved
    is sched.nrunqget as it was seen last, served the last time when it was served or empty.
    held: until when a shield keeps the end of the program from coming.
    """

    __slots__ = (
        "next",
        "tracens",
        "nexttrace",
        "blockns",
        "nextblock",
        "nextgil",
        "nextnudge",
        "nserved",
        "served",
        "held",
        "stays",
    )

    def __init__(self) -> None:
        now = nanotime()
        self.tracens = debugint(debug, "schedtrace") * _MS
        self.blockns = debugint(debug, "blocktrace") * _MS
        self.nexttrace = now + self.tracens if self.tracens > 0 else _NEVER
        self.nextblock = now if self.blockns > 0 else _NEVER
        self.nextgil = now if watchgil() else _NEVER
        self.nextnudge = 0
        self.nserved = self.served = 0
        self.held = 0
        self.stays: dict[int, Any] = {}
        self.next = min(self.nexttrace, self.nextblock, self.nextgil)

    def lookrunq(self, now: int) -> None:
        """Have the global queue served where it was not for a slice: whoever has work of
        its own looks there after so many rounds, however long they are."""
        n = load(sched.nrunqget)
        if n != self.nserved or load(sched.runqsize) == 0:
            self.nserved = n
            self.served = now
        elif now - self.served >= _FORCEPREEMPT:
            store(sched.runqlate, 1)

    def look(self, now: int) -> None:
        if now >= self.nexttrace:
            schedtrace(debugint(debug, "scheddetail") > 0)
            self.nexttrace = now + self.tracens
        if now >= self.nextblock:
            blocktrace(self.stays, now, self.blockns)
            self.nextblock = now + min(max(self.blockns // 4, _MS), 100 * _MS)
        if now >= self.nextgil:
            gilcheck(0)
            self.nextgil = now + 1_000 * _MS if watchgil() else _NEVER
        self.next = min(self.nexttrace, self.nextblock, self.nextgil)


def retake(now: int, late: int) -> int:
    """Preempt Ps whose slice is over, take those that stay in user code; how many.

    late: how long ago, on average, a slice began that this look is the first to see.
    """
    n = 0
    for i in range(load(sched.nprocs)):
        pp: P = sched.allp[i]
        s = load(pp.status)
        st = s & PSTATE
        if not inslice(pp, st):
            continue
        over = sliceover(pp, now, late)
        if over == PREEMPTED:
            n += 1
        if st == Pidle:
            continue
        if st == Psyscall:
            t = load(pp.syscalltick)
            if pp.seensys != t:
                pp.seensys = t
                n += 1  # stay awake: look again after one tick
                continue
        elif st == Prunning or over != PAST:
            continue
        if not worth(pp):
            continue
        if cas(pp.status, s, Pidle):
            handoffp(pp)
            n += 1
    return n


def inslice(pp: P, st: int) -> bool:
    """Whether a slice goes on on pp, whose state is st. Also between two Ms: where goroutines
    that are locked to threads hand over, all looks may find it there."""
    if st == Pidle:
        return load(pp.free) == 0
    return st == Puser or st == Prunning or st == Psyscall


def sliceover(pp: P, now: int, late: int) -> int:
    """Whether pp's slice is over, PREEMPTED where this look tells it so: first let it
    yield by itself, as it may enter the runtime often; after a while it is PAST."""
    t = load(pp.schedtick)
    if pp.seentick != t:
        pp.seentick = t
        pp.seenwhen = now - late
        return INSLICE
    if now - pp.seenwhen < _FORCEPREEMPT:
        return INSLICE
    if load(pp.preempt) != 0:
        return PAST
    store(pp.preempt, 1)
    pp.seenwhen = now - _FORCEPREEMPT + 200_000
    return PREEMPTED


def sliceleft(now: int) -> int:
    """Microseconds, at least 20, to the first end of a slice that retake has begun to
    measure; one that begins meanwhile takes 10 ms."""
    left = _FORCEPREEMPT
    for i in range(load(sched.nprocs)):
        pp: P = sched.allp[i]
        st = load(pp.status) & PSTATE
        if inslice(pp, st) and load(pp.preempt) == 0:
            left = min(left, pp.seenwhen + _FORCEPREEMPT - now)
    return max(left // 1000, 20)


def forcegc(now: int) -> int:
    """At the ceiling of allocations have a P collect: an idle one, or one whose
    goroutine comes to its next op soon, or else take one from user code. 1 while
    nobody has come for it."""
    asked = gclook(now)
    if asked == 0:
        return 0
    if load(sched.npidle) != 0:
        wakep(None)
        return 1
    for i in range(load(sched.nprocs)):
        pp: P = sched.allp[i]
        if asked == 1:
            store(pp.preempt, 1)
            continue
        s = load(pp.status)
        if s & PSTATE == Puser and cas(pp.status, s, Pidle):
            handoffp(pp)
            break
    return 1


def worth(pp: P) -> bool:
    """Whether anyone could use pp: it has work or timers, there is global work, or
    nobody else is there to look for some."""
    return (
        not runqempty(pp)
        or load(pp.minwhen) != 0
        or load(sched.runqsize) != 0
        or load(sched.gcwaiting) != 0
        or load(sched.netpollwaiters) != 0
    )


def deepsleep(now: int, slow: Slow) -> None:
    """Sleep until a P is taken off the idle list, or until slow.next."""
    noteclear(sched.sysmonnote)
    store(sched.sysmonwait, 1)
    # Who takes a P clears sysmonwait and wakes us; look again now that they can see it.
    idle = load(sched.npidle) == load(sched.nprocs) and load(sched.cleanupwake) == 0
    if idle or load(sched.gcwaiting) != 0:
        ns = -1
        if slow.next != _NEVER:
            ns = max(slow.next - now, 0)
        if load(sched.deadcheck) != 0:
            # A thread outside may yet wake a goroutine: ask again in a while.
            wait = 2 * _MS if load(sched.deadcheck) > 1 else 50 * _MS
            ns = wait if ns < 0 else min(ns, wait)
        if _FREETHREADED and load(sched.nfailed) > 0:
            # Its last handle may be dropped, by another thread than its maker's: it dies,
            # and is a panic, only when its maker passes a safe-point.
            if now >= slow.nextnudge:
                nudge()
                m0: M = sched.m0
                if m0 is not None and m0.curg is not None and cankick():
                    kick()  # it may block in a user's code
                slow.nextnudge = now + _NUDGE
            ns = _NUDGE if ns < 0 else min(ns, _NUDGE)
        if sched.drainstart != 0:
            ns = _LAST
        if someoneruns():
            ns = _GCLOOK if ns < 0 else min(ns, _GCLOOK)
        if not cython.compiled and DROPTICK:
            ns = DROPTICK if ns < 0 else min(ns, DROPTICK)  # look for dropped generators
        # handm queues an M before it wakes us: one whose wake-up noteclear ate is seen here.
        pending = handoff.newm is not None and not handoff.have
        if load(sched.exiting) == 0 and not pending:
            notesleep(sched.sysmonnote, ns)
    swap(sched.sysmonwait, 0)


def someoneruns() -> bool:
    """Whether Python code may run, and make garbage, although every P is idle: an M
    whose P was taken, or a thread from outside."""
    run = sched.mcount - sched.nmidle - sched.nmidlelocked
    if load(sched.lastpoll) == 0:
        run -= 1  # in the poller
    return run > 0 or nforeign() > 0


def alldead() -> bool:
    """Whether every M is idle and nothing can wake one. checkdead asked."""
    if not allidle():
        return False
    if load(sched.siglisten) != 0:
        # A signal may wake a goroutine; stop() asks again, and is seen by the second look.
        store(sched.deadcheck, 0)
        if load(sched.siglisten) != 0:
            return False
        store(sched.deadcheck, 1)
    if checktimersnop() != 0 or load(sched.netpollwaiters) > 0:
        # Work for the poller, and nobody polls: the last M left in a race. The M that
        # starts here may ask anew.
        store(sched.deadcheck, 0)
        startm(None, False, False)
        return False
    if foreignthreads():
        return False
    if _FREETHREADED and not settled():
        return False
    # A thread that woke a goroutine and then ended is seen by the second look.
    return allidle()


def settled() -> bool:
    """Whether every M has passed a safe-point since it was asked to; asks.

    On a free-threaded build, what was dropped by another thread than its maker's
    dies when its maker's runs the interpreter's loop, and may have a cleanup that
    wakes somebody. An M in gort.wait cannot be asked: not for more than 25 rounds.
    """
    rounds = load(sched.deadcheck)
    if rounds == 1:
        sched.safegoal = load(sched.safepoints) + len(sched.allm)
        nudge()
    elif load(sched.safepoints) >= sched.safegoal or rounds > 25:
        return True
    store(sched.deadcheck, rounds + 1)
    return False


def allidle() -> bool:
    """Whether no M runs, and nothing is queued."""
    lock(sched.lock)
    run = sched.mcount - sched.nmidle - sched.nmidlelocked
    idle = (
        run == 0
        and load(sched.exiting) == 0
        and load(sched.gcwaiting) == 0
        and load(sched.runqsize) == 0
        and load(sched.npidle) == load(sched.nprocs)
    )
    if run > 0:
        store(sched.deadcheck, 0)  # under the lock, as checkdead: it would erase its request
    unlock(sched.lock)
    return idle


def foreignthreads() -> bool:
    """Whether a thread outside the runtime is alive that might wake a goroutine: any
    but the Ms, the monitor, those in gort.wait, and a main thread that is not ours
    and cannot be told from one that waits for run; a C library's, which Python does
    not know, if it came since run began (_strangers.py)."""
    n = nforeign() - load(sched.threadwaiters)
    return n > 0 or n + nstrangers() > 0


def deadlock() -> None:
    """Report a deadlock as Go does, and take everything down."""
    sched.deadlocked()
    if load(sched.pierced) != 0 and allidle():
        # Shields stop no cancel any more, and nobody is left that one wakes: who takes a
        # lock back at the end of Cond.wait is past being cancelled, and nobody will unlock it.
        sched.abandon()
