"""Blocking calls: entersyscall, the call on this very thread, exitsyscall.

The fast path is two status changes and no hop. Only a call that lasts loses
its P, to sysmon, after one of its ticks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cython

from .._bytecode import safepoint
from .._where import hint, kind
from .gmp import G, M
from .netconn import Connop
from .netfd import Netop
from .park import LEFT, Cancelled, Gosched, Op, Threadwaiter
from .timers import seconds_of

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        YIELD,
        cas,
        getm,
        install_slots,
        load,
        moved,
        nanotime,
        notesleep,
        poolget,
        poolops,
        sealed,
        setm,
        store_rel,
    )
    from .gm import gmentersyscall
    from .gmp import (
        AGOSCHED,
        ALOSTP,
        ANONE,
        OPAWAITED,
        OPDONE,
        OPNEW,
        OPYIELDED,
        WCANCELLED,
        WDONE,
        WPENDING,
        WREADY,
        Pidle,
        sched,
    )
    from .machine import claim, handoffp, interrupted, release, stale
    from .park import cancelexc, delist, enlist, excuse, undowait, wakewaiter
    from .proc import join

    def fastsyscall(slow: Any) -> Any:
        return slow


def entersyscall(mp: M) -> None:
    """Mark the P, which is open over user code, as in a call that may block."""
    if sched.gm and gmentersyscall(mp):
        return
    pp = mp.p
    if pp is not None and cas(pp.status, mp.userword, mp.sysword):
        store_rel(pp.syscalltick, load(pp.syscalltick) + 1)


def exitsyscall(mp: M) -> bool:
    """Back in user code: the old P if it is still ours, an idle P, else False."""
    pp = mp.p
    if pp is not None and cas(pp.status, mp.sysword, mp.userword):
        return True
    # Not reclaim: fn may have entered the runtime, and left the P as of user code.
    pp = claim(mp)
    if pp is None:
        return False
    release(mp, pp)
    return True


def entersyscallblock(mp: M) -> None:
    """For a call that is known to block: hand the P over at once."""
    pp = mp.p
    if pp is not None and cas(pp.status, mp.userword, Pidle):
        mp.p = None
        handoffp(pp)


@cython.no_gc
@cython.cclass
class Syscall(Op):
    """gort.syscall."""

    __slots__ = ("fn", "args", "kwargs")

    def opname(self) -> str:
        return "gort.syscall"

    def step(self) -> int:
        mp: M = getm()
        if mp is None or mp.curg is None:
            return self.fail(
                RuntimeError(
                    "await of a gort op outside the runtime: call it under gort.run(main); "
                    "in a forked child no runtime is up"
                    f"{hint()}"
                )
            )
        if self.state == OPYIELDED:
            self.state = OPDONE
            return self.code
        if self.state != OPAWAITED:
            return self.reused()
        if mp.action != ANONE and undowait(mp):
            return self.refuse(RuntimeError(LEFT))
        if load(mp.curg.cancelreq) != 0:
            self.state = OPDONE
            return self.fail(cancelexc(mp.curg))
        entersyscall(mp)
        code = self.call(mp)
        back = exitsyscall(mp)
        if getm() is None:  # fn forked, and this is the child
            self.state = OPDONE
            return code
        if back:
            if load(mp.p.preempt) != 0 and claim(mp) is not None:
                # The 10 ms slice is over; there may be nothing else that looks.
                self.state = OPYIELDED
                self.code = code
                mp.action = AGOSCHED
                return YIELD
            self.state = OPDONE
            return code
        if stale(mp):
            self.state = OPDONE
            return self.fail(Cancelled("the runtime has gone down"))
        # No P: the goroutine goes on the global queue and the M stops.
        self.state = OPYIELDED
        self.code = code
        mp.action = ALOSTP
        return YIELD

    def call(self, mp: M) -> int:
        try:
            if self.kwargs is None:
                self.value = self.fn(*self.args)
            else:
                self.value = self.fn(*self.args, **self.kwargs)
        except BaseException as exc:
            self.value = exc
            return RAISE
        return RETURN

    def reset(self) -> None:
        self.state = OPNEW
        self.fn = None
        self.args = None
        if self.kwargs is not None:
            self.kwargs = None
        self.value = None


def newsyscall(fn: Any, args: Any) -> Syscall:
    op = poolget()
    if op is None:
        op = Syscall.__new__(Syscall)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
            op.kwargs = None
    op.fn = fn
    op.args = args
    return moved(op)


def newcall(fn: Any, args: Any) -> Any:
    return newsyscall(fn, args)


@cython.locals(op=Syscall)
def syscall(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Syscall:
    """Call fn(*args, **kwargs), which may block, on this thread; await it for the
    result. Other goroutines go on, on another thread if it lasts.

    Raises TypeError when fn is not callable, and what fn raises.
    """
    if not callable(fn):
        raise TypeError(
            f"syscall() wants a function and its arguments, not {type(fn).__name__}: "
            "syscall(os.stat, path)"
        )
    op = newsyscall(fn, args)
    op.kwargs = kwargs or None
    return op


syscall = fastsyscall(syscall)


@cython.no_gc
@cython.cclass
class Enterblock(Op):
    __slots__ = ()

    def opname(self) -> str:
        return "gort.blocking"

    def step(self) -> int:
        mp: M = getm()
        if mp is None or mp.curg is None:
            return self.fail(RuntimeError("gort.blocking() is for goroutines, under gort.run"))
        if self.state != OPAWAITED:
            return self.reused()
        if mp.action != ANONE and undowait(mp):
            return self.refuse(RuntimeError(LEFT))
        if load(mp.curg.cancelreq) != 0:
            return self.refuse(cancelexc(mp.curg))
        self.state = OPDONE
        entersyscall(mp)
        return RETURN


@cython.no_gc
@cython.cclass
class Exitblock(Op):
    __slots__ = ()

    def opname(self) -> str:
        return "gort.blocking"

    def step(self) -> int:
        mp: M = getm()
        if self.state == OPAWAITED and mp is not None and mp.curg is not None:
            self.state = OPDONE
            if mp.action != ANONE:
                undowait(mp)
            if exitsyscall(mp):
                if load(mp.p.preempt) != 0 and claim(mp) is not None:
                    mp.action = AGOSCHED
                    return YIELD
            elif not stale(mp):
                mp.action = ALOSTP
                return YIELD
        return RETURN


class Blocking:
    """gort.blocking(): an `async with` block whose body may block its thread."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<gort.blocking: for async with>"

    def __aenter__(self) -> Enterblock:
        op = Enterblock.__new__(Enterblock)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
        return op

    def __aexit__(self, kind: Any, exc: Any, tb: Any) -> Exitblock:
        op = Exitblock.__new__(Exitblock)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
        return op


def blocking() -> Blocking:
    """`async with gort.blocking():` around code that blocks its thread."""
    return Blocking.__new__(Blocking)


_THREADLESS = (Gosched, Syscall, Enterblock, Exitblock, Netop, Connop)
"""Ops that need the goroutine's own M."""


def waitop(op: Any, timeout: Any) -> Any:
    excuse(op)  # until it has begun
    if load(sched.up) == 0:
        raise RuntimeError(f"wait: no gort runtime is up{hint()}")
    if isinstance(op, G):
        op = join(op)
        excuse(op)
    if not isinstance(op, Op) or isinstance(op, _THREADLESS):
        raise TypeError(f"wait() wants an op such as ch.recv(), or a Goroutine, not {kind(op)}")
    ns = -1
    if timeout is not None:
        timeout = seconds_of(timeout)
        if math.isnan(timeout):
            raise ValueError("wait: the timeout must be a number of seconds, not NaN")
        ns = int(max(0.0, min(timeout, 1e9)) * 1e9)
    o: Op = op
    if o.state > OPNEW and o.state != OPAWAITED:
        raise RuntimeError("this op was used already: an op is used once, make a new one")
    mp: M = getm()
    if mp is not None and mp.action != ANONE and mp.curg is not None and undowait(mp):
        raise RuntimeError(LEFT)
    gp = mp.curg if mp is not None else None
    if gp is not None and load(gp.cancelreq) != 0:
        raise cancelexc(gp)
    tw = Threadwaiter()
    tw.g = gp
    tw.timed = ns >= 0
    o.tw = tw
    o.state = OPDONE
    code = o.start(None)
    if code != YIELD:
        o.tw = None
        return outcome(o, code)
    enlist(o, tw)
    try:
        late = waitsleep(mp, o, tw, ns)
    except BaseException:
        withdraw(o, tw)  # a signal handler raised
        raise
    delist(o, tw)
    o.tw = None
    if load(o.won) == WREADY:
        return outcome(o, o.finish())
    o.unqueue()
    if load(o.won) == WDONE:  # it took effect all the same
        return outcome(o, o.finish())
    if late:
        raise TimeoutError(f"wait: nothing came within {timeout} seconds")
    if gp is not None and load(gp.cancelreq) != 0:
        raise cancelexc(gp)
    raise RuntimeError("wait: the gort runtime went down")


def waitsleep(mp: M | None, o: Op, tw: Threadwaiter, ns: int) -> bool:
    """Sleep until o is won; True when the time-out won it. Without the P."""
    if mp is not None:
        entersyscallblock(mp)
        setm(None)  # a signal's handler acts as a foreign thread: it has no P to queue on
    # A shutdown or a cancel that came before `waiters` had it has not seen this thread.
    # Before it counts as idle: a look for deadlocks must not find it so.
    if load(sched.exiting) != 0 or (tw.g is not None and load(tw.g.cancelreq) != 0):
        wakewaiter(o, tw)
    tw.idle()
    late = False
    try:
        late = waitloop(mp, o, tw, ns)
    finally:
        setm(mp)
    if mp is not None and not stale(mp):
        exitsyscall(mp)
    return late


def waitloop(mp: M | None, o: Op, tw: Threadwaiter, ns: int) -> bool:
    deadline = nanotime() + ns
    late = False
    while True:
        left = -1 if ns < 0 else deadline - nanotime()
        if ns >= 0 and left <= 0:
            if cas(o.won, WPENDING, WCANCELLED):
                late = True
                tw.wake()  # its own winner
            ns = -1
        elif notesleep(tw.n, left):
            return late
        elif mp is not None:
            interrupted(mp)
        else:
            safepoint()


def withdraw(o: Op, tw: Threadwaiter) -> None:
    """Give up a wait that an exception ended."""
    if cas(o.won, WPENDING, WCANCELLED):
        tw.wake()
    delist(o, tw)
    o.tw = None
    if load(o.won) == WCANCELLED:
        o.unqueue()


def outcome(o: Op, code: int) -> Any:
    value = o.value
    o.value = None
    if code == RETURN:
        return value
    if code == RAISE:
        if isinstance(value, StopIteration):  # as an await has it
            raise RuntimeError("what was awaited raised StopIteration") from value
        raise value
    raise StopAsyncIteration


def wait(op: Any, timeout: float | None = None) -> Any:
    """Block this thread until op (a channel op, a Goroutine, any gort op that waits)
    completes, and return what awaiting it would have given. For plain functions,
    plain goroutines and foreign threads, while a runtime is up.

    Raises TimeoutError after `timeout` seconds (the op then had no effect),
    RuntimeError when no runtime is up or it goes down meanwhile.
    """
    return waitop(op, timeout)


sealed(Blocking)
install_slots(Syscall)
install_slots(Enterblock)
install_slots(Exitblock)
poolops(Syscall)
