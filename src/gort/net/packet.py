"""net.listen_packet: datagrams."""

from __future__ import annotations

import socket as _socket
from typing import Any

from ..runtime.netfd import closesock
from ..runtime.pollfile import Pollfile
from .address import Address, checknetwork, hostport, shown
from .conn import READ, WRITE, Buffer, bytesof, checksize
from .listen import bound
from .lookup import literal, resolve
from .stream import attempt

__all__ = ["PacketConn", "listen_packet"]


class PacketConn:
    """A datagram socket, from and to anybody. Any number of goroutines may use it."""

    __slots__ = ("_file", "_network", "_addr", "_closed", "__weakref__")

    def __init__(self, sock: _socket.socket, network: str = "udp") -> None:
        """sock: a datagram socket, which is made non-blocking and is the PacketConn's."""
        sock.setblocking(False)
        self._file = Pollfile(sock)
        self._network = network
        self._addr = sock.getsockname()
        self._closed = False

    @property
    def sock(self) -> _socket.socket:
        """The socket, for its options, such as multicast groups."""
        sock: _socket.socket = self._file.sock
        return sock

    @property
    def addr(self) -> Any:
        """Its address, as socket.getsockname()."""
        return self._addr

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._closed

    async def read_from(self, n: int = 65536) -> tuple[bytes, Any]:
        """A datagram, cut to n bytes, and where it came from. Raises OSError, with EBADF
        once it is closed."""
        size = checksize(n, "read_from")
        data, addr = await attempt(self._file, READ, self.sock.recvfrom, size)
        return data, addr

    async def write_to(self, data: Buffer, addr: Address) -> int:
        """Send data as a datagram to "host:port" or (host, port); how many bytes. Raises
        OSError, with EBADF once it is closed, and socket.gaierror."""
        view = bytesof(data, "write_to")
        where = await self._where(addr)
        return await attempt(self._file, WRITE, self.sock.sendto, view, where)

    async def _where(self, addr: Address) -> Any:
        host, port = hostport(addr, "write_to")
        six = self.sock.family == _socket.AF_INET6
        if six and literal(host) == _socket.AF_INET:
            host = "::ffff:" + host
        if isinstance(addr, tuple) and literal(host):
            return (host, *addr[1:])
        network = "udp6" if six else "udp4"
        return (await resolve(network, host or "localhost", port, "write_to"))[0][3]

    async def close(self) -> None:
        """Close it, and wake who reads or writes with OSError (EBADF). Idempotent."""
        if not self._closed:
            self._closed = True
            closesock(self.sock)

    async def __aenter__(self) -> PacketConn:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<gort.net.PacketConn {state} on {shown(self._addr)}>"


async def listen_packet(network: str, address: Address) -> PacketConn:
    """A datagram socket bound to an address: a PacketConn.

    network: "udp", "udp4" or "udp6"; the address as listen's, and errors too.
    """
    checknetwork(network, "listen_packet", "udp")
    return PacketConn(await bound(network, address, "listen_packet", False), network)
