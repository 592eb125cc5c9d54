"""What a program says about its threads: lock_os_thread, unlock_os_thread and
set_max_threads."""

from __future__ import annotations

import cython

from .gmp import G, M

if not cython.compiled:
    from ..platform import getm, load, lock, unlock
    from .gmp import checkmcount, sched
    from .template import starttemplatethread

_NESTED = 32767


def lock_os_thread() -> None:
    """Lock the calling goroutine to its thread: it runs there only, and nothing
    else does.

    Nests: it takes as many unlock_os_thread. A goroutine that ends while locked
    takes its thread along; the thread that called run stays, and runs no other
    goroutine until run returns. What the goroutine changes about its thread (CPU
    affinity, namespaces) does not spread to the runtime's new threads. Raises
    RuntimeError outside a goroutine.
    """
    mp = lockable("lock_os_thread")
    if mp.lockcount == _NESTED:
        raise RuntimeError("lock_os_thread: nesting overflow")
    starttemplatethread()
    dolockosthread(mp, mp.curg)


def unlock_os_thread() -> None:
    """Undo one lock_os_thread. Without one it does nothing. Raises RuntimeError
    outside a goroutine."""
    dounlockosthread(lockable("unlock_os_thread"))


def lockable(what: str) -> M:
    """The M of the calling goroutine."""
    mp: M = getm()
    if mp is None or mp.curg is None:
        raise RuntimeError(f"{what}: not in a goroutine")
    return mp


def dolockosthread(mp: M, gp: G) -> None:
    """Without a template thread: the runtime's own lock, around the init tasks."""
    mp.lockcount += 1
    if mp.lockcount > 1:
        return
    mp.lockedg = gp
    lock(sched.lock)
    sched.lockedms[gp] = mp
    unlock(sched.lock)
    gp.locked = True


def dounlockosthread(mp: M) -> None:
    if mp.lockcount == 0:
        return
    mp.lockcount -= 1
    if mp.lockcount == 0:
        droplockedg(mp)


def droplockedg(mp: M) -> None:
    """The goroutine that mp runs is locked to it no more."""
    gp = mp.lockedg
    gp.locked = False
    mp.lockcount = 0
    mp.lockedg = None
    lock(sched.lock)
    sched.lockedms.pop(gp, None)
    unlock(sched.lock)


def set_max_threads(n: int) -> int:
    """Set the limit of threads the runtime may use, its own included (the system
    monitor, the template thread); the previous one. 10000 at the start.

    A program that needs more than that dies with "thread exhaustion" and status
    2, as in Go: at once when it has more threads than that already. Callable
    from any thread, also before run. TypeError or ValueError for what is no int
    above 0.
    """
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"set_max_threads wants an int, not {type(n).__name__}")
    if not 0 < n < 1 << 31:
        raise ValueError(f"set_max_threads wants a number above 0, not {n}")
    lock(sched.lock)
    old: int = sched.maxmcount
    sched.maxmcount = n
    if load(sched.up) != 0:
        checkmcount()
    unlock(sched.lock)
    return old
