"""Sockets for goroutines: recv, sendall, accept and connect, awaited.

They take any socket.socket, whether it blocks or not, but for the uncompiled runtime, which
wants one without a time-out; everything else is the socket's own. Close it with close(),
which wakes who waits for it.
"""

import errno as _errno
import os as _os
import socket as _socket
from typing import Any

from .runtime.netfd import recv, sendall
from .runtime.netpoll import notify_closing, wait_readable, wait_writable
from .runtime.syscall import syscall

__all__ = ["accept", "close", "connect", "recv", "sendall"]


async def accept(sock: _socket.socket) -> tuple[_socket.socket, Any]:
    """Wait for a connection to a listening socket: a socket that does not block, and the
    address of the other end. Makes sock non-blocking. Raises OSError as sock.accept does.
    """
    sock.setblocking(False)
    while True:
        try:
            conn, address = sock.accept()
        except (BlockingIOError, InterruptedError):
            await wait_readable(sock)
            continue
        conn.setblocking(False)
        return conn, address


async def connect(sock: _socket.socket, address: Any) -> None:
    """Connect sock to address, and make it non-blocking. A host's name is looked up on a
    thread of the runtime. Raises OSError as sock.connect does.
    """
    sock.setblocking(False)
    err = await syscall(sock.connect_ex, address)
    if err in (_errno.EINPROGRESS, _errno.EINTR):
        await wait_writable(sock)
        err = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    if err != 0:
        raise OSError(err, f"{_os.strerror(err)}: cannot connect to {address!r}")


def close(sock: _socket.socket) -> None:
    """Close sock; who waits for it gets OSError (EBADF). From any thread."""
    if sock.fileno() >= 0:
        notify_closing(sock)
    sock.close()
