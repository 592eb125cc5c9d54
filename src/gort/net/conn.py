"""Conn: a stream of bytes each way, buffered for reading, over any Transport.

The buffer is touched by who reads alone, of whom there is one at a time; and never between
an await and what it gave: what has come is in the buffer, or with the caller, whatever is
cancelled.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import IO, Any, TypeVar

from ..runtime.netconn import IncompleteRead, LimitExceeded, Netconn
from ..runtime.pollfile import Pollfile, checkpoint
from ..runtime.syscall import syscall

__all__ = ["Buffer", "Conn", "IncompleteRead", "LimitExceeded", "Transport"]

Buffer = bytes | bytearray | memoryview
_T = TypeVar("_T")

READ = 1
WRITE = 2
_CHUNK = 65536


class Transport:
    """What a Conn is made of. One goroutine at a time reads, and one writes.

    All may raise OSError; all but close() raise OSError (EBADF) once it is closed, also
    those that wait then; and TimeoutError while the deadline of their side has passed, which
    `file` tells and whose wait() ends then.
    """

    file: Pollfile
    """Its waits and deadlines."""
    greedy = True
    """Whether more than a reader asks for may be taken from it."""
    closed = False

    def recv(self, n: int) -> Awaitable[bytes]:
        """From 1 to n bytes; b"" at the end. Cancelled, it has taken none."""
        raise NotImplementedError

    def send(self, data: memoryview) -> Awaitable[None]:
        """All of data, which has bytes for items. What it raises, a cancel too, has in
        `written` how many went out."""
        raise NotImplementedError

    async def sendv(self, buffers: list[memoryview]) -> None:
        """As send, one after the other."""
        done = 0
        for data in buffers:
            try:
                await self.send(data)
            except BaseException as exc:
                exc.written = done + written(exc)  # type: ignore[attr-defined]
                raise
            done += len(data)

    async def sendfile(self, file: IO[bytes], offset: int, count: int | None) -> int:
        """Up to count bytes of a file, of all there are for None; how many."""
        done = 0
        fd = file.fileno()
        while count is None or done < count:
            n = _CHUNK if count is None else min(_CHUNK, count - done)
            try:
                data = await syscall(os.pread, fd, n, offset + done)
                if not data:
                    break
                await self.send(memoryview(data))
            except BaseException as exc:
                exc.written = done + written(exc)  # type: ignore[attr-defined]
                raise
            done += len(data)
        return done

    async def close_write(self) -> None:
        """Let the other end see the end, once it has read all."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close it, also when the goroutine is cancelled; idempotent."""
        raise NotImplementedError

    def set_deadline(self, mode: int, seconds: float | None) -> None:
        """As Conn's, for the sides in mode: 1 to read, 2 to write."""
        self.file.set_deadline(mode, seconds)

    @property
    def sock(self) -> Any:
        """The socket beneath; AttributeError where there is none."""
        raise AttributeError(f"{type(self).__name__} has no socket")

    def local_addr(self) -> Any:
        """The address of this end; None where there is none."""
        return None

    def remote_addr(self) -> Any:
        """The address of the other end; None where there is none."""
        return None


def written(exc: BaseException) -> int:
    """How many bytes had gone out when exc was raised."""
    n: int = getattr(exc, "written", 0)
    return n


def closed(what: str) -> OSError:
    return OSError(errno.EBADF, f"{what}: the connection is closed")


def bytesof(data: Any, what: str) -> memoryview:
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(
            f"{what}: data must be bytes-like, such as bytes, not {type(data).__name__}"
        ) from None
    if not view.c_contiguous:
        raise ValueError(f"{what}: data must be contiguous")
    return view.cast("B")


def checksize(n: Any, what: str, name: str = "n", least: int = 0) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"{what}: {name} must be an int, not {type(n).__name__}")
    size = n.__index__()
    if size < least:
        raise ValueError(f"{what}: {name} must be at least {least}, not {size}")
    return int(size)


class Conn(Netconn):
    """A connection. One goroutine at a time reads from it, and one writes to it: a second
    gets RuntimeError. Any may close it and set its deadlines, from any thread.

    Every call but close() raises OSError (EBADF) once it is closed, also one that waits
    then; OSError as the system has it; TimeoutError from its side's deadline on. A read that
    is cancelled leaves what had come for the next. What a write raises, a cancel too, says in
    `written` how many bytes went out.
    """

    __slots__ = ("_transport",)

    def __init__(self, transport: Transport, data: bytes = b"") -> None:
        """transport: what it is made of; data: bytes that have been read from that."""
        super().__init__(transport.file, transport.greedy, bytes(data))
        self._transport = transport

    @property
    def transport(self) -> Transport:
        """What it is made of."""
        return self._transport

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._transport.closed

    @property
    def sock(self) -> Any:
        """The socket beneath; AttributeError where there is none."""
        return self._transport.sock

    @property
    def local_addr(self) -> Any:
        """The address of this end, as socket.getsockname(); None where there is none."""
        return self._transport.local_addr()

    @property
    def remote_addr(self) -> Any:
        """The address of the other end, as socket.getpeername(); None where there is none."""
        return self._transport.remote_addr()

    # ---- reading

    def read(self, n: int = _CHUNK) -> Awaitable[bytes]:
        """From 1 to n bytes, as soon as some have come; b"" at the end. Await it."""
        if type(n) is not int or n <= 0:
            n = checksize(n, "read")
        return self._get("read", None, n)

    def read_exactly(self, n: int) -> Awaitable[bytes]:
        """n bytes. Raises IncompleteRead, with what had come in `partial`, when the stream
        ends before."""
        return self._get("read_exactly", False, checksize(n, "read_exactly"))

    def read_until(self, sep: Buffer, *, limit: int = _CHUNK) -> Awaitable[bytes]:
        """The bytes up to sep, and sep. Raises LimitExceeded when it does not end within
        limit bytes, which stay to be read, and IncompleteRead at the end."""
        what = bytesof(sep, "read_until").tobytes()
        if not what:
            raise ValueError("read_until: sep must not be empty")
        return self._get("read_until", what, checksize(limit, "read_until", "limit", 1))

    def readline(self, *, limit: int = _CHUNK) -> Awaitable[bytes]:
        """A line with its b"\n", which the last may lack; b"" at the end. Raises
        LimitExceeded as read_until."""
        if type(limit) is not int or limit <= 0:
            limit = checksize(limit, "readline", "limit", 1)
        return self._get("readline", True, limit)

    async def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read into a writable buffer, as read; how many bytes."""
        view = bytesof(buffer, "readinto")
        if view.readonly:
            raise TypeError("readinto: the buffer must be writable, such as a bytearray")
        data = await self._get("readinto", None, len(view))
        view[: len(data)] = data
        return len(data)

    def read_op(self, n: int = _CHUNK) -> Awaitable[bytes]:
        """As read, for gort.select. Over a stream socket."""
        return self.read(n)

    def __aiter__(self) -> Conn:
        return self

    async def __anext__(self) -> bytes:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    def _get(self, what: str, kind: Any, n: int) -> Awaitable[bytes]:
        """A read of a kind, as take() has it."""
        return self._reading(what, self._driven, what, kind, n)

    async def _driven(self, what: str, kind: Any, n: int) -> bytes:
        transport = self._transport
        if n == 0:
            return b""
        while (found := self.take(kind, n)) is None:
            data = await transport.recv(self.want(kind, n))
            if not data:
                return self.rest(kind, n)
            self.feed(data)
        return bytes(found)

    async def _reading(self, what: str, fn: Callable[..., Awaitable[_T]], *args: Any) -> _T:
        self.enter(READ, what)
        try:
            if self._transport.closed:
                raise closed(what)
            await checkpoint()
            return await fn(*args)
        finally:
            self.leave(READ)

    def detach(self) -> bytes:
        """Give up the buffer: what has come and was not read. For a protocol's switch, when
        nobody reads. Raises RuntimeError when somebody does."""
        self.enter(READ, "detach")
        try:
            return bytes(self.take(None, self.buffered()) or b"")
        finally:
            self.leave(READ)

    # ---- writing

    def write(self, data: Buffer) -> Awaitable[None]:
        """Write all of data, which must not change until then."""
        return self._writing("write", self._transport.send, bytesof(data, "write"))

    def writelines(self, buffers: Iterable[Buffer]) -> Coroutine[Any, Any, None]:
        """Write all buffers, in one system call where that can be."""
        if isinstance(buffers, (bytes, bytearray, memoryview, str)):
            raise TypeError(
                f"writelines: expected an iterable of bytes, not {type(buffers).__name__}"
            )
        views = [bytesof(data, "writelines") for data in buffers]
        return self._writing("writelines", self._transport.sendv, views)

    def sendfile(
        self, file: IO[bytes], offset: int = 0, count: int | None = None
    ) -> Coroutine[Any, Any, int]:
        """Write count bytes of a binary file from offset on, up to its end for None; how
        many. The file's position stays."""
        if isinstance(getattr(file, "mode", "rb"), str) and "b" not in getattr(file, "mode", "rb"):
            raise ValueError("sendfile: the file must be open in binary mode")
        if not hasattr(file, "fileno"):
            raise TypeError(f"sendfile: expected a file, not {type(file).__name__}")
        at = checksize(offset, "sendfile", "offset")
        most = None if count is None else checksize(count, "sendfile", "count")
        return self._writing("sendfile", self._transport.sendfile, file, at, most)

    async def _writing(self, what: str, fn: Callable[..., Awaitable[_T]], *args: Any) -> _T:
        self.enter(WRITE, what)
        try:
            if self._transport.closed:
                raise closed(what)
            await checkpoint()
            return await fn(*args)
        except BaseException as exc:
            if not hasattr(exc, "written"):
                exc.written = 0  # type: ignore[attr-defined]
            raise
        finally:
            self.leave(WRITE)

    def close_write(self) -> Coroutine[Any, Any, None]:
        """Send no more: the other end reads to the end, and may go on to send."""
        return self._writing("close_write", self._transport.close_write)

    async def close(self) -> None:
        """Close it, and wake whoever reads or writes with OSError (EBADF). Idempotent; a
        cancel does not keep it from closing."""
        await self._transport.close()

    # ---- deadlines

    def set_deadline(self, seconds: float | None) -> None:
        """Have reads and writes, also those that wait, raise TimeoutError from so many
        seconds from now on, until it is set anew; None: never. Zero or less have passed.
        What lies in the buffer is given out still."""
        self._setdeadline(READ | WRITE, seconds)

    def set_read_deadline(self, seconds: float | None) -> None:
        """As set_deadline, for reads."""
        self._setdeadline(READ, seconds)

    def set_write_deadline(self, seconds: float | None) -> None:
        """As set_deadline, for writes."""
        self._setdeadline(WRITE, seconds)

    def _setdeadline(self, mode: int, seconds: float | None) -> None:
        if self._transport.closed:
            raise closed("set_deadline")
        self._transport.set_deadline(mode, seconds)

    # ---- sockets' own

    def _socketcall(self, name: str) -> Any:
        fn = getattr(self._transport, name, None)
        if fn is None:
            raise TypeError(f"{name} is for connections over unix sockets")
        return fn

    def send_fds(self, data: Buffer, fds: Iterable[int]) -> Coroutine[Any, Any, None]:
        """Write data, at least a byte, and hand the other process copies of descriptors with
        its first byte. Unix sockets alone."""
        view = bytesof(data, "send_fds")
        if not len(view):
            raise ValueError("send_fds: data must have a byte at least, to carry descriptors")
        return self._writing("send_fds", self._socketcall("send_fds"), view, list(fds))

    def recv_fds(self, n: int, maxfds: int) -> Coroutine[Any, Any, tuple[bytes, list[int]]]:
        """From 1 to n bytes, and the descriptors, at most maxfds, that came with them, which
        are the caller's to close. b"" and none at the end. Unix sockets alone."""
        fn = self._socketcall("recv_fds")
        size = checksize(n, "recv_fds", least=1)
        most = checksize(maxfds, "recv_fds", "maxfds")
        return self._reading("recv_fds", self._recvfds, fn, size, most)

    async def _recvfds(self, fn: Any, n: int, most: int) -> tuple[bytes, list[int]]:
        found = self.take(None, n)
        if found is not None:
            return bytes(found), []
        data, fds = await fn(n, most)
        return data, fds

    @property
    def peer_credentials(self) -> tuple[int, int, int]:
        """The pid, uid and gid of the process at the other end of a unix socket."""
        pid, uid, gid = self._socketcall("peer_credentials")()
        return pid, uid, gid

    async def __aenter__(self) -> Conn:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.local_addr} to {self.remote_addr}"
        return f"<gort.net.Conn {state}>"
