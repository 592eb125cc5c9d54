"""Deterministic tests of goroutine programs: simulated threads, virtual time, seeds.

    from gort.testing import run_sim, sweep

    def test_pipeline() -> None:
        sweep(main, seeds=200)          # 200 schedules; a failing seed is printed

    def test_hour() -> None:
        run_sim(main, seed=7)           # sleeps of an hour take no time

The program runs on the scheduler's own source over a simulated platform: one
virtual thread at a time, the next one chosen at every atomic operation by a seeded
strategy, and time that moves only when every goroutine waits (as in Go's
testing/synctest). The same seed replays the same schedule; replay prints it.

Inside a simulated program: work(seconds) computes, `await wait()` waits until all
others do, thread(fn) is a plain thread, Pipe stands for a socket. time.sleep and the
clocks of `time` are virtual. Not simulated: real files and sockets, threading.Thread,
and other calls that block, which stop the simulation as long as they last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ._inside import Pipe, Thread, thread, wait, work
from ._run import Run, SimFailure, simulate
from ._swap import swapped
from .strategy import PCT, Exhaustive, Path, RandomWalk

__all__ = [
    "PCT",
    "Exhaustive",
    "Path",
    "Pipe",
    "RandomWalk",
    "Run",
    "SimFailure",
    "Thread",
    "replay",
    "run_sim",
    "search",
    "simulate",
    "strategy_of",
    "sweep",
    "thread",
    "wait",
    "work",
]


def strategy_of(seed: int, jitter: float = 0.0) -> RandomWalk | PCT:
    """The strategy that run_sim, sweep and replay have for a seed: even ones walk at
    random, more or less restlessly; odd ones are PCT's, of several depths and lengths."""
    n = seed // 2
    if seed % 2 == 0:
        return RandomWalk(seed, stay=(0.0, 0.5, 0.9)[n % 3], jitter=jitter)
    return PCT(seed, depth=2 + n % 3, length=(200, 1000, 4000)[n // 3 % 3], jitter=jitter)


def run_sim(
    main: Callable[..., Any],
    *args: Any,
    seed: int = 0,
    procs: int = 2,
    jitter: float = 0.0,
    maxsteps: int = 1_000_000,
) -> Any:
    """Run main(*args) once, simulated, by one seed; its result.

    main: a function that uses gort's public names through its module's globals.
    jitter: how likely at each step the clock runs on although threads can run; 0:
    time moves only when everyone waits. Raises what main raises; SimFailure when
    the runtime itself does what it must not, or no end comes in maxsteps.
    """
    strategy = strategy_of(seed, jitter)
    return simulate(main, *args, strategy=strategy, procs=procs, maxsteps=maxsteps).value


def sweep(
    main: Callable[..., Any],
    *args: Any,
    seeds: int | Iterable[int] = 100,
    procs: int = 2,
    jitter: float = 0.0,
    maxsteps: int = 1_000_000,
) -> None:
    """Run main(*args) under many seeds, half of them by random walk, half by PCT.

    Raises SimFailure at the first that fails, with its seed, what it raised and the
    end of its schedule; replay with that seed shows all of it.
    """
    last: list[Run] = []
    with swapped():
        for seed in range(seeds) if isinstance(seeds, int) else seeds:
            last.clear()
            try:
                simulate(
                    main,
                    *args,
                    strategy=strategy_of(seed, jitter),
                    procs=procs,
                    maxsteps=maxsteps,
                    keep=60,
                    begin=last.append,
                )
            except BaseException as exc:
                if isinstance(exc, KeyboardInterrupt) or not last:
                    raise
                raise SimFailure(
                    f"seed {seed} fails: {type(exc).__name__}: {exc}\n"
                    f"the schedule's end:\n{last[0].schedule()}\n"
                    f"all of it: gort.testing.replay({main.__name__}, seed={seed}, "
                    f"procs={procs}, jitter={jitter})"
                ) from exc


def replay(
    main: Callable[..., Any],
    *args: Any,
    seed: int,
    procs: int = 2,
    jitter: float = 0.0,
    maxsteps: int = 1_000_000,
) -> Any:
    """run_sim, which prints every step: virtual seconds, thread, goroutine, operation,
    the function and line of the runtime (or of the program) that it stands in."""
    last: list[Run] = []
    try:
        return simulate(
            main,
            *args,
            strategy=strategy_of(seed, jitter),
            procs=procs,
            maxsteps=maxsteps,
            keep=maxsteps,
            detail=True,
            begin=last.append,
        ).value
    finally:
        for run in last:
            print(run.schedule(maxsteps))


def search(
    main: Callable[..., Any], *args: Any, bound: int = 2, limit: int = 10_000, procs: int = 2
) -> tuple[int, bool]:
    """Run every schedule of main(*args) with at most `bound` preemptions: how many
    there were, and whether those were all (False: `limit` came first)."""
    paths = Exhaustive(bound, limit)
    n = 0
    with swapped():
        for path in paths:
            n += 1
            try:
                simulate(main, *args, strategy=path, procs=procs)
            except Exception as exc:
                choices = [c for c, _, _ in path.taken]
                raise SimFailure(f"schedule {n} fails ({exc}); its choices: {choices}") from exc
    return n, paths.complete
