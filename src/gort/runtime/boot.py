"""Boot and shutdown, in the notes' order: rt0_go, osinit, schedinit, newproc of
main, mstart; and the way down: cancel what still runs, stop every M, return.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import cython

from .debug import debug, debugint, parsedebugvars
from .dump import leakreport, tracebackothers
from .gil import gilcheck
from .gmp import G, M, P
from .park import Cancelled, cancelall, wakewaiters
from .proc import checkmain
from .sigqueue import sigexit, siginit
from .sysmon import DeadlockError
from .traceback import addnote, dumpall
from .world import checkprocs, ncpu

if not cython.compiled:
    from ..platform import (
        RAISE,
        Poller,
        add,
        cas,
        getm,
        load,
        lock,
        nanotime,
        noteclear,
        notesleep,
        notewakeup,
        setm,
        store,
        unlock,
    )
    from .gmp import Pidle, sched
    from .machine import acquirep, claim, netpollbreak, pidleget, pidleput, release
    from .netpoll import np
    from .park import dropasync
    from .proc import gcount, mstart, newproc
    from .sysmon import sysmon
    from .world import procresize

_boot = threading.Lock()
_panics: list[BaseException] = []
_others: list[str] = []


def run(main: Callable[..., Any], *args: Any, procs: int | None = None) -> Any:
    """Run main(*args) as goroutine 1 and return what it returns, or raise what it
    raises.

    main: an async def (or plain def) function. procs: how many goroutines run
    at the same time; by default GOMAXPROCS, else the CPUs of the affinity mask
    on a free-threaded interpreter and 1 where there is a GIL. When main
    returns, what still runs is cancelled. Works on any thread and again and
    again; raises RuntimeError while another run is up in this process,
    DeadlockError when all goroutines are asleep for good.
    """
    checkmain(main)
    n = defaultprocs() if procs is None else checkprocs(procs)
    if n == 0:
        raise ValueError("procs must be at least 1")
    if not _boot.acquire(blocking=False):
        raise RuntimeError("a gort runtime is up already: one runs at a time in a process")
    try:
        return rt0_go(main, args, n)
    finally:
        _boot.release()


def defaultprocs() -> int:
    env = os.environ.get("GOMAXPROCS", "")
    if env.isdigit() and int(env) > 0:
        return min(int(env), 1024)
    gil = getattr(sys, "_is_gil_enabled", None)
    if gil is None or gil():
        return 1
    return ncpu()


def schedinit(procs: int) -> None:
    """Everything that must stand before the first goroutine."""
    resetall()
    np.pds.clear()
    _panics.clear()
    _others.clear()
    sched.signals.clear()
    store(sched.siglisten, 0)
    sched.starttime = nanotime()
    store(sched.clock, sched.starttime)
    store(sched.lastpoll, sched.starttime)
    sched.poller = Poller()
    procresize(procs)
    for i in range(procs - 1, -1, -1):
        pp: P = sched.allp[i]
        store(pp.status, Pidle)
        lock(sched.lock)
        pidleput(pp)
        unlock(sched.lock)


def resetall() -> None:
    """What an earlier run left."""
    add(sched.gen, 1)
    store(sched.nprocs, 0)
    sched.allp = []
    sched.pidle = None
    sched.midle = None
    sched.nmidle = 0
    sched.nmidlelocked = 0
    sched.mcount = 0
    sched.mnext = 1
    sched.allm = set()
    sched.runqhead = None
    sched.runqtail = None
    sched.fatal = None
    sched.maing = None
    for a in (0,):
        store(sched.npidle, a)
        store(sched.nmspinning, a)
        store(sched.needspinning, a)
        store(sched.runqsize, a)
        store(sched.gcwaiting, a)
        store(sched.polluntil, a)
        store(sched.netpollwaiters, a)
        store(sched.netpollwake, a)
        store(sched.sysmonwait, a)
        store(sched.exiting, a)
        store(sched.draining, a)
        store(sched.deadcheck, a)
        store(sched.goidgen, a)
        store(sched.nsteals, a)
        store(sched.nthreads, 1)
    noteclear(sched.exitnote)
    noteclear(sched.sysmonnote)
    noteclear(sched.stopnote)
    for shard in sched.shards:
        clearshard(shard)


def clearshard(shard: Any) -> None:
    shard.clear()


def rt0_go(main: Callable[..., Any], args: tuple[Any, ...], procs: int) -> Any:
    """From the calling thread to main's result and back."""
    if getm() is not None:
        raise RuntimeError("gort.run was called inside a goroutine: use gort.go")
    schedinit(procs)
    parsedebugvars()
    gilcheck(3)
    m0 = M(0, load(sched.gen))
    m0.ism0 = threading.current_thread() is threading.main_thread()
    sched.m0 = m0
    sched.allm.add(m0)
    sched.mcount = 1
    store(sched.up, 1)
    monitor = threading.Thread(target=monitor_main, name="gort-sysmon", daemon=True)
    gp = None
    try:
        siginit()
        monitor.start()
        lock(sched.lock)
        pp = pidleget()
        unlock(sched.lock)
        setm(m0)
        acquirep(m0, pp)
        release(m0, pp)  # newproc is called from user code
        gp = newproc(main, args, {})
        claim(m0)
        mstart(m0)
        teardown()
    finally:
        setm(None)
        store(sched.exiting, 1)
        store(sched.up, 0)
        notewakeup(sched.sysmonnote)
        sigexit()
        if monitor.ident is not None:
            monitor.join()
        sched.m0 = None
        sched.poller.close()
    sched.maing = None
    return outcome(gp)


def monitor_main() -> None:
    sysmon()


def outcome(gp: G) -> Any:
    """What run returns or raises: a fatal error, a panic, main's own end."""
    fatal = sched.fatal
    sched.fatal = None
    gp.retrieved = True
    if fatal is not None:
        raise fatal
    if _panics:
        first = _panics[0]
        _panics.clear()
        raise first
    value = gp.result
    gp.result = None
    if gp.outcome == RAISE:
        try:
            raise value
        finally:
            del value
    return value


def teardown() -> None:
    """Wait until every other M has left; one that is stuck in user code is
    abandoned (it ends by itself when it next enters the runtime)."""
    wakewaiters(None)
    deadline = nanotime() + 1_000_000_000
    while True:
        for mp in list(sched.allm):
            wakem(mp)
        netpollbreak()
        lock(sched.lock)
        left = sched.mcount
        unlock(sched.lock)
        if left <= 0:
            return
        now = nanotime()
        if now >= deadline:
            break
        notesleep(sched.exitnote, 5_000_000)
    if load(sched.draining) == 2:
        warnings.warn(
            f"gort.run: {left} thread(s) stayed in user code after main returned and were left",
            ResourceWarning,
            stacklevel=4,
        )


def wakem(mp: M) -> None:
    notewakeup(mp.park)


def mainexit(gp: G) -> None:
    """runtime.main's end: cancel what still runs."""
    if gp.outcome == RAISE:
        _others.append(tracebackothers(gp))
    elif debugint(debug, "leaks"):
        leakreport(gp)
    dropasync()
    sched.drainstart = nanotime()
    store(sched.draining, 1)
    cancelall()


def drained() -> None:
    """A goroutine ended while the runtime goes down: was it the last?"""
    if gcount() == 0:
        exitrun()


def exitrun() -> None:
    """Stop every M: the idle ones wake and leave, the others at their next round."""
    if not cas(sched.exiting, 0, 1):
        return
    for mp in list(sched.allm):
        wakem(mp)
    netpollbreak()
    notewakeup(sched.sysmonnote)


def panicothers() -> str:
    """The other goroutines' stacks when the last run's panic came; empty below
    GOTRACEBACK=all. For `gort run`, which prints it."""
    return _others[0] if _others else ""


def abandon() -> None:
    """Goroutines still compute or block long after main returned: leave them."""
    store(sched.draining, 2)
    exitrun()


def deadlocked() -> None:
    """All goroutines are asleep: DeadlockError with everybody's stack."""
    if sched.fatal is None:
        text = "all goroutines are asleep - deadlock!\n\n" + dumpall(1)
        sched.fatal = DeadlockError(text)
    store(sched.deadcheck, 0)
    cancelall()
    wakewaiters(None)
    drained()


def panic(gp: G) -> None:
    """An exception that nobody can retrieve: raise it from run, cancel everything."""
    exc = gp.result
    if isinstance(exc, Cancelled) or load(sched.up) == 0:
        return
    addnote(exc, gp)
    _others.append(tracebackothers(gp))
    _panics.append(exc)
    if len(_panics) == 1:
        cancelall()


def lock_os_thread() -> None:
    """Lock the calling goroutine to its thread: it runs there only, and nothing
    else does. Nests; a goroutine that ends locked takes its thread along.
    Raises RuntimeError outside a goroutine."""
    lockos(1)


def unlock_os_thread() -> None:
    """Undo one lock_os_thread. Without one it does nothing."""
    lockos(-1)


def lockos(n: int) -> Any:
    mp: M = getm()
    gp = mp.curg if mp is not None else None
    if gp is None:
        raise RuntimeError("lock_os_thread: not in a goroutine")
    if n < 0 and gp.lockcount == 0:
        return None
    gp.lockcount += n
    if gp.lockcount > 0:
        gp.lockedm = mp
        mp.lockedg = gp
    else:
        gp.lockedm = None
        mp.lockedg = None
    return None


def set_max_threads(n: int) -> int:
    """Set the limit of threads the runtime may use; the previous one. Past it the
    program dies, as in Go. TypeError or ValueError for what is no int above 0."""
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"set_max_threads wants an int, not {type(n).__name__}")
    if not 0 < n < 1 << 31:
        raise ValueError(f"set_max_threads wants a number above 0, not {n}")
    old: int = sched.maxmcount
    sched.maxmcount = n
    return old


def num_goroutine() -> int:
    """How many goroutines exist."""
    return gcount()


def num_cpu() -> int:
    """How many CPUs this process may use: the affinity mask and the cgroup's quota."""
    return ncpu()


def go(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> G:
    """Start fn(*args, **kwargs) as a goroutine and return it.

    fn: an async def, or a plain def, which then runs on a thread of the
    runtime. From any thread while a runtime is up (RuntimeError otherwise).
    TypeError for what is not callable, and for arguments that an async def
    does not take.
    """
    return newproc(fn, args, kwargs)


def schedstats() -> dict[str, int]:
    """Counters of this run: threads started, goroutines stolen."""
    return {
        "threads": load(sched.nthreads),
        "steals": load(sched.nsteals),
        "goroutines": gcount(),
        "running_threads": sched.mcount - sched.nmidle - sched.nmidlelocked,
        "runqueue": load(sched.runqsize),
        "netpoll_waiters": load(sched.netpollwaiters),
        "draining": load(sched.draining),
        "exiting": load(sched.exiting),
    }


sched.mainexit = mainexit
sched.drained = drained
sched.abandon = abandon
sched.deadlocked = deadlocked
sched.panic = panic
