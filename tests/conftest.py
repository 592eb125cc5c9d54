"""Guards around every test: no hang, no leaked gort thread, no leaked fd.

GORT_TEST_SCHED=gm runs the suite on the G-M scheduler of Go 1.0.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

HANG = float(os.environ.get("GORT_TEST_HANG", "60"))
SCHED = os.environ.get("GORT_TEST_SCHED", "")
_stderr = 2


def pytest_configure(config: pytest.Config) -> None:
    """Keep the real stderr: at a hang, the one that pytest captures is lost."""
    global _stderr
    _stderr = os.dup(2)
    # A shell has its background jobs ignore it, and so would every program that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "gmp(why): is about what only P has; skipped under G-M")
    if SCHED:
        # Also for subprocesses, which inherit it.
        old = os.environ.get("GODEBUG")
        os.environ["GODEBUG"] = f"{old},sched={SCHED}" if old else f"sched={SCHED}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("gmp")
    if marker is not None and SCHED == "gm":
        pytest.skip(f"G-M: {marker.args[0]}")


@pytest.fixture(params=(1, 2, 4), ids=lambda n: f"procs{n}")
def procs(request: pytest.FixtureRequest) -> int:
    """The test once for each number of procs."""
    return int(request.param)


def _gort_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("gort-")]


def _fds() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # the directory's own
    return found


@pytest.fixture(autouse=True)
def guard() -> Iterator[None]:
    """Abort a test that hangs; fail one that leaves a gort thread or an fd behind."""
    faulthandler.dump_traceback_later(HANG, exit=True, file=_stderr)
    before = _fds()
    yield
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        threads = _gort_threads()
        leaked = {fd: to for fd, to in _fds().items() if fd not in before}
        if not threads and not leaked:
            break
        gc.collect()
        time.sleep(0.005)
    faulthandler.cancel_dump_traceback_later()
    assert not threads, f"leaked threads: {threads}"
    assert not leaked, f"leaked fds: {leaked}"
