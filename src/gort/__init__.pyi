import traceback
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
)
from dataclasses import dataclass
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    NoReturn,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    TypeVarTuple,
    final,
    overload,
)

from . import context as context
from . import fs as fs
from . import logging as logging
from . import net as net
from . import process as process
from . import signal as signal
from . import sync as sync
from . import time as time

__version__: Final[str]

__all__ = [
    "Cancelled",
    "Chan",
    "ChanClosed",
    "Cleanup",
    "DeadlockError",
    "Goroutine",
    "GoroutineInfo",
    "Group",
    "WouldBlock",
    "add_cleanup",
    "after",
    "as_completed",
    "at_exit",
    "blocking",
    "chan",
    "context",
    "current",
    "fs",
    "gather",
    "go",
    "goexit",
    "gomaxprocs",
    "goroutines",
    "gosched",
    "group",
    "init",
    "lock_os_thread",
    "map",
    "logging",
    "net",
    "notify_closing",
    "num_cpu",
    "num_goroutine",
    "process",
    "run",
    "select",
    "set_max_threads",
    "set_name",
    "shield",
    "signal",
    "sleep",
    "stack",
    "supervise",
    "sync",
    "syscall",
    "tick",
    "time",
    "timeout",
    "unlock_os_thread",
    "wait",
    "wait_readable",
    "wait_writable",
]

_T = TypeVar("_T")
_A = TypeVar("_A")
_T_co = TypeVar("_T_co", covariant=True)
_P = ParamSpec("_P")
_Ts = TypeVarTuple("_Ts")

_Status = Literal["idle", "runnable", "running", "syscall", "waiting", "dead"]

_OnError = Literal["cancel", "log"] | Callable[[Goroutine[Any], BaseException], object]

_Inits = Callable[[], object] | Iterable[Callable[[], object]]

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

# An operation: nothing happens until it is awaited, once. To type checkers it is a coroutine,
# the one thing that they all report where its await was forgotten; it has none of a
# coroutine's own methods. gort.wait takes a _WaitOp too, and gort.select a _ChanOp.
_Op: TypeAlias = Coroutine[Any, Any, _T]
_WaitOp: TypeAlias = Coroutine[Any, Any, _T]
_ChanOp: TypeAlias = Coroutine[Any, Any, _T]

@final
class _Blocking:
    def __aenter__(self) -> _Op[None]: ...
    def __aexit__(self, *exc: object) -> _Op[None]: ...

class _Scope:
    def expired(self) -> bool: ...
    def __aenter__(self) -> _Op[Self]: ...

@final
class _Timeout(_Scope):
    def __aexit__(self, *exc: object) -> _Op[Literal[False]]: ...

@final
class _Shield(_Scope):
    def __aexit__(self, *exc: object) -> _Op[bool]: ...

@final
class Group:
    def __init__(self, limit: int | None = None, on_error: _OnError = "cancel") -> None: ...
    @overload
    def go(
        self, fn: Callable[_P, Coroutine[Any, Any, _T]], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Goroutine[_T]: ...
    @overload
    def go(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Goroutine[_T]: ...
    def cancel(self) -> None: ...
    def __aenter__(self) -> _Op[Self]: ...
    def __aexit__(self, *exc: object) -> _Op[bool]: ...

class Cancelled(BaseException): ...
class ChanClosed(Exception): ...
class WouldBlock(Exception): ...
class DeadlockError(RuntimeError): ...

@final
class Goroutine(Awaitable[_T_co]):
    @property
    def id(self) -> int: ...
    @property
    def status(self) -> _Status: ...
    @property
    def wait_reason(self) -> str: ...
    @property
    def name(self) -> str: ...
    def done(self) -> bool: ...
    def exception(self) -> BaseException | None: ...
    def cancel(self) -> None: ...
    def __await__(self) -> Generator[Any, Any, _T_co]: ...

@final
@dataclass(frozen=True, slots=True)
class GoroutineInfo:
    id: int
    parent_id: int
    status: _Status
    wait_reason: str
    waited: float
    created_by: traceback.FrameSummary | None
    locked: bool
    cancelled: bool
    system: bool
    stack: traceback.StackSummary
    name: str

@final
class Chan(Generic[_T]):
    def __init__(self, capacity: int = 0) -> None: ...
    def send(self, value: _T) -> _ChanOp[None]: ...
    def recv(self) -> _ChanOp[_T]: ...
    def recv_ok(self) -> _ChanOp[tuple[_T, Literal[True]] | tuple[None, Literal[False]]]: ...
    def send_nowait(self, value: _T) -> None: ...
    def recv_nowait(self) -> _T: ...
    def close(self) -> None: ...
    @property
    def capacity(self) -> int: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...
    def __aiter__(self) -> Chan[_T]: ...
    def __anext__(self) -> _ChanOp[_T]: ...

@final
class Cleanup:
    def stop(self) -> None: ...

def add_cleanup(obj: object, fn: Callable[[*_Ts], object], /, *args: *_Ts) -> Cleanup: ...
@overload
def run(
    main: Callable[[*_Ts], Coroutine[Any, Any, _T]], *args: *_Ts, procs: int | None = None
) -> _T: ...
@overload
def run(main: Callable[[*_Ts], _T], *args: *_Ts, procs: int | None = None) -> _T: ...
@overload
def go(
    fn: Callable[_P, Coroutine[Any, Any, _T]], /, *args: _P.args, **kwargs: _P.kwargs
) -> Goroutine[_T]: ...
@overload
def go(fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Goroutine[_T]: ...
def at_exit(fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Callable[_P, _T]: ...
@overload
def init(fn: Callable[[], _T], /, *, after: _Inits = ()) -> Callable[[], _T]: ...
@overload
def init(
    fn: None = None, /, *, after: _Inits = ()
) -> Callable[[Callable[[], _T]], Callable[[], _T]]: ...
def current() -> Goroutine[Any] | None: ...
def goexit() -> NoReturn: ...
def num_goroutine() -> int: ...
def num_cpu() -> int: ...
def gomaxprocs(n: int | None = None) -> int: ...
def set_max_threads(n: int) -> int: ...
def lock_os_thread() -> None: ...
def unlock_os_thread() -> None: ...
def set_name(name: str) -> None: ...
def stack(all: bool = False) -> str: ...
def goroutines() -> list[GoroutineInfo]: ...
def gosched() -> _Op[None]: ...
def sleep(seconds: float) -> _WaitOp[None]: ...
def after(seconds: float) -> Chan[float]: ...
def tick(seconds: float) -> Chan[float]: ...
def chan(capacity: int = 0) -> Chan[Any]: ...

# Which case fires is known at run time alone, and with it the value's type.
def select(*ops: _ChanOp[Any] | None, default: bool = False) -> _WaitOp[tuple[int, Any]]: ...
def syscall(fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _Op[_T]: ...
def blocking() -> _Blocking: ...
def group(limit: int | None = None, on_error: _OnError = "cancel") -> Group: ...
def gather(*calls: Callable[[], Any] | tuple[Any, ...]) -> Coroutine[Any, Any, list[Any]]: ...

@final
class _Results(AsyncIterator[_T_co]):
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Coroutine[Any, Any, _T_co]: ...
    def aclose(self) -> Coroutine[Any, Any, None]: ...

@overload
def map(
    fn: Callable[[_A], Coroutine[Any, Any, _T]],
    iterable: Iterable[_A] | AsyncIterable[_A],
    *,
    limit: int | None = None,
) -> _Results[_T]: ...
@overload
def map(
    fn: Callable[[_A], _T],
    iterable: Iterable[_A] | AsyncIterable[_A],
    *,
    limit: int | None = None,
) -> _Results[_T]: ...
@overload
def map(
    fn: tuple[Any, ...],
    iterable: Iterable[Any] | AsyncIterable[Any],
    *,
    limit: int | None = None,
) -> _Results[Any]: ...
def as_completed(
    calls: Iterable[Callable[[], Any] | tuple[Any, ...]]
    | AsyncIterable[Callable[[], Any] | tuple[Any, ...]],
    *,
    limit: int | None = None,
) -> _Results[Any]: ...
@overload
def supervise(
    fn: Callable[[*_Ts], Coroutine[Any, Any, _T]],
    *args: *_Ts,
    restart: Literal["on-failure", "always", "never"] = "on-failure",
    max_restarts: int = 5,
    within: float = 60.0,
    backoff: tuple[float, float] = (0.1, 30.0),
) -> Coroutine[Any, Any, _T]: ...
@overload
def supervise(
    fn: Callable[[*_Ts], _T],
    *args: *_Ts,
    restart: Literal["on-failure", "always", "never"] = "on-failure",
    max_restarts: int = 5,
    within: float = 60.0,
    backoff: tuple[float, float] = (0.1, 30.0),
) -> Coroutine[Any, Any, _T]: ...
def timeout(seconds: float) -> _Timeout: ...
def shield(seconds: float | None = None) -> _Shield: ...
def wait(op: _WaitOp[_T] | Goroutine[_T], timeout: float | None = None) -> _T: ...
def wait_readable(fd: int | _HasFileno) -> _WaitOp[None]: ...
def wait_writable(fd: int | _HasFileno) -> _WaitOp[None]: ...
def notify_closing(fd: int | _HasFileno) -> None: ...
