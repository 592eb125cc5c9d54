"""A sandbox that refuses system calls, as old container runtimes do: by EPERM, for those that
they do not know. And a process that may open no more files."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import gort

REFUSE = """
import ctypes, struct, sys
def refuse(number, error):
    def stmt(code, jt, jf, k):
        return struct.pack("HBBI", code, jt, jf, k)
    prog = (stmt(0x20, 0, 0, 0) + stmt(0x15, 0, 1, number) + stmt(0x06, 0, 0, 0x50000 | error)
            + stmt(0x06, 0, 0, 0x7FFF0000))
    class Fprog(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    fprog = Fprog(len(prog) // 8, prog)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.addressof(fprog), 0, 0):
        sys.exit(77)
"""

PROGRAM = """
import os, signal, socket, time
import gort
async def hog():
    await gort.sleep(3600)  # the poller waits with a time
async def main():
    a, b = socket.socketpair()
    a.setblocking(False)
    b.setblocking(False)
    c = gort.chan(1)
    gort.signal.notify(c, signal.SIGUSR1)
    gort.go(hog)
    t = time.process_time()
    gort.go(gort.syscall, time.sleep, 0.5)
    gort.time.after_func(0.5, b.send, b"x")
    assert await gort.net.recv(a) == b"x"
    assert time.process_time() - t < 0.3, "a busy loop"
    os.kill(os.getpid(), signal.SIGUSR1)
    assert await c.recv() == signal.SIGUSR1
    gort.go(b.send, b"y")
    assert await gort.net.recv(a) == b"y"
    gort.gomaxprocs(3)
    a.close()
    b.close()
    print("done")
gort.run(main, procs=PROCS)
"""

CALLS = {
    "epoll_pwait2": 441,
    "eventfd2": 290,
    "sched_getaffinity": 204,
    "membarrier": 324,
    "getrandom": 318,
    "timerfd_create": 283,
    "pidfd_open": 434,
}
x86_64 = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the calls' numbers are x86_64's"
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(gort.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=50,
    )
    if done.returncode == 77:
        pytest.skip("no seccomp here")
    return done


@x86_64
@pytest.mark.parametrize("error", [1, 38, 22], ids=["EPERM", "ENOSYS", "EINVAL"])
@pytest.mark.parametrize("name", CALLS)
def test_refused(name: str, error: int) -> None:
    procs = "None" if name == "sched_getaffinity" else "2"
    code = REFUSE + f"refuse({CALLS[name]}, {error})\n" + PROGRAM.replace("PROCS", procs)
    done = run(code)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@x86_64
def test_no_epoll_at_all() -> None:
    code = REFUSE + (
        "import gort, os\n"
        "refuse(291, 1)\n"
        "async def main(): pass\n"
        "before = os.listdir('/proc/self/fd')\n"
        "try:\n"
        "    gort.run(main)\n"
        "except OSError as exc:\n"
        "    assert exc.errno == 1 and 'poller' in str(exc), exc\n"
        "    print(len(os.listdir('/proc/self/fd')) - len(before))\n"
    )
    assert run(code).stdout == "0\n"


@pytest.mark.parametrize("left", range(6))
def test_no_more_files(left: int) -> None:
    """run says so, leaves nothing, and works once there are files again."""
    code = f"""
import errno, os, resource, threading
import gort
async def main():
    return 5
async def warm():
    await gort.sleep(0.001)
gort.run(warm)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
held = []
try:
    while True:
        held.append(os.dup(0))
except OSError:
    pass
for _ in range({left}):
    os.close(held.pop())
try:
    assert gort.run(main) == 5
except OSError as exc:
    assert exc.errno == errno.EMFILE and "gort" in str(exc), exc
now = []
try:
    while True:
        now.append(os.dup(0))
except OSError:
    pass
for fd in now + held:
    os.close(fd)
assert len(now) == {left}, (len(now), "files are left")
assert [t.name for t in threading.enumerate()] == ["MainThread"], threading.enumerate()
assert gort.run(main) == 5
print("done")
"""
    done = run(code)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
