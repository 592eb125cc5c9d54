"""gort: Go's scheduler as a Python runtime.

`gort.run(main)` runs an `async def` as goroutine 1; `gort.go` starts more, and
channels, select, timers and the network poller let them talk and wait.
"""

import os as _os

if _os.environ.get("GORT_PURE", "") not in ("", "0"):
    from . import _pure

    _pure.install()

from . import signal
from .runtime.boot import (
    go,
    lock_os_thread,
    num_cpu,
    num_goroutine,
    run,
    set_max_threads,
    unlock_os_thread,
)
from .runtime.chan import Chan, ChanClosed, WouldBlock, chan
from .runtime.dump import GoroutineInfo, goroutines, stack
from .runtime.gmp import G as Goroutine
from .runtime.netpoll import notify_closing, wait_readable, wait_writable
from .runtime.park import Cancelled, gosched
from .runtime.proc import goexit
from .runtime.select import select
from .runtime.syscall import blocking, syscall, wait
from .runtime.sysmon import DeadlockError
from .runtime.ticks import after, tick
from .runtime.timers import sleep
from .runtime.traceback import current
from .runtime.world import gomaxprocs

__version__ = "0.1.0"

__all__ = [
    "Cancelled",
    "Chan",
    "ChanClosed",
    "DeadlockError",
    "Goroutine",
    "GoroutineInfo",
    "WouldBlock",
    "after",
    "blocking",
    "chan",
    "current",
    "go",
    "goexit",
    "gomaxprocs",
    "goroutines",
    "gosched",
    "lock_os_thread",
    "notify_closing",
    "num_cpu",
    "num_goroutine",
    "run",
    "select",
    "set_max_threads",
    "signal",
    "sleep",
    "stack",
    "syscall",
    "tick",
    "unlock_os_thread",
    "wait",
    "wait_readable",
    "wait_writable",
]
