"""Where the instructions of an operation go: of each function its own, and in sum those of the
interpreter, of gort and of the rest, counted by valgrind.

    python bench/where.py [--python PATH] [--only OPS] [--top N]

gort is the one that the interpreter has installed, or on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable

import counting
from check import executable, ops
from ops import OPS

Function = tuple[str, str]
"""whose it is, and its name"""

GORT = re.compile(r"/gort/(runtime|platform)/")
PYTHON = re.compile(r"/(lib)?python3[^/]*$")
NAME = re.compile(r"(c?fn|c?ob|c?f[ile])=\((\d+)\)(?: (.*))?$")


class Parts:
    """The parts of one callgrind profile; they share the numbers of names."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], str] = {}

    def read(self, lines: Iterable[str]) -> Counter[Function]:
        """Each function's own instructions."""
        own: Counter[Function] = Counter()
        whose = name = ""
        called = False
        for line in lines:
            if found := NAME.match(line):
                kind, number, text = found.groups()
                key = kind.removeprefix("c"), number
                if text:
                    self.names[key] = text
                if kind == "fn":
                    name = self.names[key]
                elif kind == "ob":
                    whose = owner(self.names[key])
            elif line.startswith("calls="):
                called = True  # the next line is the call's, with all that it called
            elif line[:1] in "0123456789+-*" and line[:1]:
                if not called:
                    own[whose, name.partition("'")[0]] += int(line.split()[-1])
                called = False
        return own


def owner(path: str) -> str:
    if GORT.search(path):
        return "gort"
    return "Python" if PYTHON.search(path) or "libpython" in path else "others"


def profile(python: str, name: str) -> Counter[Function]:
    """Of one operation."""
    n = OPS[name][1]
    specs = [(name, counting.WARM_UP), (name, n), (name, counting.MORE * n)]
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    with counting.dumps(python, env, specs) as found:
        if isinstance(found, str):
            sys.exit(f"{name}: {found}")
        parts = Parts()
        _, _, few, many = [parts.read(text.splitlines()) for _, text in found]
    difference = Counter({k: many[k] - few[k] for k in many.keys() | few.keys()})
    return Counter({k: v / ((counting.MORE - 1) * n) for k, v in difference.items()})  # type: ignore[misc]


def report(name: str, own: Counter[Function], top: int) -> str:
    owners: Counter[str] = Counter()
    for (whose, _), each in own.items():
        owners[whose] += each
    total = sum(owners.values())
    shares = ", ".join(f"{whose} {each:.0f}" for whose, each in owners.most_common())
    lines = [f"{name}: {total:.0f} instructions an operation: {shares}"]
    for (whose, function), each in own.most_common(top):
        lines.append(f"{each:8.0f}  {whose:7} {function}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable, type=executable, metavar="PATH")
    parser.add_argument("--only", type=ops, default=list(OPS), metavar="OPS")
    parser.add_argument("--top", type=int, default=15, metavar="N")
    args = parser.parse_args()
    for name in args.only:
        print(report(name, profile(args.python, name), args.top), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
