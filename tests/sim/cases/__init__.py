"""Small programs for the simulator, one for each mechanism and their combinations.

Each is a plain async main that asserts what must be so under every schedule. A case
may be run with a clock that runs on by itself (loose); `soon` then allows any delay.
"""

from . import chans, chaos, ends, fair, sched, scopes, sync, waits
from .base import CASES, Case, Plan

__all__ = [
    "CASES",
    "Case",
    "Plan",
    "chans",
    "chaos",
    "ends",
    "fair",
    "sched",
    "scopes",
    "sync",
    "waits",
]
