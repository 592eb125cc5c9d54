"""How the cost of an operation grows with the number of what there is: goroutines, channels,
timers, files.

    python bench/scale.py [--python PATH ...] [--only NAMES] [--most N]

Each point is a fresh process on one proc, and the least of its repetitions, in nanoseconds
(memory: bytes). What grows with the number is either the algorithm or the end of a cache;
scalesim.py does the same for processors.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter_ns, process_time_ns
from typing import Any

REPETITIONS = 3
OPERATIONS = 200_000
SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
FILES = (10, 100, 1_000, 10_000)
TIMEOUT = 300

Timed = tuple[int, int]
"""nanoseconds, and of how many operations"""


# ---- what is measured, each with `size` of something


async def yields(size: int) -> Timed:
    """Goroutines that yield in turn; per yield."""
    import gort

    rounds = max(1, OPERATIONS // size)
    started = gort.sync.WaitGroup()
    gate = gort.chan()

    async def turns() -> None:
        started.done()
        await gate.recv_ok()
        for _ in range(rounds):
            await gort.gosched()

    started.add(size)
    all_of_them = [gort.go(turns) for _ in range(size)]
    await started.wait()
    await gort.gosched()
    start = perf_counter_ns()
    gate.close()
    for g in all_of_them:
        await g
    return perf_counter_ns() - start, rounds * size


async def pairs(size: int) -> Timed:
    """Pairs that play ping-pong, each on channels of its own; per round trip."""
    import gort

    trips = max(1, OPERATIONS // size)

    async def play(ping: Any, pong: Any) -> None:
        await ping.recv()
        for _ in range(trips):
            await pong.send(None)
            await ping.recv()

    async def answer(ping: Any, pong: Any) -> None:
        for _ in range(trips):
            await pong.recv()
            await ping.send(None)

    channels = [(gort.chan(), gort.chan()) for _ in range(size // 2)]
    players = [gort.go(play, *pair) for pair in channels]
    players += [gort.go(answer, *pair) for pair in channels]
    await gort.gosched()
    for ping, _ in channels:
        await ping.send(None)
    start = perf_counter_ns()
    for g in players:
        await g
    return perf_counter_ns() - start, trips * (size // 2)


async def parked(size: int) -> Timed:
    """Two that play ping-pong beside many that are parked; per round trip."""
    import gort

    gate = gort.chan()

    async def wait() -> None:
        await gate.recv_ok()

    for _ in range(size):
        gort.go(wait)
    await gort.gosched()
    result = await two()
    gate.close()
    return result


async def two() -> Timed:
    import gort

    ping, pong = gort.chan(), gort.chan()

    async def answer() -> None:
        for _ in range(OPERATIONS):
            await pong.send(await ping.recv())

    answering = gort.go(answer)
    start = perf_counter_ns()
    for _ in range(OPERATIONS):
        await ping.send(None)
        await pong.recv()
    result = perf_counter_ns() - start, OPERATIONS
    await answering
    return result


async def spawns(size: int) -> Timed:
    """As many are spawned at once, and finish; per goroutine."""
    import gort

    async def nothing() -> None:
        pass

    rounds = max(1, OPERATIONS // size)
    start = perf_counter_ns()
    for _ in range(rounds):
        done = [gort.go(nothing) for _ in range(size)]
        for g in done:
            await g
    return perf_counter_ns() - start, rounds * size


async def timers(size: int) -> Timed:
    """A timer is started and stopped among many that wait, due at any time; per timer."""
    import gort

    stride = 7919
    waiting = [gort.time.after_func(3600 + i * stride % size, print) for i in range(size)]
    start = perf_counter_ns()
    for i in range(OPERATIONS):
        gort.time.after_func(3600 + i * stride % size, print).stop()
    result = perf_counter_ns() - start, OPERATIONS
    for timer in waiting:
        timer.stop()
    return result


async def fired(size: int) -> Timed:
    """As many timers as there are sleeps are due at the same time; CPU of a sleep."""
    import gort

    async def sleeper() -> None:
        await gort.sleep(0.5)

    start = process_time_ns()
    for g in [gort.go(sleeper) for _ in range(size)]:
        await g
    return process_time_ns() - start, size


async def selects(size: int) -> Timed:
    """A select over so many channels, of which the last has a value; per case."""
    import gort

    channels = [gort.chan(1) for _ in range(size)]
    rounds = max(1, OPERATIONS // size)
    start = perf_counter_ns()
    for _ in range(rounds):
        await channels[-1].send(None)
        await gort.select(*[ch.recv() for ch in channels])
    return perf_counter_ns() - start, rounds * size


async def files(size: int) -> Timed:
    """A pair of sockets that is active among idle ones, each waited for; per message."""
    import resource
    import socket

    import gort

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle = [socket.socketpair() for _ in range(size // 2)]

    async def wait(end: socket.socket) -> None:
        try:
            await gort.wait_readable(end)
        except OSError:
            pass

    for pair in idle:
        for end in pair:
            end.setblocking(False)
            gort.go(wait, end)
    await gort.gosched()
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    messages = OPERATIONS // 10

    async def answer() -> None:
        for _ in range(messages):
            await gort.wait_readable(far)
            far.send(far.recv(64))

    answering = gort.go(answer)
    start = perf_counter_ns()
    for _ in range(messages):
        near.send(b"message")
        await gort.wait_readable(near)
        near.recv(64)
    result = perf_counter_ns() - start, messages
    await answering
    for pair in [*idle, (near, far)]:
        for end in pair:
            gort.notify_closing(end)
            end.close()
    return result


async def memory(size: int) -> Timed:
    """Bytes of a parked goroutine."""
    import gc

    from workloads.memory import gort_parked

    await gort_parked(1000)
    gc.collect()
    return await gort_parked(size), size


CURVES: dict[str, tuple[Callable[[int], Awaitable[Timed]], Sequence[int]]] = {
    "yields": (yields, SIZES),
    "pairs": (pairs, SIZES),
    "parked": (parked, SIZES),
    "spawns": (spawns, SIZES),
    "memory": (memory, SIZES[3:]),
    "timers": (timers, SIZES),
    "fired": (fired, SIZES[2:]),
    "selects": (selects, SIZES[:4]),
    "files": (files, FILES),
}


def child(name: str, size: int) -> None:
    import gort

    took, operations = gort.run(CURVES[name][0], size, procs=1)
    print(json.dumps(took / operations))


def point(python: str, name: str, size: int, repetitions: int) -> float | str:
    """The least of the repetitions."""
    values = []
    for _ in range(repetitions):
        command = [python, __file__, "--child", name, str(size)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return "slow"
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return "failed"
        values.append(float(json.loads(done.stdout)))
    return min(values)


def curves(python: str, names: Sequence[str], most: int, repetitions: int) -> str:
    sizes = [size for size in sorted({*SIZES, *FILES}) if size <= most]
    lines = ["| | " + " | ".join(f"{size:,}" for size in sizes) + " |"]
    lines.append("| --- |" + " ---: |" * len(sizes))
    for name in names:
        cells = []
        for size in sizes:
            if size not in CURVES[name][1]:
                cells.append("")
                continue
            value = point(python, name, size, repetitions)
            cells.append(value if isinstance(value, str) else f"{value:.0f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# ---- the command line


def names(text: str) -> list[str]:
    """An argparse type: curves, separated by commas."""
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in CURVES]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are: {', '.join(CURVES)}")
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="PATH")
    parser.add_argument("--only", type=names, default=list(CURVES), metavar="NAMES")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, metavar="N")
    parser.add_argument("--most", type=int, default=SIZES[-1], metavar="N")
    parser.add_argument("--child", nargs=2, metavar=("NAME", "N"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], int(args.child[1]))
        return
    for python in args.python:
        print(subprocess.check_output([python, "-VV"], text=True))
        print(curves(python, args.only, args.most, args.repetitions), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
