"""select: wait on several channel operations, do exactly one.

In Go's three passes: look at every case in a random order, with all channels
locked in one global order (by address); queue on every channel; after the wait,
take the others out. A waiting select is won through its own word, so exactly
one case fires; the winner leaves the case's index in `code`.
"""

from __future__ import annotations

from typing import Any

import cython

from .._where import kind
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
        moved,
        poolget,
        poolops,
        unlock,
    )
    from .chan import AGAIN, KSEND, tryrecv, trysend
    from .gmp import OPAWAITED, OPDONE, OPEXCUSED, OPNEW, P
    from .park import excuse, gopark

    MANY = 16

    def fastselect(slow: Any) -> Any:
        return slow


@cython.no_gc
@cython.cclass
class Select(Op):
    """gort.select(...). Await it: (index, value).

    first: its cases but for nil channels, n of them, in lock order, linked by `nextcase`.
    """

    __slots__ = ("first", "n", "hasdefault")

    def __init__(self) -> None:
        if not cython.compiled:
            super().__init__()
            self.first: Chanop | None = None
            self.n = 0
            self.hasdefault = False

    def reset(self) -> None:
        Op.reset(self)
        if self.n > MANY:
            self.unlink()
        self.first = None
        self.n = 0
        self.hasdefault = False

    def opname(self) -> str:
        return "gort.select"

    def unlink(self) -> None:
        """Take the chain apart, one by one: a long one would drop itself recursively."""
        while self.first is not None:
            sg = self.first
            self.first = sg.nextcase
            sg.nextcase = None

    def start(self, pp: P) -> int:
        sellock(self.first)
        code = self.look(pp)
        if code != AGAIN:
            selunlock(self.first)
            return code
        if self.hasdefault:
            selunlock(self.first)
            self.value = (-1, None)
            return RETURN
        gopark(self, 3 if self.n else 4)
        sg = self.first
        while sg is not None:
            sg.sel = self
            sg.c.enqueue(sg)
            sg = sg.nextcase
        selunlock(self.first)
        return YIELD

    @cython.final
    def look(self, pp: P) -> int:
        """Do the first case that can be done, in a uniformly random order; AGAIN when
        there is none."""
        if self.n > 2:
            return self.lookmany(pp)
        sg = self.first
        if sg is None:
            return AGAIN
        if sg.nextcase is not None and cheaprandn(2) != 0:
            code = trycase(sg.nextcase, pp)
            if code != AGAIN:
                return self.chosen(sg.nextcase, code)
            code = trycase(sg, pp)
        else:
            code = trycase(sg, pp)
            if code == AGAIN and sg.nextcase is not None:
                sg = sg.nextcase
                code = trycase(sg, pp)
        return AGAIN if code == AGAIN else self.chosen(sg, code)

    def lookmany(self, pp: P) -> int:
        """After Fisher and Yates, as far as it is needed."""
        order = []
        sg = self.first
        while sg is not None:
            order.append(sg)
            sg = sg.nextcase
        n = len(order)
        while n > 0:
            j = cheaprandn(n)
            sg = order[j]
            code = trycase(sg, pp)
            if code != AGAIN:
                return self.chosen(sg, code)
            n -= 1
            order[j] = order[n]
        return AGAIN

    def finish(self) -> int:
        """Take the cases out of their queues, but for the one that was chosen: who chose
        it did that, and has no more to do with it."""
        won = None
        sg = self.first
        while sg is not None:
            if sg.index == self.code:
                won = sg
            else:
                sg.unqueue()
            sg.sel = None
            sg = sg.nextcase
        return self.chosen(won, won.deliver())

    @cython.final
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
        sg = self.first
        while sg is not None:
            sg.unqueue()
            sg.sel = None
            sg = sg.nextcase

    def sortcases(self) -> None:
        order = []
        while self.first is not None:
            sg = self.first
            self.first = sg.nextcase
            order.append(sg)
        order.sort(key=lockorder, reverse=True)
        for sg in order:
            sg.nextcase = self.first
            self.first = sg

    def untake(self) -> None:
        """A bad case came: the ops before it are as they were."""
        self.state = OPEXCUSED
        sg = self.first
        while sg is not None:
            sg.used = False
            sg.state = OPEXCUSED
            sg = sg.nextcase
        self.unlink()


def lockorder(sg: Chanop) -> int:
    return sg.c.seq


def sellock(first: Chanop | None) -> None:
    """Lock every channel once; the chain is sorted by channel."""
    sg = first
    while sg is not None:
        if sg.nextcase is None or sg.nextcase.c is not sg.c:
            lock(sg.c.lock)
        sg = sg.nextcase


def selunlock(first: Chanop | None) -> None:
    sg = first
    while sg is not None:
        if sg.nextcase is None or sg.nextcase.c is not sg.c:
            unlock(sg.c.lock)
        sg = sg.nextcase


def trycase(sg: Chanop, pp: P) -> int:
    code = trysend(sg, pp) if sg.kind == KSEND else tryrecv(sg, pp)
    return sg.deliver() if code == RETURN else code


def addcase(sel: Select, op: Chanop, index: int) -> int:
    """Mark an op as used by sel, at this index, and put it in lock order;
    where there are many cases sortcases does that."""
    if op.state > OPNEW and op.state != OPAWAITED:
        sel.untake()
        raise RuntimeError(
            f"select case {index} was used already: an op is used once, make a new one"
        )
    op.used = True
    op.state = OPDONE
    op.index = index
    sel.n += 1
    if sel.first is None or op.c.seq < sel.first.c.seq or sel.n > MANY:
        op.nextcase = sel.first
        sel.first = op
        return 0
    at = sel.first
    while at.nextcase is not None and at.nextcase.c.seq <= op.c.seq:
        at = at.nextcase
    op.nextcase = at.nextcase
    at.nextcase = op
    return 0


@cython.locals(self=Select)
def select(*ops: Chanop | None, default: bool = False) -> Select:
    """Do one of several channel operations; await it: (index, value).

    value is what awaiting the chosen op alone would have given; what it would
    have raised is raised. Among ready ones the choice is uniformly random. None
    is a nil channel: never ready. With default=True, (-1, None) when nothing is
    ready. Without ops it waits for ever.

    Raises TypeError for what is no channel operation, RuntimeError for one that
    was used before.
    """
    self = newselect()
    self.hasdefault = bool(default)
    index = 0
    for case in ops:
        if case is not None:
            if not isinstance(case, Chanop):
                self.untake()
                for other in ops:
                    excuse(other)
                raise TypeError(
                    f"select case {index} must be a channel operation such as ch.recv() "
                    f"or None, not {kind(case)}"
                )
            addcase(self, case, index)
        index += 1
    if self.n > MANY:
        self.sortcases()
    return self


select = fastselect(select)


def newselect() -> Select:
    op = poolget()
    if op is None:
        op = Select.__new__(Select)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
    return moved(op)


install_slots(Select)
poolops(Select)
