"""sync.Barrier: a number of goroutines wait for each other, round after round.

`mu` protects the count of those who have arrived and their queue. Who completes
a round takes all others out of the queue under mu. A waiter whose cancel comes
while it stands in the queue is uncounted; one that was taken out of it already has
been counted: its wait ends well, and the cancel comes at its next op (Barrierop.unqueue).
"""

from __future__ import annotations

import operator

import cython

from .gmp import P
from .sema import Semop, Waitq

if not cython.compiled:
    from ..platform import RETURN, YIELD, install_slots, lock, mutex, sealed, store, unlock
    from .gmp import WDONE
    from .park import gopark
    from .sema import readyall

_MAX = 1 << 31


class Barrier:
    """Lets n goroutines through together, again and again.

    A waiter that is cancelled is not counted any more.
    """

    __slots__ = ("n", "arrived", "mu", "q", "__weakref__")

    def __init__(self, n: int) -> None:
        if not cython.compiled:
            self.mu = mutex()
            self.arrived = 0
        self.n = parties(n)
        self.q = Waitq()

    def wait(self) -> Barrierop:
        """Wait until n have arrived; await it: the place in which it arrived, from 0 to n-1."""
        op = Barrierop.__new__(Barrierop)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
        setbarrier(op, self)
        return op

    def __repr__(self) -> str:
        return f"<Barrier {self.arrived}/{self.n} arrived>"

    def arrive(self, op: Barrierop) -> int:
        """The place of op, after which it is parked unless it was the last."""
        lock(self.mu)
        op.ticket = self.arrived
        self.arrived += 1
        if self.arrived == self.n:
            self.arrived = 0
            return RETURN
        gopark(op, 19)
        self.q.push(op)
        unlock(self.mu)
        return YIELD

    def depart(self) -> Semop | None:
        """End a round: all waiters, of whom those whose cancel came first are not in
        the chain that is to be woken. Drops mu."""
        first = None
        while self.q.first is not None:
            op = self.q.first
            self.q.remove(op)
            if op.wins():
                op.next = first
                first = op
        unlock(self.mu)
        return first

    def renumber(self) -> None:
        """A waiter has gone: those behind it move up; mu is held."""
        n = 0
        op = self.q.first
        while op is not None:
            op.ticket = n
            n += 1
            op = op.next
        self.arrived = n


@cython.no_gc
@cython.cclass
class Barrierop(Semop):
    """Barrier.wait; ticket is its place."""

    __slots__ = ("b",)

    def opname(self) -> str:
        return "Barrier.wait"

    def start(self, pp: P) -> int:
        code = self.b.arrive(self)
        if code == RETURN:
            readyall(self.b.depart(), pp)
            self.value = self.ticket
        return code

    def finish(self) -> int:
        self.value = self.ticket
        return RETURN

    def unqueue(self) -> None:
        b = self.b
        lock(b.mu)
        if b.q.remove(self):
            b.renumber()
        else:
            store(self.won, WDONE)  # the round has counted it
        unlock(b.mu)


def setbarrier(op: Barrierop, b: Barrier) -> None:
    op.b = b


def parties(n: object) -> int:
    """The number of parties that a user gave."""
    try:
        count = operator.index(n)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"Barrier wants a number of parties, not {type(n).__name__}") from None
    if not 1 <= count < _MAX:
        raise ValueError(f"Barrier wants a number of parties from 1 to {_MAX - 1}, not {count}")
    return count


sealed(Barrier, "(n)")
install_slots(Barrierop)
