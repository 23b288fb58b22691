"""The tables and the operations that the store uses, called in place of botocore's HTTP request."""

import threading
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

from benchmarks.harness.memory.expressions import Invalid, condition, update
from benchmarks.harness.memory.values import Item, Stored, comparable

PAGE_BYTES = 1_048_576  # of a Query
ITEM_BYTES = 409_600
Key = tuple[Any, Any]


class Refusal(Exception):
    """An error response of the service."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = {"Error": {"Code": code, "Message": message}, "message": message, **more}


@dataclass
class Table:
    """The items of a table by key. Items are replaced, never modified, so that readers can keep
    them.
    """

    description: dict[str, Any]
    items: dict[Key, Stored] = field(default_factory=dict)
    ranges: dict[Any, list[Any]] = field(default_factory=lambda: defaultdict(list))
    # each item before its last change
    older: dict[Key, Stored | None] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, str]:
        return _names(self.description)

    def key_of(self, attributes: Mapping[str, Any]) -> Key:
        """Return the key of an item; raises `Invalid`."""
        hash_name, range_name = self.names
        if hash_name not in attributes or range_name not in attributes:
            raise Invalid("One of the required keys was not given a value")
        found = (attributes[hash_name], attributes[range_name])
        for each in found:
            if list(each) != ["S"]:
                raise Invalid("Type mismatch for key")
            if not each["S"]:
                raise Invalid("One or more parameter values are not valid: a key may not be empty")
        return found[0]["S"], found[1]["S"]

    def write(self, key: Key, item: Item | None) -> None:
        """Replace an item, or delete it when `item` is None."""
        before = self.items.get(key)
        self.older[key] = before
        if item is None:
            if before is not None:
                del self.items[key]
                self.ranges[key[0]].remove(key[1])
            return
        stored = Stored(item)
        if stored.size > ITEM_BYTES:
            raise Invalid("Item size has exceeded the maximum allowed size")
        self.items[key] = stored
        if before is None:
            insort(self.ranges[key[0]], key[1])

    def restore(self, key: Key, stored: Stored | None) -> None:
        """Put an item back as it was before its last change."""
        if self.items.get(key) is not stored:
            self.write(key, stored)

    def read(self, key: Key, *, lagging: bool) -> Stored | None:
        """Return an item; with `lagging`, as it was before its last change."""
        return self.older[key] if lagging and key in self.older else self.items.get(key)

    def index(self, name: str) -> dict[str, Any]:
        """Return the description of an index."""
        for each in self.description.get("GlobalSecondaryIndexes", ()):
            if each["IndexName"] == name:
                return dict(each)
        raise Invalid(f"The table does not have the specified index: {name}")


class Database:
    """The tables of an account. Operations are atomic, as in DynamoDB.

    Three functions decide per operation which faults occur: `leaves_over` whether a batch is left
    unfinished, `lags` whether an eventually consistent read is stale, `repeats` whether the
    response to a write is lost, so that the client repeats it.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.leaves_over: Callable[[], bool] = lambda: False
        self.lags: Callable[[], bool] = lambda: False
        self.repeats: Callable[[str], bool] = lambda operation: False
        self._lock = threading.RLock()
        self._tokens: set[str | None] = set()  # of the transactions that were carried out

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response to a request; raises `Refusal`."""
        carry_out = _OPERATIONS.get(operation)
        if carry_out is None:
            raise NotImplementedError(operation)
        with self._lock:
            try:
                return carry_out(self, request)
            except Invalid as error:
                raise Refusal("ValidationException", str(error)) from error

    def table(self, name: str) -> Table:
        """Return a table by its name; raises `Refusal`."""
        if name not in self.tables:
            raise Refusal("ResourceNotFoundException", "Requested resource not found")
        return self.tables[name]

    def clear(self) -> None:
        """Delete all items."""
        for table in self.tables.values():
            for kept in (table.items, table.ranges, table.older):
                kept.clear()

    # Tables

    def create_table(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["TableName"]
        if name in self.tables:
            raise Refusal("ResourceInUseException", f"Table already exists: {name}")
        self.tables[name] = Table(dict(request))
        return {"TableDescription": {**request, "TableStatus": "ACTIVE"}}

    def describe_table(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"Table": {**self.table(request["TableName"]).description, "TableStatus": "ACTIVE"}}

    # Items

    def get_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.table(request["TableName"])
        item = table.read(table.key_of(request["Key"]), lagging=self._lagging(request))
        return {} if item is None else {"Item": _projected(item, request)}

    def put_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.table(request["TableName"])
        key = table.key_of(request["Item"])
        old = table.items.get(key)
        _check(request, old)
        table.write(key, request["Item"])
        return _returned(request, old, None)

    def update_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.table(request["TableName"])
        key = table.key_of(request["Key"])
        old = table.items.get(key)
        _check(request, old)
        before = dict(request["Key"]) if old is None else old
        new = dict(before)
        names, values = _bound(request)
        if text := request.get("UpdateExpression"):
            update(text)(before, new, names, values)
        if any(new.get(name) != before[name] for name in table.names):
            raise Invalid("Cannot update attribute. This attribute is part of the key")
        table.write(key, new)
        return _returned(request, old, new)

    def delete_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.table(request["TableName"])
        key = table.key_of(request["Key"])
        old = table.items.get(key)
        _check(request, old)
        table.write(key, None)
        return _returned(request, old, None)

    # Batches

    def batch_get_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        answers: dict[str, list[Item]] = {}
        left: dict[str, Any] = {}
        tables = {name: self.table(name) for name in request["RequestItems"]}
        _check_batch(
            [
                (name, *tables[name].key_of(each))
                for name, wanted in request["RequestItems"].items()
                for each in wanted["Keys"]
            ],
            100,
        )
        for name, wanted in request["RequestItems"].items():
            table, keys = tables[name], wanted["Keys"]
            done = self._done(keys)
            lagging = self._lagging(wanted)
            found = (table.read(table.key_of(each), lagging=lagging) for each in keys[:done])
            answers[name] = [_projected(each, wanted) for each in found if each is not None]
            if done < len(keys):
                left[name] = {**wanted, "Keys": keys[done:]}
        return {"Responses": answers, "UnprocessedKeys": left}

    def batch_write_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        left: dict[str, Any] = {}
        for name, writes in request["RequestItems"].items():
            table = self.table(name)
            keys = [
                table.key_of(
                    each["PutRequest"]["Item"]
                    if "PutRequest" in each
                    else each["DeleteRequest"]["Key"]
                )
                for each in writes
            ]
            _check_batch(keys, 25)
            done = self._done(writes)
            for key, each in zip(keys[:done], writes, strict=False):
                table.write(key, each["PutRequest"]["Item"] if "PutRequest" in each else None)
            if done < len(writes):
                left[name] = writes[done:]
        return {"UnprocessedItems": left}

    # Transactions

    def transact_write_items(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """All of it or nothing; a repetition under the same token changes nothing."""
        token, parts = request.get("ClientRequestToken"), request["TransactItems"]
        if token is not None and token in self._tokens:
            return {}
        carry_out = {"Put": self.put_item, "Update": self.update_item, "Delete": self.delete_item}
        written = [(what, each) for part in parts for what, each in part.items()]
        keys = [_place(self.table(each["TableName"]), each) for _, each in written]
        _check_batch(keys, 100)
        before = {key: self.tables[key[0]].items.get(key[1:]) for key in keys}
        reasons = []
        for what, each in written:
            try:
                carry_out[what](each)
                reasons.append({"Code": "None"})
            except Refusal as refusal:
                code = refusal.answer["Error"]["Code"].removesuffix("Exception")
                reasons.append({**refusal.answer["Error"], "Code": code})
            except Invalid:
                self._restore(before)
                raise
        if any(each["Code"] != "None" for each in reasons):
            self._restore(before)
            raise Refusal(
                "TransactionCanceledException",
                "Transaction cancelled, please refer cancellation reasons for specific reasons",
                CancellationReasons=reasons,
            )
        self._tokens.add(token)
        return {}

    def _restore(self, before: Mapping[tuple[Any, ...], Stored | None]) -> None:
        for (name, *key), old in before.items():
            self.tables[name].restore((key[0], key[1]), old)

    def _done(self, asked: Sequence[Any]) -> int:
        return len(asked) // 2 if self.leaves_over() else len(asked)

    def _lagging(self, request: Mapping[str, Any]) -> bool:
        return not request.get("ConsistentRead") and self.lags()

    # Queries

    def query(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.table(request["TableName"])
        names, values = _bound(request)
        key_condition = condition(request["KeyConditionExpression"])
        candidates = self._candidates(
            table, request, lambda item: key_condition(item, names, values)
        )
        if not request.get("ScanIndexForward", True):
            candidates.reverse()
        start = request.get("ExclusiveStartKey")
        if start is not None:
            candidates = candidates[_after(candidates, start, request, table) :]
        page, last = _page(candidates, request.get("Limit"))
        if text := request.get("FilterExpression"):
            found = [each for each in page if condition(text)(each, names, values)]
        else:
            found = page
        answer: dict[str, Any] = {"Count": len(found), "ScannedCount": len(page)}
        if request.get("Select") != "COUNT":
            projection = (
                table.index(request["IndexName"])["Projection"] if "IndexName" in request else None
            )
            answer["Items"] = [
                _projected(_in_index(each, projection, request, table), request) for each in found
            ]
        if last:
            answer["LastEvaluatedKey"] = {
                name: page[-1][name] for name in _key_names(request, table)
            }
        return answer

    def _candidates(
        self, table: Table, request: Mapping[str, Any], meets_key: Callable[..., bool]
    ) -> list[Stored]:
        """Return the items that match the key condition, in the order of their range key."""
        lagging = self._lagging(request)
        if "IndexName" in request:
            if request.get("ConsistentRead"):
                raise Invalid("Consistent reads are not supported on global secondary indexes")
            hash_name, range_name = _names(table.index(request["IndexName"]))
            everything = (
                table.read(key, lagging=lagging)
                for key in {**table.items, **(table.older if lagging else {})}
            )
            inside = [
                each for each in everything if each and hash_name in each and range_name in each
            ]
            found = [each for each in inside if meets_key(each)]
            return sorted(
                found, key=lambda each: (comparable(each[range_name])[1], table.key_of(each))
            )
        hash_value = _hash_value(request, table.names[0])
        ranges = sorted({*table.ranges.get(hash_value, ()), *_gone(table, hash_value, lagging)})
        read = (table.read((hash_value, each), lagging=lagging) for each in ranges)
        return [each for each in read if each and meets_key(each)]


def _gone(table: Table, hash_value: str, lagging: bool) -> set[str]:
    return {key[1] for key in table.older if key[0] == hash_value} if lagging else set()


def _names(described: Mapping[str, Any]) -> tuple[str, str]:
    names = {each["KeyType"]: each["AttributeName"] for each in described["KeySchema"]}
    return names["HASH"], names["RANGE"]


def _hash_value(request: Mapping[str, Any], hash_name: str) -> str:
    """Return the value of the hash key in the key condition; PynamoDB writes it first."""
    names, values = _bound(request)
    one, operator, other = (
        request["KeyConditionExpression"].replace("(", " ").replace(")", " ").split()[:3]
    )
    if names.get(one, one) != hash_name or operator != "=":
        raise Invalid("Query condition missed key schema element")
    return str(values[other]["S"])


def _bound(request: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    return request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})


def _check(request: Mapping[str, Any], old: Item | None) -> None:
    text = request.get("ConditionExpression")
    if not text or condition(text)(old or {}, *_bound(request)):
        return
    shown = (
        {"Item": old}
        if old and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        else {}
    )
    raise Refusal("ConditionalCheckFailedException", "The conditional request failed", **shown)


def _place(table: Table, part: Mapping[str, Any]) -> tuple[Any, ...]:
    """Which item a part of a transaction writes."""
    return part["TableName"], *table.key_of(part.get("Item") or part["Key"])


def _check_batch(keys: Sequence[tuple[Any, ...]], most: int) -> None:
    if not 1 <= len(keys) <= most:
        raise Invalid(f"1 validation error detected: a batch has from 1 to {most} items")
    if len(set(keys)) < len(keys):
        raise Invalid("Provided list of item keys contains duplicates")


def _returned(request: Mapping[str, Any], old: Item | None, new: Item | None) -> dict[str, Any]:
    wanted = request.get("ReturnValues", "NONE")
    if wanted not in ("NONE", "ALL_OLD", "ALL_NEW"):
        raise NotImplementedError(wanted)
    shown = {"ALL_OLD": old, "ALL_NEW": new}.get(wanted)
    return {"Attributes": shown} if shown else {}


def _projected(item: Item, request: Mapping[str, Any]) -> Item:
    if "ProjectionExpression" not in request:
        return item
    names = request.get("ExpressionAttributeNames", {})
    wanted = [
        names.get(each.strip(), each.strip()) for each in request["ProjectionExpression"].split(",")
    ]
    return {name: item[name] for name in wanted if name in item}


def _in_index(
    item: Item, projection: Mapping[str, Any] | None, request: Mapping[str, Any], table: Table
) -> Item:
    if projection is None or projection["ProjectionType"] == "ALL":
        return item
    kept = {*_key_names(request, table), *projection.get("NonKeyAttributes", ())}
    return {name: value for name, value in item.items() if name in kept}


def _key_names(request: Mapping[str, Any], table: Table) -> list[str]:
    own = table.names
    return [
        *dict.fromkeys(
            [*own, *(_names(table.index(request["IndexName"])) if "IndexName" in request else ())]
        )
    ]


def _after(
    candidates: Sequence[Item], start: Mapping[str, Any], request: Mapping[str, Any], table: Table
) -> int:
    """Return the index of the first candidate after a key, whose item may have been deleted."""
    range_name = (
        _names(table.index(request["IndexName"]))[1] if "IndexName" in request else table.names[1]
    )
    own = table.names
    places = [
        (comparable(each[range_name])[1], each[own[0]]["S"], each[own[1]]["S"])
        for each in candidates
    ]
    place = (comparable(start[range_name])[1], start[own[0]]["S"], start[own[1]]["S"])
    if request.get("ScanIndexForward", True):
        return bisect_right(places, place)
    return len(places) - bisect_left(places[::-1], place)


def _page(candidates: list[Stored], limit: int | None) -> tuple[list[Stored], bool]:
    """Return the items of one page, and whether there are more."""
    page: list[Stored] = []
    total = 0
    for each in candidates:
        page.append(each)
        total += each.size
        if total >= PAGE_BYTES or len(page) == limit:
            break
    return page, len(page) < len(candidates)


_WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}
_OPERATIONS: dict[str, Callable[[Database, Mapping[str, Any]], dict[str, Any]]] = {
    "BatchGetItem": Database.batch_get_item,
    "BatchWriteItem": Database.batch_write_item,
    "CreateTable": Database.create_table,
    "DeleteItem": Database.delete_item,
    "DescribeTable": Database.describe_table,
    "GetItem": Database.get_item,
    "PutItem": Database.put_item,
    "Query": Database.query,
    "TransactWriteItems": Database.transact_write_items,
    "UpdateItem": Database.update_item,
}


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
