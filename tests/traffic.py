"""Random traffic over a few channels, for the simulator's chaos and the stress program:
who sends and receives what, so that no value may be lost."""

from __future__ import annotations

import random
from typing import Any

import gort


class Traffic:
    """sent and got say what took effect; whoever waits gives up once `done` is closed.

    patience: how likely an exchange waits for that, and not for `delay` seconds alone.
    """

    def __init__(self, seed: int, sizes: tuple[int, ...], patience: float, delay: float) -> None:
        self.rng = random.Random(seed)
        self.chans = [gort.chan(n) for n in sizes]
        self.done = gort.chan()
        self.patience = patience
        self.delay = delay
        self.sent: list[int] = []
        self.got: list[int] = []
        self.gs: list[Any] = []
        self.n = 0

    def value(self) -> int:
        """One that no other call returned."""
        self.n += 1
        return self.n

    def chan(self) -> Any:
        return self.rng.choice(self.chans)

    def received(self, pair: Any) -> None:
        if pair[1]:
            self.got.append(pair[0])

    async def exchange(self) -> None:
        """Sends, receives, or either, or gives it up."""
        v, w = self.value(), self.value()
        kind = self.rng.randrange(4)
        waits = self.rng.random() < self.patience
        last = self.done.recv_ok() if waits else gort.after(self.delay).recv()
        if kind == 0:
            i, _ = await gort.select(self.chan().send(v), last)
            if i == 0:
                self.sent.append(v)
        elif kind == 1:
            i, pair = await gort.select(self.chan().recv_ok(), last)
            if i == 0:
                self.received(pair)
        else:
            i, x = await gort.select(
                self.chan().send(v), self.chan().recv_ok(), self.chan().send(w), last
            )
            if i == 1:
                self.received(x)
            elif i in (0, 2):
                self.sent.append((v, 0, w)[i])

    def now(self) -> None:
        """Sends or receives if that needs no waiting."""
        c = self.chan()
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
        """On a thread: waits for an op, for a while."""
        v = self.value()
        c = self.chan()
        try:
            if self.rng.random() < 0.5:
                gort.wait(c.send(v), timeout=self.delay)
                self.sent.append(v)
            else:
                self.received(gort.wait(c.recv_ok(), timeout=self.delay))
        except (TimeoutError, gort.ChanClosed):
            pass

    async def turn(self) -> None:
        await self.exchange()

    async def goroutine(self, turns: int) -> None:
        for _ in range(turns):
            try:
                await self.turn()
            except gort.ChanClosed:
                pass

    def left(self) -> list[int]:
        """What nobody received: the channels' buffers, emptied."""
        out = []
        for c in self.chans:
            while len(c):
                out.append(c.recv_nowait())
        return out

    def check(self) -> None:
        """Everyone has ended: no value was lost, doubled or made up."""
        got = self.got + self.left()
        assert len(got) == len(set(got)), "a value was received twice"
        extra = set(got) - set(self.sent)
        assert not extra, f"received, but never sent: {sorted(extra)[:10]}"
        lost = set(self.sent) - set(got)
        assert not lost, f"lost: {sorted(lost)[:10]}"
