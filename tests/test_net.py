"""gort.net: recv and sendall as ops, accept, connect, close."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import gort
from gort import net


async def until_waiting(g: gort.Goroutine) -> None:
    while g.status != "waiting":
        await gort.gosched()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    a, b = socket.socketpair()
    a.setblocking(False)
    b.setblocking(False)
    with a, b:
        yield a, b


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        a = socket.create_connection(listener.getsockname())
        b, _ = listener.accept()
    a.setblocking(False)
    b.setblocking(False)
    return a, b


def fill(s: socket.socket) -> int:
    """Send until there is no room; how much went."""
    n = 0
    try:
        while True:
            n += s.send(b"\0" * 65536)
    except BlockingIOError:
        return n


async def recv_exactly(s: socket.socket, n: int, each: int = 65536) -> bytes:
    out = bytearray()
    while len(out) < n:
        data = await net.recv(s, each)
        assert data, "the stream ended early"
        out += data
    return bytes(out)


async def receive(s: socket.socket, n: int = 65536) -> bytes:
    return await net.recv(s, n)


# ---- recv


@pytest.mark.parametrize("data", [b"x", b"y" * 4096, b"z" * 5000, b"w" * 65536])
def test_recv_what_is_there(pair: Any, data: bytes) -> None:
    a, b = pair

    async def main() -> None:
        await net.sendall(a, data)
        assert await recv_exactly(b, len(data)) == data

    gort.run(main)


def test_recv_waits(pair: Any) -> None:
    a, b = pair

    async def main() -> None:
        for i in range(50):  # the first arms the socket, the others wait for what is armed
            g = gort.go(receive, b)
            await until_waiting(g)
            assert g.wait_reason == "IO wait"
            a.send(b"%d" % i)
            assert await g == b"%d" % i

    gort.run(main)


def test_recv_no_more_than_asked(pair: Any) -> None:
    a, b = pair

    async def main() -> None:
        for _ in range(3):
            g = gort.go(receive, b)  # leaves the socket armed
            await until_waiting(g)
            a.send(b"abcdefgh")
            assert await g == b"abcdefgh"
            a.send(b"12345678")
            assert [await net.recv(b, 3) for _ in range(3)] == [b"123", b"456", b"78"]

    gort.run(main)


def test_recv_at_the_end(pair: Any) -> None:
    a, b = pair

    async def main() -> None:
        g = gort.go(receive, b)
        await until_waiting(g)
        a.close()
        assert await g == b""
        assert await net.recv(b) == b""

    gort.run(main)


def test_received_bytes_are_their_own(pair: Any) -> None:
    """The buffer that a thread keeps is under none of them."""
    a, b = pair

    async def main() -> None:
        got = []
        for i in range(20):
            a.send(bytes([i]) * (i + 1))
            got.append(await net.recv(b))
        assert got == [bytes([i]) * (i + 1) for i in range(20)]

    gort.run(main)


def test_recv_of_much() -> None:
    a, b = tcp_pair()
    data = os.urandom(3_000_000)

    async def main() -> None:
        g = gort.go(recv_exactly, b, len(data), 1_000_000)
        await net.sendall(a, data)
        assert await g == data

    with a, b:
        gort.run(main)


def test_recv_of_datagrams() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as b:
                b.setblocking(False)
                b.bind(("127.0.0.1", 0))
                a.connect(b.getsockname())
                g = gort.go(receive, b)
                await until_waiting(g)
                await net.sendall(a, b"one")
                assert await g == b"one"

    gort.run(main)


def test_two_receivers_of_one_socket(pair: Any) -> None:
    a, b = pair

    async def main() -> None:
        gs = [gort.go(receive, b, 1) for _ in range(2)]
        for g in gs:
            await until_waiting(g)
        a.send(b"x")  # both are woken, one finds nothing and waits again
        first = gort.chan(2)

        async def tell(g: gort.Goroutine[bytes]) -> None:
            await first.send(await g)

        for g in gs:
            gort.go(tell, g)
        assert await first.recv() == b"x"
        a.send(b"y")
        assert await first.recv() == b"y"

    gort.run(main)


def test_recv_of_a_reset_connection() -> None:
    a, b = tcp_pair()

    async def main() -> None:
        g = gort.go(receive, b)
        await until_waiting(g)
        a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        a.close()
        with pytest.raises(ConnectionResetError):
            await g

    with a, b:
        gort.run(main)


# ---- sendall


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_sendall_waits_for_room(pair: Any, kind: Any) -> None:
    a, b = pair
    data = os.urandom(2_000_000)

    async def main() -> None:
        g = gort.go(net_sendall, a, kind(data))
        await until_waiting(g)
        assert await recv_exactly(b, len(data)) == data
        assert await g is None

    gort.run(main)


async def net_sendall(s: socket.socket, data: Any) -> None:
    return await net.sendall(s, data)


def test_sendall_of_other_items(pair: Any) -> None:
    a, b = pair

    async def main() -> None:
        await net.sendall(a, memoryview(b"abcdefgh").cast("I"))
        await net.sendall(a, b"")
        assert await net.recv(b) == b"abcdefgh"

    gort.run(main)


def test_data_cannot_shrink_on_its_way(pair: Any) -> None:
    a, b = pair
    data = bytearray(2_000_000)

    async def main() -> None:
        g = gort.go(net_sendall, a, data)
        await until_waiting(g)
        with pytest.raises(BufferError):
            data.clear()
        await recv_exactly(b, len(data))
        await g
        data.clear()

    gort.run(main)


def test_sendall_to_nobody(pair: Any) -> None:
    a, b = pair

    async def main() -> None:
        b.close()
        with pytest.raises(BrokenPipeError):
            await net.sendall(a, b"x")

    gort.run(main)


# ---- close and cancel


def test_close_wakes_who_waits(pair: Any) -> None:
    a, b = pair

    async def main() -> None:
        fill(a)
        gs = [gort.go(receive, a), gort.go(net_sendall, a, b"x")]
        for g in gs:
            await until_waiting(g)
        net.close(a)
        net.close(a)
        for g in gs:
            with pytest.raises(OSError) as failed:
                await g
            assert failed.value.errno == errno.EBADF

    gort.run(main)


@pytest.mark.parametrize("make", [net.recv, lambda s: net.sendall(s, b"x")])
def test_closed_before_it_is_awaited(pair: Any, make: Any) -> None:
    a, _ = pair

    async def main() -> None:
        op = make(a)
        a.close()
        with pytest.raises(OSError) as failed:
            await op
        assert failed.value.errno == errno.EBADF

    gort.run(main)


def test_cancelled_recv_loses_nothing(pair: Any) -> None:
    a, b = pair

    async def main() -> None:
        for i in range(20):
            g = gort.go(receive, b)
            await until_waiting(g)
            if i % 2:
                a.send(b"x")
                g.cancel()
            else:
                g.cancel()
                a.send(b"x")
            try:
                got = await g
            except gort.Cancelled:
                got = await net.recv(b)
            assert got == b"x"

    gort.run(main)


def test_cancelled_sendall(pair: Any) -> None:
    a, b = pair

    async def main() -> None:
        sent = fill(a)
        data = bytearray(b"never")
        g = gort.go(net_sendall, a, data)
        await until_waiting(g)
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        data.clear()  # nobody holds its buffer any more
        assert await recv_exactly(b, sent) == b"\0" * sent
        await net.sendall(a, b"then")
        assert await net.recv(b) == b"then"

    gort.run(main)


def test_the_op_keeps_its_socket() -> None:
    """A socket that only its op refers to is open until that is done."""

    async def main() -> None:
        a, b = socket.socketpair()
        b.setblocking(False)
        op = net.recv(b)
        del b
        a.send(b"x")
        assert await op == b"x"
        del op
        a.close()

    gort.run(main)


# ---- accept, connect


def test_a_server() -> None:
    async def handle(conn: socket.socket) -> None:
        while data := await net.recv(conn):
            await net.sendall(conn, data)
        net.close(conn)

    async def serve(listener: socket.socket) -> None:
        while True:
            conn, address = await net.accept(listener)
            assert address[0] == "127.0.0.1" and not conn.getblocking()
            gort.go(handle, conn)

    async def client(address: Any, i: int) -> None:
        with socket.socket() as s:
            await net.connect(s, address)
            for j in range(10):
                data = f"{i}.{j} ".encode() * (j * 50 + 1)
                await net.sendall(s, data)
                assert await recv_exactly(s, len(data)) == data
            net.close(s)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = gort.go(serve, listener)
            async with gort.group() as g:
                for i in range(40):
                    g.go(client, ("localhost", listener.getsockname()[1]), i)
            net.close(listener)
            with pytest.raises(OSError):
                await server

    for procs in (1, 4):
        gort.run(main, procs=procs)


def test_connect_refused() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
        with socket.socket() as s:
            with pytest.raises(ConnectionRefusedError, match="cannot connect to"):
                await net.connect(s, address)

    gort.run(main)


def test_from_a_thread_that_sends(pair: Any) -> None:
    """A recv that another thread's send wakes, again and again: no wake-up is lost."""
    a, b = pair
    b.setblocking(True)

    def answer() -> None:
        while data := b.recv(100):
            b.sendall(data)

    async def main() -> None:
        for i in range(500):
            await net.sendall(a, b"%d" % i)
            assert await net.recv(a) == b"%d" % i
        net.close(a)

    thread = threading.Thread(target=answer)
    thread.start()
    gort.run(main, procs=2)
    thread.join()


# ---- bad input


def test_bad_input(pair: Any) -> None:
    a, _ = pair
    for n in (0, -1):
        with pytest.raises(ValueError, match="n must be at least 1"):
            net.recv(a, n)
    with pytest.raises(TypeError):
        net.recv(a, "5")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        net.sendall(a, "text")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        net.sendall(a, memoryview(b"abcdef")[::2])
    for call in (net.recv, lambda s: net.sendall(s, b"x")):
        with pytest.raises(TypeError, match="wants a socket.socket, not int"):
            call(a.fileno())
    closed = socket.socket()
    closed.close()
    with pytest.raises(ValueError, match="recv: the socket is closed"):
        net.recv(closed)


def test_a_socket_with_a_recv_of_its_own(pair: Any) -> None:
    a, _ = pair
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with context.wrap_socket(a, do_handshake_on_connect=False) as wrapped:
        with pytest.raises(TypeError, match="cannot do what SSLSocket.recv does"):
            net.recv(wrapped)


def test_awaited_twice(pair: Any) -> None:
    a, _ = pair

    async def main() -> None:
        op = net.sendall(a, b"x")
        await op
        with pytest.raises(RuntimeError, match="used already"):
            await op

    gort.run(main)


def test_not_for_threads(pair: Any) -> None:
    a, _ = pair

    async def main() -> None:
        with pytest.raises(TypeError, match="wait"):
            gort.wait(net.recv(a))

    gort.run(main)
