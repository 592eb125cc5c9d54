"""The queue of waiters that mutex, rwmutex, waitgroup, cond and semaphore share.

Go's semaphores park by address in one table; here each primitive owns its
queue, under its own lock. A Semop is its own sudog, as an op on a channel is:
whoever takes it out of the queue must win it before it is woken, and one that
cannot be won was cancelled and is skipped. Who takes it gives it what it waits
for at the same time (a hand-off), so a cancel either finds it in the queue or
comes too late; only a mutex in its normal mode wakes a waiter to compete.
"""

from __future__ import annotations

import cython

from .gmp import P
from .park import Op

if not cython.compiled:
    from ..platform import RETURN, Awaitable, cas, install_slots, uncounted
    from .gmp import WPENDING, WREADY
    from .park import gopark, opready


@cython.no_gc
@cython.cclass
class Semop(Op):
    """An op that waits in a Waitq; its fields are protected by the queue's owner.

    ticket: a weight, or since when it waits. requeued: won already, by a Cond,
    and on its way back to a locker. granted: it was given what it waits for. reader is
    an Rwop's, cancelled and onthread are a Condwait's: in here they take no room.
    """

    __slots__ = (
        "next",
        "prev",
        "q",
        "ticket",
        "requeued",
        "granted",
        "reader",
        "cancelled",
        "onthread",
    )

    def __init__(self) -> None:
        if not cython.compiled:
            super().__init__()
            self.next: Semop | None = None
            self.prev: Semop | None = None
            self.q: Waitq | None = None
            self.ticket = 0
            self.requeued = self.granted = False
            self.reader = self.cancelled = self.onthread = False

    def reset(self) -> None:
        Op.reset(self)
        if self.next is not None:
            self.next = None
        if self.prev is not None:
            self.prev = None
        if self.q is not None:
            self.q = None
        self.requeued = self.granted = False

    def wins(self) -> bool:
        """Win an op that was taken from its queue; False for a cancelled one."""
        return self.requeued or cas(self.won, WPENDING, WREADY)


class Waitq:
    """First in, first out; under its owner's lock."""

    __slots__ = ("first", "last")

    def __init__(self) -> None:
        if not cython.compiled:
            self.first: Semop | None = None
            self.last: Semop | None = None

    def push(self, op: Semop) -> None:
        op.q = self
        last = self.last
        op.prev = last
        self.last = op
        if last is None:
            self.first = op
        else:
            last.next = op

    def pushfront(self, op: Semop) -> None:
        op.q = self
        first = self.first
        op.next = first
        self.first = op
        if first is None:
            self.last = op
        else:
            first.prev = op

    def remove(self, op: Semop) -> bool:
        """Take op out, wherever it stands; whether it stood in this queue."""
        if op.q is not self:
            return False
        op.q = None
        prev = op.prev
        next = op.next
        if prev is not None:
            prev.next = next
        else:
            self.first = next
        if next is not None:
            next.prev = prev
        else:
            self.last = prev
        op.next = None
        op.prev = None
        return True

    def take(self) -> Semop | None:
        """The first waiter, removed and won."""
        while True:
            op = self.first
            if op is None:
                return None
            self.remove(op)
            if op.wins():
                return op

    def takeall(self) -> Semop | None:
        """Every waiter, removed and won: a chain by `next`."""
        first = None
        last = None
        while True:
            op = self.take()
            if op is None:
                return first
            if last is None:
                first = op
            else:
                last.next = op
            last = op


def chainlen(op: Semop | None) -> int:
    n = 0
    while op is not None:
        n += 1
        op = op.next
    return n


def readyall(op: Semop | None, pp: P) -> None:
    """Wake a chain of won waiters; no lock is held."""
    while op is not None:
        next = op.next
        op.next = None
        opready(op, pp, False)
        op = next


def requeue(q: Waitq, op: Semop, reason: int, park: bool) -> None:
    """Have op, which is won already, wait in q for a locker; its lock is held."""
    op.requeued = True
    if park:
        gopark(op, reason)
    elif op.g is not None:
        op.g.waitreason = reason
    q.push(op)


class Locker:
    """What a Cond waits with: a Mutex, or either side of an RWMutex."""

    __slots__ = ()

    def held(self) -> bool:
        """Whether anyone holds it."""
        return False

    def drop(self, pp: P) -> None:
        """Unlock it; it is held."""

    def relock(self, op: Semop, park: bool) -> bool:
        """Lock it for op, which is won already: True when it is locked at once, else
        op waits at the tail, no cancel reaches it, and it is readied as the holder.
        park: gopark it first, since its goroutine still runs."""
        return True


@cython.no_gc
@cython.cclass
class Passed(Awaitable):
    """What an `async with` block's end awaits: done already, for a cancelled
    goroutine too."""

    __slots__ = ()

    def step(self) -> int:
        return RETURN


install_slots(Semop)
install_slots(Passed)
passed = Passed.__new__(Passed)
if not cython.compiled:
    passed.__init__()  # type: ignore[misc]
uncounted(passed)  # every thread hands it out
