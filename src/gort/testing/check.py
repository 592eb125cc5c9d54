"""What must hold in a simulated run, at each step and when nobody can run.

The checks read the runtime's records as they are; only the running thread changes
anything, so what they see is the state between two atomic operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_NAMES = {0: "idle", 1: "runnable", 2: "running", 4: "waiting", 6: "dead", 7: "parking"}
_NAMES |= {8: "parkready", 0x44: "scanned"}
_LEGAL = {
    0: {1, 6},
    1: {2, 6},
    2: {7, 1, 6, 2},
    7: {4, 8, 2},
    8: {1, 2},
    4: {1, 0x44},
    0x44: {4, 1},
    6: set(),
}
_PSTATES = {0: "idle", 1: "running", 2: "syscall", 3: "gcstop", 4: "dead", 5: "user"}
MANY = 64
"""So many goroutines are looked at whenever it is due, and more of them the less often."""
_IDLE, _RUNNING, _SYSCALL, _GCSTOP, _DEAD, _USER = range(6)


class Status:
    """A goroutine's status word, which refuses a change that no protocol has."""

    __slots__ = ("word", "failed")

    def __init__(self, failed: Any) -> None:
        self.word = 0
        self.failed = failed

    @property
    def v(self) -> int:
        return self.word

    @v.setter
    def v(self, new: int) -> None:
        if new not in _LEGAL[self.word]:
            old, self.word = self.word, new
            self.failed(f"a goroutine went from {_NAMES[old]} to {_NAMES.get(new, new)}")
        self.word = new


class Invariants:
    """Checks of one simulated run; hand step and quiet to its engine.

    sim: the simulated gort. every: look at the queues at each that many steps, and less
    often where there is much to look at, so that looking costs no more than the steps do.
    """

    def __init__(self, sim: Any, failure: type[Exception], every: int = 1) -> None:
        self.sim = sim
        self.sched = sim.runtime.gmp.sched
        self.failure = failure
        self.every = every
        self.n = 0
        self.nextlook = every
        self.nextquiet = 0

    def step(self, what: str) -> None:
        """Each G on one queue; counts in their bounds; a stopped world stands still."""
        self.n += 1
        if self.n < self.nextlook:
            return
        self.nextlook = self.n + self.every
        if self.sched.up.v == 0:
            return
        self.nextlook += max(self.queues() - MANY, 0)
        self.counts()
        self.stopped()

    def live(self) -> Iterator[Any]:
        for shard in self.sched.shards:
            at = shard.head.next
            while at is not None:
                yield at.owner
                at = at.next

    def queues(self) -> int:
        """Each G on at most one queue, and no running one on any; how many stand there."""
        where: dict[int, str] = {}
        for gp, place in self.queued():
            if id(gp) in where:
                raise self.failure(f"goroutine {gp.goid} is in {where[id(gp)]} and in {place}")
            where[id(gp)] = place
            s = gp.status_.v
            if s != 1:
                raise self.failure(f"goroutine {gp.goid} is {_NAMES.get(s, s)} in {place}")
        return len(where)

    def queued(self) -> list[tuple[Any, str]]:
        sched = self.sched
        out = []
        for gp in sched.runq.owners:
            out.append((gp, "the global queue"))
        for pp in sched.allp:
            for i in range(pp.runqhead.v, pp.runqtail.v):
                cell = pp.runq[i % len(pp.runq)]
                if cell is not None and cell[0] is not None:
                    out.append((cell[0], f"P {pp.id}'s queue"))
            if pp.runnext.v is not None:
                out.append((pp.runnext.v, f"P {pp.id}'s runnext"))
        return out

    def counts(self) -> None:
        sched = self.sched
        n = sched.nmspinning.v
        if n < 0 or sched.npidle.v < 0 or sched.runqsize.v < 0 or sched.nmidle < 0:
            raise self.failure(
                f"a count is negative: nmspinning {n}, npidle {sched.npidle.v}, "
                f"runqsize {sched.runqsize.v}, nmidle {sched.nmidle}"
            )
        running: dict[int, int] = {}
        for mp in sched.allm:
            gp = mp.curg
            if gp is None:
                continue
            if id(gp) in running:
                raise self.failure(
                    f"goroutine {gp.goid} is run by M {running[id(gp)]} and M {mp.id}"
                )
            running[id(gp)] = mp.id
        if sched.lock.holder is None:
            self.lists()

    def lists(self) -> None:
        """The idle lists, the global queue, and their counts; sched.lock is free."""
        sched = self.sched
        if len(sched.runq.owners) != sched.runqsize.v:
            raise self.failure(
                f"runqsize is {sched.runqsize.v}, but {len(sched.runq.owners)} stand on its list"
            )
        for name, head, link, n in (
            ("npidle", sched.pidle, "link", sched.npidle.v),
            ("nmidle", sched.midle, "schedlink", sched.nmidle),
        ):
            length = 0
            while head is not None and length <= 10_000:
                length += 1
                head = getattr(head, link)
            if length != n:
                raise self.failure(f"{name} is {n}, but {length} stand on its list")

    def stopped(self) -> None:
        """Between the end of stoptheworld and starttheworld nobody but its caller has a P."""
        sched = self.sched
        if sched.gcwaiting.v == 0 or sched.stopwait > 0:
            return
        if sched.stopwait < 0:
            raise self.failure(f"stopwait is {sched.stopwait}")
        free = [
            pp for pp in sched.allp[: sched.nprocs.v] if pp.status.v & 0xFF not in (_GCSTOP, _DEAD)
        ]
        if len(free) > 1:
            raise self.failure(
                "the world is stopped, but "
                + ", ".join(f"P {pp.id} is {_PSTATES[pp.status.v & 0xFF]}" for pp in free)
            )

    def quiet(self) -> None:
        """Nobody can run: then nothing may wait for an idle P, or be lost."""
        sched = self.sched
        if sched.up.v == 0 or sched.exiting.v or sched.gcwaiting.v:
            return
        self.queues()
        self.counts()
        self.processors()
        if self.n >= self.nextquiet:
            self.nextquiet = self.n + max(self.goroutines() - MANY, 0)
        if sched.npidle.v > 0 and sched.nmspinning.v == 0:
            self.conserved()  # one that spins naps, and looks again

    def processors(self) -> None:
        """Each P idles on the list, or is held by the M that its word names."""
        sched = self.sched
        # One that lost its P has it in mp.p until it claims it in vain.
        held = {(id(mp.p), mp.id) for mp in sched.allm}
        starting = {id(mp.nextp) for mp in self.starting()}
        idle = set()
        pp = sched.pidle
        while pp is not None:
            idle.add(id(pp))
            pp = pp.link
        for pp in sched.allp[: sched.nprocs.v]:
            state, owner = pp.status.v & 0xFF, pp.status.v >> 8
            if id(pp) in idle:
                if state != _IDLE:
                    raise self.failure(f"P {pp.id} is {_PSTATES[state]} on the idle list")
            elif id(pp) in starting:
                continue
            elif state not in (_RUNNING, _USER, _SYSCALL):
                raise self.failure(f"P {pp.id} is lost: {_PSTATES[state]}, and on no list")
            elif (id(pp), owner) not in held:
                raise self.failure(f"P {pp.id} is lost: M {owner} does not hold it")
        spinning = sum(mp.spinning for mp in sched.allm)  # also one that is starting
        if spinning != sched.nmspinning.v:
            raise self.failure(f"nmspinning is {sched.nmspinning.v}, but {spinning} Ms spin")

    def starting(self) -> Iterator[Any]:
        """The Ms that a clean thread is to start, where there is a template thread; until
        one is, sysmon does it at its next look."""
        template = getattr(self.sim.runtime, "template", None)
        mp = template.handoff.newm if template is not None else None
        while mp is not None:
            yield mp
            mp = mp.schedlink

    def goroutines(self) -> int:
        """Every live G can be found by who is to go on with it; how many live."""
        n = 0
        queued = {id(gp) for gp, _ in self.queued()}
        timers = {
            id(item) for pp in self.sched.allp[: self.sched.nprocs.v] for item in items(pp.timers)
        }
        for gp in self.live():
            n += 1
            s = gp.status_.v
            if s == 1 and id(gp) not in queued:
                raise self.failure(f"goroutine {gp.goid} is lost: runnable, and on no queue")
            if s in (7, 8):
                raise self.failure(f"goroutine {gp.goid} is stuck: {_NAMES[s]}")
            if s == 4:
                self.waiter(gp, gp.waiting, timers)
        return n

    def waiter(self, gp: Any, op: Any, timers: set[int]) -> None:
        kind = type(op).__name__
        requeued = getattr(op, "requeued", False)  # won, and on its way back to a lock
        if op.won.v != 0 and not requeued:
            raise self.failure(f"goroutine {gp.goid} was won by a waker that never came ({kind})")
        if gp.cancelreq.v != 0 and not requeued:
            raise self.failure(f"goroutine {gp.goid} is cancelled and waits on ({kind})")
        if kind == "Sleep":
            found = id(op) in timers
        elif kind == "Chanop":
            found = op.qlink.prev is not None
        elif kind == "Join":
            found = op.target.status_.v != 6
        elif kind == "Select":
            sg = op.first
            while sg is not None and sg.qlink.prev is not None:
                sg = sg.nextcase
            found = sg is None
        elif kind in ("Iowait", "Netop", "Filewait"):
            found = op.fd in self.sim.runtime.netpoll.np.pds
        elif kind == "Gatewait":
            found = op is op.value.rop or op is op.value.wop
        elif kind == "Groupwait":
            found = op.grp.waiter is op and op.grp.nlive > 0
        elif hasattr(op, "requeued"):  # of gort.sync
            found = op.q is not None
        else:
            found = True
        if not found:
            raise self.failure(f"goroutine {gp.goid} waits where nobody looks ({kind})")

    def conserved(self) -> None:
        """A P idles: then no work waits for it, and somebody sleeps until the first timer."""
        sched = self.sched
        work = self.queued()
        if work:
            gp, place = work[0]
            raise self.failure(
                f"a lost wake-up: goroutine {gp.goid} stands in {place}, "
                f"{sched.npidle.v} P(s) idle, nobody spins, and every thread waits"
            )
        polled = sched.lastpoll.v == 0
        first = 0
        for pp in sched.allp[: sched.nprocs.v]:
            when = pp.timers.minwhen()
            if when != pp.minwhen.v:
                raise self.failure(f"P {pp.id}'s minwhen is {pp.minwhen.v}, its heap's is {when}")
            if when and (not first or when < first):
                first = when
        until = sched.polluntil.v
        if first and not (polled and 0 < until <= first):
            who = f"the poller sleeps until {until}" if polled else "nobody polls"
            raise self.failure(f"a lost timer: {first} ns is due while a P idles; {who}")
        if sched.netpollwaiters.v > 0 and not polled and sched.npidle.v == sched.nprocs.v:
            # While a P is busy sysmon is awake, and polls.
            raise self.failure("every P idles, a goroutine waits for a file, and nobody polls")

    def after(self) -> None:
        """Shutdown leaves nothing."""
        sched = self.sched
        if sched.draining.v == 2:
            return  # the grace was over: some were left in user code
        left = [gp.goid for gp in self.live()]
        waiters = self.sim.runtime.park.waiters
        pds = self.sim.runtime.netpoll.np.pds.values()
        for what, n in (
            (f"goroutines {left} listed", len(left)),
            ("Ms", sched.mcount),
            ("threads in wait()", len(waiters)),
            ("waiters in the poller", sched.netpollwaiters.v),
            ("goroutines queued in the poller", sum(map(waited, pds))),
        ):
            if n != 0:
                raise self.failure(f"after the run there are still {n} {what}")


def items(heap: Any) -> Iterator[Any]:
    for _, _, item in heap.items:
        yield item


def waited(pd: Any) -> bool:
    return pd.rq is not None or pd.wq is not None
