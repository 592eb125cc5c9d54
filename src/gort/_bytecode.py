"""Functions that are never compiled, for the sake of their frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def safepoint() -> None:
    """Let the interpreter do what waits for this thread: signal handlers, and on a
    free-threaded build the reference counts that other threads left to it."""


def startthread(fn: Callable[[Any], None], arg: Any, name: str) -> threading.Thread:
    """Start a daemon thread that runs fn(arg). Its frame tells a signal handler that
    the runtime was interrupted here, and not the code that called it."""
    thread = threading.Thread(target=fn, args=(arg,), name=name, daemon=True)
    thread.start()
    return thread
