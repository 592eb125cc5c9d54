"""gort.timeout and gort.shield: deadlines, nesting, who gets the Cancelled."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

import gort


async def forever() -> None:
    await gort.chan().recv()


async def ops() -> None:
    """Many ops, none of which has to wait for long."""
    while True:
        await gort.gosched()


@pytest.mark.parametrize("fn", [gort.timeout, gort.shield])
def test_bad_seconds(fn: Any) -> None:
    for bad in ("1", [], object()):
        with pytest.raises(TypeError, match="number of seconds"):
            fn(bad)
    with pytest.raises(ValueError, match="NaN"):
        fn(float("nan"))
    with pytest.raises(TypeError):
        fn(1, 2)


def test_timeout_needs_seconds() -> None:
    with pytest.raises(TypeError):
        gort.timeout()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="NoneType"):
        gort.timeout(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("fn", [gort.timeout, gort.shield, lambda _: gort.group()])
def test_outside_a_goroutine(fn: Any) -> None:
    async def use() -> None:
        async with fn(1):
            pass

    with pytest.raises(RuntimeError, match="outside a goroutine"):
        use().send(None)


@pytest.mark.parametrize("fn", [gort.timeout, gort.shield, lambda _: gort.group()])
def test_used_twice(fn: Any) -> None:
    async def main() -> None:
        scope = fn(10)
        async with scope:
            with pytest.raises(RuntimeError, match="used once"):
                async with scope:
                    pass
        with pytest.raises(RuntimeError, match="used once"):
            async with scope:
                pass
        await gort.gosched()

    gort.run(main)


@pytest.mark.parametrize("body", [forever, ops])
def test_timeout(procs: int, body: Any) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError, match="within 0.01 seconds") as info:
            async with gort.timeout(0.01) as t:
                await body()
        assert isinstance(info.value.__cause__, gort.Cancelled)
        assert t.expired()
        await gort.gosched()  # the cancel ended with its scope

    gort.run(main, procs=procs)


def test_in_time(procs: int) -> None:
    async def main() -> None:
        async with gort.timeout(60) as t:
            await gort.sleep(0.001)
        assert not t.expired()
        async with gort.timeout(float("inf")):
            await gort.gosched()

    gort.run(main, procs=procs)


def test_many_in_time(procs: int) -> None:
    """Thousands of stopped timers: none fires later, and none delays the end."""

    async def main() -> None:
        for _ in range(2000):
            async with gort.timeout(3600):
                await gort.gosched()

    gort.run(main, procs=procs)


@pytest.mark.parametrize("seconds", [0, -1, 0.0, float("-inf")])
def test_expired_from_the_start(procs: int, seconds: float) -> None:
    async def main() -> int:
        took = 0
        ch = gort.chan(1)
        with pytest.raises(TimeoutError):
            async with gort.timeout(seconds):
                took += 1
                await ch.send(1)
        assert len(ch) == 0
        async with gort.timeout(seconds):
            took += 1  # no op, no Cancelled, no error
        return took

    assert gort.run(main, procs=procs) == 2


def test_normal_end_in_spite_of_expiry() -> None:
    async def main() -> None:
        async with gort.timeout(0) as t:
            with pytest.raises(gort.Cancelled):
                await gort.gosched()
        assert t.expired()
        await gort.gosched()

    gort.run(main)


def test_other_exception_passes() -> None:
    async def main() -> None:
        with pytest.raises(KeyError):
            async with gort.timeout(0):
                try:
                    await gort.gosched()
                finally:
                    raise KeyError

    gort.run(main)


def test_return_value_and_loop_control() -> None:
    async def value() -> int:
        for i in range(10):
            async with gort.timeout(60):
                if i < 3:
                    continue
                return i
        return -1

    async def main() -> int:
        return await value()

    assert gort.run(main) == 3


def test_inner_expires(procs: int) -> None:
    async def main() -> str:
        async with gort.timeout(60):
            try:
                async with gort.timeout(0.005):
                    await forever()
            except TimeoutError:
                await gort.sleep(0.001)
                return "inner"
        return "none"

    assert gort.run(main, procs=procs) == "inner"


def test_outer_expires(procs: int) -> None:
    """The inner one must not take the outer one's Cancelled for its own."""

    async def main() -> list[str]:
        log = []
        try:
            async with gort.timeout(0.005):
                try:
                    async with gort.timeout(60):
                        await forever()
                except TimeoutError:
                    log.append("wrong")
                except gort.Cancelled:
                    log.append("passed")
                    raise
        except TimeoutError:
            log.append("outer")
        return log

    assert gort.run(main, procs=procs) == ["passed", "outer"]


def test_both_expired() -> None:
    """Both are due: the Cancelled is the outer one's."""

    async def main() -> list[str]:
        log = []
        try:
            async with gort.timeout(0):
                try:
                    async with gort.timeout(0):
                        await forever()
                except BaseException as exc:
                    log.append(type(exc).__name__)
                    raise
        except TimeoutError:
            log.append("outer")
        return log

    assert gort.run(main) == ["Cancelled", "outer"]


def test_own_cancel_goes_on(procs: int) -> None:
    """A cancelled goroutine's Cancelled is nobody's TimeoutError."""

    async def child() -> None:
        async with gort.timeout(0):
            await forever()

    async def main() -> None:
        g = gort.go(child)
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g

    # procs 1: the child has not run before it is cancelled
    gort.run(main, procs=1)


def test_foreign_cancelled_goes_on(procs: int) -> None:
    """Cancelled as another goroutine's result, before the deadline."""

    async def main() -> None:
        g = gort.go(forever)
        g.cancel()
        with pytest.raises(gort.Cancelled):
            async with gort.timeout(60):
                await g
        await gort.gosched()

    gort.run(main, procs=procs)


def test_race_of_expiry_and_completion(procs: int) -> None:
    """Either the value or the time-out; the value is not lost in between."""

    async def sender(ch: gort.Chan, n: int) -> None:
        for i in range(n):
            await gort.sleep(0.0001)
            await ch.send(i)
        ch.close()

    async def main() -> int:
        ch = gort.chan()
        g = gort.go(sender, ch, 300)
        got = []
        late = 0
        while True:
            try:
                async with gort.timeout(0.0001):
                    got.append(await ch.recv())
            except TimeoutError:
                late += 1
            except gort.ChanClosed:
                break
        await g
        assert got == list(range(300))
        await gort.gosched()
        return late

    gort.run(main, procs=procs)


def test_no_reference_is_left() -> None:
    """Neither the timer nor the scope object keeps a goroutine or a frame alive."""

    class Thing:
        pass

    refs = []

    async def child() -> Any:
        thing = Thing()
        refs.append(weakref.ref(thing))
        async with gort.timeout(3600) as t, gort.shield(3600) as s, gort.group() as grp:
            await gort.gosched()
        return t, s, grp

    async def main() -> None:
        g = gort.go(child)
        mine = weakref.ref(g)
        kept = await g
        del g
        for _ in range(100):
            await gort.sleep(0.001)
            if mine() is None and refs[0]() is None:
                break
        assert refs[0]() is None
        assert mine() is None
        assert len(kept) == 3

    gc.disable()
    try:
        gort.run(main, procs=1)
    finally:
        gc.enable()


def test_failure_with_a_scope_in_its_frame_is_a_panic() -> None:
    """The scope that the traceback keeps alive does not keep the goroutine alive."""

    async def child() -> None:
        async with gort.timeout(60) as t, gort.group() as grp:
            assert t is not grp
            await gort.gosched()
        raise KeyError("panic")

    async def main() -> None:
        gort.go(child)
        await forever()

    gc.disable()
    try:
        with pytest.raises(KeyError, match="panic"):
            gort.run(main)
    finally:
        gc.enable()


def test_a_stopped_timer_hides_no_deadlock(procs: int) -> None:
    async def main() -> None:
        async with gort.timeout(3600):
            await gort.sleep(0.001)
        await forever()

    with pytest.raises(gort.DeadlockError):
        gort.run(main, procs=procs)


def test_a_stopped_timer_below_a_live_one_hides_no_deadlock(procs: int) -> None:
    async def main() -> None:
        g = gort.go(gort.sleep, 0.01)
        while g.status != "waiting":
            await gort.gosched()
        async with gort.timeout(3600):
            pass
        await g
        await forever()

    with pytest.raises(gort.DeadlockError):
        gort.run(main, procs=procs)


def test_a_stopped_timer_that_was_polled_for_hides_no_deadlock() -> None:
    """Another M has had the time to go to sleep until the deadline, in epoll, when the
    block is left."""

    async def main() -> None:
        for _ in range(3):
            async with gort.timeout(3600):
                time.sleep(0.02)
        await forever()

    with pytest.raises(gort.DeadlockError):
        gort.run(main, procs=4)


def test_goroutines_started_inside_are_not_cancelled(procs: int) -> None:
    async def child(ch: gort.Chan) -> int:
        return int(await ch.recv())

    async def main() -> int:
        ch = gort.chan()
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.001):
                g = gort.go(child, ch)
                await forever()
        await ch.send(5)
        return await g

    assert gort.run(main, procs=procs) == 5


# shield


def test_shield_in_finally(procs: int) -> None:
    log: list[Any] = []

    async def child(ch: gort.Chan) -> None:
        try:
            await forever()
        finally:
            async with gort.shield():
                await gort.sleep(0.001)
                log.append(await ch.recv())
            log.append("left")
            try:
                await gort.gosched()
            except gort.Cancelled:
                log.append("cancelled")

    async def main() -> None:
        ch = gort.chan()
        g = gort.go(child, ch)
        while g.status != "waiting":
            await gort.gosched()
        g.cancel()
        await ch.send("cleanup")
        with pytest.raises(gort.Cancelled):
            await g

    gort.run(main, procs=procs)
    assert log == ["cleanup", "left", "cancelled"]


def test_cancel_during_shield(procs: int) -> None:
    """A cancel does not wake the shielded wait; it takes effect after the block."""

    async def child(ch: gort.Chan) -> str:
        async with gort.shield():
            got = await ch.recv()
        try:
            await gort.gosched()
        except gort.Cancelled:
            return f"{got}, then cancelled"
        return "not cancelled"

    async def main() -> str:
        ch = gort.chan()
        g = gort.go(child, ch)
        while g.status != "waiting":
            await gort.gosched()
        g.cancel()
        for _ in range(10):
            await gort.gosched()
        assert g.status == "waiting"
        await ch.send("v")
        return await g

    assert gort.run(main, procs=procs) == "v, then cancelled"


def test_shield_grace_ends(procs: int) -> None:
    """Cancelled in the shield, no TimeoutError; the outer cancel then goes on."""
    log = []

    async def child() -> None:
        try:
            await forever()
        finally:
            async with gort.shield(0.005) as s:
                try:
                    await forever()
                except gort.Cancelled:
                    log.append("in the shield")
                    raise
            log.append("not reached")
            assert s

    async def main() -> None:
        g = gort.go(child)
        while g.status != "waiting":
            await gort.gosched()
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g

    gort.run(main, procs=procs)
    assert log == ["in the shield"]


def test_expired_shield_without_an_outer_cancel(procs: int) -> None:
    """Its Cancelled ends with it, as every scope's."""

    async def main() -> bool:
        async with gort.shield(0.001) as s:
            await forever()
        await gort.gosched()
        return s.expired()

    assert gort.run(main, procs=procs) is True


def test_shield_of_zero() -> None:
    async def main() -> None:
        async with gort.shield(0):
            await forever()
        await gort.gosched()

    gort.run(main)


def test_timeout_in_shield_in_timeout(procs: int) -> None:
    async def main() -> list[str]:
        log = []
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.002):
                async with gort.shield():
                    try:
                        async with gort.timeout(0.01):
                            await forever()
                    except TimeoutError:
                        log.append("inner")
                    await gort.sleep(0.001)
                    log.append("after")
                await gort.gosched()
                log.append("not reached")
        return log

    assert gort.run(main, procs=procs) == ["inner", "after"]


def test_async_generator_across_goroutines(procs: int) -> None:
    """A generator that yields inside a scope and is closed elsewhere is told so."""

    async def gen() -> AsyncIterator[int]:
        async with gort.timeout(60):
            yield 1
            yield 2

    async def first(agen: AsyncIterator[int]) -> int:
        return await agen.__anext__()

    async def main() -> None:
        agen = gen()
        assert await gort.go(first, agen) == 1
        with pytest.raises(RuntimeError, match=r"another goroutine.*async generator"):
            await agen.aclose()  # type: ignore[attr-defined]
        await gort.gosched()

    gort.run(main, procs=procs)


def test_async_generator_out_of_order(procs: int) -> None:
    async def gen() -> AsyncIterator[int]:
        async with gort.timeout(60):
            yield 1

    async def main() -> None:
        agen = gen()
        async with gort.timeout(60):
            pass
        outer = gort.timeout(60)
        await outer.__aenter__()
        await agen.__anext__()
        with pytest.raises(RuntimeError, match="out of order"):
            await outer.__aexit__(None, None, None)
        await agen.aclose()  # type: ignore[attr-defined]
        async with gort.timeout(60):
            await gort.gosched()

    gort.run(main, procs=procs)


def test_left_twice() -> None:
    async def main() -> None:
        t = gort.timeout(60)
        await t.__aenter__()
        await t.__aexit__(None, None, None)
        with pytest.raises(RuntimeError):
            await t.__aexit__(None, None, None)

    gort.run(main)
