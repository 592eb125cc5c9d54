"""gort.supervise: a call that is made again when it fails. After Erlang's supervisors: how
often is bounded within a span of time, so that what cannot work is not tried for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from ..platform import cheaprandn, nanotime
from ..runtime.timers import sleep
from .calls import Call, callof
from .gather import gathered

Restart = Literal["on-failure", "always", "never"]

_GRAIN = 1 << 16


def supervise(
    fn: Callable[..., Any],
    *args: Any,
    restart: Restart = "on-failure",
    max_restarts: int = 5,
    within: float = 60.0,
    backoff: tuple[float, float] = (0.1, 30.0),
) -> Coroutine[Any, Any, Any]:
    """Run fn(*args) in a goroutine, and again when it has ended as `restart` says; await it:
    what fn returned.

    restart: after an Exception ("on-failure"), after every end ("always"), or not at all
    ("never"). max_restarts: how many within so many seconds; the next failure is raised with
    a note that says so (for "always", where there was none: RuntimeError). backoff: the
    seconds before the first restart and at most before any; doubled each time, with up to a
    fifth more by chance, and begun anew once a span of `within` went by without a restart.

    A cancel ends it and the call. Raises TypeError and ValueError at the call.
    """
    call = callof("supervise", (fn, *args))
    if restart not in ("on-failure", "always", "never"):
        raise ValueError(
            f'supervise: restart must be "on-failure", "always" or "never", not {restart!r}'
        )
    if isinstance(max_restarts, bool) or not isinstance(max_restarts, int):
        raise TypeError(
            f"supervise: max_restarts must be an int, not {type(max_restarts).__name__}"
        )
    if max_restarts < 0:
        raise ValueError(f"supervise: max_restarts must be 0 or more, not {max_restarts}")
    try:
        first, longest = backoff
    except (TypeError, ValueError):
        raise TypeError(
            f"supervise: backoff must be two numbers of seconds, not {backoff!r}"
        ) from None
    if seconds("backoff", longest) < seconds("backoff", first):
        raise ValueError(f"supervise: backoff's first delay is above its longest: {backoff!r}")
    return _supervise(call, restart, Budget(max_restarts, seconds("within", within)), backoff)


def seconds(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"supervise: {what} must be in seconds, not {type(value).__name__}")
    if not value >= 0:
        raise ValueError(f"supervise: {what} must be 0 seconds or more, not {value}")
    return float(value)


class Budget:
    """So many restarts within a span: the times of the last ones."""

    __slots__ = ("most", "within", "times")

    def __init__(self, most: int, within: float) -> None:
        self.most = most
        self.within = within
        self.times: deque[int] = deque()

    def fresh(self) -> bool:
        """Whether there was none within the span that ends now."""
        now = nanotime()
        while self.times and now - self.times[0] > self.within * 1e9:
            self.times.popleft()
        return not self.times

    def spend(self) -> bool:
        """Take one, if there is one left; after fresh()."""
        if len(self.times) >= self.most:
            return False
        self.times.append(nanotime())
        return True

    def __str__(self) -> str:
        return f"{self.most} restarts within {self.within:g} s"


async def _supervise(
    call: Call, restart: Restart, budget: Budget, backoff: tuple[float, float]
) -> Any:
    delay, longest = backoff
    while True:
        failure = None
        result = None
        try:
            (result,) = await gathered([call])
        except Exception as exc:
            failure = exc
        if failure is None and restart != "always":
            return result
        if failure is not None and restart == "never":
            raise failure
        if budget.fresh():
            delay = backoff[0]
        if not budget.spend():
            raise givenup(call, budget, failure)
        await sleep(delay * (1 + cheaprandn(_GRAIN) / (5 * _GRAIN)))
        delay = min(2 * delay, longest)


def givenup(call: Call, budget: Budget, failure: Exception | None) -> Exception:
    name = getattr(call[0], "__qualname__", repr(call[0]))
    text = f"supervise gave {name} up: it had {budget}"
    if failure is None:
        return RuntimeError(text)
    failure.add_note(text)
    return failure
