"""GODEBUG=blocktrace=MS: names the calls that keep their thread for longer than MS.

sysmon alone looks, at each of its rounds; nothing is noted where goroutines run.
A stay is told from the next one by where an M is: its P, the P's ticks, and
whether it has lost the P. Two calls with no runtime in between look like one.
"""

from __future__ import annotations

import cython

from .gmp import G, M, printerr
from .traceback import framelines

if not cython.compiled:
    from ..platform import load, threadstacks
    from .gmp import PMSHIFT, PSTATE, Prunning, Psyscall, Puser, allgs, sched
    from .traceback import createdby, stackof


class Stay:
    """A thread's stay in user code: where, since when, and the goroutine once named."""

    __slots__ = ("place", "since", "insyscall", "goid")

    def __init__(self, place: tuple[int, ...], since: int) -> None:
        self.place = place
        self.since = since
        self.insyscall = place[1] == Psyscall
        self.goid = 0


def blocktrace(stays: dict[int, Stay], now: int, limit: int) -> None:
    """One look at every M; stays: M id to its stay, sysmon's own."""
    seen = set()
    for mp in list(sched.allm):
        place = where(mp)
        if place is None:
            continue
        id = mp.id
        seen.add(id)
        stay = stays.get(id)
        if stay is None or not same(stay.place, place):
            ended(stay, now)
            stays[id] = Stay(place, now)
            continue
        stay.place = place
        if stay.goid == 0 and now - stay.since >= limit:
            gp = running(mp)
            if gp is not None:
                stay.goid = gp.goid
                report(gp, mp, stay.insyscall, now, now - stay.since)
    for id in list(stays):
        if id not in seen:
            ended(stays.pop(id), now)


def where(mp: M) -> tuple[int, ...] | None:
    """Where an M is in user code, comparable by same(); None when it is not."""
    pp = mp.p
    if pp is None:
        return None
    s = load(pp.status)
    st = s & PSTATE
    if s >> PMSHIFT != mp.id or (st != Puser and st != Psyscall and st != Prunning):
        return (pp.id, 0, 0, 0)  # the P was retaken, and mp has not been back
    if st == Prunning:
        return None
    return (pp.id, st, load(pp.schedtick), load(pp.syscalltick))


def same(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether b can be the same stay, later: equal, or its P was taken since."""
    return a == b or (a[0] == b[0] and b[1] == 0)


def running(mp: M) -> G | None:
    """The goroutine that mp runs. From the list of all, which keeps it alive: mp drops
    its curg while we look."""
    for gp in allgs():
        if mp.curg is gp:
            return gp
    return None


def report(gp: G, mp: M, insyscall: bool, now: int, ns: int) -> None:
    frames = threadstacks()
    how = "syscall" if insyscall else "running"
    printerr(
        f"BLOCKED {elapsed(now)}ms: goroutine {gp.goid} [{how}] "
        f"has kept thread gort-m{mp.id} for {ns // 1_000_000}ms\n"
        f"{framelines(stackof(gp, frames, False))}{createdby(gp)}\n"
    )


def ended(stay: Stay | None, now: int) -> None:
    """Say how long a named stay lasted, now that it is over."""
    if stay is None or stay.goid == 0:
        return
    printerr(
        f"BLOCKED {elapsed(now)}ms: goroutine {stay.goid} is back "
        f"after {(now - stay.since) // 1_000_000}ms\n"
    )


def elapsed(now: int) -> int:
    return (now - sched.starttime) // 1_000_000
