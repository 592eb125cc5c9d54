"""What a simulated program may use: computing, waiting for the others, plain threads,
and pipes in place of sockets."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from itertools import count
from typing import Any, Protocol

from .. import _pure
from . import _args


def platform() -> dict[str, Any]:
    """The names of the simulator's platform."""
    names: dict[str, Any] = _pure.simulated().runtime.gmp.load.__globals__
    return names


def engine(what: str) -> Any:
    e = platform()["current"]()
    if e is None:
        raise RuntimeError(f"{what} is for simulated programs: call it under gort.testing.run_sim")
    return e


def work(seconds: float) -> None:
    """Compute for that many virtual seconds: the goroutine's thread is busy, as in a
    loop without an await. Outside a simulation it does nothing.

    TypeError or ValueError for what is no number of seconds.
    """
    seconds = _args.duration("work", seconds)
    e = platform()["current"]()
    if e is not None:
        e.point("work")
        e.block(e.clock + round(seconds * 1e9))


async def wait() -> None:
    """Wait until every other goroutine waits: on a channel, a timer, a file, in
    gort.wait. Time does not move meanwhile. As Go's synctest.Wait.

    Raises RuntimeError outside a simulation.
    """
    sim: Any = _pure.simulated()
    e = engine("wait()")
    done = sim.chan(1)

    def watch(arg: Any) -> None:
        e.idle()
        try:
            done.send_nowait(None)
        except RuntimeError:
            pass  # the run has ended meanwhile

    platform()["newosproc"](watch, None, "wait")
    await done.recv()


class Thread(Protocol):
    """A simulated plain thread."""

    def join(self, timeout: float | None = None) -> None: ...

    def is_alive(self) -> bool: ...


def thread(fn: Callable[..., Any], *args: Any) -> Thread:
    """Start fn(*args) on a plain thread, outside the runtime, and return it; what it
    raises fails the run, which that of a threading.Thread does not.

    Raises RuntimeError outside a simulation, TypeError for what is no plain function.
    """
    engine("thread()")
    _args.function("thread", fn)
    if iscoroutinefunction(fn):
        raise TypeError(
            f"thread wants a plain function, not the async {fn.__qualname__}: start that with go"
        )
    t: Thread = platform()["newosproc"](lambda arg: fn(*args), None, "thread")
    return t


_fds = count(100_000)


class Pipe:
    """Bytes from one goroutine to another through virtual files: `r` and `w` are
    descriptors for gort.wait_readable and wait_writable, and for nothing else.

    read and write do not wait, as on a non-blocking socket; recv and send do.
    Raises RuntimeError outside a simulation.
    """

    __slots__ = ("r", "w", "capacity", "_data", "_closed")

    def __init__(self, capacity: int = 65536) -> None:
        engine("Pipe()")
        capacity = _args.whole("Pipe: capacity", capacity, 1)
        self.r = next(_fds)
        self.w = next(_fds)
        self.capacity = capacity
        self._data = bytearray()
        self._closed = False
        self._changed()

    def _changed(self) -> None:
        mark = platform()["mark"]
        mark(self.r, 1 if self._data or self._closed else 0)
        mark(self.w, 2 if len(self._data) < self.capacity or self._closed else 0)

    def read(self, n: int = 65536) -> bytes:
        """At most n bytes; b"" after close. BlockingIOError when there is nothing yet."""
        engine("Pipe.read").point("read")
        n = _args.whole("Pipe.read: n", n, 1)
        if not self._data and not self._closed:
            raise BlockingIOError("the pipe is empty")
        data = bytes(self._data[:n])
        del self._data[:n]
        self._changed()
        return data

    def write(self, data: bytes) -> int:
        """Write what there is room for; how much. BlockingIOError when there is none,
        BrokenPipeError after close."""
        engine("Pipe.write").point("write")
        data = _args.octets("Pipe.write: data", data)
        if self._closed:
            raise BrokenPipeError("the pipe is closed")
        n = min(len(data), self.capacity - len(self._data))
        if n == 0 and data:
            raise BlockingIOError("the pipe is full")
        self._data += data[:n]
        self._changed()
        return n

    def close(self) -> None:
        """No more will be written; what was is still read."""
        engine("Pipe.close").point("close")
        self._closed = True
        self._changed()

    async def recv(self, n: int = 65536) -> bytes:
        """read, after waiting until there is something."""
        sim: Any = _pure.simulated()
        while True:
            try:
                return self.read(n)
            except BlockingIOError:
                await sim.wait_readable(self.r)

    async def send(self, data: bytes) -> None:
        """write all of it, waiting for room."""
        sim: Any = _pure.simulated()
        data = _args.octets("Pipe.send: data", data)
        while data:
            try:
                data = data[self.write(data) :]
            except BlockingIOError:
                await sim.wait_writable(self.w)
