"""The operations of DynamoDB that the store uses, on tables in memory."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.harness.memory import queries
from benchmarks.harness.memory.expressions import Invalid, update
from benchmarks.harness.memory.requests import (
    Refusal,
    bound,
    check,
    check_batch,
    place,
    projected,
    returned,
)
from benchmarks.harness.memory.table import Table
from benchmarks.harness.memory.values import Item, Stored


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
        return {} if item is None else {"Item": projected(item, request)}

    def put_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.table(request["TableName"])
        key = table.key_of(request["Item"])
        old = table.items.get(key)
        check(request, old)
        table.write(key, request["Item"])
        return returned(request, old, None)

    def update_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.table(request["TableName"])
        key = table.key_of(request["Key"])
        old = table.items.get(key)
        check(request, old)
        before = dict(request["Key"]) if old is None else old
        new = dict(before)
        names, values = bound(request)
        if text := request.get("UpdateExpression"):
            update(text)(before, new, names, values)
        if any(new.get(name) != before[name] for name in table.names):
            raise Invalid("Cannot update attribute. This attribute is part of the key")
        table.write(key, new)
        return returned(request, old, new)

    def delete_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        table = self.table(request["TableName"])
        key = table.key_of(request["Key"])
        old = table.items.get(key)
        check(request, old)
        table.write(key, None)
        return returned(request, old, None)

    # Batches

    def batch_get_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        answers: dict[str, list[Item]] = {}
        left: dict[str, Any] = {}
        tables = {name: self.table(name) for name in request["RequestItems"]}
        check_batch(
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
            answers[name] = [projected(each, wanted) for each in found if each is not None]
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
            check_batch(keys, 25)
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
        keys = [place(self.table(each["TableName"]), each) for _, each in written]
        check_batch(keys, 100)
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
        return queries.query(table, request, lagging=self._lagging(request))


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
