"""net.pipe: two Conns joined in memory, which behave as the ends of a stream socket."""

from __future__ import annotations

import errno
import os
import threading

from ..runtime.pollfile import Pollfile
from .conn import READ, WRITE, Conn, Transport, closed
from .file import late

__all__ = ["pipe"]

_ROOM = 65536


class Memory(Transport):
    """One end. The pair's lock protects what has come and the flags of both.

    ended: the other end sends no more. broken: the other end is gone, and has not read all.
    """

    __slots__ = ("file", "closed", "mu", "data", "ended", "shut", "broken", "peer")

    peer: Memory

    def __init__(self, mu: threading.Lock) -> None:
        self.file = Pollfile(None)
        self.mu = mu
        self.data = bytearray()
        self.closed = self.ended = self.shut = self.broken = False

    async def recv(self, n: int) -> bytes:
        while True:
            if self.file.islate(READ):
                raise late(READ)
            with self.mu:
                if self.closed:
                    raise closed("read")
                data = bytes(self.data[:n])
                del self.data[:n]
                ended = self.ended
                if not data and self.broken:
                    self.broken = False
                    raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            if data:
                self.peer.file.wake(WRITE)
                return data
            if ended:
                return b""
            await self.file.wait(READ)

    async def send(self, data: memoryview) -> None:
        done = 0
        peer = self.peer
        try:
            while done < len(data):
                if self.file.islate(WRITE):
                    raise late(WRITE)
                with self.mu:
                    if self.closed:
                        raise closed("write")
                    if self.shut or peer.closed:
                        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
                    n = min(_ROOM - len(peer.data), len(data) - done)
                    peer.data += data[done : done + n]
                done += n
                if n:
                    peer.file.wake(READ)
                else:
                    await self.file.wait(WRITE)
        except BaseException as exc:
            exc.written = done  # type: ignore[attr-defined]
            raise

    async def close_write(self) -> None:
        with self.mu:
            self.shut = self.peer.ended = True
        self.peer.file.wake(READ)

    async def close(self) -> None:
        peer = self.peer
        with self.mu:
            if self.closed:
                return
            self.closed = self.shut = peer.ended = True
            if self.data:
                peer.broken = True
                self.data.clear()
        self.file.close()
        peer.file.wake(READ)
        peer.file.wake(WRITE)


def pipe() -> tuple[Conn, Conn]:
    """Two Conns joined in memory: what one writes, the other reads. Each way holds 64 KiB."""
    mu = threading.Lock()
    a, b = Memory(mu), Memory(mu)
    a.peer, b.peer = b, a
    return Conn(a), Conn(b)
