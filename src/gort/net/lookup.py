"""Names and addresses, looked up on the threads of blocked calls. A cancelled look-up
returns at once, and its thread when the resolver has answered."""

from __future__ import annotations

import errno
import socket as _socket
from collections.abc import Callable
from typing import Any

from ..runtime.boot import go
from ..runtime.syscall import syscall
from .address import checkport, family, kind

__all__ = ["getaddrinfo", "lookup_addr", "lookup_host"]

Info = tuple[int, int, int, Any]
"""Family, type, protocol and address of a socket."""


async def _outcome(fn: Callable[..., Any], args: tuple[Any, ...], kw: Any) -> tuple[bool, Any]:
    try:
        return True, await syscall(fn, *args, **kw)
    except Exception as exc:
        return False, exc


async def aside(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """fn(*args), a blocking call that a cancel is not to wait for."""
    ok, value = await go(_outcome, fn, args, kwargs)
    if ok:
        return value
    try:
        raise value
    finally:
        del value


async def getaddrinfo(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[tuple[Any, Any, int, str, Any]]:
    """As socket.getaddrinfo. Raises socket.gaierror."""
    found: list[tuple[Any, Any, int, str, Any]] = await aside(
        _socket.getaddrinfo, host, port, family, type, proto, flags
    )
    return found


async def lookup_host(name: str) -> list[str]:
    """The addresses of a host, as the system prefers them. Raises socket.gaierror."""
    if not isinstance(name, str):
        raise TypeError(f"lookup_host: the name must be a str, not {type(name).__name__}")
    found = await getaddrinfo(name, None, type=_socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


async def lookup_addr(ip: str) -> list[str]:
    """The names of an address. Raises ValueError for what is no address, socket.herror or
    gaierror when it has none."""
    if not isinstance(ip, str):
        raise TypeError(f"lookup_addr: the address must be a str, not {type(ip).__name__}")
    if literal(ip.partition("%")[0]) == 0:
        raise ValueError(f"lookup_addr: {ip!r} is no IP address")
    name, others, _ = await aside(_socket.gethostbyaddr, ip)
    return [name, *others]


def literal(host: str) -> int:
    """The family of an address in digits; 0 for a name."""
    for fam in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(fam, host)
        except (OSError, ValueError):
            continue
        return int(fam)
    return 0


async def resolve(network: str, host: str, port: int, what: str) -> list[Info]:
    """The addresses to try for a host and a port, which are checked."""
    checkport(port, what)
    fam, type = family(network), kind(network)
    numeric = literal(host)
    if numeric:
        if fam not in (0, numeric):
            raise OSError(errno.EAFNOSUPPORT, f"{what}: {host!r} is no address of {network}")
        where = (host, port) if numeric == _socket.AF_INET else (host, port, 0, 0)
        return [(numeric, type, 0, where)]
    found = await getaddrinfo(host, port, fam, type)
    return [(info[0], info[1], info[2], info[4]) for info in found]
