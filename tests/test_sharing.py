"""What cores share when their work is independent: no word of a module that a hot function
writes, and no reference count of what lives as long as the process."""

from __future__ import annotations

import bisect
import ctypes
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import types
from pathlib import Path
from typing import Any

import pytest

import gort
from gort import _immortal

PURE = os.environ.get("GORT_PURE", "") not in ("", "0")
FREETHREADED = sysconfig.get_config_var("Py_GIL_DISABLED") == 1
freethreaded = pytest.mark.skipif(
    PURE or not FREETHREADED, reason="where there is a GIL no two cores count at a time"
)

HOT = "chan gmp machine mutex park proc rwmutex runq select sema syscall timers".split()
COLD = re.compile(
    r"__Pyx|__pyx_pymod|__do_global|gort_mark|gort_fast|gort_poolops_|gort_install|gort_newop$"
)
"""What runs at import or in a fork, and the cache of Cython's tracebacks."""


def written(so: Path) -> list[str]:
    """Functions of a shared object with what they store in its data; only of this machine's
    instructions, in which a store names its address in the last operand."""
    data: dict[int, str] = {}
    names = subprocess.run(
        ["nm", "-n", "--defined-only", str(so)], capture_output=True, text=True, check=True
    ).stdout
    for line in names.splitlines():
        address, kind, name = line.split(None, 2)
        if kind in "bBdD":
            data[int(address, 16)] = name
    # What makes a traceback counts who looks at Cython's cache of code objects; GCC copies it
    # into the functions that may raise.
    cython = {name for name in data.values() if name.startswith("__pyx_mstate_global_static")}
    starts = sorted(data)
    code = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(so)], capture_output=True, text=True, check=True
    ).stdout
    function = ""
    found = []
    for line in code.splitlines():
        if begin := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            function = begin[1]
            continue
        at = re.match(r"\s*[0-9a-f]+:\s+(?:lock )?(\S+)\s+(.*?)\s*# ([0-9a-f]+) ", line)
        if not at or COLD.match(function) or not stores(at[1], at[2]):
            continue
        where = bisect.bisect_right(starts, int(at[3], 16)) - 1
        if where >= 0 and data[starts[where]] not in cython:
            found.append(f"{so.name.split('.')[0]}: {function} writes {data[starts[where]]}")
    return found


def stores(instruction: str, operands: str) -> bool:
    if instruction.startswith(("cmpxchg", "xchg", "xadd")):
        return True
    reads = ("cmp", "test", "call", "jmp", "push", "lea", "nop", "bt ", "prefetch", "ucomi", "comi")
    return operands.endswith("(%rip)") and not instruction.startswith(reads)


@freethreaded
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="reads the machine code of x86-64")
@pytest.mark.skipif(not (shutil.which("objdump") and shutil.which("nm")), reason="no binutils")
def test_hot_functions_write_no_global() -> None:
    if "-fsanitize" in os.environ.get("CFLAGS", ""):
        pytest.skip("a sanitizer's code writes")
    found = []
    for name in HOT:
        so = sys.modules[f"gort.runtime.{name}"].__file__
        assert so is not None
        found += written(Path(so))
    assert found == []


def counts(o: object) -> tuple[Any, Any]:
    """Of an object of a free-threaded build: its maker's count and the others'."""
    local = ctypes.c_uint32.from_address(id(o) + 12)
    return local, ctypes.c_ssize_t.from_address(id(o) + 16)


def lasting() -> list[Any]:
    return _immortal.reachable(v for m in _immortal.modules() for v in (m, *vars(m).values()))


@freethreaded
def test_what_lasts_is_immortal() -> None:
    shared = [getattr(gort, n) for n in gort.__all__]
    shared = [o for o in shared if not isinstance(o, types.ModuleType)]
    shared += [getattr(gort.sync, n) for n in gort.sync.__all__]
    for cls in [o for o in shared if isinstance(o, type)]:
        shared += [m for m in vars(cls).values() if callable(m)]
    counted = [o for o in shared if counts(o)[0].value != 0xFFFFFFFF]
    assert counted == []


async def child() -> None:
    pass


async def work(n: int) -> None:
    """n operations, half of them on channels, on what is this goroutine's own."""
    ch = gort.chan(1)
    full = gort.chan(1)
    mu = gort.sync.Mutex()
    for _ in range(n // 10):
        ch.send_nowait(None)
        ch.recv_nowait()
        await ch.send(None)
        await ch.recv()
        await gort.gosched()
        async with mu:
            pass
        await mu.lock()
        mu.unlock()
        await gort.go(child)
        await gort.select(ch.recv(), full.send(None), default=True)
        if len(full):
            await full.recv()
        await gort.sleep(0)


@freethreaded
def test_no_count_moves() -> None:
    """Of a million operations on two procs, watched by a third."""

    async def main() -> dict[str, int]:
        gs = [gort.go(work, 500_000) for _ in range(2)]
        await gort.sleep(0.1)
        watched = lasting()
        words = [w for o in watched for w in counts(o)]
        first = [w.value for w in words]
        moved: dict[int, int] = {}
        while not all(g.done() for g in gs):
            for i, w in enumerate(words):
                if w.value != first[i]:
                    moved[i] = moved.get(i, 0) + 1
            time.sleep(0.001)
        for g in gs:
            await g
        return {
            f"{type(watched[i // 2]).__name__} {watched[i // 2]!r}": n for i, n in moved.items()
        }

    assert gort.run(main, procs=3) == {}
