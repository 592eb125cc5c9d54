"""The systems that are compared: how each boots, and how to see whether it is there."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from harness import Main, Run


@dataclasses.dataclass(frozen=True)
class System:
    name: str
    run: Run
    package: str = ""
    """what an interpreter must have installed"""
    free_threaded: bool = False
    """made for free-threaded interpreters only"""


def run_gort(main: Main, *args: Any, procs: int = 1) -> Any:
    import gort

    return gort.run(main, *args, procs=procs)


def run_asyncio(main: Main, *args: Any, procs: int = 1) -> Any:
    return asyncio.run(main(*args))


def run_uvloop(main: Main, *args: Any, procs: int = 1) -> Any:
    import uvloop

    return uvloop.run(main(*args))


def run_trio(main: Main, *args: Any, procs: int = 1) -> Any:
    import trio

    return trio.run(main, *args)


def run_runloom(main: Main, *args: Any, procs: int = 1) -> Any:
    import runloom

    results: list[Any] = []
    runloom.run(procs, lambda: results.append(main(*args)))
    return results.pop()


def run_here(main: Main, *args: Any, procs: int = 1) -> Any:
    """gevent boots by itself; plain Python and the Go program need no boot."""
    return main(*args)


SYSTEMS = {
    system.name: system
    for system in (
        System("gort", run_gort, "gort"),
        System("asyncio", run_asyncio),
        System("uvloop", run_uvloop, "uvloop"),
        System("trio", run_trio, "trio"),
        System("gevent", run_here, "gevent"),
        System("runloom", run_runloom, "runloom", free_threaded=True),
        System("go", run_here),
        System("plain", run_here),
    )
}
