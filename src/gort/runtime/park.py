"""gopark and goready: the hand-shake between an op that waits and who wakes it.

In Go a goroutine is off its stack before the lock that protects its wait is
released. A coroutine is not: between queueing itself on a channel and its
frames having returned to the M, another M may ready it. The protocol, all on
the one word gp.status:

1. The op, under the lock of what it waits for, stores *parking* and queues
   itself; then it returns up through the coroutine's frames.
2. goready on a parking G changes it to *parkready* and is done.
3. The M, once the coroutine has returned, changes parking to waiting
   (parkdone), or finds parkready and runs the goroutine again at once.

So a coroutine is never resumed while its frames are live.

Who wakes it is decided by the op's own word `won`: a sender, a timer, a poller
or a cancel, whoever changes it from pending, and nobody else, readies the G. A
loser that found the op in a queue goes on to the next waiter. An op waits once,
so an old waker can never win a later wait.

Cancel (interrupt) sets the request first and then looks at the status; parkdone
sets the status first and then looks at the request. One of them sees the other.
Requests are written, and waits interrupted, under gp.lock: so a request that the
goroutine has left behind, with its scope or raised already, interrupts no later wait.
"""

from __future__ import annotations

import warnings
from typing import Any

import cython

from .._where import hint
from .gmp import G, M, P

if not cython.compiled:
    from ..platform import (
        RAISE,
        RETURN,
        YIELD,
        Awaitable,
        add,
        atomic,
        cas,
        curm,
        getm,
        install_slots,
        load,
        lock,
        moved,
        note,
        notewakeup,
        poolget,
        poolops,
        raiseasync,
        slotswap,
        store,
        store_rel,
        swap,
        unlikely,
        unlock,
        usleep,
    )
    from .gm import gmready
    from .gmp import (
        AGOSCHED,
        ALOSTP,
        ANONE,
        APARK,
        AYIELD,
        CTHROW,
        OPAWAITED,
        OPDONE,
        OPEXCUSED,
        OPNEW,
        OPPARKED,
        OPYIELDED,
        WCANCELLED,
        WDONE,
        WPENDING,
        WREADY,
        Gparking,
        Gparkready,
        Grunnable,
        Grunning,
        Gscan,
        Gwaiting,
        sched,
        throw,
    )
    from .machine import checkdead, claim, release, stale, wakep
    from .runq import globrunqput, runqput

    def checkop() -> None:
        pass

    def fastgosched(slow: Any) -> Any:
        return slow

    def goschedslots(cls: type) -> None:
        pass

    def gopark(op: Op, reason: int) -> None:  # compiled, op.h has it
        """Step 1. Called under the lock of what is waited for, or before anyone can
        find the op; the op is queued before that lock is released."""
        if op.tw is not None:
            return
        mp: M = curm()
        op.g = mp.curg
        mp.curg.waiting = op
        mp.curg.waitreason = reason
        mp.action = APARK
        # Release: the fields above are seen by whoever reads parking.
        store_rel(mp.curg.status_, Gparking)


class Cancelled(BaseException):
    """Raised in a cancelled goroutine by every op that it awaits.

    A BaseException, so that `except Exception` does not swallow it. Let it pass.
    """


def uncancelled(exc: Any) -> Any:
    """exc but for the cancels in it, or None: `except*`, and who gathers what was raised, put
    a Cancelled into an exception group. What is left of such a group is a new one."""
    if isinstance(exc, Cancelled):
        return None
    if not isinstance(exc, BaseExceptionGroup):
        return exc
    try:
        cancels, rest = exc.split(Cancelled)
    except Exception:
        return exc  # a class of a user's, which cannot be split
    if cancels is None:
        return exc
    if rest is not None and rest.__cause__ is None:
        rest.__suppress_context__ = True  # the group that it is a part of
    return rest


class Threadwaiter:
    """The sleep of a thread in gort.wait, in place of a goroutine's.

    g: the goroutine whose thread it is, or None for a foreign thread. The
    thread counts as idle from `idle` to `wake`, for the sake of checkdead.
    """

    __slots__ = ("n", "g", "timed")

    def __init__(self) -> None:
        if not cython.compiled:
            self.n = note()
            self.g: G | None = None
            self.timed = False

    def idle(self) -> None:
        """About to sleep; one with a time-out wakes by itself and stays counted."""
        if self.timed:
            return
        if self.g is None:
            add(sched.threadwaiters, 1)
            return
        lock(sched.lock)
        sched.nmidlelocked += 1
        checkdead()
        unlock(sched.lock)

    def wake(self) -> None:
        """By whoever won the op; before the thread runs it counts as running."""
        if self.timed:
            pass
        elif self.g is None:
            add(sched.threadwaiters, -1)
        else:
            lock(sched.lock)
            sched.nmidlelocked -= 1
            unlock(sched.lock)
        notewakeup(self.n)


@cython.no_gc
@cython.cclass
class Op(Awaitable):
    """Something that a goroutine awaits once. Nothing happens until then.

    A kind of op says what it does in three methods, all called inside the
    runtime: start(pp) does it, or parks; finish() ends a wait that was won;
    unqueue() takes it out of every queue after a cancel; where it finds that it took
    effect all the same it makes `won` WDONE. start and finish return what step()
    returns and leave the value in `value`.

    state: OPNEW until somebody asks for it: an await (OPAWAITED), a wait or a select that
    takes it, or one that refuses it with an error (OPEXCUSED: as new, but not forgotten).
    """

    __slots__ = ("won", "g", "tw", "state", "code")

    def __init__(self) -> None:
        if not cython.compiled:
            self.value = None
            self.won = atomic()
            self.g = self.tw = None
            self.state = self.code = 0

    def step(self) -> int:
        """The first step does a safe-point and start(); later ones end the wait.

        Compiled, op.h does that itself where nothing is in the way.
        """
        mp: M = curm()
        if mp is None or mp.curg is None:
            return self.outside()
        if self.state != OPAWAITED:
            return self.resume(mp)
        if unlikely(mp.action != ANONE) and undowait(mp):
            return self.refuse(RuntimeError(LEFT))
        if load(mp.curg.cancelreq) != 0:
            return self.refuse(cancelexc(mp.curg))
        pp = claim(mp)
        if pp is None:
            return self.nop(mp)
        code = self.start(pp)
        if code == YIELD:
            if self.state == OPAWAITED:
                self.state = OPPARKED
            return YIELD
        if load(pp.preempt) != 0:
            # The op took effect; its 10 ms slice is over.
            self.state = OPYIELDED
            self.code = code
            mp.action = AGOSCHED
            return YIELD
        self.state = OPDONE
        release(mp, pp)
        return code

    def outside(self) -> int:
        return self.fail(
            RuntimeError(
                "await of a gort op outside the runtime: call it under gort.run(main); "
                "in a forked child no runtime is up"
                f"{hint()}"
            )
        )

    def refuse(self, exc: BaseException) -> int:
        self.state = OPDONE
        return self.fail(exc)

    def nop(self, mp: M) -> int:
        """The first step found no P: start over when there is one."""
        if stale(mp):
            return self.refuse(Cancelled("the runtime has gone down"))
        mp.action = ALOSTP
        return YIELD

    def resume(self, mp: M) -> int:
        """A later step: the wait is over."""
        if self.state == OPYIELDED:
            self.state = OPDONE
            return self.code
        if self.state == OPDONE or self.g is not mp.curg:
            return self.reused()
        won = load(self.won)
        if won != WREADY:
            return self.lost(mp, won)
        self.state = OPDONE
        self.g = None
        mp.curg.waiting = None
        return self.finish()

    def reused(self) -> int:
        if self.state <= OPNEW:
            self.state = OPEXCUSED
            return self.fail(
                RuntimeError(f"{self.opname()} is an operation, which no next() drives: await it")
            )
        return self.fail(
            RuntimeError("this op was used already: an op is awaited once, make a new one")
        )

    def lost(self, mp: M, won: int) -> int:
        """Resumed though nobody readied it: cancelled, or another event loop drives it."""
        gp = mp.curg
        if won == WPENDING:
            return self.foreign(mp, gp)
        self.state = OPDONE
        self.g = None
        gp.waiting = None
        self.unqueue()
        if load(self.won) == WDONE:
            return self.finish()
        return self.fail(cancelexc(gp))

    def foreign(self, mp: M, gp: G) -> int:
        self.state = OPDONE
        if cas(self.won, WPENDING, WCANCELLED):
            self.unqueue()
        gp.waiting = None
        self.g = None
        mp.action = 0
        store(gp.status_, Grunning)
        pp = mp.p
        if pp is not None:
            release(mp, pp)
        return self.fail(
            RuntimeError("a gort op was awaited under another event loop inside a goroutine")
        )

    def fail(self, exc: BaseException) -> int:
        self.value = exc
        return RAISE

    def reset(self) -> None:
        """As a new one, when it goes to its module's pool, which has `won` be pending."""
        self.state = OPNEW
        if self.g is not None:
            self.g = None
        if self.tw is not None:
            self.tw = None
        if self.value is not None:
            self.value = None

    def start(self, pp: P) -> int:
        return RETURN

    def finish(self) -> int:
        return RETURN

    def unqueue(self) -> None:
        return

    def opname(self) -> str:
        """What a user calls it."""
        return "an op"

    def how(self) -> str:
        if self.state <= OPNEW:
            return "not awaited"
        if self.state == OPDONE:
            return "done"
        return "waiting" if load(self.won) == WPENDING else "ready"

    def __repr__(self) -> str:
        return f"<{self.opname()}: {self.how()}>"

    def _forgotten(self) -> None:
        """It is dropped, and was never awaited."""
        level = 1 if cython.compiled else 3
        warnings.warn(f"{self.opname()} was never awaited", RuntimeWarning, level, source=self)

    if not cython.compiled:

        def __await__(self) -> Any:
            if self.state <= OPNEW:
                self.state = OPAWAITED
            return self

        def __iter__(self) -> Op:
            if self.state <= OPNEW:
                self.state = OPEXCUSED
                raise TypeError(f"{self!r} is an operation, which is not iterable: await it")
            return self

        def __del__(self) -> None:
            if getattr(self, "state", OPDONE) == OPNEW and warnings is not None:
                self.state = OPDONE
                self._forgotten()


LEFT = (
    "this goroutine stepped an op by hand and went on while it waited: pass on what "
    "next(op.__await__()) yields, or await the op"
)


waiters: dict[Op, Threadwaiter] = {}
"""Ops on which threads wait; a shutdown wakes them."""

inwait: dict[G, tuple[Op, Threadwaiter]] = {}
"""Those of them on which a goroutine's thread waits; a cancel of it wakes them."""


def enlist(op: Op, tw: Threadwaiter) -> None:
    waiters[op] = tw
    if tw.g is not None:
        inwait[tw.g] = (op, tw)


def delist(op: Op, tw: Threadwaiter) -> None:
    waiters.pop(op, None)
    if tw.g is not None:
        inwait.pop(tw.g, None)


def wakewaiters() -> None:
    """Wake all waiting threads without what they wait for."""
    for op, tw in list(waiters.items()):
        wakewaiter(op, tw)


def wakewaiter(op: Op, tw: Threadwaiter) -> None:
    if cas(op.won, WPENDING, WCANCELLED):
        tw.wake()


def winthread(op: Op, tw: Threadwaiter) -> Threadwaiter | None:
    """tw, if op is its caller's to wake now; gp.lock is held."""
    return tw if cas(op.won, WPENDING, WCANCELLED) else None


def win(op: Op) -> bool:
    """Become the one that wakes op; False when somebody else is."""
    return cas(op.won, WPENDING, WREADY)


def opready(op: Op, pp: P, next: bool) -> None:
    """Wake the waiter of an op that the caller has won."""
    if unlikely(op.tw is not None):
        op.tw.wake()
        return
    goready(op.g, pp, next)


def goready(gp: G, pp: P, next: bool) -> None:
    """Make a waiting or parking G runnable. The caller has won its op.

    pp: the caller's claimed P, or None.
    """
    if unlikely(not cas(gp.status_, Gwaiting, Grunnable)) and not castogrunnable(gp):
        return
    ready(gp, pp, next)


def castogrunnable(gp: G) -> bool:
    """goready() of one that was not just waiting; False when its M runs it again."""
    while True:
        s = load(gp.status_)
        if s == Gwaiting:
            if cas(gp.status_, Gwaiting, Grunnable):
                return True
        elif s == Gparking:
            if cas(gp.status_, Gparking, Gparkready):
                return False  # step 2
        elif s == Gwaiting | Gscan:
            usleep(0)  # a cancel or a dump looks at it; a matter of nanoseconds
        else:
            throw(f"goready: bad g status {s}")


def ready(gp: G, pp: P, next: bool) -> None:
    """Queue a runnable G: on pp, or globally by one who has no P; and wake a P."""
    if unlikely(sched.gm):
        gmready(gp)
    elif unlikely(pp is None):
        lock(sched.lock)
        globrunqput(gp)
        unlock(sched.lock)
        wakep(None)
    else:
        runqput(pp, gp, next)
        if load(sched.nprocs) > 1:
            wakep(pp)


def parkdone(gp: G) -> bool:
    """Step 3, by the M: True when gp waits, False when it is runnable already."""
    gp.waitsince = load(sched.clock)
    if unlikely(not cas(gp.status_, Gparking, Gwaiting)):
        return parkready(gp)
    if unlikely(load(gp.cancelreq) != 0):
        interrupt(gp)
    return True


def parkready(gp: G) -> bool:
    """parkdone() of one that was readied while it parked."""
    if not cas(gp.status_, Gparkready, Grunnable):
        throw(f"park: bad g status {load(gp.status_)}")
    return False


def interrupt(gp: G) -> None:
    """Wake gp from its wait, if it waits, to see what cancelreq asks; after that was set.

    A parking G is left to parkdone, a running one to its next op.
    """
    found = inwait.get(gp) if inwait else None
    tw = None
    lock(gp.lock)
    won = False
    if load(gp.cancelreq) != 0:
        won = winwait(gp)
        if not won and found is not None:
            tw = winthread(found[0], found[1])
    unlock(gp.lock)
    if tw is not None:
        tw.wake()
    if won:
        mp: M = getm()
        pp = claim(mp) if mp is not None and not stale(mp) else None
        ready(gp, pp, False)
        if pp is not None:
            release(mp, pp)


def winwait(gp: G) -> bool:
    """Win what gp waits for, which makes gp runnable and the caller's; gp.lock is held."""
    if not cas(gp.status_, Gwaiting, Gwaiting | Gscan):
        return False
    op = gp.waiting
    if op is not None and cas(op.won, WPENDING, WCANCELLED):
        store(gp.status_, Grunnable)
        return True
    store(gp.status_, Gwaiting)  # its winner is on the way
    return False


def takeback(mp: M) -> None:
    """mp leaves the goroutine's code: what was to be raised in it must not hit the runtime."""
    while load(mp.pressed) == 1:
        usleep(0)  # sysmon is about to raise it
    raiseasync(mp.ident, None)
    store(mp.pressed, 0)


def cancelexc(gp: G) -> BaseException:
    """What a cancelled goroutine's op raises: Cancelled, or the exception thrown into main."""
    mp: M = curm()
    if mp is not None and load(mp.pressed) != 0:
        takeback(mp)
    if load(gp.cancelreq) & CTHROW != 0:
        lock(gp.lock)
        exc = slotswap(sched.throwing, None) if gp is sched.maing else None
        store(gp.cancelreq, load(gp.cancelreq) & ~CTHROW)
        unlock(gp.lock)
        dropasync()
        if exc is not None:
            return exc
    return Cancelled()


def dropasync() -> None:
    """Main leaves its code on this thread: what was to be raised in it there must not
    hit whatever the thread runs next."""
    if load(sched.asyncexc) != 0:
        raiseasync(swap(sched.asyncexc, 0), None)


def throwmain(gp: G, exc: BaseException) -> None:
    """Raise exc out of the current or next op of gp, which is main, through every shield."""
    lock(gp.lock)
    old = slotswap(sched.throwing, exc)
    store(gp.cancelreq, load(gp.cancelreq) | CTHROW)
    unlock(gp.lock)
    del old  # not under the lock
    interrupt(gp)


def excuse(op: Any) -> None:
    """op was refused, with an error: to drop it is no mistake of its own."""
    if isinstance(op, Op):
        o: Op = op
        if o.state == OPNEW:
            o.state = OPEXCUSED


def undowait(mp: M) -> bool:
    """The goroutine goes on, or ends, though an op that it stepped by hand said to yield
    (mp.action): undo that, in user mode. True where the op was waiting."""
    action = mp.action
    gp = mp.curg
    mp.action = ANONE
    if action == APARK and gp is not None and gp.waiting is not None:
        op = gp.waiting
        if cas(op.won, WPENDING, WCANCELLED):
            op.unqueue()
        else:
            while load(gp.status_) != Gparkready:
                usleep(0)  # its winner is on the way
        op.state = OPDONE
        op.g = None
        gp.waiting = None
        store(gp.status_, Grunning)
    pp = mp.p
    if pp is not None and load(pp.status) == mp.runword:
        release(mp, pp)
    return action == APARK


@cython.no_gc
@cython.cclass
class Gosched(Op):
    """gort.gosched. Its second step is no resume(): it gives None, whoever comes.

    Compiled, both steps are in call.h where nothing is in the way.
    """

    __slots__ = ()

    def step(self) -> int:
        if self.state == OPYIELDED:
            self.state = OPDONE
            return RETURN
        return self.firststep()

    def firststep(self) -> int:
        mp: M = curm()
        if (
            mp is None
            or mp.curg is None
            or self.state != OPAWAITED
            or load(mp.curg.cancelreq) != 0
            or mp.action != ANONE
        ):
            return Op.step(self)
        if claim(mp) is None:
            return self.nop(mp)
        return self.goyield(mp)

    def start(self, pp: P) -> int:
        mp: M = curm()
        return self.goyield(mp)

    @cython.final
    def goyield(self, mp: M) -> int:
        mp.action = AYIELD
        self.state = OPYIELDED
        return YIELD

    def opname(self) -> str:
        return "gort.gosched"


def newgosched() -> Gosched:
    """The op of a yield. A goroutine's next ones are the same (call.h): it lies in
    gp.waiting, which its own M alone looks at while it runs."""
    op = poolget()
    if op is None:
        op = Gosched.__new__(Gosched)
        if not cython.compiled:
            op.__init__()  # type: ignore[misc]
    return moved(op)


@cython.binding(False)
def gosched() -> Gosched:
    """Yield the processor: other goroutines run first. Await it."""
    return newgosched()


gosched = fastgosched(gosched)

checkop()
install_slots(Gosched)
goschedslots(Gosched)
poolops(Gosched)
