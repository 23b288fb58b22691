"""Measure the cost of one more agent in a chain: write units, requests, round trips, and money.

Prices are those of us-east-1 as published in 2026 on the pages "Amazon DynamoDB pricing" (on-demand
capacity, table class Standard), "Amazon SQS pricing" (standard queues) and "AWS Lambda pricing"
(arm64), without free tiers.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws.worker_handler import build_handler
from ai_coordination_engine.store.models import MODELS
from benchmarks import backends, functions, sessions
from benchmarks.harness.api import Api, Worker
from benchmarks.meter import Meter, Taken
from benchmarks.table import Row

WRITE, READ, REQUEST = 0.625, 0.125, 0.40  # USD a million, of DynamoDB and SQS
INVOCATION, GB_SECOND = 0.20, 0.0000133334  # USD a million, USD; of Lambda
# MB; at 1,769 MB a function has one vCPU ("Lambda quotas", "Configure memory")
MEMORY, ONE_CPU = 1024, 1769
SHORT, LONG, PAYLOAD, RUNS = 10, 20, 1000, 5
PRICES = (
    "0.625/0.125 USD a million write/read units, SQS 0.40, Lambda arm64 0.20 and 13.3334 a million"
    " GB-s"
)


def measure() -> Iterator[Row]:
    name, backend = backends.emulated()
    with backend() as app, sessions.client(app) as api:
        chains = {length: _chain(app, length) for length in (SHORT, LONG)}
        meter, worker = Meter(app), LambdaWorker(app)
        took = {
            length: worker.whole(plan_of(api, chain), meter) for length, chain in chains.items()
        }
        more, step = LONG - SHORT, _difference(took[LONG].taken, took[SHORT].taken)
        requests = sum(step.calls[each] for each in SQS) / more
        yield Row(
            "write units of one more agent of a chain, 1 KB payloads",
            "≤ 5 WCU",
            f"{step.writes / more:.1f} WCU",
            f"whole sessions of {LONG} and {SHORT}, the agent's first write and the run's copy of"
            f" its output (1 WCU) included; {step.reads / more:.1f} RCU",
        )
        yield Row(
            "SQS requests of one more agent of a chain", "≤ 0.5", f"{requests:.1f}", "likewise"
        )
        yield from _prices(step, more, requests, took[LONG], worker.durations(api, chains), name)
        yield _round_trips(app, api, chains[LONG], worker)


SQS = ("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch")


def plan_of(api: Api, graph: sessions.Graph) -> sessions.Plan:
    """Create a task whose agents answer with a payload at once."""
    return sessions.Plan.of(api, graph, size=PAYLOAD)


def _chain(app: App, length: int) -> sessions.Graph:
    """Return a chain of agents with uuids like those of the server."""
    names = [new_uuid(app.clock.now()) for _ in range(length)]
    return {name: names[number - 1 : number] if number else [] for number, name in enumerate(names)}


@dataclass(frozen=True)
class Took:
    """The calls and invocations of a session, from the request that starts it to its end."""

    taken: Taken
    invocations: int


class Context:
    """The context of an invocation with fifteen minutes left."""

    function_name = "worker"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


class LambdaWorker:
    """Calls the worker's Lambda handler with each message of the queue."""

    def __init__(self, app: App) -> None:
        self._worker = Worker(app)
        self._handler: Any = build_handler(app)
        self.seconds: list[tuple[float, float]] = []  # wall time and CPU time of each invocation

    def drain(self) -> int:
        """Process messages until the queue is empty; return the number of invocations."""
        invocations = 0
        while messages := self._worker.receive():
            for message in messages:
                begun = time.perf_counter(), time.process_time()
                answer = self._handler({"Records": [_record(message)]}, Context())
                self.seconds.append(
                    (time.perf_counter() - begun[0], time.process_time() - begun[1])
                )
                if answer["batchItemFailures"]:
                    raise RuntimeError("a message was kept")
                self._worker.delete(message)
                invocations += 1
        return invocations

    def whole(self, plan: sessions.Plan, meter: Meter) -> Took:
        """Run one session; each invocation counts one receive and one delete."""
        meter.taken()
        plan.start()
        invocations = self.drain()
        taken = meter.taken()
        taken.calls.update({"ReceiveMessage": invocations, "DeleteMessage": invocations})
        return Took(taken, invocations)

    def durations(self, api: Api, chains: dict[int, sessions.Graph]) -> list[tuple[float, float]]:
        """Return wall time and CPU time of one more agent that does nothing, several times."""
        plans = {length: sessions.Plan.of(api, chain) for length, chain in chains.items()}
        found = []
        for _ in range(RUNS):
            seconds: dict[int, tuple[float, float]] = {}
            for length, plan in plans.items():
                plan.start()
                self.drain()
                seconds[length] = self.seconds[-1]
            wall, cpu = (
                (long - short) / (LONG - SHORT)
                for long, short in zip(seconds[LONG], seconds[SHORT], strict=True)
            )
            found.append((wall, cpu))
        return found


def _record(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs",
    }


def _difference(long: Taken, short: Taken) -> Taken:
    calls = long.calls.copy()
    calls.subtract(short.calls)
    return Taken(calls, long.reads - short.reads, long.writes - short.writes)


def _prices(
    step: Taken,
    more: int,
    requests: float,
    session: Took,
    durations: list[tuple[float, float]],
    name: str,
) -> Iterator[Row]:
    wall, cpu = (median(each[clock] for each in durations) for clock in (0, 1))
    billed = max(wall - cpu, 0) + cpu * ONE_CPU / MEMORY
    compute = billed * MEMORY / 1024 * GB_SECOND * 1e6
    own = (step.writes * WRITE + step.reads * READ) / more + requests * REQUEST + compute
    taken = session.taken
    every = (
        taken.writes * WRITE + taken.reads * READ + sum(taken.calls[each] for each in SQS) * REQUEST
    ) / LONG
    every += compute + session.invocations * INVOCATION / LONG
    how = (
        f"{PRICES}; worker handler {billed * 1000:.0f} ms a step at 1 GB: {cpu * 1000:.1f} ms of"
        f" CPU (× 1.73, its share of a CPU) and {max(wall - cpu, 0) * 1000:.1f} ms of waiting, on"
        f" {name}"
    )
    yield Row("price of a million agent steps", "≤ 5 USD", f"{own:.2f} USD", how)
    yield Row(
        f"likewise, a whole session of {LONG} shared out",
        "–",
        f"{every:.2f} USD",
        "with the start of the session, its message and its invocation",
    )


def _round_trips(app: App, api: Api, chain: sessions.Graph, worker: LambdaWorker) -> Row:
    plan = plan_of(api, chain)
    with _calls(app) as calls:
        session_uuid = plan.start()
        worker.drain()
    counts = []
    for agent, before in chain.items():
        for each in before:
            gap = functions.ended[session_uuid, each], functions.started[session_uuid, agent]
            counts.append(_batches([call for call in calls if gap[0] <= call[0] <= gap[1]]))
    return Row(
        "DynamoDB round trips, one after the other, from an agent's end to its successor's start",
        "≤ 3",
        f"{max(counts)}",
        f"the most of {len(counts)} in a chain of {LONG}, median {median(counts):g}; calls at the"
        " same time are one",
    )


@contextmanager
def _calls(app: App) -> Iterator[list[tuple[float, float]]]:
    """Yield a list that fills with the beginning and the end of each DynamoDB call."""
    calls: list[tuple[float, float]] = []
    client: Any = app.records.tables[MODELS[0]].database.client

    def begin(context: dict[str, Any], **_: Any) -> None:
        context["benchmarks.begun"] = time.perf_counter()

    def end(context: dict[str, Any], **_: Any) -> None:
        calls.append((context["benchmarks.begun"], time.perf_counter()))

    client.meta.events.register("before-call.dynamodb", begin)
    client.meta.events.register("after-call.dynamodb", end)
    try:
        yield calls
    finally:
        client.meta.events.unregister("before-call.dynamodb", begin)
        client.meta.events.unregister("after-call.dynamodb", end)


def _batches(calls: list[tuple[float, float]]) -> int:
    """Return the number of sequential calls; calls that overlap count once."""
    batches, busy_until = 0, 0.0
    for begun, ended in sorted(calls):
        if begun >= busy_until:
            batches += 1
        busy_until = max(busy_until, ended)
    return batches
