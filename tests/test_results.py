"""What a goroutine leaves behind: its result, its failure, its place in the count."""

from __future__ import annotations

import gc
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import gort
from gort import context, sync
from gort import time as gtime


class Lost(Exception):
    pass


async def fails() -> None:
    raise Lost


async def nothing() -> None:
    pass


# Records: a goroutine's is used again, and knows nothing of its past life.


async def caught(fn: Callable[[], Any]) -> None:
    with pytest.raises(Lost):
        await gort.go(fn)


async def never() -> None:
    c = gort.chan()
    await c.recv()


@pytest.mark.parametrize("before", [1, 3, 50])
def test_a_record_that_failed_before_panics_again(procs: int, before: int) -> None:
    async def main() -> None:
        for _ in range(before):
            await caught(fails)
        gort.go(fails)
        await never()

    with pytest.raises(Lost):
        gort.run(main, procs=procs)


def test_a_record_that_was_a_panic_is_one_again(procs: int) -> None:
    async def main() -> None:
        gort.go(fails)
        await never()

    for _ in range(5):
        with pytest.raises(Lost):
            gort.run(main, procs=procs)


def test_a_plain_failure_after_others_panics(procs: int) -> None:
    def plain() -> None:
        raise Lost

    async def main() -> None:
        for _ in range(20):
            await caught(plain)
        gort.go(plain)
        await never()

    with pytest.raises(Lost):
        gort.run(main, procs=procs)


# The count.


def test_an_awaited_goroutine_is_not_counted(procs: int) -> None:
    async def main() -> int:
        late = 0
        for _ in range(3000):
            await gort.go(nothing)
            late += gort.num_goroutine() != 1
        return late

    assert gort.run(main, procs=procs) == 0


def test_who_waits_on_a_thread_counts_it_no_more(procs: int) -> None:
    def plain() -> int:
        late = 0
        for _ in range(300):
            gort.wait(gort.go(nothing))
            late += gort.num_goroutine() != 2
        return late

    async def main() -> Any:
        return await gort.go(plain)

    assert gort.run(main, procs=procs) == 0


def test_a_waitgroups_goroutines_are_not_counted_after_wait(procs: int) -> None:
    async def main() -> int:
        late = 0
        for _ in range(500):
            wg = sync.WaitGroup()
            gs = [wg.go(nothing) for _ in range(3)]
            await wg.wait()
            late += gort.num_goroutine() != 1 or any(not g.done() for g in gs)
        return late

    assert gort.run(main, procs=procs) == 0


def test_a_groups_goroutines_are_not_counted_after_the_block(procs: int) -> None:
    async def main() -> int:
        late = 0
        for _ in range(500):
            async with gort.group() as grp:
                gs = [grp.go(nothing) for _ in range(3)]
            late += gort.num_goroutine() != 1 or any(not g.done() for g in gs)
        return late

    assert gort.run(main, procs=procs) == 0


def test_a_waitgroup_that_is_done_twice_is_a_panic(procs: int) -> None:
    async def main() -> None:
        wg = sync.WaitGroup()

        async def done_by_itself() -> None:
            wg.done()

        await wg.go(done_by_itself)
        await never()

    with pytest.raises(RuntimeError, match="negative WaitGroup counter"):
        gort.run(main, procs=procs)


def test_a_waitgroups_goroutines_are_cancelled_when_main_returns(procs: int) -> None:
    ended = []

    async def member() -> None:
        try:
            await never()
        finally:
            ended.append(1)

    async def main() -> None:
        wg = sync.WaitGroup()
        for _ in range(3):
            wg.go(member)
        await gort.gosched()

    gort.run(main, procs=procs)
    # One that had not begun ends at its first op.
    assert len(ended) <= 3


def test_a_waitgroup_outlives_a_failure_and_a_cancel(procs: int) -> None:
    async def main() -> None:
        wg = sync.WaitGroup()
        bad = wg.go(fails)
        stuck = wg.go(never)
        stuck.cancel()
        await wg.wait()
        with pytest.raises(Lost):
            await bad
        with pytest.raises(gort.Cancelled):
            await stuck

    gort.run(main, procs=procs)


# StopIteration.


def stops() -> None:
    raise StopIteration("payload")


async def by_syscall() -> None:
    await gort.syscall(stops)


async def by_next() -> None:
    await gort.syscall(next, iter(()))


async def by_join() -> None:
    await gort.go(stops)


async def by_plain() -> None:
    await gort.go(next, iter(()))


def by_wait() -> None:
    gort.wait(gort.go(stops))


@pytest.mark.parametrize("fn", [by_syscall, by_next, by_join, by_plain, by_wait])
def test_stop_iteration_out_of_an_await_is_a_runtime_error(
    fn: Callable[[], Any], procs: int
) -> None:
    """As out of a coroutine (PEP 479): from 3.12 on an await would take it for a result."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match="raised StopIteration") as caught:
            await gort.go(fn)
        assert isinstance(caught.value.__cause__, StopIteration)

    gort.run(main, procs=procs)


def test_stop_iteration_can_be_caught_where_it_is_awaited(procs: int) -> None:
    async def main() -> None:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="raised StopIteration") as caught:
                await gort.syscall(stops)
            assert caught.value.__cause__.args == ("payload",)  # type: ignore[union-attr]

    gort.run(main, procs=procs)


def test_stop_iteration_of_a_group_and_a_panic(procs: int) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with gort.group() as grp:
                grp.go(stops)
        assert isinstance(caught.value.exceptions[0], StopIteration)
        gort.go(stops)
        await never()

    with pytest.raises(StopIteration):
        gort.run(main, procs=procs)


# Tracebacks.


def length(exc: BaseException) -> int:
    return len(list(traceback.walk_tb(exc.__traceback__)))


def test_a_failure_awaited_again_and_again_does_not_grow(procs: int) -> None:
    async def awaits(g: gort.Goroutine) -> int:
        try:
            await g
        except Lost as exc:
            return length(exc)
        raise AssertionError

    def waits(g: gort.Goroutine) -> int:
        try:
            gort.wait(g)
        except Lost as exc:
            return length(exc)
        raise AssertionError

    async def main() -> None:
        g = gort.go(fails)
        first = await awaits(g)
        names = []
        for _ in range(20):
            assert await awaits(g) == first
            assert await gort.go(waits, g) <= first + 4
        try:
            await g
        except Lost as exc:
            names = [f.f_code.co_name for f, _ in traceback.walk_tb(exc.__traceback__)]
        assert names[0] == "main" and names[-1] == "fails", names

    gort.run(main, procs=procs)


# Notes.


class Sealed(ValueError):
    def add_note(self, note: str) -> None:
        raise RuntimeError("no notes here")


class Equal:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    __hash__ = None  # type: ignore[assignment]


def noted(notes: Any) -> Exception:
    exc = Lost()
    exc.__notes__ = notes
    return exc


@pytest.mark.parametrize(
    "make",
    [
        lambda: noted(42),
        lambda: noted(None),
        lambda: noted(("a",)),
        lambda: noted([Equal()]),
        lambda: Sealed("x"),
    ],
    ids=["int", "none", "tuple", "equal", "sealed"],
)
def test_notes_that_break_lose_no_failure(make: Callable[[], Exception], procs: int) -> None:
    async def fail(exc: Exception) -> None:
        raise exc

    async def in_a_group() -> None:
        exc = make()
        with pytest.raises(ExceptionGroup) as caught:
            async with gort.group() as grp:
                grp.go(fail, exc)
        assert caught.value.exceptions == (exc,)

    async def panics() -> None:
        gort.go(fail, make())
        await never()

    gort.run(in_a_group, procs=procs)
    with pytest.raises((Lost, Sealed)):
        gort.run(panics, procs=procs)


# What a stopped call held.


class Big:
    pass


def test_a_stopped_after_func_lets_go(procs: int) -> None:
    async def main() -> None:
        others = [gtime.after_func(100 + i, nothing) for i in range(200)]
        early = gtime.Timer(50)  # keeps what is stopped from the top of the heap
        ctx, cancel = context.with_cancel(context.background())
        refs = []
        stops: list[Any] = []
        for i in range(20):
            big = Big()
            refs.append(weakref.ref(big))
            t = gtime.after_func(3600, lambda b: None, big)
            if i % 2:
                t.reset(7200)
            assert t.stop() is True
            stop = context.after_func(ctx, lambda b: None, big)
            assert stop() is True
            stops.append(stop)
            del big, t, stop
        gc.collect()
        assert not [r for r in refs if r() is not None]
        assert not any(stop() for stop in stops)
        cancel()
        for t in others:
            t.stop()
        early.stop()

    gort.run(main, procs=procs)
