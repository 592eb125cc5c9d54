"""A model of both schedulers on 1 to 128 processors: throughput by discrete-event
simulation with the costs below, in place of a machine that has so many.

    python bench/simgm.py                # the tables of docs/gm.md; the same each time
    python bench/simgm.py --measure      # what bench/load/costs.c finds on this machine

It is a model and no measurement: of queues, locks, wake-ups and caches, and of nothing
else. Not in it: memory bandwidth, sockets and their distances, the collector, sysmon,
preemption, the network, and Python's own reference counts and locks.

A processor is a CPU with an M on it. Goroutines run for `work` ns on average
(exponentially distributed), and then do what their workload says:

    ready     each starts another goroutine and ends; 8 live ones for each processor
    pingpong  pairs that wake each other by turns; 1 pair for each processor
    syscall   each makes a system call of 500 ns, on its CPU; 4 for each processor

G-M-P: a ring and runnext for each processor; one spinning thief at a time is woken, takes
half of a random victim's ring, and the next is woken when it has found work (the half of
busy processors that may spin is kept). A call keeps its P.
G-M: one queue under one lock; who readies a goroutine hands it to an idle processor with
a futex wake; a call gives the permit up, which goes with a queued goroutine to another
thread of the same CPU, and whoever comes back without a permit queues its goroutine.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import random
import subprocess
from collections import deque
from collections.abc import Callable, Generator

from gm import markdown

PROCESSORS = (1, 2, 4, 8, 16, 32, 64, 128)
WORKLOADS = ("ready", "pingpong", "syscall")
SCHEDULERS = ("gmp", "gm")
RING = 256
SYSCALL = 500


@dataclasses.dataclass(frozen=True)
class Costs:
    """Nanoseconds. Measured here (AMD EPYC, 2 virtual CPUs) by load/costs.c: lock, line,
    wakecall, wakelatency, osswitch. Measured here by bench/gm.py: switch. The others are
    assumed, for the reason that stands beside them."""

    work: float = 1000
    """a slice of user code, on average; assumed"""
    switch: float = 288
    """park, schedule, resume and the op itself: half a ping-pong round trip on one proc"""
    lock: float = 4.4
    """taking and leaving a lock that this CPU had last"""
    line: float = 41
    """a cache line's way from the CPU that wrote it last"""
    section: float = 10
    """under sched.lock, its data in the cache: a list's end and a count; assumed"""
    local: float = 4.4
    """put and get on the own ring: as many atomic operations as a lock"""
    waiters: float = 0.25
    """a hand-over takes so much of a line longer for each CPU that spins on the lock, as
    its attempts take the line away; assumed, and 0 is an ideal queue lock"""
    spinners: int = 4
    """so many spin at the same time; the others sleep (a futex), their wake-ups overlap"""
    cold: float = 10
    """lines that a goroutine takes along to another CPU: G, op, frame, channel; assumed"""
    wakecall: float = 5700
    """futex wake, for the waker"""
    wakelatency: float = 32000
    """from there until the sleeper runs"""
    osswitch: float = 2160
    """from a thread to another one on the same CPU"""


HERE = Costs()
BARE = dataclasses.replace(HERE, wakecall=1000, wakelatency=5000, osswitch=1300)
"""as a machine without a hypervisor would have it: assumed"""


class G:
    __slots__ = ("at", "peer", "parked")

    def __init__(self) -> None:
        self.at: int | None = None
        """the processor whose cache has it"""
        self.peer: G | None = None
        self.parked = False


Step = Generator[float | None, None, None]
"""what a processor does: yields nanoseconds that pass, or None to sleep until woken"""


class Lock:
    """First come, first served, by the costs of a hand-over."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.held = False
        self.last = 0
        self.queue: deque[int] = deque()
        self.taken = self.contended = 0

    def acquire(self, me: int) -> Step:
        costs = self.sim.costs
        self.taken += 1
        if self.held:
            self.contended += 1
            self.queue.append(me)
            yield None  # release wakes us, with the lock in hand
        else:
            self.held = True
            # The lock's line and that of the queue beside it.
            away = 0 if self.last == me else 2 * costs.line
            self.last = me
            yield costs.lock + away
        yield costs.section

    def release(self) -> None:
        if not self.queue:
            self.held = False
            return
        costs = self.sim.costs
        next = self.queue.popleft()
        self.last = next
        spinning = min(len(self.queue), costs.spinners)
        late = costs.line * (2 + costs.waiters * spinning)
        self.sim.wake(next, costs.lock + late)


class Sim:
    """The clock, the processors, and what the workloads have in common."""

    def __init__(self, workload: str, n: int, costs: Costs, seed: int) -> None:
        self.workload = workload
        self.n = n
        self.costs = costs
        self.random = random.Random(seed)
        self.now = 0.0
        self.seq = 0
        self.events: list[tuple[float, int, int]] = []
        self.lock = Lock(self)
        self.runs = self.moved = 0
        self.worked = 0.0
        self.gs: list[G] = []
        self.running = self.outside = 0
        """goroutines that run, and that are in a call or between two queues"""
        self.steps: list[Step] = []

    def start(self) -> None:
        self.steps = [self.processor(me) for me in range(self.n)]
        for me in range(self.n):
            self.wake(me, 0)

    def wake(self, me: int, after: float) -> None:
        self.seq += 1
        heapq.heappush(self.events, (self.now + after, self.seq, me))

    def run(self, until: float) -> None:
        self.start()
        while self.events and self.events[0][0] < until:
            self.now, _, me = heapq.heappop(self.events)
            wait = next(self.steps[me])
            if wait is not None:
                self.wake(me, wait)
        self.now = until

    def make(self) -> list[G]:
        """The goroutines; those that can run at the start."""
        count = {"ready": 8, "pingpong": 2, "syscall": 4}[self.workload] * self.n
        self.gs = [G() for _ in range(count)]
        if self.workload != "pingpong":
            return self.gs
        for a, b in zip(self.gs[::2], self.gs[1::2], strict=True):
            a.peer, b.peer = b, a
            b.parked = True
        return self.gs[::2]

    def slice(self, me: int, gp: G) -> Step:
        """gp runs on me."""
        costs = self.costs
        cold = 0.0
        if gp.at != me:
            self.moved += gp.at is not None
            cold = costs.cold * costs.line if gp.at is not None else 0
            gp.at = me
        work = self.random.expovariate(1 / costs.work)
        self.running += 1
        yield costs.switch + work + cold
        self.running -= 1
        self.runs += 1
        self.worked += work

    def processor(self, me: int) -> Step:
        raise NotImplementedError

    def queued(self) -> int:
        raise NotImplementedError

    def throughput(self) -> float:
        """Slices of work in a microsecond."""
        return 1000 * self.runs / self.now


class GMP(Sim):
    def __init__(self, workload: str, n: int, costs: Costs, seed: int) -> None:
        super().__init__(workload, n, costs, seed)
        self.rings: list[deque[G]] = [deque() for _ in range(n)]
        self.runnext: list[G | None] = [None] * n
        self.globq: deque[G] = deque()
        self.idle: list[int] = []
        self.nspinning = 0
        for i, gp in enumerate(self.make()):
            self.rings[i % n].append(gp)

    def queued(self) -> int:
        rings = sum(map(len, self.rings)) + len(self.globq)
        return rings + sum(gp is not None for gp in self.runnext)

    def processor(self, me: int) -> Step:
        costs = self.costs
        tick = 0
        while True:
            gp = self.runnext[me]
            self.runnext[me] = None
            tick += gp is None
            if gp is None and tick % 61 == 0 and self.globq:
                yield from self.lock.acquire(me)
                gp = self.globq.popleft() if self.globq else None
                self.lock.release()
            if gp is None and self.rings[me]:
                gp = self.rings[me].popleft()
            if gp is None:
                yield from self.steal(me)
                continue
            self.outside += 1
            yield costs.local
            self.outside -= 1
            yield from self.slice(me, gp)
            yield from self.after(me, gp)

    def after(self, me: int, gp: G) -> Step:
        if self.workload == "syscall":
            self.outside += 1
            yield SYSCALL + self.costs.lock  # out and in: two changes of the P's word
            self.outside -= 1
            yield from self.requeue(me, gp, False)
        elif self.workload == "ready":
            yield from self.requeue(me, gp, True)
        else:
            gp.parked = True
            peer = gp.peer
            assert peer is not None and peer.parked
            peer.parked = False
            yield from self.requeue(me, peer, True)

    def requeue(self, me: int, gp: G, next: bool) -> Step:
        old: G | None = gp
        if next:
            old, self.runnext[me] = self.runnext[me], gp
        if old is not None:
            self.rings[me].append(old)
        if len(self.rings[me]) > RING:
            half = [self.rings[me].popleft() for _ in range(RING // 2)]
            self.outside += len(half)
            yield from self.lock.acquire(me)
            self.outside -= len(half)
            self.globq.extend(half)
            self.lock.release()
        yield from self.wakep()

    def wakep(self) -> Step:
        if self.idle and self.nspinning == 0:
            self.nspinning += 1
            self.wake(self.idle.pop(), self.costs.wakecall + self.costs.wakelatency)
            yield self.costs.wakecall

    def steal(self, me: int) -> Step:
        """Spin, steal, or sleep until woken as the spinner."""
        costs = self.costs
        busy = self.n - len(self.idle)
        spinning = 2 * self.nspinning < busy
        self.nspinning += spinning
        while True:
            for attempt in range(4 if spinning else 0):
                for victim in self.random.sample(range(self.n), self.n):
                    if victim == me:
                        continue
                    yield costs.line  # its head and tail
                    ring = self.rings[victim]
                    take = len(ring) - len(ring) // 2
                    stolen = [ring.popleft() for _ in range(take)]
                    last = attempt == 3
                    if not stolen and last and (gp := self.runnext[victim]) is not None:
                        yield 3000  # time for the victim to run it
                        if self.runnext[victim] is gp:
                            self.runnext[victim] = None
                            stolen = [gp]
                    if stolen:
                        self.outside += len(stolen)
                        yield costs.line * (1 + len(stolen) / 8)
                        self.outside -= len(stolen)
                        self.rings[me].extend(stolen)
                        self.nspinning -= 1
                        yield from self.wakep()
                        return
            yield from self.lock.acquire(me)
            if self.globq:
                self.rings[me].append(self.globq.popleft())
                self.lock.release()
                self.nspinning -= spinning
                return
            self.idle.append(me)
            self.lock.release()
            self.nspinning -= spinning
            # The second look, after the count went down.
            if spinning and any(self.rings) and me in self.idle and self.nspinning == 0:
                self.idle.remove(me)
                self.nspinning += 1
                continue
            yield None  # wakep counted us as spinning
            spinning = True


class GM(Sim):
    def __init__(self, workload: str, n: int, costs: Costs, seed: int) -> None:
        super().__init__(workload, n, costs, seed)
        self.queue: deque[G] = deque(self.make())
        self.idle: list[int] = []
        self.handed: list[G | None] = [None] * n

    def queued(self) -> int:
        handed = sum(gp is not None for gp in self.handed)
        return len(self.queue) + handed

    def processor(self, me: int) -> Step:
        while True:
            yield from self.lock.acquire(me)
            if not self.queue:
                self.idle.append(me)
                self.lock.release()
                yield None
                gp = self.handed[me]
                self.handed[me] = None
                assert gp is not None
            else:
                gp = self.queue.popleft()
                self.lock.release()
            yield from self.slice(me, gp)
            yield from self.after(me, gp)

    def after(self, me: int, gp: G) -> Step:
        if self.workload == "syscall":
            yield from self.syscall(me, gp)
        elif self.workload == "ready":
            yield from self.ready(me, gp)
        else:
            gp.parked = True
            peer = gp.peer
            assert peer is not None and peer.parked
            peer.parked = False
            yield from self.ready(me, peer)

    def ready(self, me: int, gp: G) -> Step:
        """Queue gp, and hand the first of the queue to an idle processor."""
        self.outside += 1
        yield from self.lock.acquire(me)
        self.outside -= 1
        self.queue.append(gp)
        if not self.idle:
            self.lock.release()
            return
        other = self.idle.pop()
        self.handed[other] = self.queue.popleft()
        self.lock.release()
        self.wake(other, self.costs.wakecall + self.costs.wakelatency)
        yield self.costs.wakecall

    def syscall(self, me: int, gp: G) -> Step:
        """The permit goes, with a queued goroutine, to another thread of this CPU, which
        runs when ours has come back, found no permit and gone to sleep."""
        costs = self.costs
        while True:
            self.outside += 1
            yield from self.lock.acquire(me)
            next = self.queue.popleft() if self.queue else None
            self.outside += next is not None
            self.lock.release()
            if next is None:
                break
            yield costs.wakecall / 2 + SYSCALL  # no other CPU has to be interrupted
            yield from self.lock.acquire(me)
            self.outside -= 1
            self.queue.append(gp)
            self.lock.release()
            yield costs.osswitch
            self.outside -= 1
            gp = next
            yield from self.slice(me, gp)
        yield SYSCALL
        yield from self.lock.acquire(me)
        self.lock.release()
        self.outside -= 1
        yield from self.ready(me, gp)


MODELS: dict[str, Callable[[str, int, Costs, int], Sim]] = {"gmp": GMP, "gm": GM}


def simulate(
    scheduler: str, workload: str, n: int, costs: Costs, until: float, seed: int = 1
) -> Sim:
    sim = MODELS[scheduler](workload, n, costs, seed)
    sim.run(until)
    return sim


def report(costs: Costs, until: float, seed: int) -> str:
    rows = []
    for n in PROCESSORS:
        row = [str(n)]
        for workload in WORKLOADS:
            p, m = (simulate(s, workload, n, costs, until, seed) for s in SCHEDULERS)
            row += [f"{p.throughput():.2f}", f"{m.throughput():.2f}"]
            row += [f"{p.throughput() / m.throughput():.1f}x" if m.runs else "-"]
            row += [f"{m.lock.contended / max(1, m.lock.taken):.0%}"]
        rows.append(row)
    head = ["processors"]
    for workload in WORKLOADS:
        head += [f"{workload}: G-M-P", "G-M", "ratio", "contended"]
    return markdown(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="run load/costs.c instead")
    parser.add_argument("--ms", type=float, default=2, help="simulated time")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.measure:
        import build

        subprocess.run([build.c_program("costs")], check=True)
        return
    for name, costs in (
        ("wake-ups as measured here", HERE),
        ("wake-ups as without a hypervisor (assumed)", BARE),
        ("the same, and an ideal queue lock", dataclasses.replace(BARE, waiters=0)),
    ):
        table = report(costs, args.ms * 1e6, args.seed)
        print(f"Slices of work in a microsecond; {name}\n\n{table}\n")


if __name__ == "__main__":
    main()
