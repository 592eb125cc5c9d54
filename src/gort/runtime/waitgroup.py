"""sync.WaitGroup: wait until a counter is zero.

The word: the counter times two, and 1 while somebody waits. The bit is set and
taken under `mu` alone; the count that reaches zero with the bit set takes mu and
wakes everybody.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import cython

from .gmp import G, P
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
        mutex,
        sealed,
        unlock,
    )
    from .chan import enter, leave, needruntime
    from .park import gopark
    from .proc import newproc, newproc1, newproc2
    from .sema import readyall

_MAX = 1 << 31


class WaitGroup:
    """Waits for a number of goroutines to finish, as Go's sync.WaitGroup.

    It may be used again once the counter is back at zero.
    """

    __slots__ = ("state", "mu", "q", "__weakref__")

    def __init__(self) -> None:
        if not cython.compiled:
            self.state = atomic()
            self.mu = mutex()
        self.q = Waitq()

    def add(self, n: int = 1) -> None:
        """Add n, which may be negative, to the counter; at zero every waiter wakes.

        From any goroutine or thread. Raises RuntimeError, and changes nothing,
        where the counter would become negative; TypeError for what is no int.
        """
        try:
            delta = operator.index(n)
        except TypeError:
            raise TypeError(f"WaitGroup.add wants an int, not {type(n).__name__}") from None
        if not -_MAX < delta < _MAX:
            raise ValueError(f"WaitGroup.add wants a number below {_MAX}, not {delta}")
        counted(self, delta)

    def done(self) -> None:
        """Take one from the counter: add(-1)."""
        counted(self, -1)

    def wait(self) -> Waitop:
        """Wait until the counter is zero; await it."""
        op = Waitop.__new__(Waitop)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
        setgroup(op, self)
        return op

    def go(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> G:
        """Start fn(*args, **kwargs) as a goroutine that the group waits for; its
        Goroutine.

        The counter goes down when fn has ended, also by an exception, a cancel
        or goexit. What fn raises goes to who awaits the Goroutine; if nobody
        keeps it, that is a panic, as with gort.go: wait() itself raises nothing.
        Errors as gort.go.
        """
        needruntime("WaitGroup.go")
        return gomember(self, fn, args, kwargs)

    def __repr__(self) -> str:
        return f"<WaitGroup {load(self.state) >> 1}>"

    def count(self, delta: int) -> bool:
        """Add to the counter; False when it would become negative."""
        while True:
            s = load(self.state)
            c = (s >> 1) + delta
            if c < 0:
                return False
            if c == 0 and s & 1 != 0:
                if self.last(s):
                    return True
            elif cas(self.state, s, s + 2 * delta):
                return True

    def last(self, s: int) -> bool:
        """From s to zero, and wake everybody; False when the word is not s any more."""
        lock(self.mu)
        if not cas(self.state, s, 0):
            unlock(self.mu)
            return False
        op = self.q.takeall()
        unlock(self.mu)
        pp = enter()
        readyall(op, pp)
        leave(pp)
        return True

    def park(self, op: Waitop) -> int:
        lock(self.mu)
        while True:
            s = load(self.state)
            if s >> 1 == 0:
                unlock(self.mu)
                return RETURN
            if s & 1 != 0 or cas(self.state, s, s | 1):
                break
        gopark(op, 11)
        self.q.push(op)
        unlock(self.mu)
        return YIELD


@cython.no_gc
@cython.cclass
class Waitop(Semop):
    """WaitGroup.wait."""

    __slots__ = ("wg",)

    def opname(self) -> str:
        return "WaitGroup.wait"

    def start(self, pp: P) -> int:
        if load(self.wg.state) >> 1 == 0:
            return RETURN
        return self.wg.park(self)

    def unqueue(self) -> None:
        wg = self.wg
        lock(wg.mu)
        if wg.q.remove(self) and wg.q.first is None:
            while True:
                s = load(wg.state)
                if cas(wg.state, s, s & ~1):
                    break
        unlock(wg.mu)


def setgroup(op: Waitop, wg: WaitGroup) -> None:
    op.wg = wg


def counted(wg: WaitGroup, delta: int) -> None:
    if not wg.count(delta):
        raise RuntimeError(
            "negative WaitGroup counter: there were more done() than add(); "
            "call add before the work starts"
        )


def gomember(wg: WaitGroup, fn: Any, args: Any, kwargs: Any) -> G:
    """WaitGroup.go."""
    gp = newproc1(fn, args, kwargs)
    counted(wg, 1)
    gp.group = wg
    gp.member = True
    try:
        newproc2(gp)
    except RuntimeError:  # the runtime went down since
        gp.group = None
        counted(wg, -1)
        raise
    return gp


def memberdone(wg: WaitGroup) -> None:
    """By goexit0: a goroutine of WaitGroup.go has ended, and is counted no more."""
    if wg.count(-1):
        return
    try:
        newproc(counted, (wg, -1), {})  # it has no awaiter to tell: a panic
    except RuntimeError:
        pass  # nor a runtime


sealed(WaitGroup, "()")
install_slots(Waitop)
