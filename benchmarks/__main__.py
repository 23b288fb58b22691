"""`python -m benchmarks`: print the table of figures. Nothing passes or fails."""

import argparse
import sys
import time

from ai_coordination_engine.observability import configure
from benchmarks import (
    backends,
    calls,
    clients,
    cold,
    crowd,
    due,
    fanout,
    firing,
    handoff,
    hostile,
    makespan,
    package,
    steps,
)
from benchmarks.table import Row, markdown

MEASURES = {
    "calls": calls.measure,
    "steps": steps.measure,
    "makespan": makespan.measure,
    "handoff": handoff.measure,
    "fanout": fanout.measure,
    "crowd": crowd.measure,
    "due": due.measure,
    "firing": firing.measure,
    "hostile": hostile.measure,
    "clients": clients.measure,
    "cold": cold.measure,
    "package": package.measure,
}


def main() -> None:
    configure("WARNING")  # as the local server does
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=MEASURES, help="measure this; may be repeated"
    )
    parser.add_argument(
        "--importtime",
        action="store_true",
        help="list what the API handler's imports take, and stop",
    )
    arguments = parser.parse_args()
    if arguments.importtime:
        print(cold.import_times())
        return
    if "ministack" not in backends.offered():
        print(
            "ministack is not installed (make .venv-ministack/.stamp): its rows are left out",
            file=sys.stderr,
        )
    rows: list[Row] = []
    for name in arguments.only or MEASURES:
        begun = time.monotonic()
        print(f"{name} …", end="", file=sys.stderr, flush=True)
        rows += MEASURES[name]()
        print(f" {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print(markdown(rows))


if __name__ == "__main__":
    main()
