"""gort run, as a user calls it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
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
