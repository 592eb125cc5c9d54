"""Which gort a call came to: the real one, or that of a simulation, whose objects know
nothing of each other. Each has this module once; gort.testing sets it."""

from __future__ import annotations

from collections.abc import Callable


class Where:
    """One gort, beside the other.

    strayed: whether the calling thread is one of the other's. other: whether a class is.
    mine and theirs: what was made with this one, and with the other, in words.
    """

    def __init__(self) -> None:
        self.strayed: Callable[[], bool] = lambda: False
        self.other: Callable[[type], bool] = lambda cls: False
        self.mine = self.theirs = ""


here = Where()

_ADVICE = (
    "make and use channels, locks, timers, contexts and groups on the same side, "
    "such as all in the simulated main"
)


def hint() -> str:
    """What to add to an error for want of a runtime; empty where that says all."""
    return f". This was made {here.mine}: {_ADVICE}" if here.strayed() else ""


def kind(o: object) -> str:
    """The name of o's type; with a word where that is the other gort's."""
    name = type(o).__name__
    return f"a {name} that was made {here.theirs}: {_ADVICE}" if here.other(type(o)) else name
