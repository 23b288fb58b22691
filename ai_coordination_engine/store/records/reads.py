"""Read records. Each read checks the tenant: a record of another tenant does not exist.

The API, the engine and the lists read through `Reads`; `Repository` adds the writes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import Any, Self, TypeVar

from ai_coordination_engine.ports import Blobs, Clock
from ai_coordination_engine.store.budget_items import BudgetCounter, BudgetWaiter, Reservation
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.meter import Meter, MeteredBlobs
from ai_coordination_engine.store.models import CounterShard, SessionAgent
from ai_coordination_engine.store.record import M, Record
from ai_coordination_engine.store.records.begun import (
    KnownStarts,
    first_key,
    is_starting,
    mark_if_confirmed,
)
from ai_coordination_engine.store.records.entities import COORDINATION, ENTITIES, Entity
from ai_coordination_engine.store.tables.items import BATCH_GET_LIMIT, Database
from ai_coordination_engine.store.tables.parallel import Parallel
from ai_coordination_engine.store.tables.table import Table, get_many_of

T = TypeVar("T")
AT_ONCE = BATCH_GET_LIMIT
"""The number of records that one request to the database reads."""


class Reads:
    """Reads records of all six entities. Thread-safe."""

    def __init__(
        self, database: Database, prefix: str, blobs: Blobs, clock: Clock, inline_limit: int
    ) -> None:
        self.tables: dict[type[Record], Table[Any]] = {
            entity.model: Table(entity.model, database, prefix, blobs) for entity in ENTITIES
        }
        self.tables[CounterShard] = self.tables[SessionAgent].holding(CounterShard)
        budgets = self.tables[BudgetCounter] = Table(BudgetCounter, database, prefix)
        self.tables |= {model: budgets.holding(model) for model in (Reservation, BudgetWaiter)}
        self.blobs: Blobs = blobs
        self.clock = clock
        self.parallel = Parallel()
        self._inline_limit = inline_limit
        self.meter: Meter | None = None
        self._known: KnownStarts | None = None

    def metered(self, meter: Meter) -> Self:
        """A copy whose reads are charged to the request of `meter`; they raise `OverBudget`.

        It remembers agents and runs that the request has read: they show that the start of their
        session is confirmed, which saves reads.
        """
        other = copy(self)
        other.blobs = MeteredBlobs(self.blobs, meter)
        other.meter = meter
        other._known = KnownStarts()
        return other

    def table(self, entity: Entity[M]) -> Table[M]:
        """The table that holds the entity."""
        return self._table(entity.model)

    def _table(self, model: type[Record]) -> Table[Any]:
        table = self.tables[model]
        return table if self.meter is None else table.metered(self.meter)

    def get(
        self, entity: Entity[M], tenant: str, key: Key, *, consistent: bool = False
    ) -> M | None:
        """The record under `key`; None if this tenant has none. One GetItem."""
        found = self.table(entity).get(tenant, key, consistent=consistent)
        if found is not None:
            self.resolve_starts([found], consistent=consistent)
        return self.seen(visible(found, tenant))

    def get_many(
        self, entity: Entity[M], tenant: str, keys: Sequence[Key], *, consistent: bool = False
    ) -> dict[Key, M]:
        """The records of this tenant that exist among `keys`. One BatchGetItem per 100 keys."""
        return self.get_many_of(tenant, {entity.model: keys}, consistent=consistent)[entity.model]

    def get_many_of(
        self,
        tenant: str,
        wanted: Mapping[type[Record], Sequence[Key]],
        *,
        consistent: bool = False,
    ) -> dict[type[Record], dict[Key, Any]]:
        """The records of this tenant that exist among the keys of each model.

        One BatchGetItem per 100 keys, of any models.
        """
        tables = {self._table(model): keys for model, keys in wanted.items()}
        read = get_many_of(tenant, tables, consistent=consistent)
        rows = [record for found in read.values() for record in found.values()]
        self.resolve_starts(rows, consistent=consistent)
        return {
            table.model: {
                key: self.seen(record) for key, record in found.items() if visible(record, tenant)
            }
            for table, found in read.items()
        }

    def get_stored(
        self, entity: Entity[M], tenant: str, key: Key, *, consistent: bool = True
    ) -> M | None:
        """The record under `key`, even if it is not confirmed. One GetItem."""
        return self.table(entity).get(tenant, key, consistent=consistent)

    def children(
        self, entity: Entity[M], tenant: str, parent_key: Key, *, consistent: bool = False
    ) -> Iterator[M]:
        """All visible records of an entity below a parent, in order of creation.

        One Query per megabyte.
        """
        rows = self.stored_children(entity, tenant, parent_key, consistent=consistent)
        return (self.seen(record) for record in rows if visible(record, tenant))

    def stored_children(
        self, entity: Entity[M], tenant: str, parent_key: Key, *, consistent: bool = True
    ) -> Iterator[M]:
        """All records of an entity below a parent, confirmed or not, in order of creation.

        One Query per megabyte.
        """
        rows = self.table(entity).query_all(tenant, parent_key[1], consistent=consistent)
        return (record for record in rows if is_below(record, entity, parent_key))

    def is_any_below(self, entity: Entity[Any], tenant: str, parent_uuid: str) -> bool:
        """Whether any record of an entity, confirmed or not, is stored under a parent's uuid.

        It may belong to another parent with the same uuid. One Query of one item.
        """
        return bool(self.table(entity).query(tenant, parent_uuid, limit=1, consistent=True)[0])

    def page_of_children(
        self,
        entity: Entity[M],
        tenant: str,
        parent_key: Key,
        after: str | None,
        limit: int | None,
    ) -> tuple[list[M], str | None]:
        """One page of `children`, read consistently: those among the `limit` items after a uuid.

        Returns the records and the uuid after which the next page starts (None at the end). One
        Query.
        """
        table = self.table(entity)
        start = table.after(tenant, parent_key[1], after) if after is not None else None
        rows, last = table.query(tenant, parent_key[1], after=start, limit=limit, consistent=True)
        mine = [
            each for each in rows if visible(each, tenant) and is_below(each, entity, parent_key)
        ]
        return mine, getattr(rows[-1], table.range_key) if rows and last is not None else None

    def resolve_starts(self, records: Sequence[Any], *, consistent: bool = False) -> None:
        """Find out which sessions among `records` are confirmed, and remove their reservation.

        The records belong to one tenant; the change is in memory only. A session's row may not say
        whether its start is confirmed; its agent 0 does (`store.records.begun`). One BatchGetItem
        per 100 such sessions about which the request knows nothing; no call if there are none.
        """
        starting = [each for each in records if is_starting(each)]
        if (known := self._known) is not None:
            with_first = not consistent
            starting = [
                each
                for each in starting
                if not known.mark_if_confirmed(each, with_first=with_first)
            ]
        if starting:
            agents = self._table(SessionAgent)
            tenant = starting[0].partition_key
            found = agents.get_many(
                tenant, [first_key(each) for each in starting], consistent=consistent
            )
            for each in starting:
                mark_if_confirmed(each, found.get(first_key(each)))

    def seen(self, record: T) -> T:
        """Return the record; remember for the request what it says about its session's start.

        Call it only for records that are visible.
        """
        if self._known is not None:
            self._known.remember(record)
        return record

    def counting(self) -> AbstractContextManager[None]:
        """The context in which many records are counted (`Meter.counting`)."""
        return self.meter.counting() if self.meter is not None else nullcontext()


def visible(record: M | None, tenant: str) -> M | None:
    """Return the record if this tenant may see it, else None."""
    if record is None or record.partition_key != tenant or record.unconfirmed is not None:
        return None
    return record


def is_below(record: Any, entity: Entity[Any], parent_key: Key) -> bool:
    """Whether a record in the partition of a parent's uuid belongs to that parent.

    Two coordinations may use the same uuid for different parents, which then share the partition.
    """
    return entity.parent is COORDINATION or record.coordination_uuid == parent_key[0]
