"""Build gort with AddressSanitizer and UndefinedBehaviorSanitizer, outside the tree, and run
the core's tests and the stress program under them.

    python tools/sanitize.py [--minutes M] [--build DIR] [TEST ...]

What is instrumented is the C of the platform and of the compiled runtime; the interpreter is
not, but its objects come from malloc (PYTHONMALLOC), so that a use of one that was freed, out
of our C, is seen. Exits 2 where the compiler has no sanitizers, 1 on a finding.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("src", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE")
CHECKS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
LIBRARIES = ("libasan.so", "libubsan.so")
# Without fork: GCC's libasan has no fork handlers, and a child inherits its allocator's locks as
# they are, held by threads that it has not.
CORE = (
    "chan select timers time go syscall sync netpoll net cancel_scopes group timeout context "
    "locked threads world retake run gc deadlock cleanup signal"
).split()


class Missing(Exception):
    """The tools for it are not there; the text says which."""


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def libraries() -> list[str]:
    """The sanitizers' shared libraries, to be loaded first."""
    cc = compiler()
    if shutil.which(cc[0]) is None:
        raise Missing(f"there is no compiler {cc[0]}: install one, or set CC")
    with tempfile.TemporaryDirectory() as scratch:
        probe = [*cc, *CHECKS.split(), "-shared", "-fPIC", "-x", "c", "-", "-o", f"{scratch}/x.so"]
        done = subprocess.run(probe, input="int x;", capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"{cc[0]} cannot build with {CHECKS}:\n{done.stderr.strip()}")
    found = []
    for name in LIBRARIES:
        path = subprocess.check_output([*cc, f"-print-file-name={name}"], text=True).strip()
        if not os.path.isabs(path):
            raise Missing(f"{cc[0]} has no {name}: install gcc's sanitizers (Debian: libgcc-*-dev)")
        found.append(os.path.realpath(path))
    return found


def build(into: Path) -> Path:
    """A copy of the tree, and gort of it installed with the sanitizers; where that lies."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise Missing("a free-threaded Python does not take its objects from malloc: use another")
    copy = into / "tree"
    for part in PARTS:
        if (ROOT / part).is_dir():
            skip = shutil.ignore_patterns("__pycache__", "*.so", "*.pyc", "*.egg-info")
            shutil.copytree(ROOT / part, copy / part, ignore=skip, dirs_exist_ok=True)
        else:
            shutil.copy2(ROOT / part, copy / part)
    flags = f"{CHECKS} -fno-omit-frame-pointer -g1 -O1"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade"]
    subprocess.run(
        [*pip, "--target", str(into / "site"), str(copy)],
        env={**os.environ, "CFLAGS": flags},
        check=True,
    )
    site = into / "site"
    for file in site.glob("gort/*/*.so"):
        if b"__asan_report_load" not in file.read_bytes():
            raise Missing(f"{file.name} was built without the sanitizers: {flags} had no effect")
    return site


def environment(site: Path, preload: list[str]) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if k not in ("GORT_PURE", "PYTHONHOME")}
    return {
        **env,
        "PYTHONPATH": str(site),
        "LD_PRELOAD": " ".join(preload),
        "PYTHONMALLOC": "malloc",
        # CPython never frees all of its own; a finding ends the process with a code of its own.
        "ASAN_OPTIONS": "detect_leaks=0:exitcode=86:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=86",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="of the stress program")
    parser.add_argument("--build", type=Path, help="keep the build here, and use it again")
    parser.add_argument("tests", nargs="*", help="names of test files, such as chan; the core's")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        into = args.build or Path(scratch)
        try:
            preload = libraries()
            site = into / "site"
            if not site.exists():
                site = build(into)
        except Missing as exc:
            print(f"NOT SANITIZED: {exc}", file=sys.stderr)
            return 2
        env = environment(site, preload)
        where = "import gort.platform.native as n; print('under', n.__file__)"
        files = [f"tests/test_{name}.py" for name in args.tests or CORE]
        # What was freed stays a while, so that its use is seen: memory grows by it.
        stress = ["tests/stress/stress.py", "--no-forks", "--memory", "1024"]
        stress += ["--minutes", str(args.minutes)]
        runs = [
            [sys.executable, "-c", where],
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
            [sys.executable, *stress],
        ]
        codes = [subprocess.run(run, cwd=into / "tree", env=env).returncode for run in runs]
    if any(codes):
        print(f"the runs under the sanitizers ended with {codes}", file=sys.stderr)
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
