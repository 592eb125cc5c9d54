"""Channels.

pingpong: a value goes through one unbuffered channel and comes back through another; per
round trip. asyncio has no unbuffered queue, so there `Queue(maxsize=1)`.
buffered: a producer and a consumer on one channel of capacity 100; per item.
select: a producer each on two unbuffered channels, and a consumer that takes from whichever
is ready; per item. asyncio and gevent keep one waiter a queue and wait for the first of
them; in trio two receivers race in a nursery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import perf_counter_ns
from typing import Any

from harness import per_operation

CAPACITY = 100

PINGPONG = per_operation("pingpong", "ping-pong round trip, 1 proc")
PINGPONG_2 = per_operation(
    "pingpong-2", "ping-pong round trip, 2 procs", procs=2, free_threaded=True
)
BUFFERED = per_operation("buffered", f"channel of {CAPACITY}, per item")
SELECT = per_operation("select", "select over two channels, per item")


# ---- ping-pong


@PINGPONG.variant("gort")
@PINGPONG_2.variant("gort")
async def gort_pingpong(n: int) -> int:
    import gort

    ping, pong = gort.chan(), gort.chan()

    async def answer() -> None:
        for _ in range(n):
            await pong.send(await ping.recv())

    answering = gort.go(answer)
    start = perf_counter_ns()
    for i in range(n):
        await ping.send(i)
        await pong.recv()
    took = perf_counter_ns() - start
    await answering
    return took


@PINGPONG.variant("asyncio", "uvloop")
async def asyncio_pingpong(n: int) -> int:
    ping: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
    pong: asyncio.Queue[int] = asyncio.Queue(maxsize=1)

    async def answer() -> None:
        for _ in range(n):
            await pong.put(await ping.get())

    answering = asyncio.create_task(answer())
    start = perf_counter_ns()
    for i in range(n):
        await ping.put(i)
        await pong.get()
    took = perf_counter_ns() - start
    await answering
    return took


@PINGPONG.variant("trio")
async def trio_pingpong(n: int) -> int:
    import trio

    ping_send, ping_recv = trio.open_memory_channel[int](0)
    pong_send, pong_recv = trio.open_memory_channel[int](0)

    async def answer() -> None:
        for _ in range(n):
            await pong_send.send(await ping_recv.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        start = perf_counter_ns()
        for i in range(n):
            await ping_send.send(i)
            await pong_recv.receive()
        took = perf_counter_ns() - start
    return took


@PINGPONG.variant("gevent")
def gevent_pingpong(n: int) -> int:
    import gevent
    from gevent.queue import Channel

    ping, pong = Channel(), Channel()

    def answer() -> None:
        for _ in range(n):
            pong.put(ping.get())

    answering = gevent.spawn(answer)
    start = perf_counter_ns()
    for i in range(n):
        ping.put(i)
        pong.get()
    took = perf_counter_ns() - start
    answering.join()
    return took


@PINGPONG.variant("runloom")
@PINGPONG_2.variant("runloom")
def runloom_pingpong(n: int) -> int:
    import runloom

    ping, pong = runloom.Chan(), runloom.Chan()

    def answer() -> None:
        for _ in range(n):
            value, _ok = ping.recv()
            pong.send(value)

    runloom.fiber(answer)
    start = perf_counter_ns()
    for i in range(n):
        ping.send(i)
        pong.recv()
    return perf_counter_ns() - start


# ---- buffered


@BUFFERED.variant("gort")
async def gort_buffered(n: int) -> int:
    import gort

    items = gort.chan(CAPACITY)

    async def produce() -> None:
        for i in range(n):
            await items.send(i)

    producing = gort.go(produce)
    start = perf_counter_ns()
    for _ in range(n):
        await items.recv()
    took = perf_counter_ns() - start
    await producing
    return took


@BUFFERED.variant("asyncio", "uvloop")
async def asyncio_buffered(n: int) -> int:
    items: asyncio.Queue[int] = asyncio.Queue(CAPACITY)

    async def produce() -> None:
        for i in range(n):
            await items.put(i)

    producing = asyncio.create_task(produce())
    start = perf_counter_ns()
    for _ in range(n):
        await items.get()
    took = perf_counter_ns() - start
    await producing
    return took


@BUFFERED.variant("trio")
async def trio_buffered(n: int) -> int:
    import trio

    send, receive = trio.open_memory_channel[int](CAPACITY)

    async def produce() -> None:
        for i in range(n):
            await send.send(i)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        start = perf_counter_ns()
        for _ in range(n):
            await receive.receive()
        took = perf_counter_ns() - start
    return took


@BUFFERED.variant("gevent")
def gevent_buffered(n: int) -> int:
    import gevent
    from gevent.queue import Queue

    items = Queue(CAPACITY)

    def produce() -> None:
        for i in range(n):
            items.put(i)

    producing = gevent.spawn(produce)
    start = perf_counter_ns()
    for _ in range(n):
        items.get()
    took = perf_counter_ns() - start
    producing.join()
    return took


@BUFFERED.variant("runloom")
def runloom_buffered(n: int) -> int:
    import runloom

    items = runloom.Chan(CAPACITY)

    def produce() -> None:
        for i in range(n):
            items.send(i)

    runloom.fiber(produce)
    start = perf_counter_ns()
    for _ in range(n):
        items.recv()
    return perf_counter_ns() - start


# ---- select: the producers send n // 2 values each


@SELECT.variant("gort")
async def gort_select(n: int) -> int:
    import gort

    a, b = gort.chan(), gort.chan()

    async def produce(ch: Any) -> None:
        for i in range(n // 2):
            await ch.send(i)

    producing = gort.go(produce, a), gort.go(produce, b)
    start = perf_counter_ns()
    for _ in range(n // 2 * 2):
        await gort.select(a.recv(), b.recv())
    took = perf_counter_ns() - start
    for g in producing:
        await g
    return took


@SELECT.variant("asyncio", "uvloop")
async def asyncio_select(n: int) -> int:
    a: asyncio.Queue[int] = asyncio.Queue(1)
    b: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce(queue: asyncio.Queue[int]) -> None:
        for i in range(n // 2):
            await queue.put(i)

    producing = asyncio.create_task(produce(a)), asyncio.create_task(produce(b))
    start = perf_counter_ns()
    waiting = {asyncio.create_task(queue.get()): queue for queue in (a, b)}
    left = n // 2 * 2
    while left > 0:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            queue = waiting.pop(task)
            waiting[asyncio.create_task(queue.get())] = queue
        left -= len(done)
    took = perf_counter_ns() - start
    for task in waiting:
        task.cancel()
    await asyncio.gather(*producing)
    return took


@SELECT.variant("trio")
async def trio_select(n: int) -> int:
    import trio

    async def produce(send: trio.MemorySendChannel[int]) -> None:
        for i in range(n // 2):
            await send.send(i)

    async def first_of(receivers: Iterable[trio.MemoryReceiveChannel[int]]) -> int:
        """Receives from whichever is ready, or from all that are; says from how many."""
        received = 0

        async def receive(channel: trio.MemoryReceiveChannel[int]) -> None:
            nonlocal received
            await channel.receive()
            received += 1
            race.cancel_scope.cancel()

        async with trio.open_nursery() as race:
            for channel in receivers:
                race.start_soon(receive, channel)
        return received

    a_send, a_receive = trio.open_memory_channel[int](0)
    b_send, b_receive = trio.open_memory_channel[int](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce, a_send)
        nursery.start_soon(produce, b_send)
        start = perf_counter_ns()
        left = n // 2 * 2
        while left > 0:
            left -= await first_of((a_receive, b_receive))
        took = perf_counter_ns() - start
    return took


@SELECT.variant("gevent")
def gevent_select(n: int) -> int:
    import gevent
    from gevent.queue import Channel

    a, b = Channel(), Channel()

    def produce(channel: Channel) -> None:
        for i in range(n // 2):
            channel.put(i)

    producing = [gevent.spawn(produce, a), gevent.spawn(produce, b)]
    start = perf_counter_ns()
    waiting = {gevent.spawn(channel.get): channel for channel in (a, b)}
    left = n // 2 * 2
    while left > 0:
        done = gevent.wait(list(waiting), count=1)
        for greenlet in done:
            channel = waiting.pop(greenlet)
            waiting[gevent.spawn(channel.get)] = channel
        left -= len(done)
    took = perf_counter_ns() - start
    gevent.killall(list(waiting))
    gevent.joinall(producing)
    return took


@SELECT.variant("runloom")
def runloom_select(n: int) -> int:
    import runloom

    a, b = runloom.Chan(), runloom.Chan()

    def produce(channel: runloom.Chan) -> None:
        for i in range(n // 2):
            channel.send(i)

    runloom.fiber(produce, a)
    runloom.fiber(produce, b)
    start = perf_counter_ns()
    for _ in range(n // 2 * 2):
        runloom.select([("recv", a), ("recv", b)])
    return perf_counter_ns() - start
