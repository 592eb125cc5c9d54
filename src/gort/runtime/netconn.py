"""What of net.Conn is compiled: the read buffer, who is in it, and reads and writes as ops.

The buffer's logic stands here once: take() gives what a read asks for, or None until enough
is there; feed() puts what came behind it. Connop drives it over a stream socket, in one step
where it can be done; net/conn.py drives it over every other transport.

A read's kind lies in `error`: None for up to n bytes, False for n exactly, True for a line of
at most n, ... for the same in an iteration, bytes for all up to that separator within n.
"""

from __future__ import annotations

import errno
import os
from typing import Any

import cython

from .gmp import M, P
from .netpoll import Iowait, Polldesc
from .pollfile import Pollfile

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        STOPASYNC,
        YIELD,
        atomic,
        bufcut,
        buffind,
        cas,
        connrecv,
        connsend,
        curm,
        getm,
        install_slots,
        load,
        lock,
        poolget,
        poolops,
        sockfileno,
        sockid,
        store,
        store_rel,
        unlock,
    )
    from .gmp import OPAWAITED, WPENDING
    from .netpoll import GONE, LATE, READ, WRITE, np

    CHUNK = 65536
    SIDES = 3

    def keeprecvbuf() -> None:
        return


_EAGAIN = errno.EAGAIN


class IncompleteRead(EOFError):
    """The stream ended before all had come that was asked for; partial: what had."""

    def __init__(self, partial: bytes, wanted: str) -> None:
        super().__init__(f"the stream ended after {len(partial)} bytes, {wanted}")
        self.partial = partial


class LimitExceeded(ValueError):
    """No separator came within the limit; what came is still to be read."""


class Netconn:
    """The buffer of a connection, and who is in its two sides.

    file: what it waits for. greedy: whether more may be received than is asked for. buf: what
    came, from pos on; up to scan there is no separator. reading, writing: 0, or what stands
    for who is there: an op's address, -1 for a coroutine. rgoid, wgoid: its goroutine.
    """

    __slots__ = (
        "file",
        "greedy",
        "buf",
        "pos",
        "scan",
        "got",
        "reading",
        "writing",
        "rgoid",
        "wgoid",
        "__weakref__",
    )

    def __init__(self, file: Pollfile, greedy: bool, data: bytes) -> None:
        if not cython.compiled:
            self.reading = atomic()
            self.writing = atomic()
            self.pos = self.scan = self.rgoid = self.wgoid = 0
            self.got = None
        self.file = file
        self.greedy = greedy
        self.buf = data

    # Of a Conn over a stream socket alone (net/stream.py), which has them for its own.

    def streamread(self, n: int = CHUNK) -> Any:
        """From 1 to n bytes, as soon as some have come; b"" at the end. Await it."""
        if type(n) is not int or n <= 0:
            n = size(n, "read")
        return newconnop(self, READ, None if n else False, n)

    def streamline(self, *, limit: int = CHUNK) -> Any:
        """A line with its b"\\n", which the last may lack; b"" at the end. Await it. Raises
        LimitExceeded, and the bytes stay to be read, when it is longer than limit."""
        if type(limit) is not int or limit <= 0:
            raise wronglimit(limit)
        return newconnop(self, READ, True, limit)

    def streamnext(self) -> Any:
        return newconnop(self, READ, ..., CHUNK)

    def streamwrite(self, data: Any) -> Any:
        """Write all of data, which must not change until then. Await it."""
        return newconnop(self, WRITE, data if type(data) is bytes else bytesof(data), 0)

    def enter(self, mode: int, what: str) -> None:
        """A coroutine is in a side from here on. RuntimeError when somebody is there."""
        if not acquire(self, mode, -1):
            raise busy(self, mode, what)

    def leave(self, mode: int) -> None:
        vacate(self, mode, -1)

    def take(self, kind: Any, n: int) -> Any:
        """What a read of this kind asks for; None when that is not there. LimitExceeded."""
        return taken(self, kind, n)

    def want(self, kind: Any, n: int) -> int:
        """How much to receive for it."""
        return wanted(self, kind, n)

    def feed(self, data: bytes) -> None:
        """data has come."""
        fed(self, data)

    def rest(self, kind: Any, n: int) -> bytes:
        """What a read gives at the end of the stream; IncompleteRead."""
        return ended(self, kind, n)

    def buffered(self) -> int:
        """How many bytes have come and were not read."""
        return len(self.buf) - self.pos


def size(n: Any, what: str) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"{what}: n must be an int, not {type(n).__name__}")
    n = n.__index__()
    if n < 0:
        raise ValueError(f"{what}: n must be at least 0, not {n}")
    return n


def wronglimit(limit: Any) -> Exception:
    if isinstance(limit, int):
        return ValueError(f"readline: limit must be at least 1, not {limit}")
    return TypeError(f"readline: limit must be an int, not {type(limit).__name__}")


def bytesof(data: Any) -> memoryview:
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(
            f"write: data must be bytes-like, such as bytes, not {type(data).__name__}"
        ) from None
    if not view.c_contiguous:
        raise ValueError("write: data must be contiguous")
    return view.cast("B")


def acquire(c: Netconn, mode: int, who: int) -> bool:
    """Go into a side; whether it was free, or one's own."""
    mp: M = getm()
    goid = mp.curg.goid if mp is not None and mp.curg is not None else 0
    if mode & READ:
        if not cas(c.reading, 0, who):
            return who > 0 and load(c.reading) == who
        c.rgoid = goid
    else:
        if not cas(c.writing, 0, who):
            return who > 0 and load(c.writing) == who
        c.wgoid = goid
    return True


def vacate(c: Netconn, mode: int, who: int) -> None:
    """Leave a side, if one is there yet."""
    if mode & READ:
        cas(c.reading, who, 0)
    else:
        cas(c.writing, who, 0)


def busy(c: Netconn, mode: int, what: str) -> RuntimeError:
    goid = c.rgoid if mode & READ else c.wgoid
    return RuntimeError(
        f"{what}: goroutine {goid} is in a call of this side of the connection: one at a time "
        "reads, and one writes"
    )


def taken(c: Netconn, kind: Any, n: int) -> Any:
    have = len(c.buf) - c.pos
    if kind is None:
        if have == 0:
            return None
        return cut(c, min(n, have))
    if kind is False:
        return None if have < n else cut(c, n)
    line = kind is True or kind is ...
    sep = b"\n" if line else kind
    at = buffind(c.buf, sep, max(c.scan, c.pos), min(c.pos + n, len(c.buf)))
    if at >= 0:
        return cut(c, at + len(sep) - c.pos)
    if have >= n:
        c.scan = 0
        what = "line" if line else f"bytes up to {kind!r}"
        raise LimitExceeded(f"the {what} did not end within {n} bytes")
    c.scan = max(c.pos, len(c.buf) - len(sep) + 1)
    return None


def cut(c: Netconn, n: int) -> bytes:
    """Take the next n bytes, which are there."""
    data = bufcut(c.buf, c.pos, n)
    c.scan = 0
    c.pos += n
    if c.pos == len(c.buf):
        c.buf = b""
        c.pos = 0
    return data


def wanted(c: Netconn, kind: Any, n: int) -> int:
    if kind is None:
        return max(n, CHUNK) if c.greedy else n
    if kind is False:
        left = n - (len(c.buf) - c.pos)
        return max(left, CHUNK) if c.greedy else left
    return CHUNK


def fed(c: Netconn, data: Any) -> None:
    if c.pos == len(c.buf):
        c.buf = data
        c.pos = c.scan = 0
        return
    if type(c.buf) is not bytearray:
        c.buf = bytearray(c.buf)
    if c.pos > 0:
        del c.buf[: c.pos]
        c.scan = max(0, c.scan - c.pos)
        c.pos = 0
    c.buf += data


def ended(c: Netconn, kind: Any, n: int) -> bytes:
    have = len(c.buf) - c.pos
    if kind is None or kind is True or kind is ...:
        return cut(c, have) if have else b""
    data = cut(c, have) if have else b""
    raise IncompleteRead(data, f"{n} were asked for" if kind is False else f"without {kind!r}")


@cython.no_gc
@cython.cclass
class Connop(Iowait):
    """A read (mode 1) from a stream socket, or a write (mode 2) of `error`, of which n bytes
    have gone. value: the Netconn, until there is a result."""

    __slots__ = ("n",)

    def opname(self) -> str:
        return "a read of a Conn" if self.mode & READ else "a write to a Conn"

    def start(self, pp: P) -> int:
        c: Netconn = self.value
        self.fd = sockfileno(c.file.sock)
        if self.fd < 0:
            return self.failed(errno.EBADF)
        if not acquire(c, self.mode, sockid(self)):
            what = "read" if self.mode == READ else "write"
            return self.fail(busy(c, self.mode, what))
        code = self.first(c, pp)
        if code != YIELD:
            vacate(c, self.mode, sockid(self))
        return code

    @cython.final
    def first(self, c: Netconn, pp: P) -> int:
        if self.mode == READ:
            if self.filled(c):
                return RAISE if self.code == RAISE else RETURN
            if self.startkept():
                return YIELD
        code = self.proceed(c)
        return Iowait.start(self, pp) if code == YIELD else code

    @cython.final
    def filled(self, c: Netconn) -> bool:
        """Whether the buffer has what is read for; code is RAISE where it never will."""
        self.code = RETURN
        try:
            data = taken(c, self.error, self.n)
        except LimitExceeded as exc:
            self.error = None
            self.value = exc
            self.code = RAISE
            return True
        if data is None:
            return False
        self.error = None
        self.value = data
        return True

    @cython.final
    def proceed(self, c: Netconn) -> int:
        """Do what can be done without waiting: YIELD where more would wait."""
        while True:
            err = self.attempt(c)
            if err == _EAGAIN:
                return YIELD
            if err != 0:
                return self.failed(err)
            if self.mode == WRITE:
                self.letgo()
                self.value = None
                return RETURN
            data = c.got
            c.got = None
            if len(data) == 0:
                return self.atend(c)
            fed(c, data)
            if self.filled(c):
                return RAISE if self.code == RAISE else RETURN

    @cython.final
    def attempt(self, c: Netconn) -> int:
        """One recv, or send: an errno, or 0. Step 1 of closing (netfd.py)."""
        if c.file.late & self.mode:
            return errno.ETIMEDOUT
        mp: M = curm()
        sock = c.file.sock
        store(mp.using, sockid(sock))
        self.fd = sockfileno(sock)
        more = False
        if self.fd < 0:
            err = errno.EBADF
        elif self.mode == READ:
            size = wanted(c, self.error, self.n)
            c.got = sock
            err = connrecv(c, size)
            if err != 0:
                c.got = None
            else:
                more = len(c.got) == size
        else:
            err = connsend(self, sock)
        store_rel(mp.using, 0)
        if more:
            self.setmore()
        return err

    @cython.final
    def setmore(self) -> None:
        """As much came as was asked for: there may be more."""
        lock(np.lock)
        pd: Polldesc = np.pds.get(self.fd)
        if pd is not None:
            pd.more = True
        unlock(np.lock)

    @cython.final
    def atend(self, c: Netconn) -> int:
        kind = self.error
        self.error = None
        if kind is ... and c.pos == len(c.buf):
            self.value = None
            return STOPASYNC
        try:
            self.value = ended(c, kind, self.n)
        except IncompleteRead as exc:
            self.value = exc
            return RAISE
        return RETURN

    def finish(self) -> int:
        c: Netconn = self.value
        if self.mode & (GONE | LATE):
            late = self.mode & LATE != 0
            self.mode &= SIDES
            code = self.failed(errno.ETIMEDOUT if late else errno.EBADF)
        else:
            code = self.proceed(c)
            if code == YIELD:
                # Nobody refers to the wait that is over: its winner took it off its queue.
                self.state = OPAWAITED
                store(self.won, WPENDING)
                return self.step()
        vacate(c, self.mode, sockid(self))
        return code

    def barred(self, sock: Any) -> int:
        c: Netconn = self.value
        if sockfileno(c.file.sock) != self.fd:
            return GONE
        return LATE if c.file.late & self.mode else 0

    def islate(self) -> bool:
        c: Netconn = self.value
        return c.file.late & self.mode != 0

    def waitsfor(self, f: Any) -> bool:
        c: Netconn = self.value
        return c.file is f

    @cython.final
    def failed(self, err: int) -> int:
        if err == errno.ETIMEDOUT and self.tardy():
            what = "read" if self.mode == READ else "write"
            return self.fail(TimeoutError(err, f"the {what} deadline has passed"))
        if err == errno.EBADF:
            return self.fail(OSError(err, "the connection is closed"))
        return self.fail(OSError(err, os.strerror(err)))

    @cython.final
    def tardy(self) -> bool:
        """Whether a time-out is the deadline's, and not the system's."""
        c: Netconn = self.value
        return c.file.late & self.mode != 0

    def fail(self, exc: BaseException) -> int:
        if isinstance(self.value, Netconn):  # also where a cancel refuses it a second wait
            vacate(self.value, self.mode & SIDES, sockid(self))
        if self.mode & WRITE:
            try:
                exc.written = self.n
            except AttributeError:
                pass
            self.letgo()
        self.value = exc
        return RAISE

    @cython.final
    def letgo(self) -> None:
        """Let go of what was written. Its buffer at once, as its owner may want it."""
        if type(self.error) is memoryview:
            self.error.release()
        self.error = None

    def unqueue(self) -> None:
        c: Netconn = self.value
        Iowait.unqueue(self)
        vacate(c, self.mode & SIDES, sockid(self))


def newconnop(c: Netconn, mode: int, what: Any, n: int) -> Connop:
    op = poolget()
    if op is None:
        op = Connop.__new__(Connop)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
            op.next = op.prev = op.error = op.ref = None
    op.mode = mode
    op.ref = c.file.ref
    op.value = c
    op.error = what
    op.n = n
    return op


def connread(c: Netconn, kind: Any, n: int) -> Any:
    """A read of a Conn over a stream socket; await it."""
    return newconnop(c, READ, kind, n)


def connwrite(c: Netconn, data: Any) -> Any:
    """A write of bytes, or of a memoryview of bytes; await it."""
    return newconnop(c, WRITE, data, 0)


install_slots(Connop)
poolops(Connop)
keeprecvbuf()
