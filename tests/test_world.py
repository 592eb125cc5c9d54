"""gomaxprocs: asks, grows and shrinks while goroutines run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import gort


def test_asks() -> None:
    async def main() -> None:
        assert gort.gomaxprocs() == 3
        assert gort.gomaxprocs(0) == 3
        assert gort.gomaxprocs(None) == 3
        assert gort.gomaxprocs(2) == 3
        assert gort.gomaxprocs() == 2
        assert gort.gomaxprocs(2) == 2
        await gort.gosched()
        assert gort.gomaxprocs(5) == 2
        assert gort.gomaxprocs() == 5

    gort.run(main, procs=3)


@pytest.mark.parametrize("start", [1, 4])
def test_up_and_down_under_load(start: int) -> None:
    async def tx(ch: gort.Chan, base: int) -> None:
        for i in range(100):
            await ch.send(base + i)

    async def rx(ch: gort.Chan) -> list[int]:
        return [v async for v in ch]

    async def sleeper(stop: gort.Chan) -> int:
        n = 0
        while True:
            i, _ = await gort.select(stop.recv_ok(), default=True)
            if i == 0:
                return n
            await gort.sleep(0.0005)
            n += 1

    async def main() -> list[int]:
        ch, stop = gort.chan(2), gort.chan()
        rs = [gort.go(rx, ch) for _ in range(5)]
        ss = [gort.go(sleeper, stop) for _ in range(5)]
        ts = [gort.go(tx, ch, i * 100) for i in range(20)]
        for k in range(60):
            n = (1, 4, 2, 8, 3, 1, 16)[k % 7]
            gort.gomaxprocs(n)
            assert gort.gomaxprocs() == n
            await gort.gosched()
        for t in ts:
            await t
        ch.close()
        stop.close()
        for s in ss:
            await s
        return [v for r in rs for v in await r]

    for _ in range(5):
        assert Counter(gort.run(main, procs=start)) == Counter(range(2000))


def test_beside_a_hog() -> None:
    """A goroutine in user code does not hold a change up."""
    flag: list[int] = []

    async def hog() -> None:
        while not flag:
            pass

    async def main() -> None:
        gs = [gort.go(hog) for _ in range(2)]
        await gort.gosched()
        for n in (4, 1, 3):
            gort.gomaxprocs(n)
            assert gort.gomaxprocs() == n
        flag.append(1)
        for g in gs:
            await g

    gort.run(main, procs=2)


def test_timers_survive_a_shrink() -> None:
    async def sleeper(i: int) -> int:
        await gort.sleep(0.01 + i / 10000)
        return i

    async def main() -> int:
        gs = [gort.go(sleeper, i) for i in range(100)]
        for _ in range(20):
            await gort.gosched()
        gort.gomaxprocs(1)
        return sum([await g for g in gs])

    assert gort.run(main, procs=8) == sum(range(100))


def test_more_procs_than_cpus() -> None:
    async def child(i: int) -> int:
        await gort.gosched()
        return i

    async def main() -> int:
        return sum([await g for g in [gort.go(child, i) for i in range(500)]])

    for n in (16, 64):
        assert gort.run(main, procs=n) == sum(range(500))


def test_called_by_many() -> None:
    async def child(n: int) -> None:
        for k in range(10):
            gort.gomaxprocs(1 + (n + k) % 4)
            await gort.gosched()

    async def main() -> None:
        for g in [gort.go(child, i) for i in range(8)]:
            await g

    gort.run(main, procs=4)


@pytest.mark.parametrize("bad", ["2", 1.5, [2]])
def test_bad_type(bad: Any) -> None:
    async def main() -> int:
        with pytest.raises(TypeError):
            gort.gomaxprocs(bad)
        return gort.gomaxprocs()

    assert gort.run(main, procs=2) == 2


@pytest.mark.parametrize("bad", [-1, 10**9])
def test_bad_value(bad: int) -> None:
    async def main() -> int:
        with pytest.raises(ValueError):
            gort.gomaxprocs(bad)
        return gort.gomaxprocs()

    assert gort.run(main, procs=2) == 2


def test_num_cpu() -> None:
    import os

    assert 1 <= gort.num_cpu() <= len(os.sched_getaffinity(0))
