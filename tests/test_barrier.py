"""sync.Barrier: n goroutines wait for each other, round after round."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import gort
from gort import sync


async def parked(*gs: gort.Goroutine) -> None:
    while any(g.status != "waiting" for g in gs):
        await gort.gosched()


@pytest.mark.parametrize("bad", [0, -1, 1 << 31])
def test_bad_number(bad: int) -> None:
    with pytest.raises(ValueError, match="parties"):
        sync.Barrier(bad)


@pytest.mark.parametrize("bad", ["1", 1.5, None])
def test_bad_type(bad: Any) -> None:
    with pytest.raises(TypeError, match="parties"):
        sync.Barrier(bad)


def test_rounds(procs: int) -> None:
    async def main() -> None:
        n, rounds = 5, 20
        b = sync.Barrier(n)
        at = [0] * n
        places: list[list[int]] = [[] for _ in range(rounds)]

        async def runner(i: int) -> None:
            for r in range(rounds):
                at[i] = r
                place = await b.wait()
                assert min(at) >= r, "through before all had come"
                places[r].append(place)

        async with gort.group() as grp:
            for i in range(n):
                grp.go(runner, i)
        assert all(sorted(p) == list(range(n)) for p in places)

    gort.run(main, procs=procs)


def test_one_party_never_waits() -> None:
    async def main() -> list[int]:
        b = sync.Barrier(1)
        return [await b.wait(), await b.wait()]

    assert gort.run(main) == [0, 0]


def test_a_cancelled_waiter_is_uncounted(procs: int) -> None:
    async def main() -> None:
        b = sync.Barrier(3)
        first = gort.go(b.wait)
        await parked(first)
        second = gort.go(b.wait)
        await parked(second)
        assert repr(b) == "<Barrier 2/3 arrived>"
        first.cancel()
        with pytest.raises(gort.Cancelled):
            await first
        assert repr(b) == "<Barrier 1/3 arrived>"
        third = gort.go(b.wait)
        await parked(third)
        assert await b.wait() == 2
        assert sorted([await second, await third]) == [0, 1]

    gort.run(main, procs=procs)


def test_threads(procs: int) -> None:
    async def main() -> None:
        b = sync.Barrier(2)
        places = gort.chan(1)
        t = threading.Thread(target=lambda: places.send_nowait(gort.wait(b.wait())))
        t.start()
        assert {await b.wait(), await places.recv()} == {0, 1}
        await gort.syscall(t.join)

    gort.run(main, procs=procs)


def test_thread_that_gives_up_is_uncounted() -> None:
    async def main() -> str:
        b = sync.Barrier(2)

        def plain() -> None:
            with pytest.raises(TimeoutError):
                gort.wait(b.wait(), timeout=0.001)

        await gort.go(plain)
        return repr(b)

    assert gort.run(main) == "<Barrier 0/2 arrived>"
