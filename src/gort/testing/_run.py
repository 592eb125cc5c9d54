"""One simulated run: the engine, the checks, and what keeps runs apart."""

from __future__ import annotations

import gc
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from . import _args, _locks, _story
from ._swap import swapped
from .check import Invariants, Status


class SimFailure(AssertionError):
    """A simulated run failed; the text says how, and shows the schedule's end."""


class Ordered:
    """A set in the order of insertion: what a set of objects yields first depends on
    their addresses, which no seed can say."""

    def __init__(self) -> None:
        self.items: dict[Any, None] = {}

    def add(self, item: Any) -> None:
        self.items[item] = None

    def discard(self, item: Any) -> None:
        self.items.pop(item, None)

    def clear(self) -> None:
        self.items.clear()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Run:
    """What a simulated run was: its value, how many steps, its digest (equal for equal
    schedules), the virtual seconds that it took, and its last steps."""

    __slots__ = ("engine", "value")

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.value: Any = None

    @property
    def steps(self) -> int:
        return int(self.engine.steps)

    @property
    def digest(self) -> int:
        return int(self.engine.digest)

    @property
    def seconds(self) -> float:
        return float((self.engine.clock - 1_000_000_000) / 1e9)

    def story(self, last: int = 20, exc: BaseException | None = None) -> str:
        """Its goroutines' last steps before it ended, or failed by exc, a line each: virtual
        seconds, who, what, where in the program; and where each goroutine stood when it
        failed."""
        return str(self.engine.story.text(exc, last))

    def schedule(self, last: int = 40) -> str:
        """The last steps of it, a line each: virtual seconds, thread, operation."""
        names = {t.id: t.name for t in self.engine.threads}
        trace = self.engine.trace[-last:]
        return "\n".join(f"  {ns / 1e9:.9f} {names[id]:12} {what}" for ns, id, what in trace)


def simulate(
    main: Callable[..., Any],
    *args: Any,
    strategy: Any,
    procs: int = 2,
    maxsteps: int = 1_000_000,
    every: int = 8,
    keep: int = 0,
    detail: bool = False,
    begin: Callable[[Run], None] | None = None,
) -> Run:
    """Run main(*args) once under `strategy`, with the invariants checked.

    every: look at all queues at each that many steps. keep: how many of the last
    steps to keep; detail: with the line of each and its goroutine. begin is given
    the Run before it starts. Raises what main raises; SimFailure for a broken
    invariant; TypeError or ValueError for what is no such argument.
    """
    _args.program("simulate", main, procs, maxsteps)
    for what in ("pick", "yielded"):
        if not callable(getattr(strategy, what, None)):
            raise TypeError(
                "simulate: strategy must be one such as strategy_of(seed), "
                f"not {type(strategy).__name__}"
            )
    _args.whole("simulate: every", every, 1)
    _args.whole("simulate: keep", keep, 0)
    _args.hook("simulate: begin", begin)
    with swapped() as sim:
        platform = sim.runtime.gmp.load.__globals__
        if platform["_engine"] is not None:
            raise RuntimeError("a simulation is under way already: one at a time in a process")
        failure = platform["Failure"]
        engine = platform["Engine"](strategy, maxsteps, keep)
        engine.detail = detail
        engine.story = _story.Story(sim, engine, max(keep, 200))
        run = Run(engine)
        if begin is not None:
            begin(run)
        checks = Invariants(sim, failure, every)
        engine.onpoint = checks.step
        engine.onquiet = checks.quiet
        engine.durable = Durable(sim, engine)
        engine.onstuck = lambda t: _locks.stuck(engine, t)
        engine.patient = lambda: patient(sim)
        prepare(sim, engine, failure)
        was = gc.isenabled()
        gc.disable()
        # What the collector has found since the last run was that one's.
        for module in (sim.runtime.ticks, sim.runtime.asyncgen):
            module.dropped.clear()
        try:
            run.value = engine.run(lambda: sim.run(main, *args, procs=procs))
            checks.after()
        except failure as exc:
            raise SimFailure(str(exc)) from None
        finally:
            engine.onpoint = engine.onquiet = None
            platform["files"].clear()
            platform["pollers"].clear()
            reset(sim)
            if was:
                gc.enable()
        return run


def prepare(sim: Any, engine: Any, failure: type[Exception]) -> None:
    """Fatal errors fail the run and do not end this process; sets have an order; a
    goroutine's status word looks at its changes."""
    gmp = sim.runtime.gmp

    def fail(text: str) -> None:
        engine.fail(failure(text))

    def dying(msg: str, runtime: bool) -> None:
        fail(f"the runtime died: {msg.splitlines()[0]}")

    gmp.sched.dying = dying
    _story.install(sim)
    _story.told(gmp.sched, engine.story)
    gmp.G.__init__ = watched(gmp.G.__init__, lambda: Status(fail))
    for module in (sim.runtime.boot, sim.runtime.group, sim.runtime.cleanup):
        module.set = Ordered


def watched(init: Any, status: Callable[[], Status]) -> Any:
    init = getattr(init, "plain", init)

    def __init__(self: Any) -> None:
        init(self)
        self.status_ = status()

    __init__.plain = init  # type: ignore[attr-defined]
    return __init__


class Durable:
    """Whether every goroutine waits for something that others do, or for time."""

    def __init__(self, sim: Any, engine: Any) -> None:
        self.sim = sim
        self.engine = engine
        self.last: Any = None
        """One that did not at the last look: the first to look at."""

    def __call__(self) -> bool:
        if any(t.foreign for t in self.engine.sleeping):
            return False
        waiters = self.sim.runtime.park.waiters
        inwait = {id(op.tw.g) for op in waiters if op.tw is not None}
        last = self.last
        if last is not None and last.status_.v not in (4, 6) and id(last) not in inwait:
            return False
        self.last = None
        for shard in self.sim.runtime.gmp.sched.shards:
            for gp in goroutines(shard):
                if gp.status_.v != 4 and id(gp) not in inwait:
                    self.last = gp
                    return False
        return True


def patient(sim: Any) -> bool:
    """Whether sysmon does nothing by the clock alone: it ends no grace at a shutdown, and
    prints nothing."""
    debugint, debug = sim.runtime.debug.debugint, sim.runtime.debug.debug
    asked = any(debugint(debug, word) > 0 for word in ("schedtrace", "blocktrace"))
    return sim.runtime.gmp.sched.drainstart == 0 and not asked


def reset(sim: Any) -> None:
    """The next run finds nothing of one that was cut off: what such a run left is dropped
    here, outside any run. A finalizer inside the next one would shift its schedule."""
    runtime = sim.runtime
    sched = runtime.gmp.sched
    for name in ("up", "booted", "nfailed", "threadwaiters"):
        getattr(sched, name).v = 0
    sched.nshards.v = 1
    locks = [sched.lock, sched.worldsema, runtime.netpoll.np.lock, runtime.exithook.exithooks.lock]
    for m in locks + [shard.lock for shard in sched.shards]:
        m.holder = None
        m.waiters.clear()
    bury([gp for shard in sched.shards for gp in goroutines(shard)])
    for shard in sched.shards:
        shard.clear()
    sched.maing = sched.m0 = sched.poller = None
    sched.signals.clear()
    runtime.boot.resetall()
    sched.mfree.clear()  # to renew one takes steps that to make one does not
    sched.pfree.clear()
    runtime.boot._panics.clear()
    runtime.main.rm.__init__()
    runtime.park.waiters.clear()
    runtime.park.inwait.clear()
    runtime.exithook.openhooks()
    runtime.cleanup.c.reset()
    runtime.context.pinned.clear()
    runtime.template.openhandoff()
    runtime.netpoll.np.pds.clear()


def goroutines(shard: Any) -> Iterator[Any]:
    at = shard.head.next
    while at is not None:
        yield at.owner
        at = at.next


def bury(gs: list[Any]) -> None:
    """End goroutines that were cut off, each from its outermost frame inward: a collector
    that began with an inner one would crash CPython 3.11, which then closes it from its own
    frame. What their `finally` blocks raise outside of a run says nothing."""
    if not gs:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # some have not begun
        for gp in gs:
            gp.retrieved = True
            if inspect.iscoroutine(gp.coro):
                try:
                    gp.coro.close()
                except BaseException:
                    pass
        gs.clear()
        gp = None
        gc.collect()
