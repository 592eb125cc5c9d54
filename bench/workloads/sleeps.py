"""Many concurrent sleeps: all asleep at once, they wake spread over one second, in an order
that is not the one in which they went to sleep. CPU time of it all, spawning included."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from harness import Main, Metrics, Row, Run, Scale, Workload

ASLEEP = 1.0
SPREAD = 1.0
STRIDE = 7919
"""a prime that does not divide n, so that i * STRIDE % n visits every one of n once"""


def measure_sleeps(run: Run, main: Main, scale: Scale) -> Metrics:
    start = time.process_time()
    run(main, scale.sleepers)
    used = time.process_time() - start
    return {"sleeps": used / scale.sleepers * 1e6}


SLEEPS = Workload(
    "sleeps",
    (Row("sleeps", "concurrent sleeps: CPU each", "us"),),
    measure_sleeps,
    in_go=True,
)


def delays(n: int) -> Iterator[float]:
    for i in range(n):
        yield ASLEEP + SPREAD * (i * STRIDE % n) / n


@SLEEPS.variant("gort")
async def gort_sleeps(n: int) -> None:
    import gort

    async def sleeper(seconds: float) -> None:
        await gort.sleep(seconds)

    for g in [gort.go(sleeper, seconds) for seconds in delays(n)]:
        await g


@SLEEPS.variant("asyncio", "uvloop")
async def asyncio_sleeps(n: int) -> None:
    await asyncio.gather(*map(asyncio.sleep, delays(n)))


@SLEEPS.variant("trio")
async def trio_sleeps(n: int) -> None:
    import trio

    async with trio.open_nursery() as nursery:
        for seconds in delays(n):
            nursery.start_soon(trio.sleep, seconds)


@SLEEPS.variant("gevent")
def gevent_sleeps(n: int) -> None:
    import gevent

    gevent.joinall([gevent.spawn(gevent.sleep, seconds) for seconds in delays(n)])


@SLEEPS.variant("runloom")
def runloom_sleeps(n: int) -> None:
    import runloom

    for seconds in delays(n):
        runloom.fiber(runloom.sleep, seconds)  # run() returns when all have finished
