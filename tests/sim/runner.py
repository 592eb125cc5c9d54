"""Which schedule a seed gives a case, and one run of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from cases import CASES, Case, Plan

import gort
from gort.testing import Run, SimFailure, simulate, strategy_of

FAILURES = (Exception, gort.Cancelled)
"""What a case that fails raises."""
JITTERS = (0.0, 0.0, 0.01, 0.0, 0.05)


def plan(case: Case, seed: int) -> tuple[int, float]:
    """Its procs and its jitter."""
    n = len(case.procs)
    return case.procs[seed % n], JITTERS[seed // n % len(JITTERS)]


def runcase(
    case: Case,
    seed: int,
    keep: int = 0,
    detail: bool = False,
    begin: Callable[[Run], None] | None = None,
) -> Run | None:
    """Run it once. Raises SimFailure, or what it raised, where it fails."""
    procs, Plan.jitter = plan(case, seed)
    Plan.seed = seed
    try:
        run = simulate(
            case.main,
            strategy=strategy_of(seed, Plan.jitter),
            procs=procs,
            maxsteps=case.maxsteps,
            keep=keep,
            detail=detail,
            begin=begin,
        )
    except BaseException as exc:
        if case.raises is not None and isinstance(exc, case.raises):
            return None
        raise
    if case.raises is not None:
        raise SimFailure(f"{case.name} did not raise {case.raises.__name__}")
    return run


def again(case: Case, seed: int) -> str:
    """The command that shows a failing seed."""
    return f"python tests/sim/long.py --case {case.name} --seed {seed}"


__all__ = ["CASES", "FAILURES", "Case", "again", "plan", "runcase"]
