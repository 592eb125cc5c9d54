"""A parallel grep: one grep process for each file, as many at a time as there are CPUs.

gort run examples/grep.py PATTERN [FILE ...]     without files: the standard library
"""

import os
import pathlib
import sys

import gort
from gort import process


async def grep(pattern: str, file: str, found: gort.Chan) -> None:
    """Send each line of the file that matches, as it comes."""
    command = ["grep", "-nH", "-e", pattern, "--", file]
    async with await process.start(command, stdout=process.PIPE) as p:
        async for line in p.stdout:
            await found.send(line)
    if p.returncode > 1:
        raise RuntimeError(f"grep of {file} ended with status {p.returncode}")


async def search(pattern: str, files: list[str], found: gort.Chan) -> None:
    async with gort.group(limit=gort.num_cpu()) as grp:
        for file in files:
            grp.go(grep, pattern, file, found)
    found.close()


async def main() -> None:
    pattern = sys.argv[1] if len(sys.argv) > 1 else "class .*Error"
    library = pathlib.Path(os.__file__).parent
    files = sys.argv[2:] or sorted(str(f) for f in library.glob("*.py"))
    found = gort.chan(64)
    g = gort.go(search, pattern, files, found)
    out = process.stdout()
    lines = 0
    async for line in found:
        await out.write(line)
        lines += 1
    await g
    await out.write(b"%d lines in %d files\n" % (lines, len(files)))
