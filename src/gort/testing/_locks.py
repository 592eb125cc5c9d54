"""threading's locks and threads under the simulator.

A lock that is made inside a simulation, or lies in a module's globals, is waited for in
virtual time, and knows who holds it: threading's Lock and RLock, and what is built of
them, as Condition, Event, Semaphore, queue.Queue. A threading.Thread that is started
inside is a virtual one. What waits for a lock that nobody will let go fails the run, with
the lock, its holder and where that took it; so does a real lock, made outside, that holds
the whole simulation up (Engine.stuck).
"""

from __future__ import annotations

import gc
import linecache
import queue
import sys
import threading
import types
from _thread import allocate_lock
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

from .. import _pure
from ._story import location, place

_LOCK = type(allocate_lock())
_RLOCK = type(threading.RLock())
_UNTOUCHED = ("gort", "_pytest", "pluggy", "importlib", "_thread", "threading", "_frozen_importlib")
WAITING = 4
_METHODS = (
    types.BuiltinMethodType,
    types.MethodType,
    types.MethodDescriptorType,
    types.FunctionType,
)
_ENTERS = ("BEFORE_WITH", "LOAD_SPECIAL")


def engine() -> Any:
    """The engine, where the calling thread is a virtual one that is not just being made."""
    e = sys.modules[_pure.SIMULATED + ".platform"].current()
    return e if e is not None and not e.building else None


class _Kind(type):
    def __instancecheck__(cls, o: object) -> bool:
        return type.__instancecheck__(cls, o) or type(o) is cls.genuine  # type: ignore[attr-defined]


class Lock(metaclass=_Kind):
    """threading.Lock. The real lock is in it, and means the same to everyone."""

    __slots__ = ("real", "made", "name", "holder", "site", "waiters", "__weakref__")
    genuine: type = _LOCK
    title = "threading.Lock"

    def __new__(cls, real: Any = None) -> Any:
        if real is None and engine() is None:
            return cls.another()
        return object.__new__(cls)

    def __init__(self, real: Any = None) -> None:
        self.real = self.another() if real is None else real
        self.made = "" if real is not None else location(sys._getframe(1))
        self.name = ""
        self.holder = self.site = ""
        self.waiters: list[Any] = []

    @staticmethod
    def another() -> Any:
        return allocate_lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        e = engine()
        if e is None or not blocking:
            got = self.real.acquire(blocking, timeout)
        else:
            got = self.await_(e, timeout)
        if got and e is not None:
            self.taken(e)
        return bool(got)

    __enter__ = acquire

    def await_(self, e: Any, timeout: float) -> bool:
        """Take it, waiting in virtual time."""
        e.point("threading")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        until = None if timeout == -1 else e.clock + round(timeout * 1e9)
        me = e.running
        while not self.real.acquire(False):
            if until is not None and e.clock >= until:
                return False
            self.waiters.append(me)
            me.awaits = self
            try:
                e.block(until)
            finally:
                me.awaits = None
                if me in self.waiters:
                    self.waiters.remove(me)
        return True

    def taken(self, e: Any) -> None:
        self.holder = e.story.who()
        self.site = location(sys._getframe(2))

    def release(self) -> None:
        self.real.release()
        self.freed()

    def freed(self) -> None:
        e = engine()
        if e is not None:
            self.holder = self.site = ""
            waiting, self.waiters = self.waiters, []
            for t in waiting:
                e.wake(t)

    def __exit__(self, *exc: object) -> None:
        self.release()

    def locked(self) -> bool:
        return bool(self.real.locked())

    def _at_fork_reinit(self) -> None:
        self.real._at_fork_reinit()

    def __repr__(self) -> str:
        return f"<simulated {self.real!r}>"

    def explained(self, e: Any, me: Any) -> str:
        """Who waits for it, who has it and where it was taken, in words."""
        name = f" {self.name}" if self.name else f" made at {self.made}" if self.made else ""
        return explained(e, me, self.title + name, self.holder, self.site)


class RLock(Lock):
    """threading.RLock."""

    __slots__ = ()
    genuine = _RLOCK
    title = "threading.RLock"

    @staticmethod
    def another() -> Any:
        return _RLOCK()

    def release(self) -> None:
        self.real.release()
        if not self.real._is_owned():
            self.freed()

    def locked(self) -> bool:
        return " locked " in repr(self.real) or repr(self.real).startswith("<locked")

    # What threading.Condition wants of an RLock.
    def _is_owned(self) -> bool:
        return bool(self.real._is_owned())

    def _release_save(self) -> Any:
        state = self.real._release_save()
        self.freed()
        return state

    def _acquire_restore(self, state: Any) -> None:
        if engine() is None:
            self.real._acquire_restore(state)
            return
        for _ in range(state[0]):
            self.acquire()


def pairs() -> dict[int, tuple[Any, Any]]:
    """id of each of threading's makers of locks: it, and its twin."""
    out: dict[int, tuple[Any, Any]] = {}
    for real, twin in (
        (threading.Lock, Lock),
        (allocate_lock, Lock),
        (threading.RLock, RLock),
        (getattr(threading, "_CRLock", None), RLock),
        (queue.SimpleQueue, getattr(queue, "_PySimpleQueue", None)),
    ):
        if real is not None and twin is not None:
            out[id(real)] = real, twin
    return out


def adopted() -> list[tuple[dict[str, Any], str, Any]]:
    """Put a simulated lock around each that lies in a module's globals; what to undo."""
    undo: list[tuple[dict[str, Any], str, Any]] = []
    twins: dict[int, Lock] = {}
    for module in list(sys.modules.values()):
        name = getattr(module, "__name__", "")
        space = getattr(module, "__dict__", None)
        if type(space) is not dict or str(name).partition(".")[0] in _UNTOUCHED:
            continue
        for key, value in list(space.items()):
            if type(value) in (_LOCK, _RLOCK):
                twin = twins.get(id(value))
                if twin is None:
                    kind = Lock if type(value) is _LOCK else RLock
                    twin = twins[id(value)] = kind(value)
                    twin.name = f"{key} of {name}"
                undo.append((space, key, value))
                space[key] = twin
    return undo


# ---- threads -------------------------------------------------------------------------


def patched() -> list[tuple[type, str, Any]]:
    """Have threading.Thread start virtual threads where it is started by one; what to undo."""
    genuine = {name: getattr(threading.Thread, name) for name in ("start", "join", "is_alive")}
    init = threading.Thread.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        e = engine()
        if e is None:
            init(self, *args, **kwargs)
            return
        e.building = True  # what a thread is made of is real
        try:
            init(self, *args, **kwargs)
        finally:
            e.building = False

    def start(self: Any) -> None:
        e = engine()
        if e is None:
            genuine["start"](self)
            return
        if getattr(self, "_virtual", None) is not None:
            raise RuntimeError("threads can only be started once")
        names = vars(sys.modules[_pure.SIMULATED + ".platform"])
        self._virtual = names["newosproc"](body, self, self.name)

    def body(self: Any) -> None:
        ident = threading.get_ident()
        carrier = threading._active.get(ident)  # type: ignore[attr-defined]
        self._ident = ident
        threading._active[ident] = self  # type: ignore[attr-defined]
        try:
            self.run()
        except SystemExit:
            pass
        finally:
            if carrier is not None:
                threading._active[ident] = carrier  # type: ignore[attr-defined]

    def join(self: Any, timeout: float | None = None) -> None:
        virtual = getattr(self, "_virtual", None)
        if virtual is None:
            genuine["join"](self, timeout)
        else:
            virtual.join(timeout)

    def is_alive(self: Any) -> bool:
        virtual = getattr(self, "_virtual", None)
        return bool(genuine["is_alive"](self) if virtual is None else virtual.is_alive())

    cls = threading.Thread
    undo: list[tuple[type, str, Any]] = [(cls, "__init__", init)]
    undo += [(cls, name, fn) for name, fn in genuine.items()]
    for fn in (__init__, start, join, is_alive):
        setattr(cls, fn.__name__, fn)
    return undo


# ---- who holds what ----------------------------------------------------------------------


def explained(e: Any, me: Any, what: str, holder: str, site: str) -> str:
    frame = sys._current_frames().get(me.ident)
    who = e.story.whose(me)
    text = f"{who} waits for {what} at {location(frame)}, and cannot get it: "
    if not holder:
        return text + "nobody in the simulation is seen to have it"
    text += f"{holder} took it at {site or 'a place that is not known'}"
    where = e.story.stands(holder)
    if where:
        text += f" and holds it while it {where}"
    return (
        text + ". A lock of threading that is held across an await keeps the threads of all who "
        "want it: use one of gort.sync, or let it go first"
    )


def stuck(e: Any, me: Any) -> tuple[str, Any] | None:
    """What real lock a virtual thread has been waiting for, in words, and the lock; None
    where it does something else."""
    frame = sys._current_frames().get(me.ident)
    while frame is not None:
        found = list(wanted(frame))
        if found:
            name, lock = found[0]
            kind = "threading.RLock" if type(lock) is _RLOCK else "threading.Lock"
            holder, site = holderof(e, lock)
            return explained(e, me, f"{kind} {name}", holder, site), lock
        if frame.f_code.co_filename not in (threading.__file__, queue.__file__):
            return None
        frame = frame.f_back
    return None


def wanted(frame: FrameType) -> Iterator[tuple[str, Any]]:
    """The locked locks that a frame's line names."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)
    for name, value in known(frame):
        value = getattr(value, "_lock", value)  # of a Condition
        if name in line and islocked(value):
            yield name, value


def islocked(o: Any) -> bool:
    if type(o) is _LOCK:
        return bool(o.locked())
    return type(o) is _RLOCK and repr(o).startswith("<locked")


def holderof(e: Any, lock: Any) -> tuple[str, str]:
    """Which goroutine is in a `with` of a lock, and where that begins; or else which of
    those that wait for something names it, and where it calls acquire."""
    story = e.story
    named = ("", "")
    for gp in story.live():
        for coro in awaited(gp.coro):
            frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
            if frame is None or getattr(coro, "cr_running", False):
                continue  # who waits for the lock runs, and may have its __exit__ at hand
            if isinwith(gc.get_referents(coro, frame), lock):
                return story.name(gp), withline(frame)
            if gp.status_.v == WAITING and any(o is lock for _, o in known(frame)):
                named = story.name(gp), acquireline(frame)
    return named


def known(frame: FrameType) -> Iterator[tuple[str, Any]]:
    """What a frame's code can name, with one dot or none."""
    attrs = frame.f_code.co_names
    names = {**{n: frame.f_globals.get(n) for n in attrs}, **frame.f_locals}
    for name, value in names.items():
        yield name, value
        space = getattr(value, "__dict__", None)
        for attr in attrs:
            if type(space) is dict and attr in space:
                yield f"{name}.{attr}", space[attr]


def acquireline(frame: FrameType) -> str:
    """Where a suspended frame's function last called an acquire, as its text has it."""
    code = frame.f_code
    for line in range(frame.f_lineno, code.co_firstlineno, -1):
        if "acquire(" in linecache.getline(code.co_filename, line, frame.f_globals):
            return place(code, line)
    return ""


def awaited(coro: Any) -> Iterator[Any]:
    while coro is not None and not isinstance(coro, tuple):
        yield coro
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None)


def isinwith(found: list[Any], lock: Any) -> bool:
    """Whether the lock's __exit__ lies on a stack: bound, or beside what it is of (3.14)."""
    for before, o, after in zip([None, *found], found, [*found[1:], None], strict=False):
        if not isinstance(o, _METHODS) or o.__name__ != "__exit__":
            continue
        owners = (o.__self__,) if hasattr(o, "__self__") else (before, after)
        if any(x is lock or getattr(x, "_lock", None) is lock for x in owners):
            return True
    return False


def withline(frame: FrameType) -> str:
    """Where the innermost `with` begins that a suspended frame is in."""
    import dis

    line = None
    code: CodeType = frame.f_code
    for ins in dis.get_instructions(code):
        if ins.offset >= frame.f_lasti:
            break
        if ins.opname in _ENTERS and ins.positions is not None:
            line = ins.positions.lineno
    return place(code, line) if line is not None else ""
