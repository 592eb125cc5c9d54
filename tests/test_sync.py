"""gort.sync: what each primitive promises, with cancels, threads and several Ps."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import inspect
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import gort
from gort.sync import Cond, Mutex, Once, RWMutex, Semaphore, WaitGroup


async def parked(*gs: gort.Goroutine, reason: str = "") -> None:
    """Until every one of gs waits (for that reason)."""
    for g in gs:
        while g.status != "waiting" or (reason and g.wait_reason != reason):
            assert not g.done()
            await gort.gosched()


async def cancelled(g: gort.Goroutine) -> None:
    g.cancel()
    with pytest.raises(gort.Cancelled):
        await g


def in_thread(fn: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    out: list[Any] = []

    def body() -> None:
        try:
            out.append(fn())
        except BaseException as exc:
            out.append(exc)

    t = threading.Thread(target=body)
    t.start()
    return t, out


async def join(t: threading.Thread) -> None:
    await gort.syscall(t.join)


# Every op that waits: how to make it wait, to let one waiter go, to get the ground state back.


class Case:
    reason = ""

    async def block(self) -> None: ...
    def wait(self) -> Any: ...
    def admit(self) -> None: ...
    def leave(self) -> None: ...
    def idle(self) -> bool:
        return True

    async def use(self) -> None:
        await self.wait()
        self.leave()


class MutexCase(Case):
    reason = "sync.Mutex.Lock"

    def __init__(self) -> None:
        self.x = Mutex()

    async def block(self) -> None:
        await self.x.lock()

    def wait(self) -> Any:
        return self.x.lock()

    def admit(self) -> None:
        self.x.unlock()

    def leave(self) -> None:
        self.x.unlock()

    def idle(self) -> bool:
        if not self.x.try_lock():
            return False
        self.x.unlock()
        return True


class WriterCase(MutexCase):
    reason = "sync.RWMutex.Lock"

    def __init__(self) -> None:
        self.x = RWMutex()  # type: ignore[assignment]


class WriterBehindReaderCase(WriterCase):
    async def block(self) -> None:
        await self.x.rlock()  # type: ignore[attr-defined]

    def admit(self) -> None:
        self.x.runlock()  # type: ignore[attr-defined]


class ReaderCase(WriterCase):
    reason = "sync.RWMutex.RLock"

    def wait(self) -> Any:
        return self.x.rlock()  # type: ignore[attr-defined]

    def leave(self) -> None:
        self.x.runlock()  # type: ignore[attr-defined]


class WaitGroupCase(Case):
    reason = "sync.WaitGroup.Wait"

    def __init__(self) -> None:
        self.x = WaitGroup()

    async def block(self) -> None:
        self.x.add()

    def wait(self) -> Any:
        return self.x.wait()

    def admit(self) -> None:
        self.x.done()


class SemaphoreCase(Case):
    reason = "semacquire"

    def __init__(self) -> None:
        self.x = Semaphore(2)

    async def block(self) -> None:
        await self.x.acquire(2)

    def wait(self) -> Any:
        return self.x.acquire(2)

    def admit(self) -> None:
        self.x.release(2)

    def leave(self) -> None:
        self.x.release(2)

    def idle(self) -> bool:
        if not self.x.try_acquire(2):
            return False
        self.x.release(2)
        return True


class CondCase(Case):
    """The waiter holds the mutex before and after."""

    reason = "sync.Cond.Wait"

    def __init__(self) -> None:
        self.mu = Mutex()
        self.x = Cond(self.mu)

    def wait(self) -> Any:
        assert self.mu.try_lock()
        return self.x.wait()

    def admit(self) -> None:
        self.x.signal()

    async def use(self) -> None:
        try:
            await self.wait()
        finally:
            self.leave()  # a cancelled wait too raises with the mutex held

    def leave(self) -> None:
        self.mu.unlock()

    def idle(self) -> bool:
        if not self.mu.try_lock():
            return False
        self.mu.unlock()
        return True


CASES = [
    MutexCase,
    WriterCase,
    WriterBehindReaderCase,
    ReaderCase,
    WaitGroupCase,
    SemaphoreCase,
    CondCase,
]
each = pytest.mark.parametrize("case", CASES)


@each
def test_waits_until_let_go(case: type[Case], procs: int) -> None:
    async def main() -> None:
        c = case()
        await c.block()

        async def waiter() -> Any:
            value = await c.wait()
            c.leave()
            return value

        g = gort.go(waiter)
        await parked(g, reason=c.reason)
        c.admit()
        assert await g is None
        assert c.idle()

    gort.run(main, procs=procs)


@each
def test_cancel_leaves_the_queue(case: type[Case], procs: int) -> None:
    """Cancelled waiters before, between and behind one that stays; nothing is lost."""

    async def main() -> None:
        c = case()
        await c.block()

        gs = []
        for _ in range(5):
            gs.append(gort.go(c.use))
            await parked(gs[-1], reason=c.reason)
        for i in (0, 2, 4):
            gs[i].cancel()
        for i in (0, 2, 4):
            with pytest.raises(gort.Cancelled):
                await gs[i]
        for i in (1, 3):
            c.admit() if i == 1 or case is CondCase else None
            await gs[i]
        assert c.idle()

    gort.run(main, procs=procs)


@each
def test_all_waiters_cancelled(case: type[Case], procs: int) -> None:
    async def main() -> None:
        c = case()
        await c.block()

        for _ in range(3):
            g = gort.go(c.use)
            await parked(g, reason=c.reason)
            await cancelled(g)
        c.admit()
        assert c.idle()

    gort.run(main, procs=procs)


@each
def test_cancelled_before_it_starts(case: type[Case], procs: int) -> None:
    """A goroutine that is cancelled already: the op raises, and had no effect."""

    async def main() -> None:
        c = case()
        seen = []

        async def waiter() -> None:
            me = gort.current()
            assert me is not None
            op = c.wait()
            me.cancel()
            try:
                await op
            except gort.Cancelled:
                seen.append(1)
                raise

        g = gort.go(waiter)
        with pytest.raises(gort.Cancelled):
            await g
        assert seen == [1]
        if case is CondCase:
            c.leave()  # which waiter() took; the wait did not drop it
        assert c.idle()

    gort.run(main, procs=procs)


@each
def test_cancel_against_grant(case: type[Case], procs: int) -> None:
    """Cancel and grant at about the same time: one of them wins, nothing is lost."""

    async def main() -> None:
        c = case()
        got = 0
        for i in range(300):
            await c.block()
            held = False

            async def waiter() -> None:
                nonlocal held
                await c.wait()
                held = True
                c.leave()

            g = gort.go(waiter)
            await parked(g, reason=c.reason)
            h = gort.go(g.cancel)
            if i % 3:
                await gort.gosched()
            c.admit()
            try:
                await g
                assert held
                got += 1
            except gort.Cancelled:
                if case is CondCase and not held:
                    c.leave()
            await h
            assert c.idle()

    gort.run(main, procs=procs)


@each
def test_gort_wait_from_a_thread(case: type[Case], procs: int) -> None:
    async def main() -> None:
        c = case()
        await c.block()
        ready = gort.chan()

        def body() -> str:
            op = c.wait()
            ready.close()
            gort.wait(op)
            c.leave()
            return "had it"

        t, out = in_thread(body)
        await ready.recv_ok()
        time.sleep(0.005)  # likely, not surely, asleep by now: either way it must come through
        if case is CondCase:
            while not c.idle():  # it drops the mutex once it is queued
                await gort.gosched()
        c.admit()
        await join(t)
        assert out == ["had it"]
        assert c.idle()

    gort.run(main, procs=procs)


@each
def test_gort_wait_times_out(case: type[Case], procs: int) -> None:
    async def main() -> None:
        c = case()
        await c.block()
        t, out = in_thread(lambda: gort.wait(c.wait(), timeout=0.005))
        await join(t)
        assert isinstance(out[0], TimeoutError)
        if case is CondCase:
            c.leave()
        c.admit()
        assert c.idle()

    gort.run(main, procs=procs)


@each
def test_plain_goroutine_waits(case: type[Case], procs: int) -> None:
    async def main() -> None:
        c = case()
        await c.block()
        ready = gort.chan()

        def body() -> str:
            op = c.wait()
            ready.close()
            gort.wait(op)
            c.leave()
            return "had it"

        g = gort.go(body)
        await ready.recv_ok()
        if case is CondCase:
            while not c.idle():
                await gort.gosched()
        c.admit()
        assert await g == "had it"
        assert c.idle()

    gort.run(main, procs=procs)


@each
def test_main_returns_while_somebody_waits(case: type[Case], procs: int) -> None:
    seen = []

    async def waiter(c: Case) -> None:
        try:
            await c.wait()
        except gort.Cancelled:
            seen.append(1)
            raise

    async def main() -> None:
        c = case()
        await c.block()
        for _ in range(1 if case is CondCase else 3):
            g = gort.go(waiter, c)
            await parked(g)

    gort.run(main, procs=procs)
    assert len(seen) == (1 if case is CondCase else 3)


@each
def test_deadlock_names_the_wait(case: type[Case], procs: int) -> None:
    async def main() -> None:
        c = case()
        await c.block()
        await c.wait()

    with pytest.raises(gort.DeadlockError, match=case.reason.replace(".", r"\.")):
        gort.run(main, procs=procs)


@each
def test_op_is_used_once_and_not_by_select(case: type[Case]) -> None:
    async def main() -> None:
        c = case()
        op = c.wait()
        with pytest.raises(TypeError, match="select case 0"):
            gort.select(op)
        if case is CondCase:
            return
        await op
        with pytest.raises(RuntimeError, match="used already"):
            await op

    gort.run(main)


@each
def test_outside_the_runtime(case: type[Case]) -> None:
    c = case()
    op = c.wait()
    with pytest.raises(RuntimeError, match="gort"):
        op.__await__().__next__()
    with pytest.raises(RuntimeError, match="no gort runtime is up"):
        gort.wait(c.wait() if case is not CondCase else op)


@each
def test_records_reject_unknown_attributes(case: type[Case]) -> None:
    c: Any = case()
    with pytest.raises(AttributeError):
        c.x.nonsense = 1
    assert type(c.x).__name__ in repr(c.x)


def test_a_waiter_is_not_kept(procs: int) -> None:
    """What waited and was cancelled is referred to by nothing."""

    class Token:
        pass

    async def main() -> None:
        mu = Mutex()
        await mu.lock()

        async def waiter(token: Token) -> None:
            await mu.lock()

        token = Token()
        ref = weakref.ref(token)
        g = gort.go(waiter, token)
        await parked(g)
        del token
        await cancelled(g)
        del g
        for _ in range(100):
            gc.collect()
            if ref() is None:
                break
            await gort.sleep(0.001)
        assert ref() is None
        mu.unlock()

    gort.run(main, procs=procs)


# Mutex


def test_mutex_excludes(procs: int) -> None:
    async def main() -> int:
        mu = Mutex()
        n = inside = 0

        async def worker(i: int) -> None:
            nonlocal n, inside
            for k in range(100):
                async with mu:
                    inside += 1
                    assert inside == 1
                    seen = n
                    if (i + k) % 3:
                        await gort.gosched()
                    n = seen + 1
                    inside -= 1

        wg = WaitGroup()
        gs = [wg.go(worker, i) for i in range(20)]
        await wg.wait()
        for g in gs:
            await g
        assert mu.try_lock()
        return n

    assert gort.run(main, procs=procs) == 2000


def test_mutex_excludes_threads_and_goroutines(procs: int) -> None:
    async def main() -> int:
        mu = Mutex()
        n = 0

        async def worker() -> None:
            nonlocal n
            for _ in range(100):
                async with mu:
                    seen = n
                    await gort.gosched()
                    n = seen + 1

        def thread() -> None:
            nonlocal n
            for _ in range(100):
                gort.wait(mu.lock())
                seen = n
                n = seen + 1
                mu.unlock()

        gs = [gort.go(worker) for _ in range(4)] + [gort.go(thread)]
        ts = [in_thread(thread) for _ in range(2)]
        for g in gs:
            await g
        for t, out in ts:
            await join(t)
            assert out == [None]
        return n

    assert gort.run(main, procs=procs) == 700


def test_mutex_with_random_cancels(procs: int) -> None:
    async def main() -> None:
        mu = Mutex()
        inside = 0

        async def worker() -> None:
            nonlocal inside
            while True:
                async with mu:
                    inside += 1
                    assert inside == 1
                    try:
                        await gort.gosched()
                    finally:
                        inside -= 1

        gs = [gort.go(worker) for _ in range(12)]
        for g in gs:
            for _ in range(10):
                await gort.gosched()
            await cancelled(g)
        assert inside == 0
        assert mu.try_lock()

    gort.run(main, procs=procs)


def test_mutex_is_fifo_in_starvation_mode() -> None:
    """Waiters that have waited 1 ms get it in their order, before who comes later."""

    async def main() -> list[int]:
        mu = Mutex()
        order: list[int] = []
        await mu.lock()

        async def waiter(i: int) -> None:
            async with mu:
                order.append(i)

        gs = []
        for i in range(5):
            gs.append(gort.go(waiter, i))
            await parked(gs[-1])
        await gort.sleep(0.003)
        mu.unlock()
        for g in gs:
            await g
        return order

    assert gort.run(main, procs=1) == [0, 1, 2, 3, 4]


def test_normal_mode_lets_a_running_goroutine_take_it() -> None:
    async def main() -> None:
        mu = Mutex()
        await mu.lock()

        async def waiter() -> None:
            async with mu:
                pass

        g = gort.go(waiter)
        await parked(g)
        mu.unlock()
        # g is awake but has not run: procs is 1.
        assert mu.try_lock()
        mu.unlock()
        await g

    gort.run(main, procs=1)


def test_starvation_mode_hands_over() -> None:
    """A hog that locks again at once yields to a waiter that lost after 1 ms."""

    async def main() -> int:
        mu = Mutex()
        stop = False
        rounds = 0

        async def hog() -> None:
            nonlocal rounds
            while not stop:
                async with mu:
                    rounds += 1
                    await gort.gosched()

        async def victim() -> None:
            nonlocal stop
            async with mu:
                stop = True

        h = gort.go(hog)
        while rounds == 0:
            await gort.gosched()
        v = gort.go(victim)
        await v
        await h
        assert mu.try_lock()
        return rounds

    for procs in (1, 2):
        assert gort.run(main, procs=procs) > 0


def test_starving_mutex_is_never_free_to_others() -> None:
    async def main() -> None:
        mu = Mutex()
        order: list[str] = []
        await mu.lock()
        go_on = gort.chan()

        async def waiter(name: str) -> None:
            await mu.lock()
            order.append(name)
            await go_on.recv()
            mu.unlock()

        a = gort.go(waiter, "a")
        await parked(a)
        b = gort.go(waiter, "b")
        await parked(b)
        await gort.sleep(0.003)
        # Normal mode still: a wakes, and loses to us; now it has waited too long.
        mu.unlock()
        assert mu.try_lock()
        await gort.gosched()
        await parked(a)
        mu.unlock()
        assert not mu.try_lock()  # handed to a
        c = gort.go(waiter, "c")
        await parked(c)
        await go_on.send(None)
        await a
        assert not mu.try_lock()  # handed to b
        await go_on.send(None)
        await b
        await go_on.send(None)
        await c
        assert order == ["a", "b", "c"]
        assert mu.try_lock()

    gort.run(main, procs=1)


def test_hand_off_skips_a_cancelled_waiter() -> None:
    async def main() -> None:
        mu = Mutex()
        await mu.lock()

        async def waiter() -> None:
            async with mu:
                pass

        gs = []
        for _ in range(3):
            gs.append(gort.go(waiter))
            await parked(gs[-1])
        gs[0].cancel()  # not run yet: it stands in the queue, and cannot be won
        mu.unlock()
        with pytest.raises(gort.Cancelled):
            await gs[0]
        await gs[1]
        await gs[2]
        assert mu.try_lock()

    gort.run(main, procs=1)


def test_woken_waiter_that_is_cancelled_passes_it_on() -> None:
    """Cancelled after it was woken, and it loses: whoever is next is not forgotten."""

    async def main() -> None:
        mu = Mutex()
        await mu.lock()

        async def waiter() -> None:
            async with mu:
                pass

        a = gort.go(waiter)
        await parked(a)
        b = gort.go(waiter)
        await parked(b)
        mu.unlock()  # wakes a
        assert mu.try_lock()  # a will lose
        a.cancel()
        with pytest.raises(gort.Cancelled):
            await a
        mu.unlock()
        await b
        assert mu.try_lock()

    gort.run(main, procs=1)


def test_woken_waiter_that_is_cancelled_and_gets_it() -> None:
    """The op took effect: it returns, and the next one raises."""

    async def main() -> None:
        mu = Mutex()
        await mu.lock()
        got = []

        async def waiter() -> None:
            async with mu:
                got.append(1)
                await gort.gosched()

        a = gort.go(waiter)
        await parked(a)
        mu.unlock()
        a.cancel()
        with pytest.raises(gort.Cancelled):
            await a
        assert got == [1]
        assert mu.try_lock()

    gort.run(main, procs=1)


def test_unlock_of_unlocked() -> None:
    async def main() -> None:
        mu = Mutex()
        with pytest.raises(RuntimeError, match="unlock of an unlocked Mutex"):
            mu.unlock()
        async with mu:
            pass
        with pytest.raises(RuntimeError, match="unlock of an unlocked Mutex"):
            mu.unlock()
        assert mu.try_lock()
        mu.unlock()

    gort.run(main)
    with pytest.raises(RuntimeError, match="unlock of an unlocked Mutex"):
        Mutex().unlock()


def test_unlock_by_another(procs: int) -> None:
    async def main() -> None:
        mu = Mutex()
        await mu.lock()
        g = gort.go(mu.lock)
        await parked(g)
        t, out = in_thread(mu.unlock)
        await g
        await join(t)
        assert out == [None]
        mu.unlock()

    gort.run(main, procs=procs)


def test_try_lock() -> None:
    mu = Mutex()
    assert mu.try_lock()
    assert not mu.try_lock()
    assert repr(mu) == "<Mutex locked>"
    mu.unlock()
    assert repr(mu) == "<Mutex unlocked>"


def test_async_with_unlocks_on_an_exception(procs: int) -> None:
    async def main() -> None:
        mu = Mutex()
        with pytest.raises(KeyError):
            async with mu:
                raise KeyError(1)
        assert mu.try_lock()
        mu.unlock()

        async def held() -> None:
            async with mu:
                await gort.chan().recv()

        g = gort.go(held)
        await parked(g, reason="chan receive")
        await cancelled(g)
        assert mu.try_lock()

    gort.run(main, procs=procs)


def test_a_mutex_survives_its_runtime(procs: int) -> None:
    mu = Mutex()

    async def main() -> None:
        await mu.lock()
        g = gort.go(mu.lock)
        await parked(g)

    gort.run(main, procs=procs)
    mu.unlock()

    async def again() -> None:
        async with mu:
            g = gort.go(mu.lock)
            await parked(g)
        await g

    gort.run(again, procs=procs)


# RWMutex


def test_readers_share_and_writers_exclude(procs: int) -> None:
    async def main() -> None:
        rw = RWMutex()
        data = [0, 0]

        async def reader() -> None:
            for _ in range(50):
                async with rw.reader():
                    a = data[0]
                    assert data[1] == a
                    await gort.gosched()
                    assert data == [a, a]

        async def writer() -> None:
            for _ in range(50):
                async with rw:
                    seen = data[0]
                    await gort.gosched()
                    data[0] = seen + 1
                    await gort.gosched()
                    data[1] = seen + 1

        gs = [gort.go(reader) for _ in range(10)] + [gort.go(writer) for _ in range(4)]
        for g in gs:
            await g
        assert data == [200, 200]
        assert rw.try_lock()

    gort.run(main, procs=procs)


def test_readers_overlap() -> None:
    async def main() -> None:
        rw = RWMutex()
        async with rw.reader():
            async with rw.reader():
                assert repr(rw) == "<RWMutex 2 readers>"
                assert rw.try_rlock()
                rw.runlock()
                assert not rw.try_lock()
        assert rw.try_lock()
        assert not rw.try_rlock()
        assert repr(rw) == "<RWMutex locked>"

    gort.run(main)


def test_a_waiting_writer_keeps_new_readers_out(procs: int) -> None:
    async def main() -> None:
        rw = RWMutex()
        order: list[str] = []
        await rw.rlock()

        async def writer() -> None:
            async with rw:
                order.append("w")

        async def reader() -> None:
            async with rw.reader():
                order.append("r")

        w = gort.go(writer)
        await parked(w, reason="sync.RWMutex.Lock")
        assert not rw.try_rlock()
        r = gort.go(reader)
        await parked(r, reason="sync.RWMutex.RLock")
        rw.runlock()
        await w
        await r
        assert order == ["w", "r"]

    gort.run(main, procs=procs)


def test_unlock_admits_the_readers_before_the_next_writer(procs: int) -> None:
    async def main() -> None:
        rw = RWMutex()
        inside: list[str] = []
        leave = gort.chan()
        await rw.lock()

        async def writer() -> None:
            async with rw:
                inside.append("w")

        async def reader() -> None:
            async with rw.reader():
                inside.append("r")
                await leave.recv_ok()

        w = gort.go(writer)
        await parked(w)
        rs = [gort.go(reader) for _ in range(3)]
        await parked(*rs, reason="sync.RWMutex.RLock")
        rw.unlock()
        await parked(*rs, reason="chan receive")
        assert inside == ["r"] * 3
        leave.close()
        for g in [w, *rs]:
            await g
        assert inside == ["r"] * 3 + ["w"]

    gort.run(main, procs=procs)


def test_writers_are_fifo() -> None:
    async def main() -> list[int]:
        rw = RWMutex()
        order: list[int] = []
        await rw.lock()

        async def writer(i: int) -> None:
            async with rw:
                order.append(i)

        gs = []
        for i in range(5):
            gs.append(gort.go(writer, i))
            await parked(gs[-1])
        rw.unlock()
        for g in gs:
            await g
        return order

    assert gort.run(main, procs=1) == [0, 1, 2, 3, 4]


def test_a_cancelled_writer_lets_the_readers_in(procs: int) -> None:
    async def main() -> None:
        rw = RWMutex()
        await rw.rlock()
        w = gort.go(rw.lock)
        await parked(w)
        rs = [gort.go(rw.rlock) for _ in range(3)]
        await parked(*rs)
        await cancelled(w)
        for r in rs:
            await r
        for _ in range(4):
            rw.runlock()
        assert rw.try_lock()

    gort.run(main, procs=procs)


def test_last_reader_goes_while_the_writer_is_being_cancelled() -> None:
    async def main() -> None:
        rw = RWMutex()
        await rw.rlock()
        w = gort.go(rw.lock)
        await parked(w)
        r = gort.go(rw.rlock)
        await parked(r)
        w.cancel()  # has not run yet
        rw.runlock()
        await r
        with pytest.raises(gort.Cancelled):
            await w
        rw.runlock()
        assert rw.try_lock()

    gort.run(main, procs=1)


def test_rwmutex_with_random_cancels(procs: int) -> None:
    async def main() -> None:
        rw = RWMutex()
        state = [0, 0]

        async def worker(i: int) -> None:
            side: Any = rw if i % 3 == 0 else rw.reader()
            k = 0 if i % 3 == 0 else 1
            while True:
                async with side:
                    state[k] += 1
                    try:
                        assert state[0] == 0 or state == [1, 0]
                        await gort.gosched()
                    finally:
                        state[k] -= 1

        gs = [gort.go(worker, i) for i in range(12)]
        for g in gs:
            for _ in range(10):
                await gort.gosched()
            await cancelled(g)
        assert rw.try_lock()

    # Counters that two threads change are exact with one P alone.
    gort.run(main, procs=1)
    if procs > 1:
        state_free(procs)


def state_free(procs: int) -> None:
    """The same on several Ps, with nothing but the lock's own state to look at."""

    async def main() -> None:
        rw = RWMutex()

        async def worker(i: int) -> None:
            side: Any = rw if i % 3 == 0 else rw.reader()
            while True:
                async with side:
                    await gort.gosched()

        gs = [gort.go(worker, i) for i in range(12)]
        for g in gs:
            for _ in range(10):
                await gort.gosched()
            await cancelled(g)
        assert rw.try_lock()

    gort.run(main, procs=procs)


def test_rwmutex_misuse() -> None:
    async def main() -> None:
        rw = RWMutex()
        with pytest.raises(RuntimeError, match="not locked for writing"):
            rw.unlock()
        with pytest.raises(RuntimeError, match="not locked for reading"):
            rw.runlock()
        async with rw:
            with pytest.raises(RuntimeError, match="not locked for reading"):
                rw.runlock()
        async with rw.reader():
            with pytest.raises(RuntimeError, match="not locked for writing"):
                rw.unlock()
            g = gort.go(rw.lock)
            await parked(g)
            with pytest.raises(RuntimeError, match="not locked for writing"):
                rw.unlock()
        await g
        with pytest.raises(RuntimeError, match="not locked for reading"):
            rw.reader().unlock()
        rw.unlock()
        assert rw.try_lock()

    gort.run(main)


# WaitGroup


def test_wait_group(procs: int) -> None:
    async def main() -> int:
        wg = WaitGroup()
        n = []

        async def worker(i: int) -> None:
            await gort.gosched()
            n.append(i)
            wg.done()

        for i in range(100):
            wg.add()
            gort.go(worker, i)
        await wg.wait()
        await wg.wait()
        return len(n)

    assert gort.run(main, procs=procs) == 100


def test_wait_group_many_waiters_and_reuse(procs: int) -> None:
    async def main() -> None:
        wg = WaitGroup()
        for _ in range(20):
            wg.add(3)

            async def waiter() -> None:
                await wg.wait()

            gs = [gort.go(waiter) for _ in range(4)]
            await parked(*gs)
            wg.add(-2)
            for g in gs:
                assert g.status == "waiting"
            wg.done()
            for g in gs:
                await g
        assert repr(wg) == "<WaitGroup 0>"

    gort.run(main, procs=procs)


def test_wait_group_go(procs: int) -> None:
    async def main() -> None:
        wg = WaitGroup()

        async def double(x: int, *, plus: int = 0) -> int:
            await gort.gosched()
            return 2 * x + plus

        def plain(x: int) -> int:
            return x + 1

        class Callee:
            async def __call__(self) -> str:
                await gort.gosched()
                return "called"

        ch = gort.chan(1)
        gs = [wg.go(double, 4, plus=1), wg.go(plain, 6), wg.go(Callee()), wg.go(ch.send, 1)]
        await wg.wait()
        assert [await g for g in gs] == [9, 7, "called", None]
        assert len(ch) == 1

    gort.run(main, procs=procs)


def test_wait_group_go_counts_every_end(procs: int) -> None:
    async def main() -> None:
        wg = WaitGroup()

        async def fails() -> None:
            raise KeyError("it")

        async def exits() -> None:
            gort.goexit()

        def plain_fails() -> None:
            raise KeyError("it")

        async def waits() -> None:
            await gort.chan().recv()

        bad = wg.go(fails)
        plain = wg.go(plain_fails)
        out = wg.go(exits)
        cut = wg.go(waits)
        cut.cancel()
        await wg.wait()
        for g in (bad, plain):
            with pytest.raises(KeyError):
                await g
        assert await out is None
        with pytest.raises(gort.Cancelled):
            await cut

    gort.run(main, procs=procs)


def test_wait_group_go_panics_when_dropped(procs: int) -> None:
    async def fails() -> None:
        raise KeyError("nobody keeps me")

    async def main() -> None:
        wg = WaitGroup()
        wg.go(fails)
        await wg.wait()
        await gort.chan().recv()

    with pytest.raises(KeyError) as info:
        gort.run(main, procs=procs)
    assert any("in goroutine" in note for note in info.value.__notes__)


def test_wait_group_go_keeps_context_variables() -> None:
    var: contextvars.ContextVar[int] = contextvars.ContextVar("var")

    async def main() -> int:
        var.set(5)
        wg = WaitGroup()

        async def reads() -> int:
            return var.get()

        return await wg.go(reads)

    assert gort.run(main) == 5


def test_wait_group_misuse() -> None:
    async def main() -> None:
        wg = WaitGroup()
        with pytest.raises(RuntimeError, match="negative WaitGroup counter"):
            wg.done()
        wg.add(2)
        with pytest.raises(RuntimeError, match="negative WaitGroup counter"):
            wg.add(-3)
        wg.add(-2)
        await wg.wait()
        for bad in ("1", 1.5, None):
            with pytest.raises(TypeError, match="an int"):
                wg.add(bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError):
            wg.add(1 << 40)
        with pytest.raises(TypeError):
            wg.go(3)  # type: ignore[arg-type]

        async def one(a: int) -> None: ...

        with pytest.raises(TypeError):
            wg.go(one)
        await wg.wait()  # what could not start was not counted

    gort.run(main)
    with pytest.raises(RuntimeError, match="no gort runtime is up"):
        WaitGroup().go(main)


def test_wait_group_from_threads(procs: int) -> None:
    async def main() -> None:
        wg = WaitGroup()
        wg.add(200)
        ts = [in_thread(lambda: [wg.done() for _ in range(50)]) for _ in range(4)]
        await wg.wait()
        for t, _ in ts:
            await join(t)

    gort.run(main, procs=procs)


# Once


def test_once(procs: int) -> None:
    async def main() -> None:
        once = Once()
        calls = []

        async def init(x: int) -> int:
            calls.append(x)
            await gort.gosched()
            return x + 1

        gs = [gort.go(once.do, init, i) for i in range(20)]
        got = {await g for g in gs}
        assert len(calls) == 1
        assert got == {calls[0] + 1}
        assert await once.do(init, 99) == calls[0] + 1
        assert len(calls) == 1

    gort.run(main, procs=procs)


def test_once_waits_for_the_first(procs: int) -> None:
    async def main() -> None:
        once = Once()
        go_on = gort.chan()
        order: list[str] = []

        async def init() -> None:
            await go_on.recv()
            order.append("init")

        async def second() -> None:
            await once.do(init)
            order.append("second")

        a = gort.go(once.do, init)
        await parked(a, reason="chan receive")
        b = gort.go(second)
        c = gort.go(second)
        await parked(b, c, reason="sync.Mutex.Lock")
        await cancelled(c)
        await go_on.send(None)
        await a
        await b
        assert order == ["init", "second"]

    gort.run(main, procs=procs)


def test_once_of_a_failing_function_is_done(procs: int) -> None:
    async def main() -> None:
        once = Once()
        calls = []

        async def fails() -> int:
            calls.append(1)
            await gort.gosched()
            raise KeyError("first")

        a = gort.go(once.do, fails)
        b = gort.go(once.do, fails)
        got: list[Any] = []
        for g in (a, b):
            try:
                got.append(await g)
            except KeyError as exc:
                got.append(str(exc))
        assert sorted(got, key=str) == ["'first'", None]
        assert await once.do(fails) is None
        assert calls == [1]

    gort.run(main, procs=procs)


def test_once_of_a_cancelled_function_is_done(procs: int) -> None:
    async def main() -> None:
        once = Once()

        async def waits() -> None:
            await gort.chan().recv()

        a = gort.go(once.do, waits)
        await parked(a, reason="chan receive")
        b = gort.go(once.do, waits)
        await parked(b)
        await cancelled(a)
        assert await b is None

    gort.run(main, procs=procs)


def test_once_plain_and_nested() -> None:
    async def main() -> None:
        once = Once()
        assert await once.do(int, "7") == 7
        assert await once.do(int, "8") == 7
        with pytest.raises(TypeError, match="a function"):
            once.do(3)  # type: ignore[call-overload]
        inner = Once()

        async def nested() -> None:
            await inner.do(nested)

        with pytest.raises(RuntimeError, match="deadlock"):
            await inner.do(nested)

    gort.run(main)


def test_once_do_is_lazy() -> None:
    async def main() -> None:
        once = Once()
        coro: Any = once.do(int, "1")
        coro.close()
        assert await once.do(int, "2") == 2

    gort.run(main)


# Cond


def lockers() -> list[Any]:
    return [Mutex(), RWMutex(), RWMutex().reader()]


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_cond_queue(kind: int, procs: int) -> None:
    """A bounded queue, the classic: every item comes through once."""

    async def main() -> None:
        lock = lockers()[kind]
        if kind == 2:
            lock = RWMutex()  # a reader's side does not exclude: see the next test
        notempty, notfull = Cond(lock), Cond(lock)
        items: list[int] = []
        got: list[int] = []

        async def producer(k: int) -> None:
            for i in range(50):
                async with lock:
                    while len(items) == 3:
                        await notfull.wait()
                    items.append(k * 50 + i)
                    notempty.signal()

        async def consumer() -> None:
            for _ in range(50):
                async with lock:
                    while not items:
                        await notempty.wait()
                    got.append(items.pop(0))
                    notfull.signal()

        gs = [gort.go(producer, k) for k in range(4)] + [gort.go(consumer) for _ in range(4)]
        for g in gs:
            await g
        assert sorted(got) == list(range(200))
        assert not items

    gort.run(main, procs=procs)


def test_cond_on_the_reading_side(procs: int) -> None:
    async def main() -> None:
        rw = RWMutex()
        c = Cond(rw.reader())
        ready = False

        async def waiter() -> None:
            async with rw.reader():
                while not ready:
                    await c.wait()

        gs = [gort.go(waiter) for _ in range(4)]
        await parked(*gs, reason="sync.Cond.Wait")
        async with rw:
            ready = True
            c.broadcast()
            await parked(*gs, reason="sync.RWMutex.RLock")
        for g in gs:
            await g
        assert rw.try_lock()

    gort.run(main, procs=procs)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_cond_signal_is_fifo(kind: int) -> None:
    async def main() -> list[int]:
        lock = lockers()[kind]
        c = Cond(lock)
        order: list[int] = []

        async def waiter(i: int) -> None:
            async with lock:
                await c.wait()
                order.append(i)

        gs = []
        for i in range(5):
            gs.append(gort.go(waiter, i))
            await parked(gs[-1], reason="sync.Cond.Wait")
        for n in range(1, 6):
            c.signal()
            while len(order) < n:
                await gort.gosched()
        c.signal()  # nobody waits: it is not kept
        for g in gs:
            await g
        return order

    assert gort.run(main) == [0, 1, 2, 3, 4]


def test_cond_broadcast_wakes_all_and_no_later_one(procs: int) -> None:
    async def main() -> None:
        mu = Mutex()
        c = Cond(mu)
        rounds = [0] * 5

        async def waiter(i: int) -> None:
            async with mu:
                while True:
                    await c.wait()
                    rounds[i] += 1

        gs = [gort.go(waiter, i) for i in range(5)]
        for n in range(1, 4):
            await parked(*gs, reason="sync.Cond.Wait")
            c.broadcast()
            while sum(rounds) < 5 * n:
                await gort.gosched()
        await parked(*gs, reason="sync.Cond.Wait")
        assert rounds == [3] * 5
        for g in gs:
            g.cancel()
        for g in gs:
            with pytest.raises(gort.Cancelled):
                await g
        assert mu.try_lock()

    gort.run(main, procs=procs)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_cancelled_cond_wait_raises_with_the_lock(kind: int, procs: int) -> None:
    """Also where somebody holds the lock at the time of the cancel."""

    async def main() -> None:
        lock = lockers()[kind]
        other = lock if kind != 2 else RWMutex()
        if kind == 2:
            lock = other.reader()
        c = Cond(lock)
        inside = False
        log: list[str] = []

        async def waiter() -> None:
            nonlocal inside
            await lock.lock()
            try:
                await c.wait()
            except gort.Cancelled:
                assert not inside
                log.append("cancelled with the lock")
                raise
            finally:
                lock.unlock()

        g = gort.go(waiter)
        await parked(g, reason="sync.Cond.Wait")
        async with other:
            inside = True
            g.cancel()
            await parked(
                g, reason=["sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock"][kind]
            )
            g.cancel()  # once more does not tear it off the lock
            await gort.gosched()
            assert not log
            inside = False
        with pytest.raises(gort.Cancelled):
            await g
        assert log == ["cancelled with the lock"]
        assert other.try_lock()

    gort.run(main, procs=procs)


def test_a_signalled_waiter_is_past_cancelling() -> None:
    """The signal was taken: wait returns with the lock, the next op raises."""

    async def main() -> None:
        mu = Mutex()
        c = Cond(mu)
        log: list[str] = []

        async def waiter() -> None:
            async with mu:
                await c.wait()
                log.append("signalled")
                await gort.gosched()

        a = gort.go(waiter)
        await parked(a, reason="sync.Cond.Wait")
        async with mu:
            c.signal()
            await parked(a, reason="sync.Mutex.Lock")
            a.cancel()
        with pytest.raises(gort.Cancelled):
            await a
        assert log == ["signalled"]
        assert mu.try_lock()

    gort.run(main, procs=1)


def test_no_signal_goes_to_a_cancelled_waiter() -> None:
    async def main() -> None:
        mu = Mutex()
        c = Cond(mu)

        async def waiter() -> None:
            async with mu:
                await c.wait()

        a = gort.go(waiter)
        await parked(a, reason="sync.Cond.Wait")
        b = gort.go(waiter)
        await parked(b, reason="sync.Cond.Wait")
        a.cancel()
        c.signal()
        await b
        with pytest.raises(gort.Cancelled):
            await a
        assert mu.try_lock()

    gort.run(main, procs=1)


def test_cond_random_cancels(procs: int) -> None:
    async def main() -> None:
        mu = Mutex()
        c = Cond(mu)
        inside = 0

        async def waiter() -> None:
            nonlocal inside
            async with mu:
                while True:
                    try:
                        await c.wait()
                    finally:
                        inside += 1
                        assert inside == 1
                        inside -= 1

        gs = [gort.go(waiter) for _ in range(10)]
        for i, g in enumerate(gs):
            for _ in range(5):
                c.signal() if i % 2 else c.broadcast()
                await gort.gosched()
            await cancelled(g)
        assert mu.try_lock()

    gort.run(main, procs=procs)


def test_cond_thread_retakes_the_lock_after_a_timeout(procs: int) -> None:
    async def main() -> None:
        mu = Mutex()
        c = Cond(mu)
        held = gort.chan()

        def body() -> str:
            gort.wait(mu.lock())
            try:
                gort.wait(c.wait(), timeout=0.01)
            except TimeoutError:
                assert not mu.try_lock()
                mu.unlock()
                return "timed out with the lock"
            return "?"

        t, out = in_thread(body)
        while True:  # until it has dropped the mutex in wait
            async with mu:
                pass
            if not t.is_alive():
                break
            await gort.sleep(0.001)
        await join(t)
        assert out == ["timed out with the lock"]
        assert len(held) == 0
        assert mu.try_lock()

    gort.run(main, procs=procs)


def test_cond_misuse() -> None:
    for bad in (None, 3, threading.Lock()):
        with pytest.raises(TypeError, match="Cond wants"):
            Cond(bad)  # type: ignore[arg-type]

    async def main() -> None:
        for lock in lockers():
            c = Cond(lock)
            with pytest.raises(RuntimeError, match="without its lock"):
                await c.wait()
            c.signal()
            c.broadcast()

    gort.run(main)


def test_a_lock_nobody_drops_is_a_deadlock(procs: int) -> None:
    """A Cond's waiter on its way to the lock cannot be cancelled; run still ends."""

    async def thief(mu: Mutex, c: Cond) -> None:
        await mu.lock()
        c.signal()

    async def main() -> None:
        mu = Mutex()
        c = Cond(mu)
        await mu.lock()
        gort.go(thief, mu, c)
        await c.wait()

    with pytest.raises(gort.DeadlockError, match=r"sync\.Mutex\.Lock"):
        gort.run(main, procs=procs)


# Semaphore


def test_semaphore_bounds(procs: int) -> None:
    async def main() -> None:
        s = Semaphore(3)
        gate = Mutex()
        inside = most = 0

        async def worker() -> None:
            nonlocal inside, most
            for _ in range(20):
                async with s:
                    async with gate:
                        inside += 1
                        most = max(most, inside)
                    await gort.gosched()
                    async with gate:
                        inside -= 1

        gs = [gort.go(worker) for _ in range(10)]
        for g in gs:
            await g
        assert most == 3 if procs == 1 else most <= 3
        assert repr(s) == "<Semaphore 3/3 free>"

    gort.run(main, procs=procs)


def test_semaphore_is_weighted_and_fifo() -> None:
    async def main() -> list[int]:
        s = Semaphore(4)
        order: list[int] = []
        await s.acquire(4)

        async def worker(i: int, n: int) -> None:
            await s.acquire(n)
            order.append(i)

        gs = []
        for i, n in enumerate((1, 3, 1, 2)):
            gs.append(gort.go(worker, i, n))
            await parked(gs[-1])
        s.release(2)  # the first; the second wants 3, and holds up the others
        await gs[0]
        assert not s.try_acquire(1)
        assert [g.done() for g in gs] == [True, False, False, False]
        s.release(2)
        await gs[1]
        s.release(3)
        await gs[2]
        await gs[3]
        return order

    assert gort.run(main, procs=1) == [0, 1, 2, 3]


def test_semaphore_cancel_of_the_first_lets_others_pass(procs: int) -> None:
    async def main() -> None:
        s = Semaphore(3)
        await s.acquire(2)
        big = gort.go(s.acquire, 3)
        await parked(big)
        small = gort.go(s.acquire, 1)
        await parked(small)
        await cancelled(big)
        await small
        s.release(3)
        assert s.try_acquire(3)

    gort.run(main, procs=procs)


def test_semaphore_random_cancels(procs: int) -> None:
    async def main() -> None:
        s = Semaphore(4)

        async def worker(n: int) -> None:
            while True:
                await s.acquire(n)
                try:
                    await gort.gosched()
                finally:
                    s.release(n)

        gs = [gort.go(worker, 1 + i % 4) for i in range(12)]
        for g in gs:
            for _ in range(10):
                await gort.gosched()
            await cancelled(g)
        assert s.try_acquire(4)

    gort.run(main, procs=procs)


def test_semaphore_misuse() -> None:
    for bad in ("1", 1.5, None):
        with pytest.raises(TypeError, match="number of units"):
            Semaphore(bad)  # type: ignore[arg-type]
    for value in (-1, 1 << 40):
        with pytest.raises(ValueError):
            Semaphore(value)

    async def main() -> None:
        s = Semaphore(2)
        with pytest.raises(ValueError, match="could never be served"):
            s.acquire(3)
        assert not s.try_acquire(3)
        with pytest.raises(ValueError):
            s.acquire(-1)
        with pytest.raises(TypeError):
            s.release("2")  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="more than was acquired"):
            s.release()
        await s.acquire()
        with pytest.raises(RuntimeError, match="more than was acquired"):
            s.release(2)
        g = gort.go(s.acquire, 2)
        await parked(g)
        with pytest.raises(RuntimeError, match="more than was acquired"):
            s.release(2)
        s.release(1)
        await g
        await s.acquire(0)
        s.release(2)
        assert s.try_acquire(2)

    gort.run(main)


def test_semaphore_from_threads(procs: int) -> None:
    async def main() -> None:
        s = Semaphore(2)

        def body() -> None:
            for _ in range(50):
                gort.wait(s.acquire())
                s.release()

        async def worker() -> None:
            for _ in range(50):
                async with s:
                    await gort.gosched()

        ts = [in_thread(body) for _ in range(3)]
        gs = [gort.go(worker) for _ in range(3)]
        for g in gs:
            await g
        for t, out in ts:
            await join(t)
            assert out == [None]
        assert s.try_acquire(2)

    gort.run(main, procs=procs)


def test_importable_both_ways() -> None:
    assert gort.sync.Mutex is Mutex
    assert set(gort.sync.__all__) <= set(dir(gort.sync))


# async with, and the two methods that it calls


def is_free(take: Callable[[], bool], give: Callable[[], None]) -> bool:
    if take():
        give()
        return True
    return False


def a_mutex() -> tuple[Any, Callable[[], bool]]:
    mu = Mutex()
    return mu, lambda: is_free(mu.try_lock, mu.unlock)


def a_writer() -> tuple[Any, Callable[[], bool]]:
    rw = RWMutex()
    return rw, lambda: is_free(rw.try_lock, rw.unlock)


def a_reader() -> tuple[Any, Callable[[], bool]]:
    rw = RWMutex()
    return rw.reader(), lambda: is_free(rw.try_lock, rw.unlock)


def a_semaphore() -> tuple[Any, Callable[[], bool]]:
    s = Semaphore(1)
    return s, lambda: is_free(s.try_acquire, s.release)


WITH = [a_mutex, a_writer, a_reader, a_semaphore]


@pytest.mark.filterwarnings("ignore:.* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("make", WITH)
def test_enter_and_exit_called_directly(make: Any, procs: int) -> None:
    async def main() -> None:
        x, free = make()
        enter, leave = x.__aenter__, x.__aexit__
        assert leave.__name__ == "__aexit__" and "__aexit__" in repr(leave)
        assert enter.__self__ is x and inspect.isroutine(enter) and callable(leave)
        enter()  # nothing happens until it is awaited
        assert free()
        for _ in range(100):
            await enter()
            assert not free()
            assert not await leave(None, None, None)
            assert free()
        await x.__aenter__(*(), **{})
        assert not free()
        await x.__aexit__(kind=None, exc=None, tb=None)
        assert free()
        await type(x).__aenter__(x)
        assert not free()
        await type(x).__aexit__(x, KeyError, KeyError(1), None)
        assert free()
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(x)
            assert not free()
        assert free()
        with pytest.raises(RuntimeError, match="unlock|release"):
            leave(None, None, None)
        op = enter()
        await op
        with pytest.raises(RuntimeError, match="used already"):
            await op
        await leave(None, None, None)

    gort.run(main, procs=procs)


@pytest.mark.parametrize("make", WITH)
def test_enter_and_exit_refuse_wrong_arguments(make: Any) -> None:
    async def main() -> None:
        x, free = make()
        for args in (1,), (None, None), (None, None, None):
            with pytest.raises(TypeError):
                x.__aenter__(*args)
        for args in (), (None,), (None, None), (None,) * 4:
            with pytest.raises(TypeError):
                x.__aexit__(*args)
        with pytest.raises(TypeError):
            x.__aexit__(None, None, None, tb=None)
        with pytest.raises((TypeError, AttributeError)):
            await type(x).__aenter__(3)
        assert free()

    gort.run(main)


@pytest.mark.parametrize("make", WITH)
def test_async_with_keeps_nothing(make: Any) -> None:
    async def rounds(x: Any) -> None:
        for _ in range(300):
            async with x:
                pass
        keep = [x.__aenter__ for _ in range(300)]
        await keep[-1]()
        await x.__aexit__(None, None, None)
        t, out = in_thread(lambda: [x.__aexit__ for _ in range(300)])
        await join(t)
        keep += out[0]  # made by another thread than drops them
        t, _ = in_thread(keep.clear)
        await join(t)
        out.clear()

    async def main() -> None:
        x, free = make()
        await rounds(x)
        before = sys.getrefcount(x)
        for _ in range(3):
            await rounds(x)
        assert sys.getrefcount(x) == before and free()

    gort.run(main, procs=1)


@pytest.mark.parametrize("make", [Mutex, RWMutex, lambda: Semaphore(1)])
def test_what_async_with_locked_is_freed(make: Any) -> None:
    async def main() -> None:
        x = make()
        ref = weakref.ref(x)
        for _ in range(3):
            async with x:
                pass
        leave = x.__aexit__
        await x.__aenter__()
        del x
        await leave(None, None, None)  # it keeps the lock alive
        assert ref() is not None
        del leave
        gc.collect()
        assert ref() is None
        async with make():
            pass

    gort.run(main, procs=1)


@pytest.mark.parametrize("base", [Mutex, RWMutex])
def test_a_subclass_of_a_lock(base: Any, procs: int) -> None:
    class Counted(base):  # type: ignore[misc]
        entered = 0

        def __aenter__(self) -> Any:
            self.entered += 1
            return super().__aenter__()

    class Plain(base):  # type: ignore[misc]
        pass

    async def main() -> None:
        mu = Counted()
        for _ in range(3):
            async with mu:
                assert not mu.try_lock()
        assert mu.entered == 3 and mu.try_lock()
        plain = Plain()
        plain.enter = plain.__aenter__  # a cycle
        await plain.enter()
        assert not plain.try_lock()
        await plain.__aexit__(None, None, None)
        ref = weakref.ref(plain)
        del plain
        gc.collect()
        assert ref() is None

    gort.run(main, procs=procs)


def test_async_with_of_what_is_locked_waits(procs: int) -> None:
    async def block(x: Any, log: list[int], i: int) -> None:
        async with x:
            log.append(i)

    async def main() -> None:
        for make in WITH[0], WITH[1], WITH[3]:
            x, free = make()
            log: list[int] = []
            async with x:
                gs = []
                for i in range(3):
                    gs.append(gort.go(block, x, log, i))
                    await parked(gs[-1])
                await cancelled(gs.pop(1))
                assert not log
            for g in gs:
                await g
            assert sorted(log) == [0, 2] and free()

    gort.run(main, procs=procs)


@pytest.mark.parametrize("make", WITH)
def test_async_with_in_a_cancelled_goroutine(make: Any, procs: int) -> None:
    """Though it is free: it raises, and has not locked it."""

    async def body(x: Any, started: gort.Chan, go: gort.Chan) -> None:
        await started.send(None)
        try:
            await go.recv()
        finally:
            async with x:
                raise AssertionError("entered")

    async def main() -> None:
        x, free = make()
        started = gort.chan()
        g = gort.go(body, x, started, gort.chan())
        await started.recv()
        await cancelled(g)
        assert free()

    gort.run(main, procs=procs)
