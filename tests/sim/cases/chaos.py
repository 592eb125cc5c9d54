"""A random program for each seed."""

from __future__ import annotations

import random
import time
from typing import Any

import gort
from gort.testing import Pipe, thread, work

from .base import Plan, case, ended


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
    await Chaos(Plan.seed).main()
