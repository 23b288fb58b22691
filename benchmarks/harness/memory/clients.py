"""Answer clients of botocore from DynamoDB in memory, in place of an HTTP request."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

from benchmarks.harness.memory.database import Database
from benchmarks.harness.memory.requests import Refusal

_WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}

databases: list[Database] = []
"""The databases in use; clients call the last one."""


@contextmanager
def in_memory() -> Iterator[Database]:
    """Redirect all DynamoDB clients for AWS to a new in-memory database while the context is open.

    botocore emits its usual events before and after a call.
    """
    database = Database()
    made = BaseClient._make_api_call

    def make_api_call(client: Any, operation: str, request: dict[str, Any]) -> Any:
        meta = client.meta
        if meta.service_model.service_name != "dynamodb" or not meta.endpoint_url.endswith(
            ".amazonaws.com"
        ):
            return made(client, operation, request)
        return _answered(database, client, operation, request)

    databases.append(database)
    try:
        with patch.object(BaseClient, "_make_api_call", make_api_call):
            yield database
    finally:
        databases.remove(database)


def _answered(database: Database, client: Any, operation: str, request: dict[str, Any]) -> Any:
    """Perform a call with the events and the errors of botocore."""
    events, model = client.meta.events, client.meta.service_model.operation_model(operation)
    context: dict[str, Any] = {}
    events.emit(
        f"before-parameter-build.dynamodb.{operation}", params=request, model=model, context=context
    )
    _, instead = events.emit_until_response(
        f"before-call.dynamodb.{operation}",
        model=model,
        params=request,
        request_signer=None,
        context=context,
    )
    if instead is not None:
        status, parsed = instead[0].status_code, instead[1]
    else:
        status, parsed, repeats = _carried_out(database, operation, request)
        parsed["ResponseMetadata"] = {
            "HTTPStatusCode": status,
            "HTTPHeaders": {},
            "RetryAttempts": repeats,
        }
    http = SimpleNamespace(status_code=status)
    events.emit(
        f"after-call.dynamodb.{operation}",
        http_response=http,
        parsed=parsed,
        model=model,
        context=context,
    )
    if status >= 300:
        raise client.exceptions.from_code(parsed["Error"]["Code"])(parsed, operation)
    return parsed


def _carried_out(
    database: Database, operation: str, request: dict[str, Any]
) -> tuple[int, dict[str, Any], int]:
    """Return the status, the response to the last try, and the number of repetitions."""
    repeats = 0
    try:
        answer = database.call(operation, request)
        while operation in _WRITES and database.repeats(operation):
            repeats += 1
            answer = database.call(operation, request)
    except Refusal as refusal:
        return 400, refusal.answer, repeats
    return 200, answer, repeats
