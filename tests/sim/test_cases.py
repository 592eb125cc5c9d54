"""Every case under a few dozen seeds; `make sim` runs thousands."""

from __future__ import annotations

import sys

import pytest
from runner import CASES, FAILURES, again, runcase

from gort.testing._swap import swapped

# The simulator runs one thread at a time, and hands over much more slowly without a GIL;
# what it runs is the same.
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
SEEDS = 40 if GIL else 1

# Found by long sweeps; each failed once (docs/reliability.md).
FOUND = [
    ("locked_to_the_end", 3),
    ("syscalls", 178),
    ("locked_in_calls", 169),
    ("deadlock_after_work", 217),
    ("after_and_tick", 1638),
    ("chaos", 2874),
    ("chaos", 2942),
    ("chaos", 14278),
    ("chaos", 19047),
    ("cleanups_run_once", 6),
    ("cancelled_while_armed", 2006),
]


def check(name: str, seed: int) -> None:
    try:
        runcase(CASES[name], seed)
    except FAILURES as exc:
        raise AssertionError(f"seed {seed}: {again(CASES[name], seed)}") from exc


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    with swapped():
        for seed in range(SEEDS):
            check(name, seed)


@pytest.mark.parametrize(("name", "seed"), FOUND)
def test_found(name: str, seed: int) -> None:
    check(name, seed)


def test_there_are_enough() -> None:
    assert len(CASES) >= 40
