"""Init tasks: before main, dependencies first, once a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gort

PRELUDE = """import threading
import gort

def show(*args):
    print(*args, flush=True)

"""


def script(tmp_path: Path, text: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "prog.py"
    path.write_text(PRELUDE + text)
    src = str(Path(gort.__file__).parents[1])
    return subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": src, **env},
        capture_output=True,
        text=True,
        timeout=50,
    )


def output(tmp_path: Path, text: str, **env: str) -> list[str]:
    done = script(tmp_path, text, **env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_order(tmp_path: Path) -> None:
    """Dependencies first, otherwise as registered; plain and async def."""
    text = """
def c(): show('c')

@gort.init(after=[c])
async def a():
    await gort.sleep(0.001)
    show('a')

@gort.init
def b(): show('b')

gort.init(c)

@gort.init(after=a)
def d(): show('d')

@gort.init()
def e(): show('e')

async def main(x):
    show(x)
    return 7

show(gort.run(main, 'main', procs=PROCS))
"""
    for procs in "1", "2":
        got = output(tmp_path, text.replace("PROCS", procs))
        assert got == ["b", "c", "a", "d", "e", "main", "7"]


def test_once_a_process(tmp_path: Path) -> None:
    text = """
@gort.init
def first(): show('first')

def main():
    show('main')

gort.run(main)
gort.run(main)

@gort.init(after=first)
def second(): show('second')

gort.run(main)
"""
    assert output(tmp_path, text) == ["first", "main", "main", "second", "main"]


def test_in_goroutine_1_on_m0(tmp_path: Path) -> None:
    """Locked to the thread that called run while they run, and not any more in main."""
    text = """
here = threading.get_ident()

async def echo(a, b):
    assert threading.get_ident() != here
    async for v in a:
        await b.send(v)

@gort.init
async def task():
    assert gort.current().id == 1
    assert threading.get_ident() == here
    a, b = gort.chan(), gort.chan()
    g = gort.go(echo, a, b)
    for i in range(50):
        await a.send(i)
        assert await b.recv() == i
        assert threading.get_ident() == here
        await gort.gosched()
        assert threading.get_ident() == here
    assert 'goroutine 1 [running, locked to thread]' in gort.stack()
    a.close()
    await g
    show(gort.wait(gort.go(lambda: 'waited')))

async def main():
    show('locked' in gort.stack())

gort.run(main, procs=2)
"""
    assert output(tmp_path, text) == ["waited", "False"]


def test_a_task_keeps_main_on_its_thread(tmp_path: Path) -> None:
    text = """
here = threading.get_ident()

@gort.init
def task():
    gort.lock_os_thread()

async def main():
    for _ in range(20):
        await gort.sleep(0.0001)
        assert threading.get_ident() == here
    gort.unlock_os_thread()
    show('locked' in gort.stack())

gort.run(main, procs=2)
"""
    assert output(tmp_path, text) == ["False"]


def test_a_task_registers_more(tmp_path: Path) -> None:
    text = """
@gort.init
def outer():
    @gort.init(after=outer)
    async def inner():
        await gort.gosched()
        show('inner')
    show('outer')

gort.run(lambda: show('main'))
"""
    assert output(tmp_path, text) == ["outer", "inner", "main"]


def test_cycle(tmp_path: Path) -> None:
    text = """
def b(): show('b')
def c(): show('c')

@gort.init
def fine(): show('fine')

gort.init(after=b)(c)

@gort.init(after=[c])
def a(): show('a')

gort.init(after=[fine, a])(b)

async def main(): show('main')

try:
    gort.run(main)
except RuntimeError as exc:
    show(exc)
"""
    assert output(tmp_path, text) == [
        "initialization cycle: __main__.c refers to __main__.b, "
        "__main__.b refers to __main__.a, __main__.a refers to __main__.c"
    ]


def test_after_itself_and_after_no_task(tmp_path: Path) -> None:
    text = """
def a(): show('a')
gort.init(after=a)(a)
try:
    gort.run(lambda: show('main'))
except RuntimeError as exc:
    show(exc)
"""
    want = "initialization cycle: __main__.a refers to __main__.a"
    assert output(tmp_path, text) == [want]
    text = text.replace("gort.init(after=a)(a)", "gort.init(after=show)(a)")
    assert output(tmp_path, text) == [
        "init task __main__.a comes after __main__.show, which is no init task: "
        "decorate it with @gort.init"
    ]


def test_a_task_that_raises(tmp_path: Path) -> None:
    """run raises it, main does not start, hooks run; it is tried again."""
    text = """
broken = True

@gort.init
def first():
    show('first')
    gort.at_exit(show, 'hook')

@gort.init
async def second():
    await gort.gosched()
    if broken:
        raise ValueError('second')
    show('second')

@gort.init
def third(): show('third')

async def main(): show('main')

try:
    gort.run(main)
except ValueError as exc:
    show(repr(exc), exc.__notes__)
broken = False
gort.run(main)
"""
    assert output(tmp_path, text) == [
        "first",
        "hook",
        "ValueError('second') ['in init task __main__.second']",
        "second",
        "third",
        "main",
    ]


def test_a_task_that_waits_for_ever(tmp_path: Path) -> None:
    text = """
@gort.init
async def stuck():
    await gort.chan().recv()

try:
    gort.run(lambda: show('main'))
except gort.DeadlockError as exc:
    show('goroutine 1 [chan receive, locked to thread]:' in str(exc), '.stuck(' in str(exc))
"""
    assert output(tmp_path, text) == ["True True"]


def test_sys_exit_in_a_task(tmp_path: Path) -> None:
    text = """
import sys

@gort.init
def leave():
    sys.exit(5)

gort.run(lambda: show('main'))
"""
    done = script(tmp_path, text)
    assert (done.returncode, done.stdout) == (5, "")


TRACED = """
kept = []

@gort.init
def quick(): pass

@gort.init
async def slow():
    kept.extend([object() for _ in range(10000)])
    await gort.sleep(0.02)

gort.run(lambda: show('main'))
"""
LINE = r"init __main__\.%s @[\d.]+ ms, ([\d.]+) ms clock, (\d+) bytes, (\d+) allocs"


def test_inittrace(tmp_path: Path) -> None:
    """Go's line format."""
    done = script(tmp_path, TRACED, GODEBUG="inittrace=1")
    assert (done.returncode, done.stdout) == (0, "main\n")
    quick, slow = done.stderr.splitlines()
    assert re.fullmatch(LINE % "quick", quick)
    found = re.fullmatch(LINE % "slow", slow)
    assert found and float(found[1]) >= 20 and found[2] == "0"
    # Net: what else the process freed meanwhile counts against it.
    assert int(found[3]) >= 9000
    done = script(tmp_path, TRACED, GODEBUG="inittrace=0")
    assert done.stderr == ""


def test_inittrace_bytes_under_tracemalloc(tmp_path: Path) -> None:
    done = script(tmp_path, TRACED, GODEBUG="inittrace=1", PYTHONTRACEMALLOC="1")
    found = re.fullmatch(LINE % "slow", done.stderr.splitlines()[1])
    assert found and int(found[2]) >= 10000 * object.__basicsize__


def test_times_are_written_as_go_writes_them() -> None:
    from gort.runtime.inittask import msof

    written = {
        0: "0",
        999: "0",
        8_000: "0.008",
        45_000: "0.045",
        120_000: "0.12",
        1_234_567: "1.2",
        9_999_999: "9.9",
        10_000_000: "10",
        123_456_789: "123",
    }
    assert {ns: msof(ns) for ns in written} == written


@pytest.mark.parametrize("bad", [3, "name", [1]])
def test_bad_arguments(bad: Any) -> None:
    with pytest.raises(TypeError, match="init"):
        gort.init(bad)
    with pytest.raises(TypeError, match="init"):
        gort.init(after=bad)(lambda: None)


def test_twice(tmp_path: Path) -> None:
    text = """
@gort.init
def a(): show('a')
try:
    gort.init(a)
except ValueError as exc:
    show(exc)
"""
    assert output(tmp_path, text) == ["init: __main__.a is an init task already"]


def test_after_what_no_dict_can_hold() -> None:
    """Refused at once: it would fail every later run."""

    class Task:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self) -> None:
            pass

    with pytest.raises(TypeError, match="unhashable"):
        gort.init(lambda: None, after=[Task()])
    with pytest.raises(TypeError, match="unhashable"):
        gort.init(Task())
    assert gort.run(int) == 0
