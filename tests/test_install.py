"""tools/install.py builds a wheel once for what it depends on; tools/run_tests.py loads the
machine and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import gort

TOOLS = Path(__file__).parents[1] / "tools"

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason="the tools are not here")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))

    def load(name: str) -> ModuleType:
        monkeypatch.delitem(sys.modules, name, raising=False)
        return __import__(name)

    return load


@pytest.fixture
def install(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tool in a tree of its own, where a build takes no time: `built` has their folders."""
    module = tool("install")
    for name, text in (
        ("setup.py", "flags"),
        ("pyproject.toml", ""),
        ("README.md", ""),
        ("LICENSE", ""),
        ("src/gort/runtime/a.py", "a"),
        ("src/gort/runtime/a.pxd", "a"),
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    built: list[Path] = []

    def build(interpreter: Any, folder: Path) -> None:
        built.append(folder)
        folder.mkdir()
        (folder / "gort.whl").touch()

    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "WHEELS", tmp_path / ".make" / "wheels")
    monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    monkeypatch.setattr(module, "build", build)
    monkeypatch.setattr(module, "built", built, raising=False)
    return module


ONE, OTHER = SimpleNamespace(state="one"), SimpleNamespace(state="other")


def test_a_wheel_is_built_once(install: Any) -> None:
    first = install.wheel(ONE)
    assert install.wheel(ONE) == first
    assert install.wheel(OTHER) != first
    assert len(install.built) == 2


def test_a_changed_source_is_built_anew_and_the_old_one_is_kept(install: Any) -> None:
    source = install.ROOT / "src/gort/runtime/a.py"
    first = install.wheel(ONE)
    source.write_text("b")
    assert install.wheel(ONE) != first
    source.write_text("a")
    assert install.wheel(ONE) == first
    assert len(install.built) == 2


@pytest.mark.parametrize("change", ["flags", "a module less"])
def test_what_setuptools_would_leave_is_removed(install: Any, change: str) -> None:
    install.wheel(ONE)
    stale = install.BUILD / "lib" / "a.so"
    stale.parent.mkdir()
    stale.touch()
    (install.ROOT / "src/gort/runtime/a.pxd").write_text("changed")
    install.wheel(ONE)
    assert stale.exists()
    if change == "flags":
        (install.ROOT / "setup.py").write_text("other flags")
    else:
        (install.ROOT / "src/gort/runtime/a.pxd").unlink()
    install.wheel(ONE)
    assert not stale.exists()


def test_only_the_last_wheels_are_kept(install: Any) -> None:
    for i in range(install.KEPT + 3):
        install.wheel(SimpleNamespace(state=str(i)))
        os.utime(install.built[-1], (i, i))
    assert [folder.exists() for folder in install.built[:4]] == [False] * 3 + [True]


def test_interpreter(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path(sys.executable)
    monkeypatch.setattr(install, "compiler", lambda configured: "cc 1")
    state = install.Interpreter(python).state
    assert install.Interpreter(python).state == state
    monkeypatch.setenv("CFLAGS", "-DSOMETHING")
    assert install.Interpreter(python).state != state
    monkeypatch.undo()
    with pytest.raises(install.Failed, match="is no Python"):
        install.Interpreter(Path("/no/such/python"))


def test_no_compiler(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/no/such/compiler")
    with pytest.raises(install.Failed, match="install a C compiler"):
        install.compiler("")


def test_progress(
    install: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "time", SimpleNamespace(monotonic=lambda: 7.0))
    progress = install.Progress("Python", 2)
    progress.EVERY = progress.next = 0
    for line in (
        "  [1/2] Cythonizing src/gort/runtime/a.py\n",
        "  gcc -c a.c\n",
        "  building 'gort.runtime.a' extension\n",
        "  building 'gort.runtime.b' extension\n",
    ):
        progress.saw(line)
    progress.end("built")
    said = [line.partition(" (")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == [
        "gort for Python: getting Cython",
        "gort for Python: translating to C",
        "gort for Python: compiling module 1 of 2",
        "gort for Python: compiling module 2 of 2",
        "gort for Python: built after 0 s",
    ]


def test_no_generated_c_is_installed() -> None:
    package = Path(gort.__file__).parent
    if package.parent.name == "src":
        pytest.skip("not installed: the sources of a tree")
    assert list(package.rglob("*.c")) == []


def test_busy_processes_end(tool: Any) -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text().split()
    with tool("run_tests").busy(3):
        started = set(children.read_text().split()) - set(before)
        assert len(started) == 3
    assert not [pid for pid in started if Path("/proc", pid).exists()]


def test_busy_processes_end_with_who_started_them(tool: Any, tmp_path: Path) -> None:
    """Killed, it cannot stop them: they see that by themselves."""
    starter = (
        "import os, subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())])\n"
        "open('new', 'w').write(str(p.pid))\n"
        "os.rename('new', 'pid')\n"
        "time.sleep(3600)\n"
    )
    command = [sys.executable, "-c", starter, tool("run_tests").BUSY]
    child = subprocess.Popen(command, cwd=tmp_path)
    while not (tmp_path / "pid").exists():
        time.sleep(0.005)
    pid = (tmp_path / "pid").read_text()
    child.kill()
    child.wait()
    while running(pid):
        time.sleep(0.005)


def running(pid: str) -> bool:
    """A zombie waits for init alone."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
