"""gort's side of the standard logging: which goroutine a record is of.

handler.addFilter(gort.logging.GoroutineFilter())
handler.setFormatter(logging.Formatter("%(goroutine)s %(goroutineName)s %(message)s"))
"""

from __future__ import annotations

import logging
from typing import Any

from .runtime.traceback import current

__all__ = ["GoroutineFilter"]


class GoroutineFilter(logging.Filter):
    """Gives each record `goroutine`, the number of the goroutine that made it, and
    `goroutineName`, its name; 0 and "" outside a goroutine. It lets every record of its
    name pass, as logging.Filter(name). For a handler or a logger."""

    def filter(self, record: logging.LogRecord) -> Any:
        g = current()
        record.goroutine = 0 if g is None else g.id
        record.goroutineName = "" if g is None else g.name
        return super().filter(record)
