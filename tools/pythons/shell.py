"""Run commands, report progress, and keep things in the user's cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


class Unavailable(Exception):
    """Say why a way to get an interpreter is closed."""


def say(message: str) -> None:
    """Report progress."""
    print(f"interpreters: {message}", file=sys.stderr, flush=True)


def run(
    command: Sequence[str | Path],
    seconds: float,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command and return its stdout; raise Unavailable with what it said."""
    try:
        done = subprocess.run(
            command,
            env=env,
            cwd=cwd,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{Path(command[0]).name} took more than {seconds:g} s") from None
    except OSError as error:
        raise Unavailable(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-6:]
        line = " ".join(map(str, command[:3]))
        raise Unavailable("\n    ".join([f"{line} ... failed ({done.returncode})", *said]))
    return done.stdout


def cache_dir() -> Path:
    """Return gort's folder in the user's cache."""
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = configured if configured.is_absolute() else Path.home() / ".cache"
    return base / "gort"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file, waiting for another run that makes an interpreter."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another run makes an interpreter; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
