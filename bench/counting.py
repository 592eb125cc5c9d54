"""Instructions of programs, counted by the processor (perf) where it lets us, and by valgrind
where not: the same on a busy machine as on a quiet one. Code of the user only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops import MARK, OPS

SCRIPT = Path(__file__).parent / "ops.py"
TIMEOUT = 1200
WARM_UP = 500
EVENT = "instructions:u"

Spec = tuple[str, int]
"""an operation's name and how many of it"""

Counts = list[int | str]
"""for each spec its instructions, or why there are none"""


class Unavailable(Exception):
    """Neither counter works here."""


def counter() -> str:
    """perf or valgrind."""
    if shutil.which("perf"):
        done = subprocess.run(
            ["perf", "stat", "-x,", "-e", EVENT, "true"], capture_output=True, text=True
        )
        if done.returncode == 0 and perf_count(done.stderr) is not None:
            return "perf"
    if shutil.which("valgrind"):
        return "valgrind"
    raise Unavailable("no counter of instructions: install valgrind, or perf on real hardware")


def count(how: str, python: str, src: str, specs: Sequence[Spec]) -> Counts:
    env = {**os.environ, "PYTHONPATH": src, "PYTHONHASHSEED": "0"}
    if how == "valgrind":
        return by_valgrind(python, env, specs)
    return [by_perf(python, env, spec) for spec in specs]


def by_valgrind(python: str, env: Mapping[str, str], specs: Sequence[Spec]) -> Counts:
    """All in one process: the counts come from one mark to the next."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "callgrind"
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        command = [*tool, f"--dump-before={MARK}", python, str(SCRIPT), *spelled(specs)]
        done = run(command, env)
        if isinstance(done, str):
            return [done] * len(specs)
        # The first mark ends the start of the process.
        texts = [Path(f"{out}.{i + 2}") for i in range(len(specs))]
        return [
            valgrind_count(text.read_text()) if said == "ok" else said
            for text, said in zip(texts, done.stdout.splitlines(), strict=True)
        ]


def by_perf(python: str, env: Mapping[str, str], spec: Spec) -> int | str:
    """A process of its own, start included, which a difference of two takes out."""
    command = ["perf", "stat", "-x,", "-e", EVENT, python, str(SCRIPT), *spelled([spec])]
    done = run(command, env)
    if isinstance(done, str):
        return done
    said = done.stdout.strip()
    if said != "ok":
        return said
    found = perf_count(done.stderr)
    return "perf counted nothing" if found is None else found


def run(command: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str] | str:
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return f"no end in {TIMEOUT} s"
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("==")]
        return said[-1] if said else f"exit status {done.returncode}"
    return done


def spelled(specs: Sequence[Spec]) -> list[str]:
    return [f"{name}:{n}" for name, n in specs]


def valgrind_count(text: str) -> int:
    """Of what one mark wrote."""
    found = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
    assert found, "callgrind wrote no totals"
    return int(found[1])


def perf_count(text: str) -> int | None:
    """Of the lines of `perf stat -x,`."""
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[2].startswith("instructions") and fields[0].isdigit():
            return int(fields[0])
    return None


# ---- per operation


def per_operation(
    how: str, python: str, src: str, names: Sequence[str], times: float = 1
) -> dict[str, float | str]:
    """Instructions of one operation: of 2n less those of n, so that the start, the end and
    the warm-up go out."""
    specs: list[Spec] = []
    for name in names:
        n = int(OPS[name][1] * times)
        specs += [(name, min(n, WARM_UP)), (name, n), (name, 2 * n)]
    counts = count(how, python, src, specs)
    return {
        name: difference(counts[3 * i + 1], counts[3 * i + 2], specs[3 * i + 1][1])
        for i, name in enumerate(names)
    }


def difference(once: int | str, twice: int | str, n: int) -> float | str:
    if isinstance(once, str):
        return once
    return twice if isinstance(twice, str) else (twice - once) / n
