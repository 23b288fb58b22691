"""Sessions beside a slow one, and sessions that wait."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from statistics import median
from threading import Barrier, local
from typing import Any

from ai_coordination_engine.engine.app import App
from benchmarks import backends, sessions
from benchmarks.harness.api import Api, Worker
from benchmarks.meter import Meter
from benchmarks.table import Row

CLIENTS = 8
SESSIONS, SLOW, RUNS = 50, 3.0, 3
WAITING = 3.0
WAITS: dict[str, dict[str, Any]] = {
    "a person": {"more": {"b": {"userInTheLoop": "ann"}}},
    "a long job": {"runtimes": {"b": {"name": "job"}}},
    "a backoff": {"runtimes": {"b": {"name": "refused"}}},
}


def measure() -> Iterator[Row]:
    for name, backend in backends.offered().items():
        with backend() as made, backends.working(made) as app, sessions.client(app) as api:
            yield _slow(api, name)
    with backends.in_process() as made, sessions.client(made) as api:
        for what, special in WAITS.items():
            yield _wait(made, api, what, special)


def _started(plan: sessions.Plan, count: int) -> list[str]:
    """Start so many sessions from several clients concurrently; return their uuids."""
    mine, barrier = local(), Barrier(CLIENTS)

    def begin() -> None:
        mine.client = sessions.client(plan.api.app)
        mine.plan = sessions.Plan(mine.client.__enter__(), plan.coordination_uuid, plan.task_uuid)
        barrier.wait()

    def start(_: int) -> str:
        return str(mine.plan.start())

    with ThreadPoolExecutor(CLIENTS, initializer=begin) as pool:
        return list(pool.map(start, range(count)))


def _slow(api: Api, name: str) -> Row:
    graph = {"a": [], "b": ["a"]}
    plan = sessions.Plan.of(api, graph)
    slow = sessions.Plan.of(api, graph, runtimes={"a": {"seconds": SLOW}})
    plan.run()
    beside, alone, before = [], [], 0
    for _ in range(RUNS):
        slow_uuid = slow.start()
        ended, seconds = _run_all(plan, SESSIONS - 1)
        beside.append(seconds)
        later = slow.ended(slow_uuid)
        before += sum(each < later for each in ended)
        alone.append(_run_all(plan, SESSIONS - 1)[1])
    return Row(
        f"{SESSIONS - 1} sessions beside one with a slow agent ({SLOW:.0f} s), {name}",
        "not delayed: 1 ×",
        f"{median(beside) / median(alone):.2f} ×, {before} of {RUNS * (SESSIONS - 1)} end"
        " before it",
        f"{median(beside):.2f} s beside it, {median(alone):.2f} s without it, medians of {RUNS} in"
        " turn",
    )


def _run_all(plan: sessions.Plan, count: int) -> tuple[list[datetime], float]:
    """Return when each of so many sessions ended, and the seconds from first request to
    last end.
    """
    begun = plan.api.app.clock.now()
    ended = [plan.ended(each) for each in _started(plan, count)]
    return ended, (max(ended) - begun).total_seconds()


def _wait(app: App, api: Api, what: str, special: dict[str, Any]) -> Row:
    plan = sessions.Plan.of(api, {"a": [], "b": ["a"], "c": ["b"]}, **special)
    plan.start()
    Worker(app).drain()
    with _working(app) as meter:
        meter.taken()
        time.sleep(WAITING)
        taken = meter.taken()
    return Row(
        f"calls of a session that waits for {what}",
        "0",
        f"{taken.total}",
        f"in {WAITING:.0f} s of a running worker; its long poll of the queue, which all sessions"
        " share, is left out",
    )


@contextmanager
def _working(made: App) -> Iterator[Meter]:
    meter = Meter(made)
    with backends.working(made):
        yield meter
