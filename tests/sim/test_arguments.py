"""Wrong arguments of gort.testing raise TypeError or ValueError at the call, in words that
say what to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import gort
from gort.testing import (
    PCT,
    Exhaustive,
    Pipe,
    RandomWalk,
    SimFailure,
    replay,
    run_sim,
    search,
    simulate,
    strategy_of,
    sweep,
    thread,
    work,
)


async def main() -> None:
    await gort.gosched()


async def fails() -> None:
    raise AssertionError


RUNS: dict[str, Callable[..., Any]] = {
    "run_sim": run_sim,
    "sweep": sweep,
    "replay": lambda *args, **how: replay(*args, **({"seed": 0} | how)),
    "search": search,
    "simulate": lambda *args, **how: simulate(*args, **({"strategy": strategy_of(0)} | how)),
}


@pytest.mark.parametrize("name", RUNS)
def test_what_is_to_run_and_on_how_many_procs(name: str) -> None:
    run = RUNS[name]
    coro = main()
    for bad in (None, 5, "main", coro):
        with pytest.raises(TypeError, match=f"{name} wants a function"):
            run(bad)
    for procs in (None, "2", 1.5):
        with pytest.raises(TypeError, match="procs must be a whole number"):
            run(main, procs=procs)
    for procs in (0, -1, 10**9):
        with pytest.raises(ValueError, match="procs must be"):
            run(main, procs=procs)


@pytest.mark.parametrize("name", ["run_sim", "sweep", "replay", "simulate"])
def test_maxsteps(name: str) -> None:
    with pytest.raises(TypeError, match="maxsteps must be a whole number, not 'x'"):
        RUNS[name](main, maxsteps="x")
    with pytest.raises(ValueError, match="maxsteps must be at least 1, not 0"):
        RUNS[name](main, maxsteps=0)


@pytest.mark.parametrize("name", ["run_sim", "sweep", "replay"])
def test_jitter(name: str) -> None:
    for bad in ("x", None, [0.1]):
        with pytest.raises(TypeError, match="jitter must be a number from 0 to 1"):
            RUNS[name](main, jitter=bad)
    for worse in (-0.1, 2, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="jitter must be from 0 to 1"):
            RUNS[name](main, jitter=worse)


@pytest.mark.parametrize("run", [run_sim, replay])
def test_a_seed(run: Callable[..., Any]) -> None:
    for bad in ("x", 1.5, None):
        with pytest.raises(TypeError, match="seed must be a whole number"):
            run(main, seed=bad)
    run(main, seed=-3)


def test_seeds() -> None:
    for bad in ("x", b"x", 1.5, None, strategy_of):
        with pytest.raises(TypeError, match="seeds must be how many, or which ones"):
            sweep(main, seeds=bad)  # type: ignore[arg-type]
    for none in (0, -1):
        with pytest.raises(ValueError, match="seeds must be at least 1"):
            sweep(fails, seeds=none)
    for empty in ([], range(0), iter(())):
        with pytest.raises(ValueError, match="at least one seed; nothing would be tried"):
            sweep(fails, seeds=empty)
    with pytest.raises(TypeError, match="each seed must be a whole number, not 'a'"):
        sweep(main, seeds=[1, "a"])  # type: ignore[list-item]
    sweep(main, seeds=(n for n in (-1, 5)))
    with pytest.raises(SimFailure):
        sweep(fails, seeds=True)


def test_search() -> None:
    for how in ({"bound": "x"}, {"limit": 1.5}):
        with pytest.raises(TypeError, match="must be a whole number"):
            search(main, **how)  # type: ignore[arg-type]
    for how in ({"bound": -1}, {"limit": 0}):
        with pytest.raises(ValueError, match="must be at least"):
            search(main, **how)


def test_simulate() -> None:
    for strategy in (None, 5, Exhaustive()):
        with pytest.raises(TypeError, match="strategy must be one such as strategy_of"):
            simulate(main, strategy=strategy)
    for how in ({"every": "x"}, {"keep": None}, {"begin": 5}):
        with pytest.raises(TypeError, match="must be a"):
            RUNS["simulate"](main, **how)
    for how in ({"every": 0}, {"keep": -1}):
        with pytest.raises(ValueError, match="must be at least"):
            RUNS["simulate"](main, **how)


def test_strategies() -> None:
    for make in (strategy_of, RandomWalk, PCT):
        with pytest.raises(TypeError, match="seed must be a whole number"):
            make("x")  # type: ignore[operator]
        with pytest.raises(ValueError, match="jitter must be from 0 to 1"):
            make(0, jitter=7)  # type: ignore[operator]
    with pytest.raises(ValueError, match="stay must be from 0 to 1"):
        RandomWalk(0, stay=2)
    with pytest.raises(ValueError, match="depth must be at least 1"):
        PCT(0, depth=0)
    with pytest.raises(ValueError, match="length must be at least 1"):
        PCT(0, length=0)


def test_inside() -> None:
    async def program() -> None:
        for bad in ("x", None):
            with pytest.raises(TypeError, match="work must be a number of seconds"):
                work(bad)  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                time.sleep(bad)  # type: ignore[arg-type]
        for worse in (-1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="work must be a number of seconds"):
                work(worse)
        with pytest.raises(ValueError, match="must be non-negative"):
            time.sleep(-1)
        with pytest.raises(TypeError, match="thread wants a function"):
            thread(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="thread wants a plain function"):
            thread(main)
        with pytest.raises(TypeError, match="capacity must be a whole number"):
            Pipe(1.5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="capacity must be at least 1"):
            Pipe(0)
        p = Pipe()
        for n in (0, -1):
            with pytest.raises(ValueError, match="n must be at least 1"):
                p.read(n)
            with pytest.raises(ValueError, match="n must be at least 1"):
                await p.recv(n)
        for data in ("text", 5, None):
            with pytest.raises(TypeError, match="data must be bytes"):
                p.write(data)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="data must be bytes"):
                await p.send(data)  # type: ignore[arg-type]
        await p.send(memoryview(b"view"))
        assert await p.recv() == b"view"

    run_sim(program)


def test_a_join_with_a_timeout() -> None:
    async def program() -> None:
        t = thread(time.sleep, 60)
        start = time.monotonic()
        await gort.syscall(t.join, 5)
        assert t.is_alive() and 5 <= time.monotonic() - start < 5.1
        await gort.syscall(t.join, 500)
        assert not t.is_alive() and 60 <= time.monotonic() - start < 60.1

    sweep(program, seeds=10)
