"""Every case of the simulator over many seeds, on all cores; or one seed, step by step.

    python tests/sim/long.py [--seeds N] [--first N] [--jobs N] [--case NAME ...]
    python tests/sim/long.py --case NAME --seed N        prints that schedule

Prints a table, and for each failing seed the command that replays it. Exits 1 when
one failed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
if __name__ == "__main__":
    os.environ.setdefault("GORT_PURE", "1")  # the simulator needs no build

from runner import CASES, FAILURES, Case, again, plan, runcase

from gort.testing import Run
from gort.testing._swap import swapped

CHUNK = 100
SHOWN = 3


def chunk(name: str, seeds: range) -> tuple[str, int, int, float, list[tuple[int, str]]]:
    """Run some seeds of a case: name, runs, steps, seconds, failures."""
    warnings.simplefilter("ignore", RuntimeWarning)  # coroutines of runs that were cut off
    case = CASES[name]
    failed = []
    steps = 0
    start = time.perf_counter()
    with swapped():
        for seed in seeds:
            last: list[Run] = []
            try:
                runcase(case, seed, begin=last.append)
            except FAILURES as exc:
                text = str(exc).partition("\n")[0]
                failed.append((seed, f"{type(exc).__name__}: {text}"))
            steps += sum(run.steps for run in last)
    return name, len(seeds), steps, time.perf_counter() - start, failed


def show(case: Case, seed: int) -> int:
    """Replay one seed and print its schedule."""
    procs, jitter = plan(case, seed)
    last: list[Run] = []
    code = 0
    try:
        runcase(case, seed, keep=case.maxsteps, detail=True, begin=last.append)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        code = 1
    for run in last:
        print(run.schedule(case.maxsteps))
        print(f"{case.name}: seed {seed}, procs {procs}, jitter {jitter}, {run.steps} steps")
    print("fails" if code else "passes")
    return code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many for each case")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one, with its schedule")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--case", nargs="+", choices=list(CASES), default=list(CASES), metavar="NAME"
    )
    args = parser.parse_args()
    if args.seed is not None:
        return show(CASES[args.case[0]], args.seed)

    totals = {name: [0, 0, 0.0] for name in args.case}
    failures: list[tuple[str, int, str]] = []
    work = [
        (name, range(first, min(first + CHUNK, args.first + args.seeds)))
        for name in args.case
        for first in range(args.first, args.first + args.seeds, CHUNK)
    ]
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(args.jobs, mp_context=context) as pool:
        for name, runs, steps, seconds, failed in pool.map(chunk, *zip(*work, strict=True)):
            total = totals[name]
            total[0] += runs
            total[1] += steps
            total[2] += seconds
            failures += [(name, seed, text) for seed, text in failed]
            if total[0] == args.seeds:
                bad = sum(1 for n, _, _ in failures if n == name)
                print(
                    f"{name:40} {total[0]:8} {total[1]:11} {total[2]:8.1f} s  {bad:4}", flush=True
                )
    shown: dict[str, int] = {}
    for name, seed, text in failures:
        shown[name] = shown.get(name, 0) + 1
        if shown[name] <= SHOWN:
            print(f"FAILED {name} seed {seed}: {text}\n    {again(CASES[name], seed)}")
    runs = sum(t[0] for t in totals.values())
    steps = sum(t[1] for t in totals.values())
    print(
        f"{len(totals)} cases, {runs} runs, {steps} steps, "
        f"{sum(t[2] for t in totals.values()) / 3600:.2f} core hours, "
        f"{time.perf_counter() - start:.0f} s, {len(failures)} failures"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
