"""Signals into channels, as Go's os/signal does it.

    ch = gort.chan(1)
    gort.signal.notify(ch, signal.SIGHUP, signal.SIGTERM)
    async for signum in ch: ...

A program that does nothing here keeps the usual ways: SIGINT is a
KeyboardInterrupt out of main, SIGQUIT dumps all goroutines and exits with status
2, SIGTERM ends the process, and handlers of the module `signal` run on Python's
main thread, also while every goroutine waits. After `gort.run` all is as before.
"""

from .runtime.objects import publish as _publish
from .runtime.sigqueue import ignore, ignored, notify, reset, stop

__all__ = ["ignore", "ignored", "notify", "reset", "stop"]

_publish(globals())
