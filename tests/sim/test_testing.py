"""gort.testing: virtual time, seeds that replay, sweeps that say what failed."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from runner import CASES, runcase

import gort
from gort.testing import (
    PCT,
    Pipe,
    RandomWalk,
    Run,
    SimFailure,
    replay,
    run_sim,
    search,
    simulate,
    strategy_of,
    sweep,
    thread,
    wait,
    work,
)


async def busy() -> int:
    c = gort.chan()

    async def send(i: int) -> None:
        await c.send(i)

    gs = [gort.go(send, i) for i in range(4)]
    got = [await c.recv() for _ in gs]
    for g in gs:
        await g
    return sum(got)


def test_returns_what_main_returns() -> None:
    assert run_sim(busy, seed=3) == 6


def test_arguments_reach_main() -> None:
    async def main(a: int, b: int) -> int:
        return a * b

    assert run_sim(main, 6, 7) == 42


def test_an_hour_takes_no_time() -> None:
    async def main() -> float:
        t = time.monotonic()
        await gort.sleep(3600)
        return time.monotonic() - t

    start = time.monotonic()
    assert 3600 <= run_sim(main) < 3600.1
    assert time.monotonic() - start < 60


def test_blocking_calls_sleep_in_virtual_time() -> None:
    async def main() -> float:
        t = time.time()
        await gort.syscall(time.sleep, 60)
        return time.time() - t

    assert 60 <= run_sim(main) < 60.1


def test_exceptions_are_the_real_ones() -> None:
    async def dead() -> None:
        await gort.chan().recv()

    async def closed() -> None:
        c = gort.chan()
        c.close()
        await c.send(1)

    async def full() -> None:
        gort.chan().send_nowait(1)

    with pytest.raises(gort.DeadlockError, match="all goroutines are asleep"):
        run_sim(dead)
    with pytest.raises(gort.ChanClosed):
        run_sim(closed)
    with pytest.raises(gort.WouldBlock):
        run_sim(full)
    assert gort.DeadlockError.__module__ == "gort"


def test_names_mean_the_real_gort_again() -> None:
    before = gort.go, gort.Chan, time.sleep, time.monotonic
    run_sim(busy)
    assert (gort.go, gort.Chan, time.sleep, time.monotonic) == before
    assert gort.run(busy) == 6


def test_a_plain_function_may_be_main() -> None:
    assert run_sim(lambda: 5) == 5


def test_threads_end() -> None:
    before = threading.active_count()
    run_sim(busy, procs=3)
    assert threading.active_count() == before


def test_one_at_a_time() -> None:
    def nested() -> None:
        run_sim(busy)

    with pytest.raises(RuntimeError, match="under way already"):
        run_sim(nested)


@pytest.mark.parametrize("seed", range(6))
def test_a_seed_replays(seed: int) -> None:
    for name in ("everything", "main_returns_first", "select_exactly_one"):
        runs = [runcase(CASES[name], seed) for _ in range(2)]
        assert runs[0] is not None and runs[1] is not None
        assert runs[0].steps == runs[1].steps
        assert runs[0].digest == runs[1].digest


def test_seeds_differ() -> None:
    digests = {simulate(busy, strategy=strategy_of(seed)).digest for seed in range(20)}
    assert len(digests) > 15


DIGEST = """
import sys
sys.path.insert(0, sys.argv[1])
from runner import CASES, runcase
for name in ("everything", "group_cancelled_from_outside", "main_returns_first", "panics"):
    for seed in range(4):
        run = runcase(CASES[name], seed)
        print(name, seed, run and (run.steps, run.digest))
"""


def test_a_seed_replays_in_another_process() -> None:
    def digests(hashseed: str) -> str:
        env = dict(os.environ, PYTHONHASHSEED=hashseed)
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DIGEST, str(Path(__file__).parent)],
            env=env,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    first = digests("1")
    assert first.count("\n") == 16
    assert first == digests("2")


def test_a_run_that_was_cut_off_changes_no_later_one() -> None:
    """What it leaves is dropped before the next run: goroutines, feeds of timers, exit
    hooks, cleanups, cancelled contexts."""
    cut = {
        "exit_hooks_run_last_first": (250, 500, 700),
        "cleanups_run_once": (200, 300, 400),
        "context_cancel_races_the_deadline": (200, 300, 400),
        "waitgroup_wakes_everybody": (150, 389),
        "timer_stop_races_its_time": (213, 400),
        "everything": (300, 600, 900),
    }
    later = [
        (name, seed)
        for name in ("select_times_out", "after_and_tick", "exit_hooks_run_last_first", "panics")
        for seed in range(2)
    ]
    want = {(name, seed): steps(name, seed) for name, seed in later}
    for name, limits in cut.items():
        for i, limit in enumerate(limits):
            with pytest.raises(SimFailure, match="livelock"):
                runcase(dataclasses.replace(CASES[name], maxsteps=limit), i)
            for key in later:
                assert steps(*key) == want[key], (name, i, limit, key)


def steps(name: str, seed: int) -> tuple[int, int]:
    last: list[Run] = []
    runcase(CASES[name], seed, begin=last.append)
    return last[0].steps, last[0].digest


async def racy() -> None:
    """A lost update: two goroutines read, are interrupted, and write."""
    n = 0

    async def add() -> None:
        nonlocal n
        old = n
        await gort.gosched()
        n = old + 1

    gs = [gort.go(add), gort.go(add)]
    for g in gs:
        await g
    assert n == 2, n


def test_sweep_names_the_seed_and_shows_the_schedule() -> None:
    with pytest.raises(SimFailure) as failed:
        sweep(racy, seeds=200)
    text = str(failed.value)
    assert "AssertionError: 1" in text
    assert "the schedule's end:" not in text and "gort-sim" not in text
    seed = int(text.split("seed=")[1].split(",")[0])
    with pytest.raises(AssertionError):
        run_sim(racy, seed=seed)


def test_sweep_passes_what_is_right() -> None:
    sweep(busy, seeds=range(10, 20), procs=3, jitter=0.01)


def test_replay_prints_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(busy, seed=5, steps=True) == 6
    lines = capsys.readouterr().out.splitlines()
    run = simulate(busy, strategy=strategy_of(5))
    assert len(lines) == run.steps
    assert any("execute:" in line and " g2 " in line for line in lines)


def test_search_is_exhaustive() -> None:
    async def two() -> None:
        c = gort.chan()

        async def send() -> None:
            await c.send(1)

        g = gort.go(send)
        await c.recv()
        await g

    n, complete = search(two, bound=1, limit=5000, procs=1)
    assert complete and n > 100
    n, complete = search(two, bound=2, limit=50)
    assert not complete and n == 50


def test_search_finds_and_says_the_choices() -> None:
    with pytest.raises(SimFailure, match="its choices"):
        search(racy, bound=1, limit=2000)


def test_livelock_is_a_failure() -> None:
    async def spin() -> None:
        while True:
            await gort.gosched()

    with pytest.raises(SimFailure, match="no end after 5000 steps"):
        run_sim(spin, maxsteps=5000)


def test_wait_waits_for_the_others() -> None:
    async def main() -> None:
        log = []

        async def worker() -> None:
            await gort.gosched()
            log.append("ready")
            await gort.sleep(1)
            log.append("done")

        g = gort.go(worker)
        t = time.monotonic()
        await wait()
        assert log == ["ready"]
        assert time.monotonic() < t + 0.001
        await gort.sleep(1)
        await wait()
        assert log == ["ready", "done"]
        await g

    sweep(main, seeds=30)


def test_wait_lets_computing_end() -> None:
    async def main() -> None:
        done = []

        async def compute() -> None:
            work(2.0)
            done.append(1)

        g = gort.go(compute)
        await wait()
        assert done
        await g

    sweep(main, seeds=20)


def test_wait_by_two() -> None:
    async def main() -> None:
        gs = [gort.go(wait), gort.go(wait)]
        for g in gs:
            await g

    sweep(main, seeds=20)


def test_work_takes_virtual_time() -> None:
    async def main() -> float:
        t = time.monotonic()
        work(5.0)
        return time.monotonic() - t

    assert 5.0 <= run_sim(main) < 5.001
    work(1e9)  # nothing, outside


def test_threads_outside_the_runtime() -> None:
    async def main() -> list[Any]:
        c = gort.chan(1)
        t = thread(lambda: c.send_nowait(gort.current()))
        got = await c.recv()
        t.join()
        return [got, t.is_alive()]

    assert run_sim(main) == [None, False]


def test_what_a_thread_raises_fails_the_run() -> None:
    async def main() -> None:
        await gort.syscall(thread(lambda: 1 // 0).join)

    with pytest.raises(ZeroDivisionError):
        run_sim(main)


def test_pipe() -> None:
    async def main() -> bytes:
        p = Pipe(capacity=4)
        with pytest.raises(BlockingIOError):
            p.read()

        async def write() -> None:
            await p.send(b"0123456789")
            p.close()
            with pytest.raises(BrokenPipeError):
                p.write(b"x")

        g = gort.go(write)
        got = b""
        while data := await p.recv(3):
            got += data
        await g
        return got

    sweep(main, seeds=20)
    assert run_sim(main) == b"0123456789"


@pytest.mark.parametrize("call", [lambda: thread(print), Pipe, lambda: wait().send(None)])
def test_only_in_a_simulation(call: Any) -> None:
    with pytest.raises(RuntimeError, match="for simulated programs"):
        call()


def test_strategies_of_seeds() -> None:
    assert isinstance(strategy_of(0), RandomWalk)
    assert isinstance(strategy_of(1), PCT)


def test_invariants_see_a_broken_runtime() -> None:
    """A queue that is changed behind the scheduler's back is noticed."""

    async def main() -> None:
        from gort import _pure

        sched = _pure.simulated().runtime.gmp.sched
        sched.runqsize.v += 1
        await gort.sleep(1)

    with pytest.raises(SimFailure, match="runqsize is 1, but 0 stand on its list"):
        run_sim(main)
