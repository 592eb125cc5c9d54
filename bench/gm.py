"""Compares the G-M scheduler (GODEBUG=sched=gm) with G-M-P on this machine, and prints
the tables of docs/gm.md:

    python bench/gm.py --python .venv/bin/python .venv-ft/bin/python

Times, threads and sleeps come from the gort that each interpreter has installed. Locks
and locality come from runs of their own, on a copy that is built for it with
-DGORT_LOCKSTATS (half a minute). Each value is the median over the rounds; a round takes
every case in turn, and for each case one scheduler after the other, in fresh processes,
the other one first every second time. The source tree is that of this script.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from run import cpu_model, executable, progress
from table import number

HERE = Path(__file__).parent
TIMEOUT = 120
SCHEDULERS = ("gmp", "gm")
WORKLOADS = ("spawn", "pingpong", "pingpongs", "fan", "syscall", "blocking")


@dataclasses.dataclass(frozen=True)
class Case:
    python: str
    workload: str
    procs: int
    scheduler: str
    counted: bool
    """on the build that counts"""


@dataclasses.dataclass
class Bench:
    seconds: float
    counting: dict[str, str]
    """for each interpreter, where the build that counts lies"""
    rounds: dict[Case, list[dict[str, float]]] = dataclasses.field(default_factory=dict)

    def measure(self, case: Case) -> None:
        env = dict(os.environ, GODEBUG=f"sched={case.scheduler}")
        if case.counted:
            env["PYTHONPATH"] = self.counting[case.python]
        look = "1" if case.counted else "0"
        arguments = [case.workload, str(case.procs), str(self.seconds), look]
        command = [case.python, str(HERE / "gm_work.py"), *arguments]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT)
        if done.returncode:
            sys.exit(f"{' '.join(command)}:\n{done.stderr}")
        found = json.loads(done.stdout)
        gm = case.scheduler == "gm"  # which takes the lock all the time
        if found["gm"] != gm or (gm and case.counted != bool(found["lock_taken"])):
            sys.exit(f"{case.python}: not the scheduler or the build that was asked for: {found}")
        self.rounds.setdefault(case, []).append(found)

    def median(self, case: Case, metric: str) -> float:
        return statistics.median(found[metric] for found in self.rounds[case])

    def ratio(self, case: Case, to: Case) -> float:
        """Of the times; the median of the rounds' own ratios."""
        rounds = zip(self.rounds[case], self.rounds[to], strict=True)
        return statistics.median(a["ns"] / b["ns"] for a, b in rounds)


def build_counting(python: str, where: str) -> str:
    """Build a gort that counts its lock; the folder to put on PYTHONPATH."""
    env = dict(os.environ, CFLAGS="-O3 -DGORT_LOCKSTATS")
    built = str(Path(where) / "lib")
    folders = ["--build-lib", built, "--build-temp", str(Path(where) / "temp")]
    for part in ("build_py", "build_ext"):
        options = folders if part == "build_ext" else folders[:2]
        done = subprocess.run(
            [python, "setup.py", part, *options],
            env=env,
            cwd=HERE.parent,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"cannot build with {python}:\n{done.stderr[-2000:]}")
    return built


def cases(args: argparse.Namespace, turn: int) -> Iterator[Case]:
    order = SCHEDULERS[:: -1 if turn % 2 else 1]
    for python in args.python:
        for workload in args.only:
            for procs in args.procs:
                for scheduler in order:
                    yield Case(python, workload, procs, scheduler, False)
                    if turn < args.counted_rounds:
                        yield Case(python, workload, procs, scheduler, True)


def version(python: str) -> str:
    code = (
        "import sys; gil = getattr(sys, '_is_gil_enabled', lambda: True)();"
        "print(sys.version.split()[0] + ('' if gil else ' free-threaded'))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


# ---- showing


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shown(value: float) -> str:
    return number(value) if value >= 0.0005 else "0"


def times(bench: Bench, python: str, args: argparse.Namespace) -> str:
    """Nanoseconds an operation, their ratio, Ms started, and sleeps of threads."""
    rows = []
    for workload in args.only:
        for procs in args.procs:
            p, m = (Case(python, workload, procs, s, False) for s in SCHEDULERS)
            row = [f"{workload}, {procs}"]
            row += [number(bench.median(c, "ns")) for c in (p, m)]
            row += [f"{bench.ratio(m, p):.2f}"]
            row += [f"{bench.median(c, 'threads'):g}" for c in (p, m)]
            row += [shown(bench.median(c, "sleeps")) for c in (p, m)]
            rows.append(row)
    head = ["workload, procs", "G-M-P ns", "G-M ns", "G-M / G-M-P"]
    head += ["Ms G-M-P", "G-M", "sleeps/op G-M-P", "G-M"]
    return markdown(head, rows)


def counts(bench: Bench, python: str, args: argparse.Namespace) -> str:
    """sched.lock, and locality."""
    rows = []
    metrics = ("lock_taken", "lock_contended", "lock_wait_ns", "moved", "crossed")
    for workload in args.only:
        for procs in args.procs:
            row = [f"{workload}, {procs}"]
            for metric in metrics:
                for scheduler in SCHEDULERS:
                    case = Case(python, workload, procs, scheduler, True)
                    value = bench.median(case, metric)
                    share = metric in ("moved", "crossed")
                    row.append(f"{100 * value:.1f}%" if share else shown(value))
            rows.append(row)
    head = ["workload, procs"]
    for name in ("taken/op", "contended/op", "wait ns/op", "moved", "crossed"):
        head += [f"{name} G-M-P", "G-M"]
    return markdown(head, rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", nargs="+", default=[sys.executable], type=executable)
    parser.add_argument("--procs", nargs="+", default=[1, 2], type=int)
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--counted-rounds", default=3, type=int)
    parser.add_argument("--seconds", default=0.3, type=float, help="length of a timed loop")
    parser.add_argument("--only", nargs="+", default=WORKLOADS, choices=WORKLOADS)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        counting = {}
        for i, python in enumerate(args.python):
            progress(f"building for {python}")
            counting[python] = build_counting(python, str(Path(folder) / str(i)))
        bench = Bench(args.seconds, counting)
        for turn in range(args.rounds):
            for case in cases(args, turn):
                progress(f"round {turn + 1}: {case.workload} {case.procs} {case.scheduler}")
                bench.measure(case)
        progress("")
    print(f"{cpu_model()}, {os.cpu_count()} CPUs; medians of {args.rounds} rounds\n")
    for python in args.python:
        print(f"Python {version(python)}\n\n{times(bench, python, args)}\n")
        print(f"{counts(bench, python, args)}\n")


if __name__ == "__main__":
    main()
