"""Threads that module threading does not know: those of `_thread` and of C libraries."""

from __future__ import annotations

import os
import threading


class There:
    """Who was there: Python threads, by ident, that threading did not know when gort was
    imported; all when the run began; and the kernel's threads when it began."""

    __slots__ = ("early", "idents", "tasks")

    def __init__(self) -> None:
        self.early: set[int] = set()
        self.idents: set[int] = set()
        self.tasks: set[int] = set()


there = There()


def tasks() -> set[int]:
    """The threads of this process, as the kernel numbers them; none where it has no /proc."""
    try:
        return {int(name) for name in os.listdir("/proc/self/task")}
    except OSError:
        return set()


def markearly(idents: set[int]) -> None:
    """gort is imported, and so many Python threads are there."""
    there.early = idents - {t.ident for t in threading.enumerate()}


def markstrangers(idents: set[int]) -> None:
    """A run begins, and so many Python threads are there."""
    there.early &= idents  # an ident is used again
    there.idents = idents
    there.tasks = tasks()


def countstrangers(idents: set[int]) -> int:
    """How many threads that threading does not know may call, where idents are those of all
    Python threads: Python threads, but for those that were there before gort, which they do
    not know; and others that came since the run began."""
    known = threading.enumerate()
    late = tasks() - there.tasks - {t.native_id or 0 for t in known}
    python = idents - there.early - {t.ident for t in known}
    return len(python) + max(len(late) - len(python - there.idents), 0)
