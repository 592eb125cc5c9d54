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
    from ..platform import RAISE, RETURN, STOPASYNC, YIELD, cheaprandn, lock, unlock
    from .chan import AGAIN, tryop
    from .gmp import OPNEW, P


class Select(Op):
    """gort.select(...). Await it: (index, value)."""

    __slots__ = ("cases", "order", "hasdefault")

    def start(self, pp: P) -> int:
        order = self.order
        sellock(order)
        for sg in self.pollorder():
            code = tryop(sg, pp)
            if code != AGAIN:
                selunlock(order)
                return self.chosen(sg, code)
        if self.hasdefault:
            selunlock(order)
            self.value = (-1, None)
            return RETURN
        self.gopark(3 if order else 4)
        for sg in order:
            sg.c.enqueue(sg)
        selunlock(order)
        return YIELD

    def finish(self) -> int:
        self.unqueue()
        sg: Chanop = self.cases[self.code]
        return self.chosen(sg, sg.deliver())

    def chosen(self, sg: Chanop, code: int) -> int:
        self.value = sg.value
        sg.value = None
        if code == RETURN:
            self.value = (sg.index, self.value)
        elif code == STOPASYNC:
            self.value = StopAsyncIteration()
            return RAISE
        return code

    def unqueue(self) -> None:
        for sg in self.order:
            lock(sg.c.lock)
            sg.c.dequeue(sg)
            unlock(sg.c.lock)
            sg.sel = None

    def pollorder(self) -> list[Chanop]:
        """The cases in a uniformly random order (Fisher and Yates)."""
        out = list(self.order)
        i = len(out) - 1
        while i > 0:
            j = cheaprandn(i + 1)
            out[i], out[j] = out[j], out[i]
            i -= 1
        return out


def sellock(order: list[Chanop]) -> None:
    """Lock every channel once; `order` is sorted by channel."""
    last = None
    for sg in order:
        if sg.c is not last:
            lock(sg.c.lock)
        last = sg.c


def selunlock(order: list[Chanop]) -> None:
    last = None
    for sg in order:
        if sg.c is not last:
            unlock(sg.c.lock)
        last = sg.c


@cython.locals(sg=Chanop)
def _address(sg: Chanop) -> int:
    return sg.c.seq


@cython.locals(op=Chanop, self=Select)
def select(*ops: Chanop | None, default: bool = False) -> Select:
    """Do one of several channel operations; await it: (index, value).

    value is what awaiting the chosen op alone would have given; what it would
    have raised is raised. Among ready ones the choice is uniformly random. None
    is a nil channel: never ready. With default=True, (-1, None) when nothing is
    ready. Without ops it waits for ever.

    Raises TypeError for what is no channel operation, RuntimeError for one that
    was used before.
    """
    for i, case in enumerate(ops):
        if case is not None and not isinstance(case, Chanop):
            raise TypeError(
                f"select case {i} must be a channel operation such as ch.recv() or None, "
                f"not {type(case).__name__}"
            )
    for i, op in enumerate(ops):
        if op is not None:
            takecase(op, i)
    self = Select.__new__(Select)
    if not cython.compiled:
        self.__init__()  # type: ignore[misc]
    self.cases = ops
    self.hasdefault = bool(default)
    self.order = sorted((op for op in ops if op is not None), key=_address)
    for op in self.order:
        setsel(op, self)
    return self


def takecase(op: Chanop, index: int) -> None:
    """Mark op as used by a select, at this index of it."""
    if op.used or op.state != OPNEW:
        raise RuntimeError(
            f"select case {index} was used already: an op is used once, make a new one"
        )
    op.used = True
    op.index = index


def setsel(op: Chanop, sel: Select) -> None:
    op.sel = sel
