"""Exit hooks: what `gort.at_exit` registers runs when main has ended.

Not compiled, so that a hook that waits has its frames in a dump.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from ..platform import lock, mutex, unlock
from .gmp import printerr
from .inittask import nameof
from .park import Op
from .proc import Goexit


class Exithooks:
    """The hooks of this run, or of the next one while none is up; lock protects both
    fields."""

    __slots__ = ("lock", "hooks", "closed")

    def __init__(self) -> None:
        self.lock = mutex()
        self.hooks: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        self.closed = False


exithooks = Exithooks()


def at_exit(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """Have fn(*args, **kwargs) run when main has returned or raised; returns fn.

    fn: a plain or async def. Hooks run in goroutine 1, the last one registered
    first, while the other goroutines still run; a hook may register more. They
    belong to the run in which they were registered, or to the next one if none
    was up. They also run when main was cancelled, by a panic or a deadlock, and
    are not cancelled themselves.

    A hook that raises does not keep the others from running. If main returned,
    run raises what the first such hook raised; what others raised is printed.
    Callable from any thread; raises TypeError for what is not callable,
    RuntimeError once the hooks of the run have run.
    """
    if not callable(fn):
        raise TypeError(
            f"at_exit() wants a function and its arguments, not {type(fn).__name__}: "
            "at_exit(print, 'bye')"
        )
    lock(exithooks.lock)
    closed = exithooks.closed
    if not closed:
        exithooks.hooks.append((fn, args, kwargs))
    unlock(exithooks.lock)
    if closed:
        raise RuntimeError("at_exit: main has ended, and its exit hooks have run")
    return fn


def havehooks() -> bool:
    """Whether there are any; where not, no more are taken."""
    lock(exithooks.lock)
    exithooks.closed = not exithooks.hooks
    unlock(exithooks.lock)
    return not exithooks.closed


def openhooks() -> None:
    """The run is over: hooks are the next one's from here on."""
    lock(exithooks.lock)
    exithooks.hooks.clear()
    exithooks.closed = False
    unlock(exithooks.lock)


async def runexithooks(uncancel: Callable[[], None], errors: list[BaseException]) -> None:
    """All hooks, and those that they register; what they raised goes to errors.

    uncancel: called before each, for a main that was cancelled.
    """
    while havehooks():
        lock(exithooks.lock)
        fn, args, kwargs = exithooks.hooks.pop()
        unlock(exithooks.lock)
        uncancel()
        try:
            what = fn(*args, **kwargs)
            if isinstance(what, (Coroutine, Op)):
                await what
        except Goexit:
            pass
        except BaseException as exc:
            exc.add_note(f"in exit hook {nameof(fn)}")
            errors.append(exc)


def printerrors(errors: list[BaseException]) -> None:
    for exc in errors:
        printerr("Exception ignored in an exit hook:\n")
        traceback.print_exception(exc)
