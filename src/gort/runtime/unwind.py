"""The end of goroutines that compute or block when the program has ended.

A goroutine in Python code sees a cancel at its next op; one in `time.sleep`, in
`queue.get` or in a loop comes to none. A second after main's end, or a panic, sysmon
raises Cancelled in such code, again every half second while it goes on:

1. On Python's main thread a signal's handler raises (SIGURG, sigqueue), which ends
   what blocks there in C too. The handler finds in sched.unwinding whom it is for.
2. On every other thread an asynchronous exception does, which Python code sees and a
   call in C does not. One that is pending when its thread leaves the goroutine's code
   would hit the runtime. So the M's word `pressed` says that there may be one: 1 while
   sysmon sets it, 2 from then on; the M takes it back (takeback) at the goroutine's
   end and where its next op raises anyhow.

Whoever stands in a shield is left alone, main's exit hooks are too. Uncompiled, an
exception can hit the runtime between any two bytecodes: there only the thread that called
run, which has to come back, is pressed by it.
"""

from __future__ import annotations

import sys

import cython

from .gmp import G, M
from .park import Cancelled
from .sigqueue import cankick, inuser, kick

if not cython.compiled:
    from ..platform import cas, load, raiseasync, store
    from .gmp import CREQ, Grunning, allgs, mof, sched

_AGAIN = 500_000_000
_EVERY = 20_000_000


class Unwinding:
    """sysmon's alone: when it looked last, and by M whom it pressed last, and when."""

    __slots__ = ("looked", "pressed")

    def __init__(self) -> None:
        self.looked = 0
        self.pressed: dict[int, tuple[int, int]] = {}


un = Unwinding()


def startunwind() -> None:
    """Boot: nobody is pressed."""
    un.looked = 0
    un.pressed = {}
    store(sched.unwinding, 0)


def unwind(now: int) -> None:
    """Press every goroutine that runs Python code, unless a shield or a hook keeps it."""
    if now - un.looked < _EVERY:
        return
    un.looked = now
    if load(sched.unwinding) != 0 and cankick():
        kick()  # the last one's handler has not run, or it ran inside the runtime
    for gp in allgs():
        if load(gp.status_) == Grunning and reached(gp):
            mp = mof(gp)
            if mp is not None:
                press(gp, mp, now)


def reached(gp: G) -> bool:
    """Whether gp is to end: it is cancelled, or is a user's function that nobody cancels."""
    if load(gp.cancelreq) & CREQ != 0:
        return True
    return gp.scope is None and gp is not sched.maing


def press(gp: G, mp: M, now: int) -> None:
    """Have gp, which mp runs, raise Cancelled where it is, unless that was done just now."""
    last = un.pressed.get(mp.id)
    if last is not None and last[0] == gp.goid and now - last[1] < _AGAIN:
        return
    m0 = mp is sched.m0
    if m0 and mp.ism0 and cankick():
        un.pressed[mp.id] = (gp.goid, now)
        store(sched.unwinding, gp.goid)
        kick()
        return
    if not cython.compiled and not (m0 and inuser(sys._current_frames().get(mp.ident))):
        return
    un.pressed[mp.id] = (gp.goid, now)
    if not cas(mp.pressed, 0, 1) and not cas(mp.pressed, 2, 1):
        return
    if mof(gp) is mp and inusermode(mp):
        raiseasync(mp.ident, Cancelled)
    store(mp.pressed, 2)


def inusermode(mp: M) -> bool:
    """Whether mp is outside the runtime, at this moment."""
    return mp.p is None or load(mp.p.status) != mp.runword


sched.unwind = unwind
