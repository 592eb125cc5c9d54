"""How late a sleeper of 1 ms wakes, on one proc, beside a goroutine that does not let go.

late-hog: the other one computes for the whole time and never awaits.
late-sleep: the other one calls time.sleep(1) again and again, with a nap of 1 ms in between.
It stands for any call that blocks its thread and that no library has made asynchronous:
nothing is monkey-patched, and in Go it is the system call nanosleep.

runloom runs with its time slices on (`preempt_init`). plain is a thread beside a thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from time import perf_counter

from harness import Main, Metrics, Row, Run, Scale, Workload

NAP = 0.001
BLOCK = 1.0


def measure_lateness(run: Run, main: Main, scale: Scale) -> Metrics:
    late: list[float] = sorted(run(main, scale.late_seconds))
    return {
        "p99": late[len(late) * 99 // 100] * 1e3,
        "max": late[-1] * 1e3,
        "naps": float(len(late)),
    }


def rows(beside: str) -> tuple[Row, ...]:
    return (
        Row("p99", f"1 ms sleeper beside {beside}: late, p99", "ms"),
        Row("max", f"1 ms sleeper beside {beside}: late, max", "ms"),
    )


HOG = Workload("late-hog", rows("a hog"), measure_lateness, in_go=True)
BLOCKER = Workload("late-sleep", rows("time.sleep(1)"), measure_lateness, in_go=True)


def compute_until(end: float) -> int:
    total = 0
    while perf_counter() < end:
        for i in range(1000):
            total += i
    return total


# ---- gort


async def gort_sleeper(end: float) -> list[float]:
    import gort

    late = []
    while (start := perf_counter()) < end:
        await gort.sleep(NAP)
        late.append(perf_counter() - start - NAP)
    return late


async def gort_hog(end: float) -> None:
    compute_until(end)


async def gort_blocker(end: float) -> None:
    import gort

    while perf_counter() < end:
        time.sleep(BLOCK)
        await gort.sleep(NAP)


async def gort_beside(other: Main, seconds: float) -> list[float]:
    import gort

    end = perf_counter() + seconds
    sleeper = gort.go(gort_sleeper, end)
    gort.go(other, end)
    late: list[float] = await sleeper
    return late


@HOG.variant("gort")
async def gort_beside_hog(seconds: float) -> list[float]:
    return await gort_beside(gort_hog, seconds)


@BLOCKER.variant("gort")
async def gort_beside_blocker(seconds: float) -> list[float]:
    return await gort_beside(gort_blocker, seconds)


# ---- asyncio


async def asyncio_sleeper(end: float) -> list[float]:
    late = []
    while (start := perf_counter()) < end:
        await asyncio.sleep(NAP)
        late.append(perf_counter() - start - NAP)
    return late


async def asyncio_hog(end: float) -> None:
    compute_until(end)


async def asyncio_blocker(end: float) -> None:
    while perf_counter() < end:
        time.sleep(BLOCK)
        await asyncio.sleep(NAP)


async def asyncio_beside(other: Main, seconds: float) -> list[float]:
    end = perf_counter() + seconds
    late, _ = await asyncio.gather(asyncio_sleeper(end), other(end))
    return late


@HOG.variant("asyncio", "uvloop")
async def asyncio_beside_hog(seconds: float) -> list[float]:
    return await asyncio_beside(asyncio_hog, seconds)


@BLOCKER.variant("asyncio", "uvloop")
async def asyncio_beside_blocker(seconds: float) -> list[float]:
    return await asyncio_beside(asyncio_blocker, seconds)


# ---- trio


async def trio_sleeper(end: float, late: list[float]) -> None:
    import trio

    while (start := perf_counter()) < end:
        await trio.sleep(NAP)
        late.append(perf_counter() - start - NAP)


async def trio_hog(end: float) -> None:
    import trio

    await trio.lowlevel.checkpoint()  # trio starts tasks in random order: sleeper first
    compute_until(end)


async def trio_blocker(end: float) -> None:
    import trio

    while perf_counter() < end:
        await trio.sleep(NAP)
        time.sleep(BLOCK)


async def trio_beside(other: Main, seconds: float) -> list[float]:
    import trio

    end = perf_counter() + seconds
    late: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio_sleeper, end, late)
        nursery.start_soon(other, end)
    return late


@HOG.variant("trio")
async def trio_beside_hog(seconds: float) -> list[float]:
    return await trio_beside(trio_hog, seconds)


@BLOCKER.variant("trio")
async def trio_beside_blocker(seconds: float) -> list[float]:
    return await trio_beside(trio_blocker, seconds)


# ---- gevent


def gevent_sleeper(end: float) -> list[float]:
    import gevent

    late = []
    while (start := perf_counter()) < end:
        gevent.sleep(NAP)
        late.append(perf_counter() - start - NAP)
    return late


def gevent_blocker(end: float) -> None:
    import gevent

    while perf_counter() < end:
        time.sleep(BLOCK)
        gevent.sleep(NAP)


def gevent_beside(other: Main, seconds: float) -> list[float]:
    import gevent

    end = perf_counter() + seconds
    sleeper = gevent.spawn(gevent_sleeper, end)
    gevent.spawn(other, end)
    late: list[float] = sleeper.get()
    return late


@HOG.variant("gevent")
def gevent_beside_hog(seconds: float) -> list[float]:
    return gevent_beside(compute_until, seconds)


@BLOCKER.variant("gevent")
def gevent_beside_blocker(seconds: float) -> list[float]:
    return gevent_beside(gevent_blocker, seconds)


# ---- runloom


def runloom_sleeper(end: float) -> list[float]:
    import runloom

    late = []
    while (start := perf_counter()) < end:
        runloom.sleep(NAP)
        late.append(perf_counter() - start - NAP)
    return late


def runloom_blocker(end: float) -> None:
    import runloom

    while perf_counter() < end:
        time.sleep(BLOCK)
        runloom.sleep(NAP)


def runloom_beside(other: Main, seconds: float) -> list[float]:
    import runloom

    result = runloom.Chan(1)
    end = perf_counter() + seconds
    runloom.preempt_init()
    runloom.fiber(lambda: result.send(runloom_sleeper(end)))
    runloom.fiber(other, end)
    late: list[float] = result.recv()[0]
    runloom.preempt_fini()
    return late


@HOG.variant("runloom")
def runloom_beside_hog(seconds: float) -> list[float]:
    return runloom_beside(compute_until, seconds)


@BLOCKER.variant("runloom")
def runloom_beside_blocker(seconds: float) -> list[float]:
    return runloom_beside(runloom_blocker, seconds)


# ---- threads


def plain_sleeper(end: float) -> list[float]:
    late = []
    while (start := perf_counter()) < end:
        time.sleep(NAP)
        late.append(perf_counter() - start - NAP)
    return late


def plain_blocker(end: float) -> None:
    while perf_counter() < end:
        time.sleep(BLOCK)


def plain_beside(other: Main, seconds: float) -> list[float]:
    end = perf_counter() + seconds
    thread = threading.Thread(target=other, args=(end,))
    thread.start()
    late = plain_sleeper(end)
    thread.join()
    return late


@HOG.variant("plain")
def plain_beside_hog(seconds: float) -> list[float]:
    return plain_beside(compute_until, seconds)


@BLOCKER.variant("plain")
def plain_beside_blocker(seconds: float) -> list[float]:
    return plain_beside(plain_blocker, seconds)
