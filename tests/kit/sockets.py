"""WebSocket connections on an AWS in memory: the events of API Gateway, of the table streams and
of reminders, and what the clients receive.
"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from ai_coordination_engine import bootstrap
from ai_coordination_engine.adapters.sqs import SqsQueue
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws import push_handler, socket_handler
from ai_coordination_engine.errors import BadUserInput, Throttled
from ai_coordination_engine.live_bootstrap import Live
from ai_coordination_engine.live_ports import ConnectionGone, Expire, Look
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.connections import Connections
from benchmarks.harness.api import Api, Worker
from benchmarks.harness.memory import Database
from tests.kit.fakes import FakeClock, FakeNotices, Reach, _pass
from tests.kit.stage import OneByOne

STREAMS = ("sessions", "session_agents")
TABLE = "ace-connections"
Message = dict[str, Any]
ACK = {"type": "connection_ack"}


SESSION = """subscription ($c: String!, $s: String!) {
  session(coordinationUuid: $c, sessionUuid: $s) {
    sessionUuid status logs sessionAgents { sessionAgentUuid agentUuid state agentOutput }
  }
}"""
LIST = "subscription { sessionList(statuses: %s) { sessionList { sessionUuid status } } }"
INBOX = "subscription { userInbox { sessionAgentList { sessionAgentUuid } } }"


@dataclass
class FakeSockets:
    """Implements `live_ports.Sockets`: keeps what each client has received."""

    reach: Reach = _pass
    received: dict[str, list[Message]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    sizes: list[int] = field(default_factory=list)
    before: Callable[[str], None] = _pass

    def send(self, connection: str, message: bytes) -> None:
        self.reach("send")
        self.before(connection)
        if connection in self.gone:
            raise ConnectionGone(connection)
        if connection in self.slow:
            raise Throttled("the buffer of the client is full")
        self.sizes.append(len(message))
        self.received.setdefault(connection, []).append(json.loads(message))
        self.reach("sent")

    def close(self, connection: str) -> None:
        self.reach("close")
        self.gone.add(connection)
        self.reach("closed")


@dataclass
class FakeReminders:
    """Implements `live_ports.Reminders`: keeps the messages until the test delivers them."""

    reach: Reach = _pass
    sent: list[tuple[Look | Expire, float]] = field(default_factory=list)

    def send(self, message: Look | Expire, delay: float = 0) -> None:
        self.reach("remind")
        self.sent.append((message, delay))
        self.reach("reminded")

    def read(self, body: str) -> Look | Expire:
        if not body.isdecimal():
            raise BadUserInput("the message is not a reminder")
        return self.sent[int(body)][0]


class Context(LambdaContext):
    """The context of an invocation with half a minute left."""

    seconds = 30

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]
        return self.seconds * 1000


class Home:
    """One deployment: its two functions, and the database whose changes it streams."""

    def __init__(self, database: Database, runner: asyncio.Runner, **settings: Any) -> None:
        self.database, self.clock = database, FakeClock()
        made = Settings(auth="jwt", **settings)
        bootstrap.create_tables(made)
        app = bootstrap.build_app(bootstrap.create_queue_and_bucket(made))
        app.records.parallel = OneByOne()
        app.records.clock = self.clock
        self.app: App = replace(app, clock=self.clock)
        self._begun = count(1)
        dynamodb: Any = next(iter(app.records.tables.values())).database
        self.events = dynamodb.client.meta.events
        self.connections = Connections(dynamodb, made.table_prefix, self.clock)
        self._runner, self._numbers = runner, count(1)
        self.reset()

    def reset(self, **settings: Any) -> None:
        """Begin anew, without items and messages, with other settings of identities."""
        self.database.clear()
        sqs = bootstrap.client("sqs")  # a message of another test may be received or delayed
        url = sqs.create_queue(QueueName=f"ace-wake-{next(self._begun)}")["QueueUrl"]
        at = self.app.settings.model_copy(update={"queue_url": url})
        self.app = replace(self.app, queue=SqsQueue(sqs, url), settings=at)
        self.worker = Worker(self.app)
        self.database.lags = lambda: False
        self.database.__dict__.pop("call", None)
        self.clock.begin()
        self.sockets, self.reminders = FakeSockets(), FakeReminders()
        self.notices = FakeNotices()
        made = self.app.settings.model_copy(update={"socket_queue_url": "q", **settings})
        app = replace(self.app, settings=made, notices=self.notices)
        self.live = Live(app, self.connections, self.sockets, self.reminders)
        self.status, self.asked = 200, list[tuple[str, Mapping[str, str]]]()
        self._api = socket_handler.build_handler(self.live, self._ask, self._runner)
        self._push = push_handler.build_handler(self.live, self._runner)
        self._delivered = 0
        self._seen = self._items()

    def api(self, tenant: str) -> Api:
        """The GraphQL API for a tenant."""
        return Api(self.app, self._runner, tenant)

    def reaching(self, reach: Reach) -> None:
        """Call `reach` before and after each request that writes who watches, or sends."""
        self.sockets.reach = self.reminders.reach = reach
        call = Database.call

        def crossed(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
            names = {request.get("TableName"), *request.get("RequestItems", ())}
            if TABLE not in names or operation in ("Query", "GetItem"):
                return call(self.database, operation, request)
            reach(operation)
            answer = call(self.database, operation, request)
            reach(operation)
            return answer

        self.database.call = crossed  # type: ignore[method-assign]

    def _ask(self, path: str, headers: Mapping[str, str]) -> int:
        self.asked.append((path, dict(headers)))
        return self.status

    # Events of API Gateway

    def event(self, connection: str, route: str, **more: Any) -> dict[str, Any]:
        """Let the function of the WebSocket API answer an event."""
        kinds = {"$connect": "CONNECT", "$disconnect": "DISCONNECT"}
        context = {
            "routeKey": route,
            "eventType": kinds.get(route, "MESSAGE"),
            "connectionId": connection,
            "requestId": f"r{next(self._numbers)}",
            "stage": "graphql",
            "apiId": "api",
            "domainName": "api.execute-api.us-east-1.amazonaws.com",
            "identity": {"sourceIp": "127.0.0.1", **more.pop("identity", {})},
        }
        return self._api({"requestContext": context, "isBase64Encoded": False, **more}, None)

    def connect(self, connection: str = "c1", **more: Any) -> dict[str, Any]:
        headers = {"Sec-WebSocket-Protocol": "graphql-transport-ws", "Host": "api"}
        return self.event(connection, "$connect", headers=headers, **more)

    def send(self, message: Message | str, connection: str = "c1") -> list[Message]:
        """Send a message of a client and return what it has received since."""
        before = len(self.received(connection))
        body = message if isinstance(message, str) else json.dumps(message)
        assert self.event(connection, "$default", body=body) == {"statusCode": 200}
        return self.received(connection)[before:]

    def received(self, connection: str = "c1") -> list[Message]:
        return self.sockets.received.get(connection, [])

    def latest(self, connection: str = "c1", operation: str = "1") -> Any:
        """The data of the newest answer to an operation."""
        answers = [each for each in self.received(connection) if each.get("id") == operation]
        return [each for each in answers if each["type"] == "next"][-1]["payload"]["data"]

    # Streams and reminders

    def changes(self) -> list[dict[str, Any]]:
        """The records of the streams since the last call, an item once."""
        now, before = self._items(), self._seen
        self._seen = now
        changed = sorted(key for key in now | before if now.get(key) != before.get(key))
        return [self._record(*key) for key in changed]

    def push(self, records: list[dict[str, Any]] | None = None, seconds: int = 30) -> list[str]:
        """Deliver what has changed; return what is to be delivered again."""
        records = self.changes() if records is None else records
        return self._handled(records, seconds) if records else []

    def remind(self) -> list[str]:
        """Deliver the reminders that were sent until now, however late they are due; return those
        that are kept.
        """
        kept, end = list[str](), len(self.reminders.sent)
        while self._delivered < end:
            number, self._delivered = str(self._delivered), self._delivered + 1
            record = {"eventSource": "aws:sqs", "messageId": number, "body": number}
            kept += self._handled([record])
        return kept

    def _handled(self, records: list[dict[str, Any]], seconds: int = 30) -> list[str]:
        self.context = Context()
        self.context.seconds = seconds
        answer = self._push({"Records": records}, self.context)
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]

    def _items(self) -> dict[tuple[str, str, str], Any]:
        return {
            (name, *key): item
            for name in STREAMS
            for key, item in self.database.tables[f"ace-{name}"].items.items()
        }

    def _record(self, name: str, hash_value: str, range_value: str) -> dict[str, Any]:
        table = self.database.tables[f"ace-{name}"]
        keys = dict(zip(table.names, ({"S": hash_value}, {"S": range_value}), strict=True))
        return {
            "eventSource": "aws:dynamodb",
            "eventName": "MODIFY",
            "eventSourceARN": f"arn:aws:dynamodb:us-east-1:1:table/ace-{name}/stream/2026",
            "dynamodb": {
                "Keys": keys,
                "SequenceNumber": str(next(self._numbers)),
                "StreamViewType": "KEYS_ONLY",
            },
        }


def token(**claims: Any) -> str:
    """A token whose signature the HTTP API would check."""
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.sig"


def authenticated(home: Home, connection: str = "c1", tenant: str = "acme", **claims: Any) -> str:
    """Open a connection with a token for a tenant."""
    home.connect(connection)
    payload = {"Authorization": f"Bearer {token(tenant=tenant, **claims)}"}
    assert home.send({"type": "connection_init", "payload": payload}, connection) == [ACK]
    return connection


def started(
    home: Home, tenant: str = "acme", query: str = "hello", **action: Any
) -> dict[str, str]:
    """Start a session of the agents a and b, which waits for a; return its key."""
    api = home.api(tenant)
    made = api.data(
        """mutation ($agents: [JSONCamelCase]) {
          insertUpdateCoordination(agents: $agents, updatedBy: "me") {
            coordination { coordinationUuid } } }""",
        agents=[{"agentUuid": "a"}, {"agentUuid": "b"}],
    )
    coordination = made["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
    task = api.data(
        """mutation ($c: String!, $actions: JSONCamelCase, $text: String) {
          insertUpdateTask(coordinationUuid: $c, taskName: "t", initialTaskQuery: $text,
            agentActions: $actions, updatedBy: "me") { task { taskUuid } } }""",
        c=coordination,
        text=query,
        actions={"a": action, "b": {"predecessors": ["a"]}},
    )["insertUpdateTask"]["task"]["taskUuid"]
    session = api.data(
        """mutation ($c: String!, $t: String!) {
          executeProcedureTaskSession(coordinationUuid: $c, taskUuid: $t) {
            procedureTaskSession { sessionUuid } } }""",
        c=coordination,
        t=task,
    )["executeProcedureTaskSession"]["procedureTaskSession"]["sessionUuid"]
    return {"c": coordination, "s": session}


def subscribe(
    home: Home, query: str, connection: str = "c1", operation: str = "1", **variables: Any
) -> list[dict[str, Any]]:
    payload = {"query": query, "variables": variables}
    return home.send({"id": operation, "type": "subscribe", "payload": payload}, connection)


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in messages]


def stored(home: Home) -> list[tuple[str, str]]:
    return sorted(home.database.tables[TABLE].items)


@contextmanager
def counting(home: Home) -> Iterator[Counter[str]]:
    """Count the calls to DynamoDB, those about who watches and about what is watched apart."""
    counted = Counter[str]()

    def count(model: Any, params: Any, **_: Any) -> None:
        tables = {params.get("TableName"), *params.get("RequestItems", ())}
        counted[f"{model.name} {'who' if TABLE in tables else 'what'}"] += 1

    home.events.register("before-parameter-build.dynamodb.*", count)
    try:
        yield counted
    finally:
        home.events.unregister("before-parameter-build.dynamodb.*", count)
