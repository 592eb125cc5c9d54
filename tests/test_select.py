"""select: default, nil channels, fairness, exactly one case, closed channels."""

from __future__ import annotations

import gc
import inspect
import random
import warnings
import weakref
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


def test_signature_and_keywords() -> None:
    assert str(inspect.signature(gort.select)).startswith("(*ops")
    assert "default" in inspect.signature(gort.select).parameters
    assert gort.select.__name__ == "select" and gort.select.__module__ == "gort"
    assert (gort.select.__doc__ or "").startswith("Do one of several channel operations")

    async def main() -> None:
        a = gort.chan(1)
        op = a.send(1)
        with pytest.raises(TypeError, match="nope"):
            gort.select(op, nope=1)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="defaults"):
            gort.select(op, default=True, defaults=True)  # type: ignore[call-arg]
        kwargs: Any = {"default": []}  # its truth counts
        assert await gort.select(op, **kwargs) == (0, None)
        kwargs = {"default": "yes"}
        assert await gort.select(a.send(2), **kwargs) == (-1, None)
        assert await gort.select(a.recv(), **{}) == (0, 1)

    gort.run(main)


def test_a_default_is_for_one_select(procs: int) -> None:
    """An op that is kept for the next select has forgotten its default."""

    async def plain(a: gort.Chan, b: gort.Chan) -> Any:
        return await gort.select(a.recv(), b.recv())

    async def main() -> None:
        a, b = gort.chan(), gort.chan()
        for _ in range(100):
            assert await gort.select(a.recv(), b.recv(), default=True) == (-1, None)
        g = gort.go(plain, a, b)
        await until_waiting(g)
        await b.send(1)
        assert await g == (1, 1)

    gort.run(main, procs=procs)


@pytest.mark.filterwarnings("ignore:.* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("kwargs", [{}, {"default": False}, {"default": True}])
@pytest.mark.parametrize("nils", [0, 3, 14, 40])
@pytest.mark.parametrize("bad", ["int", "op", "used", "twice"])
def test_a_refused_select_uses_nothing(bad: str, nils: int, kwargs: dict[str, bool]) -> None:
    """However it is called, and wherever the bad case stands."""

    async def main() -> None:
        chs = [gort.chan(1) for _ in range(5)]
        random.Random(nils).shuffle(chs)
        used = chs[0].send(0)
        await used
        await chs[0].recv()
        for at in range(6):
            ops = [c.send(i) for i, c in enumerate(chs)]
            case: Any = {"int": 3, "op": gort.sleep(0), "used": used, "twice": ops[at - 1]}[bad]
            if bad == "twice" and at == 0:
                continue
            cases: Any = [*ops[:at], *[None] * nils, case, *ops[at:]]
            refusal = TypeError if bad in ("int", "op") else RuntimeError
            with pytest.raises(refusal, match=f"select case {at + nils} "):
                gort.select(*cases, **kwargs)
            for i, op in enumerate(ops):  # by itself and by select
                assert await op is None if i % 2 else await gort.select(op) == (0, None)
            assert [await c.recv() for c in chs] == list(range(5))

    gort.run(main)


@pytest.mark.parametrize("kwargs", [{}, {"default": False}])
@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17, 18, 33])
def test_any_number_of_cases(n: int, kwargs: dict[str, bool], procs: int) -> None:
    """At every index: ready at once, and after a wait."""

    async def sel(chs: list[gort.Chan]) -> Any:
        return await gort.select(*[c.recv() for c in chs], None, **kwargs)

    async def main() -> None:
        chs = [gort.chan(1) for _ in range(n)]
        random.Random(n).shuffle(chs)
        for k in range(n):
            await chs[k].send(k)
            assert await sel(chs) == (k, k)
            g = gort.go(sel, chs)
            await until_waiting(g)
            await chs[k].send(-k)
            assert await g == (k, -k)
            with pytest.raises(gort.WouldBlock):
                chs[k].recv_nowait()

    gort.run(main, procs=procs)


class Value:
    """Something to see the end of."""


@pytest.mark.parametrize("n", [2, 3, 16, 17, 40])
def test_nothing_is_kept(n: int) -> None:
    """Neither channels nor values outlive a select that nobody holds."""

    async def feed(c: gort.Chan) -> None:
        await c.send(None)

    async def once(wait: bool) -> list[Any]:
        chs = [gort.chan() for _ in range(n)]
        values = [Value() for _ in chs]
        if wait:
            gort.go(feed, chs[n // 2])
        else:
            g = gort.go(feed, chs[n // 2])
            await until_waiting(g)
        ops = [c.recv() if i == n // 2 else c.send(values[i]) for i, c in enumerate(chs)]
        assert await gort.select(*ops) == (n // 2, None)
        return [weakref.ref(x) for x in (*chs, *values)]

    async def refused() -> list[Any]:
        chs = [gort.chan() for _ in range(n)]
        bad: Any = 3
        with pytest.raises(TypeError):
            gort.select(*[c.recv() for c in chs], bad)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gort.select(*[c.recv() for c in chs])  # nobody awaits it
        return [weakref.ref(c) for c in chs]

    async def main() -> None:
        for i in range(20):
            refs = await once(i % 2 == 0)
            refs += await refused()
            for _ in range(100):  # goroutines that end on another thread may hold on to them
                if not any(r() for r in refs):
                    break
                await gort.gosched()
                gc.collect()
            assert not any(r() for r in refs)

    gort.run(main, procs=1)


@pytest.mark.parametrize("n", [5, 16, 17, 60])
def test_many_cases_of_few_channels(n: int, procs: int) -> None:
    """Each channel is locked once, in an order that all selects agree on."""

    async def sel(chs: list[gort.Chan]) -> Any:
        return (await gort.select(*[chs[i % 3].recv() for i in range(n)]))[1]

    async def main() -> None:
        chs = [gort.chan() for _ in range(3)]
        gs = [gort.go(sel, chs[i % 3 :] + chs[: i % 3]) for i in range(30)]
        for i in range(30):
            await gort.select(*[chs[(i + k) % 3].send(i) for k in range(n)])
        assert sorted([await g for g in gs]) == list(range(30))

    gort.run(main, procs=procs)
