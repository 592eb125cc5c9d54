"""Go's sync package for goroutines: Mutex, RWMutex, WaitGroup, Once, Cond, the
weighted Semaphore; and Event and Barrier.

What waits is awaited (`await mu.lock()`), and leaves its queue when it is
cancelled: an op either took effect and returned, or had none and raised. What
does not wait (unlock, done, signal, release ...) is a plain call, from any
goroutine or thread. A thread outside the runtime, or a plain function, waits
with `gort.wait(mu.lock())`. Misuse that makes Go panic raises RuntimeError.
"""

from .runtime.barrier import Barrier
from .runtime.cond import Cond
from .runtime.event import Event
from .runtime.mutex import Mutex
from .runtime.objects import publish as _publish
from .runtime.once import Once
from .runtime.rwmutex import RLocker, RWMutex
from .runtime.semaphore import Semaphore
from .runtime.waitgroup import WaitGroup

__all__ = [
    "Barrier",
    "Cond",
    "Event",
    "Mutex",
    "Once",
    "RLocker",
    "RWMutex",
    "Semaphore",
    "WaitGroup",
]

_publish(globals())
