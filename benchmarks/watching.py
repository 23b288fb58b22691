"""Count the AWS calls of one change of a session that people watch on AWS."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws import push_handler, socket_handler
from ai_coordination_engine.live_bootstrap import Live
from ai_coordination_engine.live_ports import Expire, Look
from ai_coordination_engine.store.connections import Connections
from ai_coordination_engine.store.models import Session
from benchmarks import backends, sessions
from benchmarks.harness.api import Worker
from benchmarks.harness.memory import databases
from benchmarks.table import Row

WATCHERS = 100
DOCUMENT = """subscription ($c: String!, $s: String!) {
  session(coordinationUuid: $c, sessionUuid: $s) { status sessionAgents { agentUuid state } }
}"""


class Posts:
    """Implements `live_ports.Sockets`: counts."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def send(self, connection: str, message: bytes) -> None:
        self.counts[connection] += 1

    def close(self, connection: str) -> None:
        self.counts.pop(connection, None)


class Reminders:
    """Implements `live_ports.Reminders`: counts."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, message: Look | Expire, delay: float = 0) -> None:
        self.sent += 1

    def read(self, body: str) -> Look | Expire:
        raise NotImplementedError


class Context:
    """The context of an invocation with half a minute left."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


def measure() -> Iterator[Row]:
    with backends.in_process() as app, sessions.client(app) as api, asyncio.Runner() as runner:
        plan = sessions.Plan.of(api, sessions.diamond())
        worker = Worker(app)
        unwatched = _step(app, plan, worker)
        session_uuid = plan.start()
        live = Live(
            app,
            Connections(_database(app), app.settings.table_prefix, app.clock),
            Posts(),
            Reminders(),
        )
        _watch(live, runner, {"c": plan.coordination_uuid, "s": session_uuid}, api.tenant)
        before = live.sockets.counts.copy()  # type: ignore[attr-defined]
        with _counting(app) as step:
            worker.drain()
        yield Row(
            f"calls that a session makes because {WATCHERS} people watch it on AWS",
            "0",
            str(step.total() - unwatched.total()),
            f"calls to DynamoDB of a DAG of 5 from its first step to its end: {step.total()}",
        )
        push: Any = push_handler.build_handler(live, runner)
        with _counting(app) as pushed:
            push({"Records": [_change(session_uuid)]}, Context())
        posts = live.sockets.counts - before  # type: ignore[attr-defined]
        yield Row(
            f"a change that {WATCHERS} connections watch on AWS: Queries for who watches",
            "≤ 2",
            str(pushed["Query who"]),
            "one for the session, one for the lists of the tenant",
        )
        yield Row(
            f"a change that {WATCHERS} connections watch on AWS: reads of what is watched",
            "–",
            str(sum(count for name, count in pushed.items() if name.endswith("what"))),
            "one execution for all who watch the same",
        )
        yield Row(
            f"a change that {WATCHERS} connections watch on AWS: posts a connection",
            "1",
            str(max(posts.values()) - 1),
            f"{len(posts)} connections; not counted: the message that tells the end; beside each"
            " post 2 small writes, a lease and what was sent",
        )


def _step(app: App, plan: sessions.Plan, worker: Worker) -> Counter[str]:
    """The calls of a session that nobody watches."""
    plan.start()
    with _counting(app) as counted:
        worker.drain()
    return counted


def _watch(live: Live, runner: asyncio.Runner, variables: Mapping[str, str], tenant: str) -> None:
    """Let connections subscribe."""
    for number in range(WATCHERS):
        connection = f"c{number}"
        live.connections.open(connection, None)
        live.connections.authenticate(connection, tenant, None)
        message = {
            "id": "1",
            "type": "subscribe",
            "payload": {"query": DOCUMENT, "variables": variables},
        }
        handler = socket_handler.build_handler(live, lambda path, headers: 200, runner)
        context = {"connectionId": connection, "routeKey": "$default"}
        handler({"requestContext": context, "body": json.dumps(message)}, None)


def _change(session_uuid: str) -> dict[str, Any]:
    """The record of the stream for a change of a session."""
    (table,) = [name for name in databases[-1].tables if name.endswith(Session.Meta.table_name)]
    (key,) = [key for key in databases[-1].tables[table].items if key[1] == session_uuid]
    names = Session.key_names()
    return {
        "eventSource": push_handler.STREAM,
        "eventSourceARN": f"arn:aws:dynamodb:us-east-1:1:table/{table}/stream/1",
        "dynamodb": {
            "Keys": {name: {"S": value} for name, value in zip(names, key, strict=True)},
            "SequenceNumber": "1",
        },
    }


def _database(app: App) -> Any:
    return next(iter(app.records.tables.values())).database


@contextmanager
def _counting(app: App) -> Iterator[Counter[str]]:
    """Count the calls to DynamoDB, those about who watches apart."""
    counted = Counter[str]()

    def count(model: Any, params: Mapping[str, Any], **_: Any) -> None:
        names = {params.get("TableName"), *params.get("RequestItems", ())}
        is_of_sockets = any(str(name).endswith("-connections") for name in names)
        counted[f"{model.name} {'who' if is_of_sockets else 'what'}"] += 1

    events = _database(app).client.meta.events
    events.register("before-parameter-build.dynamodb.*", count)
    try:
        yield counted
    finally:
        events.unregister("before-parameter-build.dynamodb.*", count)
