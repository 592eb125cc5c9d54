"""A descriptor that polls, a pipe's or a terminal's, as a Transport."""

from __future__ import annotations

import errno
import os

from ..runtime.netfd import Using
from ..runtime.pollfile import Pollfile
from .conn import READ, WRITE, Conn, Transport, closed, written

__all__ = ["File", "fileconn"]

_ATOMIC = 512
"""So much a pipe that is writable takes without blocking, whoever else writes to it."""


def late(mode: int) -> TimeoutError:
    what = "read" if mode == READ else "write"
    return TimeoutError(errno.ETIMEDOUT, f"the {what} deadline has passed")


class File(Transport):
    """nonblocking: it is the caller's alone, and made non-blocking. Else it stays as it is,
    for those that share it, and is read and written when it is ready only, in pieces."""

    __slots__ = ("file", "closed", "keep", "nonblocking")

    def __init__(self, fd: int, *, nonblocking: bool = True, keep: bool = False) -> None:
        """keep: close() leaves the descriptor open."""
        self.file = Pollfile(fd)
        self.closed = False
        self.keep = keep
        self.nonblocking = nonblocking
        if nonblocking:
            os.set_blocking(fd, False)

    async def recv(self, n: int) -> bytes:
        file = self.file
        if not self.nonblocking:
            await file.wait(READ)
        while True:
            if file.islate(READ):
                raise late(READ)
            with Using(file):
                fd = file.fileno()
                if fd < 0:
                    raise closed("read")
                try:
                    return os.read(fd, n)
                except BlockingIOError:
                    pass
            await file.wait(READ)

    async def send(self, data: memoryview) -> None:
        file = self.file
        done = 0
        try:
            while done < len(data):
                if not self.nonblocking:
                    await file.wait(WRITE)
                if file.islate(WRITE):
                    raise late(WRITE)
                piece = data[done:] if self.nonblocking else data[done : done + _ATOMIC]
                with Using(file):
                    fd = file.fileno()
                    if fd < 0:
                        raise closed("write")
                    try:
                        done += os.write(fd, piece)
                        continue
                    except BlockingIOError:
                        pass
                await file.wait(WRITE)
        except BaseException as exc:
            exc.written = done + written(exc)  # type: ignore[attr-defined]
            raise

    async def close_write(self) -> None:
        await self.close()

    async def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self.keep:
            self.file.set_deadline(READ | WRITE, 0)
        else:
            self.file.close()


def fileconn(fd: int, *, nonblocking: bool = True, keep: bool = False) -> Conn:
    """A Conn over a descriptor."""
    return Conn(File(fd, nonblocking=nonblocking, keep=keep))
