"""Two goroutines that wait for each other: what a deadlock looks like."""

import gort


async def left(a: gort.Chan, b: gort.Chan) -> None:
    await a.recv()
    await b.send("left")


async def main() -> None:
    a, b = gort.chan(), gort.chan()
    gort.go(left, a, b)
    await b.recv()
    await a.send("main")
