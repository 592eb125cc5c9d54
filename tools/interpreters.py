"""Print the path of a Python interpreter, making one in the user's cache where there is none.

Versions are named as programs are: 3.14, or 3.14t without a GIL. Of several, the first that
is there is taken; is none there, the first that can be made. `free-threaded` and `newer` stand
for what the tests take: one without a GIL, and one with a GIL that is newer than the Python
that runs this.

Asked in turn: PATH, pyenv's and uv's interpreters, and what an earlier run left in the user's
cache; then uv is to install it, Debian's packages are unpacked beside the system (with a GIL),
and at last Debian's source package is built. Each candidate must be the version, really run
with or without the GIL, and be able to make a working venv.

The path goes to stdout, everything else to stderr. Exit status 1: none can be had.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pythons.make import make
from pythons.shell import Unavailable, say
from pythons.there import look
from pythons.version import ALL, Version

# In the order in which they are taken where there, and made where none is. 3.13t comes first:
# its source package is in Debian's stable release, and the figures of docs/ are of it.
GROUPS = {
    "free-threaded": ("3.13t", "3.14t", "3.15t"),
    # Debian unpacks 3.14 in seconds.
    "newer": ("3.13", "3.12", "3.14", "3.15"),
}
MADE = {"free-threaded": ("3.13t",), "newer": ("3.14", "3.15")}


def newer(versions: Sequence[Version]) -> list[Version]:
    """Leave out what is not newer than the running Python."""
    return [version for version in versions if (3, version.minor) > sys.version_info[:2]]


def expand(name: str, names: Sequence[str]) -> list[Version]:
    """Read the versions of a group, or one version."""
    versions = list(map(Version.parse, names))
    return newer(versions) if name == "newer" else versions


def find(wanted: Sequence[str], *, install: bool) -> str | None:
    """Return the first interpreter that serves; with `install`, make one where there is none."""
    for name in wanted:
        for version in expand(name, GROUPS.get(name, (name,))):
            if python := look(version):
                return python
    return remake(wanted, again=False) if install else None


def remake(wanted: Sequence[str], *, again: bool) -> str | None:
    """Make the first that can be made."""
    for name in wanted:
        for version in expand(name, MADE.get(name, (name,))):
            try:
                return make(version, again=again)
            except Unavailable as problem:
                say(f"{version} cannot be had:\n  {problem}")
    return None


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "wanted",
        nargs="+",
        metavar="VERSION",
        help=f"{', '.join(map(str, ALL))}, newer or free-threaded",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--no-install", action="store_true", help="take only what is there: make none"
    )
    choice.add_argument("--rebuild", action="store_true", help="make one in any case")
    options = parser.parse_args()
    try:
        if options.rebuild:
            python = remake(options.wanted, again=True)
        else:
            python = find(options.wanted, install=not options.no_install)
    except ValueError as problem:
        parser.error(str(problem))
    if python is None:
        say(f"none can be had: put python of {' or '.join(options.wanted)} on PATH")
        return 1
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
