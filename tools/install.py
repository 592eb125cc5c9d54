"""Install gort into venvs from a wheel, building it where none fits.

    python tools/install.py VENV/bin/python ...

A wheel is built once for each state of the sources, the interpreter, the compiler and its
flags, and kept in .make/wheels; every venv of the same interpreter gets the same one. Progress
goes to stderr, all that the build says to .make/wheels/build.log. Exit status 1: it does not
build.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / ".make" / "wheels"
BUILD = ROOT / "build"
LOG = WHEELS / "build.log"
KEPT = 16
"""wheels, the last used"""

# What decides how the sources are compiled, and what else goes into the wheel.
RECIPE = ("setup.py", "pyproject.toml")
OTHERS = ("README.md", "LICENSE")
SOURCES = {".py", ".pxd", ".pyx", ".pyi", ".h", ".typed"}
VARIABLES = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "LDSHARED")

STARTED = re.compile(r"\s*building 'gort\.\S+' extension")
TRANSLATED = re.compile(r"\s*\[\s*\d+/\d+\] Cythonizing")
PIP = ("-m", "pip", "--disable-pip-version-check")

DESCRIBE = """
import json, sys, sysconfig
variables = sysconfig.get_config_vars("CC", "CFLAGS", "EXT_SUFFIX", "Py_GIL_DISABLED")
print(json.dumps([sys.version.split()[0], [sys.version, sys.base_prefix, *map(str, variables)]]))
"""


class Failed(Exception):
    """Say why gort cannot be built or installed."""


def digest(parts: Iterable[bytes | str]) -> str:
    """Return a name for a list of texts."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(b"%d:" % len(data) + data)
    return state.hexdigest()[:16]


def sources() -> list[Path]:
    """Return the files that the package is made of."""
    found = (ROOT / "src" / "gort").rglob("*")
    return sorted(p for p in found if p.suffix in SOURCES and p.is_file())


def compiler(configured: str) -> str:
    """Return what the C compiler says that it is."""
    command = shlex.split(os.environ.get("CC") or configured) or ["cc"]
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True)
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}: install a C compiler, or set CC") from None
    return done.stdout


class Interpreter:
    """A venv's interpreter, and what the build for it depends on."""

    def __init__(self, python: Path) -> None:
        try:
            answer = subprocess.run(
                [python, "-c", DESCRIBE], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise Failed(f"{python} is no Python: {error}") from None
        version, facts = json.loads(answer.stdout)
        self.python = python
        self.name = f"Python {version}" + (" free-threaded" if facts[-1] == "1" else "")
        self.state = digest(
            [*facts, compiler(facts[2]), *(os.environ.get(name, "") for name in VARIABLES)]
        )


# --- progress --------------------------------------------------------------------------


class Progress:
    """Tell how far a build is: on a terminal in one line, else now and then in a new one."""

    EVERY = 10.0

    def __init__(self, name: str, modules: int) -> None:
        self.title = f"gort for {name}"
        self.modules = modules
        self.started = 0
        self.start = time.monotonic()
        self.next = self.start
        self.live = sys.stderr.isatty()
        self.say("getting Cython")

    def saw(self, line: str) -> None:
        """Take in a line of the build's output."""
        if TRANSLATED.match(line) and not self.started:
            self.say("translating to C")
        elif STARTED.match(line):
            self.started += 1
            self.say(f"compiling module {self.started} of {self.modules}")

    def say(self, what: str) -> None:
        """Show it, unless something was shown just now and there is no terminal."""
        now = time.monotonic()
        if self.live or now >= self.next:
            self.next = now + self.EVERY
            self.write(f"{self.title}: {what} ({now - self.start:.0f} s)")

    def write(self, text: str) -> None:
        """Write a line, on a terminal over the last one."""
        print(
            f"\r\033[K{text}" if self.live else text,
            end="" if self.live else "\n",
            file=sys.stderr,
            flush=True,
        )

    def end(self, how: str) -> None:
        """Say how it ended, in a line that stays."""
        self.write(f"{self.title}: {how} after {time.monotonic() - self.start:.0f} s")
        if self.live:
            print(file=sys.stderr)


# --- the wheel -------------------------------------------------------------------------


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One build at a time: they share build/."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    with (WHEELS / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def wheel(interpreter: Interpreter) -> Path:
    """Return the wheel for the interpreter, built now if there is none yet."""
    with locked():
        files = [*(ROOT / name for name in (*RECIPE, *OTHERS)), *sources()]
        names = [str(path.relative_to(ROOT)) for path in files]
        recipe = digest([*names, *((ROOT / name).read_bytes() for name in RECIPE)])
        state = digest([interpreter.state, recipe, *(path.read_bytes() for path in files)])
        folder = WHEELS / state
        if not folder.exists():
            forget_other_recipe(recipe)
            build(interpreter, folder)
        os.utime(folder)
        prune()
        return next(folder.glob("*.whl"))


def forget_other_recipe(recipe: str) -> None:
    """Remove what was built with other flags, or of a module that is gone: setuptools would not."""
    mark = BUILD / "recipe"
    if not mark.exists() or mark.read_text() != recipe:
        shutil.rmtree(BUILD, ignore_errors=True)
        BUILD.mkdir()
        mark.write_text(recipe)


def build(interpreter: Interpreter, folder: Path) -> None:
    """Build the wheel into the folder, with what an earlier build for the interpreter left."""
    modules = 1 + len(list((ROOT / "src/gort/runtime").glob("*.pxd")))
    progress = Progress(interpreter.name, modules)
    with tempfile.TemporaryDirectory(dir=WHEELS, prefix="new-") as scratch:
        config = Path(scratch, "setup.cfg")
        config.write_text(f"[build]\nbuild_base = build/{interpreter.state}\n")
        out = Path(scratch, "wheel")
        command: list[str | Path] = [interpreter.python, *PIP, "wheel", "-v"]
        command += ["--no-deps", "-w", out, ROOT]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"DIST_EXTRA_CONFIG": str(config)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        with process, LOG.open("w") as log:
            for line in process.stdout:
                log.write(line)
                progress.saw(line)
        if process.returncode or not list(out.glob("*.whl")):
            progress.end("FAILED")
            tail = LOG.read_text().splitlines()[-20:]
            raise Failed("\n    ".join([f"gort does not build, see {LOG}:", *tail]))
        out.rename(folder)
    progress.end("built")


def prune() -> None:
    """Remove the wheels that have not been used for longest."""
    folders = [p for p in WHEELS.iterdir() if p.is_dir() and not p.name.startswith("new-")]
    for folder in sorted(folders, key=lambda p: p.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(folder)


def install(python: Path) -> None:
    """Put gort into the venv of that interpreter."""
    file = wheel(Interpreter(python))
    command: list[str | Path] = [python, *PIP, "install", "-q", "--no-deps", "--no-index"]
    command += ["--force-reinstall", file]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{python} does not install {file.name}:\n{done.stderr.strip()}")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pythons", nargs="+", type=Path, metavar="VENV/bin/python")
    try:
        for python in parser.parse_args().pythons:
            # The name in the venv: what it links to is not in it.
            install(Path(os.path.abspath(python)))
    except Failed as why:
        print(why, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
