"""A short blocking call, os.stat of a file that is there; per call. plain is the call alone.

syscall-over: what gort.syscall takes more than the call alone. Both in one process and in
turn, a batch each, the median of the differences: from one process to the next the kernel's
part of the call differs by more than what is to be measured.
"""

from __future__ import annotations

import asyncio
import os
from statistics import median
from time import perf_counter_ns

from harness import Main, Metrics, Row, Run, Scale, Workload, per_operation

BATCH = 200

SYSCALL = per_operation("syscall", "blocking call: os.stat")


def measure_over(run: Run, main: Main, scale: Scale) -> Metrics:
    return {"syscall-over": run(main, scale.seconds)}


SYSCALL_OVER = Workload(
    "syscall-over",
    (Row("syscall-over", "blocking call: os.stat, less the bare call", "ns"),),
    measure_over,
)


@SYSCALL_OVER.variant("gort")
async def gort_over(seconds: float) -> float:
    import gort

    over = []
    end = perf_counter_ns() + seconds * 1e9
    while (start := perf_counter_ns()) < end:
        for _ in range(BATCH):
            await gort.syscall(os.stat, __file__)
        between = perf_counter_ns()
        for _ in range(BATCH):
            os.stat(__file__)
        over.append(between - start - (perf_counter_ns() - between))
    return median(over) / BATCH


@SYSCALL.variant("gort")
async def gort_syscall(n: int) -> int:
    import gort

    start = perf_counter_ns()
    for _ in range(n):
        await gort.syscall(os.stat, __file__)
    return perf_counter_ns() - start


@SYSCALL.variant("asyncio", "uvloop")
async def asyncio_syscall(n: int) -> int:
    start = perf_counter_ns()
    for _ in range(n):
        await asyncio.to_thread(os.stat, __file__)
    return perf_counter_ns() - start


@SYSCALL.variant("trio")
async def trio_syscall(n: int) -> int:
    import trio

    start = perf_counter_ns()
    for _ in range(n):
        await trio.to_thread.run_sync(os.stat, __file__)
    return perf_counter_ns() - start


@SYSCALL.variant("gevent")
def gevent_syscall(n: int) -> int:
    import gevent

    pool = gevent.get_hub().threadpool
    start = perf_counter_ns()
    for _ in range(n):
        pool.apply(os.stat, (__file__,))
    return perf_counter_ns() - start


@SYSCALL.variant("runloom")
def runloom_syscall(n: int) -> int:
    import runloom

    start = perf_counter_ns()
    for _ in range(n):
        runloom.blocking(os.stat, __file__)
    return perf_counter_ns() - start


@SYSCALL.variant("plain")
def plain_syscall(n: int) -> int:
    start = perf_counter_ns()
    for _ in range(n):
        os.stat(__file__)
    return perf_counter_ns() - start
