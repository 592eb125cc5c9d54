"""An idle program: one goroutine parked on a channel that nobody sends to, main asleep. CPU
time, in microseconds for each second that passes."""

from __future__ import annotations

import asyncio
import time

from harness import Main, Metrics, Row, Run, Scale, Workload

SETTLE = 0.2


def measure_idle(run: Run, main: Main, scale: Scale) -> Metrics:
    used: float = run(main, scale.idle_seconds)
    return {"idle": used / scale.idle_seconds * 1e6}


IDLE = Workload(
    "idle", (Row("idle", "idle: CPU a second", "us", ratio=False),), measure_idle, in_go=True
)


@IDLE.variant("gort")
async def gort_idle(seconds: float) -> float:
    import gort

    gate = gort.chan()

    async def wait() -> None:
        await gate.recv_ok()

    gort.go(wait)
    await gort.sleep(SETTLE)
    start = time.process_time()
    await gort.sleep(seconds)
    used = time.process_time() - start
    gate.close()
    return used


@IDLE.variant("asyncio", "uvloop")
async def asyncio_idle(seconds: float) -> float:
    gate = asyncio.Event()
    waiter = asyncio.create_task(gate.wait())
    await asyncio.sleep(SETTLE)
    start = time.process_time()
    await asyncio.sleep(seconds)
    used = time.process_time() - start
    gate.set()
    await waiter
    return used


@IDLE.variant("trio")
async def trio_idle(seconds: float) -> float:
    import trio

    gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.wait)
        await trio.sleep(SETTLE)
        start = time.process_time()
        await trio.sleep(seconds)
        used = time.process_time() - start
        gate.set()
    return used


@IDLE.variant("gevent")
def gevent_idle(seconds: float) -> float:
    import gevent
    from gevent.event import Event

    gate = Event()
    waiter = gevent.spawn(gate.wait)
    gevent.sleep(SETTLE)
    start = time.process_time()
    gevent.sleep(seconds)
    used = time.process_time() - start
    gate.set()
    waiter.join()
    return used


@IDLE.variant("runloom")
def runloom_idle(seconds: float) -> float:
    import runloom

    gate = runloom.Chan()
    runloom.fiber(gate.recv)
    runloom.sleep(SETTLE)
    start = time.process_time()
    runloom.sleep(seconds)
    used = time.process_time() - start
    gate.close()
    return used
