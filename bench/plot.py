"""Draws docs/bench.svg from the history: the last run's ratios, a dot for each row and
interpreter, and how the ratios to Go went from run to run.

    python bench/plot.py [--history FILE] [--out FILE]

needs matplotlib (bench/requirements.txt).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import history
from targets import ratio

OUT = Path(__file__).parent.parent / "docs" / "bench.svg"
ROWS = {
    "pingpong": "ping-pong, 1 proc",
    "pingpong-2": "ping-pong, 2 procs",
    "yield": "yield",
    "buffered": "buffered channel",
    "select": "select",
    "spawn": "spawn and finish",
    "spawn-await": "spawn and await",
    "mutex": "mutex, two calls",
    "mutex-with": "mutex, async with",
    "sieve": "prime sieve",
    "ring": "token ring",
    "fib": "fork-join fib(22)",
    "sleeps": "sleeps, CPU",
    "echo": "TCP echo, CPU",
    "memory": "bytes a goroutine",
}
"""The rows in the order of the picture."""

FOLLOWED = ("pingpong", "yield", "spawn", "select", "buffered", "sieve")
"""The rows whose history is drawn."""

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")
GRID = {"which": "major", "axis": "x", "color": "#dddddd", "linewidth": 0.8}


def ratios(medians: history.Medians, system: str) -> dict[str, float]:
    """gort's value over the system's, of the rows that have both."""
    found = {row: ratio(medians, row, system) for row in ROWS}
    return {row: value for row, value in found.items() if value is not None}


def lines(entries: Sequence[history.Entry], interpreter: str) -> dict[str, list[float]]:
    """For each row that is followed its ratio to Go in each entry, NaN where there is none."""
    return {
        row: [ratio(entry.medians.get(interpreter, {}), row, "go") or math.nan for entry in entries]
        for row in FOLLOWED
    }


def comparable(entries: Sequence[history.Entry]) -> list[history.Entry]:
    """Those of the last one's machine."""
    return [entry for entry in entries if entry.machine == entries[-1].machine]


def draw(entries: Sequence[history.Entry], out: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    # The same file for the same history.
    matplotlib.rcParams.update({"svg.hashsalt": "gort", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot

    entries = comparable(entries)
    last = entries[-1]
    past = len(entries) > 1
    figure = pyplot.figure(figsize=(10, 9 if past else 5.2), layout="constrained")
    grid = figure.add_gridspec(2 if past else 1, 2, height_ratios=[5, 3.3][: 1 + past])
    for column, system in enumerate(("go", "asyncio")):
        dots(figure.add_subplot(grid[0, column]), last, system, labels=column == 0)
    for column, interpreter in enumerate(list(last.medians)[:2] if past else []):
        development(figure.add_subplot(grid[1, column]), entries, interpreter)
    figure.suptitle(f"gort at {last.commit}, {last.date[:10]}; {last.machine}", fontsize=9)
    figure.savefig(out, format="svg", metadata={"Date": None})


def dots(axes: Any, entry: history.Entry, system: str, labels: bool) -> None:
    name = {"go": "Go"}.get(system, system)
    height = {row: -i for i, row in enumerate(ROWS)}
    for colour, (interpreter, medians) in zip(COLOURS, entry.medians.items(), strict=False):
        found = ratios(medians, system)
        if system == "asyncio":
            found = {row: 1 / value for row, value in found.items()}
        at = [height[row] for row in found]
        axes.plot(list(found.values()), at, "o", color=colour, label=interpreter)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.set_yticks(list(height.values()), list(ROWS.values()) if labels else [""] * len(ROWS))
    axes.grid(**GRID)
    axes.grid(axis="y", color="#f0f0f0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title(
        f"gort over {name}: left of 1x gort needs less"
        if system == "go"
        else f"{name} over gort: right of 1x gort needs less"
    )
    if labels:
        axes.legend(fontsize=8, loc="lower right")


def development(axes: Any, entries: Sequence[history.Entry], interpreter: str) -> None:
    labels = [f"{entry.commit}\n{entry.date[5:10]}" for entry in entries]
    for colour, (row, values) in zip(COLOURS, lines(entries, interpreter).items(), strict=True):
        axes.plot(range(len(entries)), values, "o-", color=colour, label=ROWS[row], markersize=4)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}x" if value in (2, 5) else "")
    axes.set_xticks(range(len(entries)), labels, fontsize=7)
    axes.grid(axis="y", which="both", color="#eeeeee", linewidth=0.8)
    axes.set_title(f"over Go, run by run: {interpreter}")
    axes.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16))


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the ratios of the history's last run.")
    parser.add_argument("--history", type=Path, default=history.FILE, metavar="FILE")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE")
    args = parser.parse_args()
    entries = history.load(args.history)
    if not entries:
        raise SystemExit(f"{args.history} is empty: run bench/run.py first")
    draw(entries, args.out)


if __name__ == "__main__":
    main()
