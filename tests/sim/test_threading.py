"""threading's locks and threads under the simulator: virtual, and named where they hang."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import gort
from gort.testing import SimFailure, run_sim, sweep

LOCK = threading.Lock()
RLOCK = threading.RLock()


class Cache:
    def __init__(self, lock: Any) -> None:
        self.lock = lock


def test_a_lock_across_an_await_is_waited_for_in_virtual_time() -> None:
    async def main() -> None:
        lock = threading.Lock()
        log = []

        async def worker(i: int) -> None:
            with lock:
                log.append(i)
                await gort.sleep(60)
                log.append(i)

        async with gort.group() as grp:
            for i in range(3):
                grp.go(worker, i)
        assert log[0] == log[1] and log[2] == log[3] and log[4] == log[5]
        assert not lock.locked()

    sweep(main, seeds=10)
    sweep(main, seeds=4, procs=1)


def held(make: Callable[[], Any]) -> Callable[[], Any]:
    async def main() -> None:
        lock = make()
        never = gort.chan()

        async def holder() -> None:
            gort.lock_os_thread()  # an RLock lets its thread in again
            with lock:
                await never.recv()

        async def wants() -> None:
            with lock:
                pass

        gort.go(holder)
        await gort.sleep(1)
        await gort.go(wants)

    return main


@pytest.mark.parametrize(
    "make",
    [
        lambda: LOCK,
        threading.Lock,
        threading.RLock,
        threading.Condition,
        threading.Semaphore,
    ],
)
def test_a_lock_that_nobody_lets_go_is_named(make: Callable[[], Any]) -> None:
    main = held(make)
    for seed in range(3):
        with pytest.raises(SimFailure) as failed:
            run_sim(main, seed=seed)
        text = str(failed.value)
        assert " wants waits for threading." in text, text
        if make is not threading.Semaphore:
            assert "holder took it at" in text and "test_threading.py" in text
            assert "holds it while it waits: receive on chan" in text and "in holder" in text
    assert not LOCK.locked()


def outside(lock: Any, style: str) -> Callable[[], Any]:
    cache = Cache(lock)

    async def main() -> None:
        async def holder() -> None:
            gort.lock_os_thread()
            with cache.lock:
                await gort.sleep(5)

        async def bare() -> None:
            gort.lock_os_thread()
            cache.lock.acquire()
            await gort.sleep(5)
            cache.lock.release()

        async def wants() -> None:
            with cache.lock:
                pass

        gort.go(holder if style == "with" else bare)
        await gort.sleep(1)
        await gort.go(wants)

    return main


@pytest.mark.parametrize("style", ["with", "acquire"])
@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_a_real_lock_from_outside_is_named(make: Any, style: str) -> None:
    with pytest.raises(SimFailure) as failed:
        run_sim(outside(make(), style), seed=0)
    text = str(failed.value)
    kind = "RLock" if make is threading.RLock else "Lock"
    assert f"waits for threading.{kind} cache.lock at" in text, text
    name = "g2 holder" if style == "with" else "g2 bare"
    assert f"{name} took it at" in text and "holds it while it waits: sleep" in text
    assert text.count("test_threading.py") == 3
    assert run_sim(lambda: 5) == 5  # nothing is left of it


def test_a_queue_from_outside_is_named() -> None:
    q: queue.Queue[int] = queue.Queue()

    async def main() -> None:
        async def holder() -> None:
            with q.mutex:
                await gort.sleep(5)

        gort.go(holder)
        await gort.sleep(1)
        q.put(1)

    with pytest.raises(SimFailure, match=r"g1 main waits for threading.Lock .*g2 holder took it"):
        run_sim(main)


def test_a_long_call_is_no_lock() -> None:
    """What stands still without wanting a lock goes on."""
    real = time.sleep

    async def main() -> str:
        with LOCK:
            real(3.5)
        return "done"

    assert run_sim(main) == "done"


def test_what_is_built_of_locks() -> None:
    async def main() -> None:
        start = time.monotonic()
        q: queue.Queue[int] = queue.Queue(1)
        simple: queue.SimpleQueue[int] = queue.SimpleQueue()
        done = threading.Event()
        sem = threading.Semaphore(0)
        rlock = threading.RLock()
        cond = threading.Condition()
        state = []

        def consumer() -> None:
            for i in range(3):
                assert q.get() == i
            simple.put(7)
            done.wait()
            with rlock, rlock:
                sem.release()
            with cond:
                while not state:
                    cond.wait()
            state.append(2)

        t = threading.Thread(target=consumer)
        t.start()
        for i in range(3):
            await gort.sleep(10)
            q.put(i)
        assert await gort.syscall(simple.get) == 7
        assert not done.wait(5)
        assert not sem.acquire(timeout=5)
        done.set()
        await gort.syscall(sem.acquire)
        with cond:
            state.append(1)
            cond.notify()
        await gort.syscall(t.join)
        assert not t.is_alive() and state == [1, 2]
        with pytest.raises(queue.Empty):
            await gort.syscall(q.get, True, 30)
        assert 70 <= time.monotonic() - start < 71

    sweep(main, seeds=10)


def test_threads_are_virtual() -> None:
    async def main() -> None:
        start = time.monotonic()
        seen = []

        class Worker(threading.Thread):
            def run(self) -> None:
                time.sleep(60)
                seen.append(threading.current_thread() is self)

        ts = [Worker(name=f"w{i}") for i in range(3)]
        for t in ts:
            t.start()
            with pytest.raises(RuntimeError, match="only be started once"):
                t.start()
        await gort.syscall(ts[0].join, 1)
        assert ts[0].is_alive()
        for t in ts:
            await gort.syscall(t.join)
        assert seen == [True] * 3
        timer = threading.Timer(3600, seen.append, [4])
        timer.start()
        await gort.syscall(timer.join)
        assert seen[3] == 4
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(time.sleep, 100) for _ in range(4)]
            for f in futures:
                await gort.syscall(f.result)
        assert 3860 <= time.monotonic() - start < 3861

    sweep(main, seeds=6)


def test_nothing_stays_patched() -> None:
    before = (
        threading.Lock,
        threading.RLock,
        threading.Thread.start,
        threading.Thread.__init__,
        queue.SimpleQueue,
        LOCK,
    )
    made: list[Any] = []

    async def main() -> None:
        made.append(threading.Lock())
        made.append(threading.RLock())
        assert isinstance(made[0], type(made[0]))

    run_sim(main)
    assert before == (
        threading.Lock,
        threading.RLock,
        threading.Thread.start,
        threading.Thread.__init__,
        queue.SimpleQueue,
        LOCK,
    )
    for lock in made:  # they are locks for who keeps them
        with lock:
            assert lock.locked()
            with ThreadPoolExecutor(1) as pool:
                assert not pool.submit(lock.acquire, timeout=0.01).result()
        assert not lock.locked()


def test_a_seed_replays_with_locks() -> None:
    from gort.testing import simulate, strategy_of

    async def main() -> None:
        lock = threading.Lock()

        async def worker() -> None:
            for _ in range(3):
                with lock:
                    await gort.gosched()

        async with gort.group() as grp:
            for _ in range(4):
                grp.go(worker)

    for seed in range(4):
        runs = [simulate(main, strategy=strategy_of(seed), procs=3) for _ in range(2)]
        assert runs[0].digest == runs[1].digest
