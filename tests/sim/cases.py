"""Small programs for the simulator, one for each mechanism and their combinations.

Each is a plain async main that asserts what must be so under every schedule. A case
may be run with a clock that runs on by itself (jitter); `soon` then allows any delay.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gort
from gort.testing import Pipe, thread, wait, work


@dataclass
class Case:
    main: Callable[[], Any]
    procs: tuple[int, ...]
    raises: type[BaseException] | None
    maxsteps: int

    @property
    def name(self) -> str:
        return self.main.__name__


CASES: dict[str, Case] = {}
jitter = 0.0
seed = 0


def case(
    procs: tuple[int, ...] = (1, 2, 3),
    raises: type[BaseException] | None = None,
    maxsteps: int = 100_000,
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def register(main: Callable[[], Any]) -> Callable[[], Any]:
        CASES[main.__name__] = Case(main, procs, raises, maxsteps)
        return main

    return register


def soon(since: float, seconds: float, slack: float = 0.0005) -> None:
    """Now is `seconds` after `since`: never earlier, and later only by slack."""
    took = time.monotonic() - since
    assert took > seconds - 1e-6, f"{took} s after {seconds} s were asked for"
    assert jitter or took < seconds + slack, f"{took} s, not {seconds} s"


async def joinall(gs: list[Any]) -> list[Any]:
    return [await g for g in gs]


async def ended(gs: list[Any]) -> int:
    """How many of them ended by being cancelled."""
    n = 0
    for g in gs:
        try:
            await g
        except gort.Cancelled:
            n += 1
    return n


# channels, park and ready


@case()
async def pingpong() -> None:
    a, b = gort.chan(), gort.chan()

    async def pong() -> None:
        async for v in a:
            await b.send(v + 1)

    g = gort.go(pong)
    for i in range(6):
        await a.send(i)
        assert await b.recv() == i + 1
    a.close()
    await g


@case()
async def fifo_unbuffered() -> None:
    c = gort.chan()

    async def send() -> None:
        for i in range(8):
            await c.send(i)
        c.close()

    g = gort.go(send)
    assert [v async for v in c] == list(range(8))
    await g


@case()
async def fifo_buffered() -> None:
    c = gort.chan(3)

    async def send() -> None:
        for i in range(10):
            await c.send(i)
        c.close()

    g = gort.go(send)
    assert [v async for v in c] == list(range(10))
    await g


@case(procs=(2, 3, 4))
async def many_to_many() -> None:
    c = gort.chan(2)

    async def send(k: int) -> None:
        for i in range(4):
            await c.send((k, i))

    async def recv() -> list[Any]:
        return [v async for v in c]

    senders = [gort.go(send, k) for k in range(3)]
    receivers = [gort.go(recv) for _ in range(2)]
    await joinall(senders)
    c.close()
    got = await joinall(receivers)
    assert sorted(got[0] + got[1]) == [(k, i) for k in range(3) for i in range(4)]
    for part in got:  # each sender's values in order
        for k in range(3):
            mine = [i for j, i in part if j == k]
            assert mine == sorted(mine)


@case()
async def waiting_senders_are_served_in_order() -> None:
    c = gort.chan(1)

    async def send(i: int) -> None:
        await c.send(i)

    gs = []
    for i in range(4):
        gs.append(gort.go(send, i))
        await wait()
    assert [await c.recv() for _ in range(4)] == [0, 1, 2, 3]
    await joinall(gs)


@case()
async def waiting_receivers_are_served_in_order() -> None:
    c = gort.chan()
    got = []

    async def recv(i: int) -> None:
        got.append((i, await c.recv()))

    gs = []
    for i in range(4):
        gs.append(gort.go(recv, i))
        await wait()
    for i in range(4):
        await c.send(i)
    await joinall(gs)
    assert sorted(got) == [(i, i) for i in range(4)]


@case()
async def close_wakes_receivers() -> None:
    c = gort.chan()

    async def recv() -> Any:
        return await c.recv_ok()

    gs = [gort.go(recv) for _ in range(4)]
    await c.send(1)
    c.close()
    got = await joinall(gs)
    assert sorted(got, key=str) == sorted([(1, True)] + [(None, False)] * 3, key=str)


@case(procs=(2, 3, 4))
async def close_races_send() -> None:
    c = gort.chan(1)

    async def send(i: int) -> int | None:
        try:
            await c.send(i)
        except gort.ChanClosed:
            return None
        return i

    gs = [gort.go(send, i) for i in range(4)]

    async def close() -> None:
        c.close()

    closer = gort.go(close)
    got = [v async for v in c]
    sent = [v for v in await joinall(gs) if v is not None]
    await closer
    assert sorted(got) == sorted(sent), (got, sent)


@case(procs=(2, 3))
async def close_races_close() -> None:
    c = gort.chan()

    async def close() -> int:
        try:
            c.close()
        except gort.ChanClosed:
            return 0
        return 1

    assert sum(await joinall([gort.go(close) for _ in range(3)])) == 1


@case(procs=(1, 2, 3))
async def foreign_threads_send() -> None:
    c = gort.chan(2)

    def feed(k: int) -> None:
        for i in range(3):
            while True:
                try:
                    c.send_nowait((k, i))
                    break
                except gort.WouldBlock:
                    time.sleep(0.001)

    threads = [thread(feed, k) for k in range(2)]
    got = [await c.recv() for _ in range(6)]
    assert sorted(got) == [(k, i) for k in range(2) for i in range(3)]
    for t in threads:
        t.join()


# select


@case()
async def select_from_two() -> None:
    a, b = gort.chan(), gort.chan()

    async def send(c: Any) -> None:
        for i in range(4):
            await c.send(i)

    gs = [gort.go(send, a), gort.go(send, b)]
    got = [await gort.select(a.recv(), b.recv()) for _ in range(8)]
    assert [v for i, v in got if i == 0] == [v for i, v in got if i == 1] == [0, 1, 2, 3]
    await joinall(gs)


@case(procs=(2, 3, 4))
async def select_against_select() -> None:
    a, b = gort.chan(), gort.chan()

    async def left() -> Any:
        return await gort.select(a.send("l"), b.recv())

    async def right() -> Any:
        return await gort.select(a.recv(), b.send("r"))

    x, y = await joinall([gort.go(left), gort.go(right)])
    assert (x, y) in (((0, None), (0, "l")), ((1, "r"), (1, None)))


@case(procs=(2, 3, 4))
async def select_exactly_one() -> None:
    chans = [gort.chan() for _ in range(3)]

    async def take() -> Any:
        return await gort.select(*(c.recv() for c in chans))

    async def put(c: Any, v: int) -> bool:
        i, _ = await gort.select(c.send(v), done.recv_ok())
        return i == 0

    done = gort.chan()
    takers = [gort.go(take) for _ in range(2)]
    putters = [gort.go(put, c, i) for i, c in enumerate(chans)]
    got = await joinall(takers)
    done.close()
    sent = await joinall(putters)
    assert sum(sent) == 2
    assert sorted(i for i, _ in got) == [i for i, s in enumerate(sent) if s]
    assert all(i == v for i, v in got)


@case(procs=(2, 3))
async def select_with_default() -> None:
    c = gort.chan(1)
    hits = 0

    async def send() -> None:
        for i in range(3):
            await c.send(i)

    g = gort.go(send)
    for _ in range(200):
        i, _ = await gort.select(c.recv(), default=True)
        if i == 0:
            hits += 1
        else:
            await gort.sleep(0.001)
        if hits == 3:
            break
    else:
        assert jitter, "the sender never came"
        return
    await g


@case()
async def select_sees_close() -> None:
    a, b = gort.chan(), gort.chan()

    async def look() -> Any:
        return await gort.select(a.recv_ok(), b.recv_ok())

    gs = [gort.go(look) for _ in range(3)]
    b.close()
    assert await joinall(gs) == [(1, (None, False))] * 3


@case(procs=(2, 3))
async def select_cancelled_takes_nothing() -> None:
    a, b = gort.chan(), gort.chan()
    got = []

    async def take() -> None:
        i, v = await gort.select(a.recv(), b.recv())
        got.append(v)

    async def put(c: Any, v: str) -> bool:
        i, _ = await gort.select(c.send(v), done.recv_ok())
        return i == 0

    done = gort.chan()
    taker = gort.go(take)
    putters = [gort.go(put, a, "a"), gort.go(put, b, "b")]
    taker.cancel()
    await ended([taker])
    done.close()
    sent = await joinall(putters)
    assert [v for v, s in zip("ab", sent, strict=True) if s] == got


@case(procs=(2, 3))
async def select_on_one_channel_both_ways() -> None:
    c = gort.chan()

    async def both(k: int) -> Any:
        return await gort.select(c.send(k), c.recv())

    got = await joinall([gort.go(both, k) for k in range(4)])
    assert sorted(i for i, _ in got) == [0, 0, 1, 1]
    received = [v for i, v in got if i == 1]
    assert all(got[k][0] == 0 for k in received) and len(set(received)) == 2


@case()
async def select_times_out() -> None:
    c = gort.chan()
    t = time.monotonic()
    i, _ = await gort.select(c.recv(), gort.after(0.05).recv())
    assert i == 1
    soon(t, 0.05)


# the scheduler


@case(procs=(1, 2, 3, 4))
async def fan_out() -> None:
    async def leaf(i: int) -> int:
        await gort.gosched()
        return i

    assert await joinall([gort.go(leaf, i) for i in range(10)]) == list(range(10))


@case(procs=(1, 2, 3, 4))
async def tree() -> None:
    async def node(depth: int) -> int:
        if depth == 0:
            return 1
        a, b = gort.go(node, depth - 1), gort.go(node, depth - 1)
        return await a + await b

    assert await node(3) == 8


@case(procs=(1, 2, 3))
async def ring_overflows() -> None:
    seen = []

    async def leaf(i: int) -> None:
        seen.append(i)

    await joinall([gort.go(leaf, i) for i in range(20)])
    assert sorted(seen) == list(range(20))


@case(procs=(1, 2, 3))
async def yielding() -> None:
    async def turn() -> None:
        for _ in range(4):
            await gort.gosched()

    await joinall([gort.go(turn) for _ in range(5)])


@case(procs=(2, 3, 4))
async def idle_ps_take_new_work() -> None:
    """The creator computes on: an idle P must take what it made, runnext too."""
    started = []
    t = time.monotonic()

    async def child() -> None:
        started.append(time.monotonic() - t)
        work(0.05)

    gs = [gort.go(child)]
    work(0.05)
    await joinall(gs)
    assert jitter or started[0] < 0.001, started


@case(procs=(3, 4))
async def every_idle_p_finds_work() -> None:
    t = time.monotonic()

    async def child() -> None:
        work(0.02)

    gs = [gort.go(child) for _ in range(2)]
    work(0.02)
    await joinall(gs)
    soon(t, 0.02, 0.001)


@case(procs=(2, 3, 4))
async def wake_then_compute() -> None:
    """Who readies a goroutine computes on: another P runs it."""
    c = gort.chan()

    async def recv() -> float:
        await c.recv()
        return time.monotonic()

    g = gort.go(recv)
    await wait()
    t = time.monotonic()
    await c.send(1)
    work(0.05)
    at = await g - t
    assert jitter or at < 0.001, at


@case(procs=(1, 2, 3))
async def hogs_share() -> None:
    """Nobody waits for who computes, longer than a slice and a look of sysmon."""
    worst = 0.0

    async def hog() -> None:
        work(0.1)

    async def watch() -> None:
        nonlocal worst
        for _ in range(3):
            t = time.monotonic()
            await gort.sleep(0.001)
            worst = max(worst, time.monotonic() - t)

    await joinall([gort.go(hog), gort.go(hog), gort.go(watch), gort.go(hog)])
    assert jitter or worst < 0.07, worst


@case(procs=(1, 2))
async def slices_end_at_ops() -> None:
    """A loop over a channel that is never empty yields after its slice."""
    c = gort.chan(100)
    for i in range(30):
        c.send_nowait(i)
    ran = []

    async def other() -> None:
        ran.append(time.monotonic())

    t = time.monotonic()
    g = gort.go(other)
    for _ in range(30):
        await c.recv()
        work(0.002)
    await g
    assert jitter or ran[0] - t < 0.03, ran[0] - t


# calls that block


@case(procs=(1, 2, 3))
async def syscalls() -> None:
    async def call(i: int) -> int:
        await gort.syscall(time.sleep, 0.003)
        return i

    assert await joinall([gort.go(call, i) for i in range(4)]) == [0, 1, 2, 3]


@case(procs=(1, 2))
async def syscalls_return_to_busy_ps() -> None:
    async def hog() -> None:
        for _ in range(3):
            work(0.004)
            await gort.gosched()

    async def call() -> None:
        for _ in range(3):
            await gort.syscall(time.sleep, 0.002)

    await joinall([gort.go(hog), gort.go(call), gort.go(hog), gort.go(call)])


@case(procs=(1, 2, 3))
async def short_syscalls() -> None:
    async def call() -> int:
        return sum([await gort.syscall(int, "7") for _ in range(4)])

    assert await joinall([gort.go(call) for _ in range(4)]) == [28] * 4


@case(procs=(1, 2))
async def syscall_raises() -> None:
    def bad() -> None:
        time.sleep(0.002)
        raise ValueError("no")

    async def call() -> str:
        try:
            await gort.syscall(bad)
        except ValueError as exc:
            return str(exc)
        return ""

    assert await joinall([gort.go(call) for _ in range(3)]) == ["no"] * 3


@case(procs=(1, 2, 3))
async def blocking_blocks() -> None:
    c = gort.chan()

    async def block(i: int) -> None:
        async with gort.blocking():
            time.sleep(0.002)
        await c.send(i)

    gs = [gort.go(block, i) for i in range(3)]
    assert sorted([await c.recv() for _ in range(3)]) == [0, 1, 2]
    await joinall(gs)


@case(procs=(1, 2))
async def syscall_hands_its_poller_over() -> None:
    """The last P goes into a call while a file and a timer are waited for."""
    p = Pipe()
    t = time.monotonic()

    async def read() -> bytes:
        return await p.recv()

    async def nap() -> None:
        await gort.sleep(0.005)
        soon(t, 0.005, 0.02)

    def feed() -> None:
        time.sleep(0.004)
        p.write(b"x")

    gs = [gort.go(read), gort.go(nap)]
    await gort.gosched()
    feeder = thread(feed)
    await gort.syscall(time.sleep, 0.3)
    assert jitter or (gs[0].done() and gs[1].done())
    assert await gs[0] == b"x"
    await gs[1]
    feeder.join()


@case(procs=(1, 2, 3))
async def threads_wait() -> None:
    c, d = gort.chan(), gort.chan()

    def plain() -> Any:
        v = gort.wait(c.recv())
        gort.wait(d.send(v + 1))
        return v

    gs = [gort.go(plain) for _ in range(2)]
    await c.send(1)
    await c.send(5)
    assert sorted([await d.recv(), await d.recv()]) == [2, 6]
    assert sorted(await joinall(gs)) == [1, 5]


@case(procs=(1, 2))
async def foreign_threads_wait() -> None:
    c, d = gort.chan(), gort.chan(1)

    def outside() -> None:
        d.send_nowait(gort.wait(c.recv()))

    t = thread(outside)
    await c.send(3)
    assert await d.recv() == 3
    t.join()


@case(procs=(1, 2))
async def wait_times_out() -> None:
    c = gort.chan()

    def plain() -> str:
        try:
            gort.wait(c.recv(), timeout=0.01)
        except TimeoutError:
            return "late"
        return "got it"

    async def send() -> str:
        await gort.sleep(0.01)
        i, _ = await gort.select(c.send(1), gort.after(0.02).recv())
        return ("got it", "late")[i]

    a, b = await joinall([gort.go(plain), gort.go(send)])
    assert a == b


# timers


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
    assert jitter or max(late) < 0.03, late


@case(procs=(2, 3))
async def timers_of_who_computes_on() -> None:
    """Who starts a timer computes on: an idle P must run it in time."""
    await wait()
    for _ in range(3):
        t = time.monotonic()
        c = gort.after(0.002)
        work(0.008)
        at = await c.recv() - t
        assert jitter or at < 0.003, at


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
    assert n == 5 or jitter, n


@case(procs=(1, 2, 3))
async def cancelled_sleepers() -> None:
    async def nap() -> None:
        await gort.sleep(5)

    t = time.monotonic()
    gs = [gort.go(nap) for _ in range(4)]
    await gort.gosched()
    for g in gs[:3]:
        g.cancel()
    assert await ended(gs[:3]) == 3 or jitter
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
    assert await ended(gs) == len(gs) or jitter
    await keep


# the network poller, over virtual files


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
    assert (i, v) == (0, b"z") or jitter
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
            assert jitter or time.monotonic() - t < 0.021

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


# stop the world, procresize


@case(procs=(1, 2, 3))
async def resize() -> None:
    async def turn(i: int) -> int:
        for _ in range(4):
            await gort.gosched()
        return i

    gs = [gort.go(turn, i) for i in range(6)]
    last = gort.gomaxprocs()
    for n in (1, 3, 2, 4, 1):
        assert gort.gomaxprocs(n) == last
        last = n
        await gort.gosched()
    assert await joinall(gs) == list(range(6))


@case(procs=(2, 3, 4))
async def resize_full_queues() -> None:
    """Ps die with goroutines in their rings and in runnext."""
    seen = []

    async def leaf(i: int) -> None:
        seen.append(i)

    async def branch(i: int) -> None:
        gs = [gort.go(leaf, 3 * i + k) for k in range(3)]
        work(0.001)
        await joinall(gs)

    gs = [gort.go(branch, i) for i in range(3)]
    await gort.gosched()
    gort.gomaxprocs(1)
    await joinall(gs)
    assert sorted(seen) == list(range(9))


@case(procs=(2, 3, 4))
async def resize_with_timers() -> None:
    t = time.monotonic()

    async def nap(seconds: float) -> None:
        await gort.sleep(seconds)
        soon(t, seconds)

    gs = [gort.go(nap, i * 0.01) for i in range(1, 5)]
    ticks = gort.tick(0.01)
    await ticks.recv()
    gort.gomaxprocs(1)
    await ticks.recv()
    gort.gomaxprocs(3)
    await joinall(gs)


@case(procs=(2, 3))
async def resize_while_timers_start() -> None:
    """User code and plain threads are not stopped with the world, and start timers."""
    chans: list[Any] = []

    def outside() -> None:
        chans.append(gort.after(0.001))

    for _ in range(5):
        x = thread(outside)
        gort.gomaxprocs(2)
        gort.gomaxprocs(1)
        await gort.syscall(x.join)
        t = time.monotonic()
        await chans.pop().recv()
        assert jitter or time.monotonic() - t < 0.002


@case(procs=(1, 2, 3))
async def resize_from_everywhere() -> None:
    async def inside(n: int) -> None:
        gort.gomaxprocs(n)
        await gort.gosched()
        gort.gomaxprocs(n + 1)

    def outside() -> None:
        gort.gomaxprocs(4)

    t = thread(outside)
    await joinall([gort.go(inside, n) for n in (1, 2)])
    t.join()
    assert gort.gomaxprocs() in (2, 3, 4)


@case(procs=(2, 3))
async def resize_over_calls_and_hogs() -> None:
    async def hog() -> None:
        work(0.005)
        await gort.gosched()
        work(0.005)

    async def call() -> None:
        for _ in range(2):
            await gort.syscall(time.sleep, 0.004)

    gs = [gort.go(hog), gort.go(call), gort.go(hog), gort.go(call)]
    await gort.gosched()
    for n in (1, 3, 1):
        gort.gomaxprocs(n)
        await gort.sleep(0.003)
    await joinall(gs)


@case(procs=(2, 3))
async def resize_with_files() -> None:
    p = Pipe()

    async def read() -> bytes:
        return await p.recv()

    g = gort.go(read)
    await gort.sleep(0.001)
    gort.gomaxprocs(1)
    p.write(b"x")
    assert await g == b"x"


# locked threads


@case(procs=(1, 2, 3))
async def locked() -> None:
    c = gort.chan()

    async def send() -> None:
        gort.lock_os_thread()
        for i in range(3):
            await c.send(i)
        gort.unlock_os_thread()

    gs = [gort.go(send), gort.go(send)]
    assert sorted([await c.recv() for _ in range(6)]) == [0, 0, 1, 1, 2, 2]
    await joinall(gs)


@case(procs=(1, 2, 3))
async def locked_to_the_end() -> None:
    """A goroutine that ends locked takes its thread along."""
    seen = []

    async def alone() -> None:
        gort.lock_os_thread()
        me = threading.current_thread().name
        for _ in range(3):
            await gort.gosched()
            assert threading.current_thread().name == me
        if me != "gort-sim":  # the caller of run stays
            seen.append(me)

    await joinall([gort.go(alone) for _ in range(3)])
    assert len(set(seen)) == len(seen)


@case(procs=(1, 2))
async def locked_in_calls() -> None:
    async def call() -> None:
        gort.lock_os_thread()
        await gort.syscall(time.sleep, 0.002)
        work(0.012)
        await gort.sleep(0.001)
        gort.unlock_os_thread()

    async def turn() -> None:
        for _ in range(3):
            await gort.gosched()

    await joinall([gort.go(call), gort.go(turn), gort.go(call)])


@case(procs=(2, 3))
async def locked_and_resized() -> None:
    c = gort.chan()

    async def pong() -> None:
        gort.lock_os_thread()
        for i in range(4):
            assert await c.recv() == i
        gort.unlock_os_thread()

    g = gort.go(pong)
    for i in range(4):
        gort.gomaxprocs(1 + i % 3)
        await c.send(i)
    await g


# results, cancel, panic, shutdown, deadlock


@case(procs=(1, 2, 3))
async def joins() -> None:
    async def work_() -> int:
        await gort.gosched()
        return 42

    g = gort.go(work_)

    async def join() -> Any:
        return await g

    gs = [gort.go(join) for _ in range(4)]
    gs[1].cancel()
    assert await g == 42
    for x in gs:
        try:
            assert await x == 42
        except gort.Cancelled:
            assert x is gs[1]


@case(procs=(2, 3))
async def cancelled_receivers_lose_nothing() -> None:
    """What was sent was received by somebody, or is still in the channel."""
    c = gort.chan(1)
    got = []

    async def recv() -> None:
        v = await c.recv()
        got.append(v)

    gs = [gort.go(recv) for _ in range(3)]

    async def send() -> list[int]:
        sent = []
        for i in range(3):
            k, _ = await gort.select(c.send(i), done.recv_ok())
            if k == 0:
                sent.append(i)
        return sent

    done = gort.chan()
    s = gort.go(send)
    gs[0].cancel()
    gs[1].cancel()
    await ended(gs)
    done.close()
    sent = await s
    left = []
    while len(c):
        left.append(c.recv_nowait())
    assert sorted(got + left) == sent, (got, left, sent)


@case(procs=(2, 3))
async def cancel_races_ready() -> None:
    c = gort.chan()

    async def recv() -> bool:
        try:
            await c.recv()
        except gort.Cancelled:
            return False
        return True

    async def send() -> bool:
        i, _ = await gort.select(c.send(1), done.recv_ok())
        return i == 0

    async def cancel() -> None:
        r.cancel()

    done = gort.chan()
    r = gort.go(recv)
    s, x = gort.go(send), gort.go(cancel)
    await x
    try:
        got = await r
    except gort.Cancelled:  # before its first op
        got = False
    done.close()
    assert await s == got


@case(procs=(1, 2, 3))
async def cancel_a_thread_that_waits() -> None:
    c = gort.chan()

    def plain() -> str:
        try:
            gort.wait(c.recv())
        except gort.Cancelled:
            return "cancelled"
        return "got it"

    g = gort.go(plain)
    await gort.gosched()
    g.cancel()
    assert await g == "cancelled"


@case(procs=(1, 2, 3))
async def cancel_races_a_thread_that_waits() -> None:
    c, done = gort.chan(), gort.chan()

    def plain() -> bool:
        try:
            gort.wait(c.recv())
        except gort.Cancelled:
            return False
        return True

    async def send() -> bool:
        i, _ = await gort.select(c.send(1), done.recv_ok())
        return i == 0

    async def cancel() -> None:
        r.cancel()

    r = gort.go(plain)
    s, x = gort.go(send), gort.go(cancel)
    await x
    got = await r
    done.close()
    assert await s == got


_cleaned: list[int] = []


@case(procs=(1, 2, 3))
async def main_returns_first() -> None:
    c = gort.chan()
    _cleaned.clear()

    async def forever(i: int) -> None:
        try:
            await c.recv()
        finally:
            _cleaned.append(i)

    async def calls() -> None:
        await gort.syscall(time.sleep, 0.01)

    async def naps() -> None:
        await gort.sleep(1000)

    for i in range(3):
        gort.go(forever, i)
    gort.go(calls)
    gort.go(naps)
    await wait()


@case(procs=(1, 2, 3))
async def main_returns_at_once() -> None:
    async def turn() -> None:
        while True:
            await gort.gosched()

    async def spawn() -> None:
        while True:
            gort.go(turn)
            await gort.sleep(0.001)

    gort.go(turn)
    gort.go(spawn)


@case(procs=(1, 2, 3), raises=ZeroDivisionError)
async def panics() -> None:
    async def bad() -> None:
        await gort.gosched()
        _ = 1 // 0

    async def waits() -> None:
        await gort.chan().recv()

    gort.go(waits)
    gort.go(bad)
    await gort.chan().recv()


@case(procs=(1, 2, 3), raises=gort.DeadlockError)
async def deadlock_on_channels() -> None:
    a, b = gort.chan(), gort.chan()

    async def other() -> None:
        await a.recv()
        await b.send(1)

    gort.go(other)
    await b.recv()


@case(procs=(1, 2, 3), raises=gort.DeadlockError)
async def deadlock_after_work() -> None:
    async def end() -> None:
        work(0.02)
        await gort.sleep(0.01)
        await gort.syscall(time.sleep, 0.01)

    c = gort.chan()
    gs = [gort.go(end) for _ in range(3)]
    await joinall(gs)
    await gort.select(c.recv(), c.send(1)) if False else await c.recv()


@case(procs=(1, 2), raises=gort.DeadlockError)
async def deadlock_with_threads() -> None:
    """A locked goroutine, a plain one in gort.wait, select of nothing."""
    c = gort.chan()

    async def alone() -> None:
        gort.lock_os_thread()
        await c.recv()

    def plain() -> None:
        gort.wait(c.recv())

    gort.go(alone)
    gort.go(plain)
    await gort.select()


@case(procs=(1, 2, 3))
async def no_deadlock_while_a_thread_lives() -> None:
    c = gort.chan(1)

    def outside() -> None:
        time.sleep(1.0)
        c.send_nowait(1)

    t = thread(outside)
    assert await c.recv() == 1
    t.join()


@case(procs=(1, 2, 3))
async def no_deadlock_while_time_passes() -> None:
    c = gort.chan()

    async def nap() -> None:
        await gort.sleep(60)
        await c.send(1)

    gort.go(nap)
    assert await c.recv() == 1


@case(procs=(1, 2, 3))
async def threads_start_goroutines() -> None:
    done = gort.chan()

    async def hello(i: int) -> None:
        await done.send(i)

    def outside(i: int) -> None:
        gort.go(hello, i)

    ts = [thread(outside, i) for i in range(3)]
    assert sorted([await done.recv() for _ in range(3)]) == [0, 1, 2]
    for t in ts:
        t.join()


@case(procs=(2, 3))
async def threads_start_two_at_once() -> None:
    """One M takes both off the global queue while the other one gives its P up."""

    async def busy() -> None:
        work(0.002)

    def outside() -> None:
        for _ in range(4):
            gs.extend([gort.go(busy), gort.go(busy)])
            time.sleep(0.01)

    gs: list[Any] = []
    t = thread(outside)
    await gort.syscall(t.join)
    await joinall(gs)


@case(procs=(1, 2, 3))
async def waiting_for_the_others() -> None:
    """gort.testing.wait: nobody else can go on, and time has not moved."""
    state = []

    async def step() -> None:
        await gort.gosched()
        state.append(1)
        await gort.sleep(0.001)
        state.append(2)

    t = time.monotonic()
    g = gort.go(step)
    await wait()
    assert jitter or (state == [1] and time.monotonic() < t + 0.001)
    await gort.sleep(0.001)
    await wait()
    assert state == [1, 2]
    await g


@case(procs=(2, 3), maxsteps=200_000)
async def everything() -> None:
    """Channels, select, timers, calls, files, cancels and procresize at once."""
    c, d, p = gort.chan(1), gort.chan(), Pipe()

    async def feed() -> None:
        for i in range(4):
            await gort.select(c.send(i), d.send(i))

    async def drain() -> int:
        n = 0
        while n < 4:
            i, _ = await gort.select(c.recv(), d.recv(), gort.after(0.01).recv())
            n += i < 2
        return n

    async def call() -> None:
        await gort.syscall(time.sleep, 0.002)
        p.write(b"x")

    async def read() -> None:
        await p.recv()
        work(0.012)

    async def nap() -> None:
        await gort.sleep(30)

    victim = gort.go(nap)
    gs = [gort.go(fn) for fn in (feed, drain, call, read)]
    await gort.gosched()
    gort.gomaxprocs(1)
    victim.cancel()
    gort.gomaxprocs(3)
    await joinall(gs)
    assert await ended([victim]) == 1 or jitter


# a random program for each seed


class Chaos:
    """Goroutines that do what a seed says, over a few channels; no value may be lost,
    and everyone ends once `done` is closed."""

    def __init__(self, number: int) -> None:
        self.rng = random.Random(number)
        self.chans = [gort.chan(n) for n in (0, 0, 1, 3)]
        self.done = gort.chan()
        self.pipe = Pipe(capacity=4)
        self.sent: list[int] = []
        self.got: list[int] = []
        self.bytes = [0, 0]
        self.gs: list[Any] = []
        self.n = 0
        self.resizes = 3
        self.close = self.rng.random() < 0.3

    def value(self) -> int:
        self.n += 1
        return self.n

    def sends(self, v: int) -> Any:
        return self.rng.choice(self.chans).send(v)

    def recvs(self) -> Any:
        return self.rng.choice(self.chans).recv_ok()

    def received(self, pair: Any) -> None:
        if pair[1]:
            self.got.append(pair[0])

    async def exchange(self) -> None:
        """Sends, receives, or either, or gives it up."""
        v, w = self.value(), self.value()
        kind = self.rng.randrange(4)
        last = self.done.recv_ok() if self.rng.random() < 0.6 else gort.after(0.003).recv()
        if kind == 0:
            i, _ = await gort.select(self.sends(v), last)
            if i == 0:
                self.sent.append(v)
        elif kind == 1:
            i, pair = await gort.select(self.recvs(), last)
            if i == 0:
                self.received(pair)
        else:
            i, x = await gort.select(self.sends(v), self.recvs(), self.sends(w), last)
            if i == 1:
                self.received(x)
            elif i in (0, 2):
                self.sent.append((v, 0, w)[i])

    def now(self) -> None:
        c = self.rng.choice(self.chans)
        v = self.value()
        try:
            if self.rng.random() < 0.5:
                c.send_nowait(v)
                self.sent.append(v)
            else:
                self.got.append(c.recv_nowait())
        except (gort.WouldBlock, gort.ChanClosed):
            pass

    def block(self) -> None:
        """On a thread: wait for an op, for a while."""
        v = self.value()
        c = self.rng.choice(self.chans)
        try:
            if self.rng.random() < 0.5:
                gort.wait(c.send(v), timeout=0.004)
                self.sent.append(v)
            else:
                self.received(gort.wait(c.recv_ok(), timeout=0.004))
        except (TimeoutError, gort.ChanClosed):
            pass

    async def files(self) -> None:
        if self.rng.random() < 0.5:
            try:
                self.bytes[0] += self.pipe.write(b"xy")
            except (BlockingIOError, BrokenPipeError):
                pass
        else:
            self.bytes[1] += len(await self.pipe.recv(2))

    async def turn(self) -> None:
        rng = self.rng
        kind = rng.randrange(16)
        if kind < 5:
            await self.exchange()
        elif kind == 5:
            self.now()
        elif kind == 6:
            await gort.gosched()
        elif kind == 7:
            await gort.sleep(rng.choice((0, 0.00001, 0.001, 0.002)))
        elif kind == 8:
            await gort.syscall(time.sleep, rng.choice((0, 0.0001, 0.002)))
        elif kind == 9:
            work(rng.choice((0.0001, 0.002, 0.012)))
        elif kind == 10 and len(self.gs) < 10:
            self.gs.append(gort.go(self.goroutine, 2))
        elif kind == 11 and self.gs:
            rng.choice(self.gs).cancel()
        elif kind == 12 and self.resizes:
            self.resizes -= 1
            gort.gomaxprocs(rng.randrange(1, 5))
        elif kind == 13:
            gort.lock_os_thread()
            await self.exchange()
            if rng.random() < 0.7:
                gort.unlock_os_thread()
        elif kind == 14 and len(self.gs) < 10:
            self.gs.append(gort.go(self.block))
        elif kind == 15:
            await self.files()

    async def goroutine(self, turns: int) -> None:
        for _ in range(turns):
            try:
                await self.turn()
            except gort.ChanClosed:
                pass

    def outside(self) -> None:
        for _ in range(2):
            self.now()
            self.block()
            if self.rng.random() < 0.3:
                gort.gomaxprocs(2)

    async def main(self) -> None:
        self.gs += [gort.go(self.goroutine, 5) for _ in range(4)]
        t = thread(self.outside)
        if self.close:
            await gort.sleep(0.002)
            self.chans[self.rng.randrange(4)].close()
        await gort.syscall(t.join)
        self.done.close()
        self.pipe.close()
        while any(not g.done() for g in self.gs):
            await ended(list(self.gs))
        left = []
        for c in self.chans:
            while len(c):
                left.append(c.recv_nowait())
        assert sorted(self.got + left) == sorted(self.sent), (self.got, left, self.sent)
        assert self.bytes[0] >= self.bytes[1]


@case(procs=(1, 2, 3, 4), maxsteps=200_000)
async def chaos() -> None:
    await Chaos(seed).main()
