"""The model of bench/simgm.py: it conserves work, is deterministic, and agrees on one
processor, where P buys nothing."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parent.parent / "bench"
UNTIL = 300_000.0


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    for name in ("gm", "run", "build", "table", "harness", "systems", "workloads"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return pytest.importorskip("simgm", reason="the benchmarks are not beside the tests")


CASES = [(s, w) for s in ("gmp", "gm") for w in ("ready", "pingpong", "syscall")]


@pytest.mark.parametrize("scheduler, workload", CASES)
@pytest.mark.parametrize("n", [1, 2, 7, 32])
def test_conserved(model: Any, scheduler: str, workload: str, n: int) -> None:
    """No goroutine is lost or doubled, and no processor works longer than time goes."""
    sim = model.simulate(scheduler, workload, n, model.HERE, UNTIL)
    parked = sum(gp.parked for gp in sim.gs)
    assert sim.queued() + sim.running + parked + sim.outside == len(sim.gs)
    assert sim.runs > 0
    assert sim.worked + sim.runs * model.HERE.switch <= n * UNTIL * 1.0001


@pytest.mark.parametrize("scheduler, workload", CASES)
def test_deterministic(model: Any, scheduler: str, workload: str) -> None:
    def once(seed: int) -> tuple[int, float, int]:
        sim = model.simulate(scheduler, workload, 8, model.HERE, UNTIL, seed)
        return sim.runs, sim.worked, sim.lock.taken

    assert once(1) == once(1)
    assert once(1) != once(2)


@pytest.mark.parametrize("workload", ["ready", "pingpong"])
def test_one_processor(model: Any, workload: str) -> None:
    """Alone, the schedulers differ by the cost of their queues and by nothing else."""
    costs = model.HERE
    p, m = (model.simulate(s, workload, 1, costs, UNTIL) for s in ("gmp", "gm"))
    assert m.lock.contended == 0
    a_slice = {sim: UNTIL / sim.runs - sim.worked / sim.runs for sim in (p, m)}
    # Two turns of the lock against one of the ring.
    queues = 2 * (costs.lock + costs.section) - costs.local
    assert a_slice[m] - a_slice[p] == pytest.approx(queues, abs=0.03 * costs.work)


def test_free_queues_are_equal(model: Any) -> None:
    """With queues that cost nothing, one is as good as many."""
    free = dict.fromkeys(("lock", "line", "section", "local", "wakecall", "wakelatency"), 0.0)
    costs = dataclasses.replace(model.HERE, **free)
    p, m = (model.simulate(s, "ready", 4, costs, UNTIL).throughput() for s in ("gmp", "gm"))
    assert m == pytest.approx(p, rel=0.1)


def test_one_lock_does_not_scale(model: Any) -> None:
    """What the model is for; it would not show if the lock cost nothing."""
    for n, least in ((32, 2.0), (64, 4.0)):
        p, m = (model.simulate(s, "ready", n, model.HERE, UNTIL) for s in ("gmp", "gm"))
        assert p.throughput() > least * m.throughput()
        assert m.lock.contended > 0.9 * m.lock.taken
        assert p.lock.contended < 0.1 * max(1, p.lock.taken)
