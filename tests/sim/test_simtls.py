"""TLS on the simulated network, and in memory, by seeds."""

from __future__ import annotations

import random
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

import gort
from gort import net
from gort.testing import sweep

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")

MAKE = """openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1
    -keyout key.pem -out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost"""


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    at: Path = tmp_path_factory.mktemp("certs")
    subprocess.run(MAKE.split(), cwd=at, check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(at / "cert.pem", at / "key.pem")
    return server, ssl.create_default_context(cafile=str(at / "cert.pem"))


async def memory() -> tuple[net.Conn, net.Conn]:
    return net.pipe()


async def tcp() -> tuple[net.Conn, net.Conn]:
    async with await net.listen("tcp", "10.0.0.1:443") as ln:
        return await net.dial("tcp", "10.0.0.1:443"), await ln.accept()


both = pytest.mark.parametrize("pair", [memory, tcp])


async def joined(pair: Any, contexts: Any) -> tuple[net.TLSConn, net.TLSConn]:
    a, b = await pair()
    g = gort.go(net.start_tls, b, contexts[0], server_side=True)
    return await net.start_tls(a, contexts[1], server_hostname="localhost"), await g


@both
def test_cancels_lose_and_double_nothing(pair: Any, contexts: Any) -> None:
    """Numbers go each way through reads and writes that are cancelled or late anywhere."""
    data = bytes(range(256)) * 400

    async def write(conn: net.Conn, rng: random.Random) -> None:
        at = 0
        while at < len(data):
            if rng.random() < 0.3:
                conn.set_write_deadline(rng.choice((0, 1e-5, 1e-4)))
            try:
                async with gort.timeout(rng.choice((0.0, 1e-5, 1e-4, 60.0))):
                    try:
                        piece = memoryview(data)[at : at + rng.randrange(1, 50_000)]
                        await conn.write(piece)
                    except BaseException as exc:
                        at += exc.written  # type: ignore[attr-defined]
                        raise
                at += len(piece)
            except TimeoutError:
                pass
            conn.set_write_deadline(None)
        await conn.close_write()

    async def read(conn: net.Conn, rng: random.Random) -> None:
        got = bytearray()
        while len(got) < len(data):
            if rng.random() < 0.3:
                conn.set_read_deadline(rng.choice((1e-5, 1e-4)))
            try:
                async with gort.timeout(rng.choice((0.0, 1e-5, 1e-4, 60.0))):
                    got += await conn.read(rng.randrange(1, 20_000))
            except TimeoutError:
                pass
            conn.set_read_deadline(None)
        assert got == data
        assert await conn.read() == b""

    async def main() -> None:
        gort.testing.network().latency = (0.0, 1e-4)
        a, b = await joined(pair, contexts)
        rng = random.Random(gort.testing.network().engine.strategy.rng.random())
        async with gort.group() as grp:
            for conn in (a, b):
                grp.go(write, conn, random.Random(rng.random()))
                grp.go(read, conn, random.Random(rng.random()))
        async with gort.group() as grp:
            grp.go(a.close)
            grp.go(b.close)

    sweep(main, seeds=12)


@both
def test_a_close_in_mid_connection(pair: Any, contexts: Any) -> None:
    """Who reads and writes ends with an error or the end, wherever the close comes."""

    async def use(conn: net.TLSConn, reads: bool) -> None:
        try:
            if reads:
                while await conn.read():
                    pass
            else:
                while True:
                    await conn.write(bytes(20_000))
        except OSError:
            pass

    async def main() -> None:
        conns = await joined(pair, contexts)
        rng = random.Random(gort.testing.network().engine.strategy.rng.random())
        async with gort.group() as grp:
            for conn in conns:
                grp.go(use, conn, True)
                grp.go(use, conn, False)
            for _ in range(rng.randrange(50)):
                await gort.gosched()
            grp.go(conns[0].close)
            grp.go(conns[1].close)

    sweep(main, seeds=12)
