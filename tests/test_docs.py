"""Docs that cannot lie: programs print what a page says; places and tests that it names exist."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import gort

ROOT = Path(__file__).resolve().parents[1]
SRC = Path(gort.__file__).parents[1]
RUNTIME = SRC / "gort" / "runtime"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

# A program, and what it prints: the text block right after it.
PROGRAM = re.compile(
    r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL
)
RUNS = re.compile(r"^(gort\.run|sweep)\(|^    gort\.run\(", re.MULTILINE)


def programs() -> list[object]:
    found = []
    for page in PAGES:
        text = page.read_text() if page.exists() else ""
        for match in PROGRAM.finditer(text):
            if RUNS.search(match[1]):
                line = text.count("\n", 0, match.start()) + 1
                found.append(pytest.param(match[1], match[2], id=f"{page.name}:{line}"))
    return found


@pytest.mark.parametrize(("program", "output"), programs())
def test_program(program: str, output: str | None) -> None:
    """`...` in the output stands for anything."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    checker = doctest.OutputChecker()
    assert checker.check_output(output or "", done.stdout, doctest.ELLIPSIS), done.stdout


@cache
def names_of(module: str) -> set[str]:
    """What a module of the runtime defines, as `name` and `Class.name`."""
    found: set[str] = set()
    for path in RUNTIME.glob(f"{module}.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            if isinstance(node, ast.ClassDef):
                inside = ast.walk(node)
                found |= {f"{node.name}.{n.name}" for n in inside if isinstance(n, ast.FunctionDef)}
    return found


@cache
def fields_of(record: str) -> set[str]:
    """The fields and methods of G, M, P or Sched."""
    for node in ast.walk(ast.parse((RUNTIME / "gmp.py").read_text())):
        if isinstance(node, ast.ClassDef) and node.name == record:
            strings = {c.value for c in ast.walk(node) if isinstance(c, ast.Constant)}
            return {s for s in strings if isinstance(s, str)} | names_of("gmp")
    raise LookupError(record)


@cache
def platform_names() -> set[str]:
    tree = ast.parse((SRC / "gort" / "platform" / "pure.py").read_text())
    return {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))} | {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def exists(place: str) -> bool:
    """Whether `module.function` below runtime/, or a field, is there."""
    head, _, rest = place.partition(".")
    if head == "platform":
        return rest in platform_names()
    if head in ("G", "M", "P", "sched"):
        return rest in fields_of(head.capitalize())
    if rest == "h":
        return (SRC / "gort" / "platform" / place).exists()
    if head in ("net", "testing"):
        module, _, name = f"gort.{place}".rpartition(".")
        return hasattr(importlib.import_module(module), name)
    return rest in names_of(head)


def rows() -> list[list[str]]:
    """The rows of docs/mechanisms.md: Go's name, the place, the test, what differs."""
    lines = (ROOT / "docs" / "mechanisms.md").read_text().splitlines()
    cells = [
        [c.strip() for c in line.strip("|").split(" | ")] for line in lines if line[:2] == "| "
    ]
    return [c for c in cells if len(c) >= 3]


def test_every_place_exists() -> None:
    places = {p for row in rows() for p in re.findall(r"`([A-Za-z]\w*(?:\.\w+)+)`", row[1])}
    assert len(places) > 200
    missing = sorted(p for p in places if not exists(p))
    assert not missing, missing


def test_every_test_exists() -> None:
    named = {t for row in rows() for t in re.findall(r"`([\w/]+\.py)::(\w+)", row[2])}
    assert len(named) > 100
    missing = []
    for file, test in sorted(named):
        path = ROOT / "tests" / file
        if not path.exists() or f"def {test}(" not in path.read_text():
            missing.append(f"{file}::{test}")
    assert missing == []


def test_every_simulated_case_exists() -> None:
    text = "".join(p.read_text() for p in (ROOT / "tests" / "sim").rglob("*.py"))
    named: set[str] = set()
    for row in rows():
        for kind, words in re.findall(r"\b(cases?|mutations?) ((?:`\w+`(?:, | and )?)+)", row[2]):
            named |= {(kind[0], w) for w in re.findall(r"`(\w+)`", words)}
    assert len(named) > 60
    there = {"c": "async def {}(", "m": '    "{}": Mutation('}
    assert sorted(w for k, w in named if there[k].format(w) not in text) == []


def imports(path: Path) -> set[str]:
    """The modules of the runtime that one imports, in its .py and its .pxd."""
    text = path.read_text() + (p.read_text() if (p := path.with_suffix(".pxd")).exists() else "")
    named = re.findall(r"^\s*from \.(\w+) c?import", text, re.MULTILINE)
    return {name for name in named if path.with_name(f"{name}.py").exists()}


def test_modules_import_from_floors_below() -> None:
    text = (ROOT / "docs" / "design.md").read_text()
    lines = re.findall(
        r"^(\d+)\. (`\w+`(?:, `\w+`)*)$", text[text.index("## Floors") :], re.MULTILINE
    )
    floors = {name: int(n) for n, names in lines for name in re.findall(r"\w+", names)}
    files = [p for p in RUNTIME.glob("*.py") if p.stem != "__init__"]
    assert sorted(floors) == sorted(p.stem for p in files)
    wrong = [
        f"{p.stem} (floor {floors[p.stem]}) imports {name} (floor {floors[name]})"
        for p in files
        for name in imports(p)
        if floors[name] >= floors[p.stem]
    ]
    assert wrong == []
