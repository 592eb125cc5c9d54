"""Exit hooks: what at_exit registers runs when main has ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import gort


def test_reverse_order_plain_and_async(procs: int) -> None:
    seen: list[Any] = []

    def plain(x: int, *, y: int) -> None:
        seen.append((x, y))

    async def waits(x: int) -> None:
        await gort.sleep(0.001)
        assert gort.current() is not None and gort.current().id == 1  # type: ignore[union-attr]
        seen.append(x)

    async def main() -> str:
        assert gort.at_exit(plain, 1, y=2) is plain
        assert gort.at_exit(waits, 3) is waits
        gort.at_exit(seen.append, 4)
        seen.append("main")
        return "result"

    assert gort.run(main, procs=procs) == "result"
    assert seen == ["main", 4, 3, (1, 2)]


def test_the_others_still_run(procs: int) -> None:
    """Hooks run before what still runs is cancelled."""
    seen = []

    async def server(ch: gort.Chan) -> None:
        try:
            async for reply in ch:
                await reply.send("served")
        except gort.Cancelled:
            seen.append("cancelled")
            raise

    async def hook(ch: gort.Chan) -> None:
        reply: gort.Chan = gort.chan()
        await ch.send(reply)
        seen.append(await reply.recv())

    async def main() -> None:
        ch: gort.Chan = gort.chan()
        gort.go(server, ch)
        gort.at_exit(hook, ch)

    gort.run(main, procs=procs)
    assert seen == ["served", "cancelled"]


def test_one_run_only() -> None:
    seen: list[int] = []

    async def main(n: int) -> None:
        gort.at_exit(seen.append, n)

    async def none() -> None:
        pass

    gort.run(main, 1)
    gort.run(none)
    gort.run(main, 2)
    assert seen == [1, 2]
    gort.at_exit(seen.append, 3)  # none is up: it is the next run's
    assert seen == [1, 2]
    gort.run(none)
    gort.run(none)
    assert seen == [1, 2, 3]


def test_plain_main_and_from_a_goroutine_and_a_thread() -> None:
    seen: list[str] = []

    async def child() -> None:
        gort.at_exit(seen.append, "child")

    def main() -> None:
        gort.wait(gort.go(child))
        thread = threading.Thread(target=gort.at_exit, args=(seen.append, "thread"))
        thread.start()
        thread.join()
        gort.at_exit(seen.append, "main")

    gort.run(main)
    assert seen == ["main", "thread", "child"]


def test_main_that_raises(procs: int) -> None:
    seen: list[str] = []

    async def main(exc: BaseException) -> None:
        gort.at_exit(seen.append, "hook")
        raise exc

    for exc in ValueError("main"), SystemExit(3), KeyboardInterrupt():
        with pytest.raises(type(exc)) as got:
            gort.run(main, exc, procs=procs)
        assert got.value is exc
    assert seen == ["hook"] * 3


def test_main_that_goexits() -> None:
    seen: list[str] = []

    async def main() -> None:
        gort.at_exit(gort.goexit)
        gort.at_exit(seen.append, "hook")
        gort.goexit()

    assert gort.run(main) is None
    assert seen == ["hook"]


def test_hooks_that_raise(capsys: pytest.CaptureFixture[str], procs: int) -> None:
    """All run; run raises what the first of them raised, the others are printed."""
    seen: list[int] = []

    def bad(n: int) -> None:
        seen.append(n)
        raise ValueError(n)

    async def main() -> None:
        gort.at_exit(seen.append, 0)
        gort.at_exit(bad, 1)
        gort.at_exit(bad, 2)

    with pytest.raises(ValueError, match=r"^2\n") as got:
        gort.run(main, procs=procs)
    assert seen == [2, 1, 0]
    assert got.value.__notes__ == [f"in exit hook {__name__}.{bad.__qualname__}"]
    err = capsys.readouterr().err
    assert "Exception ignored in an exit hook:" in err
    assert "ValueError: 1" in err and "ValueError: 2" not in err


def test_hook_that_raises_after_main_did(capsys: pytest.CaptureFixture[str]) -> None:
    def bad() -> None:
        raise ValueError("hook")

    async def main() -> None:
        gort.at_exit(bad)
        raise KeyError("main")

    with pytest.raises(KeyError, match="main"):
        gort.run(main)
    assert "ValueError: hook" in capsys.readouterr().err


def test_hook_exits_with_a_status() -> None:
    async def main() -> None:
        gort.at_exit(sys.exit, 4)

    with pytest.raises(SystemExit) as got:
        gort.run(main)
    assert got.value.code == 4


def test_hook_registers_a_hook() -> None:
    seen: list[str] = []

    def outer() -> None:
        gort.at_exit(seen.append, "inner")
        seen.append("outer")

    async def main() -> None:
        gort.at_exit(seen.append, "last")
        gort.at_exit(outer)

    gort.run(main)
    assert seen == ["outer", "inner", "last"]


def test_too_late() -> None:
    caught = []

    async def child(started: gort.Chan) -> None:
        try:
            await started.send(None)
            await gort.chan().recv()
        finally:
            try:
                gort.at_exit(print)
            except RuntimeError as exc:
                caught.append(str(exc))

    async def main() -> None:
        started: gort.Chan = gort.chan()
        gort.go(child, started)
        await started.recv()

    gort.run(main)
    assert caught == ["at_exit: main has ended, and its exit hooks have run"]


def test_panic_and_deadlock(procs: int) -> None:
    """main was cancelled; its hooks are not."""
    seen: list[str] = []

    async def hook(ch: gort.Chan) -> None:
        await gort.gosched()
        ch.send_nowait(1)
        seen.append(await ch.recv())

    async def bad() -> None:
        raise ValueError("panic")

    async def main(panics: bool) -> None:
        gort.at_exit(hook, gort.chan(1))
        gort.at_exit(hook, gort.chan(1))
        if panics:
            gort.go(bad)
        await gort.chan().recv()

    with pytest.raises(ValueError, match="panic"):
        gort.run(main, True, procs=procs)
    assert seen == [1, 1]
    with pytest.raises(gort.DeadlockError):
        gort.run(main, False, procs=procs)
    assert seen == [1, 1, 1, 1]


def test_hook_that_waits_for_ever(capsys: pytest.CaptureFixture[str]) -> None:
    """A deadlock as any other; the hooks behind it still run."""
    seen: list[str] = []

    async def stuck() -> None:
        await gort.chan().recv()

    async def main() -> None:
        gort.at_exit(seen.append, "first")
        gort.at_exit(stuck)

    with pytest.raises(gort.DeadlockError, match=r"\.stuck\("):
        gort.run(main)
    assert seen == ["first"]


def test_locked_main() -> None:
    idents: list[int] = []

    async def hook() -> None:
        await gort.sleep(0.001)
        idents.append(threading.get_ident())

    async def main() -> None:
        gort.lock_os_thread()
        idents.append(threading.get_ident())
        gort.at_exit(hook)

    gort.run(main, procs=2)
    assert idents[0] == idents[1]


@pytest.mark.parametrize("bad", [None, 3, "print"])
def test_bad_argument(bad: Any) -> None:
    with pytest.raises(TypeError, match="at_exit"):
        gort.at_exit(bad)


def test_process_status(tmp_path: Path) -> None:
    """sys.exit in main: hooks, then the interpreter's own way out."""
    path = tmp_path / "prog.py"
    path.write_text(
        "import atexit, sys, gort\n"
        "atexit.register(print, 'atexit')\n"
        "async def main():\n"
        "    gort.at_exit(print, 'hook')\n"
        "    sys.exit(3)\n"
        "gort.run(main)\n"
    )
    done = subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(gort.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "hook\natexit\n", "")
