"""Lists: one Query for a page, in order of creation or the other way round, by page number or by
cursor.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any

from pynamodb.expressions.condition import Condition

from ai_coordination_engine.domain.ids import is_id
from ai_coordination_engine.errors import BadUserInput, TooComplex
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import cursors
from ai_coordination_engine.store.records.begun import with_statuses
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    Entity,
)
from ai_coordination_engine.store.records.repository import Repository, visible
from ai_coordination_engine.store.records.session_status import INDEXED, status_keys
from ai_coordination_engine.store.tables import shards
from ai_coordination_engine.store.tables.table import BATCH_GET_LIMIT, RawKey, Table

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_READ = 4_000  # rows that one page may cost
MAX_COUNTED = 20_000  # rows that a total is counted to
_GO_ON = "go on with nextCursor, or narrow the filters"
_BEGINNING = {"dispatched", "in_progress"}  # a row does not tell one from the other
_KEYS = 200  # of an index of keys, read at once
_FIRST = " "  # sorts before every printable range key
_Row = tuple[Any, list[str]]  # a record, or None for one that does not pass, and its position


@dataclass(frozen=True)
class Page:
    """One page of a list; `next_cursor` is None at the end, and a page before it may be short or
    empty.

    `total` is None unless it was asked for; `warnings` say when it is only a part, or why the page
    is short.
    """

    records: list[Any]
    page_size: int
    page_number: int
    total: int | None
    next_cursor: str | None
    warnings: tuple[str, ...] = ()


def read_page(
    repository: Repository,
    entity: Entity,
    tenant: str,
    where: Mapping[str, Any],
    *,
    limit: int | None = None,
    page_number: int | None = None,
    cursor: str | None = None,
    with_total: bool = False,
) -> Page:
    """The records of a tenant that pass every filter in `where` (None values are no filters).

    1 Query for a flat first page; filters and far pages read on until the page is full. Raises
    `BadUserInput` for a limit outside 1 … 1000, a page number below 1 or beyond 10,000 records, and
    a cursor of another query; `TooComplex` for a far page of a filtered list.
    """
    size, number = _checked(limit, page_number, cursor)
    source = _List(
        repository,
        entity,
        tenant,
        {name: value for name, value in where.items() if value is not None},
    )
    if not all(is_id(value) for name, value in source.filters.items() if name.endswith("_uuid")):
        # nothing can be stored under such an id
        return Page([], size, number, 0 if with_total else None, None)
    query = cursors.fingerprint(entity.name, entity.index, tenant, source.filters)
    after = cursors.decode(query, cursor) if cursor else []
    skip = (number - 1) * size
    if skip and source.is_plain:
        skipped, position = source.skip(skip)
        if position is None:
            return Page([], size, number, skipped if with_total else None, None)
        after, skip = position, 0
    found, end = source.take(after, skip + size + 1)
    page = found[skip : skip + size]
    warnings = []
    if len(found) > skip + size:
        end = page[-1][1]
    elif end and skip:
        raise TooComplex(
            f"pageNumber {number} lies beyond what is read for one page of a filtered list;"
            f" {_GO_ON}"
        )
    elif end:
        warnings.append(
            f"{entity.name}s: the page ends early, for many records do not pass the filters;"
            f" {_GO_ON}"
        )
    total = None
    if with_total:
        total, is_all = (len(found), True) if not after and end is None else source.total()
        if not is_all:
            warnings.append(
                f"{entity.name}s: total is at least {total}; beyond that nothing is counted"
            )
    next_cursor = cursors.encode(query, end) if end else None
    return Page([record for record, _ in page], size, number, total, next_cursor, tuple(warnings))


@dataclass(frozen=True)
class _List:
    """The records of a tenant that pass every filter."""

    repository: Repository
    entity: Entity
    tenant: str
    filters: Mapping[str, Any]

    @property
    def is_plain(self) -> bool:
        """Whether it is all that is visible in one partition or index: then it is counted without
        being read.
        """
        hash_key = self.repository.table(self.entity).hash_key
        has_one = (
            self.entity is COORDINATION
            or self.entity.by_tenant
            or self.entity.index
            or hash_key in self.filters
        )
        return bool(has_one) and not set(self.filters) - {hash_key}

    def take(self, after: list[str], want: int) -> tuple[list[_Row], list[str] | None]:
        """The first `want` rows, and the position to go on from when reading was stopped before the
        end.
        """
        found: list[_Row] = []
        rows = _rows(self.repository, self.entity, self.tenant, self.filters, after, want)
        for number, (record, position) in enumerate(rows, 1):
            if record is not None:
                found.append((record, position))
            if len(found) == want or self._has_read_enough(number, want):
                return found, position
        return found, None

    def total(self) -> tuple[int, bool]:
        """How many there are, and whether these are all: a long list is not counted to its end."""
        if self.is_plain:
            return self._counted()
        found = 0
        for number, (record, _) in enumerate(
            _rows(self.repository, self.entity, self.tenant, self.filters, [], None), 1
        ):
            found += record is not None
            if self._has_read_enough(number, 0):
                return found, False
        return found, True

    def skip(self, rows: int) -> tuple[int, list[str] | None]:
        """Of a plain list: so many rows, or how many there are, and the position after them unless
        that is the end.
        """
        newest = self.entity.newest_first
        if self._partition is not None and self._table.shards > 1:
            skipped, last = shards.skip(
                self._table, self.tenant, self._partition, self._condition, rows, newest=newest
            )
            return skipped, [last] if last is not None else None
        counted, key = self._count(rows)
        bare = self._table.bare_key(key) if key else {}
        return counted, [bare[name] for name in self._position] if key else None

    def _counted(self) -> tuple[int, bool]:
        """How many rows a plain list has, up to `MAX_COUNTED`, and whether these are all."""
        every = range(self._table.shards if self._partition is not None else 1)
        found = self.repository.parallel.run(
            [partial(self._count, MAX_COUNTED, shard) for shard in every]
        )
        counted = sum(count for count, _ in found)
        return min(counted, MAX_COUNTED), counted <= MAX_COUNTED and all(
            key is None for _, key in found
        )

    def _count(self, most: int, shard: int = 0) -> tuple[int, RawKey | None]:
        return self._table.count(
            self.tenant,
            self.tenant if self._partition is None else self._partition,
            self._condition,
            most,
            index=_index_of(self._table, self.entity)[0] if self._partition is None else None,
            forward=not self.entity.newest_first,
            shard=shard,
        )

    @property
    def _table(self) -> Table[Any]:
        return self.repository.table(self.entity)

    @property
    def _partition(self) -> str | None:
        """The hash key of the partition that is the whole list; None when an index is."""
        return _hash_value(self._table, self.entity, self.tenant, self.filters)

    @property
    def _position(self) -> list[str]:
        """What a position in the list is made of."""
        if self._partition is not None:
            return [self._table.range_key]
        return _position_names(self._table, self.entity)

    @property
    def _condition(self) -> Condition | None:
        """What rows that count meet; of an index of keys nothing can be asked."""
        model = self._table.model
        confirmed: Condition = model.unconfirmed.does_not_exist()
        if issubclass(model, Session):  # of a start that is under way the row does not tell
            starting = Session.plan_hash.exists() & Session.restart.does_not_exist()
            confirmed |= starting & Session.deleting.does_not_exist()
        if self._partition is not None:
            confirmed &= model.partition_key == self.tenant
        elif self.entity.keys_only:
            return None
        return confirmed

    def _has_read_enough(self, number: int, want: int) -> bool:
        meter = self.repository.meter
        return number == MAX_READ or (number > want and meter is not None and meter.half_spent)


def _checked(limit: int | None, page_number: int | None, cursor: str | None) -> tuple[int, int]:
    size = DEFAULT_LIMIT if limit is None else limit
    number = 1 if page_number is None else page_number
    if not 1 <= size <= MAX_LIMIT:
        raise BadUserInput(f"limit must be from 1 to {MAX_LIMIT}.")
    if number < 1:
        raise BadUserInput("pageNumber starts at 1.")
    if cursor and number > 1:
        raise BadUserInput("Give either a cursor or a pageNumber.")
    if (number - 1) * size > MAX_OFFSET:
        raise BadUserInput(
            f"pageNumber reaches beyond {MAX_OFFSET} records; go on with nextCursor instead."
        )
    return size, number


def _rows(
    repository: Repository,
    entity: Entity,
    tenant: str,
    filters: Mapping[str, Any],
    after: list[str],
    want: int | None,
) -> Iterator[_Row]:
    """Records with their positions, from `after` on; those that do not pass as None."""
    table = repository.table(entity)
    hash_value = _hash_value(table, entity, tenant, filters)
    # the agents of coordinations by uuid, as far as a filter asks for them
    known: dict[str, Any] = {}
    checks = [
        (entity.filters[name], value) for name, value in filters.items() if name in entity.filters
    ]
    size = want if not checks else None
    wanted = filters.get("statuses", ()) if entity.model is Session else ()
    short = None
    if wanted and INDEXED.issuperset(wanted):
        if hash_value is not None and len(after) < len(_of_an_index(table)):
            short = _rest_if_short(
                repository, table, tenant, hash_value, entity.newest_first, after
            )
            after = [hash_value, *after] if after else after
        among = _of_statuses(table, tenant, entity, wanted, hash_value, after)
        source = _with_rows(repository, entity, tenant, among, size) if short is None else short
    elif hash_value is not None:
        source = _partition(
            repository, table, tenant, hash_value, after, size, newest=entity.newest_first
        )
    elif entity.by_tenant or entity.index:
        source = _tenant_index(table, tenant, entity, after, size)
        if entity.keys_only:
            source = _with_rows(repository, entity, tenant, source, size)
    else:
        source = _below_sessions(repository, table, tenant, filters, after)
    if hash_value is not None and entity.parent is SESSION and "task_uuid" in filters:
        source = _of_task(repository, source, tenant, filters["task_uuid"])
    if len(_BEGINNING.intersection(wanted)) == 1:
        source = with_statuses(partial(repository.get_many, SESSION_AGENT, tenant), source)
    for record, position in source:
        if visible(record, tenant) is None:
            yield None, position
            continue
        read = partial(_read, repository, known, record)
        yield (record if all(check(read, value) for check, value in checks) else None), position


def _read(repository: Repository, known: dict[str, Any], record: Any, name: str) -> Any:
    """An attribute for a filter. A session agent that a client made is described by its
    coordination, read once.
    """
    value = repository.load(getattr(record, name))
    if value is not None or name != "definition" or record.coordination_uuid is None:
        return value
    tenant, uuid = record.partition_key, record.coordination_uuid
    if uuid not in known:
        coordination = repository.get(COORDINATION, tenant, (tenant, uuid))
        found = repository.load(coordination.agents) if coordination else None
        known[uuid] = {each["agent_uuid"]: each for each in found or ()}
    return known[uuid].get(record.agent_uuid)


def _partition(
    repository: Repository,
    table: Table[Any],
    tenant: str,
    hash_value: str,
    after: list[str],
    size: int | None = None,
    *,
    newest: bool = False,
) -> Iterator[_Row]:
    above = _part(after, -1, 1) if after else None
    for record in shards.rows(repository, table, tenant, hash_value, above, size, newest=newest):
        yield record, [getattr(record, table.range_key)]


def _rest_if_short(
    repository: Repository,
    table: Table[Any],
    tenant: str,
    hash_value: str,
    newest: bool,
    after: list[str],
) -> Iterator[_Row] | None:
    """All rows from `after` on when few requests read them; None when there are more.

    An index of the whole tenant may name very many others before those of one parent.
    """
    above = after[-1] if after else None
    found = shards.rest_if_short(repository, table, tenant, hash_value, above, newest=newest)
    return (
        ((each, [getattr(each, table.range_key)]) for each in found) if found is not None else None
    )


def _hash_value(
    table: Table[Any], entity: Entity, tenant: str, filters: Mapping[str, Any]
) -> str | None:
    """The partition that holds the whole list, if there is one."""
    return tenant if entity is COORDINATION else filters.get(table.hash_key)


def _index_of(table: Table[Any], entity: Entity) -> tuple[str, str, str]:
    return entity.index or ("by_tenant", "partition_key", table.range_key)


def _position_names(table: Table[Any], entity: Entity) -> list[str]:
    """What a position in the index is made of, beside the tenant."""
    return list(dict.fromkeys((table.hash_key, table.range_key, _index_of(table, entity)[2])))


def _tenant_index(
    table: Table[Any], tenant: str, entity: Entity, after: list[str], size: int | None
) -> Iterator[_Row]:
    name, hash_name, _ = _index_of(table, entity)
    names = _position_names(table, entity)
    start = None
    if after:
        position = {each: _part(after, at, len(names)) for at, each in enumerate(names)}
        start = table.raw_key(tenant, {hash_name: tenant} | position)
    while True:
        records, start = table.query_index(
            name, tenant, after=start, limit=size, forward=not entity.newest_first
        )
        for record in records:
            yield record, [getattr(record, each) for each in names]
        if start is None:
            return


def _with_rows(
    repository: Repository, entity: Entity, tenant: str, source: Iterator[_Row], size: int | None
) -> Iterator[_Row]:
    """The rows that an index names, read in batches (of `size`, where no more are wanted, for the
    index is read in pages of that); None for one that has gone since.
    """
    table = repository.table(entity)
    while page := list(islice(source, min(size or BATCH_GET_LIMIT, BATCH_GET_LIMIT))):
        keys = [
            each and (getattr(each, table.hash_key), getattr(each, table.range_key))
            for each, _ in page
        ]
        found = repository.get_many(entity, tenant, [key for key in keys if key])
        yield from (
            (key and found.get(key), position)
            for key, (_, position) in zip(keys, page, strict=True)
        )


def _of_an_index(table: Table[Any]) -> list[str]:
    """What a position in the index of statuses is made of."""
    return [table.hash_key, table.range_key]


def _of_statuses(
    table: Table[Any],
    tenant: str,
    entity: Entity,
    statuses: Sequence[str],
    above: str | None,
    after: list[str],
) -> Iterator[_Row]:
    """The keys of the sessions that the sparse index has under these statuses, in one order;
    `above`: their parent.
    """
    names = _of_an_index(table)
    position = (
        {each: _part(after, at, len(names)) for at, each in enumerate(names)} if after else None
    )

    def under(key: str) -> Iterator[Any]:
        start = table.raw_key(tenant, {"by_status": key, **position}) if position else None
        while True:
            page, start = table.query_index(
                "by_status", key, after=start, limit=_KEYS, forward=not entity.newest_first
            )
            yield from page
            if start is None:
                return

    parts = [under(key) for key in status_keys(tenant, statuses)]
    for each in heapq.merge(*parts, key=attrgetter(*reversed(names)), reverse=entity.newest_first):
        row = each if above is None or getattr(each, table.hash_key) == above else None
        yield row, [getattr(each, name) for name in names]


def _below_sessions(
    repository: Repository,
    table: Table[Any],
    tenant: str,
    filters: Mapping[str, Any],
    after: list[str],
) -> Iterator[_Row]:
    """Children of all sessions of a coordination or tenant: no index on the hot path of a step pays
    for this list.
    """
    session_filters = {
        name: filters[name] for name in ("coordination_uuid", "task_uuid") if name in filters
    }
    above = after[:-1]
    if after:
        for record, position in _partition(
            repository, table, tenant, _part(after, -2, 2), after[-1:]
        ):
            yield record, [*above, *position]
    for session, place in _rows(repository, SESSION, tenant, session_filters, above, None):
        yield None, [*place, _FIRST]
        if session is None:
            continue
        for record, position in _partition(repository, table, tenant, session.session_uuid, []):
            yield record, [*place, *position]


def _of_task(
    repository: Repository, source: Iterator[_Row], tenant: str, task_uuid: str
) -> Iterator[_Row]:
    """The rows of one session when it runs this task; none otherwise."""
    for row in source:
        session = repository.get(SESSION, tenant, (row[0].coordination_uuid, row[0].session_uuid))
        if session is not None and session.task_uuid == task_uuid:
            yield row
            yield from source
        return


def _part(position: list[str], index: int, length: int) -> str:
    if len(position) < length:
        raise BadUserInput("cursor is damaged; pass on nextCursor as it came.")
    return position[index]
