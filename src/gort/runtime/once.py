"""sync.Once: exactly one call of a function, and everybody waits for its end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import cython

from .gmp import G, M, P
from .park import Op
from .proc import checkagen
from .sema import Semop, Waitq

if not cython.compiled:
    from ..platform import (
        RETURN,
        YIELD,
        atomic,
        cas,
        getm,
        install_slots,
        load,
        lock,
        mutex,
        sealed,
        store,
        unlock,
    )
    from .park import gopark
    from .semaphore import readychain

    FRESH = 0
    RUNNING = 1
    DONE = 2


class Once:
    """Does something once, as Go's sync.Once."""

    __slots__ = ("state", "mu", "q", "runner", "value", "__weakref__")

    def __init__(self) -> None:
        if not cython.compiled:
            self.state = atomic()
            self.mu = mutex()
            self.runner: G | None = None
            self.value = None
        self.q = Waitq()

    def do(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call fn(*args, **kwargs), async or plain, if this is the first do; await it.

        Every do returns after that one call has ended, with what it returned.
        If it raised (or was cancelled), it counts as done nevertheless, as in
        Go: the first do raises that, the others return None. Raises TypeError
        for what is not callable, RuntimeError where fn itself awaits do of the
        same Once, which would wait for ever.
        """
        if not callable(fn):
            raise TypeError(f"Once.do wants a function, not {type(fn).__name__}")
        checkagen("Once.do", fn)
        if load(self.state) == DONE:
            return newoncewait(self)
        coro = first(self, fn, args, kwargs)
        coro.__qualname__ = "Once.do"  # so says a warning that it was never awaited
        return coro

    def __repr__(self) -> str:
        s = load(self.state)
        return f"<Once {'fresh' if s == FRESH else 'running' if s == RUNNING else 'done'}>"

    def begin(self) -> bool:
        """Become the one that calls."""
        if not cas(self.state, FRESH, RUNNING):
            return False
        mp: M = getm()
        self.runner = mp.curg if mp is not None else None
        return True

    def mine(self) -> bool:
        """Whether this goroutine is inside the call."""
        mp: M = getm()
        return load(self.state) == RUNNING and mp is not None and self.runner is mp.curg

    def end(self, value: Any) -> None:
        self.value = value
        self.runner = None
        lock(self.mu)
        store(self.state, DONE)
        op = self.q.takeall()
        unlock(self.mu)
        readychain(op)


@cython.no_gc
@cython.cclass
class Oncewait(Semop):
    """The wait for another's call."""

    __slots__ = ("once",)

    def opname(self) -> str:
        return "Once.do"

    def start(self, pp: P) -> int:
        o = self.once
        lock(o.mu)
        if load(o.state) == DONE:
            unlock(o.mu)
            return self.finish()
        gopark(self, 8)
        o.q.push(self)
        unlock(o.mu)
        return YIELD

    def finish(self) -> int:
        self.value = self.once.value
        return RETURN

    def unqueue(self) -> None:
        o = self.once
        lock(o.mu)
        o.q.remove(self)
        unlock(o.mu)


def newoncewait(o: Once) -> Oncewait:
    op = Oncewait.__new__(Oncewait)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
    op.once = o
    return op


async def first(o: Once, fn: Any, args: Any, kwargs: Any) -> Any:
    """do, unless the call has ended already."""
    if not beginonce(o):
        if runsonce(o):
            raise RuntimeError("Once.do inside the function that the same Once runs: a deadlock")
        return await newoncewait(o)
    value = None
    try:
        value = fn(*args, **kwargs)
        if isinstance(value, (Coroutine, Op)):
            work = value
            value = None
            value = await work
        return value
    finally:
        endonce(o, value)


def beginonce(o: Once) -> bool:
    return o.begin()


def runsonce(o: Once) -> bool:
    return o.mine()


def endonce(o: Once, value: Any) -> None:
    o.end(value)


sealed(Once, "()")
install_slots(Oncewait)
