"""Builds the helpers that are not Python, the Go program and those in load/, into the
user's cache directory, once for each state of their sources and compilers."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
GO_ENV = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off", "CGO_ENABLED": "0"}


def cache() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "gort" / "bench"


def go_command() -> str | None:
    return shutil.which("go")


@functools.cache
def go_program() -> str:
    go = go_command()
    assert go, "no go"
    sources = sorted((HERE / "go").iterdir())
    version = output([go, "version"])
    return built("go", sources, version, [go, "build", "-o", "{}", "."], HERE / "go")


@functools.cache
def load_generator() -> str:
    return c_program("echo_load")


def c_program(name: str) -> str:
    """One of the C programs in load/."""
    compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
    source = HERE / "load" / f"{name}.c"
    version = output([compiler, "--version"])
    command = [compiler, "-O2", "-Wall", "-pthread", "-o", "{}", str(source)]
    return built(name, [source], version, command, HERE)


def built(name: str, sources: Sequence[Path], compiler: str, command: list[str], cwd: Path) -> str:
    """The path of the program that `command` makes of the sources; {} is where it puts it."""
    state = hashlib.sha256(compiler.encode())
    for source in sources:
        state.update(source.read_bytes())
    program = cache() / f"{name}-{state.hexdigest()[:16]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        new = program.with_suffix(f".{os.getpid()}")
        arguments = [part.format(new) for part in command]
        subprocess.run(arguments, check=True, cwd=cwd, env={**os.environ, **GO_ENV})
        new.replace(program)
    return str(program)


def output(command: list[str]) -> str:
    return subprocess.check_output(command, text=True, env={**os.environ, **GO_ENV})
