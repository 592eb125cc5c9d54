"""Async generators: iterated, closed, and closed when dropped."""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import gort
from gort.runtime import asyncgen


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


kept: list[AsyncIterator[int]] = []


def test_suspended_ones_are_closed_at_the_end(procs: int) -> None:
    """Their cleanup may await; also of those that nobody drops."""
    log: list[str] = []

    async def child(it: AsyncIterator[int]) -> None:
        await anext(it)

    async def main() -> None:
        for _ in range(3):
            it = numbers(5, log)
            kept.append(it)
            await gort.go(child, it)
        async for _ in numbers(5, log):
            return

    try:
        gort.run(main, procs=procs)
        assert log == ["closed"] * 4
    finally:
        kept.clear()


def test_one_that_refuses_to_close() -> None:
    """It is tried once."""

    async def stubborn() -> AsyncIterator[int]:
        while True:
            try:
                yield 1
            except GeneratorExit:
                pass

    async def main() -> None:
        it = stubborn()
        kept.append(it)
        await anext(it)

    try:
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            gort.run(main)
    finally:
        kept.clear()


def test_one_that_dies_without_a_runtime_warns() -> None:
    """If its cleanup awaits; what does not is run."""
    log: list[str] = []

    async def awaits() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await gort.sleep(0)
            log.append("closed")

    async def plain() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            log.append("plain")

    def begin(it: Any) -> None:
        with pytest.raises(StopIteration):
            it.asend(None).send(None)

    old = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(*asyncgen.hooks())
    try:
        begin(plain())
        gc.collect()
        assert log == ["plain"]
        with pytest.warns(RuntimeWarning, match="awaits.*died suspended when no gort runtime"):
            begin(awaits())
            gc.collect()
    finally:
        sys.set_asyncgen_hooks(*old)
    assert log == ["plain"]
