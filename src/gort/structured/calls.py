"""A call that a user gives as a function, or as a tuple of a function and its arguments."""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any

Call = tuple[Callable[..., Any], tuple[Any, ...]]


def callof(what: str, given: Any) -> Call:
    """Check it and take it apart; what: who was given it, for the error."""
    fn, *args = given if isinstance(given, tuple) and given else (given,)
    if isinstance(fn, CoroutineType):
        fn.close()
        raise TypeError(
            f"{what} wants functions, or tuples of a function and its arguments, not the "
            f"coroutine object {fn.__qualname__}(): pass ({fn.__name__}, ...)"
        )
    if not callable(fn):
        raise TypeError(
            f"{what} wants functions, or tuples of a function and its arguments, "
            f"not {type(fn).__name__}"
        )
    return fn, tuple(args)


def onefailure(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a group raised, as its first failure, with a note that names each other one."""
    first, *others = failed.exceptions
    for exc in others:
        try:
            text = str(exc)
        except Exception as why:
            text = f"<its text cannot be had: {type(why).__name__}>"
        first.add_note(f"another call failed too: {type(exc).__name__}: {text}")
    return first


def checklimit(what: str, limit: int | None) -> int:
    """How many may run that a user gave; 0 is all."""
    if limit is None:
        return 0
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"{what}: limit must be an int or None, not {type(limit).__name__}")
    if limit < 1:
        raise ValueError(f"{what}: limit must be at least 1, not {limit}; None is no limit")
    return min(limit, 1 << 30)
