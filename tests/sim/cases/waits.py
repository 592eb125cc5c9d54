"""Timers, and the network poller over virtual files."""

from __future__ import annotations

import time
from errno import EBADF
from typing import Any

import gort
from gort import _pure
from gort.testing import Pipe, thread, wait, work
from gort.testing._inside import platform

from .base import case, ended, joinall, loose, soon


@case(procs=(1, 2, 3))
async def sleepers() -> None:
    t = time.monotonic()

    async def nap(seconds: float) -> None:
        await gort.sleep(seconds)
        soon(t, seconds)

    await joinall([gort.go(nap, i * 0.003) for i in (5, 1, 4, 2, 3, 3)])


@case(procs=(1, 2, 3))
async def earlier_timers_break_the_poll() -> None:
    """A sleeper comes while the poller sleeps for a later one."""
    t = time.monotonic()

    async def long() -> None:
        await gort.sleep(1.0)
        soon(t, 1.0)

    async def short(c: Any) -> None:
        await c.recv()
        s = time.monotonic()
        await gort.sleep(0.01)
        soon(s, 0.01)

    def outside() -> None:
        time.sleep(0.1)
        c.send_nowait(None)

    c = gort.chan(1)
    gs = [gort.go(long), gort.go(short, c)]
    x = thread(outside)
    await joinall(gs)
    x.join()


@case(procs=(2, 3))
async def timers_of_a_busy_p_are_stolen() -> None:
    """The M that holds the timer computes: another one runs it in time."""
    late = []

    async def nap() -> None:
        t = time.monotonic()
        await gort.sleep(0.002)
        late.append(time.monotonic() - t)

    async def hog() -> None:
        gs = [gort.go(nap) for _ in range(2)]
        await gort.gosched()
        work(0.05)
        await joinall(gs)

    await gort.go(hog)
    assert loose() or max(late) < 0.03, late


@case(procs=(2, 3))
async def timers_of_who_computes_on() -> None:
    """Who starts a timer computes on: an idle P must run it in time."""
    await wait()
    for _ in range(3):
        t = time.monotonic()
        c = gort.after(0.002)
        work(0.008)
        at = await c.recv() - t
        assert loose() or at < 0.003, at


@case(procs=(2, 3))
async def timers_wake_two() -> None:
    """One M finds two due timers while the other one gives its P up."""
    t = time.monotonic()

    async def nap(i: int) -> None:
        for k in range(1, 4):
            await gort.sleep(t + 0.01 * k - time.monotonic())
            work(0.005)

    await joinall([gort.go(nap, i) for i in range(2)])
    soon(t, 0.035, 0.002)


@case(procs=(1, 2))
async def after_and_tick() -> None:
    t = time.monotonic()
    ticks = gort.tick(0.01)
    end = gort.after(0.055)
    n = 0
    while True:
        i, _ = await gort.select(ticks.recv(), end.recv())
        if i == 1:
            break
        n += 1
    soon(t, 0.055)
    assert n == 5 or loose(), n


@case(procs=(1, 2, 3))
async def cancelled_sleepers() -> None:
    async def nap() -> None:
        await gort.sleep(5)

    t = time.monotonic()
    gs = [gort.go(nap) for _ in range(4)]
    await gort.gosched()
    for g in gs[:3]:
        g.cancel()
    assert await ended(gs[:3]) == 3 or loose()
    await gs[3]
    soon(t, 5)


@case(procs=(2,), maxsteps=300_000)
async def dead_timers_are_swept() -> None:
    async def nap() -> None:
        await gort.sleep(5)

    gs = [gort.go(nap) for _ in range(68)]
    keep = gort.go(nap)
    await wait()
    for g in gs:
        g.cancel()
    assert await ended(gs) == len(gs) or loose()
    await keep


@case(procs=(1, 2, 3))
async def pipes() -> None:
    p, q = Pipe(), Pipe()

    async def echo() -> None:
        while data := await p.recv():
            await q.send(data.upper())
        q.close()

    g = gort.go(echo)
    for i in range(3):
        await p.send(b"m%d" % i)
        assert await q.recv() == b"M%d" % i
    p.close()
    assert await q.recv() == b""
    await g


@case(procs=(1, 2, 3))
async def pipes_push_back() -> None:
    p = Pipe(capacity=3)

    async def write() -> None:
        await p.send(b"0123456789")
        p.close()

    g = gort.go(write)
    got = b""
    while data := await p.recv(2):
        got += data
    assert got == b"0123456789"
    await g


@case(procs=(1, 2, 3))
async def files_timers_and_channels() -> None:
    p, c = Pipe(), gort.chan()

    async def read() -> None:
        await c.send(await p.recv())

    async def write() -> None:
        await gort.sleep(0.004)
        p.write(b"z")

    gs = [gort.go(read), gort.go(write)]
    i, v = await gort.select(c.recv(), gort.after(0.5).recv())
    assert (i, v) == (0, b"z") or loose()
    if i == 0:
        await joinall(gs)


@case(procs=(1, 2, 3))
async def closing_a_file_wakes_its_waiters() -> None:
    p = Pipe()

    async def read() -> str:
        try:
            await gort.wait_readable(p.r)
        except OSError:
            return "closed"
        return "ready"

    gs = [gort.go(read) for _ in range(3)]
    await wait()
    gort.notify_closing(p.r)
    assert await joinall(gs) == ["closed"] * 3


@case(procs=(1, 2, 3))
async def cancelled_file_waits() -> None:
    p = Pipe()

    async def read() -> bytes:
        return await p.recv()

    gs = [gort.go(read) for _ in range(3)]
    await gort.gosched()
    gs[0].cancel()
    gs[2].cancel()
    p.write(b"ab")
    p.close()
    got = []
    for g in gs:
        try:
            got.append(await g)
        except gort.Cancelled:
            pass
    assert b"".join(got) == b"ab", got


@case(procs=(1, 2, 3))
async def files_from_outside() -> None:
    p, q = Pipe(), Pipe()

    def outside() -> None:
        time.sleep(0.02)
        p.write(b"1")
        time.sleep(0.02)
        q.write(b"2")

    async def read(x: Pipe) -> bytes:
        return await x.recv()

    gs = [gort.go(read, p), gort.go(read, q)]
    t = thread(outside)
    assert await joinall(gs) == [b"1", b"2"]
    t.join()


@case(procs=(1, 2, 3))
async def the_last_p_polls() -> None:
    """A file is waited for, the last P goes into a call, and no timer helps."""
    pipes = [Pipe() for _ in range(5)]
    go = gort.chan()

    async def read() -> None:
        for p in pipes:
            await go.recv()
            t = time.monotonic()
            assert await p.recv() == b"x"
            assert loose() or time.monotonic() - t < 0.021

    def feed(p: Pipe) -> None:
        time.sleep(0.01)
        p.write(b"x")

    g = gort.go(read)
    for p in pipes:
        await go.send(None)
        feeder = thread(feed, p)
        await gort.gosched()
        await gort.syscall(time.sleep, 0.05)
        feeder.join()
    await g


class Stream:
    """The reader's end of a virtual socket, and how much there is to read."""

    def __init__(self, fd: int) -> None:
        self.names = platform()
        self.sock = self.names["Socket"](fd)
        self.n = 0

    def put(self, n: int = 1) -> None:
        self.names["point"]("put")
        self.n += n
        self.names["mark"](self.sock.fd, 1 if self.n else 0)

    def take(self) -> bool:
        self.names["point"]("take")
        if self.n == 0:
            return False
        self.n -= 1
        self.names["mark"](self.sock.fd, 1 if self.n else 0)
        return True

    async def read(self, bynumber: bool = False) -> None:
        """Who reads alone, and was told that there is something, finds it."""
        await gort.wait_readable(self.sock.fd if bynumber else self.sock)
        assert self.take(), "woken for nothing"

    def armed(self) -> list[int]:
        return [
            mask
            for p in self.names["pollers"]
            for (fd, _), (mask, _) in p.armed.items()
            if fd == self.sock.fd
        ]

    def oneshots(self) -> int:
        """How many of the next waits are one-shot: it was disarmed time and again, before a
        wait was spared its call. It holds still when all wait."""
        pd = _pure.simulated().runtime.netpoll.np.pds.get(self.sock.fd)
        return pd.once if pd is not None else 0


@case(procs=(1, 2, 3))
async def sockets_stay_armed() -> None:
    """Two play ping-pong; some is read later, and some before anyone waits."""
    a, b = Stream(3), Stream(4)

    async def play(mine: Stream, other: Stream) -> None:
        for i in range(4):
            await mine.read()
            if i == 1:
                await gort.gosched()
            if i == 2:
                assert mine.n > 0 and mine.take()
            else:
                await mine.read()
            other.put(2)

    gs = [gort.go(play, a, b), gort.go(play, b, a)]
    a.put(2)
    await joinall(gs)


@case(procs=(1, 2, 3))
async def sockets_fed_from_outside() -> None:
    """Bytes come one by one, whoever polls; each one is read by who tries first."""
    a = Stream(3)

    def feed() -> None:
        for _ in range(6):
            a.put()
            time.sleep(0.0001)

    async def eager() -> None:
        for _ in range(6):
            if not a.take():
                await a.read()

    g = gort.go(eager)
    t = thread(feed)
    await g
    t.join()


@case(procs=(1, 2, 3))
async def sockets_by_number() -> None:
    """The same, and each second wait is for the number: epoll is told each time."""
    a = Stream(3)

    def feed() -> None:
        for _ in range(6):
            a.put()
            time.sleep(0.0001)

    async def eager() -> None:
        for i in range(6):
            if not a.take():
                await a.read(i % 2 == 1)

    g = gort.go(eager)
    t = thread(feed)
    await g
    t.join()


@case(procs=(1, 2, 3), maxsteps=20_000)
async def unread_sockets_do_not_spin() -> None:
    a, p = Stream(3), Pipe()

    async def nap() -> None:
        await gort.sleep(0.1)
        p.write(b"x")

    a.put(2)
    await a.read()
    t = time.monotonic()
    g = gort.go(nap)
    assert await p.recv() == b"x"
    soon(t, 0.1)
    await g
    await a.read()


@case(procs=(1, 2, 3))
async def reused_numbers() -> None:
    """A socket left armed is closed without notice; another one gets its number."""
    for i in range(4):
        a = Stream(3)
        what = a.sock if i % 2 else a.sock.fd
        g = gort.go(a.read)
        await gort.gosched()
        a.put(2)
        await g
        await gort.wait_readable(what)
        assert a.take()
        a.sock.close()


@case(procs=(1, 2, 3), maxsteps=20_000)
async def files_outlive_their_numbers() -> None:
    """A dup keeps a file open: epoll reports it on, under another one's number."""
    old = Stream(3)
    old.put(2)
    await old.read()
    file = platform()["files"][3]
    file.held = True
    old.sock.close()
    new = Stream(3)

    def feed() -> None:
        time.sleep(0.05)
        new.put()

    g = gort.go(new.read)
    t = thread(feed)
    await g
    t.join()
    await gort.sleep(0.05)


@case(procs=(1, 2, 3))
async def cancelled_while_armed() -> None:
    a = Stream(3)
    a.put()
    await a.read()
    for _ in range(3):
        g = gort.go(a.read)
        await gort.gosched()
        g.cancel()
        a.put()
        if await ended([g]):
            await a.read()
        assert a.n == 0
    # Who polls after a reader was woken, and before it reads, disarms what that wait armed:
    # after two of these the next wait is one-shot.
    await wait()
    kept = a.oneshots() == 0
    g = gort.go(a.read)
    await wait()
    assert a.armed() == ([5] if kept else [1])
    g.cancel()
    assert await ended([g]) == 1
    assert a.armed() == ([5] if kept else [])
    a.put()
    await a.read()


@case(procs=(1, 2, 3))
async def unread_sockets_back_off() -> None:
    """Disarmed time and again, it is armed for one wait each: 1, then 3 of them, and so on. A
    one-shot wait that is cancelled starts that anew, and so does one that was spared its call."""
    a, other = Stream(3), Stream(4)
    poll = gort.go(other.read)

    async def ready() -> None:
        await gort.wait_readable(a.sock)

    async def masks(n: int) -> list[int]:
        """How each of n waits is armed; what they wait for is read after all have seen it."""
        found = []
        for _ in range(n):
            g = gort.go(ready)
            await wait()
            found += a.armed()
            a.put()
            await g
            await wait()
            assert a.armed() == [0]
            assert a.take()
        return found

    async def cancelled() -> tuple[list[int], list[int]]:
        """How a wait is armed, and what it leaves when it is cancelled."""
        g = gort.go(ready)
        await wait()
        found = a.armed()
        g.cancel()
        assert await ended([g]) == 1
        return found, a.armed()

    assert await masks(5) == [5, 5, 1, 5, 1]
    assert await cancelled() == ([1], [])
    assert await masks(3) == [5, 5, 1]
    assert await cancelled() == ([5], [5])
    assert await masks(3) == [5, 5, 1]
    other.put()
    await poll


@case(procs=(1, 2, 3))
async def closing_while_armed() -> None:
    async def read(a: Stream) -> str:
        try:
            await gort.wait_readable(a.sock)
        except OSError:
            return "closed"
        return "ready"

    for _ in range(3):
        a = Stream(3)
        a.put()
        await a.read()
        gs = [gort.go(read, a) for _ in range(2)]
        await wait()
        gort.notify_closing(a.sock)
        a.sock.close()
        assert await joinall(gs) == ["closed"] * 2


@case(procs=(1, 2, 3))
async def directions_in_turn() -> None:
    """A writer comes to a reader that waits for a socket left armed."""
    a = Stream(3)
    names = platform()
    a.put()
    await a.read()

    async def write() -> None:
        await gort.wait_writable(a.sock)

    for _ in range(3):
        gs = [gort.go(a.read), gort.go(write)]
        await wait()
        names["mark"](3, 2)
        await gs[1]
        names["mark"](3, 0)
        a.put()
        await gs[0]


def socket(fd: int) -> Any:
    return platform()["Socket"](fd)


async def outcome(op: Any) -> str:
    try:
        await op
    except OSError as exc:
        return "closed" if exc.errno == EBADF else repr(exc)
    return "done"


@case(procs=(2, 3))
async def closing_beside_a_send() -> None:
    """Not a byte goes to the file that has a closed socket's number next."""
    a = socket(3)
    g = gort.go(outcome, gort.net.sendall(a, b"abcd"))
    h = gort.go(_pure.simulated().runtime.netfd.closesock, a)
    await h
    b = socket(3)
    assert await g in ("closed", "done")
    assert platform()["files"][3].sent == b""
    b.close()


@case(procs=(1, 2, 3))
async def closing_beside_a_wait() -> None:
    """Who begins to wait while a socket is closed is not forgotten, and does not wait for
    the next file of its number."""
    a = socket(3)
    ops = [gort.wait_readable(a), gort.wait_writable(a), gort.wait_readable(a)]
    gs = [gort.go(outcome, op) for op in ops]
    h = gort.go(_pure.simulated().runtime.netfd.closesock, a)
    await h
    b = socket(3)
    assert await joinall(gs) == ["closed"] * 3
    b.close()


@case(procs=(1, 2, 3))
async def numbers_closed_without_a_word() -> None:
    """Who waits for a file that was closed, and whose number is waited for anew, is told."""
    a = socket(3)
    old = [gort.go(outcome, gort.wait_readable(a)), gort.go(outcome, gort.wait_writable(a))]
    await wait()
    a.close()
    b = socket(3)
    new = gort.go(outcome, gort.wait_readable(b))
    assert await joinall(old) == ["closed"] * 2
    platform()["setready"](3, 1)
    assert await new == "done"
    b.close()
