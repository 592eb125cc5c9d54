"""The poller: pipes, socket pairs, TCP, closing under a waiter, sockets left armed."""

from __future__ import annotations

import gc
import os
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
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


KEPT = select.EPOLLIN | select.EPOLLRDHUP
GIVEUP = 30
PURE = bool(os.environ.get("GORT_PURE"))


def open_files() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # closed meanwhile
    return found


def epollset() -> int:
    """The poller's epoll descriptor; the first one, as a new set stands beside it shortly."""
    return min(fd for fd, to in open_files().items() if to == "anon_inode:[eventpoll]")


def armed(fd: int) -> int | None:
    """What epoll is to report of fd; None where it does not know that."""
    with open(f"/proc/self/fdinfo/{epollset()}") as f:
        for line in f:
            words = line.split()
            if words[0] == "tfd:" and int(words[1]) == fd:
                return int(words[3], 16) & ~(select.EPOLLERR | select.EPOLLHUP)
    return None


def until(what: Callable[[], bool]) -> None:
    """Wait on a thread; who looks must not be a goroutine, which the runtime would see."""
    end = time.monotonic() + GIVEUP
    while not what() and time.monotonic() < end:
        time.sleep(0.001)
    assert what()


def after(what: Callable[[], bool], do: Callable[[], Any]) -> gort.Goroutine:
    """A goroutine in a call that does `do` as soon as `what`, from a thread of its own."""

    def body() -> None:
        try:
            until(what)
        finally:
            do()

    return gort.go(gort.syscall, body)


def test_socket_stays_armed(pair: tuple[socket.socket, socket.socket], procs: int) -> None:
    """A second wait for one socket object tells epoll nothing: it does not even notice
    that epoll was told to forget the socket."""
    a, b = pair

    async def main() -> None:
        b.send(b"x")
        await gort.wait_readable(a)
        assert a.recv(10) == b"x"
        assert armed(a.fileno()) == KEPT
        g = gort.go(readable, a)
        await until_waiting(g)
        with select.epoll.fromfd(os.dup(epollset())) as ep:
            ep.unregister(a)
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        g = gort.go(readable, a)
        await until_waiting(g)
        assert armed(a.fileno()) is None
        gort.notify_closing(a)
        with pytest.raises(OSError):
            await g

    gort.run(main, procs=procs)


def test_other_waits_are_one_shot(pair: tuple[socket.socket, socket.socket]) -> None:
    a, b = pair

    class Own(socket.socket):
        def fileno(self) -> int:
            return a.fileno()

    async def main() -> None:
        b.send(b"x")
        with Own() as own:
            for what in (a.fileno(), own):
                await gort.wait_readable(what)
                assert armed(a.fileno()) == select.EPOLLONESHOT
            await gort.wait_writable(a)
            assert armed(a.fileno()) == select.EPOLLONESHOT
            await gort.wait_readable(a)
            assert armed(a.fileno()) == KEPT
            await gort.wait_readable(a.fileno())
            assert armed(a.fileno()) == select.EPOLLONESHOT

    gort.run(main)


def test_unread_data_does_not_spin(pair: tuple[socket.socket, socket.socket], procs: int) -> None:
    """A poll that would block for another socket disarms the one that nobody reads."""
    a, b = pair
    c, d = socket.socketpair()

    async def main() -> None:
        fd = a.fileno()
        for _ in range(3):
            b.send(b"x")
            await gort.wait_readable(a)
            assert a.recv(1) == b"x"
            assert armed(fd) is not None
            b.send(b"y")
            g = after(lambda: armed(fd) == select.EPOLLONESHOT, lambda: d.send(b"z"))
            await gort.wait_readable(c)
            await g
            c.recv(1)
            await gort.wait_readable(a)
            assert a.recv(10) == b"y"

    with c, d:
        gort.run(main, procs=procs)


def test_hangup_of_a_socket_that_nobody_waits_for(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """Not even an error is reported by each poll."""
    a, b = pair
    c, d = socket.socketpair()

    async def main() -> None:
        b.send(b"x")
        await gort.wait_readable(a)
        a.recv(1)
        b.close()
        g = after(lambda: armed(a.fileno()) == select.EPOLLONESHOT, lambda: d.send(b"z"))
        await gort.wait_readable(c)
        await g
        for _ in range(3):
            await gort.wait_readable(a)
        assert a.recv(1) == b""

    with c, d:
        gort.run(main)


def test_level_triggered_socket(pair: tuple[socket.socket, socket.socket], procs: int) -> None:
    a, b = pair

    async def main() -> None:
        for _ in range(50):
            b.send(b"xyz")
            for _ in range(3):
                await gort.wait_readable(a)
                a.recv(1)

    gort.run(main, procs=procs)


def test_socket_number_reused_without_notice(procs: int) -> None:
    """Another socket of the same number, while the old one is left armed."""

    async def main() -> None:
        numbers = set()
        for i in range(20):
            a, b = socket.socketpair()
            numbers.add((a.fileno(), b.fileno()))
            waited: Any = a if i % 3 else a.fileno()
            g = gort.go(readable, waited)
            await until_waiting(g)
            b.send(b"x")
            async with gort.timeout(GIVEUP):
                assert await g == "readable"
                await gort.wait_readable(waited)
            a.close()
            b.close()
        assert len(numbers) == 1

    gort.run(main, procs=procs)


def test_detached_socket(pair: tuple[socket.socket, socket.socket]) -> None:
    """Another object for the same file; then the same object for another file, announced."""
    a, b = pair

    async def main() -> None:
        b.send(b"x")
        await gort.wait_readable(a)
        with socket.socket(fileno=a.detach()) as s:
            for _ in range(2):
                await gort.wait_readable(s)
            s.recv(1)
            c, d = socket.socketpair()
            gort.notify_closing(s)
            os.dup2(c.fileno(), s.fileno())
            c.close()
            g = gort.go(readable, s)
            await until_waiting(g)
            d.send(b"x")
            async with gort.timeout(GIVEUP):
                assert await g == "readable"
            d.close()

    gort.run(main)


def test_file_that_outlives_its_number(
    pair: tuple[socket.socket, socket.socket], procs: int
) -> None:
    """epoll reports a file that a dup keeps open, under the number that was closed. It is
    got rid of, and who waits meanwhile waits on."""
    c, d = pair

    async def main() -> None:
        a, b = socket.socketpair()
        fd = a.fileno()
        b.send(b"x")
        await gort.wait_readable(a)
        held = a.dup()
        a.close()
        g = gort.go(readable, d)
        await until_waiting(g)
        n = after(lambda: armed(fd) is None, lambda: d.send(b"z"))
        await gort.wait_readable(c)
        await n
        c.send(b"y")
        assert await g == "readable"
        held.close()
        b.close()

    gort.run(main, procs=procs)


def test_number_of_a_file_that_lives_on(pair: tuple[socket.socket, socket.socket]) -> None:
    """What arrives for that file is not taken for the other's that has the number now."""
    if PURE:
        pytest.skip("select.epoll cannot tell the two apart")
    c, d = pair

    async def main() -> None:
        a, b = socket.socketpair()
        fd = a.fileno()
        b.send(b"x")
        await gort.wait_readable(a)
        held = a.dup()
        a.close()
        a2, b2 = socket.socketpair()
        assert a2.fileno() == fd
        g = gort.go(readable, a2)
        await until_waiting(g)

        def one() -> bool:
            with open(f"/proc/self/fdinfo/{epollset()}") as f:
                return sum(line.split()[1] == str(fd) for line in f if "tfd:" in line) == 1

        n = after(one, lambda: d.send(b"z"))
        await gort.wait_readable(c)
        await n
        assert g.status == "waiting"
        b2.send(b"y")
        assert await g == "readable"
        for s in (held, b, a2, b2):
            s.close()

    gort.run(main)


def test_cancel_leaves_armed(pair: tuple[socket.socket, socket.socket], procs: int) -> None:
    a, b = pair

    async def main() -> None:
        for _ in range(20):
            g = gort.go(readable, a)
            await until_waiting(g)
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g
            assert armed(a.fileno()) == KEPT
            g = gort.go(readable, a)
            await until_waiting(g)
            b.send(b"x")
            assert await g == "readable"
            a.recv(1)

    gort.run(main, procs=procs)


def test_notify_closing_while_armed(pair: tuple[socket.socket, socket.socket], procs: int) -> None:
    a, b = pair

    async def main() -> None:
        for _ in range(20):
            g = gort.go(readable, a)
            await until_waiting(g)
            b.send(b"x")
            assert await g == "readable"
            a.recv(1)
            gort.notify_closing(a)  # armed, and nobody waits
            assert armed(a.fileno()) is None
            g = gort.go(readable, a)
            await until_waiting(g)
            gort.notify_closing(a)
            with pytest.raises(OSError):
                await g

    gort.run(main, procs=procs)


def test_directions_in_turn(pair: tuple[socket.socket, socket.socket], procs: int) -> None:
    """A writer comes to a reader that waits without a system call, and goes again."""
    a, b = pair
    a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def fill() -> None:
        try:
            while True:
                a.send(b"x" * 4096)
        except BlockingIOError:
            pass

    def drain() -> None:
        try:
            while b.recv(65536):
                pass
        except BlockingIOError:
            pass

    async def readable(s: socket.socket) -> str:
        while True:
            await gort.wait_readable(s)
            try:
                s.recv(10, socket.MSG_PEEK)
                return "readable"
            except BlockingIOError:
                # Uncompiled, an event of the registration before may come late.
                assert PURE, "woken for nothing"

    async def main() -> None:
        for i in range(20):
            fill()
            first, second = (readable, writable) if i % 2 else (writable, readable)
            gs = [gort.go(first, a), gort.go(second, a)]
            for g in gs:
                await until_waiting(g)
            drain()
            w = gs[i % 2]
            assert await w == "writable"
            r = gs[1 - i % 2]
            await until_waiting(r)
            b.send(b"y")
            assert await r == "readable"
            a.recv(10)

    gort.run(main, procs=procs)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_dropped_socket_is_freed() -> None:
    """Not even a wait for it keeps a socket alive, nor its number's entry."""

    def gone(ref: weakref.ref[socket.socket]) -> bool:
        gc.collect()
        return ref() is None

    async def wait(holder: list[socket.socket]) -> None:
        await gort.wait_readable(holder[0])

    async def main() -> None:
        a, b = socket.socketpair()
        b.send(b"x")
        for _ in range(3):
            await gort.wait_readable(a)
        ref = weakref.ref(a)
        del a
        assert gone(ref)

        c, d = socket.socketpair()
        ref = weakref.ref(c)
        holder = [c]
        del c
        g = gort.go(wait, holder)
        await until_waiting(g)
        holder.clear()
        assert gone(ref)
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        b.close()
        d.close()

    gort.run(main)


def test_socket_in_a_second_run(pair: tuple[socket.socket, socket.socket], procs: int) -> None:
    a, b = pair

    async def main() -> None:
        g = gort.go(readable, a)
        await until_waiting(g)
        b.send(b"x")
        async with gort.timeout(GIVEUP):
            assert await g == "readable"
        a.recv(1)

    for _ in range(3):
        gort.run(main, procs=procs)


def test_many_rounds(procs: int) -> None:
    """Ten pairs play ping-pong over sockets that stay armed; now and then one reads in
    two bites, and leaves some unread while others are polled."""

    async def read(s: socket.socket, n: int) -> bytes:
        while True:
            await gort.wait_readable(s)
            try:
                return s.recv(n)
            except BlockingIOError:
                assert PURE  # select.epoll does not say what an event is about

    async def play(s: socket.socket, n: int) -> None:
        for i in range(n):
            data = await read(s, 1)
            if i % 7 == 0:
                await gort.gosched()
            data += await read(s, 10)
            assert data == b"ab"
            s.send(data)

    async def main() -> None:
        pairs = [socket.socketpair() for _ in range(10)]
        gs = []
        for a, b in pairs:
            a.setblocking(False)
            b.setblocking(False)
            gs += [gort.go(play, a, 200), gort.go(play, b, 200)]
            a.send(b"ab")
        for g in gs:
            await g
        for a, b in pairs:
            a.close()
            b.close()

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


def test_register_and_close_leaves_nothing(procs: int) -> None:
    """However a file ends, the poller's table, its epoll set and the files stay as they were."""

    def polldescs() -> int:
        return sum(type(o).__name__ == "Polldesc" for o in gc.get_objects())

    async def cycle(how: int) -> None:
        a, b = socket.socketpair()
        a.setblocking(False)
        g = gort.go(readable, a)
        await until_waiting(g)
        b.send(b"x")
        await g
        if how == 0:
            gort.net.close(a)
        elif how == 1:
            gort.notify_closing(a)
            a.close()
        elif how == 2:
            a.close()  # its entry stays until the number is used again
        else:
            os.close(a.detach())
        b.close()

    async def main() -> None:
        for how in range(4):
            await cycle(how)
        files, entries = len(os.listdir("/proc/self/fd")), polldescs()
        for i in range(2000):
            await cycle(i % 4)
        assert len(os.listdir("/proc/self/fd")) == files
        # Of 2,000. Without a GIL what another thread dropped dies when its maker gets to that.
        assert polldescs() <= entries + 20

    gort.run(main, procs=procs)
