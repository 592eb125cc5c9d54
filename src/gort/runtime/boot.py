"""Boot and shutdown, in the notes' order: rt0_go, osinit, schedinit, newproc of
main, mstart; and the way down: cancel what still runs, stop every M, return.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import cython

from .._immortal import immortalize
from .asyncgen import startasyncgens
from .cleanup import startcleanups, stopcleanups
from .debug import debug, debugint, parsedebugvars
from .dump import leakreport, tracebackothers
from .exithook import openhooks
from .gcwork import gcenable, gcrestore, gcstats
from .gil import gilcheck
from .gmp import G, M, P, lostthread, printerr
from .inittask import inorder
from .park import Cancelled, Op, uncancelled, wakewaiters
from .proc import checkmain
from .scope import cancelall
from .sigqueue import sigexit, siginit
from .sysmon import DeadlockError
from .traceback import addnote, dumpall, dumpg
from .world import checkprocs, ncpu

if not cython.compiled:
    from ..platform import (
        RAISE,
        Poller,
        add,
        bootstrangers,
        cas,
        fastgo,
        getm,
        ismainthread,
        load,
        lock,
        lockstat,
        nanotime,
        newosproc,
        noteclear,
        notesleep,
        notewakeup,
        opdrop,
        setm,
        slotclear,
        store,
        threadstacks,
        uncounted,
        unlock,
        usleep,
    )
    from .asyncgen import closesuspended
    from .fork import atfork
    from .gmp import (
        PSTATE,
        Gdead,
        Grunnable,
        Gwaiting,
        Pdead,
        Pidle,
        Prunning,
        Psyscall,
        Puser,
        allgdel,
        allgs,
        allocm,
        checkmcount,
        freem,
        mof,
        sched,
        setclock,
    )
    from .machine import acquirep, netpollbreak, pidleget, pidleput
    from .main import mainstart
    from .netpoll import np
    from .park import dropasync, winwait
    from .proc import endidle, gcount, mstart, newmain, newproc
    from .runq import globrunqpop
    from .sysmon import sysmon
    from .template import jointemplate, openhandoff
    from .unwind import startunwind
    from .world import procresize

_MOMENT = 10_000
_BUSY = 50_000_000
_IDLE = 1_000_000_000
_SHOWN = 20
finalizing = sys.is_finalizing  # module sys may be empty when it is wanted

_FREETHREADED = "t" in getattr(sys, "abiflags", "")
_panics: list[BaseException] = []
_others: list[str] = []
whenstuck: list[Callable[[BaseException | None], None]] = []
"""What `gort run` does when run cannot come back; called on sysmon's thread."""


def imported() -> None:
    """The package is complete: what it has now lives as long as the process."""
    if cython.compiled and _FREETHREADED:
        immortalize(immortal)


def immortal(o: Any) -> None:
    """Have nobody count o."""
    uncounted(o)


def run(main: Callable[..., Any], *args: Any, procs: int | None = None) -> Any:
    """Run main(*args) as goroutine 1 and return what it returns, or raise what it
    raises.

    main: an async def (or plain def) function. procs: how many goroutines run
    at the same time; by default GOMAXPROCS, else the CPUs of the affinity mask
    on a free-threaded interpreter and 1 where there is a GIL. When main
    returns, what still runs is cancelled. Works on any thread and again and
    again; raises RuntimeError while another run is up in this process,
    DeadlockError when all goroutines are asleep for good. Init tasks (gort.init)
    run before main, exit hooks (gort.at_exit) after it. A process that forks
    meanwhile has no runtime in the child, which may call run again; a goroutine
    that forked goes on there, and the child exits when it ends.
    """
    checkmain(main)
    if finalizing():
        raise RuntimeError("gort.run: the interpreter is going down, and starts no thread any more")
    inorder()  # a cycle of init tasks is an error before anything starts
    n = defaultprocs() if procs is None else checkprocs(procs)
    if n == 0:
        raise ValueError("procs must be at least 1")
    if not cas(sched.booted, 0, 1):
        raise RuntimeError("a gort runtime is up already: one runs at a time in a process")
    try:
        return rt0_go(main, args, n)
    finally:
        store(sched.booted, 0)


class Default:
    """How many procs `gort run --procs` asked for; 0: it did not."""

    procs = 0


def defaultto(procs: int | None) -> None:
    Default.procs = procs or 0


def nruns() -> int:
    """How many times run was called in this process."""
    return load(sched.gen)


def defaultprocs() -> int:
    if Default.procs:
        return Default.procs
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
    openhandoff()
    np.pds.clear()
    _panics.clear()
    _others.clear()
    sched.signals.clear()
    sched.gm = debug.get("sched") == "gm"
    store(sched.siglisten, 0)
    sched.starttime = nanotime()
    setclock(sched.starttime)
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
    if sched.mcount == 0:  # an M that was left in user code has its P yet
        sched.pfree += sched.allp
    sched.allp = []
    sched.pidle = None
    sched.midle = None
    sched.nmidle = 0
    sched.nmidlelocked = 0
    sched.mcount = 0
    sched.mnext = 1
    sched.nmsys = 1
    sched.allm = set()
    sched.lockedms = {}
    while globrunqpop() is not None:
        pass
    sched.fatal = None
    sched.maing = None
    slotclear(sched.throwing)
    sched.drainstart = 0
    for a in (0,):
        store(sched.npidle, a)
        store(sched.nmspinning, a)
        store(sched.needspinning, a)
        store(sched.runqsize, a)
        store(sched.nrunqget, a)
        store(sched.runqlate, a)
        store(sched.gcwaiting, a)
        store(sched.polluntil, a)
        store(sched.netpollwaiters, a)
        store(sched.netpollwake, a)
        store(sched.sysmonwait, a)
        store(sched.exiting, a)
        store(sched.draining, a)
        store(sched.pierced, a)
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
    parsedebugvars()
    schedinit(procs)
    startunwind()
    startasyncgens()
    bootstrangers()
    gilcheck(3)
    m0 = allocm(0, load(sched.gen))
    m0.ism0 = ismainthread()
    sched.m0 = m0
    sched.allm.add(m0)
    lock(sched.lock)
    sched.mcount = 1
    checkmcount()
    unlock(sched.lock)
    monitor = None
    gp = None
    try:
        siginit()
        monitor = newosproc(monitor_main, None, "gort-sysmon")
        lock(sched.lock)
        pp = pidleget()
        unlock(sched.lock)
        startcleanups()
        if debug.get("gcworker") != "0":
            gcenable(debugint(debug, "gctrace") > 0)
        setm(m0)
        acquirep(m0, pp)
        gp = newmain(main, args, m0)
        mainstart(gp, m0, debugint(debug, "inittrace") != 0, sched.starttime)
        store(sched.up, 1)
        mstart(m0)
        teardown()
    finally:
        opdrop()
        store(sched.exiting, 2)
        closeup()
        notewakeup(sched.sysmonnote)
        sigexit()
        if monitor is not None:
            monitor.join()
        jointemplate()
        gcrestore()
        stopcleanups()
        if gp is not None:
            takeps()
            endleft()
        sched.m0 = None
        freem(m0)
        sched.poller.close()
        openhooks()
    sched.maing = None
    return outcome(gp)


def closeup() -> None:
    """From here on no goroutine begins (proc.startglobal), no M starts, and nobody stops the
    world: who does has looked at sched.up under worldsema."""
    lock(sched.worldsema)
    lock(sched.lock)
    store(sched.up, 0)
    unlock(sched.lock)
    unlock(sched.worldsema)


def takeps() -> None:
    """Take the Ps from Ms that were left in user code, so that they run nothing on them. One
    that is inside the runtime just now comes out in a moment."""
    for pp in sched.allp:
        for _ in range(_MOMENT):
            s = load(pp.status)
            st = s & PSTATE
            if st == Prunning:
                usleep(100)
            elif st not in (Puser, Psyscall) or cas(pp.status, s, Pdead):
                break


def endleft() -> None:
    """End the goroutines that no M will run any more: those that a thread outside started
    too late, and those of a run that was given up."""
    left = True
    while left:
        left = False
        for gp in allgs():
            if not gp.issystem and ours(gp):
                endg(gp)
                left = True


def ours(gp: G) -> bool:
    """Whether nobody runs gp, nor is about to; who waits then stands in no queue any more."""
    s = load(gp.status_)
    if s == Gwaiting:
        op: Op = gp.waiting
        lock(gp.lock)
        won = winwait(gp)
        unlock(gp.lock)
        if won:
            op.unqueue()
        return won
    return s == Grunnable


def endg(gp: G) -> None:
    """End gp, which is nobody else's: its `finally` blocks run here, outside the runtime."""
    try:
        if not gp.plain:
            gp.coro.close()
    except BaseException:
        printerr(f"Exception ignored in {gp!r}, which the end of gort.run closes:\n")
        traceback.print_exc()
    if gp.scope is not None:
        sched.orphaned(gp.scope)
    if not gp.member:
        gp.group = None
    endidle(gp, Cancelled("the runtime has gone down"))
    allgdel(gp)
    if gp.group is not None:
        sched.groupdone(gp)  # its WaitGroup outlives the run


def monitor_main(_: None) -> None:
    try:
        sysmon()
    except Exception as exc:
        lostthread(exc)


def outcome(gp: G) -> Any:
    """What run returns or raises: a fatal error, a panic, main's own end."""
    fatal = sched.fatal
    sched.fatal = None
    slotclear(sched.throwing)
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
    """Wait until every other M has left. One that stays in a goroutine's code is left behind,
    where the run was given up at once: it ends when it next enters the runtime."""
    wakewaiters()
    now = nanotime()
    busy = now + (_BUSY if load(sched.draining) == 2 else _IDLE)
    idle = now + _IDLE
    while sched.mcount > 0 and now < idle:
        stays = False
        for mp in list(sched.allm):
            wakem(mp)
            stays = stays or mp.curg is None
        if not stays and now >= busy:
            return
        netpollbreak()
        notesleep(sched.exitnote, 5_000_000)
        now = nanotime()


def wakem(mp: M) -> None:
    notewakeup(mp.park)


def mainexit(gp: G) -> None:
    """runtime.main's end: cancel what still runs. Shields hold for a while (sysmon)."""
    if gp.outcome == RAISE:
        _others.append(tracebackothers(gp))
    elif debugint(debug, "leaks"):
        leakreport(gp)
    dropasync()
    sched.drainstart = nanotime()
    startunwind()
    store(sched.draining, 1)
    cancelall()


def drained() -> None:
    """A goroutine ended while the runtime goes down: was it the last?"""
    if gcount() == 0 and (load(sched.exiting) != 0 or not closesuspended()):
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


def leave() -> None:
    """Two seconds after main's end, by sysmon: say who has not ended, and go on without. Where
    one of them keeps m0, run comes back when it ends."""
    left = []
    stuck = []
    for gp in allgs():
        if not gp.issystem and load(gp.status_) != Gdead:
            (stuck if mof(gp) is sched.m0 else left).append(gp)
    exc = ending()
    if stuck:
        printerr(
            f"gort: main has ended, and run cannot return: goroutine {stuck[0].id} keeps the "
            "thread that called it, in a call that cannot be interrupted.\n"
        )
        if exc is not None:
            printerr("What run is to raise:\n")
            printerr("".join(traceback.format_exception(exc)))
    elif left:
        printerr("gort: main has ended, and run goes on without what has not ended since.\n")
    if stuck or left:
        printerr("\n" + dumpsome(stuck + left))
    abandon()
    if stuck and whenstuck:
        whenstuck[0](exc)


def dumpsome(gs: list[G]) -> str:
    """The stacks of some goroutines, of the first ones where they are many."""
    frames = threadstacks()
    shown = []
    for gp in gs[:_SHOWN]:
        shown.append(dumpg(gp, frames, nanotime(), 1))
    text = "\n".join(shown)
    more = len(gs) - _SHOWN
    return text if more <= 0 else f"{text}\n... and {more} more\n"


def ending() -> BaseException | None:
    """What run is going to raise."""
    gp = sched.maing
    if sched.fatal is not None:
        return sched.fatal
    if _panics:
        return _panics[0]
    return gp.result if gp.done() and gp.outcome == RAISE else None


def deadlocked() -> None:
    """All goroutines are asleep: DeadlockError with everybody's stack.

    deadcheck stays set, so that sysmon looks again at those that are still
    asleep, behind shields: then, and after a panic or main's end, shields end.
    """
    if sched.drainstart == 0:
        sched.drainstart = nanotime()
        text = "all goroutines are asleep - deadlock!\n\n" + dumpall(1)
        sched.fatal = DeadlockError(text)
        cancelall()
    else:
        store(sched.deadcheck, 0)
        sched.pierce()
    wakewaiters()
    drained()


def panic(gp: G) -> None:
    """An exception that nobody can retrieve: raise it from run, cancel everything."""
    exc = gp.result
    exc = uncancelled(exc)
    if exc is None or load(sched.up) == 0:
        return
    addnote(exc, gp)
    _others.append(tracebackothers(gp))
    _panics.append(exc)
    if len(_panics) == 1:
        sched.drainstart = nanotime()
        cancelall()


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


go = fastgo(go)


def schedstats() -> dict[str, Any]:
    """Counters of this run: threads started, goroutines stolen, collections. And of
    sched.lock since the process began, where they are compiled in (GORT_LOCKSTATS):
    how often it was taken and contended, and the nanoseconds waited."""
    return {
        "threads": load(sched.nthreads),
        "steals": load(sched.nsteals),
        "goroutines": gcount(),
        "running_threads": sched.mcount - sched.nmidle - sched.nmidlelocked,
        "idleprocs": load(sched.npidle),
        "runqueue": load(sched.runqsize),
        "netpoll_waiters": load(sched.netpollwaiters),
        "draining": load(sched.draining),
        "exiting": load(sched.exiting),
        "gm": int(sched.gm),
        "lock_taken": lockstat(sched.lock, 0),
        "lock_contended": lockstat(sched.lock, 1),
        "lock_wait_ns": lockstat(sched.lock, 2),
        "gc": gcstats(),
    }


atfork.reset = resetall
sched.mainexit = mainexit
sched.drained = drained
sched.abandon = abandon
sched.leave = leave
sched.deadlocked = deadlocked
sched.panic = panic
