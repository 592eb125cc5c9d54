"""select: wait on several channel operations, do exactly one.

In Go's three passes: look at every case in a random order, with all channels
locked in one global order (by address); queue on every channel; after the wait,
take the others out. A waiting select is won through its own word, so exactly
one case fires; the winner leaves the case's index in `code`.
"""

from __future__ import annotations

import cython

from .chan import Chanop
from .park import Op

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        STOPASYNC,
        YIELD,
        cheaprandn,
        install_slots,
        lock,
        poolget,
        poolops,
        store,
        unlock,
    )
    from .chan import AGAIN, KSEND, tryrecv, trysend
    from .gmp import OPNEW, WPENDING, P


class Select(Op):
    """gort.select(...). Await it: (index, value)."""

    __slots__ = ("cases", "order", "hasdefault")

    def __init__(self) -> None:
        if not cython.compiled:
            super().__init__()
            self.hasdefault = False

    def reset(self) -> None:
        store(self.won, WPENDING)
        self.state = OPNEW
        self.g = None
        self.tw = None
        self.cases = None
        self.order = None
        self.value = None

    def start(self, pp: P) -> int:
        order = self.order
        sellock(order)
        code = self.look(order, pp)
        if code != AGAIN:
            selunlock(order)
            return code
        if self.hasdefault:
            selunlock(order)
            self.value = (-1, None)
            return RETURN
        self.gopark(3 if order else 4)
        for i in range(len(order)):
            sg: Chanop = order[i]
            sg.sel = self
            sg.c.enqueue(sg)
        selunlock(order)
        return YIELD

    def look(self, order: list[Chanop], pp: P) -> int:
        """Do the first case that can be done, in a uniformly random order (Fisher and
        Yates, as far as it is needed); AGAIN when there is none."""
        n = len(order)
        if n > 2:
            order = list(order)
        while n > 0:
            j = cheaprandn(n) if n > 1 else 0
            sg: Chanop = order[j]
            c = sg.c
            code = trysend(c, sg, pp) if sg.kind == KSEND else tryrecv(c, sg, pp)
            if code != AGAIN:
                return self.chosen(sg, code)
            n -= 1
            if n == 1 and len(order) == 2:
                sg = order[1 - j]
                c = sg.c
                code = trysend(c, sg, pp) if sg.kind == KSEND else tryrecv(c, sg, pp)
                return AGAIN if code == AGAIN else self.chosen(sg, code)
            if n > 0:
                order[j] = order[n]
        return AGAIN

    def finish(self) -> int:
        self.unqueue()
        sg: Chanop = self.cases[self.code]
        return self.chosen(sg, sg.deliver())

    def chosen(self, sg: Chanop, code: int) -> int:
        if code == RETURN:
            self.value = (sg.index, sg.value)
        elif code == STOPASYNC:
            self.value = StopAsyncIteration()
            code = RAISE
        else:
            self.value = sg.value
        sg.value = None
        return code

    def unqueue(self) -> None:
        order = self.order
        for i in range(len(order)):
            sg: Chanop = order[i]
            c = sg.c
            lock(c.lock)
            c.dequeue(sg)
            unlock(c.lock)
            sg.sel = None


def sellock(order: list[Chanop]) -> None:
    """Lock every channel once; `order` is sorted by channel."""
    last = None
    for i in range(len(order)):
        sg: Chanop = order[i]
        if sg.c is not last:
            last = sg.c
            lock(last.lock)


def selunlock(order: list[Chanop]) -> None:
    last = None
    for i in range(len(order)):
        sg: Chanop = order[i]
        if sg.c is not last:
            last = sg.c
            unlock(last.lock)


@cython.locals(sg=Chanop, self=Select, cases=tuple, order=list)
def select(*ops: Chanop | None, default: bool = False) -> Select:
    """Do one of several channel operations; await it: (index, value).

    value is what awaiting the chosen op alone would have given; what it would
    have raised is raised. Among ready ones the choice is uniformly random. None
    is a nil channel: never ready. With default=True, (-1, None) when nothing is
    ready. Without ops it waits for ever.

    Raises TypeError for what is no channel operation, RuntimeError for one that
    was used before.
    """
    cases = ops
    order = []
    for i in range(len(cases)):
        op = cases[i]
        if op is None:
            continue
        if not isinstance(op, Chanop):
            untake(order)
            raise TypeError(
                f"select case {i} must be a channel operation such as ch.recv() or None, "
                f"not {type(op).__name__}"
            )
        takecase(op, i, order)
    self = newselect()
    self.cases = cases
    self.order = order
    self.hasdefault = bool(default)
    return self


def newselect() -> Select:
    op = poolget()
    if op is None:
        op = Select.__new__(Select)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
    return op


def takecase(op: Chanop, index: int, order: list[Chanop]) -> None:
    """Mark op as used by a select, at this index of it, and put it in lock order."""
    if op.used or op.state != OPNEW:
        untake(order)
        raise RuntimeError(
            f"select case {index} was used already: an op is used once, make a new one"
        )
    op.used = True
    op.index = index
    order.append(op)
    i = len(order) - 1
    while i > 0:
        sg: Chanop = order[i - 1]
        if sg.c.seq <= op.c.seq:
            break
        order[i] = sg
        i -= 1
    order[i] = op


def untake(order: list[Chanop]) -> None:
    """A bad case came: the ops before it are as they were."""
    for i in range(len(order)):
        sg: Chanop = order[i]
        sg.used = False


install_slots(Select)
poolops(Select)
