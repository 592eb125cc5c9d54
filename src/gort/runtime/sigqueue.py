"""Signals: who listens to them, and the way of one from the kernel to who wants it.

Python runs signal handlers on its main thread alone and between bytecodes: not
while that thread sleeps in C code that it entered after the signal had come, nor
while it computes in C. But the C handler below them writes the signal's number
to a file descriptor at once. The thread gort-signal reads it (Go's os/signal
loop), and

1. puts the signal into the channels that listen (notify), or dumps all
   goroutines for SIGQUIT;
2. wakes m0, which may be parked, so that the Python handlers run; and 10 ms
   later interrupts whatever the main thread blocks in, by a SIGURG, for a signal
   that came just before it went to sleep.

A byte 0 says that a handler left something in sched.signals. Handlers are
installed and removed by the main thread alone; another thread that wants that
leaves a call in `calls` and sends the main thread a SIGURG.

The C handler writes to whatever descriptor signal.set_wakeup_fd was told last, and
that may be another's: an asyncio loop takes it, and leaves none. So our Python
handlers write the signal's number with _RAN to the pipe too. One whose first byte did
not come was not announced to us: it is delivered then, and the main thread takes the
descriptor back if nobody has it. Where the first byte only comes late, from a C
handler on another thread, it is left out.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from _thread import interrupt_main
from collections import deque
from typing import Any

import cython

from .._bytecode import safepoint
from .chan import Chan, ChanClosed, WouldBlock
from .dump import sigdump
from .gmp import G, M
from .park import Cancelled, wakewaiters

if not cython.compiled:
    from ..platform import getm, load, lock, noteinterrupt, raiseasync, slotswap, store, unlock
    from .gmp import CTHROW, mof, sched
    from .machine import checkdead, netpollbreak
    from .park import dropasync, throwmain

_STOP = 255
_ABANDON = 254
_RAN = 128
_PATIENCE = 10
_KICK = 0.01
_DEAF = 200  # kicks

_FAULTS = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGABRT"}
_NEVER = frozenset((signal.SIGKILL, signal.SIGSTOP))


class Sigqueue:
    """lock guards wanted and ignored, and is held while a signal is put into its
    channels. base and saved (the handlers that stood before ours, while the runtime
    is up and while a signal is listened to) and the descriptors are the main
    thread's, as is busy: how many of reconcile and settle are at work, one in the other. It is a
    re-entrant lock: a user's handler may come in under it. unacked: signals whose byte
    came, and their _RAN did not yet; early: the other way round; both are gort-signal's.
    suspect: the descriptor may be another's."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.wanted: dict[int, list[Chan]] = {}
        self.ignored: set[int] = set()
        self.base: dict[int, tuple[Any, Any]] = {}
        self.saved: dict[int, Any] = {}
        self.dirty: deque[int] = deque()
        self.calls: deque[threading.Event] = deque()
        self.unacked: set[int] = set()
        self.early: set[int] = set()
        self.suspect = False
        self.busy = 0
        self.main = 0
        self.up = False
        self.rfd = self.wfd = self.oldfd = -1
        self.thread: threading.Thread | None = None


sig = Sigqueue()


# The main thread: handlers in, handlers out.


def siginit() -> None:
    """Take signals over for a run on Python's main thread; elsewhere do nothing."""
    if threading.current_thread() is not threading.main_thread():
        return
    try:
        rfd, wfd = os.pipe()
    except OSError as exc:
        text = f"{exc.strerror}: gort cannot make its pipe for signals"
        raise OSError(exc.errno, text) from None
    os.set_blocking(wfd, False)
    try:
        sig.oldfd = signal.set_wakeup_fd(wfd, warn_on_full_buffer=False)
    except ValueError:  # a subinterpreter
        os.close(rfd)
        os.close(wfd)
        return
    sig.rfd, sig.wfd = rfd, wfd
    sig.main = threading.get_ident()
    takeover(signal.SIGINT, signal.default_int_handler, sigint)
    takeover(signal.SIGQUIT, signal.SIG_DFL, sigquit)
    takeover(signal.SIGURG, signal.SIG_DFL, sigpreempt)
    sig.up = True
    thread = threading.Thread(target=sigloop, args=(rfd,), name="gort-signal", daemon=True)
    try:
        thread.start()
    except BaseException:
        sigexit()
        raise
    sig.thread = thread


def takeover(signum: int, default: Any, handler: Any) -> None:
    old = signal.getsignal(signum)
    if old is default or old == default:
        sig.base[signum] = (old, handler)
        signal.signal(signum, handler)


def sigexit() -> None:
    """Undo siginit: nobody listens any more, every handler is what it was."""
    if not sig.up:
        return
    forget(None)
    reconcile()
    for signum, (old, ours) in sig.base.items():
        if signal.getsignal(signum) is ours:
            signal.signal(signum, old)
    sig.base.clear()
    sig.up = False
    giveback()
    if sig.thread is not None:
        os.set_blocking(sig.wfd, True)
        os.write(sig.wfd, bytes((_STOP,)))
        sig.thread.join()
    closefds()


def giveback() -> None:
    """The descriptor is whose it was before the run, unless that was closed meanwhile."""
    try:
        signal.set_wakeup_fd(sig.oldfd)
    except (ValueError, OSError):
        signal.set_wakeup_fd(-1)


def closefds() -> None:
    os.close(sig.rfd)
    os.close(sig.wfd)
    sig.rfd = sig.wfd = sig.oldfd = -1
    sig.thread = None
    sig.unacked.clear()
    sig.early.clear()
    sig.suspect = False


def sigfork() -> None:
    """In a forked child: the pipe is the parent's, and nobody reads it here."""
    sig.lock = threading.RLock()
    sig.busy = 0
    if not sig.up:
        return
    sig.wanted.clear()
    sig.ignored.clear()
    sig.dirty.extend(sig.saved)
    sig.main = threading.get_ident()
    signal.set_wakeup_fd(-1)
    reconcile()
    for signum, (old, ours) in sig.base.items():
        if signal.getsignal(signum) is ours:
            signal.signal(signum, old)
    sig.base.clear()
    sig.calls.clear()
    sig.up = False
    closefds()
    store(sched.siglisten, 0)


os.register_at_fork(after_in_child=sigfork)


def reconcile() -> None:
    """Install what wanted and ignored ask for; on the main thread. signal.signal runs the
    handlers of what is pending: those may come back here, and may raise."""
    sig.busy += 1
    try:
        while sig.dirty:
            signum = sig.dirty.popleft()
            try:
                install(signum)
            except BaseException:
                sig.dirty.appendleft(signum)
                raise
    finally:
        sig.busy -= 1


def install(signum: int) -> None:
    want = wants(signum)
    while True:
        if want is not None:
            sig.unacked.discard(signum)
            if signum not in sig.saved:
                sig.saved[signum] = signal.getsignal(signum)
            sethandler(signum, want)
        elif signum in sig.saved:
            old = sig.saved[signum]
            if signal.getsignal(signum) in (sigcatch, signal.SIG_IGN):
                sethandler(signum, signal.SIG_DFL if old is None else old)
            sig.saved.pop(signum, None)
        was = want
        want = wants(signum)
        if want is was:  # and no handler that came in between wanted another
            return


def wants(signum: int) -> Any:
    """The handler that signum is to have; None: the one it had."""
    if sig.wanted.get(signum):
        return sigcatch
    return signal.SIG_IGN if signum in sig.ignored else None


def settle() -> None:
    """Do what the calls so far ask for, and then tell them; on the main thread. What comes
    in while that is under way, from a handler, leaves it to be asked again."""
    if sig.busy:
        return
    sig.busy += 1
    try:
        if sig.suspect:
            takeback()
        n = len(sig.calls)
        reconcile()
        for _ in range(n):
            sig.calls.popleft().set()
    finally:
        sig.busy -= 1


def takeback() -> None:
    """Have the C handler write to our pipe again, unless it writes to another's that is
    open. To ask means to set it: what it writes meanwhile is passed on."""
    sig.suspect = False
    try:
        rfd, wfd = os.pipe()
    except OSError:
        return
    os.set_blocking(wfd, False)
    owner = sig.wfd
    try:
        old = signal.set_wakeup_fd(wfd, warn_on_full_buffer=False)
        if old not in (-1, sig.wfd):
            try:
                signal.set_wakeup_fd(old)
                owner = old
            except (ValueError, OSError):
                pass  # it was closed
        if owner == sig.wfd:
            signal.set_wakeup_fd(sig.wfd, warn_on_full_buffer=False)
    finally:
        os.close(wfd)
    missed = os.read(rfd, 512)
    os.close(rfd)
    if missed:
        tell(owner, missed)


def tell(fd: int, data: bytes) -> None:
    try:
        os.write(fd, data)
    except OSError:
        pass  # full: who reads it has enough to do


def sethandler(signum: int, handler: Any) -> None:
    try:
        signal.signal(signum, handler)
    except OSError:
        sig.saved.pop(signum, None)  # the kernel or libc keeps it to itself


def sigsync(signums: list[int]) -> None:
    """Have the main thread install the handlers for signums, and wait until it did."""
    sig.dirty.extend(signums)
    if threading.get_ident() == sig.main:
        reconcile()
        return
    done = threading.Event()
    sig.calls.append(done)
    kicks = 0
    while not done.is_set():
        kick()
        done.wait(_KICK)
        if not sig.up:
            raise RuntimeError("gort.signal: the runtime went down")
        kicks += 1
        if kicks % _DEAF == 0 and deaf() and not done.is_set():
            raise RuntimeError(
                "gort.signal: Python's main thread, which installs handlers, blocks SIGURG or "
                "has another handler for it, and does not come back from what it does"
            )


def kick() -> None:
    """Make the main thread run its handlers: wake it, or interrupt what it blocks in.
    SIGURG is simulated too, as that thread may have blocked it."""
    if cankick():
        interrupt_main(signal.SIGURG)
        signal.pthread_kill(sig.main, signal.SIGURG)
    wakem0()


def deaf() -> bool:
    """Whether a SIGURG does not interrupt the main thread."""
    if signal.getsignal(signal.SIGURG) is not sigpreempt:
        return True
    try:
        with open(f"/proc/self/task/{threading.main_thread().native_id}/status") as f:
            blocked = [line.split()[1] for line in f if line.startswith("SigBlk:")]
    except OSError:
        return False
    return bool(blocked) and int(blocked[0], 16) >> (signal.SIGURG - 1) & 1 != 0


def cankick() -> bool:
    """Whether a signal runs our handler on the main thread."""
    return sig.up and signal.getsignal(signal.SIGURG) is sigpreempt


def wakem0() -> None:
    mp: M = sched.m0
    if mp is not None:
        noteinterrupt(mp.park)
        netpollbreak()


# Python handlers: on the main thread. Uncompiled, they may interrupt the runtime
# between any two bytecodes, so they take none of its locks.


def sigcatch(signum: int, frame: Any) -> None:
    """Somebody listens: gort-signal delivers it."""
    tell(sig.wfd, bytes((_RAN | signum,)))


def sigquit(signum: int, frame: Any) -> None:
    """SIGQUIT's: gort-signal dumps the goroutines."""
    tell(sig.wfd, bytes((_RAN | signum,)))


def sigpreempt(signum: int, frame: Any) -> None:
    """SIGURG's: what other threads want of this one."""
    safepoint()
    settle()
    if sig.busy:
        return  # inside another's settle; sysmon asks again
    if load(sched.unwinding) != 0 and runs(load(sched.unwinding)) and inuser(frame):
        store(sched.unwinding, 0)
        raise Cancelled("main has ended")


def runs(goid: int) -> bool:
    """Whether this thread is in the Python code of goroutine goid."""
    mp: M = getm()
    gp = mp.curg if mp is not None else None
    if gp is None or gp.goid != goid:
        return False
    return mp.p is None or load(mp.p.status) != mp.runword


def sigint(signum: int, frame: Any) -> None:
    """The first Ctrl-C is main's KeyboardInterrupt; a second, before main got that, ends
    the run without it. After main's end it is for what keeps the main thread."""
    gp = sched.maing
    if gp is None or ((gp.done() or runsmain(gp)) and inuser(frame)):
        raise KeyboardInterrupt
    if pending(gp) or sched.signals:
        tell(sig.wfd, bytes((_ABANDON,)))
        return
    sched.signals.append(KeyboardInterrupt())
    tell(sig.wfd, b"\0")


def inuser(frame: Any) -> bool:
    """Whether a frame runs user code, and not the uncompiled runtime for it."""
    here = os.path.dirname(os.path.dirname(__file__))
    while frame is not None and frame.f_code.co_flags & 0x80 == 0:
        if frame.f_code.co_filename.startswith(here):
            # Syscall.call, or a plain goroutine's: in the user's function
            return frame.f_code.co_name in ("call", "_run")
        frame = frame.f_back
    return True


def pending(gp: G) -> bool:
    """Whether an earlier Ctrl-C has not been raised in main yet."""
    return load(gp.cancelreq) & CTHROW != 0


def runsmain(gp: G) -> bool:
    """Whether main's Python code is what the handler interrupted, on this thread: not
    the runtime for it, which runs Python code too where it starts a thread."""
    mp: M = getm()
    if mp is None or mp.curg is not gp or gp.status not in ("running", "syscall"):
        return False
    return mp.p is None or load(mp.p.status) != mp.runword


# gort-signal.


def sigloop(rfd: int) -> None:
    """Read what the C handler wrote, until sigexit says stop."""
    late = False
    patience = 0
    poll = select.poll()  # select.select knows no descriptor above 1023
    poll.register(rfd, select.POLLIN)
    while True:
        if (late or patience) and not poll.poll(1000 * _KICK):
            if late:
                kick()
                late = False
            elif patience == 1:
                pressmain()
            patience -= patience > 0
            continue
        for signum in os.read(rfd, 512):
            if signum == _STOP:
                return
            if signum == 0:
                interrupted(None)
                patience = _PATIENCE
                continue
            if signum == _ABANDON:
                abandonmain()
                continue
            if not announced(signum):
                continue
            signum &= ~_RAN
            sigsend(signum)
            if signum != signal.SIGURG:
                wakem0()
                late = True


def announced(byte: int) -> bool:
    """Whether a byte of the pipe tells of a signal that no byte has told of yet."""
    signum = byte & ~_RAN
    first, second = (sig.early, sig.unacked) if byte == signum else (sig.unacked, sig.early)
    if signum in first:
        first.discard(signum)
        return False
    if byte != signum or signal.getsignal(signum) in (sigcatch, sigquit):
        second.add(signum)
    if byte != signum:
        sig.suspect = True
        kick()
    return True


def sigsend(signum: int) -> None:
    """One signal: to those who listen, else what gort itself does with it."""
    if sig.oldfd >= 0:
        try:
            os.write(sig.oldfd, bytes((signum,)))  # whose wake-up fd it was before the run
        except OSError:
            pass  # full or closed: as lost as it would have been there
    with sig.lock:
        listeners = sig.wanted.get(signum)
        if listeners:
            for ch in list(listeners):
                try:
                    ch.send_nowait(name(signum))
                except (WouldBlock, ChanClosed, RuntimeError):
                    pass  # full, closed, or no runtime: it does not wait
            return
    if signum == signal.SIGQUIT and signal.getsignal(signum) is sigquit:
        sigdump()


def name(signum: int) -> int:
    try:
        return signal.Signals(signum)
    except ValueError:
        return signum  # a real-time signal between SIGRTMIN and SIGRTMAX


def interrupted(exc: BaseException | None) -> None:
    """What a handler raised, or left in sched.signals, goes to main."""
    if exc is None and sched.signals:
        exc = sched.signals.pop()
    if exc is not None:
        interruptmain(exc)


def interruptmain(exc: BaseException) -> None:
    """Raise exc out of main's current or next op."""
    gp = sched.maing
    if gp is None:
        return
    if gp.done():  # run waits for the others: no longer
        sched.fatal = exc
        sched.abandon()
    else:
        throwmain(gp, exc)


def pressmain() -> None:
    """Main got a Ctrl-C and has not come to an op since: raise it in main's code, on
    whatever thread that runs. (On the main thread the handler has done it.)

    A thread that leaves main's code takes what is pending there back (dropasync).
    """
    gp = sched.maing
    mp = mof(gp) if gp is not None else None
    if mp is None or not pending(gp) or gp.status != "running" or mp.ident == sig.main:
        return
    if not cython.compiled and not inuser(sys._current_frames().get(mp.ident)):
        return
    store(sched.asyncexc, mp.ident)
    raiseasync(mp.ident, Pressed)
    if not pending(gp) or mp.curg is not gp:
        dropasync()


@cython.binding(True)
def pressed(self: BaseException) -> None:
    """Pressed's __init__: it has been raised in main."""
    taken()


def taken() -> None:
    store(sched.asyncexc, 0)
    gp = sched.maing
    if gp is not None:
        lock(gp.lock)
        old = slotswap(sched.throwing, None)
        store(gp.cancelreq, load(gp.cancelreq) & ~CTHROW)
        unlock(gp.lock)
        del old  # not under the lock


Pressed = type("KeyboardInterrupt", (KeyboardInterrupt,), {"__init__": pressed})
Pressed.__module__ = "builtins"


def abandonmain() -> None:
    """A second Ctrl-C, while main is deaf to the first: run raises it without main."""
    gp = sched.maing
    if gp is not None and pending(gp):
        sched.fatal = KeyboardInterrupt()
        sched.abandon()
        wakewaiters()


# What users call, from any thread.


def notify(ch: Chan, *signums: int) -> None:
    """Send each of these signals that arrives into ch, as a signal.Signals.

    It never waits: where ch is full or closed, the signal is lost, so give ch a
    buffer. Without signums: every signal that can be caught, but those of faults
    (SIGSEGV and such) and SIGURG, which gort uses. A signal that is listened to
    does nothing else: SIGINT raises no KeyboardInterrupt. Calls add up; several
    channels may listen to one signal.

    From any thread while a runtime is up that runs on Python's main thread, else
    RuntimeError. TypeError or ValueError for what is no channel or no signal
    that can be caught.
    """
    if not isinstance(ch, Chan):
        raise TypeError(f"notify() wants a channel and signals, not {type(ch).__name__}")
    wanted = check("notify", signums) or everything()
    with sig.lock:
        for n in wanted:
            listeners = sig.wanted.setdefault(n, [])
            if not any(c is ch for c in listeners):
                listeners.append(ch)
            sig.ignored.discard(n)
        count()
    sigsync(wanted)


def stop(ch: Chan) -> None:
    """Send no more signals into ch, which is not closed. A signal that nobody
    listens to any more does again what it did before. From any thread."""
    if not isinstance(ch, Chan):
        raise TypeError(f"stop() wants a channel, not {type(ch).__name__}")
    freed = forget(ch)
    if sig.up and freed:
        sigsync(freed)


def ignore(*signums: int) -> None:
    """Ignore these signals, or without arguments all that can be; who listened to
    them no longer does. Errors and threads as for notify."""
    wanted = check("ignore", signums) or everything()
    with sig.lock:
        for n in wanted:
            sig.wanted.pop(n, None)
            sig.ignored.add(n)
        count()
    sigsync(wanted)


def reset(*signums: int) -> None:
    """Undo notify and ignore for these signals, or for all: each does again what it
    did before. Errors and threads as for notify."""
    wanted = check("reset", signums)
    with sig.lock:
        wanted = wanted or list({*sig.wanted, *sig.ignored})
        for n in wanted:
            sig.wanted.pop(n, None)
            sig.ignored.discard(n)
        count()
    sigsync(wanted)


def ignored(signum: int) -> bool:
    """Whether the signal is ignored now, by `ignore` or otherwise. Errors for what is no
    signal as for notify; in any state of the runtime."""
    checksignals("ignored", (signum,))
    return signal.getsignal(signum) == signal.SIG_IGN


def forget(ch: Chan | None) -> list[int]:
    """Take ch (None: every channel, and what is ignored) out; the signals that were
    left without listeners."""
    freed = []
    with sig.lock:
        for n, listeners in list(sig.wanted.items()):
            listeners[:] = [c for c in listeners if ch is not None and c is not ch]
            if not listeners:
                del sig.wanted[n]
                freed.append(n)
        if ch is None:
            freed += sig.ignored
            sig.ignored.clear()
            sig.dirty.extend(freed)
        count()
    return freed


def count() -> None:
    """Tell the deadlock detector whether a signal may still wake a goroutine."""
    store(sched.siglisten, len(sig.wanted))
    if not sig.wanted and load(sched.up) != 0:
        lock(sched.lock)
        checkdead()
        unlock(sched.lock)


def check(what: str, signums: tuple[int, ...]) -> list[int]:
    checksignals(what, signums)
    for n in signums:
        if n in _NEVER:
            raise ValueError(f"signal.{what}: {signal.Signals(n).name} cannot be caught or ignored")
    if load(sched.up) == 0:
        raise RuntimeError(f"signal.{what}: no gort runtime is up")
    if not sig.up:
        raise RuntimeError(
            f"signal.{what}: gort.run was not called on Python's main thread, "
            "and only that one can catch signals"
        )
    return [int(n) for n in signums]


def checksignals(what: str, signums: tuple[int, ...]) -> None:
    for n in signums:
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"signal.{what} wants signal numbers, not {type(n).__name__}")
        if n not in signal.valid_signals():
            raise ValueError(f"signal.{what}: {n} is no signal; use the names of module signal")


def everything() -> list[int]:
    """Every signal that one may want to catch without having named it."""
    out = []
    for n in signal.valid_signals():
        text = n.name if isinstance(n, signal.Signals) else ""
        if n not in _NEVER and n != signal.SIGURG and text not in _FAULTS:
            out.append(int(n))
    return out


sched.interrupted = interrupted
