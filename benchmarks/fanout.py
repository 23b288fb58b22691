"""Measure how time and memory of a session grow with the number of its agents.

Each backend is measured in a process of its own, which contains the engine, its worker and
(embedded) its AWS. `python -m benchmarks.fanout ministack` prints the results of one.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from ai_coordination_engine.observability import configure
from benchmarks import backends, sessions
from benchmarks.meter import Meter
from benchmarks.table import Row

NARROW, WIDE, LONGEST = 200, 2000, 10_000
RUNS = {NARROW: 3, WIDE: 1}
REACH = {"ministack": 60, "embedded": 150}
MEMORY = 500  # MB, with ministack


def measure() -> Iterator[Row]:
    for name in sorted(backends.offered(), reverse=True):
        found = _measured(name)
        each = {width: found["fan"][str(width)] / width * 1000 for width in RUNS}
        for width, runs in RUNS.items():
            yield Row(
                f"1 → {width:,} → 1, {name}",
                f"≤ {REACH[name]} s" if width == WIDE else "completes",
                f"{found['fan'][str(width)]:.1f} s, {each[width]:.1f} ms an agent",
                f"request to completing write, median of {runs}; {found['units'][str(width)]:.1f}"
                " WCU an agent",
            )
        yield Row(
            f"an agent's time at {WIDE:,} against {NARROW}, {name}",
            "linear: 1 ×",
            f"{each[WIDE] / each[NARROW]:.2f} ×",
            f"{each[WIDE]:.1f} ms / {each[NARROW]:.1f} ms",
        )
        if "map" in found:
            yield Row(
                f"a map over {LONGEST:,}, {name}",
                "completes",
                f"{found['map']:.1f} s, {found['map'] / LONGEST * 1000:.1f} ms an element",
                "one run, the list's own agent included",
            )
        yield Row(
            f"memory for 1 → {WIDE:,} → 1, {name}",
            f"≤ {MEMORY} MB" if name == "ministack" else "–",
            f"{found['memory']:.0f} MB",
            f"largest resident set of our process; {found['idle']:.0f} MB before the first session",
        )


def _measured(name: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.fanout", name]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _measure_here(name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"fan": {}, "units": {}}
    with (
        backends.offered()[name]() as made,
        backends.working(made) as app,
        sessions.client(app) as api,
    ):
        sessions.Plan.of(api, sessions.FAN, subtasks={"middle": 20}).run()
        found["idle"] = _resident()
        meter = Meter(made)
        for width, runs in RUNS.items():
            plan = sessions.Plan.of(api, sessions.FAN, subtasks={"middle": width})
            meter.taken()
            found["fan"][width] = median(plan.run(timeout=400)[1] for _ in range(runs))
            found["units"][width] = meter.taken().writes / runs / width
        found["memory"] = _resident()
        if name == "embedded":
            return found  # its map takes as long again
        plan = sessions.Plan.of(
            api,
            {"list": [], "each": ["list"], "last": ["each"]},
            runtimes={"list": {"name": "numbers", "count": LONGEST}},
            more={"each": {"map": {"over": "list"}}},
        )
        found["map"] = plan.run(timeout=400)[1]
    return found


def _resident() -> float:
    """Return the largest resident set so far in MB (Linux: proc(5), VmHWM).

    `getrusage` would include the parent's.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    configure("WARNING")
    print(json.dumps(_measure_here(sys.argv[1])))
