"""Look for an interpreter among those that the machine has."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .shell import Unavailable, cache_dir, run, say
from .version import Version

UV_SECONDS = 180


def from_path(version: Version) -> str | None:
    """Look for pythonX.Y on PATH; pyenv's stand-ins only answer for a version chosen there."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if Path(folder).name != "shims")
    found = shutil.which(f"python{version}", path=path)
    return version.serves(found, "PATH") if found else None


def newest(folders: Iterator[Path]) -> list[Path]:
    """Order folders by the version in their names."""
    return sorted(folders, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])[::-1]


def from_pyenv(version: Version) -> str | None:
    """Look among the versions that pyenv has installed."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for prefix in newest((root / "versions").glob(f"3.{version.minor}.*")):
        program = prefix / "bin" / f"python{version}"
        if prefix.name.endswith("t") == version.free_threaded and program.exists():
            if python := version.serves(program, "pyenv"):
                return python
    return None


def from_uv(version: Version) -> str | None:
    """Ask uv for an interpreter that it already has."""
    if not (uv := shutil.which("uv")):
        return None
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    # Outside any project: the request alone decides, no pin and no active venv.
    with contextlib.suppress(Unavailable), tempfile.TemporaryDirectory() as empty:
        command = [uv, "python", "find", "--system", str(version)]
        return version.serves(run(command, 30, env=env, cwd=Path(empty)).strip(), "uv")
    return None


def install_by_uv(version: Version) -> str | None:
    """Let uv install an interpreter."""
    if not (uv := shutil.which("uv")):
        return None
    say(f"uv installs {version} (at most {UV_SECONDS} s)")
    try:
        run([uv, "python", "install", str(version)], UV_SECONDS)
    except Unavailable as problem:
        say(f"uv cannot install it: {problem}")
        return None
    return from_uv(version)


def program_of(prefix: Path, version: Version) -> Path:
    """Return the program of an interpreter that we made."""
    usual = prefix / "bin" / f"python{version}"
    return usual if usual.exists() else prefix / "usr" / "bin" / f"python{version}"


def from_cache(version: Version) -> str | None:
    """Look for what an earlier run made."""
    for prefix in newest(cache_dir().glob(f"python{version}-*")):
        if python := version.serves(program_of(prefix, version), "made earlier"):
            return python
    return None


def look(version: Version) -> str | None:
    """Return an interpreter that is there."""
    return from_path(version) or from_pyenv(version) or from_uv(version) or from_cache(version)
