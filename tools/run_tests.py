"""Run the test suite on several platforms and interpreters and print the total.

Each run is given as MODE:PYTHON, where MODE is `native` or `pure`. The last line of the
output is `N passed, N failed, N skipped`, over all runs. A run that crashed, ran out of
time or executed no test counts as one failure.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODES = ("native", "pure")
# Would give a run another platform, interpreter mode or package than the one asked for.
FOREIGN = ("GORT_PURE", "PYTHONPATH", "PYTHONHOME", "PYTHON_GIL", "PYTEST_ADDOPTS")

DESCRIBE = """
import importlib.util, json, platform, sys
gil = getattr(sys, "_is_gil_enabled", lambda: True)()
xdist = importlib.util.find_spec("xdist") is not None
print(json.dumps([platform.python_implementation(), platform.python_version(), gil, xdist]))
"""

CORES = len(os.sched_getaffinity(0))
MOST_WORKERS = 8
BUSY = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""
"""ends by itself with who started it, whose pid is its argument"""


@dataclasses.dataclass(frozen=True)
class Counts:
    """Count the tests of a run."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def with_failure(self) -> Counts:
        """Count a failure that no test reported."""
        return self + Counts(failed=1)


@dataclasses.dataclass(frozen=True)
class Run:
    """Name a suite's platform and interpreter."""

    mode: str
    python: Path

    @classmethod
    def parse(cls, text: str) -> Run:
        """Read MODE:PYTHON."""
        mode, _, python = text.partition(":")
        if mode not in MODES or not python:
            raise argparse.ArgumentTypeError(f"{text!r} is not native:PYTHON or pure:PYTHON")
        return cls(mode, ROOT / python)

    def env(self) -> dict[str, str]:
        """Return the environment that selects the platform."""
        env = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        return env | ({"GORT_PURE": "1"} if self.mode == "pure" else {})


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Say how a run went."""

    title: str
    counts: Counts
    remark: str = ""

    def __str__(self) -> str:
        return f"{self.title}: {self.counts}" + (f" ({self.remark})" if self.remark else "")


@dataclasses.dataclass(frozen=True)
class Interpreter:
    """Say what a run's interpreter is, and whether pytest can spread the tests there."""

    title: str
    gil: bool
    xdist: bool


def describe(run: Run) -> Interpreter:
    """Ask a run's interpreter what it is."""
    answer = subprocess.run(
        [run.python, "-c", DESCRIBE], env=run.env(), capture_output=True, text=True, check=True
    )
    name, version, gil, xdist = json.loads(answer.stdout)
    title = f"{run.mode}, {name} {version}" + ("" if gil else " free-threaded")
    return Interpreter(title, gil, xdist)


def banner(text: str) -> None:
    """Print a line that stands out."""
    print(f"\n=== {text} ".ljust(88, "="), flush=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Have a hanging suite and its workers dump their stacks, and end it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGABRT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)


def sweep(process: subprocess.Popen[bytes]) -> None:
    """End what a suite left behind in its process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Have as many processes compute meanwhile."""
    command = [sys.executable, "-c", BUSY, str(os.getpid())]
    started = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def run_pytest(run: Run, report: Path, seconds: float, arguments: Sequence[str]) -> int | None:
    """Run the suite; return its exit status, or None when it ran out of time."""
    command: list[str | Path] = [run.python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--junitxml={report}", *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=run.env(), stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        stop(process)
        return None
    finally:
        sweep(process)


def read_counts(report: Path) -> Counts | None:
    """Read pytest's report, None where the suite did not live to write it."""
    try:
        suites = list(ElementTree.parse(report).iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return None
    total = Counts()
    for suite in suites:
        tests, failures, errors, skipped = (
            int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")
        )
        failed = failures + errors
        total += Counts(max(0, tests - failed - skipped), failed, skipped)
    return total


def judge(status: int | None, counts: Counts | None) -> tuple[Counts, str]:
    """Return what counts for a run, and a remark where its tests alone do not tell."""
    found = counts or Counts()
    if status is None:
        return found.with_failure(), "ran out of time"
    if status < 0:
        return found.with_failure(), f"killed by {signal.Signals(-status).name}"
    if counts is None:
        return found.with_failure(), f"no report, exit status {status}"
    if not found.passed and not found.failed:
        return found.with_failure(), "executed no test"
    if status and not found.failed:
        return found.with_failure(), f"exit status {status}"
    return found, ""


def execute(run: Run, options: argparse.Namespace) -> Outcome:
    """Run one suite and say how it went."""
    interpreter = describe(run)
    title = interpreter.title
    banner(title)
    if run == options.free_threaded and interpreter.gil:
        return Outcome(title, Counts(failed=1), "the interpreter is not free-threaded")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gort-tests-") as folder:
        report = Path(folder, "report.xml")
        arguments = ["-o", f"faulthandler_timeout={options.hang:g}"]
        if interpreter.xdist and options.workers > 1:
            arguments += ["-n", str(options.workers), "--dist", "worksteal"]
        status = run_pytest(run, report, options.timeout, arguments + options.arguments)
        counts, remark = judge(status, read_counts(report))
    seconds = f"{time.monotonic() - start:.1f} s"
    return Outcome(title, counts, f"{seconds}, {remark.upper()}" if remark else seconds)


def missing(kind: str) -> Outcome:
    """Say loudly that a run is left out, which in CI is a failure."""
    remark = f"NOT RUN: there is no {kind} Python"
    banner(remark)
    in_ci = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
    return Outcome(f"native, {kind}", Counts(failed=int(in_ci)), remark)


def run_all(options: argparse.Namespace) -> Iterable[Outcome]:
    """Run every suite in turn."""
    for run in options.runs:
        yield execute(run, options)
    for reason in options.broken:
        yield Outcome("native", Counts(failed=1), f"NOT RUN: {reason}")
    for kind, run in (("newer", options.newer), ("free-threaded", options.free_threaded)):
        if run:
            yield execute(run, options) if run.python.exists() else missing(kind)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", nargs="*", type=Run.parse, metavar="MODE:PYTHON")
    for kind in ("--newer", "--free-threaded"):
        parser.add_argument(
            kind,
            type=Run.parse,
            metavar="MODE:PYTHON",
            help="a run that may be missing outside CI",
        )
    for name, what in (
        ("--left-out", "a run whose interpreter cannot be had"),
        ("--broken", "a run whose interpreter gort cannot be installed for: a failure"),
    ):
        parser.add_argument(name, action="append", default=[], metavar="VERSION: REASON", help=what)
    parser.add_argument(
        "--workers",
        type=int,
        default=min(CORES, MOST_WORKERS),
        metavar="N",
        help="processes for a run's tests, where there is pytest-xdist (%(default)s)",
    )
    parser.add_argument(
        "--load",
        action="store_true",
        help="run beside two processes for each core that do nothing but compute",
    )
    parser.add_argument(
        "--timeout", type=float, default=1200, metavar="SECONDS", help="for one run (%(default)s)"
    )
    parser.add_argument(
        "--hang",
        type=float,
        default=120,
        metavar="SECONDS",
        help="dump the stacks of a test that takes longer (%(default)s)",
    )
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = parser.parse_args(sys.argv[1:split])
    options.arguments = sys.argv[split + 1 :]
    return options


def main() -> int:
    """Run the command line."""
    options = parse_arguments()
    if options.load:
        os.environ.setdefault("GORT_TEST_HANG", "180")  # for a third of a core
    with busy(2 * CORES if options.load else 0):
        outcomes = list(run_all(options))
    total = sum((outcome.counts for outcome in outcomes), Counts())
    banner("summary")
    for outcome in outcomes:
        print(outcome)
    for reason in options.left_out:
        print(f"NOT RUN: {reason}")
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
