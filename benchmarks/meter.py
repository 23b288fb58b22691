"""Counts AWS calls and the DynamoDB capacity that they consume.

The emulators do not report capacity as AWS does, so it is computed from what goes over the wire, by the rules of the
"Amazon DynamoDB Developer Guide" ("Read and write operations", "Item sizes and formats").
"""

import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import MODELS

READ_UNIT = 4096
WRITE_UNIT = 1024
_PARAMETERS = "benchmarks.parameters"

Item = Mapping[str, Mapping[str, Any]]


@dataclass
class Taken:
    """What was counted: calls by operation, read and write units, index writes included."""

    calls: Counter[str] = field(default_factory=Counter)
    reads: float = 0
    writes: int = 0

    @property
    def total(self) -> int:
        return self.calls.total()

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(self.calls + other.calls, self.reads + other.reads, self.writes + other.writes)

    def __str__(self) -> str:
        calls = ", ".join(f"{count} {name}" for name, count in sorted(self.calls.items()))
        return f"{calls}; {self.reads:g} RCU + {self.writes} WCU"


class Meter:
    """Counts every call of the clients that it is attached to. Thread-safe."""

    def __init__(self, app: App, *clients: Any) -> None:
        self._lock = threading.Lock()
        self._now = Taken()
        self._sizes: dict[tuple[str, str, str], int] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self._indexes: dict[str, list[str]] = {}
        for model in MODELS:
            table = app.records.tables[model]
            self._keys[table.name] = (table.hash_key, table.range_key)
            indexes = model._get_schema()["global_secondary_indexes"]
            self._indexes[table.name] = [key["AttributeName"] for index in indexes for key in index["key_schema"]]
        connection = app.records.tables[MODELS[0]]._connection
        for each in (connection.client, app.queue._client, *clients):  # type: ignore[attr-defined]
            each.meta.events.register("before-parameter-build.*.*", self._before)
            each.meta.events.register("after-call.*.*", self._after)

    def taken(self) -> Taken:
        """What was counted since the last time."""
        with self._lock:
            now, self._now = self._now, Taken()
        return now

    def _before(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context[_PARAMETERS] = params

    def _after(self, model: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        with self._lock:
            self._count(model.name, context[_PARAMETERS], parsed)

    def _count(self, operation: str, parameters: dict[str, Any], parsed: dict[str, Any]) -> None:
        self._now.calls[operation] += 1
        if operation == "BatchWriteItem":
            for table, writes in parameters["RequestItems"].items():
                for write in writes:
                    self._write(table, write["PutRequest"]["Item"])
        elif operation in {"PutItem", "UpdateItem", "DeleteItem"}:
            refused = "Error" in parsed
            after = parsed.get("Item") if refused else parsed.get("Attributes") or parameters.get("Item")
            self._write(parameters["TableName"], after or {}, refused=refused)
        elif operation in {"GetItem", "BatchGetItem", "Query"}:
            self._now.reads += _read_units(parameters, parsed)

    def _write(self, table: str, item: Item, *, refused: bool = False) -> None:
        """Add one write: the larger of the item before and after, and the same again for an index that holds it."""
        size = size_of(item)
        if not item:
            self._now.writes += 1
            return
        key = (table, *(item[name]["S"] for name in self._keys[table]))
        before = self._sizes.get(key, 0)
        units = max(1, math.ceil(max(size, before) / WRITE_UNIT))
        indexed = bool(self._indexes[table]) and all(name in item for name in self._indexes[table])
        self._now.writes += units * (2 if indexed and not refused else 1)
        self._sizes[key] = size


def _read_units(parameters: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
    """A Query rounds its sum up, the others each item; a read that need not be consistent costs half."""
    if "RequestItems" in parameters:
        requested = sum(len(each["Keys"]) for each in parameters["RequestItems"].values())
        found = [item for items in parsed["Responses"].values() for item in items]
        return (sum(_units(size_of(item)) for item in found) + requested - len(found)) / 2
    share = 1 if parameters.get("ConsistentRead") else 0.5
    items = parsed["Items"] if "Items" in parsed else [parsed.get("Item") or {}]
    return share * _units(sum(size_of(item) for item in items))


def _units(size: int) -> int:
    return max(1, math.ceil(size / READ_UNIT))


def size_of(item: Item) -> int:
    """Bytes of an item: UTF-8 names and values, a number by its digits."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return len(content.strip("-0.")) // 2 + 2
    if kind == "NS":
        return sum(_value_size({"N": each}) for each in content)
    raise ValueError(f"no record has an attribute of type {kind}")
