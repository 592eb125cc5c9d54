import logging
from typing import Any

__all__ = ["GoroutineFilter"]

class GoroutineFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> Any: ...
