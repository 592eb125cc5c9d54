"""Channels: order, closing, non-blocking forms, conservation of values."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

import gort


async def until_waiting(g: gort.Goroutine) -> None:
    """Yield until g is parked: a handshake on its status, not on time."""
    while g.status != "waiting":
        await gort.gosched()


@pytest.mark.parametrize("cap", [0, 1, 3, 100])
def test_values_in_order(cap: int, procs: int) -> None:
    async def producer(ch: gort.Chan) -> None:
        for i in range(500):
            await ch.send(i)
        ch.close()

    async def main() -> list[int]:
        ch = gort.chan(cap)
        assert ch.capacity == cap
        g = gort.go(producer, ch)
        got = [v async for v in ch]
        await g
        return got

    assert gort.run(main, procs=procs) == list(range(500))


def test_len_bool_capacity() -> None:
    async def main() -> None:
        ch = gort.chan(3)
        assert bool(ch) and len(ch) == 0 and ch.capacity == 3
        await ch.send("a")
        await ch.send("b")
        assert bool(ch) and len(ch) == 2
        assert await ch.recv() == "a"
        assert len(ch) == 1
        assert gort.chan().capacity == 0 and bool(gort.chan())

    gort.run(main)


def test_recv_waiters_fifo(procs: int) -> None:
    async def receiver(ch: gort.Chan, i: int, out: list[Any]) -> None:
        out.append((i, await ch.recv()))

    async def main() -> list[Any]:
        ch = gort.chan()
        out: list[Any] = []
        gs = []
        for i in range(10):
            g = gort.go(receiver, ch, i, out)
            gs.append(g)
            await until_waiting(g)
            assert g.wait_reason == "chan receive"
        for v in range(10):
            await ch.send(v)
        for g in gs:
            await g
        return out

    assert sorted(gort.run(main, procs=procs)) == [(i, i) for i in range(10)]


@pytest.mark.parametrize("cap", [0, 2])
def test_send_waiters_fifo(cap: int, procs: int) -> None:
    async def sender(ch: gort.Chan, i: int) -> None:
        await ch.send(i)

    async def main() -> list[int]:
        ch = gort.chan(cap)
        for i in range(cap):
            await ch.send(-cap + i)
        gs = []
        for i in range(10):
            g = gort.go(sender, ch, i)
            gs.append(g)
            await until_waiting(g)
            assert g.wait_reason == "chan send"
        got = [await ch.recv() for _ in range(10 + cap)]
        for g in gs:
            await g
        return got

    assert gort.run(main, procs=procs) == list(range(-cap, 10))


@pytest.mark.parametrize("cap", [0, 2])
def test_close_semantics(cap: int) -> None:
    async def main() -> None:
        ch = gort.chan(cap)
        for i in range(cap):
            await ch.send(i)
        ch.close()
        for i in range(cap):
            assert await ch.recv_ok() == (i, True)
        assert await ch.recv_ok() == (None, False)
        assert await ch.recv_ok() == (None, False)
        with pytest.raises(gort.ChanClosed):
            await ch.recv()
        with pytest.raises(gort.ChanClosed):
            await ch.send(1)
        with pytest.raises(gort.ChanClosed):
            ch.send_nowait(1)
        with pytest.raises(gort.ChanClosed):
            ch.recv_nowait()
        with pytest.raises(gort.ChanClosed):
            ch.close()
        assert [v async for v in ch] == []

    gort.run(main)


def test_none_is_a_value() -> None:
    async def main() -> None:
        ch = gort.chan(2)
        await ch.send(None)
        await ch.send(None)
        assert await ch.recv_ok() == (None, True)
        assert await ch.recv() is None

    gort.run(main)


@pytest.mark.parametrize("value", [StopIteration(3), ValueError("v"), (1, 2), StopAsyncIteration()])
@pytest.mark.parametrize("cap", [0, 1])
def test_odd_values_come_as_they_are(value: Any, cap: int) -> None:
    async def sender(ch: gort.Chan) -> None:
        await ch.send(value)
        await ch.send(value)

    async def main() -> None:
        ch = gort.chan(cap)
        gort.go(sender, ch)
        assert await ch.recv() is value
        got, ok = await ch.recv_ok()
        assert got is value and ok

    gort.run(main)


def test_close_wakes_receivers(procs: int) -> None:
    async def rx(ch: gort.Chan) -> str:
        try:
            return str(await ch.recv())
        except gort.ChanClosed:
            return "closed"

    async def rx_ok(ch: gort.Chan) -> Any:
        return await ch.recv_ok()

    async def rx_for(ch: gort.Chan) -> list[Any]:
        return [v async for v in ch]

    async def main() -> list[Any]:
        ch = gort.chan()
        gs = [gort.go(fn, ch) for fn in (rx, rx_ok, rx_for) for _ in range(3)]
        for g in gs:
            await until_waiting(g)
        ch.close()
        return [await g for g in gs]

    expect = ["closed"] * 3 + [(None, False)] * 3 + [[]] * 3
    assert gort.run(main, procs=procs) == expect


@pytest.mark.parametrize("cap", [0, 1])
def test_close_wakes_senders(cap: int, procs: int) -> None:
    async def tx(ch: gort.Chan, i: int) -> str:
        try:
            await ch.send(i)
        except gort.ChanClosed:
            return "closed"
        return "sent"

    async def main() -> None:
        ch = gort.chan(cap)
        for _ in range(cap):
            await ch.send("buffered")
        gs = [gort.go(tx, ch, i) for i in range(5)]
        for g in gs:
            await until_waiting(g)
        ch.close()
        assert [await g for g in gs] == ["closed"] * 5
        assert [v async for v in ch] == ["buffered"] * cap

    gort.run(main, procs=procs)


def test_nowait(procs: int) -> None:
    async def main() -> None:
        ch = gort.chan(1)
        with pytest.raises(gort.WouldBlock):
            ch.recv_nowait()
        ch.send_nowait(1)
        with pytest.raises(gort.WouldBlock):
            ch.send_nowait(2)
        assert ch.recv_nowait() == 1
        un = gort.chan()
        with pytest.raises(gort.WouldBlock):
            un.send_nowait(1)
        with pytest.raises(gort.WouldBlock):
            un.recv_nowait()

        async def rx() -> Any:
            return await un.recv()

        g = gort.go(rx)
        await until_waiting(g)
        un.send_nowait("direct")
        assert await g == "direct"

        async def tx() -> None:
            await un.send("other")

        g = gort.go(tx)
        await until_waiting(g)
        assert un.recv_nowait() == "other"
        await g

    gort.run(main, procs=procs)


def test_nowait_from_foreign_threads(procs: int) -> None:
    n = 200

    def feed(ch: gort.Chan, base: int) -> None:
        for i in range(n):
            while True:
                try:
                    ch.send_nowait(base + i)
                    break
                except gort.WouldBlock:
                    gort.wait(gort.after(0.0005).recv())

    async def main() -> list[int]:
        ch = gort.chan(4)
        threads = [threading.Thread(target=feed, args=(ch, k * 1000)) for k in range(3)]
        for t in threads:
            t.start()
        got = [await ch.recv() for _ in range(3 * n)]
        for t in threads:
            await gort.syscall(t.join)
        return got

    got = gort.run(main, procs=procs)
    for k in range(3):
        assert [v for v in got if v // 1000 == k] == list(range(k * 1000, k * 1000 + n))


def test_foreign_threads_wait_and_close(procs: int) -> None:
    def feed(ch: gort.Chan) -> None:
        for i in range(100):
            gort.wait(ch.send(i))
        ch.close()

    async def main() -> list[int]:
        ch = gort.chan()
        t = threading.Thread(target=feed, args=(ch,))
        t.start()
        got = [v async for v in ch]
        await gort.syscall(t.join)
        return got

    assert gort.run(main, procs=procs) == list(range(100))


@pytest.mark.parametrize("cap", [0, 1, 16])
def test_conservation(cap: int, procs: int) -> None:
    senders, receivers, each = 20, 13, 100

    async def tx(ch: gort.Chan, base: int) -> None:
        for i in range(each):
            await ch.send(base + i)

    async def rx(ch: gort.Chan) -> list[int]:
        return [v async for v in ch]

    async def main() -> list[list[int]]:
        ch = gort.chan(cap)
        rs = [gort.go(rx, ch) for _ in range(receivers)]
        ts = [gort.go(tx, ch, i * each) for i in range(senders)]
        for t in ts:
            await t
        ch.close()
        return [await r for r in rs]

    parts = gort.run(main, procs=procs)
    assert Counter(v for p in parts for v in p) == Counter(range(senders * each))
    for part in parts:  # FIFO: one sender's values reach one receiver in order
        for s in range(senders):
            own = [v for v in part if v // each == s]
            assert own == sorted(own)


def test_cancel_parked_receiver_loses_nothing(procs: int) -> None:
    async def rx(ch: gort.Chan, out: list[int]) -> None:
        while True:
            out.append(await ch.recv())

    async def main() -> None:
        for _ in range(50):
            ch = gort.chan()
            out: list[int] = []
            first = gort.go(rx, ch, out)
            await until_waiting(first)
            second = gort.go(rx, ch, out)
            await until_waiting(second)
            first.cancel()
            for v in range(3):
                await ch.send(v)
            await until_waiting(second)
            second.cancel()
            for g in (first, second):  # first may have won one before its cancel
                with pytest.raises(gort.Cancelled):
                    await g
            assert sorted(out) == [0, 1, 2]

    gort.run(main, procs=procs)


@pytest.mark.parametrize("cap", [0, 1])
def test_cancel_parked_sender_has_no_effect(cap: int, procs: int) -> None:
    async def tx(ch: gort.Chan, v: int) -> None:
        await ch.send(v)

    async def main() -> None:
        ch = gort.chan(cap)
        for _ in range(cap):
            await ch.send(-1)
        a = gort.go(tx, ch, 1)
        await until_waiting(a)
        b = gort.go(tx, ch, 2)
        await until_waiting(b)
        a.cancel()
        with pytest.raises(gort.Cancelled):
            await a
        assert [await ch.recv() for _ in range(cap + 1)] == [-1] * cap + [2]
        await b
        with pytest.raises(gort.WouldBlock):
            ch.recv_nowait()

    gort.run(main, procs=procs)


def test_cancel_race_conserves(procs: int) -> None:
    """Cancels race with deliveries: what was sent is what was received."""
    sent: list[int] = []
    got: list[int] = []

    async def tx(ch: gort.Chan, v: int) -> None:
        await ch.send(v)
        sent.append(v)

    async def rx(ch: gort.Chan) -> None:
        got.append(await ch.recv())

    async def main() -> None:
        ch = gort.chan()
        gs = []
        for v in range(400):
            t, r = gort.go(tx, ch, v), gort.go(rx, ch)
            gs += [t, r]
            if v % 3 == 0:
                t.cancel()
            if v % 4 == 0:
                r.cancel()
            if v % 7 == 0:
                await gort.gosched()
        for _ in range(20):
            await gort.gosched()
        for g in gs:
            g.cancel()
        for g in gs:
            try:
                await g
            except gort.Cancelled:
                pass

    gort.run(main, procs=procs)
    assert Counter(sent) == Counter(got)


def test_cancelled_op_has_no_effect() -> None:
    async def child(ch: gort.Chan) -> None:
        gort.current().cancel()  # type: ignore[union-attr]
        with pytest.raises(gort.Cancelled):
            await ch.send(1)
        with pytest.raises(gort.Cancelled):
            await ch.recv()
        with pytest.raises(gort.Cancelled):
            async for _ in ch:
                pass

    async def main() -> None:
        ch = gort.chan(2)
        await ch.send("kept")
        await gort.go(child, ch)
        assert len(ch) == 1
        assert await ch.recv() == "kept"

    gort.run(main)


def test_op_used_twice() -> None:
    async def main() -> None:
        ch = gort.chan(3)
        op = ch.send(1)
        await op
        with pytest.raises(RuntimeError):
            await op
        assert len(ch) == 1
        rop = ch.recv()
        assert await rop == 1
        with pytest.raises(RuntimeError):
            await rop
        await ch.send(2)
        with pytest.raises(RuntimeError):
            await gort.select(rop)
        assert len(ch) == 1

    gort.run(main)


def test_op_shared_by_two_goroutines(procs: int) -> None:
    async def use(op: Any) -> str:
        try:
            return str(await op)
        except RuntimeError:
            return "used"

    async def main() -> None:
        ch = gort.chan()
        op = ch.recv()
        a = gort.go(use, op)
        await until_waiting(a)
        assert await gort.go(use, op) == "used"
        await ch.send("v")
        assert await a == "v"

    gort.run(main, procs=procs)


@pytest.mark.filterwarnings("ignore:.* was never awaited:RuntimeWarning")
def test_op_is_lazy() -> None:
    async def main() -> None:
        ch = gort.chan(1)
        op = ch.send(1)
        assert len(ch) == 0
        del op
        ch.send(2)
        assert len(ch) == 0
        rop = ch.recv()
        await ch.send(5)
        assert len(ch) == 1
        assert await rop == 5

    gort.run(main)


def test_ops_outside() -> None:
    ch = gort.chan(1)
    assert len(ch) == 0 and ch.capacity == 1
    for call in (lambda: ch.send_nowait(1), ch.recv_nowait, ch.close):
        with pytest.raises(RuntimeError):
            call()

    async def alone() -> None:
        await ch.send(1)

    coro = alone()
    with pytest.raises(RuntimeError):
        coro.send(None)
    assert len(ch) == 0


def test_chan_outlives_a_run() -> None:
    ch = gort.chan(2)

    async def put() -> None:
        await ch.send("left")

    async def get() -> Any:
        return await ch.recv()

    gort.run(put)
    assert gort.run(get) == "left"


def test_stale_waiter_of_an_earlier_run(procs: int) -> None:
    ch = gort.chan()

    async def rx() -> None:
        await ch.recv()

    async def first() -> None:
        await until_waiting(gort.go(rx))

    async def second() -> None:
        with pytest.raises(gort.WouldBlock):
            ch.send_nowait("nobody")

    gort.run(first, procs=procs)
    gort.run(second, procs=procs)


@pytest.mark.parametrize("bad", ["1", 1.5, None])
def test_bad_capacity_type(bad: Any) -> None:
    with pytest.raises(TypeError):
        gort.chan(bad)


@pytest.mark.parametrize("bad", [-1, 2**63, 10**30])
def test_bad_capacity_value(bad: int) -> None:
    with pytest.raises(ValueError):
        gort.chan(bad)


@pytest.mark.gmp("3.12+ threads keep their last value until their next op, and main moves on")
def test_values_are_released() -> None:
    import weakref

    class Thing:
        pass

    async def tx(ch: gort.Chan) -> Any:
        t = Thing()
        r = weakref.ref(t)
        await ch.send(t)
        return r

    async def main() -> None:
        import gc

        for cap in (0, 1):
            ch = gort.chan(cap)
            g = gort.go(tx, ch)
            v = await ch.recv()
            r = await g
            assert r() is v
            del v
            for _ in range(200):  # another thread may be about to drop the last reference
                if r() is None:
                    break
                gc.collect()
                await gort.sleep(0.001)
            assert r() is None

    gort.run(main)


def test_many_on_one_channel() -> None:
    """More procs than CPUs: its lock is waited for asleep, and its holder may not run."""

    async def produce(ch: Any, n: int) -> None:
        for i in range(n):
            await ch.send(i)

    async def consume(ch: Any) -> int:
        return sum([i async for i in ch])

    async def main() -> int:
        ch = gort.chan(16)
        consumers = [gort.go(consume, ch) for _ in range(12)]
        for g in [gort.go(produce, ch, 3000) for _ in range(12)]:
            await g
        ch.close()
        return sum([await g for g in consumers])

    assert gort.run(main, procs=12) == 12 * sum(range(3000))
