"""gort.net on the simulated network: client and server in one test, by seeds."""

from __future__ import annotations

import logging
import random
import sys
from pathlib import Path
from typing import Any

import pytest

import gort
from gort import net
from gort.testing import network, run_sim, sweep

sys.path.insert(0, str(Path(__file__).parent.parent))
from conns import alone


async def memory() -> tuple[net.Conn, net.Conn]:
    return net.pipe()


async def tcp() -> tuple[net.Conn, net.Conn]:
    async with await net.listen("tcp", "10.0.0.1:80") as ln:
        return await net.dial("tcp", "10.0.0.1:80"), await ln.accept()


async def unix() -> tuple[net.Conn, net.Conn]:
    async with await net.listen("unix", "/run/s") as ln:
        return await net.dial("unix", "/run/s"), await ln.accept()


both = pytest.mark.parametrize("pair", [memory, tcp, unix])


async def echo(c: net.Conn) -> None:
    async for line in c:
        await c.write(line)


@both
def test_cancels_lose_nothing(pair: Any) -> None:
    """Numbers go through reads and writes that are cancelled or late anywhere."""
    data = bytes(range(256)) * 40

    async def writer(c: net.Conn, rng: random.Random) -> None:
        at = 0
        while at < len(data):
            piece = data[at : at + rng.randrange(1, 3000)]
            late = rng.random() < 0.3
            if late:
                c.set_write_deadline(rng.choice((0, 1e-5, 1e-4)))
            try:
                async with gort.timeout(rng.choice((0.0, 1e-5, 1e-4, 60.0))):
                    try:
                        await c.write(piece)
                    except BaseException as exc:
                        at += exc.written  # type: ignore[attr-defined]
                        raise
                at += len(piece)
            except TimeoutError:
                pass
            c.set_write_deadline(None)
        await c.close_write()

    async def main() -> None:
        rng = random.Random(gort.testing.network().engine.strategy.rng.random())
        gort.testing.network().latency = (0.0, 1e-4)
        a, b = await pair()
        async with a, b:
            g = gort.go(writer, a, rng)
            got = bytearray()
            while len(got) < len(data):
                b.set_read_deadline(rng.choice((None, None, 1e-5, 1e-4)))
                n = rng.randrange(1, min(500, len(data) - len(got)) + 1)
                try:
                    async with gort.timeout(rng.choice((0.0, 1e-5, 1e-4, 60.0))):
                        piece = await b.read_exactly(n)
                    got += piece
                except TimeoutError:
                    pass
            b.set_read_deadline(None)
            assert await b.read() == b""
            await g
            assert got == data

    sweep(main, seeds=12)


@both
def test_a_close_or_a_deadline_wakes_who_reads(pair: Any) -> None:
    async def reads(c: net.Conn) -> str:
        try:
            await c.read()
        except TimeoutError:
            return "late"
        except OSError:
            return "closed"
        return "read"

    async def main() -> None:
        a, b = await pair()
        g = gort.go(reads, b)
        h = gort.go(b.set_read_deadline, 0)
        assert await g == "late"
        await h
        b.set_read_deadline(None)
        g = gort.go(reads, b)
        h = gort.go(b.close)
        assert await g == "closed"
        await h
        await a.close()

    sweep(main, seeds=60)


def test_a_server(caplog: pytest.LogCaptureFixture) -> None:
    """Many clients, latency, a partition that is healed, and a graceful end."""

    async def client(i: int) -> None:
        async with await net.dial("tcp", "server:80", local_address=f"10.0.1.{i}:0") as c:
            for k in range(3):
                line = b"%d %d\n" % (i, k)
                await c.write(line)
                assert await c.readline() == line

    async def main() -> None:
        nw = network()
        nw.latency = (0.001, 0.05)
        nw.hosts["server"] = ["10.0.0.8", "10.0.0.1"]  # nobody is at the first
        ln = await net.listen("tcp", "10.0.0.1:80")
        g = gort.go(net.serve, ln, echo, grace=10, limit=4)
        async with gort.group() as grp:
            for i in range(6):
                grp.go(client, i)
            await gort.sleep(0.05)
            nw.partition({"10.0.0.1"}, {"10.0.1.1", "10.0.1.2"})
            await gort.sleep(5)
            nw.heal()
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        await alone()

    sweep(main, seeds=10)
    assert not caplog.records


def test_resets_end_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def client(reset: bool) -> None:
        async with await net.dial("tcp", "10.0.0.1:80") as c:
            await c.write(b"line\n")
            if reset:
                c.sock.reset()
            else:
                assert await c.readline() == b"line\n"

    async def main() -> None:
        async with await net.listen("tcp", "10.0.0.1:80") as ln:
            g = gort.go(net.serve, ln, echo)
            async with gort.group() as grp:
                for i in range(6):
                    grp.go(client, i % 2 == 0)
            await ln.close()
            await g

    logging.getLogger("gort.net").disabled = True
    try:
        sweep(main, seeds=20)
    finally:
        logging.getLogger("gort.net").disabled = False


def test_dials_are_cancelled_anywhere() -> None:
    """However far it came, no goroutine and no socket is left."""

    async def main() -> None:
        nw = network()
        nw.latency = (0.01, 0.5)
        nw.hosts["two"] = ["10.0.0.2", "10.0.0.1"]
        rng = nw.engine.strategy.rng
        async with await net.listen("tcp", "10.0.0.1:80") as ln:
            g = gort.go(net.serve, ln, echo)
            for _ in range(4):
                try:
                    async with gort.timeout(rng.random()):
                        async with await net.dial("tcp", "two:80") as c:
                            await c.write(b"x\n")
                            assert await c.readline() == b"x\n"
                except TimeoutError:
                    pass
            await ln.close()
            await g
            await alone()

    sweep(main, seeds=30)


def test_datagrams_are_lost() -> None:
    async def main() -> int:
        nw = network()
        nw.loss = 0.5
        async with await net.listen_packet("udp", "10.0.0.1:53") as pc:
            async with await net.dial("udp", "10.0.0.1:53") as c:
                for i in range(40):
                    await c.write(b"%d" % i)
                n = 0
                while True:
                    try:
                        async with gort.timeout(1):
                            await pc.read_from()
                        n += 1
                    except TimeoutError:
                        return n

    found = {run_sim(main, seed=seed) for seed in range(8)}
    assert len(found) > 1 and 5 < min(found) and max(found) < 35


def test_a_seed_replays_it() -> None:
    async def main() -> list[Any]:
        nw = network()
        nw.latency = (0.001, 0.1)
        out: list[Any] = []

        async def client(i: int) -> None:
            async with await net.dial("tcp", "10.0.0.1:80") as c:
                await c.write(b"%d\n" % i)
                out.append((await c.readline(), round(nw.engine.clock)))

        async with await net.listen("tcp", "10.0.0.1:80") as ln:
            g = gort.go(net.serve, ln, echo)
            async with gort.group() as grp:
                for i in range(5):
                    grp.go(client, i)
            await ln.close()
            await g
        return out

    assert run_sim(main, seed=3) == run_sim(main, seed=3)
    assert len({str(run_sim(main, seed=seed)) for seed in range(5)}) == 5
