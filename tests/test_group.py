"""gort.group: waits for all, first failure cancels the rest, one ExceptionGroup."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import gort


class Boom(Exception):
    pass


async def forever() -> None:
    await gort.chan().recv()


async def boom(exc: BaseException) -> None:
    raise exc


async def number(n: int) -> int:
    await gort.gosched()
    return n


async def until_waiting(g: gort.Goroutine) -> None:
    while g.status != "waiting":
        await gort.gosched()


@pytest.mark.parametrize("bad", ["1", 1.5, True, [1]])
def test_bad_limit_type(bad: Any) -> None:
    with pytest.raises(TypeError, match="int or None"):
        gort.group(bad)


@pytest.mark.parametrize("bad", [0, -1])
def test_bad_limit(bad: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        gort.group(limit=bad)


def test_bad_go(procs: int) -> None:
    async def main() -> None:
        async with gort.group() as grp:
            with pytest.raises(TypeError, match="callable"):
                grp.go(5)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="not the coroutine object"):
                grp.go(forever())  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                grp.go(number)  # type: ignore[call-arg]
        with pytest.raises(RuntimeError, match="has ended"):
            grp.go(number, 1)
        with pytest.raises(RuntimeError, match="not open yet"):
            gort.group().go(number, 1)

    gort.run(main, procs=procs)


def test_waits_for_all(procs: int) -> None:
    async def main() -> list[int]:
        done: list[int] = []

        async def child(i: int) -> None:
            await gort.sleep(0.001 * (i % 3))
            done.append(i)

        async with gort.group() as grp:
            for i in range(20):
                grp.go(child, i)
        assert gort.num_goroutine() == 1
        return sorted(done)

    assert gort.run(main, procs=procs) == list(range(20))


def test_empty() -> None:
    async def main() -> str:
        async with gort.group():
            pass
        return "ok"

    assert gort.run(main) == "ok"


def test_results_by_handle(procs: int) -> None:
    async def main() -> list[int]:
        async with gort.group() as grp:
            gs = [grp.go(number, n) for n in range(5)]
            plain = grp.go(lambda a, b: a + b, 1, b=2)
            assert await gs[0] == 0
        return [await g for g in gs] + [await plain]

    assert gort.run(main, procs=procs) == [0, 1, 2, 3, 4, 3]


def test_wait_reason(procs: int) -> None:
    async def parent(ch: gort.Chan) -> None:
        async with gort.group() as grp:
            grp.go(ch.recv)

    async def main() -> None:
        ch = gort.chan()
        g = gort.go(parent, ch)
        while g.wait_reason != "group wait":
            await gort.gosched()
        await ch.send(1)
        await g

    gort.run(main, procs=procs)


def test_child_fails(procs: int) -> None:
    cancelled = []

    async def sibling() -> None:
        try:
            await forever()
        except gort.Cancelled:
            cancelled.append("sibling")
            raise

    async def main() -> None:
        exc = Boom("b")
        with pytest.raises(ExceptionGroup) as info:
            async with gort.group() as grp:
                g = grp.go(sibling)
                await until_waiting(g)
                grp.go(boom, exc)
                try:
                    await forever()
                except gort.Cancelled:
                    cancelled.append("body")
                    raise
        assert type(info.value) is ExceptionGroup
        assert info.value.exceptions == (exc,)
        assert any(n.startswith("in goroutine") for n in exc.__notes__)
        assert sorted(cancelled) == ["body", "sibling"]
        assert gort.num_goroutine() == 1
        await gort.gosched()

    gort.run(main, procs=procs)


def test_child_fails_while_the_end_waits(procs: int) -> None:
    async def late(ch: gort.Chan) -> None:
        await ch.recv()
        raise Boom

    async def parent(ch: gort.Chan) -> None:
        async with gort.group() as grp:
            grp.go(forever)
            grp.go(late, ch)

    async def main() -> None:
        ch = gort.chan()
        g = gort.go(parent, ch)
        while g.wait_reason != "group wait":
            await gort.gosched()
        await ch.send(1)
        with pytest.raises(ExceptionGroup) as info:
            await g
        assert [type(e) for e in info.value.exceptions] == [Boom]

    gort.run(main, procs=procs)


def test_body_fails(procs: int) -> None:
    async def main() -> None:
        exc = Boom()
        with pytest.raises(ExceptionGroup) as info:
            async with gort.group() as grp:
                g = grp.go(forever)
                raise exc
        assert info.value.exceptions == (exc,)
        with pytest.raises(gort.Cancelled):
            await g

    gort.run(main, procs=procs)


def test_all_failures(procs: int) -> None:
    async def cleanup(exc: BaseException) -> None:
        try:
            await forever()
        finally:
            raise exc

    async def main() -> None:
        excs = [Boom(1), KeyError(2), ValueError(3)]
        with pytest.raises(ExceptionGroup) as info:
            async with gort.group() as grp:
                gs = [grp.go(cleanup, e) for e in excs]
                for g in gs:
                    await until_waiting(g)
                raise OSError(4)
        found = info.value.exceptions
        assert isinstance(found[0], OSError)
        assert {id(e) for e in found[1:]} == {id(e) for e in excs}

    gort.run(main, procs=procs)


def test_passed_on_by_the_body_counts_once(procs: int) -> None:
    async def main() -> None:
        exc = Boom()
        with pytest.raises(ExceptionGroup) as info:
            async with gort.group() as grp:
                await grp.go(boom, exc)
        assert info.value.exceptions == (exc,)

    gort.run(main, procs=procs)


def test_handled_in_the_body_is_a_failure_all_the_same(procs: int) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as info:
            async with gort.group() as grp:
                g = grp.go(boom, Boom())
                with pytest.raises((Boom, gort.Cancelled)):
                    await g
        assert [type(e) for e in info.value.exceptions] == [Boom]

    gort.run(main, procs=procs)


def test_failure_is_no_panic(procs: int) -> None:
    async def main() -> str:
        for _ in range(50):
            try:
                async with gort.group() as grp:
                    grp.go(boom, Boom())
            except* Boom:
                pass
        return "alive"

    assert gort.run(main, procs=procs) == "alive"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interrupts_are_bare(procs: int, kind: type[BaseException]) -> None:
    async def main() -> None:
        async with gort.group() as grp:
            grp.go(forever)
            grp.go(boom, kind("out"))

    with pytest.raises(kind, match="out"):
        gort.run(main, procs=procs)


def test_interrupt_of_the_body_is_bare_and_keeps_the_rest(procs: int) -> None:
    async def main() -> None:
        async with gort.group() as grp:
            g = grp.go(boom, Boom())
            while not g.done():
                try:
                    await gort.gosched()
                except gort.Cancelled:
                    pass
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as info:
        gort.run(main, procs=procs)
    cause = info.value.__cause__
    assert isinstance(cause, ExceptionGroup)
    assert [type(e) for e in cause.exceptions] == [Boom]


def test_other_base_exceptions(procs: int) -> None:
    class Odd(BaseException):
        pass

    async def main() -> None:
        with pytest.raises(BaseExceptionGroup) as info:
            async with gort.group() as grp:
                grp.go(boom, Odd())
        assert type(info.value) is BaseExceptionGroup

    gort.run(main, procs=procs)


def test_ctrl_c_in_the_wait(procs: int) -> None:
    """The children are cancelled and waited for, then KeyboardInterrupt comes bare."""
    log = []

    async def child(ch: gort.Chan) -> None:
        try:
            ch.close()
            await forever()
        finally:
            async with gort.shield():
                await gort.sleep(0.001)
            log.append("cleaned up")

    async def interrupter(ch: gort.Chan, main: gort.Goroutine) -> None:
        await ch.recv_ok()
        while main.wait_reason != "group wait":
            await gort.gosched()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        await gort.sleep(3600)  # no deadlock before the signal is handled

    async def main() -> None:
        me = gort.current()
        assert me is not None
        ch = gort.chan()
        gort.go(interrupter, ch, me)
        async with gort.group() as grp:
            grp.go(child, ch)

    with pytest.raises(KeyboardInterrupt):
        gort.run(main, procs=procs)
    assert log == ["cleaned up"]


def test_goexit_in_child(procs: int) -> None:
    async def leaves() -> None:
        gort.goexit()

    async def main() -> None:
        async with gort.group() as grp:
            g = grp.go(leaves)
        assert await g is None

    gort.run(main, procs=procs)


def test_goexit_in_body(procs: int) -> None:
    async def parent(log: list[str]) -> None:
        async def child() -> None:
            try:
                await forever()
            finally:
                log.append("child")

        try:
            async with gort.group() as grp:
                await until_waiting(grp.go(child))
                gort.goexit()
        finally:
            log.append("parent")

    async def main() -> list[str]:
        log: list[str] = []
        assert await gort.go(parent, log) is None
        return log

    assert gort.run(main, procs=procs) == ["child", "parent"]


def test_child_cancelled_by_itself(procs: int) -> None:
    async def main() -> str:
        async with gort.group() as grp:
            g = grp.go(forever)
            other = grp.go(number, 3)
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g
            assert await other == 3
        return "no failure"

    assert gort.run(main, procs=procs) == "no failure"


def test_cancel(procs: int) -> None:
    async def main() -> str:
        async with gort.group() as grp:
            g = grp.go(forever)
            grp.cancel()
            await forever()
        with pytest.raises(gort.Cancelled):
            await g
        async with gort.group() as grp:  # while the end waits
            grp.go(forever)

            def cancels(grp: gort.Group = grp) -> None:
                grp.cancel()

            gort.go(cancels)
        grp.cancel()  # nothing any more
        await gort.gosched()
        return "ok"

    assert gort.run(main, procs=procs) == "ok"


def test_cancel_from_a_foreign_thread(procs: int) -> None:
    async def main() -> str:
        async with gort.group() as grp:
            grp.go(forever)
            threading.Timer(0.01, grp.cancel).start()
        return "ok"

    assert gort.run(main, procs=procs) == "ok"


def test_cancel_before_entering() -> None:
    async def main() -> str:
        grp = gort.group()
        grp.cancel()
        async with grp:
            grp.go(forever)
            await forever()
        await gort.gosched()
        return "ok"

    assert gort.run(main) == "ok"


def test_go_in_a_cancelled_group(procs: int) -> None:
    """The child runs to its first op, so that it can clean up what it was given."""
    log = []

    async def child() -> None:
        try:
            await gort.gosched()
        finally:
            log.append("cleaned up")

    async def main() -> None:
        async with gort.group() as grp:
            grp.cancel()
            g = grp.go(child)
        with pytest.raises(gort.Cancelled):
            await g

    gort.run(main, procs=procs)
    assert log == ["cleaned up"]


def test_outer_cancel_passes_after_the_children(procs: int) -> None:
    log = []

    async def child(ch: gort.Chan) -> None:
        try:
            await ch.recv()
        finally:
            async with gort.shield():
                await gort.sleep(0.002)
            log.append("child")

    async def parent(ch: gort.Chan) -> None:
        try:
            async with gort.group() as grp:
                grp.go(child, ch)
        except gort.Cancelled:
            log.append("parent")
            raise

    async def main() -> None:
        g = gort.go(parent, gort.chan())
        while g.wait_reason != "group wait":
            await gort.gosched()
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g

    gort.run(main, procs=procs)
    assert log == ["child", "parent"]


def test_outer_cancel_and_a_failure(procs: int) -> None:
    """What failed is not lost; the cancel shows again at the next op."""

    async def child() -> None:
        try:
            await forever()
        finally:
            raise Boom

    async def parent() -> str:
        try:
            async with gort.group() as grp:
                await until_waiting(grp.go(child))
                await forever()
        except* Boom:
            pass
        try:
            await gort.gosched()
        except gort.Cancelled:
            return "both"
        return "lost"

    async def main() -> str:
        g = gort.go(parent)
        await until_waiting(g)
        g.cancel()
        return await g

    assert gort.run(main, procs=procs) == "both"


def test_timeout_around(procs: int) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.005), gort.group() as grp:
                for _ in range(3):
                    grp.go(forever)
        assert gort.num_goroutine() == 1

    gort.run(main, procs=procs)


def test_timeout_inside(procs: int) -> None:
    async def main() -> int:
        async with gort.group() as grp:
            g = grp.go(number, 4)
            with pytest.raises(TimeoutError):
                async with gort.timeout(0.002):
                    await forever()
            grp.go(number, 5)
        return await g

    assert gort.run(main, procs=procs) == 4


def test_children_of_children(procs: int) -> None:
    """A cancel from the top reaches every level at once."""
    ended = []

    async def level(n: int) -> None:
        try:
            async with gort.group() as grp:
                if n == 0:
                    await forever()
                for _ in range(2):
                    grp.go(level, n - 1)
        finally:
            ended.append(n)

    async def main() -> None:
        g = gort.go(level, 4)
        while gort.num_goroutine() < 32:
            await gort.gosched()
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        assert gort.num_goroutine() == 1

    gort.run(main, procs=procs)
    assert len(ended) == 31


def test_failures_nest(procs: int) -> None:
    async def inner() -> None:
        async with gort.group() as grp:
            grp.go(boom, Boom())

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as info:
            async with gort.group() as grp:
                grp.go(inner)
        (nested,) = info.value.exceptions
        assert isinstance(nested, ExceptionGroup)
        assert [type(e) for e in nested.exceptions] == [Boom]

    gort.run(main, procs=procs)


def test_shielded_body_children_are_cancelled(procs: int) -> None:
    """The shield is the body's: a timeout around the group reaches the children at
    once, and the body when its shield ends."""

    async def main() -> list[str]:
        log = []

        async def child(ch: gort.Chan) -> None:
            try:
                await forever()
            except gort.Cancelled:
                ch.close()
                raise

        ch = gort.chan()
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.005), gort.group() as grp:
                grp.go(child, ch)
                async with gort.shield():
                    await ch.recv_ok()
                    log.append("shielded")
                await gort.gosched()
                log.append("not reached")
        return log

    assert gort.run(main, procs=procs) == ["shielded"]


def test_shield_around_the_group(procs: int) -> None:
    """A cancel from outside the shield reaches neither the body nor the children."""

    async def child(ch: gort.Chan) -> int:
        return int(await ch.recv())

    async def parent(ch: gort.Chan) -> int:
        async with gort.shield(), gort.group() as grp:
            g = grp.go(child, ch)
        return await g

    async def main() -> None:
        ch = gort.chan()
        g = gort.go(parent, ch)
        while g.wait_reason != "group wait":
            await gort.gosched()
        g.cancel()
        for _ in range(10):
            await gort.gosched()
        assert not g.done()
        await ch.send(7)
        with pytest.raises(gort.Cancelled):
            await g

    gort.run(main, procs=procs)


def test_computing_body(procs: int) -> None:
    """The children of a body that computes are cancelled without its help."""
    gone = threading.Event()

    async def child() -> None:
        try:
            await forever()
        finally:
            gone.set()

    async def parent(ch: gort.Chan) -> None:
        async with gort.group() as grp:
            await until_waiting(grp.go(child))
            await ch.send(1)
            while not gone.wait(0.001):
                pass

    async def main() -> None:
        ch = gort.chan()
        g = gort.go(parent, ch)
        await ch.recv()
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g

    gort.run(main, procs=procs)


# limit


def test_limit(procs: int) -> None:
    async def main() -> tuple[int, int]:
        now = most = 0
        lock = threading.Lock()

        async def child() -> None:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            await gort.sleep(0.0005)
            with lock:
                now -= 1

        async with gort.group(limit=3) as grp:
            gs = [grp.go(child) for _ in range(30)]
            assert gs[-1].status == "idle"
        assert all(g.done() for g in gs)
        return now, most

    assert gort.run(main, procs=procs) == (0, 3)


def test_limit_is_fifo(procs: int) -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def child(i: int) -> None:
            order.append(i)
            await gort.gosched()

        async with gort.group(limit=1) as grp:
            for i in range(20):
                grp.go(child, i)
        return order

    assert gort.run(main, procs=procs) == list(range(20))


def test_limit_and_failure(procs: int) -> None:
    """Children that wait for a slot when the group is cancelled never run."""
    ran = []

    async def child(i: int) -> None:
        ran.append(i)
        await forever()

    def plain() -> None:
        ran.append(-1)

    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            async with gort.group(limit=2) as grp:
                first = grp.go(child, 0)
                await until_waiting(first)
                bad = gort.chan()

                async def fails() -> None:
                    await bad.recv()
                    raise Boom

                grp.go(fails)
                waiting = [grp.go(child, 1), grp.go(plain), grp.go(child, 2)]
                await bad.send(1)
        assert gort.num_goroutine() == 1
        for g in waiting:
            assert g.done()
            with pytest.raises(gort.Cancelled):
                await g

    gort.run(main, procs=procs)
    assert ran == [0]


def test_limit_and_a_cancelled_waiter(procs: int) -> None:
    async def main() -> list[str]:
        ran = []

        async def child(name: str) -> None:
            ran.append(name)
            await ch.recv()

        ch = gort.chan()
        async with gort.group(limit=1) as grp:
            grp.go(child, "a")
            b = grp.go(child, "b")
            grp.go(child, "c")
            b.cancel()
            await ch.send(1)
            await ch.send(1)
        with pytest.raises(gort.Cancelled):
            await b
        return ran

    assert gort.run(main, procs=procs) == ["a", "c"]


def test_limit_awaited_while_waiting(procs: int) -> None:
    """A handle can be joined before its goroutine has a slot."""

    async def main() -> list[int]:
        async with gort.group(limit=1) as grp:
            gs = [grp.go(number, n) for n in range(8)]
            return [await g for g in reversed(gs)]

    assert gort.run(main, procs=procs) == list(reversed(range(8)))


def test_go_from_children(procs: int) -> None:
    async def main() -> int:
        count = 0
        lock = threading.Lock()

        async def child(n: int, grp: gort.Group) -> None:
            nonlocal count
            with lock:
                count += 1
            if n:
                grp.go(child, n - 1, grp)
                grp.go(child, n - 1, grp)

        async with gort.group() as grp:
            grp.go(child, 6, grp)
        return count

    assert gort.run(main, procs=procs) == 127


def test_go_from_a_foreign_thread(procs: int) -> None:
    async def main() -> int:
        got: list[gort.Goroutine] = []
        async with gort.group() as grp:
            t = threading.Thread(target=lambda: got.append(grp.go(number, 9)))
            t.start()
            await gort.syscall(t.join)
        return int(await got[0])

    assert gort.run(main, procs=procs) == 9


def test_left_in_another_goroutine(procs: int) -> None:
    """Nobody can wait there: the children are cancelled, and it is told."""

    async def enters(grp: gort.Group) -> gort.Goroutine:
        await grp.__aenter__()
        return grp.go(forever)

    async def leaves(grp: gort.Group) -> None:
        await grp.__aexit__(None, None, None)

    async def stays(grp: gort.Group, ch: gort.Chan) -> None:
        await grp.__aenter__()
        g = grp.go(forever)
        await ch.send(g)
        await ch.recv()
        with pytest.raises(RuntimeError, match="has ended"):
            grp.go(forever)

    async def main() -> None:
        grp = gort.group()
        ch = gort.chan()
        owner = gort.go(stays, grp, ch)
        child = await ch.recv()
        with pytest.raises(RuntimeError, match="another goroutine"):
            await gort.go(leaves, grp)
        with pytest.raises(gort.Cancelled):
            await child
        await ch.send(1)  # the owner itself is not cancelled
        await owner
        # A goroutine that ends in an open group leaves no orphans.
        child = await gort.go(enters, gort.group())
        with pytest.raises(gort.Cancelled):
            await child

    gort.run(main, procs=procs)


def test_failure_in_a_group_that_nobody_waits_for_is_a_panic(procs: int) -> None:
    async def fails(ch: gort.Chan) -> None:
        try:
            await ch.recv()
        finally:
            raise Boom("orphan")

    async def enters(grp: gort.Group, ch: gort.Chan) -> None:
        await grp.__aenter__()
        await until_waiting(grp.go(fails, ch))

    async def main() -> None:
        await gort.go(enters, gort.group(), gort.chan())
        await forever()

    with pytest.raises(Boom, match="orphan"):
        gort.run(main, procs=procs)


def test_context_manager_functions(procs: int) -> None:
    """Scopes in an asynccontextmanager, and on an exit stack."""

    @contextlib.asynccontextmanager
    async def both() -> AsyncIterator[gort.Group]:
        async with gort.timeout(0.005), gort.group() as grp:
            yield grp

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with both() as grp:
                grp.go(forever)
                await forever()
        with pytest.raises(TimeoutError):
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(gort.timeout(0.005))
                grp = await stack.enter_async_context(gort.group())
                grp.go(forever)
        await gort.gosched()
        assert gort.num_goroutine() == 1

    gort.run(main, procs=procs)


def test_churn(procs: int) -> None:
    """Many groups, with failures and cancels at any time; every goroutine ends."""

    async def child(i: int) -> None:
        for _ in range(i % 4):
            await gort.gosched()
        if i % 7 == 3:
            raise Boom
        if i % 5 == 4:
            await gort.sleep(0.0005)

    async def one(i: int) -> str:
        try:
            async with gort.timeout(0.001 if i % 3 else 60):
                async with gort.group(limit=None if i % 2 else 3) as grp:
                    for j in range(i % 11):
                        grp.go(child, i + j)
        except TimeoutError:
            return "late"
        except ExceptionGroup as group:
            assert {type(e) for e in group.exceptions} == {Boom}
            return "boom"
        return "done"

    async def main() -> int:
        seen = set()
        for i in range(150):
            seen.add(await one(i))
        assert gort.num_goroutine() == 1
        return len(seen)

    assert gort.run(main, procs=procs) >= 2


class Handler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


async def _fails(c: gort.Chan[None]) -> None:
    await c.recv_ok()
    raise ValueError("x")


def test_on_error_log(procs: int) -> None:
    """A failure is logged, the others go on, and the block ends without an error."""
    handler = Handler()
    log = logging.getLogger("gort.group")
    log.addHandler(handler)

    async def goes_on(c: gort.Chan[None], out: list[int]) -> None:
        await c.recv_ok()
        await gort.sleep(0.001)
        out.append(1)

    async def main() -> list[int]:
        out: list[int] = []
        c: gort.Chan[None] = gort.chan()
        async with gort.group(on_error="log") as grp:
            gs = [grp.go(_fails, c), grp.go(goes_on, c, out), grp.go(_fails, c)]
            c.close()
        assert type(gs[0].exception()) is ValueError
        return out

    try:
        assert gort.run(main, procs=procs) == [1]
    finally:
        log.removeHandler(handler)
    assert len(handler.records) == 2
    record = handler.records[0]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert type(record.exc_info[1]) is ValueError
    assert "_fails" in record.getMessage()


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("limit", [None, 1])
def test_on_error_function(kind: str, limit: int | None, procs: int) -> None:
    """It is told of each, above the limit, and the block waits for it."""

    async def main() -> None:
        told: list[tuple[object, object]] = []

        def plain(g: gort.Goroutine[Any], exc: BaseException) -> None:
            assert g.done()
            told.append((g, exc))

        async def slow(g: gort.Goroutine[Any], exc: BaseException) -> None:
            await gort.sleep(0.002)
            plain(g, exc)

        c: gort.Chan[None] = gort.chan()
        c.close()
        async with gort.group(limit, on_error=plain if kind == "plain" else slow) as grp:
            gs = [grp.go(_fails, c) for _ in range(5)]
        assert {g for g, _ in told} == set(gs)
        assert all(exc is g.exception() for g, exc in told)

    gort.run(main, procs=procs)


def test_on_error_that_fails_cancels() -> None:
    async def main() -> None:
        c: gort.Chan[None] = gort.chan()
        c.close()

        def bad(g: gort.Goroutine[Any], exc: BaseException) -> None:
            raise KeyError("handler")

        with pytest.raises(ExceptionGroup) as caught:
            async with gort.group(on_error=bad) as grp:
                grp.go(_fails, c)
                await gort.sleep(3600)
        assert [type(e) for e in caught.value.exceptions] == [KeyError]

    gort.run(main)


def test_on_error_and_the_body() -> None:
    """The body's own error cancels and is raised; so does a child's SystemExit."""

    async def main() -> None:
        never: gort.Chan[None] = gort.chan()
        with pytest.raises(ExceptionGroup) as caught:
            async with gort.group(on_error="log") as grp:
                g = grp.go(never.recv)
                await gort.gosched()
                raise ZeroDivisionError
        assert [type(e) for e in caught.value.exceptions] == [ZeroDivisionError]
        assert type(g.exception()) is gort.Cancelled

        def leave() -> None:
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            async with gort.group(on_error="log") as grp:
                grp.go(leave)
                await never.recv()

    gort.run(main)


def test_on_error_of_a_group_that_is_cancelled() -> None:
    """Who fails in its cleanup is told of, too; an async handler is cancelled as all."""
    told: list[str] = []

    async def main() -> None:
        never: gort.Chan[None] = gort.chan()

        async def child() -> None:
            try:
                await never.recv()
            finally:
                raise ValueError("cleanup")

        async def handler(g: gort.Goroutine[Any], exc: BaseException) -> None:
            told.append(str(exc))
            try:
                await gort.sleep(3600)
            except gort.Cancelled:
                told.append("cancelled")
                raise

        async with gort.group(on_error=handler) as grp:
            grp.go(child)
            await gort.gosched()
            await gort.sleep(0.001)
            grp.cancel()

    gort.run(main)
    assert told == ["cleanup", "cancelled"]


def test_on_error_wrong() -> None:
    with pytest.raises(ValueError, match=r'must be "cancel", "log" or a function, not \'ignore\''):
        gort.group(on_error="ignore")
    for wrong in (None, 5):
        with pytest.raises(TypeError, match='must be "cancel", "log" or a function, not'):
            gort.group(on_error=wrong)
