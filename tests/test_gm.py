"""GODEBUG=sched=gm: the scheduler of Go 1.0. The whole suite runs on it with
GORT_TEST_SCHED=gm; here is what only it has, and what it must not have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gort
from gort.runtime.boot import schedstats

TRACE = re.compile(
    r"SCHED \d+ms: gomaxprocs=(\d+) idleprocs=\d+ threads=\d+ spinningthreads=(\d+) "
    r"needspinning=(\d+) idlethreads=\d+ runqueue=(\d+) \[([\d ]+)\]"
)


@pytest.fixture
def gm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GODEBUG", "sched=gm")


async def mode() -> int:
    return schedstats()["gm"]


@pytest.mark.parametrize(
    "value, want",
    [
        ("sched=gm", 1),
        ("schedtrace=0,sched=gm", 1),
        ("sched=gm,nonsense=1", 1),
        ("sched=gmp", 0),
        ("sched=", 0),
        ("sched", 0),
        ("sched=GM", 0),
        ("gm=1", 0),
        ("", 0),
    ],
)
def test_choice(monkeypatch: pytest.MonkeyPatch, value: str, want: int) -> None:
    """Go ignores what it does not know in GODEBUG, and so does this."""
    monkeypatch.setenv("GODEBUG", value)
    assert gort.run(mode) == want


def test_chosen_anew_by_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, want in (("sched=gm", 1), ("", 0), ("sched=gm", 1)):
        monkeypatch.setenv("GODEBUG", value)
        assert gort.run(mode, procs=2) == want


def test_nobody_steals(gm: None, procs: int) -> None:
    async def child(i: int) -> int:
        await gort.gosched()
        return i

    async def main() -> dict[str, int]:
        gs = [gort.go(child, i) for i in range(600)]
        assert [await g for g in gs] == list(range(600))
        return schedstats()

    stats = gort.run(main, procs=procs)
    assert stats["gm"] == 1
    assert stats["steals"] == 0


def test_one_queue(gm: None) -> None:
    """What is runnable stands in the global queue, however many Ps there are."""

    async def child() -> None:
        pass

    async def main() -> int:
        gs = [gort.go(child) for _ in range(300)]
        queued = schedstats()["runqueue"]
        for g in gs:
            await g
        return queued

    assert gort.run(main, procs=1) == 300


def test_first_in_first_out(gm: None) -> None:
    """No runnext: who was readied last runs last."""

    async def child(i: int, seen: list[int]) -> None:
        seen.append(i)
        await gort.gosched()
        seen.append(i)

    async def main() -> list[int]:
        seen: list[int] = []
        for g in [gort.go(child, i, seen) for i in range(10)]:
            await g
        return seen

    assert gort.run(main, procs=1) == [*range(10), *range(10)]


def test_syscall_gives_the_permit_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, where G-M-P leaves it to sysmon, which takes only what it can use."""

    async def main() -> int:
        return (await gort.syscall(schedstats))["idleprocs"]

    for value, idle in (("sched=gm", 1), ("", 0)):
        monkeypatch.setenv("GODEBUG", value)
        assert gort.run(main, procs=1) == idle


def test_syscall_hands_the_permit_on(gm: None) -> None:
    """With one permit, a call can wait for another goroutine to run."""
    ran = threading.Event()

    async def other() -> None:
        ran.set()

    def block() -> bool:
        return ran.wait(20)

    async def main() -> bool:
        gort.go(other)
        return await gort.syscall(block)

    assert gort.run(main, procs=1)


def test_status_in_a_syscall(gm: None) -> None:
    go_on = threading.Event()

    async def child() -> None:
        await gort.syscall(go_on.wait, 20)

    async def main() -> None:
        g = gort.go(child)
        while g.status != "syscall":
            await gort.gosched()
        go_on.set()
        await g

    gort.run(main, procs=2)


def test_many_syscalls_return(gm: None, procs: int) -> None:
    """More goroutines come back from calls than there are permits."""
    barrier = threading.Barrier(8)

    async def child() -> int:
        return await gort.syscall(barrier.wait, 20)

    async def main() -> None:
        for _ in range(3):
            gs = [gort.go(child) for _ in range(8)]
            assert sorted([await g for g in gs]) == list(range(8))

    gort.run(main, procs=procs)


def test_timers_while_all_are_in_calls(gm: None, procs: int) -> None:
    """The one heap is watched although every goroutine's M is in a call."""
    woken = threading.Event()

    async def sleeper() -> None:
        await gort.sleep(0.01)
        woken.set()

    async def main() -> None:
        g = gort.go(sleeper)
        await gort.gosched()
        assert await gort.syscall(woken.wait, 20)
        await g

    gort.run(main, procs=procs)


def test_network_while_all_are_in_calls(gm: None, procs: int) -> None:
    read = threading.Event()
    r, w = os.pipe()

    async def reader() -> None:
        await gort.wait_readable(r)
        read.set()

    def call() -> bool:
        os.write(w, b"x")
        return read.wait(20)

    async def main() -> None:
        g = gort.go(reader)
        while g.status != "waiting":
            await gort.gosched()
        assert await gort.syscall(call)
        await g

    try:
        gort.run(main, procs=procs)
    finally:
        os.close(r)
        os.close(w)


def test_gomaxprocs_up_matches_what_is_queued(gm: None) -> None:
    """New permits go to what is queued, though nobody readies anything after it."""
    n = 4
    barrier = threading.Barrier(n)

    def child() -> None:
        barrier.wait(20)  # in user code: all have to run at the same time

    async def main() -> None:
        gs = [gort.go(child) for _ in range(n)]
        gort.gomaxprocs(n + 1)
        assert schedstats()["threads"] == 1 + n
        for g in gs:
            await g

    gort.run(main, procs=1)


def test_gomaxprocs_back_and_forth(gm: None) -> None:
    async def child(a: gort.Chan, b: gort.Chan) -> None:
        async for v in a:
            await b.send(v)

    async def main() -> None:
        a, b = gort.chan(), gort.chan()
        gs = [gort.go(child, a, b) for _ in range(8)]
        for i in range(60):
            gort.gomaxprocs(1 + i % 4)
            await a.send(i)
            assert await b.recv() == i
        a.close()
        for g in gs:
            await g

    gort.run(main, procs=2)


def test_handed_to_an_idle_thread(gm: None) -> None:
    """What locality is lost: a readied goroutine goes to the idle M with its permit."""

    async def peer(a: gort.Chan, b: gort.Chan, seen: set[int]) -> None:
        async for v in a:
            seen.add(threading.get_ident())
            await b.send(v)

    async def main() -> int:
        a, b = gort.chan(), gort.chan()
        seen: set[int] = set()
        g = gort.go(peer, a, b, seen)
        until = time.monotonic() + 20
        while len(seen) < 2 and time.monotonic() < until:
            await a.send(None)
            seen.add(threading.get_ident())
            await b.recv()
        a.close()
        await g
        return len(seen)

    assert gort.run(main, procs=2) >= 2


def test_main_starts_on_m0(gm: None, procs: int) -> None:
    """The first goroutine is not handed away: predawn, as in Go 1.0."""

    async def main() -> int:
        return threading.get_ident()

    assert gort.run(main, procs=procs) == threading.get_ident()


def test_block_entered_again(procs: int) -> None:
    """An op inside a block takes a P; the block's end keeps it and queues nothing."""

    async def main() -> None:
        ch = gort.chan(1)
        for i in range(20):
            async with gort.blocking():
                here = threading.get_ident()
                ch.send_nowait(i)
                assert ch.recv_nowait() == i
            assert await no_hop(here)

    async def no_hop(here: int) -> bool:
        return threading.get_ident() == here

    gort.run(main, procs=procs)


# ---- what a program's user sees


def run(code: str, godebug: str, *args: str) -> subprocess.CompletedProcess[str]:
    src = str(Path(gort.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": src, "GODEBUG": godebug}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=40
    )


BUSY = """
import time, gort
async def child(a, b):
    async for v in a:
        await b.send(v)
async def yielder(until):
    while time.monotonic() < until:
        await gort.gosched()
async def main():
    a, b = gort.chan(), gort.chan()
    gort.go(child, a, b)
    until = time.monotonic() + 0.4
    ys = [gort.go(yielder, until) for _ in range(50)]
    while time.monotonic() < until:
        await a.send(1)
        await b.recv()
    for y in ys:
        await y
gort.run(main, procs=4)
"""


BURSTS = """
import time, gort
async def child():
    sum(range(20000))
async def main():
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        for g in [gort.go(child) for _ in range(100)]:
            await g
gort.run(main, procs=4)
"""


def traces(done: subprocess.CompletedProcess[str]) -> list[re.Match[str]]:
    assert done.returncode == 0, done.stderr
    found = [TRACE.fullmatch(line) for line in done.stderr.splitlines()]
    assert found and all(found), done.stderr
    return [m for m in found if m]


def test_schedtrace_shows_one_queue() -> None:
    lines = traces(run(BUSY, "sched=gm,schedtrace=20"))
    lines += traces(run(BURSTS, "sched=gm,schedtrace=20"))
    assert any(int(m[4]) > 0 for m in lines)
    for m in lines:
        assert m[1] == "4"
        assert (m[2], m[3]) == ("0", "0"), "nobody spins"
        assert set(m[5].split()) == {"0"}, "no local queue"


QUEUED = """
import time, gort
async def child():
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        pass
async def main():
    for g in [gort.go(child) for _ in range(20)]:
        await g
gort.run(main, procs=1)
"""


def test_schedtrace_of_the_default_shows_local_queues() -> None:
    """So that the test above can fail."""
    # One P, whose queue goes with it: with more, main may be without one as it starts them.
    lines = traces(run(QUEUED, "schedtrace=10"))
    assert any(set(m[5].split()) != {"0"} for m in lines)


def test_deadlock_is_found() -> None:
    code = "import gort\nasync def main(): await gort.chan().recv()\ngort.run(main, procs=2)\n"
    done = run(code, "sched=gm")
    assert "all goroutines are asleep - deadlock!" in done.stderr


@pytest.mark.parametrize("call", [lambda: None, lambda: time.sleep(0)])
def test_results_are_the_same(gm: None, call: Callable[[], Any]) -> None:
    async def main() -> list[Any]:
        return [await gort.syscall(call) for _ in range(50)]

    assert gort.run(main, procs=2) == [None] * 50
