"""What a goroutine is called and how it ended, seen from outside: name, set_name,
exception, and the filter of logging."""

from __future__ import annotations

import gc
import logging
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import gort


async def worker(c: gort.Chan[Any]) -> int:
    return await c.recv()


def plain() -> int:
    return 1


async def fail() -> None:
    raise ValueError("lost")


def test_default_names() -> None:
    async def main() -> list[str]:
        c = gort.chan(1)
        gs = [gort.go(worker, c), gort.go(plain), gort.go(fail), gort.go(c.send, 7)]
        gs += [gort.go(partial(worker, c)), gort.go(len, "ab")]
        before = [g.name for g in gs]
        await gs[0]
        await gs[1]
        with pytest.raises(ValueError, match="lost"):
            await gs[2]
        await gs[3]
        c.send_nowait(1)
        await gs[4]
        await gs[5]
        after = [g.name for g in gs]
        assert before[:4] == after[:4]
        assert before[5] == after[5]
        return after

    names = gort.run(main, procs=1)
    assert names == ["worker", "plain", "fail", "Chan.send", "worker", "len"]


def test_set_name_shows_everywhere() -> None:
    async def named(c: gort.Chan[None]) -> None:
        gort.set_name('fetcher "a"')
        await c.recv()

    async def main() -> None:
        c: gort.Chan[None] = gort.chan()
        g = gort.go(named, c)
        while g.status != "waiting":
            await gort.gosched()
        assert g.name == 'fetcher "a"'
        assert 'fetcher "a"' in repr(g)
        assert f'goroutine {g.id} [chan receive, "fetcher \\"a\\""]:' in gort.stack(all=True)
        (info,) = (i for i in gort.goroutines() if i.id == g.id)
        assert info.name == 'fetcher "a"'
        c.send_nowait(None)
        await g
        assert g.name == 'fetcher "a"'
        assert gort.current().name == "test_set_name_shows_everywhere.<locals>.main"

    gort.run(main)


def test_a_name_ends_with_its_goroutine() -> None:
    """The record of one that was named is not the next one's, nor is the name kept."""

    async def named() -> None:
        gort.set_name("old")

    async def main() -> None:
        for _ in range(50):
            g = gort.go(named)
            await g
            del g
            g2 = gort.go(plain)
            assert g2.name == "plain"
            await g2
            del g2

    gort.run(main, procs=1)
    gc.collect()
    from gort.runtime import gmp

    assert len(gmp.names) <= 1


def test_set_name_wrong() -> None:
    with pytest.raises(RuntimeError, match="not in a goroutine"):
        gort.set_name("x")

    async def main() -> None:
        with pytest.raises(TypeError, match="wants a str, not int"):
            gort.set_name(5)  # type: ignore[arg-type]

    gort.run(main)


def test_exception(procs: int) -> None:
    async def main() -> None:
        c: gort.Chan[int] = gort.chan()
        g = gort.go(worker, c)
        with pytest.raises(RuntimeError, match="has not ended"):
            g.exception()
        await c.send(1)
        assert await g == 1
        assert g.exception() is None
        f = gort.go(fail)
        while not f.done():
            await gort.gosched()
        exc = f.exception()
        assert type(exc) is ValueError
        assert f.exception() is exc
        with pytest.raises(ValueError, match="lost"):
            await f
        k = gort.go(worker, c)
        k.cancel()
        with pytest.raises(gort.Cancelled):
            await k
        assert type(k.exception()) is gort.Cancelled
        e = gort.go(gort.goexit)
        await e
        assert e.exception() is None

    gort.run(main, procs=procs)


def test_exception_is_retrieved() -> None:
    """It is no panic any more when the handle goes; from any thread."""

    async def main() -> None:
        g = gort.go(fail)
        while not g.done():
            await gort.gosched()
        with ThreadPoolExecutor(1) as pool:
            assert type(pool.submit(g.exception).result()) is ValueError
        ref = weakref.ref(g)
        del g, pool
        gc.collect()
        assert ref() is None
        await gort.sleep(0.001)

    gort.run(main)


def test_exception_does_not_grow() -> None:
    async def main() -> None:
        g = gort.go(fail)
        while not g.done():
            await gort.gosched()
        for _ in range(50):
            with pytest.raises(ValueError, match="lost"):
                raise g.exception()
        n = 0
        tb = g.exception().__traceback__
        while tb is not None:
            n += 1
            tb = tb.tb_next
        assert n < 5

    gort.run(main)


def test_goroutine_filter() -> None:
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keep()
    handler.addFilter(gort.logging.GoroutineFilter())
    log = logging.getLogger("gort.test_names")
    log.propagate = False
    log.addHandler(handler)
    try:

        async def speak() -> int:
            gort.set_name("speaker")
            log.warning("a")
            return gort.current().id

        async def main() -> int:
            log.warning("b")
            return await gort.go(speak)

        id = gort.run(main)
        log.warning("c")
    finally:
        log.removeHandler(handler)
    text = [f"{r.goroutine} {r.goroutineName} {r.getMessage()}" for r in records]  # type: ignore[attr-defined]
    main_name = "test_goroutine_filter.<locals>.main"
    assert text == [f"1 {main_name} b", f"{id} speaker a", "0  c"]
