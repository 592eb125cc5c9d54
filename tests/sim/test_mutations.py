"""The simulator catches each classic fault, with a seed that is known to show it."""

from __future__ import annotations

import warnings

import pytest
from mutations import MUTATIONS, Mutation, applied, caught, mutant

from gort.testing._swap import swapped


@pytest.mark.parametrize("name", MUTATIONS)
def test_caught(name: str) -> None:
    mutation = MUTATIONS[name]
    case = mutation.cases[0]
    with swapped():
        assert not caught(case, mutation.seed), "it fails without the fault"
        with applied(mutation), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # coroutines that were cut off
            assert caught(case, mutation.seed), mutation.fault
        assert not caught(case, mutation.seed), "the fault is still there"


def test_stale_text_fails_loudly() -> None:
    with pytest.raises(AssertionError, match="does not hold this text any more"):
        mutant("proc.giveup", ("idle = checkqueues()", "idle = None"))


def test_a_failed_mutation_leaves_nothing() -> None:
    good = MUTATIONS["norecheck"]
    bad = Mutation(
        "", good.where, good.old, good.new, good.cases, 0, (("proc.execute", "no such text", ""),)
    )
    with pytest.raises(AssertionError, match="any more"), applied(bad):
        pass
    assert not caught(good.cases[0], good.seed)
