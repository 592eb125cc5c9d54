"""G, M, P and sched: the scheduler's records, their statuses and who owns what.

A G is one goroutine around a coroutine. Its status is one word, changed by
compare-and-swap:

    idle      being made; only its creator sees it
    runnable  on exactly one run queue, or in the hands of one M
    running   its M's alone
    parking   its M's, but its op stands in a queue: anyone may ready it
    parkready parking, and already readied: the M runs it again
    waiting   nobody's; whoever wins its op's `won` word readies it
    dead      finished

The scan bit freezes a waiting G: whoever set it may look at `waiting`, and
goready waits for the bit to go (Go's castogscanstatus). Which M runs a G stands
in that M alone (mof).

A P's status word is its state and the id of the M that holds it, so that an M
whose P was retaken cannot claim it back from the next holder:

    idle     on the idle list, or in the hands of one M that is placing it
    running  its M is inside the runtime; nobody else touches the P
    user     its M runs Python code: sysmon and stop-the-world may take it
    syscall  as user, in a call that was declared to block
    gcstop   stopped with the world
    dead     above GOMAXPROCS

After Go's runtime2.go; user in place of "in a C call" is ours, since Python
code cannot be stopped in the middle (docs/design.md).
"""

from __future__ import annotations

import os
import sys
import traceback
import weakref
from typing import Any

import cython

if not cython.compiled:
    from ..platform import (
        Heap,
        add,
        atomic,
        atomic8,
        callsite_of,
        cas,
        gctrack,
        keeprecords,
        link,
        linkadd,
        linkdel,
        linknext,
        load,
        lock,
        moved,
        mutex,
        nameof,
        note,
        noteclear,
        queue,
        recordget,
        ring,
        ringtake,
        sealed,
        settraceback,
        slot,
        slotclear,
        store,
        store_rel,
        tupleat,
        uncounted,
        unlock,
    )

    Gidle = 0
    Grunnable = 1
    Grunning = 2
    Gsyscall = 3
    Gwaiting = 4
    Gdead = 6
    Gparking = 7
    Gparkready = 8
    Gscan = 0x40

    Pidle = 0
    Prunning = 1
    Psyscall = 2
    Pgcstop = 3
    Pdead = 4
    Puser = 5
    PSTATE = 0xFF
    PMSHIFT = 8

    ANONE = 0
    APARK = 1
    AGOSCHED = 2
    ALOSTP = 3
    AYIELD = 4

    OPNEW = 0
    OPPARKED = 1
    OPDONE = 2
    OPYIELDED = 3
    OPAWAITED = 4
    OPEXCUSED = -1

    WPENDING = 0
    WREADY = 1
    WCANCELLED = 2
    WDONE = 3

    CREQ = 1
    CTHROW = 2

    NSHARD = 64
    CLOCKSHIFT = 24
    GOIDBATCH = 16

_STATUS = {
    Gidle: "idle",
    Grunnable: "runnable",
    Grunning: "running",
    Gsyscall: "syscall",
    Gwaiting: "waiting",
    Gdead: "dead",
    Gparking: "waiting",
    Gparkready: "runnable",
}

WAITREASONS = (
    "",
    "chan receive",
    "chan send",
    "select",
    "select (no cases)",
    "sleep",
    "IO wait",
    "goroutine wait",
    "sync.Mutex.Lock",
    "sync.RWMutex.Lock",
    "sync.RWMutex.RLock",
    "sync.WaitGroup.Wait",
    "sync.Cond.Wait",
    "semacquire",
    "group wait",
    "GC worker (idle)",
    "chan receive (nil chan)",
    "cleanup wait",
    "sync.Event.Wait",
    "sync.Barrier.Wait",
)
"""What a waiting goroutine waits for, in Go's words; an op holds the index."""


class G:
    """A goroutine: what `gort.go` returns.

    Await it for its result. All attributes may be read from any thread.
    """

    # waiting: the op that it waits on; while it runs, that of its last gosched, or None.
    # locked: to a thread, written by its M alone while gp runs there; sched.lockedms has
    # the M. waitsince: sched.clock when it parked. result: the Joins that wait for it,
    # linked by `next`, until it is dead, and from then on what it returned or raised; lock
    # covers the change, after which who was readied by it, or saw Gdead under the lock,
    # reads it without. coro: once it has failed, the traceback that it failed with. group:
    # the Group whose child it is, or, with member set, the WaitGroup that waits for it.
    # schedlink: under sched.lock.

    __slots__ = (
        "status_",
        "cancelreq",
        "locked",
        "outcome",
        "member",
        "lock",
        "calllasti",
        "waitsince",
        "waitreason",
        "cancelled",
        "retrieved",
        "plain",
        "issystem",
        "shard",
        "goid",
        "parentgoid",
        "coro",
        "ctx",
        "schedlink",
        "alllink",
        "waiting",
        "result",
        "scope",
        "group",
        "callcode",
        "__weakref__",
    )

    if not cython.compiled:

        def __init__(self) -> None:
            self.status_ = atomic8()
            self.lock = mutex()
            self.cancelreq = atomic8()
            self.ctx = slot()
            self.callcode = slot()
            self.schedlink = slot()
            self.coro = self.waiting = None
            self.alllink = link()
            self.result = self.scope = self.group = None
            self.waitreason = self.goid = self.parentgoid = self.waitsince = 0
            self.calllasti = self.outcome = self.shard = 0
            self.retrieved = self.plain = self.issystem = self.cancelled = self.locked = False
            self.member = False

    @property
    def id(self) -> int:
        """The goroutine's number; main is 1."""
        return self.goid

    @property
    def status(self) -> str:
        """idle, runnable, running, syscall, waiting or dead."""
        return sched.describe(self)

    @property
    def wait_reason(self) -> str:
        """What it waits for, in Go's words; empty unless it is waiting."""
        s = load(self.status_) & ~Gscan
        return WAITREASONS[self.waitreason] if s == Gwaiting or s == Gparking else ""

    def done(self) -> bool:
        """Whether it has finished."""
        return load(self.status_) == Gdead

    @property
    def name(self) -> str:
        """What gort.set_name gave it; else the qualified name of its function."""
        return nameofg(self)

    def exception(self) -> BaseException | None:
        """What it raised, or None; for a goroutine that has ended, from any thread.

        The exception counts as retrieved: it is no panic any more. Raises
        RuntimeError while it runs: await it, or look at done() first.
        """
        return exceptionof(self)

    def cancel(self) -> None:
        """Make every op that it awaits from now on raise Cancelled.

        Level-triggered: it holds until the goroutine ends, but for what stands
        in a `gort.shield`. It reaches the children of its open groups too.
        Callable from any thread while a runtime is up; raises RuntimeError
        otherwise.
        """
        sched.cancel(self)

    def __await__(self) -> Any:
        return sched.join(self)

    @classmethod
    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def __repr__(self) -> str:
        reason = self.wait_reason
        if self.outcome == 2 and load(self.status_) == Gdead:
            reason = f"failed: {shown(self.result)}"
        where = callsite_of(self.callcode, self.calllasti)
        made = f" created by {where[2]} at {where[0]}:{where[1]}" if where else ""
        return f"<Goroutine {self.goid} {nameofg(self)} [{reason or self.status}]{made}>"

    def __del__(self) -> None:
        # The last handle is gone: an exception that nobody can retrieve is a panic.
        if self.outcome != 2:
            return
        add(sched.nfailed, -1)
        if not self.retrieved:
            self.retrieved = True
            sched.panic(self)

    def __dealloc__(self) -> None:
        slotclear(self.ctx)
        slotclear(self.callcode)


def shown(exc: BaseException) -> str:
    """An exception in a line."""
    name = type(exc).__name__
    try:
        text = str(exc).partition("\n")[0]
    except Exception:
        return name
    return f"{name}: {text}" if text else name


class M:
    """A machine: one OS thread.

    Its own thread alone writes every field but these: nextp, nextg, lockedg and
    schedlink, which belong to whoever took it off the idle list under sched.lock.
    nextg is what the M runs next: found by findrunnable, or handed over with the permit
    by the G-M scheduler (gm.py). lockcount: how many times lockedg is locked to it.
    using: the id of the socket that it makes a system call with (netfd.py), or 0.
    pressed: whether an asynchronous exception may be pending (unwind.py).
    """

    __slots__ = (
        "id",
        "p",
        "nextp",
        "nextg",
        "curg",
        "lockedg",
        "schedlink",
        "park",
        "result",
        "gen",
        "userword",
        "runword",
        "sysword",
        "spinning",
        "ism0",
        "action",
        "lockcount",
        "using",
        "ident",
        "pressed",
    )

    def __init__(self, id: int, gen: int) -> None:
        if not cython.compiled:
            self.park = note()
            self.using = atomic()
            self.pressed = atomic()
            self.result = slot()
            self.p = self.nextp = self.nextg = self.curg = self.lockedg = self.schedlink = None
            self.spinning = self.ism0 = False
            self.action = self.lockcount = 0
            self.ident = None
        self.id = id
        self.gen = gen
        self.userword = Puser | id << PMSHIFT
        self.runword = Prunning | id << PMSHIFT
        self.sysword = Psyscall | id << PMSHIFT

    def renew(self, id: int, gen: int) -> None:
        """As a new one: the thread whose M it was has ended."""
        self.__init__(id, gen)  # type: ignore[misc]
        self.p = self.nextp = None
        self.nextg = self.curg = self.lockedg = None
        self.schedlink = None
        self.spinning = self.ism0 = False
        self.action = self.lockcount = 0
        self.ident = None
        store(self.pressed, 0)
        noteclear(self.park)
        slotclear(self.result)

    def __repr__(self) -> str:
        return f"<M {self.id}>"


class P:
    """A processor: the right to run goroutines, and what running them needs.

    shard: the part of the list of goroutines for what it starts, its own up to NSHARD - 1 Ps;
    the first part is for who has no P.

    The M that holds it (status running) owns every field but: status itself;
    runqhead and runnext, which thieves advance and swap; timers and zombies,
    under timerlock; seentick, seenwhen and seensys, which are sysmon's; link, and
    free, which is set while it is on the idle list, under sched.lock.
    """

    __slots__ = (
        "id",
        "status",
        "runqhead",
        "runqtail",
        "runq",
        "runnext",
        "schedtick",
        "syscalltick",
        "preempt",
        "free",
        "shard",
        "seentick",
        "seenwhen",
        "seensys",
        "goidcache",
        "goidcacheend",
        "gctick",
        "gcrounds",
        "gcseen",
        "timerlock",
        "timers",
        "minwhen",
        "zombies",
        "link",
    )

    def __init__(self, id: int) -> None:
        if not cython.compiled:
            self.status = atomic()
            self.runqhead = atomic()
            self.runqtail = atomic()
            self.runq = ring()
            self.runnext = slot()
            self.schedtick = atomic()
            self.syscalltick = atomic()
            self.preempt = atomic()
            self.free = atomic()
            self.timerlock = mutex()
            self.minwhen = atomic()
            self.seentick = self.seenwhen = self.seensys = self.zombies = 0
            self.goidcache = self.goidcacheend = self.gctick = 0
            self.gcseen = 0
            self.link = None
        self.id = id
        self.shard = 1 + id % (NSHARD - 1)
        self.gcrounds = 16
        self.timers = Heap()

    def renew(self, id: int) -> None:
        """As a new one: the run whose P it was is over."""
        self.id = id
        self.shard = 1 + id % (NSHARD - 1)
        while load(self.runqhead) != load(self.runqtail):
            ringtake(self.runq, add(self.runqhead, 1) - 1)
        slotclear(self.runnext)
        lock(self.timerlock)  # a thread from outside may arm a timer of the last run yet
        self.timers = Heap()
        unlock(self.timerlock)
        store(self.runqhead, 0)
        store(self.runqtail, 0)
        store(self.schedtick, 0)
        store(self.syscalltick, 0)
        store(self.preempt, 0)
        store(self.free, 0)
        store(self.minwhen, 0)
        self.seentick = self.seenwhen = self.seensys = self.zombies = 0
        self.goidcache = self.goidcacheend = self.gctick = 0
        self.gcseen = 0
        self.link = None
        self.gcrounds = 16

    def __repr__(self) -> str:
        return f"<P {self.id}>"


class Shard:
    """A part of the list of all live goroutines, under its own lock; n is how many of
    them are users'. Each P has one for what it starts, so that the lock is its own as long
    as that ends there too."""

    __slots__ = ("lock", "head", "n")

    def __init__(self) -> None:
        if not cython.compiled:
            self.lock = mutex()
            self.head = link()
            self.n = 0

    def count(self) -> int:
        # Under the lock: of two goroutines that end at the same time, or of one and main,
        # the later one sees the other's end, also where a release lets later loads pass.
        lock(self.lock)
        n = self.n
        unlock(self.lock)
        return n

    def clear(self) -> None:
        """Forget what an abandoned run left."""
        while True:
            gp = linknext(self.head)
            if gp is None:
                break
            linkdel(self.head, gp.alllink, gp)
            gctrack(gp, gp)  # nothing holds it for the runtime any more
        self.n = 0


class Sched:
    """What all Ms share. `lock` protects the global run queue, the idle lists of
    Ms and Ps, lockedms (the M of each goroutine that is locked to its thread), and the
    counts beside them; atomics say otherwise. nmsys counts
    the threads that are not in mcount: sysmon and the template thread. gm: the G-M
    scheduler runs (gm.py); set before the first M.

    signals holds what a signal handler has for main, until somebody takes it there;
    siglisten counts the signals that a channel listens to; asyncexc is the thread that was
    sent a KeyboardInterrupt for main, or 0; unwinding the number of the goroutine that a
    signal's handler is to end on the main thread, or 0; throwing is what main's next op is
    to raise, while CTHROW stands in its cancelreq, both under main's lock. clock is the time to
    within 10 ms, in units of 17 ms from 1 at the start (setclock): sysmon sets it, and who
    wakes it from a deep sleep. gcforce asks the next scheduling round for a collection,
    cleanupwake for the cleanup goroutine. safepoints counts the Ms that were woken without
    work; safegoal is how many sysmon waits for before it calls a deadlock. Under `lock`
    nwakes counts how often a P was taken off the idle list, nrunqget how often the global
    queue was served; sysmon reads both without, and sets runqlate where the queue was not
    served for a slice: the next round of any P does it then.
    nfailed counts the goroutines, of all runs, that failed and whose record lives. mstart,
    join, cancel, panic, interrupted, mainstage, mainexit, unwind, agenhooks, drained,
    abandon, leave,
    deadlocked, groupdone, orphaned, pierce, childexit, dying and describe are functions of upper
    floors, handed in.
    """

    __slots__ = (
        "lock",
        "gen",
        "booted",
        "gm",
        "up",
        "goidgen",
        "allp",
        "pfree",
        "mfree",
        "nprocs",
        "pidle",
        "npidle",
        "nwakes",
        "nmspinning",
        "needspinning",
        "midle",
        "nmidle",
        "nmidlelocked",
        "mcount",
        "mnext",
        "maxmcount",
        "nmsys",
        "allm",
        "lockedms",
        "runq",
        "runqsize",
        "nrunqget",
        "runqlate",
        "gcwaiting",
        "gcforce",
        "cleanupwake",
        "stopwait",
        "stopnote",
        "worldsema",
        "lastpoll",
        "polluntil",
        "netpollwaiters",
        "netpollwake",
        "poller",
        "sysmonwait",
        "sysmonnote",
        "exitnote",
        "exiting",
        "draining",
        "pierced",
        "threadwaiters",
        "deadcheck",
        "safepoints",
        "safegoal",
        "shards",
        "nshards",
        "m0",
        "maing",
        "throwing",
        "mstart",
        "join",
        "cancel",
        "panic",
        "groupdone",
        "orphaned",
        "pierce",
        "describe",
        "interrupted",
        "signals",
        "mainstage",
        "siglisten",
        "asyncexc",
        "unwinding",
        "unwind",
        "agenhooks",
        "dying",
        "mainexit",
        "drained",
        "abandon",
        "leave",
        "deadlocked",
        "childexit",
        "fatal",
        "starttime",
        "clock",
        "drainstart",
        "nfailed",
        "nsteals",
        "nthreads",
    )

    def __init__(self) -> None:
        if not cython.compiled:
            self.lock = mutex()
            self.worldsema = mutex()
            self.stopnote = note()
            self.sysmonnote = note()
            self.exitnote = note()
            self.throwing = slot()
            for name in (
                "gen booted up goidgen nprocs npidle nwakes nmspinning needspinning runqsize "
                "nrunqget runqlate gcwaiting gcforce cleanupwake safepoints "
                "lastpoll polluntil netpollwaiters netpollwake sysmonwait exiting draining "
                "nshards pierced threadwaiters deadcheck nfailed nsteals nthreads siglisten "
                "asyncexc unwinding clock"
            ).split():
                setattr(self, name, atomic())
            self.runq = queue()
            self.pidle = self.midle = None
            self.poller = self.m0 = self.maing = self.mstart = self.mainstage = self.fatal = None
            self.gm = False
            self.nmidle = self.nmidlelocked = self.mcount = self.mnext = 0
            self.nmsys = self.stopwait = self.safegoal = self.starttime = self.drainstart = 0
        self.maxmcount = 10000
        self.allp = []
        self.pfree: list[P] = []
        self.mfree: list[M] = []
        self.allm = set()
        self.lockedms: dict[G, M] = {}
        self.shards = tuple(Shard() for _ in range(NSHARD))
        for shard in self.shards:
            uncounted(shard)
        self.join = self.cancel = self.panic = self.interrupted = None
        self.signals: list[BaseException] = []
        self.dying = exit2
        self.mainexit = self.drained = self.abandon = self.deadlocked = self.childexit = None
        self.unwind = self.leave = self.agenhooks = None
        self.describe = describe


def exit2(msg: str, runtime: bool) -> None:
    """The end of a fatal error until a way with tracebacks is handed in."""
    printerr(msg)
    os._exit(2)


def describe(gp: G) -> str:
    return _STATUS[load(gp.status_) & ~Gscan]


sched = Sched()
uncounted(sched)


def allocm(id: int, gen: int) -> M:
    """An M for a new thread. None is ever freed, as its references are not counted: one
    whose thread has ended comes first."""
    lock(sched.lock)
    mp: M = sched.mfree.pop() if sched.mfree else None
    unlock(sched.lock)
    if mp is None:
        mp = M(id, gen)
        uncounted(mp)
    else:
        mp.renew(id, gen)
    return mp


def freem(mp: M) -> None:
    """mp's thread is done with it."""
    lock(sched.lock)
    sched.mfree.append(mp)
    unlock(sched.lock)


def allocp(id: int) -> P:
    """A P; as with Ms, one of an earlier run comes first."""
    if sched.pfree:
        pp: P = sched.pfree.pop()
        pp.renew(id)
        return pp
    pp = P(id)
    uncounted(pp)
    return pp


def printerr(text: str) -> None:
    """Write text to sys.stderr. The program may have closed it or put its own there;
    what that refuses is lost, as no report is worth a thread of the runtime."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:
        pass


def throw(msg: str) -> None:
    """The runtime's own state is broken: say so as Go does, and end the process."""
    sched.dying(f"fatal error: {msg}\n\nThis is a bug in gort, not in your program.\n", True)


def lostthread(exc: Exception) -> None:
    """The runtime's own code let an exception out of one of its threads: without that
    thread the program would hang."""
    printerr("".join(traceback.format_exception(exc)))
    throw(f"a thread of the runtime ended by {exc!r}")


def fatal(msg: str) -> None:
    """A fatal error of the program, not of the runtime; Go's words, exit status 2."""
    sched.dying(msg + "\n", False)


def checkmcount() -> None:
    """Die when there are more threads than allowed; sched.lock is held."""
    if sched.mcount + sched.nmsys > sched.maxmcount:
        unlock(sched.lock)
        fatal(
            f"runtime: program exceeds {sched.maxmcount}-thread limit\n"
            "fatal error: thread exhaustion"
        )


def newg(coro: object, goid: int) -> G:
    gp = recordget()
    if gp is None:
        gp = G.__new__(G)
        if not cython.compiled:
            gp.__init__()  # type: ignore[misc]
    gp.coro = coro
    gp.goid = goid
    return moved(gp)


names: dict[weakref.ref[G], str] = {}
"""What gort.set_name named; a record that has a weak reference is no other goroutine's later."""


def nameofg(gp: G) -> str:
    if names:
        name = names.get(weakref.ref(gp))
        if name is not None:
            return name
    lock(gp.lock)  # its end changes coro under it
    what = gp.coro
    raised = load(gp.status_) == Gdead and gp.outcome == 2
    unlock(gp.lock)
    return (what[1] if raised else nameof(what)) or "?"


def exceptionof(gp: G) -> BaseException | None:
    lock(gp.lock)
    dead = load(gp.status_) == Gdead
    unlock(gp.lock)
    if not dead:
        raise RuntimeError(
            f"goroutine {gp.goid} has not ended: await it, or look at its done() first"
        )
    if gp.outcome != 2:
        return None
    gp.retrieved = True
    settraceback(gp.result, gp.coro[0])  # as it ended: who raises it adds to it
    exc: BaseException = gp.result
    return exc


def greset(gp: G) -> None:
    """Make a clean dead record (gclean) a new one. May run a user's finalizers."""
    slotclear(gp.ctx)
    slotclear(gp.callcode)
    gp.coro = None
    gp.result = None
    gp.group = None
    gp.parentgoid = gp.waitsince = gp.waitreason = 0
    gp.calllasti = gp.outcome = 0
    gp.retrieved = gp.plain = gp.issystem = gp.cancelled = gp.member = False
    store_rel(gp.cancelreq, 0)  # nobody else has the record: no barrier
    store_rel(gp.status_, Gidle)


def casgstatus(gp: G, old: int, new: int) -> bool:
    """A change of status that only this M can make: failing is fatal."""
    if not cas(gp.status_, old, new):
        throw(f"casgstatus: bad g status {load(gp.status_)}, want {old} to {new}")
    return True


def shardof(gp: G) -> Shard:
    """The part of the list that gp is in."""
    return tupleat(sched.shards, gp.shard)


def allgadd(gp: G, pp: P) -> None:
    """List gp, which the M of pp, or a thread without a P, has made."""
    gp.shard = pp.shard if pp is not None else 0
    shard: Shard = tupleat(sched.shards, gp.shard)
    lock(shard.lock)
    linkadd(shard.head, gp.alllink, gp)
    if not gp.issystem:
        shard.n += 1
    unlock(shard.lock)


def allgdel(gp: G) -> None:
    shard: Shard = tupleat(sched.shards, gp.shard)
    lock(shard.lock)
    linkdel(shard.head, gp.alllink, gp)
    if not gp.issystem:
        shard.n -= 1
    unlock(shard.lock)


def setsystem(gp: G, system: bool) -> None:
    """Whether a listed goroutine is the runtime's own, which is not counted."""
    shard: Shard = shardof(gp)
    lock(shard.lock)
    if gp.issystem != system:
        gp.issystem = system
        shard.n += -1 if system else 1
    unlock(shard.lock)


def allgs() -> list[G]:
    """Every live goroutine, in the order of their numbers."""
    found: list[G] = []
    for shard in sched.shards:
        lock(shard.lock)
        gp = linknext(shard.head)
        while gp is not None:
            found.append(gp)
            gp = linknext(gp.alllink)
        unlock(shard.lock)
    found.sort(key=_goid)
    return found


def _goid(gp: G) -> int:
    return gp.goid


def mof(gp: G) -> M | None:
    """The M that runs gp, if one does. It looks through the Ms, whose curg may be dropped
    meanwhile, without a lock: a dump on the way to a fatal error may hold any."""
    s = load(gp.status_)
    if s == Grunning or s == Gparking or s == Gparkready:
        for mp in list(sched.allm):
            if mp.curg is gp:
                return mp
    return None


def setclock(now: int) -> None:
    """Set sched.clock; it stands still when it has filled 32 bits, after 2.2 years."""
    units = ((now - sched.starttime) >> CLOCKSHIFT) + 1
    store(sched.clock, units if units <= 0xFFFFFFFF else 0xFFFFFFFF)


sealed(G)
keeprecords(G)
