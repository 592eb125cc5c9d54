"""Bad input is an error in words at the call, and the runtime goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import gort


async def nothing() -> None: ...


@pytest.mark.parametrize("bad", [None, 3, "f", [nothing]])
def test_go_of_a_non_callable(bad: Any, procs: int) -> None:
    async def main() -> str:
        with pytest.raises(TypeError) as info:
            gort.go(bad)
        assert len(str(info.value)) > 10
        await gort.go(nothing)
        return "on"

    assert gort.run(main, procs=procs) == "on"


def test_go_of_a_coroutine_object() -> None:
    async def main() -> None:
        coro = nothing()
        with pytest.raises(TypeError) as info:
            gort.go(coro)  # type: ignore[arg-type]
        coro.close()
        assert "go(" in str(info.value)

    gort.run(main)


def test_go_with_wrong_arguments() -> None:
    async def one(a: int) -> int:
        return a

    async def main() -> None:
        with pytest.raises(TypeError):
            gort.go(one)
        with pytest.raises(TypeError):
            gort.go(one, 1, 2)
        with pytest.raises(TypeError):
            gort.go(one, b=1)
        with pytest.raises(TypeError):
            gort.go()  # type: ignore[call-arg]
        assert await gort.go(one, 1) == 1
        assert gort.num_goroutine() == 1

    gort.run(main)


def test_foreign_event_loop() -> None:
    async def awaits_asyncio() -> None:
        await asyncio.sleep(0.01)

    async def main() -> str:
        loop = asyncio.new_event_loop()
        try:
            with pytest.raises(TypeError, match="Future"):
                await loop.create_future()
        finally:
            loop.close()
        with pytest.raises((TypeError, RuntimeError)):
            await gort.go(awaits_asyncio)
        return "on"

    assert gort.run(main) == "on"


def test_gort_ops_in_asyncio() -> None:
    async def main() -> None:
        for make in (gort.gosched, lambda: gort.sleep(1), gort.chan(1).recv):
            with pytest.raises(RuntimeError):
                await make()
        with pytest.raises(RuntimeError):
            gort.go(nothing)

    asyncio.run(main())


def test_ops_outside() -> None:
    ch = gort.chan(1)
    for call in (
        lambda: gort.go(nothing),
        lambda: gort.wait(ch.recv()),
        lambda: ch.send_nowait(1),
        ch.recv_nowait,
        ch.close,
        lambda: gort.after(1),
        lambda: gort.tick(1),
        gort.goexit,
        gort.lock_os_thread,
    ):
        with pytest.raises(RuntimeError) as info:
            call()
        assert str(info.value)
    assert gort.current() is None
    assert gort.stack() == ""
    assert isinstance(gort.stack(all=True), str)


def test_blocking_outside() -> None:
    async def use() -> None:
        async with gort.blocking():
            pass

    coro = use()
    with pytest.raises(RuntimeError):
        coro.send(None)


@pytest.mark.parametrize("bad", ["10", 1.5, None, True])
def test_set_max_threads_type(bad: Any) -> None:
    with pytest.raises(TypeError):
        gort.set_max_threads(bad)


@pytest.mark.parametrize("bad", [0, -1, 1 << 40])
def test_set_max_threads_value(bad: int) -> None:
    with pytest.raises(ValueError):
        gort.set_max_threads(bad)


def test_set_max_threads() -> None:
    old = gort.set_max_threads(5000)
    assert old == 10000
    assert gort.set_max_threads(old) == 5000


def test_await_of_a_chan() -> None:
    async def main() -> None:
        with pytest.raises(TypeError):
            await gort.chan()  # type: ignore[misc]
        with pytest.raises(TypeError):
            await gort.go  # type: ignore[misc]

    gort.run(main)


@pytest.mark.filterwarnings("ignore:.* was never awaited:RuntimeWarning")
def test_awaitable_dropped_unused() -> None:
    async def main() -> int:
        ch = gort.chan(1)
        it = ch.send(1).__await__()
        del it
        coro = gort.select(ch.send(3))
        del coro
        assert len(ch) == 0
        await ch.send(2)
        return await ch.recv()

    assert gort.run(main) == 2


def test_swallowed_cancel_in_a_loop_ends_with_run() -> None:
    """A goroutine that swallows every cancel cannot hold run up for ever... if it ends."""
    seen: list[int] = []

    async def stubborn(started: gort.Chan) -> None:
        started.close()
        for _ in range(100):
            try:
                await gort.chan().recv()
            except gort.Cancelled:
                seen.append(1)

    async def main() -> str:
        started = gort.chan()
        gort.go(stubborn, started)
        await started.recv_ok()
        return "main"

    assert gort.run(main) == "main"
    assert len(seen) == 100
