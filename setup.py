"""Compile the scheduler: every module of the runtime, and the native platform."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).parent
SOURCES = ["src/gort/platform/native.pyx"] + sorted(
    str(p.relative_to(ROOT).with_suffix(".py")) for p in ROOT.glob("src/gort/runtime/*.pxd")
)

# A build with a sanitizer says itself how much to optimize.
OPTIMIZE = [] if "-fsanitize" in os.environ.get("CFLAGS", "") else ["-O3"]

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

setup(
    ext_modules=cythonize(
        [
            Extension(
                path.removeprefix("src/").rpartition(".")[0].replace("/", "."),
                [path],
                include_dirs=["src/gort/platform"],
                depends=sorted(str(p) for p in ROOT.glob("src/gort/platform/*.h")),
                extra_compile_args=[*OPTIMIZE, "-ftls-model=initial-exec"],
            )
            for path in SOURCES
        ],
        include_path=["src"],
        compiler_directives=DIRECTIVES,
    ),
)
