"""Connections, listeners and datagrams for goroutines; and, for sockets of one's own, recv,
sendall, accept and connect, awaited."""

from .bare import accept, close, connect, recv, sendall
from .conn import Conn, IncompleteRead, LimitExceeded, Transport
from .dial import dial
from .listen import Listener, listen
from .lookup import getaddrinfo, lookup_addr, lookup_host
from .packet import PacketConn, listen_packet
from .pipe import pipe
from .serve import serve

__all__ = [
    "Conn",
    "IncompleteRead",
    "LimitExceeded",
    "Listener",
    "PacketConn",
    "Transport",
    "accept",
    "close",
    "connect",
    "dial",
    "getaddrinfo",
    "listen",
    "listen_packet",
    "lookup_addr",
    "lookup_host",
    "pipe",
    "recv",
    "sendall",
    "serve",
]
