"""gort.map and gort.as_completed: calls that run at once, whose results are iterated over.

A driver, a goroutine of its own, owns the group in which the calls run, and hands
out what they came to through a channel that has room for all of it. It is made at the
first step, knows nothing of the iterator, and is cancelled when that is closed or
dropped. `slots` bounds the calls that run and the results that nobody has taken: a slow
consumer holds the calls up. A slot is taken before an item, so that a cancel loses none.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from types import CoroutineType
from typing import Any

from ..runtime.boot import go
from ..runtime.chan import Chan, chan
from ..runtime.group import group
from ..runtime.park import Cancelled, Op
from ..runtime.semaphore import Semaphore
from ..runtime.timeout import shield
from .calls import Call, callof, checklimit, onefailure

_UNBOUNDED = 1 << 30


class Results:
    """Iterates over the results of calls that run at once; of gort.map or gort.as_completed.

    For one goroutine at a time. What runs is cancelled when it is closed, or dropped.
    """

    __slots__ = ("_what", "_calls", "_inorder", "_out", "_slots", "_driver", "_ended")

    def __init__(self, what: str, calls: Calls, inorder: bool, limit: int | None) -> None:
        bound = checklimit(what, limit)
        self._what = what
        self._calls = calls
        self._inorder = inorder
        self._out: Chan = chan(bound or _UNBOUNDED)
        self._slots = Semaphore(bound) if bound else None
        self._driver: Any = None
        self._ended = False

    def __aiter__(self) -> Results:
        return self

    async def __anext__(self) -> Any:
        if self._ended:
            raise StopAsyncIteration
        if self._driver is None:
            self._driver = go(drive, self._calls, self._inorder, self._out, self._slots)
        try:
            result, ok = await self._out.recv_ok()
            if ok:
                if self._inorder:
                    result = await result
                if self._slots is not None:
                    self._slots.release()
                return result
        except GeneratorExit:
            raise  # nothing can be awaited any more: __del__ cancels
        except BaseException:
            # A call has failed, which the driver raises; or the consumer is cancelled.
            await self.aclose()
            raise
        self._ended = True
        await self._driver
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancel the calls that run, and wait until they have ended. A failure among them
        is raised. Does nothing the second time."""
        ended, self._ended = self._ended, True
        if self._driver is None or ended:
            return
        self._driver.cancel()
        async with shield():
            await self._driver

    def __del__(self) -> None:
        if getattr(self, "_driver", None) is not None and not self._ended:
            try:
                self._driver.cancel()
            except RuntimeError:
                pass  # the runtime went down, and the driver with it

    def __repr__(self) -> str:
        state = "ended" if self._ended else "new" if self._driver is None else "running"
        return f"<gort.{self._what}: {state}>"


async def drive(calls: Calls, inorder: bool, out: Chan, slots: Semaphore | None) -> None:
    """Run the calls in a group; raises the first failure."""
    failure = None
    try:
        async with group() as grp:
            while True:
                if slots is not None:
                    await slots.acquire()
                call = await calls.next()
                if call is None:
                    break
                fn, args = call
                if inorder:
                    out.send_nowait(grp.go(fn, *args))
                else:
                    grp.go(report, out, fn, args)
    except Cancelled:
        pass  # the consumer has left
    except BaseExceptionGroup as failed:
        failure = onefailure(failed)
    finally:
        out.close()
    if failure is not None:
        raise failure


async def report(out: Chan, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """A call of as_completed."""
    result = fn(*args)
    if isinstance(result, (CoroutineType, Op)):
        result = await result
    out.send_nowait(result)


class Calls:
    """The calls to make: `make` of each item of an iterable, which may be asynchronous."""

    __slots__ = ("make", "items", "asynchronous")

    def __init__(self, what: str, make: Callable[[Any], Call], items: Any) -> None:
        self.make = make
        self.asynchronous = isinstance(items, AsyncIterable)
        if self.asynchronous:
            self.items: Any = aiter(items)
        elif isinstance(items, Iterable):
            self.items = iter(items)
        else:
            raise TypeError(f"{what} wants an iterable, not {type(items).__name__}")

    async def next(self) -> Call | None:
        """The next one, None at the end."""
        try:
            item = await anext(self.items) if self.asynchronous else next(self.items)
        except (StopIteration, StopAsyncIteration):
            return None
        return self.make(item)


def map(
    fn: Callable[..., Any] | tuple[Any, ...],
    iterable: Iterable[Any] | AsyncIterable[Any],
    *,
    limit: int | None = None,
) -> Results:
    """`async for r in gort.map(fn, items):` what fn makes of each item, in their order; the
    calls run at once, each in a goroutine of one group.

    fn: a function (async def or def), or a tuple of one and its first arguments. iterable:
    also an asynchronous one, such as a channel. limit: how many calls may run, or have ended
    and not been taken; without one the iterable is read to its end at once.

    The first failure cancels the others and is raised, with a note that names each other one.
    Nothing starts before the first step. A loop that is left early cancels what runs; await
    `aclose()` to have that over. Raises TypeError and ValueError at the call.
    """
    name, first = callof("map", fn)
    return Results("map", Calls("map", lambda item: (name, (*first, item)), iterable), True, limit)


def as_completed(calls: Iterable[Any] | AsyncIterable[Any], *, limit: int | None = None) -> Results:
    """`async for r in gort.as_completed(calls):` the results of several calls as they end.

    calls: functions (async def or def), or tuples of one and its arguments. Everything else
    as in gort.map.
    """
    if isinstance(calls, (list, tuple)):
        for given in calls:
            callof("as_completed", given)
    make = Calls("as_completed", lambda given: callof("as_completed", given), calls)
    return Results("as_completed", make, False, limit)
