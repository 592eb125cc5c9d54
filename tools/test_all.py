"""Run the native suite on every interpreter that gort is for, making those that can be made.

The last line of the output is `N passed, N failed, N skipped`, over all runs; the lines
before it say how each interpreter fared, and why those are missing that cannot be had.
That gort cannot be installed for one counts as a failure.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import install
from pythons.make import make
from pythons.shell import Unavailable, run, say
from pythons.there import look
from pythons.version import ALL, Version

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv-all"
TESTERS = ("pytest>=8", "pytest-xdist>=3.6")
SECONDS = 600


def equip(version: Version, python: str) -> Path:
    """Make a venv with gort and its tests' needs; return its Python."""
    venv = VENVS / str(version)
    here = venv / "bin" / "python"
    home = venv / ".python"
    if not here.exists() or not home.exists() or home.read_text(encoding="utf-8") != python:
        run([python, "-m", "venv", "--clear", venv], 300)
        home.write_text(python, encoding="utf-8")
    say(f"installing gort for {version}")
    install.install(here)
    run([here, "-m", "pip", "install", "-q", *TESTERS], SECONDS)
    return here


def prepare(version: Version) -> Path:
    """Return the Python of a venv of the version; raise Unavailable or install.Failed."""
    return equip(version, look(version) or make(version))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("versions", nargs="*", type=Version.parse, default=ALL, metavar="VERSION")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = parser.parse_args(sys.argv[1:split])
    runs, missing = [], []
    for version in options.versions:
        try:
            runs.append(f"native:{prepare(version)}")
        except Unavailable as problem:
            missing += ["--left-out", f"{version}: {problem}"]
        except install.Failed as problem:
            missing += ["--broken", f"{version}: {problem}"]
        else:
            continue
        say(f"NOT RUN: {missing[-1]}")
    command: list[str | Path] = [sys.executable, ROOT / "tools" / "run_tests.py", *missing]
    return subprocess.run([*command, *runs, *sys.argv[split:]], env=os.environ).returncode


if __name__ == "__main__":
    sys.exit(main())
