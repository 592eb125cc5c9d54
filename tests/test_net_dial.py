"""gort.net.dial, listen, serve, look-ups and datagrams."""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from conns import alone, has_ipv6, until_waiting

import gort
from gort import net


async def fails(kind: type[BaseException], call: Any, code: int | None = None) -> BaseException:
    with pytest.raises(kind) as info:
        await call
    if code is not None:
        assert isinstance(info.value, OSError) and info.value.errno == code
    return info.value


async def echo(c: net.Conn) -> None:
    while data := await c.read():
        await c.write(data)


async def asks(c: net.Conn, text: bytes = b"a question\n") -> None:
    await c.write(text)
    assert await c.readline() == text


def taken_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as s:
        port: int = s.getsockname()[1]
    return port


# ---- dial


def test_a_name(procs: int) -> None:
    async def main() -> None:
        async with await net.listen("tcp", "localhost:0") as ln:
            g = gort.go(net.serve, ln, echo)
            port = ln.addr[1]
            for address in (f"localhost:{port}", ("localhost", port), f"127.0.0.1:{port}"):
                async with await net.dial("tcp", address) as c:
                    await asks(c)
            await ln.close()
            await g

    gort.run(main, procs=procs)


@pytest.mark.parametrize("where", ["everything fails", "slow first", "fast second"])
def test_happy_eyeballs(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Two addresses of a name: what nobody answers at is not waited for."""
    names = {"everything fails": "refused"}

    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0", backlog=8) as ln:
            port = ln.addr[1]
            dead = socket.socket()
            dead.bind(("127.0.0.2", port))
            dead.listen(0)
            held = []
            if where == "slow first":  # a backlog that is full answers nobody
                for _ in range(4):
                    s = socket.socket()
                    s.setblocking(False)
                    s.connect_ex(("127.0.0.2", port))
                    held.append(s)
            else:
                dead.close()
            second = "127.0.0.3" if names.get(where) else "127.0.0.1"
            found = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))
                for ip in ("127.0.0.2", second)
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)
            try:
                if where == "everything fails":
                    exc = await fails(ConnectionRefusedError, net.dial("tcp", f"name:{port}"))
                    assert "127.0.0.2" in str(exc) and "127.0.0.3" in exc.__notes__[0]
                else:
                    async with await net.dial("tcp", f"name:{port}") as c:
                        assert c.remote_addr == ("127.0.0.1", port)
                        await (await ln.accept()).close()
            finally:
                for s in (*held, dead):
                    s.close()
            await alone()

    gort.run(main)


def test_a_cancelled_dial_leaves_nothing() -> None:
    async def main() -> None:
        full = socket.socket()
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        held = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(full.getsockname())
            held.append(s)
        g = gort.go(net.dial, "tcp", full.getsockname())
        await until_waiting(g)
        g.cancel()
        await fails(gort.Cancelled, g)
        for s in (*held, full):
            s.close()

    gort.run(main)


def test_a_local_address() -> None:
    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0") as ln:
            c = await net.dial("tcp", ln.addr, local_address="127.0.0.9:0")
            async with c, await ln.accept() as d:
                assert d.remote_addr == c.local_addr and c.local_addr[0] == "127.0.0.9"
            exc = await fails(OSError, net.dial("tcp", ln.addr, local_address="[::1]:0"))
            assert "family" in str(exc)

    gort.run(main)


def test_ipv6() -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")

    async def main() -> None:
        async with await net.listen("tcp6", "[::1]:0") as ln:
            for address in (ln.addr, f"[::1]:{ln.addr[1]}", ("::1", ln.addr[1])):
                c = await net.dial("tcp", address)
                async with c, await ln.accept() as d:
                    assert c.remote_addr[0] == "::1" == d.remote_addr[0]
            await fails(OSError, net.dial("tcp4", ln.addr))
        async with await net.listen("tcp", ":0") as ln:  # both
            for host in ("127.0.0.1", "::1"):
                c = await net.dial("tcp", (host, ln.addr[1]))
                await c.close()
                await (await ln.accept()).close()

    gort.run(main)


def test_wrong_addresses(tmp_path: Path) -> None:
    async def main() -> None:
        for network, address, kind in (
            ("tcp", "127.0.0.1:65536", ValueError),
            ("tcp", "127.0.0.1:-1", ValueError),
            ("tcp", ("127.0.0.1", 99999), ValueError),
            ("tcp", ("127.0.0.1", "http"), ValueError),
            ("tcp", ("127.0.0.1", 80.0), TypeError),
            ("tcp", ("127.0.0.1",), ValueError),
            ("tcp", "127.0.0.1", ValueError),
            ("tcp", "::1:80", ValueError),
            ("tcp", 80, TypeError),
            ("tcp", None, TypeError),
            ("tcp", (5, 80), TypeError),
            ("tcp5", "127.0.0.1:80", ValueError),
            (4, "127.0.0.1:80", TypeError),
            ("unix", "", ValueError),
            ("unix", 5, TypeError),
            ("unix", "a\0b", ValueError),
            ("unix", str(tmp_path / ("x" * 200)), OSError),
        ):
            for fn in (net.dial, net.listen):
                exc = await fails(kind, fn(network, address))  # type: ignore[arg-type]
                assert fn.__name__ in str(exc)
                if kind is OSError:
                    assert exc.errno == errno.ENAMETOOLONG  # type: ignore[attr-defined]
        with pytest.raises(ValueError, match="udp"):
            await net.listen("udp", "127.0.0.1:0")
        with pytest.raises(ValueError, match="tcp"):
            await net.listen_packet("tcp", "127.0.0.1:0")
        await fails(ValueError, net.listen("tcp", ":0", backlog=-1))

    gort.run(main)


def test_errors_of_the_system(tmp_path: Path) -> None:
    async def main() -> None:
        port = taken_port()
        exc = await fails(ConnectionRefusedError, net.dial("tcp", ("127.0.0.1", port)))
        assert f"127.0.0.1:{port}" in str(exc)
        await fails(FileNotFoundError, net.dial("unix", tmp_path / "none"))
        (tmp_path / "file").write_text("")
        await fails(ConnectionRefusedError, net.dial("unix", tmp_path / "file"))
        await fails(OSError, net.listen("unix", tmp_path / "file"), errno.EADDRINUSE)
        await fails(OSError, net.listen("tcp", "192.0.2.1:0"), errno.EADDRNOTAVAIL)
        async with await net.listen("tcp", "127.0.0.1:0") as ln:
            exc = await fails(OSError, net.listen("tcp", ln.addr), errno.EADDRINUSE)
            assert str(ln.addr[1]) in str(exc)

    gort.run(main)


# ---- look-ups


def test_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        assert "127.0.0.1" in await net.lookup_host("localhost")
        assert await net.lookup_host("127.0.0.7") == ["127.0.0.7"]
        info = await net.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert info == socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert await net.lookup_addr("127.0.0.1")
        await fails(ValueError, net.lookup_addr("localhost"))
        await fails(TypeError, net.lookup_host(5))  # type: ignore[arg-type]

        def unknown(*args: Any, **kwargs: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        for call in (
            net.lookup_host("no.such"),
            net.dial("tcp", "no.such:80"),
            net.listen("tcp", "no.such:80"),
            net.listen_packet("udp", "no.such:80"),
        ):
            await fails(socket.gaierror, call)

    gort.run(main)


def test_a_cancelled_lookup_returns_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, end = threading.Event(), threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        end.wait()
        return []

    async def main() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        try:
            for call in (lambda: net.lookup_host("slow"), lambda: net.dial("tcp", "slow:1")):
                begun.clear()
                g = gort.go(call)
                while not begun.is_set():
                    await gort.sleep(0.001)
                g.cancel()
                await fails(gort.Cancelled, g)
                assert not end.is_set()
        finally:
            end.set()

    gort.run(main, procs=2)


# ---- listeners


def test_accept_and_close(procs: int, tmp_path: Path) -> None:
    async def each(ln: net.Listener) -> int:
        n = 0
        async for c in ln:
            await c.close()
            n += 1
        return n

    async def main() -> None:
        for network, address in (("tcp", "127.0.0.1:0"), ("unix", str(tmp_path / "s"))):
            ln = await net.listen(network, address)
            gs = [gort.go(each, ln) for _ in range(3)]
            for _ in range(10):
                c = await net.dial(network, ln.addr)
                assert await c.read() == b""
                await c.close()
            a = gort.go(ln.accept)
            await until_waiting(a, *gs)
            await ln.close()
            await fails(OSError, a, errno.EBADF)
            assert sum([await g for g in gs]) == 10
            assert ln.closed and "closed" in repr(ln)
            await ln.close()
            await fails(OSError, ln.accept(), errno.EBADF)
            assert [c async for c in ln] == []
            assert ln.addr == (str(tmp_path / "s") if network == "unix" else ln.addr)
        assert os.listdir(tmp_path) == []

    gort.run(main, procs=procs)


def test_a_path_that_is_anothers_by_now_stays(tmp_path: Path) -> None:
    async def main() -> None:
        ln = await net.listen("unix", tmp_path / "s")
        os.rename(tmp_path / "s", tmp_path / "t")
        async with await net.listen("unix", tmp_path / "s"):
            await ln.close()
            assert sorted(os.listdir(tmp_path)) == ["s", "t"]
        os.unlink(tmp_path / "t")

    gort.run(main)


def test_reuse_port() -> None:
    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0", reuse_port=True) as a:
            async with await net.listen("tcp", a.addr, reuse_port=True) as b:
                assert a.addr == b.addr

    gort.run(main)


def test_accept_outlives_a_lack_of_descriptors(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0") as ln:
            g = gort.go(net.serve, ln, echo)
            await until_waiting(g)
            s = socket.socket()
            s.setblocking(False)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
            held = []
            try:
                try:
                    while True:
                        held.append(os.dup(0))
                except OSError:
                    pass
                with pytest.raises(OSError) as info:
                    await net.dial("tcp", ln.addr)
                assert info.value.errno == errno.EMFILE
                s.connect_ex(ln.addr)
                while not caplog.records:
                    await gort.sleep(0.001)
            finally:
                for fd in held:
                    os.close(fd)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await net.sendall(s, b"yet served")
            assert await net.recv(s) == b"yet served"
            s.close()
            async with await net.dial("tcp", ln.addr) as c:
                await asks(c)
            await ln.close()
            await g

    with caplog.at_level(logging.WARNING, "gort.net"):
        gort.run(main)
    assert caplog.records[0].name == "gort.net" and "EMFILE" not in caplog.text


def test_accept_outlives_what_was_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0") as ln:
            accept = net.Listener._accept
            codes = [errno.ECONNABORTED, errno.EPROTO, errno.ENFILE, errno.ENOBUFS]

            async def failing(self: Any) -> Any:
                if codes:
                    code = codes.pop()
                    raise OSError(code, os.strerror(code))
                return await accept(self)

            monkeypatch.setattr(net.Listener, "_accept", failing)
            async with await net.dial("tcp", ln.addr):
                async with await ln.accept():
                    assert not codes

    gort.run(main)


# ---- serve


def test_serve(procs: int, caplog: pytest.LogCaptureFixture) -> None:
    """Errors of one connection end that one; the others, and the server, go on."""

    async def handler(c: net.Conn) -> None:
        async for line in c:
            if line == b"fail\n":
                raise ValueError("a handler's own")
            await c.write(line)

    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0") as ln:
            g = gort.go(net.serve, ln, handler)
            async with await net.dial("tcp", ln.addr) as stays:
                for _ in range(5):
                    async with await net.dial("tcp", ln.addr) as c:
                        await asks(c)
                        await c.write(b"fail\n")
                        assert await c.read() == b""
                await asks(stays)
                await ln.close()
                await asks(stays)
                assert not g.done()
            assert await g is None
            await alone()

    with caplog.at_level(logging.ERROR, "gort.net"):
        gort.run(main, procs=procs)
    assert len(caplog.records) == 5
    assert all(r.exc_info and isinstance(r.exc_info[1], ValueError) for r in caplog.records)


@pytest.mark.parametrize("grace", [None, 0.05, 60])
def test_serve_cancelled(grace: float | None) -> None:
    ended: list[str] = []

    async def handler(c: net.Conn) -> None:
        try:
            await c.readline()
            ended.append("served")
        except gort.Cancelled:
            ended.append("cancelled")
            raise
        finally:
            assert not c.closed

    async def main() -> None:
        ln = await net.listen("tcp", "127.0.0.1:0")
        g = gort.go(net.serve, ln, handler, grace=grace)
        a, b = [await net.dial("tcp", ln.addr) for _ in range(2)]
        while gort.num_goroutine() < 4:
            await gort.sleep(0.001)
        g.cancel()
        while not ln.closed:
            await gort.sleep(0.001)
        if grace == 60:
            await a.write(b"done\n")
            await b.write(b"done\n")
        await fails(gort.Cancelled, g)
        assert await a.read() == b"" == await b.read()
        await a.close()
        await b.close()
        await alone()

    gort.run(main)
    assert ended == (["served"] if grace == 60 else ["cancelled"]) * 2


def test_serve_with_a_limit() -> None:
    running = most = 0

    async def handler(c: net.Conn) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await c.readline()
        running -= 1

    async def client(addr: Any) -> None:
        async with await net.dial("tcp", addr) as c:
            await gort.sleep(0.001)
            await c.write(b"go\n")
            assert await c.read() == b""

    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0") as ln:
            g = gort.go(net.serve, ln, handler, limit=3)
            async with gort.group() as grp:
                for _ in range(20):
                    grp.go(client, ln.addr)
            await ln.close()
            await g

    gort.run(main)
    assert most == 3


def test_serve_wrong_arguments() -> None:
    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0") as ln:
            await fails(TypeError, net.serve(ln.sock, echo))  # type: ignore[arg-type]
            await fails(TypeError, net.serve(ln, 5))  # type: ignore[arg-type]
            await fails(ValueError, net.serve(ln, echo, limit=0))
            await fails(TypeError, net.serve(ln, echo, grace="1"))  # type: ignore[arg-type]

    gort.run(main)


# ---- datagrams


def test_datagrams(procs: int) -> None:
    async def main() -> None:
        async with await net.listen_packet("udp", "127.0.0.1:0") as pc:
            c = await net.dial("udp", pc.addr)
            async with c:
                await c.write(b"ping")
                data, addr = await pc.read_from()
                assert data == b"ping" and addr == c.local_addr
                assert await pc.write_to(b"pong", addr) == 4
                assert await pc.write_to(b"", f"localhost:{addr[1]}") == 0
                assert await c.read() == b"pong"
                await c.write(b"123456")
                assert (await pc.read_from(3))[0] == b"123"
            await fails(TypeError, pc.write_to("text", addr))  # type: ignore[arg-type]
            await fails(ValueError, pc.write_to(b"x", ("127.0.0.1", 70000)))
            await fails(OSError, pc.write_to(bytes(70_000), addr), errno.EMSGSIZE)
            g = gort.go(pc.read_from)
            await until_waiting(g)
            g.cancel()
            await fails(gort.Cancelled, g)
            g = gort.go(pc.read_from)
            await until_waiting(g)
            await pc.close()
            await fails(OSError, g, errno.EBADF)
            await fails(OSError, pc.read_from(), errno.EBADF)
            await fails(OSError, pc.write_to(b"x", addr), errno.EBADF)
            await pc.close()
            assert pc.closed and pc.addr[0] == "127.0.0.1"

    gort.run(main, procs=procs)


def test_icmp_errors_arrive() -> None:
    async def main() -> None:
        async with await net.dial("udp", ("127.0.0.1", taken_port())) as c:
            await c.write(b"x")
            await fails(ConnectionRefusedError, c.read())

    gort.run(main)


def test_multicast_options() -> None:
    async def main() -> None:
        async with await net.listen_packet("udp4", ":0") as pc:
            pc.sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            assert pc.sock.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 1

    gort.run(main)


# ---- at a distance


def test_a_unix_backlog_that_is_full(tmp_path: Path) -> None:
    async def main() -> None:
        async with await net.listen("unix", tmp_path / "s", backlog=1) as ln:
            gs = [gort.go(net.dial, "unix", tmp_path / "s") for _ in range(6)]
            for _ in gs:
                await (await ln.accept()).close()
            for g in gs:
                await (await g).close()

    gort.run(main)


def test_a_connection_that_is_reset_does_not_end_the_server() -> None:
    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0") as ln:
            g = gort.go(net.serve, ln, echo)
            for _ in range(20):
                s = socket.create_connection(ln.addr)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.send(b"x")
                s.close()
            async with await net.dial("tcp", ln.addr) as c:
                await asks(c)
            await ln.close()
            await g

    logging.getLogger("gort.net").disabled = True
    try:
        gort.run(main)
    finally:
        logging.getLogger("gort.net").disabled = False
