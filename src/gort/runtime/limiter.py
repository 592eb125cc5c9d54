"""time.Limiter: a bucket of tokens that fills at a steady rate, after Go's x/time/rate.

`lock` protects tokens, last and turn. The bucket may be in debt: who waits has taken
its tokens already, so that waiters go in the order in which they came.
"""

from __future__ import annotations

import operator
from collections.abc import Coroutine
from typing import Any

from ..platform import lock, mutex, nanotime, unlock
from .timers import sleep

_INF = float("inf")


class Limiter:
    """Lets `rate` events a second through, and up to `burst` at once after a quiet while.

    The bucket is full at first. All methods may be called from any goroutine or thread.
    Raises TypeError and ValueError for a rate that is no number above 0 (inf: no limit) and a
    burst that is no int above 0.
    """

    # tokens: what the bucket held at `last` (nanoseconds), less what was taken. turn: when the
    # last of those who wait may go on.
    __slots__ = ("_rate", "_burst", "_mu", "_tokens", "_last", "_turn", "__weakref__")

    def __init__(self, rate: float, burst: int = 1) -> None:
        if isinstance(rate, bool) or not isinstance(rate, (int, float)):
            raise TypeError(f"Limiter wants a rate in events a second, not {type(rate).__name__}")
        if not rate > 0:
            raise ValueError(f"Limiter wants a rate above 0, not {rate}")
        self._rate = float(rate)
        self._burst = count("Limiter's burst", burst, 1)
        self._mu = mutex()
        self._tokens = float(self._burst)
        self._last = self._turn = nanotime()

    def allow(self, n: int = 1) -> bool:
        """Take n tokens if they are there; whether it did. ValueError for more than burst."""
        n = self._count("allow", n)
        lock(self._mu)
        self._fill(nanotime())
        enough = self._tokens >= n
        if enough:
            self._tokens -= n
        unlock(self._mu)
        return enough

    def reserve(self, n: int = 1) -> float:
        """Take n tokens, also those to come, and return the seconds to wait before acting on
        them. ValueError for more than burst."""
        turn = self._reserve(self._count("reserve", n))
        return max(0, turn - nanotime()) / 1e9

    def wait(self, n: int = 1) -> Coroutine[Any, Any, None]:
        """Wait until there are n tokens, and take them; await it. First come, first served.

        A cancelled wait gives its tokens back. Raises ValueError at the call for more than
        burst, which would wait for ever.
        """
        return self._wait(self._count("wait", n))

    def __repr__(self) -> str:
        lock(self._mu)
        self._fill(nanotime())
        tokens = self._tokens
        unlock(self._mu)
        return f"<Limiter {self._rate:g}/s, {tokens:.3g}/{self._burst} tokens>"

    async def _wait(self, n: int) -> None:
        turn = self._reserve(n)
        try:
            await sleep((turn - nanotime()) / 1e9)
        except BaseException:
            self._giveback(n, turn)
            raise

    def _reserve(self, n: int) -> int:
        """Take n tokens; when they are there, in nanoseconds."""
        lock(self._mu)
        now = nanotime()
        self._fill(now)
        self._tokens -= n
        turn = now
        if self._tokens < 0:
            turn += round(-self._tokens / self._rate * 1e9)
        self._turn = max(self._turn, turn)
        unlock(self._mu)
        return turn

    def _giveback(self, n: int, turn: int) -> None:
        """As x/time/rate: less what those who came later reckoned with."""
        lock(self._mu)
        back = n - (self._turn - turn) / 1e9 * self._rate if self._turn != turn else n
        if back > 0:
            self._fill(nanotime())
            self._tokens = min(self._tokens + back, self._burst)
            if self._turn == turn:
                self._turn -= round(n / self._rate * 1e9)
        unlock(self._mu)

    def _fill(self, now: int) -> None:
        elapsed = max(0, now - self._last)
        self._last = now
        if self._rate == _INF:
            self._tokens = float(self._burst)
        elif elapsed:
            self._tokens = min(self._tokens + elapsed / 1e9 * self._rate, float(self._burst))

    def _count(self, what: str, n: int) -> int:
        n = count(what, n, 0)
        if n > self._burst:
            raise ValueError(f"{what}({n}) of a Limiter with a burst of {self._burst}: never")
        return n


def count(what: str, n: Any, least: int) -> int:
    """A number of tokens that a user gave."""
    try:
        value = operator.index(n)
    except TypeError:
        raise TypeError(f"{what} must be an int, not {type(n).__name__}") from None
    if value < least:
        raise ValueError(f"{what} must be at least {least}, not {value}")
    return value
