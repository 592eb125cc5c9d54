"""gort.timeout and gort.shield: a deadline over a block, and a block that outer
cancels don't reach."""

from __future__ import annotations

import math
from typing import Any

import cython

from .park import uncancelled
from .scope import Scope, delay

if not cython.compiled:
    from ..platform import sealed
    from .scope import Enterscope, Leavescope, enter, leave


class Timeout(Scope):
    """gort.timeout(seconds)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<gort.timeout of {self.seconds:g} seconds: {self.stage()}>"

    def __aenter__(self) -> Enterscope:
        return enter(self)

    def __aexit__(self, et: Any, exc: Any, tb: Any) -> Leavescope:
        return leave(self, exc)

    def expired(self) -> bool:
        """Whether the deadline came before the block ended. From any thread."""
        return self.cancelled

    def verdict(self, exc: Any, own: bool, outer: bool) -> Any:
        if not own or outer or exc is None:
            return False
        rest = uncancelled(exc)
        if rest is not None:
            return False if rest is exc else rest
        error = TimeoutError(f"the block did not end within {self.seconds:g} seconds")
        error.__cause__ = exc
        return error


class Shield(Scope):
    """gort.shield(seconds)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<gort.shield of {self.seconds:g} seconds: {self.stage()}>"

    def __aenter__(self) -> Enterscope:
        return enter(self)

    def __aexit__(self, et: Any, exc: Any, tb: Any) -> Leavescope:
        return leave(self, exc)

    def expired(self) -> bool:
        """Whether the grace ended before the block did. From any thread."""
        return self.cancelled

    def verdict(self, exc: Any, own: bool, outer: bool) -> Any:
        if not own or outer or exc is None:
            return False
        rest = uncancelled(exc)
        return rest is None or (False if rest is exc else rest)


@cython.locals(sc=Timeout)
def timeout(seconds: float) -> Timeout:
    """`async with gort.timeout(seconds):` a block that must end in time.

    From the deadline on, every op in the block raises Cancelled; if that ends
    the block, TimeoutError comes out of it, caused by the Cancelled. A block that
    ends otherwise in spite of the deadline raises nothing of its own, and one
    that an outer scope cancelled too leaves the Cancelled to that. The seconds
    count from entering; zero or less have expired then, inf never does. Nests.

    Raises TypeError for what is no number, ValueError for NaN. Entering raises
    RuntimeError outside a goroutine and on a second use.
    """
    sc = Timeout.__new__(Timeout)
    if not cython.compiled:
        sc.__init__()  # type: ignore[misc]
    sc.seconds = delay(seconds, "timeout")
    return sc


@cython.locals(sc=Shield)
def shield(seconds: float | None = None) -> Shield:
    """`async with gort.shield(seconds):` a block that outer cancels don't reach, for
    cleanup that has to await.

    Cancels by g.cancel(), by outer timeouts and groups, and by the end of the
    program take effect when the block has ended. With seconds, counted from
    entering, the shield itself is cancelled then: every op in it raises
    Cancelled, and what of it leaves the block ends there, unless an outer cancel
    is due. None, the default, and inf set no limit, but a program that ends gives
    those shields 1.4 seconds. KeyboardInterrupt passes every shield.

    Raises TypeError for what is no number, ValueError for NaN. Entering raises
    RuntimeError outside a goroutine and on a second use.
    """
    sc = Shield.__new__(Shield)
    if not cython.compiled:
        sc.__init__()  # type: ignore[misc]
    sc.seconds = math.inf if seconds is None else delay(seconds, "shield")
    sc.shielded = True
    return sc


sealed(Timeout)
sealed(Shield)
