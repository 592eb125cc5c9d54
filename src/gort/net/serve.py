"""net.serve: a goroutine for each connection of a listener."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from ..runtime.boot import go
from ..runtime.park import Cancelled, uncancelled
from ..runtime.semaphore import Semaphore
from ..runtime.timeout import shield
from ..runtime.timers import seconds_of
from ..runtime.traceback import current
from ..runtime.waitgroup import WaitGroup
from .conn import Conn, checksize
from .listen import Listener

__all__ = ["serve"]

_log = logging.getLogger("gort.net")


class Serving:
    """What one serve() runs. mu protects running, and ended: those that ended before they
    were put there."""

    def __init__(self, ln: Listener, handler: Callable[[Conn], Any], limit: int | None) -> None:
        self.listener = ln
        self.handler = handler
        self.mu = threading.Lock()
        self.ended: set[int] = set()
        self.slots = None if limit is None else Semaphore(limit)
        self.running: dict[int, Any] = {}
        self.wg = WaitGroup()
        self.failure: BaseException | None = None

    async def accept(self) -> None:
        """Serve what comes, until the listener is closed or the goroutine is cancelled."""
        ln = self.listener
        while True:
            if self.slots is not None:
                await self.slots.acquire()
            try:
                conn = await ln.accept()
            except BaseException as exc:
                if self.slots is not None:
                    self.slots.release()
                if isinstance(exc, OSError) and ln.closed:
                    return
                raise
            self.wg.add()
            g = go(self.run, conn)
            with self.mu:
                if g.id in self.ended:
                    self.ended.discard(g.id)
                else:
                    self.running[g.id] = g

    async def run(self, conn: Conn) -> None:
        try:
            async with conn:
                r = self.handler(conn)
                if isawaitable(r):
                    await r
        except Exception as exc:
            if uncancelled(exc) is not None:
                self.log(conn, exc)
        except Cancelled:
            pass
        except BaseException as exc:
            self.failure = exc
            await self.listener.close()
        finally:
            if self.slots is not None:
                self.slots.release()
            self.forget(current())
            self.wg.done()

    def forget(self, g: Any) -> None:
        with self.mu:
            if self.running.pop(g.id, None) is None:
                self.ended.add(g.id)

    def log(self, conn: Conn, exc: Exception) -> None:
        _log.error("the handler of %r failed", conn, exc_info=exc)

    async def finish(self, grace: float) -> None:
        """Give those that run so many seconds, and then cancel them."""
        try:
            async with shield(grace):
                await self.wg.wait()
        finally:
            with self.mu:
                running = list(self.running.values())
            for g in running:
                g.cancel()
            async with shield():
                await self.wg.wait()


async def serve(
    ln: Listener,
    handler: Callable[[Conn], Any],
    *,
    limit: int | None = None,
    grace: float | None = None,
) -> None:
    """Serve each connection of ln with handler(conn), in a goroutine of its own, and close
    it after that. Returns when ln is closed and all have ended.

    limit: how many connections to have at most; the others wait to be accepted. An Exception
    out of a handler is logged ("gort.net") and ends that connection alone. Cancelled, it
    closes ln, gives the handlers grace seconds (None: none) and then cancels them.
    """
    if not isinstance(ln, Listener):
        raise TypeError(f"serve: expected a Listener, not {type(ln).__name__}")
    if not callable(handler):
        raise TypeError(f"serve: handler must be callable, not {type(handler).__name__}")
    most = None if limit is None else checksize(limit, "serve", "limit", 1)
    seconds = 0.0 if grace is None else seconds_of(grace)
    s = Serving(ln, handler, most)
    try:
        await s.accept()
        await s.wg.wait()
    finally:
        await ln.close()
        await s.finish(seconds)
    if s.failure is not None:
        raise s.failure
