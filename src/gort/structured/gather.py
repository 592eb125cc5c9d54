"""gort.gather: several calls at once, their results in order."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ..runtime.group import group
from .calls import Call, callof, onefailure


def gather(
    *calls: Callable[[], Any] | tuple[Any, ...],
) -> Coroutine[Any, Any, list[Any]]:
    """Run several calls at once, each in a goroutine of one group; await it: the list of
    their results, in the order of the arguments.

    A call is a function (async def or def), or a tuple of one and its arguments. The first
    failure cancels the others; once all have ended it is raised itself, with a note that names
    each other one. A cancel of the caller cancels them. Raises TypeError at the call for
    anything else.
    """
    return gathered([callof("gather", given) for given in calls])


async def gathered(calls: Sequence[Call]) -> list[Any]:
    """gather, of calls that were checked."""
    failure = None
    gs = []
    try:
        async with group() as grp:
            for fn, args in calls:
                gs.append(grp.go(fn, *args))
    except BaseExceptionGroup as failed:
        failure = onefailure(failed)
    if failure is not None:
        raise failure
    return [await g for g in gs]
