"""Instructions of programs, counted by the processor (perf) where it lets us, and by valgrind
where not: the same on a busy machine as on a quiet one. Code of the user only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops import MARK, OPS

SCRIPT = Path(__file__).parent / "ops.py"
TIMEOUT = 1200
WARM_UP = 500
MORE = 4
REPETITIONS = 5
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
    with dumps(python, env, specs) as found:
        if isinstance(found, str):
            return [found] * len(specs)
        counts = [valgrind_count(text) if said == "ok" else said for said, text in found]
        return counts[1:]


@contextmanager
def dumps(
    python: str, env: Mapping[str, str], specs: Sequence[Spec]
) -> Iterator[Iterable[tuple[str, str]] | str]:
    """What each spec said and what callgrind wrote at its end, or why there is nothing. All in
    one process, all of its threads: the counts come from one mark to the next."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "callgrind"
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        command = [*tool, f"--dump-before={MARK}", python, str(SCRIPT), *spelled(specs)]
        done = run(command, env)
        if isinstance(done, str):
            yield done
            return
        # The first mark ends the start of the process.
        texts = (Path(f"{out}.{i}").read_text() for i in range(1, len(specs) + 2))
        yield zip(["start", *done.stdout.splitlines()], texts, strict=True)


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


def per_operation(how: str, python: str, src: str, names: Sequence[str]) -> dict[str, float | str]:
    """Instructions of one operation: of many less those of few, so that the start, the end and
    the warm-up go out. The least of some repetitions: what differs from one to the next comes
    on top, as the looks of sysmon, a collection, or a P that goes to another thread, whose
    objects a free-threaded interpreter then counts by atomic operations."""
    specs: list[Spec] = []
    for name in names:
        n = OPS[name][1]
        specs += [(name, WARM_UP), *[(name, n), (name, MORE * n)] * REPETITIONS]
    counts = count(how, python, src, specs)
    each = len(specs) // len(names)
    return {
        name: difference(counts[i * each + 1 : (i + 1) * each], OPS[name][1])
        for i, name in enumerate(names)
    }


def difference(counts: Counts, n: int) -> float | str:
    """Of counts of n and of MORE * n by turns."""
    if said := [why for why in counts if isinstance(why, str)]:
        return said[0]
    few, many = min(counts[::2]), min(counts[1::2])
    return (many - few) / ((MORE - 1) * n)
