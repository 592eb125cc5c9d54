"""time.Timer, Ticker, after, tick and after_func: what a timer does for users.

As since Go 1.23, a timer's channel keeps its Feed alive, and the Feed knows the
channel weakly: when the last receiver and handle are gone, so is the timer,
stopped or not. A Feed's fields are protected by its channel's lock. Each arming
has a number of its own; stop and reset pass to the next number and drop what is
in the buffer, so no time of an earlier arming is ever received.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any

import cython

from .chan import Chan
from .gofunc import Gofunc
from .timers import Timer as Rttimer
from .timers import seconds_of

if not cython.compiled:
    from ..platform import lock, mutex, nanotime, sealed, unlock
    from .chan import KSEND, enter, leave, needruntime, newop, trysend
    from .gmp import OPDONE
    from .gofunc import newgofunc, startfunc
    from .timers import anyp, armtimer, deadline, stoptimer

_MAXPERIOD = 1e9

dropped: list[Rttimer] = []
"""Armed timers whose feeds were dropped. They are taken off their heap at the next
arming: where an object dies, no lock may be taken."""


class Feed:
    """What sends the time on a channel. period: nanoseconds, 0 to send once.
    live: it is armed and has not sent its last time."""

    __slots__ = ("ref", "t", "period", "seq", "live")

    def __init__(self, c: Chan, period: int) -> None:
        if not cython.compiled:
            self.t: Rttimer | None = None
            self.seq = 0
            self.live = False
        self.ref = weakref.ref(c)
        self.period = period

    def __del__(self) -> None:
        if self.live:
            dropped.append(self.t)


def sweep() -> None:
    while dropped:
        try:
            t: Rttimer = dropped.pop()
        except IndexError:
            return  # another thread sweeps too
        stoptimer(t)


def newfeed(when: int, period: int) -> Chan:
    """A channel on which a time comes at `when`, and then every period."""
    c = Chan(1)
    c.timer = Feed(c, period)
    refeed(c, when, period)
    return c


def newshot(f: Feed, seq: int, period: int) -> Rttimer:
    return Rttimer(sendtime, (f.ref, seq), period)


def sendtime(arg: Any, now: int) -> None:
    """A timer's function: offer the time to a channel that may be gone."""
    c = arg[0]()
    if c is not None:
        feedtime(c, arg[1])
    else:
        sweep()


def feedtime(c: Chan, seq: int) -> None:
    """Offer the time, unless this arming is over; a full channel drops it."""
    op = newop(c, KSEND, time.monotonic())
    op.state = OPDONE
    pp = enter()
    lock(c.lock)
    f: Feed = c.timer
    if f.seq == seq and not c.closed:
        f.live = f.period != 0
        trysend(op, pp)
    unlock(c.lock)
    leave(pp)


def refeed(c: Chan, when: int, period: int) -> bool:
    """Stop what feeds c, and arm it for `when` unless that is 0. Whether it was
    going to send, or had sent what nobody has received: that is gone now."""
    sweep()
    f: Feed = c.timer
    t = None
    while True:
        seq = f.seq + 1
        if when != 0:
            t = newshot(f, seq, period)
        lock(c.lock)
        if f.seq + 1 == seq:
            break
        unlock(c.lock)  # another stop or reset came between
    old = f.t if f.live else None
    v = c.buf.pop() if c.buf.n > 0 else None
    was = f.live or v is not None
    f.seq = seq
    f.t = t
    f.live = t is not None
    f.period = period
    if t is not None:
        armtimer(t, when, anyp())
    unlock(c.lock)
    # Not under the lock: it may drop what a user's objects hang on.
    if old is not None:
        stoptimer(old)
    return was


def feeds(c: Chan) -> bool:
    """Whether a time is to come on c."""
    f: Feed = c.timer
    return f.live


def firsttime(seconds: Any) -> int:
    """When a timer of `seconds` is due, for a user's argument."""
    when = deadline(seconds_of(seconds))
    return when if when != 0 else nanotime()


def periodof(seconds: Any, what: str) -> int:
    """A ticker's period in nanoseconds, for a user's argument."""
    s = seconds_of(seconds)
    deadline(s)  # refuses NaN
    if s <= 0:
        raise ValueError(f"{what} wants a period above 0 seconds, not {seconds!r}")
    return max(1, round(min(s, _MAXPERIOD) * 1e9))


class Timer:
    """Sends the time, once, on its channel `c` after `seconds`, as Go's time.Timer.

    The time is that of time.monotonic(). For a timer of after_func, `c` is
    None. One that nobody refers to is collected, stopped or not.

    Raises TypeError or ValueError for what is no number of seconds,
    RuntimeError when no runtime is up.
    """

    __slots__ = ("c", "mu", "t", "func", "__weakref__")

    def __init__(self, seconds: float) -> None:
        if not cython.compiled:
            self.mu = mutex()
            self.t: Rttimer | None = None
            self.func: Gofunc | None = None
        when = firsttime(seconds)
        needruntime("Timer")
        self.c: Chan | None = newfeed(when, 0)

    def stop(self) -> bool:
        """Stop the timer; True while nobody has received its time (or, of after_func,
        while the call has not begun), False when it was stopped or is over. After
        it no time is received. From any thread."""
        return self.again(0)

    def reset(self, seconds: float) -> bool:
        """Start it anew, for `seconds` from now; what stop would have returned. No
        time of its earlier life is received. From any thread; errors as Timer."""
        when = firsttime(seconds)
        needruntime("Timer.reset")
        return self.again(when)

    def __repr__(self) -> str:
        t = self.t
        armed = feeds(self.c) if self.c is not None else t is not None and t.armed
        return f"<Timer {'armed' if armed else 'not armed'}>"

    def again(self, when: int) -> bool:
        if self.c is not None:
            return refeed(self.c, when, 0)
        t = Rttimer(gofunc, self.func, 0) if when != 0 else None
        lock(self.mu)
        old = self.t
        self.t = t
        if t is not None:
            armtimer(t, when, anyp())
        unlock(self.mu)
        if old is None or not stoptimer(old):
            return False
        old.arg = None  # nobody reads it any more, and it stays on its heap for a while
        return True


def gofunc(f: Any, now: int) -> None:
    """The function of after_func's timer."""
    startgofunc(f)


def startgofunc(f: Gofunc) -> None:
    startfunc(f)


class Ticker:
    """Sends the time on its channel `c` every `seconds`, as Go's time.Ticker.

    Ticks that nobody receives in time are dropped. One that nobody refers to
    is collected, stopped or not. Raises ValueError unless seconds is above 0,
    and as Timer.
    """

    __slots__ = ("c", "__weakref__")

    def __init__(self, seconds: float) -> None:
        period = periodof(seconds, "Ticker")
        needruntime("Ticker")
        self.c = newfeed(nanotime() + period, period)

    def stop(self) -> None:
        """Stop the ticks; the channel stays open, and nothing is received from it any
        more. From any thread."""
        refeed(self.c, 0, 0)

    def reset(self, seconds: float) -> None:
        """Tick every `seconds`, first in `seconds` from now; no earlier tick is
        received. From any thread; errors as Ticker."""
        period = periodof(seconds, "Ticker.reset")
        needruntime("Ticker.reset")
        refeed(self.c, nanotime() + period, period)

    def __repr__(self) -> str:
        return f"<Ticker {'running' if feeds(self.c) else 'stopped'}>"


def newfunctimer(func: Gofunc, when: int) -> Timer:
    timer = Timer.__new__(Timer)
    if not cython.compiled:
        timer.mu = mutex()
        timer.c = timer.t = None
    timer.func = func
    timer.again(when)
    return timer


def after_func(seconds: float, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Timer:
    """Call fn(*args, **kwargs) in a goroutine of its own after `seconds`; a Timer
    that can stop or reset it, and that need not be kept.

    fn, async or plain, sees the context variables of the caller. An exception
    in it is a panic. Errors as Timer, and TypeError when fn is not callable.
    """
    when = firsttime(seconds)
    func = newgofunc("after_func", fn, args, kwargs)
    needruntime("after_func")
    return newfunctimer(func, when)


def after(seconds: float) -> Chan:
    """A channel that gets one value, the monotonic time, after `seconds`.

    Raises TypeError or ValueError for what is no number of seconds, RuntimeError
    when no runtime is up.
    """
    when = firsttime(seconds)
    needruntime("after")
    return newfeed(when, 0)


def tick(seconds: float) -> Chan:
    """A channel that gets the monotonic time every `seconds`; ticks that nobody
    receives in time are dropped. It ends when the channel is dropped.

    Raises ValueError unless seconds is above 0, and as after.
    """
    period = periodof(seconds, "tick")
    needruntime("tick")
    return newfeed(nanotime() + period, period)


sealed(Timer, "(seconds)")
sealed(Ticker, "(seconds)")
