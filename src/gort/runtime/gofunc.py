"""A call that becomes a goroutine later: what a timer or a context starts."""

from __future__ import annotations

import contextvars
from typing import Any

import cython

from .proc import checkagen

if not cython.compiled:
    from ..platform import callsite, getm, load, slot, slotclear, slotpeek, slotput
    from .gmp import M, sched
    from .proc import newproc1, newproc2


class Gofunc:
    """fn(*args, **kwargs), and what its goroutine has from who asked for it: the context
    variables, and who and where that is."""

    __slots__ = ("ctx", "fn", "args", "kwargs", "callcode", "calllasti", "parentgoid")

    def __init__(self, ctx: Any, fn: Any, args: Any, kwargs: Any) -> None:
        if not cython.compiled:
            self.callcode = slot()
            self.calllasti = self.parentgoid = 0
        self.ctx = ctx
        self.fn = fn
        self.args = args
        self.kwargs = kwargs

    def __dealloc__(self) -> None:
        slotclear(self.callcode)


def newgofunc(what: str, fn: Any, args: Any, kwargs: Any) -> Gofunc:
    if not callable(fn):
        raise TypeError(
            f"{what} wants a function (async def or def) and its arguments, not {type(fn).__name__}"
        )
    checkagen(what, fn)
    f = Gofunc(contextvars.copy_context(), fn, args, kwargs)
    callsite(f.callcode, f.calllasti)
    mp: M = getm()
    if mp is not None and mp.curg is not None:
        f.parentgoid = mp.curg.goid
    return f


def startfunc(f: Gofunc) -> None:
    """Start the goroutine, from whatever thread; without a runtime there is none."""
    if load(sched.up) == 0:
        return
    try:
        f.ctx.copy().run(_spawn, f)
    except RuntimeError:  # main has ended since
        pass


def _spawn(f: Any) -> None:
    spawnfunc(f)


def spawnfunc(f: Gofunc) -> None:
    # By a plain function, so that what is wrong with the arguments is a panic of the
    # new goroutine, not an error of who happens to run the timer.
    gp = newproc1(_call, (f.fn, f.args, f.kwargs), {})
    slotclear(gp.callcode)
    slotput(gp.callcode, slotpeek(f.callcode))
    gp.calllasti = f.calllasti
    gp.parentgoid = f.parentgoid
    newproc2(gp)


def _call(fn: Any, args: Any, kwargs: Any) -> Any:
    return fn(*args, **kwargs)
