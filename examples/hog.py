"""A goroutine computes without awaiting, another blocks in time.sleep, a third ticks on time.

    gort run examples/hog.py [SECONDS]

Neither of the two gives its processor up by itself: the system monitor takes it
from them, and another thread runs the ticker. On an event loop there would be
no tick until both are done.
"""

import sys
import time

import gort

PERIOD = 0.02


async def compute(seconds: float) -> int:
    """Keep a CPU busy, with no await in it."""
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end:
        rounds += 1
    return rounds


async def block(seconds: float) -> None:
    """Block the thread in a call that gort knows nothing of."""
    time.sleep(seconds)


async def ticks(n: int) -> list[float]:
    """Wake n times, a period apart; return how late each time was, in milliseconds."""
    late = []
    due = time.monotonic()
    for _ in range(n):
        due += PERIOD
        await gort.sleep(due - time.monotonic())
        late.append((time.monotonic() - due) * 1000)
    return late


async def main() -> None:
    """Run the three side by side."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    hog = gort.go(compute, seconds)
    sleeper = gort.go(block, seconds)
    late = sorted(await gort.go(ticks, round(0.8 * seconds / PERIOD)))
    state = f"the hog is {hog.status}, the sleeper is {sleeper.status}"
    print(f"{len(late)} ticks of {PERIOD * 1000:.0f} ms in {seconds} s; then {state}")
    print(f"late: median {late[len(late) // 2]:.2f} ms, worst {late[-1]:.2f} ms")
    print(f"the hog did {await hog} rounds")
    await sleeper


if __name__ == "__main__":
    gort.run(main)
