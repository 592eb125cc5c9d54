"""Async generators: a dropped one is closed in a goroutine, and so is, at the end of a
run, one that is still suspended, as asyncio's shutdown_asyncgens does.

Each thread that runs goroutines keeps weak references to the async generators that were
begun on it. When the last goroutine has ended, whoever ends it starts one for each generator
that is left, under `lock`, so that another who sees none left does not end the run before
these are counted. Each is tried once. Closing stands in a shield: it may await, until sysmon
pierces that.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

import cython

from .timeout import shield

if not cython.compiled:
    from ..platform import getm, load, lock, mutex, unlock
    from .gmp import sched
    from .proc import gcount, inuser, newproc


class Asyncgens:
    """This run's: one set of references for each thread; lock is held while they are closed."""

    __slots__ = ("lock", "begun")

    def __init__(self) -> None:
        if not cython.compiled:
            self.lock = mutex()
        self.begun: list[set[weakref.ref[Any]]] = []


agens = Asyncgens()

dropped: list[Any] = []
"""Async generators that a collection inside the uncompiled runtime found."""


def startasyncgens() -> None:
    """Boot: a new run has none."""
    agens.begun = []


def hooks() -> tuple[Callable[[Any], None], Callable[[Any], None]]:
    """A thread's hooks: for a generator that begins, and for one that dies suspended."""
    refs: set[weakref.ref[Any]] = set()
    agens.begun.append(refs)
    forget = refs.discard

    def begins(agen: Any) -> None:
        refs.add(weakref.ref(agen, forget))

    return begins, finalize


def finalize(agen: Any) -> None:
    """One was dropped that has code left to run."""
    if load(sched.up) != 0 and load(sched.exiting) == 0:
        if not cython.compiled and not inuser(getm()):
            dropped.append(agen)  # a collection may have come under a lock: sysmon does it
            return
        try:
            newproc(close, (agen,), {})
            return
        except RuntimeError:
            pass  # the runtime goes down, and this is a thread outside
    closenow(agen)


def closenow(agen: Any) -> None:
    """Without a runtime: run what it does up to its first await, and say what is left."""
    why = "its cleanup awaits"
    closing = agen.aclose()
    try:
        closing.send(None)
    except StopIteration:
        return
    except BaseException as exc:
        why = f"its cleanup raised {type(exc).__name__}: {exc}"
    warnings.warn(
        f"async generator {agen.__qualname__!r} died suspended when no gort runtime was up to "
        f"close it, and {why}; close it in time, with contextlib.aclosing or aclose()",
        RuntimeWarning,
        stacklevel=2,
    )


def closedropped() -> None:
    while dropped:
        finalize(dropped.pop())


async def close(agen: Any) -> None:
    async with shield():
        await agen.aclose()


def closesuspended() -> bool:
    """Start to close what is suspended yet; False when there is nothing, and no goroutine
    is left. By who ended the last one, in user mode."""
    lock(agens.lock)
    more = gcount() != 0
    if not more:
        for agen in suspended():
            newproc(close, (agen,), {})
            more = True
    unlock(agens.lock)
    return more


def suspended() -> list[Any]:
    """Those that have begun and not ended, each once."""
    found = []
    for refs in list(agens.begun):
        for ref in list(refs):
            refs.discard(ref)
            agen = ref()
            if agen is not None and agen.ag_frame is not None and not agen.ag_running:
                found.append(agen)
    return found


sched.agenhooks = hooks
