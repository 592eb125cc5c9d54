"""net.listen and what it gives."""

from __future__ import annotations

import errno
import logging
import os
import socket as _socket
import stat
from typing import Any

from ..runtime.netfd import Using, closesock
from ..runtime.netpoll import wait_readable
from ..runtime.timers import sleep
from .address import Address, checknetwork, hostport, shown, unixpath
from .conn import Conn, checksize
from .lookup import resolve
from .stream import Stream, Streamconn, tune

__all__ = ["Listener", "bound", "listen"]

_log = logging.getLogger("gort.net")
_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSES = 0.005, 1.0
_GONE = {errno.ECONNABORTED, errno.EPROTO, errno.EINTR}


class Listener:
    """A socket that listens. Any number of goroutines accept from it.

    async for gives its connections, until it is closed.
    """

    __slots__ = ("sock", "_addr", "_closed", "_inode", "__weakref__")

    def __init__(self, sock: _socket.socket) -> None:
        """sock: a listening socket, which is made non-blocking and is the Listener's."""
        sock.setblocking(False)
        self.sock = sock
        self._addr = sock.getsockname()
        self._closed = False
        self._inode = inode(sock, self._addr)

    @property
    def addr(self) -> Any:
        """The address it listens on, as socket.getsockname()."""
        return self._addr

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    async def accept(self) -> Conn:
        """The next connection. Raises OSError (EBADF) once it is closed. Where the process
        or the system is out of descriptors it says so in the log ("gort.net"), and tries
        again after a pause."""
        pause = _PAUSES[0]
        while True:
            try:
                sock, remote = await self._accept()
            except OSError as exc:
                if self._closed or exc.errno not in _SHORT | _GONE:
                    raise
                if exc.errno in _SHORT:
                    _log.warning("accept: %s; trying again in %g s", exc, pause)
                    await sleep(pause)
                    pause = min(2 * pause, _PAUSES[1])
                continue
            sock.setblocking(False)
            return self._conn(sock, remote)

    def _conn(self, sock: _socket.socket, remote: Any) -> Conn:
        return Streamconn(Stream(sock, remote))

    async def _accept(self) -> tuple[_socket.socket, Any]:
        sock = self.sock
        while True:
            try:
                with Using(sock):
                    if self._closed:
                        raise OSError(errno.EBADF, "accept: the listener is closed")
                    return sock.accept()
            except BlockingIOError:
                pass
            try:
                op = wait_readable(sock)
            except ValueError:
                raise OSError(errno.EBADF, "accept: the listener is closed") from None
            await op

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> Conn:
        try:
            return await self.accept()
        except OSError:
            if self._closed:
                raise StopAsyncIteration from None
            raise

    async def close(self) -> None:
        """Listen no more, and wake who accepts with OSError (EBADF); a unix socket's path is
        removed. Idempotent; what was accepted stays open."""
        if self._closed:
            return
        self._closed = True
        closesock(self.sock)
        if self._inode is not None:
            try:
                if pathinode(self._addr) == self._inode:
                    os.unlink(self._addr)
            except OSError:
                pass

    async def __aenter__(self) -> Listener:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "listening"
        return f"<gort.net.{type(self).__name__} {state} on {shown(self._addr)}>"


def inode(sock: _socket.socket, addr: Any) -> tuple[int, int] | None:
    """What says whether a unix socket's path is still its own; None for all others."""
    if sock.family != _socket.AF_UNIX or not addr or addr[:1] in ("\0", b"\0"):
        return None
    try:
        return pathinode(addr)
    except OSError:
        return None


def pathinode(path: Any) -> tuple[int, int] | None:
    st = os.stat(path)
    return (st.st_dev, st.st_ino) if stat.S_ISSOCK(st.st_mode) else None


async def bound(network: str, address: Address, what: str, reuse_port: bool) -> _socket.socket:
    """A non-blocking socket that is bound to an address."""
    if network == "unix":
        path = unixpath(address, what)
        return bind(int(_socket.AF_UNIX), int(_socket.SOCK_STREAM), 0, path, what, reuse_port)
    host, port = hostport(address, what)
    if host == "" and not network.endswith(("4", "6")):
        host = "::" if _socket.has_dualstack_ipv6() else "0.0.0.0"
    elif host == "":
        host = "::" if network.endswith("6") else "0.0.0.0"
    infos = await resolve(network, host, port, what)
    ipv4 = [info for info in infos if info[0] == _socket.AF_INET]
    family, type, proto, where = (ipv4 or infos)[0]
    both = host == "::" and not network.endswith("6")
    return bind(int(family), int(type), proto, where, what, reuse_port, both)


def bind(
    family: int, type: int, proto: int, where: Any, what: str, reuse_port: bool, both: bool = False
) -> _socket.socket:
    sock = _socket.socket(family, type, proto)
    try:
        sock.setblocking(False)
        if family != _socket.AF_UNIX and type == _socket.SOCK_STREAM:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, 1)
        if family == _socket.AF_INET6:
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 0 if both else 1)
        sock.bind(where)
        tune(sock)
    except OSError as exc:
        sock.close()
        code = exc.errno or errno.EINVAL
        raise OSError(code, f"{os.strerror(code)}: {what} on {shown(where)}") from None
    return sock


async def listen(
    network: str, address: Address, *, backlog: int = 4096, reuse_port: bool = False
) -> Listener:
    """Listen for connections: a Listener.

    network: "tcp", "tcp4", "tcp6" or "unix". address: "host:port" or (host, port), without a
    host on all addresses, with port 0 on a free one; of a unix socket its path, or "\\0name".
    reuse_port: others may listen there too, and the kernel spreads what comes.

    Raises OSError when it cannot be had, socket.gaierror for a name that does not resolve,
    TypeError and ValueError for another network or address.
    """
    checknetwork(network, "listen", "tcp", "unix")
    return Listener(await listening(network, address, backlog, reuse_port))


async def listening(
    network: str, address: Address, backlog: int, reuse_port: bool
) -> _socket.socket:
    most = checksize(backlog, "listen", "backlog")
    sock = await bound(network, address, "listen", reuse_port)
    try:
        sock.listen(most)
    except OSError as exc:
        where = shown(sock.getsockname())
        sock.close()
        code = exc.errno or errno.EINVAL
        raise OSError(code, f"{os.strerror(code)}: listen on {where}") from None
    return sock
