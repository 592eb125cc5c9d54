"""runtime.main: goroutine 1's way through init tasks, main.main and exit hooks.

The stages are coroutines that goroutine 1 runs one after the other, not frames
around main: where there is no task and no hook main costs nothing more, and its
stack is its own.
"""

from __future__ import annotations

from typing import Any

import cython

from .exithook import havehooks, printerrors, runexithooks
from .gmp import G, M
from .inittask import doinit, inorder

if not cython.compiled:
    from ..platform import RAISE, RETURN, YIELD, lock, slotswap, store, unlock
    from .gmp import sched
    from .osthread import dolockosthread, dounlockosthread

    SINIT = 0
    SMAIN = 1
    SEXIT = 2


class Mainstate:
    """Where goroutine 1 is; its M's alone.

    coro and plain are main's while the init tasks run, code and value main's
    end while the exit hooks do.
    """

    __slots__ = ("stage", "coro", "plain", "code", "value", "errors")

    def __init__(self) -> None:
        if not cython.compiled:
            self.stage = self.code = 0
            self.plain = False
            self.coro = self.value = self.errors = None


rm = Mainstate()


def mainstart(gp: G, m0: M, trace: bool, start: int) -> None:
    """Before goroutine 1 runs, on m0: put the init tasks in front of main, and lock
    it to m0 for them."""
    rm.stage = SMAIN
    if not inorder():
        return
    rm.stage = SINIT
    rm.coro = gp.coro
    rm.plain = gp.plain
    gp.coro = doinit(trace, start)
    gp.plain = False
    dolockosthread(m0, gp)


def mainstage(gp: G, mp: M, code: int) -> int:
    """Goroutine 1 came to the end of a stage, as code says: YIELD when gp has another
    one to run, else the code of its end."""
    if rm.stage == SINIT:
        dounlockosthread(mp)
        main = rm.coro
        rm.coro = None
        if code == RETURN:
            slotswap(mp.result, None)
            gp.coro = main
            gp.plain = rm.plain
            rm.stage = SMAIN
            return YIELD
        if not rm.plain:
            main.close()
    if rm.stage != SEXIT:
        if not havehooks():
            return code
        rm.code = code
        rm.value = slotswap(mp.result, None)
        rm.errors = []
        gp.coro = runexithooks(uncancelmain, rm.errors)
        gp.plain = False
        rm.stage = SEXIT
        return YIELD
    return exited(mp)


def exited(mp: M) -> int:
    """The exit hooks have run: main's own end, or the first exception of theirs."""
    code = rm.code
    value = rm.value
    errors = rm.errors
    rm.value = rm.errors = None
    if errors and code == RETURN:
        code = RAISE
        value = errors.pop(0)
    printerrors(errors)
    slotswap(mp.result, value)
    return code


@cython.locals(gp=G)
def uncancelmain() -> Any:
    gp: G = sched.maing
    lock(gp.lock)
    gp.cancelled = False
    store(gp.cancelreq, 0)
    unlock(gp.lock)


sched.mainstage = mainstage
