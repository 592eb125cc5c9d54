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


# What does not end by itself.

HEAD = """
import gort, queue, signal, socket, sys, threading, time
held = threading.Lock(); held.acquire()
here, there = socket.socketpair()
begun, log = [], []
def loop():
    while True: pass
"""

BLOCKS = {
    "sleep": "time.sleep(1000)",
    "queue": "queue.Queue().get()",
    "lock": "held.acquire()",
    "recv": "here.recv(1)",
    "input": "input()",
    "loop": "loop()",
}

ERROR = """
def block():
    begun.append(threading.current_thread() is threading.main_thread())
    try:
        {what}
    finally:
        log.append("finally")
async def main():
    gort.go(block)
    while not begun: await gort.sleep(0.001)
    await gort.sleep(0.02)
    raise ValueError("real")
async def again():
    await gort.sleep(0.001)
    return 5
for procs in 1, 2, 4:
    begun.clear(); log.clear()
    try: gort.run(main, procs=procs)
    except ValueError as exc: print("raised", exc, flush=True)
    if begun[0]: assert log == ["finally"]
    assert gort.run(again, procs=procs) == 5
"""


def waiting(code: str, **env: str) -> Any:
    """python(), with a stdin on which nothing comes."""
    read, write = os.pipe()
    try:
        return subprocess.run(
            [sys.executable, "-c", HEAD + code],
            stdin=read,
            capture_output=True,
            text=True,
            timeout=40,
            env=environment(**env),
        )
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("what", BLOCKS)
def test_mains_error_comes_out(what: str) -> None:
    """Whatever a goroutine does on the thread that called run; and run works again."""
    got = waiting(ERROR.replace("{what}", BLOCKS[what]))
    assert got.stdout.split("\n") == ["raised real"] * 3 + [""], got.stderr
    assert "Traceback" not in got.stderr


def test_a_panic_comes_out_of_a_blocked_main() -> None:
    got = waiting("""
async def bad():
    raise ValueError("real")
def main():
    gort.go(bad)
    time.sleep(1000)
try: gort.run(main, procs=1)
except ValueError as exc: print("raised", exc)
""")
    assert got.stdout == "raised real\n", got.stderr


def test_several_block_one_after_the_other() -> None:
    got = waiting("""
def block(i):
    try: time.sleep(1000)
    except gort.Cancelled: log.append(i)
async def main():
    for i in range(5): gort.go(block, i)
gort.run(main, procs=1)
print("back")
""")
    assert got.stdout == "back\n", got.stderr


def test_one_that_swallows_the_first() -> None:
    got = waiting("""
def block():
    while len(log) < 2:
        try: time.sleep(1000)
        except gort.Cancelled: log.append(1)
async def main():
    gort.go(block)
    await gort.sleep(0.01)
gort.run(main, procs=1)
print("back", len(log))
""")
    assert got.stdout.startswith("back"), got.stderr


def test_run_on_another_thread() -> None:
    """An asynchronous exception ends a loop there; what blocks in C is waited for, aloud."""
    got = waiting("""
async def main(what, *args):
    gort.go(what, *args)
    await gort.sleep(0.05)
    raise ValueError("real")
def run(*args):
    try: gort.run(main, *args, procs=1)
    except ValueError as exc: print("raised", exc, flush=True)
for args in (loop,), (time.sleep, 4):
    thread = threading.Thread(target=run, args=args)
    thread.start()
    thread.join()
""")
    assert got.stdout == "raised real\n" * 2, got.stderr


@pytest.mark.parametrize(("end", "status"), [("raise ValueError('real')", 2)])
def test_gort_run_ends_the_process(end: str, status: int, tmp_path: Any) -> None:
    """Where even Cancelled is swallowed run cannot return; the command does not wait."""
    file = tmp_path / "prog.py"
    file.write_text(f"""
import gort, sys, time
def block():
    begun.append(1)
    while True:
        try: time.sleep(1000)
        except gort.Cancelled: pass
begun = []
def main():
    gort.go(ends)
    block()
async def ends():
    while not begun: await gort.sleep(0.001)
    {end}
""")
    got = subprocess.run(
        [sys.executable, "-m", "gort", "run", "--procs", "1", str(file)],
        capture_output=True,
        text=True,
        timeout=40,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )
    assert got.returncode == status, got.stderr
    assert "run cannot return: goroutine 1 keeps the thread" in got.stderr
    assert "prog.block" in got.stderr or ".block(...)" in got.stderr
    if status == 2:
        assert "panic: ValueError: real" in got.stderr


CTRLC = {
    "await": "g = gort.go(block); begun.append(1); await g",
    "select": "gort.go(block); c = gort.chan(); begun.append(1); await gort.select(c.recv())",
    "loop": "gort.go(loop); await gort.sleep(0.05); begun.append(1); await gort.sleep(1000)",
}


@pytest.mark.parametrize("what", CTRLC)
def test_one_ctrl_c(what: str) -> None:
    got = waiting(f"""
import os
async def block():
    while True: time.sleep(0.1)
async def main():
    {CTRLC[what]}
def press():
    while not begun: time.sleep(0.01)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press, daemon=True).start()
try: gort.run(main, procs=1)
except KeyboardInterrupt: print("interrupted")
""")
    assert got.stdout == "interrupted\n", got.stderr


# Shields.


def test_a_shield_with_a_time_holds_for_it() -> None:
    log: list[str] = []

    async def cleans() -> None:
        try:
            await gort.sleep(1000)
        finally:
            async with gort.shield(20):
                await gort.sleep(2.5)
                log.append("clean")

    async def main() -> None:
        gort.go(cleans)
        await gort.sleep(0.001)

    gort.run(main)
    assert log == ["clean"]


def test_a_shield_without_a_time_ends() -> None:
    log: list[str] = []

    async def cleans() -> None:
        try:
            await gort.sleep(1000)
        finally:
            try:
                async with gort.shield():
                    await gort.sleep(1000)
            except gort.Cancelled:
                log.append("cancelled")
                raise

    async def main() -> None:
        gort.go(cleans)
        await gort.sleep(0.001)

    gort.run(main)
    assert log == ["cancelled"]


def test_a_loop_on_another_thread_ends(procs: int) -> None:
    """Compiled it gets an asynchronous exception, and leaves no thread behind."""
    log: list[str] = []

    def loop() -> None:
        try:
            while True:
                time.sleep(0.001)
        finally:
            log.append("finally")

    async def main() -> None:
        for _ in range(3):
            gort.go(loop)
        await gort.sleep(0.02)

    if os.environ.get("GORT_PURE") == "1":
        pytest.skip("only the thread that called run is reached")
    gort.run(main, procs=procs)
    assert log == ["finally"] * 3
