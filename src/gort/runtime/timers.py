"""Timers: a heap on each P, run by whoever schedules there, stolen with the work.

An entry is (when, item); an item is a Sleep that parks, or a Timer that calls
an internal function. Under the P's timerlock: the heap, minwhen's stores,
zombies, and the fields of every Timer in it. minwhen is read without the lock,
to see in one load that nothing is due; 0 is none.

Deletion is lazy: an item that was stopped stays as a zombie until its time, or
until zombies are more than half of the heap and it is rebuilt. An entry counts
while its item is armed for just that time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cython

from .gmp import P
from .park import Op

if not cython.compiled:
    from ..platform import (
        RETURN,
        YIELD,
        Heap,
        cas,
        install_slots,
        load,
        lock,
        nanotime,
        store,
        unlock,
    )
    from .gmp import WPENDING, WREADY, sched
    from .machine import wakenetpoller
    from .park import gopark, opready

_FOREVER = 1 << 62
_limbo = P(-1)


class Timer:
    """fn(arg, now) is called at `when` and then every `period` ns; internal code
    that must not block. Its fields are protected by pp.timerlock."""

    __slots__ = ("when", "period", "fn", "arg", "armed", "pp", "__weakref__")

    def __init__(self, fn: Callable[[Any, int], None], arg: Any, period: int) -> None:
        if not cython.compiled:
            self.when = 0
            self.armed = False
            self.pp: P | None = None
        self.fn = fn
        self.arg = arg
        self.period = period


@cython.no_gc
@cython.cclass
class Sleep(Op):
    """gort.sleep: parks until `when`."""

    __slots__ = ("when", "pp")

    def opname(self) -> str:
        return "gort.sleep"

    def start(self, pp: P) -> int:
        if self.when <= nanotime():
            return RETURN
        if pp is None or sched.gm:
            pp = anyp()  # Go 1.0 had one heap
        self.pp = pp
        gopark(self, 5)
        addtimer(pp, self.when, self)
        return YIELD

    def unqueue(self) -> None:
        zombie(self.pp)


def deadline(seconds: float) -> int:
    """The nanotime that lies seconds ahead; checks what a user gave."""
    if math.isnan(seconds):
        raise ValueError("a delay in seconds must be a number, not NaN")
    if seconds <= 0:
        return 0
    if seconds > 1e9:
        return _FOREVER
    return nanotime() + math.ceil(seconds * 1e9)


def seconds_of(seconds: Any) -> float:
    """A delay that a user gave, as float."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        try:
            seconds = seconds.__float__()
        except AttributeError:
            raise TypeError(
                f"a delay must be a number of seconds, not {type(seconds).__name__}"
            ) from None
    try:
        return float(seconds)
    except OverflowError:
        return math.inf if seconds > 0 else -math.inf


@cython.locals(op=Sleep)
def sleep(seconds: float) -> Sleep:
    """Pause the current goroutine for at least `seconds`. Await it.

    Zero or less yields nothing and returns at once, after a safe-point. Raises
    TypeError for what is no number, ValueError for NaN.
    """
    when = deadline(seconds_of(seconds))
    op = Sleep.__new__(Sleep)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
    op.when = when
    return op


def anyp() -> P:
    """A P whose heap a thread without one may use: timers are run by any M. Where the
    runtime went down since the caller looked, one that no M ever sees."""
    allp = sched.allp
    pp: P = allp[0] if allp else _limbo
    return pp


def addtimer(pp: P, when: int, item: Any) -> None:
    """Put an armed item on pp's heap, and make sure that somebody wakes for it."""
    lock(pp.timerlock)
    heap = pp.timers
    heap.push(when, item)
    first = heap.minwhen() == when
    if first:
        store(pp.minwhen, when)
    unlock(pp.timerlock)
    if first:
        wakenetpoller(when)


def checktimers(pp: P, now: int, mine: P) -> int:
    """Run pp's timers that are due, on the M that holds mine; pp's next time, or 0."""
    when = load(pp.minwhen)
    while when != 0 and when <= now:
        lock(pp.timerlock)
        when = pp.timers.minwhen()
        if when == 0 or when > now:
            store(pp.minwhen, when)
            unlock(pp.timerlock)
            break
        item = pp.timers.pop()
        store(pp.minwhen, pp.timers.minwhen())
        if isinstance(item, Timer):
            t: Timer = item
            if not t.armed or t.when != when:
                pp.zombies -= 1
                item = None
            elif t.period > 0:
                t.when = when + t.period * ((now - when) // t.period + 1)
                pp.timers.push(t.when, t)
                store(pp.minwhen, pp.timers.minwhen())
            else:
                t.armed = False
        trimmed = trim(pp)
        unlock(pp.timerlock)
        if item is not None:
            fire(item, now, mine)
        item = None
        del trimmed  # not under the lock
        when = load(pp.minwhen)
    return when


def fire(item: Any, now: int, mine: P) -> None:
    """Run one timer, with no lock held."""
    if isinstance(item, Timer):
        t: Timer = item
        t.fn(t.arg, now)
        return
    op: Sleep = item
    if cas(op.won, WPENDING, WREADY):
        opready(op, mine, False)
    else:
        lock(op.pp.timerlock)
        op.pp.zombies -= 1
        unlock(op.pp.timerlock)


def alive(item: Any) -> bool:
    """Whether an entry still counts; its P's timerlock is held."""
    if isinstance(item, Timer):
        t: Timer = item
        return t.armed
    op: Sleep = item
    return load(op.won) == WPENDING


def zombie(pp: P) -> None:
    """Count one more dead entry on pp's heap, and rebuild it when half of it is dead."""
    dropped = []
    lock(pp.timerlock)
    pp.zombies += 1
    trimmed = trim(pp)
    n = len(pp.timers)
    if pp.zombies > 64 and pp.zombies * 2 > n:
        old = pp.timers
        pp.timers = Heap()
        pp.zombies = 0
        for _ in range(n):
            when = old.minwhen()
            item = old.pop()
            if alive(item):
                pp.timers.push(when, item)
            else:
                dropped.append(item)
        store(pp.minwhen, pp.timers.minwhen())
    unlock(pp.timerlock)
    # These may hold the last references to a user's objects: no lock is held.
    del dropped, trimmed


def trim(pp: P) -> list[Any] | None:
    """Take dead entries off the top of pp's heap; its timerlock is held.

    minwhen is then the time of something that will happen: nobody sleeps, and no
    deadlock goes unseen, until the time of a timer that was stopped. Returns what
    it took, to be dropped without the lock.
    """
    dropped = None
    heap = pp.timers
    while len(heap) != 0:
        item = heap.peek()
        if isinstance(item, Timer):
            t: Timer = item
            dead = not t.armed or t.when != heap.minwhen()
        else:
            dead = not alive(item)
        if not dead:
            break
        if dropped is None:
            dropped = []
        dropped.append(heap.pop())
        pp.zombies -= 1
    store(pp.minwhen, heap.minwhen())
    return dropped


def movetimers(dead: P, to: P) -> None:
    """Move every timer of a P that is destroyed; the world is stopped.

    Under the locks all the same: user code and plain threads go on, and may start a
    timer or stop one. Nobody else holds two timerlocks.
    """
    lock(dead.timerlock)
    lock(to.timerlock)
    n = len(dead.timers)
    for _ in range(n):
        when = dead.timers.minwhen()
        item = dead.timers.pop()
        if isinstance(item, Timer):
            t: Timer = item
            t.pp = to
        else:
            op: Sleep = item
            op.pp = to
        to.timers.push(when, item)
    to.zombies += dead.zombies
    dead.zombies = 0
    store(dead.minwhen, 0)
    store(to.minwhen, to.timers.minwhen())
    unlock(to.timerlock)
    unlock(dead.timerlock)


def armtimer(t: Timer, when: int, pp: P) -> None:
    """Arm a timer that is not armed."""
    t.when = when
    t.armed = True
    t.pp = pp
    addtimer(pp, when, t)


def stoptimer(t: Timer) -> bool:
    """Disarm t; whether it was armed."""
    while True:
        pp = t.pp
        if pp is None:
            return False
        lock(pp.timerlock)
        if t.pp is not pp:  # procresize moved it
            unlock(pp.timerlock)
            continue
        was = t.armed
        t.armed = False
        unlock(pp.timerlock)
        if was:
            zombie(pp)
        return was


install_slots(Sleep)
