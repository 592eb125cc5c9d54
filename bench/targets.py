"""The targets of gort's speed against what was measured: `run.py --targets` checks those of
its own run, and by itself this shows those of the last run in the history.

    python bench/targets.py [--history FILE] [--markdown]
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import history
from history import Medians
from table import aligned, number

Found = tuple[float, str] | None
"""what was measured, and where if not obvious; None where it was not"""

OTHER_GIL = 1.3
"""On another interpreter with a GIL than 3.11 the limits are so much wider."""


@dataclasses.dataclass(frozen=True)
class Limit:
    bound: float
    least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.bound if self.least else value <= self.bound

    def widened(self, by: float) -> Limit:
        bound = self.bound / by if self.least else self.bound * by
        return dataclasses.replace(self, bound=bound)

    def __str__(self) -> str:
        return f"at {'least' if self.least else 'most'} {number(self.bound)}"


@dataclasses.dataclass(frozen=True)
class Target:
    text: str
    unit: str
    measured: Callable[[Medians], Found]
    gil: Limit | None
    free_threaded: Limit | None

    def limit(self, interpreter: str) -> Limit | None:
        if interpreter.endswith("free-threaded"):
            return self.free_threaded
        if self.gil is None or interpreter.startswith("Python 3.11."):
            return self.gil
        return self.gil.widened(OTHER_GIL)


def most(bound: float) -> Limit:
    return Limit(bound)


def least(bound: float) -> Limit:
    return Limit(bound, least=True)


# ---- what is compared


def over(row: str, system: str, *rows: str) -> Callable[[Medians], Found]:
    """gort's value over the system's; of several rows the greatest ratio."""

    def measured(medians: Medians) -> Found:
        ratios = [(r, name) for name in (row, *rows) if (r := ratio(medians, name, system))]
        if not ratios:
            return None
        value, name = max(ratios)
        return value, name if rows else ""

    return measured


def faster(system: str, *rows: str) -> Callable[[Medians], Found]:
    """How many times gort's value is in the system's; of several rows the least."""

    def measured(medians: Medians) -> Found:
        found = over(rows[0], system, *rows[1:])(medians)
        return None if found is None else (1 / found[0], found[1])

    return measured


def ratio(medians: Medians, row: str, system: str) -> float | None:
    values = medians.get(row, {})
    if "gort" not in values or not values.get(system):
        return None
    return values["gort"] / values[system]


def combined(formula: Callable[..., float], *cells: tuple[str, str]) -> Callable[[Medians], Found]:
    """The formula of the values of these rows and systems."""

    def measured(medians: Medians) -> Found:
        values = [medians.get(row, {}).get(system) for row, system in cells]
        return None if None in values else (formula(*values), "")

    return measured


FAST = ("pingpong", "yield", "spawn", "select")
TARGETS = (
    Target("ping-pong, 1 proc, over Go", "x", over("pingpong", "go"), most(1.2), most(2.2)),
    Target(
        "ping-pong, 2 procs over 1 proc",
        "x",
        combined(lambda two, one: two / one, ("pingpong-2", "gort"), ("pingpong", "gort")),
        None,
        most(1.5),
    ),
    Target("yield over Go", "x", over("yield", "go"), most(1.5), most(2.5)),
    Target("buffered channel over Go", "x", over("buffered", "go"), most(5), most(9)),
    Target("buffered channel, asyncio over it", "x", faster("asyncio", "buffered"), least(6), None),
    Target("buffered channel, gevent over it", "x", faster("gevent", "buffered"), least(1), None),
    Target("spawn and finish over Go", "x", over("spawn", "go"), most(1.2), most(2)),
    Target("select over Go", "x", over("select", "go"), most(2), most(4)),
    Target("asyncio over four fast rows", "x", faster("asyncio", *FAST), least(15), least(12)),
    Target("uvloop over four fast rows", "x", faster("uvloop", *FAST), least(10), least(8)),
    Target("gevent over four fast rows", "x", faster("gevent", *FAST), least(10), None),
    Target(
        "runloom over those and buffered",
        "x",
        faster("runloom", *FAST, "buffered"),
        None,
        least(1),
    ),
    Target("runloom's bytes over a goroutine's", "x", faster("runloom", "memory"), None, least(10)),
    Target(
        "bytes a parked goroutine, of a million",
        "bytes",
        combined(lambda own: own, ("memory-million", "gort")),
        most(500),
        most(700),
    ),
    Target(
        "syscall(os.stat) less the bare call",
        "ns",
        combined(lambda own: own, ("syscall-over", "gort")),
        most(250),
        most(400),
    ),
    Target("sleeps, CPU over Go's", "x", over("sleeps", "go"), most(1.5), most(2.5)),
    Target("sleeps, asyncio's CPU over it", "x", faster("asyncio", "sleeps"), least(2.5), None),
    Target(
        "Mutex, asyncio.Lock over it",
        "x",
        faster("asyncio", "mutex", "mutex-with"),
        least(4),
        least(4),
    ),
    Target("CPU speed-up over that of threads", "x", over("speedup", "plain"), None, least(0.97)),
    Target(
        "TCP echo, server CPU over uvloop's",
        "x",
        over("echo", "uvloop", "echo-protocol:echo"),
        most(1),
        most(1),
    ),
    Target("TCP echo, server CPU over Go's", "x", over("echo", "go"), None, most(1.6)),
    Target("prime sieve over Go", "x", over("sieve", "go"), most(2), most(4)),
    Target("token ring over Go", "x", over("ring", "go"), most(2), most(4)),
    Target(
        "fork-join fib(22), 1 to 2 procs",
        "x",
        combined(lambda own: own, ("fib-2:speedup", "gort")),
        None,
        least(1.5),
    ),
)


# ---- showing


def verdicts(interpreter: str, medians: Medians) -> list[list[str]]:
    """Target, limit, measured and whether it is met; those of this kind of interpreter."""
    rows = []
    for target in TARGETS:
        limit = target.limit(interpreter)
        if limit is None:
            continue
        found = target.measured(medians)
        if found is None:
            rows.append([target.text, str(limit), "-", "not measured"])
            continue
        value, where = found
        shown = f"{number(value)} {target.unit}{f' ({where})' if where else ''}"
        rows.append([target.text, str(limit), shown, "met" if limit.met(value) else "NOT MET"])
    return rows


def report(interpreter: str, medians: Medians, markdown: bool = False) -> str:
    rows = verdicts(interpreter, medians)
    met = sum(row[-1] == "met" for row in rows)
    heading = [f"{interpreter}: {met} of {len(rows)} targets met", "limit", "measured", ""]
    if markdown:
        return markdown_table([heading, *rows])
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    return "\n".join(aligned(row, widths) for row in (heading, *rows))


def markdown_table(grid: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(grid[0]) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (grid[0], rule, *grid[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description="The targets against the last run.")
    parser.add_argument("--history", type=Path, default=history.FILE, metavar="FILE")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    entries = history.load(args.history)
    if not entries:
        raise SystemExit(f"{args.history} is empty: run bench/run.py first")
    entry = entries[-1]
    print(f"{entry.date}, {entry.commit}, {entry.machine}", end="\n\n")
    for interpreter, medians in entry.medians.items():
        print(report(interpreter, medians, args.markdown), end="\n\n")


if __name__ == "__main__":
    main()
