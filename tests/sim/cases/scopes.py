"""gort.context, gort.group, timeout, shield, gort.time, at_exit and add_cleanup."""

from __future__ import annotations

import time
from typing import Any

import gort
from gort.testing import thread, wait, work

from .base import case, ended, joinall, loose, soon

# context


@case(procs=(1, 2, 3))
async def context_cancel_reaches_every_descendant() -> None:
    ends: list[int] = []

    async def node(ctx: Any, depth: int, k: int) -> None:
        if depth > 0:
            for i in range(2):
                child, _ = gort.context.with_cancel(ctx)
                gs.append(gort.go(node, child, depth - 1, 2 * k + i))
        assert await ctx.done().recv_ok() == (None, False)
        assert isinstance(ctx.err(), gort.context.Canceled)
        ends.append(k)

    gs: list[Any] = []
    root, cancel = gort.context.with_cancel(gort.context.background())
    gs.append(gort.go(node, root, 2, 1))
    await wait()
    assert len(gs) == 7 and not ends
    cancel()
    await joinall(gs)
    assert sorted(ends) == [1, 2, 3, 4, 5, 6, 7], ends


@case(procs=(2, 3, 4))
async def context_cancel_races_new_children() -> None:
    """A child that comes while its parent is cancelled is cancelled too."""
    root, cancel = gort.context.with_cancel(gort.context.background())

    async def make() -> None:
        up = root
        for _ in range(3):
            up, _ = gort.context.with_cancel(up)
            await up.done().recv_ok()

    async def stop() -> None:
        cancel()

    await joinall([gort.go(fn) for fn in (make, stop, make, make)])


@case(procs=(2, 3))
async def context_cancels_race() -> None:
    """One cause wins, and everybody below sees that one, once the channel is closed."""
    root, cancel = gort.context.with_cancel(gort.context.background())
    child, _ = gort.context.with_cancel(root)
    leaf, cancel_leaf = gort.context.with_cancel(child)
    causes = [ValueError("a"), ValueError("b"), ValueError("leaf")]

    async def stop(fn: Any, cause: Any) -> None:
        fn(cause)
        assert root.err() is not None or fn is cancel_leaf

    async def look(ctx: Any) -> Any:
        await ctx.done().recv_ok()
        assert ctx.err() is not None and ctx.cause() is ctx.cause()
        return ctx.cause()

    looks = [gort.go(look, ctx) for ctx in (root, child, leaf, root)]
    fns = (cancel, cancel, cancel_leaf)
    await joinall([gort.go(stop, fn, e) for fn, e in zip(fns, causes, strict=True)])
    a, b, c, d = await joinall(looks)
    assert a is b is d and a in causes[:2], (a, b, d)
    assert c in (a, causes[2]), c
    assert root.cause() is child.cause() is a and leaf.cause() is c, "a cause has changed"


@case(procs=(1, 2, 3))
async def context_deadlines() -> None:
    """A deadline comes in time, for all below it; a later one of a child's does not count."""
    t = time.monotonic()
    ctx, _ = gort.context.with_timeout(gort.context.background(), 0.05)
    child, _ = gort.context.with_timeout(ctx, 5)
    short, _ = gort.context.with_timeout(ctx, 0.02)

    async def look(ctx: Any, seconds: float) -> None:
        await ctx.done().recv_ok()
        soon(t, seconds)
        assert isinstance(ctx.err(), gort.context.DeadlineExceeded)

    await joinall([gort.go(look, *x) for x in ((child, 0.05), (ctx, 0.05), (short, 0.02))])


@case(procs=(2, 3))
async def context_cancel_races_the_deadline() -> None:
    """One of them wins; the after_func runs once, whoever it is."""
    calls = []
    ctx, cancel = gort.context.with_timeout(gort.context.background(), 0.01)
    child, _ = gort.context.with_cancel(ctx)

    async def called() -> None:
        calls.append(ctx.err())
        await c.send(ctx.err())

    async def stop() -> None:
        await gort.sleep(0.01)
        cancel()

    c = gort.chan()
    gort.context.after_func(child, called)
    g = gort.go(stop)
    err = await c.recv()
    await g
    await child.done().recv_ok()
    assert err is ctx.err() is child.err() and err is not None
    await wait()
    assert calls == [err]


@case(procs=(2, 3, 4))
async def context_stop_races_cancel() -> None:
    """after_func's function runs if and only if every stop() says False."""
    calls = []
    ctx, cancel = gort.context.with_cancel(gort.context.background())
    child, _ = gort.context.with_cancel(ctx)

    async def called() -> None:
        calls.append(1)

    stop = gort.context.after_func(child, called)

    async def cancels() -> None:
        cancel()

    async def stops() -> bool:
        return stop()

    x = gort.go(cancels)
    said = await joinall([gort.go(stops), gort.go(stops)])
    await x
    await wait()
    assert sum(said) + len(calls) == 1, (said, calls)


# groups


@case(procs=(1, 2, 3, 4))
async def group_waits_for_all() -> None:
    ends = []

    async def leaf(i: int) -> int:
        await gort.sleep(i * 0.001)
        ends.append(i)
        return i

    async def branch(grp: Any, i: int) -> None:
        await gort.gosched()
        grp.go(leaf, i)  # while the block waits

    async with gort.group() as grp:
        gs = [grp.go(leaf, i) for i in range(3)]
        for i in (3, 4):
            grp.go(branch, grp, i)
    assert sorted(ends) == [0, 1, 2, 3, 4], ends
    assert [g.done() for g in gs] == [True] * 3


@case(procs=(1, 2, 3))
async def group_first_failure_cancels() -> None:
    ends = []

    async def waits(i: int) -> None:
        try:
            await gort.chan().recv()
        finally:
            ends.append(i)

    async def fails() -> None:
        await gort.sleep(0.001)
        raise ValueError("first")

    try:
        async with gort.group() as grp:
            for i in range(3):
                grp.go(waits, i)
            await wait()
            grp.go(fails)
            await gort.chan().recv()
    except ExceptionGroup as eg:
        assert [str(e) for e in eg.exceptions] == ["first"], eg.exceptions
    else:
        raise AssertionError("the failure got lost")
    assert sorted(ends) == [0, 1, 2], ends


@case(procs=(2, 3, 4))
async def group_forgets_no_failure() -> None:
    """Children fail at the same time: the group raises what each of them raised."""
    raised = []

    async def fails(i: int) -> None:
        await gort.sleep(0.001)
        raised.append(i)
        raise ValueError(i)

    got = []
    try:
        async with gort.group() as grp:
            for i in range(4):
                grp.go(fails, i)
    except ExceptionGroup as eg:
        got = [e.args[0] for e in eg.exceptions]
    assert sorted(got) == sorted(raised) and got, (got, raised)


@case(procs=(1, 2, 3))
async def group_limit_holds() -> None:
    running = most = 0
    order = []

    async def child(i: int) -> None:
        nonlocal running, most
        order.append(i)
        running += 1
        most = max(most, running)
        await gort.sleep(0.001)
        running -= 1

    async with gort.group(limit=2) as grp:
        gs = [grp.go(child, i) for i in range(6)]
        gs[4].cancel()
    assert most == 2 or loose(), most
    assert most <= 2 and running == 0
    assert sorted(i for i in order if i != 4) == [0, 1, 2, 3, 5], order


@case(procs=(2, 3))
async def group_block_ends_between_children() -> None:
    """One child runs at a time; the block ends as one makes room for the next."""
    for _ in range(3):
        ran = []

        async def child(i: int, ran: Any = ran) -> None:
            ran.append(i)

        async with gort.group(limit=1) as grp:
            for i in range(3):
                grp.go(child, i)
            await gort.gosched()
        assert ran == [0, 1, 2], ran


@case(procs=(2, 3))
async def group_cancelled_from_outside() -> None:
    """The block's Cancelled comes out after the children are gone, each cancelled once."""
    ends, body = [], []

    async def child(i: int) -> None:
        try:
            await gort.chan().recv()
        except gort.Cancelled:
            async with gort.shield():
                await gort.gosched()
            ends.append(i)
            raise

    async def owner() -> None:
        try:
            async with gort.group() as outer:
                outer.go(child, 0)
                async with gort.group() as grp:
                    for i in range(1, 4):
                        grp.go(child, i)
                    if body:
                        await gort.chan().recv()
        finally:
            assert len(set(ends)) == len(ends)
            body.append(list(ends))

    g = gort.go(owner)
    await gort.sleep(0.001)
    g.cancel()
    assert await ended([g]) == 1
    if not loose():
        assert sorted(body[0]) == [0, 1, 2, 3], body
    assert ends == body[0], "a child outlived its block"


@case(procs=(2, 3, 4))
async def group_go_races_cancel() -> None:
    """Each child ran to its cancel or never ran, and none is forgotten."""
    begun, over = [], []

    async def child(i: int) -> None:
        begun.append(i)
        try:
            await gort.chan().recv()
        finally:
            over.append(i)

    def outside() -> None:
        try:
            for i in range(3, 6):
                grp.go(child, i)
        except RuntimeError:
            pass  # the block had ended

    async with gort.group(limit=4) as grp:
        t = thread(outside)
        for i in range(3):
            grp.go(child, i)
        grp.cancel()
    assert sorted(begun) == sorted(over), (begun, over)
    await gort.syscall(t.join)
    assert sorted(begun) == sorted(over), (begun, over)


# timeout and shield


@case(procs=(1, 2, 3))
async def timeouts_come_in_time() -> None:
    async def late() -> None:
        t = time.monotonic()
        try:
            async with gort.timeout(0.05):
                await gort.chan().recv()
        except TimeoutError:
            soon(t, 0.05)
        else:
            raise AssertionError("no timeout")
        await gort.sleep(0.001)  # what follows the block is not cancelled

    async def early() -> None:
        t = time.monotonic()
        try:
            async with gort.timeout(0.05) as sc:
                await gort.sleep(0.02)
        except TimeoutError:
            assert loose(), "too early"
            return
        soon(t, 0.02)
        await gort.sleep(0.1)  # beyond the deadline that is no more
        assert loose() or not sc.expired()

    await joinall([gort.go(late), gort.go(early), gort.go(late)])


@case(procs=(2, 3))
async def timeout_races_the_end() -> None:
    """The op's end and the deadline come at once: a value or TimeoutError, and no cancel
    outlives the block."""
    c = gort.chan()
    got, sent = [], []

    async def recv() -> None:
        try:
            async with gort.timeout(0.01):
                got.append(await c.recv())
        except TimeoutError:
            pass
        await gort.gosched()
        await gort.sleep(0.001)

    async def send(i: int) -> None:
        await gort.sleep(0.01)
        k, _ = await gort.select(c.send(i), gort.after(0.01).recv())
        if k == 0:
            sent.append(i)

    await joinall([gort.go(recv), gort.go(recv), gort.go(send, 1), gort.go(send, 2)])
    assert sorted(got) == sorted(sent), (got, sent)


@case(procs=(1, 2, 3))
async def timeouts_nest() -> None:
    """The outer one comes first: the inner one has nothing to say."""
    said = []
    t = time.monotonic()
    try:
        async with gort.timeout(0.01):
            try:
                async with gort.timeout(0.03):
                    await gort.chan().recv()
            except TimeoutError:
                said.append("inner")
                raise
    except TimeoutError:
        said.append("outer")
    soon(t, 0.01)
    assert said == ["outer"] or loose(), said


@case(procs=(1, 2, 3))
async def shields_hold() -> None:
    """A cancel waits for the shield's end, and then takes effect at once."""
    steps = []

    async def cleans() -> None:
        t = time.monotonic()
        async with gort.shield():
            steps.append("in")
            await gort.sleep(0.02)
            soon(t, 0.02)
            steps.append("out")
        await gort.sleep(1)
        steps.append("never")

    g = gort.go(cleans)
    await gort.sleep(0.01)
    g.cancel()
    n = await ended([g])
    if not loose():
        assert n == 1 and steps == ["in", "out"], steps
    assert "never" not in steps or n == 0


@case(procs=(1, 2, 3))
async def shields_end_in_time() -> None:
    async def cleans() -> str:
        t = time.monotonic()
        async with gort.shield(0.02) as sc:
            await gort.chan().recv()
        soon(t, 0.02)
        assert sc.expired()
        return "cleaned"

    gs = [gort.go(cleans) for _ in range(2)]
    assert await joinall(gs) == ["cleaned"] * 2


# gort.time


@case(procs=(2, 3))
async def timer_stop_races_its_time() -> None:
    """stop() says True or the time is received, never both, never neither."""
    for _ in range(3):
        timer = gort.time.Timer(0.005)

        async def stop(timer: Any = timer) -> bool:
            await gort.sleep(0.005)
            return timer.stop()

        async def recv(timer: Any = timer) -> bool:
            i, _ = await gort.select(timer.c.recv(), gort.after(0.05).recv())
            return i == 0

        stopped, received = await joinall([gort.go(stop), gort.go(recv)])
        assert stopped != received, (stopped, received)


@case(procs=(1, 2, 3))
async def timer_reset_leaves_no_stale_time() -> None:
    timer = gort.time.Timer(0.001)
    await gort.sleep(0.002)  # its time is there, and nobody has received it
    t = time.monotonic()
    assert timer.reset(0.02)
    at = await timer.c.recv()
    soon(t, 0.02)
    assert at >= t + 0.02 - 1e-6, "the time of its earlier life"
    assert not timer.stop()


@case(procs=(2, 3))
async def timer_resets_race() -> None:
    """Two reset it at the same time: one time comes, and no second one."""
    timer = gort.time.Timer(0.003)

    async def reset(seconds: float) -> None:
        await gort.sleep(0.003)
        timer.reset(seconds)

    await joinall([gort.go(reset, 0.004), gort.go(reset, 0.006)])
    await timer.c.recv()
    i, _ = await gort.select(timer.c.recv(), gort.after(0.05).recv())
    assert i == 1, "one timer gave two times"


@case(procs=(1, 2))
async def ticker_keeps_its_beat() -> None:
    t = time.monotonic()
    ticker = gort.time.Ticker(0.01)
    for k in range(1, 4):
        await ticker.c.recv()
        soon(t, 0.01 * k)
    t = time.monotonic()
    ticker.reset(0.02)
    await ticker.c.recv()
    soon(t, 0.02)
    ticker.stop()
    i, _ = await gort.select(ticker.c.recv(), gort.after(0.1).recv())
    assert i == 1, "it ticks on after stop"


@case(procs=(2, 3))
async def after_func_stop_races_its_time() -> None:
    calls, stops = [], 0

    async def called(i: int) -> None:
        calls.append(i)

    timers = [gort.time.after_func(0.005, called, i) for i in range(3)]
    await gort.sleep(0.005)
    for timer in timers:
        stops += timer.stop()
    await gort.sleep(0.01)
    await wait()
    assert len(set(calls)) == len(calls) == 3 - stops, (calls, stops)


# at_exit and add_cleanup


@case(procs=(1, 2, 3))
async def exit_hooks_run_last_first() -> None:
    """The first one registered runs last, and sees what ran: run raises what it raises."""
    ran = []

    def check() -> None:
        assert ran == ["late", 3, 2, 1], ran

    async def hook(i: int) -> None:
        await gort.sleep(0.001)
        ran.append(i)

    async def waits() -> None:
        await gort.chan().recv()

    def more() -> None:
        gort.at_exit(ran.append, "late")

    gort.at_exit(check)
    for i in (1, 2, 3):
        gort.at_exit(hook, i)
    gort.at_exit(more)
    gort.go(waits)


class Thing:
    """Something with weak references."""


@case(procs=(1, 2, 3))
async def cleanups_run_once() -> None:
    """Objects die on several threads at once: each has its cleanup, and the kept one none."""
    c = gort.chan(20)

    def drop(k: int) -> None:
        for i in range(3):
            thing = Thing()
            gort.add_cleanup(thing, c.send_nowait, (k, i))
            del thing

    async def drops(k: int) -> None:
        drop(k)
        await gort.gosched()

    kept, stopped = Thing(), Thing()
    gort.add_cleanup(kept, c.send_nowait, "kept")
    gort.add_cleanup(stopped, c.send_nowait, "stopped").stop()
    del stopped
    t = thread(drop, 2)
    gs = [gort.go(drops, k) for k in range(2)]
    got = [await c.recv() for _ in range(9)]
    assert sorted(got) == [(k, i) for k in range(3) for i in range(3)], got
    await joinall(gs)
    await gort.syscall(t.join)
    await wait()
    assert len(c) == 0, c.recv_nowait()
    assert kept is not None


@case(procs=(1, 2, 3))
async def cleanups_come_while_all_compute() -> None:
    """A cleanup is run by an idle P, or after a slice of whoever computes."""
    c = gort.chan(1)
    thing = Thing()
    t = time.monotonic()
    gort.add_cleanup(thing, lambda: c.send_nowait(time.monotonic()))

    async def hog() -> None:
        work(0.03)

    gs = [gort.go(hog) for _ in range(2)]
    del thing
    at = await c.recv() - t
    assert loose() or at < 0.1, at
    await joinall(gs)
