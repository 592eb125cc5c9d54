"""sync.Event: a flag that goroutines and threads wait for.

The flag changes under `mu` alone. A waiter looks at it again under mu before it
queues, so a set() either is seen by it or finds it in the queue.
"""

from __future__ import annotations

import cython

from .gmp import P
from .sema import Semop, Waitq

if not cython.compiled:
    from ..platform import (
        RETURN,
        YIELD,
        atomic,
        install_slots,
        load,
        lock,
        mutex,
        sealed,
        store,
        unlock,
    )
    from .chan import enter, leave
    from .park import gopark
    from .sema import readyall


class Event:
    """A flag, clear at first: `await ev.wait()` goes on once somebody has called `ev.set()`.

    All methods may be called from any goroutine or thread.
    """

    __slots__ = ("flag", "mu", "q", "__weakref__")

    def __init__(self) -> None:
        if not cython.compiled:
            self.flag = atomic()
            self.mu = mutex()
        self.q = Waitq()

    def set(self) -> None:
        """Set the flag and wake everybody who waits; nothing where it is set."""
        raiseflag(self)

    def clear(self) -> None:
        """Clear the flag: wait() waits again. Who was woken by a set() goes on all the same."""
        lowerflag(self)

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return load(self.flag) != 0

    def wait(self) -> Eventop:
        """Wait until the flag is set; await it. At once where it is set."""
        op = Eventop.__new__(Eventop)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
        setevent(op, self)
        return op

    def __repr__(self) -> str:
        return f"<Event {'set' if load(self.flag) else 'clear'}>"

    def park(self, op: Eventop) -> int:
        lock(self.mu)
        if load(self.flag) != 0:
            unlock(self.mu)
            return RETURN
        gopark(op, 18)
        self.q.push(op)
        unlock(self.mu)
        return YIELD


@cython.no_gc
@cython.cclass
class Eventop(Semop):
    """Event.wait."""

    __slots__ = ("ev",)

    def opname(self) -> str:
        return "Event.wait"

    def start(self, pp: P) -> int:
        if load(self.ev.flag) != 0:
            return RETURN
        return self.ev.park(self)

    def unqueue(self) -> None:
        ev = self.ev
        lock(ev.mu)
        ev.q.remove(self)
        unlock(ev.mu)


def setevent(op: Eventop, ev: Event) -> None:
    op.ev = ev


def raiseflag(ev: Event) -> None:
    lock(ev.mu)
    store(ev.flag, 1)
    op = ev.q.takeall()
    unlock(ev.mu)
    if op is not None:
        pp = enter()
        readyall(op, pp)
        leave(pp)


def lowerflag(ev: Event) -> None:
    lock(ev.mu)
    store(ev.flag, 0)
    unlock(ev.mu)


sealed(Event, "()")
install_slots(Eventop)
