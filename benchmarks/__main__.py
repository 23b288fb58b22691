"""`python -m benchmarks`: print the table of figures. Nothing passes or fails."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from ai_coordination_engine.observability import configure
from benchmarks import (
    accounting,
    aws_client,
    calls,
    clients,
    cold,
    console,
    crowd,
    due,
    exporting,
    fanout,
    firing,
    graphs,
    handoff,
    homes,
    hostile,
    live,
    package,
    serving,
    statements,
    steps,
    tool_calls,
    watching,
)
from benchmarks.table import Row, markdown

Measure = Callable[[], Iterable[Row]]
NAMES = (
    "calls",
    "accounting",
    "aws_client",
    "steps",
    "statements",
    "exporting",
    "tool_calls",
    "graphs",
    "serving",
    "handoff",
    "fanout",
    "crowd",
    "due",
    "firing",
    "hostile",
    "clients",
    "live",
    "watching",
    "cold",
    "console",
    "package",
)


def main() -> None:
    configure("WARNING")  # as the local server does
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=NAMES, help="measure this; may be repeated"
    )
    parser.add_argument(
        "--home",
        action="append",
        choices=homes.HOMES,
        help="measure graphs and serving on this home; may be repeated",
    )
    parser.add_argument(
        "--long",
        action="store_true",
        help="a page of 100,000 sessions and a map over 10,000: minutes",
    )
    parser.add_argument(
        "--importtime",
        action="store_true",
        help="list what the API handler's imports take, and stop",
    )
    given = parser.parse_args()
    if given.importtime:
        print(cold.import_times())
        return
    if "ministack" not in homes.offered():
        print(
            "ministack is not installed (make .venv-ministack/.stamp): its rows are left out",
            file=sys.stderr,
        )
    rows: list[Row] = []
    for name, measure in _measures(given.home or homes.offered(), long=given.long):
        if given.only and name not in given.only:
            continue
        begun = time.monotonic()
        print(f"{name} …", end="", file=sys.stderr, flush=True)
        rows += measure()
        print(f" {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print(markdown(rows))


def _measures(chosen: Iterable[str], *, long: bool) -> Iterator[tuple[str, Measure]]:
    """What is measured, in the order of the table; `graphs` and `serving` on each chosen home."""
    yield "calls", calls.measure
    yield "accounting", accounting.measure
    yield "aws_client", aws_client.measure
    yield "steps", steps.measure
    yield "statements", statements.measure
    yield "exporting", exporting.measure
    yield "tool_calls", tool_calls.measure
    for home in chosen:
        yield "graphs", partial(graphs.measure, home)
        yield "serving", partial(serving.measure, home, long=long)
    yield "handoff", handoff.measure
    yield "fanout", partial(fanout.measure, long=long)
    yield "crowd", crowd.measure
    yield "due", due.measure
    yield "firing", firing.measure
    yield "hostile", hostile.measure
    yield "clients", clients.measure
    yield "live", live.measure
    yield "watching", watching.measure
    yield "cold", cold.measure
    yield "console", console.measure
    yield "package", package.measure


if __name__ == "__main__":
    main()
