"""Cancelled inside exception groups, as `except*` and gathering make them: a scope takes
its own cancel out of them, as it takes a bare one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import gort


class Boom(Exception):
    pass


async def bare() -> None:
    await gort.sleep(60)


async def wrapped() -> None:
    try:
        await gort.sleep(60)
    except* gort.Cancelled:
        raise


async def nested() -> None:
    try:
        await wrapped()
    except BaseException as exc:
        raise BaseExceptionGroup("outer", [exc, gort.Cancelled()]) from None


async def mixed() -> None:
    try:
        await gort.sleep(60)
    except BaseException as exc:
        raise BaseExceptionGroup("mixed", [exc, Boom("kept")]) from None


ONLY = pytest.mark.parametrize("nap", [bare, wrapped, nested], ids=lambda f: f.__name__)
Nap = Callable[[], Awaitable[None]]


def booms(exc: BaseException) -> list[str]:
    """The leaves of a group, none of which is a cancel."""
    if isinstance(exc, BaseExceptionGroup):
        return [text for e in exc.exceptions for text in booms(e)]
    assert isinstance(exc, Boom), repr(exc)
    return [str(exc)]


@ONLY
def test_timeout(nap: Nap, procs: int) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError) as caught:
            async with gort.timeout(0.001):
                await nap()
        cause = caught.value.__cause__
        assert isinstance(cause, (gort.Cancelled, BaseExceptionGroup))

    gort.run(main, procs=procs)


@ONLY
def test_shield(nap: Nap, procs: int) -> None:
    async def main() -> int:
        async with gort.shield(0.001):
            await nap()
        return 1

    assert gort.run(main, procs=procs) == 1


@ONLY
def test_group_cancel(nap: Nap, procs: int) -> None:
    async def main() -> int:
        async with gort.group() as grp:
            grp.go(nap)
            grp.cancel()
            await nap()
        return 1

    assert gort.run(main, procs=procs) == 1


@ONLY
def test_a_cancelled_child_is_no_failure(nap: Nap, procs: int) -> None:
    async def main() -> int:
        async with gort.group() as grp:
            child = grp.go(nap)
            other = grp.go(gort.sleep, 0.001)
            await gort.gosched()
            child.cancel()
            await other
        return 1

    assert gort.run(main, procs=procs) == 1


@ONLY
def test_what_was_cancelled_and_forgotten_is_no_panic(nap: Nap, procs: int) -> None:
    async def main() -> int:
        g = gort.go(nap)
        while g.status != "waiting":
            await gort.gosched()
        g.cancel()
        del g
        while gort.num_goroutine() > 1:
            await gort.gosched()
        return 1

    assert gort.run(main, procs=procs) == 1


@ONLY
def test_what_is_left_at_the_end_is_no_panic(nap: Nap, procs: int) -> None:
    async def main() -> int:
        gort.go(nap)
        await gort.sleep(0.001)
        return 1

    assert gort.run(main, procs=procs) == 1


@ONLY
def test_an_outer_cancel_passes_through(nap: Nap, procs: int) -> None:
    async def main() -> int:
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.001):
                async with gort.shield():
                    pass
                async with gort.group() as grp:
                    grp.go(nap)
                    async with gort.timeout(60):
                        await nap()
                raise AssertionError("the group ended as if nothing had come")
        return 1

    assert gort.run(main, procs=procs) == 1


def scopes() -> list[Any]:
    return [lambda: gort.timeout(0.001), lambda: gort.shield(0.001)]


@pytest.mark.parametrize("scope", scopes(), ids=["timeout", "shield"])
def test_what_else_is_in_it_is_raised(scope: Callable[[], Any], procs: int) -> None:
    async def main() -> None:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with scope():
                await mixed()
        assert booms(caught.value) == ["kept"]
        assert caught.value.message == "mixed"

    gort.run(main, procs=procs)


def test_what_else_is_in_a_childs_is_raised_once(procs: int) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with gort.group() as grp:
                child = grp.go(mixed)
                await gort.gosched()
                child.cancel()
                await child  # the body fails with the same one
        assert booms(caught.value) == ["kept"]

    gort.run(main, procs=procs)


def test_what_else_is_in_a_forgotten_one_is_a_panic(procs: int) -> None:
    async def main() -> None:
        g = gort.go(mixed)
        while g.status != "waiting":
            await gort.gosched()
        g.cancel()
        del g
        await gort.sleep(60)

    with pytest.raises(BaseExceptionGroup) as caught:
        gort.run(main, procs=procs)
    assert booms(caught.value) == ["kept"]


class Odd(BaseExceptionGroup[BaseException]):
    def split(self, kind: Any) -> Any:
        raise RuntimeError("not to be split")


def test_a_group_that_cannot_be_split_is_raised_as_it_is(procs: int) -> None:
    async def odd() -> None:
        try:
            await gort.sleep(60)
        except BaseException as exc:
            raise Odd("odd", [exc]) from None

    async def main() -> None:
        with pytest.raises(Odd):
            async with gort.timeout(0.001):
                await odd()

    gort.run(main, procs=procs)


def test_without_a_cancel_it_is_the_same_object(procs: int) -> None:
    exc = ExceptionGroup("plain", [Boom("a"), Boom("b")])

    async def fail() -> None:
        raise exc

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with gort.group() as grp:
                grp.go(fail)
        assert caught.value.exceptions[0] is exc
        with pytest.raises(ExceptionGroup) as again:
            async with gort.timeout(60):
                await fail()
        assert again.value is exc

    gort.run(main, procs=procs)
