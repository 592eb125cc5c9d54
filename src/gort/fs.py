"""Files for goroutines: each call that may block its thread is a `gort.syscall`, awaited.

A call runs on the thread of its goroutine, and only one that lasts costs a hand-over: there
is no pool, and no hop. A cancelled goroutine's call raises Cancelled before it has any effect;
one that has begun ends, and gives its result. All raise OSError as `os` and `open` do.
"""

from __future__ import annotations

import builtins as _builtins
import os as _os
import shutil as _shutil
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    AnyStr,
    Generic,
    Literal,
    ParamSpec,
    Self,
    TypeVar,
    overload,
)

from .runtime.timeout import shield as _shield

if TYPE_CHECKING:
    _P = ParamSpec("_P")
    _T = TypeVar("_T")

    def _syscall(fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Awaitable[_T]: ...

else:
    from .runtime.syscall import syscall as _syscall

StrPath = str | _os.PathLike[str]
AnyPath = StrPath | bytes | _os.PathLike[bytes]

__all__ = [
    "File",
    "access",
    "chmod",
    "chown",
    "copy",
    "exists",
    "is_dir",
    "is_file",
    "link",
    "listdir",
    "lstat",
    "makedirs",
    "mkdir",
    "open",
    "read_bytes",
    "read_text",
    "readlink",
    "realpath",
    "remove",
    "rename",
    "replace",
    "rmdir",
    "rmtree",
    "scandir",
    "stat",
    "symlink",
    "truncate",
    "utime",
    "walk",
    "write_bytes",
    "write_text",
]


class File(Generic[AnyStr]):
    """An open file; of `await gort.fs.open(path)`. What waits is awaited; the rest is plain.

    `async with` closes it, also where the goroutine is cancelled. `async for` gives its lines.
    Calls of several goroutines at the same time are made one after the other, by the file's
    own lock. `.raw` is Python's file object.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: IO[AnyStr]) -> None:
        self.raw: IO[AnyStr] = raw

    def read(self, n: int = -1) -> Awaitable[AnyStr]:
        """Up to n bytes or characters, all that is left for -1; empty at the end."""
        return _syscall(self.raw.read, n)

    def readline(self, limit: int = -1) -> Awaitable[AnyStr]:
        """The next line with its end, at most limit bytes or characters; empty at the end."""
        return _syscall(self.raw.readline, limit)

    def readlines(self, hint: int = -1) -> Awaitable[list[AnyStr]]:
        """All lines; with a hint no more once so many bytes or characters came."""
        return _syscall(self.raw.readlines, hint)

    def readinto(self, buffer: Any) -> Awaitable[int]:
        """Fill a writable buffer as far as there is something; how much. Binary files only."""
        return _syscall(self.raw.readinto, buffer)  # type: ignore[attr-defined]

    def write(self, data: AnyStr) -> Awaitable[int]:
        """Write all of data; how much that was."""
        return _syscall(self.raw.write, data)

    def writelines(self, lines: Iterable[AnyStr]) -> Awaitable[None]:
        """Write them one after the other; ends of lines are not added."""
        return _syscall(self.raw.writelines, lines)

    def seek(self, offset: int, whence: int = 0) -> Awaitable[int]:
        """Go to a place, as io's seek; the new one."""
        return _syscall(self.raw.seek, offset, whence)

    def tell(self) -> Awaitable[int]:
        """The place that is read and written next."""
        return _syscall(self.raw.tell)

    def truncate(self, size: int | None = None) -> Awaitable[int]:
        """Cut or extend the file to size bytes, or to its place; the new size."""
        return _syscall(self.raw.truncate, size)

    def flush(self) -> Awaitable[None]:
        """Give what is buffered to the kernel."""
        return _syscall(self.raw.flush)

    def fsync(self) -> Awaitable[None]:
        """flush, and have the kernel write it to the disk."""
        return _syscall(_fsync, self.raw)

    async def close(self) -> None:
        """Flush and close; also for a cancelled goroutine. Idempotent."""
        async with _shield():
            await _syscall(self.raw.close)

    def fileno(self) -> int:
        """Its descriptor; OSError where there is none."""
        return self.raw.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self.raw.isatty()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.raw.closed

    @property
    def name(self) -> Any:
        """What it was opened as: a path or a descriptor."""
        return self.raw.name

    @property
    def mode(self) -> str:
        """How it was opened."""
        return self.raw.mode

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyStr:
        line = await _syscall(self.raw.readline)
        if not line:
            raise StopAsyncIteration
        return line

    def __repr__(self) -> str:
        state = "closed" if self.raw.closed else "open"
        return f"<gort file {self.raw.name!r}, {self.raw.mode!r}, {state}>"


def _fsync(raw: IO[Any]) -> None:
    raw.flush()
    _os.fsync(raw.fileno())


_Binary = Literal["rb", "wb", "ab", "xb", "r+b", "w+b", "a+b", "x+b", "rb+", "wb+", "ab+", "xb+"]
_Text = Literal["r", "w", "a", "x", "r+", "w+", "a+", "x+", "rt", "wt", "at", "xt"]


@overload
def open(
    path: AnyPath | int, mode: _Binary = "rb", buffering: int = -1
) -> Awaitable[File[bytes]]: ...
@overload
def open(
    path: AnyPath | int,
    mode: _Text,
    buffering: int = -1,
    *,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
) -> Awaitable[File[str]]: ...
def open(
    path: AnyPath | int,
    mode: str = "rb",
    buffering: int = -1,
    *,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
) -> Awaitable[File[Any]]:
    """Open a file, as the built-in open, but in "rb" where no mode is given; await it: a File.

    Text is UTF-8 unless an encoding is given.
    """
    if "b" not in mode and encoding is None:
        encoding = "utf-8"
    return _syscall(_open, path, mode, buffering, encoding, errors, newline, closefd)


def _open(*args: Any) -> File[Any]:
    return File(_builtins.open(*args))


def read_bytes(path: AnyPath) -> Awaitable[bytes]:
    """All of a file."""
    return _syscall(_read_bytes, path)


def _read_bytes(path: AnyPath) -> bytes:
    with _builtins.open(path, "rb") as f:
        return f.read()


def read_text(path: AnyPath, encoding: str = "utf-8", errors: str = "strict") -> Awaitable[str]:
    """All of a file, as text."""
    return _syscall(_read_text, path, encoding, errors)


def _read_text(path: AnyPath, encoding: str, errors: str) -> str:
    with _builtins.open(path, encoding=encoding, errors=errors) as f:
        return f.read()


def write_bytes(path: AnyPath, data: Any) -> Awaitable[int]:
    """Make, or replace, a file of data, which is bytes-like; how many bytes that were."""
    return _syscall(_write_bytes, path, data)


def _write_bytes(path: AnyPath, data: Any) -> int:
    view = memoryview(data)  # before the file is cut
    with _builtins.open(path, "wb") as f:
        return f.write(view)


def write_text(
    path: AnyPath, text: str, encoding: str = "utf-8", errors: str = "strict"
) -> Awaitable[int]:
    """Make, or replace, a file of text; how many characters that were."""
    if not isinstance(text, str):
        raise TypeError(f"write_text wants a str, not {type(text).__name__}")
    return _syscall(_write_text, path, text, encoding, errors)


def _write_text(path: AnyPath, text: str, encoding: str, errors: str) -> int:
    with _builtins.open(path, "w", encoding=encoding, errors=errors) as f:
        return f.write(text)


def stat(
    path: AnyPath | int, *, dir_fd: int | None = None, follow_symlinks: bool = True
) -> Awaitable[_os.stat_result]:
    """As os.stat."""
    return _syscall(_os.stat, path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)


def lstat(path: AnyPath) -> Awaitable[_os.stat_result]:
    """As os.lstat: of a symbolic link itself."""
    return _syscall(_os.lstat, path)


def exists(path: AnyPath | int) -> Awaitable[bool]:
    """As os.path.exists."""
    return _syscall(_os.path.exists, path)


def is_file(path: AnyPath | int) -> Awaitable[bool]:
    """As os.path.isfile."""
    return _syscall(_os.path.isfile, path)


def is_dir(path: AnyPath | int) -> Awaitable[bool]:
    """As os.path.isdir."""
    return _syscall(_os.path.isdir, path)


def access(path: AnyPath | int, mode: int) -> Awaitable[bool]:
    """As os.access."""
    return _syscall(_os.access, path, mode)


def listdir(path: StrPath = ".") -> Awaitable[list[str]]:
    """The names in a folder, in any order."""
    return _syscall(_os.listdir, path)


def scandir(path: StrPath = ".") -> Awaitable[list[_os.DirEntry[str]]]:
    """What is in a folder: all of os.scandir's entries."""
    return _syscall(_scandir, path)


def _scandir(path: StrPath) -> list[_os.DirEntry[str]]:
    with _os.scandir(path) as entries:
        return list(entries)


async def walk(
    top: StrPath, *, follow_symlinks: bool = False
) -> list[tuple[str, list[str], list[str]]]:
    """As os.walk from the top down, all of it: a list of (folder, folders in it, files in it)."""
    return await _syscall(lambda: list(_os.walk(_os.fspath(top), followlinks=follow_symlinks)))


def mkdir(path: AnyPath, mode: int = 0o777) -> Awaitable[None]:
    """As os.mkdir."""
    return _syscall(_os.mkdir, path, mode)


def makedirs(path: AnyPath, mode: int = 0o777, exist_ok: bool = False) -> Awaitable[None]:
    """As os.makedirs."""
    return _syscall(_os.makedirs, path, mode, exist_ok)


def remove(path: AnyPath) -> Awaitable[None]:
    """As os.remove."""
    return _syscall(_os.remove, path)


def rmdir(path: AnyPath) -> Awaitable[None]:
    """As os.rmdir: of an empty folder."""
    return _syscall(_os.rmdir, path)


def rmtree(path: AnyPath, ignore_errors: bool = False) -> Awaitable[None]:
    """As shutil.rmtree: a folder and all that is in it."""
    return _syscall(_shutil.rmtree, path, ignore_errors)


def rename(source: AnyPath, target: AnyPath) -> Awaitable[None]:
    """As os.rename."""
    return _syscall(_os.rename, source, target)


def replace(source: AnyPath, target: AnyPath) -> Awaitable[None]:
    """As os.replace."""
    return _syscall(_os.replace, source, target)


def copy(source: StrPath, target: StrPath) -> Awaitable[str]:
    """As shutil.copy2: data and metadata, into a folder too; the new path."""
    return _syscall(_copy, source, target)


def _copy(source: StrPath, target: StrPath) -> str:
    return str(_shutil.copy2(source, target))


def link(source: AnyPath, target: AnyPath) -> Awaitable[None]:
    """As os.link."""
    return _syscall(_os.link, source, target)


def symlink(source: AnyPath, target: AnyPath) -> Awaitable[None]:
    """As os.symlink."""
    return _syscall(_os.symlink, source, target)


def readlink(path: StrPath) -> Awaitable[str]:
    """As os.readlink."""
    return _syscall(_os.readlink, path)


def realpath(path: StrPath) -> Awaitable[str]:
    """As os.path.realpath."""
    return _syscall(_os.path.realpath, path)


def chmod(path: AnyPath | int, mode: int) -> Awaitable[None]:
    """As os.chmod."""
    return _syscall(_os.chmod, path, mode)


def chown(path: AnyPath | int, uid: int, gid: int) -> Awaitable[None]:
    """As os.chown."""
    return _syscall(_os.chown, path, uid, gid)


def utime(path: AnyPath | int, times: tuple[float, float] | None = None) -> Awaitable[None]:
    """As os.utime: access and modification, in seconds since the epoch; None is now."""
    return _syscall(_os.utime, path, times)


def truncate(path: AnyPath | int, size: int) -> Awaitable[None]:
    """As os.truncate."""
    return _syscall(_os.truncate, path, size)
