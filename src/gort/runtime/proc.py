"""The scheduler's loop: schedule, find_runnable, execute, goexit, newproc.

    schedule -> find_runnable -> execute -> (user code) -> park or goexit -> schedule

In Go goexit ends in a call of schedule that never returns; here execute returns
to schedule's loop. mp.curg is the only reference that the loop holds while a
goroutine runs, so that its last drop can be made outside the runtime.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from types import AsyncGeneratorType, CoroutineType
from typing import Any

import cython

from .._bytecode import drive
from .._where import hint
from .gmp import G, M, P, lostthread
from .park import Cancelled, Op

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        RUNQ,
        YIELD,
        add,
        asyncgen_hooks,
        awaitby,
        callsite,
        cas,
        cheaprandn,
        copycontext,
        curm,
        fence,
        gctrack,
        getident,
        getm,
        gocall,
        gogo,
        gothrow,
        install_slots,
        isasyncgenfunction,
        iscoroutinefunction,
        keeptstate,
        load,
        lock,
        moved,
        nameof,
        nanotime,
        poolget,
        poolops,
        setcurg,
        setm,
        settraceback,
        slotset,
        slotswap,
        slottake,
        store,
        store_rel,
        swap,
        takecurg,
        tracebackof,
        unlikely,
        unlock,
    )
    from .cleanup import wakecleanup
    from .gcwork import FORCED, IDLE, findgcworker, gcdue, gcfits, gctick
    from .gm import matchmgandunlock
    from .gmp import (
        ALOSTP,
        ANONE,
        APARK,
        AYIELD,
        CREQ,
        GOIDBATCH,
        OPAWAITED,
        OPNEW,
        Gdead,
        Grunnable,
        Grunning,
        allgadd,
        allgdel,
        freem,
        newg,
        sched,
        throw,
        tupleat,
    )
    from .machine import (
        acquirep,
        claim,
        gcstopm,
        interrupted,
        lockedexit,
        mexit,
        netpollbreak,
        nudge,
        pidleget,
        pidlegetspinning,
        pidleput,
        release,
        releasep,
        startlockedm,
        stoplockedm,
        stopm,
        wakep,
    )
    from .netpoll import netpoll, readylist
    from .osthread import droplockedg
    from .park import dropasync, gopark, opready, parkdone, ready, takeback, undowait, win

    STEALTRIES = 4
    GIVEUPSTOP = 0
    GIVEUPAGAIN = 1
    from .runq import (
        globrunqget,
        globrunqput,
        runqempty,
        runqget,
        runqlen,
        runqput,
        runqputcurg,
        runqsteal,
    )
    from .timers import checktimers

    takenext = slotswap
    movedg = moved

_NOTUP = "no gort runtime is up: start goroutines under gort.run(main)"
NOLOOP = ("no running event loop",)
WAYOUT = (
    "a goroutine of gort runs on no asyncio loop: use gort.sleep, gort.net and gort's other "
    "operations, or gort.syscall(asyncio.run, f())"
)


class Goexit(BaseException):
    """Raised by gort.goexit to end the goroutine; finally blocks run."""


def mstart(mp: M) -> None:
    """A new thread's entry, and m0's: schedule until the runtime goes down."""
    setm(mp)
    keeptstate()
    mp.ident = getident()
    hooks = sys.get_asyncgen_hooks()
    begins, finalize = sched.agenhooks()
    asyncgen_hooks(begins, finalize)
    if mp.gen == load(sched.gen):  # else it came up when its run was over, and was left
        if mp.nextp is not None:
            pp = mp.nextp
            mp.nextp = None
            acquirep(mp, pp)
        # m0 comes with main, so that nobody else can take it first.
        if mp.curg is None or execute(mp):
            schedule(mp)
    asyncgen_hooks(hooks.firstiter, hooks.finalizer)
    mexit(mp)


def mthread(mp: M) -> None:
    """An M's thread, but for m0's."""
    try:
        mstart(mp)
        freem(mp)
    except Exception as exc:
        lostthread(exc)


def schedule(mp: M) -> None:
    """Rounds of the scheduler, until this M is to end."""
    while True:
        if unlikely(mp.lockedg is not None):
            if not stoplockedm(mp):
                return
            mp.nextg = mp.lockedg
        else:
            if not findrunnable(mp):
                return
            if unlikely(mp.spinning):
                resetspinning(mp)
            if unlikely(mp.nextg.locked != 0):  # to another M: this one has no locked goroutine
                gp = mp.nextg
                mp.nextg = None
                if not startlockedm(mp, gp):
                    return
                continue
        setcurg(mp)
        if not execute(mp):
            return


def findrunnable(mp: M) -> bool:
    """Find a goroutine to run, in Go's order, for mp.nextg; False when this M is to end.

    It is moved from field to field, not returned: a reference that is counted costs an
    atomic operation where another thread made the object.
    """
    while True:
        pp = mp.p
        if unlikely(pp is None):
            if not stopm(mp):
                return False
            continue
        if unlikely(mp.nextg is not None):
            return True
        if unlikely(load(sched.gcwaiting) != 0):
            if not gcstopm(mp):
                return False
            continue
        if unlikely(load(sched.exiting) != 0):
            pp = releasep(mp)
            return False
        if unlikely(load(pp.preempt) != 0):
            endslice(pp)
        if findlocal(mp, pp):
            return True
        if sched.gm:
            runtimers(pp)
            if load(sched.runqsize) != 0:
                continue
        # Steal, while not more than half of the busy Ps' number do.
        elif mp.spinning or 2 * load(sched.nmspinning) < load(sched.nprocs) - load(sched.npidle):
            if not mp.spinning:
                becomespinning(mp)
            mp.nextg = stealwork(mp, pp)
            if mp.nextg is not None:
                return True
            if not runqempty(pp):
                continue  # a stolen timer made something runnable
        mp.nextg = idlegc()
        if mp.nextg is not None:
            return True
        if giveup(mp, pp) == GIVEUPSTOP and not stopm(mp):
            return False


def findlocal(mp: M, pp: P) -> bool:
    """Timers, a forced collection, every 61st tick the global queue, the cleanup
    goroutine, the local queue, the global queue, the network."""
    if load(pp.minwhen) != 0:
        checktimers(pp, nanotime(), pp)
    pp.gctick += 1
    if unlikely(pp.gctick >= pp.gcrounds):
        gctick(pp)
    if unlikely(load(sched.gcforce) != 0):
        mp.nextg = findgcworker(FORCED)
        if mp.nextg is not None:
            return True
    if unlikely(
        load(sched.runqsize) > 0 and (load(pp.schedtick) % 61 == 0 or load(sched.runqlate) != 0)
    ):
        mp.nextg = globalrunq(pp, 1)
        if mp.nextg is not None:
            return True
    if unlikely(load(sched.cleanupwake) != 0):
        wakecleanup(pp)
    if slotset(pp.runnext):
        mp.nextg = takenext(pp.runnext, None)
        if mp.nextg is not None:  # a thief may have been faster
            # Inherits the time slice: execute counts a tick, this takes it back.
            store_rel(pp.schedtick, load(pp.schedtick) - 1)
            return True
    mp.nextg = runqget(pp)
    if mp.nextg is not None:
        return True
    if load(sched.runqsize) != 0:
        mp.nextg = globalrunq(pp, 0)
        if mp.nextg is not None:
            return True
    # An optimisation before stealing.
    if pollnow(pp):
        mp.nextg = runqget(pp)
        return mp.nextg is not None
    return False


def pollnow(pp: P) -> bool:
    """Poll the network without blocking, unless an M blocks there already; whether
    anything came, which stands in pp's queue."""
    polled = load(sched.lastpoll)
    if load(sched.netpollwaiters) == 0 or polled == 0:
        return False
    # So that sysmon need not poll. It fails where an M began to block in netpoll: then
    # lastpoll is 0 until that comes back.
    cas(sched.lastpoll, polled, nanotime())
    return readylist(netpoll(0), pp) > 0


def endslice(pp: P) -> None:
    """The time slice that runnext would inherit is over: it goes behind all that waits.

    Or goroutines that hand over to each other, or a chain of those that start one another,
    would keep the P: no op of theirs yields, as each parks or ends.
    """
    store_rel(pp.preempt, 0)
    if not slotset(pp.runnext):
        return
    pollnow(pp)
    if load(sched.runqsize) == 0 and load(pp.runqhead) == load(pp.runqtail):
        # Nobody else is here: it stays where no thief takes it at once, and begins a slice.
        store_rel(pp.schedtick, load(pp.schedtick) + 1)
        return
    gp = takenext(pp.runnext, None)
    if gp is None:
        return
    if load(sched.runqsize) == 0:
        runqput(pp, gp, False)
        return
    globput(gp)


def globalrunq(pp: P, max: int) -> G | None:
    lock(sched.lock)
    gp = globrunqget(pp, max)
    unlock(sched.lock)
    return gp


def stealwork(mp: M, pp: P) -> G | None:
    """Four tries over all Ps in a random cyclic order; the last one also runs their
    timers and takes runnext. The step is coprime to the count, so it meets all."""
    n = load(sched.nprocs)
    for i in range(STEALTRIES):
        last = i == STEALTRIES - 1
        pos = cheaprandn(n)
        for _ in range(n):
            if load(sched.gcwaiting) != 0:
                return None
            pos = pos + 1 if pos + 1 < n else 0
            p2: P = sched.allp[pos]
            if p2 is pp:
                continue
            if last and load(p2.minwhen) != 0:
                checktimers(p2, nanotime(), pp)
                if not runqempty(pp):
                    return None
            gp = runqsteal(pp, p2, last)
            if gp is not None:
                return gp
    return None


def runtimers(mine: P) -> None:
    """All timers that are due, on whichever heap."""
    now = nanotime()
    for i in range(load(sched.nprocs)):
        p2: P = sched.allp[i]
        if load(p2.minwhen) != 0:
            checktimers(p2, now, mine)


def idlegc() -> G | None:
    """Idle GC work, where no other P is busy: a collection stops them all."""
    if load(sched.npidle) < load(sched.nprocs) - 1:
        return None
    now = nanotime()
    if not gcdue(now) or not gcfits(now, checktimersnop()):
        return None
    return findgcworker(IDLE)


def giveup(mp: M, pp: P) -> int:
    """Nothing to run: release the P and look again, or poll, or tell to stop.

    The delicate dance of Go's findRunnable (machine.py, rules 3 and 4).
    """
    lock(sched.lock)
    if load(sched.gcwaiting) != 0 or load(sched.exiting) != 0 or load(sched.runqsize) != 0:
        unlock(sched.lock)
        return GIVEUPAGAIN
    if not mp.spinning and load(sched.needspinning) == 1:
        # Rule 4: somebody found work and no P for it.
        becomespinning(mp)
        unlock(sched.lock)
        return GIVEUPAGAIN
    releasep(mp)
    pidleput(pp)
    unlock(sched.lock)

    wasspinning = mp.spinning
    if mp.spinning:
        # Rule 3: drop the count first, then look again. The add is a full
        # barrier: a submitter that reads the old count is seen below.
        mp.spinning = False
        if add(sched.nmspinning, -1) < 0:
            throw("findrunnable: negative nmspinning")
        idle = checkrunqs()
        if idle is not None:
            acquirep(mp, idle)
            becomespinning(mp)
            return GIVEUPAGAIN
    fence()
    until = checktimersnop()
    if (load(sched.netpollwaiters) > 0 or until != 0) and swap_lastpoll():
        return GIVEUPAGAIN if pollblocking(mp, until, wasspinning) else GIVEUPSTOP
    if until != 0:
        polluntil = load(sched.polluntil)
        if polluntil == 0 or polluntil > until:
            netpollbreak()
    return GIVEUPSTOP


def swap_lastpoll() -> bool:
    """Become the one M that blocks in netpoll, unless there is one."""
    return swap(sched.lastpoll, 0) != 0


def checkrunqs() -> P | None:
    """The second look: an idle P if any queue holds work, without holding a P.

    Also at Ps whose status is idle: one that is in the hands of an M has a queue
    (handoffp), and that M, which does not spin, wakes nobody for the rest of it.
    """
    lock(sched.lock)
    if load(sched.runqsize) != 0:
        idle = pidlegetspinning()
        unlock(sched.lock)
        return idle
    unlock(sched.lock)
    for i in range(load(sched.nprocs)):
        p2: P = sched.allp[i]
        if not runqempty(p2):
            lock(sched.lock)
            idle = pidlegetspinning()
            unlock(sched.lock)
            return idle
    return None


def checktimersnop() -> int:
    """When the first timer of all Ps is due; 0 for none. Without holding a P."""
    first = 0
    for i in range(load(sched.nprocs)):
        p2: P = sched.allp[i]
        w = load(p2.minwhen)
        if w != 0 and (first == 0 or w < first):
            first = w
    return first


def pollblocking(mp: M, until: int, wasspinning: bool) -> bool:
    """Block in netpoll until the next timer; True when mp has a P again."""
    store(sched.polluntil, until)
    # A timer that was added between our look and this store found nobody polling
    # or an old time: look again now that it can be seen which time we poll for.
    fence()
    again = checktimersnop()
    if again != 0 and (until == 0 or again < until):
        until = again
        store(sched.polluntil, until)
    ns = -1
    if load(sched.exiting) != 0 or load(sched.gcwaiting) != 0:
        ns = 0
    elif until != 0:
        # At least one: the P of a timer that is due may be in the hands of an M
        # that waits for the GIL, which only a blocking call lets go.
        ns = until - nanotime()
        if ns < 1:
            ns = 1
    setm(None)  # as in mwait
    list_ = netpoll(ns)
    store(sched.polluntil, 0)
    now = nanotime()
    store(sched.lastpoll, now)
    if list_ is None and (until == 0 or now < until):
        interrupted(mp)  # it broke early: maybe for a signal, or for nudge
    setm(mp)
    lock(sched.lock)
    pp = None
    if load(sched.gcwaiting) == 0 and load(sched.exiting) == 0:
        pp = pidleget()
    unlock(sched.lock)
    if pp is None:
        readylist(list_, None)
        return False
    acquirep(mp, pp)
    if readylist(list_, pp) == 0 and wasspinning:
        becomespinning(mp)
    return True


def becomespinning(mp: M) -> None:
    mp.spinning = True
    add(sched.nmspinning, 1)
    store(sched.needspinning, 0)


def resetspinning(mp: M) -> None:
    """Rule 2: this M found work; if nobody spins now, start another."""
    mp.spinning = False
    if add(sched.nmspinning, -1) < 0:
        throw("resetspinning: negative nmspinning")
    wakep(mp.p)


def execute(mp: M) -> bool:
    """Run mp.curg until it parks, yields or ends; False when the M is to end.

    The P is released over user code and claimed by the op that parks. It
    returns with the P claimed, or with mp.p None when the P was lost.
    """
    store_rel(mp.p.schedtick, load(mp.p.schedtick) + 1)
    while True:
        # mp.p is another one than before, where the op that parked lost its P.
        store_rel(mp.curg.status_, Grunning)
        mp.action = ANONE
        store_rel(mp.p.status, mp.userword)  # release(mp, mp.p), which would count mp.p
        code = callplain(mp) if mp.curg.plain else gogo(mp)
        while code == YIELD and mp.action == ANONE:
            code = gothrow(mp.curg.coro, foreignawait(mp), mp.curg.ctx, mp.result)
        if code != YIELD:
            if unlikely(load(mp.pressed) != 0):
                takeback(mp)
            if mp.curg is sched.maing:
                code = sched.mainstage(mp.curg, mp, code)
                if code == YIELD:
                    if claim(mp) is None:
                        return goschedimpl(mp, takecurg(mp), ALOSTP)
                    continue
            return goexit0(mp, code)
        if mp.action == AYIELD and not sched.gm:
            # Behind just as many as on the global queue, without the lock that all Ps share:
            # a share of that goes before it. So the yields of all Ps empty it, and do not
            # keep it full.
            store_rel(mp.curg.status_, Grunnable)
            if unlikely(load(sched.runqsize) != 0):
                pullglobal(mp.p)
            runqputcurg(mp)
            return True
        gp = takecurg(mp)
        if mp.action != APARK:
            return goschedimpl(mp, gp, mp.action)
        if parkdone(gp):
            return True
        # Readied while its frames were live: on with it, in the same slice.
        if unlikely(load(mp.p.preempt) != 0):
            globput(gp)
            return True
        mp.curg = gp
        gp = None


def pullglobal(pp: P) -> None:
    """Move a fair share of the global queue to the end of pp's, as far as there is room for
    one more behind it; owner only.

    All of it under the lock: an M that gives its P up looks at both queues, and nobody is
    woken for what it finds in neither.
    """
    room = RUNQ - 1 - runqlen(pp)
    if room <= 0:
        return
    lock(sched.lock)
    gp = globrunqget(pp, room)
    if gp is not None:
        runqput(pp, gp, False)
    unlock(sched.lock)


def callplain(mp: M) -> int:
    """The first step of a goroutine of a plain callable. Without a local variable for it:
    uncompiled, what it raises would hold this frame, and so the goroutine itself."""
    what = mp.curg.coro
    code = gocall(what[0], what[1], what[2], mp.curg.ctx, mp.result)
    if unlikely(load(mp.pressed) != 0):
        takeback(mp)  # before startcoro, which may run Python code
    if code == RETURN and startcoro(mp.curg, mp):
        code = gogo(mp)
    return code


def goschedimpl(mp: M, gp: G, action: int) -> bool:
    """A goroutine that yielded, was preempted, or whose P was lost: on the global queue."""
    store_rel(gp.status_, Grunnable)
    if action == ALOSTP:
        mp.p = None
        if gp is sched.maing:
            dropasync()
    globput(gp)
    if mp.p is None:
        wakep(None)
    return True


def globput(gp: G) -> None:
    lock(sched.lock)
    globrunqput(gp)
    unlock(sched.lock)


def startcoro(gp: G, mp: M) -> bool:
    """A plain callable that returned a coroutine, or a gort op, was an async one:
    drive that."""
    what = mp_result(mp)
    if isinstance(what, Op):
        coro = drive(what)
        coro.__qualname__ = nameof(gp.coro) or type(what).__name__
        what = coro
    elif isinstance(what, AsyncGeneratorType):
        what = refuseagen(what)
    elif not isinstance(what, Coroutine):
        return False
    slotswap(mp.result, None)
    gp.coro = what
    gp.plain = False
    return True


async def refuseagen(agen: Any) -> None:
    raise TypeError(
        f"a goroutine's function returned the async generator {agen.__qualname__}, which nobody "
        "goes over: use `async for`"
    )


def mp_result(mp: M) -> Any:
    """What the goroutine returned, left in place."""
    value = slotswap(mp.result, None)
    slotswap(mp.result, value)
    return value


def foreignawait(mp: M) -> TypeError:
    """The goroutine yielded something that is not ours."""
    what = slotswap(mp.result, None)
    if what is None:
        return TypeError(
            "a goroutine awaited something that yields to another event loop (it yielded None); "
            "await gort's own operations such as gort.sleep, or run the other loop in "
            "gort.syscall: gort.syscall(asyncio.run, f())"
        )
    # By type's own repr: no code of the object's or of its type's runs in here.
    cls = type.__repr__(type(what)).removeprefix("<class '").removesuffix("'>")
    return TypeError(
        f"a goroutine cannot await {cls}: it belongs to another event loop; await gort's own "
        "operations, or run that loop in gort.syscall: gort.syscall(asyncio.run, f())"
    )


def goexit0(mp: M, code: int) -> bool:
    """The end of a goroutine: publish its result, wake who joins, drop it.

    In user mode until the joiners are woken and after it, since what is dropped
    here may run a user's code.
    """
    gp = mp.curg
    value = slottake(mp.result)
    if mp.gen != load(sched.gen) and getm() is None:
        sched.childexit(code, value)
    if code == RAISE:
        if isinstance(value, Goexit):
            code = RETURN
            value = None
        elif type(value) is RuntimeError and value.args == NOLOOP:
            value.add_note(WAYOUT)
    scope = gp.scope
    allgdel(gp)  # before anyone can know that it has ended, and count
    publish(mp, gp, value, code)
    value = None
    if scope is not None:
        sched.orphaned(scope)
        scope = None
    locked = gp.locked != 0
    if locked:
        droplockedg(mp)
    if gp is sched.maing:
        sched.mainexit(gp)
    if gp.group is not None:
        sched.groupdone(gp)
    mp.curg = None
    gp = None  # the last handle may go here
    if code == RAISE and load(sched.draining) == 0:
        nudge()
    if load(sched.draining) != 0:
        sched.drained()
    pp = claim(mp)
    if pp is None and mp.action != ANONE:
        undowait(mp)
        pp = claim(mp)
    if pp is None:
        mp.p = None
        if mp.gen != load(sched.gen):
            return False
    return not locked or lockedexit(mp)


def publish(mp: M, gp: G, value: Any, code: int) -> None:
    """gp is dead, with this result: say so to who joins. In user mode."""
    if code == RAISE:
        add(sched.nfailed, 1)  # before the last handle can go
    if gp.waiting is not None:
        if mp is not None and mp.curg is gp:
            undowait(mp)
        gp.waiting = None
    name = nameof(gp.coro)
    lock(gp.lock)
    joinq = gp.result
    gp.scope = None
    gp.result = value
    gp.outcome = code
    gctrack(gp, value)
    store_rel(gp.status_, Gdead)  # the unlock is the barrier between it and later loads
    coro = gp.coro  # under the lock: a dump takes it from another thread
    gp.coro = (tracebackof(value), name) if code == RAISE else name
    unlock(gp.lock)
    coro = None  # noqa: F841
    if joinq is not None:
        wakejoiners(mp, joinq)


def wakejoiners(mp: M, op: Join) -> None:
    pp = claim(mp) if mp is not None else None
    while op is not None:
        next = op.next
        op.next = None
        op.prev = None
        if win(op):
            opready(op, pp, True)
        op = next
    if pp is not None:
        release(mp, pp)


@cython.no_gc
@cython.cclass
class Join(Op):
    """await g. next, prev: others that wait for it, under its lock."""

    __slots__ = ("target", "next", "prev")

    def opname(self) -> str:
        return "a join"

    def start(self, pp: P) -> int:
        gp = self.target
        lock(gp.lock)
        if load(gp.status_) == Gdead:
            unlock(gp.lock)
            return self.finish()
        gopark(self, 7)
        first = gp.result
        if first is not None:
            first.prev = self
            self.next = first
        gp.result = self
        unlock(gp.lock)
        return YIELD

    def finish(self) -> int:
        gp = self.target
        gp.retrieved = True
        self.value = gp.result
        if gp.outcome == RAISE:
            # As it ended: each await of it would add to its traceback.
            settraceback(self.value, gp.coro[0])
        return gp.outcome

    def unqueue(self) -> None:
        gp = self.target
        lock(gp.lock)
        if load(gp.status_) == Gdead:
            unlock(gp.lock)  # wakejoiners goes along the queue now
            return
        next = self.next
        prev = self.prev
        if next is not None:
            next.prev = prev
        if prev is not None:
            prev.next = next
        else:
            gp.result = next
        self.next = None
        self.prev = None
        unlock(gp.lock)

    def reset(self) -> None:
        self.state = OPNEW
        if self.g is not None:
            self.g = None
        if self.tw is not None:
            self.tw = None
        if self.next is not None:
            self.next = None
        if self.prev is not None:
            self.prev = None
        self.target = None
        self.value = None


def join(gp: G) -> Join:
    op = poolget()
    if op is None:
        op = Join.__new__(Join)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
            op.next = op.prev = None
    op.target = gp
    return moved(op)


def joing(gp: Any) -> Any:
    """What an await of gp drives."""
    op = join(gp)
    op.state = OPAWAITED
    return moved(op)


def checkcallable(fn: Any) -> None:
    if callable(fn):
        checkagen("go()", fn)
        return
    if isinstance(fn, CoroutineType):
        fn.close()
        raise TypeError(
            f"go() wants a function, not the coroutine object {fn.__qualname__}(): "
            f"pass {fn.__name__} and its arguments apart, go({fn.__name__}, ...)"
        )
    raise TypeError(f"go() wants a callable (async def or def), not {type(fn).__name__}")


def checkagen(what: str, fn: Any) -> None:
    """Refuse what would make an async generator, and run none of it."""
    if isasyncgenfunction(fn):
        raise TypeError(
            f"{what} wants an async def or def, and {fn.__qualname__} is an async generator "
            "function, as it yields: a goroutine goes over what it makes with `async for`"
        )


def checkmain(main: Any) -> None:
    """The check of run's first argument, before anything is set up."""
    if isinstance(main, CoroutineType) or not callable(main) or isasyncgenfunction(main):
        try:
            checkcallable(main)
        except TypeError as exc:
            raise TypeError(str(exc).replace("go(", "run(")) from None


def newproc(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> G:
    """Make a goroutine of fn(*args, **kwargs) and queue it; from any thread."""
    gp = newproc1(fn, args, kwargs)
    newproc2(gp)
    return gp


def newcoro(coro: object) -> G:
    """newproc of a coroutine that was made of a coroutine function just now."""
    gp = newg(coro, 0)
    setorigin(gp)
    newproc2(gp)
    return movedg(gp)


def newproc2(gp: G) -> int:
    """Number and queue a goroutine that was just made; RuntimeError where the runtime
    went down since needup(), or goes down and this is a thread outside."""
    mp: M = curm()
    pp: P = None
    if mp is not None:
        pp = claim(mp)
    gp.goid = nextgoid(pp)
    up = start(gp, pp)
    if pp is not None:
        release(mp, pp)
    if unlikely(not up):
        return endedearly(gp)
    return 0


def needup() -> int:
    """Raise RuntimeError where goroutines cannot be started."""
    if unlikely(load(sched.up) == 0):
        return notup()
    return 0


def notup() -> int:
    raise RuntimeError(f"{_NOTUP}{hint()}")


def endedearly(gp: G) -> int:
    """The runtime is down: gp never runs, and its maker gets the error."""
    endidle(gp, Cancelled("the runtime has gone down"))
    return notup()


def newmain(fn: Callable[..., Any], args: tuple[Any, ...], m0: M) -> G:
    """Goroutine 1. It is not queued but bound to m0, whose P is claimed: nobody else
    can run it to its end before the booting thread goes on."""
    gp = makeg(fn, args, {})
    gp.goid = nextgoid(m0.p)
    store_rel(gp.status_, Grunnable)
    allgadd(gp, m0.p)
    m0.curg = gp
    sched.maing = gp
    return gp


def newproc1(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> G:
    """Make a goroutine of fn(*args, **kwargs): idle, without a number, its maker's alone.

    It calls no user code but a coroutine function.
    """
    needup()
    return makeg(fn, args, kwargs)


def makeg(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> G:
    """newproc1(), also before the runtime is up."""
    if iscoroutinefunction(fn):
        gp = newg(fn(*args, **kwargs), 0)
    else:
        checkcallable(fn)
        gp = newg((fn, args, kwargs), 0)
        gp.plain = True
    setorigin(gp)
    return gp


def setorigin(gp: G) -> None:
    """What gp has from its creator: context variables, and who and where that is."""
    copycontext(gp.ctx)
    callsite(gp.callcode, gp.calllasti)
    mp: M = curm()
    if mp is not None and mp.curg is not None:
        gp.parentgoid = mp.curg.goid


def start(gp: G, pp: P) -> bool:
    """Queue an idle goroutine for the first time; False where the runtime is down."""
    if pp is None:
        return startglobal(gp)
    enlist(gp, pp)
    ready(gp, pp, True)
    return True


def startglobal(gp: G) -> bool:
    """start() by one without a P. A shutdown closes the runtime under the same lock, and
    ends afterwards what is queued (boot.endleft): gp is there by then, or nowhere. A thread
    outside is refused from main's end on: it could keep the run from ending for ever."""
    lock(sched.lock)
    if load(sched.up) == 0 or (load(sched.draining) != 0 and curm() is None):
        unlock(sched.lock)
        return False
    enlist(gp, None)
    globrunqput(gp)
    if sched.gm:
        matchmgandunlock()
        return True
    unlock(sched.lock)
    wakep(None)
    return True


def enlist(gp: G, pp: P) -> None:
    """Make an idle goroutine a runnable one that everybody can see."""
    store_rel(gp.status_, Grunnable)
    allgadd(gp, pp)
    # After allgadd: mainexit sets draining, then cancels all that it finds there.
    # A group's children are cancelled by their group.
    if load(sched.draining) != 0 and (gp.group is None or gp.member):
        borncancelled(gp)


def borncancelled(gp: G) -> None:
    """Cancel a goroutine that has not run: it has no scopes yet."""
    gp.cancelled = True
    store(gp.cancelreq, CREQ)


def startidle(gp: G) -> None:
    """start(), from user mode. On an M."""
    mp: M = getm()
    pp = claim(mp) if mp is not None else None
    up = start(gp, pp)
    if pp is not None:
        release(mp, pp)
    if not up:
        endidle(gp, Cancelled("the runtime has gone down"))


def endidle(gp: G, exc: BaseException) -> None:
    """End an idle goroutine, which never runs, with exc. By whoever is not inside the runtime."""
    if not gp.plain:
        gp.coro.close()
    gp.coro = nameof(gp.coro)
    gp.retrieved = True
    publish(getm(), gp, exc, RAISE)


def nextgoid(pp: P) -> int:
    """The next goroutine number, taken in batches by a P."""
    if pp is None:
        return add(sched.goidgen, 1)
    if pp.goidcache == pp.goidcacheend:
        pp.goidcacheend = add(sched.goidgen, GOIDBATCH) + 1
        pp.goidcache = pp.goidcacheend - GOIDBATCH
    id = pp.goidcache
    pp.goidcache += 1
    return id


def gcount() -> int:
    """How many user goroutines live."""
    n = 0
    for i in range(load(sched.nshards)):
        shard: Shard = tupleat(sched.shards, i)
        n += shard.count()
    return n


@cython.locals(mp=M)
def goexit() -> None:
    """End the calling goroutine now; its finally blocks run, and who awaits it gets
    None. Raises RuntimeError outside a goroutine."""
    mp: M = getm()
    if mp is None or mp.curg is None:
        raise RuntimeError("goexit: not in a goroutine")
    raise Goexit


def inuser(mp: M | None) -> bool:
    """Whether mp runs user code with a P, and so holds no lock."""
    return mp is not None and mp.p is not None and load(mp.p.status) == mp.userword


sched.join = joing
sched.mstart = mthread


install_slots(Join)
poolops(Join)
awaitby(G, joing)
