"""The table: a line for each row, a column for each system, gort's ratio beside each value."""

from __future__ import annotations

from collections.abc import Sequence

Cell = float | str | None
"""a value, a word where there is none, or nothing"""

Line = tuple[str, Sequence[Cell], bool]
"""label, a cell for each system, and whether ratios say anything"""


def table(systems: Sequence[str], lines: Sequence[Line]) -> str:
    grid = [["", *systems]]
    for label, cells, ratio in lines:
        gort = cells[systems.index("gort")] if ratio and "gort" in systems else None
        texts = [
            shown(cell, None if system == "gort" else gort)
            for system, cell in zip(systems, cells, strict=True)
        ]
        grid.append([label, *texts])
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    return "\n".join(aligned(texts, widths) for texts in grid)


def aligned(texts: Sequence[str], widths: Sequence[int]) -> str:
    label, *rest = (
        text.rjust(width) if i else text.ljust(width)
        for i, (text, width) in enumerate(zip(texts, widths, strict=True))
    )
    return "   ".join([label, *rest]).rstrip()


def shown(cell: Cell, gort: Cell) -> str:
    """The value, with gort's over it in brackets."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if not isinstance(gort, float) or cell <= 0:
        return number(cell)
    return f"{number(cell)} ({number(gort / cell)}x)"


def number(value: float) -> str:
    """About three digits."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"
