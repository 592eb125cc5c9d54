"""Sockets and descriptors that are closed while somebody uses them, or is about to."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gort
from gort import net
from gort.runtime.netfd import Using

EBADF = errno.EBADF


async def until_waiting(g: gort.Goroutine) -> None:
    while g.status != "waiting":
        await gort.gosched()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    a, b = nonblocking()
    with a, b:
        yield a, b


def nonblocking() -> tuple[socket.socket, socket.socket]:
    a, b = socket.socketpair()
    a.setblocking(False)
    b.setblocking(False)
    return a, b


async def outcome(fn: Callable[..., Any], *args: Any) -> Any:
    """An errno, or what it gave. Who comes late to a closed socket is told at the call."""
    try:
        return await fn(*args)
    except OSError as exc:
        return exc.errno
    except ValueError:
        return EBADF


async def drain(sock: socket.socket) -> None:
    try:
        while await net.recv(sock):
            pass
    except (OSError, ValueError):
        pass


def fill(s: socket.socket) -> None:
    try:
        while True:
            s.send(b"\0" * 65536)
    except BlockingIOError:
        pass


def reuse(fd: int) -> list[socket.socket]:
    """New sockets, one of which has the number fd."""
    out: list[socket.socket] = []
    while all(s.fileno() != fd for s in out):
        out += nonblocking()
    return out


def untouched(socks: list[socket.socket]) -> None:
    """Nothing came through any of them; close them."""
    for s in socks:
        with pytest.raises(BlockingIOError):
            s.recv(1)
    for s in socks:
        s.close()


# ---- beside a system call


@pytest.mark.parametrize("procs", [1, 2, 4])
def test_no_byte_goes_to_a_stranger(procs: int) -> None:
    data = b"secret" * 200_000

    async def round(n: int) -> None:
        a, b = nonblocking()
        fd = a.fileno()
        reader = gort.go(drain, b)
        g = gort.go(outcome, net.sendall, a, data)
        await gort.sleep(0.0002 * (n % 5))
        net.close(a)
        others = reuse(fd)
        assert await g in (EBADF, None)
        untouched(others)
        net.close(b)
        await reader

    async def main() -> None:
        for n in range(30):
            await round(n)

    gort.run(main, procs=procs)


def test_a_number_is_not_given_away_while_it_is_used(pair: Any) -> None:
    a, _ = pair
    fd = a.fileno()
    using, leave, closed = threading.Event(), threading.Event(), threading.Event()

    def use() -> None:
        with Using(a):
            using.set()
            leave.wait(20)

    def close() -> None:
        using.wait(20)
        net.close(a)
        closed.set()

    async def main() -> None:
        gs = [gort.go(use), gort.go(close)]
        await gort.syscall(using.wait, 20)
        while a.fileno() >= 0:  # whoever comes now finds it closed
            await gort.sleep(0.001)
        assert not closed.is_set()
        s = socket.socket()
        assert s.fileno() != fd
        s.close()
        leave.set()
        for g in gs:
            await g
        assert closed.is_set()

    gort.run(main, procs=2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_while_a_socket_is_used(pair: Any) -> None:
    """In the child nobody uses it: the thread that did is the parent's."""
    a, b = pair
    using, leave = threading.Event(), threading.Event()

    def use() -> None:
        with Using(a):
            using.set()
            leave.wait(20)

    async def main() -> None:
        g = gort.go(use)
        await gort.syscall(using.wait, 20)
        pid = os.fork()
        if pid == 0:
            net.close(a)
            os._exit(7 if a.fileno() < 0 else 8)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        leave.set()
        await g
        await net.sendall(a, b"x")  # the parent's is open
        assert await net.recv(b) == b"x"

    gort.run(main, procs=2)


@pytest.mark.parametrize("procs", [1, 2, 4])
def test_close_as_somebody_begins_to_receive(procs: int) -> None:
    def close(s: socket.socket, go: list[int], spin: int) -> None:
        while not go:
            pass
        for _ in range(spin):
            pass
        net.close(s)

    async def receive(s: socket.socket, go: list[int]) -> Any:
        while not go:
            pass
        return await outcome(net.recv, s)

    async def main() -> None:
        for n in range(100):
            a, b = nonblocking()
            go: list[int] = []
            gs = [gort.go(receive, a, go), gort.go(close, a, go, n % 60)]
            await gort.sleep(0.0003)
            go.append(1)
            assert await gs[0] == EBADF
            await gs[1]
            b.close()

    gort.run(main, procs=procs)


def test_closed_by_two(procs: int) -> None:
    """The number is closed once: the next file of that number stays open."""

    def close(s: socket.socket, both: threading.Barrier) -> None:
        both.wait(20)
        net.close(s)

    for _ in range(50):
        a, b = nonblocking()
        fd = a.fileno()
        both = threading.Barrier(procs + 1)
        threads = [threading.Thread(target=close, args=(a, both)) for _ in range(procs)]
        for t in threads:
            t.start()
        both.wait(20)
        others = []
        while a.fileno() >= 0:
            pass
        for _ in range(4):
            others += [os.dup(0)]
        for t in threads:
            t.join()
        assert fd < 0 or len({os.fstat(n).st_ino for n in others}) == 1
        for n in others:
            os.close(n)
        b.close()


# ---- beside a wait


def waits(s: socket.socket) -> list[Any]:
    return [gort.wait_readable(s), gort.wait_writable(s), net.recv(s), net.sendall(s, b"x")]


async def awaited(op: Any) -> Any:
    return await op


@pytest.mark.parametrize("how", ["net.close", "close", "detach"])
def test_an_op_that_is_awaited_after_the_close(pair: Any, how: str) -> None:
    """It does not wait for the next file of its number, nor touch it."""

    async def main() -> None:
        a, b = nonblocking()
        fill(a)
        fd = a.fileno()
        ops = waits(a)
        left = -1
        if how == "net.close":
            net.close(a)
        elif how == "close":
            a.close()
        else:
            left = a.detach()
            os.close(left)
        others = reuse(fd)
        for op in ops:
            assert await outcome(awaited, op) == EBADF
        untouched(others)
        b.close()

    gort.run(main)


def test_waits_for_the_number_end_too(pair: Any, procs: int) -> None:
    a, b = pair

    async def main() -> None:
        fill(a)
        ops = [gort.wait_readable(a.fileno()), gort.wait_writable(a.fileno()), net.recv(a)]
        gs = [gort.go(outcome, awaited, op) for op in ops]
        for g in gs:
            await until_waiting(g)
        net.close(a)
        assert [await g for g in gs] == [EBADF] * 3

    gort.run(main, procs=procs)


@pytest.mark.parametrize("kept", [False, True])
def test_a_number_that_was_closed_without_a_word(kept: bool, procs: int) -> None:
    """Who waited for the old file is told as soon as somebody waits for the new one."""

    async def main() -> None:
        a, b = nonblocking()
        fd = a.fileno()
        if kept:
            b.send(b"x")
            for _ in range(2):
                await gort.wait_readable(a)
            a.recv(1)
        old = [gort.go(outcome, gort.wait_readable, a), gort.go(outcome, net.recv, a)]
        for g in old:
            await until_waiting(g)
        a.close()
        others = reuse(fd)
        s = next(s for s in others if s.fileno() == fd)
        new = gort.go(outcome, gort.wait_readable, s)
        assert [await g for g in old] == [EBADF] * 2
        assert not new.done()
        other = others[others.index(s) ^ 1]
        other.send(b"y")
        assert await new is None
        for s in (*others, b):
            s.close()

    gort.run(main, procs=procs)


def test_a_dup_lives_on(pair: Any, procs: int) -> None:
    a, b = pair

    async def main() -> None:
        with a.dup() as twin:
            twin.setblocking(False)
            mine, its = gort.go(outcome, net.recv, a), gort.go(outcome, net.recv, twin)
            for g in (mine, its):
                await until_waiting(g)
            net.close(a)
            assert await mine == EBADF
            assert not its.done()
            b.send(b"x")
            assert await its == b"x"
            assert await outcome(gort.wait_writable, twin) is None

    gort.run(main, procs=procs)


# ---- accept, connect


def test_close_while_accept_waits(procs: int) -> None:
    async def main() -> None:
        for how in (net.close, lambda s: threading.Thread(target=net.close, args=(s,)).start()):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                g = gort.go(outcome, net.accept, listener)
                await until_waiting(g)
                how(listener)
                assert await g == EBADF

    gort.run(main, procs=procs)


def test_accept_awaited_after_the_close() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            op = net.accept(listener)
            net.close(listener)
            assert await outcome(awaited, op) == EBADF

    gort.run(main)


def test_close_while_a_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connect that comes back from that finds the socket closed, not the next one."""
    looking, go_on = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(*args: Any) -> Any:
        looking.set()
        go_on.wait(20)
        return real(*args)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            a = socket.socket()
            fd = a.fileno()
            g = gort.go(outcome, net.connect, a, ("localhost", listener.getsockname()[1]))
            await gort.syscall(looking.wait, 20)
            net.close(a)
            others = [socket.socket() for _ in range(8)]
            assert any(s.fileno() == fd for s in others)
            go_on.set()
            assert await g == EBADF
            for s in others:
                with pytest.raises(OSError):
                    s.getpeername()
                s.close()

    gort.run(main)


def test_connect_by_name_and_by_number() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            for host in ("localhost", "127.0.0.1", ""):
                with socket.socket() as s:
                    g = gort.go(net.accept, listener)
                    await net.connect(s, (host, port))
                    conn, address = await g
                    with conn:
                        assert address == s.getsockname()
            with socket.socket() as s:
                with pytest.raises(socket.gaierror):
                    await net.connect(s, ("no-such-host.invalid", 1))

    gort.run(main)


# ---- what else can be closed


def test_close_of_a_makefile() -> None:
    """As socket.close: the file keeps the socket open."""
    a, b = socket.socketpair()
    f = a.makefile("rb")
    net.close(a)
    b.sendall(b"line\n")
    assert f.readline() == b"line\n"
    f.close()
    assert b.recv(1) == b""
    b.close()


def test_close_of_an_ssl_socket(pair: Any) -> None:
    a, b = pair
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    s = context.wrap_socket(a, do_handshake_on_connect=False)

    async def main() -> None:
        g = gort.go(outcome, gort.wait_readable, s)
        await until_waiting(g)
        net.close(s)
        assert await g == EBADF

    gort.run(main)
    assert s.fileno() == -1 and b.recv(1) == b""


def test_close_of_another_object() -> None:
    r, w = os.pipe()
    f = os.fdopen(r, "rb", buffering=0)

    async def main() -> None:
        g = gort.go(outcome, gort.wait_readable, f)
        await until_waiting(g)
        net.close(f)  # type: ignore[arg-type]
        assert await g == EBADF

    gort.run(main)
    assert f.closed
    os.close(w)


def test_close_says_whether_it_did_without_a_runtime() -> None:
    a, b = socket.socketpair()
    net.close(a)
    net.close(a)
    assert a.fileno() == -1 and "[closed]" in repr(a)
    assert b.recv(1) == b""
    b.close()


def test_close_a_reset_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        a = socket.create_connection(listener.getsockname())
        b, _ = listener.accept()
        b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        b.close()
        net.close(a)
    assert a.fileno() == -1


def test_close_without_a_descriptor_to_spare(pair: Any) -> None:
    """It takes another number for the file meanwhile, where there is one."""
    import resource

    a, b = pair
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(old[0], 256), old[1]))
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        net.close(a)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)
        for fd in held:
            os.close(fd)
    assert a.fileno() == -1 and b.recv(1) == b""


# ---- arguments


@pytest.mark.parametrize("bad", [None, 7, "s", object(), socket.socket])
def test_wrong_arguments(bad: Any) -> None:
    for call in (net.recv, net.accept, lambda s: net.sendall(s, b"x"), net.close):
        with pytest.raises(TypeError, match="wants a socket.socket, not "):
            call(bad)
    with pytest.raises(TypeError, match="wants a socket.socket, not "):
        net.connect(bad, ("127.0.0.1", 1))
    if bad != 7:
        for wait in (gort.wait_readable, gort.wait_writable, gort.notify_closing):
            with pytest.raises(TypeError, match="expected a file descriptor"):
                wait(bad)


def test_closed_sockets_as_arguments() -> None:
    s = socket.socket()
    s.close()
    for call in (net.accept, lambda s: net.connect(s, ("127.0.0.1", 1))):
        with pytest.raises(ValueError, match="the socket is closed"):
            call(s)
    net.close(s)
    for wait in (gort.wait_readable, gort.wait_writable, gort.notify_closing):
        with pytest.raises(ValueError, match="invalid file descriptor -1"):
            wait(s)


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (None, TypeError),
        ("127.0.0.1:80", TypeError),
        (("127.0.0.1",), TypeError),
        (("127.0.0.1", "80"), TypeError),
        ((None, 80), TypeError),
        (("127.0.0.1", 80, 0, 0), TypeError),
        (("127.0.0.1", 65536), ValueError),
        (("127.0.0.1", -1), ValueError),
    ],
)
def test_wrong_addresses(address: Any, error: type[Exception]) -> None:
    with socket.socket() as s, pytest.raises(error, match="connect"):
        net.connect(s, address)


@pytest.mark.parametrize("n", [sys.maxsize + 1, 1 << 63, 1 << 80])
def test_recv_of_too_much(pair: Any, n: int) -> None:
    with pytest.raises(ValueError, match="n must be at most"):
        net.recv(pair[0], n)


@pytest.mark.parametrize("n", ["5", 1.5, None, b"5"])
def test_recv_of_no_number(pair: Any, n: Any) -> None:
    with pytest.raises(TypeError, match="recv: n must be an int"):
        net.recv(pair[0], n)


@pytest.mark.parametrize("data", ["text", None, 5, [1]])
def test_sendall_of_no_bytes(pair: Any, data: Any) -> None:
    with pytest.raises(TypeError, match="sendall: data must be bytes-like"):
        net.sendall(pair[0], data)
