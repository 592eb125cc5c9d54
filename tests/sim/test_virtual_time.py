"""Waiting costs steps by what happens meanwhile, and not by how long it takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

import gort
from gort.testing import Pipe, run_sim, simulate, strategy_of, thread, wait

DAY = 86_400


async def asleep(seconds: float) -> None:
    await gort.sleep(seconds)


async def blocked(seconds: float) -> None:
    time.sleep(seconds)


async def in_a_call(seconds: float) -> None:
    await gort.syscall(time.sleep, seconds)


async def a_goroutine_blocks(seconds: float) -> None:
    async def block() -> None:
        time.sleep(seconds)

    g = gort.go(block)
    await gort.sleep(seconds / 2)
    await g


async def locked(seconds: float) -> None:
    gort.lock_os_thread()
    await gort.sleep(seconds)
    time.sleep(seconds)
    gort.unlock_os_thread()


async def beside_the_poller(seconds: float) -> None:
    p = Pipe()

    async def read() -> bytes:
        return await p.recv()

    g = gort.go(read)
    await gort.sleep(seconds)
    await gort.syscall(time.sleep, seconds)
    await p.send(b"x")
    assert await g == b"x"


async def beside_a_thread(seconds: float) -> None:
    c = gort.chan()

    def outside() -> None:
        time.sleep(seconds)
        gort.wait(c.send(1))

    t = thread(outside)
    await c.recv()
    await gort.syscall(t.join)


async def beside_a_failure(seconds: float) -> None:
    async def fails() -> None:
        raise ValueError

    g = gort.go(fails)
    await gort.sleep(seconds)
    with pytest.raises(ValueError):
        await g


async def after_garbage(seconds: float) -> None:
    keep = [[i] for i in range(20_000)]
    await gort.sleep(seconds)
    time.sleep(seconds)
    assert keep


async def others_wait_too(seconds: float) -> None:
    async def child() -> None:
        await gort.sleep(seconds)
        await gort.syscall(time.sleep, seconds)

    async with gort.group() as grp:
        for _ in range(3):
            grp.go(child)


async def in_wait(seconds: float) -> None:
    async def block() -> None:
        await gort.sleep(seconds)

    g = gort.go(block)
    await wait()
    await g


CASES = [
    asleep,
    blocked,
    in_a_call,
    a_goroutine_blocks,
    locked,
    beside_the_poller,
    beside_a_thread,
    beside_a_failure,
    after_garbage,
    others_wait_too,
    in_wait,
]


@pytest.mark.parametrize("main", CASES)
@pytest.mark.parametrize("procs", [1, 2])
def test_a_day_takes_as_many_steps_as_a_second(main: Callable[..., Any], procs: int) -> None:
    for seed in range(2):

        def steps(seconds: float, seed: int = seed) -> int:
            return simulate(main, seconds, strategy=strategy_of(seed), procs=procs).steps

        second, day = steps(1), steps(DAY)
        assert day <= 1.1 * second + 100, f"seed {seed}: {second} steps, {day} steps"


@pytest.mark.parametrize("gil", [False, True])
@pytest.mark.parametrize("main", [asleep, blocked])
def test_whether_there_is_a_gil_or_not(
    main: Callable[..., Any], gil: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sysmon looks for more, and more often, where there is none."""
    from gort import _pure

    runtime: Any = _pure.simulated().runtime
    monkeypatch.setattr(runtime.sysmon, "_FREETHREADED", not gil)
    monkeypatch.setattr(runtime.sysmon, "watchgil", lambda: not gil)
    assert simulate(main, DAY, strategy=strategy_of(0)).steps < 10_000


def test_a_ticker_costs_by_its_ticks() -> None:
    async def main(period: float) -> None:
        ticks = gort.tick(period)
        for _ in range(50):
            await ticks.recv()

    def steps(period: float) -> int:
        return simulate(main, period, strategy=strategy_of(0)).steps

    assert steps(3600) <= 1.1 * steps(1) + 100


def test_who_comes_back_is_on_time() -> None:
    """The monitor's looks are left out, and nobody else's."""

    async def main() -> None:
        start = time.monotonic()

        async def at(seconds: float) -> None:
            await gort.sleep(seconds)
            assert seconds <= time.monotonic() - start < seconds + 0.05

        gs = [gort.go(at, seconds) for seconds in (0.5, 60, 3600, 3600.001, DAY)]
        await gort.syscall(time.sleep, 7200)
        assert 7200 <= time.monotonic() - start < 7200.05
        for g in gs:
            await g

    for seed in range(4):
        run_sim(main, seed=seed)


def test_a_hog_is_still_preempted() -> None:
    """Before the lull begins the monitor takes the P of who blocks, as ever."""

    async def main() -> None:
        async def sleeper() -> float:
            start = time.monotonic()
            await gort.sleep(0.001)
            return time.monotonic() - start

        async def block() -> None:
            time.sleep(DAY)

        s = gort.go(sleeper)
        await gort.gosched()
        b = gort.go(block)
        assert await s < 0.1
        await b

    for seed in range(4):
        run_sim(main, seed=seed, procs=1)


def test_many_goroutines_cost_by_their_number() -> None:
    """What is looked at in between grows no faster than the steps do; counted, not timed."""

    def looks(n: int) -> int:
        calls = 0

        async def main() -> None:
            c = gort.chan()
            for _ in range(n):
                gort.go(c.recv)
            await gort.sleep(1)
            await wait()

        from gort.testing import check

        genuine = check.Invariants.queued, check.Invariants.live

        def queued(self: Any) -> Any:
            nonlocal calls
            found = genuine[0](self)
            calls += 1 + len(found)
            return found

        def live(self: Any) -> Any:
            nonlocal calls
            for gp in genuine[1](self):
                calls += 1
                yield gp

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(check.Invariants, "queued", queued)
            patch.setattr(check.Invariants, "live", live)
            run_sim(main, maxsteps=10**8)
        return calls

    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    few, many = (50, 400) if sys.flags.dev_mode or not gil else (100, 800)
    assert looks(many) < 2 * (many / few) * looks(few)
