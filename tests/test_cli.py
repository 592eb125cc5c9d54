"""gort run, as a user calls it."""

from __future__ import annotations

import os
import py_compile
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from live import program

import gort

TIMEOUT = 50


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "prog.py"
    path.write_text(text)
    return str(path)


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "gort", "run", *args]


def environment(**extra: str) -> dict[str, str]:
    src = str(Path(gort.__file__).parents[1])
    old = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{src}:{old}" if old else src, **extra}


def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*args), env=environment(**env), capture_output=True, text=True, timeout=TIMEOUT
    )


def test_output_and_arguments(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "import sys, gort\n"
        "async def main():\n"
        "    await gort.sleep(0.001)\n"
        "    print('args', sys.argv[1:])\n",
    )
    done = run(path, "a", "--procs", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "args ['a', '--procs', 'x']\n", "")


def test_procs(tmp_path: Path) -> None:
    path = script(tmp_path, "import gort\nasync def main():\n    print(gort.gomaxprocs())\n")
    assert run("--procs", "3", path).stdout == "3\n"
    assert run(path, GOMAXPROCS="2").stdout == "2\n"


@pytest.mark.parametrize("bad", ["0", "-1", "x"])
def test_bad_procs(tmp_path: Path, bad: str) -> None:
    path = script(tmp_path, "async def main(): pass\n")
    done = run("--procs", bad, path)
    assert done.returncode not in (0, None)
    assert "procs" in done.stderr and "Traceback" not in done.stderr


def test_sibling_import(tmp_path: Path) -> None:
    (tmp_path / "helper_mod.py").write_text("X = 7\n")
    path = script(tmp_path, "import helper_mod\nasync def main():\n    print(helper_mod.X)\n")
    assert run(path).stdout == "7\n"


def test_panic(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "import gort\n"
        "async def bad():\n"
        "    raise ValueError('lost')\n"
        "async def main():\n"
        "    gort.go(bad)\n"
        "    await gort.sleep(60)\n",
    )
    done = run(path)
    assert done.returncode == 2
    assert done.stderr.startswith("panic: ")
    assert "lost" in done.stderr
    assert re.search(r"^goroutine \d+ \[running\]:$", done.stderr, re.M)


def test_panic_of_main(tmp_path: Path) -> None:
    path = script(tmp_path, "async def main():\n    raise KeyError('main')\n")
    done = run(path)
    assert done.returncode == 2
    assert done.stderr.startswith("panic: ")
    assert "goroutine 1 [running]:" in done.stderr


def test_deadlock(tmp_path: Path) -> None:
    path = script(tmp_path, "import gort\nasync def main():\n    await gort.chan().recv()\n")
    done = run(path)
    assert done.returncode == 2
    assert done.stderr.startswith("fatal error: all goroutines are asleep - deadlock!\n\n")
    assert "goroutine 1 [chan receive]:" in done.stderr


def test_system_exit(tmp_path: Path) -> None:
    path = script(tmp_path, "import sys\nasync def main():\n    sys.exit(5)\n")
    assert run(path).returncode == 5


def test_no_file_and_no_main(tmp_path: Path) -> None:
    done = run(str(tmp_path / "nothing.py"))
    assert done.returncode not in (0, 2) and "nothing.py" in done.stderr
    assert "Traceback" not in done.stderr
    done = run(script(tmp_path, "x = 1\n"))
    assert done.returncode != 0 and "main" in done.stderr and "Traceback" not in done.stderr


def test_schedtrace(tmp_path: Path) -> None:
    code = "import gort, sys\nasync def main():\n    await gort.syscall(sys.stdin.readline)\n"
    with program(tmp_path, code, "--procs", "2", GODEBUG="schedtrace=20") as p:
        lines = [p.errline().rstrip("\n"), p.errline().rstrip("\n")]
        p.say("go on")
        lines += p.end()[1].splitlines()
    assert p.returncode == 0
    line = re.compile(
        r"SCHED \d+ms: gomaxprocs=2 idleprocs=\d+ threads=\d+ spinningthreads=\d+ "
        r"needspinning=\d+ idlethreads=\d+ runqueue=\d+ \[\d+ \d+\]"
    )
    assert all(line.fullmatch(text) for text in lines), lines


SLEEPER = """
import gort
async def main():
    try:
        print('ready', flush=True)
        BODY
    except BaseException as exc:
        print(type(exc).__name__, flush=True)
        raise
"""


@pytest.mark.parametrize(
    "body",
    [
        "await gort.sleep(100)",
        "gort.go(__import__('time').sleep, 5); await gort.chan().recv()",
        "await gort.syscall(__import__('time').sleep, 100)",
        "__import__('time').sleep(100)",
        "while True: pass",
        "while True: await gort.gosched()",
        "await gort.select(gort.after(100).recv())",
    ],
    ids=["sleep", "parked", "syscall", "timesleep", "hog", "yield", "select"],
)
def test_ctrl_c(tmp_path: Path, body: str, procs: int) -> None:
    path = script(tmp_path, SLEEPER.replace("BODY", body))
    with subprocess.Popen(
        command("--procs", str(procs), path),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as p:
        assert p.stdout is not None
        try:
            assert p.stdout.readline() == "ready\n"
            p.send_signal(signal.SIGINT)
            out, err = p.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            p.kill()
            pytest.fail("Ctrl-C did not end the program")
    assert out == "KeyboardInterrupt\n", (out, err)
    assert p.returncode in (130, -signal.SIGINT)


def test_help_and_version() -> None:
    for flag, word in (("--help", "run"), ("--version", gort.__version__)):
        done = subprocess.run(
            [sys.executable, "-m", "gort", flag],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert done.returncode == 0 and word in done.stdout


# ---- as `python script.py`


def python(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args],
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


WHERE = """
import os, sys
def line():
    return [__name__, __file__, __spec__ is None, sys.argv, sys.path[0], sys.path[1:] == P[1:]]
P = list(sys.path)
shown = repr([*line()[:5], sys.modules["__main__"].__dict__ is globals(), __builtins__.__name__])
async def main():
    print(shown)
if __name__ == "__main__" and not hasattr(sys, "gortmain"):
    HOW
"""


def test_main_is_the_script(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = tmp_path / "real" / "prog.py"
    link = tmp_path / "link.py"
    link.symlink_to(path)
    path.write_text(WHERE.replace("HOW", "print(shown)"))
    theirs = [python(str(p), "a", "-b").stdout for p in (path, link)]
    path.write_text(WHERE.replace("HOW", "pass"))
    ours = [run(str(p), "a", "-b").stdout for p in (path, link)]
    assert ours == theirs and "__main__" in ours[0] and str(tmp_path / "real") in ours[1]


def test_safe_path(tmp_path: Path) -> None:
    path = script(tmp_path, "import sys\nasync def main():\n    print(sys.path[0])\n")
    assert run(path).stdout == f"{tmp_path}\n"
    assert str(tmp_path) not in run(path, PYTHONSAFEPATH="1").stdout


@pytest.mark.parametrize("guard", ["", "if __name__ == '__main__':\n    "])
def test_a_script_that_runs_itself(tmp_path: Path, guard: str) -> None:
    """As README's first program; once, and with the procs that were asked for."""
    path = script(
        tmp_path,
        "import gort\nprint('loaded')\n"
        "async def main():\n    print('main', gort.gomaxprocs())\n"
        f"{guard}gort.run(main)\n",
    )
    done = run("--procs", "3", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "loaded\nmain 3\n", "")


def test_a_panic_in_a_script_that_runs_itself(tmp_path: Path) -> None:
    text = "import gort\nasync def main():\n    BODY\ngort.run(main)\n"
    done = run(script(tmp_path, text.replace("BODY", "raise KeyError('x')")))
    assert done.returncode == 2 and done.stderr.startswith("panic: KeyError: 'x'\n")
    assert "raise KeyError('x')" in done.stderr and "boot.py" not in done.stderr
    done = run(script(tmp_path, text.replace("BODY", "await gort.chan().recv()")))
    assert done.returncode == 2 and done.stderr.startswith("fatal error: all goroutines are asleep")


PICKLER = """
import dataclasses, multiprocessing, pickle, sys, typing
import gort
@dataclasses.dataclass
class Job:
    n: int
def work(job):
    return Job(job.n * 2)
def pool(how):
    with multiprocessing.get_context(how).Pool(1) as p:
        return p.map(work, [Job(1), Job(2)])
async def main():
    assert pickle.loads(pickle.dumps(Job(3))) == Job(3)
    assert typing.get_type_hints(Job) == {"n": int}
    print(await gort.syscall(pool, sys.argv[1]))
if __name__ == "__main__":
    gort.run(main)
"""


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pickle_and_processes(tmp_path: Path, how: str) -> None:
    path = script(tmp_path, PICKLER)
    for done in run(path, how), python(path, how):
        assert done.returncode == 0, done.stderr
        assert done.stdout == "[Job(n=2), Job(n=4)]\n"


@pytest.mark.parametrize(
    "text",
    [
        "open('/nonexistent.cfg')\n",
        "def f():\n    raise OSError(5, 'mine')\nf()\n",
        "import nothing_of_that_name\n",
        "x = (\n",
        "raise ValueError('a:') from KeyError(1)\n",
        "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1 / 0\n",
        "import sys\nsys.exit('words')\n",
        "import sys\nsys.exit(3)\n",
        "import sys\nsys.exit()\n",
        "raise SystemExit([1])\n",
        "class E(BaseException): pass\nraise E\n",
    ],
)
def test_errors_of_the_script(tmp_path: Path, text: str) -> None:
    """Shown as Python shows them, and the same status."""
    path = script(tmp_path, text + "async def main(): print('main')\n")
    ours, theirs = run(path), python(path)
    assert (ours.returncode, ours.stdout, ours.stderr) == (
        theirs.returncode,
        theirs.stdout,
        theirs.stderr,
    )


@pytest.mark.parametrize("code", ["5", "None", "'words'", "True", "-1", "300", "[1]", ""])
def test_system_exit_codes(tmp_path: Path, code: str) -> None:
    body = f"raise SystemExit({code})"
    ours = run(script(tmp_path, f"async def main():\n    {body}\n"))
    theirs = python("-c", body)
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("class E(Exception):\n        def __str__(self): raise RuntimeError\n    raise E", "E: <"),
        ("e = ValueError('w')\n    e.__notes__ = [42]\n    raise e", "ValueError: w\n"),
        ("e = ValueError('w')\n    e.__notes__ = 42\n    raise e", "ValueError: w\n"),
        ("raise ValueError('a: ')", "ValueError: a: \n"),
        ("raise ValueError", "ValueError\n"),
        ("raise ExceptionGroup('g', [ValueError(1)])", "ExceptionGroup: g (1 sub-exception)\n"),
        ("raise GeneratorExit('g')", "GeneratorExit: g\n"),
    ],
)
def test_panics_that_are_hard_to_print(tmp_path: Path, body: str, words: str) -> None:
    done = run(script(tmp_path, f"async def main():\n    {body}\n"))
    assert done.returncode == 2
    assert done.stderr.startswith("panic: " + words), done.stderr
    assert "goroutine 1 [running]:\n" in done.stderr and "prog.py" in done.stderr


def test_ctrl_c_ends_as_python_does(tmp_path: Path) -> None:
    """By the signal, so that a shell's loop around it ends too; exit functions run before."""
    path = script(
        tmp_path,
        "import atexit, os, signal, gort\n"
        "atexit.register(print, 'at exit')\n"
        "async def main():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    await gort.sleep(100)\n",
    )
    done = run(path)
    assert done.returncode == -signal.SIGINT and done.stdout == "at exit\n"
    assert done.stderr.endswith("KeyboardInterrupt\n") and "cli.py" not in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["run"],
        ["walk", "x.py"],
        ["run", "--procs", "2"],
        ["run", "--procs", "1025", "x.py"],
        ["run", "--nothing", "x.py"],
    ],
)
def test_bad_arguments(args: list[str]) -> None:
    done = python("-m", "gort", *args)
    assert done.returncode == 2 and "usage: gort" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "args", [["--", "x"], ["-h"], ["--procs", "2"], ["a", "--", "b"], ["--version"]]
)
def test_arguments_of_the_script_are_its_own(tmp_path: Path, args: list[str]) -> None:
    path = script(tmp_path, "import sys\nasync def main():\n    print(sys.argv[1:])\n")
    assert run(path, *args).stdout == f"{args}\n"
    assert run("--procs=1", path, *args).stdout == f"{args}\n"
    assert run("--procs", "1", "--", path, *args).stdout == f"{args}\n"


def test_what_cannot_be_run(tmp_path: Path) -> None:
    done = run(str(tmp_path))
    assert done.returncode == 1 and "can't find '__main__' module" in done.stderr
    done = run(str(tmp_path / "nothing.py"))
    assert done.returncode == 1 and "can't open file" in done.stderr
    assert "No such file or directory" in done.stderr and "Traceback" not in done.stderr


def test_directories_zip_files_and_compiled_files(tmp_path: Path) -> None:
    code = "import sys\nasync def main():\n    print(__name__, sys.path[0])\n"
    (tmp_path / "__main__.py").write_text(code)
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as z:
        z.write(tmp_path / "__main__.py", "__main__.py")
    pyc = py_compile.compile(str(tmp_path / "__main__.py"), str(tmp_path / "prog.pyc"))
    for path, first in (
        (tmp_path, tmp_path),
        (tmp_path / "app.zip", tmp_path / "app.zip"),
        (pyc, tmp_path),
    ):
        assert run(str(path)).stdout == f"__main__ {first}\n"
