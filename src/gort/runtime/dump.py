"""Dumps of all goroutines, as text and as data, and the end that a fatal error makes.

The world is stopped while goroutines are looked at: what waits or is runnable
stays as it is. What runs user code goes on; its frames are those of one moment.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import cython

from .debug import gotraceback
from .gmp import G, M, printerr

if not cython.compiled:
    from ..platform import callsite_of, getm, load, lock, nanotime, threadstacks, unlock
    from .gmp import allgs, sched
    from .traceback import currentg, dumpg, dumpgs, stackof, waited
    from .world import freezetheworld, starttheworld, stoptheworld

_PATIENCE = 5.0
_dying = threading.Lock()


@dataclasses.dataclass(frozen=True, slots=True)
class GoroutineInfo:
    """One goroutine, as `gort.goroutines()` found it.

    waited: the seconds since it began to wait, to within 30 ms; 0.0 when it does
    not. created_by: the line with the `go`, None for main. locked: whether it is
    locked to its thread. stack: oldest frame first, as in module traceback. name: as
    Goroutine.name.
    """

    id: int
    parent_id: int
    status: str
    wait_reason: str
    waited: float
    created_by: traceback.FrameSummary | None
    locked: bool
    cancelled: bool
    system: bool
    stack: traceback.StackSummary
    name: str

    def __repr__(self) -> str:
        last = self.stack[len(self.stack) - 1] if self.stack else None
        at = f" at {last.filename}:{last.lineno}" if last is not None else ""
        by = self.created_by
        made = f", created by {by.name}" if by is not None else ""
        return f"<goroutine {self.id} [{self.wait_reason or self.status}]{at}{made}>"


def goroutines() -> list[GoroutineInfo]:
    """Every goroutine as a GoroutineInfo, in the order of their numbers; the runtime's
    own ones too, marked `system`. From any thread; empty when no runtime is up.

    Stops the world for the time of the look, some microseconds for each goroutine.
    """
    return snapshot(lambda: records(nanotime()))


def records(now: int) -> list[GoroutineInfo]:
    frames = threadstacks()
    return [record(gp, frames, now) for gp in allgs()]


def record(gp: G, frames: dict[int, Any], now: int) -> GoroutineInfo:
    by = callsite_of(gp.callcode, gp.calllasti) if gp.goid != 1 else None
    found = stackof(gp, frames, False)
    found.reverse()
    stack = [summary(code.co_filename, line, qualname(code)) for code, line, _ in found]
    return GoroutineInfo(
        id=gp.goid,
        parent_id=gp.parentgoid,
        status=gp.status,
        wait_reason=gp.wait_reason,
        waited=waited(gp, now) / 1e9,
        created_by=summary(by[0], by[1], by[2]) if by is not None else None,
        locked=gp.locked != 0,
        cancelled=load(gp.cancelreq) != 0,
        system=gp.issystem != 0,
        stack=traceback.StackSummary.from_list(stack),
        name=gp.name,
    )


def summary(filename: str, line: int | None, name: str) -> traceback.FrameSummary:
    return traceback.FrameSummary(filename, line, name, lookup_line=False)


def qualname(code: Any) -> str:
    return getattr(code, "co_qualname", code.co_name)


def snapshot(look: Callable[[], Any]) -> Any:
    """look() in a stopped world; as it is where it cannot be stopped: there is no
    runtime, or the caller came in from inside it (a `__del__`)."""
    if load(sched.up) == 0 or inside():
        return look()
    lock(sched.worldsema)
    if load(sched.up) == 0:  # since then
        unlock(sched.worldsema)
        return look()
    mine = stoptheworld()
    try:
        return look()
    finally:
        starttheworld(mine)
        unlock(sched.worldsema)


def inside() -> bool:
    """Whether this thread holds a P inside the runtime already."""
    mp: M = getm()
    return mp is not None and mp.p is not None and load(mp.p.status) == mp.runword


def stack(all: bool = False) -> str:
    """The calling goroutine's stack, or with all=True every goroutine's, in Go's
    dump format with Python frames. From any thread; empty outside a goroutine
    without all. GOTRACEBACK=system adds the runtime's goroutines and frames."""
    gp = currentg()
    level = gotraceback()[0]
    if all:
        first = gp.goid if gp is not None else 1
        return snapshot(lambda: dumpgs(first, nanotime(), level))
    if gp is None:
        return ""
    return dumpg(gp, threadstacks(), nanotime(), level)


def others(but: G | None, level: int) -> str:
    """Every goroutine's stack but one's: what a panic prints of the others."""
    frames = threadstacks()
    found = []
    for gp in allgs():
        if gp is not but and (level >= 2 or not gp.issystem):
            found.append(dumpg(gp, frames, nanotime(), level))
    return "\n".join(found)


def tracebackothers(but: G | None) -> str:
    """others(), for a panic under GOTRACEBACK=all and above; else nothing."""
    level, all, _ = gotraceback()
    if level == 0 or not all:
        return ""
    return snapshot(lambda: others(but, level))


def leakreport(but: G) -> None:
    """GODEBUG=leaks=1: the goroutines that are still there when main has returned."""
    text = snapshot(lambda: others(but, 1))
    if not text:
        return
    n = text.count("\ngoroutine ") + 1
    some = "1 goroutine is" if n == 1 else f"{n} goroutines are"
    printerr(f"gort: main returned and {some} still there\n\n{text}\n")


def failing() -> int:
    """The goroutine that this thread runs, main outside one."""
    gp = currentg()
    return gp.goid if gp is not None else 1


def dying(msg: str, runtime: bool) -> None:
    """A fatal error: its words, stacks as GOTRACEBACK asks, and the end. runtime: it is
    the runtime that is broken, which always shows all."""
    level, _, crash = gotraceback()
    die(msg, failing(), 2 if runtime else level, crash)


def sigdump() -> None:
    """SIGQUIT: all goroutines, and the end."""
    level, _, crash = gotraceback()
    die("SIGQUIT: quit\n", 1, level, crash)


def die(msg: str, first: int, level: int, crash: bool) -> None:
    """On a thread of its own: a lock that is held for good must not keep the dying alive.
    Who dies while another does only waits for the end."""
    while not _dying.acquire(timeout=_PATIENCE):
        pass
    printerr(msg)
    if level > 0:
        try:
            writer = threading.Thread(
                target=write, args=(first, level), name="gort-dump", daemon=True
            )
            writer.start()
            writer.join(_PATIENCE)
        except RuntimeError:
            write(first, level)  # no thread is left
    end(crash)


def write(first: int, level: int) -> None:
    freezetheworld()
    printerr("\n" + dumpgs(first, nanotime(), level))
    if sys.stdout is not None:
        sys.stdout.flush()


def end(crash: bool) -> None:
    """Exit with status 2, or for GOTRACEBACK=crash by SIGABRT, which leaves a core."""
    if crash:
        os.abort()
    os._exit(2)


sched.dying = dying
