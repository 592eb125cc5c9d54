"""Deterministic tests of goroutine programs: simulated threads, virtual time, seeds.

    from gort.testing import run_sim, sweep

    def test_pipeline() -> None:
        sweep(main, seeds=200)          # 200 schedules; a failing seed is printed

    def test_hour() -> None:
        run_sim(main, seed=7)           # sleeps of an hour take no time

The program runs on the scheduler's own source over a simulated platform: one
virtual thread at a time, the next one chosen at every atomic operation by a seeded
strategy, and time that moves only when every goroutine waits (as in Go's
testing/synctest). The same seed replays the same schedule.

Not simulated: real files and sockets (use Pipe), threads that the program starts
itself, and blocking calls other than time.sleep, which stop the simulation as long
as they last.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from typing import Any

from ._swap import swapped
from .check import Invariants
from .strategy import PCT, Exhaustive, Path, RandomWalk

__all__ = [
    "PCT",
    "Exhaustive",
    "Path",
    "RandomWalk",
    "Run",
    "SimFailure",
    "run_sim",
    "search",
    "simulate",
    "sweep",
    "work",
]


class SimFailure(AssertionError):
    """A simulated run failed; the text names the seed and shows the schedule's end."""


class Run:
    """What a simulated run was: how many steps, its digest (equal for equal
    schedules), the virtual seconds that it took, and its last steps."""

    __slots__ = ("steps", "digest", "seconds", "trace", "value")

    def __init__(self, engine: Any, value: Any) -> None:
        self.steps: int = engine.steps
        self.digest: int = engine.digest
        self.seconds: float = (engine.clock - 1_000_000_000) / 1e9
        self.trace: list[tuple[int, int, str]] = engine.trace
        self.value = value


def simulate(
    main: Callable[..., Any],
    *args: Any,
    strategy: Any,
    procs: int = 2,
    maxsteps: int = 1_000_000,
    every: int = 8,
    keep: int = 0,
    patch: Callable[[Any], None] | None = None,
) -> Run:
    """Run main(*args) once, under `strategy`, with the invariants checked.

    every: look at all queues at each that many steps. keep: how many of the last
    steps to keep. patch(sim) may alter the simulated gort before the run (mutation
    tests). Raises what main raises; SimFailure for a broken invariant.
    """
    with swapped() as sim:
        platform = sim.runtime.gmp.load.__globals__
        engine = platform["Engine"](strategy, maxsteps, keep)
        crash(sim, engine, platform["Failure"])
        checks = Invariants(sim, platform["Failure"], every)
        engine.onpoint = checks.step
        engine.onquiet = checks.quiet
        if patch is not None:
            patch(sim)
        was = gc.isenabled()
        gc.disable()
        try:
            value = engine.run(lambda: sim.run(main, *args, procs=procs))
            after(sim, platform["Failure"])
        except platform["Failure"] as exc:
            raise SimFailure(f"{exc}{schedule(engine)}") from None
        finally:
            platform["files"].clear()
            reset(sim)
            if was:
                gc.enable()
        return Run(engine, value)


def crash(sim: Any, engine: Any, failure: type[Exception]) -> None:
    """The runtime's fatal errors fail the run; they do not end this process."""

    class Exits:
        @staticmethod
        def _exit(code: int) -> None:
            engine.fail(failure(f"the runtime died: {said[-1].strip()}"))

    class Says:
        stderr: Any = None

        @staticmethod
        def write(text: str) -> None:
            said.append(text)

        @staticmethod
        def flush() -> None:
            return

    said: list[str] = [""]
    Says.stderr = Says
    sim.runtime.gmp.os = Exits
    sim.runtime.gmp.sys = Says


def after(sim: Any, failure: type[Exception]) -> None:
    """Shutdown leaves nothing."""
    left = [gp.goid for shard in sim.runtime.gmp.sched.shards for gp in chain(shard.head)]
    if left:
        raise failure(f"goroutines {left} are still listed after the run")


def chain(gp: Any) -> Iterable[Any]:
    while gp is not None:
        yield gp
        gp = gp.allnext


def reset(sim: Any) -> None:
    """The next run finds nothing of one that was cut off."""
    sched = sim.runtime.gmp.sched
    sched.up.v = 0
    sched.booted.v = 0
    for name in ("lock", "worldsema"):
        m = getattr(sched, name)
        m.holder = None
        m.waiters.clear()
    for shard in sched.shards:
        shard.lock.holder = None
        shard.clear()
    sim.runtime.park.waiters.clear()


def schedule(engine: Any) -> str:
    """The end of the schedule, for a message."""
    if not engine.trace:
        return ""
    names = {t.id: t.name for t in engine.threads}
    lines = [f"  {ns / 1e9:.9f} {names[id]:12} {what}" for ns, id, what in engine.trace[-40:]]
    return "\nthe schedule's end:\n" + "\n".join(lines)


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
    return simulate(
        main,
        *args,
        strategy=RandomWalk(seed, jitter=jitter),
        procs=procs,
        maxsteps=maxsteps,
        keep=60,
    ).value


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
    end of its schedule; run_sim or replay with that seed shows it again.
    """
    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        try:
            simulate(
                main,
                *args,
                strategy=strategy_of(seed, jitter),
                procs=procs,
                maxsteps=maxsteps,
                keep=60,
            )
        except BaseException as exc:
            if isinstance(exc, KeyboardInterrupt):
                raise
            raise SimFailure(
                f"seed {seed} fails: {type(exc).__name__}: {exc}\n"
                f"again: sweep({main.__name__}, seeds=[{seed}], procs={procs}, jitter={jitter})"
            ) from exc


def strategy_of(seed: int, jitter: float = 0.0) -> Any:
    """sweep's choice for a seed: even ones walk at random, odd ones are PCT's."""
    if seed % 2 == 0:
        return RandomWalk(seed, stay=(seed // 2 % 3) * 0.4, jitter=jitter)
    return PCT(seed, depth=2 + seed // 2 % 3, jitter=jitter)


def search(
    main: Callable[..., Any], *args: Any, bound: int = 2, limit: int = 10_000, procs: int = 2
) -> tuple[int, bool]:
    """Run every schedule of main(*args) with at most `bound` preemptions: how many
    there were, and whether those were all (False: `limit` came first)."""
    paths = Exhaustive(bound, limit)
    n = 0
    for path in paths:
        n += 1
        try:
            simulate(main, *args, strategy=path, procs=procs, keep=60)
        except Exception as exc:
            choices = [c for c, _, _ in path.taken]
            raise SimFailure(f"schedule {n} fails ({exc}); its choices: {choices}") from exc
    return n, paths.complete


def work(seconds: float) -> None:
    """Compute for that many virtual seconds: the goroutine's thread is busy, as in a
    loop without an await. Outside a simulation it does nothing."""
    import time

    from .._pure import simulated

    if simulated().runtime.gmp.load.__globals__["current"]() is not None:
        time.sleep(seconds)
