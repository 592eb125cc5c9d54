"""The simulated runtime takes its ops out of pools too, as the compiled one does: reset, and
otherwise as they died."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import gort
from gort import _pure, net
from gort.testing import Pipe, SimFailure, run_sim, sweep


def platform() -> Any:
    return sys.modules[_pure.simulated().__name__ + ".platform"]


async def every_op() -> None:
    """Each kind of op that has a pool, with and without a wait, cancelled, chosen and left."""
    import socket

    mu, rw, sem = gort.sync.Mutex(), gort.sync.RWMutex(), gort.sync.Semaphore(2)
    a, b = gort.chan(), gort.chan(1)
    left, right = socket.socketpair()

    async def peer() -> None:
        for i in range(4):
            await a.send(i)
            await b.send(i)
            async with mu:
                await gort.gosched()
            async with rw:
                await gort.sleep(0.001)
            async with rw.reader():
                await gort.gosched()
            async with sem:
                await gort.sleep(0.001)
            await net.sendall(left, b"x" * 100)
            await gort.syscall(int, "7", base=8)

    async def other() -> None:
        for _ in range(4):
            await gort.select(a.recv(), b.recv())
            await gort.select(a.recv(), b.recv(), gort.after(5).recv())
            async with mu:
                await gort.gosched()
            async with rw:
                await gort.gosched()
            await sem.acquire(2)
            sem.release(2)
            await net.recv(right)

    gs = [gort.go(peer), gort.go(other)]
    for g in gs:
        await g

    def readable() -> Any:
        return gort.wait_readable(Pipe().r)

    for wait in (a.recv, lambda: net.recv(right), readable, readable):
        try:
            async with gort.timeout(0.01):
                while True:
                    await wait()
        except TimeoutError:
            pass
    await mu.lock()
    g = gort.go(mu.lock)
    await gort.sleep(0.001)
    g.cancel()
    with pytest.raises(gort.Cancelled):
        await g


def test_ops_come_out_of_pools_as_new_ones() -> None:
    taken: dict[str, int] = {}
    genuine = platform().poolget

    with pytest.MonkeyPatch.context() as patch:
        for module in list(sys.modules.values()):
            if getattr(module, "poolget", None) is genuine and module is not platform():

                def counted(name: str = module.__name__) -> Any:
                    pool = platform().pools.get(name)
                    op = pool.pop() if pool and platform().current() is not None else None
                    if op is not None:
                        taken[type(op).__name__] = taken.get(type(op).__name__, 0) + 1
                    return op

                patch.setattr(module, "poolget", counted)
        sweep(every_op, seeds=6)
    kinds = {"Chanop", "Select", "Join", "Lockop", "Rwop", "Acquire", "Syscall", "Netop", "Iowait"}
    assert kinds <= set(taken), taken


@pytest.mark.parametrize(
    ("cls", "field"),
    [
        ("chan.Chanop", "waited"),
        ("chan.Chanop", "value"),
        ("select.Select", "first"),
        ("proc.Join", "target"),
        ("mutex.Lockop", "m"),
        ("rwmutex.Rwop", "rw"),
        ("semaphore.Acquire", "s"),
        ("syscall.Syscall", "fn"),
        ("netfd.Netop", "ref"),
        ("netpoll.Iowait", "error"),
        ("park.Gosched", "state"),
    ],
)
@pytest.mark.filterwarnings("ignore:.* was never awaited:RuntimeWarning")
def test_a_field_that_reset_forgets_is_caught(cls: str, field: str) -> None:
    module, name = cls.split(".")
    op: Any = getattr(getattr(_pure.simulated().runtime, module), name)
    genuine: Callable[[Any], None] = op.reset

    def reset(self: Any) -> None:
        kept = getattr(self, field)
        genuine(self)
        if type(self) is op:
            setattr(self, field, kept if kept not in (None, 0, False) else "left")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(op, "reset", reset)
        with pytest.raises(SimFailure, match=rf"{name}.reset\(\) leaves {field} as"):
            run_sim(every_op, seed=1)
    run_sim(every_op, seed=1)


def test_a_pool_keeps_nothing_of_a_program() -> None:
    """What an op held is dropped when it dies, and not when its place is taken."""

    class Value:
        def __del__(self) -> None:
            dropped.append(1)

    dropped: list[int] = []

    async def main() -> None:
        c = gort.chan(1)
        await c.send(Value())
        await c.recv()
        assert dropped == [1]

    run_sim(main)
    assert dropped == [1]
