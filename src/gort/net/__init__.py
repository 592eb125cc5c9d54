"""Connections, listeners and datagrams for goroutines; and, for sockets of one's own, recv,
sendall, accept and connect, awaited."""

from importlib import import_module
from typing import TYPE_CHECKING

from ..runtime.objects import publish as _publish
from .bare import accept, close, connect, recv, sendall
from .conn import Conn, IncompleteRead, LimitExceeded, Transport
from .dial import dial
from .listen import Listener, listen
from .lookup import getaddrinfo, lookup_addr, lookup_host
from .packet import PacketConn, listen_packet
from .pipe import pipe
from .serve import serve

if TYPE_CHECKING:
    from .tls import TLSConn, TLSListener, dial_tls, listen_tls, start_tls

__all__ = [
    "Conn",
    "IncompleteRead",
    "LimitExceeded",
    "Listener",
    "PacketConn",
    "TLSConn",
    "TLSListener",
    "Transport",
    "accept",
    "close",
    "connect",
    "dial",
    "dial_tls",
    "getaddrinfo",
    "listen",
    "listen_packet",
    "listen_tls",
    "lookup_addr",
    "lookup_host",
    "pipe",
    "recv",
    "sendall",
    "serve",
    "start_tls",
]

_TLS = {"TLSConn", "TLSListener", "dial_tls", "listen_tls", "start_tls"}


def __getattr__(name: str) -> object:
    """What needs ssl, which takes longer to import than all else."""
    if name not in _TLS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    space = vars(import_module(".tls", __name__))
    globals().update((each, space[each]) for each in _TLS)
    _publish(globals())
    return space[name]


_publish(globals())
