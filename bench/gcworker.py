"""What the GC worker does to wake latency: `gcworker.py [--seconds S] [--rounds N]`.

A goroutine sleeps 1 ms again and again and records how late it wakes, while others make
cyclic garbage, and some of what they make lives on for a while. Each load runs in
processes of its own, with the GC worker and with CPython's automatic collection
(GODEBUG=gcworker=0) in turn; printed are medians over the rounds, in microseconds.

bursts: eight goroutines that work about half of the time.
busy: two goroutines that never wait.
bursts-big: bursts, beside a heap of 600,000 live containers.
requests: no sleeper and no other load; a request comes over a channel every 5 ms, and what
counts is how long it takes to be answered.
requests-big: requests, beside that heap.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Load = Callable[[float], Awaitable[int]]


class Node:
    """Cyclic garbage: refers to itself."""

    def __init__(self) -> None:
        self.me = self
        self.data = [self]


recent: collections.deque[Node] = collections.deque(maxlen=5000)
heap: list[Any] = []


def work(n: int) -> None:
    """A request: n cycles, of which every tenth lives on for a while."""
    for i in range(n):
        node = Node()
        if i % 10 == 0:
            recent.append(node)


async def burst(until: float) -> int:
    import gort

    done = 0
    while time.monotonic() < until:
        work(100)
        done += 100
        await gort.sleep(0.0008)
    return done


async def spin(until: float) -> int:
    import gort

    done = 0
    while time.monotonic() < until:
        work(20)
        done += 20
        await gort.gosched()
    return done


LOADS: dict[str, tuple[int, Load, int]] = {
    "bursts": (8, burst, 0),
    "busy": (2, spin, 0),
    "bursts-big": (8, burst, 600_000),
    "requests": (0, burst, 0),
    "requests-big": (0, burst, 600_000),
}


async def sleeps(until: float, late: list[float]) -> int:
    import gort

    while time.monotonic() < until:
        start = time.perf_counter_ns()
        await gort.sleep(0.001)
        late.append((time.perf_counter_ns() - start) / 1000 - 1000)
    return 0


async def requests(until: float, late: list[float]) -> int:
    import gort

    calls = gort.chan()
    answers = gort.chan()

    async def server() -> None:
        async for n in calls:
            work(n)
            await answers.send(n)

    gort.go(server)
    done = 0
    while time.monotonic() < until:
        await gort.sleep(0.005)
        start = time.perf_counter_ns()
        await calls.send(500)
        done += await answers.recv()
        late.append((time.perf_counter_ns() - start) / 1000)
    calls.close()
    return done


async def measure(name: str, seconds: float) -> dict[str, float]:
    import gort
    from gort.runtime.gcwork import gcstats

    count, load, live = LOADS[name]
    heap.extend([[i] for i in range(live)])
    await gort.sleep(0.5)  # until that is old
    until = time.monotonic() + seconds
    loads = [gort.go(load, until) for _ in range(count)]
    late: list[float] = []
    done = await (sleeps if count else requests)(until, late)
    for g in loads:
        done += await g
    late.sort()
    return {
        "p50": late[len(late) // 2],
        "p99": late[len(late) * 99 // 100],
        "p99.9": late[len(late) * 999 // 1000],
        "max": late[-1],
        "cycles/s": done / seconds,
        **{k: float(v) for k, v in gcstats().items() if k != "ns"},
        "gc ms": gcstats()["ns"] / 1e6,
    }


def child(name: str, seconds: float, procs: int) -> None:
    import gort

    print(json.dumps(gort.run(measure, name, seconds, procs=procs)))


def once(name: str, seconds: float, procs: int, worker: bool) -> dict[str, float]:
    env = {**os.environ, "GODEBUG": f"gcworker={int(worker)}"}
    command = [sys.executable, __file__, "--child", name]
    command += ["--seconds", str(seconds), "--procs", str(procs)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--procs", type=int, default=1)
    parser.add_argument("--load", choices=sorted(LOADS), action="append")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    opts = parser.parse_args()
    if opts.child:
        child(opts.child, opts.seconds, opts.procs)
        return
    for name in opts.load or LOADS:
        got: dict[bool, list[dict[str, float]]] = {False: [], True: []}
        for i in range(2 * opts.rounds):
            worker = i % 2 == 1
            got[worker].append(once(name, opts.seconds, opts.procs, worker))
        for worker, runs in got.items():
            row = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
            words = "worker   " if worker else "automatic"
            print(f"{name:10} {words}", *(f"{k} {v:.0f}" for k, v in row.items()), flush=True)


if __name__ == "__main__":
    main()
