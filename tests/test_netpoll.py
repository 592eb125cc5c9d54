"""The poller: pipes, socket pairs, TCP, closing under a waiter."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import gort


async def until_waiting(g: gort.Goroutine) -> None:
    while g.status != "waiting":
        await gort.gosched()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    r, w = os.pipe()
    os.set_blocking(r, False)
    os.set_blocking(w, False)
    yield r, w
    for fd in (r, w):
        try:
            os.close(fd)
        except OSError:
            pass


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    a, b = socket.socketpair()
    a.setblocking(False)
    b.setblocking(False)
    with a, b:
        yield a, b


async def readable(fd: Any) -> str:
    await gort.wait_readable(fd)
    return "readable"


async def writable(fd: Any) -> str:
    await gort.wait_writable(fd)
    return "writable"


async def recv_exactly(s: socket.socket, n: int) -> bytes:
    out = bytearray()
    while len(out) < n:
        try:
            part = s.recv(65536)
        except BlockingIOError:
            await gort.wait_readable(s)
            continue
        if not part:
            raise EOFError
        out += part
    return bytes(out)


async def send_all(s: socket.socket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[s.send(view) :]
        except BlockingIOError:
            await gort.wait_writable(s)


def test_pipe(pipe: tuple[int, int], procs: int) -> None:
    r, w = pipe

    async def main() -> None:
        for _ in range(50):
            g = gort.go(readable, r)
            await until_waiting(g)
            assert g.wait_reason == "IO wait"
            os.write(w, b"x")
            assert await g == "readable"
            assert os.read(r, 10) == b"x"
        assert await gort.wait_writable(w) is None

    gort.run(main, procs=procs)


def test_level_triggered(pipe: tuple[int, int]) -> None:
    r, w = pipe

    async def main() -> None:
        os.write(w, b"xyz")
        for _ in range(3):
            await gort.wait_readable(r)
            os.read(r, 1)

    gort.run(main)


def test_eof_wakes(pipe: tuple[int, int], procs: int) -> None:
    r, w = pipe

    async def main() -> None:
        g = gort.go(readable, r)
        await until_waiting(g)
        os.close(w)
        assert await g == "readable"
        assert os.read(r, 1) == b""

    gort.run(main, procs=procs)


def test_writer_waits_for_room(pipe: tuple[int, int], procs: int) -> None:
    r, w = pipe
    total = 1 << 20

    async def writer() -> None:
        left = total
        while left:
            try:
                left -= os.write(w, b"x" * min(left, 65536))
            except BlockingIOError:
                await gort.wait_writable(w)
        os.close(w)

    async def main() -> int:
        g = gort.go(writer)
        n = 0
        while True:
            try:
                part = os.read(r, 65536)
            except BlockingIOError:
                await gort.wait_readable(r)
                continue
            if not part:
                break
            n += len(part)
        await g
        return n

    assert gort.run(main, procs=procs) == total


def test_both_directions_of_one_fd(pair: tuple[socket.socket, socket.socket], procs: int) -> None:
    a, b = pair
    data = os.urandom(1 << 20)

    async def main() -> None:
        ws = [gort.go(send_all, s, data) for s in (a, b)]
        rs = [gort.go(recv_exactly, s, len(data)) for s in (a, b)]
        for g in ws:
            await g
        for g in rs:
            assert await g == data

    gort.run(main, procs=procs)


def test_many_readers_of_one_fd(pipe: tuple[int, int], procs: int) -> None:
    r, w = pipe

    async def main() -> None:
        gs = [gort.go(readable, r) for _ in range(5)]
        for g in gs:
            await until_waiting(g)
        os.write(w, b"x")
        assert [await g for g in gs] == ["readable"] * 5

    gort.run(main, procs=procs)


@pytest.mark.parametrize("n", [100])
def test_tcp_echo(n: int, procs: int) -> None:
    async def serve_one(conn: socket.socket) -> None:
        with conn:
            while True:
                try:
                    data = conn.recv(65536)
                except BlockingIOError:
                    await gort.wait_readable(conn)
                    continue
                if not data:
                    return
                await send_all(conn, data)

    async def serve(ls: socket.socket) -> None:
        while True:
            try:
                conn, _ = ls.accept()
            except BlockingIOError:
                await gort.wait_readable(ls)
                continue
            conn.setblocking(False)
            gort.go(serve_one, conn)

    async def client(addr: Any, i: int) -> int:
        with socket.socket() as s:
            s.setblocking(False)
            try:
                s.connect(addr)
            except BlockingIOError:
                await gort.wait_writable(s)
            assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            for k in range(10):
                msg = f"{i}-{k};".encode() * 50
                await send_all(s, msg)
                assert await recv_exactly(s, len(msg)) == msg
        return i

    async def main() -> int:
        with socket.create_server(("127.0.0.1", 0), backlog=256) as ls:
            ls.setblocking(False)
            server = gort.go(serve, ls)
            gs = [gort.go(client, ls.getsockname(), i) for i in range(n)]
            got = sum([await g for g in gs])
            server.cancel()
            with pytest.raises(gort.Cancelled):
                await server
            while gort.num_goroutine() > 1:
                await gort.sleep(0.001)
            return got

    assert gort.run(main, procs=procs) == sum(range(n))


def test_notify_closing(pair: tuple[socket.socket, socket.socket], procs: int) -> None:
    a, b = pair

    async def full(s: socket.socket) -> None:
        while True:
            try:
                s.send(b"x" * 65536)
            except BlockingIOError:
                await gort.wait_writable(s)

    async def main() -> None:
        gs = [gort.go(readable, a), gort.go(readable, a), gort.go(full, a)]
        for g in gs:
            await until_waiting(g)
        gort.notify_closing(a)
        for g in gs:
            with pytest.raises(OSError):
                await g
        gort.notify_closing(a)
        a.close()
        g = gort.go(readable, b)
        assert await g == "readable"

    gort.run(main, procs=procs)


def test_notify_closing_from_foreign_thread(pipe: tuple[int, int], procs: int) -> None:
    r, _ = pipe

    async def main() -> None:
        g = gort.go(readable, r)
        await until_waiting(g)
        t = threading.Thread(target=gort.notify_closing, args=(r,))
        t.start()
        with pytest.raises(OSError):
            await g
        await gort.syscall(t.join)

    gort.run(main, procs=procs)


def test_fd_reuse(procs: int) -> None:
    """A number that was closed and reused is waited for anew."""

    async def main() -> None:
        for _ in range(20):
            r, w = os.pipe()
            g = gort.go(readable, r)
            await until_waiting(g)
            gort.notify_closing(r)
            os.close(r)
            os.close(w)
            with pytest.raises(OSError):
                await g
            r2, w2 = os.pipe()
            assert {r, w} == {r2, w2}
            g = gort.go(readable, r2)
            await until_waiting(g)
            os.write(w2, b"y")
            assert await g == "readable"
            os.close(r2)
            os.close(w2)

    gort.run(main, procs=procs)


def test_fd_reuse_without_notice(procs: int) -> None:
    async def main() -> None:
        for _ in range(20):
            r, w = os.pipe()
            os.write(w, b"x")
            await gort.wait_readable(r)
            os.close(r)
            os.close(w)

    gort.run(main, procs=procs)


def test_regular_file(tmp_path: Any) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x")

    async def main() -> None:
        with path.open("rb+") as f:
            await gort.wait_readable(f)
            await gort.wait_writable(f.fileno())

    gort.run(main)


def test_closed_fd() -> None:
    async def main() -> None:
        r, w = os.pipe()
        os.close(r)
        os.close(w)
        with pytest.raises(OSError):
            await gort.wait_readable(r)
        s = socket.socket()
        s.close()
        with pytest.raises((OSError, ValueError)):
            await gort.wait_readable(s)

    gort.run(main)


def test_cancel(pipe: tuple[int, int], procs: int) -> None:
    r, w = pipe

    async def main() -> None:
        for _ in range(20):
            g, other = gort.go(readable, r), gort.go(readable, r)
            await until_waiting(g)
            await until_waiting(other)
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g
            os.write(w, b"x")
            assert await other == "readable"
            os.read(r, 1)

    gort.run(main, procs=procs)


def test_wait_from_foreign_thread(pipe: tuple[int, int], procs: int) -> None:
    r, w = pipe

    async def main() -> None:
        out = gort.chan(1)

        def body() -> None:
            try:
                gort.wait(gort.wait_readable(r), 0.001)
            except TimeoutError:
                out.send_nowait("timeout")
            gort.wait(gort.wait_readable(r))
            gort.wait(out.send("readable"))

        t = threading.Thread(target=body)
        t.start()
        assert await out.recv() == "timeout"
        os.write(w, b"x")
        assert await out.recv() == "readable"
        await gort.syscall(t.join)

    gort.run(main, procs=procs)


def test_reader_beside_a_hog(pipe: tuple[int, int], procs: int) -> None:
    """A hog computes until the reader has read: the poll must happen beside it."""
    r, w = pipe
    got: list[bytes] = []

    async def reader() -> None:
        await gort.wait_readable(r)
        got.append(os.read(r, 10))

    async def main() -> None:
        g = gort.go(reader)
        await until_waiting(g)
        os.write(w, b"x")
        while not got:
            pass
        await g

    gort.run(main, procs=procs)


@pytest.mark.parametrize("bad", ["1", None, 1.5, True, object()])
def test_bad_type(bad: Any) -> None:
    async def main() -> None:
        for f in (gort.wait_readable, gort.wait_writable, gort.notify_closing):
            with pytest.raises(TypeError):
                f(bad)

    gort.run(main)


@pytest.mark.parametrize("bad", [-1, 1 << 40])
def test_bad_value(bad: int) -> None:
    async def main() -> None:
        for f in (gort.wait_readable, gort.wait_writable, gort.notify_closing):
            with pytest.raises(ValueError):
                f(bad)

    gort.run(main)
