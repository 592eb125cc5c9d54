"""The simulator's platform: virtual threads in lockstep under a virtual clock.

The interface of pure.py, over one engine. One virtual thread runs at a time; at
every atomic operation, lock, note, thread start, queue access, poll and clock read
the engine's strategy says who goes on. Time stands still while anyone can run, and
then jumps to the next deadline. So a run is a function of its strategy: the same
seed gives the same run, step by step.

Virtual threads are real ones, each behind a baton (a lock) of its own. After
Madsim and Shuttle for the idea; the strategies are in gort.testing.strategy.
"""

from __future__ import annotations

import heapq
import random
import sys
import threading
import weakref
from _thread import allocate_lock
from bisect import insort
from collections.abc import Callable
from errno import EBADF, EEXIST, ENOENT
from itertools import count
from types import FrameType
from typing import Any, Protocol
from zlib import crc32

from . import pure
from .pure import (
    RAISE,
    RETURN,
    STOPASYNC,
    YIELD,
    Heap,
    asyncgen_hooks,
    atomic,
    atomic8,
    awaitby,
    bufcut,
    buffind,
    bufput,
    buftake,
    callsite,
    callsite_of,
    chanopput,
    checksignals,
    connrecv,
    connsend,
    copycontext,
    curm,
    events,
    evfd,
    evmask,
    evseq,
    fastgo,
    framekey,
    gctrack,
    getident,
    getm,
    gocall,
    gogo,
    gothrow,
    immortal,
    install_slots,
    isasyncgenfunction,
    iscoroutinefunction,
    keeprecords,
    keeptstate,
    link,
    linkadd,
    linkdel,
    linkempty,
    linknext,
    linkput,
    linktake,
    lockstat,
    moved,
    nameof,
    opdrop,
    queue,
    queueput,
    queuetake,
    recordget,
    recvnow,
    refsock,
    rename,
    sealed,
    sendnow,
    setcurg,
    setm,
    settraceback,
    slot,
    slotclear,
    slotpeek,
    slottake,
    sockfileno,
    sockid,
    swapvalue,
    takecurg,
    threadstacks,
    tracebackof,
    tupleat,
    uncounted,
    unlikely,
)
from .pure import Awaitable as Plain

RUNQ = 8
"""A small ring, so that small programs overflow it and see its indices come round."""

DROPTICK = 0
"""Nothing is dropped where it must not be: there is no collector here."""

FIRSTNS = 1_000_000_000
"""The clock starts here: 0 means "never" to the runtime."""


WATCH = 1.0
"""How many real seconds a run may stand still before it is looked at, and half of how many
before it is given up where a real lock is what it waits for."""

NAP = 10
"""A usleep of at most that many microseconds may be over at any point."""


LULL = 100_000_000
"""After so many nanoseconds in which the monitor alone ran, it has nothing more to find
until somebody else wakes: its looks in between are left out."""


class Failure(Exception):
    """The simulated run did what no run may do; the text says what."""


class Stop(BaseException):
    """Ends a virtual thread after the run is over."""


class Strategy(Protocol):
    """Who goes on: one of `ready` (in the order of their ids), which holds at least
    two. current is the thread that reached a point, or None when it blocked."""

    rng: random.Random
    jitter: float
    """How likely, at each point, the clock jumps although threads can run: a slow machine."""
    naps: float
    """How likely a nap of some microseconds is over before everyone waits."""

    def pick(self, ready: list[Vthread], current: Vthread | None) -> Vthread: ...

    def yielded(self, t: Vthread) -> None:
        """t waits actively (usleep): one that has priority should lose it."""


class Vthread:
    """A virtual thread. Who holds the baton runs."""

    __slots__ = (
        "id",
        "name",
        "baton",
        "deadline",
        "woken",
        "real",
        "ident",
        "joiners",
        "done",
        "foreign",
        "awaits",
    )

    def __init__(self, id: int, name: str) -> None:
        self.id = id
        self.name = name
        self.baton = allocate_lock()
        self.baton.acquire()
        self.awaits: Any = None
        """The lock of threading that it waits for."""
        self.deadline: int | None = None
        self.woken = False
        self.done = False
        self.foreign = not name.startswith("gort-")
        self.joiners: list[Vthread] = []
        self.real: threading.Thread | None = None
        self.ident: int | None = None

    def join(self, timeout: float | None = None) -> None:
        engine = current()
        if engine is None:
            return
        me = engine.running
        if me is self:
            raise RuntimeError("cannot join current thread")
        engine.point("join")
        until = None if timeout is None else engine.clock + round(max(timeout, 0) * 1e9)
        while not self.done and (until is None or engine.clock < until):
            self.joiners.append(me)
            engine.block(until)
            self.joiners.remove(me)

    def is_alive(self) -> bool:
        return not self.done

    def __repr__(self) -> str:
        return f"<{self.name}>"


def threadid(t: Vthread) -> int:
    return t.id


_codes: dict[str, int] = {}
"""A point's name to its number in the digest."""


def code_of(what: str) -> int:
    n = _codes[what] = crc32(what.encode())
    return n


class Engine:
    """One simulated run: its threads, its clock, its choices.

    Everything here belongs to the running virtual thread.
    """

    def __init__(self, strategy: Strategy, maxsteps: int, keep: int = 0) -> None:
        self.strategy = strategy
        self.maxsteps = maxsteps
        self.steps = 0
        self.clock = FIRSTNS
        self.threads: list[Vthread] = []
        self.ready: list[Vthread] = []
        self.sleeping: list[Vthread] = []
        self.running: Vthread = None  # type: ignore[assignment]
        self.over = False
        self.failure: BaseException | None = None
        self.finished = threading.Event()
        self.lost: Vthread | None = None
        """A thread that comes back from a real lock only when another one ends."""
        self.doomed: Any = None
        """The lock that it waits for."""
        self.digest = 0
        self.keep = keep
        self.trace: list[tuple[int, int, str]] = []
        """The last steps: (clock in ns, thread, operation)."""
        self.detail = False
        """Whether the trace says where each operation stands, and for which goroutine."""
        self.monitor: Vthread | None = None
        """The thread of sysmon."""
        self.stirred = FIRSTNS
        """When a thread that is not the monitor's last went on."""
        self.patient: Callable[[], bool] = lambda: True
        """Whether the monitor's looks change nothing where nobody else runs."""
        self.idlers: list[Vthread] = []
        """Threads in idle(): they go on when everyone else waits."""
        self.durable: Callable[[], bool] = lambda: True
        """Whether everyone waits for good, and not for the end of a computation."""
        self.onpoint: Callable[[str], None] | None = None
        """Called at each point, by the running thread: checks what must always hold."""
        self.onquiet: Callable[[], None] | None = None
        """Called when no thread can run, before the clock jumps."""
        self.checking = False
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        """What happens by itself: when, in which order, what. A heap."""
        self.nposted = 0
        self.net: Any = None
        """Its network, if it has one (simnet)."""
        self.building = False
        """Whether the running thread makes one, of real locks."""
        self.onstuck: Callable[[Vthread], tuple[str, Any] | None] = lambda t: None
        """What real lock of threading a thread waits for, in words, and the lock."""
        self.story: Any = None
        """What its goroutines did, for who is told of a failure (gort.testing)."""

    def point(self, what: str) -> None:
        """A place where another thread may go on."""
        if self.over:
            if finalizing():
                return
            raise Stop
        if self.checking:
            return
        self.steps += 1
        t = self.running
        code = _codes.get(what) or code_of(what)
        self.digest = (self.digest * 1000003 ^ code ^ t.id) & 0xFFFFFFFFFFFFFFFF
        if self.keep:
            self.record(t, what)
        if self.steps > self.maxsteps and not finalizing():
            self.fail(Failure(f"no end after {self.maxsteps} steps: a livelock?"))
        if self.onpoint is not None:
            self.check(self.onpoint, what)
        if self.sleeping and self.strategy.jitter:
            rng = self.strategy.rng
            if rng.random() < self.strategy.jitter:
                # Mostly sysmon's next look; now and then a whole time slice.
                self.advance(0 if rng.random() < 0.9 else 11_000_000)
        if len(self.ready) > 1:
            n = self.strategy.pick(self.ready, t)
            if n is not t:
                self.switch(t, n)

    def record(self, t: Vthread, what: str) -> None:
        if self.detail:
            frame = sys._getframe(2)
            while frame.f_code.co_filename == __file__ and frame.f_back is not None:
                frame = frame.f_back
            mp = getm()
            gp = mp.curg if mp is not None else None
            who = f"g{gp.goid}" if gp is not None else ""
            what = f"{who:4} {what:12} {frame.f_code.co_name}:{frame.f_lineno}"
        self.trace.append((self.clock, t.id, what))
        if len(self.trace) > 2 * self.keep:
            del self.trace[: self.keep]

    def check(self, fn: Callable[..., None], *args: Any) -> None:
        """Run a check; what it reads of the runtime is no point."""
        self.checking = True
        try:
            fn(*args)
        except Failure as exc:
            self.fail(exc)
        finally:
            self.checking = False

    def switch(self, t: Vthread, n: Vthread) -> None:
        self.running = n
        n.baton.release()
        t.baton.acquire()
        if self.over and not finalizing():
            raise Stop

    def block(self, deadline: int | None) -> bool:
        """Wait until wake() or the deadline (in ns); whether it was wake()."""
        t = self.running
        self.ready.remove(t)
        t.woken = False
        t.deadline = deadline
        if deadline is not None:
            self.sleeping.append(t)
        while not self.ready:
            self.quiet()
        n = self.ready[0] if len(self.ready) == 1 else self.strategy.pick(self.ready, None)
        if n is not t:
            self.switch(t, n)
        return t.woken

    def quiet(self) -> None:
        """Nobody can run: let time pass."""
        if any(t.deadline - self.clock <= NAP * 1000 for t in self.sleeping if t.deadline):
            self.advance(0)  # who naps is on its way
            return
        if self.onquiet is not None:
            self.check(self.onquiet)
        if self.idlers and self.durable():
            for t in self.idlers:
                self.wake(t)
            self.idlers.clear()
            return
        if not self.sleeping and not self.events:
            self.awaited()
            self.fail(Failure("every thread waits, and for nothing that could come"))
        self.advance(0, self.monitor if self.patient() else None)

    def advance(self, extra: int, patient: Vthread | None = None) -> None:
        """Jump to the next deadline, and by `extra` ns more; not to one of `patient` after
        a lull, where there is another."""
        due = [t.deadline for t in self.sleeping if t.deadline is not None]
        first = min(due + [when for when, _, _ in self.events[:1]])
        if patient is not None and first - self.stirred >= LULL:
            others = [t.deadline for t in self.sleeping if t is not patient and t.deadline]
            others += [when for when, _, _ in self.events[:1]]
            first = min(others, default=first)
            if not others:
                self.awaited()
        self.clock = max(self.clock, first) + extra
        for t in [t for t in self.sleeping if t.deadline is not None and t.deadline <= self.clock]:
            self.sleeping.remove(t)
            self.makeready(t)
        while self.events and self.events[0][0] <= self.clock:
            heapq.heappop(self.events)[2]()

    def post(self, when: int, fn: Callable[[], None]) -> None:
        """Have fn called, by whoever finds the clock at `when` or later. It makes no point."""
        self.nposted += 1
        heapq.heappush(self.events, (when, self.nposted, fn))

    def awaited(self) -> None:
        """Nobody will come: fail where a thread waits for a lock of threading."""
        for t in self.threads:
            if t.awaits is not None:
                self.fail(Failure(t.awaits.explained(self, t)))

    def idle(self) -> None:
        """Wait until every other thread waits for good; time does not move for it."""
        self.point("idle")
        self.idlers.append(self.running)
        self.block(None)

    def wake(self, t: Vthread) -> None:
        """Let a blocked thread go on. Without effect on one that can run."""
        if t in self.ready or t.done:
            return
        if t in self.sleeping:
            self.sleeping.remove(t)
        t.woken = True
        self.makeready(t)

    def makeready(self, t: Vthread) -> None:
        t.deadline = None
        if t is not self.monitor:
            self.stirred = self.clock
        insort(self.ready, t, key=threadid)

    def spawn(self, fn: Callable[..., Any], args: tuple[Any, ...], name: str) -> Vthread:
        t = Vthread(len(self.threads), name)
        self.threads.append(t)
        if name == "gort-sysmon":
            self.monitor = t
        was, self.building = self.building, True
        t.real = threading.Thread(target=self.body, args=(t, fn, args), name=name, daemon=True)
        self.ready.append(t)
        t.real.start()
        self.building = was
        t.ident = t.real.ident
        return t

    def body(self, t: Vthread, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        t.baton.acquire()
        try:
            if not self.over:
                fn(*args)
        except Stop:
            pass
        except BaseException as exc:
            self.note(exc)
        if self.doomed is not None and self.doomed._is_owned():
            self.disown(t)
        else:
            self.leave(t)

    def leave(self, t: Vthread) -> None:
        """A virtual thread's end: the next one goes on, or the run is over."""
        t.done = True
        if self.over:
            self.next()
            return
        self.ready.remove(t)
        for j in list(t.joiners):
            self.wake(j)
        if all(x.done for x in self.threads):
            self.over = True
            self.finished.set()
            return
        try:
            while not self.ready:
                self.quiet()
        except Stop:
            self.next()
            return
        ready = self.ready
        n = ready[0] if len(ready) == 1 else self.strategy.pick(ready, None)
        self.running = n
        n.baton.release()

    def next(self) -> None:
        """After a failure: let the threads end, one after the other."""
        for x in self.threads:
            if not x.done and x is not self.lost:
                self.running = x
                x.baton.release()
                return
        self.finished.set()

    def note(self, exc: BaseException) -> None:
        if self.failure is None:
            self.failure = exc
            if self.story is not None:
                self.story.failed()
        self.over = True

    def fail(self, exc: BaseException) -> None:
        self.note(exc)
        raise Stop

    def watch(self) -> None:
        """Until all is over: look at a run that stands still, whose thread may wait for a
        real lock that only another of its threads could let go."""
        seen = -1
        while not self.finished.wait(WATCH):
            if self.steps == seen and self.lost is None:
                self.stuck()
            seen = self.steps

    def stuck(self) -> None:
        t = self.running
        found = self.onstuck(t)
        if found is None or self.finished.is_set():
            return
        text, held = found
        self.note(Failure(text))
        try:
            held.release()  # t goes on, and ends at its next point
        except RuntimeError:
            # An RLock is released by its owner alone, as that ends.
            self.doomed = held
            self.lost = t
            self.next()

    def disown(self, t: Vthread) -> None:
        """t ends after a failure, and has the lock that held the run up: who waits for it
        is the next one to end."""
        t.done = True
        self.running, self.lost = self.lost, None  # type: ignore[assignment]
        while self.doomed._is_owned():
            self.doomed.release()

    def run(self, fn: Callable[[], Any]) -> Any:
        """Run fn on the first virtual thread, from a real one; its result."""
        global _engine
        out: list[Any] = []

        def first() -> None:
            try:
                out.append((True, fn()))
            except Stop:
                raise
            except BaseException as exc:
                out.append((False, exc))

        for one in lasting:
            one.renew()
        for pool in pools.values():
            pool.clear()
        _engine = self
        try:
            t = self.spawn(first, (), "gort-sim")
            t.foreign = False
            self.running = t
            t.baton.release()
            self.watch()
        finally:
            _engine = None
        for x in self.threads:
            if x.real is not None:
                x.real.join(WATCH if x is self.lost else None)
        if self.failure is not None:
            raise self.failure
        ok, value = out[0]
        if ok:
            return value
        raise value


def finalizing() -> bool:
    """Whether a `__del__` calls, out of which no Stop comes."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


class Awaitable(Plain):
    """pure's, which tells the run's story of each step."""

    __slots__ = ()

    def __next__(self) -> None:
        e = current()
        story = e.story if e is not None else None
        told = story.began(self) if story is not None else None
        code = self.step()
        if story is not None:
            story.stepped(told, self, code)
        if code == YIELD:
            return None
        value = self.value
        self.value = None
        if code == RETURN:
            raise StopIteration(value)
        try:
            raise StopAsyncIteration if code == STOPASYNC else value
        finally:
            del value


_engine: Engine | None = None
get_ident = threading.get_ident


def current() -> Engine | None:
    """The engine, if the calling thread is one of its."""
    e = _engine
    if e is None or e.running is None or e.running.ident != get_ident():
        return None
    return e


def point(what: str) -> Engine | None:
    e = _engine
    if e is None or e.running is None or e.running.ident != get_ident():
        return None
    e.point(what)
    return e


# ---- atomics ---------------------------------------------------------------------


def load(a: atomic) -> int:
    point("load")
    return a.v


def store(a: atomic, x: int) -> None:
    point("store")
    a.v = x


store_rel = store


def cas(a: atomic, old: int, new: int) -> bool:
    point("cas")
    if a.v != old:
        return False
    a.v = new
    return True


def add(a: atomic, n: int) -> int:
    point("add")
    a.v += n
    return a.v


def swap(a: atomic, x: int) -> int:
    point("swap")
    old = a.v
    a.v = x
    return old


def post(a: atomic) -> None:
    a.v = 1


def fence() -> None:
    return


# ---- locks and notes ---------------------------------------------------------------


class mutex:
    __slots__ = ("holder", "waiters")

    def __init__(self) -> None:
        self.holder: Vthread | None = None
        self.waiters: list[Vthread] = []
        if _engine is None:
            lasting.append(self)

    def renew(self) -> None:
        self.holder = None
        self.waiters.clear()


lasting: list[mutex | note] = []
"""Locks and notes that were made outside a run and outlast it: a run that was cut off
may have left them held."""


def lock(m: mutex) -> None:
    e = point("lock")
    if e is None or e.checking:
        return
    me = e.running
    if m.holder is me:
        e.fail(Failure(f"{me.name} locks a mutex that it holds"))
    while m.holder is not None:
        m.waiters.append(me)
        e.block(None)
    m.holder = me


def unlock(m: mutex) -> None:
    e = point("unlock")
    if e is None or e.checking:
        return
    if m.holder is not e.running:
        e.fail(Failure(f"{e.running.name} unlocks a mutex that it does not hold"))
    m.holder = None
    for t in m.waiters:
        e.wake(t)
    m.waiters.clear()


class note:
    __slots__ = ("key", "sleeper")

    def __init__(self) -> None:
        self.key = 0
        self.sleeper: Vthread | None = None
        if _engine is None:
            lasting.append(self)

    def renew(self) -> None:
        self.key = 0
        self.sleeper = None


def noteclear(n: note) -> None:
    point("noteclear")
    n.key = 0


def notewakeup(n: note) -> None:
    e = point("notewakeup")
    n.key = 1
    if e is not None and n.sleeper is not None:
        e.wake(n.sleeper)


def noteinterrupt(n: note) -> None:
    e = point("noteinterrupt")
    if n.key == 0:
        n.key = 2
        if e is not None and n.sleeper is not None:
            e.wake(n.sleeper)


def notesleep(n: note, ns: int) -> bool:
    e = point("notesleep")
    if e is not None and n.key == 0:
        n.sleeper = e.running
        e.block(None if ns < 0 else e.clock + ns)
        n.sleeper = None
    if n.key == 2:
        n.key = 0
    return n.key == 1


# ---- time and chance -----------------------------------------------------------------


def nanotime() -> int:
    e = point("nanotime")
    return e.clock if e is not None else FIRSTNS


def usleep(us: int) -> None:
    e = point("usleep")
    if e is None:
        return
    e.strategy.yielded(e.running)
    if us <= NAP and len(e.ready) > 1 and e.strategy.rng.random() < e.strategy.naps:
        e.point("nap")  # the others took longer than it
        return
    e.block(e.clock + us * 1000)


def cheaprand() -> int:
    e = _engine
    return e.strategy.rng.getrandbits(32) if e is not None else 4


def cheaprandn(n: int) -> int:
    e = _engine
    return e.strategy.rng.randrange(n) if e is not None else 0


_addresses = count(1)


def address(o: object) -> int:
    """A number in place of an address, so that the order of locks replays."""
    return next(_addresses)


# ---- pools of ops -------------------------------------------------------------------------

POOLSIZE = 16
NEW, EXCUSED = 0, -1
"""gmp.py's states of an op; in a pool it is one that nobody has forgotten to await."""
LEFT = {"code", "index", "kind", "ok", "fd", "mode", "n", "ticket", "reader", "when"}
"""What an op in a pool may hold otherwise than a new one: who takes it out, or its start,
sets it."""
pools: dict[str, list[Any]] = {}
"""The dead ops of each module that has a pool; emptied before a run."""
blanks: dict[type, Any] = {}
"""A new op of each class, to compare with; kept, for it would go to its pool."""


def poolops(cls: Any) -> None:
    """Keep dead ops of cls for poolget, as op.h does: reset, and else as they died."""
    pool = pools.setdefault(cls.__module__, [])
    names = [name for c in cls.__mro__ for name in getattr(c, "__slots__", ())]
    before = getattr(cls, "__del__", None)

    def __del__(self: Any) -> None:
        if before is not None:
            before(self)
        e = current() if _engine is not None else None  # both are gone as the interpreter ends
        if type(self) is cls and e is not None and not e.over and len(pool) < POOLSIZE:
            pool.append(poolput(e, self, names))

    cls.__del__ = __del__


def poolput(e: Engine, op: Any, names: list[str]) -> Any:
    """The op that comes out of the pool next: an object is finalized once, so it is another
    one with all that op's reset() has left."""
    held = [getattr(op, name, None) for name in names]  # dropped when points are points again
    was, e.checking = e.checking, True
    try:
        for name in names:
            if not hasattr(op, name):
                setattr(op, name, None)  # compiled, a field is there from the start
        op.reset()
        kind: Any = type(op)
        twin, new = kind.__new__(kind), blanks.get(kind)
        if new is None:
            new = blanks[kind] = kind()
            new.state = EXCUSED
        for name in names:
            setattr(twin, name, getattr(op, name))
            if name == "state":
                twin.state = EXCUSED
                if op.state != NEW:
                    e.note(Failure(f"{type(op).__name__}.reset() leaves state as {op.state}"))
            elif name not in LEFT and shown(getattr(op, name)) != shown(getattr(new, name, None)):
                e.note(Failure(f"{type(op).__name__}.reset() leaves {name} as {shown(op, name)}"))
        twin.won = atomic()
    finally:
        e.checking = was
    del held
    return twin


def shown(o: Any, name: str = "") -> Any:
    """A field's value, to compare: what the runtime's own records hold."""
    value = getattr(o, name, None) if name else o
    if type(value) is link:
        return value.next is None and value.prev is None and value.owner is None
    return None if isinstance(value, atomic) else value


def poolget() -> Any:
    pool = pools.get(sys._getframe(1).f_globals["__name__"])
    if not pool or current() is None:
        return None
    op = pool.pop()
    op.state = NEW
    return op


# ---- slots and rings -------------------------------------------------------------------


def slotset(s: slot) -> bool:
    point("slotset")
    return s.v is not None


def slotput(s: slot, o: Any) -> None:
    point("slotput")
    s.v = o


def slotswap(s: slot, o: Any) -> Any:
    point("slotswap")
    old = s.v
    s.v = o
    return old


def ring() -> list[Any]:
    return [None] * RUNQ


def ringput(r: list[Any], i: int, o: Any) -> None:
    point("ringput")
    r[i % RUNQ] = [o]


ringmove = ringput


def ringtake(r: list[Any], i: int) -> Any:
    point("ringtake")
    cell = r[i % RUNQ]
    o = cell[0]
    cell[0] = None
    return o


def ringcopy(src: list[Any], i: int, dst: list[Any], j: int) -> None:
    point("ringcopy")
    dst[j % RUNQ] = src[i % RUNQ]


# ---- the poller, threads -------------------------------------------------------------------


class File:
    """A virtual open file. `held`: something keeps it open, whatever number it has; `sent`:
    what came through a socket."""

    __slots__ = ("ready", "held", "sent")

    def __init__(self) -> None:
        self.ready = 0
        self.held = False
        self.sent = b""


class Socket:
    """An object with a number and a file of its own, as a socket has."""

    __slots__ = ("fd", "__weakref__")

    def __init__(self, fd: int) -> None:
        files[fd] = File()
        self.fd = fd

    def fileno(self) -> int:
        return self.fd

    def send(self, data: bytes, flags: int) -> int:
        """A byte a call. Between a look at the number and the call anything may happen."""
        fd = self.fd
        point("send")
        file = files.get(fd)
        if file is None:
            raise OSError(EBADF, "bad file descriptor")
        file.sent += bytes(data[:1])
        return 1

    def close(self) -> None:
        files.pop(self.fd, None)
        self.fd = -1


def simulated(o: object) -> bool:
    """Whether o is a socket of the simulated network (simnet)."""
    return getattr(type(o), "simulated", False) is True


def sockref(o: Any) -> weakref.ref[Any] | None:
    return weakref.ref(o) if type(o) is Socket or simulated(o) else None


def socknumber(o: Any, what: str) -> int:
    if not simulated(o) and type(o) is not Socket:
        return pure.socknumber(o, what)
    if o.fd < 0:
        raise ValueError(f"{what}: the socket is closed")
    fd: int = o.fd
    return fd


leaving: dict[int, Callable[[int], None]] = {}
"""What closes the numbers that were taken from sockets of the simulated network."""


def socktake(sock: Any) -> int:
    point("socktake")
    if not simulated(sock) and type(sock) is not Socket:
        return pure.socktake(sock)
    fd: int = sock.fd
    sock.fd = -1
    if fd >= 0 and simulated(sock):
        leaving[fd] = sock.gone
    return fd


def dupfd(fd: int) -> int:
    return -1


def closefd(fd: int) -> None:
    gone = leaving.pop(fd, None)
    if gone is not None:
        gone(fd)
    elif files.pop(fd, None) is None:
        pure.closefd(fd)


class Poller:
    """epoll over virtual files: what is ready is what setready said. As epoll, it knows
    a file by itself and its number, and forgets one that was closed."""

    def __init__(self) -> None:
        self.armed: dict[tuple[int, File], tuple[int, int]] = {}
        """What is registered: its mask, and the sequence number."""
        self.broken = False
        self.sleeper: Vthread | None = None
        self.nctl = self.nwait = 0
        pollers.append(self)

    def fileno(self) -> int:
        return -1

    def ctl(self, op: int, fd: int, mask: int, seq: int) -> int:
        e = point("epoll_ctl")
        self.nctl += 1
        self.forget()
        file = files.get(fd)
        if file is None:
            return EBADF
        if ((fd, file) in self.armed) is (op == 1):
            return EEXIST if op == 1 else ENOENT
        if op == 2:
            del self.armed[fd, file]
            return 0
        self.armed[fd, file] = mask, seq
        if file.ready & mask and self.sleeper is not None and e is not None:
            e.wake(self.sleeper)
        return 0

    def forget(self) -> None:
        for fd, file in list(self.armed):
            if files.get(fd) is not file and not file.held:
                del self.armed[fd, file]

    def breakpoll(self) -> None:
        e = point("break")
        self.broken = True
        if e is not None and self.sleeper is not None:
            e.wake(self.sleeper)

    def wait(self, evs: events, ns: int) -> int:
        e = point("epoll_wait")
        evs.got = []
        if e is None:
            return 0
        self.nwait += 1
        if ns != 0 and not self.broken and not self.some():
            self.sleeper = e.running
            # No wait in a kernel is shorter than a microsecond.
            e.block(None if ns < 0 else e.clock + max(ns, 1000))
            self.sleeper = None
        if ns != 0:
            self.broken = False
        self.forget()
        for (fd, file), (mask, seq) in self.armed.items():
            got = mask & file.ready
            if got:
                evs.got.append((fd, got, seq))
                if not mask & 4:
                    self.armed[fd, file] = 0, seq  # just once
        return len(evs.got)

    def some(self) -> bool:
        self.forget()
        return any(mask & file.ready for (_, file), (mask, _) in self.armed.items())

    def renew(self) -> bool:
        self.armed.clear()
        self.breakpoll()
        return True

    def close(self) -> None:
        if self in pollers:
            pollers.remove(self)


files: dict[int, File] = {}
"""The virtual files, by their numbers."""
pollers: list[Poller] = []


def setready(fd: int, mask: int) -> None:
    """Make a virtual file ready (1 to read, 2 to write, 0 not); it exists from then on."""
    point("setready")
    mark(fd, mask)


def mark(fd: int, mask: int) -> None:
    """setready without a point: for who changes the file and its readiness in one step."""
    file = files.get(fd)
    if file is None:
        file = files[fd] = File()
    file.ready = mask
    e = current()
    for p in pollers:
        if p.sleeper is not None and e is not None and p.some():
            e.wake(p.sleeper)


def newosproc(fn: Callable[[Any], None], arg: Any, name: str) -> Vthread:
    e = point("newosproc")
    if e is None:
        raise RuntimeError("a simulated runtime runs under gort.testing alone")
    return e.spawn(fn, (arg,), name)


def nforeign() -> int:
    """How many virtual threads outside the runtime live."""
    e = current()
    return sum(1 for t in e.threads if t.foreign and not t.done) if e is not None else 0


def bootstrangers() -> None:
    """All virtual threads are known."""


def nstrangers() -> int:
    return 0


def ismainthread() -> bool:
    return False


def raiseasync(ident: int, exc: type[BaseException] | None) -> None:
    """No thread of the simulation is interrupted."""
