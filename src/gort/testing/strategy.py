"""Who goes on in a simulated run: random walk, PCT, and exhaustive search.

A strategy is the seed's only way into a run. PCT is after Burckhardt, Kothari,
Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of
finding bugs" (ASPLOS 2010); the exhaustive search bounds preemptions, after
Musuvathi and Qadeer's CHESS (PLDI 2007).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from . import _args


class RandomWalk:
    """At each point any thread that can run goes on, with a bias to stay.

    stay: how likely the current one goes on without a throw of the dice. jitter: how
    likely, at each point, the clock jumps to the next deadline although threads can
    run, as on a machine that is slow.
    """

    def __init__(self, seed: int, stay: float = 0.5, jitter: float = 0.0) -> None:
        self.rng = random.Random(_args.aseed("RandomWalk: seed", seed))
        self.stay = _args.share("RandomWalk: stay", stay)
        self.jitter = _args.share("RandomWalk: jitter", jitter)
        self.naps = 0.5

    def pick(self, ready: list[Any], current: Any) -> Any:
        rng = self.rng
        if current is not None and rng.random() < self.stay:
            return current
        return ready[int(rng.random() * len(ready))]

    def yielded(self, t: Any) -> None:
        """Nothing to do: no thread has priority."""


FAIR = 3000
"""After so many steps in a row PCT's first thread loses its priority, and every so many
the one that has waited longest gets it: threads that wait actively for another, as a
loop over gosched does, must not keep it out for ever."""


class PCT:
    """Probabilistic concurrency testing: the thread of the highest priority goes on.

    Priorities are random; at depth - 1 random steps of the first `length` the running
    thread gets the lowest. A bug that needs `depth` ordering constraints is found by
    one run with a probability of at least 1/(threads * length**(depth-1)).
    """

    def __init__(self, seed: int, depth: int = 3, length: int = 2000, jitter: float = 0.0) -> None:
        self.rng = random.Random(_args.aseed("PCT: seed", seed))
        self.jitter = _args.share("PCT: jitter", jitter)
        depth = _args.whole("PCT: depth", depth, 1)
        length = _args.whole("PCT: length", length, 1)
        self.naps = 0.5
        self.priority: dict[int, float] = {}
        self.lowest = 0.0
        self.step = 0
        self.highest = 2.0
        self.ran: dict[int, int] = {}
        self.last = -1
        self.alone = 0
        self.changes = {self.rng.randrange(length) for _ in range(depth - 1)}

    def pick(self, ready: list[Any], current: Any) -> Any:
        self.step += 1
        if current is not None:
            self.ran[current.id] = self.step
            self.alone = self.alone + 1 if current.id == self.last else 0
            self.last = current.id
            if self.step in self.changes or self.alone > FAIR:
                self.alone = 0
                self.yielded(current)
        if self.step % FAIR == 0:
            starved = min(ready, key=self.waited)
            self.highest += 1
            self.priority[starved.id] = self.highest
        return max(ready, key=self.of)

    def waited(self, t: Any) -> int:
        return self.ran.get(t.id, 0)

    def of(self, t: Any) -> float:
        p = self.priority.get(t.id)
        if p is None:
            p = self.priority[t.id] = 1 + self.rng.random()
        return p

    def yielded(self, t: Any) -> None:
        self.lowest -= 1
        self.priority[t.id] = self.lowest


class Path:
    """One path of the exhaustive search: `prefix` says the first choices, after it
    nobody is preempted. `taken` records what there was to choose."""

    def __init__(self, prefix: tuple[int, ...], bound: int) -> None:
        self.rng = random.Random(0)
        self.jitter = 0.0
        self.naps = 0.0
        self.prefix = prefix
        self.bound = bound
        self.preemptions = 0
        self.taken: list[tuple[int, int, bool]] = []
        """(choice, how many there were, whether others than 0 cost a preemption)"""

    def pick(self, ready: list[Any], current: Any) -> Any:
        # Choice 0 is to stay, where one can.
        order = [current, *(t for t in ready if t is not current)] if current else list(ready)
        n = len(order)
        if current is not None and self.preemptions >= self.bound:
            n = 1
        at = len(self.taken)
        choice = self.prefix[at] if at < len(self.prefix) else 0
        self.taken.append((choice, n, current is not None))
        if current is not None and choice != 0:
            self.preemptions += 1
        return order[choice]

    def yielded(self, t: Any) -> None:
        """Nothing to do: a thread that waits actively is not ready."""


class Exhaustive:
    """Every schedule with at most `bound` preemptions, depth first: iterate over it,
    run each Path, and go on. For small programs; `limit` paths at most."""

    def __init__(self, bound: int = 2, limit: int = 100_000) -> None:
        self.bound = _args.whole("bound", bound, 0)
        self.limit = _args.whole("limit", limit, 1)
        self.complete = False

    def __iter__(self) -> Iterator[Path]:
        path = Path((), self.bound)
        for _ in range(self.limit):
            yield path
            prefix = successor(path)
            if prefix is None:
                self.complete = True
                return
            path = Path(prefix, self.bound)


def successor(path: Path) -> tuple[int, ...] | None:
    """The next path's prefix: the last choice that has another, increased."""
    taken = path.taken
    i = len(taken) - 1
    while i >= 0 and taken[i][0] + 1 >= taken[i][1]:
        i -= 1
    if i < 0:
        return None
    return (*(c for c, _, _ in taken[:i]), taken[i][0] + 1)
