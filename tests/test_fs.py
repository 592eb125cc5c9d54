"""gort.fs: files, by system calls that hold nobody up."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

import gort
from gort import fs


def test_binary(tmp_path: Path, procs: int) -> None:
    async def main() -> None:
        path = tmp_path / "file"
        async with await fs.open(path, "w+b") as f:
            assert await f.write(b"one\ntwo\nthree") == 13
            assert await f.seek(0) == 0
            assert await f.read(3) == b"one"
            assert await f.tell() == 3
            await f.seek(0)
            assert [line async for line in f] == [b"one\n", b"two\n", b"three"]
            assert await f.read() == b""
            await f.seek(-5, os.SEEK_END)
            buffer = bytearray(3)
            assert await f.readinto(buffer) == 3 and buffer == b"thr"
            assert await f.truncate(3) == 3
            await f.flush()
            await f.fsync()
            assert not f.closed and f.fileno() >= 0 and not f.isatty()
        assert f.closed
        await f.close()
        with pytest.raises(ValueError, match="closed"):
            await f.read()
        assert path.read_bytes() == b"one"

    gort.run(main, procs=procs)


def test_text(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "file"
        async with await fs.open(path, "w") as f:
            await f.write("grün\n")
            await f.writelines(["a\n", "b\n"])
        assert path.read_bytes().startswith("grün".encode())
        async with await fs.open(path, "r") as f:
            assert await f.readline() == "grün\n"
            assert await f.readlines() == ["a\n", "b\n"]
        async with await fs.open(path, "r", encoding="latin-1") as f:
            assert (await f.read()).startswith("grÃ")

    gort.run(main)


def test_closed_by_a_cancelled_goroutine(tmp_path: Path, procs: int) -> None:
    async def main() -> None:
        opened = gort.chan(1)

        async def holder() -> None:
            async with await fs.open(tmp_path / "file", "w") as f:
                await f.write("kept")
                opened.send_nowait(f)
                await gort.chan().recv()

        g = gort.go(holder)
        f = await opened.recv()
        g.cancel()
        with pytest.raises(gort.Cancelled):
            await g
        assert f.closed and (tmp_path / "file").read_text() == "kept"

    gort.run(main, procs=procs)


def test_whole_files(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "file"
        assert await fs.write_bytes(path, memoryview(b"abc")) == 3
        assert await fs.read_bytes(path) == b"abc"
        assert await fs.write_text(path, "é") == 1
        assert await fs.read_text(path) == "é"
        with pytest.raises(TypeError):
            await fs.write_bytes(path, "text")
        with pytest.raises(TypeError, match="wants a str"):
            fs.write_text(path, b"bytes")  # type: ignore[arg-type]
        assert await fs.read_text(path) == "é"  # neither has cut it

    gort.run(main)


def test_folders_and_names(tmp_path: Path) -> None:
    async def main() -> None:
        a, b = tmp_path / "a", tmp_path / "b"
        await fs.mkdir(a)
        await fs.makedirs(a / "x" / "y")
        await fs.makedirs(a / "x", exist_ok=True)
        await fs.write_text(a / "f", "1")
        assert sorted(await fs.listdir(a)) == ["f", "x"]
        assert sorted(e.name for e in await fs.scandir(a) if e.is_dir()) == ["x"]
        assert (await fs.walk(a))[0][1:] == (["x"], ["f"])
        assert (await fs.stat(a / "f")).st_size == 1
        await fs.symlink(a / "f", a / "s")
        await fs.link(a / "f", a / "l")
        assert await fs.readlink(a / "s") == str(a / "f")
        assert await fs.realpath(a / "s") == os.path.realpath(a / "f")
        assert (await fs.lstat(a / "s")).st_mode != (await fs.stat(a / "s")).st_mode
        assert await fs.is_file(a / "f") and await fs.is_dir(a) and not await fs.exists(b)
        await fs.rename(a / "f", b)
        await fs.replace(b, a / "f")
        assert await fs.copy(a / "f", b) == str(b)
        await fs.chmod(b, 0o600)
        await fs.chown(b, os.getuid(), os.getgid())
        await fs.utime(b, (1, 2))
        assert (await fs.stat(b)).st_mtime == 2
        assert await fs.access(b, os.R_OK)
        await fs.truncate(b, 0)
        await fs.remove(b)
        await fs.rmdir(a / "x" / "y")
        await fs.rmtree(a)
        assert await fs.listdir(tmp_path) == []

    gort.run(main)


@pytest.mark.parametrize("call", [fs.open, fs.stat, fs.listdir, fs.remove, fs.read_text])
def test_a_missing_file_is_oserror(call: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await call(tmp_path / "none")

    gort.run(main)


def test_who_blocks_in_a_file_holds_nobody_up(tmp_path: Path) -> None:
    """Opening a FIFO blocks until the other end is opened, here by another goroutine."""
    path = tmp_path / "fifo"
    os.mkfifo(path)

    async def main() -> bytes:
        async def reader() -> bytes:
            async with await fs.open(path) as f:
                return await f.read()

        g = gort.go(reader)
        async with await fs.open(path, "wb", buffering=0) as f:
            await f.write(b"through")
        return await g

    assert gort.run(main, procs=1) == b"through"


def test_repr(tmp_path: Path) -> None:
    f = fs.File(io.open(tmp_path / "f", "wb"))  # noqa: UP020
    assert repr(f).startswith("<gort file") and repr(f).endswith("'wb', open>")
    f.raw.close()
    assert repr(f).endswith("closed>")
