"""Sockets for goroutines: recv, sendall, accept and connect, awaited.

They take any socket.socket, whether it blocks or not, but for the uncompiled runtime, which
wants one without a time-out; everything else is the socket's own. Close it with close(),
which wakes who waits for it, and gives its number away only when nobody calls of it.
"""

import errno as _errno
import os as _os
import socket as _socket
from _socket import socket as _Genuine
from collections.abc import Callable, Coroutine
from typing import Any

from ..runtime.netfd import Using as _Using
from ..runtime.netfd import closesock as _closesock
from ..runtime.netfd import recv, sendall
from ..runtime.netpoll import notify_closing, wait_readable, wait_writable
from ..runtime.syscall import syscall

__all__ = ["accept", "close", "connect", "recv", "sendall"]


def _check(sock: Any, what: str) -> None:
    if not isinstance(sock, _socket.socket):
        raise TypeError(f"{what}() wants a socket.socket, not {type(sock).__name__}")
    if sock.fileno() < 0:
        raise ValueError(f"{what}: the socket is closed")


async def _ready(wait: Callable[[Any], Any], sock: _socket.socket) -> None:
    """Await wait(sock), which is closed perhaps since it was tried."""
    try:
        op = wait(sock)
    except ValueError:
        raise OSError(_errno.EBADF, _os.strerror(_errno.EBADF)) from None
    await op


def accept(sock: _socket.socket) -> Coroutine[Any, Any, tuple[_socket.socket, Any]]:
    """Wait for a connection to a listening socket; await it: a socket that does not block,
    and the address of the other end. Makes sock non-blocking.

    Raises OSError as sock.accept does, or with EBADF when the socket was closed meanwhile;
    TypeError and ValueError for what is no open socket.
    """
    _check(sock, "accept")
    return _accept(sock)


async def _accept(sock: _socket.socket) -> tuple[_socket.socket, Any]:
    while True:
        try:
            with _Using(sock):
                sock.setblocking(False)
                conn, address = sock.accept()
        except (BlockingIOError, InterruptedError):
            await _ready(wait_readable, sock)
            continue
        conn.setblocking(False)
        return conn, address


def connect(sock: _socket.socket, address: Any) -> Coroutine[Any, Any, None]:
    """Connect sock to address, and make it non-blocking; await it. A host's name is looked
    up on a thread of the runtime.

    Raises OSError as sock.connect does, or with EBADF when the socket was closed meanwhile;
    TypeError and ValueError for what is no open socket, and for an address of another form
    than its family's, such as (host, port).
    """
    _check(sock, "connect")
    if sock.family in (_socket.AF_INET, _socket.AF_INET6):
        _checkaddress(sock, address)
    return _connect(sock, address)


def _checkaddress(sock: _socket.socket, address: Any) -> None:
    most = 2 if sock.family == _socket.AF_INET else 4
    if not isinstance(address, tuple) or not 2 <= len(address) <= most:
        raise TypeError(f"connect() wants the address as (host, port), not {address!r}")
    host, port = address[:2]
    if not isinstance(host, (str, bytes, bytearray)) or not isinstance(port, int):
        raise TypeError(f"connect() wants a str and an int as (host, port), not {address!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"connect: the port must be from 0 to 65535, not {port}")


async def _connect(sock: _socket.socket, address: Any) -> None:
    where = await _resolved(sock, address)
    with _Using(sock):
        sock.setblocking(False)
        err = sock.connect_ex(where)
    if err in (_errno.EINPROGRESS, _errno.EINTR):
        await _ready(wait_writable, sock)
        err = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    if err != 0:
        raise OSError(err, f"{_os.strerror(err)}: cannot connect to {address!r}")


async def _resolved(sock: _socket.socket, address: Any) -> Any:
    """address with a number for its host: a look-up takes its time, and nobody is to wait
    that long to close the socket."""
    if sock.family not in (_socket.AF_INET, _socket.AF_INET6) or _numeric(sock, address[0]):
        return address
    found = await syscall(
        _socket.getaddrinfo, address[0], address[1], sock.family, sock.type, sock.proto
    )
    where = found[0][4]
    return where[:2] + tuple(address[2:]) if len(address) > 2 else where


def _numeric(sock: _socket.socket, host: Any) -> bool:
    """Whether nothing is looked up for host, as for one of a simulated network."""
    if host in ("", "<broadcast>") or not isinstance(sock, _Genuine):
        return True
    try:
        _socket.inet_pton(sock.family, host)
    except (OSError, TypeError, ValueError):
        return False
    return True


def close(sock: _socket.socket) -> None:
    """Close sock; who waits for it, or is about to use it, gets OSError (EBADF). From any
    thread. It waits until nobody makes a system call with it, as such calls do not block.

    Also closes anything else with fileno() and close(), but there a wait that begins
    meanwhile is not woken; TypeError for what has not.
    """
    cls = type(sock)
    # A simulated socket is of another class, whose close is its own.
    if isinstance(sock, _socket.socket) and cls.close is getattr(
        _socket.socket, "close", cls.close
    ):
        if not getattr(sock, "_io_refs", 0):  # a file of makefile() keeps it open
            _closesock(sock)
    elif cls is type or not all(callable(getattr(cls, n, None)) for n in ("fileno", "close")):
        raise TypeError(f"close() wants a socket.socket, not {cls.__name__}")
    if sock.fileno() >= 0:
        notify_closing(sock)
    sock.close()
