"""Init tasks: what `@gort.init` registers runs before main, dependencies first.

Not compiled, so that a task that waits has its frames in a dump.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from ..platform import nanotime
from .gmp import printerr
from .park import Op


class Inittask:
    """A registered function, and what it comes after."""

    __slots__ = ("fn", "after", "name", "done")

    def __init__(self, fn: Callable[[], Any], after: tuple[Any, ...]) -> None:
        self.fn = fn
        self.after = after
        self.name = nameof(fn)
        self.done = False


inittasks: dict[Any, Inittask] = {}
"""By function, in the order of registration; a task that is done stays."""


def init(fn: Any = None, /, *, after: Any = ()) -> Any:
    """Have fn() run before main: `@gort.init`, or `@gort.init(after=[other, ...])`.

    fn: a plain or async def without arguments. after: an init task, or several,
    to run before this one; otherwise the order is that of registration. They run
    one after the other in goroutine 1, locked to the thread that called run, and
    may use all of the runtime; a task that calls lock_os_thread keeps main there.

    Each runs once a process, at the first run after it was registered: a later
    run runs only those that came since, as does a forked child. One that raises
    ends the run, which raises the same: main does not start, exit hooks that
    were registered before do run, and the next run starts with this task again.
    run raises RuntimeError for tasks that come after each other in a cycle, and
    for one that comes after what is no init task. With GODEBUG=inittrace=1 each
    prints a line with its time and allocations on stderr.

    Raises TypeError for what is not callable, ValueError for what is a task already.
    """
    if fn is None:
        return lambda fn: init(fn, after=after)
    if not callable(fn):
        raise TypeError(f"init() wants a function, not {type(fn).__name__}")
    if callable(after) or not isinstance(after, Iterable):
        after = (after,)
    others = tuple(after)
    for other in others:
        if not callable(other):
            raise TypeError(f"init(after=...) wants init tasks, not {type(other).__name__}")
    try:
        known = fn in inittasks
        hash(others)
    except TypeError as exc:
        raise TypeError(f"init() wants functions that a dict can hold: {exc}") from None
    if known:
        raise ValueError(f"init: {nameof(fn)} is an init task already")
    inittasks[fn] = Inittask(fn, others)
    return fn


def nameof(fn: Any) -> str:
    module = getattr(fn, "__module__", None) or "?"
    return f"{module}.{getattr(fn, '__qualname__', type(fn).__qualname__)}"


def inorder() -> list[Inittask]:
    """The tasks that have not run: again and again the first one that waits for none
    of the others, as Go orders packages."""
    left = [t for t in list(inittasks.values()) if not t.done]
    out: list[Inittask] = []
    placed = {t.fn for t in inittasks.values() if t.done}
    while left:
        for t in left:
            if placed.issuperset(t.after):
                break
        else:
            raise RuntimeError(stuck(left))
        left.remove(t)
        out.append(t)
        placed.add(t.fn)
    return out


def stuck(left: list[Inittask]) -> str:
    """Why no task of these can be the next: a cycle, or what is no task."""
    path: list[Any] = [left[0].fn]
    waiting = {t.fn: t for t in left}
    while True:
        t = waiting[path[-1]]
        for other in t.after:
            if other not in inittasks:
                return (
                    f"init task {t.name} comes after {nameof(other)}, which is no init task: "
                    "decorate it with @gort.init"
                )
        other = next(o for o in t.after if o in waiting)
        if other in path:
            break
        path.append(other)
    cycle = [nameof(fn) for fn in path[path.index(other) :]]
    pairs = zip(cycle, cycle[1:] + cycle[:1], strict=True)
    return "initialization cycle: " + ", ".join(f"{a} refers to {b}" for a, b in pairs)


async def doinit(trace: bool, start: int) -> None:
    """All init tasks, and those that they register. start: nanotime of the boot."""
    while todo := inorder():
        for t in todo:
            await doinit1(t, trace, start)


async def doinit1(t: Inittask, trace: bool, start: int) -> None:
    # Without a GIL the count goes through the heaps of threads that go on.
    blocks = sys.getallocatedblocks() if trace else 0
    traced = tracemalloc.get_traced_memory()[0]
    begin = nanotime()
    try:
        what = t.fn()
        if isinstance(what, (Coroutine, Op)):
            await what
    except BaseException as exc:
        exc.add_note(f"in init task {t.name}")
        raise
    t.done = True
    if trace:
        end = nanotime()
        # What is left of its allocations: CPython does not count those that went.
        nbytes = max(0, tracemalloc.get_traced_memory()[0] - traced)
        allocs = max(0, sys.getallocatedblocks() - blocks)
        printerr(
            f"init {t.name} @{msof(begin - start)} ms, {msof(end - begin)} ms clock, "
            f"{nbytes} bytes, {allocs} allocs\n"
        )


def msof(ns: int) -> str:
    """Go's fmtNSAsMS: two digits of precision, at most three places, whole from 10 on."""
    if ns >= 10_000_000:
        return str(ns // 1_000_000)
    x = ns // 1000
    if x == 0:
        return "0"
    places = 3
    while x >= 100:
        x //= 10
        places -= 1
    return f"{x / 10**places:.{places}f}"
