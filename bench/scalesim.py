"""How the cost of an operation grows with the processors, 1 to 128: by the simulator of
gort.testing, which runs the scheduler's own source and not a model of it.

    GORT_PURE=1 PYTHONPATH=src python bench/scalesim.py [--only NAMES] [--most P]

Every processor has a virtual thread, and each thread in turn makes one step: an atomic
operation, a lock or unlock, a look at the clock. So this machine has a CPU for each processor,
all steps cost the same, and user code costs nothing: the least that there can be between two
operations, and so the most that processors can be in each other's way. What it does not know:
caches, and what a futex costs.

    steps     of all processors, an operation
    time      steps of one processor between one operation and the next, all processors
              together: halved by twice the processors where they do not disturb each other
    speed-up  of that, over 1 processor
    steal     steps an operation in looking for work elsewhere
    lock      steps an operation at sched.lock; of those in waiting for it
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gort
from gort.testing import simulate

PROCESSORS = (1, 2, 4, 8, 16, 32, 64, 128)
FEW, MANY = 32, 96
STEALING = ("stealwork", "runqsteal", "runqgrab", "checkrunqsnop", "resetspinning")


class Fair:
    """A strategy: each thread that can run makes a step, in turn."""

    def __init__(self) -> None:
        self.rng = random.Random(1)
        self.jitter = 0.0
        self.naps = 0.0
        self.last = 0
        self.picks = self.turns = 0

    def pick(self, ready: Sequence[Any], current: Any) -> Any:
        self.picks += current is not None
        for t in ready:
            if t.id > self.last:
                break
        else:
            t = ready[0]
            self.turns += 1
        self.last = t.id
        return t

    def yielded(self, t: Any) -> None:
        pass


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of a whole run."""

    steps: int
    time: int
    by_function: Counter[str]


# ---- the programs: each makes its number of operations for every processor


async def ready(procs: int, n: int) -> None:
    """Two chains for each processor: each goroutine spawns the next one and ends."""
    done = gort.sync.WaitGroup()
    done.add(2 * procs)

    async def link(left: int) -> None:
        if left:
            gort.go(link, left - 1)
        else:
            done.done()

    for _ in range(2 * procs):
        gort.go(link, n // 2)
    await done.wait()


async def pairs(procs: int, n: int) -> None:
    """A pair for each processor plays ping-pong."""

    async def answer(ping: Any, pong: Any) -> None:
        for _ in range(n):
            await pong.send(await ping.recv())

    async def play(ping: Any, pong: Any) -> None:
        for _ in range(n):
            await ping.send(None)
            await pong.recv()

    ends = [(gort.chan(), gort.chan()) for _ in range(procs)]
    for g in [gort.go(fn, *pair) for pair in ends for fn in (answer, play)]:
        await g


async def one_pair(procs: int, n: int) -> None:
    """One pair, whatever the processors: what the others cost it as they look for work."""
    await pairs(1, n)


async def one_channel(procs: int, n: int) -> None:
    """A producer and a consumer for each processor, all on one channel of 16."""
    ch = gort.chan(16)

    async def produce() -> None:
        for _ in range(n):
            await ch.send(None)

    async def consume() -> None:
        for _ in range(n):
            await ch.recv()

    for g in [gort.go(fn) for _ in range(procs) for fn in (produce, consume)]:
        await g


async def fan_out(procs: int, n: int) -> None:
    """One goroutine spawns all the work, which the others have to steal."""
    done = gort.sync.WaitGroup()
    done.add(procs * n)

    async def nothing() -> None:
        await gort.gosched()
        done.done()

    for _ in range(procs * n):
        gort.go(nothing)
    await done.wait()


PROGRAMS: dict[str, Callable[[int, int], Awaitable[None]]] = {
    "ready": ready,
    "pairs": pairs,
    "one_pair": one_pair,
    "one_channel": one_channel,
    "fan_out": fan_out,
}


# ---- measuring


def cost(name: str, procs: int, n: int) -> Cost:
    fair = Fair()
    found: Counter[str] = Counter()

    def begin(run: Any) -> None:
        run.engine.trace = Functions(found)

    run = simulate(
        PROGRAMS[name],
        procs,
        n,
        strategy=fair,
        procs=procs,
        maxsteps=100_000_000,
        every=1 << 40,
        keep=1,
        detail=True,
        begin=begin,
    )
    # Where one thread alone can run, nothing is picked.
    return Cost(run.steps, fair.turns + run.steps - fair.picks, found)


class Functions(list[Any]):
    """A trace that counts the steps of each function, and keeps none."""

    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self.found = found

    def append(self, step: Any) -> None:
        self.found[step[2].split()[-1].partition(":")[0]] += 1


def row(name: str, procs: int) -> dict[str, float]:
    """Of an operation: of many less those of few, so that the start and the end go out."""
    few, many = cost(name, procs, FEW), cost(name, procs, MANY)
    own = 1 if name == "one_pair" else procs
    operations = own * (MANY - FEW)
    functions = Counter(many.by_function)
    functions.subtract(few.by_function)
    steal = sum(steps for name, steps in functions.items() if name in STEALING)
    return {
        "steps": (many.steps - few.steps) / operations,
        "time": (many.time - few.time) / operations,
        "steal": steal / operations,
        "functions": functions,  # type: ignore[dict-item]
        "operations": operations,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PROGRAMS), metavar="NAMES")
    parser.add_argument("--most", type=int, default=PROCESSORS[-1], metavar="P")
    parser.add_argument("--functions", action="store_true", help="the steps of each function")
    args = parser.parse_args()
    for name in args.only.split(","):
        print(f"| {name}: processors | steps | time | speed-up | steal |")
        print("| ---: | ---: | ---: | ---: | ---: |")
        first = 0.0
        for procs in PROCESSORS:
            if procs > args.most:
                break
            found = row(name, procs)
            first = first or found["time"]
            speedup = first / found["time"]
            print(
                f"| {procs} | {found['steps']:.1f} | {found['time']:.2f} "
                f"| {speedup:.2f} | {found['steal']:.1f} |",
                flush=True,
            )
            if args.functions:
                for function, steps in found["functions"].most_common(12):
                    print(f"    {function:24} {steps / found['operations']:8.2f}")
        print()


if __name__ == "__main__":
    main()
