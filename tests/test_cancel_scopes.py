"""Level-triggered cancellation at every kind of await: no value lost, no stale waiter."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import gort

PURE = os.environ.get("GORT_PURE", "") not in ("", "0")

Await = Callable[[], Awaitable[Any]]


async def until(cond: Callable[[], bool]) -> None:
    while not cond():
        await gort.gosched()


async def chan_recv() -> None:
    await gort.chan().recv()


async def chan_recv_ok() -> None:
    await gort.chan(2).recv_ok()


async def chan_range() -> None:
    async for _ in gort.chan():
        pass


async def chan_send() -> None:
    await gort.chan().send(1)


async def select_two() -> None:
    await gort.select(gort.chan().recv(), gort.chan().send(1))


async def select_nothing() -> None:
    await gort.select()


async def sleep_long() -> None:
    await gort.sleep(3600)


async def join_one() -> None:
    g = gort.go(chan_recv)
    try:
        await g
    finally:
        g.cancel()


async def io_wait() -> None:
    a, b = socket.socketpair()
    with a, b:
        await gort.wait_readable(a)


async def group_wait() -> None:
    async with gort.group() as grp:
        grp.go(chan_recv)


WAITS = [
    chan_recv,
    chan_recv_ok,
    chan_range,
    chan_send,
    select_two,
    select_nothing,
    sleep_long,
    join_one,
    io_wait,
    group_wait,
]

NEVER_WAIT = {
    "gosched": lambda: gort.gosched(),
    "sleep(0)": lambda: gort.sleep(0),
    "send with room": lambda: gort.chan(1).send(1),
    "select default": lambda: gort.select(gort.chan().recv(), default=True),
    "syscall": lambda: gort.syscall(lambda: None),
    "blocking": lambda: gort.blocking().__aenter__(),
}


@pytest.mark.parametrize("wait", WAITS)
def test_cancel_of_a_parked_one(procs: int, wait: Await) -> None:
    async def child() -> str:
        try:
            await wait()
        except gort.Cancelled:
            return "cancelled"
        return "not cancelled"

    async def main() -> str:
        g = gort.go(child)
        await until(lambda: g.status == "waiting")
        g.cancel()
        return await g

    assert gort.run(main, procs=procs) == "cancelled"


@pytest.mark.parametrize("wait", WAITS)
def test_timeout_of_a_parked_one(procs: int, wait: Await) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.003):
                await wait()
        await gort.gosched()

    gort.run(main, procs=procs)


@pytest.mark.parametrize("wait", WAITS)
def test_cancel_by_group(procs: int, wait: Await) -> None:
    async def main() -> None:
        async with gort.group() as grp:
            g = grp.go(wait)
            await until(lambda: g.status == "waiting")
            grp.cancel()
        assert g.done()

    gort.run(main, procs=procs)


@pytest.mark.parametrize("name", NEVER_WAIT)
def test_level_triggered(procs: int, name: str) -> None:
    """Every op raises, also one that need not wait, and again after it was swallowed."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with gort.timeout(0):
                for _ in range(5):
                    with pytest.raises(gort.Cancelled):
                        await NEVER_WAIT[name]()
                await NEVER_WAIT[name]()
        await gort.gosched()

    gort.run(main, procs=procs)


def test_wait_in_a_plain_goroutine(procs: int) -> None:
    """gort.wait blocks a thread; the group's cancel wakes it."""

    def child(ch: gort.Chan) -> None:
        gort.wait(ch.recv())

    async def main() -> None:
        ch = gort.chan()
        for _ in range(10):
            async with gort.group() as grp:
                g = grp.go(child, ch)
                await gort.sleep(0.0005)
                grp.cancel()
            with pytest.raises(gort.Cancelled):
                await g
        with pytest.raises(gort.WouldBlock):
            ch.send_nowait(1)

    gort.run(main, procs=procs)


def test_no_effect_before_it_raises() -> None:
    async def main() -> None:
        ch = gort.chan(8)
        called = []
        async with gort.group() as grp:
            grp.cancel()
            for op in (
                lambda: ch.send(1),
                lambda: gort.select(ch.send(2)),
                lambda: gort.syscall(called.append, 1),
            ):
                with pytest.raises(gort.Cancelled):
                    await op()
        assert len(ch) == 0 and called == []

    gort.run(main)


def test_no_stale_waiters(procs: int) -> None:
    """What was cancelled has left every queue: nobody takes the next value."""

    async def main() -> None:
        a, b = gort.chan(), gort.chan()
        for _ in range(20):
            async with gort.group() as grp:
                gs = [grp.go(f) for f in (a.recv, b.recv_ok, lambda: a.send(1) if 0 else a.recv())]
                gs.append(grp.go(lambda: gort.select(a.recv(), b.recv())))
                await until(lambda gs=gs: all(g.status == "waiting" for g in gs))
                grp.cancel()
        for ch in (a, b):
            if PURE:
                assert ch.recvq.next is None and ch.recvq.prev is None
                assert ch.sendq.next is None and ch.sendq.prev is None
            with pytest.raises(gort.WouldBlock):
                ch.send_nowait("x")
            with pytest.raises(gort.WouldBlock):
                ch.recv_nowait()

    gort.run(main, procs=procs)


def test_no_stale_joiners(procs: int) -> None:
    async def main() -> None:
        ch = gort.chan()
        target: Any = gort.go(ch.recv)

        async def joiner() -> None:
            await target

        async with gort.group() as grp:
            gs = [grp.go(joiner) for _ in range(5)]
            await until(lambda: all(g.status == "waiting" for g in gs))
            grp.cancel()
        if PURE:
            assert target.result is None  # the joiners, while it lives
        await ch.send(3)
        assert await target == 3

    gort.run(main, procs=procs)


def test_joiner_cancelled_at_the_end() -> None:
    """One that leaves while its target's end goes along the joiners takes none with it."""
    made: list[Any] = []

    async def main() -> None:
        ch = gort.chan()

        def gone(ref: Any) -> None:  # the target is dead, and has woken nobody
            late.cancel()
            while not late.done():
                time.sleep(0.001)

        def make() -> Any:
            # It is to end on the thread that makes it: without a GIL another one only asks
            # for the last reference to be dropped, and the waiters are woken meanwhile.
            gort.lock_os_thread()
            coro = wait()
            made.append(weakref.ref(coro, gone))
            return coro

        async def wait() -> None:
            await ch.recv()
            gort.unlock_os_thread()

        async def joiner() -> None:
            await target

        target = gort.go(make)
        first = gort.go(joiner)
        await until(lambda: first.status == "waiting")
        late = gort.go(joiner)
        await until(lambda: late.status == "waiting")
        await ch.send(1)
        await first
        with pytest.raises(gort.Cancelled):
            await late

    gort.run(main, procs=2)
    assert made[0]() is None


def test_no_stale_poll_waiters(procs: int) -> None:
    async def main() -> None:
        a, b = socket.socketpair()
        with a, b:
            for _ in range(20):
                with pytest.raises(TimeoutError):
                    async with gort.timeout(0.0002):
                        await gort.wait_readable(a)
            b.send(b"x")
            await gort.wait_readable(a)
            assert a.recv(1) == b"x"

    gort.run(main, procs=procs)


@pytest.mark.parametrize("capacity", [0, 1, 7])
def test_no_value_is_lost(procs: int, capacity: int) -> None:
    """Senders and receivers are timed out all the time; each value that a send took
    arrives exactly once."""
    per = 150

    async def sender(ch: gort.Chan, base: int, seed: int) -> None:
        rnd = random.Random(seed)
        for i in range(per):
            while True:
                try:
                    async with gort.timeout(rnd.choice((0.0001, 0.0003, 60))):
                        if rnd.random() < 0.5:
                            await ch.send(base + i)
                        else:
                            await gort.select(gort.chan().recv(), ch.send(base + i))
                        sent = True
                        break
                except TimeoutError:
                    sent = False
            assert sent

    async def receiver(ch: gort.Chan, got: list[int], seed: int) -> None:
        rnd = random.Random(seed)
        while True:
            try:
                async with gort.timeout(rnd.choice((0.0001, 0.0003))):
                    if rnd.random() < 0.5:
                        v, ok = await ch.recv_ok()
                    else:
                        _, (v, ok) = await gort.select(ch.recv_ok(), gort.chan().send(1))
                    if not ok:
                        return
                    got.append(v)
            except TimeoutError:
                pass

    async def main() -> list[int]:
        ch = gort.chan(capacity)
        got: list[list[int]] = [[], [], []]
        async with gort.group() as receivers:
            for i, mine in enumerate(got):
                receivers.go(receiver, ch, mine, i)
            async with gort.group() as senders:
                for i in range(3):
                    senders.go(sender, ch, i * per, 100 + i)
            ch.close()
        return sorted(v for mine in got for v in mine)

    assert gort.run(main, procs=procs) == list(range(3 * per))


def test_no_value_is_lost_to_cancels(procs: int) -> None:
    """Goroutines are cancelled for good while values fly: received plus left is sent."""

    async def mover(src: gort.Chan, moved: list[int]) -> None:
        while True:
            moved.append(await src.recv())

    async def main() -> None:
        ch = gort.chan(4)
        sent = 0
        moved: list[list[int]] = []
        for _ in range(60):
            mine: list[int] = []
            moved.append(mine)
            g = gort.go(mover, ch, mine)
            for _ in range(5):
                await ch.send(sent)
                sent += 1
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g
        left = []
        while len(ch):
            left.append(await ch.recv())
        got = sorted([v for mine in moved for v in mine] + left)
        assert got == list(range(sent))

    gort.run(main, procs=procs)


def test_stale_request_interrupts_no_later_wait(procs: int) -> None:
    """A cancel of a scope that is being left never hits the wait after it."""

    async def canceller(ch: gort.Chan) -> None:
        async for grp in ch:
            grp.cancel()

    async def main() -> None:
        ch = gort.chan(1)
        echo = gort.chan()
        gs = [gort.go(canceller, ch) for _ in range(2)]
        pinger = gort.go(ping, echo)
        for _ in range(500):
            async with gort.group() as grp:
                await ch.send(grp)
                await gort.gosched()
            await echo.recv()  # outside: nobody may cancel it
        ch.close()
        for g in gs:
            await g
        pinger.cancel()

    async def ping(echo: gort.Chan) -> None:
        while True:
            await gort.gosched()
            await echo.send(1)

    gort.run(main, procs=procs)


def test_swallowed_once(procs: int) -> None:
    """A task that swallows its Cancelled gets the next one at its next op."""

    async def stubborn() -> int:
        swallowed = 0
        while swallowed < 10:
            try:
                await gort.chan().recv()
            except gort.Cancelled:
                swallowed += 1
        await gort.chan().recv()
        return swallowed

    async def main() -> None:
        g = gort.go(stubborn)
        await until(lambda: g.status == "waiting")
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g

    gort.run(main, procs=procs)


def test_cancel_from_many_threads(procs: int) -> None:
    async def main() -> None:
        for _ in range(20):
            async with gort.group() as grp:
                for _ in range(10):
                    grp.go(chan_recv)
                ts = [threading.Thread(target=grp.cancel) for _ in range(4)]
                for t in ts:
                    t.start()
                await gort.chan().recv()
            for t in ts:
                t.join()
        assert gort.num_goroutine() == 1

    gort.run(main, procs=procs)


def test_nested_everything(procs: int) -> None:
    """Timeouts, shields and groups in a random pile, with a cancel from outside: all
    end, the innermost due scope takes its own, and nothing is left behind."""

    async def leaf(rnd: random.Random) -> None:
        for _ in range(rnd.randrange(4)):
            await gort.gosched()
        await gort.sleep(rnd.choice((0, 0.0001, 0.001)))

    async def pile(depth: int, seed: int) -> None:
        rnd = random.Random(seed)
        if depth == 0:
            await leaf(rnd)
            return
        kind = rnd.randrange(3)
        if kind == 0:
            try:
                async with gort.timeout(rnd.choice((0, 0.0002, 60))):
                    await pile(depth - 1, seed + 1)
            except TimeoutError:
                pass
        elif kind == 1:
            async with gort.shield(rnd.choice((0, 0.0005, None))):
                await pile(depth - 1, seed + 1)
        else:
            async with gort.group(rnd.choice((None, 1, 2))) as grp:
                for i in range(3):
                    grp.go(pile, depth - 1, seed * 3 + i)
                if rnd.random() < 0.3:
                    grp.cancel()

    async def main() -> None:
        for seed in range(40):
            g = gort.go(pile, 4, seed)
            await gort.sleep(random.Random(seed).choice((0, 0.0001, 0.001)))
            g.cancel()
            try:
                await g
            except gort.Cancelled:
                pass
        assert gort.num_goroutine() == 1

    gort.run(main, procs=procs)


# the way down


def test_shutdown_waits_for_a_shield(procs: int) -> None:
    log = []

    async def child(ready: gort.Chan) -> None:
        try:
            ready.close()
            await gort.chan().recv()
        finally:
            async with gort.shield(5):
                await gort.sleep(0.005)
                log.append("cleaned up")
            with pytest.raises(gort.Cancelled):
                await gort.gosched()

    async def main() -> str:
        ready = gort.chan()
        gort.go(child, ready)
        await ready.recv_ok()
        return "main"

    assert gort.run(main, procs=procs) == "main"
    assert log == ["cleaned up"]


def test_shutdown_waits_for_a_group_in_a_shield(procs: int) -> None:
    """The shield covers the group's children too, and those started later."""
    log = []

    async def close(name: str, ch: gort.Chan) -> None:
        await ch.recv_ok()
        await gort.sleep(0.002)
        log.append(name)

    async def child(ready: gort.Chan) -> None:
        ch = gort.chan()
        async with gort.shield(4), gort.group() as grp:
            grp.go(close, "early", ch)
            ready.close()
            await gort.sleep(0.005)
            grp.go(close, "late", ch)
            ch.close()

    async def main() -> None:
        ready = gort.chan()
        gort.go(child, ready)
        await ready.recv_ok()

    gort.run(main, procs=procs)
    assert sorted(log) == ["early", "late"]


def test_shutdown_ends_a_bounded_shield(procs: int) -> None:
    log = []

    async def child(ready: gort.Chan) -> None:
        async with gort.shield(0.01):
            ready.close()
            try:
                await gort.sleep(3600)
            except gort.Cancelled:
                log.append("grace ended")

    async def main() -> None:
        ready = gort.chan()
        gort.go(child, ready)
        await ready.recv_ok()

    gort.run(main, procs=procs)
    assert log == ["grace ended"]


def test_shutdown_of_a_shield_that_nothing_can_end(procs: int) -> None:
    """Cleanup that waits for what cannot come any more is cancelled at once."""
    log = []

    async def child(ready: gort.Chan) -> None:
        async with gort.shield():
            ready.close()
            try:
                await gort.chan().recv()
            except gort.Cancelled:
                log.append("pierced")

    async def main() -> str:
        ready = gort.chan()
        g = gort.go(child, ready)
        await ready.recv_ok()
        await until(lambda: g.status == "waiting")
        return "main"

    assert gort.run(main, procs=procs) == "main"
    assert log == ["pierced"]


def test_deadlock_behind_shields(procs: int) -> None:
    """The second look ends the shields: all blocks are left, and nobody is left behind."""
    log = []

    async def child() -> None:
        try:
            await chan_recv()
        finally:
            log.append("child")

    async def main() -> None:
        try:
            async with gort.shield():
                async with gort.shield(), gort.group() as grp:
                    grp.go(child)
        finally:
            log.append("main")

    with pytest.raises(gort.DeadlockError):
        gort.run(main, procs=procs)
    assert log == ["child", "main"]


def test_shutdown_pierces_shields_in_the_end() -> None:
    """A cleanup that never ends is cancelled after seconds; in a process of its own."""
    code = """
        import gort, time

        async def child(ready):
            async with gort.shield(), gort.group() as grp:
                ready.close()
                try:
                    await gort.sleep(3600)
                except gort.Cancelled:
                    print("pierced")
                    grp.go(gort.sleep, 3600)

        async def main():
            ready = gort.chan()
            gort.go(child, ready)
            await ready.recv_ok()

        start = time.monotonic()
        gort.run(main)
        assert time.monotonic() - start > 1, "the shield was pierced early"
        print("down")
    """
    src = str(Path(gort.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": src, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=env,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "pierced\ndown\n" and done.stderr == ""


def test_panic_behind_a_shield() -> None:
    """A panic ends the program although main stands in a shield."""

    async def bad() -> None:
        raise KeyError("panic")

    async def main() -> None:
        gort.go(bad)
        async with gort.shield():
            await gort.chan().recv()

    with pytest.raises(KeyError, match="panic"):
        gort.run(main)


def test_ctrl_c_passes_a_shield() -> None:
    code = """
        import gort, os, signal, sys

        async def kill(main):
            while main.status != "waiting":
                await gort.gosched()
            os.kill(os.getpid(), signal.SIGINT)

        async def main():
            gort.go(kill, gort.current())
            try:
                async with gort.shield():
                    await gort.sleep(3600)
            except KeyboardInterrupt:
                print("interrupted")

        gort.run(main)
    """
    src = str(Path(gort.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": src},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "interrupted\n", done.stderr
