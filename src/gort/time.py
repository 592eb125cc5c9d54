"""Go's timers: Timer, Ticker and after_func, with the semantics of Go 1.23.

After stop() or reset() no stale time is received; a timer's channel presents
itself as unbuffered; a timer that nobody refers to is collected. `gort.sleep`,
`gort.after` and `gort.tick` are the short forms. Limiter is a token bucket, after
x/time/rate.
"""

from .runtime.limiter import Limiter
from .runtime.objects import publish as _publish
from .runtime.ticks import Ticker, Timer, after_func

__all__ = ["Limiter", "Ticker", "Timer", "after_func"]

_publish(globals())
