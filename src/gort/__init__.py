"""gort: Go's scheduler as a Python runtime.

`gort.run(main)` runs an `async def` as goroutine 1; `gort.go` starts more, and
channels, select, timers and the network poller let them talk and wait.
"""

import os as _os

if _os.environ.get("GORT_PURE", "") not in ("", "0"):
    from . import _pure

    _pure.install()

from . import context, fs, logging, net, process, signal, sync, time
from .runtime.boot import go, num_cpu, num_goroutine, run
from .runtime.boot import imported as _imported
from .runtime.chan import Chan, ChanClosed, WouldBlock, chan
from .runtime.cleanup import Cleanup, add_cleanup
from .runtime.dump import GoroutineInfo, goroutines, stack
from .runtime.exithook import at_exit
from .runtime.gmp import G as Goroutine
from .runtime.group import Group, group
from .runtime.inittask import init
from .runtime.netpoll import notify_closing, wait_readable, wait_writable
from .runtime.objects import publish as _publish
from .runtime.osthread import lock_os_thread, set_max_threads, unlock_os_thread
from .runtime.park import Cancelled, gosched
from .runtime.proc import goexit
from .runtime.select import select
from .runtime.syscall import blocking, syscall, wait
from .runtime.sysmon import DeadlockError
from .runtime.ticks import after, tick
from .runtime.timeout import shield, timeout
from .runtime.timers import sleep
from .runtime.traceback import current, set_name
from .runtime.world import gomaxprocs
from .structured.gather import gather
from .structured.mapping import as_completed, map
from .structured.supervise import supervise

__version__ = "0.1.0"

__all__ = [
    "Cancelled",
    "Chan",
    "ChanClosed",
    "Cleanup",
    "DeadlockError",
    "Goroutine",
    "GoroutineInfo",
    "Group",
    "WouldBlock",
    "add_cleanup",
    "after",
    "as_completed",
    "at_exit",
    "blocking",
    "chan",
    "context",
    "current",
    "fs",
    "gather",
    "go",
    "goexit",
    "gomaxprocs",
    "goroutines",
    "gosched",
    "group",
    "init",
    "lock_os_thread",
    "map",
    "logging",
    "net",
    "notify_closing",
    "num_cpu",
    "num_goroutine",
    "process",
    "run",
    "select",
    "set_max_threads",
    "set_name",
    "shield",
    "signal",
    "sleep",
    "stack",
    "supervise",
    "sync",
    "syscall",
    "tick",
    "time",
    "timeout",
    "unlock_os_thread",
    "wait",
    "wait_readable",
    "wait_writable",
]

_publish(globals())
_imported()
