"""Child processes for goroutines: run and start, and this process's own stdin, stdout, stderr.

The spawn itself is subprocess.Popen's, in gort.syscall: what it takes is taken here, and
its errors come as they are. Pipes are Conns. The end of a child is waited for in the
poller, by pidfd; where there is none, on a thread. All is bytes: there is no text mode.
"""

import fcntl as _fcntl
import os as _os
import signal as _signal
import stat as _stat
import subprocess as _subprocess
import threading as _threading
from collections.abc import Callable as _Callable
from collections.abc import Coroutine as _Coroutine
from subprocess import DEVNULL, PIPE, STDOUT, CalledProcessError, CompletedProcess
from types import TracebackType as _TracebackType
from typing import Any as _Any

from .net.conn import Conn as _Conn
from .net.file import fileconn as _fileconn
from .runtime.boot import go as _go
from .runtime.gmp import G as _G
from .runtime.group import group as _group
from .runtime.netpoll import notify_closing as _notify_closing
from .runtime.netpoll import wait_readable as _wait_readable
from .runtime.syscall import syscall as _syscall
from .runtime.timeout import shield as _shield
from .runtime.timeout import timeout as _timeout

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "CalledProcessError",
    "CompletedProcess",
    "Process",
    "run",
    "start",
    "stderr",
    "stdin",
    "stdout",
]

# Not taken, and what to do instead.
_TEXT = ("text", "universal_newlines", "encoding", "errors")

_PTMX = _os.makedev(5, 2)  # to open it makes another terminal


class Process:
    """A child process that `start` started. `async with` ends it; all methods are for any
    goroutine and thread.

    pid: its number. args: what it was started with. stdin, stdout, stderr: Conns to it
    where PIPE was asked for, else None.
    """

    def __init__(self, popen: "_subprocess.Popen[bytes]", pipes: list[int], grace: float) -> None:
        self._popen = popen
        self._grace = grace
        # Held while the child is reaped, or while its number is used, which is its own until then.
        self._mu = _threading.Lock()
        self._watcher: _G | None = None
        self.pid: int = popen.pid
        self.args = popen.args
        self.stdin, self.stdout, self.stderr = (_fileconn(fd) if fd >= 0 else None for fd in pipes)

    def __repr__(self) -> str:
        code = self.returncode
        return f"<Process {self.pid} {self.args!r} {'' if code is None else f'ended: {code}'}>"

    @property
    def returncode(self) -> int | None:
        """As subprocess has it, -N after signal N; None until a wait has seen the end."""
        return self._popen.returncode

    async def wait(self) -> int:
        """Wait until the child has ended; its returncode. Any number of goroutines may. A
        cancel ends the wait alone."""
        while (code := self._reap()) is None:
            fd = self._watch()
            if fd < 0:
                await self._end()
                continue
            try:
                await _wait_readable(fd)
            finally:
                _notify_closing(fd)
                _os.close(fd)
        return code

    def _reap(self) -> int | None:
        with self._mu:
            return self._popen.poll()

    def _watch(self) -> int:
        """A new file descriptor that is readable once the child has ended; -1 without."""
        with self._mu:
            if self._popen.returncode is not None:
                return -1
            try:
                return _os.pidfd_open(self.pid)
            except OSError:  # an old kernel, a sandbox, too many files
                return -1

    async def _end(self) -> None:
        """Wait for the end of the child on a thread, one for all who wait."""
        with self._mu:
            if self._popen.returncode is not None:
                return
            if self._watcher is None:
                self._watcher = _go(_ended, self.pid)
            watcher = self._watcher
        await watcher

    def send_signal(self, signal: int) -> None:
        """Send a signal; after the end of the child, do nothing."""
        with self._mu:
            self._popen.send_signal(signal)

    def terminate(self) -> None:
        """Send SIGTERM; after the end of the child, do nothing."""
        self.send_signal(_signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL; after the end of the child, do nothing."""
        self.send_signal(_signal.SIGKILL)

    async def __aenter__(self) -> "Process":
        return self

    async def __aexit__(
        self,
        et: type[BaseException] | None,
        exc: BaseException | None,
        tb: _TracebackType | None,
    ) -> None:
        """Close the pipes and wait for the child. Cancelled, before or meanwhile: terminate
        it, and kill it after `grace` seconds. After an exception of the block it has `grace`
        seconds to end by itself before that."""
        try:
            await self._closepipes()
            if exc is None:
                await self.wait()
            elif isinstance(exc, Exception):
                async with _timeout(self._grace):
                    await self.wait()
        except TimeoutError:
            pass
        finally:
            if self.returncode is None:
                await self._finish()

    async def _closepipes(self) -> None:
        for conn in (self.stdin, self.stdout, self.stderr):
            if conn is not None:
                await conn.close()

    async def _finish(self) -> None:
        """Terminate the child, kill it after the grace, and reap it, whatever comes."""
        try:
            async with _shield():
                await self._closepipes()
                self.terminate()
                try:
                    async with _timeout(self._grace):
                        await self.wait()
                except TimeoutError:
                    self.kill()
                    await self.wait()
        finally:
            if self._reap() is None:  # the program's own grace is over
                self.kill()
                with self._mu:
                    self._popen.wait()


async def _ended(pid: int) -> None:
    """Wait on a thread until a child has ended, and leave it to be reaped."""
    async with _shield():
        try:
            await _syscall(_os.waitid, _os.P_PID, pid, _os.WEXITED | _os.WNOWAIT)
        except ChildProcessError:
            pass


def start(
    args: _Any,
    *,
    stdin: _Any = None,
    stdout: _Any = None,
    stderr: _Any = None,
    grace: float = 5.0,
    **popen: _Any,
) -> _Coroutine[_Any, _Any, Process]:
    """Start a child process; await it: its Process.

    All is as subprocess.Popen takes it (shell, cwd, env, preexec_fn, ...), but for the text
    mode: pipes are Conns, of bytes. grace: how many seconds an `async with` that is cancelled
    gives the child between SIGTERM and SIGKILL.

    Raises what Popen raises, such as FileNotFoundError for a program or a cwd that is not
    there; ValueError for a grace that is negative or NaN, TypeError for the text mode.
    """
    _check("start", grace, popen)
    return _start(args, [stdin, stdout, stderr], grace, popen)


def _check(what: str, grace: _Any, popen: dict[str, _Any]) -> None:
    if isinstance(grace, bool) or not isinstance(grace, (int, float)):
        raise TypeError(f"{what}: grace must be a number of seconds, not {type(grace).__name__}")
    if not grace >= 0:
        raise ValueError(f"{what}: grace must be at least 0 seconds, not {grace}")
    for name in _TEXT:
        if popen.pop(name, None):
            raise TypeError(f"{what}() gives and takes bytes: decode them, in place of {name}=")
    if "timeout" in popen:
        raise TypeError(f"{what}() has no timeout: use it in `async with gort.timeout(seconds):`")
    if popen.pop("bufsize", 0) not in (0, -1):
        raise TypeError(f"{what}() has no bufsize: a Conn reads what there is, and writes at once")


async def _start(args: _Any, files: list[_Any], grace: float, popen: dict[str, _Any]) -> Process:
    made: list[tuple[_subprocess.Popen[bytes], list[int]]] = []
    try:
        await _syscall(_spawn, made, args, files, popen)
    except BaseException:
        for child, pipes in made:  # the runtime has gone down in the call
            _closeall(pipes)
            child.kill()
            child.wait()
        raise
    return Process(*made[0], grace)


def _spawn(made: list[_Any], args: _Any, files: list[_Any], popen: dict[str, _Any]) -> None:
    """Add the child that Popen starts to made, and our end of each of its pipes, or -1."""
    size = popen.pop("pipesize", -1)
    ours = [-1, -1, -1]
    theirs: list[int] = []
    try:
        for i, file in enumerate(files):
            if isinstance(file, int) and file == PIPE:
                ends = _os.pipe2(_os.O_CLOEXEC)
                ours[i], files[i] = ends if i else ends[::-1]
                theirs.append(files[i])
                if size > 0:
                    _fcntl.fcntl(ours[i], _fcntl.F_SETPIPE_SZ, size)
        child = _subprocess.Popen(
            args, bufsize=0, stdin=files[0], stdout=files[1], stderr=files[2], **popen
        )
        made.append((child, ours))
    except BaseException:
        _closeall(ours)
        raise
    finally:
        _closeall(theirs)


def _closeall(fds: list[int]) -> None:
    for fd in fds:
        if fd >= 0:
            _os.close(fd)


def run(
    args: _Any,
    *,
    input: _Any = None,
    capture_output: bool = False,
    check: bool = False,
    cwd: _Any = None,
    env: _Any = None,
    stdin: _Any = None,
    stdout: _Any = None,
    stderr: _Any = None,
    shell: bool = False,
    grace: float = 5.0,
    **popen: _Any,
) -> _Coroutine[_Any, _Any, "CompletedProcess[bytes]"]:
    """Run a child process to its end; await it: a subprocess.CompletedProcess, whose stdout
    and stderr are bytes where they are captured, else None.

    As subprocess.run: it ends when the child has ended and its pipes have, which children of
    its own may hold. What is left of input when the child closes its stdin is dropped.
    Cancelled, it terminates the child, and kills it after `grace` seconds; for a time limit
    use gort.timeout.

    Raises as start, and CalledProcessError with check for a status that is not 0.
    """
    _check("run", grace, popen)
    if input is not None:
        if stdin is not None:
            raise ValueError("run: input is sent through stdin: give one of the two")
        input = _bytesof(input)
        stdin = PIPE
    if capture_output:
        if stdout is not None or stderr is not None:
            raise ValueError("run: capture_output takes stdout and stderr: give one or the others")
        stdout = stderr = PIPE
    popen.update(cwd=cwd, env=env, shell=shell)
    return _run(args, input, check, [stdin, stdout, stderr], grace, popen)


def _bytesof(input: _Any) -> memoryview:
    try:
        return memoryview(input).cast("B")
    except TypeError:
        raise TypeError(f"run: input must be bytes-like, not {type(input).__name__}") from None


async def _run(
    args: _Any,
    input: memoryview | None,
    check: bool,
    files: list[_Any],
    grace: float,
    popen: dict[str, _Any],
) -> "CompletedProcess[bytes]":
    async with await _start(args, files, grace, popen) as p:
        out, err = await _communicate(p, input)
        code = await p.wait()
    if check and code != 0:
        raise CalledProcessError(code, p.args, output=out, stderr=err)
    return CompletedProcess(p.args, code, out, err)


async def _communicate(p: Process, input: memoryview | None) -> tuple[bytes | None, bytes | None]:
    """Feed the child and take what it says, all at once; no goroutine for one pipe alone."""
    jobs: list[tuple[_Callable[..., _Any], _Conn, _Any]] = []
    if p.stdin is not None:
        jobs.append((_feed, p.stdin, input))
    for i, conn in enumerate((p.stdout, p.stderr)):
        if conn is not None:
            jobs.append((_take, conn, i))
    said: list[bytes | None] = [None, None]
    if not jobs:
        return None, None
    async with _group() as grp:
        for fn, conn, what in jobs[1:]:
            grp.go(fn, conn, what, said)
        fn, conn, what = jobs[0]
        await fn(conn, what, said)
    return said[0], said[1]


async def _feed(conn: _Conn, input: memoryview | None, said: list[bytes | None]) -> None:
    try:
        if input is not None:
            await conn.write(input)
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        await conn.close()


async def _take(conn: _Conn, i: int, said: list[bytes | None]) -> None:
    chunks = []
    while data := await conn.read():
        chunks.append(data)
    said[i] = b"".join(chunks)


_own: dict[int, _Conn] = {}


def stdin() -> _Conn:
    """This process's standard input, as a Conn: always the same, until it is closed. For
    pipes and terminals, and whatever else it is.

    The descriptor stays as it is, for those that share it: the Conn has the same pipe or
    terminal open once more, or waits until it is ready. What sys.stdin has buffered is not
    seen here, and the reverse.
    """
    return _standard(0)


def stdout() -> _Conn:
    """This process's standard output, as stdin. Flush what was printed before."""
    return _standard(1)


def stderr() -> _Conn:
    """This process's standard error, as stdout."""
    return _standard(2)


def _standard(fd: int) -> _Conn:
    conn = _own.get(fd)
    if conn is None or conn.closed:
        again = _reopen(fd)
        new = _fileconn(fd, nonblocking=False, keep=True) if again < 0 else _fileconn(again)
        conn = _own[fd] = new
    return conn


def _reopen(fd: int) -> int:
    """A descriptor of our own, which does not block, for the pipe or terminal that fd is; or
    -1. dup would share the flag."""
    mode = _os.fstat(fd)
    if not (_stat.S_ISFIFO(mode.st_mode) or _os.isatty(fd)) or mode.st_rdev == _PTMX:
        return -1
    flags = _os.O_RDONLY if fd == 0 else _os.O_WRONLY
    try:
        path = f"/proc/self/fd/{fd}"
        return _os.open(path, flags | _os.O_NONBLOCK | _os.O_CLOEXEC | _os.O_NOCTTY)
    except OSError:
        return -1
