"""Measure the time of a long map, and the write units of a wide fan-out."""

from collections.abc import Iterator
from typing import Any

from benchmarks import backends, sessions
from benchmarks.meter import Meter
from benchmarks.table import Row

WIDTH, SHORT, LONG = 200, 1_000, 10_000


def measure(*, long: bool = False) -> Iterator[Row]:
    name = sorted(backends.offered())[-1]  # ministack, where there is one
    length = LONG if long else SHORT
    with (
        backends.offered()[name]() as made,
        backends.working(made) as app,
        sessions.client(app) as api,
    ):
        meter = Meter(made)
        plan = sessions.Plan.of(api, sessions.FAN, subtasks={"middle": WIDTH})
        meter.taken()
        plan.run(timeout=400)
        yield Row(
            f"write units of an agent of 1 → {WIDTH} → 1",
            "–",
            f"{meter.taken().writes / WIDTH:.1f} WCU",
            "a whole session, shared out",
        )
        graph: dict[str, list[str]] = {"list": [], "each": ["list"], "last": ["each"]}
        over: dict[str, Any] = {"each": {"map": {"over": "list"}}}
        numbers = {"list": {"name": "numbers", "count": length}}
        seconds = sessions.Plan.of(api, graph, runtimes=numbers, more=over).run(timeout=400)[1]
        yield Row(
            f"a map over {length:,}, {name}",
            "completes",
            f"{seconds:.1f} s, {seconds / length * 1000:.1f} ms an element",
            "one run, the list's own agent included",
        )
