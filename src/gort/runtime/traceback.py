"""Goroutine dumps in Go's format, with Python frames."""

from __future__ import annotations

import os
import sys
from types import CodeType
from typing import Any

import cython

from .gmp import G, M

if not cython.compiled:
    from ..platform import callsite_of, getm, load, nanotime
    from .gmp import (
        PSTATE,
        Gdead,
        Gparking,
        Gparkready,
        Grunnable,
        Grunning,
        Gscan,
        Gwaiting,
        Psyscall,
        allgs,
        sched,
    )

_NAMES = {
    Grunnable: "runnable",
    Grunning: "running",
    Gwaiting: "waiting",
    Gdead: "dead",
    Gparking: "waiting",
    Gparkready: "runnable",
}


def describe(gp: G) -> str:
    """A G's status in words; syscall is a running one whose P says so, or whose M
    gave its P up."""
    s = load(gp.status_) & ~Gscan
    if s == Grunning:
        mp: M = gp.m
        if mp is not None:
            pp = mp.p
            if pp is None or load(pp.status) & PSTATE == Psyscall:
                return "syscall"
    return _NAMES.get(s, "idle")


def qualname(code: CodeType) -> str:
    return getattr(code, "co_qualname", code.co_name)


def framelines(code: CodeType, line: int | None, module: str) -> str:
    return f"{module}.{qualname(code)}(...)\n\t{code.co_filename}:{line}\n"


def coroframes(coro: Any) -> list[str]:
    """The frames of a suspended coroutine, innermost first."""
    lines = []
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        frame = frame or getattr(coro, "ag_frame", None)
        if frame is None:
            break
        lines.append(framelines(frame.f_code, frame.f_lineno, frame.f_globals.get("__name__", "?")))
        coro = (
            getattr(coro, "cr_await", None)
            or getattr(coro, "gi_yieldfrom", None)
            or getattr(coro, "ag_await", None)
        )
    lines.reverse()
    return lines


def threadframes(frame: Any, upto: Any) -> list[str]:
    """The frames of a running thread, innermost first, down to frame `upto`."""
    lines = []
    while frame is not None:
        module = frame.f_globals.get("__name__", "?")
        if not module.startswith("gort."):
            lines.append(framelines(frame.f_code, frame.f_lineno, module))
        if frame is upto:
            break
        frame = frame.f_back
    return lines


def stackof(gp: G, frames: dict[int, Any]) -> list[str]:
    coro = gp.coro
    s = load(gp.status_) & ~Gscan
    if s == Grunning:
        mp: M = gp.m
        if mp is not None and mp.ident in frames:
            return threadframes(frames[mp.ident], getattr(coro, "cr_frame", None))
    if gp.plain:
        return []
    return coroframes(coro)


def header(gp: G) -> str:
    status = gp.wait_reason or describe(gp)
    if gp.waitsince != 0:
        minutes = (nanotime() - gp.waitsince) // 60_000_000_000
        if minutes >= 1:
            status += f", {minutes} minutes"
    if gp.lockedm is not None:
        status += ", locked to thread"
    return f"goroutine {gp.goid} [{status}]:\n"


def createdby(gp: G) -> str:
    where = callsite_of(gp.callcode, gp.calllasti)
    if where is None or gp.goid == 1:
        return ""
    parent = f" in goroutine {gp.parentgoid}" if gp.parentgoid else ""
    return f"created by {where[2]}{parent}\n\t{where[0]}:{where[1]}\n"


def dumpg(gp: G, frames: dict[int, Any]) -> str:
    """One goroutine: Go's header line, its frames, who created it."""
    return header(gp) + "".join(stackof(gp, frames)) + createdby(gp)


def dumpall(first: int) -> str:
    """All goroutines, number `first` in front; the runtime's own too where
    GOTRACEBACK says system or crash."""
    system = os.environ.get("GOTRACEBACK", "") in ("system", "crash", "2")
    frames = sys._current_frames()
    head = []
    rest = []
    for gp in allgs():
        if issystem(gp) and not system:
            continue
        (head if gp.goid == first else rest).append(dumpg(gp, frames))
    return "\n".join(head + rest)


def issystem(gp: G) -> bool:
    return gp.issystem


def currentg() -> G | None:
    mp: M = getm()
    return mp.curg if mp is not None else None


def current() -> G | None:
    """The running goroutine, None outside one."""
    return currentg()


def stack(all: bool = False) -> str:
    """The calling goroutine's stack, or with all=True every goroutine's, in Go's
    dump format with Python frames. Callable from any thread."""
    gp = currentg()
    if all:
        return dumpall(gp.goid if gp is not None else 1)
    if gp is None:
        return ""
    return dumpg(gp, sys._current_frames())


def noted(gp: G) -> str:
    where = callsite_of(gp.callcode, gp.calllasti)
    made = f", created by {where[2]} at {where[0]}:{where[1]}" if where and gp.goid != 1 else ""
    return f"in goroutine {gp.goid}{made}"


def addnote(exc: BaseException, gp: G) -> None:
    """Say on exc in which goroutine it was raised, once."""
    note = noted(gp)
    if note not in getattr(exc, "__notes__", ()):
        exc.add_note(note)


sched.describe = describe
