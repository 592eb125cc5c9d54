"""add_cleanup, and the goroutine that runs what it registered.

A weak reference's callback says that an object has gone. It may run anywhere: on
any thread, and inside the runtime under any lock. So it only appends to a deque,
which is atomic, sets a word, and wakes sysmon by a futex; no lock. The next
scheduling round that sees the word, or sysmon, wakes the cleanup goroutine.

As in Go 1.24 one goroutine runs all cleanups one after the other. It is a system
goroutine while it sleeps, and a user's while it runs a user's function.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import cython

from .park import Op
from .systemg import Sysg

if not cython.compiled:
    from ..platform import load, notewakeup, post, store
    from .gmp import sched
    from .park import ready
    from .systemg import asuser, currentg, dropsysg, leavesysg, sleepop, wakesysg

_REASON = 17


class Cleanup:
    """What add_cleanup returns."""

    __slots__ = ("_ref", "_fn", "_args", "_run", "_queue")

    def __init__(self, obj: Any, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._fn: Callable[..., Any] | None = fn
        self._args = args
        self._run = c.live
        self._queue = c.queue
        self._ref: Gone | None = Gone(obj, gone)
        self._ref.cleanup = self

    def stop(self) -> None:
        """Cancel the call; without effect once the object is gone. From any thread."""
        self._run.discard(self)
        self._ref = None  # and with the weak reference its callback

    def __repr__(self) -> str:
        return f"<Cleanup {getattr(self._fn, '__qualname__', self._fn)!s}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("cannot copy or pickle 'gort.Cleanup' object")


class Gone(weakref.ref[Any]):
    """A weak reference that knows the cleanup it was made for."""

    __slots__ = ("cleanup",)
    cleanup: Cleanup


class Cleanups:
    """This run's cleanups: the live ones, and the queue of those that are due.

    Both are new for each run, so that what dies after its run is not called.
    """

    __slots__ = ("live", "queue", "w")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.live: set[Cleanup] = set()
        self.queue: deque[Cleanup] = deque()
        self.w = None


c = Cleanups()


def gone(ref: Gone) -> None:
    """The weak reference's callback: nothing here takes a lock."""
    cleanup = ref.cleanup
    cleanup._queue.append(cleanup)
    post(sched.cleanupwake)
    if cython.compiled and load(sched.sysmonwait) != 0:
        # Uncompiled a note has a lock; there sysmon never sleeps longer than 50 ms.
        notewakeup(sched.sysmonnote)


def add_cleanup(obj: Any, fn: Callable[..., Any], /, *args: Any) -> Cleanup:
    """Call fn(*args) in a goroutine some time after obj has become unreachable.

    fn: an async def, or a plain def. All cleanups run in one goroutine, one after
    the other: what takes long starts its own with gort.go. An object may have
    several cleanups, which run in no certain order. An exception out of fn is a
    panic, as in any goroutine that nobody awaits. Returns a handle; its stop()
    cancels the call as long as obj lives.

    fn and args are kept alive until then, so they must not lead to obj, or it never
    becomes unreachable. A cleanup belongs to the run in which it was added: when
    main returns, what is still alive is not called. It tells the end of a weakly
    referenced object: one that its `__del__` brings back to life counts as gone.

    From any thread while a runtime is up (RuntimeError otherwise). TypeError for an
    fn that is not callable and for an obj without weak references (an int, a str, a
    tuple, a list, a dict, a class with __slots__ that lacks __weakref__);
    ValueError when obj is fn, fn's own self, or one of args.
    """
    if load(sched.up) == 0:
        raise RuntimeError("no gort runtime is up: add cleanups under gort.run(main)")
    if not callable(fn):
        raise TypeError(f"add_cleanup() wants a callable (async def or def), not {name(fn)}")
    if fn is obj or getattr(fn, "__self__", None) is obj or any(a is obj for a in args):
        raise ValueError(
            "add_cleanup(obj, fn, *args): fn or args hold obj itself, so it would never be "
            "unreachable; pass what the cleanup needs of it (its file descriptor, say) instead"
        )
    try:
        cleanup = Cleanup(obj, fn, args)
    except TypeError:
        raise TypeError(
            f"add_cleanup() wants an object with weak references, and {name(obj)} has none: "
            "use an instance of a class of your own (with '__weakref__' among its __slots__)"
        ) from None
    cleanup._run.add(cleanup)
    return cleanup


def name(obj: Any) -> str:
    return type(obj).__qualname__


def startcleanups() -> None:
    """Boot: a new run has no cleanups."""
    c.reset()
    c.w = Sysg(runcleanups, _REASON)
    store(sched.cleanupwake, 0)


def stopcleanups() -> None:
    """Shutdown."""
    dropsysg(c.w)
    c.reset()
    store(sched.cleanupwake, 0)


def wakecleanup(pp: Any) -> None:
    """Ready the cleanup goroutine for what is queued, if it sleeps.

    pp: the caller's claimed P, or None. cleanupwake stays set until the goroutine
    clears it, so that none is missed that comes while it works.
    """
    if load(sched.draining) != 0 or c.w is None:
        store(sched.cleanupwake, 0)
        return
    gp = wakesysg(c.w)
    if gp is not None:
        ready(gp, pp, True)


async def runcleanups(w: Sysg) -> None:
    """The cleanup goroutine's body."""
    queue = c.queue
    gp = currentg()
    try:
        while True:
            store(sched.cleanupwake, 0)  # before the look at the queue
            while queue:
                asuser(gp, True)
                if load(sched.draining) != 0:
                    return  # a shutdown looked before it could count us
                what = take(queue)
                if isinstance(what, (Coroutine, Op)):
                    await what
                what = None
                asuser(gp, False)
            await sleepop(w)
    finally:
        gp = None  # nobody else may hold it, or its exception is no panic
        leave(w)


def take(queue: deque[Cleanup]) -> Any:
    """Call the next cleanup and drop it."""
    cleanup = queue.popleft()
    cleanup._run.discard(cleanup)
    fn, args = cleanup._fn, cleanup._args
    cleanup._fn = None
    cleanup._args = ()
    cleanup._ref = None
    return fn(*args) if fn is not None else None


def leave(w: Sysg) -> None:
    """The body ends; what is still queued gets a new goroutine."""
    leavesysg(w)
    if c.queue:
        post(sched.cleanupwake)
