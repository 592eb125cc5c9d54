"""CPU speed-up: one loop, its iterations split over as many goroutines as procs. The time on
1 proc over the time on 2. plain splits them over threads: what the interpreter and the
machine can give."""

from __future__ import annotations

import statistics
import threading
from time import perf_counter_ns

from harness import Main, Metrics, Row, Run, Scale, Workload, enough

PAIRS = 3


def measure_speedup(run: Run, main: Main, scale: Scale) -> Metrics:
    def timed(n: int, procs: int = 1) -> int:
        took: int = run(main, n, procs, procs=procs)
        return took

    n = enough(timed, scale.seconds)
    timed(n, 2)
    return {"speedup": statistics.median(timed(n) / timed(n, 2) for _ in range(PAIRS))}


SPEEDUP = Workload(
    "speedup",
    (Row("speedup", "CPU speed-up, 1 to 2 procs", "times"),),
    measure_speedup,
    in_go=True,
    free_threaded=True,
)


def loop(n: int) -> int:
    total = 0
    for i in range(n):
        total += i & 7
    return total


@SPEEDUP.variant("gort")
async def gort_loops(n: int, procs: int) -> int:
    import gort

    async def part() -> int:
        return loop(n // procs)

    start = perf_counter_ns()
    for g in [gort.go(part) for _ in range(procs)]:
        await g
    return perf_counter_ns() - start


@SPEEDUP.variant("runloom")
def runloom_loops(n: int, procs: int) -> int:
    import runloom

    results = runloom.Chan(procs)
    start = perf_counter_ns()
    for _ in range(procs):
        runloom.fiber(lambda: results.send(loop(n // procs)))
    for _ in range(procs):
        results.recv()
    return perf_counter_ns() - start


@SPEEDUP.variant("plain")
def plain_loops(n: int, procs: int) -> int:
    threads = [threading.Thread(target=loop, args=(n // procs,)) for _ in range(procs)]
    start = perf_counter_ns()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return perf_counter_ns() - start
