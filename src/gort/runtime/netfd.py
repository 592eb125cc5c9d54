"""recv and sendall of a socket as ops: one step where it can be done, else a wait and a step.

As Go's poll.FD, they try and wait in turn. Unlike it, a recv waits first where the poller
watches the socket anyway, and all that had come was read the last time: to try is a system
call that finds nothing, in a server that answers what it reads.

Go counts who uses a socket, and the last one closes it (fdmutex). Here nobody counts, as
that would write twice for each call to what the socket's cores share:

1. an attempt stores the socket in its M's `using`, and then reads the socket's number, anew
   for each system call;
2. closesock takes the number out of the socket, and then looks at each M's `using`: while
   one names the socket it waits, as such calls do not block. One that it does not see will
   see no number;
3. only then is who waits woken, and the number closed, under np.lock; a wait reads the
   number under that lock again. So nobody begins to wait for a number that is given away.
"""

from __future__ import annotations

import errno
import operator
import os
import sys
from typing import Any

import cython

from .gmp import M, P
from .netpoll import Iowait, Polldesc

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        YIELD,
        curm,
        fence,
        getm,
        install_slots,
        load,
        lock,
        moved,
        poolget,
        poolops,
        recvnow,
        sendnow,
        sockfileno,
        sockid,
        socknumber,
        sockref,
        socktake,
        store,
        store_rel,
        unlock,
        usleep,
    )
    from .gmp import OPAWAITED, WPENDING, sched
    from .netpoll import GONE, READ, WRITE, evict, np

    AGAIN = -1

    def keeprecvbuf() -> None:
        return


_EAGAIN = errno.EAGAIN


@cython.no_gc
@cython.cclass
class Netop(Iowait):
    """net.recv (mode 1) or net.sendall (mode 2)."""

    # value: the socket, until there is a result. n: how much to receive, or how much of the
    # bytes to send, which lie in `error` as long as there is none, was sent.

    __slots__ = ("n",)

    def opname(self) -> str:
        return "net.recv" if self.mode & READ else "net.sendall"

    def start(self, pp: P) -> int:
        self.fd = sockfileno(self.value)
        if self.fd < 0:
            return self.failed(errno.EBADF)
        if self.mode == READ and self.startkept():
            return YIELD
        code = self.attempt()
        return Iowait.start(self, pp) if code == AGAIN else code

    def finish(self) -> int:
        if self.mode & GONE:
            self.release()
            return self.closed()
        code = self.attempt()
        if code != AGAIN:
            return code
        # Somebody else was faster, or there was room for a part. Nobody refers to the wait
        # that is over: its winner took it off its queue.
        self.state = OPAWAITED
        store(self.won, WPENDING)
        return self.step()

    @cython.final
    def attempt(self) -> int:
        """Do it now: AGAIN where that would block. Step 1 of closing."""
        mp: M = curm()
        store(mp.using, sockid(self.value))
        self.fd = sockfileno(self.value)
        if self.fd < 0:
            err = errno.EBADF
        elif self.mode == READ:
            err = recvnow(self)
        else:
            err = sendnow(self)
        store_rel(mp.using, 0)
        if err == _EAGAIN:
            return AGAIN
        if err != 0:
            return self.failed(err)
        if self.mode == WRITE:
            self.release()
            self.value = None
        elif len(self.value) == self.n:
            self.setmore()
        return RETURN

    @cython.final
    def failed(self, err: int) -> int:
        self.release()
        self.value = OSError(err, os.strerror(err))
        return RAISE

    @cython.final
    def release(self) -> None:
        """Let go of what was to be sent. Its buffer at once: without a GIL the view may go
        later, when the thread that made it gets to that."""
        if type(self.error) is memoryview:
            self.error.release()
        self.error = None

    def unqueue(self) -> None:
        Iowait.unqueue(self)
        self.release()

    def setmore(self) -> None:
        """As much came as was asked for: there may be more."""
        lock(np.lock)
        pd: Polldesc = np.pds.get(self.fd)
        if pd is not None:
            pd.more = True
        unlock(np.lock)


class Using:
    """A block of Python code that calls methods of a socket that does not block: close()
    waits for its end."""

    __slots__ = ("sock",)

    def __init__(self, sock: Any) -> None:
        self.sock = sock

    @cython.locals(mp=M)
    def __enter__(self) -> None:
        mp: M = getm()
        if mp is not None:
            store(mp.using, sockid(self.sock))

    @cython.locals(mp=M)
    def __exit__(self, *exc: Any) -> None:
        mp: M = getm()
        if mp is not None:
            store_rel(mp.using, 0)


def closesock(sock: Any) -> None:
    """Close a socket.socket from any thread, once whoever calls of it. Steps 2 and 3."""
    fd = socktake(sock)
    if fd >= 0:
        fence()
        for mp in list(sched.allm):
            awaitcall(mp, sock)
        evict(fd, True)


def awaitcall(mp: M, sock: Any) -> None:
    """Wait while another M makes a system call with sock."""
    while load(mp.using) == sockid(sock) and mp is not getm():
        usleep(20)


def newnetop(sock: Any, mode: int) -> Netop:
    op = poolget()
    if op is None:
        op = Netop.__new__(Netop)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
            op.next = op.prev = op.error = op.ref = None
    op.mode = mode
    op.ref = sockref(sock)
    op.value = sock
    return moved(op)


def index(n: Any) -> Any:
    try:
        return operator.index(n)
    except TypeError:
        raise TypeError(f"recv: n must be an int, not {type(n).__name__}") from None


def bytesof(data: Any) -> memoryview:
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(
            f"sendall: data must be bytes-like, such as bytes, not {type(data).__name__}"
        ) from None
    return view.cast("B")


@cython.binding(False)
def recv(sock: Any, n: int = 65536) -> Netop:
    """Receive at most n bytes from a stream or datagram socket; await it. b"" at the end of
    a stream.

    Raises OSError as sock.recv does, or with EBADF when the socket was closed or
    gort.notify_closing told of it meanwhile; TypeError and ValueError for what is no open
    socket, such as an ssl.SSLSocket, whose recv is another.
    """
    size = n if type(n) is int else index(n)
    if not 1 <= size <= sys.maxsize:
        most = f"most {sys.maxsize}" if size > 1 else "least 1"
        raise ValueError(f"recv: n must be at {most}, not {size}")
    socknumber(sock, "recv")
    op = newnetop(sock, 1)
    op.n = size
    return moved(op)


@cython.binding(False)
def sendall(sock: Any, data: Any) -> Netop:
    """Send all of data, a bytes-like object, through a socket; await it.

    It must not change until then. A cancel, or an error, may come after a part was sent.
    Raises as recv, and TypeError for what is not bytes-like.
    """
    socknumber(sock, "sendall")
    what = data if type(data) is bytes else bytesof(data)
    op = newnetop(sock, 2)
    op.n = 0
    op.error = what
    return moved(op)


install_slots(Netop)
poolops(Netop)
keeprecvbuf()
