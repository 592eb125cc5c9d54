"""Unpack an interpreter of Debian's packages, with the C library and loader that it is for.

Nothing of it is installed: the tree lies in the user's cache, and no other program of the
machine loads anything of it. Debian's program names the system's loader, and a path of
libraries in the environment would reach the programs that it starts; so a program of our
own, which names the tree's loader and libraries, starts the tree's libpython.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .apt import fetched
from .shell import Unavailable, run, say
from .source import compiler
from .there import program_of
from .version import Version

SUITES = ("sid", "forky")

LAUNCHER = """
int Py_BytesMain(int argc, char **argv);
int main(int argc, char **argv) { return Py_BytesMain(argc, argv); }
"""


def only(tree: Path, pattern: str) -> Path:
    """Return the file of the tree that a pattern names."""
    for path in sorted(tree.glob(pattern)):
        return path
    raise Unavailable(f"Debian's packages hold no {pattern}")


def unpack_all(files: Path, tree: Path) -> None:
    """Unpack the packages, of others than Python without what one compiles with."""
    for package in sorted(files.glob("*.deb")):
        name = package.name.partition("_")[0]
        if not name.endswith("-dev") or name.startswith("libpython"):
            run(["dpkg-deb", "-x", package, tree], 120)
    for archive in tree.glob("usr/lib/**/*.a"):
        archive.unlink()


def relocate(tree: Path, version: Version, prefix: Path) -> None:
    """Make the standard library and the headers name the tree where they name /usr."""
    python = f"python{version}"
    # One is a link to the other.
    for path in {path.resolve() for path in tree.glob(f"usr/lib/{python}/_sysconfigdata_*.py")}:
        text = path.read_text(encoding="utf-8")
        for folder in ("include", "share/python-wheels"):
            text = text.replace(f"/usr/{folder}", f"{prefix}/usr/{folder}")
        path.write_text(text, encoding="utf-8")
    # The usual place has one that includes this architecture's from the system's headers.
    shutil.copy(
        only(tree, f"usr/include/*/{python}/pyconfig.h"), tree / f"usr/include/{python}/pyconfig.h"
    )


def link(tree: Path, version: Version, prefix: Path, work: Path) -> None:
    """Link the program that starts the tree's libpython by the tree's loader."""
    library = only(tree, f"usr/lib/*/libpython{version}.so.1.0")
    loader = only(library.parent, "ld-linux*.so.*")
    folder = prefix / library.parent.relative_to(tree)
    source = work / "launcher.c"
    source.write_text(LAUNCHER, encoding="utf-8")
    program = program_of(tree, version)
    program.unlink()
    # RPATH, as against RUNPATH, holds for what the libraries themselves load as well.
    options = f"--dynamic-linker={folder / loader.name},--disable-new-dtags,-rpath,{folder}"
    options += ",--allow-shlib-undefined"
    run([*compiler(), "-O2", "-o", program, source, library, f"-Wl,{options}"], 60)


def install(cache: Path, version: Version, work: Path) -> str:
    """Make one in the folder `work`, and move it to where it goes; raise Unavailable."""
    if version.free_threaded:
        raise Unavailable(f"Debian has no package of {version}")
    python = f"python{version}"
    compiler()
    command = ["install", "-y", "--no-install-recommends", "--download-only"]
    command += [f"{python}-venv", f"lib{python}", f"lib{python}-dev", python]
    tree = work / "tree"
    with fetched("deb", SUITES, *command) as files:
        name = only(files, f"{python}_*.deb").name.split("_")[1].partition("-")[0]
        unpack_all(files, tree)
    prefix = cache / f"{python}-{name}"
    relocate(tree, version, prefix)
    link(tree, version, prefix, work)
    if prefix.exists():
        shutil.rmtree(prefix)
    tree.rename(prefix)
    say(f"unpacked: {prefix}")
    return version.probe(program_of(prefix, version))
