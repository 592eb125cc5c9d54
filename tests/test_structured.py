"""gather, map, as_completed: several calls at once, with the rules of a group."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

import gort


class Boom(Exception):
    pass


async def double(x: int) -> int:
    await gort.gosched()
    return 2 * x


async def boom(text: str = "boom") -> None:
    raise Boom(text)


async def forever() -> None:
    await gort.chan().recv()


def plain(a: int, b: int) -> int:
    return a + b


# gather


def test_gather_in_order(procs: int) -> None:
    async def main() -> list[Any]:
        return await gort.gather((double, 1), (plain, 1, 2), lambda: "x", (double, 4))

    assert gort.run(main, procs=procs) == [2, 3, "x", 8]


def test_gather_of_nothing() -> None:
    async def main() -> list[Any]:
        return await gort.gather()

    assert gort.run(main) == []


def test_gather_raises_the_first_failure_itself(procs: int) -> None:
    async def main() -> list[str]:
        ended = []

        async def late() -> None:
            try:
                await forever()
            finally:
                ended.append("late")
                raise ValueError("in its cleanup")

        with pytest.raises(Boom, match="boom") as info:
            await gort.gather(late, boom, forever)
        assert ended == ["late"]
        assert gort.num_goroutine() == 1
        return info.value.__notes__

    notes = gort.run(main, procs=procs)
    assert any("ValueError: in its cleanup" in note for note in notes)


def test_gather_is_cancelled_with_its_caller(procs: int) -> None:
    async def main() -> str:
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.001):
                await gort.gather(forever, forever)
        return f"{gort.num_goroutine()} left"

    assert gort.run(main, procs=procs) == "1 left"


@pytest.mark.parametrize("bad", [5, None, (), (5, 6), "x"])
def test_gather_wants_functions(bad: Any) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="gather wants functions"):
            gort.gather(bad)
        with pytest.raises(TypeError, match="coroutine object double"):
            gort.gather(double(1))  # type: ignore[arg-type]

    gort.run(main)


# map


def test_map_in_order(procs: int) -> None:
    async def late(i: int) -> int:
        await gort.sleep(0.001 * (5 - i))
        return i

    async def main() -> list[int]:
        return [r async for r in gort.map(late, range(5))]

    assert gort.run(main, procs=procs) == list(range(5))


@pytest.mark.parametrize("limit", [1, 3])
def test_map_limit_bounds_what_runs_and_what_is_read(procs: int, limit: int) -> None:
    async def main() -> None:
        running = most = taken = given = 0

        def items() -> Any:
            nonlocal given
            for i in range(20):
                given += 1
                assert given - taken <= limit + 1, "read ahead of its limit"
                yield i

        async def work(i: int) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await gort.gosched()
            running -= 1
            return i

        async for i in gort.map(work, items(), limit=limit):
            assert i == taken
            taken += 1
        assert taken == 20 and most <= limit

    gort.run(main, procs=procs if procs == 1 else 1)


def test_map_over_a_channel_and_a_plain_function(procs: int) -> None:
    async def main() -> list[int]:
        c = gort.chan(3)
        for i in range(3):
            c.send_nowait(i)
        c.close()
        return [r async for r in gort.map((plain, 10), c)]

    assert gort.run(main, procs=procs) == [10, 11, 12]


def test_map_raises_the_first_failure(procs: int) -> None:
    async def work(i: int) -> int:
        if i == 2:
            raise Boom(i)
        if i > 2:
            await forever()
        return i

    async def main() -> list[int]:
        seen = []
        results = gort.map(work, range(10))
        with pytest.raises(Boom):
            async for r in results:
                seen.append(r)
        assert [r async for r in results] == []
        assert gort.num_goroutine() == 1
        return seen

    # The failure may come before what ended well was taken.
    assert gort.run(main, procs=procs) == [0, 1][: len(gort.run(main, procs=procs))]


def test_map_iterable_that_fails(procs: int) -> None:
    async def items() -> AsyncIterator[int]:
        yield 1
        raise Boom("no more")

    async def main() -> None:
        with pytest.raises(Boom, match="no more"):
            async for _ in gort.map(double, items()):
                pass

    gort.run(main, procs=procs)


def test_map_left_early_ends_what_runs(procs: int) -> None:
    async def main() -> None:
        ended = gort.chan(10)

        async def work(i: int) -> int:
            if i == 0:
                return i
            try:
                await forever()
            finally:
                ended.send_nowait(i)
            return i

        async for _ in gort.map(work, range(3)):
            break
        assert {await ended.recv(), await ended.recv()} == {1, 2}
        while gort.num_goroutine() > 1:
            await gort.gosched()

        async with contextlib.aclosing(gort.map(work, range(3))) as results:
            async for _ in results:
                break
        assert len(ended) == 2 and gort.num_goroutine() == 1

    gort.run(main, procs=procs)


def test_map_consumer_cancelled(procs: int) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.001):
                async for _ in gort.map(lambda i: gort.wait(gort.chan().recv()), range(2)):
                    pass
        assert gort.num_goroutine() == 1

    gort.run(main, procs=procs)


def test_map_never_begun_starts_nothing() -> None:
    async def main() -> None:
        results = gort.map(double, [1])
        assert repr(results) == "<gort.map: new>"
        await results.aclose()
        assert [r async for r in results] == []

    gort.run(main)


@pytest.mark.parametrize(
    ("args", "kwargs", "error"),
    [
        ((5, [1]), {}, TypeError),
        ((double, 5), {}, TypeError),
        ((double, []), {"limit": 0}, ValueError),
        ((double, []), {"limit": "3"}, TypeError),
        ((double, []), {"limit": True}, TypeError),
    ],
)
def test_map_bad_arguments(args: Any, kwargs: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        gort.map(*args, **kwargs)


# as_completed


def test_as_completed_as_they_end(procs: int) -> None:
    async def main() -> list[Any]:
        gates = [gort.chan() for _ in range(3)]

        async def call(i: int) -> int:
            await gates[i].recv()
            return i

        seen = []
        order = [2, 0, 1]
        gort.go(gates[order[0]].send, None)
        async for r in gort.as_completed([(call, i) for i in range(3)]):
            seen.append(r)
            if len(seen) < 3:
                gort.go(gates[order[len(seen)]].send, None)
        return seen

    assert gort.run(main, procs=procs) == [2, 0, 1]


def test_as_completed_takes_what_waits_and_what_does_not(procs: int) -> None:
    async def main() -> list[Any]:
        calls = [lambda: 1, (double, 1), (plain, 1, 2), (gort.sleep, 0)]
        return [r async for r in gort.as_completed(calls, limit=2)]

    assert sorted(gort.run(main, procs=procs), key=str) == [1, 2, 3, None]


def test_as_completed_failure(procs: int) -> None:
    async def main() -> None:
        with pytest.raises(Boom):
            async for _ in gort.as_completed([forever, boom]):
                pass
        assert gort.num_goroutine() == 1

    gort.run(main, procs=procs)


def test_as_completed_checks_a_list_at_the_call() -> None:
    with pytest.raises(TypeError, match="as_completed wants functions"):
        gort.as_completed([double, 5])
    with pytest.raises(TypeError, match="iterable"):
        gort.as_completed(5)  # type: ignore[arg-type]


# supervise


def test_supervise_gives_the_result_after_failures(procs: int) -> None:
    async def main() -> tuple[int, int]:
        tries = 0

        async def work(n: int) -> int:
            nonlocal tries
            tries += 1
            if tries < 4:
                raise Boom(tries)
            return n

        return await gort.supervise(work, 7, backoff=(0, 0)), tries

    assert gort.run(main, procs=procs) == (7, 4)


def test_supervise_gives_up() -> None:
    async def main() -> list[str]:
        with pytest.raises(Boom) as info:
            await gort.supervise(boom, max_restarts=2, within=60, backoff=(0, 0))
        return info.value.__notes__

    assert any("2 restarts within 60 s" in note for note in gort.run(main))


def test_supervise_never_and_always() -> None:
    async def main() -> int:
        with pytest.raises(Boom) as info:
            await gort.supervise(boom, restart="never")
        assert not any("supervise gave" in note for note in getattr(info.value, "__notes__", []))
        runs = 0

        def work() -> None:
            nonlocal runs
            runs += 1

        with pytest.raises(RuntimeError, match="3 restarts"):
            await gort.supervise(work, restart="always", max_restarts=3, backoff=(0, 0))
        return runs

    assert gort.run(main) == 4


def test_supervise_is_cancelled_with_its_call(procs: int) -> None:
    async def main() -> None:
        g = gort.go(gort.supervise, forever)
        while gort.num_goroutine() < 3:
            await gort.gosched()
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        assert gort.num_goroutine() == 1

    gort.run(main, procs=procs)


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"restart": "often"}, ValueError),
        ({"max_restarts": -1}, ValueError),
        ({"max_restarts": 1.5}, TypeError),
        ({"within": "60"}, TypeError),
        ({"within": float("nan")}, ValueError),
        ({"backoff": 1}, TypeError),
        ({"backoff": (2, 1)}, ValueError),
        ({"backoff": (-1, 1)}, ValueError),
    ],
)
def test_supervise_bad_arguments(kwargs: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="supervise"):
        gort.supervise(double, 1, **kwargs)
    with pytest.raises(TypeError, match="supervise wants functions"):
        gort.supervise(5)  # type: ignore[arg-type]
