"""Connections, listeners and packets for goroutines; and, for sockets of one's own, recv,
sendall, accept and connect, awaited."""

from .bare import accept, close, connect, recv, sendall
from .conn import Conn, IncompleteRead, LimitExceeded, Transport
from .pipe import pipe

__all__ = [
    "Conn",
    "IncompleteRead",
    "LimitExceeded",
    "Transport",
    "accept",
    "close",
    "connect",
    "pipe",
    "recv",
    "sendall",
]
