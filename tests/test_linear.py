"""To cancel n waiters of one thing takes time in proportion to n, whatever they wait for
and in whatever order they give up. Counted in lines of the runtime, uncompiled."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import pytest

import gort
from gort import net, sync
from gort.runtime import park

pytestmark = pytest.mark.skipif(
    os.environ.get("GORT_PURE", "") in ("", "0"), reason="counts lines of the runtime"
)

SMALL, FACTOR = 40, 4
SLACK = 1.4
"""A queue that is walked for each of them takes FACTOR times as long as it may."""


class Lines:
    """Counts what the runtime does on this thread."""

    def __init__(self) -> None:
        self.n = 0

    def call(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self.line if f"{os.sep}runtime{os.sep}" in frame.f_code.co_filename else None

    def line(self, frame: FrameType, event: str, arg: Any) -> Any:
        self.n += event == "line"
        return self.line

    def __enter__(self) -> Lines:
        self.old = sys.gettrace()
        sys.settrace(self.call)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.settrace(self.old)


Wait = Callable[[], Awaitable[Any]]


async def joins() -> tuple[Wait, Callable[[], None]]:
    c = gort.chan()

    async def target() -> None:
        await c.recv_ok()

    g = gort.go(target)

    async def wait() -> None:
        await g

    return wait, c.close


async def receives() -> tuple[Wait, Callable[[], None]]:
    c = gort.chan()
    return c.recv, lambda: None


async def sends() -> tuple[Wait, Callable[[], None]]:
    c = gort.chan()
    return lambda: c.send(1), lambda: None


async def selects() -> tuple[Wait, Callable[[], None]]:
    c, d = gort.chan(), gort.chan()
    return lambda: gort.select(c.recv(), d.send(1)), lambda: None


async def mutex() -> tuple[Wait, Callable[[], None]]:
    mu = sync.Mutex()
    await mu.lock()
    return mu.lock, mu.unlock


async def readers() -> tuple[Wait, Callable[[], None]]:
    rw = sync.RWMutex()
    await rw.lock()
    return rw.rlock, rw.unlock


async def writers() -> tuple[Wait, Callable[[], None]]:
    rw = sync.RWMutex()
    await rw.rlock()
    return rw.lock, rw.runlock


async def semaphore() -> tuple[Wait, Callable[[], None]]:
    s = sync.Semaphore(1)
    await s.acquire()
    return s.acquire, s.release


async def cond() -> tuple[Wait, Callable[[], None]]:
    mu = sync.Mutex()
    c = sync.Cond(mu)

    async def wait() -> None:
        async with mu:
            await c.wait()

    return wait, lambda: None


async def waitgroup() -> tuple[Wait, Callable[[], None]]:
    wg = sync.WaitGroup()
    wg.add()
    return wg.wait, wg.done


async def once() -> tuple[Wait, Callable[[], None]]:
    o = sync.Once()
    c = gort.chan()

    async def call() -> None:
        await c.recv_ok()

    gort.go(o.do, call)
    await gort.gosched()
    return lambda: o.do(call), c.close


async def sleeps() -> tuple[Wait, Callable[[], None]]:
    return lambda: gort.sleep(3600), lambda: None


def descriptor(wait: Callable[[Any], Awaitable[Any]]) -> Callable[[], Any]:
    """Many waiters of one socket, of which none is ready."""

    async def make() -> tuple[Wait, Callable[[], None]]:
        a, b = socket.socketpair()
        a.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                a.send(bytes(65536))

        def end() -> None:
            a.close()
            b.close()

        return lambda: wait(a), end

    make.__name__ = wait.__name__
    return make


async def timeouts() -> tuple[Wait, Callable[[], None]]:
    async def wait() -> None:
        async with gort.timeout(3600):
            await gort.chan().recv()

    return wait, lambda: None


KINDS = (
    joins,
    receives,
    sends,
    selects,
    mutex,
    readers,
    writers,
    semaphore,
    cond,
    waitgroup,
    once,
    sleeps,
    timeouts,
    descriptor(gort.wait_readable),
    descriptor(gort.wait_writable),
    descriptor(net.recv),
)


async def waiters(wait: Wait, n: int) -> list[gort.Goroutine]:
    async def one() -> None:
        await wait()

    gs = [gort.go(one) for _ in range(n)]
    while any(g.status != "waiting" for g in gs):
        await gort.gosched()
    return gs


@pytest.mark.parametrize("first", ["first", "last", "mixed"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda f: f.__name__)
def test_cancels(kind: Callable[[], Any], first: str) -> None:
    async def cost(n: int) -> int:
        wait, end = await kind()
        gs = await waiters(wait, n)
        if first == "last":
            gs.reverse()
        elif first == "mixed":
            gs = gs[::2] + gs[1::2]
        with Lines() as lines:
            for g in gs:
                g.cancel()
                await gort.gosched()
        for g in gs:
            with pytest.raises(gort.Cancelled):
                await g
        end()
        return lines.n

    async def main() -> tuple[int, int]:
        return await cost(SMALL), await cost(FACTOR * SMALL)

    few, many = gort.run(main, procs=1)
    assert few > SMALL
    assert many < FACTOR * SLACK * few, f"{few} lines for {SMALL}, {many} for {FACTOR * SMALL}"


def test_cancels_beside_threads_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """To cancel a goroutine does not look through the threads that stand in gort.wait."""

    class Table(dict[Any, Any]):
        looks = 0

        def items(self) -> Any:
            Table.looks += 1
            return super().items()

    table = Table()
    monkeypatch.setattr(park, "waiters", table)

    async def main() -> int:
        c: gort.Chan[None] = gort.chan()

        def outside() -> None:
            with contextlib.suppress(gort.ChanClosed):
                gort.wait(c.recv())

        threads = [threading.Thread(target=outside) for _ in range(3)]
        for t in threads:
            t.start()
        while len(table) < len(threads):
            await gort.gosched()
        gs = await waiters(gort.chan().recv, SMALL)
        Table.looks = 0
        for g in gs:
            g.cancel()
        for g in gs:
            with pytest.raises(gort.Cancelled):
                await g
        looks = Table.looks
        c.close()
        for t in threads:
            await gort.syscall(t.join)
        return looks

    assert gort.run(main, procs=1) == 0


def test_failing_children_of_a_group() -> None:
    async def fail(c: gort.Chan[None]) -> None:
        await c.recv_ok()
        raise ValueError

    async def cost(n: int) -> int:
        c: gort.Chan[None] = gort.chan()
        lines = Lines()
        with lines, pytest.raises(ExceptionGroup) as caught:
            async with gort.group() as grp:
                for _ in range(n):
                    grp.go(fail, c)
                await gort.gosched()
                c.close()
                await gort.sleep(3600)
        assert len(caught.value.exceptions) == n
        return lines.n

    async def main() -> tuple[int, int]:
        return await cost(SMALL), await cost(FACTOR * SMALL)

    few, many = gort.run(main, procs=1)
    assert many < FACTOR * SLACK * few, (few, many)
