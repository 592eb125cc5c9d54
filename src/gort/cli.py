"""`gort run [--procs N] FILE [args]`, and `python -m gort`."""

from __future__ import annotations

import argparse
import atexit
import builtins
import importlib.util
import os
import pkgutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType

import gort

from .runtime.boot import defaultto, nruns, panicothers, whenstuck
from .runtime.debug import gotraceback
from .runtime.fork import statusof

_PATIENCE = 0.5
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
    run = commands.add_parser("run", help="run a script's `async def main()`", allow_abbrev=False)
    run.add_argument("--procs", type=_procs, default=None, help="how many goroutines run at a time")
    run.add_argument("file", help="the script")
    run.add_argument("args", nargs=argparse.REMAINDER, help="its arguments (sys.argv[1:])")
    return parser


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """What is the command's own, with the script's name, and what is the script's, of which
    argparse would take a `--`."""
    i = 1 if argv[:1] == ["run"] else len(argv)
    while i < len(argv) and argv[i].startswith("-"):
        i += 2 if argv[i] == "--procs" else 1
        if argv[i - 1] == "--":
            break
    return argv[: i + 1], argv[i + 1 :]


def _script(path: str) -> tuple[ModuleType, CodeType | None]:
    """The module __main__ of a script, or of a directory or zip file with a __main__.py,
    and its code; sys.path as it wants it."""
    importer = pkgutil.get_importer(path)
    if importer is None:
        module, code = _file(os.path.abspath(path))
        folder = os.path.dirname(os.path.realpath(path))
    else:
        spec = importer.find_spec("__main__")
        if spec is None or spec.loader is None:
            sys.exit(f"gort: can't find '__main__' module in {path!r}")
        module = importlib.util.module_from_spec(spec)
        code = spec.loader.get_code("__main__")  # type: ignore[attr-defined]
        folder = path
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder  # in place of the command's own
    return module, code


def _file(path: str) -> tuple[ModuleType, CodeType | None]:
    kind = SourcelessFileLoader if path.endswith(".pyc") else SourceFileLoader
    loader = kind("__main__", path)
    module = ModuleType("__main__")
    vars(module).update(
        __builtins__=builtins, __cached__=None, __file__=path, __loader__=loader, __package__=None
    )
    try:
        if isinstance(loader, SourceFileLoader):
            return module, loader.source_to_code(loader.get_data(path), path)
        return module, loader.get_code("__main__")
    except OSError as exc:
        sys.exit(f"gort: can't open file {path!r}: [Errno {exc.errno}] {exc.strerror}")


def _execute(path: str, args: list[str]) -> None:
    """The script as Python runs it, and then its main(), unless it called gort.run itself."""
    module, code = _script(path)
    sys.argv = [path, *args]
    sys.modules["__main__"] = module
    before = nruns()
    if code is not None:
        exec(code, vars(module))
    if nruns() != before:
        return
    main = getattr(module, "main", None)
    if not callable(main):
        sys.exit(f"gort: {path} has no function main(); `gort run` wants an `async def main()`")
    gort.run(main)


def _panic(exc: BaseException) -> None:
    """Print an uncaught exception as Go prints a panic; exit with status 2."""
    words = _words(exc)
    name = type(exc).__name__
    sys.stderr.write(f"panic: {name}: {words}\n" if words else f"panic: {name}\n")
    level, every, crash = gotraceback()
    if level > 0:
        sys.stderr.write(f"\ngoroutine {_goid(exc)} [running]:\n")
        shown = traceback.TracebackException.from_exception(exc)
        if level < 2:
            _hide_runtime(shown)
        sys.stderr.write("".join(shown.format()))
        if every and panicothers():
            sys.stderr.write("\n" + panicothers())
    _end(crash)


def _words(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:
        return "<exception str() failed>"


def _goid(exc: BaseException) -> str:
    """The goroutine's whose panic exc is: its note tells, if nobody broke the notes."""
    notes = getattr(exc, "__notes__", None)
    for note in notes if isinstance(notes, (list, tuple)) else ():
        if isinstance(note, str) and note.startswith("in goroutine "):
            return note.split()[2].rstrip(",")
    return "1"


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
    return filename.startswith((_HERE, "src/gort/runtime/", "<frozen "))


def _frames(exc: BaseException) -> Iterator[CodeType]:
    tb = exc.__traceback__
    while tb is not None:
        yield tb.tb_frame.f_code
        tb = tb.tb_next


def _fromrun(exc: BaseException) -> bool:
    """Whether exc is what gort.run raised, and not an error of the script around it."""
    boot = os.path.join("runtime", "boot.py")
    return any(
        c.co_name.rpartition(".")[2] == "run"  # compiled, the module is before it
        and c.co_filename.endswith(boot)
        and _is_ours(c.co_filename)
        for c in _frames(exc)
    )


def _uncaught(exc: BaseException) -> None:
    """Print an error of the script as Python does."""
    tb = exc.__traceback__
    while tb is not None and _is_ours(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    sys.excepthook(type(exc), exc.with_traceback(tb), tb)


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


class _Interrupt:
    """How the process ends: by a SIGINT of its own if that is what ended the script, so that
    a shell's loop around it ends too."""

    seen = False

    def atexit(self) -> None:
        if self.seen:
            for stream in sys.stdout, sys.stderr:
                if stream is not None:
                    stream.flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    """The command's entry point."""
    mine, args = _split(sys.argv[1:])
    opts = _parser().parse_args(mine)
    interrupt = _Interrupt()
    atexit.register(interrupt.atexit)  # the first to be registered runs last
    defaultto(opts.procs)
    whenstuck.append(_stuck)
    try:
        _execute(opts.file, args)
    except SystemExit:
        raise
    except KeyboardInterrupt as exc:
        interrupt.seen = True
        _uncaught(exc)
        sys.exit(130)
    except BaseException as exc:
        if not _fromrun(exc):
            _uncaught(exc)
            sys.exit(1)
        _report(exc)


def _report(exc: BaseException) -> None:
    """Print what run raised as Go would, and exit."""
    if isinstance(exc, gort.DeadlockError):
        _fatal(exc)
    _panic(exc)


def _stuck(exc: BaseException | None) -> None:
    """run cannot come back, as a call that does not end keeps its thread: end the process."""
    status = 0
    try:
        if isinstance(exc, (SystemExit, KeyboardInterrupt)):
            status = statusof(exc)
        elif exc is not None:
            _report(exc)
    except SystemExit as end:
        status = statusof(end)
    flusher = threading.Thread(target=sys.stdout.flush, daemon=True)  # its lock may be held
    flusher.start()
    flusher.join(_PATIENCE)
    os._exit(status)
