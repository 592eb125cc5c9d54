"""socket.socket in a simulation is one of the simulated network."""

from __future__ import annotations

import importlib
import socket
from typing import Any

from .. import _pure
from ._locks import engine

_genuine = socket.socket
_pair = socket.socketpair
_getaddrinfo = socket.getaddrinfo


def simnet() -> Any:
    return importlib.import_module(_pure.SIMULATED + ".platform.simnet")


class _Kind(type):
    def __instancecheck__(cls, o: object) -> bool:
        return isinstance(o, _genuine) or getattr(type(o), "simulated", False) is True


class Socket(metaclass=_Kind):
    """socket.socket: a simulated one where a virtual thread makes it."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return (_genuine if engine() is None else simnet().Socket)(*args, **kwargs)


def socketpair(*args: Any, **kwargs: Any) -> Any:
    return (_pair if engine() is None else simnet().socketpair)(*args, **kwargs)


def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
    return (_getaddrinfo if engine() is None else simnet().getaddrinfo)(*args, **kwargs)


def pairs() -> dict[int, tuple[Any, Any]]:
    """id of each maker of sockets: it, and its twin."""
    simnet()
    twins = (_genuine, Socket), (_pair, socketpair), (_getaddrinfo, getaddrinfo)
    return {id(original): (original, twin) for original, twin in twins}


def network() -> Any:
    """The network of the simulation that runs: its `latency`, the least and the most seconds
    that bytes take; its `pieces`, how likely a send is cut in two or goes through in part; its
    `loss`, how likely a datagram does not come; its `hosts`, a dict of names and their lists of
    addresses; partition(hosts, hosts) and heal(). A simulated socket has reset() besides.

    socket.socket makes sockets on it inside a simulation: TCP over IPv4, IPv6 and Unix ones,
    and UDP; gort.net runs over it. A host is an address; one that is not bound is 127.0.0.1.
    Raises RuntimeError outside a simulation.
    """
    return simnet().network()
