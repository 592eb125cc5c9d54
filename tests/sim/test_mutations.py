"""The simulator catches each classic fault, by the seed that showed it last."""

from __future__ import annotations

import sys
import warnings

import pytest
from mutations import MUTATIONS, Mutation, applied, caught, known, mutant, search

from gort.testing._swap import swapped

RUNS = 600
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


@pytest.mark.parametrize("name", MUTATIONS)
def test_caught(name: str) -> None:
    mutation = MUTATIONS[name]
    case, seed = known().get(name, (mutation.cases[0], 0))
    with swapped(), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # coroutines that were cut off
        assert not caught(case, seed), "it fails without the fault"
        with applied(mutation):
            how = caught(case, seed)
        assert not caught(case, seed), "the fault is still there"
    if not how and not GIL:
        pytest.skip("searching for a seed takes too long without a GIL")
    if not how:
        found = search(name, RUNS)
        how = found.how
        assert not found.broken, "it fails without the fault"
        if not found.case:
            pytest.skip(f"not within {found.runs} runs: `make sim` searches on")
    assert how


def test_stale_text_fails_loudly() -> None:
    with pytest.raises(AssertionError, match="does not hold this text any more"):
        mutant("proc.giveup", ("idle = checkqueues()", "idle = None"))


def test_a_failed_mutation_leaves_nothing() -> None:
    good = MUTATIONS["norecheck"]
    edit = ("proc.execute", "no such text", "")
    bad = Mutation("", good.where, good.old, good.new, good.cases, (edit,))
    with pytest.raises(AssertionError, match="any more"), applied(bad):
        pass
    assert not caught(good.cases[0], 0)
