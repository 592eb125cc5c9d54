"""A mutex that nobody contends; per lock and unlock.

mutex: by the two calls. mutex-with: by `async with` (or `with`); in Go, a function that
defers the unlock. gevent has a semaphore in the place of a mutex.
"""

from __future__ import annotations

import asyncio
from time import perf_counter_ns

from harness import per_operation

MUTEX = per_operation("mutex", "uncontended mutex: lock and unlock")
MUTEX_WITH = per_operation("mutex-with", "uncontended mutex: async with")


@MUTEX.variant("gort")
async def gort_lock(n: int) -> int:
    import gort

    mu = gort.sync.Mutex()
    start = perf_counter_ns()
    for _ in range(n):
        await mu.lock()
        mu.unlock()
    return perf_counter_ns() - start


@MUTEX_WITH.variant("gort")
async def gort_with(n: int) -> int:
    import gort

    mu = gort.sync.Mutex()
    start = perf_counter_ns()
    for _ in range(n):
        async with mu:
            pass
    return perf_counter_ns() - start


@MUTEX.variant("asyncio", "uvloop")
async def asyncio_lock(n: int) -> int:
    lock = asyncio.Lock()
    start = perf_counter_ns()
    for _ in range(n):
        await lock.acquire()
        lock.release()
    return perf_counter_ns() - start


@MUTEX_WITH.variant("asyncio", "uvloop")
async def asyncio_with(n: int) -> int:
    lock = asyncio.Lock()
    start = perf_counter_ns()
    for _ in range(n):
        async with lock:
            pass
    return perf_counter_ns() - start


@MUTEX.variant("trio")
async def trio_lock(n: int) -> int:
    import trio

    lock = trio.Lock()
    start = perf_counter_ns()
    for _ in range(n):
        await lock.acquire()
        lock.release()
    return perf_counter_ns() - start


@MUTEX_WITH.variant("trio")
async def trio_with(n: int) -> int:
    import trio

    lock = trio.Lock()
    start = perf_counter_ns()
    for _ in range(n):
        async with lock:
            pass
    return perf_counter_ns() - start


@MUTEX.variant("gevent")
def gevent_lock(n: int) -> int:
    from gevent.lock import BoundedSemaphore

    lock = BoundedSemaphore()
    start = perf_counter_ns()
    for _ in range(n):
        lock.acquire()
        lock.release()
    return perf_counter_ns() - start


@MUTEX_WITH.variant("gevent")
def gevent_with(n: int) -> int:
    from gevent.lock import BoundedSemaphore

    lock = BoundedSemaphore()
    start = perf_counter_ns()
    for _ in range(n):
        with lock:
            pass
    return perf_counter_ns() - start


@MUTEX.variant("runloom")
def runloom_lock(n: int) -> int:
    import runloom

    lock = runloom.sync.Lock()
    start = perf_counter_ns()
    for _ in range(n):
        lock.acquire()
        lock.release()
    return perf_counter_ns() - start


@MUTEX_WITH.variant("runloom")
def runloom_with(n: int) -> int:
    import runloom

    lock = runloom.sync.Lock()
    start = perf_counter_ns()
    for _ in range(n):
        with lock:
            pass
    return perf_counter_ns() - start
