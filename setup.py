"""Compile the scheduler: every module of the runtime, and the native platform."""

import os
import subprocess
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).parent
SOURCES = ["src/gort/platform/native.pyx"] + sorted(
    str(p.relative_to(ROOT).with_suffix(".py")) for p in ROOT.glob("src/gort/runtime/*.pxd")
)

# The modules of a switch, and what has GCC inline more there: Cython exports the address of every
# function of a .pxd, which GCC takes for a reason not to. It saves 5 % of a round trip.
HOT = {f"gort.runtime.{name}" for name in "chan machine mutex park proc select sema".split()}
INLINE = [
    f"--param={name}={value}"
    for name, value in {
        "max-inline-insns-auto": 400,
        "inline-min-speedup": 1,
        "inline-unit-growth": 400,
        "large-function-growth": 1000,
        "large-stack-frame-growth": 10000,
    }.items()
]


def is_gcc() -> bool:
    """Whether the compiler that will be used is GCC, which alone knows the parameters."""
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    probe = [*command, "-dM", "-E", "-x", "c", os.devnull]
    try:
        macros = subprocess.run(probe, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    return "__GNUC__" in macros and "__clang__" not in macros


# A build with a sanitizer says itself how much to optimize.
OPTIMIZE = [] if "-fsanitize" in os.environ.get("CFLAGS", "") else ["-O3"]
if not OPTIMIZE or not is_gcc():
    INLINE = []

DIRECTIVES = {
    "language_level": 3,
    "infer_types": True,
    "annotation_typing": False,
    "freethreading_compatible": True,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "auto_pickle": False,
}


def extension(path: str) -> Extension:
    name = path.removeprefix("src/").rpartition(".")[0].replace("/", ".")
    return Extension(
        name,
        [path],
        include_dirs=["src/gort/platform"],
        depends=sorted(str(p) for p in ROOT.glob("src/gort/platform/*.h")),
        extra_compile_args=[
            *OPTIMIZE,
            *(INLINE if name in HOT else ()),
            "-ftls-model=initial-exec",
        ],
    )


setup(
    ext_modules=cythonize(
        [extension(path) for path in SOURCES],
        include_path=["src"],
        compiler_directives=DIRECTIVES,
    ),
)
