"""What is used again knows nothing of its past life: after reset(), or renew(), and its
making anew, each field is as a new one's. Uncompiled, where fields can be seen."""

from __future__ import annotations

import contextvars
import importlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import gort
from gort import net, sync

pytestmark = [
    pytest.mark.skipif(os.environ.get("GORT_PURE", "") in ("", "0"), reason="looks at the fields"),
    pytest.mark.filterwarnings("ignore:.* was never awaited:RuntimeWarning"),
]


SETFIRST = {"ok", "index", "code", "fd"}
"""Fields of an op that are written each time before they are read: by its first step, by the
select that it is given to, by who wins it."""


def plain(value: Any) -> Any:
    """A field's value, comparable."""
    kind = type(value)
    if kind.__name__ in ("atomic", "atomic8", "slot"):
        return value.v
    if kind.__name__ == "link":
        return value.next, value.prev
    if kind.__name__ == "Heap":
        return len(value)
    if kind.__name__ == "note":
        return value.key
    if kind.__name__ == "mutex" or kind.__module__.startswith("gort.runtime"):
        return kind  # another one, or one that was reset as well
    return value


def fields(o: Any) -> dict[str, Any]:
    names = [n for cls in type(o).__mro__ for n in getattr(cls, "__slots__", ())]
    names = [n for n in names if n not in SETFIRST and n != "__weakref__"]
    return {n: plain(getattr(o, n, "unset")) for n in names}


Make = Callable[[], Any]
Life = Callable[[Make, Callable[[], Any]], Awaitable[Any]]


async def unused(make: Make, other: Callable[[], Any]) -> Any:
    return make()


async def ran(make: Make, other: Callable[[], Any]) -> Any:
    """Done at once, or after the other side came."""
    op = make()

    async def one() -> None:
        await op

    g = gort.go(one)
    while g.status != "waiting" and not g.done():
        await gort.gosched()
    other()
    await g
    return op


async def cancelled(make: Make, other: Callable[[], Any]) -> Any:
    op = make()

    async def one() -> None:
        await op

    g = gort.go(one)
    while g.status != "waiting" and not g.done():
        await gort.gosched()
    g.cancel()
    try:
        await g
    except gort.Cancelled:
        pass
    return op


async def on_a_thread(make: Make, other: Callable[[], Any]) -> Any:
    op = make()
    try:
        gort.wait(op, 0.001)
    except TimeoutError:
        pass
    except TypeError:
        other()
        await op  # not one to wait for there
    return op


async def chosen(make: Make, other: Callable[[], Any]) -> Any:
    op = make()
    try:
        i, _ = await gort.select(op, default=True)
    except TypeError:
        other()
        await op  # no case of a select
    return op


async def passed_over(make: Make, other: Callable[[], Any]) -> Any:
    op, c = make(), gort.chan()
    try:
        sel = gort.select(op, c.recv())
    except TypeError:
        return op
    g = gort.go(lambda: sel)
    while g.status != "waiting" and not g.done():
        await gort.gosched()
    c.close()
    try:
        await g
    except gort.ChanClosed:
        pass
    return op


LIVES = (unused, ran, cancelled, on_a_thread, chosen, passed_over)


async def nothing() -> None:
    pass


async def fails() -> None:
    raise ValueError


def joins() -> tuple[str, Make, Callable[[], Any]]:
    c = gort.chan()

    async def target() -> None:
        await c.recv_ok()

    g = gort.go(target)
    return "proc", g.__await__, c.close


def receives() -> tuple[str, Make, Callable[[], Any]]:
    c = gort.chan()
    return "chan", c.recv_ok, c.close


def sends() -> tuple[str, Make, Callable[[], Any]]:
    c = gort.chan(1)
    c.send_nowait(0)
    return "chan", lambda: c.send("x"), c.recv_nowait


def ready_receives() -> tuple[str, Make, Callable[[], Any]]:
    c = gort.chan(1)
    c.send_nowait("x")
    return "chan", c.recv_ok, lambda: None


def selects() -> tuple[str, Make, Callable[[], Any]]:
    c, d = gort.chan(), gort.chan()
    return "select", lambda: gort.select(c.recv_ok(), d.recv_ok()), c.close


def many() -> tuple[str, Make, Callable[[], Any]]:
    cs = [gort.chan() for _ in range(20)]
    return "select", lambda: gort.select(*(c.recv_ok() for c in cs)), cs[3].close


def free_mutex() -> tuple[str, Make, Callable[[], Any]]:
    mu = sync.Mutex()
    return "mutex", mu.lock, lambda: None


def mutex() -> tuple[str, Make, Callable[[], Any]]:
    mu = sync.Mutex()
    assert mu.try_lock()
    return "mutex", mu.lock, mu.unlock


def writers() -> tuple[str, Make, Callable[[], Any]]:
    rw = sync.RWMutex()
    assert rw.try_lock()
    return "rwmutex", rw.lock, rw.unlock


def readers() -> tuple[str, Make, Callable[[], Any]]:
    rw = sync.RWMutex()
    assert rw.try_lock()
    return "rwmutex", rw.rlock, rw.unlock


def semaphore() -> tuple[str, Make, Callable[[], Any]]:
    s = sync.Semaphore(2)
    assert s.try_acquire(2)
    return "semaphore", s.acquire, s.release


def calls() -> tuple[str, Make, Callable[[], Any]]:
    return "syscall", lambda: gort.syscall(int, "7", base=8), lambda: None


def yields() -> tuple[str, Make, Callable[[], Any]]:
    return "park", gort.gosched, lambda: None


opened: list[socket.socket] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while opened:
        opened.pop().close()


def sockets() -> tuple[socket.socket, socket.socket]:
    a, b = socket.socketpair()
    a.setblocking(False)
    opened.extend((a, b))
    return a, b


def reads() -> tuple[str, Make, Callable[[], Any]]:
    a, b = sockets()
    return "netpoll", lambda: gort.wait_readable(a), lambda: b.send(b"x")


def netreads() -> tuple[str, Make, Callable[[], Any]]:
    a, b = sockets()
    return "netfd", lambda: net.recv(a, 10), lambda: b.send(b"x")


KINDS = (
    joins,
    receives,
    sends,
    ready_receives,
    selects,
    many,
    free_mutex,
    mutex,
    writers,
    readers,
    semaphore,
    calls,
    yields,
    reads,
    netreads,
)


@pytest.mark.parametrize("life", LIVES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", KINDS, ids=lambda f: f.__name__)
def test_an_op_of_a_pool_is_as_a_new_one(
    kind: Callable[[], Any], life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        name, make, other = kind()
        module = importlib.import_module(f"gort.runtime.{name}")
        fresh = make()
        pool = [await life(make, other)]
        used = pool[0]
        used.reset()
        used.won.v = 0  # the pool's link was there
        monkeypatch.setattr(module, "poolget", lambda: pool.pop() if pool else None)
        again = make()
        monkeypatch.undo()
        assert again is used, "it was not made of the pool's"
        assert fields(again) == fields(fresh)

    gort.run(main, procs=1)


async def parked() -> None:
    await gort.sleep(0.0001)
    await gort.gosched()


def returns() -> int:
    return 1


var: contextvars.ContextVar[int] = contextvars.ContextVar("var")


async def lives() -> list[gort.Goroutine]:
    """Goroutines that ended in all ways."""
    var.set(1)
    gs = [gort.go(fn) for fn in (nothing, fails, parked, returns, gort.goexit)]
    for g in gs:
        try:
            await g
        except ValueError:
            pass
    late = gort.go(gort.sleep, 60)
    late.cancel()
    gs.append(late)
    wg = sync.WaitGroup()
    gs.append(wg.go(parked))
    await wg.wait()
    try:
        async with gort.group() as grp:
            gs.append(grp.go(parked))
            gs.append(grp.go(fails))
    except ExceptionGroup:
        pass

    async def locked() -> None:
        gort.lock_os_thread()
        async with gort.timeout(60):
            await gort.gosched()
        gort.unlock_os_thread()

    gs.append(gort.go(locked))
    for g in gs:
        try:
            await g
        except (ValueError, gort.Cancelled):
            pass
    return gs


def test_a_goroutines_record_is_as_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from gort.runtime import gmp

    async def main() -> None:
        for gp in await lives():
            gmp.greset(gp)
            monkeypatch.setattr(gmp, "recordget", lambda gp=gp: gp)
            again = gmp.newg(None, 7)
            monkeypatch.undo()
            assert again is gp
            was, new = fields(again), fields(gmp.newg(None, 7))
            del was["shard"], new["shard"]  # allgadd gives it
            assert was == new

    gort.run(main, procs=2)


def test_ms_and_ps_are_as_new_ones() -> None:
    from gort.runtime import gmp

    async def main() -> None:
        await lives()
        for g in [gort.go(gort.syscall, sum, range(9)) for _ in range(9)]:
            await g

    gort.run(main, procs=3)
    gort.run(main, procs=1)
    assert gmp.sched.mfree and gmp.sched.pfree
    for mp in gmp.sched.mfree:
        mp.renew(7, 8)
        assert fields(mp) == fields(gmp.M(7, 8))
    for pp in gmp.sched.pfree:
        pp.renew(5)
        new = fields(gmp.P(5))
        was = fields(pp)
        # Whoever takes it from there sets its status; the ring is empty by head and tail.
        del new["status"], was["status"], new["runq"], was["runq"]
        assert was == new
