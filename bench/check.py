"""Compares two commits by the instructions that an operation takes, which a busy machine does
not change: a regression is seen without a quiet one.

    python bench/check.py [--base HEAD~1] [--head HEAD] [--python PATH ...]

`.` stands for the working tree. Each commit is built once, in the user's cache directory, for
each interpreter, which needs what pyproject.toml requires for a build. Exit status 1 when an
operation grew by more than the threshold, or does not run any more; 2 when it could not be
compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import build
import counting
from ops import OPS
from table import aligned

ROOT = Path(__file__).parent.parent
NEEDED = ("src", "setup.py", "pyproject.toml", "README.md")
LOG_LINES = 15
PERCENT = 3.0
FREE_THREADED_PERCENT = 5.0
"""Two counts of the same commit differ by up to 1 percent, without a GIL by up to 3."""

ABOUT = """
import sys, sysconfig, Cython
free = " free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print(f"Python {sys.version.split()[0]}{free}", sysconfig.get_config_var("EXT_SUFFIX"),
      Cython.__version__, sep="\\n")
"""

Cost = float | str
"""instructions an operation, or why there are none"""


@dataclasses.dataclass(frozen=True)
class Change:
    op: str
    base: Cost
    head: Cost

    @property
    def percent(self) -> float | None:
        if isinstance(self.base, str) or isinstance(self.head, str) or self.base <= 0:
            return None
        return 100 * (self.head / self.base - 1)

    def worse(self, threshold: float) -> bool:
        """More costly by more than so many percent, or broken."""
        if isinstance(self.head, str):
            return not isinstance(self.base, str)
        return self.percent is not None and self.percent > threshold

    def row(self, threshold: float) -> list[str]:
        change = "" if self.percent is None else f"{self.percent:+.1f} %"
        mark = "WORSE" if self.worse(threshold) else ""
        return [self.op, shown(self.base), shown(self.head), change, mark]


def changes(base: Mapping[str, Cost], head: Mapping[str, Cost]) -> list[Change]:
    return [Change(op, base[op], head[op]) for op in head]


def shown(cost: Cost) -> str:
    return "-" if isinstance(cost, str) else f"{cost:.0f}"


def report(title: str, found: Sequence[Change], threshold: float) -> str:
    heading = [title, "base", "head", "change", ""]
    grid = [heading, *(change.row(threshold) for change in found)]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = [aligned(row, widths) for row in grid]
    for change in found:
        for which, cost in (("base", change.base), ("head", change.head)):
            if isinstance(cost, str):
                lines.append(f"{change.op}, {which}: {cost}")
    return "\n".join(lines)


# ---- the commits, built


@dataclasses.dataclass(frozen=True)
class Interpreter:
    path: str
    name: str
    suffix: str
    cython: str

    @property
    def threshold(self) -> float:
        return FREE_THREADED_PERCENT if self.name.endswith("free-threaded") else PERCENT


def look_at(path: str) -> Interpreter:
    done = subprocess.run([path, "-c", ABOUT], capture_output=True, text=True)
    if done.returncode:
        give_up(f"{path}: {done.stderr.strip().splitlines()[-1]}")
    return Interpreter(path, *done.stdout.splitlines())


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        give_up(done.stderr.strip())
    return done.stdout.strip()


def commit_of(revision: str) -> str:
    """Its hash; of the working tree a commit of its own that no branch has."""
    if revision == "." and git("status", "--porcelain", "--untracked-files=no"):
        return git("stash", "create")
    if revision == ".":
        revision = "HEAD"
    return git("rev-parse", "--verify", f"{revision}^{{commit}}")


def built(commit: str, interpreter: Interpreter) -> str:
    """The folder to put on PYTHONPATH. Commits that have the same sources share it."""
    sources = git("rev-parse", f"{commit}:src", f"{commit}:setup.py")
    flags = os.environ.get("CFLAGS", "")
    state = "\n".join((sources, interpreter.suffix, interpreter.name, interpreter.cython, flags))
    folder = build.cache() / f"commit-{hashlib.sha256(state.encode()).hexdigest()[:16]}"
    if not folder.exists():
        print(f"building {commit[:10]} for {interpreter.name} ...", file=sys.stderr)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="new-") as scratch:
            build_in(Path(scratch), commit, interpreter)
            (Path(scratch) / "src").rename(folder)
    return str(folder)


def build_in(scratch: Path, commit: str, interpreter: Interpreter) -> None:
    there = [name for name in NEEDED if git("ls-tree", "--name-only", commit, name)]
    archive = subprocess.run(
        ["git", "archive", commit, *there], check=True, capture_output=True, cwd=ROOT
    )
    subprocess.run(["tar", "-x"], check=True, input=archive.stdout, cwd=scratch)
    command = [interpreter.path, "setup.py", "build_ext", "--inplace"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=scratch)
    if done.returncode:
        said = (done.stdout + done.stderr).splitlines()[-LOG_LINES:]
        give_up("\n".join([f"{commit[:10]} does not build for {interpreter.name}:", *said]))


def give_up(why: str) -> None:
    print(why, file=sys.stderr)
    sys.exit(2)


# ---- the command line


def ops(text: str) -> list[str]:
    """An argparse type: operations, separated by commas."""
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in OPS]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are: {', '.join(OPS)}")
    return chosen


def executable(text: str) -> str:
    path = shutil.which(text)
    if path is None:
        raise argparse.ArgumentTypeError(f"no {text}")
    return path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="HEAD~1", metavar="REV")
    parser.add_argument("--head", default="HEAD", metavar="REV")
    parser.add_argument(
        "--python", nargs="+", default=[sys.executable], type=executable, metavar="PATH"
    )
    parser.add_argument("--only", type=ops, default=list(OPS), metavar="OPS")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="PERCENT",
        help=f"default: {PERCENT:g}, on a free-threaded interpreter {FREE_THREADED_PERCENT:g}",
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        how = counting.counter()
    except counting.Unavailable as why:
        give_up(str(why))
    base, head = commit_of(args.base), commit_of(args.head)
    print(f"instructions an operation, by {how}: base {base[:10]}, head {head[:10]}\n")
    worse = False
    for interpreter in map(look_at, args.python):
        costs = [
            counting.per_operation(how, interpreter.path, built(commit, interpreter), args.only)
            for commit in (base, head)
        ]
        found = changes(*costs)
        threshold = args.threshold or interpreter.threshold
        print(report(interpreter.name, found, threshold), end="\n\n", flush=True)
        worse = worse or any(change.worse(threshold) for change in found)
    sys.exit(worse)


if __name__ == "__main__":
    main()
