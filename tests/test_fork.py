"""fork of a running program: the child has no runtime, the parent loses nothing.

Programs of their own, because a child of pytest would be another pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gort

PRELUDE = """import os, sys, threading
import gort

def show(*args):
    os.write(1, (' '.join(map(str, args)) + '\\n').encode())

def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

async def pong(a, b):
    async for v in a:
        await b.send(v + 1)

async def pingpong(n):
    a, b = gort.chan(), gort.chan()
    g = gort.go(pong, a, b)
    for i in range(n):
        await a.send(i)
        assert await b.recv() == i + 1
    a.close()
    await g
    await gort.sleep(0.001)
    return n

"""


def program(tmp_path: Path, text: str, *args: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "prog.py"
    path.write_text(PRELUDE + text)
    src = str(Path(gort.__file__).parents[1])
    return subprocess.run(
        # From 3.12 on fork warns where there are threads, which is the point here.
        [sys.executable, "-W", "ignore::DeprecationWarning", str(path), *args],
        env={**os.environ, "PYTHONPATH": src, "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        timeout=50,
    )


def output(tmp_path: Path, text: str, *args: str) -> list[str]:
    done = program(tmp_path, text, *args)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


FORKERS = {
    "main": "pid = os.fork(); after(pid)",
    "goroutine": "await gort.go(forks)",
    "plain goroutine": "await gort.go(lambda: after(os.fork()))",
    "syscall": "after(await gort.syscall(os.fork))",
    "blocking": """
    async with gort.blocking():
        pid = os.fork()
    after(pid)""",
    "thread": """
    thread = threading.Thread(target=lambda: after(os.fork()))
    thread.start()
    await gort.syscall(thread.join)""",
    "locked": "gort.lock_os_thread(); after(os.fork())",
}


@pytest.mark.parametrize("how", FORKERS)
def test_child_runs_afresh(tmp_path: Path, how: str, procs: int) -> None:
    """From each kind of place; the parent's goroutines go on, the child has none."""
    text = f"""
async def sleeper(ch):
    try:
        await ch.recv()
    finally:
        show('finally')

def after(pid):
    if pid == 0:
        code = 1
        try:
            assert gort.current() is None and gort.num_goroutine() == 0
            assert gort.run(pingpong, 100, procs=2) == 100
            assert gort.run(pingpong, 10) == 10
            code = 7
        finally:
            os._exit(code)
    show('status', status(pid))

async def forks():
    after(os.fork())

async def main():
    ch = gort.chan()
    parked = [gort.go(sleeper, ch) for _ in range(10)]
    talk = [gort.go(pingpong, 500) for _ in range(3)]
    {FORKERS[how]}
    assert [await g for g in talk] == [500] * 3
    for _ in parked:
        await ch.send(None)
    for g in parked:
        await g
    assert await pingpong(100) == 100

gort.run(main, procs={procs})
"""
    assert sorted(output(tmp_path, text)) == ["finally"] * 10 + ["status 7"]


def test_await_in_the_child_is_an_error(tmp_path: Path) -> None:
    """No runtime is up: RuntimeError, and nothing hangs."""
    text = """
async def attempt(what):
    try:
        await what
    except RuntimeError as exc:
        show(type(exc).__name__, 'gort.run' in str(exc))

async def main():
    ch = gort.chan()
    g = gort.go(pingpong, 3)
    pid = os.fork()
    if pid == 0:
        for op in ch.recv(), gort.sleep(0), g, gort.syscall(print), gort.select(ch.recv()):
            await attempt(op)
        for fn in lambda: gort.go(main), lambda: ch.send_nowait(1), g.cancel, ch.close, \\
                lambda: gort.wait(ch.recv()), gort.gomaxprocs, gort.lock_os_thread:
            try:
                fn()
            except RuntimeError as exc:
                show(type(exc).__name__)
        os._exit(3)
    await g
    show('status', status(pid))

gort.run(main, procs=2)
"""
    got = output(tmp_path, text)
    assert got == ["RuntimeError True"] * 5 + ["RuntimeError"] * 7 + ["status 3"]


ENDS = {
    "return": ("return 5", 0, ""),
    "sys.exit": ("sys.exit(6)", 6, ""),
    "sys.exit words": ("sys.exit('words')", 1, "words\n"),
    "goexit": ("gort_goexit()", 0, ""),
    "raise": ("raise ValueError('child')", 1, "ValueError: child\n"),
    "os._exit": ("os._exit(8)", 8, ""),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("where", ["main", "goroutine", "plain"])
def test_end_of_the_goroutine_ends_the_child(tmp_path: Path, how: str, where: str) -> None:
    """On whatever thread it runs: the parent's scheduler below it is not gone on with."""
    act, code, words = ENDS[how]
    text = f"""
import atexit
from gort.runtime.proc import Goexit

def gort_goexit():
    raise Goexit

async def forks():
    pid = os.fork()
    if pid == 0:
        print('child', flush=False)
        {act}
    return status(pid)

def plain():
    pid = os.fork()
    if pid == 0:
        print('child', flush=False)
        {act}
    return status(pid)

async def main():
    g = gort.go(pingpong, 100)
    if {where!r} == 'main':
        code = await forks()
        if os.getpid() != parent:
            return
    else:
        code = await gort.go(forks if {where!r} == 'goroutine' else plain)
    await g
    show('status', code)

parent = os.getpid()
atexit.register(show, 'atexit')
gort.run(main, procs=2)
show('end')
"""
    done = program(tmp_path, text)
    assert done.returncode == 0
    assert done.stderr.endswith(words) and bool(done.stderr) == bool(words)
    child = [] if how == "os._exit" else ["atexit", "child"]
    assert done.stdout.splitlines() == [*child, f"status {code}", "end", "atexit"]


def test_objects_of_the_parent_in_the_child(tmp_path: Path) -> None:
    """A channel keeps its values and loses its waiters; a goroutine's handle says so."""
    text = """
buffered, full, empty = gort.chan(4), gort.chan(1), gort.chan()

async def receiver():
    show('parent got', await empty.recv())

async def selects(ch):
    await gort.select(ch.recv(), empty.recv())

async def sender():
    await full.send('late')

async def child(g):
    assert [await buffered.recv() for _ in range(3)] == [0, 1, 2]
    buffered.send_nowait(9)
    assert await buffered.recv() == 9
    assert await full.recv() == 'early'
    try:
        full.recv_nowait()
    except gort.WouldBlock:
        show('sender is gone')
    try:
        empty.send_nowait('x')
    except gort.WouldBlock:
        show('receivers are gone')
    try:
        await g
    except RuntimeError as exc:
        show(exc)
    h = gort.go(lambda: gort.wait(empty.send('y')))
    assert await empty.recv() == 'y'
    await h
    empty.close()

async def main():
    for i in range(3):
        await buffered.send(i)
    await full.send('early')
    gs = [gort.go(receiver), gort.go(sender), gort.go(selects, gort.chan())]
    while any(g.status != 'waiting' for g in gs):
        await gort.gosched()
    pid = os.fork()
    if pid == 0:
        gort.run(child, gs[0])
        os._exit(0)
    assert status(pid) == 0
    await empty.send('z')
    await empty.send('z')
    assert await full.recv() == 'early'
    assert await full.recv() == 'late'
    for g in gs:
        await g
    assert len(buffered) == 3

gort.run(main, procs=1)
"""
    got = output(tmp_path, text)
    assert got[:3] == [
        "sender is gone",
        "receivers are gone",
        "this goroutine stayed in the parent process: a forked child has none of its goroutines",
    ]


def test_a_thread_in_wait_stays_in_the_parent(tmp_path: Path) -> None:
    text = """
ch = gort.chan()

async def main():
    got = []
    thread = threading.Thread(target=lambda: got.append(gort.wait(ch.recv())))
    thread.start()
    while 'chan' and not ch_has_waiter():
        await gort.gosched()
    pid = os.fork()
    if pid == 0:
        async def child():
            try:
                ch.send_nowait('child')
            except gort.WouldBlock:
                show('nobody waits')
        gort.run(child)
        os._exit(0)
    assert status(pid) == 0
    await ch.send('parent')
    await gort.syscall(thread.join)
    show(got)

def ch_has_waiter():
    from gort.runtime.park import waiters
    return len(waiters) == 1

gort.run(main)
"""
    assert output(tmp_path, text) == ["nobody waits", "['parent']"]


def test_no_finally_runs_twice(tmp_path: Path) -> None:
    """Parked coroutines are the parent's: not closed in the child, also not at its end."""
    text = """
async def parked(ch):
    try:
        await ch.recv()
    finally:
        show('finally', os.getpid() == parent)

async def sleeps():
    try:
        await gort.sleep(1000)
    finally:
        show('finally', os.getpid() == parent)

async def agen():
    try:
        yield 1
    finally:
        show('agen', os.getpid() == parent)

async def iterates(ch):
    async for _ in agen():
        await ch.recv()

parent = os.getpid()

def thread(codes):
    pid = os.fork()
    if pid == 0:
        import gc
        gc.collect()
        async def child():
            await gort.sleep(0.001)
        gort.run(child)
        return
    codes.append(status(pid))

async def main():
    ch = gort.chan()
    gs = [gort.go(parked, ch) for _ in range(3)] + [gort.go(iterates, ch)]
    gs.append(gort.go(sleeps))
    while any(g.status != 'waiting' for g in gs):
        await gort.gosched()
    late = gort.chan()
    gs.append(gort.go(parked, late))  # has not started yet
    if HOW == 'exit':
        pid = os.fork()
        if pid == 0:
            del gs, ch, late
            import gc
            gc.collect()
            sys.exit(0)
        codes = [status(pid)]
    else:
        codes = []
        t = threading.Thread(target=thread, args=(codes,))
        t.start()
        await gort.syscall(t.join)
    assert codes == [0]
    gs[4].cancel()
    await late.send(None)
    for _ in range(4):
        await ch.send(None)
    for g in gs:
        try:
            await g
        except gort.Cancelled:
            pass

gort.run(main)
"""
    for how in "'exit'", "'thread'":
        got = output(tmp_path, text.replace("HOW", how))
        assert sorted(got) == ["agen True"] + ["finally True"] * 5


def test_poller_and_signals(tmp_path: Path) -> None:
    """The child's closing of its poller does not disturb the parent's; the wake-up fd
    and Ctrl-C are the child's own again."""
    text = """
import signal, socket

async def reads(sock):
    await gort.wait_readable(sock)
    return sock.recv(10)

async def child():
    a, b = socket.socketpair()
    g = gort.go(reads, a)
    while g.status != 'waiting':
        await gort.gosched()
    b.send(b'child')
    assert await g == b'child'

async def main():
    a, b = socket.socketpair()
    g = gort.go(reads, a)
    while g.status != 'waiting':
        await gort.gosched()
    before = len(os.listdir('/proc/self/fd'))
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            assert len(os.listdir('/proc/self/fd')) == before - 4
            assert signal.set_wakeup_fd(-1) == -1
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            gort.run(child)
            a.close()
            b.close()
            os._exit(4)
        assert status(pid) == 4
    assert g.status == 'waiting'
    b.send(b'parent')
    assert await g == b'parent'
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    show('fine')

gort.run(main, procs=2)
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""
    assert output(tmp_path, text) == ["fine"]


STORM = """
import time

async def computes(stop):
    n = 0
    while not stop:
        sum(range(1000))
        n += 1
        await gort.gosched()
    return n

async def resizes(stop):
    n = 0
    while not stop:
        gort.gomaxprocs(1 + n % 4)
        n += 1
        await gort.sleep(0.0005)

async def locks(stop):
    gort.lock_os_thread()
    while not stop:
        await gort.gosched()

async def sleeps(stop):
    while not stop:
        await gort.sleep(0.0002)

def foreign(ch, stop):
    while not stop:
        gort.wait(ch.send(1))

def forks(n):
    for _ in range(n):
        pid = os.fork()
        if pid == 0:
            try:
                gort.run(pingpong, 20, procs=2)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert status(pid) == 0

async def drains(ch):
    async for _ in ch:
        pass

async def main():
    stop, ch = [], gort.chan()
    thread = threading.Thread(target=foreign, args=(ch, stop))
    thread.start()
    gs = [gort.go(fn, stop) for fn in (computes, resizes, locks, sleeps)]
    drain = gort.go(drains, ch)
    forkers = [gort.go(forks, 8), gort.go(gort.syscall, forks, 8)]
    outside = threading.Thread(target=forks, args=(8,))
    outside.start()
    for g in forkers:
        await g
    await gort.syscall(outside.join)
    stop.append(1)
    for g in gs:
        await g
    await gort.syscall(thread.join)
    ch.close()
    await drain
    show(await pingpong(100))

gort.run(main, procs=PROCS)
"""


def test_storm(tmp_path: Path, procs: int) -> None:
    """Three threads fork at once while Ms compute, sleep, resize the world and lock."""
    assert output(tmp_path, STORM.replace("PROCS", str(procs))) == ["100"]


def test_fork_in_a_fork(tmp_path: Path) -> None:
    text = """
async def level(n):
    if n == 0:
        return
    g = gort.go(pingpong, 10)
    pid = os.fork()
    if pid == 0:
        gort.run(level, n - 1)
        os._exit(n)
    assert await g == 10
    show(n, status(pid))

gort.run(level, 3, procs=2)
"""
    assert sorted(output(tmp_path, text)) == ["1 1", "2 2", "3 3"]


MULTI = """
import multiprocessing

def work(n, queue):
    queue.put(gort.run(pingpong, n, procs=2))
    sys.exit(n)

async def main():
    context = multiprocessing.get_context(sys.argv[1])
    g = gort.go(pingpong, 300)
    queue = context.Queue()
    children = [context.Process(target=work, args=(n, queue)) for n in (3, 4)]
    for p in children:
        p.start()
    got = sorted([await gort.syscall(queue.get) for _ in children])
    for p in children:
        await gort.syscall(p.join)
    show(got, [p.exitcode for p in children])
    with context.Pool(2) as pool:
        show(await gort.syscall(pool.map, abs, [-1, -2, -3]))
    assert await g == 300

if __name__ == '__main__':
    gort.run(main, procs=2)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path: Path, method: str) -> None:
    assert output(tmp_path, MULTI, method) == ["[3, 4] [3, 4]", "[1, 2, 3]"]


def test_subprocess(tmp_path: Path) -> None:
    """vfork, and fork for a preexec_fn, from goroutines and a thread at once."""
    text = """
import subprocess

def call(word, **kwargs):
    done = subprocess.run([sys.executable, '-S', '-c', f'print({word!r})'],
                          stdout=subprocess.PIPE, **kwargs)
    return done.stdout.decode().strip()

async def main():
    g = gort.go(pingpong, 300)
    gs = [gort.go(call, 'goroutine'), gort.go(call, 'preexec', preexec_fn=os.getpid)]
    got = []
    thread = threading.Thread(target=lambda: got.append(call('thread', preexec_fn=os.getpid)))
    thread.start()
    show(await gort.syscall(call, 'syscall', preexec_fn=os.getpid))
    show(*[await g for g in gs])
    await gort.syscall(thread.join)
    show(*got)
    assert await g == 300

gort.run(main, procs=2)
"""
    assert output(tmp_path, text) == ["syscall", "goroutine preexec", "thread"]


def test_in_an_init_task_and_an_exit_hook(tmp_path: Path) -> None:
    """The child's first run has the parent's undone tasks, and none of its hooks."""
    text = """
def forks(name):
    pid = os.fork()
    if pid == 0:
        gort.run(lambda: show(name, 'child'))
        os._exit(2)
    show(name, status(pid))

@gort.init
def first():
    gort.at_exit(show, 'hook')
    gort.at_exit(forks, 'exit')

@gort.init
def second():
    if os.getpid() == parent:
        forks('init')
    else:
        show('second in the child')

parent = os.getpid()
gort.run(lambda: show('main'))
"""
    assert output(tmp_path, text) == [
        "second in the child",
        "init child",
        "init 2",
        "main",
        "exit child",
        "exit 2",
        "hook",
    ]
