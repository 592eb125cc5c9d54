"""gort.net over TLS: dial_tls, listen_tls, start_tls."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import ssl
import struct
import subprocess
import termios
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import gort
from gort import net, process

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")

MB = 1 << 20
SAN = "subjectAltName=DNS:localhost,IP:127.0.0.1\n"


class Certificates:
    """An authority's, and what it has signed: for localhost, an expired one, and a client's."""

    def __init__(self, at: Path) -> None:
        self.at = at
        ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split()
        self.openssl(
            *["req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30"],
            *["-subj", "/CN=gort test CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
        )
        for name, days in ("localhost", 30), ("expired", -1), ("client", 30):
            (at / "ext").write_text(
                f"{'' if name == 'client' else SAN}basicConstraints=CA:FALSE\n"
                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            )
            self.openssl(
                *["req", *ec, "-keyout", f"{name}.key", "-out", f"{name}.csr"],
                *["-subj", f"/CN={name}"],
            )
            self.openssl(
                *["x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"],
                *["-CAcreateserial", "-extfile", "ext", "-out", f"{name}.pem", "-days", str(days)],
            )

    def openssl(self, *args: str) -> None:
        subprocess.run(["openssl", *args], cwd=self.at, check=True, capture_output=True)

    def server(self, name: str = "localhost") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.at / f"{name}.pem", self.at / f"{name}.key")
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.at / "ca.pem"))


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture(params=("TLSv1_2", "TLSv1_3"))
def version(request: Any) -> ssl.TLSVersion:
    return getattr(ssl.TLSVersion, request.param)  # type: ignore[no-any-return]


def only(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


async def until_waiting(g: gort.Goroutine) -> None:
    while g.status != "waiting":
        await gort.gosched()


async def joined(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost"
) -> tuple[net.TLSConn, net.TLSConn]:
    """A client's and a server's end, over TCP."""
    async with await net.listen("tcp", "127.0.0.1:0") as ln:
        a = await net.dial("tcp", ln.addr)
        b = await ln.accept()
    g = gort.go(net.start_tls, b, server, server_side=True)
    try:
        tls = await net.start_tls(a, client, server_hostname=name)
    except BaseException:
        try:
            await (await g).close()
        except (OSError, EOFError):
            pass
        raise
    return tls, await g


async def both(*fns: Callable[[], Awaitable[Any]]) -> None:
    async with gort.group() as grp:
        for fn in fns:
            grp.go(fn)


async def closed(*conns: net.Conn) -> None:
    await both(*(conn.close for conn in conns))


async def echo(conn: net.Conn) -> None:
    while data := await conn.read():
        await conn.write(data)


def serving(
    context: ssl.SSLContext,
    main: Callable[[Any], Awaitable[Any]],
    handler: Callable[[Any], Awaitable[None]] = echo,
    procs: int | None = None,
) -> Any:
    """What main gives, which gets the address of a server."""

    async def run() -> Any:
        async with await net.listen_tls("tcp", "127.0.0.1:0", context) as ln:
            g = gort.go(net.serve, ln, handler)
            result = await main(ln.addr)
            await ln.close()
            await g
            return result

    return gort.run(run, procs=procs)


# ---- what works


def test_dial_and_listen(certs: Certificates, procs: int, version: ssl.TLSVersion) -> None:
    async def main(addr: Any) -> None:
        async with await net.dial_tls(addr, context=certs.client()) as conn:
            assert isinstance(conn, net.Conn) and isinstance(conn, net.TLSConn)
            assert conn.version == version.name.replace("_", ".")
            cipher = conn.cipher
            assert cipher is not None and cipher[2] >= 128
            assert conn.alpn is None
            assert conn.remote_addr == addr and conn.sock.getpeername() == addr
            subject = conn.peer_certificate()["subject"]
            assert subject == ((("commonName", "localhost"),),)
            pem = (certs.at / "localhost.pem").read_text()
            assert conn.peer_certificate(binary=True) == ssl.PEM_cert_to_DER_cert(pem)
            for i in range(50):
                await conn.write(b"line %d\n" % i)
                assert await conn.readline() == b"line %d\n" % i
            await conn.writelines([b"a", b"b", bytearray(b"c\n")])
            assert await conn.read_exactly(4) == b"abc\n"

    serving(only(certs.server(), version), main, procs=procs)


def test_with_the_systems_authorities(certs: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certs.at / "ca.pem"))

    async def main(addr: Any) -> None:
        async with await net.dial_tls(("localhost", addr[1])) as conn:
            await conn.write(b"hello")
            assert await conn.read() == b"hello"

    serving(certs.server(), main)


def test_a_large_volume_each_way_at_once(
    certs: Certificates, procs: int, version: ssl.TLSVersion
) -> None:
    data = os.urandom(MB) * 8

    async def main() -> None:
        a, b = await joined(only(certs.server(), version), certs.client())

        async def take(conn: net.Conn) -> None:
            assert await conn.read_exactly(len(data)) == data

        async with gort.group() as grp:
            for conn in (a, b):
                grp.go(conn.write, data)
                grp.go(take, conn)
        await closed(a, b)

    gort.run(main, procs=procs)


def test_over_a_pipe_in_memory_and_over_tls(certs: Certificates) -> None:
    async def main() -> None:
        conns = net.pipe()
        for _ in range(2):
            g = gort.go(net.start_tls, conns[1], certs.server(), server_side=True)
            a = await net.start_tls(conns[0], certs.client(), server_hostname="localhost")
            conns = a, await g
        await conns[0].write(b"twice")
        assert await conns[1].read() == b"twice"
        await closed(*conns)

    gort.run(main)


def test_alpn(certs: Certificates) -> None:
    async def main() -> None:
        server, client = certs.server(), certs.client()
        server.set_alpn_protocols(["h2", "http/1.1"])
        client.set_alpn_protocols(["http/1.1", "gopher"])
        a, b = await joined(server, client)
        assert a.alpn == b.alpn == "http/1.1"
        await closed(a, b)

    gort.run(main)


def test_sni(certs: Certificates) -> None:
    asked = []

    async def main() -> None:
        server = certs.server("expired")
        other = certs.server()

        def choose(obj: Any, name: str | None, context: ssl.SSLContext) -> None:
            asked.append(name)
            obj.context = other

        server.sni_callback = choose
        await closed(*await joined(server, certs.client()))

    gort.run(main)
    assert asked == ["localhost"]


def test_client_certificates(certs: Certificates, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        server, client = only(certs.server(), version), certs.client()
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(certs.at / "ca.pem")
        client.load_cert_chain(certs.at / "client.pem", certs.at / "client.key")
        a, b = await joined(server, client)
        assert b.peer_certificate()["subject"] == ((("commonName", "client"),),)
        await closed(a, b)

    gort.run(main)


def test_sessions_are_resumed(certs: Certificates, version: ssl.TLSVersion) -> None:
    server, client = only(certs.server(), version), certs.client()

    async def main(addr: Any) -> list[bool]:
        reused = []
        for talk in (True, True, False, True):
            async with await net.dial_tls(addr, context=client) as conn:
                reused.append(conn.session_reused)
                assert conn.peer_certificate()["subject"] == ((("commonName", "localhost"),),)
                if talk:
                    await conn.write(b"x")
                    assert await conn.read() == b"x"
        return reused

    assert serving(server, main) == [False, True, True, True]
    assert server.session_stats()["hits"] == 3


def test_a_session_does_not_pass_a_check_that_was_off(certs: Certificates) -> None:
    async def main(addr: Any) -> None:
        client = certs.client()
        client.check_hostname = False
        for _ in range(2):
            async with await net.dial_tls(
                addr, context=client, server_hostname="other.example"
            ) as conn:
                await conn.write(b"x")
                await conn.read()
        assert conn.session_reused
        client.check_hostname = True
        with pytest.raises(ssl.SSLCertVerificationError):
            await net.dial_tls(addr, context=client, server_hostname="other.example")

    serving(certs.server(), main)


def test_accept_comes_before_the_handshake(certs: Certificates, procs: int) -> None:
    async def main(addr: Any) -> None:
        silent = [await net.dial("tcp", addr) for _ in range(5)]
        async with await net.dial_tls(addr, context=certs.client()) as conn:
            await conn.write(b"served")
            assert await conn.read() == b"served"
        for s in silent:
            await s.close()

    serving(certs.server(), main, quiet, procs=procs)


async def quiet(conn: net.Conn) -> None:
    try:
        await echo(conn)
    except OSError:
        pass


def test_handshake_by_reader_and_writer_at_once(certs: Certificates, procs: int) -> None:
    async def handler(conn: net.Conn) -> None:
        async with gort.group() as grp:
            g = grp.go(conn.read_exactly, 4)
            grp.go(conn.write, b"pong")
            grp.go(conn.handshake)  # type: ignore[attr-defined]
        assert await g == b"ping"

    async def main(addr: Any) -> None:
        async with await net.dial_tls(addr, context=certs.client()) as conn:
            await conn.write(b"ping")
            assert await conn.read_exactly(4) == b"pong"

    serving(certs.server(), main, handler, procs=procs)


def test_before_the_handshake(certs: Certificates) -> None:
    async def handler(conn: Any) -> None:
        assert (conn.version, conn.cipher, conn.alpn) == (None, None, None)
        await conn.handshake()
        await conn.handshake()
        assert conn.version == "TLSv1.3"
        await conn.write(b"ok")

    async def main(addr: Any) -> None:
        async with await net.dial_tls(addr, context=certs.client()) as conn:
            assert await conn.read() == b"ok"

    serving(certs.server(), main, handler)


# ---- in mid-connection


def test_starttls_keeps_what_was_buffered(certs: Certificates, procs: int) -> None:
    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0") as ln:
            raw = await net.dial("tcp", ln.addr)
            conn = await ln.accept()
        # A hello that comes in one piece with the line before it.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        obj = certs.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            obj.do_handshake()
        await raw.write(b"STARTTLS\r\n" + outgoing.read())
        assert await conn.readline() == b"STARTTLS\r\n"
        g = gort.go(net.start_tls, conn, certs.server(), server_side=True)
        while True:
            try:
                obj.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(await raw.read())
        obj.write(b"in TLS")
        await raw.write(outgoing.read())
        tls = await g
        assert await tls.read() == b"in TLS"
        with pytest.raises(RuntimeError, match="start_tls|goroutine"):
            await conn.read()
        await raw.close()
        await tls.close()

    gort.run(main, procs=procs)


def test_start_tls_while_somebody_reads(certs: Certificates) -> None:
    async def main() -> None:
        a, b = net.pipe()
        g = gort.go(a.read)
        await until_waiting(g)
        with pytest.raises(RuntimeError, match=f"goroutine {g.id}"):
            await net.start_tls(a, certs.server(), server_side=True)
        await b.write(b"still there")
        assert await g == b"still there"
        await closed(a, b)

    gort.run(main)


def test_unwrap(certs: Certificates, procs: int, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        a, b = await joined(only(certs.server(), version), certs.client())
        below: list[Any] = [None, None]

        async def one() -> None:
            await a.write(b"last of TLS")
            below[0] = await a.unwrap()
            await below[0].write(b"plain")

        async def other() -> None:
            assert await b.read() == b"last of TLS"
            assert await b.read() == b""
            below[1] = await b.unwrap()

        await both(one, other)
        assert not any(isinstance(conn, net.TLSConn) for conn in below)
        assert await below[1].read() == b"plain"
        await below[1].write(b"and back")
        assert await below[0].read() == b"and back"
        with pytest.raises(BrokenPipeError):
            await a.write(b"x")
        await a.close()  # leaves what is below it
        await below[0].write(b"open")
        assert await below[1].read() == b"open"
        await closed(*below)

    gort.run(main, procs=procs)


def test_unwrap_keeps_what_came_after_and_before(certs: Certificates) -> None:
    async def main() -> None:
        a, b = await joined(certs.server(), certs.client())
        await a.write(b"unread")
        g = gort.go(a.unwrap)
        await until_waiting(g)
        below = await b.unwrap()
        await below.write(b"plain")
        plain = await g
        assert await plain.read() == b"plain"
        assert await b.read() == b"unread"
        assert await b.read() == b""
        await closed(plain, below)

    gort.run(main)


def test_half_close(certs: Certificates, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        a, b = await joined(only(certs.server(), version), certs.client())
        await b.write(b"sent before")
        await a.write(b"request")
        await a.close_write()
        await a.close_write()
        with pytest.raises(BrokenPipeError) as e:
            await a.write(b"more")
        assert e.value.written == 0  # type: ignore[attr-defined]
        assert await b.read() == b"request"
        assert await b.read() == b""
        await b.write(b" and after")
        assert await a.read_exactly(21) == b"sent before and after"
        await closed(a, b)

    gort.run(main)


# ---- key updates, by the openssl command


def openssl(certs: Certificates, *args: str) -> Any:
    return process.start(
        ["openssl", "s_client", "-connect", *args, "-CAfile", str(certs.at / "ca.pem")],
        stdin=process.PIPE,
        stdout=process.PIPE,
        stderr=process.STDOUT,
    )


async def typed(conn: Any, what: bytes) -> None:
    """Write to a program, and wait until it has read: a command is one that is read alone."""
    await conn.write(what)
    left = b"\1"
    while any(left):
        await gort.sleep(0.0005)
        left = fcntl.ioctl(conn.transport.file.fileno(), termios.FIONREAD, bytes(4))


@pytest.mark.parametrize("command", [b"K\n", b"k\n"])
def test_key_updates_while_reading_and_writing(
    certs: Certificates, procs: int, command: bytes
) -> None:
    async def handler(conn: net.Conn) -> None:
        """Write all the time, and count the lines."""

        async def write() -> None:
            for i in range(2000):
                await conn.write(b"line %d\n" % i)

        lines = []
        async with gort.group() as grp:
            grp.go(write)
            for _ in range(20):
                lines.append(await conn.readline())
        assert lines == [b"hello\n"] * 20
        await conn.write(b"all came\n")

    async def main(addr: Any) -> None:
        async with await openssl(certs, f"127.0.0.1:{addr[1]}") as p:
            await p.stdout.read_until(b"line 0\n", limit=MB)
            for _ in range(20):
                await typed(p.stdin, command)
                await typed(p.stdin, b"hello\n")
            got = await p.stdout.read_until(b"all came\n", limit=MB)
            assert b"line 1999\n" in got and got.count(b"KEYUPDATE") == 20

    serving(certs.server(), main, handler, procs=procs)


# ---- ends


def test_clean_and_unclean_ends(certs: Certificates, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        a, b = await joined(only(certs.server(), version), certs.client())
        g = gort.go(a.close)
        assert await b.read() == b""
        assert await b.read() == b""
        await b.close()
        await g
        a, b = await joined(only(certs.server(), version), certs.client())
        await a.write(b"cut sho")
        a.sock.shutdown(socket.SHUT_WR)
        assert await b.read() == b"cut sho"
        for _ in range(2):
            with pytest.raises(ssl.SSLEOFError):
                await b.read()
        await closed(a, b)

    gort.run(main)


def test_a_reset(certs: Certificates) -> None:
    async def main() -> None:
        a, b = await joined(certs.server(), certs.client())
        a.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await a.transport.transport.close()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionResetError):
            await b.read()
        with pytest.raises(OSError):
            while True:
                await b.write(b"x")
        await closed(a, b)

    gort.run(main)


def test_a_close_loses_nothing_that_was_written(certs: Certificates, procs: int) -> None:
    """The client never reads: the session tickets would have the kernel reset the connection."""
    data = bytes(MB)
    got: list[int] = []

    async def handler(conn: net.Conn) -> None:
        n = 0
        await gort.sleep(0.02)
        while part := await conn.read():
            n += len(part)
        got.append(n)

    async def main(addr: Any) -> None:
        for _ in range(5):
            async with await net.dial_tls(addr, context=certs.client()) as conn:
                await conn.write(data)

    serving(certs.server(), main, handler, procs=procs)
    assert got == [len(data)] * 5


def test_a_close_does_not_wait_long_for_a_peer(certs: Certificates) -> None:
    async def main() -> float:
        a, b = await joined(certs.server(), certs.client())
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.2):
                await a.write(bytes(64 * MB))  # nobody reads
        start = next_time()
        await a.close()
        took = next_time() - start
        assert a.closed
        with pytest.raises(OSError):
            await a.read()
        await b.close()
        return took

    assert gort.run(main) < 10


def next_time() -> float:
    import time

    return time.monotonic()


def test_a_close_by_a_cancelled_goroutine(certs: Certificates) -> None:
    async def main() -> None:
        a, b = await joined(certs.server(), certs.client())

        async def hold() -> None:
            async with a:
                await gort.sleep(100)

        g = gort.go(hold)
        await until_waiting(g)
        g.cancel()
        assert await b.read() == b""  # close_notify
        await b.close()
        with pytest.raises(gort.Cancelled):
            await g
        assert a.closed

    gort.run(main)


def test_close_wakes(certs: Certificates, procs: int) -> None:
    async def main() -> None:
        a, b = await joined(certs.server(), certs.client())
        reader = gort.go(a.read)
        writer = gort.go(a.write, bytes(64 * MB))
        await until_waiting(reader)
        await until_waiting(writer)
        await a.close()
        for g in (reader, writer):
            with pytest.raises(OSError):
                await g
        await b.close()

    gort.run(main, procs=procs)


# ---- deadlines and cancels


def test_deadlines(certs: Certificates) -> None:
    async def main() -> None:
        a, b = await joined(certs.server(), certs.client())
        a.set_read_deadline(0.01)
        with pytest.raises(TimeoutError):
            await a.read()
        a.set_read_deadline(None)
        await b.write(b"x")
        assert await a.read() == b"x"
        a.set_write_deadline(0.05)
        with pytest.raises(TimeoutError) as e:
            await a.write(bytes(64 * MB))
        a.set_write_deadline(None)
        n = e.value.written  # type: ignore[attr-defined]
        assert 0 < n < 64 * MB
        g = gort.go(a.write, b"end")
        got = await b.read_exactly(n + 3)
        assert got == bytes(n) + b"end"
        await g
        await closed(a, b)

    gort.run(main)


def test_a_silent_client_and_a_deadline(certs: Certificates) -> None:
    async def main() -> None:
        async with await net.listen_tls("tcp", "127.0.0.1:0", certs.server()) as ln:
            async with await net.dial("tcp", ln.addr):
                async with await ln.accept() as conn:
                    conn.set_deadline(0.01)
                    with pytest.raises(TimeoutError):
                        await conn.read()

    gort.run(main)


def test_cancelled_writes_lose_and_double_nothing(certs: Certificates, procs: int) -> None:
    data = os.urandom(MB) * 2

    async def main() -> None:
        a, b = await joined(certs.server(), certs.client())

        async def write() -> None:
            done = 0
            while done < len(data):
                try:
                    async with gort.timeout(0.0005):
                        await a.write(memoryview(data)[done:])
                    done = len(data)
                except TimeoutError as e:
                    done += e.__cause__.written  # type: ignore[union-attr]

        got = bytearray()

        async def read() -> None:
            while len(got) < len(data):
                try:
                    async with gort.timeout(0.0005):
                        while len(got) < len(data):
                            got.extend(await b.read(10_000))
                            await gort.gosched()
                except TimeoutError:
                    pass

        await both(write, read)
        assert got == data
        await closed(a, b)

    gort.run(main, procs=procs)


def test_what_a_cancelled_write_counts_arrives_by_itself(certs: Certificates) -> None:
    async def main() -> None:
        a, b = await joined(certs.server(), certs.client())
        g = gort.go(a.write, bytes(64 * MB))
        await until_waiting(g)
        g.cancel()
        with pytest.raises(gort.Cancelled) as e:
            await g
        n = e.value.written  # type: ignore[attr-defined]
        assert 0 < n < 64 * MB
        assert await b.read_exactly(n) == bytes(n)  # a writes no more
        await closed(a, b)

    gort.run(main)


def test_cancelled_handshakes(certs: Certificates, procs: int) -> None:
    async def main() -> None:
        async with await net.listen_tls("tcp", "127.0.0.1:0", certs.server()) as ln:
            raw = await net.dial("tcp", ln.addr)
            conn: Any = await ln.accept()
            g = gort.go(conn.handshake)
            await until_waiting(g)
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g
            g = gort.go(conn.handshake)  # goes on with it
            tls = await net.start_tls(raw, certs.client(), server_hostname="localhost")
            await g
            await tls.write(b"x")
            assert await conn.read() == b"x"
            await closed(tls, conn)

    gort.run(main, procs=procs)


def test_start_tls_that_is_cancelled_closes(certs: Certificates) -> None:
    async def main() -> None:
        a, b = net.pipe()
        g = gort.go(net.start_tls, a, certs.client(), server_hostname="localhost")
        await until_waiting(g)
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        assert a.closed
        await b.close()

    gort.run(main)


def test_one_reader(certs: Certificates) -> None:
    async def main() -> None:
        a, b = await joined(certs.server(), certs.client())
        g = gort.go(a.read)
        await until_waiting(g)
        with pytest.raises(RuntimeError, match=f"goroutine {g.id}"):
            await a.read()
        await b.write(b"x")
        assert await g == b"x"
        await closed(a, b)

    gort.run(main)


# ---- errors, by name


async def refused(certs: Certificates, server: ssl.SSLContext, name: str = "localhost") -> Any:
    with pytest.raises(ssl.SSLCertVerificationError) as e:
        await joined(server, certs.client(), name)
    return e.value


def test_a_certificate_of_another_name(certs: Certificates) -> None:
    async def main() -> None:
        e = await refused(certs, certs.server(), "other.example")
        assert "other.example" in str(e)

    gort.run(main)


def test_a_certificate_that_has_expired(certs: Certificates) -> None:
    async def main() -> None:
        assert "expired" in str(await refused(certs, certs.server("expired")))

    gort.run(main)


def test_a_certificate_of_an_unknown_authority(certs: Certificates) -> None:
    async def main(addr: Any) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
            await net.dial_tls(addr)

    serving(certs.server(), main, quiet)


def test_the_server_hears_why(certs: Certificates) -> None:
    async def main() -> None:
        async with await net.listen_tls("tcp", "127.0.0.1:0", certs.server()) as ln:

            async def dial() -> None:
                with pytest.raises(ssl.SSLCertVerificationError):
                    await net.dial_tls(
                        ln.addr, context=certs.client(), server_hostname="no.example"
                    )

            g = gort.go(dial)
            async with await ln.accept() as conn:
                with pytest.raises(ssl.SSLError, match="(?i)alert"):
                    await conn.read()
                with pytest.raises(ssl.SSLError, match="(?i)alert"):
                    await conn.write(b"x")
            await g

    gort.run(main)


def test_a_client_without_a_certificate(certs: Certificates, version: ssl.TLSVersion) -> None:
    server = only(certs.server(), version)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(certs.at / "ca.pem")

    async def main() -> None:
        async with await net.listen_tls("tcp", "127.0.0.1:0", server) as ln:

            async def dial() -> None:
                with pytest.raises(
                    ssl.SSLError, match="(?i)certificate.required|handshake.failure"
                ):
                    async with await net.dial_tls(ln.addr, context=certs.client()) as conn:
                        await conn.read()

            g = gort.go(dial)
            async with await ln.accept() as conn:
                with pytest.raises(ssl.SSLError, match="did not return a certificate"):
                    await conn.read()
            await g

    gort.run(main)


def test_plain_text_to_a_tls_port(certs: Certificates) -> None:
    async def main() -> None:
        async with await net.listen_tls("tcp", "127.0.0.1:0", certs.server()) as ln:
            for text in (b"GET / HTTP/1.0\r\n\r\n", b"hello, is this SMTP?\r\n"):
                async with await net.dial("tcp", ln.addr) as raw:
                    await raw.write(text)
                    async with await ln.accept() as conn:
                        with pytest.raises(
                            ssl.SSLError, match="(?i)http.request|wrong.version|record"
                        ):
                            await conn.read()

    gort.run(main)


def test_tls_to_a_plain_port(certs: Certificates) -> None:
    async def main() -> None:
        async with await net.listen("tcp", "127.0.0.1:0") as ln:

            async def serve() -> None:
                async with await ln.accept() as conn:
                    await conn.write(b"220 hello, this is SMTP\r\n")

            g = gort.go(serve)
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await net.dial_tls(ln.addr, context=certs.client())
            await g

    gort.run(main)


def test_a_peer_that_closes_in_the_handshake(certs: Certificates) -> None:
    async def main() -> None:
        for said in (b"", b"\x16\x03\x01"):
            async with await net.listen("tcp", "127.0.0.1:0") as ln:

                async def serve(said: bytes, ln: net.Listener) -> None:
                    async with await ln.accept() as conn:
                        await conn.read()
                        await conn.write(said)

                g = gort.go(serve, said, ln)
                with pytest.raises(ssl.SSLEOFError):
                    await net.dial_tls(ln.addr, context=certs.client())
                await g

    gort.run(main)


def test_no_common_version(certs: Certificates) -> None:
    async def main() -> None:
        client = only(certs.client(), ssl.TLSVersion.TLSv1_3)
        with pytest.raises(ssl.SSLError, match="(?i)version"):
            await joined(only(certs.server(), ssl.TLSVersion.TLSv1_2), client)

    gort.run(main)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda c: net.dial_tls(":1", context="x"), TypeError, "SSLContext"),  # type: ignore[arg-type]
        (lambda c: net.dial_tls(1), TypeError, "int"),  # type: ignore[arg-type]
        (lambda c: net.dial_tls("localhost:70000"), ValueError, "70000"),
        (lambda c: net.listen_tls("tcp", ":0", None), TypeError, "SSLContext"),  # type: ignore[arg-type]
        (lambda c: net.listen_tls("udp", ":0", c), ValueError, "udp"),
        (lambda c: net.start_tls(socket, c), TypeError, "Conn"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_a_client_that_names_nobody(certs: Certificates) -> None:
    async def main() -> None:
        a, b = net.pipe()
        with pytest.raises(ValueError, match="server_hostname"):
            await net.start_tls(a, certs.client())
        await a.write(b"still usable")
        assert await b.read() == b"still usable"
        await closed(a, b)

    gort.run(main)


# ---- beside the standard library's


def test_against_the_standard_library(certs: Certificates, procs: int) -> None:
    """A server on threads, with its own idea of each end."""
    listener = socket.create_server(("127.0.0.1", 0))
    said: list[bytes] = []

    def serve() -> None:
        for _ in range(3):
            raw, _ = listener.accept()
            with certs.server().wrap_socket(raw, server_side=True) as conn:
                while data := conn.recv(65536):
                    said.append(data)
                    conn.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()

    async def main() -> None:
        for _ in range(3):
            async with await net.dial_tls(listener.getsockname(), context=certs.client()) as conn:
                await conn.write(b"hello")
                assert await conn.read() == b"hello"

    gort.run(main, procs=procs)
    thread.join()
    listener.close()
    assert said == [b"hello"] * 3
