"""Yield: two goroutines that let each other run, in turn; per yield, all yields counted."""

from __future__ import annotations

import asyncio
from time import perf_counter_ns

from harness import per_operation

YIELD = per_operation("yield", "yield, two in turn")


@YIELD.variant("gort")
async def gort_yield(n: int) -> int:
    import gort

    async def turns() -> None:
        for _ in range(n // 2):
            await gort.gosched()

    start = perf_counter_ns()
    for g in (gort.go(turns), gort.go(turns)):
        await g
    return perf_counter_ns() - start


@YIELD.variant("asyncio", "uvloop")
async def asyncio_yield(n: int) -> int:
    async def turns() -> None:
        for _ in range(n // 2):
            await asyncio.sleep(0)

    start = perf_counter_ns()
    await asyncio.gather(turns(), turns())
    return perf_counter_ns() - start


@YIELD.variant("trio")
async def trio_yield(n: int) -> int:
    import trio

    async def turns() -> None:
        for _ in range(n // 2):
            await trio.lowlevel.checkpoint()

    start = perf_counter_ns()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns)
        nursery.start_soon(turns)
    return perf_counter_ns() - start


@YIELD.variant("gevent")
def gevent_yield(n: int) -> int:
    import gevent

    def turns() -> None:
        for _ in range(n // 2):
            gevent.sleep(0)

    start = perf_counter_ns()
    gevent.joinall([gevent.spawn(turns), gevent.spawn(turns)])
    return perf_counter_ns() - start


@YIELD.variant("runloom")
def runloom_yield(n: int) -> int:
    import runloom

    finished = runloom.Chan(2)

    def turns() -> None:
        for _ in range(n // 2):
            runloom.yield_now()
        finished.send(None)

    start = perf_counter_ns()
    runloom.fiber(turns)
    runloom.fiber(turns)
    finished.recv()
    finished.recv()
    return perf_counter_ns() - start
