"""Async generators: iterated, closed, and closed when dropped."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator

import pytest

import gort


async def numbers(n: int, log: list[str]) -> AsyncIterator[int]:
    try:
        for i in range(n):
            await gort.gosched()
            yield i
    finally:
        await gort.gosched()
        log.append("closed")


def test_iterate(procs: int) -> None:
    log: list[str] = []

    async def main() -> list[int]:
        return [v async for v in numbers(5, log)]

    assert gort.run(main, procs=procs) == list(range(5))
    assert log == ["closed"]


def test_aclose(procs: int) -> None:
    log: list[str] = []

    async def main() -> None:
        it = numbers(5, log)
        assert await anext(it) == 0
        await it.aclose()  # type: ignore[attr-defined]
        assert log == ["closed"]

    gort.run(main, procs=procs)


def test_dropped_one_is_closed(procs: int) -> None:
    log: list[str] = []

    async def child() -> None:
        async for v in numbers(5, log):
            if v == 2:
                break

    async def main() -> None:
        await gort.go(child)
        gc.collect()
        for _ in range(4000):
            if log:
                break
            await gort.sleep(0.001)
        assert log == ["closed"]
        while gort.num_goroutine() > 1:
            await gort.sleep(0.001)

    gort.run(main, procs=procs)


def test_many_dropped(procs: int) -> None:
    log: list[str] = []

    async def child() -> None:
        it = numbers(3, log)
        await anext(it)

    async def main() -> None:
        for g in [gort.go(child) for _ in range(50)]:
            await g
        gc.collect()
        for _ in range(2000):
            if len(log) == 50:
                break
            await gort.sleep(0.001)
        assert len(log) == 50

    gort.run(main, procs=procs)


def test_cancel_inside(procs: int) -> None:
    log: list[str] = []

    async def forever() -> AsyncIterator[int]:
        try:
            yield 1
            await gort.chan().recv()
        finally:
            log.append("finally")

    async def child() -> None:
        async for _ in forever():
            pass

    async def main() -> None:
        g = gort.go(child)
        while g.status != "waiting":
            await gort.gosched()
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g

    gort.run(main, procs=procs)
    assert log == ["finally"]


COLLECTED = """
import gc, gort
gc.set_threshold(1)
async def numbers():
    for i in range(3):
        yield i
async def child():
    it = numbers()
    box = [it]
    box.append(box)
    await anext(it)
async def main():
    for _ in range(4000):
        await gort.go(child)
for procs in (1, 2):
    gort.run(main, procs=procs)
"""


def test_collected_inside_the_runtime() -> None:
    """A collection inside the runtime, under its locks, finds a dropped generator."""
    import os
    import subprocess
    import sys
    from pathlib import Path

    env = {**os.environ, "PYTHONPATH": str(Path(gort.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", COLLECTED], env=env, timeout=40)
    assert done.returncode == 0


def test_hooks_are_put_back() -> None:
    import sys

    async def main() -> None:
        await gort.gosched()

    before = sys.get_asyncgen_hooks()
    gort.run(main)
    assert sys.get_asyncgen_hooks() == before


def test_asyncio_still_works_after() -> None:
    import asyncio

    log: list[str] = []

    async def agen() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            log.append("closed")

    async def asyncio_main() -> None:
        async for _ in agen():
            break

    async def main() -> None:
        await gort.gosched()

    gort.run(main)
    asyncio.run(asyncio_main())
    assert log == ["closed"]
