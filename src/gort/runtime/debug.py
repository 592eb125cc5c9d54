"""GODEBUG, GOTRACEBACK, and the schedtrace lines."""

from __future__ import annotations

import os
from collections.abc import Callable

import cython

from .gmp import WAITREASONS, G, M, P, printerr

if not cython.compiled:
    from ..platform import load, lock, nanotime, unlock
    from .gmp import (
        PMSHIFT,
        PSTATE,
        Gparking,
        Gscan,
        Gwaiting,
        Prunning,
        Psyscall,
        Puser,
        allgs,
        mof,
        sched,
    )
    from .runq import runqlen

debug: dict[str, str] = {}
"""GODEBUG of the runtime that is up, read when it starts."""

_LEVELS = {
    "none": (0, False, False),
    "": (1, False, False),
    "single": (1, False, False),
    "all": (1, True, False),
    "system": (2, True, False),
    "crash": (2, True, True),
}


def parsedebugvars() -> dict[str, str]:
    """GODEBUG's comma-separated name=value pairs. What is unknown or malformed in it is named
    in one line on stderr, once for each text."""
    text = os.environ.get("GODEBUG", "")
    out = {}
    bad = []
    for pair in text.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name in _WORDS and _WORDS[name](value):
            out[name] = value
        elif pair.strip():
            bad.append(pair.strip())
    debug.clear()
    debug.update(out)
    if bad and text not in _named:
        _named.add(text)
        words = ", ".join(sorted(_WORDS))
        printerr(f"gort: GODEBUG: cannot use {', '.join(bad)}; known are {words}\n")
    return out


def _number(value: str) -> bool:
    return value.isascii() and value.isdigit()


_WORDS: dict[str, Callable[[str], bool]] = {
    "schedtrace": _number,
    "scheddetail": _number,
    "blocktrace": _number,
    "leaks": _number,
    "inittrace": _number,
    "gctrace": _number,
    "gcworker": _number,
    "sched": ("gm", "gmp").__contains__,
}
_named: set[str] = set()


def debugint(vars: dict[str, str], name: str) -> int:
    try:
        return int(vars.get(name, "0"))
    except ValueError:
        return 0


def gotraceback() -> tuple[int, bool, bool]:
    """GOTRACEBACK as (level, all, crash): level 0 prints no stacks, 2 also those of the
    runtime; all says every goroutine's; crash is to end in SIGABRT."""
    text = os.environ.get("GOTRACEBACK", "")
    if text in _LEVELS:
        return _LEVELS[text]
    return (int(text) if text.isdigit() else 0, True, False)


def schedtrace(detailed: bool) -> None:
    """The scheduler's state on stderr, in Go's format: one line, or with detailed one
    for each P, M and G too."""
    text = "\n".join(tracedetail()) if detailed else traceline()
    printerr(text + "\n")


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


def tracedetail() -> list[str]:
    """Go's scheddetail. The world runs on: what a line says held when it was read.

    Ms' goroutines are found from the Gs' side, which the list of all Gs keeps
    alive; M.curg may be dropped while we look (mof). mallocing, throwing, preemptoff,
    locks and dying are constant: no M here is ever found in such a state.
    """
    head = traceline()
    lines = [
        f"{head[: head.rindex(' [')]} gcwaiting={_bool(load(sched.gcwaiting) != 0)} "
        f"nmidlelocked={sched.nmidlelocked} stopwait={sched.stopwait} "
        f"sysmonwait={_bool(load(sched.sysmonwait) != 0)}"
    ]
    gs = allgs()
    lockedms = sched.lockedms.copy()
    ms = list(sched.allm)
    ms.sort(key=mid)
    curg = {}
    locked = {}
    for gp in gs:
        mp = mof(gp)
        if mp is not None:
            curg[mp.id] = gp.goid
        mp = lockedms.get(gp)
        if mp is not None:
            locked[mp.id] = gp.goid
    idle = sleepers()
    for i in range(load(sched.nprocs)):
        lines.append(detailp(sched.allp[i]))
    for mp in ms:
        lines.append(detailm(mp, curg, locked, idle))
    for gp in gs:
        lines.append(detailg(gp, lockedms.get(gp)))
    return lines


def _bool(x: bool) -> str:
    return "true" if x else "false"


def mid(mp: M) -> int:
    return mp.id


def sleepers() -> set[int]:
    """The ids of the Ms on the idle list."""
    found = set()
    lock(sched.lock)
    mp = sched.midle
    while mp is not None:
        found.add(mp.id)
        mp = mp.schedlink
    unlock(sched.lock)
    return found


def detailp(pp: P) -> str:
    s = load(pp.status)
    m = str(s >> PMSHIFT) if s & PSTATE in (Prunning, Psyscall, Puser) else "nil"
    return (
        f"  P{pp.id}: status={s & PSTATE} schedtick={load(pp.schedtick)} "
        f"syscalltick={load(pp.syscalltick)} m={m} "
        f"runqsize={runqlen(pp)} gfreecnt=0 timerslen={len(pp.timers)}"
    )


def detailm(mp: M, curg: dict[int, int], locked: dict[int, int], idle: set[int]) -> str:
    pp = mp.p
    blocked = mp.id in idle or (pp is None and mp.id in locked and mp.id not in curg)
    return (
        f"  M{mp.id}: p={pp.id if pp is not None else 'nil'} curg={curg.get(mp.id, 'nil')} "
        f"mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning={_bool(mp.spinning)} "
        f"blocked={_bool(blocked)} lockedg={locked.get(mp.id, 'nil')}"
    )


def detailg(gp: G, lm: M | None) -> str:
    s = load(gp.status_) & ~Gscan
    reason = WAITREASONS[gp.waitreason] if s == Gwaiting or s == Gparking else ""
    mp = mof(gp)
    m = mp.id if mp is not None else "nil"
    lockedm = lm.id if lm is not None else "nil"
    return f"  G{gp.goid}: status={s}({reason}) m={m} lockedm={lockedm}"
