"""gort.run: results, exceptions, again and again, on any thread."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import gort


def test_result(procs: int) -> None:
    async def main(a: int, b: int) -> int:
        return a + b

    assert gort.run(main, 2, 3, procs=procs) == 5


def test_default_procs() -> None:
    async def main() -> int:
        return gort.gomaxprocs()

    assert gort.run(main) >= 1


def test_plain_main(procs: int) -> None:
    def main(x: int) -> tuple[int, Any]:
        return x * 2, gort.current()

    value, g = gort.run(main, 21, procs=procs)
    assert value == 42
    assert g is not None and g.id == 1


def test_plain_main_exception() -> None:
    def main() -> None:
        raise KeyError("plain")

    with pytest.raises(KeyError, match="plain"):
        gort.run(main)


class Boom(Exception):
    pass


def test_exception(procs: int) -> None:
    exc = Boom("x")

    async def main() -> None:
        await gort.gosched()
        raise exc

    with pytest.raises(Boom) as info:
        gort.run(main, procs=procs)
    assert info.value is exc


def test_exception_traceback_names_main() -> None:
    async def main_that_fails() -> None:
        raise Boom

    with pytest.raises(Boom) as info:
        gort.run(main_that_fails)
    assert "main_that_fails" in [t.name for t in info.traceback]


@pytest.mark.parametrize("exc", [SystemExit(3), KeyboardInterrupt()], ids=["exit", "kbd"])
def test_base_exceptions_pass(exc: BaseException, procs: int) -> None:
    async def main() -> None:
        await gort.gosched()
        raise exc

    with pytest.raises(type(exc)) as info:
        gort.run(main, procs=procs)
    assert info.value is exc


def test_stop_iteration_from_plain_main() -> None:
    def main() -> None:
        raise StopIteration(5)

    with pytest.raises((StopIteration, RuntimeError)):
        gort.run(main)


def test_again_and_again(procs: int) -> None:
    async def child(ch: gort.Chan, i: int) -> None:
        await ch.send(i)

    async def main() -> int:
        ch = gort.chan()
        for i in range(3):
            gort.go(child, ch, i)
        return sum([await ch.recv() for _ in range(3)])

    for _ in range(100):
        assert gort.run(main, procs=procs) == 3


def test_again_after_failure(procs: int) -> None:
    async def bad() -> None:
        raise Boom

    async def good() -> int:
        return 1

    for _ in range(20):
        with pytest.raises(Boom):
            gort.run(bad, procs=procs)
        assert gort.run(good, procs=procs) == 1


def test_on_a_thread(procs: int) -> None:
    got: list[Any] = []

    async def main() -> str:
        ch = gort.chan()

        async def child() -> None:
            await ch.send("hello")

        gort.go(child)
        await gort.sleep(0.001)
        return await ch.recv()

    t = threading.Thread(target=lambda: got.append(gort.run(main, procs=procs)))
    t.start()
    t.join()
    assert got == ["hello"]
    assert gort.run(main, procs=procs) == "hello"


def test_exception_on_a_thread() -> None:
    got: list[BaseException] = []

    async def main() -> None:
        raise Boom

    def body() -> None:
        try:
            gort.run(main)
        except Boom as exc:
            got.append(exc)

    t = threading.Thread(target=body)
    t.start()
    t.join()
    assert len(got) == 1


def test_second_concurrent_run(procs: int) -> None:
    got: list[str] = []

    def second() -> None:
        try:
            gort.run(nothing)
        except RuntimeError as exc:
            got.append(str(exc))

    async def nothing() -> None: ...

    async def main() -> int:
        t = threading.Thread(target=second)
        t.start()
        await gort.syscall(t.join)
        return 7

    assert gort.run(main, procs=procs) == 7
    assert len(got) == 1


def test_nested_run(procs: int) -> None:
    async def nothing() -> None: ...

    async def main() -> int:
        with pytest.raises(RuntimeError):
            gort.run(nothing)
        await gort.gosched()
        return 1

    assert gort.run(main, procs=procs) == 1


def test_what_still_runs_is_cancelled(procs: int) -> None:
    log: list[str] = []

    async def child(ch: gort.Chan, started: gort.Chan) -> None:
        try:
            await started.send(None)
            await ch.recv()
        except gort.Cancelled:
            log.append("cancelled")
            raise
        finally:
            log.append("finally")

    async def main() -> str:
        ch, started = gort.chan(), gort.chan()
        for _ in range(5):
            gort.go(child, ch, started)
        for _ in range(5):
            await started.recv()
        return "main"

    assert gort.run(main, procs=procs) == "main"
    assert sorted(log) == ["cancelled"] * 5 + ["finally"] * 5


def test_never_started_child_does_not_hang(procs: int) -> None:
    async def child() -> None:
        await gort.sleep(3600)

    async def main() -> int:
        for _ in range(10):
            gort.go(child)
        return 1

    assert gort.run(main, procs=procs) == 1


def test_run_down_then_outside_again() -> None:
    async def main() -> None:
        assert gort.current() is not None

    gort.run(main)
    assert gort.current() is None
    with pytest.raises(RuntimeError):
        gort.go(main)


@pytest.mark.parametrize("bad", [None, 3, "main"])
def test_bad_main(bad: Any) -> None:
    with pytest.raises(TypeError):
        gort.run(bad)


def test_coroutine_object_as_main() -> None:
    async def main() -> None: ...

    coro = main()
    with pytest.raises(TypeError):
        gort.run(coro)  # type: ignore[arg-type]
    coro.close()


@pytest.mark.parametrize("bad", ["2", 1.5, None.__class__])
def test_bad_procs_type(bad: Any) -> None:
    async def main() -> None: ...

    with pytest.raises(TypeError):
        gort.run(main, procs=bad)


@pytest.mark.parametrize("bad", [0, -1, 10**9])
def test_bad_procs_value(bad: int) -> None:
    async def main() -> None: ...

    with pytest.raises(ValueError):
        gort.run(main, procs=bad)


def test_wrong_arguments_for_main() -> None:
    async def main(a: int) -> int:
        return a

    with pytest.raises(TypeError):
        gort.run(main)
    assert gort.run(main, 4) == 4


def test_gomaxprocs_env(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        return gort.gomaxprocs()

    monkeypatch.setenv("GOMAXPROCS", "3")
    assert gort.run(main) == 3
    assert gort.run(main, procs=2) == 2
