"""Make an interpreter in the user's cache, by the first way that is open."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import packages, source
from .shell import Unavailable, cache_dir, locked
from .there import from_cache, install_by_uv
from .version import Version

Way = Callable[[Path, Version, Path], str]


def ways(version: Version) -> dict[str, Way]:
    """Return the ways to make one, the quickest first."""
    build: dict[str, Way] = {"build": source.build}
    return build if version.free_threaded else {"packages": packages.install} | build


def make(version: Version, *, again: bool = False) -> str:
    """Return one that uv or we make, `again`: even if there is one; raise Unavailable."""
    if not again and (python := install_by_uv(version)):
        return python
    cache = cache_dir().resolve()
    cache.mkdir(parents=True, exist_ok=True)
    problems = []
    with locked(cache / "lock"):
        # Another run may have made it meanwhile.
        if not again and (python := from_cache(version)):
            return python
        for leftover in cache.glob(".build-*"):
            shutil.rmtree(leftover)
        for name, way in ways(version).items():
            with tempfile.TemporaryDirectory(prefix=".build-", dir=cache) as work:
                try:
                    return way(cache, version, Path(work))
                except Unavailable as problem:
                    problems.append(f"{name}: {problem}")
    raise Unavailable("\n  ".join(problems))
