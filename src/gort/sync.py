"""Go's sync package for goroutines: Mutex, RWMutex, WaitGroup, Once, Cond, and the
weighted Semaphore.

What waits is awaited (`await mu.lock()`), and leaves its queue when it is
cancelled: an op either took effect and returned, or had none and raised. What
does not wait (unlock, done, signal, release ...) is a plain call, from any
goroutine or thread. A thread outside the runtime, or a plain function, waits
with `gort.wait(mu.lock())`. Misuse that makes Go panic raises RuntimeError.
"""

from .runtime.cond import Cond
from .runtime.mutex import Mutex
from .runtime.once import Once
from .runtime.rwmutex import RLocker, RWMutex
from .runtime.semaphore import Semaphore
from .runtime.waitgroup import WaitGroup

__all__ = ["Cond", "Mutex", "Once", "RLocker", "RWMutex", "Semaphore", "WaitGroup"]
