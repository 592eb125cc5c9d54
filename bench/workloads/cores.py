"""All cores: the work of one proc, on each of two and on each of as many as there are CPUs. What
a proc does is its own, but for `cores-mpmc` and `cores-service`; so twice the procs can do
twice as much. A row is the throughput on so many procs over that on one.

cores-pairs: ping-pong of four pairs a proc, on two unbuffered channels each.
cores-nowait: send_nowait and recv_nowait on a channel of one's own. Go: select with default.
cores-yield: a goroutine a proc that yields.
cores-spawn: a goroutine a proc that starts 100 and awaits them, again and again.
cores-mpmc: a producer and a consumer a proc, all on one channel of 1024.
cores-service: requests of 20 us, of 16 clients a proc, through one queue of 64 to 8 workers a proc.
cores-late: beside two goroutines a proc that compute, as many procs as CPUs: how late a sleeper
of 1 ms wakes. cores-late-sleep: beside four a proc that call time.sleep(1).

What goroutines share goes to them as arguments: a closure's cell is locked at each read on
3.13t. plain are threads, one for each proc, that compute (cores-pairs) or make and drop coroutines
(cores-spawn): what the interpreter and the machine can give.
"""

from __future__ import annotations

import json
import os
import threading
import time
from time import perf_counter
from typing import Any

from harness import Main, Metrics, Row, Run, Scale, Workload

CPUS = len(os.sched_getaffinity(0))
NAP = 0.001
ROUNDS = 100
TEXT = json.dumps({"user": 7, "items": [{"id": i, "qty": i * 2} for i in range(12)]})


def throughput(name: str, label: str) -> Workload:
    """Its variants take procs and seconds, and return how many operations that were."""

    def measure(run: Run, main: Main, scale: Scale) -> Metrics:
        run(main, 1, scale.seconds / 4)
        rate = {p: run(main, p, scale.seconds, procs=p) / scale.seconds for p in (1, 2, CPUS)}
        return {"one": 1e9 / rate[1], "2": rate[2] / rate[1], "all": rate[CPUS] / rate[1]}

    rows = (
        Row("one", f"{label}, 1 proc", "ns"),
        Row("2", f"{label}, 1 to 2 procs", "times"),
        Row("all", f"{label}, 1 to all procs", "times"),
    )
    return Workload(name, rows, measure, in_go=True, free_threaded=True)


PAIRS = throughput("cores-pairs", "pairs")
NOWAIT = throughput("cores-nowait", "own channel, no wait")
YIELD = throughput("cores-yield", "yields")
SPAWN = throughput("cores-spawn", "spawn 100 and await")
MPMC = throughput("cores-mpmc", "one channel for all")
SERVICE = throughput("cores-service", "service queue")


def measure_late(run: Run, main: Main, scale: Scale) -> Metrics:
    late: list[float] = sorted(run(main, CPUS, scale.late_seconds, procs=CPUS))
    return {"p99": late[len(late) * 99 // 100] * 1e3, "max": late[-1] * 1e3}


def lateness(name: str, beside: str) -> Workload:
    rows = (
        Row("p99", f"all procs, 1 ms sleeper beside {beside}: late, p99", "ms"),
        Row("max", f"all procs, 1 ms sleeper beside {beside}: late, max", "ms"),
    )
    return Workload(name, rows, measure_late, in_go=True)


LATE = lateness("cores-late", "2 hogs a proc")
LATE_SLEEP = lateness("cores-late-sleep", "4 time.sleep(1) a proc")


async def total(n: int, fn: Any, *args: Any) -> int:
    import gort

    return sum([await g for g in [gort.go(fn, *args) for _ in range(n)]])


# ---- gort


async def echo(a: Any, b: Any) -> None:
    async for value in a:
        await b.send(value)


async def play(end: float) -> int:
    import gort

    a, b = gort.chan(), gort.chan()
    gort.go(echo, a, b)
    n = 0
    while perf_counter() < end:
        for _ in range(ROUNDS):
            await a.send(None)
            await b.recv()
        n += ROUNDS
    a.close()
    return n


@PAIRS.variant("gort")
async def gort_pairs(procs: int, seconds: float) -> int:
    return await total(4 * procs, play, perf_counter() + seconds)


async def nowait(end: float) -> int:
    import gort

    ch = gort.chan(1)
    n = 0
    while perf_counter() < end:
        for _ in range(ROUNDS):
            ch.send_nowait(None)
            ch.recv_nowait()
        n += ROUNDS
    return n


@NOWAIT.variant("gort")
async def gort_nowait(procs: int, seconds: float) -> int:
    return await total(procs, nowait, perf_counter() + seconds)


async def yields(end: float) -> int:
    from gort import gosched

    n = 0
    while perf_counter() < end:
        for _ in range(ROUNDS):
            await gosched()
        n += ROUNDS
    return n


@YIELD.variant("gort")
async def gort_yields(procs: int, seconds: float) -> int:
    return await total(procs, yields, perf_counter() + seconds)


async def child() -> None:
    pass


async def spawner(end: float) -> int:
    from gort import go

    n = 0
    while perf_counter() < end:
        for g in [go(child) for _ in range(ROUNDS)]:
            await g
        n += ROUNDS
    return n


@SPAWN.variant("gort")
async def gort_spawn(procs: int, seconds: float) -> int:
    return await total(procs, spawner, perf_counter() + seconds)


async def produce(ch: Any, end: float) -> int:
    n = 0
    while perf_counter() < end:
        for i in range(ROUNDS):
            await ch.send(i)
        n += ROUNDS
    return n


async def consume(ch: Any) -> None:
    async for _ in ch:
        pass


@MPMC.variant("gort")
async def gort_mpmc(procs: int, seconds: float) -> int:
    import gort

    ch = gort.chan(1024)
    consumers = [gort.go(consume, ch) for _ in range(procs)]
    n = await total(procs, produce, ch, perf_counter() + seconds)
    ch.close()
    for g in consumers:
        await g
    return n


def serve(text: str) -> str:
    return json.dumps({"sum": sum(item["qty"] for item in json.loads(text)["items"])})


async def worker(queue: Any) -> None:
    async for text, reply in queue:
        await reply.send(serve(text))


async def client(queue: Any, end: float) -> int:
    import gort

    reply = gort.chan(1)
    n = 0
    while perf_counter() < end:
        await queue.send((TEXT, reply))
        await reply.recv()
        n += 1
    return n


@SERVICE.variant("gort")
async def gort_service(procs: int, seconds: float) -> int:
    import gort

    queue = gort.chan(64)
    workers = [gort.go(worker, queue) for _ in range(8 * procs)]
    n = await total(16 * procs, client, queue, perf_counter() + seconds)
    queue.close()
    for g in workers:
        await g
    return n


async def compute(end: float) -> None:
    while perf_counter() < end:
        loop(1000)


async def block(end: float) -> None:
    while perf_counter() < end:
        time.sleep(1)


async def beside(other: Main, n: int, seconds: float) -> list[float]:
    import gort

    end = perf_counter() + seconds
    others = [gort.go(other, end) for _ in range(n)]
    late = []
    while (start := perf_counter()) < end:
        await gort.sleep(NAP)
        late.append(perf_counter() - start - NAP)
    for g in others:
        await g
    return late


@LATE.variant("gort")
async def gort_late(procs: int, seconds: float) -> list[float]:
    return await beside(compute, 2 * procs, seconds)


@LATE_SLEEP.variant("gort")
async def gort_late_sleep(procs: int, seconds: float) -> list[float]:
    return await beside(block, 4 * procs, seconds)


# ---- threads


def loop(n: int) -> int:
    x = 0
    for i in range(n):
        x += i & 7
    return x


def threads(procs: int, seconds: float, work: Any) -> int:
    """How often `procs` threads call work(), in hundreds."""
    counts = [0] * procs

    def run(k: int, end: float) -> None:
        n = 0
        while perf_counter() < end:
            work()
            n += ROUNDS
        counts[k] = n

    end = perf_counter() + seconds
    started = [threading.Thread(target=run, args=(k, end)) for k in range(procs)]
    for t in started:
        t.start()
    for t in started:
        t.join()
    return sum(counts)


@PAIRS.variant("plain")
def plain_loops(procs: int, seconds: float) -> int:
    return threads(procs, seconds, computes)


def computes() -> None:
    loop(ROUNDS)


@SPAWN.variant("plain")
def plain_coroutines(procs: int, seconds: float) -> int:
    return threads(procs, seconds, coroutines)


def coroutines() -> None:
    for _ in range(ROUNDS):
        try:
            child().send(None)
        except StopIteration:
            pass
