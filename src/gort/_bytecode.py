"""One function that is never compiled: a call of it runs the interpreter's loop."""


def safepoint() -> None:
    """Let the interpreter do what waits for this thread: signal handlers, and on a
    free-threaded build the reference counts that other threads left to it."""
