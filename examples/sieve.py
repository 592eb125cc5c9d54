"""The concurrent prime sieve.

    gort run examples/sieve.py [HOW_MANY]

A chain of goroutines, one for each prime, that drops the prime's multiples.
"""

import sys

import gort


async def generate(out: gort.Chan[int]) -> None:
    """Send 2, 3, 4, ... for ever; main's end cancels it."""
    n = 2
    while True:
        await out.send(n)
        n += 1


async def sift(numbers: gort.Chan[int], out: gort.Chan[int], prime: int) -> None:
    """Pass on what prime does not divide."""
    async for n in numbers:
        if n % prime:
            await out.send(n)


async def main() -> None:
    """Take the first number of the chain, which is prime, and lengthen the chain by it."""
    how_many = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    numbers = gort.chan()
    gort.go(generate, numbers)
    for _ in range(how_many):
        prime = await numbers.recv()
        print(prime)
        sifted = gort.chan()
        gort.go(sift, numbers, sifted, prime)
        numbers = sifted


if __name__ == "__main__":
    gort.run(main)
