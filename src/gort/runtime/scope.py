"""Cancel scopes: which cancels reach a goroutine, and which a shield keeps from it.

The scopes of a G are a chain, the innermost in gp.scope, linked outward by
`parent`. A G's own cancel (g.cancel, its group's, shutdown) counts as the
outermost, outside of every shield. What holds for the goroutine's next op is
decided from the innermost scope outward: the first that is cancelled says yes,
the first shield says no. The answer is kept in CREQ of gp.cancelreq, so that an
op reads one word; it is computed anew wherever the chain or a flag in it changes.

gp.lock protects gp.scope, gp.cancelled, the links and flags of the scopes in
the chain, and the stores to gp.cancelreq. A scope's own lock protects `g` alone,
by which a timer or another goroutine finds the G; it is cleared when the scope is
left, so that a scope object that outlives its block keeps no goroutine.

A group is a scope too, and its children are goroutines whose chains begin
empty: a cancel that reaches a group's scope is passed on to them as their own
cancel, once (`told`), also while the goroutine of the group computes or stands in
an inner shield. After trio's cancel scopes; level-triggered.
"""

from __future__ import annotations

from typing import Any

import cython

from .._where import hint
from .gmp import G, M
from .timers import Timer, seconds_of

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        Awaitable,
        getm,
        install_slots,
        load,
        lock,
        mutex,
        store,
        unlock,
    )
    from .gmp import CREQ, allgs, sched
    from .machine import claim, release
    from .park import interrupt
    from .timers import anyp, armtimer, deadline, stoptimer

    SNEW = 0
    SOPEN = 1
    SLEFT = 2


class Scope:
    """One `async with` block that cancels reach, end in, or stop at.

    cancelled: by its deadline, or by a group's failure. shielded: outer cancels
    stop here. leaving: the goroutine waits for its group and must not be woken
    before the children are gone. seconds: the delay of its deadline, or inf.
    """

    __slots__ = (
        "lock",
        "g",
        "parent",
        "timer",
        "seconds",
        "state",
        "cancelled",
        "shielded",
        "leaving",
        "isgroup",
        "told",
    )

    if not cython.compiled:

        def __init__(self) -> None:
            self.lock = mutex()
            self.g: G | None = None
            self.parent: Scope | None = None
            self.timer: Timer | None = None
            self.seconds = 0.0
            self.state = SNEW
            self.cancelled = self.shielded = self.leaving = False
            self.isgroup = self.told = False

    def members(self) -> list[G]:
        """The goroutines that a cancel is passed on to: a group's children."""
        return []

    def stage(self) -> str:
        """How far it is, for who reads a repr."""
        if self.state == SNEW:
            return "not entered"
        return ("open" if self.state == SOPEN else "left") + (
            ", cancelled" if self.cancelled else ""
        )

    def verdict(self, exc: Any, own: bool, outer: bool) -> Any:
        """How the block ends: True swallows exc, False lets it pass, an exception is
        raised. own: this scope was cancelled; outer: so is what is around it."""
        return False


def effective(gp: G, sc: Scope | None) -> bool:
    """Whether a cancel reaches what stands in sc, but in no scope within; gp.lock."""
    pierced = load(sched.pierced) != 0
    while sc is not None:
        if sc.cancelled:
            return True
        if sc.shielded and not (pierced and sc.timer is None):
            return False
        sc = sc.parent
    return gp.cancelled


@cython.locals(sc=Scope)
def update(gp: G) -> bool:
    """Compute gp's effective request anew, and return it; gp.lock is held."""
    sc: Scope = gp.scope
    on = effective(gp, sc) and not (sc is not None and sc.leaving)
    req = load(gp.cancelreq)
    store(gp.cancelreq, req | CREQ if on else req & ~CREQ)
    return on


def mark(gp: G) -> None:
    """Set gp's own cancel; spread() has it take effect."""
    lock(gp.lock)
    gp.cancelled = True
    update(gp)
    unlock(gp.lock)


def spread(gp: G) -> None:
    """Have gp see what was changed: wake it if it is to raise now, and cancel the
    children of its groups that a cancel reaches, and theirs. No lock is held."""
    todo = [gp]
    while todo:
        gp = todo.pop()
        interrupt(gp)
        sc = nexttold(gp)
        while sc is not None:
            for child in sc.members():
                mark(child)
                todo.append(child)
            sc = nexttold(gp)


def nexttold(gp: G) -> Scope | None:
    """An open group of gp that a cancel reaches and whose children don't know yet."""
    lock(gp.lock)
    sc: Scope = gp.scope
    while sc is not None:
        if sc.isgroup and not sc.told and effective(gp, sc):
            sc.told = True
            break
        sc = sc.parent
    unlock(gp.lock)
    return sc


def cancel(gp: G) -> None:
    """Goroutine.cancel. A system goroutine, which a finalizer may see, is left alone."""
    if load(sched.up) == 0:
        raise RuntimeError(f"cancel: no gort runtime is up{hint()}")
    if gp.issystem:
        return
    mark(gp)
    spread(gp)


@cython.locals(gp=G)
def cancelall() -> None:
    """Cancel every goroutine of a user, as shutdown, a panic and a deadlock do.

    Those of groups by their groups: a shield around the group covers them.
    """
    for gp in allgs():
        if (gp.group is None or gp.member) and not gp.issystem:
            mark(gp)
            spread(gp)


def pierce() -> None:
    """Shields have held long enough: from now on they stop no cancel, but for those with
    a time that stand, which hold for that."""
    store(sched.pierced, 1)
    cancelall()


@cython.locals(sc=Scope, gp=G)
def shielding() -> bool:
    """Whether a shield with a time holds yet."""
    for gp in allgs():
        held = False
        lock(gp.lock)
        sc = gp.scope
        while sc is not None and not held:
            held = sc.shielded and sc.timer is not None and not sc.cancelled
            sc = sc.parent
        unlock(gp.lock)
        if held:
            return True
    return False


def ownerof(sc: Scope) -> G | None:
    """The goroutine that is in sc; None before and after."""
    lock(sc.lock)
    gp = sc.g
    unlock(sc.lock)
    return gp


def cancelscope(sc: Scope) -> None:
    """Cancel what stands in sc; nothing once it was left. From any thread."""
    lock(sc.lock)
    gp = sc.g
    if gp is None and sc.state == SNEW:
        sc.cancelled = True
    unlock(sc.lock)
    if gp is None:
        return
    lock(gp.lock)
    if sc.state == SOPEN:
        sc.cancelled = True
        update(gp)
    unlock(gp.lock)
    spread(gp)


@cython.locals(sc=Scope)
def expire(sc: Scope, now: int) -> None:
    """The deadline's timer."""
    cancelscope(sc)


def enterscope(sc: Scope) -> BaseException | None:
    """Make sc the innermost scope of the running goroutine; what is wrong, or None.

    No op in cancellation's sense: cleanup can enter a shield when cancelled.
    """
    mp: M = getm()
    gp = mp.curg if mp is not None else None
    if gp is None:
        return RuntimeError(
            f"a gort scope was entered outside a goroutine: use it under gort.run{hint()}"
        )
    when = deadline(sc.seconds)
    lock(sc.lock)
    fresh = sc.state == SNEW
    if fresh:
        sc.g = gp
        sc.state = SOPEN
    unlock(sc.lock)
    if not fresh:
        return RuntimeError("this scope was entered already: it is used once, make a new one")
    lock(gp.lock)
    sc.parent = gp.scope
    gp.scope = sc
    if when == 0:
        sc.cancelled = True
    on = update(gp)
    unlock(gp.lock)
    if on and sc.isgroup:
        spread(gp)  # its children are born cancelled
    elif when != 0 and sc.seconds <= 1e9:
        starttimer(sc, mp, when)
    return None


def starttimer(sc: Scope, mp: M, when: int) -> None:
    """Arm sc's deadline: on this M's P, or without one on any."""
    sc.timer = Timer(expire, sc, 0)
    pp = claim(mp)
    armtimer(sc.timer, when, pp if pp is not None else anyp())
    if pp is not None:
        release(mp, pp)


def deltimer(sc: Scope) -> None:
    """Stop sc's timer, if it has one."""
    t = sc.timer
    sc.timer = None
    if t is not None and stoptimer(t):
        # It was stopped in time: nobody reads arg any more, and what is left of
        # it on the heap keeps nothing alive.
        t.arg = None


def startleave(sc: Scope) -> bool:
    """Before a group waits: keep cancels, which the children get, from waking it.
    False when leavescope will find that sc is not the running goroutine's innermost."""
    mp: M = getm()
    gp = mp.curg if mp is not None else None
    if gp is None or ownerof(sc) is not gp:
        return False
    lock(gp.lock)
    inorder = gp.scope is sc
    if inorder:
        sc.leaving = True
        update(gp)
    unlock(gp.lock)
    return inorder


def unlink(sc: Scope, gp: G) -> bool:
    """Take sc out of gp's chain, wherever it stands in it; whether it is left in order."""
    lock(gp.lock)
    head: Scope = gp.scope
    inorder = head is sc
    if inorder:
        gp.scope = sc.parent
    else:
        while head is not None and head.parent is not sc:
            head = head.parent
        if head is not None:
            head.parent = sc.parent
    sc.state = SLEFT
    update(gp)
    unlock(gp.lock)
    return inorder


def leavescope(sc: Scope, exc: Any) -> Any:
    """Leave sc; what Scope.verdict says, or what is wrong, as an exception.

    Outside every goroutine: a coroutine that is thrown away while it stands in
    the block is closed; nothing is left to do.
    """
    mp: M = getm()
    gp = mp.curg if mp is not None else None
    lock(sc.lock)
    owner = sc.g
    sc.g = None
    unlock(sc.lock)
    deltimer(sc)
    inorder = owner is not None and unlink(sc, owner)
    sc.parent = None
    if gp is None:
        return False
    if owner is not gp:
        return RuntimeError(
            "a gort scope is left in another goroutine than it was entered in: "
            "an async generator must not yield inside `async with` of a group, timeout or shield"
        )
    if not inorder:
        return RuntimeError(
            "gort scopes are left out of order: this one while a scope that was entered in it "
            "is still open; an async generator must not yield inside `async with` of a group, "
            "timeout or shield"
        )
    return sc.verdict(exc, sc.cancelled, load(gp.cancelreq) & CREQ != 0)


def orphaned(sc: Scope) -> None:
    """A goroutine ended in sc: an async generator of its stands in the block. Its
    groups have lost who would wait for their children: cancel those."""
    while sc is not None:
        lock(sc.lock)
        sc.g = None
        unlock(sc.lock)
        deltimer(sc)
        cancelmembers(sc)
        sc = sc.parent


def cancelmembers(sc: Scope) -> None:
    """Cancel a group's children alone: nobody is in its block any more."""
    for child in sc.members():
        mark(child)
        spread(child)


def delay(seconds: Any, what: str) -> float:
    """A scope's delay that a user gave, in seconds; inf is none."""
    value = seconds_of(seconds)
    if value != value:
        raise ValueError(f"{what}: the delay must be a number of seconds, not NaN")
    return value


@cython.no_gc
@cython.cclass
class Enterscope(Awaitable):
    """`__aenter__` of a scope; gives the scope."""

    __slots__ = ("sc",)

    def step(self) -> int:
        exc = enterscope(self.sc)
        self.value = self.sc if exc is None else exc
        return RETURN if exc is None else RAISE


@cython.no_gc
@cython.cclass
class Leavescope(Awaitable):
    """`__aexit__` of a scope."""

    __slots__ = ("sc", "exc")

    def step(self) -> int:
        exc = self.exc
        self.exc = None
        self.value = leavescope(self.sc, exc)
        return RAISE if isinstance(self.value, BaseException) else RETURN


@cython.locals(op=Enterscope)
def enter(sc: Scope) -> Enterscope:
    op = Enterscope.__new__(Enterscope)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
    op.sc = sc
    return op


@cython.locals(op=Leavescope)
def leave(sc: Scope, exc: Any) -> Leavescope:
    op = Leavescope.__new__(Leavescope)
    if not cython.compiled:
        op.__init__()  # type: ignore[misc]
    op.sc = sc
    op.exc = exc
    return op


sched.cancel = cancel
sched.pierce = pierce
sched.orphaned = orphaned


install_slots(Enterscope)
install_slots(Leavescope)
