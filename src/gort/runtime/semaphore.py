"""sync.Semaphore: a number of units, taken and given back several at a time.

The word: the free units times two, and 1 while somebody waits; the bit changes
only under `mu`, and while it is set only who holds mu changes the word. First
come, first served: a waiter that wants many units holds up those behind it, or
it would starve.
"""

from __future__ import annotations

import operator
from typing import Any

import cython

from .gmp import P
from .sema import Semop, Waitq

if not cython.compiled:
    from ..platform import (
        RETURN,
        YIELD,
        atomic,
        cas,
        install_slots,
        load,
        lock,
        moved,
        mutex,
        poolget,
        poolops,
        sealed,
        store,
        unlock,
    )
    from .chan import enter, leave
    from .park import gopark
    from .sema import passed, readyall

    def fastwith() -> None:
        return


_MAX = 1 << 31


class Semaphore:
    """A weighted semaphore of n units, as Go's semaphore.Weighted.

    `async with s:` takes one unit for the block. Waiters are served in the
    order in which they came.
    """

    __slots__ = ("size", "state", "mu", "q", "__weakref__")

    def __init__(self, n: int) -> None:
        if not cython.compiled:
            self.state = atomic()
            self.mu = mutex()
        self.size = weight(n, "Semaphore")
        store(self.state, 2 * self.size)
        self.q = Waitq()

    @cython.binding(False)
    def acquire(self, n: int = 1) -> Acquire:
        """Take n units; await it. Waits until they are free and it is first in turn.

        A cancelled wait takes none. Raises ValueError where n is more than the
        semaphore has: it would wait for ever.
        """
        units = weight(n, "acquire")
        if units > self.size:
            raise ValueError(
                f"acquire({units}) of a semaphore of {self.size}: it could never be served"
            )
        return newacquire(self, units)

    def try_acquire(self, n: int = 1) -> bool:
        """Take n units if they are free and nobody waits; whether it did. From any thread."""
        return self.take(weight(n, "try_acquire"))

    @cython.binding(False)
    def release(self, n: int = 1) -> None:
        """Give n units back, from any goroutine or thread.

        Raises RuntimeError, and changes nothing, for more than are taken.
        """
        giveback(self, weight(n, "release"))

    @cython.binding(False)
    def __aenter__(self) -> Acquire:
        return enterblock(self)

    @cython.binding(False)
    def __aexit__(self, kind: Any, exc: Any, tb: Any) -> Any:
        return leaveblock(self)

    def __repr__(self) -> str:
        return f"<Semaphore {load(self.state) >> 1}/{self.size} free>"

    def take(self, n: int) -> bool:
        while True:
            s = load(self.state)
            if s & 1 != 0 or s >> 1 < n:
                return False
            if cas(self.state, s, s - 2 * n):
                return True

    def park(self, op: Acquire) -> int:
        lock(self.mu)
        while True:
            s = load(self.state)
            if s & 1 == 0 and s >> 1 >= op.ticket:
                if cas(self.state, s, s - 2 * op.ticket):
                    unlock(self.mu)
                    return RETURN
            elif s & 1 != 0 or cas(self.state, s, s | 1):
                break
        gopark(op, 13)
        self.q.push(op)
        unlock(self.mu)
        return YIELD

    def put(self, n: int) -> bool:
        while True:
            s = load(self.state)
            if s & 1 != 0:
                return self.putslow(n)
            if (s >> 1) + n > self.size:
                return False
            if cas(self.state, s, s + 2 * n):
                return True

    def putslow(self, n: int) -> bool:
        lock(self.mu)
        s = load(self.state)
        if s & 1 == 0:
            unlock(self.mu)
            return self.put(n)
        if (s >> 1) + n > self.size:
            unlock(self.mu)
            return False
        op = self.admit(s + 2 * n)
        unlock(self.mu)
        readychain(op)
        return True

    def admit(self, s: int) -> Semop | None:
        """Serve waiters from the units of s as far as they go; store the word. The
        chain of those to wake. mu is held, and the word has its bit."""
        first = None
        last = None
        while self.q.first is not None and self.q.first.ticket <= s >> 1:
            op = self.q.first
            self.q.remove(op)
            if not op.wins():
                continue
            s -= 2 * op.ticket
            if last is None:
                first = op
            else:
                last.next = op
            last = op
        store(self.state, s if self.q.first is not None else s & ~1)
        return first


@cython.no_gc
@cython.cclass
class Acquire(Semop):
    """Semaphore.acquire; ticket is the number of units."""

    __slots__ = ("s",)

    def reset(self) -> None:
        Semop.reset(self)
        self.s = None

    def opname(self) -> str:
        return "Semaphore.acquire"

    def start(self, pp: P) -> int:
        s = self.s
        if s.take(self.ticket):
            return RETURN
        return s.park(self)

    def unqueue(self) -> None:
        s = self.s
        op = None
        lock(s.mu)
        if s.q.remove(self):
            # It may have held up others that the free units suffice for.
            op = s.admit(load(s.state))
        unlock(s.mu)
        readychain(op)


def newacquire(s: Semaphore, n: int) -> Acquire:
    op = poolget()
    if op is None:
        op = Acquire.__new__(Acquire)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
    op.s = s
    op.ticket = n
    return moved(op)


def enterblock(s: Semaphore) -> Any:
    return newacquire(s, 1) if s.size > 0 else s.acquire(1)


def leaveblock(s: Semaphore) -> Any:
    giveback(s, 1)
    return passed


def giveback(s: Semaphore, n: int) -> None:
    if not s.put(n):
        raise RuntimeError(f"release({n}) of a semaphore: that is more than was acquired")


def readychain(op: Semop | None) -> None:
    if op is not None:
        pp = enter()
        readyall(op, pp)
        leave(pp)


def weight(n: Any, what: str) -> int:
    """A number of units that a user gave."""
    try:
        units = operator.index(n)
    except TypeError:
        raise TypeError(f"{what} wants a number of units, not {type(n).__name__}") from None
    if not 0 <= units < _MAX:
        raise ValueError(f"{what} wants a number of units from 0 to {_MAX - 1}, not {units}")
    return units


sealed(Semaphore, "(n)")
install_slots(Acquire)
poolops(Acquire)
fastwith()
