"""net.dial: Happy Eyeballs (RFC 8305) over the addresses of a name."""

from __future__ import annotations

import errno
import os
import socket as _socket
from itertools import zip_longest
from typing import Any

from ..runtime.boot import go
from ..runtime.chan import chan
from ..runtime.netfd import Using, closesock
from ..runtime.netpoll import wait_writable
from ..runtime.select import select
from ..runtime.ticks import after
from ..runtime.timeout import shield
from ..runtime.timers import sleep
from .address import Address, checknetwork, hostport, shown, unixpath
from .conn import Conn
from .lookup import Info, resolve
from .stream import Stream, Streamconn, tune

__all__ = ["dial"]

DELAY = 0.25
"""How many seconds after an attempt the next begins, while none has succeeded."""


async def dial(network: str, address: Address, *, local_address: Address | None = None) -> Conn:
    """Connect: a Conn.

    network: "tcp", "tcp4", "tcp6", "unix", or "udp", "udp4", "udp6" for a connected datagram
    socket, of which each read and write is a datagram. address: "host:port" or (host, port);
    of a unix socket its path, or "\\0name". local_address: what to connect from. The addresses
    of a name are tried in turn, IPv6 and IPv4 alternately, each a quarter of a second after the
    one before, or when that has failed.

    Raises OSError, of the first address, when none can be connected to; socket.gaierror for
    a name that does not resolve; TypeError and ValueError for another network or address.
    """
    checknetwork(network, "dial", "tcp", "unix", "udp")
    if network == "unix":
        path = unixpath(address, "dial")
        local = None if local_address is None else unixpath(local_address, "dial")
        info = int(_socket.AF_UNIX), int(_socket.SOCK_STREAM), 0, path
        return conn(await attempt(info, local), path)
    host, port = hostport(address, "dial")
    infos = interleaved(await resolve(network, host or "localhost", port, "dial"))
    local = None
    if local_address is not None:
        fromhost, fromport = hostport(local_address, "dial: local_address")
        own = await locals_of(network, fromhost, fromport)
        infos = [info for info in infos if info[0] in own]
        if not infos:
            raise OSError(
                errno.EADDRNOTAVAIL,
                f"no address of {host!r} is of the family of {shown((fromhost, fromport))}",
            )
        locals_: dict[int, Any] | None = own
    else:
        locals_ = None
    sock, where = await race(infos, locals_)
    return conn(sock, where)


async def locals_of(network: str, host: str, port: int) -> dict[int, Any]:
    """The address to bind to, for each family."""
    if host == "":
        return {
            int(_socket.AF_INET): ("0.0.0.0", port),
            int(_socket.AF_INET6): ("::", port, 0, 0),
        }
    found: dict[int, Any] = {}
    for info in await resolve(network, host, port, "dial: local_address"):
        found.setdefault(int(info[0]), info[3])
    return found


def conn(sock: _socket.socket, where: Any) -> Conn:
    try:
        tune(sock)
    except OSError:
        pass  # it is broken already, as its first use will tell
    return Streamconn(Stream(sock, where))


def interleaved(infos: list[Info]) -> list[Info]:
    """One of each family in turn, beginning with the first's."""
    first = [i for i in infos if i[0] == infos[0][0]]
    rest = [i for i in infos if i[0] != infos[0][0]]
    return [i for pair in zip_longest(first, rest) for i in pair if i is not None]


async def race(infos: list[Info], own: dict[int, Any] | None) -> tuple[_socket.socket, Any]:
    """The first connection that succeeds, and to where. All others are closed."""
    if len(infos) == 1:
        return await attempt(infos[0], own and own[int(infos[0][0])]), infos[0][3]
    results = chan(len(infos))
    errors: list[Exception] = []
    running: list[Any] = []
    todo = iter(infos)
    winner = None
    try:
        while winner is None:
            info = next(todo, None)
            if info is not None:
                local = own and own[int(info[0])]
                running.append(go(contestant, info, local, results))
            elif len(errors) == len(running):
                raise combined(errors)
            later = after(DELAY).recv() if info is not None else None
            i, got = await select(results.recv(), later)
            if i == 0:
                sock, where, exc = got
                if exc is not None:
                    errors.append(exc)
                else:
                    winner = sock, where
        return winner
    finally:
        async with shield():
            for g in running:
                g.cancel()
            for g in running:
                await g
            results.close()
            async for sock, _, _ in results:
                if sock is not None:
                    closesock(sock)
        del errors


async def contestant(info: Info, local: Any, results: Any) -> None:
    try:
        sock = await attempt(info, local)
    except Exception as exc:
        results.send_nowait((None, info[3], exc))
    except BaseException:
        return  # lost
    else:
        results.send_nowait((sock, info[3], None))


def combined(errors: list[Exception]) -> Exception:
    first = errors[0]
    for exc in errors[1:]:
        first.add_note(str(exc))
    return first


async def attempt(info: Info, local: Any) -> _socket.socket:
    """A socket that is connected to info, and non-blocking."""
    family, type, proto, where = info
    sock = _socket.socket(family, type, proto)
    try:
        sock.setblocking(False)
        if local is not None:
            sock.bind(local)
        await establish(sock, where)
    except BaseException:
        closesock(sock)
        raise
    return sock


async def establish(sock: _socket.socket, where: Any) -> None:
    pause = 0.001
    while True:
        with Using(sock):
            err = sock.connect_ex(where)
        if err != errno.EAGAIN or sock.family != _socket.AF_UNIX:
            break
        await sleep(pause)  # a full backlog, which nothing tells the end of
        pause = min(2 * pause, 0.05)
    if err in (errno.EINPROGRESS, errno.EINTR):
        await wait_writable(sock)
        err = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    if err != 0:
        raise OSError(err, f"{os.strerror(err)}: cannot connect to {shown(where)}")
