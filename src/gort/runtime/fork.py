"""fork: the world is stopped for it; the child has no runtime.

Of the parent's threads only the forking one exists in the child. So the child
forgets the runtime: every other goroutine is buried where it stands, without its
`finally` blocks, as the interpreter leaves other threads' frames; locks that
those threads held are free, because a lock's word names its process (platform);
the poller's descriptors are closed, which does not touch what the parent
registered; signals are as they were before run (sigqueue). What the child inherits are
Python objects: a channel keeps its values and loses its waiters.

The world is stopped so that no M is half-way through an operation on something
that the child can reach. No other lock is taken: what the at-fork handlers of
other modules wait for may be held by a thread that needs the scheduler's.

If a goroutine forked, its Python code goes on in the child, outside any runtime:
an await of an op raises RuntimeError, run starts a runtime afresh, and when its
coroutine ends, the child process exits, whichever thread that was and also if it
was main: what lies below it on the stack is the parent's scheduler.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import Any

import cython

from .exithook import openhooks
from .gmp import G, M, P
from .park import Op, inwait, waiters
from .proc import Goexit

if not cython.compiled:
    from ..platform import (
        RAISE,
        add,
        asyncgen_hooks,
        cas,
        getident,
        getm,
        immortal,
        load,
        lock,
        setm,
        store,
        unlock,
    )
    from .gmp import WCANCELLED, WPENDING, Gdead, allgs, nameofg, sched
    from .netpoll import np
    from .world import starttheworld, stoptheworld


class Atfork:
    """owner: the thread that forks, which holds sched.worldsema; mine: its P.
    reset is boot's resetall."""

    __slots__ = ("owner", "mine", "reset")

    def __init__(self) -> None:
        if not cython.compiled:
            self.owner = 0
            self.mine: P | None = None
            self.reset = None


atfork = Atfork()


@cython.locals(mp=M)
def beforefork() -> None:
    """Stop the world, unless the fork comes from inside the runtime: out of a
    `__del__` that a decref of its ran. Then the thread's own P could not stop."""
    if load(sched.up) == 0:
        return
    mp: M = getm()
    if mp is not None and mp.p is not None and load(mp.p.status) == mp.runword:
        return
    lock(sched.worldsema)
    if load(sched.up) == 0:
        unlock(sched.worldsema)
        return
    atfork.owner = getident()
    atfork.mine = stoptheworld()


def afterforkinparent() -> None:
    if atfork.owner != getident():
        return
    atfork.owner = 0
    mine = atfork.mine
    atfork.mine = None
    starttheworld(mine)
    unlock(sched.worldsema)


@cython.locals(mp=M)
def afterforkinchild() -> None:
    """Forget the parent's runtime."""
    atfork.owner = 0
    atfork.mine = None
    if load(sched.booted) == 0:
        return
    mp: M = getm()
    setm(None)
    if mp is not None:
        mp.p = None
        asyncgen_hooks(None, None)
    buryall()
    store(sched.up, 0)
    store(sched.threadwaiters, 0)
    store(sched.booted, 0)
    atfork.reset()
    sched.m0 = None
    if sched.poller is not None:
        sched.poller.close()
    openhooks()


def buryall() -> None:
    """No goroutine and no thread of the parent waits in the child for anything.

    All that they hold stays as it is for good: to drop a coroutine would run its
    `finally` blocks, a second time in two processes.
    """
    end = RuntimeError(
        "this goroutine stayed in the parent process: a forked child has none of its goroutines"
    )
    gs = allgs()
    coros = [bury(gp, end) for gp in gs]
    ops = list(waiters)
    for op in ops:
        losewaiter(op)
    waiters.clear()
    inwait.clear()
    immortal((gs, coros, ops, sched.allp, sched.allm, np.pds))
    sched.allp = []
    sched.pfree = []
    sched.mfree = []
    np.pds = {}


def bury(gp: G, end: RuntimeError) -> Any:
    """End gp where it stands; what it was running, which nobody may drop."""
    coro = gp.coro
    if gp.waiting is not None:
        losewaiter(gp.waiting)
    gp.coro = (None, nameofg(gp))
    gp.outcome = RAISE
    add(sched.nfailed, 1)
    gp.result = end
    gp.retrieved = True
    store(gp.status_, Gdead)
    return coro


def losewaiter(op: Op) -> None:
    """Whoever finds op in a queue goes on to the next one."""
    cas(op.won, WPENDING, WCANCELLED)


def childexit(code: int, value: Any) -> None:
    """The goroutine that forked has ended in the child: so does the process, as if
    its main thread had ended so."""
    status = 0
    try:
        if code == RAISE and not isinstance(value, Goexit):
            status = statusof(value)
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        for stream in sys.stdout, sys.stderr:
            if stream is not None:
                stream.flush()
    finally:
        os._exit(status)


def statusof(exc: BaseException) -> int:
    if isinstance(exc, SystemExit):
        if exc.code is None:
            return 0
        if isinstance(exc.code, int):
            return exc.code & 0xFF
        sys.stderr.write(f"{exc.code}\n")
        return 1
    sys.excepthook(type(exc), exc, exc.__traceback__)
    return 130 if isinstance(exc, KeyboardInterrupt) else 1


sched.childexit = childexit
os.register_at_fork(
    before=beforefork,
    after_in_parent=afterforkinparent,
    after_in_child=afterforkinchild,
)
