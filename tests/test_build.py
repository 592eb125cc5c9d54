"""Which platform runs, and what a build promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gort
import gort.runtime.gmp as gmp
from gort.runtime import chan, mutex

HEAPTYPE = 1 << 9
HAVE_GC = 1 << 14
PURE = os.environ.get("GORT_PURE", "") not in ("", "0")


def origin(pure: str) -> str:
    src = str(Path(gort.__file__).parents[1])
    env = {**os.environ, "GORT_PURE": pure, "PYTHONPATH": src}
    code = "import gort.runtime.gmp as m; print(m.__file__ or m.__spec__.origin)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_this_process() -> None:
    assert Path(gmp.__file__).suffix == (".py" if PURE else ".so")


def test_pure_selects() -> None:
    assert origin("1").endswith("gmp.py")


def test_pure_needs_no_cython() -> None:
    src = str(Path(gort.__file__).parents[1])
    env = {**os.environ, "GORT_PURE": "1", "PYTHONPATH": src}
    code = (
        "import importlib.util\n"
        "if importlib.util.find_spec('cython'): print('found')\n"
        "else:\n"
        "    import gort\n"
        "    async def main(): return 'ran'\n"
        "    print(gort.run(main))\n"
    )
    done = subprocess.run(  # without site-packages
        [sys.executable, "-S", "-c", code], env=env, capture_output=True, text=True
    )
    if done.stdout == "found\n":
        pytest.skip("Cython is installed beside gort")
    assert (done.stdout, done.stderr) == ("ran\n", "")


@pytest.mark.skipif(PURE, reason="there may be no compiled modules here")
def test_native_is_the_default() -> None:
    assert origin("").endswith(".so")
    assert origin("0").endswith(".so")


@pytest.mark.skipif(not hasattr(sys, "_is_gil_enabled"), reason="always a GIL")
def test_gil_stays_off() -> None:
    import sysconfig

    if not sysconfig.get_config_var("Py_GIL_DISABLED") or os.environ.get("PYTHON_GIL") == "1":
        pytest.skip("not a free-threaded build")
    code = "import sys, gort; print(sys._is_gil_enabled())"
    src = str(Path(gort.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": src},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
    assert done.stderr == ""


def optypes(base: type) -> list[type]:
    """The compiled types under base, and base."""
    found = [base]
    for cls in base.__subclasses__():
        if not cls.__flags__ & HEAPTYPE:
            found += optypes(cls)
    return found


@pytest.mark.skipif(PURE, reason="the sizes are those of the compiled types")
def test_sizes_of_ops() -> None:
    types = optypes(chan.Chanop.__mro__[-2])
    assert chan.Chanop in types
    assert mutex.Lockop in types
    assert [cls.__name__ for cls in types if cls.__flags__ & HAVE_GC] == []
    header = object.__basicsize__
    assert [cls.__name__ for cls in types if cls.__basicsize__ > 96 + header] == []


@pytest.mark.skipif(PURE, reason="the sizes are those of the compiled types")
def test_size_of_a_goroutine() -> None:
    """160 bytes on both builds: one has the collector's header in front of it, the
    other has a longer header in it."""
    header = object.__basicsize__
    collectors = 16 if header == 16 else 0
    assert gmp.G.__basicsize__ + collectors <= 160


@pytest.mark.filterwarnings("ignore:.* was never awaited:RuntimeWarning")
def test_records_reject_unknown_attributes() -> None:
    async def main() -> None:
        me: Any = gort.current()
        ch: Any = gort.chan()
        for obj in (me, ch, ch.recv()):
            with pytest.raises(AttributeError):
                obj.nonsense = 1

    gort.run(main)


def test_goroutine_is_not_made_by_hand() -> None:
    async def main() -> gort.Goroutine:
        me = gort.current()
        assert isinstance(me, gort.Goroutine)
        return me

    assert "Goroutine" in repr(gort.run(main))


def test_public_names() -> None:
    names = """run go current chan select sleep gosched after tick syscall blocking
        wait_readable wait_writable notify_closing wait gomaxprocs num_goroutine num_cpu
        goexit lock_os_thread unlock_os_thread set_max_threads stack ChanClosed WouldBlock
        DeadlockError Cancelled Goroutine Chan""".split()
    missing = [n for n in names if not hasattr(gort, n)]
    assert not missing


def test_typed() -> None:
    assert (Path(gort.__file__).parent / "py.typed").exists()


def test_import_starts_nothing() -> None:
    code = "import threading, gort; print(threading.active_count())"
    src = str(Path(gort.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": src},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"
