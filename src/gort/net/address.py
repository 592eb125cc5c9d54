"""Networks and addresses, as users write them."""

from __future__ import annotations

import errno
import os
import socket as _socket
from typing import Any

Address = str | bytes | os.PathLike[str] | tuple[Any, ...]

_FAMILIES = {
    "": _socket.AF_UNSPEC,
    "4": _socket.AF_INET,
    "6": _socket.AF_INET6,
}
_PATH = 108
"""The bytes of sockaddr_un.sun_path; a path ends with a NUL there."""


def checknetwork(network: Any, what: str, *kinds: str) -> str:
    """network, if it is of one of the kinds: "tcp" stands for tcp, tcp4 and tcp6 alike."""
    if not isinstance(network, str):
        raise TypeError(f"{what}: network must be a str, not {type(network).__name__}")
    names = [k + v for k in kinds for v in ("", "4", "6") if k != "unix" or not v]
    if network not in names:
        raise ValueError(f"{what}: network must be one of {', '.join(names)}, not {network!r}")
    return network


def family(network: str) -> int:
    return int(_FAMILIES[network[3:]])


def kind(network: str) -> int:
    return int(_socket.SOCK_DGRAM if network.startswith("udp") else _socket.SOCK_STREAM)


def checkport(port: Any, what: str) -> int:
    if isinstance(port, str):
        if not (port.isascii() and port.isdigit()):
            raise ValueError(f"{what}: the port must be a number, not {port!r}")
        port = int(port)
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"{what}: the port must be an int, not {type(port).__name__}")
    if not 0 <= port <= 65535:
        raise ValueError(f"{what}: the port must be from 0 to 65535, not {port}")
    return port


def hostport(address: Any, what: str) -> tuple[str, int]:
    """The host, "" for none, and the port of "host:port", "[ipv6]:port" or (host, port)."""
    if isinstance(address, tuple):
        if not 2 <= len(address) <= 4:
            raise ValueError(f"{what}: expected (host, port), not {address!r}")
        host, port = address[:2]
        if host is None:
            host = ""
        if isinstance(host, bytes):
            host = host.decode("idna")
        if not isinstance(host, str):
            raise TypeError(f"{what}: the host must be a str, not {type(host).__name__}")
        if len(address) == 4 and address[3] and "%" not in host:
            host = f"{host}%{address[3]}"
        return host, checkport(port, what)
    if not isinstance(address, str):
        raise TypeError(
            f'{what}: the address must be "host:port" or (host, port), not {type(address).__name__}'
        )
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ValueError(f'{what}: no port in {address!r}: an address is "host:port"')
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f'{what}: too many colons in {address!r}: write "[{host}]:{port}"')
    return host, checkport(port, what)


def unixpath(address: Any, what: str) -> str | bytes:
    """A path, or an abstract name, which begins with a NUL."""
    if not isinstance(address, (str, bytes, os.PathLike)):
        raise TypeError(f"{what}: a unix address must be a path, not {type(address).__name__}")
    path = os.fspath(address)
    raw = os.fsencode(path)
    if not raw:
        raise ValueError(f"{what}: the path must not be empty")
    if b"\0" in raw[1:]:
        raise ValueError(f"{what}: a NUL in the path {path!r}")
    most = _PATH - (raw[0] != 0)
    if len(raw) > most:
        raise OSError(
            errno.ENAMETOOLONG,
            f"{what}: a unix path has at most {most} bytes, this has {len(raw)}",
            path,
        )
    return path


def shown(where: Any) -> str:
    """An address for an error's text."""
    if not isinstance(where, tuple):
        return ascii(where) if isinstance(where, bytes) else repr(where)
    host, port = where[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
