"""Memory of a parked goroutine: start many that wait at one gate, and see by how much the
resident set has grown once all of them wait; bytes a goroutine. The gate is a channel that
is closed at the end (gort, runloom, Go) or an event.

memory-million: the same with a million, for those that may have so many."""

from __future__ import annotations

import asyncio
import gc
import re
from pathlib import Path

from harness import Main, Metrics, Row, Run, Scale, Workload

WARM_UP = 1000
CROWD = 1_000_000
POLL = 0.01


def measure_memory(run: Run, main: Main, scale: Scale) -> Metrics:
    run(main, WARM_UP)
    gc.collect()
    return {"memory": run(main, scale.parked) / scale.parked}


MEMORY = Workload(
    "memory", (Row("memory", "parked goroutine", "bytes"),), measure_memory, in_go=True
)


def measure_million(run: Run, main: Main, scale: Scale) -> Metrics:
    run(main, WARM_UP)
    gc.collect()
    return {"memory-million": run(main, CROWD) / CROWD}


MILLION = Workload(
    "memory-million",
    (Row("memory-million", "parked goroutine, of a million", "bytes"),),
    measure_million,
    in_go=True,
)


def resident() -> int:
    """Bytes, exact (statm's figure lags behind by some pages a CPU)."""
    found = re.search(
        r"^Rss:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE
    )
    assert found
    return int(found[1]) * 1024


@MEMORY.variant("gort")
@MILLION.variant("gort")
async def gort_parked(n: int) -> int:
    import gort

    gate = gort.chan()
    waiting = 0

    async def wait() -> None:
        nonlocal waiting
        waiting += 1
        await gate.recv_ok()

    before = resident()
    for _ in range(n):
        gort.go(wait)
    while waiting < n:
        await gort.sleep(POLL)
    grown = resident() - before
    gate.close()
    return grown


@MEMORY.variant("asyncio", "uvloop")
async def asyncio_parked(n: int) -> int:
    gate = asyncio.Event()
    waiting = 0

    async def wait() -> None:
        nonlocal waiting
        waiting += 1
        await gate.wait()

    before = resident()
    for _ in range(n):
        asyncio.create_task(wait())  # first the loop holds it, then the event
    while waiting < n:
        await asyncio.sleep(POLL)
    grown = resident() - before
    gate.set()
    return grown


@MEMORY.variant("trio")
async def trio_parked(n: int) -> int:
    import trio

    gate = trio.Event()
    waiting = 0

    async def wait() -> None:
        nonlocal waiting
        waiting += 1
        await gate.wait()

    async with trio.open_nursery() as nursery:
        before = resident()
        for _ in range(n):
            nursery.start_soon(wait)
        while waiting < n:
            await trio.sleep(POLL)
        grown = resident() - before
        gate.set()
    return grown


@MEMORY.variant("gevent")
def gevent_parked(n: int) -> int:
    import gevent
    from gevent.event import Event

    gate = Event()
    waiting = 0

    def wait() -> None:
        nonlocal waiting
        waiting += 1
        gate.wait()

    before = resident()
    for _ in range(n):
        gevent.spawn(wait)
    while waiting < n:
        gevent.sleep(POLL)
    grown = resident() - before
    gate.set()
    return grown


@MEMORY.variant("runloom")
def runloom_parked(n: int) -> int:
    import runloom

    # Each stack is two mappings, of which the kernel allows 65,530 (vm.max_map_count).
    some = min(n, 20_000)
    gate = runloom.Chan()
    waiting = 0

    def wait() -> None:
        nonlocal waiting
        waiting += 1
        gate.recv()

    before = resident()
    for _ in range(some):
        runloom.fiber(wait)
    while waiting < some:
        runloom.sleep(POLL)
    grown = resident() - before
    gate.close()
    return grown * n // some
