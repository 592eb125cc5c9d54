"""tools/sanitize.py says what is missing, and does not pass in silence."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "sanitize.py"

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="the tools are not here")


def sanitize(cc: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "CC": cc}
    return subprocess.run(
        [sys.executable, str(TOOL)], env=env, capture_output=True, text=True, timeout=50
    )


def fake(tmp_path: Path, script: str) -> str:
    cc = tmp_path / "cc"
    cc.write_text(f"#!/bin/sh\n{script}\n")
    cc.chmod(cc.stat().st_mode | stat.S_IXUSR)
    return str(cc)


def test_no_compiler() -> None:
    done = sanitize("/no/such/compiler")
    assert done.returncode == 2
    assert "NOT SANITIZED: there is no compiler /no/such/compiler" in done.stderr


def test_a_compiler_without_sanitizers(tmp_path: Path) -> None:
    done = sanitize(fake(tmp_path, "echo unknown option: $* >&2; exit 1"))
    assert done.returncode == 2
    assert "cannot build with -fsanitize=address" in done.stderr
    assert "unknown option" in done.stderr


def test_no_library(tmp_path: Path) -> None:
    """As gcc does: the name itself, where it finds no file."""
    done = sanitize(fake(tmp_path, 'case $1 in -print*) echo "${1#*=}";; esac'))
    assert done.returncode == 2
    assert "has no libasan.so" in done.stderr
