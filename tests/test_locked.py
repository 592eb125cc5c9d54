"""lock_os_thread: the goroutine stays on its thread, and the thread is its alone."""

from __future__ import annotations

import threading

import pytest

import gort


def test_same_thread(procs: int) -> None:
    async def peer(a: gort.Chan, b: gort.Chan) -> None:
        async for v in a:
            await b.send(v)

    async def main() -> None:
        a, b = gort.chan(), gort.chan()
        g = gort.go(peer, a, b)
        gort.lock_os_thread()
        here = threading.get_ident()
        for i in range(100):
            await a.send(i)
            assert threading.get_ident() == here
            assert await b.recv() == i
            assert threading.get_ident() == here
            if i % 10 == 0:
                await gort.sleep(0.0001)
                await gort.gosched()
                assert await gort.syscall(threading.get_ident) == here
                assert threading.get_ident() == here
        gort.unlock_os_thread()
        a.close()
        await g

    gort.run(main, procs=procs)


def test_nobody_else_on_it(procs: int) -> None:
    async def other(n: int, seen: set[int]) -> None:
        for _ in range(n):
            seen.add(threading.get_ident())
            await gort.gosched()

    async def locked(ready: gort.Chan, stop: gort.Chan) -> int:
        gort.lock_os_thread()
        me = threading.get_ident()
        await ready.send(me)
        await stop.recv_ok()
        assert threading.get_ident() == me
        gort.unlock_os_thread()
        return me

    async def main() -> None:
        ready, stop = gort.chan(), gort.chan()
        gs = [gort.go(locked, ready, stop) for _ in range(3)]
        idents = {await ready.recv() for _ in gs}
        assert len(idents) == 3
        seen: set[int] = set()
        for g in [gort.go(other, 20, seen) for _ in range(10)]:
            await g
        assert not seen & idents
        assert threading.get_ident() not in idents
        stop.close()
        assert {await g for g in gs} == idents

    gort.run(main, procs=procs)


def test_nests() -> None:
    async def child(i: int) -> None:
        await gort.gosched()

    async def main() -> None:
        for _ in range(3):
            gort.lock_os_thread()
        me = threading.get_ident()
        for _ in range(2):
            gort.unlock_os_thread()
            await gort.go(child, 1)
            assert threading.get_ident() == me
        gort.unlock_os_thread()
        gort.unlock_os_thread()  # one too many does nothing, as in Go
        await gort.go(child, 1)

    gort.run(main, procs=2)


def test_locked_goroutine_that_exits(procs: int) -> None:
    """It takes its thread along; the others go on."""
    local = threading.local()

    async def locked() -> bool:
        gort.lock_os_thread()
        fresh = not hasattr(local, "used")
        local.used = True
        await gort.gosched()
        return fresh

    async def main() -> None:
        for _ in range(10):
            await gort.go(locked)
        gs = [gort.go(locked) for _ in range(10)]
        for g in gs:
            await g

    gort.run(main, procs=procs)


@pytest.mark.gmp("under G-M nothing says that m0 ever gets one of these goroutines")
def test_m0_is_wedged(procs: int) -> None:
    """m0 cannot end, as run returns on it; a goroutine that ends while locked to it
    leaves it to nobody. On any thread, not only Python's main one."""

    async def locked() -> int:
        gort.lock_os_thread()
        return threading.get_ident()

    async def ident() -> int:
        await gort.gosched()
        return threading.get_ident()

    async def main(here: int) -> None:
        on_m0 = False
        while not on_m0:
            on_m0 = await gort.go(locked) == here
            await gort.gosched()
        for _ in range(50):
            assert await gort.go(ident) != here
        assert threading.get_ident() != here

    def run() -> None:
        results.append(gort.run(main, threading.get_ident(), procs=procs))

    results: list[None] = []
    run()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results == [None, None]


def test_main_that_ends_locked(procs: int) -> None:
    async def main() -> int:
        gort.lock_os_thread()
        await gort.sleep(0.001)
        return 3

    async def goexits() -> None:
        gort.lock_os_thread()
        gort.goexit()

    for _ in range(3):
        assert gort.run(main, procs=procs) == 3
        assert gort.run(goexits, procs=procs) is None


def test_locked_thread_ends_though_its_p_was_taken(procs: int) -> None:
    """A goroutine that ends in user code without a P: its thread ends all the same."""

    async def locked(spins: list[int], seen: list[int]) -> threading.Thread:
        gort.lock_os_thread()
        spins.append(1)
        while not seen:  # no op: with one P, main sees `spins` on ours
            pass
        return threading.current_thread()

    async def main() -> None:
        gort.lock_os_thread()  # so that nobody else runs on m0
        spins: list[int] = []
        seen: list[int] = []
        g = gort.go(locked, spins, seen)
        while not spins:
            await gort.gosched()
        seen.append(1)
        thread = await g
        await gort.syscall(thread.join)

    gort.run(main, procs=procs)


def test_two_locked_talk(procs: int) -> None:
    async def pong(a: gort.Chan, b: gort.Chan) -> None:
        gort.lock_os_thread()
        me = threading.get_ident()
        async for v in a:
            assert threading.get_ident() == me
            await b.send(v + 1)

    async def main() -> None:
        gort.lock_os_thread()
        me = threading.get_ident()
        a, b = gort.chan(), gort.chan()
        g = gort.go(pong, a, b)
        for i in range(100):
            await a.send(i)
            assert await b.recv() == i + 1
            assert threading.get_ident() == me
        a.close()
        await g

    gort.run(main, procs=procs)


def test_cancel_of_a_locked_one(procs: int) -> None:
    async def locked(ready: gort.Chan) -> None:
        gort.lock_os_thread()
        await ready.send(None)
        await gort.chan().recv()

    async def main() -> None:
        ready = gort.chan()
        gs = [gort.go(locked, ready) for _ in range(3)]
        for _ in gs:
            await ready.recv()
        for g in gs:
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g

    gort.run(main, procs=procs)


def test_run_ends_with_locked_ones(procs: int) -> None:
    async def locked(ready: gort.Chan) -> None:
        gort.lock_os_thread()
        await ready.send(None)
        await gort.chan().recv()

    async def main() -> int:
        ready = gort.chan()
        for _ in range(3):
            gort.go(locked, ready)
            await ready.recv()
        gort.lock_os_thread()
        return 1

    assert gort.run(main, procs=procs) == 1


def test_deadlock_with_a_locked_one() -> None:
    async def main() -> None:
        gort.lock_os_thread()
        await gort.chan().recv()

    with pytest.raises(gort.DeadlockError, match="locked to thread"):
        gort.run(main)


def test_outside() -> None:
    with pytest.raises(RuntimeError):
        gort.lock_os_thread()
    with pytest.raises(RuntimeError):
        gort.unlock_os_thread()
