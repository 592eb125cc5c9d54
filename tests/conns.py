"""Pairs of Conns over each transport, for the tests of gort.net."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import gort
from gort import net

Pair = Callable[[], Awaitable[tuple[net.Conn, net.Conn]]]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        return False
    return True


async def accepted(network: str, address: Any) -> tuple[net.Conn, net.Conn]:
    async with await net.listen(network, address) as ln:
        to = os.fsdecode(ln.addr) if network == "unix" else ln.addr
        a = await net.dial(network, to)
        b = await ln.accept()
        for c in (a, b):  # they do not grow until nothing fills them
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        return a, b


async def tcp() -> tuple[net.Conn, net.Conn]:
    return await accepted("tcp", "127.0.0.1:0")


async def tcp6() -> tuple[net.Conn, net.Conn]:
    return await accepted("tcp6", "[::1]:0")


async def path() -> tuple[net.Conn, net.Conn]:
    with tempfile.TemporaryDirectory() as d:
        return await accepted("unix", d + "/s")


async def memory() -> tuple[net.Conn, net.Conn]:
    return net.pipe()


PAIRS: dict[str, Pair] = {"tcp": tcp, "tcp6": tcp6, "unix": path, "pipe": memory}


def pairs(*names: str) -> Any:
    """A test once for each transport; it says so where this machine has no IPv6."""
    params = [
        pytest.param(
            PAIRS[name],
            id=name,
            marks=pytest.mark.skipif(
                name == "tcp6" and not has_ipv6(), reason="this machine has no IPv6"
            ),
        )
        for name in names or PAIRS
    ]
    return pytest.mark.parametrize("pair", params)


async def until_waiting(*gs: gort.Goroutine[Any]) -> None:
    for g in gs:
        while g.status != "waiting":
            assert not g.done(), "it waited for nothing"
            await gort.gosched()


async def alone() -> None:
    """Until the others have ended, as they are about to."""
    while gort.num_goroutine() > 1:
        await gort.sleep(0.001)
