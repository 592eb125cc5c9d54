"""Fairness: goroutines that hand over to each other for ever keep nobody waiting longer
than a slice and a look of sysmon, whatever they hand over with."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import gort
from gort.testing import Pipe, thread, work

from .base import Plan, case, joinall, loose

ROUND = 0.00013
"""What a hand-over computes: less than sysmon gives a goroutine that it has preempted, before
it takes the P."""
END = 0.06
SLICE = 0.027
"""A slice, which sysmon may have seen begin 10 ms late, and some rounds."""

Until = Callable[[], bool]


async def starts_and_receives(on: Until) -> None:
    c = gort.chan(1)

    async def child() -> None:
        work(ROUND)
        c.send_nowait(1)

    while on():
        gort.go(child)
        await c.recv()


async def starts_and_awaits(on: Until) -> None:
    while on():
        await gort.go(work, ROUND)


async def chain(on: Until) -> None:
    """Each starts the next and ends."""
    done = gort.chan(1)

    async def link() -> None:
        work(ROUND)
        if on():
            gort.go(link)
        else:
            done.send_nowait(1)

    gort.go(link)
    await done.recv()


async def groups(on: Until) -> None:
    while on():
        async with gort.group() as grp:
            grp.go(work, ROUND)


async def waitgroups(on: Until) -> None:
    wg = gort.sync.WaitGroup()
    while on():
        wg.go(work, ROUND)
        await wg.wait()


async def channels(on: Until, capacity: int = 0) -> None:
    cs = gort.chan(capacity), gort.chan(capacity)

    async def ping() -> None:
        while on():
            work(ROUND)
            await cs[0].send(1)
            await cs[1].recv()
        cs[0].close()

    async def pong() -> None:
        async for v in cs[0]:
            await cs[1].send(v)

    await joinall([gort.go(ping), gort.go(pong)])


async def buffers(on: Until) -> None:
    await channels(on, 2)


async def selects(on: Until) -> None:
    a, b, stop = gort.chan(), gort.chan(), gort.chan()

    async def ping() -> None:
        while on():
            work(ROUND)
            await gort.select(a.send(1), stop.recv())
            await gort.select(b.recv(), stop.recv())
        a.close()

    async def pong() -> None:
        async for v in a:
            await gort.select(b.send(v), stop.recv())

    await joinall([gort.go(ping), gort.go(pong)])


async def locked(on: Until, lock: Any) -> None:
    """Two that want the same lock."""

    async def holder() -> None:
        while on():
            async with lock:
                await gort.go(work, ROUND)

    await joinall([gort.go(holder), gort.go(holder)])


async def mutexes(on: Until) -> None:
    await locked(on, gort.sync.Mutex())


async def rwmutexes(on: Until) -> None:
    await locked(on, gort.sync.RWMutex())


async def semaphores(on: Until) -> None:
    await locked(on, gort.sync.Semaphore(1))


async def conds(on: Until) -> None:
    mu = gort.sync.Mutex()
    cond = gort.sync.Cond(mu)
    turn = 0

    async def player(i: int) -> None:
        nonlocal turn
        async with mu:
            while on():
                while turn != i:
                    await cond.wait()
                work(ROUND)
                turn = 1 - i if on() else i
                cond.signal()
            turn = 1 - i
            cond.signal()

    await joinall([gort.go(player, 0), gort.go(player, 1)])


async def calls(on: Until) -> None:
    while on():
        await gort.syscall(work, ROUND)


async def blocks(on: Until) -> None:
    while on():
        async with gort.blocking():
            work(ROUND)


async def on_a_thread(on: Until) -> None:
    """One partner is locked to its thread: the P changes hands with each hand-over."""
    a, b = gort.chan(), gort.chan()

    async def ping() -> None:
        gort.lock_os_thread()
        while on():
            await a.send(1)
            work(ROUND)  # the next op parks: it does not look whether its slice is over
            await b.recv()
        a.close()

    async def pong() -> None:
        async for v in a:
            await b.send(v)

    await joinall([gort.go(ping), gort.go(pong)])


LOOPS: tuple[Callable[[Until], Awaitable[None]], ...] = (
    starts_and_receives,
    starts_and_awaits,
    channels,
    groups,
    calls,
    waitgroups,
    selects,
    mutexes,
    on_a_thread,
    chain,
    conds,
    buffers,
    rwmutexes,
    semaphores,
    blocks,
)
"""As many as no number of procs divides: a seed chooses both."""


async def beside(loop: Callable[[Until], Awaitable[None]], *watchers: Any) -> dict[str, float]:
    """Run loop, and beside it each watcher, over and over: it returns when it should have
    got its turn. The longest that one of each waited."""
    end = time.monotonic() + END
    worst: dict[str, float] = {}

    def on() -> bool:
        return time.monotonic() < end

    async def watch(turn: Any) -> None:
        while on():
            due = await turn()
            late = time.monotonic() - due
            worst[turn.__name__] = max(worst.get(turn.__name__, 0.0), late)

    await joinall([gort.go(loop, on), *(gort.go(watch, w) for w in watchers)])
    return worst


async def sleeper() -> float:
    due = time.monotonic() + 0.001
    await gort.sleep(0.001)
    return due


async def yielder() -> float:
    work(ROUND)  # or time would stand still: there is always someone who runs
    due = time.monotonic()
    await gort.gosched()
    return due


async def starter() -> float:
    due = time.monotonic() + ROUND
    c = gort.chan()

    async def child() -> None:
        work(ROUND)
        await c.send(1)

    gort.go(child)
    await c.recv()
    return due


async def caller() -> float:
    due = time.monotonic() + 0.002
    await gort.syscall(work, 0.002)
    return due


async def reader() -> float:
    """Waits for the poller."""
    pipe = Pipe()
    due = time.monotonic() + 0.002

    def feed() -> None:
        work(0.002)
        pipe.write(b"x")

    t = thread(feed)
    assert await pipe.recv(1) == b"x"
    t.join()
    return due


async def cleaner() -> float:
    """Waits for the cleanup goroutine."""

    class Thing:
        pass

    work(ROUND)
    c = gort.chan(1)
    thing = Thing()
    gort.add_cleanup(thing, c.send_nowait, 1)
    del thing
    due = time.monotonic()
    await c.recv()
    return due


def check(worst: dict[str, float], hogs: int) -> None:
    for name, late in worst.items():
        assert loose() or late < hogs * SLICE, f"{name} waited {late * 1e3:.1f} ms"
    assert loose() or worst


def loopof(seed: int) -> Callable[[Until], Awaitable[None]]:
    return LOOPS[seed % len(LOOPS)]


@case(procs=(1, 2), maxsteps=400_000)
async def hand_overs_starve_no_timer() -> None:
    check(await beside(loopof(Plan.seed), sleeper), 1)


@case(procs=(1, 2), maxsteps=400_000)
async def hand_overs_starve_nobody() -> None:
    """All kinds of waits at the same time; the one that starts others hands over too."""
    loop = loopof(Plan.seed)
    check(await beside(loop, yielder, sleeper, caller, reader, cleaner, starter), 3)


@case(procs=(1,), maxsteps=400_000)
async def hand_overs_take_turns() -> None:
    """Two of them share, and so does one that computes between its waits."""
    turns = [0, 0]
    first, second = loopof(Plan.seed), loopof(Plan.seed + 1)

    async def both(on: Until) -> None:
        def counted(i: int) -> Until:
            def more() -> bool:
                turns[i] += 1
                return on()

            return more

        await joinall([gort.go(first, counted(0)), gort.go(second, counted(1))])

    check(await beside(both, sleeper), 3)
    assert loose() or min(turns) > 5, turns


@case(procs=(1,), maxsteps=400_000)
async def the_global_queue_is_served() -> None:
    """Though the P always has work of its own, in rounds that last nearly a slice."""

    async def always(on: Until) -> None:
        async def napper() -> None:
            while on():
                work(0.008)
                await gort.sleep(0.0001)

        await joinall([gort.go(napper) for _ in range(3)])

    check(await beside(always, caller), 3)
