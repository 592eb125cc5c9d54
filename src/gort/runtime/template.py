"""The template thread: it starts Ms for threads whose state may be altered.

A new thread inherits its creator's CPU affinity, namespaces and the like. A
goroutine locks itself to its thread in order to change such things, and a
thread from outside the runtime may have changed them; neither is to spread. So
newm does not clone such a thread: it hands the M over to the template thread,
which never runs user code.

As in Go the template thread is started by the first lock_os_thread, from a
thread that is still as it was. Until then sysmon, which is clean too, starts
the Ms that threads from outside ask for.
"""

from __future__ import annotations

import cython

from .gmp import M

if not cython.compiled:
    from ..platform import (
        getident,
        getm,
        lock,
        mutex,
        newosproc,
        note,
        noteclear,
        notesleep,
        notewakeup,
        unlock,
    )
    from .gmp import checkmcount, fatal, sched


class Handoff:
    """Ms that wait for a thread (Go's newmHandoff); `lock` protects all but
    sysmonident, which sysmon writes when it starts.

    newm is a list through schedlink, which is free as long as an M is new.
    """

    __slots__ = ("lock", "newm", "open", "have", "waiting", "wake", "thread", "sysmonident")

    def __init__(self) -> None:
        if not cython.compiled:
            self.lock = mutex()
            self.wake = note()
            self.newm = self.thread = None
            self.sysmonident = 0
            self.open = self.have = self.waiting = False


handoff = Handoff()


def openhandoff() -> None:
    """For a new run."""
    handoff.newm = None
    handoff.thread = None
    handoff.sysmonident = 0
    handoff.have = False
    handoff.waiting = False
    handoff.open = True


def newm1(mp: M) -> None:
    """Start mp's thread as a child of this one."""
    try:
        newosproc(sched.mstart, mp, f"gort-m{mp.id}")
    except (RuntimeError, MemoryError):
        newosprocfailed()


def newosprocfailed() -> None:
    """Python does not hand the errno on; EAGAIN is what pthread_create runs into."""
    fatal(
        f"runtime: failed to create new OS thread "
        f"(have {sched.mcount + sched.nmsys - 1} already; errno=11)\n"
        "runtime: may need to increase max user processes (ulimit -u)\n"
        "fatal error: newosproc"
    )


def altered() -> bool:
    """Whether the calling thread may have been altered, so that no M is to come of it."""
    mp: M = getm()
    if mp is not None:
        # Without a template thread the lock is the runtime's own, of the init tasks.
        return mp.lockedg is not None and handoff.have
    return getident() != handoff.sysmonident


def handm(mp: M) -> bool:
    """Queue a new M for a clean thread to start; False when the runtime goes down."""
    lock(handoff.lock)
    if not handoff.open:
        unlock(handoff.lock)
        return False
    mp.schedlink = handoff.newm
    handoff.newm = mp
    if handoff.waiting:
        handoff.waiting = False
        notewakeup(handoff.wake)
    monitor = not handoff.have
    unlock(handoff.lock)
    if monitor:
        notewakeup(sched.sysmonnote)
    return True


def startpending() -> None:
    """Start the Ms that wait for a thread; by sysmon or the template thread."""
    lock(handoff.lock)
    mp = handoff.newm
    handoff.newm = None
    unlock(handoff.lock)
    while mp is not None:
        next = mp.schedlink
        mp.schedlink = None
        newm1(mp)
        mp = next


def closehandoff() -> None:
    """The runtime goes down: start what waits, so that it leaves in order, and let
    the template thread end."""
    lock(handoff.lock)
    handoff.open = False
    if handoff.waiting:
        handoff.waiting = False
        notewakeup(handoff.wake)
    unlock(handoff.lock)
    startpending()


def jointemplate() -> None:
    """Wait until the template thread has ended."""
    thread = handoff.thread
    handoff.thread = None
    if thread is not None:
        thread.join()


def starttemplatethread() -> None:
    """Start the template thread, once a run; the caller is not altered yet."""
    lock(handoff.lock)
    if handoff.have or not handoff.open:
        unlock(handoff.lock)
        return
    handoff.have = True
    unlock(handoff.lock)
    lock(sched.lock)
    sched.nmsys += 1
    checkmcount()
    unlock(sched.lock)
    try:
        handoff.thread = newosproc(templatethread, None, "gort-template")
    except (RuntimeError, MemoryError):
        newosprocfailed()


def templatethread(arg: object) -> None:
    """Start Ms as they come, until the handoff is closed."""
    while True:
        startpending()
        lock(handoff.lock)
        if handoff.newm is None:
            if not handoff.open:
                unlock(handoff.lock)
                return
            handoff.waiting = True
            noteclear(handoff.wake)
            unlock(handoff.lock)
            while not notesleep(handoff.wake, -1):
                pass  # a signal: the handlers are the main thread's
        else:
            unlock(handoff.lock)
