"""The scheduler, calls that block, stop-the-world, locked threads."""

from __future__ import annotations

import threading
import time
from typing import Any

import gort
from gort._pure import simulated
from gort.testing import Pipe, thread, wait, work

from .base import case, joinall, loose, soon


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


@case(procs=(1, 2, 3))
async def a_yield_lets_the_global_queue_go_first() -> None:
    """Whoever yields does not join that queue, and what waits there does not wait for all
    that yield."""
    queued = []
    ran = []
    over = []
    turns = 0

    async def other() -> None:
        ran.append(turns)

    async def turn() -> None:
        while not over:
            await gort.gosched()

    def outside() -> None:
        gort.go(other)
        queued.append(turns)

    others = [gort.go(turn) for _ in range(6)]
    t = thread(outside)
    while not ran:
        turns += 1
        await gort.gosched()
    assert not queued or ran[0] - queued[0] <= 2
    for _ in range(3):
        await gort.gosched()
    assert simulated().runtime.boot.schedstats()["runqueue"] == 0
    over.append(True)
    t.join()
    await joinall(others)


@case(procs=(1, 2, 3))
async def each_p_counts_what_it_starts() -> None:
    """Also what another one ends."""

    async def leaf(k: int) -> None:
        if k:
            await joinall([gort.go(leaf, 0) for _ in range(k)])
        await gort.gosched()

    await joinall([gort.go(leaf, k) for k in range(4)])
    assert gort.num_goroutine() == 1


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
    assert loose() or started[0] < 0.001, started


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
    assert loose() or at < 0.001, at


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
    assert loose() or worst < 0.07, worst


@case(procs=(3, 4))
async def parks_on_another_p() -> None:
    """All compute until they have lost their Ps, as a file is waited for; take other Ps for
    their ops, and are readied while they park."""
    p, c = Pipe(), gort.chan()

    async def read() -> None:
        await p.recv()

    async def send(k: int) -> None:
        for _ in range(3):
            work(0.025)
            await c.send(k)

    async def recv() -> int:
        n = 0
        for _ in range(3):
            work(0.025)
            n += await c.recv()
        return n

    file = gort.go(read)
    gs = [gort.go(send, 1), gort.go(recv), gort.go(send, 2), gort.go(recv)]
    assert sum([await g or 0 for g in gs]) == 9
    p.close()
    await file


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
    assert loose() or ran[0] - t < 0.03, ran[0] - t


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
    assert loose() or (gs[0].done() and gs[1].done())
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
        assert loose() or time.monotonic() - t < 0.002


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
