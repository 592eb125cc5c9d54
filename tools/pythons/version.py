"""Name an interpreter, and try whether a program is it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from .shell import Unavailable, run, say

PROBE = """
import importlib, json, os, sys, sysconfig

problems = []
for name in ("ctypes", "ensurepip", "ssl", "venv", "zlib"):
    try:
        importlib.import_module(name)
    except ImportError:
        problems.append(f"it has no {name}")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    problems.append("it has no headers (Python.h)")
print(json.dumps({
    "executable": getattr(sys, "_base_executable", "") or sys.executable,
    "version": sys.version.split()[0],
    "minor": list(sys.version_info[:2]),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    "problems": problems,
}))
"""


@dataclasses.dataclass(frozen=True, order=True)
class Version:
    """A version as its program is named: 3.14, or 3.14t without a GIL."""

    minor: int
    free_threaded: bool = False

    def __str__(self) -> str:
        return f"3.{self.minor}" + ("t" if self.free_threaded else "")

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read 3.X or 3.Xt; raise ValueError."""
        if not (match := re.fullmatch(r"3\.(\d+)(t?)", text)):
            raise ValueError(f"{text!r} is not a version such as 3.14 or 3.14t")
        return cls(int(match[1]), bool(match[2]))

    def probe(self, python: str | Path) -> str:
        """Return the interpreter's own path; raise Unavailable where it does not serve."""
        try:
            found = json.loads(run([python, "-I", "-c", PROBE], 60))
        except ValueError:
            raise Unavailable("it does not answer") from None
        problems: list[str] = found["problems"]
        if found["minor"] != [3, self.minor] or found["free_threaded"] != self.free_threaded:
            problems.insert(0, f"it is not {self}")
        elif found["gil"] == self.free_threaded:
            problems.insert(0, "it runs with the GIL")
        if problems:
            raise Unavailable(f"{found['version']}: {', '.join(problems)}")
        return str(found["executable"])

    def serves(self, python: str | Path, origin: str) -> str | None:
        """Probe a candidate; say why where it is turned down."""
        try:
            return self.probe(python)
        except Unavailable as problem:
            say(f"{python} ({origin}) does not serve: {problem}")
            return None


ALL = tuple(map(Version.parse, "3.11 3.12 3.13 3.14 3.15 3.13t 3.14t 3.15t".split()))
