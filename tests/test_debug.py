"""GODEBUG: schedtrace, scheddetail, blocktrace; and a GIL that an import turned on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from live import environment, program

FREETHREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

# scheddetail.

HEAD = re.compile(
    r"SCHED (\d+)ms: gomaxprocs=2 idleprocs=\d+ threads=\d+ spinningthreads=\d+ "
    r"needspinning=\d+ idlethreads=\d+ runqueue=\d+ gcwaiting=(?:true|false) "
    r"nmidlelocked=\d+ stopwait=\d+ sysmonwait=(?:true|false)"
)
P = re.compile(
    r"  P(\d+): status=[0-5] schedtick=\d+ syscalltick=\d+ m=(?:\d+|nil) "
    r"runqsize=\d+ gfreecnt=\d+ timerslen=\d+"
)
M = re.compile(
    r"  M(\d+): p=(?:\d+|nil) curg=(\d+|nil) mallocing=0 throwing=0 preemptoff= locks=0 "
    r"dying=0 spinning=(?:true|false) blocked=(?:true|false) lockedg=(\d+|nil)"
)
G = re.compile(r"  G(\d+): status=(\d)\((.*)\) m=(\d+|nil) lockedm=(\d+|nil)")

DETAIL = """
import gort
async def waiter(ch):
    await ch.recv()
async def locked(ch):
    gort.lock_os_thread()
    await ch.recv()
async def main():
    ch = gort.chan()
    gs = [gort.go(waiter, ch), gort.go(locked, ch)]
    while any(g.status != 'waiting' for g in gs):
        await gort.sleep(0.001)
    print(*(g.id for g in gs), flush=True)
    BODY
"""


def test_scheddetail(tmp_path: Path) -> None:
    # Main computes until it is told that the trace was seen.
    code = DETAIL.replace("BODY", "import sys; sys.stdin.readline()")
    env = {"GODEBUG": "scheddetail=1,schedtrace=10"}
    with program(tmp_path, code, "--procs", "2", **env) as p:
        waiter, locked = map(int, p.outline().split())
        want = (f"G{waiter}: status=4(", f"G{locked}: status=4(", "G1: status=2(")
        block: list[str] = []
        while True:  # until a whole block shows all three as they are now
            line = p.errline().rstrip("\n")
            assert line, block
            if line.startswith("SCHED"):
                text = "\n".join(block)
                if block and all(part in text for part in want):
                    break
                block = []
            block.append(line)
        p.say("go on")
        p.end()
        assert p.returncode == 0
    assert HEAD.fullmatch(block[0]), block
    kinds = "".join(text[2] for text in block[1:])
    assert re.fullmatch("PPM+G+", kinds), block
    for text in block[1:]:
        assert {"P": P, "M": M, "G": G}[text[2]].fullmatch(text), text
    ms = {int(m[1]): m for text in block if (m := M.fullmatch(text))}
    gs = {int(m[1]): m for text in block if (m := G.fullmatch(text))}
    assert list(gs) == sorted(gs) and {1, waiter, locked} <= set(gs)
    assert gs[waiter].groups()[1:] == ("4", "chan receive", "nil", "nil")
    assert ms[int(gs[locked][5])][3] == str(locked)
    assert gs[1][2] == "2" and ms[int(gs[1][4])][2] == "1"


def test_schedtrace_alone_is_one_line(tmp_path: Path) -> None:
    code = "import gort, sys\nasync def main():\n    await gort.syscall(sys.stdin.readline)\n"
    for debug in ("schedtrace=20", "schedtrace=20,scheddetail=0"):
        with program(tmp_path, code, GODEBUG=debug) as p:
            lines = [p.errline(), p.errline()]
            p.say("go on")
            lines += p.end()[1].splitlines()
        assert all(re.match(r"SCHED \d+ms: .*\]$", x) for x in lines), lines
    code = "import gort\nasync def main():\n    await gort.sleep(0.3)\n"
    with program(tmp_path, code, GODEBUG="scheddetail=1") as p:
        assert p.end()[1] == ""  # Go prints nothing without schedtrace


@pytest.mark.parametrize("stderr", ["None", "closed", "Broken()"])
def test_trace_without_a_stderr(tmp_path: Path, stderr: str) -> None:
    code = f"""
import gort, sys
class Broken:
    def write(self, text): told.append(text); raise KeyError('no')
told = []
closed = open('{os.devnull}', 'w')
closed.close()
async def main():
    sys.stderr = {stderr}
    while isinstance(sys.stderr, Broken) and not told:
        await gort.sleep(0.001)
    await gort.sleep(0.02)  # some more, which nobody sees
    sys.stderr = sys.__stderr__
    print('over')
gort.run(main)
"""
    with program(tmp_path, code, cli=False, GODEBUG="schedtrace=5") as p:
        out, _ = p.end()
    assert (out, p.returncode) == ("over\n", 0)


def test_an_exception_in_sysmon_is_fatal(tmp_path: Path) -> None:
    code = """
import gort, gort.runtime.sysmon as sysmon
def watchgil(): raise LookupError('sysmon is broken')
sysmon.watchgil = watchgil
async def main(): await gort.sleep(3600)
gort.run(main)
"""
    with program(tmp_path, code, cli=False) as p:
        _, err = p.end()
    assert p.returncode == 2
    assert "fatal error: a thread of the runtime ended by LookupError" in err
    assert "goroutine 1 [" in err


# blocktrace.

BLOCK = """
import gort, sys
async def slow():
    BODY
    await gort.gosched()
    print('back', flush=True)
async def main():
    await gort.go(slow)
    await gort.syscall(sys.stdin.readline)
"""

NAMED = re.compile(
    r"BLOCKED (\d+)ms: goroutine (\d+) \[(running|syscall)\] has kept thread gort-m\d+ "
    r"for (\d+)ms\n"
)
BACK = re.compile(r"BLOCKED (\d+)ms: goroutine (\d+) is back after (\d+)ms\n")


@pytest.mark.parametrize(
    "body, how",
    [
        ("sys.stdin.readline()", "running"),
        ("await gort.syscall(read)", "syscall"),
        ("async with gort.blocking(): read()", "syscall"),
    ],
)
def test_blocktrace(tmp_path: Path, body: str, how: str, procs: int) -> None:
    # The call lasts until it has been named.
    code = BLOCK.replace("BODY", body) + "def read():\n    return sys.stdin.readline()\n"
    with program(tmp_path, code, "--procs", str(procs), GODEBUG="blocktrace=20") as p:
        first = p.errline()
        named = NAMED.fullmatch(first)
        assert named, first + p.end()[1]
        p.say("go on")
        p.expect("back")
        err = ""
        while not BACK.search(err):
            line = p.errline()
            assert line, err
            err += line
        p.say("end")
        p.end()
        assert p.returncode == 0
    assert named[3] == how and int(named[4]) >= 20
    stack, _, rest = err.partition("\n\n")
    assert "__main__.slow(...)\n\t" in stack and "prog.py:4" in stack
    assert ("__main__.read(...)" in stack) == ("read)" in body or "read()" in body)
    assert "created by main in goroutine 1\n\t" in stack
    back = BACK.search(rest)
    assert back
    assert back[2] == named[2] and int(back[3]) >= int(named[4])


def test_blocktrace_is_silent_about_short_calls(tmp_path: Path) -> None:
    code = """
import gort
async def main():
    a, b = gort.chan(), gort.chan()
    gort.go(echo, a, b)
    for i in range(2000):
        await a.send(i)
        await b.recv()
        await gort.syscall(int)
async def echo(a, b):
    async for x in a:
        await b.send(x)
"""
    with program(tmp_path, code, GODEBUG="blocktrace=20000") as p:
        assert p.end()[1] == ""
    with program(tmp_path, code.replace("range(2000)", "range(1)")) as p:
        assert p.end()[1] == ""


# A GIL that an import turned back on.

NEEDSGIL = """
#include <Python.h>
static struct PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "needsgil", NULL, 0, NULL, slots};
PyMODINIT_FUNC PyInit_needsgil(void) { return PyModuleDef_Init(&def); }
"""


@pytest.fixture
def needsgil(tmp_path: Path) -> Path:
    """A folder with an extension that does not say that it works without a GIL."""
    gcc = shutil.which("gcc") or shutil.which("cc")
    if not FREETHREADED or gcc is None:
        pytest.skip("wants a free-threaded interpreter and a C compiler")
    folder = tmp_path / "ext"
    folder.mkdir()
    (folder / "needsgil.c").write_text(NEEDSGIL)
    include = sysconfig.get_path("include")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    command = [gcc, "-shared", "-fPIC", f"-I{include}", "-DPy_GIL_DISABLED=1", "needsgil.c"]
    subprocess.run([*command, "-o", f"needsgil{suffix}"], cwd=folder, check=True, timeout=60)
    return folder


def gilrun(needsgil: Path, code: str, *options: str, **env: str) -> str:
    path = os.pathsep.join([str(needsgil), environment()["PYTHONPATH"]])
    base = {k: v for k, v in environment().items() if k != "PYTHON_GIL"}
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**base, "PYTHONPATH": path, **env},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


OURS = "RuntimeWarning: gort: importing needsgil turned the GIL back on"

BEFORE = """
import needsgil, gort
async def main(): pass
for _ in range(3): gort.run(main, procs=2)
"""

WHILE = """
import gort, sys, warnings
async def main():
    __import__(NAME)
    while not seen and NAME == 'needsgil':
        await gort.sleep(0.01)
seen = []
show = warnings.showwarning
def spy(message, *rest, **kw):
    show(message, *rest, **kw)
    if str(message).startswith('gort:'): seen.append(1)
warnings.showwarning = spy
gort.run(main, procs=2)
"""


def test_gil_is_on_before_run(needsgil: Path) -> None:
    err = gilrun(needsgil, BEFORE)
    assert err.count(OURS) == 1 and "<string>:4: RuntimeWarning: gort" in err


def test_gil_comes_on_while_it_runs(needsgil: Path) -> None:
    assert gilrun(needsgil, WHILE.replace("NAME", "'needsgil'")).count(OURS) == 1
    assert "gort:" not in gilrun(needsgil, WHILE.replace("NAME", "'json'"))


def test_gil_that_was_asked_for(needsgil: Path) -> None:
    assert "gort:" not in gilrun(needsgil, BEFORE, PYTHON_GIL="1")
    assert "gort:" not in gilrun(needsgil, BEFORE, "-X", "gil=1")
    assert "gort:" not in gilrun(needsgil, BEFORE, PYTHON_GIL="0")


def test_bad_words_are_named_once() -> None:
    code = "import gort\nasync def main(): pass\ngort.run(main)\ngort.run(main)\n"
    got = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=40,
        env=environment(GODEBUG="schedtrace=soon,leaks=1,asyncpreemptoff=1,gctrace,sched=fifo"),
    )
    assert got.stderr.splitlines() == [
        "gort: GODEBUG: cannot use schedtrace=soon, asyncpreemptoff=1, gctrace, sched=fifo; known "
        "are blocktrace, gctrace, gcworker, inittrace, leaks, sched, scheddetail, schedtrace"
    ]
