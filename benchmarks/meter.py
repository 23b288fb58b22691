"""Count AWS calls and the DynamoDB capacity that they consume.

The emulators do not report capacity as AWS does. It is computed from requests and responses by the
rules of the "Amazon DynamoDB Developer Guide" ("Read and write operations", "Item sizes and
formats").
"""

import math
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.budget_items import BudgetCounter
from ai_coordination_engine.store.models import MODELS

READ_UNIT = 4096
WRITE_UNIT = 1024
_PARAMETERS = "benchmarks.parameters"

Item = Mapping[str, Mapping[str, Any]]


@dataclass
class Taken:
    """The counts: calls by operation, read units and write units, with those of indexes."""

    calls: Counter[str] = field(default_factory=Counter)
    reads: float = 0
    writes: int = 0
    # writes by table, or table/index, refused ones included
    written: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)  # their units, by the same places

    @property
    def total(self) -> int:
        return self.calls.total()

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(
            self.calls + other.calls,
            self.reads + other.reads,
            self.writes + other.writes,
            self.written + other.written,
            self.units + other.units,
        )

    def add(self, place: str, units: int) -> None:
        """Count a write to a table or an index."""
        self.writes += units
        self.written[place] += 1
        self.units[place] += units

    def __str__(self) -> str:
        calls = ", ".join(f"{count} {name}" for name, count in sorted(self.calls.items()))
        return f"{calls}; {self.reads:g} RCU + {self.writes} WCU"


@dataclass(frozen=True)
class Index:
    """A global secondary index: its keys, its table's keys, and its other attributes
    (None: all).
    """

    keys: tuple[str, ...]
    table_keys: tuple[str, ...]
    others: Collection[str] | None
    name: str

    @classmethod
    def of(cls, schema: Mapping[str, Any], table_keys: tuple[str, ...]) -> "Index":
        """Create an index from PynamoDB's schema."""
        projection = schema["projection"]
        others = (
            None
            if projection["ProjectionType"] == "ALL"
            else projection.get("NonKeyAttributes", ())
        )
        keys = tuple(key["AttributeName"] for key in schema["key_schema"])
        return cls(keys, table_keys, others, schema["index_name"])

    def entry(self, item: Item) -> Item:
        """Return the index's entry for an item; empty when the item lacks one of the
        index's keys.
        """
        if not all(name in item for name in self.keys):
            return {}
        if self.others is None:
            return item
        held = {*self.keys, *self.table_keys, *self.others}
        return {name: value for name, value in item.items() if name in held}

    def units(self, before: Item, after: Item) -> int:
        """Return the units of a change: none, one write, or two when the entry moves to another
        key.
        """
        old, new = self.entry(before), self.entry(after)
        if old == new:
            return 0
        if old and new and any(old[name] != new[name] for name in self.keys):
            return _write_units(old) + _write_units(new)
        return max(_write_units(each) for each in (old, new) if each)


class Meter:
    """Counts every call of the clients that it is attached to. Thread-safe."""

    def __init__(self, app: App, *clients: Any) -> None:
        self._lock = threading.Lock()
        self._now = Taken()
        self._items: dict[tuple[str, str, str], Item] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self._indexes: dict[str, list[Index]] = {}
        for model in (*MODELS, BudgetCounter):
            table = app.records.tables[model]
            keys = (table.hash_key, table.range_key)
            self._keys[table.name] = keys
            self._indexes[table.name] = [
                Index.of(index, keys) for index in model.schema()["global_secondary_indexes"]
            ]
        connection = app.records.tables[MODELS[0]].database
        for each in (connection.client, app.queue._client, *clients):  # type: ignore[attr-defined]
            each.meta.events.register("before-parameter-build.*.*", self._before)
            each.meta.events.register("after-call.*.*", self._after)

    def taken(self) -> Taken:
        """Return the counts since the last call."""
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
        elif operation == "TransactWriteItems":
            for part in parameters["TransactItems"]:
                self._count_part(part)
        elif operation in {"PutItem", "UpdateItem", "DeleteItem"}:
            self._count_write(operation, parameters, parsed)
        elif operation in {"GetItem", "BatchGetItem", "Query"}:
            self._now.reads += _read_units(parameters, parsed)

    def _count_write(
        self, operation: str, parameters: dict[str, Any], parsed: dict[str, Any]
    ) -> None:
        table = parameters["TableName"]
        if "Error" in parsed:  # a refused write costs as much as the existing item, without indexes
            self._now.add(_place(table), _write_units(parsed.get("Item") or {}))
        elif operation == "DeleteItem":
            self._write(table, {}, gone=parsed.get("Attributes") or {})
        else:
            self._write(table, parsed.get("Attributes") or parameters.get("Item") or {})

    def _count_part(self, part: dict[str, Any]) -> None:
        """Count a write of a transaction, which costs twice as much; the response has no items, so
        an update counts with the size of the item before.
        """
        ((_, write),) = part.items()
        table = write["TableName"]
        key = write.get("Item") or write["Key"]
        before = self._items.get((table, *(key[name]["S"] for name in self._keys[table])), key)
        self._write(table, write.get("Item") or before, times=2)

    def _write(self, table: str, item: Item, *, gone: Item | None = None, times: int = 1) -> None:
        """Count one write: the larger of the item before and after, and the changes of
        each index.
        """
        key = (table, *((item or gone or {})[name]["S"] for name in self._keys[table]))
        before = gone if gone is not None else self._items.get(key, {})
        self._now.add(_place(table), times * max(_write_units(before), _write_units(item)))
        for index in self._indexes[table]:
            if units := index.units(before, item):
                self._now.add(f"{_place(table)}/{index.name}", units)
        if item:
            self._items[key] = item
        else:
            self._items.pop(key, None)


def _place(table: str) -> str:
    return table.partition("-")[2]


def _write_units(item: Item) -> int:
    return max(1, math.ceil(size_of(item) / WRITE_UNIT))


def _read_units(parameters: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
    """Return the read units: a Query rounds its sum, other reads round each item up.

    Eventually consistent reads cost half.
    """
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
    """Return the size of an item in bytes: names and values in UTF-8, numbers by their digits."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return len(content.strip("-0.")) // 2 + 2
    if kind in {"NS", "SS"}:
        return sum(_value_size({kind[0]: each}) for each in content)
    if kind in {"BOOL", "NULL"}:
        return 1
    raise ValueError(f"no record has an attribute of type {kind}")
