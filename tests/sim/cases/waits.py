"""Timers, and the network poller over virtual files."""

from __future__ import annotations

import time
from typing import Any

import gort
from gort.testing import Pipe, thread, wait, work

from .base import case, ended, joinall, loose, soon


@case(procs=(1, 2, 3))
async def sleepers() -> None:
    t = time.monotonic()

    async def nap(seconds: float) -> None:
        await gort.sleep(seconds)
        soon(t, seconds)

    await joinall([gort.go(nap, i * 0.003) for i in (5, 1, 4, 2, 3, 3)])


@case(procs=(1, 2, 3))
async def earlier_timers_break_the_poll() -> None:
    """A sleeper comes while the poller sleeps for a later one."""
    t = time.monotonic()

    async def long() -> None:
        await gort.sleep(1.0)
        soon(t, 1.0)

    async def short(c: Any) -> None:
        await c.recv()
        s = time.monotonic()
        await gort.sleep(0.01)
        soon(s, 0.01)

    def outside() -> None:
        time.sleep(0.1)
        c.send_nowait(None)

    c = gort.chan(1)
    gs = [gort.go(long), gort.go(short, c)]
    x = thread(outside)
    await joinall(gs)
    x.join()


@case(procs=(2, 3))
async def timers_of_a_busy_p_are_stolen() -> None:
    """The M that holds the timer computes: another one runs it in time."""
    late = []

    async def nap() -> None:
        t = time.monotonic()
        await gort.sleep(0.002)
        late.append(time.monotonic() - t)

    async def hog() -> None:
        gs = [gort.go(nap) for _ in range(2)]
        await gort.gosched()
        work(0.05)
        await joinall(gs)

    await gort.go(hog)
    assert loose() or max(late) < 0.03, late


@case(procs=(2, 3))
async def timers_of_who_computes_on() -> None:
    """Who starts a timer computes on: an idle P must run it in time."""
    await wait()
    for _ in range(3):
        t = time.monotonic()
        c = gort.after(0.002)
        work(0.008)
        at = await c.recv() - t
        assert loose() or at < 0.003, at


@case(procs=(2, 3))
async def timers_wake_two() -> None:
    """One M finds two due timers while the other one gives its P up."""
    t = time.monotonic()

    async def nap(i: int) -> None:
        for k in range(1, 4):
            await gort.sleep(t + 0.01 * k - time.monotonic())
            work(0.005)

    await joinall([gort.go(nap, i) for i in range(2)])
    soon(t, 0.035, 0.002)


@case(procs=(1, 2))
async def after_and_tick() -> None:
    t = time.monotonic()
    ticks = gort.tick(0.01)
    end = gort.after(0.055)
    n = 0
    while True:
        i, _ = await gort.select(ticks.recv(), end.recv())
        if i == 1:
            break
        n += 1
    soon(t, 0.055)
    assert n == 5 or loose(), n


@case(procs=(1, 2, 3))
async def cancelled_sleepers() -> None:
    async def nap() -> None:
        await gort.sleep(5)

    t = time.monotonic()
    gs = [gort.go(nap) for _ in range(4)]
    await gort.gosched()
    for g in gs[:3]:
        g.cancel()
    assert await ended(gs[:3]) == 3 or loose()
    await gs[3]
    soon(t, 5)


@case(procs=(2,), maxsteps=300_000)
async def dead_timers_are_swept() -> None:
    async def nap() -> None:
        await gort.sleep(5)

    gs = [gort.go(nap) for _ in range(68)]
    keep = gort.go(nap)
    await wait()
    for g in gs:
        g.cancel()
    assert await ended(gs) == len(gs) or loose()
    await keep


@case(procs=(1, 2, 3))
async def pipes() -> None:
    p, q = Pipe(), Pipe()

    async def echo() -> None:
        while data := await p.recv():
            await q.send(data.upper())
        q.close()

    g = gort.go(echo)
    for i in range(3):
        await p.send(b"m%d" % i)
        assert await q.recv() == b"M%d" % i
    p.close()
    assert await q.recv() == b""
    await g


@case(procs=(1, 2, 3))
async def pipes_push_back() -> None:
    p = Pipe(capacity=3)

    async def write() -> None:
        await p.send(b"0123456789")
        p.close()

    g = gort.go(write)
    got = b""
    while data := await p.recv(2):
        got += data
    assert got == b"0123456789"
    await g


@case(procs=(1, 2, 3))
async def files_timers_and_channels() -> None:
    p, c = Pipe(), gort.chan()

    async def read() -> None:
        await c.send(await p.recv())

    async def write() -> None:
        await gort.sleep(0.004)
        p.write(b"z")

    gs = [gort.go(read), gort.go(write)]
    i, v = await gort.select(c.recv(), gort.after(0.5).recv())
    assert (i, v) == (0, b"z") or loose()
    if i == 0:
        await joinall(gs)


@case(procs=(1, 2, 3))
async def closing_a_file_wakes_its_waiters() -> None:
    p = Pipe()

    async def read() -> str:
        try:
            await gort.wait_readable(p.r)
        except OSError:
            return "closed"
        return "ready"

    gs = [gort.go(read) for _ in range(3)]
    await wait()
    gort.notify_closing(p.r)
    assert await joinall(gs) == ["closed"] * 3


@case(procs=(1, 2, 3))
async def cancelled_file_waits() -> None:
    p = Pipe()

    async def read() -> bytes:
        return await p.recv()

    gs = [gort.go(read) for _ in range(3)]
    await gort.gosched()
    gs[0].cancel()
    gs[2].cancel()
    p.write(b"ab")
    p.close()
    got = []
    for g in gs:
        try:
            got.append(await g)
        except gort.Cancelled:
            pass
    assert b"".join(got) == b"ab", got


@case(procs=(1, 2, 3))
async def files_from_outside() -> None:
    p, q = Pipe(), Pipe()

    def outside() -> None:
        time.sleep(0.02)
        p.write(b"1")
        time.sleep(0.02)
        q.write(b"2")

    async def read(x: Pipe) -> bytes:
        return await x.recv()

    gs = [gort.go(read, p), gort.go(read, q)]
    t = thread(outside)
    assert await joinall(gs) == [b"1", b"2"]
    t.join()


@case(procs=(1, 2, 3))
async def the_last_p_polls() -> None:
    """A file is waited for, the last P goes into a call, and no timer helps."""
    pipes = [Pipe() for _ in range(5)]
    go = gort.chan()

    async def read() -> None:
        for p in pipes:
            await go.recv()
            t = time.monotonic()
            assert await p.recv() == b"x"
            assert loose() or time.monotonic() - t < 0.021

    def feed(p: Pipe) -> None:
        time.sleep(0.01)
        p.write(b"x")

    g = gort.go(read)
    for p in pipes:
        await go.send(None)
        feeder = thread(feed, p)
        await gort.gosched()
        await gort.syscall(time.sleep, 0.05)
        feeder.join()
    await g
