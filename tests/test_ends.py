"""How a run begins and ends: beside threads that call in, and with what does not end by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from live import environment

import gort
from gort.runtime import boot


def python(code: str, *options: str, limit: float = 40, **env: str) -> Any:
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=limit,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
    )


async def nothing() -> None:
    pass


# Threads that call in while run boots or goes down.


CALLS: dict[str, Any] = {
    "go": lambda: gort.go(len, "a"),
    "go_async": lambda: gort.go(nothing),
    "after": lambda: gort.after(0.001),
    "after_func": lambda: gort.time.after_func(0.001, len, "a"),
    "wait": lambda: gort.wait(gort.sleep(0.0001)),
    "with_timeout": lambda: gort.context.with_timeout(gort.context.background(), 0.001)[1](),
    "stack": lambda: gort.stack(all=True),
    "goroutines": gort.goroutines,
    "gomaxprocs": gort.gomaxprocs,
}


@pytest.mark.parametrize("what", CALLS)
def test_calls_while_runs_come_and_go(what: str, procs: int) -> None:
    """RuntimeError while no runtime is up; then it works."""
    stop = threading.Event()
    wrong: list[BaseException] = []

    def caller() -> None:
        while not stop.is_set():
            try:
                CALLS[what]()
            except RuntimeError:
                pass
            except BaseException as exc:
                wrong.append(exc)
                return
            time.sleep(0)

    async def main() -> None:
        await gort.sleep(0.0005)

    thread = threading.Thread(target=caller)
    thread.start()
    try:
        for _ in range(15):
            gort.run(main, procs=procs)
    finally:
        stop.set()
        thread.join()
    assert not wrong


def test_go_while_run_goes_down(procs: int) -> None:
    """It is refused, or the goroutine ends: none is left over."""
    begun = threading.Event()
    handles: list[gort.Goroutine[None]] = []

    def starter() -> None:
        begun.wait()
        while True:
            try:
                handles.append(gort.go(nothing))
            except RuntimeError:
                return

    async def main() -> None:
        begun.set()
        await gort.sleep(0.001)

    for _ in range(5):
        begun.clear()
        thread = threading.Thread(target=starter)
        thread.start()
        gort.run(main, procs=procs)
        thread.join()
        assert [g for g in handles if not g.done()] == []


def test_group_go_while_run_goes_down(procs: int) -> None:
    begun = threading.Event()
    handles: list[gort.Goroutine[None]] = []
    grps: list[gort.Group] = []

    def starter() -> None:
        begun.wait()
        while True:
            try:
                handles.append(grps[-1].go(nothing))
            except RuntimeError:
                return

    async def other() -> None:
        async with gort.group() as grp:
            grps.append(grp)
            begun.set()
            await gort.sleep(10)

    async def main() -> None:
        gort.go(other)
        await gort.sleep(0.001)
        while not grps:
            await gort.sleep(0.001)

    thread = threading.Thread(target=starter)
    thread.start()
    gort.run(main, procs=procs)
    thread.join()
    assert [g for g in handles if not g.done()] == []


@pytest.mark.skipif(
    os.environ.get("GORT_PURE", "") in ("", "0"), reason="steps into the end of a run"
)
def test_waitgroup_counts_down_who_never_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a goroutine that no M runs any more, which the end of run ends."""
    wg = gort.sync.WaitGroup()
    late: list[gort.Goroutine[None]] = []
    teardown = boot.teardown

    def last() -> None:
        boot.setm(boot.sched.m0)  # as from a thread of the runtime
        late.append(wg.go(nothing))
        boot.setm(None)
        teardown()

    monkeypatch.setattr(boot, "teardown", last)
    gort.run(nothing, procs=1)
    assert late[0].done()
    assert repr(wg) == "<WaitGroup 0>"


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """run says so, leaves nothing behind, and works again afterwards."""

    async def main() -> int:
        await gort.sleep(0.001)
        return 5

    assert gort.run(main) == 5
    real = threading.Thread.start
    for allowed in (0, 1):
        left = [allowed]

        def start(self: threading.Thread, left: list[int] = left) -> None:
            if left[0] == 0:
                raise RuntimeError("can't start new thread")
            left[0] -= 1
            real(self)

        handler = signal.getsignal(signal.SIGINT)
        files = len(os.listdir("/proc/self/fd"))
        with monkeypatch.context() as m:
            m.setattr(threading.Thread, "start", start)
            with pytest.raises(RuntimeError, match="start new thread"):
                gort.run(main)
        assert len(os.listdir("/proc/self/fd")) == files
        assert signal.getsignal(signal.SIGINT) is handler
        assert gort.run(main) == 5


def test_run_while_the_interpreter_goes_down() -> None:
    """On 3.11 a thread that is started then never begins."""
    got = python(
        "import gort\n"
        "async def main(): pass\n"
        "class X:\n"
        "    def __del__(self):\n"
        "        try: gort.run(main)\n"
        "        except RuntimeError as exc: print(exc, flush=True)\n"
        "x = X()\n"
    )
    assert got.returncode == 0
    assert "going down" in got.stdout
