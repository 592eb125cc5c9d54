"""Goroutines: start, await, cancel, panic, goexit, contextvars."""

from __future__ import annotations

import contextvars
import gc
import inspect
import threading
import time
import weakref
from typing import Any

import pytest

import gort


class Boom(Exception):
    pass


async def until_waiting(g: gort.Goroutine) -> None:
    while g.status != "waiting":
        await gort.gosched()


async def forever() -> None:
    await gort.chan().recv()


def test_args_and_result(procs: int) -> None:
    async def child(a: int, *, b: int) -> int:
        await gort.gosched()
        return a * b

    async def main() -> int:
        return await gort.go(child, 6, b=7)

    assert gort.run(main, procs=procs) == 42


def test_fn_named_keywords() -> None:
    async def child(**kw: int) -> dict[str, int]:
        return kw

    async def main() -> dict[str, int]:
        return await gort.go(child, fn=1, self=2)

    assert gort.run(main) == {"fn": 1, "self": 2}


def test_plain_def(procs: int) -> None:
    def child(a: int, b: int = 0) -> tuple[int, Any]:
        return a + b, gort.current()

    async def main() -> None:
        g = gort.go(child, 1, b=2)
        value, me = await g
        assert value == 3 and me is g

    gort.run(main, procs=procs)


def test_plain_def_exception(procs: int) -> None:
    def child() -> None:
        raise Boom("p")

    async def main() -> None:
        with pytest.raises(Boom, match="p"):
            await gort.go(child)

    gort.run(main, procs=procs)


def test_callables_of_every_kind() -> None:
    class Obj:
        async def method(self) -> str:
            return "method"

        def __call__(self) -> str:
            return "call"

    import functools

    async def child(a: int) -> int:
        return a

    async def main() -> list[Any]:
        fns = [Obj().method, Obj(), functools.partial(child, 5), lambda: "lambda", dict]
        return [await gort.go(f) for f in fns]

    assert gort.run(main) == ["method", "call", 5, "lambda", {}]


def test_await_many_times_and_by_many(procs: int) -> None:
    async def child(ch: gort.Chan) -> str:
        return str(await ch.recv())

    async def waiter(g: gort.Goroutine) -> str:
        return str(await g)

    async def main() -> None:
        ch = gort.chan()
        g = gort.go(child, ch)
        ws = [gort.go(waiter, g) for _ in range(10)]
        for w in ws:
            await until_waiting(w)
        await ch.send("v")
        assert [await w for w in ws] == ["v"] * 10
        assert await g == "v" and await g == "v"
        assert g.done() and g.status == "dead"

    gort.run(main, procs=procs)


def test_await_exception_same_object(procs: int) -> None:
    exc = Boom("same")

    async def child() -> None:
        raise exc

    async def main() -> None:
        g = gort.go(child)
        for _ in range(2):
            with pytest.raises(Boom) as info:
                await g
            assert info.value is exc

    gort.run(main, procs=procs)


def test_ids_and_current(procs: int) -> None:
    async def child() -> int:
        me = gort.current()
        assert me is not None
        return me.id

    async def main() -> None:
        assert gort.current().id == 1  # type: ignore[union-attr]
        gs = [gort.go(child) for _ in range(20)]
        ids = [g.id for g in gs]
        assert len(set(ids)) == 20 and 1 not in ids
        assert [await g for g in gs] == ids

    gort.run(main, procs=procs)
    assert gort.current() is None


def test_num_goroutine(procs: int) -> None:
    async def main() -> None:
        assert gort.num_goroutine() == 1
        ch = gort.chan()
        gs = [gort.go(rx, ch) for _ in range(10)]
        assert gort.num_goroutine() == 11
        for g in gs:
            await until_waiting(g)
        ch.close()
        for g in gs:
            await g
        assert gort.num_goroutine() == 1

    async def rx(ch: gort.Chan) -> None:
        await ch.recv_ok()

    gort.run(main, procs=procs)


def test_status_and_wait_reason(procs: int) -> None:
    async def sleeper() -> None:
        await gort.sleep(3600)

    async def rx(ch: gort.Chan) -> None:
        await ch.recv()

    async def tx(ch: gort.Chan) -> None:
        await ch.send(1)

    async def sel(ch: gort.Chan) -> None:
        await gort.select(ch.recv())

    async def nosel() -> None:
        await gort.select()

    async def joiner(g: gort.Goroutine) -> None:
        await g

    async def main() -> None:
        me = gort.current()
        assert me is not None and me.status == "running" and not me.done()
        assert me.wait_reason == ""
        s = gort.go(sleeper)
        gs = {
            s: "sleep",
            gort.go(rx, gort.chan()): "chan receive",
            gort.go(tx, gort.chan()): "chan send",
            gort.go(sel, gort.chan()): "select",
            gort.go(nosel): "select (no cases)",
        }
        for g, reason in gs.items():
            await until_waiting(g)
            assert (g.status, g.wait_reason) == ("waiting", reason)
        j = gort.go(joiner, s)
        await until_waiting(j)
        assert j.wait_reason
        assert not s.done()

    gort.run(main, procs=procs)


def test_status_runnable_on_one_proc() -> None:
    async def child() -> None: ...

    async def main() -> None:
        g = gort.go(child)
        assert g.status == "runnable"
        await g
        assert g.status == "dead"

    gort.run(main, procs=1)


def test_status_syscall() -> None:
    async def child(started: threading.Event, stop: threading.Event) -> None:
        def call() -> None:
            started.set()
            stop.wait()

        await gort.syscall(call)

    async def main() -> None:
        started, stop = threading.Event(), threading.Event()
        g = gort.go(child, started, stop)
        await gort.syscall(started.wait)
        assert g.status == "syscall"
        stop.set()
        await g

    gort.run(main, procs=2)


def test_goexit(procs: int) -> None:
    log: list[str] = []

    async def child() -> int:
        try:
            inner()
        finally:
            log.append("finally")
        return 1

    def inner() -> None:
        gort.goexit()
        log.append("not here")

    def plain() -> int:
        gort.goexit()
        return 1

    async def main() -> None:
        assert await gort.go(child) is None
        assert await gort.go(plain) is None
        assert log == ["finally"]

    gort.run(main, procs=procs)


def test_goexit_outside() -> None:
    with pytest.raises(RuntimeError):
        gort.goexit()


def test_goexit_is_not_an_exception() -> None:
    async def child() -> int:
        try:
            gort.goexit()
        except Exception:
            return 1
        return 2

    async def main() -> None:
        assert await gort.go(child) is None

    gort.run(main)


def test_panic_of_unretrieved_exception(procs: int) -> None:
    log: list[str] = []

    async def bad() -> None:
        raise Boom("lost")

    async def bystander(started: gort.Chan) -> None:
        try:
            started.close()
            await gort.sleep(3600)
        finally:
            log.append("finally")

    async def main() -> None:
        started = gort.chan()
        keep = gort.go(bystander, started)
        await started.recv_ok()
        gort.go(bad)
        await gort.sleep(3600)
        del keep

    with pytest.raises(Boom, match="lost") as info:
        gort.run(main, procs=procs)
    note = "".join(info.value.__notes__)
    assert note.startswith("in goroutine ")
    assert "created by " in note and "main at " in note and f"{__file__}:" in note
    assert log == ["finally"]


def test_panic_when_handle_is_dropped_later(procs: int) -> None:
    async def bad() -> None:
        raise Boom("later")

    async def main() -> None:
        g = gort.go(bad)
        while not g.done():
            await gort.gosched()
        del g
        await gort.sleep(3600)

    with pytest.raises(Boom, match="later"):
        gort.run(main, procs=procs)


def test_panic_when_another_thread_drops_the_handle(procs: int) -> None:
    """Without a GIL the record is its maker's to free, whose thread may sleep by then."""

    async def bad() -> None:
        raise Boom("elsewhere")

    async def main() -> None:
        made = threading.get_ident()
        g = gort.go(bad)
        while not g.done():
            await gort.gosched()
        while threading.get_ident() == made:
            blocked = gort.go(time.sleep, 0.03)  # its P goes to another thread
            while not blocked.done():
                await gort.gosched()
        del g
        await gort.sleep(3600)

    with pytest.raises(Boom, match="elsewhere"):
        gort.run(main, procs=procs)


def test_plain_def_panic(procs: int) -> None:
    def bad() -> None:
        raise Boom("plain")

    async def main() -> None:
        gort.go(bad)
        await gort.sleep(5)

    with pytest.raises(Boom, match="plain"):
        gort.run(main, procs=procs)


def test_panic_comes_whoever_drops_the_handle(procs: int) -> None:
    """Also where the last reference is dropped on another thread than the G's maker's
    (a free-threaded build leaves the object to its maker, which may sleep)."""

    def bad() -> None:
        raise Boom

    async def main() -> None:
        gort.go(bad)
        await gort.sleep(3)
        late.append(1)  # the panic came when main's thread woke, not before

    late: list[int] = []
    for _ in range(100):
        with pytest.raises(Boom):
            gort.run(main, procs=procs)
        assert not late


def test_retrieved_exception_is_no_panic(procs: int) -> None:
    async def bad() -> None:
        raise Boom

    async def main() -> int:
        for _ in range(20):
            try:
                await gort.go(bad)
            except Boom:
                pass
        await gort.gosched()
        return 1

    assert gort.run(main, procs=procs) == 1


def test_cancelled_and_dropped_is_no_panic(procs: int) -> None:
    async def main() -> int:
        gs = [gort.go(forever) for _ in range(10)]
        for g in gs:
            await until_waiting(g)
            g.cancel()
        del gs, g
        for _ in range(20):
            await gort.gosched()
        return 1

    assert gort.run(main, procs=procs) == 1


def test_cancel_parked(procs: int) -> None:
    async def main() -> None:
        g = gort.go(forever)
        await until_waiting(g)
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        assert g.done()
        g.cancel()

    gort.run(main, procs=procs)


def test_cancelled_is_base_exception() -> None:
    assert issubclass(gort.Cancelled, BaseException)
    assert not issubclass(gort.Cancelled, Exception)


def test_cancel_is_level_triggered(procs: int) -> None:
    log: list[str] = []

    async def child(ch: gort.Chan) -> str:
        for name, op in (
            ("recv", lambda: ch.recv()),
            ("send", lambda: ch.send(1)),
            ("sleep", lambda: gort.sleep(3600)),
            ("sleep0", lambda: gort.sleep(0)),
            ("gosched", lambda: gort.gosched()),
            ("select", lambda: gort.select(ch.recv(), default=True)),
            ("syscall", lambda: gort.syscall(log.append, "effect")),
        ):
            try:
                await op()
            except gort.Cancelled:
                log.append(name)
        return "survived"

    async def main() -> None:
        ch = gort.chan()
        g = gort.go(child, ch)
        await until_waiting(g)
        g.cancel()
        assert await g == "survived"

    gort.run(main, procs=procs)
    assert log == ["recv", "send", "sleep", "sleep0", "gosched", "select", "syscall"]


def test_cancel_before_start(procs: int) -> None:
    log: list[str] = []

    async def child() -> None:
        log.append("ran")
        await gort.gosched()
        log.append("effect")

    async def main() -> None:
        for _ in range(20):
            g = gort.go(child)
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g

    gort.run(main, procs=1)
    assert "effect" not in log


def test_cancel_runs_finally(procs: int) -> None:
    log: list[str] = []

    async def child() -> None:
        try:
            try:
                await forever()
            finally:
                log.append("inner")
                await gort.gosched()  # raises at once: level-triggered
                log.append("no")
        finally:
            log.append("outer")

    async def main() -> None:
        g = gort.go(child)
        await until_waiting(g)
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g

    gort.run(main, procs=procs)
    assert log == ["inner", "outer"]


def test_cancel_from_foreign_thread(procs: int) -> None:
    async def main() -> None:
        g = gort.go(forever)
        await until_waiting(g)
        t = threading.Thread(target=g.cancel)
        t.start()
        with pytest.raises(gort.Cancelled):
            await g
        await gort.syscall(t.join)

    gort.run(main, procs=procs)


def test_go_from_foreign_thread(procs: int) -> None:
    async def child(a: int) -> int:
        await gort.gosched()
        return a + 1

    async def main() -> None:
        out = gort.chan(1)

        def body() -> None:
            g = gort.go(child, 1)
            out.send_nowait(gort.wait(g))

        t = threading.Thread(target=body)
        t.start()
        assert await out.recv() == 2
        await gort.syscall(t.join)

    gort.run(main, procs=procs)


def test_cancel_main_from_child(procs: int) -> None:
    async def child(g: gort.Goroutine) -> None:
        g.cancel()

    async def main() -> None:
        me = gort.current()
        assert me is not None
        gort.go(child, me)
        await forever()

    with pytest.raises(gort.Cancelled):
        gort.run(main, procs=procs)


var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")


def test_contextvars(procs: int) -> None:
    async def child(name: str) -> tuple[str, str]:
        before = var.get()
        var.set(name)
        for _ in range(20):
            await gort.gosched()
            assert var.get() == name
        return before, var.get()

    def plain() -> str:
        old = var.get()
        var.set("plain")
        return old

    async def main() -> None:
        assert var.get() == "outside"
        var.set("main")
        gs = [gort.go(child, f"c{i}") for i in range(10)]
        p = gort.go(plain)
        var.set("main2")
        assert [await g for g in gs] == [("main", f"c{i}") for i in range(10)]
        assert await p == "main"
        assert var.get() == "main2"

    token = var.set("outside")
    try:
        gort.run(main, procs=procs)
        assert var.get() == "outside"
    finally:
        var.reset(token)


def test_context_of_another_thread_does_not_mix(procs: int) -> None:
    """A goroutine that migrates takes its context along."""

    async def child(i: int) -> None:
        var.set(str(i))
        for _ in range(50):
            await gort.syscall(lambda: None)
            await gort.gosched()
            assert var.get() == str(i)

    async def main() -> None:
        for g in [gort.go(child, i) for i in range(20)]:
            await g

    gort.run(main, procs=procs)


def test_foreign_awaitables(procs: int) -> None:
    import asyncio

    class Odd:
        def __await__(self) -> Any:
            yield "odd"

    loop = asyncio.new_event_loop()
    try:
        fut = loop.create_future()

        async def child(aw: Any) -> None:
            await aw

        async def main() -> None:
            with pytest.raises(TypeError, match="Future"):
                await gort.go(child, fut)
            with pytest.raises(TypeError):
                await gort.go(child, Odd())
            with pytest.raises(TypeError):
                await gort.go(child, asyncio.sleep(0))
            with pytest.raises(TypeError):
                await loop.create_future()
            assert await gort.go(int) == 0

        gort.run(main, procs=procs)
    finally:
        loop.close()


def test_await_oneself() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError):
            await gort.current()  # type: ignore[misc]

    try:
        gort.run(main)
    except gort.DeadlockError:
        pass  # Go would deadlock; either is an end with words


def test_records_are_reused_only_when_nobody_has_them(procs: int) -> None:
    """A handle that is kept tells of its own goroutine for ever."""

    async def child(i: int) -> int:
        if i % 5 == 0:
            await gort.gosched()
        return i

    async def main() -> None:
        kept = {}
        for i in range(4000):
            g = gort.go(child, i)
            if i % 3 == 0:
                kept[i] = g
            del g
        ids = {g.id for g in kept.values()}
        assert len(ids) == len(kept)
        for i, g in kept.items():
            assert await g == i
            assert g.done() and g.status == "dead"
        assert {g.id for g in kept.values()} == ids

    gort.run(main, procs=procs)


def test_new_goroutine_has_nothing_of_a_dead_one() -> None:
    """Neither its cancel, nor that it was a plain function, nor its context or result."""
    var: contextvars.ContextVar[int] = contextvars.ContextVar("var", default=0)

    def plain() -> str:
        var.set(1)
        return "plain"

    async def waits() -> None:
        await gort.chan().recv()

    async def fresh() -> int:
        await gort.gosched()
        return var.get()

    async def main() -> None:
        for _ in range(50):
            assert await gort.go(plain) == "plain"
            g = gort.go(waits)
            await until_waiting(g)
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g
            del g
            new = gort.go(fresh)
            assert new.status == "runnable" and not new.done()
            assert await new == 0

    gort.run(main, procs=1)


def test_weak_reference_ends_with_the_last_handle() -> None:
    async def child() -> int:
        return 1

    async def main() -> None:
        g = gort.go(child)
        ref = weakref.ref(g)
        assert await g == 1
        del g
        assert ref() is None
        more = [gort.go(child) for _ in range(100)]
        assert ref() is None
        for m in more:
            await m

    gort.run(main, procs=1)


def test_cycle_through_a_result_is_collected() -> None:
    class Box:
        g: Any = None

    async def child(box: Box) -> Box:
        await gort.gosched()
        return box

    async def main() -> weakref.ref[Box]:
        box = Box()
        box.g = gort.go(child, box)
        assert await box.g is box
        return weakref.ref(box)

    ref = gort.run(main)
    gc.collect()
    assert ref() is None


def test_cycle_through_an_exception_is_collected() -> None:
    gone = []

    class Guard:
        def __del__(self) -> None:
            gone.append(True)

    async def child(me: list[Any]) -> None:
        guard = Guard()
        await gort.gosched()
        raise Boom(guard)

    async def main() -> None:
        me: list[Any] = []
        me.append(gort.go(child, me))
        with pytest.raises(Boom):
            await me[0]

    gort.run(main)
    gc.collect()
    assert gone == [True]


def test_signature_and_bad_arguments() -> None:
    assert str(inspect.signature(gort.go)).startswith("(fn")
    assert "goroutine" in gort.go.__doc__

    async def child(a: int) -> int:
        return a

    class Thing:
        async def method(self, a: int, *, b: int) -> int:
            return a + b

    async def main() -> None:
        assert await gort.go(Thing().method, 1, b=2) == 3
        bad: list[tuple[Any, Any]] = [((), {}), ((1, 2), {}), ((), {"b": 1})]
        for args, kwargs in bad:
            with pytest.raises(TypeError, match="argument"):
                gort.go(child, *args, **kwargs)
        with pytest.raises(TypeError):
            gort.go()  # type: ignore[call-arg]
        assert gort.num_goroutine() == 1

    gort.run(main)


def test_deep_recursion_of_awaits() -> None:
    async def down(n: int) -> int:
        if n == 0:
            await gort.gosched()
            return 0
        return 1 + await down(n - 1)

    async def main() -> int:
        return await gort.go(down, 300)

    assert gort.run(main) == 300


def test_many_goroutines(procs: int) -> None:
    async def child(i: int) -> int:
        await gort.gosched()
        return i

    async def main() -> int:
        gs = [gort.go(child, i) for i in range(5000)]
        return sum([await g for g in gs])

    assert gort.run(main, procs=procs) == sum(range(5000))


def test_outside() -> None:
    async def main() -> gort.Goroutine:
        return gort.go(forever)

    g = gort.run(main)
    assert g.done()
    with pytest.raises(RuntimeError):
        g.cancel()
    with pytest.raises(RuntimeError):
        gort.go(forever)
    with pytest.raises(RuntimeError):
        gort.gosched().__await__().__next__()


# ---- gosched: a goroutine's yields share an op


def test_a_yield_that_was_kept_is_used_once(procs: int) -> None:
    async def main() -> None:
        for _ in range(3):
            op = gort.gosched()
            await op
            with pytest.raises(RuntimeError, match="used already"):
                await op
            await gort.gosched()
            with pytest.raises(RuntimeError, match="used already"):
                await op

    gort.run(main, procs=procs)


@pytest.mark.filterwarnings("ignore:.* was never awaited:RuntimeWarning")
def test_yields_made_before_one_is_awaited(procs: int) -> None:
    async def main() -> None:
        for _ in range(3):
            ops = [gort.gosched() for _ in range(5)]
            assert len(set(map(id, ops))) == 5
            for op in reversed(ops):
                await op
            gort.gosched()  # dropped
            await gort.gosched()

    gort.run(main, procs=procs)


def test_yield_awaited_by_another_goroutine(procs: int) -> None:
    async def other(ops: gort.Chan[Any], done: gort.Chan[None]) -> int:
        n = 0
        async for op in ops:
            await op
            del op
            n += 1
            await done.send(None)
        return n

    async def main() -> int:
        ops: gort.Chan[Any] = gort.chan()
        done: gort.Chan[None] = gort.chan()
        g = gort.go(other, ops, done)
        for _ in range(50):
            await ops.send(gort.gosched())
            await gort.gosched()
            await gort.gosched()
            await done.recv()
            await gort.gosched()
        ops.close()
        n: int = await g
        return n

    assert gort.run(main, procs=procs) == 50


def test_yields_go_on_after_a_cancel(procs: int) -> None:
    async def child(log: list[str]) -> None:
        try:
            while True:
                await gort.gosched()
        except gort.Cancelled:
            with pytest.raises(gort.Cancelled):
                await gort.gosched()
            async with gort.shield(10):
                for _ in range(3):
                    await gort.gosched()
                log.append("shielded")
            raise

    async def main() -> list[str]:
        log: list[str] = []
        g = gort.go(child, log)
        await gort.gosched()
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        await gort.gosched()
        return log

    assert gort.run(main, procs=procs) == ["shielded"]


def test_yields_between_waits(procs: int) -> None:
    """What a goroutine waits on takes the place of the op of its yields."""

    async def child(ch: gort.Chan[int]) -> int:
        total = 0
        async for v in ch:
            await gort.gosched()
            total += v
            await gort.gosched()
        return total

    async def main() -> int:
        ch: gort.Chan[int] = gort.chan()
        g = gort.go(child, ch)
        for i in range(100):
            await gort.gosched()
            await ch.send(i)
        ch.close()
        total: int = await g
        return total

    assert gort.run(main, procs=procs) == 4950
