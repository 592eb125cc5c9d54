"""How many threads there are, who starts them, and what they inherit."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import gort
from gort._bytecode import startthread

PRELUDE = "import os, sys, threading\nimport gort\n"


def script(tmp_path: Path, text: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "prog.py"
    path.write_text(PRELUDE + text)
    src = str(Path(gort.__file__).parents[1])
    return subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": src, **env},
        capture_output=True,
        text=True,
        timeout=50,
    )


BLOCKERS = """
def block(arrived, release):
    gort.wait(arrived.send(threading.get_ident()))
    release.wait()
    return threading.get_ident()

async def main():
    gort.set_max_threads(LIMIT)
    arrived, release = gort.chan(), threading.Event()
    gs = [gort.go(block, arrived, release) for _ in range(N)]
    idents = {await arrived.recv() for _ in gs}
    print(len(idents), flush=True)
    release.set()
    print(sum([await g in idents for g in gs]), flush=True)

gort.run(main, procs=PROCS)
"""


@pytest.mark.parametrize("n", [1, 2])
def test_all_come_back_below_the_limit(tmp_path: Path, n: int) -> None:
    """Each blocker has a thread; main, sysmon, and what spins have some more."""
    text = BLOCKERS.replace("LIMIT", "12").replace("PROCS", str(n)).replace("N)", f"{10 - n})")
    done = script(tmp_path, text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{10 - n}\n{10 - n}\n"


def test_thread_exhaustion(tmp_path: Path) -> None:
    text = BLOCKERS.replace("LIMIT", "10").replace("PROCS", "1").replace("N)", "30)")
    done = script(tmp_path, text)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "runtime: program exceeds 10-thread limit\nfatal error: thread exhaustion\n"
    )


def test_exactly_the_limit(tmp_path: Path) -> None:
    """sysmon, main's thread and one for each of eight blockers make ten; the ninth
    blocker is one too many."""
    text = BLOCKERS.replace("LIMIT", "10").replace("PROCS", "1")
    done = script(tmp_path, text.replace("N)", "8)"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "8\n8\n", "")
    done = script(tmp_path, text.replace("N)", "9)"))
    assert done.returncode == 2
    assert "thread exhaustion" in done.stderr


def test_limit_below_what_there_is(tmp_path: Path) -> None:
    text = """
async def main():
    gort.set_max_threads(1)
    print('not here')

gort.run(main)
"""
    done = script(tmp_path, text)
    assert (done.returncode, done.stdout) == (2, "")
    assert "runtime: program exceeds 1-thread limit\n" in done.stderr


def test_limit_set_before_run(tmp_path: Path) -> None:
    text = """
async def main():
    print(gort.set_max_threads(10000))

gort.set_max_threads(2)
gort.run(main, procs=1)
gort.set_max_threads(1)
gort.run(main)
"""
    done = script(tmp_path, text)
    assert (done.returncode, done.stdout) == (2, "2\n")
    assert "program exceeds 1-thread limit" in done.stderr


NEWOSPROC = """
real = threading.Thread.start

def start(self):
    if self.name.startswith("gort-m"):
        raise RuntimeError("can't start new thread")
    real(self)

async def other():
    pass

async def main():
    g = gort.go(other)
    if LOCKED:
        gort.lock_os_thread()
    gort.wait(g)

threading.Thread.start = start
gort.run(main, procs=1)
"""


@pytest.mark.parametrize("locked", ["True", "False"])
def test_no_new_thread_to_be_had(tmp_path: Path, locked: str) -> None:
    done = script(tmp_path, NEWOSPROC.replace("LOCKED", locked))
    assert done.returncode == 2
    have = 3 if locked == "True" else 2
    assert done.stderr.startswith(
        f"runtime: failed to create new OS thread (have {have} already; errno=11)\n"
        "runtime: may need to increase max user processes (ulimit -u)\n"
        "fatal error: newosproc\n"
    )


@pytest.mark.skipif(
    os.environ.get("GORT_PURE", "") not in ("", "0"), reason="uncompiled, Thread.start() waits"
)
def test_nobody_waits_for_a_new_thread() -> None:
    """Threads of the runtime cannot come up while threading's own lock is held; who starts
    them goes on."""
    lock = threading._active_limbo_lock  # type: ignore[attr-defined]

    async def child(i: int) -> int:
        return i

    async def main() -> list[int]:
        with lock:
            gs = [gort.go(child, i) for i in range(8)]
        return [await g for g in gs]

    assert gort.run(main, procs=4) == list(range(8))


@pytest.mark.skipif(
    os.environ.get("GORT_PURE", "") not in ("", "0"), reason="Thread.join() may return before that"
)
def test_the_monitor_is_gone_with_its_run() -> None:
    """Its thread has neither a state nor a task left when run returns."""

    async def main() -> tuple[int, set[str]]:
        while True:
            for t in threading.enumerate():
                if t.name == "gort-sysmon" and t.ident is not None:
                    return t.ident, {str(t.native_id)}
            await gort.sleep(0.0001)

    for _ in range(200):
        ident, task = gort.run(main, procs=1)
        assert ident not in sys._current_frames()
        if sys.platform == "linux":
            assert not task & set(os.listdir("/proc/self/task"))


needs_two_cpus = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="the affinity of one CPU cannot be narrowed"
)


def narrow() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def affinity(arrived: gort.Chan, release: threading.Event) -> set[int]:
    gort.wait(arrived.send(None))
    release.wait()
    return set(os.sched_getaffinity(0))


@needs_two_cpus
def test_altered_affinity_does_not_spread(procs: int) -> None:
    """Ms that a locked, altered thread asks for are as the others are."""
    full = set(os.sched_getaffinity(0))

    async def locked(arrived: gort.Chan, release: threading.Event) -> set[int]:
        gort.lock_os_thread()
        narrow()
        # This thread hands its P over at each op that waits: new Ms are its doing.
        gs = [gort.go(affinity, arrived, release) for _ in range(6)]
        for _ in gs:
            await arrived.recv()
        release.set()
        for g in gs:
            assert await g == full
        return set(os.sched_getaffinity(0))

    async def main() -> None:
        arrived: gort.Chan = gort.chan()
        here = await gort.go(locked, arrived, threading.Event())
        assert here == {min(full)}

    # m0 is a thread of its own: wedged as it is narrowed, it shall not be pytest's.
    in_a_thread(lambda: gort.run(main, procs=procs))


def in_a_thread(fn: object) -> None:
    failed: list[BaseException] = []

    def call() -> None:
        try:
            fn()  # type: ignore[operator]
        except BaseException as exc:
            failed.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


@needs_two_cpus
def test_a_foreign_thread_does_not_spread_its_affinity() -> None:
    full = set(os.sched_getaffinity(0))

    async def main() -> None:
        arrived: gort.Chan = gort.chan()
        release = threading.Event()
        gs: list[gort.Goroutine] = []

        def foreign() -> None:
            narrow()
            for _ in range(8):
                # Each keeps its thread, so that the next one needs a new one.
                gs.append(gort.go(affinity, arrived, release))
                gort.wait(arrived.recv())

        thread = threading.Thread(target=foreign)
        thread.start()
        await gort.syscall(thread.join)
        release.set()
        for g in gs:
            assert await g == full

    gort.run(main, procs=2)


def test_template_thread_is_lazy_and_one() -> None:
    def count() -> int:
        return sum(t.name == "gort-template" for t in threading.enumerate())

    async def locked(ready: gort.Chan) -> None:
        gort.lock_os_thread()
        await ready.send(None)

    async def main() -> None:
        assert count() == 0
        ready: gort.Chan = gort.chan()
        gs = [gort.go(locked, ready) for _ in range(5)]
        for _ in gs:
            await ready.recv()
        assert count() == 1
        for g in gs:
            await g

    for _ in range(3):
        gort.run(main, procs=2)
        assert count() == 0


def test_a_thread_of_the_runtime_starts_in_an_empty_context() -> None:
    """From 3.14 on threads start in a copy of their maker's context, without a GIL always: a
    goroutine's variables would live as long as the M that it had started."""
    found: list[int] = []

    def start() -> None:
        var: contextvars.ContextVar[str] = contextvars.ContextVar("var")
        var.set("the goroutine's")
        see = startthread(lambda out: out.append(len(contextvars.copy_context())), found, "m")
        see.join()

    contextvars.copy_context().run(start)
    assert found == [0]
