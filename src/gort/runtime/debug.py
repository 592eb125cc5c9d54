"""GODEBUG and schedtrace's line."""

from __future__ import annotations

import os
import sys

import cython

if not cython.compiled:
    from ..platform import load, lock, nanotime, unlock
    from .gmp import sched
    from .runq import runqlen


def parsedebugvars() -> dict[str, str]:
    """GODEBUG's comma-separated name=value pairs."""
    out = {}
    for pair in os.environ.get("GODEBUG", "").split(","):
        name, eq, value = pair.partition("=")
        if eq:
            out[name.strip()] = value.strip()
    return out


def debugint(vars: dict[str, str], name: str) -> int:
    try:
        return int(vars.get(name, "0"))
    except ValueError:
        return 0


def schedtrace() -> None:
    """One line on the scheduler's state, in Go's own format, on stderr."""
    sys.stderr.write(traceline() + "\n")
    sys.stderr.flush()


def traceline() -> str:
    ms = (nanotime() - sched.starttime) // 1_000_000
    lock(sched.lock)
    n = load(sched.nprocs)
    queues = [runqlen(sched.allp[i]) for i in range(n)]
    line = (
        f"SCHED {ms}ms: gomaxprocs={n} idleprocs={load(sched.npidle)} "
        f"threads={sched.mcount + sched.nmsys} spinningthreads={load(sched.nmspinning)} "
        f"needspinning={load(sched.needspinning)} idlethreads={sched.nmidle} "
        f"runqueue={load(sched.runqsize)} [{' '.join(map(str, queues))}]"
    )
    unlock(sched.lock)
    return line
