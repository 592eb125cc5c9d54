"""System goroutines: the runtime's own, which sleep until there is work for them.

One exists from its first work on. `busy` says whose it is: 0 while it sleeps, and
whoever changes it to 1 owns its waking; the goroutine itself stores 0 again when
it has parked. System goroutines are not counted, not cancelled with the others, and
dumps show them at the traceback level `system` alone (Go's isSystemGoroutine).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import cython

from .gmp import G, M, P
from .park import Op

if not cython.compiled:
    from ..platform import YIELD, add, atomic, cas, getm, install_slots, load, store
    from .gmp import (
        Gdead,
        Gparking,
        Gparkready,
        Grunnable,
        Gwaiting,
        allgadd,
        allgdel,
        newg,
        sched,
        setsystem,
        throw,
    )
    from .park import gopark, win


class Sysg:
    """One system goroutine: its G once it exists, the op that it sleeps in, and the
    function that makes its body. Of g and op, who changed busy to 1 is the owner."""

    __slots__ = ("g", "op", "busy", "reason", "body")

    def __init__(self, body: Callable[[Any], Coroutine[Any, Any, None]], reason: int) -> None:
        if not cython.compiled:
            self.g: G | None = None
            self.op: Sleepop | None = None
            self.busy = atomic()
        self.body = body
        self.reason = reason


@cython.no_gc
@cython.cclass
class Sleepop(Op):
    """A system goroutine's sleep."""

    __slots__ = ("w",)

    def opname(self) -> str:
        return "a system goroutine's sleep"

    def start(self, pp: P) -> int:
        w = self.w
        gopark(self, w.reason)
        w.op = self
        store(w.busy, 0)  # anyone may take it from here on
        return YIELD


def sleepop(w: Sysg) -> Sleepop:
    op = Sleepop.__new__(Sleepop)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
    op.w = w
    return op


def wakesysg(w: Sysg) -> G | None:
    """Take w's goroutine out of its sleep, runnable and in the caller's hands.

    None while it works, and where it was about to park: its own M runs it again.
    """
    if not cas(w.busy, 0, 1):
        return None
    gp = w.g
    if gp is None:
        gp = newg(w.body(w), add(sched.goidgen, 1))
        gp.issystem = True
        store(gp.status_, Grunnable)
        w.g = gp
        allgadd(gp, None)
        return gp
    op = w.op
    w.op = None
    if not win(op):
        return None
    if cas(gp.status_, Gparking, Gparkready):
        return None
    if not cas(gp.status_, Gwaiting, Grunnable):
        throw(f"wakesysg: bad g status {load(gp.status_)}")
    return gp


def leavesysg(w: Sysg) -> None:
    """The body ends, by an exception: the next work gets a new goroutine."""
    w.op = None
    w.g = None
    store(w.busy, 0)


def dropsysg(w: Sysg | None) -> None:
    """Shutdown, when every M and sysmon have left: drop a goroutine that sleeps, or that
    was woken too late to run. One that works, on an M that was left behind, ends by itself."""
    if w is None:
        return
    gp = w.g
    late = not cas(w.busy, 0, 1)
    if late and (gp is None or not cas(gp.status_, Grunnable, Gdead)):
        return
    w.op = None
    w.g = None
    if gp is not None:
        allgdel(gp)
        if late:
            gp.coro.close()  # it may not have begun


def currentg() -> G | None:
    """The running goroutine."""
    mp: M = getm()
    return mp.curg if mp is not None else None


def asuser(gp: G, user: bool) -> None:
    """Count gp as a user's goroutine while it runs a user's function."""
    setsystem(gp, not user)


install_slots(Sleepop)
