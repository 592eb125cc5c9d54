"""A program to look into while it runs: docs/transcripts.md shows with what.

gort run examples/watch.py [seconds]
"""

import sys
import time

import gort


async def worker(jobs: gort.Chan, done: gort.Chan) -> None:
    async for n in jobs:
        await done.send(n * n)


async def painter(jobs: gort.Chan) -> None:
    gort.lock_os_thread()  # as a GUI library might want
    await jobs.recv()


def parse() -> None:
    time.sleep(0.3)  # a library that blocks and says so to nobody


async def blocker() -> None:
    parse()
    await gort.gosched()


async def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    jobs, done, pictures = gort.chan(), gort.chan(), gort.chan()
    gort.go(worker, jobs, done)
    gort.go(painter, pictures)
    gort.go(blocker)
    until = time.monotonic() + seconds
    n = 0
    while time.monotonic() < until:
        await jobs.send(n)
        await done.recv()
        n += 1
    print("ready", flush=True)
    await gort.sleep(seconds)
