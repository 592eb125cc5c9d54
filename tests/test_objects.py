"""Every public object under misuse: none of it crashes, hangs, or passes in silence.

Each check runs in a process of its own, so that a crash is a failure: this file is its
program too, called with the name of the check and of a class.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import inspect
import math
import os
import pickle
import pydoc
import subprocess
import sys
import threading
import tracemalloc
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gort
from gort import context, sync, time

PURE = os.environ.get("GORT_PURE", "") not in ("", "0")

_readable, _writable = os.pipe()


def _ctx() -> Any:
    return context.with_cancel(context.background())


MADE: dict[str, Callable[[], Any]] = {
    "gort.Chan": lambda: gort.chan(2),
    "gort.Cleanup": lambda: gort.add_cleanup(_ctx, print),
    "gort.Goroutine": lambda: gort.current(),
    "gort.Group": gort.group,
    "gort.blocking": gort.blocking,
    "gort.shield": gort.shield,
    "gort.timeout": lambda: gort.timeout(1),
    "context.Context": lambda: _ctx()[0],
    "context.CancelFunc": lambda: _ctx()[1],
    "context.AfterFunc": lambda: context.after_func(_ctx()[0], print),
    "sync.Cond": lambda: sync.Cond(sync.Mutex()),
    "sync.Mutex": sync.Mutex,
    "sync.Once": sync.Once,
    "sync.RLocker": lambda: sync.RWMutex().reader(),
    "sync.RWMutex": sync.RWMutex,
    "sync.Semaphore": lambda: sync.Semaphore(2),
    "sync.WaitGroup": sync.WaitGroup,
    "time.Ticker": lambda: time.Ticker(1),
    "time.Timer": lambda: time.Timer(1),
}
"""How one of each public class, and of those without a name, is made."""

OPS: dict[str, Callable[[], Any]] = {
    "Chan.send": lambda: gort.chan(1).send(1),
    "Chan.recv": lambda: gort.chan().recv(),
    "Chan.recv_ok": lambda: gort.chan().recv_ok(),
    "gort.select": lambda: gort.select(gort.chan().recv()),
    "gort.sleep": lambda: gort.sleep(0),
    "gort.gosched": gort.gosched,
    "gort.syscall": lambda: gort.syscall(print),
    "gort.wait_readable": lambda: gort.wait_readable(_readable),
    "gort.wait_writable": lambda: gort.wait_writable(_writable),
    "Mutex.lock": lambda: sync.Mutex().lock(),
    "RWMutex.lock": lambda: sync.RWMutex().lock(),
    "RWMutex.rlock": lambda: sync.RWMutex().reader().lock(),
    "Semaphore.acquire": lambda: sync.Semaphore(1).acquire(),
    "WaitGroup.wait": lambda: sync.WaitGroup().wait(),
    "Cond.wait": lambda: sync.Cond(sync.Mutex()).wait(),
}
"""The ops, by what their messages call them."""

PROTOCOL = {
    "a scope's enter": lambda: gort.timeout(1).__aenter__(),
    "a scope's leave": lambda: gort.timeout(1).__aexit__(None, None, None),
    "a group's leave": lambda: gort.group().__aexit__(None, None, None),
    "a block's enter": lambda: gort.blocking().__aenter__(),
    "a block's leave": lambda: gort.blocking().__aexit__(None, None, None),
    "a join": lambda: gort.go(print, end="").__await__(),
}
"""What the statements `async with` and `await` alone ask for."""


def methods(cls: type) -> list[str]:
    """Its own and its bases', those of object left out."""
    spaces = [vars(base) for base in cls.__mro__ if base is not object]
    return sorted({name for space in spaces for name in space if callable(getattr(cls, name))})


AS_IS = {"__init__", "__new__", "__class_getitem__", "__eq__", "__ne__", "__hash__"}
"""What object has, or what takes no self."""


def check_self(make: Callable[[], Any]) -> None:
    """Methods that are taken from the type refuse another object as self."""
    cls = type(make())
    for name in methods(cls):
        if name in AS_IS:
            continue
        method = getattr(cls, name)
        for other in (5, None, object(), "x", gort.current() if cls is gort.Chan else gort.chan()):
            for n in range(4):
                try:
                    method(other, *[None] * n)
                except (TypeError, AttributeError):
                    continue
                raise SystemExit(f"{cls.__name__}.{name}({other!r}) passes")


def check_new(make: Callable[[], Any]) -> None:
    """None is made by its __new__ alone; nor one that only gort makes, by a call."""
    cls = type(make())
    if not PURE and not cls.__flags__ & HEAPTYPE:
        try:
            made = cls.__new__(cls)
        except TypeError:
            made = None
        assert made is None
    if cls.__text_signature__ is None and not PURE:
        try:
            made = cls()
        except TypeError:
            made = None
        assert made is None


def check_init(make: Callable[[], Any]) -> None:
    """A second __init__ is refused, or does nothing."""
    thing = make()
    before = repr(thing)
    for args in ((), (0,), (1,), (None, None)):
        try:
            thing.__init__(*args)
        except TypeError:
            pass
        assert PURE or repr(thing) == before, args


def check_copy(make: Callable[[], Any]) -> None:
    """No copies: not of it, nor of what holds it."""
    thing = make()
    for holder in (thing, [thing]):
        for attempt in (
            copy.deepcopy,
            pickle.dumps,
            lambda it: pickle.dumps(it, protocol=0),
            lambda it: copy.copy(thing),
        ):
            try:
                attempt(holder)
            except TypeError as exc:
                assert "copy or pickle" in str(exc), exc
            else:
                raise SystemExit(f"{attempt} of {thing}")


def check_repr(make: Callable[[], Any]) -> None:
    """It says what it is, in a line, and how far it is."""
    text = repr(make())
    assert text[0] == "<" and text[-1] == ">" and "\n" not in text and " object at 0x" not in text


def check_subclass(make: Callable[[], Any]) -> None:
    cls = type(make())
    if PURE or cls.__flags__ & HEAPTYPE:
        return
    try:
        sub = type("Sub", (cls,), {"__init__": lambda self, *args: None})
    except TypeError:
        return
    if cls.__text_signature__ != "()":
        raise SystemExit(f"a subclass of {cls}")
    assert repr(sub()) and repr(sub(1))  # whole without super().__init__()
    check_self(sub)
    check_copy(sub)
    check_arguments(sub)


def check_weakref(make: Callable[[], Any]) -> None:
    """Those that have weak references go with the last strong one."""
    thing = make()
    try:
        ref = weakref.ref(thing)
    except TypeError:
        return
    if thing is not gort.current():
        del thing
        gc.collect()
        assert ref() is None or isinstance(ref(), gort.Cleanup)


def check_arguments(make: Callable[[], Any]) -> None:
    """Methods refuse a wrong number of arguments and unknown names, and take any type of
    one without a crash."""
    cls = type(make())
    for name in methods(cls):
        if name.startswith("__") and name not in ("__aenter__", "__aexit__", "__call__"):
            continue
        if name == "_forgotten":
            continue
        signature = inspect.signature(getattr(cls, name)) if name != "__call__" else None
        loose = signature is not None and any(
            p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in signature.parameters.values()
        )
        try:
            getattr(make(), name)(1, 2, 3, 4, 5)
        except (TypeError, RuntimeError):
            pass
        else:
            raise SystemExit(f"{cls.__name__}.{name} of five arguments")
        if not loose:
            try:
                getattr(make(), name)(nonsense=1)
            except TypeError:
                pass
            else:
                raise SystemExit(f"{cls.__name__}.{name}(nonsense=1)")
        for args in (("x",), (None,), (-1,), (math.nan,), (1 << 200,), (object(), object())):
            try:
                getattr(make(), name)(*args)
            except Exception:
                pass


HEAPTYPE = 1 << 9
CHECKS = {name.removeprefix("check_"): fn for name, fn in globals().items() if name[:6] == "check_"}


def child(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(gort.__file__).parents[1]), **(env or {})}
    return subprocess.run(
        [sys.executable, *args], env=env, capture_output=True, text=True, timeout=60
    )


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", [*MADE, *OPS, *PROTOCOL])
def test_misuse(name: str) -> None:
    assert outcome(child("-W", "ignore::RuntimeWarning", __file__, name)) == (0, "", "")


# ---- an op that was never awaited


@contextlib.contextmanager
def recorded() -> Iterator[list[warnings.WarningMessage]]:
    """What is warned of, but for what other tests have left to the collector."""
    gc.collect()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield seen


def forget(make: Callable[[], Any], **options: Any) -> list[warnings.WarningMessage]:
    """What is warned of when one is made and dropped."""

    async def main() -> None:
        make()
        gc.collect()

    with recorded() as seen:
        gort.run(main, **options)
    return seen


def told(seen: list[warnings.WarningMessage]) -> list[str]:
    assert all(w.category is RuntimeWarning for w in seen)
    return [str(w.message) for w in seen]


@pytest.mark.parametrize("name", OPS)
def test_forgotten(name: str) -> None:
    seen = forget(OPS[name])
    assert told(seen) == [f"{name} was never awaited"]
    if not PURE:
        assert seen[0].filename == __file__


def test_forgotten_of_net() -> None:
    import socket

    a, b = socket.socketpair()
    with a, b:
        a.setblocking(False)
        assert told(forget(lambda: gort.net.recv(a))) == ["net.recv was never awaited"]
        assert told(forget(lambda: gort.net.sendall(a, b"x"))) == ["net.sendall was never awaited"]


def test_forgotten_of_once() -> None:
    def do() -> None:
        sync.Once().do(print)

    assert told(forget(do)) == ["coroutine 'Once.do' was never awaited"]


def test_forgotten_again_and_again() -> None:
    """Also the ops that are kept for the next ones."""

    def make() -> None:
        for _ in range(100):
            gort.gosched()
            sync.Mutex().lock()

    seen = told(forget(make, procs=1))
    assert len(seen) == 200 and len(set(seen)) == 2


def test_forgotten_in_another_thread() -> None:
    def make() -> None:
        ops = [gort.sleep(1), gort.chan().recv()]
        thread = threading.Thread(target=ops.clear)
        thread.start()
        thread.join()

    assert sorted(told(forget(make))) == [
        "Chan.recv was never awaited",
        "gort.sleep was never awaited",
    ]


def test_forgotten_outside() -> None:
    with pytest.warns(RuntimeWarning, match=r"Chan\.recv was never awaited"):
        gort.chan().recv()


def test_not_forgotten() -> None:
    async def fail(what: Callable[[], Any]) -> None:
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            what()

    async def work() -> None:
        c = gort.chan(2)
        c.send_nowait(1)
        assert c.recv_nowait() == 1
        assert await gort.select(c.recv(), gort.chan().recv(), c.send(5)) == (2, None)
        assert await gort.select(gort.chan().recv(), default=True) == (-1, None)
        assert await gort.go(c.recv) == 5
        gort.go(c.send, 1)
        assert await c.recv() == 1
        any_: Any = gort
        for bad in (
            lambda: any_.select(c.recv(), 5, c.recv()),
            lambda: any_.select(5, c.recv()),
            lambda: any_.select(gort.sleep(1)),
            lambda: any_.wait(gort.gosched()),
            lambda: any_.wait(c.recv(), "soon"),
            lambda: any_.wait(c.recv(), math.nan),
            lambda: sync.Semaphore(1).acquire(2),
            lambda: any_.sleep("x"),
            lambda: any_.net.recv(5),
            lambda: all(any_.chan().recv()),
        ):
            await fail(bad)
        op = c.recv()
        await fail(lambda: any_.select(op, 5))
        c.send_nowait(7)
        assert await op == 7  # as it was
        async with gort.blocking(), sync.Mutex(), sync.Semaphore(1), sync.RWMutex():
            pass
        async with gort.group() as grp, gort.timeout(5), gort.shield():
            grp.go(gort.sleep, 0)
        await gort.syscall(len, "x")
        g = gort.go(gort.sleep, 3600)
        waits = gort.go(gort.wait, g)
        await gort.sleep(0.001)
        for h in (waits, g):
            h.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        gort.after(0.001)
        async for _ in feed(c):
            pass

    async def feed(c: gort.Chan) -> Any:
        await c.send(1)
        c.close()
        async for v in c:
            yield v

    assert told(forget(lambda: gort.go(work))) == []


def test_cancelled_is_not_forgotten() -> None:
    async def waits(c: gort.Chan) -> None:
        await c.recv()

    async def main() -> None:
        g = gort.go(waits, gort.chan())
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        gort.go(waits, gort.chan())  # the end of the program cancels it

    with recorded() as seen:
        gort.run(main)
    assert told(seen) == []


PROGRAM = """
import gort
async def main():
    mu = gort.sync.Mutex()
    mu.lock()
    await gort.sleep(0)
    mu.lock()
    print("on")
gort.run(main)
"""


def test_forgotten_as_an_error() -> None:
    done = child("-W", "error", "-c", PROGRAM)
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert done.stderr.count("RuntimeWarning: Mutex.lock was never awaited\n") == 2


def test_forgotten_where_it_was_made() -> None:
    done = child("-X", "tracemalloc=10", "-c", PROGRAM)
    assert (done.returncode, done.stdout) == (0, "on\n")
    for line in (5, 7):
        assert f"<string>:{line}: RuntimeWarning: Mutex.lock was never awaited" in done.stderr
        assert f'File "<string>", lineno {line}\n' in done.stderr


@pytest.mark.skipif(PURE, reason="uncompiled, the line of gort that made it comes first")
def test_forgotten_of_a_later_trace() -> None:
    made: list[Any] = []

    async def main() -> None:
        await gort.sleep(0.001)  # the thread parks, and sees that it is traced
        made.append(gort.chan().recv())

    for _ in range(3):
        tracemalloc.start()
        try:
            gort.run(main)
            found = tracemalloc.get_object_traceback(made[0])
            assert found is not None and found[0].filename == __file__
        finally:
            tracemalloc.stop()
        with pytest.warns(RuntimeWarning):
            made.clear()


def test_forgotten_at_exit() -> None:
    done = child("-c", "import gort\nkept = gort.chan().recv(), gort.sleep(1)\n")
    assert done.returncode == 0 and "Traceback" not in done.stderr


def test_a_warning_may_keep_the_op() -> None:
    kept: list[Any] = []

    async def main() -> None:
        c = gort.chan(1)
        c.send(1)
        assert repr(kept[0]) == "<Chan.send: done>"
        with pytest.raises(RuntimeError, match="used already"):
            await kept[0]
        assert len(c) == 0

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings._showwarnmsg_impl, old = (  # type: ignore[attr-defined]
            lambda w: kept.append(w.source),
            warnings._showwarnmsg_impl,  # type: ignore[attr-defined]
        )
        try:
            gort.run(main)
        finally:
            warnings._showwarnmsg_impl = old  # type: ignore[attr-defined]


# ---- an op that is iterated, or driven by hand


@pytest.mark.parametrize("name", OPS)
def test_iterated(name: str) -> None:
    async def main() -> None:
        for use in (all, list, next, lambda op: op.__next__(), lambda op: 1 in op, iter):
            with pytest.raises((TypeError, RuntimeError), match=r"iterable|await it"):
                use(OPS[name]())
        with pytest.raises(TypeError):
            _, _ = OPS[name]()

    with recorded() as seen:
        gort.run(main)
    assert told(seen) == []


def test_iterated_has_no_effect(procs: int) -> None:
    async def forgot(c: gort.Chan) -> int:
        any_: Any = c
        for use in (all, next):
            with pytest.raises((TypeError, RuntimeError)):
                use(any_.recv())
        with pytest.raises(TypeError):
            _, _ = any_.recv_ok()
        return 1

    async def main() -> None:
        c = gort.chan()
        full = gort.chan(1)
        full.send_nowait("kept")
        for ch in (c, full):
            assert await gort.go(forgot, ch) == 1
        with pytest.raises(gort.WouldBlock):
            c.send_nowait("to nobody")
        assert full.recv_nowait() == "kept"

    gort.run(main, procs=procs)


class Traced:
    """A proxy that drives an op by its dunder methods."""

    def __init__(self, op: Any) -> None:
        self.it = op.__await__()

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.it.__next__()


class Delegated:
    def __init__(self, op: Any) -> None:
        self.op = op

    def __await__(self) -> Any:
        return (yield from self.op.__await__())


@pytest.mark.parametrize("wrap", [Traced, Delegated])
def test_driven_by_hand(wrap: type, procs: int) -> None:
    async def main() -> None:
        c = gort.chan(1)
        await wrap(c.send(7))
        assert await wrap(c.recv()) == 7
        await wrap(gort.sleep(0.001))
        await wrap(gort.gosched())
        g = gort.go(c.recv)
        await wrap(c.send(8))
        assert await wrap(g) == 8
        mu = sync.Mutex()
        await wrap(mu.lock())
        assert not mu.try_lock()
        assert await wrap(gort.select(c.recv(), c.send(1))) == (1, None)
        assert await wrap(gort.syscall(len, "xyz")) == 3
        c.close()
        assert await wrap(c.recv_ok()) == (1, True)
        with pytest.raises(gort.ChanClosed):
            await wrap(c.recv())

    gort.run(main, procs=procs)


def step(op: Any) -> None:
    """Start it, and leave it where it says to yield."""
    next(op.__await__(), None)


LEAVES: dict[str, Callable[[gort.Chan], Any]] = {
    "recv": lambda c: c.recv(),
    "select": lambda c: gort.select(c.recv(), gort.chan().recv()),
    "sleep": lambda c: gort.sleep(0.02),
    "gosched": lambda c: gort.gosched(),
    "lock": lambda c: LOCKED.lock(),
    "join": lambda c: gort.current(),
    "readable": lambda c: gort.wait_readable(_readable),
}
LOCKED = sync.Mutex()
LOCKED.try_lock()


@pytest.mark.parametrize("what", LEAVES)
def test_left_and_ended(what: str, procs: int) -> None:
    """A goroutine that ends, fails, goes on to another op, or blocks, while an op of its
    waits: that has no effect, and the program goes on."""

    async def ends(c: gort.Chan) -> int:
        step(LEAVES[what](c))
        return 1

    async def fails(c: gort.Chan) -> int:
        step(LEAVES[what](c))
        raise KeyError(1)

    async def goes_on(c: gort.Chan) -> int:
        step(LEAVES[what](c))
        for op in (gort.sleep(0), gort.gosched(), gort.syscall(len, ""), sync.Mutex().lock()):
            try:
                await op
            except RuntimeError as exc:
                assert "by hand" in str(exc)
        return 1

    async def waits(c: gort.Chan) -> int:
        step(LEAVES[what](c))
        try:
            gort.wait(gort.sleep(0.001))
        except RuntimeError as exc:
            assert "by hand" in str(exc)
        return 1

    async def calls(c: gort.Chan) -> int:
        step(LEAVES[what](c))
        other = gort.chan(1)
        other.send_nowait(1)
        gort.go(other.recv)
        return 1

    async def main() -> None:
        c = gort.chan()
        for _ in range(5):
            for fn in (ends, goes_on, waits, calls):
                assert await gort.go(fn, c) == 1
            with pytest.raises(KeyError):
                await gort.go(fails, c)
        with pytest.raises(gort.WouldBlock):
            c.send_nowait("to nobody")
        await gort.sleep(0.03)
        assert await gort.go(len, "on") == 2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gort.run(main, procs=procs)


# ---- foreign awaitables


class Foreign:
    def __await__(self) -> Any:
        yield self

    def __repr__(self) -> str:
        raise KeyError("repr")


class Meta(type):
    @property
    def __module__(cls) -> str:
        raise KeyError("module")

    def __repr__(cls) -> str:
        raise KeyError("repr of a type")


class Nasty(Foreign, metaclass=Meta):
    pass


@pytest.mark.parametrize("cls", [Foreign, Nasty])
def test_foreign(cls: Any, procs: int) -> None:
    async def waits(seen: list[str]) -> None:
        try:
            await cls()
        except TypeError as exc:
            seen.append(str(exc))
        finally:
            seen.append("finally")

    async def main() -> list[str]:
        seen: list[str] = []
        await gort.go(waits, seen)
        return seen

    text, end = gort.run(main, procs=procs)
    assert cls.__qualname__ in text and "gort.syscall(asyncio.run" in text and end == "finally"


def test_asyncio_in_a_goroutine() -> None:
    async def main() -> None:
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError) as info:
        gort.run(main)
    assert "gort.sleep" in info.value.__notes__[0]

    async def yields() -> None:
        await asyncio.sleep(0)

    with pytest.raises(TypeError, match=r"gort\.sleep"):
        gort.run(yields)


async def agen() -> Any:
    yield 1


def test_async_generator_function(procs: int) -> None:
    async def main() -> None:
        any_: Any = agen
        for start in (
            lambda: gort.go(any_),
            lambda: gort.go(lambda: any_()),
            lambda: sync.WaitGroup().go(any_),
            lambda: sync.Once().do(any_),
            lambda: time.after_func(1, any_),
            lambda: context.after_func(context.background(), any_),
        ):
            with pytest.raises(TypeError, match="async generator"):
                await start()
        with pytest.raises((TypeError, ExceptionGroup)):
            async with gort.group() as grp:
                grp.go(any_)

    gort.run(main, procs=procs)
    with pytest.raises(TypeError, match=r"run\(\) wants"):
        gort.run(agen)


@pytest.mark.parametrize("seconds", [-1, -1e18, -1e300, -math.inf, -(10**400), 0])
def test_wait_for_less_than_nothing(seconds: float) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            gort.wait(gort.chan().recv(), seconds)

    gort.run(main)


# ---- what they say of themselves

MODULES = {"gort": gort, "sync": sync, "time": time, "context": context}
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (gort, sync, time, context, gort.net, gort.signal)
    for name in module.__all__
    if not inspect.ismodule(getattr(module, name))
}


FRONTS = ("gort.go", "gort.gosched", "gort.select", "gort.syscall")
"""Builtins that know the function that they stand for as their self."""


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names(name: str) -> None:
    """Each is of the module that it is imported from, and by its own name."""
    thing = PUBLIC[name]
    module, _, own = name.rpartition(".")
    assert (thing.__module__, thing.__name__) == (module, own)
    if name not in FRONTS or PURE:
        assert thing.__qualname__ == own
        assert pickle.loads(pickle.dumps(thing)) is thing


@pytest.mark.parametrize("name", PUBLIC)
def test_help(name: str) -> None:
    thing = PUBLIC[name]
    assert thing.__doc__
    assert pydoc.render_doc(thing)
    if isinstance(thing, type) and issubclass(thing, BaseException):
        return
    made_by_gort = {"Goroutine", "RLocker", "Context", "CancelFunc", "AfterFunc"}
    if PURE or thing.__qualname__ not in made_by_gort:
        inspect.signature(thing)
    if isinstance(thing, type):
        for method, f in vars(thing).items():
            if callable(f) and not method.startswith("_"):
                assert inspect.signature(f).parameters
                assert PURE or f.__doc__, method


def test_exceptions() -> None:
    for cls in (gort.Cancelled, gort.ChanClosed, gort.DeadlockError, context.Canceled):
        exc = pickle.loads(pickle.dumps(cls("x")))
        assert type(exc) is cls and exc.args == ("x",)
        assert repr(copy.copy(exc)) == f"{cls.__name__}('x')"


def test_repr_of_ops(procs: int) -> None:
    async def main() -> None:
        c = gort.chan()
        op = c.recv()
        assert repr(op) == "<Chan.recv: not awaited>"

        async def waits() -> Any:
            return await op

        g = gort.go(waits)
        while g.status != "waiting":
            await gort.sleep(0.001)
        assert repr(op) == "<Chan.recv: waiting>"
        await c.send(1)
        assert await g == 1
        assert repr(op) == "<Chan.recv: done>"

    gort.run(main, procs=procs)


def test_repr_of_states() -> None:
    async def boom() -> None:
        raise ValueError("boom\nmore")

    async def main() -> None:
        once = sync.Once()
        mu = sync.Mutex()
        cond = sync.Cond(mu)
        assert repr(once) == "<Once fresh>"
        await once.do(lambda: repr(once))
        assert repr(once) == "<Once done>"
        await mu.lock()
        assert repr(cond) == "<Cond of <Mutex locked>>"
        timer = time.Timer(60)
        assert repr(timer) == "<Timer armed>"
        timer.stop()
        assert repr(timer) == "<Timer not armed>"
        called = time.after_func(60, print)
        assert repr(called) == "<Timer armed>"
        called.stop()
        assert repr(called) == "<Timer not armed>"
        ticker = time.Ticker(60)
        assert repr(ticker) == "<Ticker running>"
        ticker.stop()
        assert repr(ticker) == "<Ticker stopped>"
        ctx, cancel = context.with_cancel(context.background())
        stop = context.after_func(ctx, len, "")
        assert repr(cancel) == "<CancelFunc of <Context live>>"
        assert repr(stop) == "<AfterFunc waiting>"
        cancel()
        assert repr(cancel) == "<CancelFunc of <Context Canceled>>"
        assert repr(stop) == "<AfterFunc over>"
        async with gort.timeout(5) as scope:
            assert repr(scope) == "<gort.timeout of 5 seconds: open>"
        assert repr(scope) == "<gort.timeout of 5 seconds: left>"
        assert repr(gort.shield()) == "<gort.shield of inf seconds: not entered>"
        async with gort.group() as grp:
            assert repr(grp) == "<gort.group of 0 goroutines: open>"
            grp.cancel()
            assert repr(grp) == "<gort.group of 0 goroutines: open, cancelled>"
        g = gort.go(boom)
        with pytest.raises(ValueError, match="boom"):
            await g
        assert "[failed: ValueError: boom]" in repr(g)
        assert repr(sync.RWMutex().reader()) == "<RLocker of <RWMutex 0 readers>>"

    gort.run(main)


def test_created_by_who_asked(procs: int) -> None:
    """The goroutine of an after_func is of the line that called it, and its goroutine."""
    made: list[str] = []

    async def main() -> None:
        done = gort.chan()

        def say() -> None:
            made.append(repr(gort.current()))
            made.append(str(gort.goroutines()[-1].parent_id))
            gort.go(done.send, 1)

        time.after_func(0, say)
        await done.recv()
        ctx, cancel = context.with_cancel(context.background())
        context.after_func(ctx, say)
        cancel()
        await done.recv()

    gort.run(main, procs=procs)
    line = main.__code__.co_firstlineno
    assert f"main at {__file__}:{line + 8}>" in made[0]
    assert f"main at {__file__}:{line + 11}>" in made[2]
    assert made[1] == made[3] == "1"


if __name__ == "__main__":

    async def main() -> None:
        for name, check in CHECKS.items():
            # Uncompiled, methods are plain functions: they take what they get, without a crash.
            if PURE and name in ("self", "arguments"):
                continue
            check({**MADE, **OPS, **PROTOCOL}[sys.argv[1]])

    gort.run(main)
