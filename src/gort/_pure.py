"""GORT_PURE=1: load the runtime's .py files although compiled ones lie beside them."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

_F = TypeVar("_F")

_ROOT = Path(__file__).parent


class _Shadow(types.ModuleType):
    """What the runtime uses of the cython module when that is not installed."""

    compiled = False

    @staticmethod
    def locals(**types: object) -> Callable[[_F], _F]:
        return lambda fn: fn


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module with a `cython` to import; it is bound at its top alone."""
        missing = "cython" not in sys.modules and importlib.util.find_spec("cython") is None
        if missing:
            sys.modules["cython"] = _Shadow("cython")
        try:
            super().exec_module(module)
        finally:
            if missing:
                sys.modules.pop("cython", None)


class _Finder:
    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith("gort.runtime."):
            return None
        file = _ROOT.joinpath(*name.split(".")[1:]).with_suffix(".py")
        if not file.is_file():
            return None
        loader = _Loader(name, str(file))
        return importlib.util.spec_from_file_location(name, file, loader=loader)


def install() -> None:
    """Put the finder first; idempotent."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
