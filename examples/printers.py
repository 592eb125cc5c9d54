"""Two goroutines print numbers, main waits for both over a channel.

    gort run examples/printers.py

Main parks on the empty channel. A printer sleeps between two numbers, so they
take turns; the first that is done hands its value to main, the other puts its
own into the buffer and ends without waiting.
"""

import gort


async def print_number(start: int, stop: int, c: gort.Chan[int]) -> None:
    """Print start to stop, a millisecond apart, then say so on c."""
    for x in range(start, stop + 1):
        print(x)
        await gort.sleep(0.001)
    await c.send(0)


async def main() -> None:
    """Start both printers and wait for them."""
    c = gort.chan(3)
    gort.go(print_number, 1, 3, c)
    gort.go(print_number, 4, 6, c)
    await c.recv()
    await c.recv()


if __name__ == "__main__":
    gort.run(main)
