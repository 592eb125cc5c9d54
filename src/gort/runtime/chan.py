"""Channels.

Invariants, under the channel's lock:
    At least one of recvq and sendq is empty of waiters that can still be won,
    but for a select that waits on both ends.
    Buffered: values in the buffer imply an empty recvq; room an empty sendq.
    Unbuffered: a value goes from hand to hand.

A Chanop is its own sudog: it stands in a queue of its channel. Whoever takes it
out of the queue must win it (its own `won` word, or its select's) before it
touches its value; one that cannot be won was chosen elsewhere or cancelled, and
is skipped. After Go's chan.go.
"""

from __future__ import annotations

import operator
from typing import Any

import cython

from .._where import hint
from .park import Op

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        STOPASYNC,
        YIELD,
        address,
        bufput,
        buftake,
        cas,
        chanopput,
        getm,
        install_slots,
        link,
        linkdel,
        linkempty,
        linkput,
        linktake,
        load,
        lock,
        moved,
        mutex,
        poolget,
        poolops,
        sealed,
        swapvalue,
        unlikely,
        unlock,
    )
    from .gmp import OPDONE, OPNEW, WPENDING, WREADY, M, P, sched
    from .machine import claim, release
    from .park import gopark, opready

    KSEND = 0
    KRECV = 1
    KRECVOK = 2
    KRANGE = 3
    AGAIN = -1

_MAXCAP = 1 << 31

NAMES = ("Chan.send", "Chan.recv", "Chan.recv_ok", "Chan.__anext__")
"""Of the ops, by kind."""


class ChanClosed(Exception):
    """A send on a closed channel, a receive from one that is closed and drained, or
    a second close."""


class WouldBlock(Exception):
    """send_nowait or recv_nowait could not go on without waiting."""


class Ringbuf:
    """A first-in first-out buffer that grows by doubling; under its channel's lock.

    n of cap places are taken, from head on.
    """

    __slots__ = ("items", "cap", "head", "n")

    def __init__(self) -> None:
        self.items: list[Any] = [None] * 4
        self.cap = 4
        self.head = 0
        self.n = 0

    def grow(self) -> bool:
        """Make room; False when there is no memory for it."""
        old = self.items
        try:
            self.items = old[self.head :] + old[: self.head] + [None] * self.cap
        except MemoryError:
            return False
        self.head = 0
        self.cap *= 2
        return True

    def push(self, v: Any) -> None:
        """Append v where there is room."""
        i = self.head + self.n
        if i >= self.cap:
            i -= self.cap
        self.n += 1
        bufput(self, i, v)

    def pop(self) -> Any:
        i = self.head
        self.head += 1
        if self.head == self.cap:
            self.head = 0
        self.n -= 1
        return buftake(self, i)


class Chan:
    """A channel of values, first in first out; make one with gort.chan(capacity)."""

    # timer: what sends on it, kept alive by it (ticks.Feed, a context's node). As in
    # Go, a timer's channel has a buffer and presents itself as unbuffered.

    __slots__ = (
        "lock",
        "closed",
        "cap",
        "buf",
        "recvq",
        "sendq",
        "seq",
        "timer",
        "__weakref__",
    )

    def __init__(self, capacity: int = 0) -> None:
        if not cython.compiled:
            self.lock = mutex()
            self.closed = False
            self.recvq = link()
            self.sendq = link()
            self.timer = None
        try:
            n = operator.index(capacity)
        except TypeError:
            raise TypeError(
                f"a channel's capacity must be an int, not {type(capacity).__name__}"
            ) from None
        if not 0 <= n < _MAXCAP:
            raise ValueError(f"a channel's capacity must be from 0 to {_MAXCAP - 1}, not {n}")
        self.cap = n
        self.buf = Ringbuf() if n else None
        self.seq = address(self)

    @cython.binding(False)
    def send(self, value: Any, /) -> Chanop:
        """Send value; await it. Waits for a receiver or for room in the buffer.

        Raises ChanClosed on a closed channel.
        """
        return newop(self, KSEND, value)

    @cython.binding(False)
    def recv(self) -> Chanop:
        """Receive a value; await it. Raises ChanClosed when closed and drained."""
        return newop(self, KRECV, None)

    @cython.binding(False)
    def recv_ok(self) -> Chanop:
        """Receive; await it: (value, True), or (None, False) when closed and drained."""
        return newop(self, KRECVOK, None)

    def send_nowait(self, value: Any) -> None:
        """Send without waiting, from any thread while a runtime is up.

        Raises WouldBlock where send would wait, ChanClosed on a closed channel,
        RuntimeError when no runtime is up.
        """
        needruntime("send_nowait")
        op = newop(self, KSEND, value)
        nowait(op)

    def recv_nowait(self) -> Any:
        """Receive without waiting, from any thread while a runtime is up.

        Raises WouldBlock where recv would wait, ChanClosed when closed and
        drained, RuntimeError when no runtime is up.
        """
        needruntime("recv_nowait")
        return nowait(newop(self, KRECV, None))

    def close(self) -> None:
        """Close the channel, from any thread while a runtime is up.

        Parked receivers wake as drained, parked senders raise ChanClosed.
        Raises ChanClosed when it is closed already.
        """
        needruntime("close")
        pp = enter()
        try:
            closechan(self, pp)
        finally:
            leave(pp)

    @property
    def capacity(self) -> int:
        """How many values the buffer holds; 0 for an unbuffered channel."""
        return self.cap if self.timer is None else 0

    def __len__(self) -> int:
        return self.buf.n if self.buf is not None and self.timer is None else 0

    def __bool__(self) -> bool:
        return True

    def __aiter__(self) -> Chan:
        return self

    def __anext__(self) -> Chanop:
        return newop(self, KRANGE, None)

    @classmethod
    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def __repr__(self) -> str:
        state = ", closed" if self.closed else ""
        return f"<Chan {len(self)}/{self.cap}{state}>"

    def enqueue(self, sg: Chanop) -> None:
        """Append sg to the queue of its kind; the lock is held."""
        sg.waited = True
        if sg.kind == KSEND:
            linkput(self.sendq, sg.qlink, sg)
        else:
            linkput(self.recvq, sg.qlink, sg)

    def dequeue(self, sg: Chanop) -> None:
        """Take sg out of its queue, if it stands there; the lock is held."""
        if sg.kind == KSEND:
            linkdel(self.sendq, sg.qlink, sg)
        else:
            linkdel(self.recvq, sg.qlink, sg)

    def takerecv(self) -> Chanop | None:
        """The first receiver in waiting, dequeued and won; the lock is held."""
        while True:
            sg = linktake(self.recvq)
            if sg is None or winsudog(sg):
                return moved(sg)

    def takesend(self) -> Chanop | None:
        """The first sender in waiting, dequeued and won; the lock is held."""
        while True:
            sg = linktake(self.sendq)
            if sg is None or winsudog(sg):
                return moved(sg)


@cython.no_gc
@cython.cclass
class Chanop(Op):
    """One operation on a channel, and its sudog. Await it, or give it to select."""

    # qlink and ok are under the channel's lock while it stands in a queue. waited: it stood
    # in one. used: a select has it.

    __slots__ = (
        "c",
        "qlink",
        "sel",
        "nextcase",
        "kind",
        "waited",
        "ok",
        "used",
        "index",
    )

    def __init__(self) -> None:
        if not cython.compiled:
            super().__init__()
            self.qlink = link()
            self.c = self.sel = self.nextcase = None
            self.waited = self.ok = self.used = False
            self.index = 0

    def reset(self) -> None:
        self.state = OPNEW
        if self.waited or self.used:
            self.resetwaited()
        if self.value is not None:
            self.value = None
        self.c = None

    def resetwaited(self) -> None:
        """reset() of what an op has that waited, or was a case of a select."""
        self.waited = self.used = False
        if self.g is not None:
            self.g = None
        if self.sel is not None:
            self.sel = None
        if self.nextcase is not None:
            self.nextcase = None

    def opname(self) -> str:
        return NAMES[self.kind]

    def start(self, pp: P) -> int:
        lock(self.c.lock)
        if self.kind == KSEND:
            code = trysend(self, pp)
        else:
            code = tryrecv(self, pp)
        if code == AGAIN:
            gopark(self, 2 if self.kind == KSEND else 1)
            self.c.enqueue(self)
            unlock(self.c.lock)
            return YIELD
        unlock(self.c.lock)
        return self.deliver() if code == RETURN else code

    def finish(self) -> int:
        return self.deliver()

    @cython.final
    def deliver(self) -> int:
        """What the op gives once it is done: value and ok to a code and a value."""
        if self.ok and self.kind != KRECVOK:
            return RETURN
        return self.deliverok()

    def deliverok(self) -> int:
        """deliver() for what is more than the value."""
        if self.kind == KRECVOK:
            self.value = (self.value if self.ok else None, self.ok != 0)
            return RETURN
        if self.kind == KRANGE:
            return STOPASYNC
        self.value = ChanClosed(
            "send on closed channel"
            if self.kind == KSEND
            else "receive from closed and drained channel"
        )
        return RAISE

    def unqueue(self) -> None:
        c = self.c
        lock(c.lock)
        c.dequeue(self)
        unlock(c.lock)


def newop(c: Chan, kind: int, value: Any) -> Chanop:
    op = poolget()
    if unlikely(op is None):
        op = firstop()
    chanopput(op, c, kind, value)
    return moved(op)


def firstop() -> Chanop:
    """One that no dead op's memory was left for."""
    op = Chanop.__new__(Chanop)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
    return op


def winsudog(sg: Chanop) -> bool:
    """Win a dequeued sudog, or the select that it belongs to."""
    sel = sg.sel
    if sel is None:
        return cas(sg.won, WPENDING, WREADY)
    if not cas(sel.won, WPENDING, WREADY):
        return False
    sel.code = sg.index
    return True


def readysudog(sg: Chanop, pp: P, next: bool) -> None:
    """Wake whoever waits with a won sudog."""
    if sg.sel is None:
        opready(sg, pp, next)
    else:
        opready(sg.sel, pp, next)


# Without a local variable for op.c: it would be a reference to count, which is an atomic
# operation where another thread made the channel.


def trysend(op: Chanop, pp: P) -> int:
    """Send now if it can be done: RETURN when op.deliver() tells the rest; AGAIN when op
    has to wait. Its channel's lock is held.

    Makes a peer runnable under the lock: nothing that goready does can run a
    user's code.
    """
    op.ok = True
    if unlikely(op.c.closed):
        op.ok = False
        return RETURN
    if not linkempty(op.c.recvq):
        sg = op.c.takerecv()
        if sg is not None:
            swapvalue(sg, op)
            sg.ok = True
            readysudog(sg, pp, True)
            return RETURN
    if op.c.buf is None or op.c.buf.n >= op.c.cap:
        return AGAIN
    if op.c.buf.n == op.c.buf.cap and not op.c.buf.grow():
        return nomemory(op)
    op.c.buf.push(op.value)
    op.value = None
    return RETURN


def nomemory(op: Chanop) -> int:
    op.value = MemoryError("no memory for the channel's buffer to grow")
    return RAISE


def tryrecv(op: Chanop, pp: P) -> int:
    """Receive now if it can be done, as trysend."""
    op.ok = True
    if op.c.buf is not None and op.c.buf.n > 0:
        op.value = op.c.buf.pop()
        if linkempty(op.c.sendq):
            return RETURN
        sg = op.c.takesend()
        if sg is None:
            return RETURN
        op.c.buf.push(sg.value)
        sg.value = None
    else:
        sg = None
        if not linkempty(op.c.sendq):
            sg = op.c.takesend()
        if sg is None:
            op.ok = False
            return RETURN if op.c.closed else AGAIN
        swapvalue(op, sg)
    sg.ok = True
    readysudog(sg, pp, True)
    return RETURN


def closechan(c: Chan, pp: P) -> None:
    woken: list[Chanop] = []
    lock(c.lock)
    if c.closed:
        unlock(c.lock)
        raise ChanClosed("close of closed channel")
    c.closed = True
    while True:
        sg = c.takerecv()
        if sg is None:
            sg = c.takesend()
        if sg is None:
            break
        sg.ok = False
        woken.append(sg)
    unlock(c.lock)
    for sg in woken:
        readysudog(sg, pp, False)


def nowait(op: Chanop) -> Any:
    """Do op at once, on any thread, or raise."""
    c = op.c
    op.state = OPDONE
    pp = enter()
    lock(c.lock)
    code = trysend(op, pp) if op.kind == KSEND else tryrecv(op, pp)
    unlock(c.lock)
    leave(pp)
    if code == RETURN and op.deliver() == RETURN:
        return op.value
    if code == AGAIN:
        what = "send" if op.kind == KSEND else "receive"
        raise WouldBlock(f"{what} would block")
    exc: BaseException = op.value
    raise exc


def enter() -> P | None:
    """Enter the runtime from a plain call: this thread's P, claimed, if it has one."""
    mp: M = getm()
    if mp is None:
        return None
    return claim(mp)


def leave(pp: P | None) -> None:
    """Undo enter."""
    if pp is not None:
        mp: M = getm()
        release(mp, pp)


def needruntime(what: str) -> None:
    if load(sched.up) == 0:
        raise RuntimeError(f"{what}: no gort runtime is up; call it under gort.run(main){hint()}")


def chan(capacity: int = 0) -> Chan:
    """Make a channel; capacity 0 is unbuffered: a send waits for its receiver.

    Raises TypeError or ValueError for a capacity that is no int from 0 on.
    Callable from any thread, also before the runtime is up.
    """
    return Chan(capacity)


sealed(Chan, "(capacity=0)")
install_slots(Chanop)
poolops(Chanop)
