from collections.abc import Callable
from typing import Any, ParamSpec, final

from . import Chan

__all__ = ["Ticker", "Timer", "after_func"]

_P = ParamSpec("_P")

@final
class Timer:
    def __init__(self, seconds: float) -> None: ...

    # None for a timer of after_func alone.
    @property
    def c(self) -> Chan[float]: ...
    def stop(self) -> bool: ...
    def reset(self, seconds: float) -> bool: ...

@final
class Ticker:
    def __init__(self, seconds: float) -> None: ...
    @property
    def c(self) -> Chan[float]: ...
    def stop(self) -> None: ...
    def reset(self, seconds: float) -> None: ...

def after_func(
    seconds: float, fn: Callable[_P, Any], /, *args: _P.args, **kwargs: _P.kwargs
) -> Timer: ...
