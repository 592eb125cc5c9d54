"""gort.time: timers with the semantics of Go 1.23. Never "not late", only "not early"."""

from __future__ import annotations

import contextvars
import gc
import math
import threading
import time
import weakref
from typing import Any

import pytest

import gort
from gort.runtime.timers import Timer as Rttimer
from gort.time import Ticker, Timer, after_func

HOUR = 3600.0


async def drained(ch: gort.Chan) -> None:
    with pytest.raises(gort.WouldBlock):
        ch.recv_nowait()


async def fired(*chans: gort.Chan) -> None:
    """Until timers of 1 ms have surely sent, with nobody receiving: a later one has."""
    late = Timer(0.005)
    await late.c.recv()


def test_timer(procs: int) -> None:
    async def main() -> None:
        start = time.monotonic()
        t = Timer(0.01)
        assert isinstance(t.c, gort.Chan)
        when = await t.c.recv()
        assert start + 0.01 <= when <= time.monotonic()
        assert t.stop() is False
        await drained(t.c)

    gort.run(main, procs=procs)


@pytest.mark.parametrize("d", [0, 0.0, -1, -math.inf])
def test_timer_of_no_time(d: float, procs: int) -> None:
    async def main() -> None:
        await Timer(d).c.recv()
        out = gort.chan(1)
        after_func(d, out.send_nowait, 1)
        assert await out.recv() == 1

    gort.run(main, procs=procs)


def test_stop(procs: int) -> None:
    async def main() -> None:
        t = Timer(HOUR)
        assert t.stop() is True
        assert t.stop() is False
        await drained(t.c)

    gort.run(main, procs=procs)


def test_stop_is_true_until_the_time_is_received(procs: int) -> None:
    """The time was sent, and lies there: stop takes it back."""

    async def main() -> None:
        t = Timer(0.001)
        await fired()
        assert t.stop() is True
        await drained(t.c)
        assert t.stop() is False

    gort.run(main, procs=procs)


def test_no_stale_time_after_reset(procs: int) -> None:
    async def main() -> None:
        t = Timer(0.001)
        await fired()
        assert t.reset(HOUR) is True
        await drained(t.c)
        start = time.monotonic()
        assert t.reset(0.01) is True
        assert await t.c.recv() >= start + 0.01
        assert t.reset(0.001) is False
        await t.c.recv()
        assert t.stop() is False

    gort.run(main, procs=procs)


def test_reset_wakes_who_waits(procs: int) -> None:
    async def main() -> None:
        t = Timer(HOUR)
        g = gort.go(t.c.recv)
        while g.status != "waiting":
            await gort.gosched()
        assert t.reset(0.001) is True
        assert isinstance(await g, float)

    gort.run(main, procs=procs)


def test_stop_leaves_who_waits_waiting(procs: int) -> None:
    async def main() -> None:
        t = Timer(0.005)
        g = gort.go(t.c.recv)
        while g.status != "waiting" and not g.done():
            await gort.gosched()
        if t.stop():
            late = Timer(0.01)
            await late.c.recv()
            assert g.status == "waiting"
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g
        else:
            await g

    gort.run(main, procs=procs)


def test_a_timers_channel_is_unbuffered_to_see(procs: int) -> None:
    async def main() -> None:
        t, k = Timer(0.001), Ticker(0.001)
        await fired()
        for ch in (t.c, k.c, gort.after(0), gort.tick(1)):
            assert ch.capacity == 0
            assert len(ch) == 0
        assert isinstance(t.c.recv_nowait(), float)
        k.stop()

    gort.run(main, procs=procs)


def test_select_of_a_timer(procs: int) -> None:
    async def main() -> None:
        t, never = Timer(0.001), Timer(HOUR)
        i, v = await gort.select(never.c.recv(), t.c.recv())
        assert i == 1 and isinstance(v, float)
        i, _ = await gort.select(never.c.recv(), t.c.recv(), default=True)
        assert i == -1
        never.stop()

    gort.run(main, procs=procs)


def test_stop_and_reset_from_many(procs: int) -> None:
    """Whatever the order: after a last stop nothing comes, and each time comes once."""

    async def main() -> None:
        t = Timer(HOUR)

        async def worker(i: int) -> None:
            for k in range(50):
                if (i + k) % 3:
                    t.reset(0.0001 if k % 2 else HOUR)
                else:
                    t.stop()
                await gort.gosched()

        gs = [gort.go(worker, i) for i in range(6)]
        for g in gs:
            await g
        t.stop()
        await drained(t.c)
        await fired()
        await drained(t.c)
        assert t.stop() is False

    gort.run(main, procs=procs)


def test_from_threads(procs: int) -> None:
    async def main() -> None:
        out = gort.chan(1)

        def body() -> None:
            t = Timer(HOUR)
            assert t.stop()
            assert t.reset(0.001) is False
            assert isinstance(gort.wait(t.c.recv()), float)
            f = after_func(HOUR, out.send_nowait, 1)
            f.reset(0.001)
            k = Ticker(0.001)
            gort.wait(k.c.recv())
            k.stop()

        th = threading.Thread(target=body)
        th.start()
        assert await out.recv() == 1
        await gort.syscall(th.join)

    gort.run(main, procs=procs)


# Ticker


def test_ticker(procs: int) -> None:
    async def main() -> None:
        start = time.monotonic()
        k = Ticker(0.002)
        times = [await k.c.recv() for _ in range(5)]
        assert times == sorted(set(times))
        assert times[-1] >= start + 5 * 0.002
        k.stop()
        await drained(k.c)
        await fired()
        await drained(k.c)
        k.stop()

    gort.run(main, procs=procs)


def test_ticker_async_for(procs: int) -> None:
    async def main() -> int:
        n = 0
        async for _ in Ticker(0.001).c:
            n += 1
            if n == 3:
                break
        return n

    assert gort.run(main, procs=procs) == 3


def test_ticker_drops_what_is_late(procs: int) -> None:
    async def main() -> None:
        k = Ticker(0.001)
        await fired()
        await fired()
        k.stop()
        await drained(k.c)

    gort.run(main, procs=procs)


def test_ticker_reset(procs: int) -> None:
    async def main() -> None:
        k = Ticker(0.001)
        await k.c.recv()
        await fired()
        k.reset(HOUR)
        await drained(k.c)
        await fired()
        await drained(k.c)
        k.reset(0.001)
        await k.c.recv()
        await k.c.recv()
        k.stop()
        k.reset(0.001)
        await k.c.recv()
        k.stop()

    gort.run(main, procs=procs)


# after_func


def test_after_func(procs: int) -> None:
    async def main() -> None:
        out = gort.chan(4)

        async def send(x: int, *, plus: int) -> None:
            await out.send(x + plus)

        me = gort.current()
        start = time.monotonic()
        t = after_func(0.005, send, 1, plus=2)
        assert t.c is None
        assert await out.recv() == 3
        assert time.monotonic() >= start + 0.005
        assert t.stop() is False
        assert t.reset(0.001) is False  # and once more
        assert await out.recv() == 3

        def where() -> None:
            out.send_nowait(gort.current() is not me)

        after_func(0.001, where)
        assert await out.recv() is True

    gort.run(main, procs=procs)


def test_after_func_stop(procs: int) -> None:
    async def main() -> None:
        called: list[int] = []
        t = after_func(HOUR, called.append, 1)
        assert t.stop() is True
        assert t.stop() is False
        await fired()
        assert called == []
        assert t.reset(HOUR) is False
        assert t.reset(HOUR) is True
        assert t.stop() is True

    gort.run(main, procs=procs)


def test_after_func_needs_no_handle(procs: int) -> None:
    async def main() -> None:
        out = gort.chan(1)
        after_func(0.002, out.send_nowait, 1)
        gc.collect()
        assert await out.recv() == 1

    gort.run(main, procs=procs)


def test_after_func_sees_the_callers_context_variables(procs: int) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")

    async def main() -> None:
        out = gort.chan(1)

        async def tell() -> None:
            await out.send(var.get())
            var.set("its own")

        var.set("mine")
        t = after_func(0.001, tell)
        assert await out.recv() == "mine"
        t.reset(0.001)
        assert await out.recv() == "mine"
        assert var.get() == "mine"

    gort.run(main, procs=procs)


def test_after_func_that_fails_is_a_panic(procs: int) -> None:
    async def main() -> None:
        def fails() -> None:
            raise KeyError("in a timer")

        after_func(0.001, fails)
        await gort.chan().recv()

    with pytest.raises(KeyError):
        gort.run(main, procs=procs)


def test_after_func_with_wrong_arguments_is_a_panic(procs: int) -> None:
    async def main() -> None:
        async def one(a: int) -> None: ...

        after_func(0.001, one)
        await gort.chan().recv()

    with pytest.raises(TypeError, match="one"):
        gort.run(main, procs=procs)


# Collected


def gone(ref: weakref.ref[Any]) -> bool:
    gc.collect()
    return ref() is None


@pytest.mark.parametrize("make", [lambda: Timer(HOUR), lambda: Ticker(0.001)])
def test_dropped_is_collected(make: Any, procs: int) -> None:
    async def main() -> None:
        t = make()
        refs = [weakref.ref(t), weakref.ref(t.c)]
        del t
        for ref in refs:
            while not gone(ref):
                await gort.sleep(0.001)

    gort.run(main, procs=procs)


def test_the_channel_alone_keeps_it(procs: int) -> None:
    async def main() -> None:
        ch = Timer(0.005).c
        gc.collect()
        assert isinstance(await ch.recv(), float)
        ch = Ticker(0.001).c
        gc.collect()
        await ch.recv()
        await ch.recv()
        await Timer(0.001).c.recv()  # nothing but the op refers to it

    gort.run(main, procs=procs)


def test_dropped_timers_leave_the_heap(procs: int) -> None:
    """An hour's timers that were dropped: at the next one they are off their heap."""

    async def main() -> None:
        for _ in range(3000):
            Timer(HOUR)
        gc.collect()
        Timer(HOUR).stop()
        left = sum(1 for o in gc.get_objects() if isinstance(o, Rttimer))
        assert left < 1000

    gort.run(main, procs=procs)


def test_a_timer_in_the_next_run(procs: int) -> None:
    async def main() -> Timer:
        return Timer(HOUR)

    t = gort.run(main, procs=procs)

    async def again() -> None:
        assert t.reset(0.001) is True
        await t.c.recv()
        assert t.stop() is False

    gort.run(again, procs=procs)
    assert t.stop() is False


# Bad input


@pytest.mark.parametrize("bad", ["1", None, [1], object()])
def test_bad_types(bad: Any) -> None:
    async def main() -> None:
        t, k = Timer(HOUR), Ticker(HOUR)
        for call in (
            lambda: Timer(bad),
            lambda: t.reset(bad),
            lambda: Ticker(bad),
            lambda: k.reset(bad),
            lambda: after_func(bad, print),
        ):
            with pytest.raises(TypeError, match="number of seconds"):
                call()
        assert t.stop() is True
        k.stop()

    gort.run(main)


def test_bad_values() -> None:
    async def main() -> None:
        t, k = Timer(HOUR), Ticker(HOUR)
        for call in (
            lambda: Timer(math.nan),
            lambda: t.reset(math.nan),
            lambda: Ticker(math.nan),
            lambda: after_func(math.nan, print),
            lambda: Ticker(0),
            lambda: Ticker(-1),
            lambda: k.reset(0),
            lambda: k.reset(-0.5),
        ):
            with pytest.raises(ValueError):
                call()
        with pytest.raises(TypeError, match="wants a function"):
            after_func(1, 3)  # type: ignore[arg-type]
        for far in (1e12, math.inf, 10**400):
            assert Timer(far).stop() is True
            Ticker(far).stop()
        t.stop()
        k.stop()

    gort.run(main)


def test_outside() -> None:
    for call in (lambda: Timer(1), lambda: Ticker(1), lambda: after_func(1, print)):
        with pytest.raises(RuntimeError, match="no gort runtime is up"):
            call()


def test_the_standard_librarys_time_is_another() -> None:
    assert gort.time is not time
    assert gort.time.Timer is Timer
    assert not hasattr(gort.time, "monotonic")
