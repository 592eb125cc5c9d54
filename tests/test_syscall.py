"""Blocking calls: values, and that one goroutine's blocking delays nobody."""

from __future__ import annotations

import contextvars
import os
import threading
from typing import Any

import pytest

import gort

HOLD = 20.0  # a handshake that is not made within this is a failure


class Boom(Exception):
    pass


async def until_waiting(g: gort.Goroutine) -> None:
    while g.status != "waiting":
        await gort.gosched()


def test_value_and_arguments(procs: int) -> None:
    async def main() -> None:
        assert await gort.syscall(divmod, 7, 2) == (3, 1)
        assert await gort.syscall(int, "ff", base=16) == 255
        assert await gort.syscall(lambda: None) is None
        assert (await gort.syscall(os.stat, __file__)).st_size > 0
        assert await gort.syscall(dict, fn=1, self=2) == {"fn": 1, "self": 2}

    gort.run(main, procs=procs)


def test_exceptions(procs: int) -> None:
    def fail(exc: BaseException) -> None:
        raise exc

    async def main() -> None:
        for exc in (Boom("b"), OSError(2, "x"), SystemExit(1), KeyError("k")):
            with pytest.raises(type(exc)) as info:
                await gort.syscall(fail, exc)
            assert info.value is exc
        with pytest.raises(FileNotFoundError):
            await gort.syscall(os.stat, "/nonexistent/file")

    gort.run(main, procs=procs)


def test_runs_on_the_same_thread() -> None:
    async def main() -> None:
        here = threading.get_ident()
        assert await gort.syscall(threading.get_ident) == here
        assert await gort.syscall(gort.current) is gort.current()

    gort.run(main, procs=1)


def test_contextvars_inside() -> None:
    var: contextvars.ContextVar[int] = contextvars.ContextVar("v")

    async def main() -> None:
        var.set(5)
        assert await gort.syscall(var.get) == 5

    gort.run(main)


async def setter(ev: threading.Event) -> None:
    await gort.gosched()
    ev.set()


def test_blocked_in_syscall(procs: int) -> None:
    """The event is set by a goroutine that can only run beside the blocked one."""

    async def main() -> None:
        for _ in range(20):
            ev = threading.Event()
            g = gort.go(setter, ev)
            assert await gort.syscall(ev.wait, HOLD)
            await g

    gort.run(main, procs=procs)


def test_blocked_in_plain_code(procs: int) -> None:
    async def main() -> None:
        for _ in range(5):
            ev = threading.Event()
            g = gort.go(setter, ev)
            assert ev.wait(HOLD)
            await g

    gort.run(main, procs=procs)


def test_blocked_in_blocking(procs: int) -> None:
    async def main() -> None:
        for _ in range(20):
            ev = threading.Event()
            g = gort.go(setter, ev)
            async with gort.blocking():
                assert ev.wait(HOLD)
            await g

    gort.run(main, procs=procs)


def test_blocked_in_plain_goroutine(procs: int) -> None:
    def blocker(ev: threading.Event) -> bool:
        return ev.wait(HOLD)

    async def main() -> None:
        ev = threading.Event()
        gs = [gort.go(blocker, ev) for _ in range(8)]
        await gort.gosched()
        ev.set()
        for g in gs:
            assert await g

    gort.run(main, procs=procs)


def test_computing_delays_nobody(procs: int) -> None:
    flag: list[int] = []

    async def setter() -> None:
        await gort.gosched()
        flag.append(1)

    async def main() -> None:
        g = gort.go(setter)
        while not flag:
            pass
        await g

    gort.run(main, procs=procs)


def test_barrier_of_blocked_goroutines(procs: int) -> None:
    """Ten goroutines meet in a thread barrier: they must all block at the same time."""
    n = 10

    async def child(bar: threading.Barrier, how: int) -> int:
        if how == 0:
            return await gort.syscall(bar.wait)
        if how == 1:
            async with gort.blocking():
                return bar.wait()
        return bar.wait()

    async def main() -> None:
        bar = threading.Barrier(n, timeout=HOLD)
        gs = [gort.go(child, bar, i % 3) for i in range(n)]
        assert sorted([await g for g in gs]) == list(range(n))

    gort.run(main, procs=procs)


def test_lost_p_comes_back(procs: int) -> None:
    """A goroutine whose P was taken goes on where it can, with its state."""

    async def child(i: int) -> int:
        total = 0
        for _ in range(5):
            ev = threading.Event()
            gort.go(ev.set)
            await gort.syscall(ev.wait, HOLD)
            total += i
        return total

    async def main() -> int:
        gs = [gort.go(child, i) for i in range(10)]
        return sum([await g for g in gs])

    assert gort.run(main, procs=procs) == 5 * sum(range(10))


def test_blocking_block(procs: int) -> None:
    async def main() -> None:
        async with gort.blocking():
            pass
        with pytest.raises(Boom):
            async with gort.blocking():
                raise Boom
        async with gort.blocking():
            async with gort.blocking():
                pass
        ch = gort.chan(1)
        async with gort.blocking():
            ch.send_nowait(1)
            await gort.gosched()
            assert await ch.recv() == 1
        await gort.gosched()

    gort.run(main, procs=procs)


def test_wait_in_plain_goroutine(procs: int) -> None:
    def plain(a: gort.Chan, b: gort.Chan) -> str:
        for _ in range(50):
            gort.wait(b.send(gort.wait(a.recv()) + 1))
        return "done"

    async def main() -> None:
        a, b = gort.chan(), gort.chan()
        g = gort.go(plain, a, b)
        for i in range(50):
            await a.send(i)
            assert await b.recv() == i + 1
        assert await g == "done"

    gort.run(main, procs=procs)


def test_wait_in_plain_main(procs: int) -> None:
    async def child(ch: gort.Chan) -> None:
        await ch.send("v")

    def main() -> Any:
        ch = gort.chan()
        g = gort.go(child, ch)
        v = gort.wait(ch.recv())
        gort.wait(g)
        gort.wait(gort.sleep(0.001))
        assert gort.wait(gort.select(ch.recv(), default=True)) == (-1, None)
        return v

    assert gort.run(main, procs=procs) == "v"


def test_wait_goroutine_from_foreign_thread(procs: int) -> None:
    async def good() -> int:
        await gort.gosched()
        return 5

    async def bad() -> None:
        await gort.gosched()
        raise Boom("w")

    async def main() -> None:
        got: list[Any] = []

        def body() -> None:
            got.append(gort.wait(gort.go(good)))
            try:
                gort.wait(gort.go(bad))
            except Boom as exc:
                got.append(str(exc))

        t = threading.Thread(target=body)
        t.start()
        await gort.syscall(t.join)
        assert got == [5, "w"]

    gort.run(main, procs=procs)


def test_wait_closed() -> None:
    def main() -> None:
        ch = gort.chan()
        ch.close()
        assert gort.wait(ch.recv_ok()) == (None, False)
        with pytest.raises(gort.ChanClosed):
            gort.wait(ch.recv())
        with pytest.raises(gort.ChanClosed):
            gort.wait(ch.send(1))

    gort.run(main)


def test_wait_timeout(procs: int) -> None:
    async def keeper(stop: gort.Chan) -> None:
        await stop.recv()

    async def main() -> None:
        stop = gort.chan()
        g = gort.go(keeper, stop)

        def plain() -> None:
            ch = gort.chan()
            for timeout in (0, 0.001, 0.01):
                with pytest.raises(TimeoutError):
                    gort.wait(ch.recv(), timeout)
                with pytest.raises(TimeoutError):
                    gort.wait(ch.send(1), timeout=timeout)
                with pytest.raises(TimeoutError):
                    gort.wait(g, timeout)
                with pytest.raises(TimeoutError):
                    gort.wait(gort.select(ch.recv(), ch.send(1)), timeout)
            with pytest.raises(gort.WouldBlock):
                ch.recv_nowait()
            with pytest.raises(gort.WouldBlock):
                ch.send_nowait(1)

        await gort.go(plain)
        t_errors: list[BaseException] = []

        def body() -> None:
            try:
                plain()
            except BaseException as exc:
                t_errors.append(exc)

        t = threading.Thread(target=body)
        t.start()
        await gort.syscall(t.join)
        assert not t_errors
        await stop.send(None)
        await g

    gort.run(main, procs=procs)


def test_wait_when_the_runtime_goes_down(procs: int) -> None:
    got: list[str] = []

    def body(ready: threading.Event, ch: gort.Chan) -> None:
        ready.set()
        try:
            gort.wait(ch.recv())
        except RuntimeError as exc:
            got.append(str(exc))

    threads = []

    async def main() -> None:
        ready = threading.Event()
        t = threading.Thread(target=body, args=(ready, gort.chan()))
        threads.append(t)
        t.start()
        await gort.syscall(ready.wait)

    gort.run(main, procs=procs)
    threads[0].join(HOLD)
    assert not threads[0].is_alive()
    assert len(got) == 1


def test_wait_bad() -> None:
    ch = gort.chan()
    with pytest.raises(RuntimeError):
        gort.wait(ch.recv())

    def main() -> None:
        for bad in (3, None, "x", ch, lambda: None):
            with pytest.raises(TypeError):
                gort.wait(bad)
        with pytest.raises(ValueError):
            gort.wait(gort.chan(1).send(1), float("nan"))
        with pytest.raises(TypeError):
            gort.wait(gort.chan(1).send(1), "1")  # type: ignore[arg-type]
        op = gort.chan(1).send(1)
        gort.wait(op)
        with pytest.raises(RuntimeError):
            gort.wait(op)

    gort.run(main)


@pytest.mark.parametrize("bad", [None, 3, "os.stat"])
def test_bad_syscall(bad: Any) -> None:
    async def main() -> None:
        with pytest.raises(TypeError):
            await gort.syscall(bad)

    gort.run(main)


def test_main_returns_while_one_blocks(procs: int) -> None:
    """run does not wait for ever for a goroutine in a call that nobody ends yet."""
    ev = threading.Event()

    async def child(started: gort.Chan) -> None:
        started.close()
        await gort.syscall(ev.wait, 0.2)

    async def main() -> int:
        started = gort.chan()
        gort.go(child, started)
        await started.recv_ok()
        return 1

    assert gort.run(main, procs=procs) == 1
    ev.set()
