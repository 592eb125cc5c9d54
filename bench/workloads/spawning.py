"""Spawning.

spawn: start a batch of goroutines that do nothing, wait until the whole batch has finished,
start the next; per goroutine. Nobody awaits the single goroutine: gort looks at its own
count, trio at its nursery, Go at its WaitGroup; elsewhere the last one of the batch to
finish rings an event.
spawn-await: start one that returns a value and wait for that value; per goroutine. Where
a goroutine has no result to wait for (Go, runloom, trio), it leaves the value in a channel
or a variable.
"""

from __future__ import annotations

import asyncio
from time import perf_counter_ns

from harness import per_operation

BATCH = 1000

SPAWN = per_operation("spawn", f"spawn and finish, batches of {BATCH}")
SPAWN_AWAIT = per_operation("spawn-await", "spawn and await its result")


def batches(n: int) -> list[int]:
    """n as batch sizes."""
    whole, rest = divmod(n, BATCH)
    return [BATCH] * whole + [rest] * (rest > 0)


# ---- spawn and finish


@SPAWN.variant("gort")
async def gort_spawn(n: int) -> int:
    import gort

    async def nothing() -> None:
        pass

    start = perf_counter_ns()
    for size in batches(n):
        for _ in range(size):
            gort.go(nothing)
        while gort.num_goroutine() > 1:
            await gort.gosched()
    return perf_counter_ns() - start


@SPAWN.variant("asyncio", "uvloop")
async def asyncio_spawn(n: int) -> int:
    left = 0

    async def finish() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            finished.set()

    start = perf_counter_ns()
    for left in batches(n):
        finished = asyncio.Event()
        for _ in range(left):
            asyncio.create_task(finish())  # the loop holds it until it has run
        await finished.wait()
    return perf_counter_ns() - start


@SPAWN.variant("trio")
async def trio_spawn(n: int) -> int:
    import trio

    async def nothing() -> None:
        pass

    start = perf_counter_ns()
    for size in batches(n):
        async with trio.open_nursery() as nursery:
            for _ in range(size):
                nursery.start_soon(nothing)
    return perf_counter_ns() - start


@SPAWN.variant("gevent")
def gevent_spawn(n: int) -> int:
    import gevent
    from gevent.event import Event

    left = 0

    def finish() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            finished.set()

    start = perf_counter_ns()
    for left in batches(n):
        finished = Event()
        for _ in range(left):
            gevent.spawn(finish)
        finished.wait()
    return perf_counter_ns() - start


@SPAWN.variant("runloom")
def runloom_spawn(n: int) -> int:
    import runloom

    left = 0
    finished = runloom.Chan(1)

    def finish() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            finished.send(None)

    start = perf_counter_ns()
    for left in batches(n):
        for _ in range(left):
            runloom.fiber(finish)
        finished.recv()
    return perf_counter_ns() - start


# ---- spawn and await


@SPAWN_AWAIT.variant("gort")
async def gort_spawn_await(n: int) -> int:
    import gort

    async def value() -> int:
        return 1

    start = perf_counter_ns()
    for _ in range(n):
        await gort.go(value)
    return perf_counter_ns() - start


@SPAWN_AWAIT.variant("asyncio", "uvloop")
async def asyncio_spawn_await(n: int) -> int:
    async def value() -> int:
        return 1

    start = perf_counter_ns()
    for _ in range(n):
        await asyncio.create_task(value())
    return perf_counter_ns() - start


@SPAWN_AWAIT.variant("trio")
async def trio_spawn_await(n: int) -> int:
    import trio

    result = 0

    async def value() -> None:
        nonlocal result
        result = 1

    start = perf_counter_ns()
    for _ in range(n):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(value)
    return perf_counter_ns() - start


@SPAWN_AWAIT.variant("gevent")
def gevent_spawn_await(n: int) -> int:
    import gevent

    def value() -> int:
        return 1

    start = perf_counter_ns()
    for _ in range(n):
        gevent.spawn(value).get()
    return perf_counter_ns() - start


@SPAWN_AWAIT.variant("runloom")
def runloom_spawn_await(n: int) -> int:
    import runloom

    result = runloom.Chan(1)

    def value() -> None:
        result.send(1)

    start = perf_counter_ns()
    for _ in range(n):
        runloom.fiber(value)
        result.recv()
    return perf_counter_ns() - start
