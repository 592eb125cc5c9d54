"""Fetch packages of a Debian release by apt, beside the system's own lists."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .shell import Unavailable, run, say

KEYRING = "debian-archive-keyring"
# Names under which a machine may follow Debian without naming a release.
SUITE_ALIASES = frozenset({"oldstable", "stable", "testing", "unstable", "sid"})
SECONDS = 600


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
        for name in ("state/lists/partial", "cache", "files/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "private.sources").write_text(sources, encoding="utf-8")
        self.files = folder / "files"
        if os.geteuid() == 0:
            # apt downloads as this user.
            for place in (self.files, self.files / "partial"):
                with contextlib.suppress(LookupError, OSError):
                    shutil.chown(place, "_apt")
        kept = [
            line
            for line in run(["apt-config", "dump"], 30).splitlines()
            if line.startswith("Acquire::")
        ]
        places = {
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "Dir::Cache::archives": self.files,
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
        run(["apt-get", "-q", *arguments], SECONDS, env=self.env, cwd=self.files)


def fresh_keyring(folder: Path, source: Source, suite: str) -> Path:
    """Fetch the archive's current keyring, verified by the keys that the machine has."""
    apt = PrivateApt(folder, source.stanza("deb", suite))
    apt.get("update")
    apt.get("download", KEYRING)
    for package in apt.files.glob("*.deb"):
        run(["dpkg-deb", "-x", package, folder / "keyring"], 60)
    for name in (f"{KEYRING}.gpg", f"{KEYRING}.pgp"):
        for path in (folder / "keyring").rglob(name):
            return path
    raise Unavailable(f"{KEYRING} holds no keyring")


class Mirror:
    """Reach the releases that one of the machine's entries leads to."""

    def __init__(self, folder: Path, source: Source, suite: str) -> None:
        self.folder = folder
        self.source = source
        self.suite = suite
        self.keyring: Path | None = None

    def open(self, kind: str, suite: str) -> PrivateApt:
        """Read a release's lists."""
        folder = self.folder / f"{kind}-{suite}"
        if not self.keyring:
            apt = PrivateApt(folder / "own-keys", self.source.stanza(kind, suite))
            try:
                apt.get("update")
                return apt
            except Unavailable as problem:
                if not re.search(r"NO_PUBKEY|not signed|EXPKEYSIG|KEYEXPIRED", str(problem)):
                    raise
            say(f"the machine's keys do not verify {suite}; fetching the current keyring")
            self.keyring = fresh_keyring(self.folder / "keyring", self.source, self.suite)
        stanza = self.source.stanza(kind, suite, self.keyring)
        apt = PrivateApt(folder / "fresh-keys", stanza)
        apt.get("update")
        return apt


@contextlib.contextmanager
def fetched(kind: str, suites: Sequence[str], *command: str) -> Iterator[Path]:
    """Run an apt-get command that downloads, in each release in turn until it works.

    kind: deb or deb-src. The folder of what was downloaded is there within the block.
    """
    if not shutil.which("apt-get"):
        raise Unavailable("there is no apt-get to fetch Debian's packages with")
    sources = debian_sources()
    if not sources:
        raise Unavailable("apt's sources have no entry for a Debian release with the part main")
    with tempfile.TemporaryDirectory(prefix="gort-apt-") as name:
        # apt's download user must reach it.
        Path(name).chmod(0o755)
        problems = []
        for number, (source, own) in enumerate(sources):
            mirror = Mirror(Path(name, str(number)), source, own)
            for suite in suites:
                say(f"fetching {command[-1]} of {suite} from {' '.join(source.uris)}")
                try:
                    apt = mirror.open(kind, suite)
                    apt.get(*command)
                except Unavailable as problem:
                    problems.append(f"{suite}: {problem}")
                    continue
                yield apt.files
                return
        raise Unavailable("\n  ".join(["Debian's packages cannot be fetched:", *problems]))
