"""Compare DynamoDB in memory with moto and DynamoDB Local on all that the engine asks.

Random operations are compared with DynamoDB Local only, because moto treats a missing attribute as
null.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from ai_coordination_engine import bootstrap
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.records.guards import delete
from benchmarks.harness.memory import Database
from benchmarks.harness.memory.requests import Refusal
from tests.kit.controls import cancel, fork_from, pause, rerun, resume, retry, sweep_after
from tests.kit.dynamodb_local import Store
from tests.kit.promises import check_promises
from tests.kit.shapes import SHAPES, work
from tests.kit.stage import TENANT, Stage, stage_of

KEYS = ("h", "r")
WORDS = ["", "a", "ab", "b"]


def told(value: Any) -> Any:
    """Return a value that is equal to another when both mean the same: sets are unordered, 1.0 is
    1.
    """
    if isinstance(value, Mapping):
        if set(value) == {"N"}:
            return ("N", Decimal(value["N"]))
        if len(value) == 1 and next(iter(value)) in ("SS", "NS", "BS"):
            ((kind, inner),) = value.items()
            return (kind, {Decimal(each) if kind == "NS" else each for each in inner})
        return {name: told(each) for name, each in value.items()}
    return [told(each) for each in value] if isinstance(value, list) else value


def answered(request: Mapping[str, Any], call: Callable[[], Mapping[str, Any]]) -> Any:
    """Return what is compared of a response: all but error messages and consumed capacity.

    When a page is full, whether there is a key to continue from is not compared either.
    """
    try:
        found = dict(call())
    except Refusal as refusal:
        return refusal.answer["Error"]["Code"], told(refusal.answer.get("Item"))
    except ClientError as error:
        response: Any = error.response
        return response["Error"]["Code"], told(response.get("Item"))
    for name in (
        "ResponseMetadata",
        "ConsumedCapacity",
        "ItemCollectionMetrics",
        "TableDescription",
    ):
        found.pop(name, None)
    if found.get("ScannedCount") == request.get("Limit"):
        found.pop("LastEvaluatedKey", None)
    if "Responses" in found:
        found["Responses"] = {
            name: sorted(map(repr, map(told, each))) for name, each in found["Responses"].items()
        }
    return told(found)


@contextmanager
def beside_memory() -> Iterator[list[str]]:
    """Make every DynamoDB request in memory as well and compare the responses; yield the
    operations.
    """
    database, made, operations = Database(), BaseClient._make_api_call, list[str]()

    def both(client: Any, operation: str, request: dict[str, Any]) -> Any:
        if client.meta.service_model.service_name != "dynamodb" or operation == "DescribeTable":
            return made(client, operation, request)
        operations.append(operation)
        mine = answered(request, lambda: database.call(operation, request))
        try:
            found = made(client, operation, request)
        except ClientError as error:
            refused = error
            assert mine == answered(request, lambda: _raise(refused)), f"{operation} {request}"
            raise
        assert mine == answered(request, lambda: found), f"{operation} {request}"
        return found

    with patch.object(BaseClient, "_make_api_call", both):
        yield operations


def _raise(error: Exception) -> Any:
    raise error


@pytest.fixture
def beside(emulated: Store) -> Iterator[tuple[Stage, list[str]]]:
    """A stage on an emulator whose responses are all compared."""
    with beside_memory() as operations:
        settings = emulated.app.settings.model_copy(
            update={"table_prefix": f"{emulated.app.settings.table_prefix}-beside"}
        )
        bootstrap.create_tables(settings)
        yield stage_of(bootstrap.build_app(settings)), operations


def test_what_the_engine_asks_is_answered_alike(beside: tuple[Stage, list[str]]) -> None:
    stage, operations = beside
    for shape in SHAPES.values():
        stage.renew(behaviours=shape.behaviours)
        names = stage.define(
            shape.graph, actions=shape.actions, agents=shape.agents, on_failure=shape.on_failure
        )
        session = stage.start(names)
        work(stage, session)
        check_promises(stage, session, status=shape.status, states=shape.states)
    stage.renew()
    session = stage.start(stage.define({"a": "", "b": "a", "c": "a"}))
    pause(stage, session)
    resume(stage, session)
    stage.drain()
    for change in (
        lambda: cancel(stage, rerun(stage, session, "b")),
        lambda: retry(stage, session),
    ):
        change()
        stage.drain()
    fork_from(stage, session, "b")
    sweep_after(stage, 1000)
    stage.drain()
    agent = stage.agent(session.session_uuid, "b")
    delete(stage.app.records, SESSION_AGENT, TENANT, (agent.session_uuid, agent.session_agent_uuid))
    expected = {
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "UpdateItem",
    }
    assert expected <= set(operations)


# Random operations


class Requests:
    """Random requests on a few items of a table with an index."""

    def __init__(self, table: str, seed: int) -> None:
        self.table = table
        self._random = Random(seed)
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def one(self) -> tuple[str, dict[str, Any]]:
        """Return a random operation and its request."""
        self._names, self._values = {}, {}
        operation = self._random.choice(
            ["PutItem", "UpdateItem", "UpdateItem", "UpdateItem", "DeleteItem", "Query", "GetItem"]
        )
        request: dict[str, Any] = {"TableName": self.table}
        if operation == "Query":
            request |= self._query()
        elif operation == "PutItem":
            request["Item"] = {
                **self._key(),
                **{name: self._value(name) for name in self._some("nmsugf")},
            }
        else:
            request["Key"] = self._key()
        if operation == "UpdateItem":
            request |= {"UpdateExpression": self._update(), "ReturnValues": "ALL_NEW"}
        elif operation in ("PutItem", "DeleteItem"):
            request["ReturnValues"] = self._random.choice(["ALL_OLD", "NONE"])
        if operation in ("PutItem", "UpdateItem", "DeleteItem") and self._random.random() < 0.8:
            request["ConditionExpression"] = self._condition(2)
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if operation != "GetItem":
            request |= {"ExpressionAttributeNames": self._names} if self._names else {}
            request |= {"ExpressionAttributeValues": self._values} if self._values else {}
        return operation, request

    def _query(self) -> dict[str, Any]:
        forward = {"ScanIndexForward": self._random.random() < 0.5}
        more: dict[str, Any] = (
            {"Limit": self._random.randint(1, 9)} if self._random.random() < 0.5 else {}
        )
        if self._random.random() < 0.3:
            more["FilterExpression"] = self._condition(1, "n")
        if self._random.random() < 0.3:
            more["Select"] = "COUNT"
        if self._random.random() < 0.4:
            known = {
                "IndexName": "by_g",
                "KeyConditionExpression": f"{self._name('g')} = {self._bind({'S': 'a'})}",
            }
            return {**known, **forward, **more}
        text = f"{self._name('h')} = {self._bind({'S': 'h1'})}"
        if self._random.random() < 0.5:
            text = (
                f"({text} AND {self._name('r')} {self._random.choice(['>', '<='])}"
                f" {self._bind({'S': 'r2'})})"
            )
        return {"KeyConditionExpression": text, "ConsistentRead": True, **forward, **more}

    def _key(self) -> dict[str, Any]:
        return {
            "h": {"S": f"h{self._random.randint(1, 2)}"},
            "r": {"S": f"r{self._random.randint(1, 4)}"},
        }

    def _some(self, names: str) -> list[str]:
        return [name for name in names if self._random.random() < 0.6]

    def _value(self, name: str) -> dict[str, Any]:
        random = self._random
        if name in "nm":
            return {"N": random.choice(["0", "1", "2", "10", "-1", "1.5"])}
        if name == "u":
            return {"NS": random.sample(["0", "1", "2", "3"], random.randint(1, 3))}
        if name == "f":
            return random.choice(
                [{"BOOL": True}, {"BOOL": False}, {"NULL": True}, {"L": [{"S": "a"}]}]
            )
        return {"S": random.choice(WORDS[1:] if name == "g" else WORDS)}

    def _name(self, name: str) -> str:
        self._names[f"#{name}"] = name
        return f"#{name}"

    def _bind(self, value: dict[str, Any]) -> str:
        self._values[f":{len(self._values)}"] = value
        return f":{len(self._values) - 1}"

    def _condition(self, depth: int, among: str = "nmsugf") -> str:
        random = self._random
        if depth and random.random() < 0.6:
            parts = [self._condition(depth - 1, among) for _ in range(2)]
            joined = f"({random.choice([' AND ', ' OR ']).join(parts)})"
            return f"(NOT {joined})" if random.random() < 0.3 else joined
        name = random.choice(among)
        path = self._name(name)
        kind = random.choice(["exists", "compare", "compare", "between", "in", "special"])
        if kind == "exists":
            return f"attribute_{random.choice(['', 'not_'])}exists ({path})"
        if kind == "between" and name in "nms":
            low, high = sorted(
                (self._value(name) for _ in range(2)), key=lambda each: Decimal(each.get("N", 0))
            )
            if "S" in low:
                low, high = {"S": "a"}, {"S": "ab"}
            return f"{path} BETWEEN {self._bind(low)} AND {self._bind(high)}"
        if kind == "in":
            return f"{path} IN ({self._bind(self._value(name))}, {self._bind(self._value(name))})"
        if kind == "special" and name in "us":
            value = {"N": "1"} if name == "u" else {"S": "a"}
            return f"contains ({path}, {self._bind(value)})"
        if name in "ugf":
            return f"{path} {random.choice(['=', '<>'])} {self._bind(self._value(name))}"
        other = (
            self._name("m")
            if name == "n" and among != "n" and random.random() < 0.3
            else self._bind(self._value(name))
        )
        return f"{path} {random.choice(['=', '<>', '<', '<=', '>', '>='])} {other}"

    def _update(self) -> str:
        clauses: dict[str, list[str]] = {}
        for name in self._some("nmsugf") or ["n"]:
            path = self._name(name)
            clause = self._random.choice(
                [
                    "SET",
                    "REMOVE",
                    "ADD" if name in "nmu" else "SET",
                    "DELETE" if name == "u" else "SET",
                ]
            )
            if clause == "REMOVE":
                text = path
            elif clause in ("ADD", "DELETE"):
                text = f"{path} {self._bind(self._value(name))}"
            else:
                text = f"{path} = {self._set(name, path)}"
            clauses.setdefault(clause, []).append(text)
        return " ".join(f"{clause} {', '.join(parts)}" for clause, parts in clauses.items())

    def _set(self, name: str, path: str) -> str:
        value = self._bind(self._value(name))
        if self._random.random() < 0.3:
            return f"if_not_exists ({path}, {value})"
        if name in "nm" and self._random.random() < 0.5:
            return f"{path} {self._random.choice('+-')} {value}"
        return value


def table_of_two_keys(client: Any, name: str) -> None:
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in "hrg"],
        KeySchema=[
            {"AttributeName": "h", "KeyType": "HASH"},
            {"AttributeName": "r", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_g",
                "KeySchema": [
                    {"AttributeName": "g", "KeyType": "HASH"},
                    {"AttributeName": "r", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n"]},
            }
        ],
    )


@pytest.mark.dynamodb_local
@pytest.mark.parametrize("seed", range(6))
def test_random_operations_are_answered_alike(
    dynamodb_local: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_local)
    client: Any = bootstrap.connect().client
    with beside_memory() as operations:
        name = f"random-{seed}"
        table_of_two_keys(client, name)
        requests = Requests(name, seed)
        for _ in range(150):
            operation, request = requests.one()
            try:
                client._make_api_call(operation, request)
            except ClientError as error:
                assert error.response["Error"]["Code"] in (
                    "ConditionalCheckFailedException",
                    "ValidationException",
                )
    assert set(operations) > {"PutItem", "UpdateItem", "DeleteItem", "Query", "GetItem"}
