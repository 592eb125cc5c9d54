"""time.Limiter: a token bucket."""

from __future__ import annotations

import time as realtime
from typing import Any

import pytest

import gort
from gort import time
from gort.testing import run_sim


def test_burst_then_steady() -> None:
    async def main() -> None:
        lim = time.Limiter(10, burst=3)
        assert [lim.allow() for _ in range(4)] == [True, True, True, False]
        since = realtime.monotonic()
        for _ in range(5):
            await lim.wait()
        assert 0.49 < realtime.monotonic() - since < 0.52
        await gort.sleep(3600)
        assert lim.allow(3) and not lim.allow()

    run_sim(main)


def test_reserve_says_how_long() -> None:
    async def main() -> None:
        lim = time.Limiter(2, burst=2)
        assert lim.reserve(2) == 0
        assert lim.reserve() == pytest.approx(0.5, abs=0.01)
        assert lim.reserve() == pytest.approx(1.0, abs=0.01)

    run_sim(main)


def test_waiters_in_order() -> None:
    async def main() -> list[int]:
        lim = time.Limiter(100)
        order: list[int] = []

        async def one(i: int) -> None:
            await lim.wait()
            order.append(i)

        async with gort.group() as grp:
            for i in range(5):
                grp.go(one, i)
                await gort.sleep(0.001)
        return order

    assert run_sim(main) == [0, 1, 2, 3, 4]


def test_a_cancelled_wait_gives_its_tokens_back() -> None:
    async def main() -> None:
        lim = time.Limiter(1, burst=5)
        assert lim.allow(5)
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.5):
                await lim.wait(5)
        assert lim.reserve() == pytest.approx(0.5, abs=0.02)

    run_sim(main)


def test_no_limit() -> None:
    lim = time.Limiter(float("inf"), burst=2)
    assert all(lim.allow(2) for _ in range(100))
    assert lim.reserve(2) == 0


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((0,), ValueError),
        ((-1,), ValueError),
        ((float("nan"),), ValueError),
        (("1",), TypeError),
        ((True,), TypeError),
        ((1, 0), ValueError),
        ((1, 1.5), TypeError),
    ],
)
def test_bad_arguments(args: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        time.Limiter(*args)


def test_more_than_burst() -> None:
    lim = time.Limiter(1, burst=2)
    for call in (lim.allow, lim.reserve, lim.wait):
        with pytest.raises(ValueError, match="burst of 2"):
            call(3)
        with pytest.raises(ValueError):
            call(-1)
        with pytest.raises(TypeError):
            call("1")  # type: ignore[arg-type]
