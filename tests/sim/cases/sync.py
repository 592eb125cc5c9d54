"""gort.sync: mutual exclusion, order, no lost wake-up, and cancels that lose nothing."""

from __future__ import annotations

import time
from typing import Any

import gort
from gort.testing import thread, wait, work

from .base import case, ended, joinall, loose


class Inside:
    """Who is in the critical section, and that nobody is who must not be."""

    def __init__(self) -> None:
        self.readers = self.writers = 0
        self.count = 0

    async def write(self) -> None:
        assert self.readers == self.writers == 0, "a writer is not alone"
        self.writers += 1
        n = self.count
        try:
            await gort.gosched()
            self.count = n + 1
        finally:
            self.writers -= 1

    async def read(self) -> None:
        assert self.writers == 0, "a reader beside a writer"
        self.readers += 1
        n = self.count
        try:
            await gort.gosched()
            assert self.count == n, "a writer wrote beside a reader"
        finally:
            self.readers -= 1


# Mutex


@case(procs=(1, 2, 3, 4))
async def mutex_excludes() -> None:
    mu, inside = gort.sync.Mutex(), Inside()

    async def turn() -> None:
        for _ in range(3):
            async with mu:
                await inside.write()

    await joinall([gort.go(turn) for _ in range(4)])
    assert inside.count == 12 and mu.try_lock()


@case(procs=(1, 2, 3))
async def mutex_waiters_are_served_in_order() -> None:
    """Nobody else competes, so the queue's order is the order of the holders."""
    mu, order = gort.sync.Mutex(), []

    async def take(i: int) -> None:
        async with mu:
            order.append(i)
            await gort.gosched()

    await mu.lock()
    gs = []
    for i in range(4):
        gs.append(gort.go(take, i))
        await wait()
    await gort.sleep(0.002)
    mu.unlock()
    await joinall(gs)
    assert order == [0, 1, 2, 3], order


@case(procs=(1, 2, 3))
async def mutex_starves_nobody() -> None:
    """One who takes it again and again lets a waiter in after a slice and a look."""
    mu, stop = gort.sync.Mutex(), []

    async def greedy() -> None:
        while not stop:
            async with mu:
                work(0.0004)

    g = gort.go(greedy)
    worst = 0.0
    for _ in range(3):
        await gort.sleep(0.001)
        t = time.monotonic()
        async with mu:
            worst = max(worst, time.monotonic() - t)
    stop.append(True)
    await g
    assert loose() or worst < 0.05, worst


@case(procs=(2, 3, 4))
async def mutex_cancelled_waiters_pass_it_on() -> None:
    """A cancel races the unlock that woke its victim: somebody else gets the mutex."""
    mu, got = gort.sync.Mutex(), []

    async def take(i: int) -> None:
        async with mu:
            got.append(i)
            await gort.gosched()

    async def cancel() -> None:
        gs[0].cancel()
        gs[2].cancel()

    await mu.lock()
    gs = [gort.go(take, i) for i in range(4)]
    await gort.gosched()
    x = gort.go(cancel)
    mu.unlock()
    await x
    await ended(gs)
    assert {1, 3} <= set(got) and len(set(got)) == len(got), got
    assert mu.try_lock(), "nobody holds it, and it is locked"


@case(procs=(1, 2, 3))
async def mutex_from_threads() -> None:
    mu, count = gort.sync.Mutex(), 0

    def plain() -> None:
        nonlocal count
        for _ in range(2):
            gort.wait(mu.lock())
            n = count
            time.sleep(0.001)
            count = n + 1
            mu.unlock()

    async def turn() -> None:
        nonlocal count
        for _ in range(2):
            async with mu:
                n = count
                await gort.sleep(0.001)
                count = n + 1

    t = thread(plain)
    await joinall([gort.go(plain), gort.go(turn), gort.go(turn)])
    await gort.syscall(t.join)
    assert count == 8, count


@case(procs=(1, 2, 3))
async def mutex_while_resizing() -> None:
    mu, inside = gort.sync.Mutex(), Inside()

    async def turn() -> None:
        for _ in range(3):
            async with mu:
                await inside.write()

    gs = [gort.go(turn) for _ in range(3)]
    for n in (1, 3, 2):
        gort.gomaxprocs(n)
        async with mu:
            await inside.write()
    await joinall(gs)
    assert inside.count == 12


# RWMutex


@case(procs=(1, 2, 3, 4))
async def rwmutex_excludes() -> None:
    rw, inside = gort.sync.RWMutex(), Inside()

    async def write() -> None:
        for _ in range(2):
            async with rw:
                await inside.write()

    async def read() -> None:
        for _ in range(3):
            async with rw.reader():
                await inside.read()

    await joinall([gort.go(fn) for fn in (read, write, read, write, read)])
    assert inside.count == 4 and rw.try_lock()


@case(procs=(1, 2, 3))
async def rwmutex_a_waiting_writer_goes_first() -> None:
    rw, order = gort.sync.RWMutex(), []

    async def write() -> None:
        async with rw:
            order.append("w")

    async def read() -> None:
        async with rw.reader():
            order.append("r")

    await rw.rlock()
    gs = [gort.go(write)]
    await wait()
    assert not rw.try_rlock(), "a reader passes a waiting writer"
    for _ in range(2):
        gs.append(gort.go(read))
        await wait()
    assert order == [], "readers passed a waiting writer"
    rw.runlock()
    await joinall(gs)
    assert order == ["w", "r", "r"], order


@case(procs=(1, 2, 3))
async def rwmutex_readers_come_in_together() -> None:
    """A writer's unlock admits every reader that waits, before the next writer."""
    rw, inside, together = gort.sync.RWMutex(), Inside(), gort.sync.WaitGroup()
    together.add(3)

    async def read() -> None:
        async with rw.reader():
            assert inside.count == 0, "the second writer went first"
            together.done()
            await together.wait()  # for ever, unless all three are in

    async def write() -> None:
        async with rw:
            await inside.write()

    await rw.lock()
    gs = [gort.go(read) for _ in range(3)]
    await wait()
    gs.append(gort.go(write))
    await wait()
    rw.unlock()
    await joinall(gs)
    assert inside.count == 1


@case(procs=(1, 2, 3))
async def rwmutex_a_cancelled_writer_lets_readers_in() -> None:
    rw, c = gort.sync.RWMutex(), gort.chan()

    async def write() -> None:
        async with rw:
            pass

    async def read() -> None:
        async with rw.reader():
            await c.send(1)

    await rw.rlock()
    writer = gort.go(write)
    await wait()
    gs = [gort.go(read) for _ in range(2)]
    await wait()
    writer.cancel()
    assert [await c.recv() for _ in gs] == [1, 1]  # this reader is still in
    rw.runlock()
    await joinall(gs)
    assert await ended([writer]) == 1
    assert rw.try_lock()


@case(procs=(2, 3))
async def rwmutex_cancels_race_unlocks() -> None:
    rw, inside = gort.sync.RWMutex(), Inside()

    async def write() -> None:
        async with rw:
            await inside.write()

    async def read() -> None:
        async with rw.reader():
            await inside.read()

    await rw.lock()
    gs = [gort.go(fn) for fn in (write, read, write, read)]
    await gort.gosched()

    async def cancel() -> None:
        gs[0].cancel()
        gs[1].cancel()

    x = gort.go(cancel)
    rw.unlock()
    await x
    lost = await ended(gs)
    assert lost <= 2 and inside.count >= 1
    assert rw.try_lock(), "nobody is in, and it is locked"


# WaitGroup, Once


@case(procs=(1, 2, 3, 4))
async def waitgroup_wakes_everybody() -> None:
    wg, ends = gort.sync.WaitGroup(), 0

    async def member() -> None:
        nonlocal ends
        await gort.gosched()
        ends += 1

    async def look() -> int:
        await wg.wait()
        return ends

    wg.add(1)  # nobody finds it at zero in between
    gs = [gort.go(look) for _ in range(3)]
    for _ in range(4):
        wg.go(member)
    wg.done()
    assert await joinall(gs) == [4, 4, 4]


@case(procs=(1, 2, 3))
async def waitgroup_is_used_again() -> None:
    wg, order = gort.sync.WaitGroup(), []

    async def member(k: int) -> None:
        await gort.gosched()
        order.append(k)

    for k in range(4):
        for _ in range(2):
            wg.go(member, k)
        await wg.wait()
        assert order.count(k) == 2, order
    assert order == sorted(order)


@case(procs=(2, 3))
async def waitgroup_cancels_race_the_last_done() -> None:
    wg = gort.sync.WaitGroup()
    wg.add(2)

    async def look() -> None:
        await wg.wait()

    async def done() -> None:
        wg.done()

    gs = [gort.go(look) for _ in range(3)]
    await gort.gosched()
    ds = [gort.go(done), gort.go(done)]
    gs[1].cancel()
    await joinall(ds)
    await gs[0]
    await gs[2]
    assert await ended([gs[1]]) <= 1
    wg.add(1)  # the word is as new: nobody waits
    g = gort.go(look)
    await wait()
    wg.done()
    await g


@case(procs=(1, 2, 3))
async def waitgroup_a_cancelled_waiter_leaves_the_others() -> None:
    wg = gort.sync.WaitGroup()
    wg.add(1)

    async def look() -> None:
        await wg.wait()

    gs = [gort.go(look) for _ in range(3)]
    await wait()
    gs[2].cancel()
    assert await ended([gs[2]]) == 1
    wg.done()
    await joinall(gs[:2])


@case(procs=(1, 2, 3, 4))
async def once_runs_once() -> None:
    once, runs, over = gort.sync.Once(), 0, False

    async def first() -> int:
        nonlocal runs, over
        runs += 1
        await gort.gosched()
        over = True
        return 7

    async def do() -> Any:
        v = await once.do(first)
        assert over, "do returned before the call had ended"
        return v

    assert await joinall([gort.go(do) for _ in range(5)]) == [7] * 5
    assert runs == 1


@case(procs=(2, 3))
async def once_that_is_cancelled_counts() -> None:
    """The call that is cancelled was the one; nobody waits for ever, nobody calls again."""
    once, runs, c = gort.sync.Once(), 0, gort.chan()

    async def first() -> None:
        nonlocal runs
        runs += 1
        await c.recv()

    async def do() -> Any:
        return await once.do(first)

    gs = [gort.go(do) for _ in range(3)]
    await wait()
    assert runs == 1
    for g in gs:
        g.cancel()
    await ended(gs)
    assert await once.do(first) is None and runs == 1


# Cond


@case(procs=(1, 2, 3, 4))
async def cond_bounded_buffer() -> None:
    """Two conditions over one mutex: no wake-up is lost, and order is kept."""
    mu = gort.sync.Mutex()
    room, some = gort.sync.Cond(mu), gort.sync.Cond(mu)
    buf: list[tuple[int, int]] = []
    got: list[tuple[int, int]] = []

    async def put(k: int) -> None:
        for i in range(4):
            async with mu:
                while len(buf) == 2:
                    await room.wait()
                buf.append((k, i))
            some.signal()

    async def take() -> None:
        for _ in range(4):
            async with mu:
                while not buf:
                    await some.wait()
                got.append(buf.pop(0))
            room.signal()

    await joinall([gort.go(fn, *a) for fn, *a in ((put, 0), (take,), (put, 1), (take,))])
    assert sorted(got) == [(k, i) for k in range(2) for i in range(4)] and not buf
    for k in range(2):
        assert [i for j, i in got if j == k] == [0, 1, 2, 3], got


@case(procs=(1, 2, 3))
async def cond_signal_wakes_the_first() -> None:
    mu, woken = gort.sync.Mutex(), []
    c = gort.sync.Cond(mu)

    async def look(i: int) -> None:
        async with mu:
            await c.wait()
            assert not mu.try_lock(), "wait returned without the lock"
            woken.append(i)

    gs = []
    for i in range(3):
        gs.append(gort.go(look, i))
        await wait()
    for i in range(3):
        c.signal()
        await wait()
        assert woken == list(range(i + 1)), woken
    await joinall(gs)


@case(procs=(2, 3, 4))
async def cond_signals_race_waits() -> None:
    """Who sets the flag under the lock and signals after it wakes whoever saw it unset."""
    for _ in range(3):
        mu, ready = gort.sync.Mutex(), []
        c = gort.sync.Cond(mu)

        async def look(mu: Any = mu, c: Any = c, ready: Any = ready) -> None:
            async with mu:
                while not ready:
                    await c.wait()

        g = gort.go(look)
        async with mu:
            ready.append(True)
        c.signal()
        await g


@case(procs=(1, 2, 3))
async def cond_broadcast_wakes_everybody() -> None:
    rw, inside = gort.sync.RWMutex(), Inside()
    c = gort.sync.Cond(rw)

    async def look() -> None:
        async with rw:
            await c.wait()
            await inside.write()

    gs = [gort.go(look) for _ in range(4)]
    await wait()
    await rw.lock()
    c.broadcast()
    await inside.write()
    rw.unlock()
    await joinall(gs)
    assert inside.count == 5


@case(procs=(2, 3))
async def cond_cancel_races_signal() -> None:
    """One signal wakes exactly one of two, whichever of them is cancelled at that time."""
    mu, woken = gort.sync.Mutex(), []
    c = gort.sync.Cond(mu)

    async def look(i: int) -> None:
        await mu.lock()
        try:
            await c.wait()
            woken.append(i)
        finally:
            assert not mu.try_lock(), "wait ended without the lock"
            mu.unlock()

    async def cancel() -> None:
        gs[0].cancel()

    gs = []
    for i in range(2):
        gs.append(gort.go(look, i))
        await wait()
    x = gort.go(cancel)
    c.signal()
    await x
    await wait()
    assert len(woken) == 1, woken
    c.broadcast()
    await ended(gs)
    assert mu.try_lock()


# Semaphore


@case(procs=(1, 2, 3, 4))
async def semaphore_bounds() -> None:
    s, taken, turns = gort.sync.Semaphore(3), 0, 0

    async def turn(n: int) -> None:
        nonlocal taken, turns
        for _ in range(2):
            await s.acquire(n)
            taken += n
            assert taken <= 3, taken
            await gort.gosched()
            taken -= n
            turns += 1
            s.release(n)

    await joinall([gort.go(turn, n) for n in (1, 2, 3, 1, 2)])
    assert turns == 10 and s.try_acquire(3)


@case(procs=(1, 2, 3))
async def semaphore_serves_in_order() -> None:
    """A small one does not pass a big one that waits."""
    s, order = gort.sync.Semaphore(3), []

    async def take(n: int) -> None:
        await s.acquire(n)
        order.append(n)
        s.release(n)

    await s.acquire(2)
    gs = []
    for n in (3, 1, 2):
        gs.append(gort.go(take, n))
        await wait()
    assert order == [] and not s.try_acquire(1)
    s.release(2)
    await joinall(gs)
    assert order[0] == 3 and sorted(order) == [1, 2, 3], order


@case(procs=(2, 3))
async def semaphore_cancelled_waiters_let_others_in() -> None:
    s, c = gort.sync.Semaphore(3), gort.chan()

    async def take(n: int) -> None:
        await s.acquire(n)
        await c.send(n)
        s.release(n)

    await s.acquire(2)
    big = gort.go(take, 3)
    await wait()
    small = gort.go(take, 1)
    await wait()
    big.cancel()
    assert await c.recv() == 1  # two units are still taken
    await small
    assert await ended([big]) == 1
    s.release(2)
    assert s.try_acquire(3)


@case(procs=(2, 3))
async def semaphore_cancels_race_releases() -> None:
    s, got = gort.sync.Semaphore(2), []

    async def take(n: int) -> None:
        await s.acquire(n)
        got.append(n)
        s.release(n)

    async def cancel() -> None:
        gs[0].cancel()
        gs[1].cancel()

    await s.acquire(2)
    gs = [gort.go(take, n) for n in (2, 1, 2, 1)]
    await gort.gosched()
    x = gort.go(cancel)
    s.release(1)
    s.release(1)
    await x
    lost = await ended(gs)
    assert len(got) == 4 - lost and lost <= 2
    assert s.try_acquire(2), "units were lost"


# Event, Barrier


@case(procs=(1, 2, 3, 4))
async def event_wakes_every_waiter() -> None:
    ev = gort.sync.Event()
    gs = [gort.go(ev.wait) for _ in range(4)]
    gs[0].cancel()
    gort.go(ev.set)
    await joinall(gs[1:])
    await ended(gs[:1])
    assert ev.is_set()


@case(procs=(1, 2, 3, 4))
async def barrier_counts_no_one_who_was_cancelled() -> None:
    """Two of three go through, whichever side of the cancel the round falls on."""
    b, through = gort.sync.Barrier(2), []

    async def party(i: int) -> None:
        through.append((i, await b.wait()))

    gs = [gort.go(party, i) for i in range(3)]
    gort.go(gs[0].cancel)
    await wait()
    assert sorted(place for _, place in through) == [0, 1], through
    for g in gs:
        g.cancel()
    assert await ended(gs) == 1
    assert repr(b) == "<Barrier 0/2 arrived>"
