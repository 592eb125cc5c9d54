"""Build an interpreter from Debian's source package."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .apt import SECONDS as APT_SECONDS
from .apt import fetched
from .shell import Unavailable, run, say
from .there import program_of
from .version import Version

BUILD_SECONDS = 3600
# Where the source package of each is looked for: a release keeps its version.
SUITES = {13: ("trixie",)}
LATER_SUITES = ("sid", "forky")

# No LTO and no PGO: each multiplies the build's time, and a training run of PGO hung in
# test_threading, which an instrumented free-threaded build did not finish in 10 minutes.
CONFIGURE = (
    "--disable-test-modules",
    "--with-ensurepip=install",
    "OPT=-DNDEBUG -O3 -fwrapv -Wall",
)
REQUIRED_HEADERS = {
    "zlib.h": "zlib1g-dev",
    "ffi.h": "libffi-dev",
    "openssl/ssl.h": "libssl-dev",
}
OPTIONAL_HEADERS = {
    "bzlib.h": "libbz2-dev",
    "lzma.h": "liblzma-dev",
    "sqlite3.h": "libsqlite3-dev",
}


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the archive and return the source tree."""
    if shutil.which("xz"):
        run(["tar", "-xf", archive, "-C", folder], 300)
    else:
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(folder, filter="data")
            else:
                tar.extractall(folder)
    for configure in folder.glob("*/configure"):
        return configure.parent
    raise Unavailable(f"{archive.name} holds no source tree of Python")


def compiler() -> list[str]:
    """Return the C compiler's command."""
    command = os.environ.get("CC", "").split() or ["cc"]
    for tool in (command[0], "make"):
        if not shutil.which(tool):
            raise Unavailable(f"there is no {tool}: install a C compiler and make")
    return command


def missing_packages(headers: Mapping[str, str]) -> list[str]:
    """Return the packages whose headers the compiler does not find."""
    command = [*compiler(), "-E", "-x", "c", "-"]
    return [
        package
        for header, package in headers.items()
        if subprocess.run(
            command, input=f"#include <{header}>\n", text=True, capture_output=True
        ).returncode
    ]


def ensure_headers() -> None:
    """Install the headers that the standard library needs, or say which are missing."""
    missing = missing_packages(REQUIRED_HEADERS | OPTIONAL_HEADERS)
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {' '.join(missing)}")
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing]
        try:
            run(["apt-get", "update", "-q"], APT_SECONDS, env=env)
            run(install, APT_SECONDS, env=env)
        except Unavailable as problem:
            say(str(problem))
        missing = missing_packages(REQUIRED_HEADERS | OPTIONAL_HEADERS)
    if missing:
        say(f"headers are missing; as root: apt-get install {' '.join(missing)}")
    if needed := [package for package in missing if package in REQUIRED_HEADERS.values()]:
        raise Unavailable(f"a Python that pip can serve needs {', '.join(needed)}")


def build_env() -> dict[str, str]:
    """Return the environment without what would steer the build from outside."""
    foreign = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR", "CFLAGS", "LDFLAGS", "CPPFLAGS"}
    return {
        key: value
        for key, value in os.environ.items()
        if key not in foreign and not key.startswith("PYTHON")
    }


def logged(command: Sequence[str], log: Path, cwd: Path) -> None:
    """Run a step of the build, its output into the log."""
    with log.open("a", encoding="utf-8") as out:
        try:
            subprocess.run(
                command,
                cwd=cwd,
                env=build_env(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=BUILD_SECONDS,
                check=True,
            )
        except (subprocess.SubprocessError, OSError) as error:
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
            raise Unavailable("\n    ".join([f"the build failed: {error}", *tail])) from None


def compile_into(cache: Path, version: Version, tree: Path, stage: Path) -> Path:
    """Build the tree, install it under the cache in one step and return its prefix."""
    prefix = cache / tree.name.replace("Python-", f"python{version}-")
    log = cache / f"build-{version}.log"
    log.unlink(missing_ok=True)
    jobs = len(os.sched_getaffinity(0))
    gil = ("--disable-gil",) if version.free_threaded else ()
    say(f"building {tree.name} with {jobs} jobs, some minutes; log: {log}")
    start = time.monotonic()
    logged(["./configure", "-q", f"--prefix={prefix}", *gil, *CONFIGURE], log, tree)
    say(f"configured after {time.monotonic() - start:.0f} s")
    logged(["make", "-s", f"-j{jobs}"], log, tree)
    say(f"compiled after {time.monotonic() - start:.0f} s")
    logged(["make", "-s", "install", f"DESTDIR={stage}"], log, tree)
    if prefix.exists():
        shutil.rmtree(prefix)
    (stage / prefix.relative_to("/")).rename(prefix)
    say(f"installed after {time.monotonic() - start:.0f} s: {prefix}")
    return prefix


def build(cache: Path, version: Version, work: Path) -> str:
    """Build one in the folder `work`, beside where it goes; raise Unavailable."""
    suites = SUITES.get(version.minor, LATER_SUITES)
    package = f"python3.{version.minor}"
    command = ["source", "--download-only", "--tar-only", package]
    ensure_headers()
    with fetched("deb-src", suites, *command) as files:
        archives = sorted(files.glob("*.orig.tar.*[!c]"))
        if not archives:
            raise Unavailable(f"apt-get downloaded no source archive of {package}")
        tree = unpack(archives[0], work)
    prefix = compile_into(cache, version, tree, work / "stage")
    return version.probe(program_of(prefix, version))
