"""A GIL that an import turned back on, on a free-threaded build: who did it.

CPython warns of it at the import; it cannot say what that means for gort: from
then on goroutines run one at a time, whatever GOMAXPROCS says.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import warnings
from types import ModuleType

import cython

from .gmp import printerr

_FREETHREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
_XGIL = sys._xoptions.get("gil")
_told = [not _FREETHREADED]
_looks = [0]


def watchgil() -> bool:
    """Whether a GIL may yet come back unasked and unreported."""
    return not _told[0] and not asked()


def gilcheck(depth: int) -> None:
    """Warn, once in a process, when a GIL is there that nobody has asked for. depth: how
    many functions of gort stand below the user's; 0 on sysmon's thread."""
    if _told[0] or not sys._is_gil_enabled() or asked():
        return
    names = culprits()
    if not names and depth == 0 and _looks[0] < 3:
        _looks[0] += 1  # in the middle of its import: the next look finds its name
        return
    _told[0] = True
    who = f"importing {', '.join(names)}" if names else "an import"
    text = (
        f"gort: {who} turned the GIL back on: goroutines run one at a time from now on, "
        "whatever procs or GOMAXPROCS say (the module does not declare that it works without "
        "a GIL; PYTHON_GIL=0 keeps the GIL off all the same)"
    )
    try:
        # Compiled functions have no frame to count.
        warnings.warn(text, RuntimeWarning, stacklevel=1 if cython.compiled else depth + 1)
    except RuntimeWarning as exc:
        if depth > 0:
            raise
        printerr(f"RuntimeWarning: {exc}\n")  # -W error, on sysmon's thread


def asked() -> bool:
    """Whether PYTHON_GIL=1 or -X gil=1 asked for the GIL."""
    if _XGIL is not None:
        return _XGIL == "1"
    return not sys.flags.ignore_environment and os.environ.get("PYTHON_GIL") == "1"


def culprits() -> list[str]:
    """The extension modules that want a GIL, by name."""
    return [
        name
        for name, mod in list(sys.modules.items())
        if isinstance(mod, ModuleType) and isextension(mod) and wantsgil(mod)
    ]


def isextension(mod: ModuleType) -> bool:
    file = getattr(getattr(mod, "__spec__", None), "origin", None)
    return isinstance(file, str) and file.endswith((".so", ".pyd"))


def wantsgil(mod: ModuleType) -> bool:
    """Whether mod says, or leaves it unsaid, that it needs the GIL: a module object's
    md_gil, the word after its dict, definition, state, weak references and name."""
    import ctypes  # at the report alone

    at = id(mod) + object.__basicsize__ + 5 * ctypes.sizeof(ctypes.c_void_p)
    return not ctypes.c_void_p.from_address(at).value
