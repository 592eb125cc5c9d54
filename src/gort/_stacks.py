"""The stacks of all threads, by their frame objects: both platforms' way under a GIL."""

from __future__ import annotations

import sys
from types import CodeType, FrameType


def walkstacks() -> dict[int, list[tuple[CodeType, int | None, str, int]]]:
    """The frames of every thread, by its ident, innermost first: code, line, the module's
    name, the frame's identity."""
    stacks = {}
    for ident, top in sys._current_frames().items():
        found = []
        frame: FrameType | None = top
        while frame is not None:
            module = frame.f_globals.get("__name__", "?")
            found.append((frame.f_code, frame.f_lineno, module, id(frame)))
            frame = frame.f_back
        stacks[ident] = found
    return stacks
