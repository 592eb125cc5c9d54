"""Dumps of a live program: SIGQUIT, GOTRACEBACK, gort.goroutines(), the leak report."""

from __future__ import annotations

import dataclasses
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from live import Program, program

import gort
import gort.runtime.dump as dump
import gort.runtime.traceback as tb

HEADER = re.compile(r"^goroutine (\d+) \[([^\]]+)\]:$", re.M)


async def receiver(ch: gort.Chan) -> Any:
    return await ch.recv()


async def until_waiting(*gs: gort.Goroutine) -> None:
    while any(g.status != "waiting" for g in gs):
        await gort.sleep(0.0001)


# gort.goroutines() and gort.stack(all=True).


def test_goroutines(procs: int) -> None:
    async def main() -> None:
        ch = gort.chan()
        g = gort.go(receiver, ch)
        line = sys._getframe().f_lineno - 1
        await until_waiting(g)
        me, other = (g for g in gort.goroutines() if not g.system)
        assert (me.id, me.parent_id, me.created_by, me.status) == (1, 0, None, "running")
        assert "main" in me.stack[-1].name
        assert (other.id, other.parent_id) == (g.id, 1)
        assert (other.status, other.wait_reason) == ("waiting", "chan receive")
        assert 0 <= other.waited < 30
        assert not other.locked and not other.cancelled and not other.system
        assert other.created_by is not None
        assert (other.created_by.filename, other.created_by.lineno) == (__file__, line)
        assert other.created_by.name.endswith("main")
        assert [f.name for f in other.stack] == ["receiver"]
        assert "await ch.recv()" in "".join(other.stack.format())
        assert re.fullmatch(
            rf"<goroutine {g.id} \[chan receive\] at .*test_dump.py:\d+, created by .*main>",
            repr(other),
        )
        with pytest.raises(dataclasses.FrozenInstanceError):
            other.id = 3  # type: ignore[misc]
        ch.close()
        with pytest.raises(gort.ChanClosed):
            await g

    gort.run(main, procs=procs)
    assert gort.goroutines() == []


def test_goroutines_says_what_is_locked_and_cancelled() -> None:
    async def locked(ch: gort.Chan) -> None:
        gort.lock_os_thread()
        await ch.recv()

    async def main() -> None:
        ch = gort.chan()
        over = threading.Event()
        a, b = gort.go(locked, ch), gort.go(over.wait)
        await until_waiting(a)
        b.cancel()
        found = {g.id: g for g in gort.goroutines()}
        assert (found[a.id].locked, found[a.id].cancelled) == (True, False)
        assert (found[b.id].locked, found[b.id].cancelled) == (False, True)
        over.set()
        await ch.send(1)

    gort.run(main)


def test_from_a_foreign_thread_while_all_compute(procs: int) -> None:
    async def main() -> list[str]:
        found: list[Any] = []
        over = threading.Event()

        def look() -> None:
            found.append(gort.goroutines())
            found.append(gort.stack(all=True))
            over.set()

        thread = threading.Thread(target=look)
        thread.start()
        while not over.is_set():
            pass
        thread.join()
        assert [g.status for g in found[0]] == ["running"]
        return HEADER.findall(found[1])

    assert gort.run(main, procs=procs) == [("1", "running")]


def test_many_looks_at_a_busy_program() -> None:
    # The world stops again and again under goroutines that come, talk and go.
    async def echo(a: gort.Chan, b: gort.Chan) -> None:
        async for x in a:
            await b.send(x)

    async def main() -> None:
        a, b = gort.chan(), gort.chan()
        g = gort.go(echo, a, b)
        looks: list[int] = []

        def look() -> None:
            while len(looks) < 20:
                looks.append(len(gort.goroutines()) + len(gort.stack(all=True)))

        thread = threading.Thread(target=look)
        thread.start()
        i = 0
        while i < 50 or len(looks) < 20:
            await a.send(i)
            assert await b.recv() == i
            await gort.go(asyncnothing)
            i += 1
        await gort.syscall(thread.join)
        a.close()
        await g

    async def asyncnothing() -> None:
        pass

    gort.run(main, procs=4)


def test_looks_at_frames_that_come_and_go() -> None:
    """Without a GIL the looked-at thread goes on, and so do its frames."""

    def down(n: int) -> int:
        return down(n - 1) + 1 if n else 0

    names: set[str] = set()
    bottoms: set[str] = set()

    async def main() -> None:
        over = threading.Event()

        def look() -> None:
            try:
                for _ in range(300):
                    for g in gort.goroutines():
                        names.update(f.name.rpartition(".")[2] for f in g.stack)
                        if not g.system:
                            bottoms.add(g.stack[0].name.rpartition(".")[2])
            finally:
                over.set()

        thread = threading.Thread(target=look)
        thread.start()
        while not over.is_set():
            down(20)
        thread.join()

    gort.run(main, procs=1)
    assert "down" in names and "_bootstrap" not in names
    assert bottoms == {"main"}


def test_plain_goroutine_shows_its_own_frames_only() -> None:
    def plain(ready: threading.Event, over: threading.Event) -> None:
        ready.set()
        over.wait()

    async def main() -> None:
        ready, over = threading.Event(), threading.Event()
        g = gort.go(plain, ready, over)
        await gort.syscall(ready.wait)
        (info,) = [i for i in gort.goroutines() if i.id == g.id]
        assert info.stack[0].name.endswith("plain")
        over.set()
        await g

    gort.run(main, procs=2)


def test_minutes_waited() -> None:
    # To the dump it is two hours later.
    async def main() -> None:
        g = gort.go(receiver, gort.chan())
        await until_waiting(g)
        for later, text in ((59, ""), (61, ", 1 minutes"), (7260, ", 121 minutes")):
            now = time.monotonic_ns() + later * 1_000_000_000
            heads = HEADER.findall(tb.dumpgs(1, now, 1))
            assert heads == [("1", "running"), (str(g.id), f"chan receive{text}")]
            (info,) = [i for i in dump.records(now) if i.id == g.id]
            assert later <= info.waited < later + 30

    gort.run(main)


def test_wait_begins_anew_after_a_long_sleep_of_all() -> None:
    # While all slept, the clock of waits stood still; who wakes sets it first.
    async def main() -> None:
        ch = gort.chan()
        g = gort.go(again, ch)
        await until_waiting(g)
        await gort.sleep(0.5)
        before = time.monotonic()
        await ch.send(1)
        await until_waiting(g)
        (info,) = [i for i in gort.goroutines() if i.id == g.id]
        assert info.waited <= time.monotonic() - before + 0.05
        await ch.send(2)

    async def again(ch: gort.Chan) -> None:
        await ch.recv()
        await ch.recv()

    gort.run(main)


def test_stack_from_del_inside_the_runtime() -> None:
    # The last reference goes while goexit drops the goroutine: the world is not stopped twice.
    texts: list[str] = []

    class Last:
        def __del__(self) -> None:
            texts.append(gort.stack(all=True))

    async def child(x: Last) -> None:
        await gort.gosched()

    async def main() -> None:
        for _ in range(3):
            await gort.go(child, Last())

    gort.run(main)
    assert len(texts) == 3 and all("goroutine 1 [" in t for t in texts)


# SIGQUIT.

QUIT = """
import gort, sys, threading, time
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
    sys.stdout.write('written before\\n')
    print('ready', file=sys.stderr, flush=True)
    BODY
"""

BODIES = {
    "hog": "while True: pass",
    "parked": "gort.go(time.sleep, 100); await ch.recv()",
    "sleep": "await gort.sleep(100)",
    "timesleep": "time.sleep(100)",
    "syscall": "await gort.syscall(time.sleep, 100)",
    "lock": "l = threading.Lock(); l.acquire(); l.acquire()",
    "yield": "while True: await gort.gosched()",
}


def quit(p: Program) -> tuple[str, str]:
    assert p.errline() == "ready\n"
    p.send_signal(signal.SIGQUIT)
    return p.end()


@pytest.mark.parametrize("body", BODIES)
def test_sigquit(tmp_path: Path, body: str, procs: int) -> None:
    code = QUIT.replace("BODY", BODIES[body])
    with program(tmp_path, code, "--procs", str(procs)) as p:
        out, err = quit(p)
        assert p.returncode == 2, err
    assert err.startswith("SIGQUIT: quit\n\ngoroutine 1 ["), err
    heads = dict(HEADER.findall(err))
    assert list(heads.values()).count("chan receive, locked to thread") == 1
    assert "chan receive" in heads.values()
    if body == "hog":
        assert heads["1"] == "running"
    (block,) = (text for text in err.split("\n\n") if "__main__.waiter(...)" in text)
    lines = block.splitlines()
    assert re.fullmatch(r"goroutine \d+ \[chan receive\]:", lines[0])
    assert lines[1] == "__main__.waiter(...)"
    assert re.fullmatch(r"\t.*prog.py:4", lines[2])
    assert lines[3] == "created by main in goroutine 1"
    assert re.fullmatch(r"\t.*prog.py:10", lines[4])
    main = err[err.index("goroutine 1 [") :].split("\n\n")[0]
    assert "__main__.main(...)" in main
    assert "created by" not in main
    assert out == "written before\n"


def test_sigquit_of_a_handler_of_the_users(tmp_path: Path) -> None:
    code = QUIT.replace("BODY", "await gort.sleep(100)")
    code += "import signal\nsignal.signal(signal.SIGQUIT, lambda n, f: sys.exit(7))\n"
    with program(tmp_path, code) as p:
        out, err = quit(p)
        assert p.returncode == 7 and "SIGQUIT: quit" not in err


@pytest.mark.parametrize(
    "level, stacks, code",
    [
        ("none", False, 2),
        ("0", False, 2),
        ("single", True, 2),
        ("1", True, 2),
        ("all", True, 2),
        ("2", True, 2),
        ("crash", True, -signal.SIGABRT),
        ("nonsense", False, 2),
    ],
)
def test_sigquit_gotraceback(tmp_path: Path, level: str, stacks: bool, code: int) -> None:
    text = NOCORE + QUIT.replace("BODY", "await gort.sleep(100)")
    with program(tmp_path, text, GOTRACEBACK=level) as p:
        _, err = quit(p)
        assert p.returncode == code
    assert err.startswith("SIGQUIT: quit\n")
    # Three of the program's; the levels above all show the runtime's own, too.
    assert (len(HEADER.findall(err)) >= 3) == stacks


# GOTRACEBACK for panics and fatal errors under `gort run`.

NOCORE = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"

PANIC = """
import gort
async def other(ch):
    await ch.recv()
async def bad():
    raise ValueError('lost')
async def main():
    ch = gort.chan()
    g = gort.go(other, ch)
    while g.status != 'waiting':
        await gort.gosched()
    BODY
"""


def ended(tmp_path: Path, code: str, level: str | None) -> tuple[int, str]:
    env = {} if level is None else {"GOTRACEBACK": level}
    with program(tmp_path, NOCORE + code, **env) as p:
        _, err = p.end()
        return p.returncode, err


@pytest.mark.parametrize(
    "body", ["gort.go(bad); await gort.sleep(100)", "raise ValueError('lost')"]
)
def test_panic(tmp_path: Path, body: str) -> None:
    code = PANIC.replace("BODY", body)
    status, err = ended(tmp_path, code, "none")
    assert (status, err) == (2, "panic: ValueError: lost\n")
    for level in (None, "single"):
        status, err = ended(tmp_path, code, level)
        assert status == 2 and err.startswith("panic: ValueError: lost\n\ngoroutine ")
        assert [reason for _, reason in HEADER.findall(err)] == ["running"]
        assert "ValueError: lost" in err and "cli.py" not in err
    for level, end in (("all", 2), ("1", 2), ("crash", -signal.SIGABRT)):
        status, err = ended(tmp_path, code, level)
        assert status == end
        reasons = [reason for _, reason in HEADER.findall(err)]
        assert reasons[0] == "running" and "chan receive" in reasons, err
        assert "__main__.other(...)" in err
    status, err = ended(tmp_path, code, "system")
    assert status == 2 and "cli.py" in err  # the runtime's frames too


def test_deadlock(tmp_path: Path) -> None:
    code = PANIC.replace("BODY", "await ch.recv()")
    words = "fatal error: all goroutines are asleep - deadlock!\n"
    assert ended(tmp_path, code, "none") == (2, words)
    for level, end in ((None, 2), ("single", 2), ("all", 2), ("crash", -signal.SIGABRT)):
        status, err = ended(tmp_path, code, level)
        assert status == end and err.startswith(words + "\ngoroutine 1 [chan receive]:\n")
        assert len(HEADER.findall(err)) == 2


FATAL = """
import gort, time
async def other(ch):
    await ch.recv()
async def main():
    ch = gort.chan()
    g = gort.go(other, ch)
    while g.status != 'waiting':
        await gort.gosched()
    gort.set_max_threads(1)
    for _ in range(8):
        gort.go(time.sleep, 100)
    await gort.sleep(100)
"""


def test_thread_exhaustion(tmp_path: Path) -> None:
    words = "runtime: program exceeds 1-thread limit\nfatal error: thread exhaustion\n"
    status, err = ended(tmp_path, FATAL, None)
    assert status == 2 and err.startswith(words + "\ngoroutine ")
    assert "chan receive" in dict(HEADER.findall(err)).values()
    assert ended(tmp_path, FATAL, "none") == (2, words)
    assert ended(tmp_path, FATAL, "crash")[0] == -signal.SIGABRT


# The leak report.

LEAK = """
import gort
async def leaked(ch):
    try:
        await ch.recv()
    finally:
        print('cancelled', flush=True)
async def main(n=N):
    ch = gort.chan()
    gs = [gort.go(leaked, ch) for _ in range(n)]
    while any(g.status != 'waiting' for g in gs):
        await gort.gosched()
"""


def test_leaks(tmp_path: Path, procs: int) -> None:
    args = ("--procs", str(procs))
    with program(tmp_path, LEAK.replace("N", "2"), *args, GODEBUG="leaks=1") as p:
        out, err = p.end()
        assert p.returncode == 0
    assert out.replace("\n", "") == "cancelled" * 2  # two threads print at once
    assert err.startswith("gort: main returned and 2 goroutines are still there\n\ngoroutine ")
    heads = HEADER.findall(err)
    assert [reason for _, reason in heads] == ["chan receive"] * 2
    assert len({goid for goid, _ in heads}) == 2
    assert len(re.findall(r"created by main.* in goroutine 1\n\t.*prog.py:10$", err, re.M)) == 2


def test_no_leaks_no_report(tmp_path: Path) -> None:
    for n, env in (("0", {"GODEBUG": "leaks=1"}), ("2", {}), ("2", {"GODEBUG": "leaks=0"})):
        with program(tmp_path, LEAK.replace("N", n), **env) as p:
            _, err = p.end()
            assert (p.returncode, err) == (0, "")
