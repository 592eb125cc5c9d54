"""A program in a process of its own, to be sent signals: it says `ready` first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gort

TIMEOUT = 40


def environment(**extra: str) -> dict[str, str]:
    src = str(Path(gort.__file__).parents[1])
    old = os.environ.get("PYTHONPATH")
    env = {**os.environ, "PYTHONPATH": f"{src}:{old}" if old else src}
    for name in ("GODEBUG", "GOTRACEBACK"):
        env.pop(name, None)
    return {**env, **extra}


class Program(subprocess.Popen[str]):
    def say(self, text: str) -> None:
        assert self.stdin is not None
        self.stdin.write(text + "\n")
        self.stdin.flush()

    def outline(self) -> str:
        """A line of stdout; byte by byte, to leave the rest to end()."""
        assert self.stdout is not None
        return readline(self.stdout.fileno())

    def errline(self) -> str:
        assert self.stderr is not None
        return readline(self.stderr.fileno())

    def expect(self, line: str) -> None:
        got = self.outline()
        assert got == line + "\n", (got, self.end() if got == "" else None)

    def end(self) -> tuple[str, str]:
        """The rest of stdout and stderr, once it has ended."""
        return self.communicate(timeout=TIMEOUT)


def readline(fd: int) -> str:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(fd, 1)
        if not byte:
            break
        line += byte
    return line.decode()


@contextmanager
def program(path: Path, code: str, *args: str, cli: bool = True, **env: str) -> Iterator[Program]:
    """Run code (under `gort run`, or by itself); kill what is left of it."""
    file = path / "prog.py"
    file.write_text(code)
    command = [sys.executable, "-m", "gort", "run", *args] if cli else [sys.executable]
    p = Program(
        [*command, str(file)],
        env=environment(**env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield p
    finally:
        if p.poll() is None:
            p.send_signal(signal.SIGKILL)
        p.communicate()
