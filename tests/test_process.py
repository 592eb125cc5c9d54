"""gort.process: run, start, Process, and this process's own files."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gort
from gort import process
from gort.process import DEVNULL, PIPE, STDOUT

MB = 1 << 20
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def children() -> set[int]:
    """The pids of this process's children, those that nobody has reaped too."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(name))
    return found


@pytest.fixture(autouse=True)
def no_children() -> Iterator[None]:
    before = children()
    yield
    left = children() - before
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert not left, "a child is left"


@pytest.fixture(params=("pidfd", "thread"))
def watching(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test once with pidfd, once as where there is none."""
    if request.param == "thread":

        def none(pid: int, flags: int = 0) -> int:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(os, "pidfd_open", none)
    return str(request.param)


async def until_waiting(g: gort.Goroutine) -> None:
    while g.status != "waiting":
        await gort.gosched()


def call(fn: Callable[..., Any], *args: Any, procs: int | None = None, **kwargs: Any) -> Any:
    async def main() -> Any:
        return await fn(*args, **kwargs)

    return gort.run(main, procs=procs)


# ---- run


def test_run(procs: int, watching: str) -> None:
    r = call(process.run, ["true"], procs=procs)
    assert isinstance(r, subprocess.CompletedProcess)
    assert (r.args, r.returncode, r.stdout, r.stderr) == (["true"], 0, None, None)


def test_run_status() -> None:
    assert call(process.run, "exit 7", shell=True).returncode == 7
    assert call(process.run, ["sh", "-c", "kill -9 $$"]).returncode == -9


def test_run_captures() -> None:
    r = call(process.run, "echo out; echo err >&2", shell=True, capture_output=True)
    assert (r.stdout, r.stderr) == (b"out\n", b"err\n")
    r = call(process.run, "echo out; echo err >&2", shell=True, stdout=PIPE, stderr=STDOUT)
    assert (r.stdout, r.stderr) == (b"out\nerr\n", None)
    r = call(process.run, "echo out; echo err >&2", shell=True, stdout=DEVNULL, stderr=PIPE)
    assert (r.stdout, r.stderr) == (None, b"err\n")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_run_input(kind: type) -> None:
    r = call(process.run, ["cat"], input=kind(b"hello"), capture_output=True)
    assert r.stdout == b"hello"


def test_run_empty_input_is_an_end() -> None:
    assert call(process.run, ["cat"], input=b"", stdout=PIPE).stdout == b""
    assert call(process.run, ["cat"], stdin=PIPE, stdout=PIPE).stdout == b""


def test_run_input_of_wider_items() -> None:
    import array

    what = array.array("I", range(1000))
    assert call(process.run, ["cat"], input=what, stdout=PIPE).stdout == what.tobytes()


def test_run_files(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"from a file")
    with open(tmp_path / "in", "rb") as i, open(tmp_path / "out", "wb") as o:
        r = call(process.run, ["cat"], stdin=i, stdout=o)
    assert (r.returncode, r.stdout) == (0, None)
    assert (tmp_path / "out").read_bytes() == b"from a file"


def test_run_cwd_env_and_the_rest_of_popen(tmp_path: Path) -> None:
    r = call(process.run, "pwd; echo $X", shell=True, cwd=tmp_path, env={"X": "1"}, stdout=PIPE)
    assert r.stdout == f"{tmp_path}\n1\n".encode()
    r = call(
        process.run,
        [sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid(), os.umask(0))"],
        start_new_session=True,
        umask=0o27,
        stdout=PIPE,
    )
    assert r.stdout == b"True 23\n"


def test_run_pass_fds() -> None:
    r, w = os.pipe()
    try:
        call(process.run, f"echo hi >/dev/fd/{w}", shell=True, pass_fds=(w,))
        assert os.read(r, 100) == b"hi\n"
    finally:
        os.close(r)
        os.close(w)


def test_run_preexec_fn() -> None:
    r = call(process.run, ["pwd"], preexec_fn=lambda: os.chdir("/"), stdout=PIPE)
    assert r.stdout == b"/\n"


def test_run_check() -> None:
    with pytest.raises(subprocess.CalledProcessError) as e:
        call(process.run, "echo o; echo e >&2; exit 3", shell=True, check=True, capture_output=True)
    assert (e.value.returncode, e.value.output, e.value.stderr) == (3, b"o\n", b"e\n")
    with pytest.raises(process.CalledProcessError, match="SIGTERM"):
        call(process.run, ["sh", "-c", "kill -TERM $$"], check=True)


def test_run_a_large_volume_each_way(procs: int) -> None:
    data = os.urandom(MB) * 100

    async def main() -> bool:
        r = await process.run(["sh", "-c", "cat; exec cat >&2 <&-"], input=data, stdout=PIPE)
        return bool(r.stdout == data)

    assert gort.run(main, procs=procs)


def test_run_both_outputs_at_once() -> None:
    code = "import os\nfor i in range(64): os.write(2, bytes(65536)); os.write(1, bytes(65536))"
    r = call(process.run, [sys.executable, "-c", code], capture_output=True)
    assert (len(r.stdout), len(r.stderr)) == (4 * MB, 4 * MB)


def test_run_a_child_that_does_not_read(procs: int) -> None:
    r = call(process.run, ["true"], input=bytes(MB), procs=procs)
    assert r.returncode == 0
    r = call(
        process.run, "exec <&-; sleep 0.05; echo out", shell=True, input=bytes(MB), stdout=PIPE
    )
    assert r.stdout == b"out\n"


def test_run_a_child_that_closes_its_output_early() -> None:
    r = call(process.run, "exec >&- 2>&-; sleep 0.05; exit 4", shell=True, capture_output=True)
    assert (r.returncode, r.stdout, r.stderr) == (4, b"", b"")


def test_run_ends_when_the_pipes_end() -> None:
    r = call(process.run, "(sleep 0.2; echo late) & echo early", shell=True, stdout=PIPE)
    assert r.stdout == b"early\nlate\n"


def test_200_at_once(procs: int, watching: str) -> None:
    async def one(i: int, out: list[bytes]) -> None:
        r = await process.run("read x; echo $x", shell=True, input=b"%d\n" % i, stdout=PIPE)
        out[i] = r.stdout

    async def main() -> None:
        out = [b""] * 200
        async with gort.group() as grp:
            for i in range(200):
                grp.go(one, i, out)
        assert out == [b"%d\n" % i for i in range(200)]

    gort.run(main, procs=procs)


# ---- errors, by name


def test_no_such_program() -> None:
    with pytest.raises(FileNotFoundError) as e:
        call(process.run, ["/no/such/program"], input=b"x", capture_output=True)
    assert e.value.filename == "/no/such/program"


def test_bad_cwd() -> None:
    with pytest.raises(FileNotFoundError) as e:
        call(process.run, ["true"], cwd="/no/such/folder", capture_output=True)
    assert e.value.filename == "/no/such/folder"


def test_not_executable(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(PermissionError):
        call(process.run, [str(tmp_path / "x")])


@pytest.mark.parametrize(
    "kwargs, error, text",
    [
        ({"text": True}, TypeError, "bytes"),
        ({"encoding": "utf-8"}, TypeError, "bytes"),
        ({"bufsize": 1}, TypeError, "bufsize"),
        ({"timeout": 1}, TypeError, "gort.timeout"),
        ({"grace": -1}, ValueError, "grace"),
        ({"grace": float("nan")}, ValueError, "grace"),
        ({"grace": "1"}, TypeError, "grace"),
        ({"input": "text"}, TypeError, "bytes-like"),
        ({"input": b"", "stdin": PIPE}, ValueError, "one of the two"),
        ({"capture_output": True, "stdout": PIPE}, ValueError, "capture_output"),
    ],
)
def test_bad_arguments(kwargs: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        process.run(["true"], **kwargs)


def test_unknown_option_is_popens_error() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        call(process.run, ["true"], nonsense=1, capture_output=True)


# ---- start


def test_start_a_dialogue(procs: int) -> None:
    async def main() -> None:
        async with await process.start(["cat"], stdin=PIPE, stdout=PIPE) as p:
            assert p.pid > 0 and p.returncode is None and p.stderr is None
            assert p.stdin is not None and p.stdout is not None
            for i in range(100):
                await p.stdin.write(b"line %d\n" % i)
                assert await p.stdout.readline() == b"line %d\n" % i
        assert p.returncode == 0

    gort.run(main, procs=procs)


def test_lines_of_a_child() -> None:
    async def main() -> list[bytes]:
        async with await process.start("echo a; echo b; printf c", shell=True, stdout=PIPE) as p:
            assert p.stdout is not None
            return [line async for line in p.stdout]

    assert gort.run(main) == [b"a\n", b"b\n", b"c"]


def test_a_pipeline() -> None:
    async def main() -> bytes:
        r, w = os.pipe()
        a = await process.start(["seq", "100000"], stdout=w)
        b = await process.start(["wc", "-l"], stdin=r, stdout=PIPE)
        os.close(r)
        os.close(w)
        async with a, b:
            assert b.stdout is not None
            return await b.stdout.read()

    assert gort.run(main) == b"100000\n"


def test_wait_by_many(procs: int, watching: str) -> None:
    async def main() -> None:
        async with await process.start(["cat"], stdin=PIPE) as p:
            waiters = [gort.go(p.wait) for _ in range(20)]
            for g in waiters:
                await until_waiting(g)
            assert p.stdin is not None
            await p.stdin.close()
            assert [await g for g in waiters] == [0] * 20
            assert await p.wait() == 0

    gort.run(main, procs=procs)


def test_a_wait_that_is_cancelled_leaves_the_child(watching: str) -> None:
    async def main() -> None:
        async with await process.start(["cat"], stdin=PIPE) as p:
            g = gort.go(p.wait)
            await until_waiting(g)
            g.cancel()
            with pytest.raises(gort.Cancelled):
                await g
            assert p.returncode is None
            os.kill(p.pid, 0)
        assert p.returncode == 0

    gort.run(main)


def test_signals(watching: str) -> None:
    async def main() -> None:
        for send, code in (
            (lambda p: p.terminate(), -signal.SIGTERM),
            (lambda p: p.kill(), -signal.SIGKILL),
            (lambda p: p.send_signal(signal.SIGUSR1), -signal.SIGUSR1),
        ):
            p = await process.start(["sleep", "100"])
            send(p)
            assert await p.wait() == code == p.returncode
            send(p)  # nothing

    gort.run(main)


def test_signals_of_a_child_that_nobody_waited_for() -> None:
    async def main() -> None:
        async with await process.start(["true"], stdout=PIPE) as p:
            assert p.stdout is not None
            assert await p.stdout.read() == b""
            for _ in range(3):
                p.terminate()
        assert p.returncode in (0, -signal.SIGTERM)

    gort.run(main)


# ---- the end of a block


def test_the_end_of_a_block_closes_the_pipes() -> None:
    async def main() -> None:
        async with await process.start(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE) as p:
            pass
        assert p.returncode == 0
        for conn in (p.stdin, p.stdout, p.stderr):
            assert conn is not None and conn.closed

    gort.run(main)


def test_cancelled_terminates(procs: int, watching: str) -> None:
    seen: list[process.Process] = []

    async def block() -> None:
        async with await process.start(["sleep", "100"], stdin=PIPE, stdout=PIPE) as p:
            seen.append(p)
            assert p.stdout is not None
            await p.stdout.read()

    async def main() -> None:
        g = gort.go(block)
        await until_waiting(g)
        while not seen:
            await gort.gosched()
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        assert seen[0].returncode == -signal.SIGTERM

    gort.run(main, procs=procs)


def test_cancelled_kills_after_the_grace(procs: int, watching: str) -> None:
    async def main() -> None:
        p = await process.start(DEAF, shell=True, stdout=PIPE, grace=0.2)
        assert p.stdout is not None
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.5), p:
                assert await p.stdout.readline() == b"ready\n"
                await p.stdout.read()
        assert p.returncode == -signal.SIGKILL

    gort.run(main, procs=procs)


def test_a_grace_of_nothing_kills() -> None:
    async def main() -> None:
        p = await process.start(DEAF, shell=True, stdout=PIPE, grace=0)
        assert p.stdout is not None
        assert await p.stdout.readline() == b"ready\n"
        with pytest.raises(TimeoutError):
            async with gort.timeout(0), p:
                await gort.sleep(100)
        assert p.returncode == -signal.SIGKILL

    gort.run(main)


def test_run_that_is_cancelled(procs: int, watching: str) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.2):
                await process.run(["sleep", "100"], input=bytes(MB), capture_output=True)

    gort.run(main, procs=procs)


def test_run_that_is_cancelled_before_it_starts() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with gort.timeout(0):
                await process.run(["sleep", "100"])

    gort.run(main)


def test_cancelled_while_the_end_of_the_block_waits() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with gort.timeout(0.2), await process.start(["sleep", "100"]) as p:
                pass
        assert p.returncode == -signal.SIGTERM

    gort.run(main)


def test_an_exception_of_the_block() -> None:
    async def main() -> None:
        with pytest.raises(KeyError):
            async with await process.start(["cat"], stdin=PIPE) as p:
                raise KeyError
        assert p.returncode == 0  # it ended by itself
        with pytest.raises(KeyError):
            async with await process.start(["sleep", "100"], grace=0.05) as p:
                raise KeyError
        assert p.returncode == -signal.SIGTERM

    gort.run(main)


def test_main_that_returns_ends_the_child(watching: str) -> None:
    seen: list[process.Process] = []

    async def block() -> None:
        async with await process.start(["sleep", "100"]) as p:
            seen.append(p)
            await gort.sleep(100)

    async def main() -> None:
        gort.go(block)
        while not seen:
            await gort.gosched()

    gort.run(main)
    assert seen[0].returncode == -signal.SIGTERM


def test_a_deaf_child_does_not_outlive_the_program() -> None:
    seen: list[process.Process] = []

    async def block() -> None:
        async with await process.start(DEAF, shell=True, stdout=PIPE, grace=60) as p:
            assert p.stdout is not None
            await p.stdout.readline()
            seen.append(p)
            await gort.sleep(100)

    async def main() -> None:
        gort.go(block)
        while not seen:
            await gort.gosched()

    gort.run(main)
    assert seen[0].returncode == -signal.SIGKILL


def test_cancels_at_any_time_leave_nothing(procs: int) -> None:
    async def block() -> None:
        r = await process.run(["cat"], input=bytes(200_000), stdout=PIPE)
        assert len(r.stdout) == 200_000

    async def main() -> None:
        before = children()
        for i in range(40):
            g = gort.go(block)
            for _ in range(i):
                await gort.gosched()
            if i % 2:
                await gort.sleep(i / 10_000)
            g.cancel()
            try:
                await g
            except gort.Cancelled:
                pass
            assert children() == before

    gort.run(main, procs=procs)


# ---- this process's own


REPL = """
import gort
from gort import process

async def beat(n):
    while True:
        n[0] += 1
        await gort.sleep(0.001)

async def main():
    n = [0]
    gort.go(beat, n)
    out = process.stdout()
    assert process.stdin() is process.stdin()
    await out.write(b"> ")
    async for line in process.stdin():
        before = n[0]
        await gort.sleep(0.01)
        await out.write(line.upper() + (b"" if n[0] > before else b"stalled"))
        await out.write(b"> ")

gort.run(main)
"""


def expect(fd: int, what: bytes) -> bytes:
    got = b""
    while what not in got:
        ready, _, _ = select.select([fd], [], [], 30)
        assert ready, f"{what!r} did not come, but {got!r}"
        got += os.read(fd, 1000)
    return got


def test_a_repl_in_a_terminal() -> None:
    main, sub = pty.openpty()
    try:
        child = subprocess.Popen(
            [sys.executable, "-c", REPL], stdin=sub, stdout=sub, stderr=subprocess.PIPE
        )
        try:
            expect(main, b"> ")
            os.write(main, b"hello\n")
            expect(main, b"HELLO\r\n> ")
            assert os.get_blocking(sub), "the terminal was left non-blocking"
            os.write(main, b"\x04")
            _, err = child.communicate(timeout=30)
            assert child.returncode == 0, err.decode()
        finally:
            child.kill()
            child.wait()
            assert child.stderr is not None
            child.stderr.close()
    finally:
        os.close(main)
        os.close(sub)


def test_own_pipes_stay_blocking() -> None:
    code = """
import gort, os
from gort import process

async def main():
    data = bytearray()
    while part := await process.stdin().read():
        data += part
    await process.stdout().write(data)
    await process.stderr().write(b"%d %d" % (os.get_blocking(0), os.get_blocking(1)))

gort.run(main)
"""
    data = os.urandom(MB)
    r = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=50)
    assert r.stdout == data
    assert r.stderr == b"1 1"


def test_own_files(tmp_path: Path) -> None:
    code = """
import gort
from gort import process

async def main():
    async for line in process.stdin():
        await process.stdout().write(line)

gort.run(main)
"""
    (tmp_path / "in").write_bytes(b"a\nb\n")
    with open(tmp_path / "in", "rb") as i, open(tmp_path / "out", "wb") as o:
        subprocess.run([sys.executable, "-c", code], stdin=i, stdout=o, timeout=50, check=True)
    assert (tmp_path / "out").read_bytes() == b"a\nb\n"
