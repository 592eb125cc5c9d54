"""Without a GIL, what lives as long as the process is not counted: a reference count is a
word that all threads would write, at each look-up of `gort.go` or `Chan.send_nowait`.

The interpreter does the same, from its second thread on, with functions, code, modules and
classes of Python code. Compiled functions and methods are objects of Cython's, which it does
not know."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

_FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    classmethod,
    staticmethod,
    property,
)
_PARTS = (types.CodeType, types.CellType, tuple, frozenset, str, bytes, int, float)


def modules() -> list[types.ModuleType]:
    """The package and what it has imported of itself."""
    return [m for name, m in list(sys.modules.items()) if f"{name}.".startswith("gort.")]


def reachable(roots: Iterable[Any]) -> list[Any]:
    """What roots hold that lasts: functions and methods with their code, closures and
    constants, classes of the package and their members, and instances of those classes.
    Containers without what they hold now."""
    found: dict[int, Any] = {}
    todo = list(roots)
    while todo:
        o = todo.pop()
        if id(o) not in found and lasts(o):
            found[id(o)] = o
            todo += parts(o)
    return list(found.values())


def lasts(o: Any) -> bool:
    if isinstance(o, type):
        return ours(o)
    return isinstance(o, (*_FUNCTIONS, *_PARTS, dict, list, set)) or ours(type(o)) or compiled(o)


def parts(o: Any) -> list[Any]:
    if isinstance(o, type):
        return [*vars(o).values(), o.__mro__, o.__bases__]
    if isinstance(o, (dict, list, set)):
        return []
    if isinstance(o, types.BuiltinFunctionType):
        return [o.__self__, *gc.get_referents(o)]
    return gc.get_referents(o)


def ours(cls: type) -> bool:
    module: Any = cls.__module__  # a property of some odd classes
    return isinstance(module, str) and f"{module}.".startswith("gort.")


def compiled(o: Any) -> bool:
    """A function of Cython's, or the scope of one that is inside another."""
    name = type(o).__name__
    return name == "cython_function_or_method" or name.startswith("__pyx_scope_struct")


def immortalize(uncounted: Callable[[Any], None]) -> int:
    """Have nobody count what the package has at this moment; how much that is."""
    all_ = reachable(v for m in modules() for v in (m, *vars(m).values()))
    for o in all_:
        uncounted(o)
    return len(all_)
