"""gort.net over the simulated network: ports, both directions, pieces, resets, partitions."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

import gort
from gort import net
from gort.testing import network, run_sim, simulate, strategy_of, sweep


def listening(address: Any = ("127.0.0.1", 0), family: int = socket.AF_INET) -> socket.socket:
    s = socket.socket(family, socket.SOCK_STREAM)
    s.bind(address)
    s.listen()
    return s


async def dialed(address: Any, family: int = socket.AF_INET) -> socket.socket:
    s = socket.socket(family, socket.SOCK_STREAM)
    await net.connect(s, address)
    return s


async def read(s: socket.socket, n: int = 65536) -> bytes:
    got = b""
    while data := await net.recv(s, n):
        got += data
    return got


async def serve(ln: socket.socket) -> None:
    async def echo(conn: socket.socket) -> None:
        while data := await net.recv(conn, 1000):
            await net.sendall(conn, data)
        net.close(conn)

    try:
        while True:
            conn, _ = await net.accept(ln)
            gort.go(echo, conn)
    except OSError as exc:
        assert exc.errno == errno.EBADF


async def echoes() -> None:
    ln = listening()
    server = gort.go(serve, ln)

    async def client(i: int) -> None:
        s = await dialed(ln.getsockname())
        data = bytes([i]) * 5000
        got = bytearray()

        async def receive() -> None:
            while len(got) < len(data):
                got.extend(await net.recv(s, 700))

        r = gort.go(receive)
        await net.sendall(s, data)
        await r
        assert got == data
        s.shutdown(socket.SHUT_WR)
        assert await net.recv(s) == b""
        net.close(s)

    async with gort.group() as grp:
        for i in range(3):
            grp.go(client, i)
    net.close(ln)
    await server


def test_echo_in_many_schedules() -> None:
    sweep(echoes, seeds=20)
    sweep(echoes, seeds=4, procs=1)


def test_a_seed_replays() -> None:
    for seed in range(3):
        runs = [simulate(echoes, strategy=strategy_of(seed)) for _ in range(2)]
        assert runs[0].digest == runs[1].digest


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, ("10.0.0.1", 80)),
        (socket.AF_INET6, ("::1", 80)),
        (socket.AF_UNIX, "/no/such/place.sock"),
    ],
)
def test_families(family: int, address: Any) -> None:
    async def main() -> None:
        ln = listening(address, family)
        a = await dialed(address, family)
        b, _ = await net.accept(ln)
        await net.sendall(a, b"there")
        await net.sendall(b, b"back")
        a.shutdown(socket.SHUT_WR)
        b.shutdown(socket.SHUT_WR)
        assert await read(b) == b"there" and await read(a) == b"back"
        for s in (a, b, ln):
            net.close(s)

    sweep(main, seeds=6)


def test_ports() -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await dialed(("127.0.0.1", 81))
        ln = listening(("0.0.0.0", 80))
        with pytest.raises(OSError, match="in use"):
            listening(("0.0.0.0", 80))
        s = await dialed(("localhost", 80))
        assert s.getpeername() == ("127.0.0.1", 80)
        conn, address = await net.accept(ln)
        assert address == s.getsockname() == conn.getpeername()
        net.close(ln)
        with pytest.raises(ConnectionRefusedError):
            await dialed(("127.0.0.1", 80))
        ln = listening(("0.0.0.0", 80))
        for x in (s, conn, ln):
            net.close(x)
        assert x.fileno() == -1

    sweep(main, seeds=6)


def test_who_sends_too_much_waits() -> None:
    async def main() -> None:
        a, b = socket.socketpair()
        sent = gort.go(net.sendall, a, b"x" * 300_000)
        await gort.sleep(1)
        assert not sent.done()
        n = 0
        while n < 300_000:
            n += len(await net.recv(b))
        await sent
        net.close(a)
        assert await net.recv(b) == b""
        net.close(b)

    sweep(main, seeds=10)


def test_partial_reads_and_writes_come_by_seed() -> None:
    async def main() -> tuple[list[int], list[int]]:
        a, b = socket.socketpair()
        a.setblocking(False)
        reads, writes = [], []
        for _ in range(20):
            writes.append(a.send(b"y" * 100))
            left = writes[-1]
            while left:
                reads.append(len(await net.recv(b)))
                left -= reads[-1]
        return reads, writes

    seen: Any = [run_sim(main, seed=seed) for seed in range(6)]
    assert any(min(writes) < 100 for _, writes in seen)
    assert any(len(reads) > len(writes) for reads, writes in seen)
    assert seen[0] != seen[1]


def test_latency() -> None:
    async def main() -> None:
        network().latency = (0.05, 0.1)
        ln = listening()
        start = time.monotonic()
        s = await dialed(ln.getsockname())
        assert 0.1 <= time.monotonic() - start < 0.201
        conn, _ = await net.accept(ln)
        for i in range(5):
            start = time.monotonic()
            await net.sendall(s, b"%d" % i)
            assert await net.recv(conn) == b"%d" % i
            assert 0.05 <= time.monotonic() - start < 0.101
        for x in (s, conn, ln):
            net.close(x)

    sweep(main, seeds=6)


def test_a_reset_reaches_both_ends() -> None:
    async def main() -> None:
        a, b = socket.socketpair()
        reader = gort.go(net.recv, b)
        await gort.sleep(1)
        a.reset()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionResetError):
            await reader
        with pytest.raises(ConnectionResetError):
            await net.recv(a)
        with pytest.raises(BrokenPipeError):
            await net.sendall(b, b"x")

    sweep(main, seeds=6)


def test_who_closes_with_bytes_unread_resets() -> None:
    async def main() -> None:
        a, b = socket.socketpair()
        await net.sendall(a, b"unread")
        await gort.sleep(1)
        net.close(b)
        with pytest.raises(ConnectionResetError):
            await net.recv(a)
        net.close(a)

    sweep(main, seeds=6)


def test_a_partition_holds_bytes_until_it_is_healed() -> None:
    async def main() -> None:
        ln = listening(("10.0.0.2", 80))
        s = socket.socket()
        s.bind(("10.0.0.1", 0))
        await net.connect(s, ("10.0.0.2", 80))
        conn, _ = await net.accept(ln)
        network().partition({"10.0.0.1"}, {"10.0.0.2"})
        await net.sendall(s, b"late")
        got = gort.go(net.recv, conn)
        await gort.sleep(100)
        assert not got.done()
        far = socket.socket()
        far.bind(("10.0.0.1", 0))
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            await net.connect(far, ("10.0.0.2", 80))
        assert 127 <= time.monotonic() - start < 128
        network().heal()
        assert b"late".startswith(await got)
        for x in (s, conn, ln, far):
            net.close(x)

    sweep(main, seeds=6)


def test_close_wakes_who_waits() -> None:
    async def main() -> None:
        ln = listening()
        a, b = socket.socketpair()
        waiting = [
            gort.go(net.accept, ln),
            gort.go(net.recv, a),
            gort.go(net.sendall, b, b"z" * 200_000),
        ]
        await gort.sleep(1)
        net.close(ln)
        net.close(b)
        for g in (waiting[0], waiting[2]):
            with pytest.raises(OSError) as failed:
                await g
            assert failed.value.errno == errno.EBADF
        assert await waiting[1]
        net.close(a)

    sweep(main, seeds=10)


def test_a_number_is_used_again() -> None:
    async def main() -> None:
        a, b = socket.socketpair()
        number = a.fileno()
        net.close(a)
        c, d = socket.socketpair()
        assert c.fileno() == number
        reader = gort.go(net.recv, c)
        await net.sendall(d, b"for c")
        assert b"for c".startswith(await reader)
        for s in (b, c, d):
            net.close(s)

    sweep(main, seeds=10)


def test_blocking_sockets_block_in_virtual_time() -> None:
    async def main() -> None:
        ln = listening()

        def client() -> bytes:
            with socket.create_connection(ln.getsockname()) as s:
                s.sendall(b"question")
                s.settimeout(5)
                with pytest.raises(TimeoutError):
                    s.recv(10)
                s.settimeout(None)
                return s.recv(100)

        g = gort.go(gort.syscall, client)
        conn, _ = await net.accept(ln)
        await gort.sleep(60)
        await net.sendall(conn, b"a")
        assert await g == b"a"
        for s in (conn, ln):
            net.close(s)

    sweep(main, seeds=6)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW),
        lambda: socket.socket().listen() or socket.socket().connect_ex(5),
        lambda: socket.socket().bind(("h", 70000)),
    ],
)
def test_what_is_not_there(wrong: Callable[[], Any]) -> None:
    def main() -> None:
        with pytest.raises((OSError, TypeError, OverflowError)):
            wrong()

    run_sim(main)


def test_outside_they_are_real() -> None:
    kept: list[Any] = []

    async def main() -> None:
        assert isinstance(socket.socket(), socket.socket)
        kept.extend(socket.socketpair())

    run_sim(main)
    with pytest.raises(RuntimeError, match="of a simulation that is over"):
        kept[0].recv(1)
    with socket.socket() as s:
        assert type(s) is socket.socket and s.fileno() < 100_000
    with pytest.raises(RuntimeError, match="for simulated programs"):
        network()
