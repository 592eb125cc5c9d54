"""A stream socket, or a connected datagram socket, as a Transport."""

from __future__ import annotations

import array
import os
import socket as _socket
import struct
from collections.abc import Awaitable, Callable
from typing import IO, TYPE_CHECKING, Any, TypeVar

from ..runtime.netconn import Netconn, connread
from ..runtime.netfd import Using, closesock
from ..runtime.pollfile import Pollfile
from .conn import READ, WRITE, Conn, Transport, closed, written
from .file import late

__all__ = ["Stream", "Streamconn", "tune"]

_T = TypeVar("_T")
_IOV = 1024
_MOST = 0x7FFFF000


def tune(sock: _socket.socket) -> None:
    """No delay, and keep-alive; what is accepted from a listener has it from that."""
    if sock.family != _socket.AF_UNIX and sock.type == _socket.SOCK_STREAM:
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
        for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            if hasattr(_socket, option):
                sock.setsockopt(_socket.IPPROTO_TCP, getattr(_socket, option), 15)


async def attempt(file: Pollfile, mode: int, fn: Callable[..., _T], *args: Any) -> _T:
    """fn(*args), a call of file's socket, as soon as it does not block."""
    sock = file.sock
    while True:
        if file.islate(mode):
            raise late(mode)
        try:
            with Using(sock):
                if sock.fileno() < 0:
                    raise closed("read" if mode == READ else "write")
                return fn(*args)
        except (BlockingIOError, InterruptedError):
            pass
        await file.wait(mode)


class Stream(Transport):
    __slots__ = ("file", "closed", "greedy", "remote")

    def __init__(self, sock: _socket.socket, remote: Any = None) -> None:
        """sock: connected, and non-blocking; it is the Stream's from here on."""
        self.file = Pollfile(sock)
        self.closed = False
        # Descriptors lie between a unix socket's bytes, and a datagram is read alone.
        self.greedy = sock.family != _socket.AF_UNIX and sock.type == _socket.SOCK_STREAM
        self.remote = remote

    @property
    def sock(self) -> _socket.socket:
        sock: _socket.socket = self.file.sock
        return sock

    def local_addr(self) -> Any:
        return self.sock.getsockname()

    def remote_addr(self) -> Any:
        if self.remote is None:
            self.remote = self.sock.getpeername()
        return self.remote

    def recv(self, n: int) -> Awaitable[bytes]:
        return attempt(self.file, READ, self.sock.recv, n)

    async def send(self, data: memoryview) -> None:
        done = 0
        sock = self.sock
        try:
            while True:
                done += await attempt(self.file, WRITE, sock.send, data[done:])
                if done >= len(data):
                    return
        except BaseException as exc:
            exc.written = done  # type: ignore[attr-defined]
            raise

    async def sendv(self, buffers: list[memoryview]) -> None:
        done = 0
        at = 0
        sock = self.sock
        try:
            while at < len(buffers):
                n = await attempt(self.file, WRITE, sock.sendmsg, buffers[at : at + _IOV])
                done += n
                while at < len(buffers) and n >= len(buffers[at]):
                    n -= len(buffers[at])
                    at += 1
                if n:
                    buffers[at] = buffers[at][n:]
        except BaseException as exc:
            exc.written = done  # type: ignore[attr-defined]
            raise

    async def sendfile(self, file: IO[bytes], offset: int, count: int | None) -> int:
        if not isinstance(self.sock, _socket.socket) or getattr(self.sock, "simulated", False):
            return await super().sendfile(file, offset, count)
        done = 0
        fd = file.fileno()
        try:
            while count is None or done < count:
                most = _MOST if count is None else min(_MOST, count - done)
                n = await attempt(self.file, WRITE, self.sendsome, fd, offset + done, most)
                if n == 0:
                    break
                done += n
        except BaseException as exc:
            exc.written = done  # type: ignore[attr-defined]
            raise
        return done

    def sendsome(self, fd: int, offset: int, n: int) -> int:
        return os.sendfile(self.sock.fileno(), fd, offset, n)

    async def close_write(self) -> None:
        with Using(self.sock):
            self.sock.shutdown(_socket.SHUT_WR)

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.file.set_deadline(READ | WRITE, None)
            closesock(self.sock)

    # ---- unix sockets'

    def unix(self, what: str) -> None:
        if self.sock.family != _socket.AF_UNIX:
            raise TypeError(f"{what} is for connections over unix sockets")

    async def send_fds(self, data: memoryview, fds: list[int]) -> None:
        self.unix("send_fds")
        what = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", fds))]
        n = await attempt(self.file, WRITE, self.sock.sendmsg, [data], what)
        try:
            await self.send(data[n:])
        except BaseException as exc:
            exc.written = n + written(exc)  # type: ignore[attr-defined]
            raise

    async def recv_fds(self, n: int, most: int) -> tuple[bytes, list[int]]:
        self.unix("recv_fds")
        room = _socket.CMSG_LEN(most * 4)
        flags = _socket.MSG_CMSG_CLOEXEC
        data, found, _, _ = await attempt(self.file, READ, self.sock.recvmsg, n, room, flags)
        fds = array.array("i")
        for level, kind, value in found:
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
                fds.frombytes(value[: len(value) - len(value) % 4])
        return data, list(fds)

    def peer_credentials(self) -> tuple[int, int, int]:
        self.unix("peer_credentials")
        raw = self.sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        pid, uid, gid = struct.unpack("3i", raw)
        return pid, uid, gid


class Streamconn(Conn):
    """A Conn over a Stream, whose reads and writes are ops."""

    __slots__ = ()

    def _get(self, what: str, kind: Any, n: int) -> Awaitable[bytes]:
        op: Awaitable[bytes] = connread(self, kind, n)
        return op

    if not TYPE_CHECKING:
        read = read_op = Netconn.streamread
        readline = Netconn.streamline
        write = Netconn.streamwrite
        __anext__ = Netconn.streamnext
