"""sleep, after and tick: order and "not early", never "not late"."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

import gort


async def until_waiting(g: gort.Goroutine) -> None:
    while g.status not in ("waiting", "dead"):  # its wait may be over already
        await gort.gosched()


def test_not_early(procs: int) -> None:
    async def main() -> None:
        for d in (0.001, 0.005, 0.02):
            start = time.monotonic()
            assert await gort.sleep(d) is None
            assert time.monotonic() - start >= d

    gort.run(main, procs=procs)


def test_sleep_order(procs: int) -> None:
    """Sleepers with one common deadline base wake in the order of their deadlines."""

    async def sleeper(i: int, d: float, out: gort.Chan) -> None:
        op = gort.sleep(d)
        await op
        await out.send(i)

    async def main() -> list[int]:
        out = gort.chan(20)
        gs = [gort.go(sleeper, i, 0.05 + 0.03 * i, out) for i in reversed(range(5))]
        got = [await out.recv() for _ in gs]
        return got

    assert sorted(gort.run(main, procs=procs)) == list(range(5))
    assert gort.run(main, procs=1) == list(range(5))


@pytest.mark.parametrize("d", [0, 0.0, -1, -math.inf])
def test_zero_and_negative(d: float, procs: int) -> None:
    async def main() -> None:
        await gort.sleep(d)

    gort.run(main, procs=procs)


def test_very_long_sleep_is_cancellable(procs: int) -> None:
    async def long(d: float) -> None:
        await gort.sleep(d)

    async def main() -> None:
        for d in (3600, 1e12, math.inf, 10**400):
            g = gort.go(long, d)
            await until_waiting(g)
            assert g.wait_reason == "sleep"
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g

    gort.run(main, procs=procs)


@pytest.mark.parametrize("fn", ["sleep", "after", "tick"])
def test_bad_delays(fn: str) -> None:
    async def main() -> None:
        f = getattr(gort, fn)
        with pytest.raises(ValueError):
            await f(math.nan)
        for bad in ("1", None, [1]):
            with pytest.raises(TypeError):
                await f(bad)

    gort.run(main)


@pytest.mark.parametrize("bad", [0, -1, 0.0])
def test_bad_tick(bad: float) -> None:
    async def main() -> None:
        with pytest.raises(ValueError):
            gort.tick(bad)

    gort.run(main)


def test_after(procs: int) -> None:
    async def main() -> None:
        start = time.monotonic()
        ch = gort.after(0.01)
        assert isinstance(ch, gort.Chan)
        assert bool(ch)
        when = await ch.recv()
        assert isinstance(when, float)
        assert start + 0.01 <= when <= time.monotonic()
        with pytest.raises(gort.WouldBlock):
            ch.recv_nowait()
        for d in (0, -5):
            await gort.after(d).recv()

    gort.run(main, procs=procs)


def test_after_in_order() -> None:
    async def main() -> list[int]:
        late, soon = gort.after(0.2), gort.after(0.01)
        first, _ = await gort.select(late.recv(), soon.recv())
        second, _ = await gort.select(late.recv(), soon.recv())
        return [first, second]

    assert gort.run(main) == [1, 0]


def test_dropped_after(procs: int) -> None:
    async def main() -> int:
        for _ in range(2000):
            gort.after(3600)
        for _ in range(200):
            gort.after(0.0001)
        await gort.sleep(0.005)
        return 1

    assert gort.run(main, procs=procs) == 1


def test_tick(procs: int) -> None:
    async def main() -> None:
        start = time.monotonic()
        ch = gort.tick(0.002)
        assert isinstance(ch, gort.Chan) and bool(ch)
        times = [await ch.recv() for _ in range(5)]
        assert times == sorted(set(times))
        assert time.monotonic() >= start + 5 * 0.002

    gort.run(main, procs=procs)


def test_tick_drops_for_a_slow_receiver() -> None:
    async def main() -> None:
        ch = gort.tick(0.001)
        await ch.recv()
        await gort.sleep(0.03)
        await ch.recv()  # one stands ready at most
        assert len(ch) <= 1

    gort.run(main)


def test_many_sleepers(procs: int) -> None:
    async def sleeper(i: int) -> int:
        await gort.sleep((i * 7919 % 100) / 10000)
        return i

    async def main() -> int:
        gs = [gort.go(sleeper, i) for i in range(2000)]
        return sum([await g for g in gs])

    assert gort.run(main, procs=procs) == sum(range(2000))


def test_cancel_many_sleepers(procs: int) -> None:
    async def sleeper() -> None:
        await gort.sleep(3600)

    async def main() -> None:
        gs = [gort.go(sleeper) for _ in range(500)]
        for g in gs:
            await until_waiting(g)
        for g in gs:
            g.cancel()
        for g in gs:
            with pytest.raises(gort.Cancelled):
                await g
        await gort.sleep(0.001)

    gort.run(main, procs=procs)


def test_sleeper_beside_a_hog(procs: int) -> None:
    """A goroutine that computes without awaiting ends only when the sleeper has woken."""
    woke: list[int] = []

    async def hog() -> int:
        n = 0
        while not woke:
            n += 1
        return n

    async def sleeper() -> None:
        await gort.sleep(0.001)
        woke.append(1)

    async def main() -> None:
        s = gort.go(sleeper)
        await until_waiting(s)
        assert await gort.go(hog) >= 0
        await s

    gort.run(main, procs=procs)


def test_timer_made_by_a_foreign_thread(procs: int) -> None:
    import threading

    async def main() -> Any:
        out = gort.chan(1)

        def body() -> None:
            out.send_nowait(gort.wait(gort.after(0.001).recv()))

        t = threading.Thread(target=body)
        t.start()
        v = await out.recv()
        await gort.syscall(t.join)
        return v

    assert isinstance(gort.run(main, procs=procs), float)


def test_outside() -> None:
    with pytest.raises(RuntimeError):
        gort.after(1)
    with pytest.raises(RuntimeError):
        gort.tick(1)
    with pytest.raises(RuntimeError):
        gort.sleep(1).__await__().__next__()
