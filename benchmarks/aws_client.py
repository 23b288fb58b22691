"""Measure the CPU time of one call of DynamoDB and SQS, in botocore's client and in the lean one.

A stand-in in another process answers; the client's process alone is measured.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ai_coordination_engine import bootstrap
from ai_coordination_engine.settings import ClientKind
from benchmarks.backends import isolated
from benchmarks.harness.canned import ITEM, KEY
from benchmarks.table import Row, number

CALLS, REPEATS = 100, 5
_NAMES = {f"#{each}": f"attribute_{each}" for each in range(6)}
_VALUES = {f":{each}": {"S": "value"} for each in range(6)}
_TABLE = {"TableName": "ace-session_agents", "ReturnConsumedCapacity": "TOTAL"}
REQUESTS: dict[str, dict[str, Any]] = {
    "GetItem": {**_TABLE, "Key": KEY, "ConsistentRead": True},
    "UpdateItem": {
        **_TABLE,
        "Key": KEY,
        "UpdateExpression": "SET #0 = :0, #1 = :1, #2 = :2 REMOVE #3 ADD #4 :3",
        "ConditionExpression": "#0 = :4 AND #5 = :5",
        "ExpressionAttributeNames": _NAMES,
        "ExpressionAttributeValues": _VALUES,
        "ReturnValues": "ALL_NEW",
    },
    "Query": {
        **_TABLE,
        "KeyConditionExpression": "#0 = :0",
        "ExpressionAttributeNames": {"#0": "session_uuid"},
        "ExpressionAttributeValues": {":0": {"S": "s"}},
    },
    "TransactWriteItems": {
        "TransactItems": [{"Put": {"TableName": "ace-tasks", "Item": ITEM}}] * 2,
        "ClientRequestToken": "token",
    },
    "SendMessageBatch": {"QueueUrl": "q", "Entries": [{"Id": "0", "MessageBody": "b" * 150}]},
    "ReceiveMessage": {"QueueUrl": "q", "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1},
}


def measure() -> Iterator[Row]:
    with _stand_in() as url, isolated(url):
        kinds: tuple[ClientKind, ...] = ("botocore", "lean")
        clients = {kind: _client(kind) for kind in kinds}
        for operation, request in REQUESTS.items():
            taken: dict[ClientKind, list[float]] = {kind: [] for kind in clients}
            for _ in range(REPEATS):
                for kind, call in clients.items():
                    taken[kind].append(_microseconds(partial(call, operation, request)))
            botocore, lean = min(taken["botocore"]), min(taken["lean"])
            yield Row(
                f"CPU of one {operation}: botocore · lean client",
                "≥ 2 ×",
                f"{number(botocore)} · {number(lean)} µs ({botocore / lean:.1f} ×)",
                f"this process alone; least of {REPEATS} × {CALLS} calls, in turn",
            )


@contextmanager
def _stand_in() -> Iterator[str]:
    """Yield the URL of a stand-in for AWS in another process, which ends with the context."""
    command = [sys.executable, "-m", "benchmarks.harness.canned"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def _client(kind: ClientKind) -> Callable[[str, dict[str, Any]], Any]:
    """Return what calls an operation of DynamoDB or SQS, as the store does."""
    database, queue = bootstrap.connect(kind).client, bootstrap.client("sqs", kind=kind)

    def call(operation: str, request: dict[str, Any]) -> Any:
        client = queue if "Message" in operation else database
        return client._make_api_call(operation, request)

    return call


def _microseconds(call: Callable[[], Any]) -> float:
    begun = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - begun) / CALLS * 1e6
