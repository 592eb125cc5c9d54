"""A crawler over TLS, against a server of its own: every page that a link leads to, once.

gort run examples/crawler.py [pages]
"""

import pathlib
import re
import ssl
import sys
import tempfile
from typing import Any

import gort
from gort import net, process

OPENSSL = """openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1
    -keyout key.pem -out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost"""
CRAWLERS = 8


async def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's, with a certificate made for the occasion, and a client's that trusts it."""
    with tempfile.TemporaryDirectory() as folder:
        await process.run(OPENSSL.split(), cwd=folder, check=True, stderr=process.DEVNULL)
        cert, key = pathlib.Path(folder, "cert.pem"), pathlib.Path(folder, "key.pem")
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(cert, key)
        return server, ssl.create_default_context(cafile=str(cert))


def site(pages: int) -> Any:
    """What handles a connection to a site whose page n links to 2n and 2n + 1."""

    async def handle(conn: net.Conn) -> None:
        request = await conn.read_until(b"\r\n\r\n")
        n = int(request.split()[1][1:])
        links = "".join(f'<a href="/{i}">' for i in (2 * n, 2 * n + 1) if i <= pages)
        body = f"<title>page {n}</title>{links}".encode()
        await conn.writelines([b"HTTP/1.0 200 OK\r\n\r\n", body])

    return handle


async def fetch(port: int, path: str, context: ssl.SSLContext) -> bytes:
    async with await net.dial_tls(("localhost", port), context=context) as conn:
        await conn.write(b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
        page = b""
        while data := await conn.read():
            page += data
        return page


async def crawl(port: int, todo: gort.Chan, found: gort.Chan, context: ssl.SSLContext) -> None:
    async for path in todo:
        page = await fetch(port, path, context)
        await found.send(re.findall(r'href="(/\d+)"', page.decode()))


async def main() -> None:
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    server, client = await contexts()
    async with await net.listen_tls("tcp", "localhost:0", server) as ln, gort.group() as grp:
        grp.go(net.serve, ln, site(pages))
        todo, found = gort.chan(pages), gort.chan()
        for _ in range(CRAWLERS):
            grp.go(crawl, ln.addr[1], todo, found, client)
        seen, busy = {"/1"}, 1
        await todo.send("/1")
        while busy:
            new = set(await found.recv()) - seen
            for path in new:
                await todo.send(path)
            seen |= new
            busy += len(new) - 1
        todo.close()
        await ln.close()
    hits = server.session_stats()["hits"]
    print(f"{len(seen)} pages, {hits} of their connections with a session that was resumed")
