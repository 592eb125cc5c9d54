"""One measurement of bench/gm.py, in a process of its own:
`gm_work.py WORKLOAD PROCS SECONDS LOOK`. Prints one line of JSON.

With LOOK 1 each goroutine notes on which thread it goes on after each await, and from
which thread each value came; those times are not for comparison.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from threading import get_ident

import gort
from gort.runtime.boot import schedstats
from harness import enough

BATCH = 500
PAIRS = 8
WORKERS = 8
CALLERS = 8
NAP = 0.0002


class Trail:
    """Where one goroutine ran, and where what it received came from."""

    def __init__(self) -> None:
        self.here = get_ident()
        self.resumes = self.moves = self.receipts = self.crossings = 0

    def resume(self) -> None:
        now = get_ident()
        self.resumes += 1
        self.moves += now != self.here
        self.here = now

    def receive(self, sender: int) -> None:
        self.receipts += 1
        self.crossings += sender != get_ident()


class Trails:
    """Those of all goroutines; none unless they are looked for."""

    def __init__(self, look: bool) -> None:
        self.look = look
        self.all: list[Trail] = []

    def new(self) -> Trail | None:
        if not self.look:
            return None
        trail = Trail()
        self.all.append(trail)
        return trail

    def share(self, part: str, whole: str) -> float:
        n = sum(getattr(trail, whole) for trail in self.all)
        return sum(getattr(trail, part) for trail in self.all) / n if n else 0.0


Main = Callable[[int, Trails], Awaitable[None]]
"""main(n, trails): n operations."""


async def spawn(n: int, trails: Trails) -> None:
    """A goroutine that does nothing, started and awaited; 500 at a time."""

    async def child(creator: int) -> None:
        if trail := trails.new():
            trail.receive(creator)

    for at in range(0, n, BATCH):
        gs = [gort.go(child, get_ident()) for _ in range(min(BATCH, n - at))]
        for g in gs:
            await g


async def pairs_of(n: int, trails: Trails, pairs: int) -> None:
    async def pong(a: gort.Chan, b: gort.Chan) -> None:
        trail = trails.new()
        async for v in a:
            if trail:
                trail.resume()
                trail.receive(v)
            await b.send(get_ident() if trail else v)
            if trail:
                trail.resume()

    async def ping(a: gort.Chan, b: gort.Chan, n: int) -> None:
        trail = trails.new()
        for i in range(n):
            await a.send(get_ident() if trail else i)
            if trail:
                trail.resume()
            v = await b.recv()
            if trail:
                trail.resume()
                trail.receive(v)
        a.close()

    gs = []
    for _ in range(pairs):
        a, b = gort.chan(), gort.chan()
        gs += [gort.go(pong, a, b), gort.go(ping, a, b, max(1, n // pairs))]
    for g in gs:
        await g


async def pingpong(n: int, trails: Trails) -> None:
    """A round trip over two unbuffered channels; one pair."""
    await pairs_of(n, trails, 1)


async def pingpongs(n: int, trails: Trails) -> None:
    """The same; 8 pairs at once."""
    await pairs_of(n, trails, PAIRS)


async def fan(n: int, trails: Trails) -> None:
    """A value from one producer through one of 8 workers to one collector."""
    jobs, results = gort.chan(), gort.chan()

    async def work() -> None:
        trail = trails.new()
        async for v in jobs:
            if trail:
                trail.resume()
                trail.receive(v)
            await results.send(v)
            if trail:
                trail.resume()

    async def produce() -> None:
        for i in range(n):
            await jobs.send(get_ident() if trails.look else i)
        jobs.close()

    gs = [gort.go(work) for _ in range(WORKERS)]
    gort.go(produce)
    for _ in range(n):
        await results.recv()
    for g in gs:
        await g


async def calls(n: int, trails: Trails, fn: Callable[[], object]) -> None:
    async def call(n: int) -> None:
        trail = trails.new()
        for _ in range(n):
            await gort.syscall(fn)
            if trail:
                trail.resume()

    for g in [gort.go(call, max(1, n // CALLERS)) for _ in range(CALLERS)]:
        await g


async def syscall(n: int, trails: Trails) -> None:
    """A system call that returns at once (getppid); 8 callers."""
    await calls(n, trails, os.getppid)


async def blocking(n: int, trails: Trails) -> None:
    """A call that blocks for 0.2 ms; 8 callers."""
    await calls(n, trails, lambda: time.sleep(NAP))


WORKLOADS: dict[str, Main] = {
    main.__name__: main for main in (spawn, pingpong, pingpongs, fan, syscall, blocking)
}

COUNTERS = ("lock_taken", "lock_contended", "lock_wait_ns")


async def timed(main: Main, n: int, look: bool) -> dict[str, float]:
    trails = Trails(look)
    before, usage = schedstats(), resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter_ns()
    await main(n, trails)
    ns = time.perf_counter_ns() - start
    after, used = schedstats(), resource.getrusage(resource.RUSAGE_SELF)
    found = {name: (after[name] - before[name]) / n for name in COUNTERS}
    return {
        **found,
        "ns": ns / n,
        "moved": trails.share("moves", "resumes"),
        "crossed": trails.share("crossings", "receipts"),
        "sleeps": (used.ru_nvcsw - usage.ru_nvcsw) / n,
        "threads": after["threads"],
        "gm": after["gm"],
    }


def measure(name: str, procs: int, seconds: float, look: bool) -> dict[str, float]:
    main = WORKLOADS[name]

    def once(n: int) -> dict[str, float]:
        found: dict[str, float] = gort.run(timed, main, n, look, procs=procs)
        return found

    return once(enough(lambda n: int(once(n)["ns"] * n), seconds))


if __name__ == "__main__":
    name, procs, seconds, look = sys.argv[1:]
    print(json.dumps(measure(name, int(procs), float(seconds), look == "1")))
