"""A short blocking call, os.stat of a file that is there; per call. plain is the call alone."""

from __future__ import annotations

import asyncio
import os
from time import perf_counter_ns

from harness import per_operation

SYSCALL = per_operation("syscall", "blocking call: os.stat")


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
