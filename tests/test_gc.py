"""The GC worker: who collects, when, and that garbage stays bounded."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gort
from gort.runtime.gcwork import gcstats

GENERATIONS = "t" not in sys.abiflags
ENOUGH = 5_000_000


class Node:
    """Cyclic garbage that is counted."""

    live = 0

    def __init__(self) -> None:
        self.me = self
        Node.live += 1

    def __del__(self) -> None:
        Node.live -= 1


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Nothing left of an earlier test, and gc as it was."""
    enabled, thresholds = gc.isenabled(), gc.get_threshold()
    gc.collect()
    Node.live = 0
    yield
    gc.set_threshold(*thresholds)
    gc.enable() if enabled else gc.disable()


def script(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    src = str(Path(gort.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": src, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_automatic_collection_is_off_meanwhile() -> None:
    async def main() -> bool:
        return gc.isenabled()

    assert gc.isenabled()
    assert gort.run(main) is False
    assert gc.isenabled()


def test_restored_after_errors() -> None:
    async def main() -> None:
        raise KeyError("main")

    async def deadlock() -> None:
        await gort.chan().recv()

    async def fails() -> None:
        raise KeyError("goroutine")

    async def panics() -> None:
        gort.go(fails)
        await gort.chan().recv()

    for fn, exc in ((main, KeyError), (deadlock, gort.DeadlockError), (panics, KeyError)):
        with pytest.raises(exc):
            gort.run(fn)
        assert gc.isenabled()


def test_disabled_before_means_off() -> None:
    async def main() -> dict[str, int]:
        for _ in range(50_000):
            Node()
        for _ in range(100):
            await gort.gosched()
        return gcstats()

    gc.disable()
    assert gort.run(main)["collections"] == 0
    assert not gc.isenabled()
    assert Node.live == 50_000


def test_enabled_by_the_user_stands_back() -> None:
    async def main() -> tuple[int, bool]:
        gc.enable()
        for _ in range(100):
            for _ in range(1000):
                Node()
            await gort.sleep(0.0001)
        return gcstats()["collections"], gc.isenabled()

    assert gort.run(main) == (0, True)
    assert gc.isenabled()


def test_threshold_0_is_off() -> None:
    async def burst() -> int:
        before = gcstats()["collections"]
        for _ in range(100):
            for _ in range(1000):
                Node()
            await gort.gosched()
        return gcstats()["collections"] - before

    async def main() -> None:
        gc.set_threshold(0)
        for _ in range(100):  # until sysmon has looked at the thresholds again
            if await burst() == 0:
                break
        assert await burst() == 0

    gort.run(main)


async def collected(n: int) -> None:
    """Make cycles, with idle times, until the worker has collected n times."""
    for _ in range(ENOUGH // 1000):
        if gcstats()["collections"] >= n:
            return
        for _ in range(1000):
            Node()
        await gort.sleep(0.0005)
    pytest.fail("the worker did not collect")


def test_idle(procs: int) -> None:
    """With idle times there are collections that nobody had to force."""

    async def main() -> None:
        for _ in range(1000):
            await collected(gcstats()["collections"] + 1)
            stats = gcstats()
            if stats["collections"] > stats["forced"]:
                return
        pytest.fail("every collection was forced")

    gort.run(main, procs=procs)


def test_bounded_where_nobody_idles(procs: int) -> None:
    """Goroutines that never wait, but do enter the runtime."""

    async def spin(drops: int) -> None:
        last = Node.live
        for i in range(ENOUGH):
            Node()
            drops -= Node.live < last
            last = Node.live
            if drops == 0:
                return
            if i % 50 == 0:
                await gort.gosched()
        pytest.fail(f"{Node.live} instances live")

    async def main() -> None:
        gs = [gort.go(spin, 5) for _ in range(procs + 1)]
        for g in gs:
            await g

    gort.run(main, procs=procs)


def drops(n: int) -> int:
    """Make cycles, without entering the runtime, until somebody collected n times."""
    made = 0
    seen = gcstats()["collections"]
    while gcstats()["collections"] < seen + n:
        Node()
        made += 1
        if made == ENOUGH:
            pytest.fail(f"{Node.live} of {made} instances live")
    return made


def test_bounded_where_nobody_enters_the_runtime(procs: int) -> None:
    """Loops that take all Ps: sysmon takes one away for the collection."""

    # Not for many collections: with a GIL the worker has one thread's share of it to run
    # finalizers in, and finds more each time (docs/design.md).
    async def hog() -> int:
        return drops(3)

    async def main() -> list[int]:
        gs = [gort.go(hog) for _ in range(procs)]
        return [await g for g in gs]

    assert sum(gort.run(main, procs=procs)) < procs * ENOUGH


def test_bounded_for_a_foreign_thread(procs: int) -> None:
    """All goroutines wait while a plain thread makes garbage."""

    async def main() -> None:
        done = gort.chan(1)

        def thread() -> None:
            try:
                done.send_nowait(drops(5))
            except BaseException as exc:
                done.send_nowait(exc)

        t = threading.Thread(target=thread)
        t.start()
        made = await done.recv()
        await gort.syscall(t.join)
        assert isinstance(made, int)

    gort.run(main, procs=procs)


def test_finalizers_are_user_code(procs: int) -> None:
    """A __del__ in a collection uses the runtime: starts, sends, wakes, is current."""

    class Entering:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            me = gort.current()
            try:
                got.send_nowait((me is not None, gort.num_goroutine()))
                gort.go(started.send, 1)
            except gort.WouldBlock:
                pass

    async def main() -> None:
        nonlocal got, started
        got = gort.chan(1)
        started = gort.chan()
        for _ in range(3):
            Entering()
        while not len(got):
            for _ in range(1000):
                Node()
            await gort.sleep(0.0005)
        inside, count = await got.recv()
        assert inside
        assert count >= 1
        await started.recv()

    got: Any = None
    started: Any = None
    gort.run(main, procs=procs)


def test_a_finalizer_that_waits_holds_nobody_up(procs: int) -> None:
    """The worker blocks in a __del__; the others run on."""
    entered = threading.Event()
    leave = threading.Event()

    class Blocking:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            entered.set()
            leave.wait(20)

    async def main() -> None:
        Blocking()
        while not entered.is_set():
            for _ in range(1000):
                Node()
            await gort.sleep(0.0005)
        for _ in range(20):
            await gort.sleep(0.0001)
        assert not leave.is_set()
        leave.set()

    gort.run(main, procs=procs)


def test_a_finalizer_that_raises() -> None:
    code = """
import gort
from gort.runtime.gcwork import gcstats
class Bad:
    def __init__(self): self.me = self
    def __del__(self): raise KeyError("bad")
async def main():
    Bad()
    while gcstats()["collections"] < 3:
        for _ in range(1000):
            x = []
            x.append(x)
        await gort.sleep(0.0005)
    return "fine"
print(gort.run(main))
"""
    done = script(code)
    assert done.stdout == "fine\n"
    assert "KeyError: 'bad'" in done.stderr


def test_not_counted_and_not_seen(procs: int) -> None:
    async def main() -> None:
        await collected(1)
        assert gort.num_goroutine() == 1
        assert "GC worker" not in gort.stack(all=True)

    gort.run(main, procs=procs)


def test_seen_at_system_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOTRACEBACK", "system")

    async def main() -> str:
        await collected(1)
        while "[GC worker (idle)]" not in gort.stack(all=True):
            await gort.gosched()
        return gort.stack(all=True)

    assert "gcbgworker" in gort.run(main)


def test_deadlock_is_found_beside_it() -> None:
    async def main() -> None:
        await collected(1)
        await gort.chan().recv()

    with pytest.raises(gort.DeadlockError) as caught:
        gort.run(main)
    assert "GC worker" not in str(caught.value)


@pytest.mark.skipif(not GENERATIONS, reason="no generations")
def test_generations() -> None:
    """All three come to be collected, the young ones more often."""

    async def main() -> list[int]:
        before = [s["collections"] for s in gc.get_stats()]
        keep: list[Any] = []
        while gcstats()["full"] == 0:
            keep.extend([i] for i in range(2000))
            await gort.sleep(0.0001)
            if len(keep) > ENOUGH:
                pytest.fail("no full collection")
        return [s["collections"] - b for s, b in zip(gc.get_stats(), before, strict=True)]

    counts = gort.run(main)
    assert counts[0] > counts[1] > 0
    assert counts[1] > counts[2] > 0


LINE = re.compile(r"gc (\d+) @\d+\.\d{3}s \d+%: gen [012], \d+\.\d\d ms, \d+ collected, (\w+)")

TRACED = """
import gort
from gort.runtime.gcwork import gcstats
async def main():
    while gcstats()["collections"] < 3:
        for _ in range(1000):
            x = []
            x.append(x)
        await gort.sleep(0.0005)
    print(gcstats()["collections"], gcstats()["forced"])
gort.run(main)
"""


def test_gctrace() -> None:
    done = script(TRACED, GODEBUG="gctrace=1")
    lines = [LINE.fullmatch(line) for line in done.stderr.splitlines()]
    assert all(lines), done.stderr
    assert [int(m[1]) for m in lines if m] == list(range(1, len(lines) + 1))
    n, forced = map(int, done.stdout.split())
    modes = [m[2] for m in lines if m][:n]
    assert len(modes) == n
    assert modes.count("forced") == forced
    assert modes.count("idle") == n - forced


def test_no_trace_unasked() -> None:
    assert script(TRACED).stderr == ""


def test_gcworker_0_leaves_it_to_cpython() -> None:
    code = """
import gc, gort
from gort.runtime.gcwork import gcstats
async def main():
    on = gc.isenabled()
    n = gc.get_stats()[0]["collections"] + gc.get_stats()[2]["collections"]
    for _ in range(100_000):
        x = []
        x.append(x)
    m = gc.get_stats()[0]["collections"] + gc.get_stats()[2]["collections"]
    print(on, m > n, gcstats()["collections"])
gort.run(main)
"""
    assert script(code, GODEBUG="gcworker=0").stdout == "True True 0\n"


def test_fork_gives_it_back() -> None:
    code = """
import gc, os, gort
async def main():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if gc.isenabled() else 3)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), gc.isenabled())
gort.run(main)
"""
    assert script(code).stdout == "0 False\n"


def test_again_and_again() -> None:
    async def main() -> None:
        await collected(1)

    for _ in range(5):
        gort.run(main, procs=2)
        assert gc.isenabled()


def test_dead_goroutines_leave_nothing(procs: int) -> None:
    """Their records go back to the allocator."""

    async def nothing() -> None:
        pass

    async def main() -> int:
        for _ in range(20):
            for _ in range(1000):
                gort.go(nothing)
            while gort.num_goroutine() > 1:
                await gort.gosched()
        gc.collect()
        return sum(type(o) is gort.Goroutine for o in gc.get_objects())

    assert gort.run(main, procs=procs) < 100
