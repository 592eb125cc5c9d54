"""sync.Event: a flag that goroutines and threads wait for."""

from __future__ import annotations

import threading

import pytest

import gort
from gort import sync


async def parked(*gs: gort.Goroutine) -> None:
    while any(g.status != "waiting" for g in gs):
        await gort.gosched()


def test_wakes_all(procs: int) -> None:
    async def main() -> list[int]:
        ev = sync.Event()
        woken = gort.chan(10)

        async def waiter(i: int) -> None:
            await ev.wait()
            woken.send_nowait(i)

        gs = [gort.go(waiter, i) for i in range(10)]
        await parked(*gs)
        assert {g.wait_reason for g in gs} == {"sync.Event.Wait"}
        assert not ev.is_set()
        ev.set()
        for g in gs:
            await g
        assert ev.is_set()
        await ev.wait()
        return [await woken.recv() for _ in gs]

    assert sorted(gort.run(main, procs=procs)) == list(range(10))


def test_clear_makes_it_wait_again(procs: int) -> None:
    async def main() -> str:
        ev = sync.Event()
        ev.set()
        ev.clear()
        assert not ev.is_set()
        g = gort.go(ev.wait)
        await parked(g)
        ev.set()
        ev.clear()
        await g  # woken by that set, whatever came after it
        return repr(ev)

    assert gort.run(main, procs=procs) == "<Event clear>"


def test_a_cancelled_waiter_leaves(procs: int) -> None:
    async def main() -> None:
        ev = sync.Event()
        first, second = gort.go(ev.wait), gort.go(ev.wait)
        await parked(first, second)
        first.cancel()
        with pytest.raises(gort.Cancelled):
            await first
        ev.set()
        await second

    gort.run(main, procs=procs)


def test_threads(procs: int) -> None:
    async def main() -> None:
        ev, back = sync.Event(), sync.Event()

        def outside() -> None:
            gort.wait(ev.wait())
            back.set()

        t = threading.Thread(target=outside)
        t.start()
        ev.set()
        await back.wait()
        await gort.syscall(t.join)

    gort.run(main, procs=procs)


def test_wait_of_a_thread_runs_out() -> None:
    async def main() -> None:
        def plain() -> None:
            with pytest.raises(TimeoutError):
                gort.wait(sync.Event().wait(), timeout=0.001)

        await gort.go(plain)

    gort.run(main)
