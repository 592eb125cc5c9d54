"""Go's context: deadlines, cancellation and values that go down a tree of work.

A Context is a handle; a Node is a place in the tree of cancellations (a context
with a value shares its parent's node). Nobody has to call cancel for the sake
of memory: a node knows its parent, but parents and timers know nodes weakly,
and a node's channel keeps it alive for who waits there. So a context of which
neither a handle, nor the cancel function, nor the done channel is left is
collected, with its timer. An after_func is known to every node above it, and
keeps those with a timer alive (`pinned`), as it is to run though nobody else
remembers its context.

First cancel wins, by a CAS of node.state: LIVE to CANCELLING, which owns err
and cause; CANCELLED publishes them. A child is put into its parent's children
first and looks at the parent's state then; a cancel changes the state first and
looks at the children then: one of them sees the other. The dicts are changed by
single operations that are atomic in every CPython.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import cython

from .._where import kind
from .chan import Chan, ChanClosed
from .gofunc import Gofunc
from .park import uncancelled
from .scope import Leavescope, Scope
from .timers import Timer as Rttimer
from .timers import seconds_of

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        Awaitable,
        atomic,
        cas,
        install_slots,
        load,
        nanotime,
        sealed,
        store,
        usleep,
    )
    from .chan import closechan, enter, leave, needruntime
    from .gmp import sched
    from .gofunc import newgofunc, startfunc
    from .scope import cancelscope, enterscope
    from .scope import leave as leaveblock
    from .ticks import dropped, sweep
    from .timers import anyp, armtimer, stoptimer
    from .timers import deadline as deadlinein

    LIVE = 0
    CANCELLING = 1
    CANCELLED = 2

_NEVER = 1e9


class Canceled(Exception):
    """ctx.err() of a context whose cancel function was called, or its parent's."""


class DeadlineExceeded(TimeoutError):
    """ctx.err() of a context whose deadline passed, or its parent's."""


pinned: dict[int, dict[int, Node]] = {}
"""Nodes with a timer that perhaps only an after_func still needs; for one run, whose
number is the key: timers end with it."""


class Node:
    """A context that can be cancelled. when: its deadline by nanotime, or 0."""

    __slots__ = (
        "parent",
        "children",
        "funcs",
        "state",
        "err",
        "cause",
        "chanref",
        "t",
        "when",
        "__weakref__",
    )

    def __init__(self, parent: Node | None, c: Chan, when: int) -> None:
        if not cython.compiled:
            self.state = atomic()
            self.err = self.cause = None
            self.t: Rttimer | None = None
        self.parent = parent
        self.when = when
        self.children: dict[int, weakref.ref[Node]] = {}
        self.funcs: dict[int, AfterFunc] = {}
        self.chanref = weakref.ref(c)

    def __del__(self) -> None:
        if self.t is not None:
            dropped.append(self.t)

    def close(self) -> None:
        """Close the done channel; once more does nothing."""
        c = self.chanref()
        if c is None:
            return
        pp = enter()
        try:
            closechan(c, pp)
        except ChanClosed:
            pass  # by a second cancel that came in between, or by a user
        finally:
            leave(pp)


class Context:
    """Carries a deadline, a cancellation and values; made by the with_ functions.

    All methods may be called from any thread, also without a runtime.
    """

    __slots__ = ("node", "c", "parent", "key", "val")

    def __init__(self) -> None:
        raise TypeError("make a Context with background(), with_cancel(parent) and so on")

    def done(self) -> Chan:
        """The channel that is closed when the context is cancelled: wait with
        `await ctx.done().recv_ok()`, alone or in select. The background's never is."""
        return self.c

    def err(self) -> Canceled | DeadlineExceeded | None:
        """None while the context is not done; then why, as an exception."""
        return self.node.err if self.isdone() else None

    def cause(self) -> BaseException | None:
        """What cancel was told as the cause; without one what err() gives."""
        return self.node.cause if self.isdone() else None

    def deadline(self) -> float | None:
        """When it will be cancelled, in time.monotonic() seconds; None for never."""
        if self.node is None or self.node.when == 0:
            return None
        return self.node.when / 1e9

    def value(self, key: Any) -> Any:
        """The value that the nearest context above, itself first, has for key; or None."""
        return self.lookup(key)

    def isdone(self) -> bool:
        # Both: the channel closes last, and nobody sees an error before it is closed.
        return self.node is not None and load(self.node.state) == CANCELLED and self.c.closed

    def lookup(self, key: Any) -> Any:
        at = self
        while at is not None:
            if at.key is not None and (at.key is key or at.key == key):
                return at.val
            at = at.parent
        return None

    def __repr__(self) -> str:
        if self.node is None:
            return "<Context background>"
        err = self.err()
        return f"<Context {type(err).__name__ if err is not None else 'live'}>"


class CancelFunc:
    """Cancels its context: cancel(), or cancel(cause)."""

    __slots__ = ("ctx",)

    def __init__(self) -> None:
        raise TypeError("a cancel function comes from with_cancel(parent) and so on")

    def __call__(self, cause: BaseException | None = None) -> None:
        """Cancel the context and all below it, with a cause. From any goroutine or
        thread; all calls but the first do nothing. It does not wait for the work.

        Raises TypeError for a cause that is no exception.
        """
        if cause is not None and not isinstance(cause, BaseException):
            raise TypeError(f"cancel wants an exception as the cause, not {type(cause).__name__}")
        err = Canceled("context canceled")
        cancelnode(self.ctx.node, err, cause if cause is not None else err)

    def __repr__(self) -> str:
        return f"<CancelFunc of {self.ctx!r}>"


class AfterFunc:
    """The stop function of after_func: True if it kept the call from starting, False
    if that has started or was stopped before."""

    # sc: in place of func, the scope that it cancels.

    __slots__ = ("node", "func", "sc", "state", "__weakref__")

    def __call__(self) -> bool:
        if not cas(self.state, LIVE, CANCELLED):
            return False
        unregister(self)
        self.func = None  # what it holds need not live as long as this
        return True

    def __repr__(self) -> str:
        return f"<AfterFunc {'waiting' if load(self.state) == LIVE else 'over'}>"


def checkparent(parent: Any, what: str) -> Context:
    if not isinstance(parent, Context):
        raise TypeError(f"{what} wants a parent Context such as background(), not {kind(parent)}")
    return parent


def newcontext(parent: Context, when: int) -> Context:
    """A child with a node of its own, in the tree; when: its own deadline, or 0."""
    pnode = parent.node
    if pnode is not None and pnode.when != 0 and (when == 0 or pnode.when <= when):
        when = pnode.when
    ctx = Context.__new__(Context)
    ctx.c = Chan(0)
    node = Node(pnode, ctx.c, when)
    ctx.c.timer = node
    ctx.node = node
    ctx.parent = parent
    if not cython.compiled:
        ctx.key = ctx.val = None
    if when != 0 and (pnode is None or pnode.when != when):
        # Before anybody can cancel it; armed later.
        node.t = Rttimer(deadlinepassed, weakref.ref(node), 0)
    if pnode is not None:
        adopt(pnode, node)
    return ctx


def adopt(parent: Node, node: Node) -> None:
    key = id(node)
    parent.children[key] = weakref.ref(node, _forgetter(parent.children, key))
    if load(parent.state) == CANCELLED:
        cancelnode(node, parent.err, parent.cause)


def _forgetter(children: dict[int, Any], key: int) -> Callable[[Any], Any]:
    return lambda ref: children.pop(key, None)


def cancelnode(node: Node, err: BaseException, cause: BaseException) -> None:
    """Cancel node and what is below it, where that was not done yet. When it returns
    all of that is done, also where another cancel does it at the same time."""
    todo = [node]
    seen = []
    while todo:
        at = todo.pop()
        seen.append(at)
        if at is not node:
            err = at.parent.err
            cause = at.parent.cause
        if cas(at.state, LIVE, CANCELLING):
            cancelone(at, err, cause)
        else:
            while load(at.state) == CANCELLING:
                usleep(0)  # a matter of nanoseconds
            at.close()
        for ref in list(at.children.values()):
            child = ref()
            if child is not None:
                todo.append(child)
    for at in seen:
        at.children.clear()
    if node.parent is not None:
        node.parent.children.pop(id(node), None)


def cancelone(node: Node, err: BaseException, cause: BaseException) -> None:
    node.err = err
    node.cause = cause
    store(node.state, CANCELLED)
    node.close()
    stopdeadline(node)
    for f in list(node.funcs.values()):
        runafter(f)


def stopdeadline(node: Node) -> None:
    old = node.t
    node.t = None
    pins().pop(id(node), None)
    if old is not None:
        stoptimer(old)


def withdeadline(parent: Context, when: int) -> tuple[Context, CancelFunc]:
    ctx = newcontext(parent, when)
    cancel = CancelFunc.__new__(CancelFunc)
    cancel.ctx = ctx
    node = ctx.node
    t = node.t
    if t is None:
        pass  # none, or the parent's deadline comes first
    elif when <= nanotime():
        expire(node)
    else:
        sweep()
        armtimer(t, when, anyp())
        if load(node.state) != LIVE:
            stoptimer(t)  # the parent's cancel came in between
    return ctx, cancel


def deadlinepassed(ref: Any, now: int) -> None:
    """A timer's function."""
    node = ref()
    if node is not None:
        expire(node)


def expire(node: Node) -> None:
    err = DeadlineExceeded("context deadline exceeded")
    cancelnode(node, err, err)


_background = Context.__new__(Context)


def initbackground(ctx: Context) -> None:
    ctx.c = Chan(0)
    if not cython.compiled:
        ctx.node = ctx.parent = ctx.key = ctx.val = None


def background() -> Context:
    """The root of all contexts: never cancelled, no values, no deadline."""
    return _background


def with_cancel(parent: Context) -> tuple[Context, CancelFunc]:
    """A child of parent, and the function that cancels it.

    It is cancelled when that is called or when parent is. Raises TypeError for
    what is no Context.
    """
    return withdeadline(checkparent(parent, "with_cancel"), 0)


def with_timeout(parent: Context, seconds: float) -> tuple[Context, CancelFunc]:
    """with_deadline `seconds` from now; TypeError or ValueError for what is no number."""
    up = checkparent(parent, "with_timeout")
    s = seconds_of(seconds)
    if math.isnan(s):
        raise ValueError("with_timeout wants a number of seconds, not NaN")
    needruntime("with_timeout")
    if s > _NEVER:
        return withdeadline(up, 0)
    return withdeadline(up, deadlinein(s) if s > 0 else nanotime())


def with_deadline(parent: Context, when: float) -> tuple[Context, CancelFunc]:
    """A child of parent that is cancelled with DeadlineExceeded at `when`, in
    time.monotonic() seconds; and the function that cancels it before.

    The deadline is the parent's where that comes first. One that has passed
    already gives a cancelled context. Raises TypeError or ValueError for what
    is no number, RuntimeError when no runtime is up.
    """
    up = checkparent(parent, "with_deadline")
    s = seconds_of(when)
    if math.isnan(s):
        raise ValueError("with_deadline wants a time.monotonic() time, not NaN")
    needruntime("with_deadline")
    if s > _NEVER:
        return withdeadline(up, 0)
    return withdeadline(up, math.ceil(max(s, 1e-9) * 1e9))


def with_value(parent: Context, key: Any, value: Any) -> Context:
    """A child of parent in which value(key) is value; cancelled when parent is.

    Keys are compared by ==. Use an object of your own module as the key, so that
    it meets no other's. Raises TypeError for a key that is None.
    """
    up = checkparent(parent, "with_value")
    if key is None:
        raise TypeError("with_value wants a key that is not None")
    return valuecontext(up, key, value)


def valuecontext(parent: Context, key: Any, value: Any) -> Context:
    ctx = Context.__new__(Context)
    ctx.node = parent.node
    ctx.c = parent.c
    ctx.parent = parent
    ctx.key = key
    ctx.val = value
    return ctx


def newafterfunc(node: Node | None, func: Gofunc | None) -> AfterFunc:
    stop = AfterFunc.__new__(AfterFunc)
    if not cython.compiled:
        stop.state = atomic()
        stop.sc = None
    stop.node = node
    stop.func = func
    return stop


def after_func(ctx: Context, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AfterFunc:
    """Call fn(*args, **kwargs) in a goroutine of its own once ctx is done, at once if
    it is; the function that stops that, as Go's context.AfterFunc.

    stop() is True if it kept fn from starting, False if fn has started, or was
    stopped before; it does not wait for fn. fn, async or plain, sees the
    context variables of the caller. An exception in it is a panic. Raises
    TypeError for what is no Context or not callable, RuntimeError when no
    runtime is up.
    """
    up = checkparent(ctx, "after_func")
    func = newgofunc("after_func", fn, args, kwargs)
    needruntime("after_func")
    stop = newafterfunc(up.node, func)
    if up.node is not None:
        register(up.node, stop)
    return stop


class Ctxscope(Scope):
    """context.scope(ctx)."""

    __slots__ = ("ctx", "stop")

    def __aenter__(self) -> Enterctx:
        op = Enterctx.__new__(Enterctx)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
        setscope(op, self)
        return op

    def __aexit__(self, et: Any, exc: Any, tb: Any) -> Leavescope:
        stop = self.stop
        self.stop = None
        if stop is not None and cas(stop.state, LIVE, CANCELLED):
            unregister(stop)
        return leaveblock(self, exc)

    def verdict(self, exc: Any, own: bool, outer: bool) -> Any:
        if not own or outer or exc is None:
            return False
        rest = uncancelled(exc)
        if rest is not None:
            return False if rest is exc else rest
        return self.ctx.cause()


@cython.no_gc
@cython.cclass
class Enterctx(Awaitable):
    """`__aenter__` of a Ctxscope; gives it."""

    __slots__ = ("sc",)

    def step(self) -> int:
        exc = enterscope(self.sc)
        if exc is None:
            watch(self.sc)
        self.value = self.sc if exc is None else exc
        return RETURN if exc is None else RAISE


def setscope(op: Enterctx, sc: Ctxscope) -> None:
    op.sc = sc


def watch(sc: Ctxscope) -> None:
    """Have the end of sc's context cancel sc."""
    node = sc.ctx.node
    if node is not None:
        stop = newafterfunc(node, None)
        stop.sc = sc
        sc.stop = stop
        register(node, stop)


def scope(ctx: Context) -> Ctxscope:
    """`async with context.scope(ctx):` a block that ends when ctx is done.

    From then on, at once if it is done already, every op in the block raises Cancelled;
    if that ends the block, ctx.cause() comes out of it. A block that ends otherwise
    raises nothing of its own, and one that an outer scope cancelled too leaves the
    Cancelled to that. Nests with gort.timeout, gort.group and gort.shield.

    Raises TypeError for what is no Context. Entering raises RuntimeError outside a
    goroutine and on a second use.
    """
    sc = Ctxscope.__new__(Ctxscope)
    if not cython.compiled:
        sc.__init__()  # type: ignore[misc]
        sc.stop = None
    setcontext(sc, checkparent(ctx, "scope"))
    return sc


def setcontext(sc: Ctxscope, ctx: Context) -> None:
    sc.ctx = ctx
    sc.seconds = math.inf


def pins() -> dict[int, Node]:
    gen = load(sched.gen)
    now = pinned.setdefault(gen, {})
    if len(pinned) > 1:
        for old in list(pinned):
            if old != gen:
                pinned.pop(old, None)
    return now


def register(node: Node, f: AfterFunc) -> None:
    """Have f run when node is cancelled, or any node above it."""
    at = node
    while at is not None:
        at.funcs[id(f)] = f
        if at.t is not None:
            pins()[id(at)] = at
        if load(at.state) == CANCELLED:
            runafter(f)
        at = at.parent
    if load(f.state) != LIVE:
        unregister(f)  # it ran while it was being registered


def unregister(f: AfterFunc) -> None:
    at = f.node
    while at is not None:
        at.funcs.pop(id(f), None)
        if not at.funcs:
            pins().pop(id(at), None)
            if at.funcs and at.t is not None:
                pins()[id(at)] = at  # another came in between
        at = at.parent


def runafter(f: AfterFunc) -> None:
    if cas(f.state, LIVE, CANCELLED):
        unregister(f)
        func = f.func
        f.func = None
        if func is not None:
            startfunc(func)
        elif f.sc is not None:
            cancelscope(f.sc)


install_slots(Enterctx)
initbackground(_background)


sealed(Context)
sealed(CancelFunc)
sealed(AfterFunc)
sealed(Ctxscope)
