"""Compile the scheduler: every module of the runtime, and the native platform."""

import os
import subprocess
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

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


# The modules that no operation passes through in its common case: -O1 compiles them in half the
# time of -O3.
COLD = {
    f"gort.runtime.{name}"
    for name in """blocktrace boot cleanup context debug dump exithook fork gcwork gil inittask
        main osthread sigqueue sysmon systemg traceback world""".split()
}

# A build with a sanitizer says itself how much to optimize, one for a debugger what it wants of -g.
CFLAGS = os.environ.get("CFLAGS", "")
OPTIMIZE = [] if "-fsanitize" in CFLAGS else ["-O3"]
OPTIMIZE_COLD = OPTIMIZE and ["-O1"]
DEBUG = [] if "-g" in CFLAGS else ["-g0"]
if not OPTIMIZE or not is_gcc():
    INLINE = []

JOBS = len(os.sched_getaffinity(0))

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
    # A method is a descriptor that checks whose it is; signatures are for help().
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
}


class ParallelBuild(build_ext):
    """build_ext that compiles on all cores unless told how many."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or JOBS


def extension(path: str) -> Extension:
    name = path.removeprefix("src/").rpartition(".")[0].replace("/", ".")
    return Extension(
        name,
        [path],
        include_dirs=["src/gort/platform"],
        depends=sorted(str(p) for p in ROOT.glob("src/gort/platform/*.h")),
        extra_compile_args=[
            *(OPTIMIZE_COLD if name in COLD else OPTIMIZE),
            *(INLINE if name in HOT else ()),
            *DEBUG,
            "-ftls-model=initial-exec",
        ],
    )


def by_length(ext: Extension) -> tuple[bool, int]:
    """Orders the longest compilations first, so that no core is left alone with one."""
    return ext.name not in HOT, -(ROOT / ext.sources[0]).stat().st_size


# The processes that translate may import this module.
if __name__ == "__main__":
    setup(
        ext_modules=cythonize(
            sorted(map(extension, SOURCES), key=by_length),
            include_path=["src"],
            compiler_directives=DIRECTIVES,
            # Not beside the sources, from where setuptools takes them into the wheel.
            build_dir="build/c",
            nthreads=JOBS,
        ),
        cmdclass={"build_ext": ParallelBuild},
    )
