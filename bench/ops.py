"""Runs operations of gort so that a counter of instructions can tell them apart: `check.py`
and `scale.py` start it under valgrind or perf.

    python ops.py NAME:N ...

runs each name's operations n times, on one proc, and calls os.getpgrp() before the first and
after each: the mark at which valgrind writes down what it has counted since the last one.
Prints a line for each, `ok` or what it raised.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

from workloads import WORKLOADS

MARK = "getpgrp"
MESSAGE = b"m" * 64
SLEEPERS = 500
NAP = 0.001


async def echo(n: int) -> None:
    """n messages go over a socket pair and come back; each side waits for its poller."""
    import gort

    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)

    async def answer() -> None:
        for _ in range(n):
            await gort.wait_readable(far)
            far.send(far.recv(len(MESSAGE)))

    answering = gort.go(answer)
    for _ in range(n):
        near.send(MESSAGE)
        await gort.wait_readable(near)
        near.recv(len(MESSAGE))
    await answering
    for end in (near, far):
        gort.notify_closing(end)
        end.close()


async def timers(n: int) -> None:
    """A timer is started and stopped."""
    import gort

    for _ in range(n):
        gort.time.after_func(3600, print).stop()


async def sleeps(n: int) -> None:
    """As many goroutines sleep at the same time."""
    import gort

    async def sleeper() -> None:
        for _ in range(max(1, n // SLEEPERS)):
            await gort.sleep(NAP)

    for g in [gort.go(sleeper) for _ in range(SLEEPERS)]:
        await g


class Suspended:
    """Awaited, it suspends its coroutine again and again."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __await__(self) -> Iterator[None]:
        return repeat(None, self.n)


async def resumes(n: int) -> None:
    """The interpreter alone: a loop in C that resumes a coroutine, which suspends at once."""

    async def suspended() -> None:
        await Suspended(n)

    deque(suspended().__await__(), maxlen=0)


OPS: dict[str, tuple[Callable[[int], Any], int]] = {
    "pingpong": (WORKLOADS["pingpong"].variants["gort"], 2_000),
    "buffered": (WORKLOADS["buffered"].variants["gort"], 5_000),
    "select": (WORKLOADS["select"].variants["gort"], 2_000),
    "yield": (WORKLOADS["yield"].variants["gort"], 5_000),
    "spawn": (WORKLOADS["spawn"].variants["gort"], 2_000),
    "spawn-await": (WORKLOADS["spawn-await"].variants["gort"], 2_000),
    "mutex": (WORKLOADS["mutex"].variants["gort"], 5_000),
    "mutex-with": (WORKLOADS["mutex-with"].variants["gort"], 5_000),
    "syscall": (WORKLOADS["syscall"].variants["gort"], 2_000),
    "timers": (timers, 2_000),
    "sleeps": (sleeps, 2_000),
    "echo": (echo, 1_000),
    "resumes": (resumes, 5_000),
}
"""what runs n operations, and an n that is enough to count them"""


def main(specs: list[str]) -> None:
    import gort

    gc.freeze()
    os.getpgrp()
    for spec in specs:
        name, _, n = spec.partition(":")
        try:
            gort.run(OPS[name][0], int(n), procs=1)
            print("ok", flush=True)
        except Exception as error:  # an operation that this commit does not have
            print(f"{type(error).__name__}: {error}", flush=True)
        os.getpgrp()


if __name__ == "__main__":
    main(sys.argv[1:])
