"""Random programs, another one for each seed."""

from __future__ import annotations

import random
import time
from typing import Any

from traffic import Traffic

import gort
from gort.testing import Pipe, thread, work

from .base import Plan, case, ended, loose


class Chaos(Traffic):
    """Goroutines that do what a seed says, and all end once `done` is closed."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, (0, 0, 1, 3), patience=0.6, delay=0.003)
        self.pipe = Pipe(capacity=4)
        self.bytes = [0, 0]
        self.resizes = 3
        self.close = self.rng.random() < 0.3

    async def files(self) -> None:
        if self.rng.random() < 0.5:
            try:
                n = self.pipe.write(b"xy")  # others may run in it: not within the addition
                self.bytes[0] += n
            except (BlockingIOError, BrokenPipeError):
                pass
        else:
            data = await self.pipe.recv(2)
            self.bytes[1] += len(data)

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
        self.check()
        assert self.bytes[0] >= self.bytes[1]


@case(procs=(1, 2, 3, 4), maxsteps=200_000)
async def chaos() -> None:
    await Chaos(Plan.seed).main()


class Locks:
    """Goroutines that lock, wait, time out, fail and are cancelled as a seed says: nobody is
    beside a writer, and in the end everything is free and nobody waits."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.mu, self.rw = gort.sync.Mutex(), gort.sync.RWMutex()
        self.units = gort.sync.Semaphore(3)
        self.wg, self.once = gort.sync.WaitGroup(), gort.sync.Once()
        self.cond = gort.sync.Cond(self.mu)
        self.root, self.cancel = gort.context.with_cancel(gort.context.background())
        self.writers = self.readers = self.taken = self.holders = self.calls = 0
        self.gs: list[Any] = []
        self.left = 14

    async def stay(self) -> None:
        """In the middle of something."""
        kind = self.rng.randrange(6)
        if kind == 0:
            await gort.sleep(self.rng.choice((0.0005, 0.002)))
        elif kind == 1:
            work(0.001)
        elif kind == 2:
            await gort.syscall(time.sleep, 0.001)
        elif kind < 5:
            await gort.gosched()

    async def exclusive(self) -> None:
        async with self.mu:
            self.holders += 1
            assert self.holders == 1, "two hold the mutex"
            try:
                await self.stay()
            finally:
                self.holders -= 1

    async def write(self) -> None:
        async with self.rw:
            assert self.writers == self.readers == 0, "a writer is not alone"
            self.writers += 1
            try:
                await self.stay()
            finally:
                self.writers -= 1

    async def read(self) -> None:
        async with self.rw.reader():
            assert self.writers == 0, "a reader beside a writer"
            self.readers += 1
            try:
                await self.stay()
            finally:
                self.readers -= 1

    async def take(self) -> None:
        n = self.rng.randrange(1, 4)
        await self.units.acquire(n)
        self.taken += n
        try:
            assert self.taken <= 3, "more units than there are"
            await self.stay()
        finally:
            self.taken -= n
            self.units.release(n)

    async def signalled(self) -> None:
        """Waits until somebody signals, or for a while."""
        async with self.mu:
            try:
                async with gort.timeout(0.003):
                    await self.cond.wait()
            except TimeoutError:
                pass
            assert not self.mu.try_lock(), "wait ended without the lock"
            assert self.holders == 0, "wait ended beside a holder"

    async def call(self) -> None:
        self.calls += 1
        await self.stay()

    async def fails(self) -> None:
        await self.stay()
        raise ZeroDivisionError

    async def within(self) -> None:
        """A group, in a timeout or a shield, in a context of its own."""
        ctx, cancel = gort.context.with_timeout(self.root, self.rng.choice((0.001, 0.01)))
        scope = gort.timeout(0.004) if self.rng.random() < 0.6 else gort.shield(0.004)
        limit = self.rng.choice((None, 1, 2))
        ends: list[int] = []
        n = self.rng.randrange(1, 4)
        try:
            async with scope, gort.group(limit=limit) as grp:
                for i in range(n):
                    grp.go(self.member, i, ends)
                if self.rng.random() < 0.3:
                    grp.go(self.fails)
                if self.rng.random() < 0.5:
                    await gort.select(ctx.done().recv_ok(), gort.after(0.002).recv())
        except (ExceptionGroup, TimeoutError):
            pass
        finally:
            cancel()
            assert len(ends) == len(set(ends)) <= n
            assert grp.nlive == 0, "a child outlived its block"
        assert ctx.err() is not None

    async def member(self, i: int, ends: list[int]) -> None:
        try:
            await self.turn()
        finally:
            ends.append(i)

    async def turn(self) -> None:
        kind = self.rng.randrange(14)
        if kind < 8:
            steps = (self.exclusive, self.write, self.read, self.read, self.take, self.signalled)
            await self.rng.choice(steps)()
        elif kind == 8:
            self.rng.choice((self.cond.signal, self.cond.broadcast))()
        elif kind == 9 and self.gs:
            self.rng.choice(self.gs).cancel()
        elif kind == 10 and self.left > 0:
            self.left -= 1
            self.gs.append(self.wg.go(self.goroutine, 2))
        elif kind == 11:
            await self.within()
        elif kind == 12:
            await self.once.do(self.call)
        elif kind == 13:
            async with gort.timeout(self.rng.choice((0.0005, 0.002))):
                await self.rng.choice((self.exclusive, self.write, self.take))()

    async def goroutine(self, turns: int) -> None:
        for _ in range(turns):
            try:
                await self.turn()
            except TimeoutError:
                pass

    def outside(self) -> None:
        for fn in (self.mu.lock, self.rw.rlock, self.units.acquire):
            try:
                gort.wait(fn(), timeout=0.003)
            except TimeoutError:
                continue
            free = {"lock": self.mu.unlock, "rlock": self.rw.runlock}
            free.get(fn.__name__, self.units.release)()

    async def main(self) -> None:
        t = thread(self.outside)
        self.gs += [self.wg.go(self.goroutine, 4) for _ in range(5)]
        await gort.sleep(0.005)
        self.cancel()
        await gort.syscall(t.join)
        t0 = time.monotonic()
        await self.wg.wait()
        assert loose() or time.monotonic() - t0 < 2
        await ended(self.gs)
        assert self.mu.try_lock() and self.rw.try_lock() and self.units.try_acquire(3)
        assert self.calls <= 1


@case(procs=(1, 2, 3, 4), maxsteps=200_000)
async def chaos_of_locks() -> None:
    await Locks(Plan.seed).main()
