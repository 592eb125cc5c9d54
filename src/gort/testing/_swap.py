"""The simulated gort in place of the real one, in every module that has imported it."""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import _pure, _where
from . import _locks, _sockets


def twins() -> dict[int, tuple[Any, Any]]:
    """id of each public object of gort: the object, and its simulated twin."""
    import gort

    out: dict[int, tuple[Any, Any]] = {}
    sim = _pure.simulated()
    for name in gort.__all__:
        real = getattr(gort, name)
        twin = getattr(sim, name)
        if isinstance(real, types.ModuleType):
            for inner in getattr(real, "__all__", ()):
                out[id(getattr(real, inner))] = getattr(real, inner), getattr(twin, inner)
        out[id(real)] = real, twin
    return out


def acquaint(sim: types.ModuleType) -> None:
    """Tell the two gorts of each other, for their errors."""
    names = sys.modules[_pure.SIMULATED + ".platform"]
    real, twin = _where.here, sys.modules[_pure.SIMULATED + "._where"].here
    real.mine = twin.theirs = "outside the simulation, with the real gort"
    real.theirs = twin.mine = "in a simulation"
    real.strayed = lambda: names.current() is not None
    twin.strayed = lambda: names.current() is None
    real.other = lambda cls: defined(cls, _pure.SIMULATED + ".")
    twin.other = lambda cls: defined(cls, "gort.runtime.")


def defined(cls: type, prefix: str) -> bool:
    """Whether a module whose name begins with prefix has cls, of gort, by whatever name."""
    if cls.__module__.partition(".")[0] != "gort":
        return False
    modules = [m for name, m in sys.modules.items() if name.startswith(prefix)]
    return any(value is cls for m in modules for value in list(vars(m).values()))


def replace(pairs: dict[int, tuple[Any, Any]]) -> list[tuple[dict[str, Any], str, Any]]:
    """Put each twin in the place of its original; what to undo."""
    undo = []
    for module in list(sys.modules.values()):
        name = getattr(module, "__name__", "")
        if name.startswith(("gort.", "_pytest")) and not name.startswith("gort.testing"):
            if name.startswith((_pure.SIMULATED, "gort.runtime", "gort.platform")):
                continue
        space = getattr(module, "__dict__", None)
        if type(space) is not dict or name.startswith("gort.testing"):
            continue
        for key, value in list(space.items()):
            pair = pairs.get(id(value))
            if pair is not None and pair[0] is value:
                undo.append((space, key, value))
                space[key] = pair[1]
    return undo


_depth = 0


@contextmanager
def swapped() -> Iterator[types.ModuleType]:
    """While it lasts, gort's public names mean the simulated ones, in every module's
    globals, time.sleep, monotonic, time and perf_counter go by the virtual clock on
    virtual threads, and so do the locks and threads of threading. As freezegun does it.
    Names bound otherwise (closures, default arguments, attributes of objects) keep their
    meaning."""
    global _depth
    sim = _pure.simulated()
    if _depth > 0:
        yield sim
        return
    _depth += 1
    acquaint(sim)
    clocks = [(getattr(time, name), unit) for name, unit in _CLOCKS.items()]
    timely: dict[int, tuple[Any, Any]] = {id(fn): (fn, clock(fn, unit)) for fn, unit in clocks}
    timely[id(time.sleep)] = time.sleep, sleeper(time.sleep)
    undo = replace(twins() | timely | _locks.pairs() | _sockets.pairs()) + _locks.adopted()
    methods = _locks.patched()
    try:
        yield sim
    finally:
        _depth -= 1
        for cls, name, fn in methods:
            setattr(cls, name, fn)
        for space, key, value in undo:
            space[key] = value


_CLOCKS = {
    "monotonic": 1e-9,
    "perf_counter": 1e-9,
    "time": 1e-9,
    "monotonic_ns": 1,
    "perf_counter_ns": 1,
    "time_ns": 1,
}


def clock(real: Any, unit: float) -> Any:
    platform = sys.modules[_pure.SIMULATED + ".platform"]

    def read() -> Any:
        e = platform.current()
        return real() if e is None else e.clock * unit

    return read


def sleeper(real: Any) -> Any:
    platform = sys.modules[_pure.SIMULATED + ".platform"]

    def sleep(seconds: float) -> None:
        e = platform.current()
        if e is None:
            real(seconds)
            return
        seconds = seconds + 0.0
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        e.point("sleep")
        e.block(e.clock + int(seconds * 1e9))

    return sleep
