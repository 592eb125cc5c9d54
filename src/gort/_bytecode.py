"""Functions that are never compiled, for the sake of their frames, or of their coroutines,
which keep their names when they have ended."""

from __future__ import annotations

import _thread
import contextvars
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any


def safepoint() -> None:
    """Let the interpreter do what waits for this thread: signal handlers, and on a
    free-threaded build the reference counts that other threads left to it."""


async def drive(op: Awaitable[Any]) -> Any:
    """A goroutine that awaits an op."""
    return await op


async def handle(fn: Callable[[Any, BaseException], Any], g: Any, exc: BaseException) -> None:
    """A goroutine that tells a group's on_error of a failure."""
    done = fn(g, exc)
    if isinstance(done, Awaitable):
        await done


def owncontext() -> dict[str, Any]:
    """What makes a thread start in an empty context. From 3.14 on it may start in a copy of its
    maker's, which would keep the variables of a goroutine for as long as the thread lives."""
    return {"context": contextvars.Context()} if sys.version_info >= (3, 14) else {}


def startthread(fn: Callable[[Any], None], arg: Any, name: str) -> threading.Thread:
    """Start a daemon thread that runs fn(arg). Its frame tells a signal handler that
    the runtime was interrupted here, and not the code that called it."""
    thread = threading.Thread(target=fn, args=(arg,), name=name, daemon=True, **owncontext())
    thread.start()
    return thread


class _Thread(threading.Thread):
    """One that the interpreter did not start: threading knows it from when it runs."""

    def come_up(self) -> None:
        with threading._active_limbo_lock:  # type: ignore[attr-defined]
            threading._limbo[self] = self  # type: ignore[attr-defined]
        if not hasattr(_thread, "_make_thread_handle"):
            self._bootstrap()  # type: ignore[attr-defined]
            return
        self._handle = _thread._make_thread_handle(_thread.get_ident())
        self._bootstrap()  # type: ignore[attr-defined]
        self._handle._set_done()


def comeup(fn: Callable[[Any], None], arg: Any, name: str) -> None:
    """The first call of a thread that was started without waiting for it: make it one of
    threading's and run fn(arg). All that takes time or a lock is left to it."""
    _Thread(target=fn, args=(arg,), name=name, daemon=True, **owncontext()).come_up()
