"""Goroutine dumps in Go's format, with Python frames."""

from __future__ import annotations

import json
import weakref
from types import CodeType
from typing import Any

import cython

from .gmp import G, M, names

if not cython.compiled:
    from ..platform import callsite_of, framekey, getm, load, lock, nanotime, threadstacks, unlock
    from .gmp import (
        CLOCKSHIFT,
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
        mof,
        nameofg,
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
        mp = mof(gp)
        if mp is not None:
            pp = mp.p
            if pp is None or load(pp.status) & PSTATE == Psyscall:
                return "syscall"
    return _NAMES.get(s, "idle")


def qualname(code: CodeType) -> str:
    return getattr(code, "co_qualname", code.co_name)


Frame = tuple[CodeType, int | None, str]
"""A code object, the line it is at, the name of its module."""


def coroframes(coro: Any) -> list[Frame]:
    """The frames of a suspended coroutine, innermost first."""
    found = []
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        frame = frame or getattr(coro, "ag_frame", None)
        if frame is None:
            break
        found.append((frame.f_code, frame.f_lineno, frame.f_globals.get("__name__", "?")))
        coro = (
            getattr(coro, "cr_await", None)
            or getattr(coro, "gi_yieldfrom", None)
            or getattr(coro, "ag_await", None)
        )
    found.reverse()
    return found


def threadframes(stack: list[Any], upto: int, runtime: bool) -> list[Frame]:
    """The frames of a running thread, innermost first, down to that of key `upto`."""
    found = []
    for code, line, module, key in stack:
        if runtime or not isruntime(module):
            found.append((code, line, module))
        if key == upto:
            break
    return found


def isruntime(module: str) -> bool:
    """Whether a module is gort's own, or what its threads stand on."""
    return module.startswith("gort.") or module == "gort"


def stackof(gp: G, frames: dict[int, Any], runtime: bool) -> list[Frame]:
    """gp's frames, innermost first; frames: threadstacks(); runtime: show those
    of gort too. Of what runs now they are those of one moment, more or less."""
    lock(gp.lock)  # goexit0 drops the coroutine under it
    coro = gp.coro
    unlock(gp.lock)
    s = load(gp.status_) & ~Gscan
    if s == Grunning:
        mp = mof(gp)
        if mp is not None and mp.ident in frames:
            upto = -1 if runtime else framekey(coro)
            found = threadframes(frames[mp.ident], upto, runtime)
            if runtime or not (gp.plain or gp.issystem):
                return found
            return userpart(found, coro if gp.plain else None)
    if gp.plain:
        return []
    return coroframes(coro)


def userpart(found: list[Frame], call: Any) -> list[Frame]:
    """The frames of a plain goroutine or a system's, whose own is compiled, without those
    below it that its thread stands on. call: its function and arguments, where it has them."""
    code = getattr(call[0], "__code__", None) if call is not None else None
    for i in range(len(found) - 1, -1, -1):
        if found[i][0] is code:
            return found[: i + 1]
    n = len(found)
    while n and found[n - 1][2] == "threading":
        n -= 1
    return found[:n]


def waited(gp: G, now: int) -> int:
    """For how many ns gp has been waiting, to within 30 ms; 0 when it is not."""
    s = load(gp.status_) & ~Gscan
    since = gp.waitsince
    if (s != Gwaiting and s != Gparking) or since == 0:
        return 0
    ns = now - sched.starttime - ((since - 1) << CLOCKSHIFT)
    return ns if ns > 0 else 0


def header(gp: G, now: int) -> str:
    status = gp.wait_reason or describe(gp)
    minutes = waited(gp, now) // 60_000_000_000
    if minutes >= 1:
        status += f", {minutes} minutes"
    if gp.locked:
        status += ", locked to thread"
    if names and weakref.ref(gp) in names:
        status += f", {json.dumps(nameofg(gp))}"
    return f"goroutine {gp.goid} [{status}]:\n"


def createdby(gp: G) -> str:
    where = callsite_of(gp.callcode, gp.calllasti)
    if where is None or gp.goid == 1:
        return ""
    parent = f" in goroutine {gp.parentgoid}" if gp.parentgoid else ""
    return f"created by {where[2]}{parent}\n\t{where[0]}:{where[1]}\n"


def framelines(found: list[Frame]) -> str:
    return "".join(
        f"{module}.{qualname(code)}(...)\n\t{code.co_filename}:{line}\n"
        for code, line, module in found
    )


def dumpg(gp: G, frames: dict[int, Any], now: int, level: int) -> str:
    """One goroutine: Go's header line, its frames, who created it. level: as
    gotraceback's; 2 shows the runtime's frames too."""
    stack = framelines(stackof(gp, frames, level >= 2))
    return header(gp, now) + stack + createdby(gp)


def dumpgs(first: int, now: int, level: int) -> str:
    """All goroutines but the system's (level 2: those too), number `first` in front;
    now: the monotonic time that waits are counted to."""
    frames = threadstacks()
    head = []
    rest = []
    for gp in allgs():
        if gp.issystem and level < 2:
            continue
        (head if gp.goid == first else rest).append(dumpg(gp, frames, now, level))
    return "\n".join(head + rest)


def dumpall(first: int) -> str:
    """All user goroutines now, number `first` in front."""
    return dumpgs(first, nanotime(), 1)


def currentg() -> G | None:
    mp: M = getm()
    return mp.curg if mp is not None else None


def current() -> G | None:
    """The running goroutine, None outside one."""
    return currentg()


def set_name(name: str) -> None:
    """Name the running goroutine: `g.name`, its repr, dumps and logging.GoroutineFilter show
    it. Raises TypeError for what is no str, RuntimeError outside a goroutine."""
    if not isinstance(name, str):
        raise TypeError(f"set_name wants a str, not {type(name).__name__}")
    gp = currentg()
    if gp is None:
        raise RuntimeError("set_name: not in a goroutine")
    names[weakref.ref(gp, _forget)] = name


def _forget(ref: weakref.ref[G]) -> None:
    names.pop(ref, None)


def noted(gp: G) -> str:
    where = callsite_of(gp.callcode, gp.calllasti)
    made = f", created by {where[2]} at {where[0]}:{where[1]}" if where and gp.goid != 1 else ""
    return f"in goroutine {gp.goid}{made}"


def addnote(exc: BaseException, gp: G) -> None:
    """Say on exc in which goroutine it was raised, once. Both are a user's to break; it
    goes without the note then."""
    note = noted(gp)
    try:
        if note not in getattr(exc, "__notes__", ()):
            exc.add_note(note)
    except Exception:
        pass


sched.describe = describe
