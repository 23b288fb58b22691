"""Measure the time of a long map, and the write units of a wide fan-out."""

from collections.abc import Iterator
from typing import Any

from ai_coordination_engine.engine.app import App
from benchmarks import backends, sessions
from benchmarks.harness.api import Worker
from benchmarks.meter import Meter
from benchmarks.table import Row

WIDTH, SHORT, LONG = 200, 1_000, 10_000
MAP: sessions.Graph = {"list": [], "each": ["list"], "last": ["each"]}


def measure(*, long: bool = False) -> Iterator[Row]:
    with backends.in_process() as app:
        yield _units(app)
    for name, backend in backends.offered().items():
        with backend() as made, backends.working(made) as app:
            yield _map(app, LONG if long else SHORT, name)


def _units(app: App) -> Row:
    with sessions.client(app) as api:
        meter = Meter(app)
        plan = sessions.Plan.of(api, sessions.FAN, subtasks={"middle": WIDTH})
        meter.taken()
        plan.start()
        Worker(app).drain()
    return Row(
        f"write units of an agent of 1 → {WIDTH} → 1",
        "–",
        f"{meter.taken().writes / WIDTH:.1f} WCU",
        "a whole session, shared out; counted, DynamoDB in memory",
    )


def _map(app: App, length: int, name: str) -> Row:
    over: dict[str, Any] = {"each": {"map": {"over": "list"}}}
    numbers = {"list": {"name": "numbers", "count": length}}
    with sessions.client(app) as api:
        plan = sessions.Plan.of(api, MAP, runtimes=numbers, more=over)
        seconds = plan.run(timeout=400)[1]
    return Row(
        f"a map over {length:,}, {name}",
        "completes",
        f"{seconds:.1f} s, {seconds / length * 1000:.1f} ms an element",
        "one run, the list's own agent included",
    )
