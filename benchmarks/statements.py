"""Count what one more agent of a chain costs on an SQLite file: statements, commits, bytes, CPU.

The agents answer at once; one thread does all work, without HTTP.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from sqlite3 import Connection
from statistics import median
from typing import Any

from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.work import process_message
from benchmarks import backends, sessions
from benchmarks.table import Row

SHORT, LONG, RUNS = 10, 20, 7
HOW = f"chains of {LONG} and {SHORT}; one thread, without HTTP"


@dataclass
class Counted:
    """The statements by their first word, and the characters of those that write."""

    statements: Counter[str] = field(default_factory=Counter)
    written: int = 0

    def add(self, statement: str) -> None:
        word = statement.split(maxsplit=1)[0]
        self.statements[word] += 1
        if word in ("INSERT", "UPDATE"):
            self.written += len(statement)


def measure() -> Iterator[Row]:
    with backends.sqlite() as app, sessions.client(app) as api:
        plans = {count: sessions.Plan.of(api, sessions.chain(count)) for count in (SHORT, LONG)}
        step = one_more(app, plans[SHORT], plans[LONG])
        more = LONG - SHORT
        shown = " · ".join(f"{word} {step.statements[word] / more:g}" for word in WORDS)
        yield Row("statements of one more agent of a chain, sqlite", "–", shown, HOW)
        yield Row(
            "text of the statements that write, of one more agent, sqlite",
            "–",
            f"{step.written / more / 1000:.1f} KB",
            HOW,
        )
        yield Row(
            "CPU time of one more agent of a chain, sqlite",
            "–",
            f"{_cpu_seconds(app, plans) / more * 1e6:.0f} µs",
            f"{HOW}; median of {RUNS}, synced",
        )


WORDS = ("COMMIT", "SELECT", "INSERT", "UPDATE", "DELETE")


def one_more(app: App, short: sessions.Plan, long: sessions.Plan) -> Counted:
    """Return what the agents of a longer session take that those of a shorter one do not."""
    for plan in (short, long):  # the first ones make connections
        plan.start()
        drain(app)
    found = []
    for plan in (short, long):
        plan.start()
        with counting(app) as counted:
            drain(app)
        found.append(counted)
    fewer, more = found
    more.statements.subtract(fewer.statements)
    more.written -= fewer.written
    return more


def drain(app: App) -> None:
    """Process messages until none is visible."""
    queue: Any = app.queue
    while messages := queue.receive(10, wait=False):
        for message in messages:
            process_message(app, queue.read(message["Body"]))
            queue.delete(message["ReceiptHandle"])


@contextmanager
def counting(app: App) -> Iterator[Counted]:
    """Count the statements of all connections to the file of an application."""
    counted = Counted()
    connections = _connections(app)
    for each in connections:
        each.set_trace_callback(counted.add)
    yield counted
    for each in connections:
        each.set_trace_callback(None)


def _connections(app: App) -> list[Connection]:
    database: Any = next(iter(app.records.tables.values())).database
    file: DatabaseFile = database._file
    return [file._writer, *file._readers]


def _cpu_seconds(app: App, plans: dict[int, sessions.Plan]) -> float:
    """Return the median of what the longer chain takes more, each time after the shorter one."""
    found = []
    for _ in range(RUNS):
        taken = {}
        for count, plan in plans.items():
            plan.start()
            begun = time.process_time()
            drain(app)
            taken[count] = time.process_time() - begun
        found.append(taken[LONG] - taken[SHORT])
    return median(found)
