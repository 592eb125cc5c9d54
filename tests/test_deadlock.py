"""All goroutines asleep: DeadlockError with everybody's stack."""

from __future__ import annotations

import _thread
import ctypes
import os
import re
import time
from typing import Any

import pytest

import gort


async def block_on_recv(ch: gort.Chan) -> None:
    await ch.recv()


async def block_on_send(ch: gort.Chan) -> None:
    await ch.send(1)


def test_text(procs: int) -> None:
    async def main() -> None:
        await block_on_recv(gort.chan())

    with pytest.raises(gort.DeadlockError) as info:
        gort.run(main, procs=procs)
    text = str(info.value)
    assert text.startswith("all goroutines are asleep - deadlock!")
    assert re.search(r"^goroutine 1 \[chan receive\]:$", text, re.M), text
    assert "block_on_recv(...)" in text
    assert f"\t{__file__}:" in text


def test_every_goroutine_is_named(procs: int) -> None:
    async def selects() -> None:
        await gort.select()

    async def main() -> None:
        ch = gort.chan()
        keep = [gort.go(block_on_send, ch), gort.go(selects)]
        await keep[0]

    with pytest.raises(gort.DeadlockError) as info:
        gort.run(main, procs=procs)
    text = str(info.value)
    heads = re.findall(r"^goroutine (\d+) \[([^\]]*)\]:$", text, re.M)
    assert heads[0][0] == "1"
    assert sorted(reason for _, reason in heads[1:]) == ["chan send", "select (no cases)"]
    assert "block_on_send(...)" in text and "selects(...)" in text
    assert len(re.findall(r"^created by .*main in goroutine 1$", text, re.M)) == 2, text


def test_finally_blocks_run(procs: int) -> None:
    log: list[str] = []

    async def child() -> None:
        try:
            await gort.chan().recv()
        finally:
            log.append("child")

    async def main() -> None:
        g = gort.go(child)
        try:
            await g
        finally:
            log.append("main")

    with pytest.raises(gort.DeadlockError):
        gort.run(main, procs=procs)
    assert sorted(log) == ["child", "main"]


def test_run_works_again(procs: int) -> None:
    async def dead() -> None:
        await gort.select()

    async def fine() -> int:
        await gort.sleep(0.0001)
        return 1

    for _ in range(5):
        with pytest.raises(gort.DeadlockError):
            gort.run(dead, procs=procs)
        assert gort.run(fine, procs=procs) == 1


def test_main_asleep_after_children_end(procs: int) -> None:
    async def child() -> None:
        await gort.gosched()

    async def main() -> None:
        for _ in range(10):
            gort.go(child)
        await gort.chan().recv()

    with pytest.raises(gort.DeadlockError):
        gort.run(main, procs=procs)


def test_join_cycle(procs: int) -> None:
    async def waits(ch: gort.Chan) -> Any:
        return await (await ch.recv())

    async def main() -> None:
        ch = gort.chan()
        a, b = gort.go(waits, ch), gort.go(waits, ch)
        await ch.send(b)
        await ch.send(a)
        await a

    with pytest.raises(gort.DeadlockError):
        gort.run(main, procs=procs)


def test_in_plain_goroutine(procs: int) -> None:
    def plain() -> None:
        gort.wait(gort.chan().recv())

    async def main() -> None:
        await gort.go(plain)

    with pytest.raises(gort.DeadlockError):
        gort.run(main, procs=procs)


def test_a_foreign_thread_is_no_deadlock(procs: int) -> None:
    """A thread outside may wake a goroutine, also beside a plain one in gort.wait."""
    import threading

    def plain(ch: gort.Chan) -> Any:
        return gort.wait(ch.recv())

    async def main() -> None:
        a, b = gort.chan(1), gort.chan(1)
        pause = threading.Event()

        def body() -> None:
            pause.wait(0.2)  # the time for a false alarm
            a.send_nowait("a")
            b.send_nowait("b")

        g = gort.go(plain, a)
        t = threading.Thread(target=body)
        t.start()
        assert await b.recv() == "b"
        assert await g == "a"
        await gort.syscall(t.join)

    gort.run(main, procs=procs)


def test_a_sleeper_is_no_deadlock(procs: int) -> None:
    async def child(ch: gort.Chan) -> None:
        await gort.sleep(0.02)
        await ch.send(1)

    async def main() -> int:
        ch = gort.chan()
        gort.go(child, ch)
        return await ch.recv()

    assert gort.run(main, procs=procs) == 1


def test_a_syscall_is_no_deadlock(procs: int) -> None:
    import threading

    async def child(ev: threading.Event, ch: gort.Chan) -> None:
        await gort.syscall(ev.wait, 0.2)
        await ch.send(1)

    async def main() -> int:
        ch = gort.chan()
        gort.go(child, threading.Event(), ch)
        return await ch.recv()

    assert gort.run(main, procs=procs) == 1


def test_catching_it_as_cancel_does_not_hang() -> None:
    """Main swallows the cancel that comes with a deadlock: run still raises."""

    async def main() -> str:
        try:
            await gort.chan().recv()
        except BaseException:
            pass
        return "swallowed"

    with pytest.raises(gort.DeadlockError):
        gort.run(main)


# Threads that module threading does not know.


class Sem:
    """A semaphore of C's, and a thread of C's that waits for it and never calls Python."""

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None)
        self.sem = ctypes.create_string_buffer(64)
        assert self.libc.sem_init(self.sem, 0, 0) == 0
        before = set(os.listdir("/proc/self/task"))
        tid = ctypes.c_ulong()
        entry = ctypes.cast(self.libc.sem_wait, ctypes.c_void_p)
        assert self.libc.pthread_create(ctypes.byref(tid), None, entry, self.sem) == 0
        self.libc.pthread_detach(tid)
        (self.task,) = set(os.listdir("/proc/self/task")) - before

    def end(self) -> None:
        """Let the thread go, and see it gone."""
        self.libc.sem_post(self.sem)
        while os.path.exists(f"/proc/self/task/{self.task}"):
            time.sleep(0.001)


def bythread(fn: Any) -> Any:
    _thread.start_new_thread(fn, ())


def byc(fn: Any) -> Any:
    libc = ctypes.CDLL(None)

    def body(arg: Any) -> None:
        fn()

    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(body)
    tid = ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(tid), None, call, None) == 0
    libc.pthread_detach(tid)
    return call


@pytest.mark.parametrize("start", [bythread, byc])
@pytest.mark.parametrize("early", [False, True])
def test_a_thread_that_threading_does_not_know(start: Any, early: bool, procs: int) -> None:
    """Also one that was there before the run, if it came after gort."""
    ch = gort.chan(1)
    pause = _thread.allocate_lock()
    pause.acquire()
    done = _thread.allocate_lock()
    done.acquire()

    def body() -> None:
        pause.acquire(True, 0.3)  # the time for a false alarm
        while gort.num_goroutine() == 0:
            time.sleep(0.001)
        ch.send_nowait("called")
        done.release()

    async def main() -> Any:
        if not early:
            kept.append(start(body))
        return await ch.recv()

    kept = [start(body)] if early else []
    assert gort.run(main, procs=procs) == "called"
    done.acquire()


def test_a_thread_of_c_that_came_during_the_run(procs: int) -> None:
    """It may call as long as it lives, and no longer."""
    sem: list[Sem] = []
    log: list[str] = []

    def ends() -> None:
        time.sleep(0.3)  # the time for a false alarm
        log.append("alive")
        sem[0].end()

    async def main() -> None:
        sem.append(Sem())
        kept.append(byc(ends))
        await gort.chan().recv()

    kept: list[Any] = []
    with pytest.raises(gort.DeadlockError):
        gort.run(main, procs=procs)
    assert log == ["alive"]


def test_a_thread_of_c_that_was_there_before(procs: int) -> None:
    """Nobody can tell one of a library's pool from one that will call: it is left out."""
    sem = Sem()

    async def main() -> None:
        await gort.chan().recv()

    try:
        with pytest.raises(gort.DeadlockError):
            gort.run(main, procs=procs)
    finally:
        sem.end()
