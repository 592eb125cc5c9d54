"""gort.group: a block that ends when all goroutines started in it have ended.

A group is a cancel scope of the goroutine whose block it is, and a set of
children. glock protects children, pending, errors, nlive, closed, reached and
waiter. A child's G names its group; goexit0 tells the group of its end
(groupdone), which starts the next child that waits for a slot, and wakes who
waits at the end of the block (Groupwait).

The first child that fails cancels the scope; the scope passes that on to the
children, as it passes on every cancel from outside that reaches it (scope.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import cython

from .._bytecode import handle
from .._where import kind
from .gmp import G
from .park import Cancelled, Op, uncancelled
from .proc import Goexit
from .scope import Scope
from .traceback import addnote

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        YIELD,
        Awaitable,
        getm,
        install_slots,
        lock,
        mutex,
        sealed,
        unlock,
    )
    from .gmp import OPAWAITED, M, P, sched
    from .machine import claim, release
    from .park import gopark, opready, win
    from .proc import borncancelled, endidle, newproc1, nextgoid, start, startidle
    from .scope import (
        SLEFT,
        SNEW,
        Enterscope,
        cancelmembers,
        cancelscope,
        enter,
        leavescope,
        ownerof,
        startleave,
    )
    from .waitgroup import WaitGroup, memberdone

_INF = float("inf")


class Group(Scope):
    """A group of goroutines; make one with `async with gort.group() as grp:`.

    onerror: what is called for a child that failed, None where that cancels the group;
    handlers: the children in which it runs. nlive: the children that have not ended,
    those in pending included; those that run are in children. reached: a cancel reached
    the group.
    """

    __slots__ = (
        "glock",
        "limit",
        "children",
        "pending",
        "errors",
        "nlive",
        "closed",
        "reached",
        "waiter",
        "onerror",
        "handlers",
    )

    def __init__(
        self,
        limit: int | None = None,
        on_error: str | Callable[[G, BaseException], Any] = "cancel",
    ) -> None:
        if not cython.compiled:
            Scope.__init__(self)
            self.glock = mutex()
            self.nlive = self.limit = 0
            self.closed = self.reached = False
            self.waiter: Groupwait | None = None
        self.limit = checklimit(limit)
        self.onerror = checkhandler(on_error)
        self.seconds = _INF
        self.isgroup = True
        self.children: set[G] = set()
        self.handlers: set[G] = set()
        self.pending: deque[G] = deque()
        self.errors: dict[int, tuple[BaseException, BaseException]] = {}

    def go(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> G:
        """Start fn(*args, **kwargs) as a goroutine of the group and return it.

        Above the group's limit it waits, idle, until another child has ended;
        first in, first out. A child that fails cancels the group, whoever awaits
        it. From any thread, until the block has ended, then RuntimeError;
        TypeError as gort.go.
        """
        return gogroup(self, fn, args, kwargs)

    def cancel(self) -> None:
        """Cancel the block and its children; the block ends without an error.

        A child that waits for a slot ends with Cancelled and never runs. From any
        thread; nothing once the block was left.
        """
        cancelscope(self)

    def __aenter__(self) -> Enterscope:
        return enter(self)

    def __aexit__(self, et: Any, exc: Any, tb: Any) -> Groupexit:
        return newexit(self, exc)

    def __repr__(self) -> str:
        return f"<gort.group of {self.nlive} goroutines: {self.stage()}>"

    def members(self) -> list[G]:
        """The running children, at the moment when a cancel reaches the group."""
        lock(self.glock)
        self.reached = True
        unlock(self.glock)
        # From now on a child is born cancelled, and the set only loses members.
        return self.running()

    def running(self) -> list[G]:
        room: list[Any] = []
        while True:
            n = len(self.children)
            room = [None] * n
            lock(self.glock)
            if len(self.children) <= n:
                break
            unlock(self.glock)
        n = 0
        for gp in self.children:
            room[n] = gp
            n += 1
        unlock(self.glock)
        return room[:n]

    def verdict(self, exc: Any, own: bool, outer: bool) -> Any:
        """own: the group was cancelled before its body ended."""
        errors = self.takeerrors()
        for e in errors:
            if isinstance(e, (KeyboardInterrupt, SystemExit)):
                # Bare, as run's caller expects it; with what else failed as its cause.
                rest = [other for other in errors if other is not e]
                if rest:
                    e.__cause__ = failed(rest)
                return False if e is exc else e
        if errors:
            return failed(errors)
        if exc is None:
            return Cancelled() if outer else False
        return own and not outer and uncancelled(exc) is None

    def takeerrors(self) -> list[BaseException]:
        errors = [rest for _, rest in self.errors.values()]
        self.errors = {}
        return errors


def failed(errors: list[BaseException]) -> BaseExceptionGroup[BaseException]:
    n = len(errors)
    group = BaseExceptionGroup(f"gort.group: {n} failure{'s' if n > 1 else ''}", errors)
    group.__suppress_context__ = True
    return group


def checklimit(limit: Any) -> int:
    """A group's limit that a user gave; 0 is none."""
    if limit is None:
        return 0
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"a group's limit must be an int or None, not {type(limit).__name__}")
    if limit < 1:
        raise ValueError(f"a group's limit must be at least 1, not {limit}; None is no limit")
    return min(limit, 1 << 31)


def checkhandler(how: Any) -> Any:
    """A group's on_error that a user gave; None is to cancel."""
    if isinstance(how, str):
        if how not in ("cancel", "log"):
            raise ValueError(
                f'a group\'s on_error must be "cancel", "log" or a function, not {how!r}'
            )
        return None if how == "cancel" else logfailure
    if not callable(how):
        raise TypeError(
            f'a group\'s on_error must be "cancel", "log" or a function, not {kind(how)}'
        )
    return how


def logfailure(gp: G, exc: BaseException) -> None:
    """on_error="log"."""
    import logging  # most programs need not load it

    logging.getLogger("gort.group").error("goroutine %d (%s) failed", gp.id, gp.name, exc_info=exc)


def starthandler(grp: Group, failed: G, exc: BaseException) -> None:
    """Have a child of the group, above its limit, tell on_error of another one's failure.
    Before that one is counted down. Where it cannot be told the failure cancels."""
    try:
        gp = newproc1(handle, (grp.onerror, failed, exc), {})
    except RuntimeError:
        adderror(grp, exc)
        cancelscope(grp)
        return
    gp.group = grp
    mp: M = getm()
    pp = claim(mp) if mp is not None else None
    gp.goid = nextgoid(pp)
    lock(grp.glock)
    grp.nlive += 1
    grp.children.add(gp)
    grp.handlers.add(gp)
    reached = grp.reached
    unlock(grp.glock)
    if reached:
        borncancelled(gp)
    started = start(gp, pp)
    if pp is not None:
        release(mp, pp)
    if not started:
        gp.group = None
        endidle(gp, Cancelled())
        adderror(grp, exc)
        endchild(grp, gp)


def endchild(grp: Group, gp: G) -> None:
    lock(grp.glock)
    grp.children.discard(gp)
    grp.handlers.discard(gp)
    unlock(grp.glock)
    childgone(grp)


def gogroup(grp: Group, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> G:
    """Group.go."""
    checkopen(grp)
    gp = newproc1(fn, args, kwargs)
    gp.group = grp
    mp: M = getm()
    pp = claim(mp) if mp is not None else None
    gp.goid = nextgoid(pp)
    lock(grp.glock)
    closed = grp.closed
    starts = False
    if not closed:
        grp.nlive += 1
        starts = grp.limit == 0 or len(grp.children) < grp.limit
        if starts:
            grp.children.add(gp)
        else:
            grp.pending.append(gp)
    reached = grp.reached
    unlock(grp.glock)
    if starts:
        if reached:
            borncancelled(gp)
        closed = not start(gp, pp)
    if pp is not None:
        release(mp, pp)
    if closed:  # in between, or the runtime is
        gp.group = None
        endidle(gp, Cancelled())
        if starts:
            endchild(grp, gp)
        checkopen(grp)
        raise RuntimeError("group.go: the gort runtime goes down")
    return gp


def checkopen(grp: Group) -> None:
    if grp.state == SNEW:
        raise RuntimeError("group.go: the group is not open yet; use it in `async with`")
    if grp.closed or grp.state == SLEFT:
        raise RuntimeError("group.go: the group's block has ended; start goroutines inside it")


def groupdone(gp: G) -> None:
    """By goexit0: a child has ended. In user mode."""
    if gp.member:
        wg: WaitGroup = gp.group
        gp.group = None
        memberdone(wg)
        return
    grp: Group = gp.group
    gp.group = None
    exc = gp.result if gp.outcome == RAISE else None
    rest = uncancelled(exc) if exc is not None else None
    # Of a group that was left without waiting a failure is a panic, as any other's.
    if rest is not None and ownerof(grp) is not None:
        gp.retrieved = True
        addnote(exc, gp)
        if grp.onerror is not None and isinstance(rest, Exception) and gp not in grp.handlers:
            starthandler(grp, gp, exc)
        else:
            adderror(grp, exc)
            cancelscope(grp)
    endchild(grp, gp)


def adderror(grp: Group, exc: BaseException) -> None:
    """Note a failure, but for the cancels in it; the same exception, passed on by who
    awaited a child, once."""
    rest = uncancelled(exc)
    lock(grp.glock)
    grp.errors.setdefault(id(exc), (exc, rest))
    unlock(grp.glock)


def childgone(grp: Group) -> None:
    """Count a child that has ended; then start the next, or end the wait."""
    while True:
        next = None
        waiter = None
        lock(grp.glock)
        grp.nlive -= 1
        dead = grp.reached
        if grp.pending and (dead or len(grp.children) < grp.limit):
            next = grp.pending.popleft()
            dead = dead or next.cancelled
            if not dead:
                grp.children.add(next)
        elif grp.nlive == 0 and grp.waiter is not None:
            waiter = grp.waiter
            grp.waiter = None
            grp.closed = True
        unlock(grp.glock)
        if waiter is not None:
            wakegroup(waiter)
        if next is None:
            return
        if not dead:
            startidle(next)
            return
        # It was cancelled while it waited for its slot: it never runs.
        next.group = None
        endidle(next, Cancelled())


def wakegroup(op: Groupwait) -> None:
    if win(op):
        mp: M = getm()
        pp = claim(mp) if mp is not None else None  # a thread outside ends who came too late
        opready(op, pp, True)
        if pp is not None:
            release(mp, pp)


@cython.no_gc
@cython.cclass
class Groupwait(Op):
    """Wait for a group's children; then it is closed."""

    __slots__ = ("grp",)

    def opname(self) -> str:
        return "a group's end"

    def start(self, pp: P) -> int:
        grp = self.grp
        lock(grp.glock)
        if grp.nlive == 0:
            grp.closed = True
            unlock(grp.glock)
            return RETURN
        gopark(self, 14)
        grp.waiter = self
        unlock(grp.glock)
        return YIELD

    def unqueue(self) -> None:
        grp = self.grp
        lock(grp.glock)
        if grp.waiter is self:
            grp.waiter = None
        unlock(grp.glock)


def newwait(grp: Group) -> Groupwait:
    op = Groupwait.__new__(Groupwait)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
    op.grp = grp
    op.state = OPAWAITED
    return op


def newexit(grp: Group, exc: Any) -> Groupexit:
    op = Groupexit.__new__(Groupexit)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
        op.wait = None
        op.own = False
    op.grp = grp
    op.exc = exc
    return op


@cython.no_gc
@cython.cclass
class Groupexit(Awaitable):
    """The end of the block: wait for the children, then leave the scope."""

    __slots__ = ("grp", "exc", "wait", "own")

    def step(self) -> int:
        grp = self.grp
        if self.wait is None:
            if not startleave(grp):
                return self.torn()
            self.own = grp.cancelled
            exc = self.exc
            if exc is not None:
                if uncancelled(exc) is not None and not isinstance(exc, (Goexit, GeneratorExit)):
                    adderror(grp, exc)
                cancelscope(grp)
            self.wait = newwait(grp)
        while True:
            code = self.wait.step()
            if code == YIELD:
                return YIELD
            if code == RETURN:
                return self.end()
            # Cancels are the children's (scope.leaving): this is a Ctrl-C, or the
            # runtime has gone down.
            exc = self.wait.value
            if isinstance(exc, Cancelled):
                self.value = exc
                return RAISE
            adderror(grp, exc)
            cancelscope(grp)
            self.wait = newwait(grp)

    def end(self) -> int:
        exc = self.exc
        self.exc = None
        # What the body's own exception cancelled is not what ended the body.
        self.grp.cancelled = self.own
        self.value = leavescope(self.grp, exc)
        return RAISE if isinstance(self.value, BaseException) else RETURN

    def torn(self) -> int:
        """Left in another goroutine, or out of order: nobody can wait here."""
        grp = self.grp
        lock(grp.glock)
        grp.closed = True
        unlock(grp.glock)
        self.value = leavescope(grp, None)
        cancelmembers(grp)
        if not isinstance(self.value, BaseException):
            return RETURN
        if grp.errors:
            self.value.__cause__ = failed(grp.takeerrors())
        return RAISE


def group(
    limit: int | None = None,
    on_error: str | Callable[[G, BaseException], Any] = "cancel",
) -> Group:
    """`async with gort.group() as grp:` a block that ends when all goroutines that
    `grp.go(fn, *args)` started in it have ended.

    The first failure, a child's or the body's own, cancels the body and all
    children; then what failed is raised as one ExceptionGroup (BaseExceptionGroup
    if it holds such), also a child's whose exception somebody awaited. Cancelled
    is no failure: a child may be cancelled by itself. KeyboardInterrupt and
    SystemExit are raised bare. A Cancelled from around passes through once the
    children are gone, unless something failed: then that is raised.

    limit: at most so many children run at a time; the others wait in line.
    on_error: what a child that raised an Exception does. "cancel": the above. "log": it
    is logged, to "gort.group", and the others go on. A function, plain or async: it is
    called with the Goroutine and the exception, in a child of the group that counts
    against no limit; what it raises cancels. The body's own error always cancels and is
    raised, and so does a child's KeyboardInterrupt, SystemExit or the like.

    Raises TypeError or ValueError for a limit that is no int above 0 and for another
    on_error. Entering raises RuntimeError outside a goroutine and on a second use.
    """
    return Group(limit, on_error)


sched.groupdone = groupdone


sealed(Group, "(limit=None)")
install_slots(Groupwait)
install_slots(Groupexit)
