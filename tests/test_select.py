"""select: default, nil channels, fairness, exactly one case, closed channels."""

from __future__ import annotations

import random
from typing import Any

import pytest

import gort


async def until_waiting(g: gort.Goroutine) -> None:
    while g.status != "waiting":
        await gort.gosched()


def test_default() -> None:
    async def main() -> None:
        a, b = gort.chan(1), gort.chan()
        assert await gort.select(a.recv(), b.send(1), default=True) == (-1, None)
        assert await gort.select(default=True) == (-1, None)
        assert await gort.select(None, None, default=True) == (-1, None)
        assert await gort.select(a.send(5), default=True) == (0, None)
        assert await gort.select(None, a.recv(), default=True) == (1, 5)

    gort.run(main)


def test_none_keeps_index(procs: int) -> None:
    async def main() -> None:
        a = gort.chan(1)
        await a.send("v")
        assert await gort.select(None, None, a.recv(), None) == (2, "v")

    gort.run(main, procs=procs)


def test_ready_choice_covers_all() -> None:
    async def main() -> None:
        chans = [gort.chan(1) for _ in range(4)]
        seen = [0] * 4
        for _ in range(400):
            for c in chans:
                try:
                    c.send_nowait(None)
                except gort.WouldBlock:
                    pass
            i, v = await gort.select(*[c.recv() for c in chans])
            assert v is None
            seen[i] += 1
        assert min(seen) > 40, seen

    gort.run(main)


def test_exactly_one(procs: int) -> None:
    """Two senders race for one select: one value is taken, the other is still there."""

    async def tx(ch: gort.Chan, v: str) -> None:
        await ch.send(v)

    async def sel(a: gort.Chan, b: gort.Chan) -> Any:
        return await gort.select(a.recv(), b.recv())

    async def main() -> None:
        for _ in range(100):
            a, b = gort.chan(), gort.chan()
            s = gort.go(sel, a, b)
            ta, tb = gort.go(tx, a, "a"), gort.go(tx, b, "b")
            i, v = await s
            assert v == "ab"[i]
            other = b if i == 0 else a
            assert await other.recv() == "ab"[1 - i]
            await ta
            await tb
            for c in (a, b):
                with pytest.raises(gort.WouldBlock):
                    c.recv_nowait()

    gort.run(main, procs=procs)


def test_select_meets_select(procs: int) -> None:
    n = 300

    async def left(a: gort.Chan, b: gort.Chan) -> list[Any]:
        got = []
        for k in range(n):
            i, v = await gort.select(a.send(("L", k)), b.recv())
            got.append(("sent", None) if i == 0 else ("got", v))
        return got

    async def right(a: gort.Chan, b: gort.Chan) -> list[Any]:
        got = []
        for k in range(n):
            i, v = await gort.select(a.recv(), b.send(("R", k)))
            got.append(("got", v) if i == 0 else ("sent", None))
        return got

    async def main() -> None:
        a, b = gort.chan(), gort.chan()
        x, y = gort.go(left, a, b), gort.go(right, a, b)
        gx, gy = await x, await y
        assert sum(k == "sent" for k, _ in gx) == sum(k == "got" for k, _ in gy)
        assert sum(k == "got" for k, _ in gx) == sum(k == "sent" for k, _ in gy)

    gort.run(main, procs=procs)


def test_conservation(procs: int) -> None:
    async def tx(chans: list[gort.Chan], base: int) -> list[int]:
        for k in range(100):
            await gort.select(*[c.send(base + k) for c in chans])
        return []

    async def rx(chans: list[gort.Chan], stop: gort.Chan) -> list[int]:
        got = []
        while True:
            i, v = await gort.select(*[c.recv() for c in chans], stop.recv_ok())
            if i == len(chans):
                return got
            got.append(v)

    async def main() -> None:
        chans = [gort.chan(), gort.chan(1), gort.chan(3)]
        stop = gort.chan()
        rs = [gort.go(rx, chans, stop) for _ in range(6)]
        for t in [gort.go(tx, chans, i * 100) for i in range(8)]:
            await t
        while any(len(c) for c in chans):
            await gort.gosched()
        stop.close()
        got = sorted([v for r in rs for v in await r])
        assert got == list(range(800))

    gort.run(main, procs=procs)


def test_closed_cases(procs: int) -> None:
    async def sel_recv(c: gort.Chan) -> Any:
        return await gort.select(c.recv())

    async def main() -> None:
        c = gort.chan()
        c.close()
        assert await gort.select(c.recv_ok()) == (0, (None, False))
        with pytest.raises(gort.ChanClosed):
            await gort.select(c.recv())
        with pytest.raises(gort.ChanClosed):
            await gort.select(c.send(1), default=True)
        d = gort.chan()
        g = gort.go(sel_recv, d)
        await until_waiting(g)
        d.close()
        with pytest.raises(gort.ChanClosed):
            await g

    gort.run(main, procs=procs)


def test_close_wakes_parked_ok(procs: int) -> None:
    async def sel(c: gort.Chan, d: gort.Chan) -> Any:
        return await gort.select(d.recv(), c.recv_ok(), None)

    async def main() -> None:
        c, d = gort.chan(), gort.chan()
        g = gort.go(sel, c, d)
        await until_waiting(g)
        c.close()
        assert await g == (1, (None, False))
        with pytest.raises(gort.WouldBlock):
            d.send_nowait(1)  # the loser's waiter is gone

    gort.run(main, procs=procs)


def test_same_channel_twice(procs: int) -> None:
    async def sel(c: gort.Chan) -> Any:
        return await gort.select(c.recv(), c.recv())

    async def both(c: gort.Chan) -> Any:
        return await gort.select(c.send("mine"), c.recv())

    async def main() -> None:
        c = gort.chan()
        g = gort.go(sel, c)
        await until_waiting(g)
        await c.send(1)
        i, v = await g
        assert i in (0, 1) and v == 1
        with pytest.raises(gort.WouldBlock):
            c.send_nowait(2)
        g = gort.go(both, c)  # must not meet itself
        await until_waiting(g)
        assert await c.recv() == "mine"
        assert await g == (0, None)

    gort.run(main, procs=procs)


def test_empty_select_and_cancel(procs: int) -> None:
    async def empty() -> None:
        await gort.select()

    async def nils() -> None:
        await gort.select(None, None)

    async def main() -> None:
        for fn in (empty, nils):
            g = gort.go(fn)
            await until_waiting(g)
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g

    gort.run(main, procs=procs)


def test_cancel_parked_select_loses_nothing(procs: int) -> None:
    async def sel(a: gort.Chan, b: gort.Chan) -> Any:
        return await gort.select(a.recv(), b.send("x"))

    async def main() -> None:
        for _ in range(50):
            a, b = gort.chan(), gort.chan()
            g = gort.go(sel, a, b)
            await until_waiting(g)
            g.cancel()
            took = True
            try:
                a.send_nowait("v")
            except gort.WouldBlock:
                took = False
            if took:
                assert await g == (0, "v")
            else:
                with pytest.raises(gort.Cancelled):
                    await g
            with pytest.raises(gort.WouldBlock):
                b.recv_nowait()

    gort.run(main, procs=procs)


def test_select_over_many_channels(procs: int) -> None:
    async def main() -> None:
        chs: list[gort.Chan[int]] = [gort.chan(1) for _ in range(100)]
        random.Random(1).shuffle(chs)  # the lock order is another one
        for k in (0, 57, 99):
            await chs[k].send(k)
            assert await gort.select(*[c.recv() for c in chs]) == (k, k)

        async def sender() -> None:
            await chs[42].send(1)

        gort.go(sender)
        assert await gort.select(*[c.recv() for c in chs], None) == (42, 1)
        assert [len(c) for c in chs] == [0] * 100
        op = chs[3].recv()
        with pytest.raises(RuntimeError, match="select case 101 was used already"):
            gort.select(*[c.recv() for c in chs], op, op)

    gort.run(main, procs=procs)


def test_many_selects_on_one_channel(procs: int) -> None:
    async def sel(c: gort.Chan, never: gort.Chan) -> Any:
        return (await gort.select(never.recv(), c.recv()))[1]

    async def main() -> None:
        c, never = gort.chan(), gort.chan()
        gs = [gort.go(sel, c, never) for _ in range(50)]
        for i in range(50):
            await c.send(i)
        assert sorted([await g for g in gs]) == list(range(50))

    gort.run(main, procs=procs)


def test_timeout_idiom() -> None:
    async def main() -> None:
        i, v = await gort.select(gort.chan().recv(), gort.after(0.001).recv())
        assert i == 1 and isinstance(v, float)

    gort.run(main)


@pytest.mark.parametrize("bad", [3, "x", object()])
def test_bad_cases(bad: Any) -> None:
    async def main() -> int:
        a = gort.chan(1)
        op = a.send(1)
        with pytest.raises(TypeError):
            await gort.select(op, bad)
        with pytest.raises(TypeError):
            await gort.select(gort.sleep(1))  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await gort.select(a)  # type: ignore[arg-type]
        await op  # a refused select has not used it
        return await a.recv()

    assert gort.run(main) == 1


def test_op_used_twice() -> None:
    async def main() -> None:
        a = gort.chan(3)
        op = a.send(1)
        await gort.select(op)
        with pytest.raises(RuntimeError):
            await gort.select(op)
        with pytest.raises(RuntimeError):
            await op
        other = a.send(2)
        with pytest.raises(RuntimeError):
            await gort.select(other, other)
        assert len(a) == 1
        loser = gort.chan().recv()
        await gort.select(loser, a.recv())
        with pytest.raises(RuntimeError):
            await loser

    gort.run(main)
