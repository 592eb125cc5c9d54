"""The bench tools that judge: counts of instructions and what is compared, the targets, the
history and the lines of the plot. None of them needs a counter, a rival or a plot library."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gort

PURE = os.environ.get("GORT_PURE", "") not in ("", "0")
BENCH = Path(__file__).parent.parent / "bench"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    for path in [*BENCH.glob("*.py"), BENCH / "workloads.py"]:
        monkeypatch.delitem(sys.modules, path.stem, raising=False)

    def load(name: str) -> ModuleType:
        module: ModuleType = pytest.importorskip(name, reason="the benchmarks are not here")
        return module

    return load


# ---- counting


def test_valgrind_count(load: Any) -> None:
    text = (
        "version: 1\ndesc: Trigger: --dump-before=getpgrp\nsummary: 12\nfn=(1) a\n3 7\ntotals: 12\n"
    )
    assert load("counting").valgrind_count(text) == 12


def test_perf_count(load: Any) -> None:
    perf_count = load("counting").perf_count
    assert perf_count("# started\n\n1234567,,instructions:u,99,100.00,,\n") == 1234567
    assert perf_count("<not supported>,,instructions:u,0,100.00,,\n") is None
    assert perf_count("77,,cycles:u,99,100.00,,\n") is None


def test_difference(load: Any) -> None:
    """What a start, an end and a warm-up cost goes out; of the repetitions the least counts."""
    counting = load("counting")
    start, each, n = 1000, 7, 100
    once, more = start + each * n, start + each * n * counting.MORE
    assert counting.difference([once, more], n) == each
    assert counting.difference([once + 50, more, once, more + 900], n) == each
    assert counting.difference([once, "no such op"], n) == "no such op"


def test_one_process_for_all(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """per_operation finds each name's own counts again."""
    counting = load("counting")

    def count(how: str, python: str, src: str, specs: Any) -> list[int]:
        return [100 + n * (2 if name == "yield" else 5) for name, n in specs]

    monkeypatch.setattr(counting, "count", count)
    assert counting.per_operation("fake", "", "", ["yield", "spawn"]) == {"yield": 2, "spawn": 5}


def test_ops_say_what_failed(load: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ops = load("ops")
    ops.main(["mutex:3", "nothing:1", "yield:4"])
    first, second, third = capsys.readouterr().out.splitlines()
    assert (first, third) == ("ok", "ok")
    assert second.startswith("KeyError")


@pytest.mark.parametrize("name", ["echo", "timers", "sleeps", "syscall", "select", "spawn-await"])
def test_ops_run(load: Any, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    load("ops").main([f"{name}:6"])
    assert capsys.readouterr().out == "ok\n"


# ---- comparing


def test_changes(load: Any) -> None:
    check = load("check")
    base = {"a": 100.0, "b": 100.0, "c": 100.0, "d": 100.0, "e": "not there", "f": "broken"}
    head = {"a": 102.9, "b": 103.1, "c": 50.0, "d": "broken", "e": 7.0, "f": "broken"}
    found = {change.op: change for change in check.changes(base, head)}
    assert [op for op, change in found.items() if change.worse(3)] == ["b", "d"]
    assert found["c"].percent == -50
    assert found["e"].percent is None
    assert check.changes(base, head)[1].row(3) == ["b", "100", "103", "+3.1 %", "WORSE"]


def test_report_says_why(load: Any) -> None:
    check = load("check")
    text = check.report("Python", check.changes({"a": 10.0}, {"a": "KeyError: a"}), 3)
    assert "a, head: KeyError: a" in text and "WORSE" in text


def test_commits(load: Any) -> None:
    check = load("check")
    if not (BENCH.parent / ".git").exists():
        pytest.skip("not a repository")
    assert check.commit_of("HEAD") == check.git("rev-parse", "HEAD")
    assert len(check.commit_of(".")) == 40
    with pytest.raises(SystemExit) as exit:
        check.commit_of("no-such-revision")
    assert exit.value.code == 2


# ---- targets


def test_limits(load: Any) -> None:
    targets = load("targets")
    assert targets.most(2).met(2) and not targets.most(2).met(2.01)
    assert targets.least(2).met(2) and not targets.least(2).met(1.99)
    # On another interpreter with a GIL both kinds let more pass.
    assert targets.most(2).widened(1.3).met(2.6) and targets.least(2.6).widened(1.3).met(2)


def test_verdicts(load: Any) -> None:
    targets = load("targets")
    medians = {
        "pingpong": {"gort": 100.0, "go": 90.0, "asyncio": 1600.0},
        "yield": {"gort": 100.0, "go": 50.0, "asyncio": 1400.0},
        "pingpong-2": {"gort": 149.0},
        "syscall-over": {"gort": 300.0},
    }

    def found(interpreter: str) -> dict[str, list[str]]:
        return {row[0]: row[1:] for row in targets.verdicts(interpreter, medians)}

    gil = found("Python 3.11.7")
    assert gil["ping-pong, 1 proc, over Go"] == ["at most 1.20", "1.11 x", "met"]
    assert gil["yield over Go"][2] == "NOT MET"
    assert gil["asyncio over four fast rows"] == ["at least 15.0", "14.0 x (yield)", "NOT MET"]
    assert gil["syscall(os.stat) less the bare call"][1:] == ["300 ns", "NOT MET"]
    assert gil["prime sieve over Go"][1:] == ["-", "not measured"]
    assert "ping-pong, 2 procs over 1 proc" not in gil
    assert found("Python 3.13.1")["yield over Go"][0] == "at most 1.95"
    free = found("Python 3.13.5 free-threaded")
    assert free["ping-pong, 2 procs over 1 proc"][1:] == ["1.49 x", "met"]
    assert free["yield over Go"][2] == "met"
    assert free["asyncio over four fast rows"][2] == "met"


def test_targets_name_rows_that_exist(load: Any) -> None:
    """Every target can be measured: with a value in each row of the bench none is missing."""
    targets, history = load("targets"), load("history")
    systems = ("gort", "go", "asyncio", "uvloop", "gevent", "runloom", "plain")
    medians = {
        history.row_key(workload.name, row.metric): dict.fromkeys(systems, 1.0)
        for workload in load("workloads").WORKLOADS.values()
        for row in workload.rows
    }
    for interpreter in ("Python 3.11.7", "Python 3.13.5 free-threaded"):
        rows = targets.verdicts(interpreter, medians)
        assert rows and all(row[-1] in ("met", "NOT MET") for row in rows)


# ---- history and plot


def entry(history: Any, machine: str, ratio: float) -> Any:
    medians = {"Python 3.11.7": {"yield": {"gort": 100 * ratio, "go": 100.0, "asyncio": 1e3 / 3}}}
    return history.Entry("2026-01-01T00:00:00", "abc", machine, 3, medians)


def test_history(load: Any, tmp_path: Path) -> None:
    history = load("history")
    file = tmp_path / "history.jsonl"
    assert history.load(file) == []
    history.append(file, entry(history, "one", 1.5))
    history.append(file, entry(history, "two", 2))
    first, second = history.load(file)
    assert (first.machine, second.machine) == ("one", "two")
    assert first.medians["Python 3.11.7"]["yield"] == {"gort": 150, "go": 100, "asyncio": 333.3}


def test_plot_lines(load: Any) -> None:
    """Runs on other machines are left out; a row that a run lacks leaves a gap."""
    history, plot = load("history"), load("plot")
    entries = [entry(history, machine, i) for i, machine in enumerate(["one", "two", "one"], 1)]
    same = plot.comparable(entries)
    assert [e.machine for e in same] == ["one", "one"]
    lines = plot.lines(same, "Python 3.11.7")
    assert lines["yield"] == [1, 3]
    assert all(map(math.isnan, lines["spawn"]))
    assert plot.ratios(entries[0].medians["Python 3.11.7"], "asyncio") == {
        "yield": pytest.approx(0.3)
    }


def test_plot_draws(load: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    history = load("history")
    file, out = tmp_path / "history.jsonl", tmp_path / "out.svg"
    for ratio in (1, 2):
        history.append(file, entry(history, "one", ratio))
        command = [sys.executable, str(BENCH / "plot.py"), f"--history={file}", f"--out={out}"]
        subprocess.run(command, check=True)
        assert "<svg" in out.read_text()


# ---- profiles


def test_profile_parts(load: Any) -> None:
    """A function's own instructions are those outside its calls; a later part knows the names
    that an earlier one gave."""
    where = load("where")
    first = """\
ob=(1) /lib/gort/runtime/chan.so
fn=(1) send
0 11
cob=(2) /usr/bin/python3.11
cfn=(2) PyLong_New
calls=1 0
0 500
0 3
ob=(2)
fn=(2)
0 500
fn=(3) PyDict_Get'2
+1 4
totals: 518
"""
    parts = where.Parts()
    own = parts.read(first.splitlines())
    assert own["gort", "send"] == 14
    assert own["Python", "PyLong_New"] == 500
    assert own["Python", "PyDict_Get"] == 4
    assert parts.read(["ob=(1)", "fn=(1)", "* 9"]) == {("gort", "send"): 9}


def test_owners(load: Any) -> None:
    owner = load("where").owner
    assert owner("/x/src/gort/platform/native.cpython-311-x86_64-linux-gnu.so") == "gort"
    assert owner("/usr/bin/python3.13t") == "Python"
    assert owner("/usr/lib/libpython3.11.so.1.0") == "Python"
    assert owner("/lib/x86_64-linux-gnu/libc.so.6") == "others"


# ---- the programs


@pytest.mark.parametrize("system", ["gort", "asyncio"])
def test_programs(load: Any, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load("workloads")
    programs = sys.modules["workloads.programs"]
    monkeypatch.setattr(programs, "MEMBERS", 5)
    run = load("systems").SYSTEMS[system].run
    assert run(programs.SIEVE.variants[system], 10)[0] == 29
    assert run(programs.FIB_1.variants[system], 10)[0] == 55
    for hops in (1, 7):
        assert run(programs.RING.variants[system], hops) > 0


# ---- scale


@pytest.mark.parametrize("name", ["yields", "pairs", "parked", "spawns", "timers", "selects"])
def test_curves_run(load: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scale = load("scale")
    monkeypatch.setattr(scale, "OPERATIONS", 40)
    took, operations = gort.run(scale.CURVES[name][0], 10, procs=1)
    assert took > 0 and 10 <= operations <= 40


@pytest.mark.skipif(not PURE, reason="the simulator runs uncompiled: where nothing else does")
def test_simulated_processors(load: Any) -> None:
    """The same each time; twice the processors with work of their own do it in less time, and
    a pair that is alone gains nothing."""
    scalesim = load("scalesim")
    assert scalesim.cost("pairs", 2, 4) == scalesim.cost("pairs", 2, 4)
    one, two = scalesim.row("ready", 1), scalesim.row("ready", 2)
    assert two["time"] < 0.75 * one["time"]
    assert one["steps"] < two["steps"] < 2 * one["steps"]
    assert scalesim.row("one_pair", 2)["time"] >= scalesim.row("one_pair", 1)["time"]
