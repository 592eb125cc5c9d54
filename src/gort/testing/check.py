"""What must hold in a simulated run, at each step and when nobody can run.

The checks read the runtime's records as they are; only the running thread changes
anything, so what they see is the state between two atomic operations.
"""

from __future__ import annotations

from typing import Any

_LEGAL = {
    "idle": {"runnable"},
    "runnable": {"running", "dead"},
    "running": {"parking", "runnable", "dead"},
    "parking": {"waiting", "parkready", "running"},
    "parkready": {"runnable", "running"},
    "waiting": {"runnable", "scanned"},
    "scanned": {"waiting", "runnable"},
    "dead": set(),
}
_NAMES = {0: "idle", 1: "runnable", 2: "running", 4: "waiting", 6: "dead", 7: "parking"}
_NAMES |= {8: "parkready", 0x1004: "scanned"}


class Invariants:
    """Checks of one simulated run; hand step and quiet to its engine.

    sim: the simulated gort. every: look at the queues at each that many steps.
    """

    def __init__(self, sim: Any, failure: type[Exception], every: int = 1) -> None:
        self.gmp = sim.runtime.gmp
        self.sched = self.gmp.sched
        self.failure = failure
        self.every = every
        self.n = 0
        self.seen: dict[int, tuple[Any, int]] = {}

    def step(self, what: str) -> None:
        """Legal status changes; each G on one queue; counts in their bounds."""
        sched = self.sched
        if sched.up.v == 0:
            self.seen.clear()
            return
        self.statuses()
        self.n += 1
        if self.n % self.every == 0:
            self.queues()
            self.counts()

    def statuses(self) -> None:
        live = {}
        for gp in self.live():
            s = gp.status_.v
            _, old = self.seen.get(id(gp), (gp, s))
            if s != old and _NAMES.get(s) not in _LEGAL[_NAMES[old]]:
                raise self.failure(
                    f"goroutine {gp.goid} went from {_NAMES[old]} to {_NAMES.get(s, s)}"
                )
            live[id(gp)] = gp, s
        self.seen = live

    def live(self) -> list[Any]:
        out = []
        for shard in self.sched.shards:
            gp = shard.head
            while gp is not None:
                out.append(gp)
                gp = gp.allnext
        return out

    def queues(self) -> None:
        """Each G on at most one queue, and no running one on any."""
        where: dict[int, str] = {}
        for gp, place in self.queued():
            if id(gp) in where:
                raise self.failure(f"goroutine {gp.goid} is in {where[id(gp)]} and in {place}")
            where[id(gp)] = place
            s = gp.status_.v
            if s not in (1,) and place != "the hands of an M":
                raise self.failure(f"goroutine {gp.goid} is {_NAMES.get(s, s)} in {place}")

    def queued(self) -> list[tuple[Any, str]]:
        sched = self.sched
        out = []
        n = 0
        gp = sched.runqhead
        while gp is not None:
            out.append((gp, "the global queue"))
            n += 1
            gp = gp.schedlink
            if n > 10_000:
                raise self.failure("the global queue is a circle")
        for pp in list(sched.allp):
            if pp is None:
                continue
            for i in range(pp.runqhead.v, pp.runqtail.v):
                cell = pp.runq[i % 256]
                if cell is not None and cell[0] is not None:
                    out.append((cell[0], f"P {pp.id}'s queue"))
            if pp.runnext.v is not None:
                out.append((pp.runnext.v, f"P {pp.id}'s runnext"))
        return out

    def counts(self) -> None:
        sched = self.sched
        n = sched.nmspinning.v
        if n < 0 or sched.npidle.v < 0 or sched.runqsize.v < 0:
            raise self.failure(
                f"a count is negative: nmspinning {n}, npidle {sched.npidle.v}, "
                f"runqsize {sched.runqsize.v}"
            )
        if sched.npidle.v > sched.nprocs.v > 0 and sched.gcwaiting.v == 0:
            raise self.failure(f"npidle {sched.npidle.v} of {sched.nprocs.v} Ps")
        running: dict[int, int] = {}
        for mp in list(sched.allm):
            gp = mp.curg
            if gp is None:
                continue
            if id(gp) in running:
                raise self.failure(f"goroutine {gp.goid} is run by two Ms")
            running[id(gp)] = mp.id

    def quiet(self) -> None:
        """Nobody can run: then no G may wait for an idle P (a lost wake-up)."""
        sched = self.sched
        if sched.up.v == 0 or sched.exiting.v or sched.gcwaiting.v:
            return
        if sched.npidle.v == 0 or sched.nmspinning.v != 0:
            return
        work = [(gp, place) for gp, place in self.queued()]
        if work:
            gp, place = work[0]
            raise self.failure(
                f"a lost wake-up: goroutine {gp.goid} stands in {place}, "
                f"{sched.npidle.v} P(s) idle, nobody spins, and every thread waits"
            )
