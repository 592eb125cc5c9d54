"""Results, cancel, panic, shutdown, deadlock, and everything at once."""

from __future__ import annotations

import time
from typing import Any

import gort
from gort.testing import Pipe, thread, wait, work

from .base import case, ended, joinall, loose


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
async def what_was_awaited_is_counted_no_more() -> None:
    async def leaf() -> None:
        await gort.gosched()

    for _ in range(3):
        await gort.go(leaf)
        assert gort.num_goroutine() == 1
    wg = gort.sync.WaitGroup()
    gs = [wg.go(leaf) for _ in range(2)]
    await wg.wait()
    assert gort.num_goroutine() == 1 and all(g.done() for g in gs)


@case(procs=(1, 2))
async def joiners_leave_in_any_order() -> None:
    end = gort.chan()

    async def target() -> int:
        await end.recv_ok()
        return 42

    g = gort.go(target)
    left: list[int] = []

    async def join(i: int) -> None:
        assert await g == 42
        left.append(i)

    gs = [gort.go(join, i) for i in range(6)]
    await wait()
    for i in (2, 1, 5, 3):
        gs[i].cancel()
        await gort.gosched()
    await wait()
    end.close()
    assert await ended(gs) == 4
    assert sorted(left) == [0, 4], left


@case(procs=(2, 3))
async def cancelled_joiners_leave_the_others() -> None:
    """One is cancelled while those whom it stands between are woken."""
    end = gort.chan()

    async def target() -> int:
        await end.recv_ok()
        return 42

    async def join() -> Any:
        return await g

    async def cancel() -> None:
        gs[1].cancel()
        gs[2].cancel()

    g = gort.go(target)
    gs = [gort.go(join) for _ in range(4)]
    while any(x.status != "waiting" for x in gs):
        await gort.gosched()
    x = gort.go(cancel)
    end.close()
    await x
    for i, x in enumerate(gs):
        try:
            assert await x == 42
        except gort.Cancelled:
            assert i in (1, 2)


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


@case(procs=(1, 2, 3))
async def a_thread_starts_goroutines_past_the_end() -> None:
    """Each is refused, or ends."""

    async def nothing() -> None:
        pass

    def outside() -> None:
        gs = []
        while True:
            try:
                gs.append(gort.go(nothing))
            except RuntimeError:
                break
            time.sleep(0.0001)
        while not all([g.done() for g in gs]):
            time.sleep(0.01)

    thread(outside)
    await gort.sleep(0.0005)


@case(procs=(1, 2, 3))
async def suspended_generators_are_closed() -> None:
    """At the end, whoever ends last, and their cleanup may wait."""
    closed: list[int] = []
    kept = []

    async def gen(i: int) -> Any:
        try:
            yield i
        finally:
            await gort.sleep(0.001)
            closed.append(i)

    async def child(i: int) -> None:
        it = gen(i)
        assert await anext(it) == i
        kept.append(it)
        await gort.sleep(1000)

    def outside() -> None:
        while sorted(closed) != [0, 1, 2] and not loose():
            time.sleep(0.01)

    thread(outside)
    for i in range(3):
        gort.go(child, i)
    while len(kept) < 3:
        await gort.gosched()


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
    assert loose() or (state == [1] and time.monotonic() < t + 0.001)
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
    assert await ended([victim]) == 1 or loose()
