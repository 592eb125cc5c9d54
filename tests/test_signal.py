"""gort.signal, Ctrl-C, and handlers of the user's under a runtime."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from live import program

import gort
from gort.runtime import sigqueue

USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2
ME = os.getpid()

compiled = pytest.mark.skipif(
    os.environ.get("GORT_PURE", "") not in ("", "0"),
    reason="uncompiled, a handler may come in under a lock of the runtime that it wants, or raise",
)


@pytest.fixture(autouse=True)
def handlers() -> Any:
    """Every test leaves the handlers and the wake-up fd as they were."""
    before = {n: signal.getsignal(n) for n in signal.valid_signals()}
    yield
    after = {n: signal.getsignal(n) for n in signal.valid_signals()}
    assert after == before
    assert signal.set_wakeup_fd(-1) == -1


def test_notify(procs: int) -> None:
    async def main() -> list[int]:
        ch = gort.chan(2)
        gort.signal.notify(ch, USR1, USR2)
        got = []
        for n in (USR1, USR2, USR1):
            os.kill(ME, n)
            got.append(await ch.recv())
        return got

    got = gort.run(main, procs=procs)
    assert got == [USR1, USR2, USR1]
    assert all(type(n) is signal.Signals for n in got)


def test_wakes_parked_m0(procs: int) -> None:
    # Main waits for a signal that another process sends; a deadlock is not reported.
    async def main() -> int:
        ch = gort.chan(1)
        gort.signal.notify(ch, USR1)
        pid = os.fork()
        if pid == 0:
            os.kill(ME, USR1)
            os._exit(0)
        n = await ch.recv()
        os.waitpid(pid, 0)
        return int(n)

    assert gort.run(main, procs=procs) == USR1


def test_notify_from_other_threads(procs: int) -> None:
    # The main thread is in a blocking call, which is interrupted to install the handler.
    async def main() -> list[int]:
        ch = gort.chan(4)
        release = threading.Event()

        def elsewhere() -> None:
            gort.signal.notify(ch, USR1)
            os.kill(ME, USR1)
            gort.wait(ch.recv())
            gort.signal.stop(ch)
            release.set()

        before = signal.getsignal(USR1)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await gort.syscall(release.wait)
        thread.join()
        return [len(ch), signal.getsignal(USR1) == before]

    assert gort.run(main, procs=procs) == [0, True]


def test_full_channel_drops() -> None:
    async def main() -> list[int]:
        full, roomy = gort.chan(1), gort.chan(8)
        gort.signal.notify(full, USR1)
        gort.signal.notify(roomy, USR1)
        for _ in range(3):
            os.kill(ME, USR1)
            assert await roomy.recv() == USR1
        return [len(full), len(roomy)]

    assert gort.run(main) == [1, 0]


def test_closed_channel_is_skipped() -> None:
    async def main() -> int:
        closed, open = gort.chan(1), gort.chan(1)
        gort.signal.notify(closed, USR1)
        gort.signal.notify(open, USR1)
        closed.close()
        os.kill(ME, USR1)
        return int(await open.recv())

    assert gort.run(main) == USR1


def test_unbuffered_channel_with_a_receiver() -> None:
    async def main() -> int:
        ch = gort.chan()
        gort.signal.notify(ch, USR1)
        g = gort.go(recv, ch)
        while g.status != "waiting":
            await gort.gosched()
        os.kill(ME, USR1)
        return int(await g)

    async def recv(ch: Any) -> Any:
        return await ch.recv()

    assert gort.run(main) == USR1


def test_stop_gives_the_old_handler_back(procs: int) -> None:
    seen: list[int] = []
    old = signal.signal(USR1, lambda n, f: seen.append(n))
    try:

        async def main() -> int:
            one, two = gort.chan(4), gort.chan(4)
            gort.signal.notify(one, USR1)
            gort.signal.notify(two, USR1, USR2)
            os.kill(ME, USR1)
            assert await one.recv() == await two.recv() == USR1
            gort.signal.stop(one)
            os.kill(ME, USR1)  # two still listens
            assert await two.recv() == USR1
            assert seen == []
            gort.signal.stop(two)
            os.kill(ME, USR1)
            while not seen:
                await gort.gosched()
            return len(one) + len(two)

        assert gort.run(main, procs=procs) == 0
        assert seen == [USR1]
    finally:
        signal.signal(USR1, old)


def test_reset() -> None:
    async def main() -> None:
        ch = gort.chan(4)
        gort.signal.notify(ch, USR1, USR2)
        assert signal.getsignal(USR1) is not signal.SIG_DFL
        gort.signal.reset(USR1)
        assert signal.getsignal(USR1) is signal.SIG_DFL
        os.kill(ME, USR2)
        assert await ch.recv() == USR2
        gort.signal.ignore(USR1)
        gort.signal.reset()
        assert signal.getsignal(USR1) is signal.getsignal(USR2) is signal.SIG_DFL

    gort.run(main)


def test_ignore() -> None:
    async def main() -> int:
        ch = gort.chan(4)
        gort.signal.notify(ch, USR1, USR2)
        gort.signal.ignore(USR1)
        assert gort.signal.ignored(USR1) and not gort.signal.ignored(USR2)
        os.kill(ME, USR1)
        os.kill(ME, USR2)
        assert await ch.recv() == USR2
        gort.signal.notify(ch, USR1)  # and back again
        os.kill(ME, USR1)
        assert await ch.recv() == USR1
        return len(ch)

    assert gort.run(main) == 0


def test_all_signals() -> None:
    async def main() -> None:
        ch = gort.chan(16)
        gort.signal.notify(ch)
        for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGWINCH, signal.SIGRTMIN):
            os.kill(ME, n)
            assert await ch.recv() == n
        for n in (signal.SIGSEGV, signal.SIGURG, signal.SIGFPE):
            assert not any(n == m for m in listened())

    def listened() -> list[int]:
        base = signal.getsignal(signal.SIGTERM)
        return [n for n in signal.valid_signals() if signal.getsignal(n) is base]

    gort.run(main)


def test_run_restores_what_was_left() -> None:
    async def main() -> None:
        gort.signal.notify(gort.chan(1), USR1, signal.SIGTERM, signal.SIGINT)
        gort.signal.ignore(USR2)

    for _ in range(3):
        gort.run(main)
        assert signal.getsignal(USR1) is signal.getsignal(USR2) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_users_handlers(procs: int) -> None:
    # Installed before run, and by main while it runs; while all sleep and while one computes.
    seen: list[tuple[str, int]] = []
    old = signal.signal(USR1, lambda n, f: seen.append(("before", n)))
    try:

        async def main() -> None:
            ch = gort.chan()
            os.kill(ME, USR1)
            while len(seen) < 1:
                await gort.gosched()
            threading.Timer(0, os.kill, (ME, USR1)).start()
            while len(seen) < 2:
                await gort.sleep(0.001)
            threading.Timer(0, os.kill, (ME, USR1)).start()
            while len(seen) < 3:
                pass
            ch.close()

        gort.run(main, procs=procs)
        assert seen == [("before", USR1)] * 3
    finally:
        signal.signal(USR1, old)


@compiled
def test_handler_may_use_gort_while_m0_is_parked(procs: int) -> None:
    box: list[Any] = []
    old = signal.signal(USR1, lambda n, f: box[0].send_nowait(n))
    try:

        async def main() -> list[int]:
            ch = gort.chan(8)
            box.append(ch)
            pid = os.fork()
            if pid == 0:
                for _ in range(3):
                    os.kill(ME, USR1)
                os._exit(0)
            n = await gort.select(ch.recv(), gort.after(30).recv())
            os.waitpid(pid, 0)
            return [int(n[0]), int(n[1])]

        assert gort.run(main, procs=procs) == [0, USR1]
    finally:
        signal.signal(USR1, old)


def test_other_wakeup_fd_still_gets_its_bytes() -> None:
    r, w = os.pipe()
    os.set_blocking(w, False)
    old = signal.signal(USR1, lambda n, f: None)
    assert signal.set_wakeup_fd(w) == -1
    try:

        async def main() -> bytes:
            os.kill(ME, USR1)
            await gort.wait_readable(r)
            return os.read(r, 16)

        assert gort.run(main) == bytes([USR1])
        assert signal.set_wakeup_fd(-1) == w
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(USR1, old)
        os.close(r)
        os.close(w)


def test_on_another_thread() -> None:
    async def main() -> None:
        for call in (gort.signal.notify, gort.signal.ignore):
            args = (gort.chan(1), USR1) if call is gort.signal.notify else (USR1,)
            with pytest.raises(RuntimeError, match="main thread"):
                call(*args)
        gort.signal.stop(gort.chan(1))

    failed: list[BaseException] = []

    def run() -> None:
        try:
            gort.run(main)
        except BaseException as exc:
            failed.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not failed


def test_bad_input() -> None:
    ch = gort.chan(1)
    notify: Any = gort.signal.notify
    with pytest.raises(RuntimeError, match="no gort runtime"):
        notify(ch, USR1)

    async def main() -> None:
        for bad in ("x", None, USR1):
            with pytest.raises(TypeError, match="wants a channel"):
                notify(bad, USR1)
        for what in ("SIGUSR1", 1.0, True, None):
            with pytest.raises(TypeError, match="signal numbers"):
                notify(ch, what)
        for n in (0, -1, 1000):
            with pytest.raises(ValueError, match="is no signal"):
                notify(ch, n)
        for n in (signal.SIGKILL, signal.SIGSTOP):
            with pytest.raises(ValueError, match="cannot be caught"):
                notify(ch, n)
            with pytest.raises(ValueError, match="cannot be caught"):
                gort.signal.ignore(n)
        with pytest.raises(TypeError):
            stop: Any = gort.signal.stop
            stop(None)

    gort.run(main)


def test_deadlock_is_found_once_nobody_listens() -> None:
    async def main() -> None:
        ch = gort.chan(1)
        gort.signal.notify(ch, USR1)
        os.kill(ME, USR1)
        await ch.recv()
        gort.signal.stop(ch)
        await ch.recv()

    with pytest.raises(gort.DeadlockError):
        gort.run(main)


LISTENER = """
import gort, signal
async def main():
    ch = gort.chan(4)
    gort.signal.notify(ch, signal.SIGINT, signal.SIGTERM)
    print('ready', flush=True)
    print((await ch.recv()).name, flush=True)
    print((await ch.recv()).name, flush=True)
    gort.signal.stop(ch)
    print('stopped', flush=True)
    WAIT
"""


def test_notify_takes_over_ctrl_c(tmp_path: Path, procs: int) -> None:
    code = LISTENER.replace("WAIT", "await gort.sleep(100)")
    with program(tmp_path, code, "--procs", str(procs)) as p:
        p.expect("ready")
        p.send_signal(signal.SIGINT)
        p.expect("SIGINT")
        p.send_signal(signal.SIGTERM)
        p.expect("SIGTERM")
        p.expect("stopped")
        p.send_signal(signal.SIGINT)
        p.end()
        assert p.returncode in (130, -signal.SIGINT)


@pytest.mark.parametrize("wait", ["await gort.sleep(100)", "while True: pass"])
def test_sigterm_kills(tmp_path: Path, wait: str) -> None:
    code = f"import gort\nasync def main():\n    print('ready', flush=True)\n    {wait}\n"
    with program(tmp_path, code) as p:
        p.expect("ready")
        p.send_signal(signal.SIGTERM)
        p.end()
        assert p.returncode == -signal.SIGTERM


def test_sigterm_after_stop(tmp_path: Path) -> None:
    with program(tmp_path, LISTENER.replace("WAIT", "await gort.sleep(100)")) as p:
        p.expect("ready")
        for n in (signal.SIGINT, signal.SIGTERM):
            p.send_signal(n)
            p.expect(n.name)
        p.expect("stopped")
        p.send_signal(signal.SIGTERM)
        p.end()
        assert p.returncode == -signal.SIGTERM


PLAIN = """
import gort
from gort.runtime import sigqueue
def main():
    ch = gort.chan()
    gort.go(keep, ch)
    try:
        print('ready', flush=True)
        gort.wait(ch.recv())
    except KeyboardInterrupt:
        print('KeyboardInterrupt', flush=True)
        raise
async def keep(ch):
    await gort.sleep(100)
    await ch.recv()
"""


def test_ctrl_c_in_wait(tmp_path: Path, procs: int) -> None:
    with program(tmp_path, PLAIN, "--procs", str(procs)) as p:
        p.expect("ready")
        p.send_signal(signal.SIGINT)
        p.expect("KeyboardInterrupt")
        out, err = p.end()
        assert p.returncode in (130, -signal.SIGINT), (out, err)


FOREIGN = """
import gort, threading
ch = gort.chan()
up = threading.Event()
over = threading.Event()
async def main():
    up.set()
    await gort.syscall(over.wait)
thread = threading.Thread(target=gort.run, args=(main,))
thread.start()
up.wait()
try:
    print('ready', flush=True)
    gort.wait(ch.recv())
except KeyboardInterrupt:
    print('KeyboardInterrupt', flush=True)
ch.close()
over.set()
thread.join()
print('done', flush=True)
"""


@compiled
def test_ctrl_c_in_wait_of_a_foreign_main_thread(tmp_path: Path) -> None:
    with program(tmp_path, FOREIGN, cli=False) as p:
        p.expect("ready")
        p.send_signal(signal.SIGINT)
        p.expect("KeyboardInterrupt")
        p.expect("done")
        p.end()
        assert p.returncode == 0


def test_main_catches_ctrl_c_and_goes_on(tmp_path: Path, procs: int) -> None:
    code = """
import gort
from gort.runtime import sigqueue
async def main():
    ch = gort.chan(1)
    for i in range(3):
        try:
            print('ready', flush=True)
            await gort.sleep(100)
        except KeyboardInterrupt:
            await ch.send(i)
            print('caught', await ch.recv(), flush=True)
"""
    with program(tmp_path, code, "--procs", str(procs)) as p:
        for i in range(3):
            p.expect("ready")
            p.send_signal(signal.SIGINT)
            p.expect(f"caught {i}")
        p.end()
        assert p.returncode == 0


def test_forked_child_does_not_signal_its_parent() -> None:
    # The child shares the parent's pipe until it gives it up.
    async def main() -> int:
        ch = gort.chan(4)
        gort.signal.notify(ch, USR1)
        pid = os.fork()
        if pid == 0:
            code = 0 if signal.getsignal(USR1) is signal.SIG_DFL else 1
            signal.signal(USR1, lambda n, f: None)
            os.kill(os.getpid(), USR1)
            os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert status == 0
        os.kill(ME, USR1)
        await ch.recv()
        return len(ch)

    assert gort.run(main) == 0


AWAY = """
import gort, sys, threading, time
over = threading.Event()
def hold():
    if threading.current_thread() is threading.main_thread():
        over.wait()
async def main():
    try:
        while threading.current_thread() is threading.main_thread():
            gort.go(hold)
            await gort.sleep(0.01)
        print('ready', flush=True)
        BODY
    except KeyboardInterrupt:
        await gort.gosched()  # it comes once
        print('KeyboardInterrupt', flush=True)
        raise
    finally:
        over.set()
"""

AWAYS = ("while True: pass", "await gort.sleep(100)", "while True: await gort.gosched()")


@pytest.mark.parametrize("body", AWAYS)
def test_ctrl_c_while_main_is_on_another_thread(tmp_path: Path, body: str) -> None:
    with program(tmp_path, AWAY.replace("BODY", body), "--procs", "4") as p:
        p.expect("ready")
        p.send_signal(signal.SIGINT)
        p.expect("KeyboardInterrupt")
        p.end()
        assert p.returncode in (130, -signal.SIGINT)


def test_second_ctrl_c_gives_a_deaf_main_up(tmp_path: Path) -> None:
    body = "open(0).readline()"  # C code that no signal interrupts on a thread of its own
    code = AWAY.replace("over.wait()", "pass; gort.wait(gort.chan().recv())")
    with program(tmp_path, code.replace("BODY", body), "--procs", "4") as p:
        p.expect("ready")
        p.send_signal(signal.SIGINT)
        while p.poll() is None:
            p.send_signal(signal.SIGINT)
            try:
                p.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        assert p.returncode in (130, -signal.SIGINT)


# ---- handlers in, whatever comes in between


def test_notify_returns_after_its_handler_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """signal.signal runs pending handlers before it installs: also the SIGURG's of a call
    that waits for just this."""
    real, returned = signal.signal, threading.Event()
    early = []

    def nested(n: int, handler: Any) -> Any:
        if n == USR1 and handler is sigqueue.sigcatch:
            sigqueue.sigpreempt(signal.SIGURG, None)
            early.append(returned.wait(0.2))
        return real(n, handler)

    monkeypatch.setattr(signal, "signal", nested)

    async def main() -> None:
        ch = gort.chan(1)

        def elsewhere() -> None:
            gort.signal.notify(ch, USR1)
            returned.set()

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await gort.syscall(returned.wait)
        thread.join()
        gort.signal.stop(ch)

    gort.run(main)
    assert early and not any(early)


def test_notify_from_many_threads_at_once(procs: int) -> None:
    """When it returns, a signal that comes now does not end the process."""
    signums = [USR1, USR2, signal.SIGHUP, signal.SIGALRM]
    wrong = []

    def one(n: signal.Signals) -> None:
        ch = gort.chan(1)
        for _ in range(30):
            gort.signal.notify(ch, n)
            if signal.getsignal(n) is not sigqueue.sigcatch:
                wrong.append(n)
            gort.signal.stop(ch)

    async def main() -> None:
        async with gort.group() as grp:
            for n in signums:
                grp.go(one, n)

    gort.run(main, procs=procs)
    assert not wrong


def test_handler_that_raises_while_another_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = signal.signal
    pending = [KeyboardInterrupt()]

    def nested(n: int, handler: Any) -> Any:
        if n == USR1 and pending:
            raise pending.pop()
        return real(n, handler)

    async def main() -> None:
        ch = gort.chan(2)
        monkeypatch.setattr(signal, "signal", nested)
        with pytest.raises(KeyboardInterrupt):
            gort.signal.notify(ch, USR1)
        gort.signal.notify(ch, USR2)
        os.kill(ME, USR1)  # is listened to all the same
        assert await ch.recv() == USR1

    async def locked() -> None:
        gort.lock_os_thread()
        await main()

    gort.run(locked)


MASKED = """
import os, signal, threading, time, gort
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
r, w = os.pipe()
def reading():
    with open(f"/proc/self/task/{os.getpid()}/syscall") as f:
        return f.read().startswith("0 ")
async def main():
    c = gort.chan(1)
    told = gort.chan(1)
    def elsewhere():
        while BLOCKED and not reading():
            time.sleep(0.001)
        try:
            gort.signal.notify(c, signal.SIGUSR1)
            told.send_nowait("installed")
        except RuntimeError as exc:
            told.send_nowait(exc)
        os.write(w, b"x")
    t = threading.Thread(target=elsewhere)
    t.start()
    WAIT
    t.join()
    while len(told):
        print(await told.recv())
"""


@pytest.mark.parametrize(
    ("blocked", "word"),
    [(False, "installed"), (True, "blocks SIGURG")],
    ids=["parked", "blocked"],
)
def test_notify_where_the_main_thread_blocks_all_signals(
    tmp_path: Path, blocked: bool, word: str
) -> None:
    if blocked and not os.path.exists("/proc/self/syscall"):
        pytest.skip("no way to see that it blocks")
    code = MASKED.replace("WAIT", "os.read(r, 1)" if blocked else "print(await told.recv())")
    with program(tmp_path, code.replace("BLOCKED", str(blocked))) as p:
        out, err = p.end()
    assert word in out and p.returncode == 0, (out, err)


# ---- the wake-up fd is another's


async def each_once(ch: Any) -> None:
    """Every USR1 comes, and once."""
    for _ in range(5):
        os.kill(ME, USR1)
        assert await ch.recv() == USR1
    os.kill(ME, USR2)
    assert await ch.recv() == USR2
    assert len(ch) == 0


def test_wakeup_fd_was_taken_away(procs: int) -> None:
    async def main() -> None:
        gort.lock_os_thread()
        ch = gort.chan(8)
        gort.signal.notify(ch, USR1, USR2)
        await each_once(ch)
        signal.set_wakeup_fd(-1)
        await each_once(ch)
        async with gort.timeout(20):
            while signal.set_wakeup_fd(-1) != sigqueue.sig.wfd:  # it is taken back
                os.kill(ME, USR1)
                assert await ch.recv() == USR1
                await gort.sleep(0.01)
        await each_once(ch)

    gort.run(main, procs=procs)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("alive", [True, False])
def test_wakeup_fd_is_another(procs: int, alive: bool) -> None:
    r, w = os.pipe()
    os.set_blocking(w, False)

    async def main() -> None:
        gort.lock_os_thread()
        ch = gort.chan(8)
        gort.signal.notify(ch, USR1, USR2)
        signal.set_wakeup_fd(w, warn_on_full_buffer=False)
        if not alive:
            os.close(w)
        await each_once(ch)
        if alive:
            signal.set_wakeup_fd(-1)
            await each_once(ch)

    gort.run(main, procs=procs)
    if alive:
        os.set_blocking(r, False)
        got = [n for n in os.read(r, 512) if n != signal.SIGURG]
        assert got == [USR1] * 5 + [USR2]
        os.close(w)
    os.close(r)


def test_asyncio_takes_the_wakeup_fd() -> None:
    async def loop() -> None:
        done = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(USR1, done.set)
        os.kill(ME, USR1)
        await asyncio.wait_for(done.wait(), 20)

    async def main() -> None:
        gort.lock_os_thread()
        ch = gort.chan(1)
        gort.signal.notify(ch, USR2)
        asyncio.run(loop())
        os.kill(ME, USR2)
        assert await ch.recv() == USR2

    gort.run(main, procs=1)


def test_other_wakeup_fd_is_closed_during_the_run() -> None:
    r, w = os.pipe()
    os.set_blocking(w, False)
    assert signal.set_wakeup_fd(w) == -1

    async def main() -> None:
        os.close(w)

    gort.run(main)
    os.close(r)


def test_more_files_than_select_knows(tmp_path: Path) -> None:
    code = (
        "import os, resource, signal, gort\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))\n"
        "held = [os.open('/dev/null', os.O_RDONLY) for _ in range(1100)]\n"
        "async def main():\n"
        "    c = gort.chan(1)\n"
        "    gort.signal.notify(c, signal.SIGUSR1)\n"
        "    for _ in range(3):\n"
        "        os.kill(os.getpid(), signal.SIGUSR1)\n"
        "        assert await c.recv() == signal.SIGUSR1\n"
        "        await gort.sleep(0.02)\n"
        "    print('done')\n"
    )
    with program(tmp_path, code) as p:
        assert p.end() == ("done\n", "")


def test_ignored_wants_a_signal() -> None:
    assert not gort.signal.ignored(USR1)
    for what in ("SIGUSR1", 1.0, None):
        with pytest.raises(TypeError, match="signal numbers"):
            gort.signal.ignored(what)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is no signal"):
        gort.signal.ignored(1000)
