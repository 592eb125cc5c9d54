"""Count the words of a directory tree on gort, then with the same program on asyncio.

    gort run examples/wordcount.py [DIRECTORY]

A walker sends file names to the workers over a channel. Each worker reads a
file with a blocking call, counts its words, and at the end sends its counts to
main. The default is the interpreter's own standard library.
"""

import asyncio
import os
import re
import sys
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gort
from gort.runtime.boot import schedstats

WORKERS = 8
WORD = re.compile(r"[a-z_]{2,}")


def files(root: str) -> Iterator[Path]:
    """Walk over the .py files under root, but for installed packages."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - {"site-packages", "dist-packages", "__pycache__"})
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def count(text: bytes, words: Counter[str]) -> None:
    """Add the words of a file."""
    words.update(WORD.findall(text.decode(errors="replace").lower()))


async def walk(root: str, paths: gort.Chan[Path]) -> None:
    """Send every file name. The directories are read in between: that blocks nobody."""
    for path in files(root):
        await paths.send(path)
    paths.close()


async def work(paths: gort.Chan[Path], results: gort.Chan[tuple[Counter[str], int, int]]) -> None:
    """Count file after file; send the words, the number of files, and how often this
    goroutine found itself on another thread than before."""
    words: Counter[str] = Counter()
    nfiles = migrations = 0
    thread = threading.get_ident()
    async for path in paths:
        text = await gort.syscall(path.read_bytes)
        count(text, words)
        nfiles += 1
        if thread != threading.get_ident():
            thread = threading.get_ident()
            migrations += 1
    await results.send((words, nfiles, migrations))


async def with_gort(root: str) -> tuple[Counter[str], int, int]:
    """Start the goroutines and merge what they send."""
    paths = gort.chan(WORKERS)
    results = gort.chan()
    gort.go(walk, root, paths)
    for _ in range(WORKERS):
        gort.go(work, paths, results)
    total: Counter[str] = Counter()
    nfiles = migrations = 0
    for _ in range(WORKERS):
        words, n, moved = await results.recv()
        total += words
        nfiles += n
        migrations += moved
    return total, nfiles, migrations


async def with_asyncio(root: str) -> tuple[Counter[str], int]:
    """Do the same with tasks, a queue, and a pool of threads for the reads."""
    queue: asyncio.Queue[Path | None] = asyncio.Queue(WORKERS)

    async def work() -> tuple[Counter[str], int]:
        words: Counter[str] = Counter()
        n = 0
        while (path := await queue.get()) is not None:
            count(await asyncio.to_thread(path.read_bytes), words)
            n += 1
        return words, n

    workers = [asyncio.create_task(work()) for _ in range(WORKERS)]
    for item in [*await asyncio.to_thread(list, files(root)), *[None] * WORKERS]:
        await queue.put(item)
    total: Counter[str] = Counter()
    nfiles = 0
    for words, n in await asyncio.gather(*workers):
        total += words
        nfiles += n
    return total, nfiles


async def main() -> None:
    """Count twice, compare, print."""
    root = sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib")
    size = sum(len(path.read_bytes()) for path in files(root))  # into the page cache, for both

    start = time.perf_counter()
    words, nfiles, migrations = await with_gort(root)
    ours = time.perf_counter() - start
    stats = schedstats()

    start = time.perf_counter()
    same = await gort.syscall(asyncio.run, with_asyncio(root))
    theirs = time.perf_counter() - start
    assert same == (words, nfiles), "gort and asyncio disagree"

    print(f"{root}: {nfiles} files, {size / 1e6:.1f} MB, {words.total()} words")
    for word, n in words.most_common(10):
        print(f"{n:9} {word}")
    print(
        f"goroutines {WORKERS + 2} (main, a walker, {WORKERS} workers)  "
        f"procs {gort.gomaxprocs()}  Ms {stats['threads']}  "
        f"migrations {migrations}  steals {stats['steals']}"
    )
    print(f"gort {ours:.2f} s   asyncio {theirs:.2f} s   asyncio/gort {theirs / ours:.2f}")


if __name__ == "__main__":
    gort.run(main)
