"""The history: one line of JSON for each full run of run.py, with the medians of each row
by interpreter and system."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

FILE = Path(__file__).parent / "history.jsonl"
DIGITS = 4

Medians = dict[str, dict[str, float]]
"""row: system: value"""


@dataclasses.dataclass(frozen=True)
class Entry:
    date: str
    commit: str
    machine: str
    rounds: int
    medians: dict[str, Medians]
    """of each interpreter; a row is its workload's name, and where its metric has another
    one, `workload:metric`"""


def load(file: Path) -> list[Entry]:
    """The oldest first."""
    if not file.exists():
        return []
    return [Entry(**json.loads(line)) for line in file.read_text().splitlines() if line.strip()]


def append(file: Path, entry: Entry) -> None:
    with file.open("a") as out:
        out.write(json.dumps(dataclasses.asdict(rounded(entry))) + "\n")


def rounded(entry: Entry) -> Entry:
    medians = {
        interpreter: {
            row: {system: float(f"{value:.{DIGITS}g}") for system, value in systems.items()}
            for row, systems in rows.items()
        }
        for interpreter, rows in entry.medians.items()
    }
    return dataclasses.replace(entry, medians=medians)


def row_key(workload: str, metric: str) -> str:
    return workload if workload == metric else f"{workload}:{metric}"
