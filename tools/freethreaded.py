"""Print the path of a free-threaded Python, building one where there is none.

Asked in turn: PATH, the interpreters that uv has, the build that an earlier run left in
the user's cache, an installation by uv, and at last a build from Debian's source package.
Each candidate must really run without the GIL and be able to make a working venv.

The path goes to stdout, everything else to stderr. Exit status 1: none can be had.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

VERSIONS = ("3.15t", "3.14t", "3.13t")
UV_VERSION = "3.14t"
UV_SECONDS = 180

DEBIAN_SUITE = "trixie"
DEBIAN_PACKAGE = "python3.13"
DEBIAN_KEYRING = "debian-archive-keyring"
# Names under which a machine may follow Debian without naming a release.
SUITE_ALIASES = frozenset({"oldstable", "stable", "testing", "unstable", "sid"})
APT_SECONDS = 600
BUILD_SECONDS = 3600

# No LTO and no PGO: each multiplies the build's time, and a training run of PGO hung in
# test_threading, which an instrumented free-threaded build did not finish in 10 minutes.
CONFIGURE = (
    "--disable-gil",
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

PROBE = """
import importlib, json, os, sys, sysconfig

problems = []
if not sysconfig.get_config_var("Py_GIL_DISABLED"):
    problems.append("it is not a free-threaded build")
elif sys._is_gil_enabled():
    problems.append("it runs with the GIL")
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
    "problems": problems,
}))
"""


class Unavailable(Exception):
    """Say why a way to get an interpreter is closed."""


def say(message: str) -> None:
    """Report progress."""
    print(f"freethreaded: {message}", file=sys.stderr, flush=True)


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


def probe(python: str | Path) -> str:
    """Return the interpreter's own path; raise Unavailable where it does not serve."""
    answer = run([python, "-I", "-c", PROBE], 60)
    try:
        found = json.loads(answer)
    except ValueError:
        raise Unavailable("it does not answer") from None
    if found["problems"]:
        raise Unavailable(f"{found['version']}: {', '.join(found['problems'])}")
    return str(found["executable"])


def serves(python: str | Path, origin: str) -> str | None:
    """Probe a candidate; say why where it is turned down."""
    try:
        return probe(python)
    except Unavailable as problem:
        say(f"{python} ({origin}) does not serve: {problem}")
        return None


# --- interpreters that are there -------------------------------------------------------


def from_path() -> str | None:
    """Look for pythonX.Yt on PATH."""
    for version in VERSIONS:
        if (path := shutil.which(f"python{version}")) and (python := serves(path, "PATH")):
            return python
    return None


def from_uv() -> str | None:
    """Ask uv for an interpreter that it already has."""
    if not (uv := shutil.which("uv")):
        return None
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    for version in VERSIONS:
        # Outside any project: the request alone decides, no pin and no active venv.
        with contextlib.suppress(Unavailable), tempfile.TemporaryDirectory() as empty:
            path = run([uv, "python", "find", "--system", version], 30, env=env, cwd=Path(empty))
            if python := serves(path.strip(), "uv"):
                return python
    return None


def install_by_uv() -> str | None:
    """Let uv install an interpreter."""
    if not (uv := shutil.which("uv")):
        return None
    say(f"uv installs {UV_VERSION} (at most {UV_SECONDS} s)")
    try:
        run([uv, "python", "install", UV_VERSION], UV_SECONDS)
    except Unavailable as problem:
        say(f"uv cannot install it: {problem}")
        return None
    return from_uv()


def cache_dir() -> Path:
    """Return gort's folder in the user's cache."""
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = configured if configured.is_absolute() else Path.home() / ".cache"
    return base / "gort"


def executable_of(prefix: Path) -> Path:
    """Return the interpreter of an installation that we built."""
    return prefix / "bin" / "python3.13t"


def from_cache() -> str | None:
    """Look for the build of an earlier run."""
    for prefix in sorted(cache_dir().glob("python3.13t-*"), reverse=True):
        if python := serves(executable_of(prefix), "built earlier"):
            return python
    return None


# --- Debian's source package -----------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Source:
    """Hold one entry of apt's sources; option names are those of deb822, in lower case."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: Mapping[str, str]

    def stanza(self, kind: str, suite: str, keyring: Path | None = None) -> str:
        """Write the entry for another suite, in deb822 form."""
        fields = {
            "types": kind,
            "uris": " ".join(self.uris),
            "suites": suite,
            "components": "main",
            **self.options,
        }
        if keyring:
            fields["signed-by"] = str(keyring)
        return "".join(f"{name.title()}: {value}\n" for name, value in fields.items())


# What chooses among a source's packages, as against how it is reached and verified.
SELECTING = frozenset(
    {
        "types",
        "uris",
        "suites",
        "components",
        "enabled",
        "architectures",
        "arch",
        "languages",
        "lang",
        "targets",
    }
)


def parse_deb822(text: str) -> Iterator[Source]:
    """Read a `.sources` file; a value keeps its continuation lines, such as a key's."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace() and name:
                fields[name] += f"\n{line}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in {"no", "false", "0", "off", "disable"}:
            continue
        uris, suites, components = (
            tuple(fields.get(key, "").split()) for key in ("uris", "suites", "components")
        )
        if uris and suites:
            options = {key: value for key, value in fields.items() if key not in SELECTING}
            yield Source(uris, suites, components, options)


def parse_list(text: str) -> Iterator[Source]:
    """Read a one-line-style `.list` file."""
    pattern = re.compile(r"deb(?:-src)?\s+(?:\[(.*?)\]\s*)?(\S+)\s+(\S+)\s*(.*)")
    for line in text.splitlines():
        if match := pattern.fullmatch(line.partition("#")[0].strip()):
            options, uri, suite, components = match.groups(default="")
            pairs = (option.split("=", 1) for option in options.split() if "=" in option)
            kept = {
                key.lower(): value.replace(",", " ")
                for key, value in pairs
                if key.lower().rstrip("+-") not in SELECTING
            }
            yield Source((uri,), (suite,), tuple(components.split()), kept)


def apt_config() -> dict[str, str]:
    """Return where apt keeps its files."""
    wanted = {
        "lines": "Dir::Etc::sourcelist/f",
        "parts": "Dir::Etc::sourceparts/d",
    }
    words = [word for pair in wanted.items() for word in pair]
    answer = run(["apt-config", "shell", *words], 30)
    return dict(re.findall(r"^(\w+)='(.*)'$", answer, re.MULTILINE))


def os_codename() -> str:
    """Return the release's name, as os-release gives it."""
    with contextlib.suppress(OSError):
        text = Path("/etc/os-release").read_text(encoding="utf-8")
        if match := re.search(r'^VERSION_CODENAME="?([\w-]+)', text, re.MULTILINE):
            return match[1]
    return ""


def debian_sources() -> list[tuple[Source, str]]:
    """Return the machine's entries for its own release, each with the suite's name there."""
    places = apt_config()
    parts = Path(places.get("parts", ""))
    files = [Path(places.get("lines", "")), *sorted(parts.glob("*"))]
    names = SUITE_ALIASES | {os_codename()}
    found: list[tuple[Source, str]] = []
    for file in files:
        parse = {".list": parse_list, ".sources": parse_deb822}.get(file.suffix)
        if parse and file.is_file():
            for source in parse(file.read_text(encoding="utf-8", errors="replace")):
                suite = next((name for name in source.suites if name in names), None)
                remote = not any(uri.startswith("cdrom:") for uri in source.uris)
                known = any(source.uris == other.uris for other, _ in found)
                if suite and remote and not known and "main" in source.components:
                    found.append((source, suite))
    return found


class PrivateApt:
    """Run apt-get with lists, cache and sources of its own, so that the system's stay as they are.

    Of the system's configuration it takes what says how mirrors are reached and trusted.
    """

    def __init__(self, folder: Path, sources: str) -> None:
        self.folder = folder
        for name in ("state/lists/partial", "cache/archives/partial", "files"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "private.sources").write_text(sources, encoding="utf-8")
        self.files = folder / "files"
        if os.geteuid() == 0:
            # apt downloads as this user.
            with contextlib.suppress(LookupError, OSError):
                shutil.chown(self.files, "_apt")
        kept = [
            line
            for line in run(["apt-config", "dump"], 30).splitlines()
            if line.startswith("Acquire::")
        ]
        places = {
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::sourcelist": folder / "private.sources",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
        }
        config = folder / "apt.conf"
        lines = [*kept, *(f'{key} "{value}";' for key, value in places.items())]
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.env = {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C"}

    def get(self, *arguments: str) -> None:
        """Run apt-get; what it downloads lies in `files`."""
        run(["apt-get", "-q", *arguments], APT_SECONDS, env=self.env, cwd=self.files)

    def only_file(self, pattern: str) -> Path:
        """Return the file that was downloaded."""
        files = sorted(self.files.glob(pattern))
        if not files:
            raise Unavailable(f"apt-get downloaded no {pattern}")
        return files[0]


def fresh_keyring(folder: Path, source: Source, suite: str) -> Path:
    """Fetch the archive's current keyring, verified by the keys that the machine has."""
    apt = PrivateApt(folder, source.stanza("deb", suite))
    apt.get("update")
    apt.get("download", DEBIAN_KEYRING)
    run(["dpkg-deb", "-x", apt.only_file("*.deb"), folder / "keyring"], 60)
    for name in (f"{DEBIAN_KEYRING}.gpg", f"{DEBIAN_KEYRING}.pgp"):
        for path in (folder / "keyring").rglob(name):
            return path
    raise Unavailable(f"{DEBIAN_KEYRING} holds no keyring")


def download_from(folder: Path, source: Source, suite: str) -> Path:
    """Fetch the source archive from one mirror."""
    apt = PrivateApt(folder / "own-keys", source.stanza("deb-src", DEBIAN_SUITE))
    try:
        apt.get("update")
    except Unavailable as problem:
        if not re.search(r"NO_PUBKEY|not signed|EXPKEYSIG|KEYEXPIRED", str(problem)):
            raise
        say(f"the machine's keys do not verify {DEBIAN_SUITE}; fetching the current keyring")
        keyring = fresh_keyring(folder / "keyring", source, suite)
        stanza = source.stanza("deb-src", DEBIAN_SUITE, keyring)
        apt = PrivateApt(folder / "fresh-keys", stanza)
        apt.get("update")
    apt.get("source", "--download-only", "--tar-only", DEBIAN_PACKAGE)
    return apt.only_file("*.orig.tar.*[!c]")


@contextlib.contextmanager
def source_archive() -> Iterator[Path]:
    """Fetch the source archive; it is there within the block."""
    if not shutil.which("apt-get"):
        raise Unavailable("there is no apt-get to fetch the source package with")
    sources = debian_sources()
    if not sources:
        raise Unavailable("apt's sources have no entry for a Debian release with the part main")
    with tempfile.TemporaryDirectory(prefix="gort-apt-") as name:
        # apt's download user must reach it.
        Path(name).chmod(0o755)
        problems = []
        for number, (source, suite) in enumerate(sources):
            say(f"fetching {DEBIAN_PACKAGE} of {DEBIAN_SUITE} from {' '.join(source.uris)}")
            try:
                archive = download_from(Path(name, str(number)), source, suite)
            except Unavailable as problem:
                problems.append(str(problem))
            else:
                break
        else:
            raise Unavailable("\n  ".join(["the source package cannot be fetched:", *problems]))
        yield archive


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


# --- the build -------------------------------------------------------------------------


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


def compile_into(cache: Path, tree: Path, stage: Path) -> Path:
    """Build the tree, install it under the cache in one step and return its prefix."""
    prefix = cache / tree.name.replace("Python-", "python3.13t-")
    log = cache / "build.log"
    log.unlink(missing_ok=True)
    jobs = len(os.sched_getaffinity(0))
    say(f"building {tree.name} with {jobs} jobs, some minutes; log: {log}")
    start = time.monotonic()
    logged(["./configure", "-q", f"--prefix={prefix}", *CONFIGURE], log, tree)
    say(f"configured after {time.monotonic() - start:.0f} s")
    logged(["make", "-s", f"-j{jobs}"], log, tree)
    say(f"compiled after {time.monotonic() - start:.0f} s")
    logged(["make", "-s", "install", f"DESTDIR={stage}"], log, tree)
    if prefix.exists():
        shutil.rmtree(prefix)
    (stage / prefix.relative_to("/")).rename(prefix)
    say(f"installed after {time.monotonic() - start:.0f} s: {prefix}")
    return prefix


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file, waiting for another run's build."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another run is building; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(*, again: bool = False) -> str | None:
    """Build from Debian's source package, unless another run has just done so."""
    cache = cache_dir().resolve()
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lock"):
        if not again and (python := from_cache()):
            return python
        for leftover in cache.glob(".build-*"):
            shutil.rmtree(leftover)
        try:
            ensure_headers()
            with tempfile.TemporaryDirectory(prefix=".build-", dir=cache) as name:
                with source_archive() as archive:
                    tree = unpack(archive, Path(name))
                prefix = compile_into(cache, tree, Path(name, "stage"))
            return probe(executable_of(prefix))
        except Unavailable as problem:
            say(f"cannot build one: {problem}")
            return None


def find(*, install: bool) -> str | None:
    """Return the first interpreter that serves; with `install`, get one where there is none."""
    python = from_path() or from_uv() or from_cache()
    if python is None and install:
        python = install_by_uv() or build()
    return python


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--no-install", action="store_true", help="take only what is there: install and build none"
    )
    choice.add_argument(
        "--rebuild", action="store_true", help="build from Debian's source package in any case"
    )
    options = parser.parse_args()
    python = build(again=True) if options.rebuild else find(install=not options.no_install)
    if python is None:
        say("no free-threaded Python can be had: put python3.13t or later on PATH")
        return 1
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
