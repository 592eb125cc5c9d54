"""`gort run [--procs N] FILE [args]`, and `python -m gort`."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import traceback
from typing import Any

import gort

from .runtime.boot import panicothers
from .runtime.debug import gotraceback

_HERE = os.path.dirname(__file__) + os.sep


def _procs(text: str) -> int:
    try:
        n = int(text)
    except ValueError:
        n = 0
    if not 1 <= n <= 1024:
        raise argparse.ArgumentTypeError(f"procs must be a number from 1 to 1024, not {text!r}")
    return n


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gort", description="Go's scheduler for Python.")
    parser.add_argument("--version", action="version", version=f"gort {gort.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a script's `async def main()`")
    run.add_argument("--procs", type=_procs, default=None, help="how many goroutines run at a time")
    run.add_argument("file", help="the script")
    run.add_argument("args", nargs=argparse.REMAINDER, help="its arguments (sys.argv[1:])")
    return parser


def _load(path: str, args: list[str]) -> Any:
    sys.argv = [path, *args]
    sys.path.insert(0, path.rpartition("/")[0] or ".")
    names = runpy.run_path(path, run_name="__gort__")
    main = names.get("main")
    if not callable(main):
        sys.exit(f"gort: {path} has no function main(); `gort run` wants an `async def main()`")
    return main


def _panic(exc: BaseException) -> None:
    """Print an uncaught exception as Go prints a panic; exit with status 2."""
    text = f"{type(exc).__name__}: {exc}".rstrip(": ")
    sys.stderr.write(f"panic: {text}\n")
    level, every, crash = gotraceback()
    if level > 0:
        notes = [n for n in getattr(exc, "__notes__", ()) if n.startswith("in goroutine ")]
        goid = notes[0].split()[2].rstrip(",") if notes else "1"
        sys.stderr.write(f"\ngoroutine {goid} [running]:\n")
        shown = traceback.TracebackException.from_exception(exc)
        if level < 2:
            _hide_runtime(shown)
        sys.stderr.write("".join(shown.format()))
        if every and panicothers():
            sys.stderr.write("\n" + panicothers())
    _end(crash)


def _hide_runtime(shown: traceback.TracebackException | None) -> None:
    """Leave the runtime's own frames out, as Go does below GOTRACEBACK=system."""
    seen: list[traceback.TracebackException] = []
    todo = [shown]
    while todo:
        exc = todo.pop()
        if exc is None or any(exc is s for s in seen):
            continue
        seen.append(exc)
        exc.stack = traceback.StackSummary.from_list(
            [frame for frame in exc.stack if not _is_ours(frame.filename)]
        )
        todo += [exc.__cause__, exc.__context__, *(exc.exceptions or ())]


def _is_ours(filename: str) -> bool:
    return filename.startswith((_HERE, "src/gort/runtime/", "<frozen runpy>"))


def _fatal(exc: gort.DeadlockError) -> None:
    """Print a deadlock: a fatal error shows every goroutine, unless none is asked for."""
    level, _, crash = gotraceback()
    text = str(exc)
    sys.stderr.write("fatal error: " + (text if level > 0 else text.partition("\n")[0] + "\n"))
    _end(crash)


def _end(crash: bool) -> None:
    sys.stderr.flush()
    if crash:
        sys.stdout.flush()
        os.abort()
    sys.exit(2)


def main() -> None:
    """The command's entry point."""
    opts = _parser().parse_args()
    try:
        entry = _load(opts.file, opts.args)
    except OSError as exc:
        sys.exit(f"gort: cannot read {opts.file}: {exc.strerror}")
    try:
        gort.run(entry, procs=opts.procs)
    except gort.DeadlockError as exc:
        _fatal(exc)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as exc:
        _panic(exc)
