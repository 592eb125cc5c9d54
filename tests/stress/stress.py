"""Chaos on real threads: random programs, with invariants and leaks checked.

    python tests/stress/stress.py [--minutes M] [--seed N] [--refs N] [--memory MIB]

Rounds of random operations (channels, select, timers, calls that block, files,
cancels, panics, locked threads, GOMAXPROCS changes, plain threads, forks) until the time is
over; after each, no value may be lost, no goroutine, thread or fd left; over the
rounds memory may not grow. Then `refs` operations whose objects must have their
reference counts back. Prints the seed of each failing round; --seed runs one again
(on real threads it need not fail again). Exits 1 on a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from traffic import Traffic

import gort
from gort.runtime.boot import schedstats

HANG = 60


class Chaos(Traffic):
    """Goroutines that do what a seed says, and all end once `done` is closed."""

    def __init__(self, seed: int, forks: bool) -> None:
        super().__init__(seed, (0, 0, 1, 3, 64), patience=0.7, delay=0.003)
        self.lock = threading.Lock()
        self.resizes = 8
        self.mayfork = forks
        self.forks = 2
        self.children: list[int] = []
        self.over = False
        self.close = self.rng.random() < 0.3
        self.a, self.b = socket.socketpair()
        self.a.setblocking(False)
        self.b.setblocking(False)

    def value(self) -> int:
        with self.lock:
            return super().value()

    async def files(self) -> None:
        kind = self.rng.randrange(4)
        try:
            if kind == 0:
                await gort.wait_writable(self.a)
                self.a.send(b"x" * 100)
            elif kind == 1:
                await gort.wait_readable(self.b)
                self.b.recv(1000)
            elif kind == 2:
                await gort.net.sendall(self.a, bytearray(self.rng.choice((1, 100, 300_000))))
            else:
                assert await gort.net.recv(self.b, self.rng.choice((1, 1000, 65536)))
        except (BlockingIOError, BrokenPipeError, ConnectionError):
            pass

    async def turn(self) -> None:
        rng = self.rng
        kind = rng.randrange(22)
        if kind < 8:
            await self.exchange()
        elif kind == 8:
            self.now()
        elif kind == 9:
            await gort.gosched()
        elif kind == 10:
            await gort.sleep(rng.choice((0, 0.00001, 0.001)))
        elif kind == 11:
            await gort.syscall(time.sleep, rng.choice((0, 0.00005, 0.001)))
        elif kind == 12:
            end = time.monotonic() + rng.choice((0.0001, 0.012))
            while time.monotonic() < end:
                pass
        elif kind == 13 and len(self.gs) < 60:
            self.gs.append(gort.go(self.goroutine, 10))
        elif kind == 14 and self.gs and rng.random() < 0.3:
            rng.choice(self.gs).cancel()
        elif kind == 15 and self.resizes > 0:
            self.resizes -= 1
            gort.gomaxprocs(rng.randrange(1, 6))
        elif kind == 16:
            gort.lock_os_thread()
            await self.exchange()
            if rng.random() < 0.9:
                gort.unlock_os_thread()
        elif kind == 17 and len(self.gs) < 60:
            self.gs.append(gort.go(self.block))
        elif kind == 18:
            await self.files()
        elif kind == 19:
            async with gort.blocking():
                time.sleep(0.0002)
        elif kind == 20 and self.forks > 0 and rng.random() < 0.2:
            self.forks -= 1
            self.fork()
        elif kind == 21 and rng.random() < 0.02:
            done = await gort.syscall(subprocess.run, ["true"], close_fds=rng.random() < 0.5)
            assert done.returncode == 0

    def fork(self) -> None:
        """A child of this thread: it has no goroutines, and a runtime of its own."""
        leaves = self.rng.random() < 0.3
        if not self.mayfork:
            return
        pid = os.fork()
        if pid != 0:
            self.children.append(pid)
            return
        status = 99
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)
            signal.alarm(HANG // 2)
            # This thread's goroutine, or none, has become plain code.
            assert gort.current() is None and gort.num_goroutine() == 0
            gort.run(conserve, 20, 3, procs=2)
            deadlocks()
            status = 0
        except BaseException:
            traceback.print_exc()
        if leaves and status == 0:
            raise SystemExit(0)  # its coroutine's end is the process's
        os._exit(status)

    def reap(self) -> None:
        for pid in self.children:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert code == 0, f"a forked child ended with {code}"

    def outside(self) -> None:
        if self.rng.random() < 0.3:
            self.forkoutside()
        for _ in range(10):
            self.now()
            self.block()
            try:
                gort.go(self.goroutine, 2)
            except RuntimeError:
                return

    def forkoutside(self) -> None:
        try:
            self.fork()
        except SystemExit:
            os._exit(0)  # no goroutine's end: this thread's

    async def pump(self) -> None:
        """Files that are waited for become ready, until nobody waits."""
        while not self.over:
            try:
                self.a.send(b"y")
            except BlockingIOError:
                with contextlib.suppress(BlockingIOError):  # others receive too
                    self.b.recv(1 << 20)
            await gort.sleep(0.001)

    async def main(self) -> None:
        pump = gort.go(self.pump)
        self.gs += [gort.go(self.goroutine, 30) for _ in range(12)]
        t = threading.Thread(target=self.outside)
        t.start()
        if self.close:
            await gort.sleep(0.005)
            self.chan().close()
        await gort.sleep(self.rng.random() * 0.05)
        await gort.syscall(t.join)
        self.done.close()
        for g in self.gs:
            try:
                await g
            except gort.Cancelled:
                pass
        self.over = True
        await pump
        await gort.syscall(self.reap)
        self.check()


async def conserve(n: int, k: int) -> None:
    c = gort.chan(2)

    async def send(i: int) -> None:
        for j in range(n):
            await c.send((i, j))

    async def recv() -> list[Any]:
        return [v async for v in c]

    senders = [gort.go(send, i) for i in range(k)]
    receivers = [gort.go(recv) for _ in range(k)]
    for g in senders:
        await g
    c.close()
    got = []
    for g in receivers:
        got += await g
    assert sorted(got) == [(i, j) for i in range(k) for j in range(n)]


class Boom(Exception):
    pass


async def panics(rng: random.Random) -> None:
    """A goroutine that nobody awaits raises, while the others do this and that."""

    async def bad() -> None:
        await gort.sleep(rng.random() * 0.003)
        raise Boom

    async def other() -> None:
        c = gort.chan()
        try:
            while True:
                await gort.select(c.recv(), gort.after(0.0005).recv())
        finally:
            cleaned.append(1)

    cleaned: list[int] = []
    for _ in range(5):
        gort.go(other)
    gort.go(bad)
    await gort.chan().recv()


def deadlocks() -> None:
    async def main() -> None:
        c = gort.chan()

        async def waits() -> None:
            await c.recv()

        gort.go(waits)
        await c.recv()

    try:
        gort.run(main, procs=2)
    except gort.DeadlockError:
        return
    raise AssertionError("a deadlock went unreported")


def one(seed: int, forks: bool) -> None:
    """A round: its programs, by a seed."""
    rng = random.Random(seed)
    procs = rng.choice((1, 2, 4))
    chaos = Chaos(seed, forks)
    try:
        gort.run(chaos.main, procs=procs)
    finally:
        chaos.a.close()
        chaos.b.close()
    gort.run(conserve, 100, 5, procs=procs)
    try:
        gort.run(panics, rng, procs=procs)
    except Boom:
        pass
    else:
        raise AssertionError("a panic got lost")
    deadlocks()


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("gort-")]


def fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def leaks(before: int) -> str:
    """What is left of a round, after a while; empty when nothing is."""
    end = time.monotonic() + 5
    while threads() or fds() > before:
        if time.monotonic() > end:
            return f"left: threads {threads()}, {fds() - before} fds"
        gc.collect()
        time.sleep(0.01)
    return ""


def rss() -> int:
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def exercise(objects: list[Any], n: int) -> None:
    """n operations that all pass the same objects on."""
    a, b, c = gort.chan(), gort.chan(2), gort.chan()

    async def echo() -> None:
        async for v in a:
            await b.send(v)

    async def chooser() -> None:
        while True:
            i, pair = await gort.select(c.recv_ok(), b.recv_ok())
            if i == 0 and not pair[1]:
                return

    async def raiser() -> None:
        raise Boom

    async def sleeper() -> None:
        await gort.sleep(3600)

    gs = [gort.go(echo), gort.go(chooser)]
    for k in range(n // 8):
        v = objects[k % len(objects)]
        await a.send(v)
        await c.send(v)
        try:
            a.recv_nowait()
        except gort.WouldBlock:
            pass
        await gort.syscall(id, v)
        if k % 16 == 0:
            try:
                await gort.go(raiser)
            except Boom:
                pass
            g = gort.go(sleeper)
            await gort.gosched()
            g.cancel()
            try:
                await g
            except gort.Cancelled:
                pass
    a.close()
    await gs[0]
    c.close()
    await gs[1]


def references(n: int, most: int) -> str:
    """What n operations leave in counts, and beyond `most` MiB in memory; empty when nothing."""

    class Value:
        pass

    objects: list[Any] = [Value(), ("a", "tuple"), gort.chan(), Boom()]
    gort.run(exercise, objects, n // 10, procs=2)
    gc.collect()
    counts = [sys.getrefcount(o) for o in objects]
    nones = sys.getrefcount(None)
    blocks, memory = sys.getallocatedblocks(), rss()
    start = time.perf_counter()
    gort.run(exercise, objects, n, procs=2)
    seconds = time.perf_counter() - start
    gc.collect()
    after = [sys.getrefcount(o) for o in objects]
    more_blocks, more_memory = sys.getallocatedblocks() - blocks, rss() - memory
    more_nones = sys.getrefcount(None) - nones
    print(
        f"{n} operations in {seconds:.1f} s: reference counts {counts} and then {after}, "
        f"None {more_nones:+}, {more_blocks:+} blocks, {more_memory / 1024:+.0f} KiB"
    )
    # Without a GIL a few may be merged late; a leak would be thousands.
    if any(abs(a - b) > 50 for a, b in zip(after, counts, strict=True)):
        return f"reference counts changed: {counts} to {after}"
    # Compiled, gort does not count None (native.h), and the interpreter from 3.12 on.
    if nones < 1 << 30 and abs(more_nones) > 1000:
        return f"None has {more_nones:+} references"
    if more_blocks > 2000 or more_memory > most << 20:
        return f"memory grew: {more_blocks:+} blocks, {more_memory:+} bytes"
    return ""


def platform() -> str:
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    pure = os.environ.get("GORT_PURE", "") not in ("", "0")
    return (
        f"Python {sys.version.split()[0]}, {'with' if gil else 'without'} a GIL, "
        f"{'pure' if pure else 'native'}"
    )


def watch(seconds: int) -> None:
    """At a hang, every goroutine's stack and every thread's, and the end; 0: no more.

    Not from a thread: a Python thread keeps deadlocks unreported."""
    signal.alarm(seconds)
    if seconds:
        faulthandler.dump_traceback_later(seconds + 10, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()


def hang(signum: int, frame: Any) -> None:
    print(f"HANG: {schedstats()}\n{gort.stack(all=True)}", flush=True)
    faulthandler.dump_traceback(all_threads=True)
    os._exit(3)


def main() -> int:
    signal.signal(signal.SIGALRM, hang)
    # From 3.12 on fork warns where there are threads, which is the point here.
    warnings.simplefilter("ignore", DeprecationWarning)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, help="only the round of this seed")
    parser.add_argument("--refs", type=int, default=1_000_000, help="operations; 0: none")
    parser.add_argument("--no-forks", dest="forks", action="store_false")
    parser.add_argument("--memory", type=int, default=16, help="MiB by which they may grow")
    args = parser.parse_args()
    print(platform(), flush=True)
    if args.seed is not None:
        watch(HANG)
        one(args.seed, args.forks)
        return 0
    start = time.monotonic()
    first = random.randrange(1 << 30)
    before = fds()
    failures = rounds = 0
    samples: list[tuple[int, int]] = []
    while time.monotonic() < start + 60 * args.minutes:
        seed = first + rounds
        rounds += 1
        watch(HANG)
        try:
            one(seed, args.forks)
            left = leaks(before)
            if left:
                raise AssertionError(left)
        except BaseException:
            traceback.print_exc()
            failures += 1
            print(f"FAILED: python tests/stress/stress.py --seed {seed}", flush=True)
            if failures >= 5:
                break
        watch(0)
        if rounds % 10 == 0:
            gc.collect()
            samples.append((sys.getallocatedblocks(), rss()))
    grown = ""
    if len(samples) >= 8:
        half = samples[len(samples) // 2][0]
        end = samples[-1][0]
        n = 10 * (len(samples) - len(samples) // 2)
        grown = f", {(end - half) / n:+.1f} blocks a round, {samples[-1][1] >> 20} MiB"
        if (end - half) / n > 20:
            failures += 1
            print(f"FAILED: memory grows: {(end - half) / n:.1f} blocks a round")
    print(
        f"{rounds} rounds from seed {first} in {time.monotonic() - start:.0f} s, "
        f"{failures} failures{grown}",
        flush=True,
    )
    if args.refs:
        watch(10 * HANG)
        wrong = references(args.refs, args.memory)
        watch(0)
        if wrong:
            failures += 1
            print(f"FAILED: {wrong}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
