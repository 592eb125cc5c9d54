"""A simulated run as its goroutines tell it: who started, awaited and woke whom, where in
the program, and what stood where at the end."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from .. import _pure

LAST = 20
"""How many of a run's steps a failure shows."""
SHOWN = 30
"""How many goroutines it shows."""

FIRSTNS = 1_000_000_000
"""When the virtual clock begins."""

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_WAITING, _DEAD = 4, 6
_APARK = 1
_PARKED, _AWAITED = 1, 4
_YIELD, _RAISE = 0, 2
_WORDS = {
    "Gosched": "gosched",
    "Syscall": "syscall",
    "Enterblock": "enters blocking()",
    "Exitblock": "leaves blocking()",
    "Sleep": "sleep",
    "Groupwait": "end of the group",
    "Iowait": "wait for a file",
    "Filewait": "wait for a file",
    "Gatewait": "wait for a pipe",
    "Select": "select",
    "Lockop": "Mutex.lock",
    "Rwop": "RWMutex.lock",
    "Waitop": "WaitGroup.wait",
    "Condwait": "Cond.wait",
    "Acquire": "Semaphore.acquire",
    "Oncewait": "Once.do",
}
_CHANOPS = ("send", "receive", "receive_ok", "next value")


class Step:
    """One thing that a goroutine, a thread or the scheduler did."""

    __slots__ = ("ns", "who", "what", "where", "times", "exc")

    def __init__(self, ns: int, who: str, what: str, where: str) -> None:
        self.ns = ns
        self.who = who
        self.what = what
        self.where = where
        self.times = 1
        self.exc = 0
        """The id of the exception by which a goroutine ended: to hold it would keep what its
        frames hold."""

    def same(self, other: Step) -> bool:
        return (self.who, self.what, self.where) == (other.who, other.what, other.where)

    def __str__(self) -> str:
        what = f"{self.what} ({self.times} times)" if self.times > 1 else self.what
        text = f"  {(self.ns - FIRSTNS) / 1e9:.9f}  {self.who:24} {what}"
        return f"{text:88}  {self.where}" if self.where else text


class Story:
    """The last `keep` steps of the goroutines of one run.

    Whoever runs writes it; nothing in here is a point of the simulation.
    """

    def __init__(self, sim: Any, engine: Any, keep: int = 10 * LAST) -> None:
        self.sim = sim
        self.engine = engine
        self.getm = sim.runtime.gmp.load.__globals__["getm"]
        self.keep = keep
        self.steps: list[Step] = []
        self.names: dict[int, str] = {}
        self.end: int | None = None
        """How many steps there were when the run failed; what came after is its going down."""
        self.scene = ""
        self.dropped = 0

    # ---- what happens ---------------------------------------------------------------

    def add(self, what: str) -> Step:
        step = Step(self.engine.clock, self.who(), what, location(sys._getframe(2)))
        if self.steps and self.end is None and step.same(self.steps[-1]):
            self.steps[-1].times += 1
            return self.steps[-1]
        self.steps.append(step)
        if len(self.steps) > 2 * self.keep and self.end is None:
            self.dropped += self.keep
            del self.steps[: self.keep]
        return step

    def began(self, op: Any) -> Step | None:
        """An op's next step begins."""
        if type(op).__name__ == "Passed":
            return None  # what `async with` awaits at its end
        state = getattr(op, "state", _AWAITED)
        if state == _AWAITED:
            return self.add(words(op))
        if state == _PARKED:
            return self.add(f"goes on: {words(op)}")
        return None

    def stepped(self, step: Step | None, op: Any, code: int) -> None:
        """An op's step is over."""
        if step is None:
            return
        if code == _YIELD:
            mp = self.getm()
            if mp is not None and mp.action == _APARK:
                self.amend(step, ": waits")
        elif code == _RAISE:
            self.amend(step, f": raises {type(op.value).__name__}")

    def amend(self, step: Step, how: str) -> None:
        """Say how a step came out; the equal ones before it came out otherwise."""
        if step.times > 1:
            step.times -= 1
            step = Step(step.ns, step.who, step.what, step.where)
            self.steps.append(step)
        step.what += how

    def started(self, gp: Any) -> None:
        if not gp.issystem:
            self.add(f"starts {self.name(gp)}")

    def woke(self, gp: Any) -> None:
        if not gp.issystem:
            self.add(f"wakes {self.name(gp)}")

    def cancelled(self, gp: Any) -> None:
        if not gp.issystem:
            self.add(f"cancels the wait of {self.name(gp)}")

    def died(self, gp: Any, value: Any, code: int) -> None:
        if gp.issystem:
            return
        if code != _RAISE:
            self.add("ends")
            return
        step = self.add(f"ends by {type(value).__name__}{message(value)}")
        step.exc = id(value)
        step.where = raisedat(value) or step.where

    def failed(self) -> None:
        """The run fails: what comes now is its end. The first call counts."""
        if self.end is None:
            self.end = len(self.steps)
            self.scene = "\n".join(self.goroutines())

    # ---- who it is -------------------------------------------------------------------

    def name(self, gp: Any) -> str:
        name = self.names.get(gp.goid)
        if name is None:
            name = self.names[gp.goid] = f"g{gp.goid} {called(gp)}".rstrip()
        return name

    def who(self) -> str:
        mp = self.getm()
        gp = mp.curg if mp is not None else None
        if gp is not None and not gp.issystem:
            return self.name(gp)
        if mp is None and self.engine.running.foreign:
            return f"thread {self.engine.running.name}"
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_name in _SOURCES:
                return _SOURCES[frame.f_code.co_name]
            frame = frame.f_back
        return "the scheduler"

    def whose(self, t: Any) -> str:
        """The goroutine that a virtual thread runs, or the thread."""
        for mp in self.sim.runtime.gmp.sched.allm:
            if mp.ident == t.ident and mp.curg is not None:
                return self.name(mp.curg)
        return f"thread {t.name}"

    def stands(self, name: str) -> str:
        """What the goroutine of that name does now, and where."""
        for gp in self.live():
            if self.name(gp) == name:
                return " ".join(self.line(gp).removeprefix(f"  {name}").split())
        return ""

    # ---- what is shown ---------------------------------------------------------------

    def goroutines(self) -> Iterator[str]:
        """A line for each goroutine that lives: what it waits for, and where."""
        gs = sorted((gp for gp in self.live() if not gp.issystem), key=lambda gp: gp.goid)
        yield from map(self.line, gs[:SHOWN])
        if len(gs) > SHOWN:
            yield f"  and {len(gs) - SHOWN} more"

    def live(self) -> Iterator[Any]:
        for shard in self.sim.runtime.gmp.sched.shards:
            at = shard.head.next
            while at is not None:
                yield at.owner
                at = at.next

    def line(self, gp: Any) -> str:
        op = gp.waiting
        if gp.status_.v == _WAITING and op is not None:
            what, where = f"waits: {words(op)}", suspendedat(gp.coro)
        else:
            what, where = self.sim.runtime.traceback.describe(gp), runningat(self, gp)
        text = f"  {self.name(gp):24} {what}"
        return f"{text:74}  {where}" if where else text

    def text(self, exc: BaseException | None = None, last: int = LAST) -> str:
        """The steps before the end, and the goroutines at it. exc: what the run raised."""
        end = self.end if self.end is not None else len(self.steps)
        for i, step in enumerate(self.steps):
            if exc is not None and step.exc == id(exc):
                end = i + 1
        steps = self.steps[max(end - last, 0) : end]
        left = self.dropped + end - len(steps)
        head = f"the goroutines' last {len(steps)} steps"
        lines = [head + (f", after {left} others:" if left else ":"), *map(str, steps)]
        if self.scene:
            lines += ["the goroutines at the end:", self.scene]
        return "\n".join(lines)


_SOURCES = {
    "runtimer": "a timer",
    "runtimers": "a timer",
    "checktimers": "a timer",
    "netpoll": "the poller",
    "readylist": "the poller",
    "sysmon": "the monitor",
}


def message(exc: BaseException) -> str:
    try:
        text = str(exc).partition("\n")[0]
    except Exception:
        return ""
    return f": {text:.100}" if text else ""


def called(gp: Any) -> str:
    """The function that a goroutine runs."""
    what = gp.coro
    if type(what) is tuple:
        what = what[0]
    name = getattr(what, "__qualname__", None) or type(what).__name__
    return str(name).rpartition("<locals>.")[2]


def words(op: Any) -> str:
    """What an op does."""
    kind = type(op).__name__
    if kind == "Chanop":
        return f"{_CHANOPS[op.kind]} on chan {op.c.seq}" if op.c is not None else "chan"
    if kind == "Join":
        return f"await g{op.target.goid}" if op.target is not None else "await"
    if kind == "Select":
        cases: list[str] = []
        sg = op.first
        while sg is not None and len(cases) < 8:
            cases.append(words(sg))
            sg = sg.nextcase
        return f"select of {', '.join(cases)}" if cases else "select"
    if kind == "Rwop" and op.reader:
        return "RWMutex.rlock"
    return _WORDS.get(kind) or kind.removesuffix("op").lower()


def inside(frame: FrameType) -> bool:
    """Whether a frame is gort's own, or of what a simulated thread stands on."""
    return frame.f_code.co_filename.startswith(_HERE) or (
        frame.f_globals.get("__name__") in ("threading", "contextvars")
    )


def location(frame: FrameType | None) -> str:
    """The innermost place in the program, of this frame and its callers."""
    while frame is not None:
        if not inside(frame):
            return place(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return ""


def place(code: CodeType, line: int | None) -> str:
    name = getattr(code, "co_qualname", code.co_name).rpartition("<locals>.")[2]
    return f"{shortened(code.co_filename)}:{line} in {name}"


def shortened(file: str) -> str:
    """A file's name, as seen from the current directory where it lies in there."""
    here = os.getcwd() + os.sep
    return file.removeprefix(here)


def raisedat(exc: BaseException) -> str:
    """Where in the program an exception came from."""
    found = ""
    tb = exc.__traceback__
    while tb is not None:
        if not inside(tb.tb_frame):
            found = place(tb.tb_frame.f_code, tb.tb_lineno)
        tb = tb.tb_next
    return found


def suspendedat(coro: Any) -> str:
    """Where in the program a suspended coroutine stands."""
    found = ""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        frame = frame or getattr(coro, "ag_frame", None)
        if frame is None:
            break
        if not inside(frame):
            found = place(frame.f_code, frame.f_lineno)
        coro = (
            getattr(coro, "cr_await", None)
            or getattr(coro, "gi_yieldfrom", None)
            or getattr(coro, "ag_await", None)
        )
    return found


def runningat(story: Story, gp: Any) -> str:
    """Where one stands that is not suspended, as far as can be seen."""
    for mp in story.sim.runtime.gmp.sched.allm:
        if mp.curg is gp:
            return location(sys._current_frames().get(mp.ident))
    return suspendedat(gp.coro)


# ---- how it is told ------------------------------------------------------------------


def install(sim: Any) -> None:
    """Have the simulated runtime tell the story of each run; idempotent."""
    if hasattr(sim, "_told"):
        return
    sim._told = True
    runtime = sim.runtime
    engine = _pure.simulated().runtime.gmp.load.__globals__["current"]

    def story() -> Story | None:
        e = engine()
        return e.story if e is not None else None

    def before(fn: Any, tell: Callable[..., None]) -> None:
        def wrapper(*args: Any) -> Any:
            s = story()
            if s is not None:
                tell(s, *args)
            return fn(*args)

        replace(fn, functools.wraps(fn)(wrapper))

    def winwait(gp: Any) -> bool:
        won: bool = genuine(gp)
        if won and (s := story()) is not None:
            s.cancelled(gp)
        return won

    genuine = runtime.park.winwait
    replace(genuine, functools.wraps(genuine)(winwait))
    before(runtime.park.goready, lambda s, gp, pp, next: s.woke(gp))
    before(runtime.proc.start, lambda s, gp, pp: s.started(gp))
    before(runtime.proc.publish, lambda s, mp, gp, value, code: s.died(gp, value, code))


def replace(old: Any, new: Any) -> None:
    """new in the place of a function of the simulated runtime, whoever imported it."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_pure.SIMULATED + "."):
            for key, value in list(vars(module).items()):
                if value is old:
                    setattr(module, key, new)


def told(sched: Any, story: Story) -> None:
    """Have the ends of a run say that it fails."""

    def before(name: str, when: Callable[..., bool]) -> None:
        fn = plain(getattr(sched, name))

        def wrapper(*args: Any) -> Any:
            if when(*args):
                story.failed()
            return fn(*args)

        wrapper.plain = fn  # type: ignore[attr-defined]
        setattr(sched, name, wrapper)

    before("mainstage", lambda gp, mp, code: code == _RAISE and mainfails(sched))
    before("panic", lambda gp: True)
    before("deadlocked", lambda: True)


def mainfails(sched: Any) -> bool:
    """Whether main's error is its own, and not the cancel that a panic or deadlock sent."""
    return int(sched.drainstart) == 0


def plain(fn: Any) -> Any:
    return getattr(fn, "plain", fn)
