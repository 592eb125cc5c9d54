"""A random program for each seed."""

from __future__ import annotations

import time

from traffic import Traffic

import gort
from gort.testing import Pipe, thread, work

from .base import Plan, case, ended


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
