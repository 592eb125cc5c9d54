"""gort.add_cleanup: Go 1.24's rules."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

import gort


class Thing:
    pass


def test_runs_after_the_object_is_gone(procs: int) -> None:
    async def main() -> tuple[int, int]:
        ch = gort.chan()
        thing = Thing()
        ref = weakref.ref(thing)

        async def cleanup(a: int, b: int) -> None:
            assert ref() is None
            await ch.send((a, b))

        gort.add_cleanup(thing, cleanup, 1, 2)
        del thing
        return await ch.recv()

    assert gort.run(main, procs=procs) == (1, 2)


def test_plain_function_in_a_goroutine(procs: int) -> None:
    async def main() -> None:
        ch = gort.chan(1)
        me = gort.current()
        thing = Thing()
        gort.add_cleanup(thing, lambda: ch.send_nowait(gort.current()))
        del thing
        other = await ch.recv()
        assert isinstance(other, gort.Goroutine)
        assert other is not me

    gort.run(main, procs=procs)


def test_not_before(procs: int) -> None:
    async def main() -> None:
        ch = gort.chan(10)
        thing = Thing()
        marker = Thing()
        gort.add_cleanup(thing, ch.send, "thing")
        gort.add_cleanup(marker, ch.send, "marker")
        del marker
        assert await ch.recv() == "marker"
        assert len(ch) == 0
        del thing
        assert await ch.recv() == "thing"

    gort.run(main, procs=procs)


def test_several_of_one_object(procs: int) -> None:
    async def main() -> None:
        ch = gort.chan()
        thing = Thing()
        for i in range(10):
            gort.add_cleanup(thing, ch.send, i)
        del thing
        assert sorted([await ch.recv() for _ in range(10)]) == list(range(10))

    gort.run(main, procs=procs)


def test_one_after_the_other(procs: int) -> None:
    """A single goroutine runs them: one that waits holds the others up."""

    async def main() -> None:
        order = []
        gate = gort.chan()
        done = gort.chan()

        async def slow() -> None:
            order.append("in")
            await gate.recv()
            order.append("out")
            await done.send(None)

        first, second = Thing(), Thing()
        gort.add_cleanup(first, slow)
        gort.add_cleanup(second, slow)
        del first
        del second
        await gate.send(None)
        await done.recv()
        await gate.send(None)
        await done.recv()
        assert order == ["in", "out", "in", "out"]

    gort.run(main, procs=procs)


def test_of_a_cycle(procs: int) -> None:
    """An object in a cycle: the GC worker finds it."""

    async def main() -> None:
        ch = gort.chan(1)
        thing: Any = Thing()
        thing.me = thing
        gort.add_cleanup(thing, ch.send, 1)
        del thing
        while not len(ch):
            junk = [[i] for i in range(1000)]
            assert junk
            gc.collect()
            await gort.sleep(0.0005)

    gort.run(main, procs=procs)


def test_wakes_an_idle_runtime(procs: int) -> None:
    """All goroutines wait; a plain thread drops the object."""

    async def main() -> None:
        ch = gort.chan()
        box = [Thing()]
        gort.add_cleanup(box[0], ch.send, 1)
        idle = threading.Event()

        def drop() -> None:
            while main_g.status != "waiting":
                idle.wait(0.001)
            box.clear()

        main_g = gort.current()
        assert main_g is not None
        t = threading.Thread(target=drop)
        t.start()
        assert await ch.recv() == 1
        await gort.syscall(t.join)

    for _ in range(5):
        gort.run(main, procs=procs)


def test_from_a_foreign_thread(procs: int) -> None:
    async def main() -> None:
        ch = gort.chan()

        def thread() -> None:
            thing = Thing()
            gort.add_cleanup(thing, ch.send, 1)
            del thing

        t = threading.Thread(target=thread)
        t.start()
        assert await ch.recv() == 1
        await gort.syscall(t.join)

    gort.run(main, procs=procs)


def test_stop(procs: int) -> None:
    async def main() -> None:
        ch = gort.chan(10)
        thing = Thing()
        stopped = gort.add_cleanup(thing, ch.send, "stopped")
        gort.add_cleanup(thing, ch.send, "kept")
        stopped.stop()
        stopped.stop()
        del thing
        assert await ch.recv() == "kept"
        last = Thing()
        gort.add_cleanup(last, ch.send, "last")
        del last
        assert await ch.recv() == "last"
        assert len(ch) == 0

    gort.run(main, procs=procs)


def test_stop_drops_what_it_held() -> None:
    async def main() -> None:
        thing, arg = Thing(), Thing()
        ref = weakref.ref(arg)
        cleanup = gort.add_cleanup(thing, print, arg)
        del arg
        assert ref() is not None
        cleanup.stop()
        del cleanup
        gc.collect()
        assert ref() is None

    gort.run(main)


def test_an_exception_is_a_panic(procs: int) -> None:
    def bad() -> None:
        raise KeyError("bad")

    async def main() -> None:
        thing = Thing()
        gort.add_cleanup(thing, bad)
        del thing
        await gort.chan().recv()

    with pytest.raises(KeyError, match="bad"):
        gort.run(main, procs=procs)


def test_goexit_leaves_the_others(procs: int) -> None:
    async def main() -> None:
        ch = gort.chan()
        first, second = Thing(), Thing()
        gort.add_cleanup(first, gort.goexit)
        gort.add_cleanup(second, ch.send, 2)
        del first
        del second
        assert await ch.recv() == 2

    gort.run(main, procs=procs)


def test_counted_while_it_runs_a_users_function(procs: int) -> None:
    async def main() -> None:
        ch = gort.chan()

        async def cleanup() -> None:
            await ch.send(gort.num_goroutine())

        thing = Thing()
        gort.add_cleanup(thing, cleanup)
        assert gort.num_goroutine() == 1
        del thing
        assert await ch.recv() == 2
        while gort.num_goroutine() != 1:
            await gort.gosched()
        assert "cleanup wait" not in gort.stack(all=True)

    gort.run(main, procs=procs)


def test_cancelled_at_the_end(procs: int) -> None:
    """A cleanup that waits when main returns is cancelled, as any goroutine is."""
    seen = []

    async def main() -> None:
        entered = gort.chan()

        async def cleanup() -> None:
            await entered.send(None)
            try:
                await gort.chan().recv()
            finally:
                seen.append("finally")

        thing = Thing()
        gort.add_cleanup(thing, cleanup)
        del thing
        await entered.recv()

    gort.run(main, procs=procs)
    assert seen == ["finally"]


def test_not_run_at_exit(procs: int) -> None:
    ran = []
    keep = []

    async def main() -> None:
        keep.append(Thing())
        gort.add_cleanup(keep[0], ran.append, 1)

    async def other() -> None:
        keep.clear()  # added in an earlier run
        for _ in range(10):
            await gort.gosched()

    gort.run(main, procs=procs)
    gort.run(other, procs=procs)
    assert ran == []


def test_many(procs: int) -> None:
    n = 5000

    async def main() -> int:
        ch = gort.chan(100)
        for i in range(n):
            gort.add_cleanup(Thing(), ch.send, i)
            if i % 100 == 0:
                await gort.gosched()
        return sum([await ch.recv() for _ in range(n)])

    assert gort.run(main, procs=procs) == n * (n - 1) // 2


def test_deadlock_behind_a_cleanup(procs: int) -> None:
    """What a cleanup would still wake is no deadlock; what it does not is one."""

    async def main() -> None:
        ch = gort.chan()
        thing = Thing()
        gort.add_cleanup(thing, ch.send, 1)
        del thing
        assert await ch.recv() == 1
        await ch.recv()

    with pytest.raises(gort.DeadlockError):
        gort.run(main, procs=procs)


def test_wrong_arguments() -> None:
    async def main() -> None:
        add: Any = gort.add_cleanup
        thing = Thing()
        with pytest.raises(TypeError, match="callable"):
            add(thing, 1)
        for bad in (1, "text", (), [], {}):
            with pytest.raises(TypeError, match="weak references"):
                add(bad, print)
        with pytest.raises(ValueError, match="obj itself"):
            add(thing, print, 1, thing)
        with pytest.raises(ValueError, match="obj itself"):
            add(thing, thing.__init__)
        with pytest.raises(TypeError):
            add(thing)

    gort.run(main)


def test_outside_a_runtime() -> None:
    with pytest.raises(RuntimeError, match="no gort runtime is up"):
        gort.add_cleanup(Thing(), print)
