"""after and tick: channels that a timer sends on."""

from __future__ import annotations

import time
import weakref
from typing import Any

import cython

from .chan import Chan, ChanClosed, WouldBlock
from .timers import Timer, seconds_of

if not cython.compiled:
    from ..platform import nanotime
    from .chan import needruntime
    from .timers import anyp, armtimer, deadline


def sendtime(c: Chan, now: int) -> None:
    """A timer's function: offer the time to c; a full channel drops it."""
    try:
        c.send_nowait(time.monotonic())
    except (WouldBlock, ChanClosed):
        pass  # Go's tickers drop what nobody received in time


def sendtick(ref: Any, now: int) -> None:
    """sendtime to a channel that may be gone."""
    c = ref()
    if c is not None:
        sendtime(c, now)


def startt(t: Timer, when: int) -> None:
    armtimer(t, when, anyp())


def after(seconds: float) -> Chan:
    """A channel that gets one value, the monotonic time, after `seconds`.

    Raises TypeError or ValueError for what is no number of seconds, RuntimeError
    when no runtime is up.
    """
    when = deadline(seconds_of(seconds))
    needruntime("after")
    c = Chan(1)
    startt(Timer(sendtime, c, 0), when or nanotime())
    return c


def tick(seconds: float) -> Chan:
    """A channel that gets the monotonic time every `seconds`; ticks that nobody
    receives in time are dropped. It ends when the channel is dropped.

    Raises ValueError unless seconds is above 0, and as after.
    """
    period_s = seconds_of(seconds)
    deadline(period_s)  # refuses NaN
    if period_s <= 0:
        raise ValueError(f"tick wants a period above 0 seconds, not {seconds!r}")
    needruntime("tick")
    c = Chan(1)
    period = max(1, round(min(period_s, 1e9) * 1e9))
    t = Timer(sendtick, None, period)
    t.setarg(weakref.ref(c))
    startt(t, nanotime() + period)
    return c
