"""Go's context package: cancellation, deadlines and values for a tree of goroutines.

    ctx, cancel = context.with_timeout(context.background(), 2.0)
    gort.go(work, ctx)
    ...
    cancel()

    async def work(ctx):
        i, v = await gort.select(ctx.done().recv_ok(), ch.recv())
        if i == 0:
            raise ctx.err()

A context only tells that its work is to end; it cancels no goroutine, but for what
stands in `async with context.scope(ctx):`. Where the work is written for gort,
`gort.timeout` and `gort.group` cancel it by themselves.
"""

from .runtime.context import (
    AfterFunc,
    Canceled,
    CancelFunc,
    Context,
    DeadlineExceeded,
    after_func,
    background,
    scope,
    with_cancel,
    with_deadline,
    with_timeout,
    with_value,
)
from .runtime.objects import publish as _publish

__all__ = [
    "AfterFunc",
    "CancelFunc",
    "Canceled",
    "Context",
    "DeadlineExceeded",
    "after_func",
    "background",
    "scope",
    "with_cancel",
    "with_deadline",
    "with_timeout",
    "with_value",
]

_publish(globals())
