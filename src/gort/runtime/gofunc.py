"""A call that becomes a goroutine later: what a timer or a context starts."""

from __future__ import annotations

import contextvars
from typing import Any

import cython

if not cython.compiled:
    from ..platform import load
    from .gmp import sched
    from .proc import newproc


class Gofunc:
    """fn(*args, **kwargs), and the context variables of who asked for it."""

    __slots__ = ("ctx", "fn", "args", "kwargs")

    def __init__(self, ctx: Any, fn: Any, args: Any, kwargs: Any) -> None:
        self.ctx = ctx
        self.fn = fn
        self.args = args
        self.kwargs = kwargs


def newgofunc(what: str, fn: Any, args: Any, kwargs: Any) -> Gofunc:
    if not callable(fn):
        raise TypeError(
            f"{what} wants a function (async def or def) and its arguments, not {type(fn).__name__}"
        )
    return Gofunc(contextvars.copy_context(), fn, args, kwargs)


def startfunc(f: Gofunc) -> None:
    """Start the goroutine, from whatever thread; without a runtime there is none."""
    if load(sched.up) == 0:
        return
    try:
        f.ctx.copy().run(_spawn, f.fn, f.args, f.kwargs)
    except RuntimeError:  # main has ended since
        pass


def _spawn(fn: Any, args: Any, kwargs: Any) -> None:
    # By a plain function, so that what is wrong with the arguments is a panic of the
    # new goroutine, not an error of who happens to run the timer.
    newproc(_call, (fn, args, kwargs), {})


def _call(fn: Any, args: Any, kwargs: Any) -> Any:
    return fn(*args, **kwargs)
