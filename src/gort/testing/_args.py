"""What the arguments of gort.testing must be; said at the call."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .. import _pure


def whole(what: str, value: Any, least: int) -> int:
    """value, if it is a whole number of at least `least`."""
    try:
        n = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be a whole number, not {value!r:.60}") from None
    if n < least:
        raise ValueError(f"{what} must be at least {least}, not {n}")
    return n


def aseed(what: str, value: Any) -> int:
    """value, if it may be a seed: any whole number."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be a whole number, not {value!r:.60}") from None


def share(what: str, value: Any) -> float:
    """value, if it is a probability."""
    try:
        p = float(operator.index(value)) if isinstance(value, int) else value + 0.0
    except TypeError:
        p = None
    if not isinstance(p, float):
        raise TypeError(f"{what} must be a number from 0 to 1, not {value!r:.60}")
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{what} must be from 0 to 1, not {value!r}")
    return p


def duration(what: str, value: Any) -> float:
    """value, if it is a number of seconds that pass."""
    try:
        s = value + 0.0
    except TypeError:
        s = None
    if not isinstance(s, float):
        raise TypeError(f"{what} must be a number of seconds, not {value!r:.60}")
    if math.isnan(s) or math.isinf(s) or s < 0:
        raise ValueError(f"{what} must be a number of seconds that is not negative, not {value!r}")
    return s


def function(what: str, fn: Any) -> None:
    """fn is to be called: not a coroutine, nor anything else."""
    if callable(fn):
        return
    if hasattr(fn, "cr_code"):
        fn.close()
        raise TypeError(
            f"{what} wants a function, not the coroutine object {fn.__qualname__}(): pass "
            f"{fn.__name__} and its arguments apart, {what}({fn.__name__}, ...)"
        )
    raise TypeError(f"{what} wants a function (async def or def), not {type(fn).__name__}")


def program(what: str, main: Any, procs: Any, maxsteps: Any, jitter: Any = 0.0) -> None:
    """The arguments of whatever runs a program."""
    function(what, main)
    if procs is None:
        raise TypeError(f"{what}: procs must be a whole number, not None")
    _pure.simulated().runtime.world.checkprocs(whole(f"{what}: procs", procs, 1))
    whole(f"{what}: maxsteps", maxsteps, 1)
    share(f"{what}: jitter", jitter)


def seedsof(what: str, seeds: Any) -> Iterator[int]:
    """Each of `seeds`: so many from 0 on, or those that it yields. There is at least one."""
    if hasattr(type(seeds), "__index__"):
        return iter(range(whole(f"{what}: seeds", seeds, 1)))
    if isinstance(seeds, (str, bytes)) or not isinstance(seeds, Iterable):
        raise TypeError(
            f"{what}: seeds must be how many, or which ones (such as range(10, 20)), "
            f"not {seeds!r:.60}"
        )
    return each(what, iter(seeds))


def each(what: str, seeds: Iterator[Any]) -> Iterator[int]:
    n = 0
    for seed in seeds:
        n += 1
        yield aseed(f"{what}: each seed", seed)
    if n == 0:
        raise ValueError(f"{what}: there must be at least one seed; nothing would be tried")


def hook(what: str, fn: Callable[..., Any] | None) -> None:
    if fn is not None and not callable(fn):
        raise TypeError(f"{what} must be a function or None, not {type(fn).__name__}")


def octets(what: str, data: Any) -> bytes:
    """data as bytes."""
    try:
        return bytes(memoryview(data))
    except TypeError:
        raise TypeError(f"{what} must be bytes, not {type(data).__name__}") from None
