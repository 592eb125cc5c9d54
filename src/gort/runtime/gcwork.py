"""The GC worker: CPython's cyclic collector as work of the scheduler.

While the runtime is up, automatic collection is off, and one system goroutine
collects, as user code and under no lock, since finalizers run in it:

- idle: an M that found nothing to run, while no other P is busy, takes the worker
  if gc's own threshold is passed, and if the collection is likely to be over
  before the next timer;
- forced: at CEILING thresholds the next scheduling round of any P takes it. Ps look
  every 1 to 256 rounds, by how fast it fills; sysmon looks every millisecond, and
  where all Ps stay in user code it takes one of them.

At four thresholds a load that idles at times is collected while it does, and one
that never idles is no worse off than with a collection inside its allocations; at ten
its collections outgrow the processor's caches (bench/gcworker.py).

Which generation: gc's rules (gc.get_threshold; a full collection only where what
has grown old since the last one is a quarter of what was old then). CPython keeps
the two numbers of the last rule to itself; they are worked out here from net
allocations, and counted anew at every RECOUNT-th full collection. A free-threaded
CPython has no generations: each collection is a full one.

gc.set_threshold and gc.freeze mean what they always mean; threshold 0 is off. Where
gc was disabled before the run there is no worker, and one that finds gc enabled by
the user meanwhile stands back, for CPython collects by itself then.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

import cython

from .._bytecode import safepoint
from .gmp import G, P, printerr
from .systemg import Sysg

if not cython.compiled:
    from ..platform import load, nanotime, store
    from .gmp import sched
    from .systemg import dropsysg, sleepop, wakesysg

    IDLE = 0
    FORCED = 1
    CEILING = 4
    RECOUNT = 8

_MS = 1_000_000
_NEVER = 1 << 62
_REASON = 15

getcount: Any = getattr(gc, "get_count", None)
collectnow = gc.collect
# Until 3.14.4, one of generation 1 takes an increment of the old generation along; 3.14.5 and
# 3.15 went back to three generations.
INCREMENTAL = (3, 14) <= sys.version_info < (3, 14, 5)
GENERATIONS = "t" not in getattr(sys, "abiflags", "")


class Gcwork:
    """The collector's pacing, for one run.

    t0 to t2 are gc's thresholds. base is the allocation count from which the next
    collection is reckoned, idleat and forceat how far above it an idle and a forced
    one is due. old and aged: containers that were old after the last full
    collection, and that have grown old since; young: since the last of generation 1.
    since: allocations since then. mode and gen: of the collection to come. tookfull:
    nanoseconds of the last full collection; cost: of the last other one, per 1000
    containers; spent: of all. Written by the worker or by whoever is about to wake it,
    but for base and the times of the next looks, where a lost write costs nothing.
    """

    __slots__ = (
        "on",
        "trace",
        "w",
        "mode",
        "gen",
        "t0",
        "t1",
        "t2",
        "base",
        "idleat",
        "forceat",
        "old",
        "aged",
        "young",
        "since",
        "tookfull",
        "cost",
        "nextidle",
        "nextlook",
        "ncollect",
        "nforced",
        "nfull",
        "spent",
    )

    def __init__(self) -> None:
        self.on = False
        self.trace = False
        self.w = None
        self.mode = self.gen = self.t0 = self.t1 = self.t2 = self.base = 0
        self.idleat = self.forceat = 0
        self.old = self.aged = self.young = self.since = 0
        self.tookfull = self.cost = 0
        self.nextidle = self.nextlook = 0
        self.ncollect = self.nforced = self.nfull = self.spent = 0


gcw = Gcwork()


def gcenable(trace: bool) -> None:
    """Boot: take automatic collection over. Undone by gcrestore."""
    gcw.__init__()  # type: ignore[misc]
    store(sched.gcforce, 0)
    if getcount is None or not gc.isenabled():
        return
    gc.disable()
    gcw.on = True
    gcw.trace = trace
    gcw.w = Sysg(gcbgworker, _REASON)
    setgoals()


def gcrestore() -> None:
    """Shutdown: automatic collection as it was before."""
    gcforked()
    dropsysg(gcw.w)
    gcw.w = None


def gcforked() -> None:
    """In the child of a fork nobody runs the worker; without a lock."""
    if gcw.on:
        gcw.on = False
        gc.enable()


def setgoals() -> None:
    """How many allocations make the next collection due."""
    gcw.t0, gcw.t1, gcw.t2 = gc.get_threshold()
    if gcw.t0 == 0:
        gcw.idleat = gcw.forceat = _NEVER
        return
    gcw.idleat = gcw.t0
    gcw.forceat = CEILING * gcw.t0
    if not GENERATIONS:
        # CPython's rule: at least a quarter of what lives, as each one is full. And
        # forced later for that: at four times as many a spawner spent a fifth of its time in it.
        gcw.idleat = max(gcw.idleat, gcw.old // 4)
        gcw.forceat = max(4 * gcw.forceat, gcw.old // 2)


def allocated() -> int:
    """Containers allocated since the last collection, less those freed.

    On a free-threaded build the count goes below zero, as what a collection frees
    is subtracted too.
    """
    n: int = getcount()[0]
    if n < gcw.base:
        gcw.base = n
    return n - gcw.base


def gcdue(now: int) -> bool:
    """Whether a collection is worth an idle P; looks at most every 0.1 ms."""
    if not gcw.on or now < gcw.nextidle:
        return False
    gcw.nextidle = now + _MS // 10
    return allocated() > gcw.idleat and not gc.isenabled()


def gcfits(now: int, until: int) -> bool:
    """Whether an idle collection is likely to be over before `until`, or 0 for never.

    A full one takes as long as the last; another goes by what was allocated. Where
    a full one does not fit, the younger generations go first until it is overdue.
    """
    n = allocated()
    gen = generation(n)
    if until != 0:
        left = until - now
        if gen == 2 and gcw.tookfull >= left:
            if not GENERATIONS:
                return False
            gen = 2 if getcount()[2] > 2 * gcw.t2 else 1
        if gen < 2 and gcw.cost * n // 1000 >= left:
            return False
    gcw.gen = gen
    return True


def gcpoll() -> int:
    """Ask for a forced collection at the ceiling, unless one runs; the allocations."""
    if not gcw.on:
        return 0
    n = allocated()
    if n > gcw.forceat and load(gcw.w.busy) == 0 and not gc.isenabled():
        store(sched.gcforce, 1)
    return n


def gctick(pp: P) -> None:
    """A P's look at the allocations, after so many of its rounds that about a quarter
    of the ceiling may have been allocated meanwhile: 1 to 256. Where there are fewer than
    before, a burst is being freed, or a collection was: that says nothing about what is
    to come, and a look costs as much as a switch."""
    n = gcpoll()
    grown = n - pp.gcseen if n > pp.gcseen else 0
    pp.gcseen = n
    rounds = pp.gcrounds
    if 4 * grown > gcw.forceat:
        rounds //= 2
    elif 8 * grown < gcw.forceat:
        rounds *= 2
    pp.gcrounds = min(max(rounds, 1), 256)
    pp.gctick = 0


def gclook(now: int) -> int:
    """sysmon's look: 0 nothing to do, 1 a collection was just asked for, 2 it was
    asked for an earlier time, and nobody has come for it."""
    if not gcw.on or now < gcw.nextlook:
        return 0
    gcw.nextlook = now + _MS
    if load(sched.gcforce) != 0:
        return 2
    setgoals()
    gcpoll()
    return load(sched.gcforce)


def findgcworker(mode: int) -> G | None:
    """The worker, runnable and the caller's; None while it works."""
    store(sched.gcforce, 0)
    if not gcw.on:
        return None
    gp = wakesysg(gcw.w)
    if gp is not None:
        gcw.mode = mode
        if mode == FORCED:
            gcw.gen = generation(allocated())
    return gp


def generation(n: int) -> int:
    """Which generation to collect, after n allocations.

    gc counts collections of generation 0 towards one of generation 1. Here one may
    stand for several of gc's, so it goes by the allocations that those would be.
    """
    if not GENERATIONS:
        return 2
    if getcount()[2] > gcw.t2 and gcw.aged >= gcw.old // 4:
        return 2
    if gcw.since + n > gcw.t0 * (gcw.t1 + 1) or INCREMENTAL:
        return 1
    return 0


def collect() -> None:
    """One collection."""
    n = allocated()
    mode = gcw.mode
    gen = gcw.gen
    start = nanotime()
    found = collectnow(gen)
    ns = nanotime() - start
    gcw.ncollect += 1
    gcw.nforced += mode
    gcw.spent += ns
    if gen == 2:
        gcw.tookfull = ns
    else:
        gcw.cost = 1000 * ns // max(n, 1)
    gcw.since = gcw.since + n if gen == 0 else 0
    grown(gen, n - found)
    gcw.base = 0
    allocated()
    setgoals()
    if gcw.trace:
        gctrace(gen, ns, found)


def grown(gen: int, survived: int) -> None:
    """Keep the numbers of the rule for full collections. survived: of what was
    allocated since the last collection."""
    gcw.young += survived
    if gen == 1:
        gcw.aged += max(gcw.young, 0)
        gcw.young = 0
    elif gen == 2:
        gcw.nfull += 1
        gcw.old = max(gcw.old + gcw.aged + gcw.young, 0)
        gcw.aged = gcw.young = 0
        if gcw.nfull % RECOUNT == 1:
            # Frees of old containers may have been missed.
            gcw.old = len(gc.get_objects(generation=2) if GENERATIONS else gc.get_objects())


def gctrace(gen: int, ns: int, found: int) -> None:
    """GODEBUG=gctrace=1: a line for each collection, near to Go's."""
    now = nanotime() - sched.starttime
    share = 100 * gcw.spent // max(now, 1)
    mode = "forced" if gcw.mode == FORCED else "idle"
    printerr(
        f"gc {gcw.ncollect} @{now / 1e9:.3f}s {share}%: gen {gen}, {ns / 1e6:.2f} ms, "
        f"{found} collected, {mode}\n"
    )


async def gcbgworker(w: Sysg) -> None:
    """The worker's body."""
    while True:
        collect()
        # A signal that came meanwhile interrupted no wait: take it before the next one.
        safepoint()
        if sched.signals:
            sched.interrupted(None)
        await sleepop(w)


def gcstats() -> dict[str, int]:
    """This run's collections by the worker, those forced, full, and nanoseconds."""
    return {
        "collections": gcw.ncollect,
        "forced": gcw.nforced,
        "full": gcw.nfull,
        "ns": gcw.spent,
    }


os.register_at_fork(after_in_child=gcforked)
