"""Goroutines that hand over to each other for ever keep nobody else waiting.

Each loop runs until every watcher beside it has had its turns: without fairness it would
run on, with one proc. How long a turn may take is the simulator's to say (sim/cases/fair.py).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import gort

TURNS = 5
LIMIT = 40.0
"""Seconds after which a loop gives up, for the sake of a failing test alone."""

Until = Callable[[], bool]


async def noop() -> None:
    pass


def plain() -> None:
    pass


async def starts_and_receives(on: Until) -> None:
    c = gort.chan(1)

    async def child() -> None:
        c.send_nowait(1)

    while on():
        gort.go(child)
        await c.recv()


async def starts_and_awaits(on: Until) -> None:
    while on():
        await gort.go(noop)
        await gort.go(plain)


async def chain(on: Until) -> None:
    done = gort.chan(1)

    async def link() -> None:
        if on():
            gort.go(link)
        else:
            done.send_nowait(1)

    gort.go(link)
    await done.recv()


async def groups(on: Until) -> None:
    while on():
        async with gort.group() as grp:
            grp.go(noop)


async def waitgroups(on: Until) -> None:
    wg = gort.sync.WaitGroup()
    while on():
        wg.go(noop)
        await wg.wait()


async def both(*loops: Callable[[], Awaitable[None]]) -> None:
    for g in [gort.go(loop) for loop in loops]:
        await g


async def channels(on: Until, capacity: int = 0) -> None:
    a, b = gort.chan(capacity), gort.chan(capacity)

    async def ping() -> None:
        while on():
            await a.send(1)
            await b.recv()
        a.close()

    async def pong() -> None:
        async for v in a:
            await b.send(v)

    await both(ping, pong)


async def buffers(on: Until) -> None:
    await channels(on, 3)


async def selects(on: Until) -> None:
    a, b, never = gort.chan(), gort.chan(), gort.chan()

    async def ping() -> None:
        while on():
            await gort.select(a.send(1), never.recv())
            await gort.select(b.recv(), never.recv())
        a.close()

    async def pong() -> None:
        async for v in a:
            await gort.select(b.send(v), never.recv())

    await both(ping, pong)


async def locks(on: Until, lock: Any) -> None:
    async def holder() -> None:
        while on():
            async with lock:
                await gort.go(noop)

    await both(holder, holder)


async def mutexes(on: Until) -> None:
    await locks(on, gort.sync.Mutex())


async def free_mutex(on: Until) -> None:
    mu = gort.sync.Mutex()
    while on():
        async with mu:
            pass


async def rwmutexes(on: Until) -> None:
    await locks(on, gort.sync.RWMutex())


async def semaphores(on: Until) -> None:
    await locks(on, gort.sync.Semaphore(1))


async def conds(on: Until) -> None:
    mu = gort.sync.Mutex()
    cond = gort.sync.Cond(mu)
    turn = 0

    async def player(i: int) -> None:
        nonlocal turn
        async with mu:
            while on():
                while turn != i and on():
                    await cond.wait()
                turn = 1 - i
                cond.signal()
            cond.signal()

    await both(lambda: player(0), lambda: player(1))


async def yields(on: Until) -> None:
    async def turn() -> None:
        while on():
            await gort.gosched()

    await both(turn, turn)


async def calls(on: Until) -> None:
    while on():
        await gort.syscall(os.getpid)
        await gort.syscall(time.sleep, 0)  # lets the GIL go


async def blocks(on: Until) -> None:
    while on():
        async with gort.blocking():
            time.sleep(0)


async def on_a_thread(on: Until) -> None:
    """One partner is locked to its thread: the P changes hands with each hand-over."""
    a, b = gort.chan(), gort.chan()

    async def ping() -> None:
        gort.lock_os_thread()
        while on():
            await a.send(1)
            await b.recv()
        a.close()

    async def pong() -> None:
        async for v in a:
            await b.send(v)

    await both(ping, pong)


LOOPS = (
    starts_and_receives,
    starts_and_awaits,
    chain,
    groups,
    waitgroups,
    channels,
    buffers,
    selects,
    mutexes,
    free_mutex,
    rwmutexes,
    semaphores,
    conds,
    yields,
    calls,
    blocks,
    on_a_thread,
)


async def sleeper() -> None:
    await gort.sleep(0.001)


async def yielder() -> None:
    await gort.gosched()


async def caller() -> None:
    await gort.syscall(time.sleep, 0.001)


async def reader() -> None:
    a, b = socket.socketpair()
    with a, b:
        a.setblocking(False)
        b.setblocking(False)

        async def write() -> None:
            await gort.sleep(0.001)
            b.send(b"x")

        gort.go(write)
        await gort.wait_readable(a)


async def cleaner() -> None:
    class Thing:
        pass

    c = gort.chan(1)
    thing = Thing()
    gort.add_cleanup(thing, c.send_nowait, 1)
    del thing
    await c.recv()


WATCHERS = (sleeper, yielder, caller, reader, cleaner)


@pytest.mark.parametrize("sched", ["gmp", "gm"])
@pytest.mark.parametrize("loop", LOOPS, ids=lambda f: f.__name__)
def test_hand_overs_starve_nobody(
    loop: Callable[[Until], Awaitable[None]], sched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sched == "gm":
        monkeypatch.setenv("GODEBUG", "sched=gm")
    end = time.monotonic() + LIMIT
    left = {w.__name__: TURNS for w in WATCHERS}

    def on() -> bool:
        return any(left.values()) and time.monotonic() < end

    async def watch(turn: Callable[[], Awaitable[None]]) -> None:
        while left[turn.__name__] and on():
            await turn()
            left[turn.__name__] -= 1

    async def main() -> None:
        for g in [gort.go(loop, on), *(gort.go(watch, w) for w in WATCHERS)]:
            await g

    gort.run(main, procs=1)
    assert not any(left.values()), left
