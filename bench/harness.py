"""What a workload is, and how the usual kind is timed. Both sides import this module:
`run.py`, which plans and prints, and `measure.py`, which measures in a fresh process."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

Metrics = dict[str, float]
Main = Callable[..., Any]
"""A variant: one system's program for one workload, `async def` where that is its idiom."""

Run = Callable[..., Any]
"""run(main, *args, procs=1): boots a system, returns what main returned."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much work one measurement does."""

    seconds: float = 0.4
    """length of a timed loop"""
    parked: int = 100_000
    sleepers: int = 100_000
    late_seconds: float = 3.0
    idle_seconds: float = 2.0
    echo_seconds: float = 2.0

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Scale:
        return cls(**json.loads(text))


FULL = Scale()
QUICK = Scale(
    seconds=0.1,
    parked=20_000,
    sleepers=20_000,
    late_seconds=1.2,
    idle_seconds=0.5,
    echo_seconds=0.5,
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: a metric that the measurement returns, and its words."""

    metric: str
    label: str
    unit: str
    ratio: bool = True
    """whether gort's value over another system's says anything"""


Measure = Callable[[Run, Main, Scale], Metrics]


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    rows: tuple[Row, ...]
    measure: Measure
    in_go: bool = False
    """the Go program has it, and measures itself"""
    free_threaded: bool = False
    """says nothing on an interpreter with a GIL"""
    variants: dict[str, Main] = dataclasses.field(default_factory=dict)

    def variant(self, *systems: str) -> Callable[[Main], Main]:
        """Decorator: this function is the program of these systems."""

        def register(main: Main) -> Main:
            for system in systems:
                self.variants[system] = main
            return main

        return register

    def systems(self) -> set[str]:
        return set(self.variants) | ({"go"} if self.in_go else set())


def per_operation(
    name: str, label: str, *, procs: int = 1, free_threaded: bool = False
) -> Workload:
    """A workload of n equal operations. Its variants take n, and return the nanoseconds
    that the operations took, boot and set-up left out."""

    def measure(run: Run, main: Main, scale: Scale) -> Metrics:
        n = enough(lambda n: run(main, n, procs=procs), scale.seconds)
        return {name: run(main, n, procs=procs) / n}

    row = Row(name, label, "ns")
    return Workload(name, (row,), measure, in_go=True, free_threaded=free_threaded)


def enough(timed: Callable[[int], int], seconds: float) -> int:
    """The n with which `timed` (nanoseconds of n operations) lasts about so long. The search
    is the warm-up too."""
    n, target = 100, seconds * 1e9
    while (took := timed(n)) < target / 8:
        n *= min(10, max(2, int(target / 4 / max(took, 1))))
    return max(1, int(n * target / took))
