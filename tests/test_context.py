"""gort.context: cancellation, deadlines and values down a tree."""

from __future__ import annotations

import contextvars
import gc
import math
import threading
import time
import weakref
from typing import Any

import pytest

import gort
from gort import context
from gort.context import (
    Canceled,
    Context,
    DeadlineExceeded,
    after_func,
    background,
    with_cancel,
    with_deadline,
    with_timeout,
    with_value,
)

HOUR = 3600.0


def live(*ctxs: Context) -> None:
    for ctx in ctxs:
        assert ctx.err() is None
        assert ctx.cause() is None
        with pytest.raises(gort.WouldBlock):
            ctx.done().recv_nowait()


async def fire(cancel: context.CancelFunc, below: Context, k: int) -> None:
    cancel(ValueError(k))
    assert below.err() is not None


async def over(*ctxs: Context, err: type = Canceled) -> None:
    for ctx in ctxs:
        assert await ctx.done().recv_ok() == (None, False)
        assert type(ctx.err()) is err


def test_background(procs: int) -> None:
    async def main() -> None:
        bg = background()
        live(bg)
        assert isinstance(bg.done(), gort.Chan)
        assert bg.deadline() is None
        assert bg.value("any") is None
        assert background() is bg
        assert repr(bg) == "<Context background>"
        i, _ = await gort.select(bg.done().recv_ok(), default=True)
        assert i == -1

    gort.run(main, procs=procs)


def test_cancel(procs: int) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        live(ctx)
        assert ctx.done() is ctx.done()

        async def worker() -> str:
            i, v = await gort.select(gort.chan().recv(), ctx.done().recv_ok())
            assert (i, v) == (1, (None, False))
            assert isinstance(ctx.err(), Canceled)
            return "told"

        gs = [gort.go(worker) for _ in range(10)]
        for g in gs:
            while g.status != "waiting":
                await gort.gosched()
        assert cancel() is None
        assert [await g for g in gs] == ["told"] * 10
        await over(ctx)
        assert ctx.cause() is ctx.err()
        assert str(ctx.err()) == "context canceled"
        assert repr(ctx) == "<Context Canceled>"

    gort.run(main, procs=procs)


def test_cancel_is_idempotent_and_the_first_cause_wins(procs: int) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        why = ValueError("why")
        cancel(why)
        err = ctx.err()
        cancel(KeyError("later"))
        cancel(cause=KeyError("later"))
        cancel()
        assert ctx.cause() is why
        assert ctx.err() is err
        assert isinstance(err, Canceled)

    gort.run(main, procs=procs)


def test_cancel_goes_down_and_not_up(procs: int) -> None:
    async def main() -> None:
        a, cancel_a = with_cancel(background())
        b, cancel_b = with_cancel(a)
        c, cancel_c = with_timeout(b, HOUR)
        d = with_value(c, "k", 1)
        side, _ = with_cancel(a)
        why = ValueError("why")
        cancel_b(why)
        await over(b, c, d)
        live(a, side)
        assert b.cause() is c.cause() is d.cause() is why
        assert c.err() is b.err()
        cancel_c(KeyError("later"))
        assert c.cause() is why
        cancel_a()
        await over(a, side)
        assert b.cause() is why
        late, _ = with_cancel(b)
        await over(late)
        assert late.cause() is why
        late2, _ = with_timeout(b, HOUR)
        await over(late2)
        assert late2.cause() is why

    gort.run(main, procs=procs)


def test_a_deep_tree(procs: int) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        all = [ctx]
        for _ in range(3000):
            all.append(with_cancel(all[-1])[0])
        wide = [with_cancel(ctx)[0] for _ in range(1000)]
        cancel()
        await over(*all, *wide)

    gort.run(main, procs=procs)


def test_timeout(procs: int) -> None:
    async def main() -> None:
        start = time.monotonic()
        ctx, cancel = with_timeout(background(), 0.01)
        when = ctx.deadline()
        assert when is not None and start + 0.01 <= when < start + 60
        assert await ctx.done().recv_ok() == (None, False)
        assert time.monotonic() >= start + 0.01
        err = ctx.err()
        assert isinstance(err, DeadlineExceeded) and isinstance(err, TimeoutError)
        assert str(err) == "context deadline exceeded"
        assert ctx.cause() is err
        cancel(ValueError("late"))
        assert ctx.cause() is err

    gort.run(main, procs=procs)


def test_cancel_before_the_timeout(procs: int) -> None:
    async def main() -> None:
        ctx, cancel = with_timeout(background(), HOUR)
        child, _ = with_cancel(ctx)
        cancel(ValueError("why"))
        await over(ctx, child)
        assert isinstance(child.cause(), ValueError)

    gort.run(main, procs=procs)


def test_the_deadline_goes_down(procs: int) -> None:
    async def main() -> None:
        ctx, _ = with_timeout(background(), 0.005)
        child, _ = with_cancel(ctx)
        later, _ = with_timeout(child, HOUR)
        assert child.deadline() == later.deadline() == ctx.deadline()
        value = with_value(later, 1, 2)
        assert value.deadline() == ctx.deadline()
        await over(value, later, child, ctx, err=DeadlineExceeded)
        assert later.cause() is ctx.err()

    gort.run(main, procs=procs)


def test_an_earlier_deadline_of_a_child_is_its_own(procs: int) -> None:
    async def main() -> None:
        ctx, _ = with_timeout(background(), HOUR)
        child, _ = with_timeout(ctx, 0.005)
        mine, theirs = child.deadline(), ctx.deadline()
        assert mine is not None and theirs is not None and mine < theirs
        await over(child, err=DeadlineExceeded)
        live(ctx)

    gort.run(main, procs=procs)


@pytest.mark.parametrize("d", [0, -1, -math.inf])
def test_a_timeout_that_has_passed(d: float, procs: int) -> None:
    async def main() -> None:
        ctx, cancel = with_timeout(background(), d)
        assert isinstance(ctx.err(), DeadlineExceeded)
        when = time.monotonic() + d
        ctx2, _ = with_deadline(background(), when)
        assert isinstance(ctx2.err(), DeadlineExceeded)
        assert ctx2.deadline() is not None
        await over(ctx, ctx2, err=DeadlineExceeded)
        cancel()

    gort.run(main, procs=procs)


def test_with_deadline(procs: int) -> None:
    async def main() -> None:
        when = time.monotonic() + 0.01
        ctx, _ = with_deadline(background(), when)
        got = ctx.deadline()
        assert got is not None and abs(got - when) < 1e-6
        await over(ctx, err=DeadlineExceeded)
        assert time.monotonic() >= when

    gort.run(main, procs=procs)


@pytest.mark.parametrize("far", [math.inf, 1e12, 10**400])
def test_a_deadline_that_never_comes(far: float, procs: int) -> None:
    async def main() -> None:
        for make in (with_timeout, with_deadline):
            ctx, cancel = make(background(), far)
            live(ctx)
            assert ctx.deadline() is None
            cancel()
            await over(ctx)

    gort.run(main, procs=procs)


def test_values(procs: int) -> None:
    class Key:
        pass

    async def main() -> None:
        k1, k2 = Key(), Key()
        a = with_value(background(), k1, "a")
        b, cancel = with_cancel(a)
        c = with_value(b, k2, "c")
        d = with_value(c, k1, "d")
        assert (a.value(k1), a.value(k2)) == ("a", None)
        assert (b.value(k1), b.value(k2)) == ("a", None)
        assert (c.value(k1), c.value(k2)) == ("a", "c")
        assert (d.value(k1), d.value(k2)) == ("d", "c")
        assert with_value(d, "x", None).value("x") is None
        assert with_value(d, 1, "one").value(1.0) == "one"
        live(a, b, c, d)
        assert d.done() is b.done()
        cancel()
        await over(d)
        live(a)

    gort.run(main, procs=procs)


def test_values_need_no_runtime() -> None:
    ctx = with_value(background(), "k", 1)
    child, cancel = with_cancel(ctx)
    assert child.value("k") == 1
    cancel()
    assert isinstance(child.err(), Canceled)


def test_from_threads(procs: int) -> None:
    async def main() -> None:
        ctxs = [with_cancel(background()) for _ in range(20)]
        ts = [
            threading.Thread(target=lambda k=k: [c(ValueError(k)) for _, c in ctxs])
            for k in range(4)
        ]
        for t in ts:
            t.start()
        for ctx, _ in ctxs:
            await over(ctx)
        for t in ts:
            await gort.syscall(t.join)
        for ctx, _ in ctxs:
            assert isinstance(ctx.cause(), ValueError)

    gort.run(main, procs=procs)


def test_waiting_from_a_thread(procs: int) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        out: list[Any] = []
        t = threading.Thread(target=lambda: out.append(gort.wait(ctx.done().recv_ok())))
        t.start()
        cancel()
        await gort.syscall(t.join)
        assert out == [(None, False)]

    gort.run(main, procs=procs)


def test_cancel_against_new_children(procs: int) -> None:
    """Whatever comes first: no child of a cancelled context stays live."""

    async def main() -> None:
        for _ in range(30):
            ctx, cancel = with_cancel(background())
            made: list[Context] = []

            async def maker(ctx: Context, made: list[Context]) -> None:
                for k in range(20):
                    child, _ = with_timeout(ctx, HOUR) if k % 2 else with_cancel(ctx)
                    made.append(with_cancel(child)[0])
                    if k % 5 == 0:
                        await gort.gosched()

            gs = [gort.go(maker, ctx, made) for _ in range(3)]
            await gort.gosched()
            cancel()
            for g in gs:
                await g
            await over(*made)

    gort.run(main, procs=procs)


def test_many_cancels_at_once(procs: int) -> None:
    async def main() -> None:
        for _ in range(50):
            ctx, cancel = with_cancel(background())
            child, cancel_child = with_timeout(ctx, 0.0005)

            gs = [gort.go(fire, c, child, k) for k in range(3) for c in (cancel, cancel_child)]
            for g in gs:
                await g
            assert isinstance(ctx.cause(), ValueError)
            assert child.cause() is child.err() or isinstance(child.cause(), ValueError)

    gort.run(main, procs=procs)


# after_func


def test_after_func(procs: int) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        out = gort.chan(4)
        me = gort.current()

        async def note(x: int, *, y: int = 0) -> None:
            assert gort.current() is not me
            assert isinstance(ctx.err(), Canceled)
            await out.send(x + y)

        stop = after_func(ctx, note, 1, y=2)
        await gort.gosched()
        with pytest.raises(gort.WouldBlock):
            out.recv_nowait()
        cancel()
        assert await out.recv() == 3
        assert stop() is False
        again = after_func(ctx, note, 5)  # done already: at once
        assert await out.recv() == 5
        assert again() is False

    gort.run(main, procs=procs)


def test_after_func_stop(procs: int) -> None:
    async def main() -> None:
        ctx, cancel = with_cancel(background())
        called: list[int] = []
        a = after_func(ctx, called.append, 1)
        b = after_func(ctx, called.append, 2)
        assert a() is True
        assert a() is False
        cancel()
        while called != [2]:
            await gort.gosched()
        assert b() is False
        assert after_func(background(), called.append, 3)() is True

    gort.run(main, procs=procs)


def test_after_func_runs_once_for_all_above(procs: int) -> None:
    async def main() -> None:
        a, cancel_a = with_cancel(background())
        b, cancel_b = with_timeout(a, 0.002)
        c = with_value(b, 1, 1)
        out = gort.chan(10)
        stop = after_func(c, out.send_nowait, 1)
        await over(c, err=DeadlineExceeded)
        cancel_a()
        cancel_b()
        assert await out.recv() == 1
        assert not stop()
        for _ in range(10):
            await gort.gosched()
        with pytest.raises(gort.WouldBlock):
            out.recv_nowait()

    gort.run(main, procs=procs)


def test_after_func_stop_against_cancel(procs: int) -> None:
    async def main() -> None:
        out = gort.chan(200)
        stopped = 0
        for i in range(100):
            ctx, cancel = with_cancel(background())
            stop = after_func(ctx, out.send_nowait, i)
            g = gort.go(cancel)
            if i % 2:
                await gort.gosched()
            stopped += stop()
            await g
        for _ in range(100 - stopped):
            await out.recv()
        with pytest.raises(gort.WouldBlock):
            out.recv_nowait()

    gort.run(main, procs=procs)


def test_after_func_needs_no_handle(procs: int) -> None:
    """Nobody remembers the context, its parents or stop: it runs nevertheless."""

    async def main() -> None:
        out = gort.chan(2)
        after_func(with_cancel(with_timeout(background(), 0.002)[0])[0], out.send_nowait, 1)
        top, cancel = with_cancel(background())
        after_func(with_value(with_cancel(top)[0], 1, 1), out.send_nowait, 2)
        del top
        gc.collect()
        assert await out.recv() == 1
        cancel()
        assert await out.recv() == 2
        gc.collect()

    gort.run(main, procs=procs)


def test_after_func_sees_the_callers_context_variables() -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")

    async def main() -> None:
        out = gort.chan(1)
        ctx, cancel = with_cancel(background())

        async def tell() -> None:
            await out.send(var.get())

        var.set("mine")
        after_func(ctx, tell)
        var.set("changed")
        cancel()
        assert await out.recv() == "mine"

    gort.run(main)


def test_after_func_that_fails_is_a_panic(procs: int) -> None:
    async def main() -> None:
        def fails() -> None:
            raise KeyError("after")

        ctx, cancel = with_cancel(background())
        after_func(ctx, fails)
        cancel()
        await gort.chan().recv()

    with pytest.raises(KeyError):
        gort.run(main, procs=procs)


# Collected


def collected(*refs: weakref.ref[Any]) -> bool:
    gc.collect()
    return all(ref() is None for ref in refs)


def test_a_dropped_context_is_collected(procs: int) -> None:
    async def main() -> None:
        top, cancel = with_cancel(background())
        refs = []
        for make in (lambda: with_cancel(top), lambda: with_timeout(top, HOUR)):
            ctx, drop = make()
            refs.append(weakref.ref(ctx.done()))
            del ctx, drop
        while not collected(*refs):
            await gort.sleep(0.001)
        with_timeout(top, HOUR)  # takes the dropped timers off their heap
        live(top)
        cancel()

    gort.run(main, procs=procs)


def test_what_is_left_keeps_a_context_alive(procs: int) -> None:
    async def main() -> None:
        # the done channel
        done = with_timeout(background(), 0.003)[0].done()
        top, cancel_top = with_cancel(background())
        below = with_cancel(top)[0].done()
        # the cancel function
        cancel = with_cancel(top)[1]
        # a child
        child = with_cancel(with_timeout(background(), 0.003)[0])[0]
        # who waits
        g = gort.go(with_timeout(background(), 0.003)[0].done().recv_ok)
        gc.collect()
        assert await done.recv_ok() == (None, False)
        await over(child, err=DeadlineExceeded)
        assert await g == (None, False)
        cancel_top()
        assert await below.recv_ok() == (None, False)
        cancel()

    gort.run(main, procs=procs)


def test_a_cancelled_child_leaves_its_parent(procs: int) -> None:
    import gort.runtime.context as impl

    async def main() -> None:
        top, cancel = with_cancel(background())
        for _ in range(50):
            ctx, c = with_timeout(top, HOUR)
            after_func(ctx, int)
            c()
        ctx, c = with_timeout(top, HOUR)
        stop = after_func(ctx, int)
        assert stop()
        del ctx, c
        assert not any(impl.pinned.values())
        cancel()

    gort.run(main, procs=procs)


def test_timers_of_contexts_do_not_hold_up_the_end(procs: int) -> None:
    async def main() -> str:
        ctx, _ = with_timeout(background(), HOUR)
        after_func(ctx, print)
        return "over"

    assert gort.run(main, procs=procs) == "over"


# Bad input


@pytest.mark.parametrize("bad", [None, 3, "ctx", object()])
def test_bad_parent(bad: Any) -> None:
    for call in (
        lambda: with_cancel(bad),
        lambda: with_timeout(bad, 1),
        lambda: with_deadline(bad, 1),
        lambda: with_value(bad, "k", 1),
        lambda: after_func(bad, print),
    ):
        with pytest.raises(TypeError, match="parent Context"):
            call()


def test_bad_values() -> None:
    async def main() -> None:
        bg = background()
        for make in (with_timeout, with_deadline):
            with pytest.raises(ValueError):
                make(bg, math.nan)
            for bad in ("1", None):
                with pytest.raises(TypeError):
                    make(bg, bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="key"):
            with_value(bg, None, 1)
        with pytest.raises(TypeError, match="wants a function"):
            after_func(bg, 3)  # type: ignore[arg-type]
        ctx, cancel = with_cancel(bg)
        for bad in ("why", ValueError, 3):
            with pytest.raises(TypeError, match="an exception"):
                cancel(bad)  # type: ignore[arg-type]
        live(ctx)
        for cls in (Context, context.CancelFunc):
            with pytest.raises(TypeError):
                cls()
        with pytest.raises(AttributeError):
            ctx.nonsense = 1  # type: ignore[attr-defined]

    gort.run(main)


def test_outside() -> None:
    for call in (
        lambda: with_timeout(background(), 1),
        lambda: with_deadline(background(), 1),
        lambda: after_func(background(), print),
    ):
        with pytest.raises(RuntimeError, match="no gort runtime is up"):
            call()


# context.scope


def test_scope_ends_by_cancel(procs: int) -> None:
    async def main() -> None:
        ctx, cancel = context.with_cancel(context.background())
        why = KeyError("why")
        gort.go(cancel, why)
        with pytest.raises(KeyError) as caught:
            async with context.scope(ctx):
                await gort.chan().recv()
        assert caught.value is why
        await gort.sleep(0)  # the scope is over

    gort.run(main, procs=procs)


def test_scope_ends_by_deadline() -> None:
    async def main() -> None:
        ctx, cancel = context.with_timeout(context.background(), 0.001)
        with pytest.raises(context.DeadlineExceeded):
            async with context.scope(ctx):
                await gort.sleep(3600)
        child = context.with_value(ctx, "k", 1)
        with pytest.raises(context.DeadlineExceeded):
            async with context.scope(child):
                await gort.sleep(3600)
        cancel()

    gort.run(main)


def test_scope_of_a_context_that_is_done() -> None:
    """The first await raises; a block without one just ends."""

    async def main() -> None:
        ctx, cancel = context.with_cancel(context.background())
        cancel()
        async with context.scope(ctx):
            pass
        seen = []
        with pytest.raises(context.Canceled):
            async with context.scope(ctx):
                seen.append(1)
                await gort.gosched()
                seen.append(2)
        assert seen == [1]

    gort.run(main)


def test_scope_that_ends_otherwise() -> None:
    async def main() -> None:
        async with context.scope(context.background()):
            await gort.gosched()
        ctx, cancel = context.with_cancel(context.background())
        async with context.scope(ctx):
            await gort.gosched()
        with pytest.raises(ZeroDivisionError):
            async with context.scope(ctx):
                cancel()
                raise ZeroDivisionError
        await gort.gosched()

    gort.run(main)


def test_scope_and_what_is_around_it() -> None:
    """An outer cancel passes; a shield within holds; a group's children are reached."""

    async def main() -> None:
        ctx, cancel = context.with_cancel(context.background())
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.001), context.scope(ctx):
                await gort.sleep(3600)
        done = []
        with pytest.raises(context.Canceled):
            async with context.scope(ctx):
                async with gort.shield():
                    cancel()
                    await gort.sleep(0.001)
                    done.append(1)
                await gort.gosched()
                done.append(2)
        assert done == [1]
        ctx, cancel = context.with_cancel(context.background())
        with pytest.raises(context.Canceled):
            async with context.scope(ctx), gort.group() as grp:
                g = grp.go(gort.sleep, 3600)
                await gort.gosched()
                cancel()
        assert type(g.exception()) is gort.Cancelled

    gort.run(main)


def test_scope_leaves_nothing() -> None:
    """A context that lives on keeps nothing of a scope that was left."""

    async def main() -> None:
        ctx, cancel = context.with_cancel(context.background())

        class Thing:
            pass

        async def block() -> weakref.ref[Any]:
            sc = context.scope(ctx)
            thing = Thing()
            async with sc:
                await gort.gosched()
            return weakref.ref(thing)

        g = gort.go(block)
        ref = weakref.ref(g)
        assert (await g)() is None
        del g
        gc.collect()
        assert ref() is None
        cancel()

    gort.run(main)


def test_scope_wrong() -> None:
    with pytest.raises(TypeError, match="scope wants a parent Context"):
        context.scope(5)  # type: ignore[arg-type]

    async def main() -> None:
        sc = context.scope(context.background())
        async with sc:
            pass
        with pytest.raises(RuntimeError, match="entered already"):
            async with sc:
                pass

    gort.run(main)
