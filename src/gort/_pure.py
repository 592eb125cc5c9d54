"""The runtime's .py files, loaded as they are: under GORT_PURE=1 in place of the
compiled modules, and a second time, over the simulator's platform, for gort.testing."""

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
SIMULATED = "gort._sim"
"""The name of the package over the simulator's platform."""


class _Shadow(types.ModuleType):
    """What the runtime uses of the cython module when that is not installed."""

    compiled = False

    @staticmethod
    def locals(**types: object) -> Callable[[_F], _F]:
        return lambda fn: fn

    @staticmethod
    def final(fn: _F) -> _F:
        return fn

    @staticmethod
    def cclass(cls: _F) -> _F:
        return cls

    no_gc = cclass

    @staticmethod
    def binding(on: bool) -> Callable[[_F], _F]:
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


def _spec(name: str, file: Path, package: bool = False) -> importlib.machinery.ModuleSpec | None:
    if not file.is_file():
        return None
    inside = [str(file.parent)] if package or file.name == "__init__.py" else None
    return importlib.util.spec_from_file_location(
        name, file, loader=_Loader(name, str(file)), submodule_search_locations=inside
    )


class _Pure:
    """gort.runtime.x is x.py, although a compiled x lies beside it."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith("gort.runtime."):
            return None
        return _spec(name, _ROOT.joinpath(*name.split(".")[1:]).with_suffix(".py"))


class _Simulated:
    """gort._sim is gort once more, and its platform is the simulator's."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != SIMULATED and not name.startswith(SIMULATED + "."):
            return None
        parts = name.split(".")[2:]
        if parts == ["platform"]:
            return _spec(name, _ROOT / "platform" / "sim.py", package=True)
        at = _ROOT.joinpath(*parts)
        return _spec(name, at / "__init__.py" if at.is_dir() else at.with_suffix(".py"))


def install(finder: type[_Pure] | type[_Simulated] = _Pure) -> None:
    """Put the finder first; idempotent."""
    if finder not in sys.meta_path:
        sys.meta_path.insert(0, finder)


def simulated() -> types.ModuleType:
    """The simulated gort, loaded at the first call."""
    install(_Simulated)
    sim = importlib.import_module(SIMULATED)
    if not hasattr(sim, "_shared"):
        sim._shared = share()  # type: ignore[attr-defined]
    return sim


def share() -> int:
    """Give the simulated gort the real one's exceptions, so that one `except`, and one
    pytest.raises, fits both; how many."""
    real: dict[int, type[BaseException]] = {}
    twins = [(n, m) for n, m in sys.modules.items() if n.startswith(SIMULATED + ".")]
    for name, module in twins:
        original = sys.modules.get(name.replace(SIMULATED, "gort", 1))
        for key, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, BaseException):
                other = getattr(original, key, None)
                if isinstance(other, type) and other is not value:
                    real[id(value)] = other
    spaces = [vars(module) for _, module in twins] + [vars(sys.modules[SIMULATED])]
    for space in spaces:
        for key, value in list(space.items()):
            if id(value) in real:
                space[key] = real[id(value)]
    return len(real)
