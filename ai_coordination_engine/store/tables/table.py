"""One table of the store: records, and the budget of a request.

Each method is exactly one request to the database, unless its docstring says otherwise. `items` has
the protocol that DynamoDB (`dynamodb`) and SQLite (`sqlite`) implement.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from operator import attrgetter
from typing import Any, TypeVar, cast

from pynamodb.constants import LAST_EVALUATED_KEY
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from ai_coordination_engine.ports import Blobs
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.meter import CALL, COUNTED, Meter, MeteredBlobs, charge_write
from ai_coordination_engine.store.record import M, Record
from ai_coordination_engine.store.tables.items import (
    Database,
    Query,
    RawItem,
    RawKey,
    Refused,
    Write,
)
from ai_coordination_engine.store.tables.table_keys import TableKeys
from ai_coordination_engine.store.tables.values import are_equal

__all__ = ["Refused", "Table", "get_many_of", "table_name"]

Other = TypeVar("Other", bound=Record)


def table_name(prefix: str, model: type[Record]) -> str:
    """The name of the table that holds the records of a model."""
    return f"{prefix}-{model.Meta.table_name}"


class Table(TableKeys[M]):
    """The table of one model. Thread-safe.

    The stored hash key of a child contains the tenant, so items of other tenants are never found.
    Records that are read or written here load their payloads from `blobs`. Each method raises
    `Throttled` if the database refuses because of load, and `Unavailable` if it fails or does not
    answer.
    """

    def __init__(
        self, model: type[M], database: Database, prefix: str, blobs: Blobs | None = None
    ) -> None:
        super().__init__(model)
        self.database = database
        self.blobs = blobs
        self.meter: Meter | None = None
        self.name = table_name(prefix, model)
        self._items = database.items(model, self.name)

    def holding(self, model: type[Other]) -> "Table[Other]":
        """The same table for internal items of another model, which have keys of the same form."""
        other: Table[Any] = copy(self)
        other.model = model
        return other

    def metered(self, meter: Meter) -> "Table[M]":
        """The same table with its reads, also of payloads, charged to the request of `meter`.

        Reads raise `OverBudget` when the request has used more than its budget.
        """
        other = copy(self)
        other.meter = meter
        other.blobs = MeteredBlobs(self.blobs, meter) if self.blobs is not None else None
        return other

    def record(self, item: RawItem) -> M:
        """The record of an item of this table."""
        return self.model.from_raw_data(item, self.blobs)

    def get(self, tenant: str, key: Key, *, consistent: bool = False) -> M | None:
        """The item under `key` (hash, range), or None."""
        item = self._items.get(self.stored_key(tenant, key), consistent=consistent)
        self._charge([item] if item else [])
        return self.record(item) if item else None

    def get_many(
        self, tenant: str, keys: Sequence[Key], *, consistent: bool = False
    ) -> dict[Key, M]:
        """The items that exist among `keys`.

        One request per 100 keys, and more if the database leaves keys unprocessed.
        """
        return get_many_of(tenant, {self: keys}, consistent=consistent)[self]

    def put(self, record: M, condition: Condition) -> None:
        """Write a whole item if `condition` holds; else raise `Refused`.

        If an equal item is there already, that is a success: the client repeats a write whose
        response was lost, and the repeat must not look like another writer's item.
        """
        record.blobs = self.blobs
        try:
            self._items.put(record.serialize(), condition)
        except Refused as refused:
            met = self._met(refused)
            if met.old is None or not are_equal(met.old.serialize(), record.serialize()):
                raise met from None

    def put_new(self, record: M) -> M | None:
        """Write a whole item if its key is free.

        If the same record is there already, perhaps changed since, nothing happens, and that one is
        returned. Raises `Refused` for another writer's item.
        """
        try:
            self.put(record, self.model.get_attributes()[self.hash_key].does_not_exist())
        except Refused as refused:
            if refused.old is None or not record.is_same(refused.old):
                raise
            return cast(M, refused.old)
        return None

    def put_of(self, record: M, condition: Condition | None) -> Write:
        """The part of a transaction that writes a whole item."""
        record.blobs = self.blobs
        return Write(self.name, condition, item=record.serialize())

    def update_of(
        self, tenant: str, key: Key, actions: Sequence[Action], condition: Condition | None
    ) -> Write:
        """The part of a transaction that updates one item."""
        return Write(self.name, condition, key=self.stored_key(tenant, key), actions=actions)

    def put_many(self, records: Sequence[Record]) -> None:
        """Write whole items of any models of this table, without conditions.

        One request per 25 items, and more if the database leaves some unprocessed.
        """
        for record in records:
            record.blobs = self.blobs
        self._items.write_many({"PutRequest": {"Item": record.serialize()}} for record in records)

    def delete_many(self, tenant: str, keys: Sequence[Key]) -> None:
        """Delete items without conditions; keys without an item are ignored.

        One request per 25 items, and more if the database leaves some unprocessed.
        """
        raw = (
            self.raw_key(tenant, {self.hash_key: key[0], self.range_key: key[1]})
            for key in dict.fromkeys(keys)
        )
        self._items.write_many({"DeleteRequest": {"Key": key}} for key in raw)

    def update(self, tenant: str, key: Key, actions: Sequence[Action], condition: Condition) -> M:
        """Update one item and return its new state; raises `Refused` with its present state."""
        try:
            item = self._items.update(self.stored_key(tenant, key), actions, condition)
        except Refused as refused:
            raise self._met(refused) from None
        return self.record(item)

    def delete(self, tenant: str, key: Key, condition: Condition) -> M:
        """Delete one item and return its last state; raises `Refused`."""
        try:
            item = self._items.delete(self.stored_key(tenant, key), condition)
        except Refused as refused:
            raise self._met(refused) from None
        return self.record(item)

    def query(
        self,
        tenant: str,
        hash_value: str,
        *,
        after: RawKey | None = None,
        limit: int | None = None,
        forward: bool = True,
        consistent: bool = False,
        shard: int = 0,
        range_condition: Condition | None = None,
    ) -> tuple[list[M], RawKey | None]:
        """One page of the items in a shard of `hash_value`, and the next start key (None at the
        end).
        """
        return self._page(
            Query(
                self.partition(tenant, hash_value, shard),
                range_condition=range_condition,
                after=after,
                limit=self._readable(limit),
                forward=forward,
                consistent=consistent,
            )
        )

    def count(
        self,
        tenant: str,
        hash_value: str,
        condition: Condition | None,
        most: int,
        *,
        index: str | None = None,
        forward: bool = True,
        shard: int = 0,
    ) -> tuple[int, RawKey | None]:
        """Count the items under `hash_value` that meet the condition, up to `most`.

        Returns the number and the next start key (None at the end). One request per megabyte of
        items; the items themselves are not transferred.
        """
        counted = 0
        hash_value = self.partition(tenant, hash_value, shard) if index is None else hash_value
        after: RawKey | None = None
        while counted < most:
            answer = self._items.query(
                Query(
                    hash_value,
                    index=index,
                    filter_condition=condition,
                    after=after,
                    limit=self._countable(most - counted, 1 if index else self.shards),
                    forward=forward,
                    counts=True,
                )
            )
            self._charge_counted(answer)
            counted += answer["Count"]
            after = answer.get(LAST_EVALUATED_KEY)
            if after is None:
                break
        return counted, after

    def query_index(
        self,
        index: str,
        hash_value: str,
        *,
        after: RawKey | None = None,
        limit: int | None = None,
        forward: bool = True,
        range_condition: Condition | None = None,
    ) -> tuple[list[M], RawKey | None]:
        """One page of the items under `hash_value` of a global index, and the key to go on from
        (None at the end).
        """
        return self._page(
            Query(
                hash_value,
                index=index,
                range_condition=range_condition,
                after=after,
                limit=self._readable(limit),
                forward=forward,
            )
        )

    def range_keys(
        self,
        tenant: str,
        hash_value: str,
        condition: Condition | None,
        most: int,
        *,
        forward: bool = True,
        shard: int = 0,
    ) -> Iterator[str]:
        """The range keys of the items in a shard that meet the condition.

        One request per megabyte of items, or per `most` items.
        """
        after: RawKey | None = None
        while True:
            answer = self._items.query(
                Query(
                    self.partition(tenant, hash_value, shard),
                    filter_condition=condition,
                    after=after,
                    limit=self._countable(most),
                    forward=forward,
                    attributes=[self.range_key],
                )
            )
            self._charge_counted(answer)
            yield from (item[self.range_key]["S"] for item in answer["Items"])
            if (after := answer.get(LAST_EVALUATED_KEY)) is None:
                return

    def query_all(self, tenant: str, hash_value: str, *, consistent: bool = False) -> Iterator[M]:
        """All items under `hash_value`, in order of the range key.

        One request per megabyte of each shard.
        """

        def rows(shard: int) -> Iterator[M]:
            after: RawKey | None = None
            while True:
                records, after = self.query(
                    tenant, hash_value, after=after, consistent=consistent, shard=shard
                )
                yield from records
                if after is None:
                    return

        return heapq.merge(*map(rows, range(self.shards)), key=attrgetter(self.range_key))

    def _page(self, query: Query) -> tuple[list[M], RawKey | None]:
        answer = self._items.query(query)
        self._charge(answer["Items"])
        return [*map(self.record, answer["Items"])], answer.get(LAST_EVALUATED_KEY)

    def _met(self, refused: Refused) -> Refused:
        """The refusal with the record of the item that it met."""
        old = self.record(refused.old) if refused.old else None
        return Refused(old, again=refused.again)

    def _charge(self, items: Sequence[Any]) -> None:
        charge_write(len(items))
        if self.meter is not None:
            self.meter.rows(items)

    def _readable(self, limit: int | None) -> int | None:
        """How many records the next request may read."""
        return limit if self.meter is None else self.meter.page(limit)

    def _countable(self, most: int, at_once: int = 1) -> int:
        """The number of items that the next request may count, if `at_once` requests run at
        once.
        """
        return most if self.meter is None else self.meter.countable(most, at_once)

    def _charge_counted(self, answer: Mapping[str, Any]) -> None:
        charge_write()
        if self.meter is not None:
            self.meter.spend(CALL + COUNTED * answer["ScannedCount"])


def get_many_of(
    tenant: str, wanted: Mapping[Table[Any], Sequence[Key]], *, consistent: bool = False
) -> dict[Table[Any], dict[Key, Any]]:
    """The items that exist among the keys of each table.

    All tables must share one database and one meter. One request per 100 keys, and more if
    the database leaves keys unprocessed.
    """
    found: dict[Table[Any], dict[Key, Any]] = {table: {} for table in wanted}
    asked = _by_stored_key(tenant, wanted)
    raw_keys = [
        (name, {table.hash_key: {"S": own}, table.range_key: {"S": range_value}})
        for (name, own, range_value), table in asked.items()
    ]
    first, by_name = next(iter(wanted)), {table.name: table for table in wanted}
    for answer in first.database.get_items(raw_keys, consistent=consistent):
        items = [(name, item) for name, items in answer.items() for item in items]
        first._charge([item for _, item in items])
        for name, item in items:
            table = asked[name, *by_name[name].key_of(item)]
            record = table.record(item)
            found[table][record.key] = record
    return found


def _by_stored_key(
    tenant: str, wanted: Mapping[Table[Any], Sequence[Key]]
) -> dict[tuple[str, str, str], Table[Any]]:
    """The table for which each item is read, by the table's name and the item's stored key.

    One table of the database may hold items of several models.
    """
    return {
        (table.name, *table.stored_key(tenant, key)): table
        for table, keys in wanted.items()
        for key in keys
    }
