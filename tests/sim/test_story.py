"""A simulated failure shows goroutines first: who started, awaited and woke whom, and where."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

import gort
from gort.testing import SimFailure, replay, run_sim, search, sweep, thread


def failure(main: Callable[..., Any], **how: Any) -> str:
    with pytest.raises(SimFailure) as failed:
        sweep(main, seeds=1, procs=1, **how)
    return str(failed.value)


async def hands_over() -> None:
    c = gort.chan()

    async def worker() -> None:
        await c.recv()
        raise ValueError("no such job")

    g = gort.go(worker)
    await gort.sleep(1)
    await c.send(1)
    await g


def line(text: str, *parts: str) -> str:
    """The one line of text in which all parts stand, in that order."""
    pattern = ".*?".join(map(re.escape, parts))
    found = [x for x in text.splitlines() if re.search(pattern, x)]
    assert len(found) == 1, f"{parts} in {len(found)} lines of\n{text}"
    return found[0]


def test_a_failure_tells_what_goroutines_did() -> None:
    text = failure(hands_over)
    head = text.splitlines()[0]
    assert head == "seed 0 fails: ValueError: no such job"
    at = "test_story.py"
    first = hands_over.__code__.co_firstlineno
    line(text, "g1 hands_over", "starts g2 worker", f"{at}:{first + 7} in hands_over")
    line(text, "g2 worker", "receive on chan ", "waits", f"{at}:{first + 4} in worker")
    line(text, "1.000000000", "a timer", "wakes g1 hands_over")
    line(text, "g1 hands_over", "send on chan ", f"{at}:{first + 9} in hands_over")
    line(text, "g1 hands_over", "wakes g2 worker", f"{at}:{first + 9} in hands_over")
    line(text, "g2 worker", "ends by ValueError: no such job", f"{at}:{first + 5} in worker")
    assert "the schedule's end" not in text and "epoll" not in text and "cas" not in text


def test_what_comes_after_the_failure_is_left_out() -> None:
    """What a failed main leaves is cancelled: that says nothing about the failure."""

    async def main() -> None:
        async def left() -> None:
            await gort.chan().recv()

        for _ in range(3):
            gort.go(left)
        await gort.sleep(1)
        raise KeyError("here")

    text = failure(main)
    assert "cancels the wait" not in text
    steps = text.partition("the goroutines at the end:")[0].splitlines()
    assert "ends by KeyError" in steps[-1] and "in main" in steps[-1]
    assert text.count("waits: receive on chan") == 3


def test_a_panic_ends_the_story() -> None:
    async def main() -> None:
        async def fails() -> None:
            await gort.sleep(1)
            raise ValueError("nobody awaits it")

        gort.go(fails)
        await gort.sleep(100)

    text = failure(main)
    assert "ends by ValueError: nobody awaits it" in text
    line(text, "g1 main", "waits: sleep", "in main")
    assert "cancels" not in text


def test_a_deadlock_and_a_livelock_are_told() -> None:
    async def dead() -> None:
        await gort.chan().recv()

    async def spins() -> None:
        while True:
            await gort.gosched()

    text = failure(dead)
    assert "all goroutines are asleep" in text
    line(text, "0.000000000", "g1 dead", "receive on chan ", "waits", "in dead")
    text = failure(spins, maxsteps=3000)
    assert "no end after 3000 steps" in text
    line(text, "g1 spins", "gosched (", "times)", "in spins")


def test_twenty_steps_are_shown() -> None:
    async def main() -> None:
        c = gort.chan(1)
        for _ in range(50):
            await c.send(1)
            await c.recv()
        raise AssertionError

    text = failure(main)
    assert "the goroutines' last 20 steps, after 81 others:" in text
    assert sum(" on chan " in x for x in text.splitlines()) == 19


def test_threads_and_locks_are_named() -> None:
    async def main() -> None:
        mu = gort.sync.Mutex()
        c = gort.chan()
        async with mu:
            t = thread(lambda: (time.sleep(1), gort.wait(c.send(1))))
            await c.recv()
            await gort.syscall(t.join)
        raise AssertionError

    text = failure(main)
    line(text, "thread thread", "wakes g1 main")
    line(text, "g1 main", "Mutex.lock")
    line(text, "g1 main", "syscall")


def test_lock_level_steps_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    text = failure(hands_over, steps=True)
    assert "the schedule's end:" in text and "gort-sim" in text and "steps=True" in text
    assert "the goroutines' last" in text
    monkeypatch.setenv("GORT_SIM_STEPS", "1")
    assert "the schedule's end:" in failure(hands_over)
    assert "the schedule's end:" not in failure(hands_over, steps=False)
    monkeypatch.setenv("GORT_SIM_STEPS", "0")
    assert "the schedule's end:" not in failure(hands_over)


def test_replay_prints_the_story(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="no such job"):
        replay(hands_over, seed=3)
    out = capsys.readouterr().out
    assert "ends by ValueError" in out and "gort-sim" not in out
    monkeypatch.setenv("GORT_SIM_STEPS", "1")
    with pytest.raises(ValueError, match="no such job"):
        replay(hands_over, seed=3)
    assert "gort-sim" in capsys.readouterr().out


def test_run_sim_notes_it_and_search_tells_it() -> None:
    with pytest.raises(ValueError, match="no such job") as failed:
        run_sim(hands_over, seed=4)
    notes = [n for n in failed.value.__notes__ if n.startswith("simulated by seed 4")]
    assert len(notes) == 1 and "wakes g2 worker" in notes[0]
    with pytest.raises(SimFailure, match="wakes g2 worker"):
        search(hands_over, limit=5)


def test_a_broken_str_is_no_trouble() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("in __str__")

    async def main() -> None:
        async def fails() -> None:
            raise Odd

        try:
            await gort.go(fails)
        except Odd:
            pass
        raise AssertionError("seen")

    assert "seen" in failure(main)
