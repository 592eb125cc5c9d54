"""What every case is made of: the register, and bounds on virtual time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gort


@dataclass
class Case:
    main: Callable[[], Any]
    procs: tuple[int, ...]
    raises: type[BaseException] | None
    maxsteps: int

    @property
    def name(self) -> str:
        return self.main.__name__


CASES: dict[str, Case] = {}


class Plan:
    """The run under way: its seed, and how likely its clock runs on by itself."""

    seed = 0
    jitter = 0.0


def loose() -> bool:
    """Whether the clock runs on by itself: then no delay has an upper bound."""
    return Plan.jitter > 0


def case(
    procs: tuple[int, ...] = (1, 2, 3),
    raises: type[BaseException] | None = None,
    maxsteps: int = 100_000,
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def register(main: Callable[[], Any]) -> Callable[[], Any]:
        assert main.__name__ not in CASES, f"two cases are named {main.__name__}"
        CASES[main.__name__] = Case(main, procs, raises, maxsteps)
        return main

    return register


def soon(since: float, seconds: float, slack: float = 0.0005) -> None:
    """Now is `seconds` after `since`: never earlier, and later only by slack."""
    took = time.monotonic() - since
    assert took > seconds - 1e-6, f"{took} s after {seconds} s were asked for"
    assert loose() or took < seconds + slack, f"{took} s, not {seconds} s"


async def joinall(gs: list[Any]) -> list[Any]:
    return [await g for g in gs]


async def ended(gs: list[Any]) -> int:
    """How many of them ended by being cancelled."""
    n = 0
    for g in gs:
        try:
            await g
        except gort.Cancelled:
            n += 1
    return n
