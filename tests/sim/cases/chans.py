"""Channels and select."""

from __future__ import annotations

import time
from typing import Any

import gort
from gort.testing import thread, wait

from .base import case, ended, joinall, loose, soon


@case()
async def pingpong() -> None:
    a, b = gort.chan(), gort.chan()

    async def pong() -> None:
        async for v in a:
            await b.send(v + 1)

    g = gort.go(pong)
    for i in range(6):
        await a.send(i)
        assert await b.recv() == i + 1
    a.close()
    await g


@case()
async def fifo_unbuffered() -> None:
    c = gort.chan()

    async def send() -> None:
        for i in range(8):
            await c.send(i)
        c.close()

    g = gort.go(send)
    assert [v async for v in c] == list(range(8))
    await g


@case()
async def fifo_buffered() -> None:
    c = gort.chan(3)

    async def send() -> None:
        for i in range(10):
            await c.send(i)
        c.close()

    g = gort.go(send)
    assert [v async for v in c] == list(range(10))
    await g


@case(procs=(2, 3, 4))
async def many_to_many() -> None:
    c = gort.chan(2)

    async def send(k: int) -> None:
        for i in range(4):
            await c.send((k, i))

    async def recv() -> list[Any]:
        return [v async for v in c]

    senders = [gort.go(send, k) for k in range(3)]
    receivers = [gort.go(recv) for _ in range(2)]
    await joinall(senders)
    c.close()
    got = await joinall(receivers)
    assert sorted(got[0] + got[1]) == [(k, i) for k in range(3) for i in range(4)]
    for part in got:  # each sender's values in order
        for k in range(3):
            mine = [i for j, i in part if j == k]
            assert mine == sorted(mine)


@case()
async def waiting_senders_are_served_in_order() -> None:
    c = gort.chan(1)

    async def send(i: int) -> None:
        await c.send(i)

    gs = []
    for i in range(4):
        gs.append(gort.go(send, i))
        await wait()
    assert [await c.recv() for _ in range(4)] == [0, 1, 2, 3]
    await joinall(gs)


@case()
async def waiting_receivers_are_served_in_order() -> None:
    c = gort.chan()
    got = []

    async def recv(i: int) -> None:
        got.append((i, await c.recv()))

    gs = []
    for i in range(4):
        gs.append(gort.go(recv, i))
        await wait()
    for i in range(4):
        await c.send(i)
    await joinall(gs)
    assert sorted(got) == [(i, i) for i in range(4)]


@case()
async def close_wakes_receivers() -> None:
    c = gort.chan()

    async def recv() -> Any:
        return await c.recv_ok()

    gs = [gort.go(recv) for _ in range(4)]
    await c.send(1)
    c.close()
    got = await joinall(gs)
    assert sorted(got, key=str) == sorted([(1, True)] + [(None, False)] * 3, key=str)


@case(procs=(2, 3, 4))
async def close_races_send() -> None:
    c = gort.chan(1)

    async def send(i: int) -> int | None:
        try:
            await c.send(i)
        except gort.ChanClosed:
            return None
        return i

    gs = [gort.go(send, i) for i in range(4)]

    async def close() -> None:
        c.close()

    closer = gort.go(close)
    got = [v async for v in c]
    sent = [v for v in await joinall(gs) if v is not None]
    await closer
    assert sorted(got) == sorted(sent), (got, sent)


@case(procs=(2, 3))
async def close_races_close() -> None:
    c = gort.chan()

    async def close() -> int:
        try:
            c.close()
        except gort.ChanClosed:
            return 0
        return 1

    assert sum(await joinall([gort.go(close) for _ in range(3)])) == 1


@case(procs=(1, 2, 3))
async def foreign_threads_send() -> None:
    c = gort.chan(2)

    def feed(k: int) -> None:
        for i in range(3):
            while True:
                try:
                    c.send_nowait((k, i))
                    break
                except gort.WouldBlock:
                    time.sleep(0.001)

    threads = [thread(feed, k) for k in range(2)]
    got = [await c.recv() for _ in range(6)]
    assert sorted(got) == [(k, i) for k in range(2) for i in range(3)]
    for t in threads:
        t.join()


@case()
async def select_from_two() -> None:
    a, b = gort.chan(), gort.chan()

    async def send(c: Any) -> None:
        for i in range(4):
            await c.send(i)

    gs = [gort.go(send, a), gort.go(send, b)]
    got = [await gort.select(a.recv(), b.recv()) for _ in range(8)]
    assert [v for i, v in got if i == 0] == [v for i, v in got if i == 1] == [0, 1, 2, 3]
    await joinall(gs)


@case(procs=(2, 3, 4))
async def select_against_select() -> None:
    a, b = gort.chan(), gort.chan()

    async def left() -> Any:
        return await gort.select(a.send("l"), b.recv())

    async def right() -> Any:
        return await gort.select(a.recv(), b.send("r"))

    x, y = await joinall([gort.go(left), gort.go(right)])
    assert (x, y) in (((0, None), (0, "l")), ((1, "r"), (1, None)))


@case(procs=(2, 3, 4))
async def select_exactly_one() -> None:
    chans = [gort.chan() for _ in range(3)]

    async def take() -> Any:
        return await gort.select(*(c.recv() for c in chans))

    async def put(c: Any, v: int) -> bool:
        i, _ = await gort.select(c.send(v), done.recv_ok())
        return i == 0

    done = gort.chan()
    takers = [gort.go(take) for _ in range(2)]
    putters = [gort.go(put, c, i) for i, c in enumerate(chans)]
    got = await joinall(takers)
    done.close()
    sent = await joinall(putters)
    assert sum(sent) == 2
    assert sorted(i for i, _ in got) == [i for i, s in enumerate(sent) if s]
    assert all(i == v for i, v in got)


@case(procs=(2, 3))
async def select_with_default() -> None:
    c = gort.chan(1)
    hits = 0

    async def send() -> None:
        for i in range(3):
            await c.send(i)

    g = gort.go(send)
    for _ in range(200):
        i, _ = await gort.select(c.recv(), default=True)
        if i == 0:
            hits += 1
        else:
            await gort.sleep(0.001)
        if hits == 3:
            break
    else:
        assert loose(), "the sender never came"
        return
    await g


@case()
async def select_sees_close() -> None:
    a, b = gort.chan(), gort.chan()

    async def look() -> Any:
        return await gort.select(a.recv_ok(), b.recv_ok())

    gs = [gort.go(look) for _ in range(3)]
    b.close()
    assert await joinall(gs) == [(1, (None, False))] * 3


@case(procs=(2, 3))
async def select_cancelled_takes_nothing() -> None:
    a, b = gort.chan(), gort.chan()
    got = []

    async def take() -> None:
        i, v = await gort.select(a.recv(), b.recv())
        got.append(v)

    async def put(c: Any, v: str) -> bool:
        i, _ = await gort.select(c.send(v), done.recv_ok())
        return i == 0

    done = gort.chan()
    taker = gort.go(take)
    putters = [gort.go(put, a, "a"), gort.go(put, b, "b")]
    taker.cancel()
    await ended([taker])
    done.close()
    sent = await joinall(putters)
    assert [v for v, s in zip("ab", sent, strict=True) if s] == got


@case(procs=(2, 3))
async def select_on_one_channel_both_ways() -> None:
    c = gort.chan()

    async def both(k: int) -> Any:
        return await gort.select(c.send(k), c.recv())

    got = await joinall([gort.go(both, k) for k in range(4)])
    assert sorted(i for i, _ in got) == [0, 0, 1, 1]
    received = [v for i, v in got if i == 1]
    assert all(got[k][0] == 0 for k in received) and len(set(received)) == 2


@case()
async def select_times_out() -> None:
    c = gort.chan()
    t = time.monotonic()
    i, _ = await gort.select(c.recv(), gort.after(0.05).recv())
    assert i == 1
    soon(t, 0.05)
