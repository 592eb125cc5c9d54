"""What was made outside a simulation and is used inside says so, and the reverse."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import gort
import gort.context
import gort.sync
import gort.time
from gort.testing import run_sim

MADE: dict[str, Callable[[], Any]] = {
    "chan": lambda: gort.chan(1),
    "mutex": lambda: gort.sync.Mutex(),
    "rwmutex": lambda: gort.sync.RWMutex(),
    "waitgroup": lambda: gort.sync.WaitGroup(),
    "semaphore": lambda: gort.sync.Semaphore(1),
    "once": lambda: gort.sync.Once(),
    "timer": lambda: gort.time.Timer(5),
    "context": lambda: gort.context.with_cancel(gort.context.background())[0],
    "goroutine": lambda: gort.go(gort.sleep, 0),
    "group": lambda: gort.group(),
    "timeout": lambda: gort.timeout(1),
    "op": lambda: gort.chan(1).recv(),
    "cond": lambda: gort.sync.Cond(gort.sync.Mutex()),
}


async def nothing() -> None:
    pass


async def entered(scope: Any) -> None:
    async with scope:
        pass


USED: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("chan", "send", lambda c: c.send(1)),
    ("chan", "recv", lambda c: c.recv()),
    ("chan", "anext", lambda c: c.__aiter__().__anext__()),
    ("chan", "send_nowait", lambda c: c.send_nowait(1)),
    ("chan", "recv_nowait", lambda c: c.recv_nowait()),
    ("chan", "close", lambda c: c.close()),
    ("chan", "select", lambda c: gort.select(c.recv())),
    ("chan", "wait", lambda c: gort.wait(c.recv(), 1)),
    ("op", "await", lambda op: op),
    ("mutex", "lock", lambda mu: mu.lock()),
    ("mutex", "with", entered),
    ("mutex", "Cond", lambda mu: gort.sync.Cond(mu)),
    ("rwmutex", "lock", lambda rw: rw.lock()),
    ("rwmutex", "rlock", lambda rw: rw.rlock()),
    ("waitgroup", "wait", lambda wg: (wg.add(1), wg.wait())[1]),
    ("semaphore", "acquire", lambda s: s.acquire()),
    ("timer", "recv", lambda t: t.c.recv()),
    ("timer", "reset", lambda t: t.reset(1)),
    ("context", "done", lambda ctx: ctx.done().recv()),
    ("context", "child", lambda ctx: gort.context.with_cancel(ctx)),
    ("context", "value", lambda ctx: gort.context.with_value(ctx, "k", 1)),
    ("context", "after_func", lambda ctx: gort.context.after_func(ctx, print)),
    ("goroutine", "await", lambda g: g),
    ("goroutine", "cancel", lambda g: g.cancel()),
    ("goroutine", "wait", lambda g: gort.wait(g, 1)),
    ("group", "enter", entered),
    ("timeout", "enter", entered),
]


def make(run: Callable[..., Any], what: str) -> Any:
    out = []

    async def main() -> None:
        out.append(MADE[what]())

    run(main)
    return out[0]


def use(run: Callable[..., Any], how: Callable[[Any], Any], what: Any) -> None:
    async def main() -> None:
        got = how(what)
        if inspect.isawaitable(got) or hasattr(got, "__await__"):
            await got

    run(main)


@pytest.mark.parametrize(("what", "name", "how"), USED, ids=[f"{w}-{n}" for w, n, _ in USED])
@pytest.mark.filterwarnings("ignore:.* was never awaited:RuntimeWarning")
def test_made_outside_and_used_inside(what: str, name: str, how: Callable[[Any], Any]) -> None:
    thing = make(gort.run, what)
    with pytest.raises((RuntimeError, TypeError)) as failed:
        use(run_sim, how, thing)
    text = str(failed.value)
    assert "made outside the simulation, with the real gort" in text
    assert "make and use channels, locks, timers, contexts and groups on the same side" in text


@pytest.mark.parametrize(("what", "name", "how"), USED, ids=[f"{w}-{n}" for w, n, _ in USED])
@pytest.mark.filterwarnings("ignore:.* was never awaited:RuntimeWarning")
def test_made_inside_and_used_outside(what: str, name: str, how: Callable[[Any], Any]) -> None:
    thing = make(run_sim, what)
    with pytest.raises((RuntimeError, TypeError)) as failed:
        use(gort.run, how, thing)
    text = str(failed.value)
    assert "made in a simulation" in text
    assert "make and use channels, locks, timers, contexts and groups on the same side" in text


def test_a_function_of_the_other_gort() -> None:
    """One that a closure or a default keeps: names in a module's globals are replaced."""
    go = gort.go

    def main(go: Any = go) -> None:
        go(nothing)

    with pytest.raises(RuntimeError, match="outside the simulation, with the real gort"):
        run_sim(main)


def test_no_word_of_it_elsewhere() -> None:
    c = make(gort.run, "chan")
    with pytest.raises(RuntimeError, match=r"no gort runtime is up.*run\(main\)$"):
        c.close()

    async def main() -> None:
        with pytest.raises(TypeError, match="not int$"):
            await gort.select(5)  # type: ignore[arg-type]

    run_sim(main)
    gort.run(main)
