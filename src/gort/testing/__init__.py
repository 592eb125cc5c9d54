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

A failure shows the goroutines' last steps: who started, awaited and woke whom, and where
in the program; steps=True, or GORT_SIM_STEPS=1 in the environment, shows the scheduler's
own steps too, down to each lock and atomic operation.

Inside a simulated program: work(seconds) computes, `await wait()` waits until all
others do, thread(fn) is a plain thread, Pipe stands for a socket. time.sleep, the clocks
of `time`, the locks and threads of `threading`, and stream sockets are virtual; network()
delays, cuts and heals their network. Not simulated: real files, and other calls that block,
which stop the simulation as long as they last.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from . import _args
from ._inside import Pipe, Thread, thread, wait, work
from ._run import Run, SimFailure, simulate
from ._sockets import network
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
    "network",
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
    seed = _args.aseed("strategy_of: seed", seed)
    jitter = _args.share("strategy_of: jitter", jitter)
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
    time moves only when everyone waits. Raises what main raises, with a note of the
    goroutines' last steps; SimFailure when the runtime itself does what it must not, or
    no end comes in maxsteps; TypeError or ValueError for what is no such argument.
    """
    _args.program("run_sim", main, procs, maxsteps, jitter)
    strategy = strategy_of(_args.aseed("run_sim: seed", seed), jitter)
    last: list[Run] = []
    try:
        return simulate(
            main, *args, strategy=strategy, procs=procs, maxsteps=maxsteps, begin=last.append
        ).value
    except BaseException as exc:
        if last:
            exc.add_note(f"simulated by seed {seed}; {last[0].story(exc=exc)}")
        raise


def asked(steps: bool | None) -> bool:
    """Whether the scheduler's own steps are to be shown: by the argument, or else by
    GORT_SIM_STEPS in the environment."""
    return os.environ.get("GORT_SIM_STEPS", "0") not in ("", "0") if steps is None else bool(steps)


def sweep(
    main: Callable[..., Any],
    *args: Any,
    seeds: int | Iterable[int] = 100,
    procs: int = 2,
    jitter: float = 0.0,
    maxsteps: int = 1_000_000,
    steps: bool | None = None,
) -> None:
    """Run main(*args) under many seeds, half of them by random walk, half by PCT.

    seeds: how many, from 0 on, or which; at least one. Raises SimFailure at the first that
    fails, with its seed, what it raised, and its goroutines' last steps; steps: with those
    of the scheduler too, default GORT_SIM_STEPS. replay with that seed shows all of it.
    TypeError or ValueError for what is no such argument.
    """
    _args.program("sweep", main, procs, maxsteps, jitter)
    tried = _args.seedsof("sweep", seeds)
    last: list[Run] = []
    with swapped():
        for seed in tried:
            last.clear()
            try:
                simulate(
                    main,
                    *args,
                    strategy=strategy_of(seed, jitter),
                    procs=procs,
                    maxsteps=maxsteps,
                    keep=60 if asked(steps) else 0,
                    begin=last.append,
                )
            except BaseException as exc:
                if isinstance(exc, KeyboardInterrupt) or not last:
                    raise
                text = [f"seed {seed} fails: {type(exc).__name__}: {exc}", last[0].story(exc=exc)]
                if asked(steps):
                    text += ["the schedule's end:", last[0].schedule(60)]
                again = f"{_name(main)}, seed={seed}, procs={procs}, jitter={jitter}"
                if asked(steps):
                    again += ", steps=True"
                text.append(f"all of it: gort.testing.replay({again})")
                raise SimFailure("\n".join(text)) from exc


def _name(main: Any) -> str:
    return getattr(main, "__name__", None) or repr(main)


def replay(
    main: Callable[..., Any],
    *args: Any,
    seed: int,
    procs: int = 2,
    jitter: float = 0.0,
    maxsteps: int = 1_000_000,
    steps: bool | None = None,
) -> Any:
    """run_sim, which prints every step of the goroutines: virtual seconds, who, what, and
    where in the program.

    steps: print the scheduler's steps instead (default GORT_SIM_STEPS): virtual seconds,
    thread, goroutine, operation, the function and line of the runtime (or of the program)
    that it stands in.
    """
    _args.program("replay", main, procs, maxsteps, jitter)
    last: list[Run] = []
    failed: BaseException | None = None
    try:
        return simulate(
            main,
            *args,
            strategy=strategy_of(_args.aseed("replay: seed", seed), jitter),
            procs=procs,
            maxsteps=maxsteps,
            keep=maxsteps,
            detail=asked(steps),
            begin=last.append,
        ).value
    except BaseException as exc:
        failed = exc
        raise
    finally:
        for run in last:
            print(run.schedule(maxsteps) if asked(steps) else run.story(maxsteps, failed))
        failed = None


def search(
    main: Callable[..., Any], *args: Any, bound: int = 2, limit: int = 10_000, procs: int = 2
) -> tuple[int, bool]:
    """Run every schedule of main(*args) with at most `bound` preemptions: how many
    there were, and whether those were all (False: `limit` came first).

    Raises SimFailure at the first that fails; TypeError or ValueError for what is no such
    argument.
    """
    _args.program("search", main, procs, 1)
    paths = Exhaustive(bound, limit)
    last: list[Run] = []
    n = 0
    with swapped():
        for path in paths:
            n += 1
            last.clear()
            try:
                simulate(main, *args, strategy=path, procs=procs, begin=last.append)
            except Exception as exc:
                if not last:
                    raise
                choices = [c for c, _, _ in path.taken]
                raise SimFailure(
                    f"schedule {n} fails: {type(exc).__name__}: {exc}\n{last[0].story(exc=exc)}\n"
                    f"its choices: {choices}"
                ) from exc
    return n, paths.complete
