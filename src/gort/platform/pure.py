"""The pure platform: the native one's interface in plain Python.

Atomics and slots share one lock, so that a compare-and-swap is one on an
interpreter without a GIL too. Single loads and stores need none: reading or
writing one attribute is atomic in every CPython.
"""

from __future__ import annotations

import contextvars
import errno
import functools
import heapq
import os
import random
import select
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from types import CodeType, FunctionType, MethodType
from typing import Any, NoReturn

from gort._bytecode import startthread
from gort._stacks import walkstacks
from gort._strangers import countstrangers, markearly, markstrangers

_MSG_DONTWAIT = 0x40

YIELD = 0
RETURN = 1
RAISE = 2
STOPASYNC = 3
RUNQ = 256

_CO_COROUTINE = 0x80
_CO_ASYNC_GENERATOR = 0x200

DROPTICK = 50_000_000
"""How often sysmon looks for dropped async generators, in nanoseconds."""

# Taken by acquire and release, as `with` makes a bound method, which the collector
# tracks: it could run, and a finalizer with it, under a lock of the runtime.
_word = threading.Lock()


class atomic:
    __slots__ = ("v",)

    def __init__(self) -> None:
        self.v = 0


atomic8 = atomic
"""One whose values are from -128 to 127."""


def load(a: atomic) -> int:
    return a.v


def store(a: atomic, x: int) -> None:
    # Under the lock: a store between a cas's read and its write would be lost.
    _word.acquire()
    try:
        a.v = x
    finally:
        _word.release()


store_rel = store


def cas(a: atomic, old: int, new: int) -> bool:
    _word.acquire()
    try:
        if a.v != old:
            return False
        a.v = new
        return True
    finally:
        _word.release()


def add(a: atomic, n: int) -> int:
    _word.acquire()
    try:
        a.v += n
        return a.v
    finally:
        _word.release()


def swap(a: atomic, x: int) -> int:
    _word.acquire()
    try:
        old = a.v
        a.v = x
        return old
    finally:
        _word.release()


def post(a: atomic) -> None:
    """Set a to 1 without the lock: from callbacks that may run under it. The reader
    that clears a looks for what was posted after that."""
    a.v = 1


def fence() -> None:
    _word.acquire()
    _word.release()


_pid = os.getpid()


def _afterfork() -> None:
    global _word, _pid
    _word = threading.Lock()
    _pid = os.getpid()


os.register_at_fork(after_in_child=_afterfork)


def _renew(x: Any) -> None:
    """x was made before a fork: the thread that holds it may not exist here."""
    with _word:
        if x.pid != _pid:
            x.renew()
            x.pid = _pid


class mutex:
    """A lock. One that was held when the process forked is free in the child."""

    __slots__ = ("raw", "pid")

    def __init__(self) -> None:
        self.pid = _pid
        self.renew()

    def renew(self) -> None:
        self.raw = threading.Lock()


def lock(m: mutex) -> None:
    if m.pid != _pid:
        _renew(m)
    m.raw.acquire()


def unlock(m: mutex) -> None:
    m.raw.release()


def lockstat(m: Any, i: int) -> int:
    """Nothing is counted here, nor in a build without GORT_LOCKSTATS."""
    return 0


class note:
    """One-shot sleep and wakeup; an interrupt makes the sleeper look at signals."""

    __slots__ = ("cond", "key", "pid")

    def __init__(self) -> None:
        self.pid = _pid
        self.key = 0
        self.renew()

    def renew(self) -> None:
        self.cond = threading.Condition(threading.Lock())


def noteclear(n: note) -> None:
    if n.pid != _pid:
        _renew(n)
    with n.cond:
        n.key = 0


def notewakeup(n: note) -> None:
    if n.pid != _pid:
        _renew(n)
    with n.cond:
        n.key = 1
        n.cond.notify()


def noteinterrupt(n: note) -> None:
    with n.cond:
        if n.key == 0:
            n.key = 2
            n.cond.notify()


def notesleep(n: note, ns: int) -> bool:
    if n.pid != _pid:
        _renew(n)
    with n.cond:
        if n.key == 0:
            n.cond.wait(None if ns < 0 else ns / 1e9)
        if n.key == 2:
            n.key = 0
        return n.key == 1


nanotime = time.monotonic_ns


def usleep(us: int) -> None:
    time.sleep(us / 1e6)


class slot:
    __slots__ = ("v",)

    def __init__(self) -> None:
        self.v: Any = None


def slotset(s: slot) -> bool:
    return s.v is not None


def slotswap(s: slot, o: Any) -> Any:
    _word.acquire()
    try:
        old = s.v
        s.v = o
        return old
    finally:
        _word.release()


def slotput(s: slot, o: Any) -> None:
    """Into a slot that is empty and that nobody else fills."""
    s.v = o


def slotpeek(s: slot) -> Any:
    return s.v


def slotclear(s: slot) -> None:
    s.v = None


class link:
    """A place in a list whose head is one too; see link.h."""

    __slots__ = ("next", "prev", "owner")

    def __init__(self) -> None:
        self.next: link | None = None
        self.prev: link | None = None
        self.owner: Any = None


def linkadd(head: link, at: link, owner: Any) -> None:
    at.owner = owner
    at.prev = head
    at.next = head.next
    (at.next or head).prev = at
    head.next = at


def linkput(head: link, at: link, owner: Any) -> None:
    at.owner = owner
    at.next = None
    at.prev = head.prev or head
    at.prev.next = at
    head.prev = at


def linkdel(head: link, at: link, owner: Any) -> None:
    if at.prev is None:
        return
    at.prev.next = at.next
    if at.next is not None:
        at.next.prev = at.prev
    else:
        head.prev = None if at.prev is head else at.prev
    at.next = at.prev = at.owner = None


def linknext(at: link) -> Any:
    return at.next.owner if at.next is not None else None


def linktake(head: link) -> Any:
    owner = linknext(head)
    if head.next is not None:
        linkdel(head, head.next, owner)
    return owner


def linkempty(head: link) -> bool:
    return head.next is None


class queue:
    """First in, first out; see link.h."""

    __slots__ = ("owners",)

    def __init__(self) -> None:
        self.owners: deque[Any] = deque()


def queueput(q: queue, link: slot, owner: Any) -> None:
    q.owners.append(owner)


def queuetake(q: queue) -> Any:
    return q.owners.popleft() if q.owners else None


def slottake(s: slot) -> Any:
    o = s.v
    s.v = None
    return o


def tupleat(t: tuple[Any, ...], i: int) -> Any:
    return t[i]


def moved(v: Any) -> Any:
    return v


def unlikely(x: bool) -> bool:
    """x, of which the compiler may assume that it is false nearly always."""
    return x


def iscoroutinefunction(fn: Any) -> bool:
    """Whether calling fn makes a coroutine and does nothing else."""
    return _flags(fn) & _CO_COROUTINE != 0


def isasyncgenfunction(fn: Any) -> bool:
    """Whether calling fn makes an async generator and does nothing else."""
    return _flags(fn) & _CO_ASYNC_GENERATOR != 0


def _flags(fn: Any) -> int:
    if type(fn) is MethodType:
        fn = fn.__func__
    if type(fn) is not FunctionType:
        return 0
    code: CodeType = fn.__code__
    return code.co_flags


def fastgo(slow: Any) -> Any:
    """gort.go for coroutine functions without a tuple and a dict of the arguments."""
    return slow


def recordget() -> Any:
    """A dead goroutine's record, as new; none is kept here."""
    return None


def keeprecords(cls: type) -> None:
    pass


def tracebackof(exc: BaseException) -> Any:
    return exc.__traceback__


def settraceback(exc: BaseException, tb: Any) -> None:
    BaseException.with_traceback(exc, tb)


def nameof(what: Any) -> Any:
    """The qualified name of what a goroutine runs; see spawn.h."""
    if isinstance(what, str):
        return what
    if isinstance(what, tuple):
        what = what[0]
    try:
        name = what.__qualname__
    except Exception:
        return None
    return name if isinstance(name, str) else None


def gctrack(o: Any, value: Any) -> None:
    pass


def awaitby(cls: type, fn: Any) -> None:
    """Awaiting an object of cls awaits fn(object)."""


def ring() -> list[Any]:
    return [None] * RUNQ


def ringput(r: list[Any], i: int, o: Any) -> None:
    # In a cell of its own: who wins the index empties the cell, and no copy of
    # it that a thief left behind keeps the goroutine alive.
    r[i % RUNQ] = [o]


ringmove = ringput


def ringtake(r: list[Any], i: int) -> Any:
    cell = r[i % RUNQ]
    o = cell[0]
    cell[0] = None
    return o


def ringcopy(src: list[Any], i: int, dst: list[Any], j: int) -> None:
    dst[j % RUNQ] = src[i % RUNQ]


def bufput(b: Any, i: int, o: Any) -> None:
    b.items[i] = o


def buftake(b: Any, i: int) -> Any:
    o = b.items[i]
    b.items[i] = None
    return o


def _run(ctx: slot, result: slot, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> int:
    if ctx.v is None:
        ctx.v = contextvars.Context()
    try:
        result.v = ctx.v.run(fn, *args, **kwargs)
    except BaseException as exc:
        result.v = exc
        return RAISE
    return RETURN


def setcurg(mp: Any) -> None:
    mp.curg = mp.nextg
    mp.nextg = None


def takecurg(mp: Any) -> Any:
    gp = mp.curg
    mp.curg = None
    return gp


def keeptstate() -> None:
    return


def gogo(mp: Any) -> int:
    ctx, send, result = mp.curg.ctx, mp.curg.coro.send, mp.result
    del mp  # a traceback of what it raises holds this frame
    code = _run(ctx, result, send, None)
    if code == RETURN:
        return YIELD
    if isinstance(result.v, StopIteration):
        result.v = result.v.value
        return RETURN
    return RAISE


def gothrow(coro: Any, exc: BaseException, ctx: slot, result: slot) -> int:
    code = _run(ctx, result, coro.throw, exc)
    if code == RETURN:
        return YIELD
    if isinstance(result.v, StopIteration):
        result.v = result.v.value
        return RETURN
    return RAISE


def gocall(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any, ctx: slot, result: slot
) -> int:
    return _run(ctx, result, fn, *args, **(kwargs or {}))


def copycontext(ctx: slot) -> None:
    ctx.v = contextvars.copy_context()


def callsite(code: slot, lasti: int) -> None:
    # Up past the runtime's own frames, which are invisible when compiled.
    frame = sys._getframe(1)
    here = os.path.dirname(os.path.dirname(__file__))
    while frame.f_back is not None and frame.f_code.co_filename.startswith(here):
        frame = frame.f_back
    code.v = (frame.f_code, frame.f_lasti)


threadstacks = walkstacks


def framekey(coro: Any) -> int:
    """What threadstacks() gives for the frame of coro."""
    return id(getattr(coro, "cr_frame", None))


def callsite_of(code: slot, lasti: int) -> tuple[str, int, str] | None:
    """(file name, line, qualified name) of a recorded call site, or None."""
    if code.v is None:
        return None
    c: CodeType
    c, at = code.v
    line = c.co_firstlineno
    for start, end, ln in c.co_lines():
        if start <= at < end and ln is not None:
            line = ln
            break
    return c.co_filename, line, getattr(c, "co_qualname", c.co_name)


def sealed(cls: Any, sig: str | None = None) -> None:
    """Instances of cls are made once, and not copied."""
    if sig is not None:
        cls.__init__ = _once(cls.__init__, cls.__slots__[0])
    cls.__reduce_ex__ = cls.__reduce__ = _nocopy


def _once(init: Callable[..., None], field: str) -> Callable[..., None]:
    @functools.wraps(init)
    def once(self: Any, *args: Any, **kwargs: Any) -> None:
        if hasattr(self, field):
            raise TypeError(f"a {type(self).__name__} is made once")
        init(self, *args, **kwargs)

    return once


def _nocopy(self: Any, *args: object) -> NoReturn:
    cls = type(self)
    raise TypeError(f"cannot copy or pickle '{cls.__module__}.{cls.__qualname__}' object")


def rename(cls: type, name: str) -> None:
    """Nothing to do: uncompiled, no type is one of C."""


class Awaitable:
    """What `await` drives: step() returns YIELD, RETURN, RAISE or STOPASYNC and
    leaves the value, or the exception, in `value`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = None

    def step(self) -> int:
        return RETURN

    def __repr__(self) -> str:
        return f"<gort {type(self).__name__}>"

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Awaitable:
        return self

    def __next__(self) -> None:
        code = self.step()
        if code == YIELD:
            return None
        value = self.value
        self.value = None
        if code == RETURN:
            raise StopIteration(value)
        try:
            if isinstance(value, StopIteration):
                raise RuntimeError("what was awaited raised StopIteration") from value
            raise StopAsyncIteration if code == STOPASYNC else value
        finally:
            del value


def install_slots(cls: type) -> None:
    """`__next__` is the slot."""
    sealed(cls)


def swapvalue(a: Any, b: Any) -> None:
    a.value, b.value = b.value, a.value


def chanopput(op: Any, c: Any, kind: int, value: Any) -> None:
    op.c = c
    op.kind = kind
    op.value = value


def poolops(cls: type) -> None:
    """Nothing to do: the interpreter's allocator is as good here."""


def opdrop() -> None:
    """This thread leaves the runtime; nothing is kept for it."""
    setm(None)


def poolget() -> None:
    """No op is kept."""


_tls = threading.local()


def getm() -> Any:
    return getattr(_tls, "m", None)


curm = getm


def setm(mp: Any) -> None:
    _tls.m = mp


def cheaprand() -> int:
    return random.getrandbits(32)


def cheaprandn(n: int) -> int:
    return random.randrange(n)


class Heap:
    """A min-heap of (when, item), first in first out among equal times."""

    __slots__ = ("items", "seq")

    def __init__(self) -> None:
        self.items: list[tuple[int, int, Any]] = []
        self.seq = 0

    def __len__(self) -> int:
        return len(self.items)

    def minwhen(self) -> int:
        return self.items[0][0] if self.items else 0

    def push(self, when: int, item: Any) -> None:
        self.seq += 1
        heapq.heappush(self.items, (when, self.seq, item))

    def peek(self) -> Any:
        return self.items[0][2]

    def pop(self) -> Any:
        return heapq.heappop(self.items)[2]


class events:
    """What one wait of a poller found: (fd, mask, seq) each."""

    __slots__ = ("got",)

    def __init__(self) -> None:
        self.got: list[tuple[int, int, int]] = []


def evfd(evs: events, i: int) -> int:
    return evs.got[i][0]


def evmask(evs: events, i: int) -> int:
    return evs.got[i][1]


def evseq(evs: events, i: int) -> int:
    return evs.got[i][2]


class Poller:
    """epoll and a break eventfd.

    select.epoll keeps no datum but the number of a file: an event of a file that lives on
    behind a number that names another one by now passes for one of the other's.
    """

    def __init__(self) -> None:
        self.evfd = self.wfd = -1
        try:
            self.ep = select.epoll()
            self.evfd, self.wfd = self.breakfd()
        except OSError as exc:
            text = f"{exc.strerror}: gort cannot make its network poller"
            raise OSError(exc.errno, text) from None
        self.ep.register(self.evfd, select.EPOLLIN)
        self.seqs: dict[int, int] = {}

    def breakfd(self) -> tuple[int, int]:
        """What to wait for and what to write to; a pipe where a sandbox refuses eventfd."""
        try:
            fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError as exc:
            if exc.errno in (errno.EMFILE, errno.ENFILE):
                raise
            return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        return fd, fd

    def fileno(self) -> int:
        return self.evfd

    def ctl(self, op: int, fd: int, mask: int, seq: int) -> int:
        """Register (op 1), remove (2) or alter (3) fd; an errno, or 0.

        mask: 1 to read, 2 to write, 4 to report it as long as it is ready, and not just
        once. seq comes back with its events.
        """
        ev = 0 if mask & 4 else select.EPOLLONESHOT
        if mask & 1:
            ev |= select.EPOLLIN | select.EPOLLRDHUP
        if mask & 2:
            ev |= select.EPOLLOUT
        self.seqs[fd] = seq  # before another thread can see an event
        try:
            if op == 1:
                self.ep.register(fd, ev)
            elif op == 3:
                self.ep.modify(fd, ev)
            else:
                self.ep.unregister(fd)
        except OSError as exc:
            return exc.errno or -1
        return 0

    def breakpoll(self) -> None:
        try:
            os.write(self.wfd, b"\1\0\0\0\0\0\0\0")
        except BlockingIOError:
            pass  # the counter is full: the poller is broken out of already

    def wait(self, evs: events, ns: int) -> int:
        """How many events came into evs; ns 0 does not block, negative waits for ever."""
        # Rounded up to the millisecond that epoll_wait counts in.
        timeout = None if ns < 0 else -(-ns // 1_000_000) / 1000
        evs.got = out = []
        try:
            got = self.ep.poll(timeout, 128)
        except InterruptedError:
            return 0
        for fd, ev in got:
            if fd == self.evfd:
                if ns != 0:
                    try:
                        os.read(fd, 512)
                    except BlockingIOError:
                        pass  # another M drained it
                continue
            mask = 0
            if ev & (select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                mask |= 1
            if ev & (select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR):
                mask |= 2
            out.append((fd, mask, self.seqs.get(fd, 0)))
        return len(out)

    def renew(self) -> bool:
        """Forget all registrations; False when there is no descriptor left to do that.

        Who blocks in wait comes back, to wait anew.
        """
        try:
            new = select.epoll()
        except OSError:
            return False
        with new:
            new.register(self.evfd, select.EPOLLIN)
            os.dup2(new.fileno(), self.ep.fileno(), inheritable=False)
        self.seqs.clear()
        self.breakpoll()
        return True

    def close(self) -> None:
        self.ep.close()
        for fd in {self.evfd, self.wfd} - {-1}:
            os.close(fd)
        self.evfd = self.wfd = -1


def sockref(o: Any) -> weakref.ref[Any] | None:
    """The weak reference to a socket, the same one as long as someone keeps it; None
    for what may change the file that it stands for."""
    base = getattr(sys.modules.get("_socket"), "socket", None)
    if (
        base is None
        or not isinstance(o, base)
        or type(o).fileno is not base.fileno
        or type(o).__weakrefoffset__ == 0
    ):
        return None
    return weakref.ref(o)


def refsock(ref: weakref.ref[Any] | None) -> Any:
    """The socket of a weak reference; None when it is gone, or there is none."""
    return None if ref is None else ref()


def sockfileno(sock: Any) -> int:
    """The number of what socknumber passed; -1 when it is closed."""
    fd: int = sock.fileno()
    return fd


def socknumber(o: Any, what: str) -> int:
    """The number of an open socket whose recv and send are the system calls."""
    base = getattr(sys.modules.get("_socket"), "socket", None)
    cls = type(o)
    if base is None or not isinstance(o, base):
        raise TypeError(f"{what}() wants a socket.socket, not {cls.__name__}")
    if cls.fileno is not base.fileno or cls.recv is not base.recv or cls.send is not base.send:
        raise TypeError(
            f"{what}() cannot do what {cls.__name__}.{what} does: call that, and wait "
            "with gort.wait_readable and gort.wait_writable"
        )
    fd = sockfileno(o)
    if fd < 0:
        raise ValueError(f"{what}: the socket is closed")
    return fd


def socktake(sock: Any) -> int:
    """Take a socket's number, of which it knows no more; -1 when somebody else has."""
    base = getattr(sys.modules.get("_socket"), "socket", None)
    if base is None or not isinstance(sock, base):
        raise TypeError(f"expected a socket.socket, not {type(sock).__name__}")
    with _word:
        fd: int = base.detach(sock)
    return fd


def dupfd(fd: int) -> int:
    """Another number for the file; -1 when there is none."""
    try:
        return os.dup(fd)
    except OSError:
        return -1


def closefd(fd: int) -> None:
    """Close a number, at once if that is not the file's last."""
    try:
        os.close(fd)
    except OSError:
        pass


def recvnow(op: Any) -> int:
    try:
        op.value = op.value.recv(op.n, _MSG_DONTWAIT)
    except OSError as exc:
        return exc.errno or errno.EIO
    return 0


def sendnow(op: Any) -> int:
    data = memoryview(op.error)
    try:
        while op.n < len(data):
            op.n += op.value.send(data[op.n :], _MSG_DONTWAIT)
    except OSError as exc:
        return exc.errno or errno.EIO
    return 0


def connrecv(c: Any, n: int) -> int:
    try:
        c.got = c.got.recv(n, _MSG_DONTWAIT)
    except OSError as exc:
        return exc.errno or errno.EIO
    return 0


def connsend(op: Any, sock: Any) -> int:
    data = memoryview(op.error)
    try:
        while op.n < len(data):
            op.n += sock.send(data[op.n :], _MSG_DONTWAIT)
    except OSError as exc:
        return exc.errno or errno.EIO
    return 0


def buffind(buf: bytes | bytearray, sep: bytes, start: int, end: int) -> int:
    """Where sep lies in buf between start and end; -1."""
    return buf.find(sep, start, end)


def bufcut(buf: bytes | bytearray, start: int, n: int) -> bytes:
    """n bytes of buf from start on."""
    return bytes(memoryview(buf)[start : start + n])


def newosproc(fn: Callable[[Any], None], arg: Any, name: str) -> threading.Thread:
    """Start a daemon thread that runs fn(arg); raises RuntimeError when the OS refuses."""
    return startthread(fn, arg, name)


def ismainthread() -> bool:
    """Whether signal handlers run on the calling thread."""
    return threading.current_thread() is threading.main_thread()


def nforeign() -> int:
    """How many Python threads live outside the runtime that module threading knows, without
    the one that called run."""
    return sum(1 for t in threading.enumerate() if not t.name.startswith("gort-")) - 1


markearly(set(sys._current_frames()))


def bootstrangers() -> None:
    """A run begins: the threads that are there."""
    markstrangers(set(sys._current_frames()))


def nstrangers() -> int:
    """How many threads live that module threading does not know, and that may call."""
    return countstrangers(set(sys._current_frames()))


address = sockid = id


getident = threading.get_ident


def uncounted(o: Any) -> None:
    """Count o's references no more, and never free it."""


def immortal(o: Any) -> None:
    """Never drop o, also not when the interpreter ends."""
    try:
        from ctypes import py_object, pythonapi
    except ImportError:
        _kept.append(o)
    else:
        pythonapi.Py_IncRef(py_object(o))


_kept: list[Any] = []


def raiseasync(ident: int, exc: type[BaseException] | None) -> None:
    """Raise an exception class in another thread's Python code; None takes that back."""
    import ctypes  # seldom wanted, and not everywhere there

    what = None if exc is None else ctypes.py_object(exc)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), what)


def checksignals() -> BaseException | None:
    """Pending handlers run between bytecodes here: nothing to do."""
    return None


def asyncgen_hooks(firstiter: Any, finalizer: Any) -> None:
    sys.set_asyncgen_hooks(firstiter, finalizer)
