"""gort.net.Conn over sockets, unix sockets and memory alike."""

from __future__ import annotations

import errno
import os
import random
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from conns import Pair, accepted, pairs, tcp, until_waiting

import gort
from gort import net
from gort.net.file import fileconn

BIG = 1 << 22


async def fails(kind: type[BaseException], call: Any, code: int | None = None) -> BaseException:
    with pytest.raises(kind) as info:
        await call
    if code is not None:
        assert isinstance(info.value, OSError) and info.value.errno == code
    return info.value


# ---- reading


@pairs()
def test_reads(pair: Pair, procs: int) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            await a.write(b"abc\ndef--ghi\n" + b"x" * 10 + b"last")
            assert await b.read(1) == b"a"
            assert await b.readline() == b"bc\n"
            assert await b.read_until(b"--") == b"def--"
            assert await b.read_until(bytearray(b"\n")) == b"ghi\n"
            assert await b.read_exactly(0) == b"" == await b.read(0)
            assert await b.read_exactly(10) == b"x" * 10
            await a.close_write()
            assert [line async for line in b] == [b"last"]
            assert await b.read() == b"" == await b.readline() == await b.read(5)
            await b.write(b"the other way goes on")
            buffer = bytearray(9)
            assert await a.readinto(buffer) == 9 and buffer == b"the other"
            assert await a.read() == b" way goes on"

    gort.run(main, procs=procs)


@pairs()
def test_many_bytes_in_odd_pieces(pair: Pair, procs: int) -> None:
    data = random.Random(1).randbytes(BIG)

    async def writer(c: net.Conn) -> None:
        rng = random.Random(2)
        at = 0
        while at < BIG:
            n = rng.choice((1, 7, 1000, 100_000))
            if rng.random() < 0.5:
                await c.write(data[at : at + n])
            else:
                piece = data[at : at + n]
                await c.writelines([piece[:3], b"", bytearray(piece[3:50]), memoryview(piece)[50:]])
            at += n
        await c.close_write()

    async def main() -> None:
        a, b = await pair()
        async with a, b:
            g = gort.go(writer, a)
            rng = random.Random(3)
            got = bytearray()
            while len(got) < BIG:
                left = BIG - len(got)
                n = min(left, rng.choice((1, 10, 65536, 100_000)))
                kind = rng.randrange(3)
                if kind == 0:
                    got += await b.read_exactly(n)
                elif kind == 1:
                    got += await b.read(n)
                else:
                    try:
                        got += await b.read_until(data[len(got) + n - 1 :][:1], limit=n)
                    except net.LimitExceeded:
                        pytest.fail("the separator was within the limit")
            assert got == data
            assert await b.read() == b""
            await g

    gort.run(main, procs=procs)


@pairs()
def test_a_separator_in_two_pieces(pair: Pair) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            g = gort.go(b.read_until, b"<->")
            for piece in (b"on", b"e<", b"-", b">two<-"):
                await until_waiting(g)
                await a.write(piece)
            assert await g == b"one<->"
            await a.close()
            exc = await fails(net.IncompleteRead, b.read_until(b"<->"))
            assert exc.partial == b"two<-"  # type: ignore[attr-defined]

    gort.run(main)


@pairs()
def test_incomplete(pair: Pair) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            await a.write(b"12345")
            await a.close_write()
            exc = await fails(net.IncompleteRead, b.read_exactly(6))
            assert isinstance(exc, EOFError)
            assert exc.partial == b"12345"  # type: ignore[attr-defined]
            assert await b.read() == b""

    gort.run(main)


@pairs()
def test_limits_leave_the_bytes(pair: Pair) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            await a.write(b"x" * 100 + b"\n")
            exc = await fails(net.LimitExceeded, b.readline(limit=100))
            assert isinstance(exc, ValueError) and "100" in str(exc)
            await fails(net.LimitExceeded, b.read_until(b"\n", limit=10))
            assert await b.readline(limit=101) == b"x" * 100 + b"\n"
            await a.write(b"ab")
            await a.write(b"cd")
            assert await b.read_until(b"cd", limit=4) == b"abcd"

    gort.run(main)


# ---- cancels


@pairs()
def test_a_cancelled_read_loses_nothing(pair: Pair, procs: int) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            for call in (b.read, b.readline, lambda: b.read_exactly(9), lambda: b.read_until(b"!")):
                g = gort.go(call)
                await until_waiting(g)
                g.cancel()
                await fails(gort.Cancelled, g)
            g = gort.go(b.read_exactly, 6)
            await until_waiting(g)
            await a.write(b"abc")
            for _ in range(20):
                await gort.gosched()
            await until_waiting(g)
            g.cancel()
            await fails(gort.Cancelled, g)
            await a.write(b"def")
            assert await b.read_exactly(6) == b"abcdef"

    gort.run(main, procs=procs)


async def cancelled_already(c: net.Conn) -> None:
    me = gort.current()
    assert me is not None
    me.cancel()
    await c.write(b"x")


@pairs()
def test_a_cancelled_write_says_how_far_it_came(pair: Pair, procs: int) -> None:
    async def main() -> None:
        a, b = await pair()
        data = os.urandom(BIG)
        async with a, b:
            for write in (a.write, lambda d: a.writelines([d[:1000], d[1000:]])):
                g = gort.go(write, data)
                await until_waiting(g)
                g.cancel()
                exc = await fails(gort.Cancelled, g)
                n = exc.written  # type: ignore[attr-defined]
                assert 0 < n < BIG
                g = gort.go(a.write, b"!")
                assert await b.read_exactly(n + 1) == data[:n] + b"!"
                await g
            g = gort.go(cancelled_already, a)
            assert (await fails(gort.Cancelled, g)).written == 0  # type: ignore[attr-defined]

    gort.run(main, procs=procs)


@pairs()
def test_cancels_at_any_moment(pair: Pair, procs: int) -> None:
    """A stream of numbers through writes and reads that are cancelled at random."""
    data = b"".join(struct.pack(">I", i) for i in range(30_000))

    async def writer(c: net.Conn) -> None:
        rng = random.Random(4)
        at = 0
        while at < len(data):
            n = rng.randrange(1, 40_000)
            try:
                async with gort.timeout(rng.choice((0.0, 0.0005, 5.0))):
                    try:
                        await c.write(data[at : at + n])
                    except BaseException as exc:
                        at += exc.written  # type: ignore[attr-defined]
                        raise
                at += n
            except TimeoutError:
                pass
        await c.close_write()

    async def main() -> None:
        a, b = await pair()
        async with a, b:
            g = gort.go(writer, a)
            rng = random.Random(5)
            got = bytearray()
            while len(got) < len(data):
                n = min(rng.randrange(1, 9000), len(data) - len(got))
                try:
                    async with gort.timeout(rng.choice((0.0, 0.0005, 5.0))):
                        piece = await b.read_exactly(n)
                    got += piece
                except TimeoutError:
                    pass
            await g
            assert got == data

    gort.run(main, procs=procs)


# ---- deadlines


@pairs()
def test_deadlines(pair: Pair, procs: int) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            g = gort.go(b.read)
            await until_waiting(g)
            b.set_read_deadline(0.01)  # it waits already
            await fails(TimeoutError, g)
            await a.write(b"ab")
            await fails(TimeoutError, b.read())  # also with bytes in the kernel
            b.set_read_deadline(None)
            assert await b.read(2) == b"ab"
            for past in (0, -1, -1e9):
                b.set_deadline(past)
                await fails(TimeoutError, b.write(b"x"))
            b.set_write_deadline(None)
            await b.write(b"x")
            b.set_read_deadline(1000)
            b.set_read_deadline(0.005)  # the earlier one is over
            start = time.monotonic()
            await fails(TimeoutError, b.read_exactly(100))
            assert time.monotonic() - start < 900
            b.set_deadline(1000)
            g = gort.go(b.read)
            await until_waiting(g)
            b.set_deadline(0)
            await fails(TimeoutError, g)
            b.set_deadline(None)
            g = gort.go(a.write, bytes(BIG))
            await until_waiting(g)
            a.set_write_deadline(0.01)
            exc = await fails(TimeoutError, g)
            assert 0 < exc.written < BIG  # type: ignore[attr-defined]

    gort.run(main, procs=procs)


@pairs("tcp", "unix")
def test_what_is_buffered_is_given_out_past_the_deadline(pair: Pair) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            await a.write(b"one\ntwo\n")
            assert await b.readline() == b"one\n"
            b.set_read_deadline(-1)
            assert await b.readline() == b"two\n"
            await fails(TimeoutError, b.readline())

    gort.run(main)


@pairs()
def test_deadlines_over_and_over(pair: Pair, procs: int) -> None:
    """A deadline that is set while others read, and passes, is never missed."""

    async def main() -> None:
        a, b = await pair()
        async with a, b:
            for i in range(200):
                g = gort.go(b.read)
                if i % 3 == 0:
                    await until_waiting(g)
                b.set_read_deadline(i % 5 * 1e-4)
                await fails(TimeoutError, g)
                b.set_read_deadline(None)
            await a.write(b"x")
            assert await b.read() == b"x"

    gort.run(main, procs=procs)


# ---- who may


@pairs()
def test_one_reader_and_one_writer(pair: Pair) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            g = gort.go(b.read)
            w = gort.go(a.write, bytes(BIG))
            await gort.gosched()
            assert await g
            r = gort.go(a.read)
            await until_waiting(w, r)
            for call, who in ((a.read, r), (a.readline, r), (lambda: a.write(b"x"), w)):
                exc = await fails(RuntimeError, call())
                assert f"goroutine {who.id}" in str(exc)
            await b.write(b"both at once")
            assert await r == b"both at once"
            w.cancel()
            await fails(gort.Cancelled, w)

    gort.run(main)


@pairs()
def test_a_close_wakes_who_waits(pair: Pair, procs: int) -> None:
    async def main() -> None:
        for _ in range(20):
            a, b = await pair()
            r = gort.go(a.read)
            w = gort.go(a.write, bytes(BIG))
            await until_waiting(r, w)
            await a.close()
            await fails(OSError, r, errno.EBADF)
            exc = await fails(OSError, w, errno.EBADF)
            assert 0 < exc.written < BIG  # type: ignore[attr-defined]
            await a.close()
            await b.close()

    gort.run(main, procs=procs)


@pairs()
def test_a_closed_conn_in_each_call(pair: Pair, tmp_path: Path) -> None:
    async def main() -> None:
        a, b = await pair()
        async with b:
            await b.write(b"unread")
            assert not a.closed
            await a.close()
            assert a.closed and "closed" in repr(a)
            with open(__file__, "rb") as file:
                for call in (
                    a.read(),
                    a.read_exactly(1),
                    a.read_until(b"x"),
                    a.readline(),
                    a.readinto(bytearray(1)),
                    a.__anext__(),
                    a.write(b"x"),
                    a.writelines([b"x"]),
                    a.sendfile(file),
                    a.close_write(),
                ):
                    await fails(OSError, call, errno.EBADF)
            for fn in (a.set_deadline, a.set_read_deadline, a.set_write_deadline):
                with pytest.raises(OSError) as info:
                    fn(1)
                assert info.value.errno == errno.EBADF

    gort.run(main)


@pairs()
def test_a_cancelled_goroutine_closes(pair: Pair) -> None:
    async def user(c: net.Conn) -> None:
        async with c:
            await c.read()

    async def main() -> None:
        a, b = await pair()
        g = gort.go(user, a)
        await until_waiting(g)
        g.cancel()
        await fails(gort.Cancelled, g)
        assert a.closed
        assert await b.read() == b""
        await b.close()

    gort.run(main)


# ---- wrong arguments


@pairs("tcp", "pipe")
def test_wrong_arguments(pair: Pair) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            for call, kind in (
                (lambda: a.write("text"), TypeError),
                (lambda: a.write(5), TypeError),
                (lambda: a.writelines(["text"]), TypeError),
                (lambda: a.writelines(b"bytes"), TypeError),
                (lambda: a.read("1"), TypeError),
                (lambda: a.read(-1), ValueError),
                (lambda: a.read_exactly(1.5), TypeError),
                (lambda: a.read_exactly(-1), ValueError),
                (lambda: a.read_until("\n"), TypeError),
                (lambda: a.read_until(b""), ValueError),
                (lambda: a.readline(limit=0), ValueError),
                (lambda: a.readinto(b"readonly"), TypeError),
                (lambda: a.sendfile("name"), TypeError),
                (lambda: a.set_deadline("soon"), TypeError),
                (lambda: a.set_deadline(float("nan")), ValueError),
                (lambda: a.send_fds(b"", [0]), ValueError),
                (lambda: a.recv_fds(0, 1), (ValueError, TypeError)),
            ):
                with pytest.raises(kind):
                    r: Any = call()  # type: ignore[no-untyped-call]
                    await r
            await a.write(memoryview(b"as before"))
            assert await b.read() == b"as before"

    gort.run(main)


# ---- resets


def linger(c: net.Conn) -> None:
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_reset_in_each_state() -> None:
    async def main() -> None:
        # Before the read, in the read, and while writing.
        a, b = await tcp()
        linger(a)
        await a.close()
        await fails(ConnectionResetError, b.read())
        assert await b.read() == b""
        exc = await fails((BrokenPipeError, ConnectionResetError), b.write(b"x"))  # type: ignore
        assert exc.written == 0  # type: ignore[attr-defined]
        await b.close()
        a, b = await tcp()
        g = gort.go(b.read_exactly, 10)
        await until_waiting(g)
        await a.write(b"part")
        linger(a)
        await a.close()
        await fails(ConnectionResetError, g)
        assert await b.read(10) in (b"part", b"")  # the kernel may have dropped it
        await b.close()
        a, b = await tcp()
        g = gort.go(b.write, bytes(BIG * 4))
        await until_waiting(g)
        linger(a)
        await a.close()
        exc = await fails((BrokenPipeError, ConnectionResetError), g)  # type: ignore[arg-type]
        assert 0 < exc.written < BIG * 4  # type: ignore[attr-defined]
        await b.close()

    gort.run(main)


@pairs()
def test_a_peer_that_closes_with_bytes_unread(pair: Pair) -> None:
    async def main() -> None:
        a, b = await pair()
        async with b:
            await b.write(b"unread")
            await a.close()
            await fails(ConnectionResetError, b.read())
            await fails(BrokenPipeError, b.write(b"x"))

    gort.run(main)


# ---- files, descriptors


@pairs()
def test_sendfile(pair: Pair, tmp_path: Path) -> None:
    data = random.Random(6).randbytes(BIG)
    (tmp_path / "f").write_bytes(data)

    async def main() -> None:
        a, b = await pair()
        async with a, b:
            with open(tmp_path / "f", "rb") as file:
                g = gort.go(a.sendfile, file)
                assert await b.read_exactly(BIG) == data
                assert await g == BIG
                assert file.tell() == 0
                assert await a.sendfile(file, 10, 20) == 20
                assert await b.read_exactly(20) == data[10:30]
                assert await a.sendfile(file, BIG - 5, 100) == 5
                assert await b.read_exactly(5) == data[-5:]
                assert await a.sendfile(file, BIG) == 0 == await a.sendfile(file, 0, 0)
                g = gort.go(a.sendfile, file)
                await until_waiting(g)
                g.cancel()
                n = (await fails(gort.Cancelled, g)).written  # type: ignore[attr-defined]
                assert await b.read_exactly(n) == data[:n]
            with open(tmp_path / "f") as text, pytest.raises(ValueError, match="binary"):
                a.sendfile(text)  # type: ignore[arg-type]

    gort.run(main)


@pairs("unix")
def test_descriptors(pair: Pair) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            r, w = os.pipe()
            await a.send_fds(b"here", [r, w])
            os.close(r)
            data, fds = await b.recv_fds(100, 4)
            assert data == b"here" and len(fds) == 2
            assert not any(os.get_inheritable(fd) for fd in fds)
            reader, writer = fileconn(fds[0]), fileconn(fds[1])
            os.close(w)
            g = gort.go(reader.readline)
            await writer.write(b"through the pipe\n")
            assert await g == b"through the pipe\n"
            await writer.close()
            assert await reader.read() == b""
            await reader.close()
            await a.close_write()
            assert await b.recv_fds(1, 1) == (b"", [])
            assert b.peer_credentials == (os.getpid(), os.getuid(), os.getgid())

    gort.run(main)


@pairs("tcp", "pipe")
def test_descriptors_are_for_unix_sockets(pair: Pair) -> None:
    async def main() -> None:
        a, b = await pair()
        async with a, b:
            with pytest.raises(TypeError, match="unix"):
                await a.send_fds(b"x", [0])
            with pytest.raises(TypeError, match="unix"):
                await a.recv_fds(1, 1)
            with pytest.raises(TypeError, match="unix"):
                _ = a.peer_credentials

    gort.run(main)


def test_a_pipe_of_the_system() -> None:
    async def main() -> None:
        r, w = os.pipe()
        reader, writer = fileconn(r), fileconn(w)
        g = gort.go(writer.write, bytes(BIG))
        assert await reader.read_exactly(BIG) == bytes(BIG)
        await g
        g = gort.go(writer.write, bytes(BIG))
        await until_waiting(g)
        await reader.close()
        exc = await fails(BrokenPipeError, g)
        assert 0 < exc.written < BIG  # type: ignore[attr-defined]
        await writer.close()

    gort.run(main)


def test_options_and_addresses() -> None:
    async def main() -> None:
        a, b = await tcp()
        async with a, b:
            for c in (a, b):
                s = c.sock
                assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert c.local_addr == s.getsockname()
                assert c.remote_addr == s.getpeername()
            assert a.local_addr == b.remote_addr
        c, d = net.pipe()
        async with c, d:
            assert c.local_addr is None
            with pytest.raises(AttributeError):
                _ = c.sock

    gort.run(main)


def test_abstract_names() -> None:
    async def main() -> None:
        a, b = await accepted("unix", f"\0gort-{os.getpid()}")
        async with a, b:
            await a.write(b"x")
            assert await b.read() == b"x"

    gort.run(main)


def test_threads_do_not_wait_for_a_conn() -> None:
    async def main() -> None:
        a, b = await tcp()
        async with a, b:
            for op in (a.read(), a.write(b"x")):
                with pytest.raises(TypeError, match="wait"):
                    gort.wait(op)
            await a.write(b"x")
            assert await b.read() == b"x"

    gort.run(main)
