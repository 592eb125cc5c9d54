"""One measurement, in a process of its own: `measure.py SYSTEM WORKLOAD SCALE`, where SCALE
is JSON. Prints the metrics as one line of JSON."""

from __future__ import annotations

import json
import sys

from harness import Scale
from systems import SYSTEMS
from workloads import WORKLOADS


def main(system: str, name: str, scale: str) -> None:
    workload = WORKLOADS[name]
    variant = workload.variants[system]
    metrics = workload.measure(SYSTEMS[system].run, variant, Scale.from_json(scale))
    print(json.dumps(metrics))


if __name__ == "__main__":
    main(*sys.argv[1:])
