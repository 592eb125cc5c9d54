"""The names of what is public: each says that it is of the module that users import it from."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import cython

if not cython.compiled:
    from ..platform import rename


def publish(space: dict[str, Any]) -> None:
    """space: the globals of a public module, whose `__all__` is what is its own. The
    simulated package's say what the real one's do. What is
    not there yet, as its module is imported when it is asked for, keeps that one's name."""
    module = space["__name__"].replace("gort._sim", "gort")
    for name in space["__all__"]:
        thing = space.get(name)
        if thing is None or isinstance(thing, ModuleType):
            continue
        if isinstance(thing, type) and not thing.__flags__ & HEAPTYPE:
            rename(thing, f"{module}.{name}")
            continue
        thing.__module__ = module
        if isinstance(thing, type):
            thing.__name__ = thing.__qualname__ = name


HEAPTYPE = 1 << 9
