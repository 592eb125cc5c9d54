"""Small programs that are known from Go.

sieve: the prime sieve, a chain of goroutines, each behind an unbuffered channel and each
for one prime; until the 500th comes out. asyncio has `Queue(maxsize=1)` for the channels.
ring: 10,000 goroutines in a ring, an unbuffered channel between each two, and a token that
goes round; per hop. The ring is built, and the token was round once, before the clock starts.
fib: fib(22) with a goroutine for every call, which starts two more and waits for both of
their results: 57,312 goroutines. fib-2: the same on 2 procs, and its speed-up over 1.
fib-threads: what two plain threads gain where each drives recursive coroutines of one
function by hand; no goroutines, and so a limit for fib-2.
Of what is in these programs still waiting at the end, the system disposes.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
from time import perf_counter_ns
from typing import Any

from harness import Main, Metrics, Row, Run, Scale, Workload, per_operation

PRIMES = 500
PRIME = 3571
"""the 500th"""
MEMBERS = 10_000
FIB = 22
RESULT = 17_711
WARM_UP = 12
PAIRS = 3


def measure_sieve(run: Run, main: Main, scale: Scale) -> Metrics:
    run(main, PRIMES // 10)
    prime, took = run(main, PRIMES)
    assert prime == PRIME, prime
    return {"sieve": took / 1e6}


SIEVE = Workload(
    "sieve", (Row("sieve", f"prime sieve to the {PRIMES}th", "ms"),), measure_sieve, in_go=True
)
RING = per_operation("ring", f"token ring of {MEMBERS:,}, per hop")


def timed_fib(run: Run, main: Main, procs: int) -> int:
    result, took = run(main, FIB, procs=procs)
    assert result == RESULT, result
    return int(took)


def measure_fib(run: Run, main: Main, scale: Scale) -> Metrics:
    run(main, WARM_UP)
    return {"fib": timed_fib(run, main, 1) / 1e6}


def measure_fib_2(run: Run, main: Main, scale: Scale) -> Metrics:
    run(main, WARM_UP, procs=2)
    pairs = [(timed_fib(run, main, 1), timed_fib(run, main, 2)) for _ in range(PAIRS)]
    return {
        "fib-2": statistics.median(two for _, two in pairs) / 1e6,
        "speedup": statistics.median(one / two for one, two in pairs),
    }


FIB_1 = Workload(
    "fib", (Row("fib", f"fork-join fib({FIB}), 1 proc", "ms"),), measure_fib, in_go=True
)
FIB_2 = Workload(
    "fib-2",
    (
        Row("fib-2", f"fork-join fib({FIB}), 2 procs", "ms"),
        Row("speedup", f"fork-join fib({FIB}), 1 to 2 procs", "times", ratio=False),
    ),
    measure_fib_2,
    in_go=True,
    free_threaded=True,
)


def measure_threads(run: Run, main: Main, scale: Scale) -> Metrics:
    pairs = [(run(main, 1), run(main, 2)) for _ in range(2 * PAIRS)]
    return {"fib-threads": statistics.median(one / two for one, two in pairs)}


FIB_THREADS = Workload(
    "fib-threads",
    (Row("fib-threads", "recursive coroutines, 1 to 2 threads", "times"),),
    measure_threads,
    free_threaded=True,
)


@FIB_THREADS.variant("plain")
def plain_threads(threads: int) -> int:
    async def fib(n: int) -> int:
        return n if n < 2 else await fib(n - 1) + await fib(n - 2)

    def drive(times: int) -> None:
        for _ in range(times):
            try:
                fib(FIB - 4).send(None)
            except StopIteration:
                pass

    started = [threading.Thread(target=drive, args=(8 // threads,)) for _ in range(threads)]
    start = perf_counter_ns()
    for t in started:
        t.start()
    for t in started:
        t.join()
    return perf_counter_ns() - start


# ---- sieve: its numbers end at the 500th prime, so that everybody counts as far


@SIEVE.variant("gort")
async def gort_sieve(primes: int) -> tuple[int, int]:
    import gort

    async def count(out: Any) -> None:
        for i in range(2, PRIME + 1):
            await out.send(i)

    async def sift(source: Any, out: Any, prime: int) -> None:
        while True:
            i = await source.recv()
            if i % prime:
                await out.send(i)

    start = perf_counter_ns()
    source = gort.chan()
    gort.go(count, source)
    for _ in range(primes):
        prime = await source.recv()
        out = gort.chan()
        gort.go(sift, source, out, prime)
        source = out
    return prime, perf_counter_ns() - start


@SIEVE.variant("asyncio", "uvloop")
async def asyncio_sieve(primes: int) -> tuple[int, int]:
    async def count(out: asyncio.Queue[int]) -> None:
        for i in range(2, PRIME + 1):
            await out.put(i)

    async def sift(source: asyncio.Queue[int], out: asyncio.Queue[int], prime: int) -> None:
        while True:
            i = await source.get()
            if i % prime:
                await out.put(i)

    start = perf_counter_ns()
    source: asyncio.Queue[int] = asyncio.Queue(1)
    tasks = [asyncio.create_task(count(source))]
    for _ in range(primes):
        prime = await source.get()
        out: asyncio.Queue[int] = asyncio.Queue(1)
        tasks.append(asyncio.create_task(sift(source, out, prime)))
        source = out
    return prime, perf_counter_ns() - start


@SIEVE.variant("trio")
async def trio_sieve(primes: int) -> tuple[int, int]:
    import trio

    async def count(out: trio.MemorySendChannel[int]) -> None:
        for i in range(2, PRIME + 1):
            await out.send(i)

    async def sift(
        source: trio.MemoryReceiveChannel[int], out: trio.MemorySendChannel[int], prime: int
    ) -> None:
        while True:
            i = await source.receive()
            if i % prime:
                await out.send(i)

    async with trio.open_nursery() as nursery:
        start = perf_counter_ns()
        send, source = trio.open_memory_channel[int](0)
        nursery.start_soon(count, send)
        for _ in range(primes):
            prime = await source.receive()
            send, receive = trio.open_memory_channel[int](0)
            nursery.start_soon(sift, source, send, prime)
            source = receive
        took = perf_counter_ns() - start
        nursery.cancel_scope.cancel()
    return prime, took


@SIEVE.variant("gevent")
def gevent_sieve(primes: int) -> tuple[int, int]:
    import gevent
    from gevent.queue import Channel

    def count(out: Channel) -> None:
        for i in range(2, PRIME + 1):
            out.put(i)

    def sift(source: Channel, out: Channel, prime: int) -> None:
        while True:
            i = source.get()
            if i % prime:
                out.put(i)

    start = perf_counter_ns()
    source = Channel()
    greenlets = [gevent.spawn(count, source)]
    for _ in range(primes):
        prime = source.get()
        out = Channel()
        greenlets.append(gevent.spawn(sift, source, out, prime))
        source = out
    took = perf_counter_ns() - start
    gevent.killall(greenlets)
    return prime, took


@SIEVE.variant("runloom")
def runloom_sieve(primes: int) -> tuple[int, int]:
    import runloom

    def count(out: runloom.Chan) -> None:
        for i in range(2, PRIME + 1):
            if over:
                break
            out.send(i)
        out.close()

    def sift(source: runloom.Chan, out: runloom.Chan, prime: int) -> None:
        while True:
            i, ok = source.recv()
            if not ok:
                out.close()
                return
            if i % prime:
                out.send(i)

    over = False
    start = perf_counter_ns()
    source = runloom.Chan()
    runloom.fiber(count, source)
    for _ in range(primes):
        prime, _ok = source.recv()
        out = runloom.Chan()
        runloom.fiber(sift, source, out, prime)
        source = out
    took = perf_counter_ns() - start
    over = True
    while source.recv()[1]:  # run() returns when all fibers have
        pass
    return prime, took


# ---- ring


@RING.variant("gort")
async def gort_ring(n: int) -> int:
    import gort

    done = gort.chan()

    async def member(source: Any, out: Any) -> None:
        while True:
            left = await source.recv()
            if left == 0:
                await done.send(None)
            else:
                await out.send(left - 1)

    links = [gort.chan() for _ in range(MEMBERS)]
    for i in range(MEMBERS):
        gort.go(member, links[i - 1], links[i])
    for hops in (MEMBERS, n):
        start = perf_counter_ns()
        await links[0].send(hops)
        await done.recv()
    return perf_counter_ns() - start


@RING.variant("asyncio", "uvloop")
async def asyncio_ring(n: int) -> int:
    done: asyncio.Queue[None] = asyncio.Queue(1)

    async def member(source: asyncio.Queue[int], out: asyncio.Queue[int]) -> None:
        while True:
            left = await source.get()
            if left == 0:
                await done.put(None)
            else:
                await out.put(left - 1)

    links: list[asyncio.Queue[int]] = [asyncio.Queue(1) for _ in range(MEMBERS)]
    tasks = [asyncio.create_task(member(links[i - 1], links[i])) for i in range(MEMBERS)]
    for hops in (MEMBERS, n):
        start = perf_counter_ns()
        await links[0].put(hops)
        await done.get()
    took = perf_counter_ns() - start
    for task in tasks:
        task.cancel()
    return took


@RING.variant("trio")
async def trio_ring(n: int) -> int:
    import trio

    done_send, done_receive = trio.open_memory_channel[None](0)

    async def member(
        source: trio.MemoryReceiveChannel[int], out: trio.MemorySendChannel[int]
    ) -> None:
        while True:
            left = await source.receive()
            if left == 0:
                await done_send.send(None)
            else:
                await out.send(left - 1)

    async with trio.open_nursery() as nursery:
        links = [trio.open_memory_channel[int](0) for _ in range(MEMBERS)]
        for i in range(MEMBERS):
            nursery.start_soon(member, links[i - 1][1], links[i][0])
        for hops in (MEMBERS, n):
            start = perf_counter_ns()
            await links[0][0].send(hops)
            await done_receive.receive()
        took = perf_counter_ns() - start
        nursery.cancel_scope.cancel()
    return took


@RING.variant("gevent")
def gevent_ring(n: int) -> int:
    import gevent
    from gevent.queue import Channel

    done = Channel()

    def member(source: Channel, out: Channel) -> None:
        while True:
            left = source.get()
            if left == 0:
                done.put(None)
            else:
                out.put(left - 1)

    links = [Channel() for _ in range(MEMBERS)]
    greenlets = [gevent.spawn(member, links[i - 1], links[i]) for i in range(MEMBERS)]
    for hops in (MEMBERS, n):
        start = perf_counter_ns()
        links[0].put(hops)
        done.get()
    took = perf_counter_ns() - start
    gevent.killall(greenlets)
    return took


@RING.variant("runloom")
def runloom_ring(n: int) -> int:
    import runloom

    done = runloom.Chan()

    def member(source: runloom.Chan, out: runloom.Chan) -> None:
        while True:
            left, ok = source.recv()
            if not ok:
                return
            if left == 0:
                done.send(None)
            else:
                out.send(left - 1)

    links = [runloom.Chan() for _ in range(MEMBERS)]
    for i in range(MEMBERS):
        runloom.fiber(member, links[i - 1], links[i])
    for hops in (MEMBERS, n):
        start = perf_counter_ns()
        links[0].send(hops)
        done.recv()
    took = perf_counter_ns() - start
    for link in links:
        link.close()
    return took


# ---- fork-join


@FIB_1.variant("gort")
@FIB_2.variant("gort")
async def gort_fib(n: int) -> tuple[int, int]:
    import gort

    async def fib(n: int) -> int:
        if n < 2:
            return n
        a, b = gort.go(fib, n - 1), gort.go(fib, n - 2)
        return int(await a + await b)

    start = perf_counter_ns()
    return await fib(n), perf_counter_ns() - start


@FIB_1.variant("asyncio", "uvloop")
async def asyncio_fib(n: int) -> tuple[int, int]:
    async def fib(n: int) -> int:
        if n < 2:
            return n
        a, b = asyncio.create_task(fib(n - 1)), asyncio.create_task(fib(n - 2))
        return await a + await b

    start = perf_counter_ns()
    return await fib(n), perf_counter_ns() - start


@FIB_1.variant("trio")
async def trio_fib(n: int) -> tuple[int, int]:
    import trio

    async def fib(n: int, results: list[int]) -> None:
        if n < 2:
            results.append(n)
            return
        both: list[int] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fib, n - 1, both)
            nursery.start_soon(fib, n - 2, both)
        results.append(sum(both))

    start = perf_counter_ns()
    results: list[int] = []
    await fib(n, results)
    return results[0], perf_counter_ns() - start


@FIB_1.variant("gevent")
def gevent_fib(n: int) -> tuple[int, int]:
    import gevent

    def fib(n: int) -> int:
        if n < 2:
            return n
        a, b = gevent.spawn(fib, n - 1), gevent.spawn(fib, n - 2)
        return int(a.get() + b.get())

    start = perf_counter_ns()
    return fib(n), perf_counter_ns() - start


@FIB_1.variant("runloom")
@FIB_2.variant("runloom")
def runloom_fib(n: int) -> tuple[int, int]:
    import runloom

    def fib(n: int, result: runloom.Chan) -> None:
        if n < 2:
            result.send(n)
            return
        both = runloom.Chan(2)
        runloom.fiber(fib, n - 1, both)
        runloom.fiber(fib, n - 2, both)
        result.send(both.recv()[0] + both.recv()[0])

    start = perf_counter_ns()
    result = runloom.Chan(1)
    fib(n, result)
    return result.recv()[0], perf_counter_ns() - start
