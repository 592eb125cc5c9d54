"""TCP echo: server CPU for each message, under 50 connections that each send 64 bytes, wait
for them to come back, and send again. The load comes from a C program in a process of its
own, which reads the server's CPU clock when the warm-up ends and at the end.

echo: gort on gort.net; asyncio, uvloop and trio on their
streams; gevent and runloom on sockets that look blocking; Go on net.Conn.
echo-protocol: asyncio and uvloop on a Protocol instead, their fastest way; gort and Go as
above.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import build
from harness import Main, Metrics, Row, Run, Scale, Workload

CONNECTIONS = 50
MESSAGE = 64
BUFFER = 65536
WARM_UP = 0.3


def measure_echo(run: Run, main: Main, scale: Scale) -> Metrics:
    with listening() as listener, serving(run, main, listener) as server:
        load = put_load(listener.getsockname()[1], server, scale.echo_seconds)
    return {
        "echo": load["server_cpu_ns"] / load["messages"],
        "messages_per_second": load["messages"] / load["seconds"],
        "load_cpu": load["load_cpu_ns"] / load["messages"],
    }


def put_load(port: int, server: int, seconds: float) -> dict[str, float]:
    command = [build.load_generator(), port, server, CONNECTIONS, MESSAGE, WARM_UP, seconds]
    done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    load: dict[str, float] = json.loads(done.stdout)
    return load


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS) as listener:
        yield listener


@contextmanager
def serving(run: Run, main: Main, listener: socket.socket) -> Iterator[int]:
    """A fork that serves until the block ends."""
    pid = os.fork()
    if pid == 0:
        try:
            run(main, listener)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def echo_row(how: str) -> tuple[Row, ...]:
    return (Row("echo", f"TCP echo, {how}: server CPU a message", "ns"),)


ECHO = Workload("echo", echo_row("natural idiom"), measure_echo)
ECHO_PROTOCOL = Workload("echo-protocol", echo_row("asyncio.Protocol"), measure_echo)


@ECHO.variant("gort")
@ECHO_PROTOCOL.variant("gort")
async def gort_serve(listener: socket.socket) -> None:
    import gort

    async def handle(conn: socket.socket) -> None:
        while data := await gort.net.recv(conn, BUFFER):
            await gort.net.sendall(conn, data)
        gort.net.close(conn)

    while True:
        conn, _ = await gort.net.accept(listener)
        gort.go(handle, conn)


@ECHO.variant("asyncio", "uvloop")
async def asyncio_serve_streams(listener: socket.socket) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(BUFFER):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, sock=listener)
    await server.serve_forever()


class EchoProtocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@ECHO_PROTOCOL.variant("asyncio", "uvloop")
async def asyncio_serve_protocol(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(EchoProtocol, sock=listener)
    await server.serve_forever()


@ECHO.variant("trio")
async def trio_serve(listener: socket.socket) -> None:
    import trio

    async def handle(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    await trio.serve_listeners(
        handle, [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
    )


@ECHO.variant("gevent")
def gevent_serve(listener: socket.socket) -> None:
    import gevent.socket
    from gevent.server import StreamServer

    def handle(conn: gevent.socket.socket, _address: object) -> None:
        while data := conn.recv(BUFFER):
            conn.sendall(data)
        conn.close()

    cooperative = gevent.socket.socket(fileno=listener.detach())
    StreamServer(cooperative, handle).serve_forever()


@ECHO.variant("runloom")
def runloom_serve(listener: socket.socket) -> None:
    import runloom

    def handle(conn: socket.socket) -> None:
        while data := conn.recv(BUFFER):
            conn.sendall(data)
        conn.close()

    runloom.monkey.patch()
    while True:
        conn, _ = listener.accept()
        runloom.fiber(handle, conn)


@ECHO.variant("go")
@ECHO_PROTOCOL.variant("go")
def go_serve(listener: socket.socket) -> None:
    os.set_inheritable(listener.fileno(), True)
    program = build.go_program()
    os.execv(program, [program, "-serve", str(listener.fileno())])
