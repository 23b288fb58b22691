"""The rows of a list, one after another, from the narrowest partition or index that holds all that
pass its filters.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any

from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.begun import with_statuses
from ai_coordination_engine.store.records.entities import (
    COORDINATION,
    SESSION,
    SESSION_AGENT,
    Entity,
)
from ai_coordination_engine.store.records.reads import visible
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.records.session_status import INDEXED, status_keys
from ai_coordination_engine.store.tables import shards
from ai_coordination_engine.store.tables.batches import BATCH_GET_LIMIT
from ai_coordination_engine.store.tables.table import Table

Row = tuple[Any, list[str]]  # a record, or None for one that does not pass, and its position
_BEGINNING = {"dispatched", "in_progress"}  # a row does not tell one from the other
_KEYS = 200  # of an index of keys, read at once
_FIRST = " "  # sorts before every printable range key


def read_rows(
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    filters: Mapping[str, Any],
    after: list[str],
    want: int | None,
) -> Iterator[Row]:
    """Records with their positions, from `after` on; those that do not pass as None."""
    # the agents of coordinations by uuid, as far as a filter asks for them
    known: dict[str, Any] = {}
    checks = [
        (entity.filters[name], value) for name, value in filters.items() if name in entity.filters
    ]
    size = want if not checks else None
    for record, position in _stored(repository, entity, tenant, filters, after, size):
        if visible(record, tenant) is None:
            yield None, position
            continue
        read = partial(_read, repository, known, record)
        passes = all(check(read, value) for check, value in checks)
        yield (record if passes else None), position


def _stored(
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    filters: Mapping[str, Any],
    after: list[str],
    size: int | None,
) -> Iterator[Row]:
    """The rows from `after` on, whether they pass the filters or not; from the narrowest place that
    holds all that pass. `size`: how many are wanted, where all pass.
    """
    table = repository.table(entity)
    hash_value = hash_value_of(table, entity, tenant, filters)
    statuses = filters.get("statuses", ()) if entity.model is Session else ()
    if statuses and INDEXED.issuperset(statuses):
        source = _under_statuses(repository, entity, tenant, statuses, hash_value, after, size=size)
    elif hash_value is not None:
        source = _partition(
            repository, table, tenant, hash_value, after, size, newest=entity.newest_first
        )
    else:
        source = _of_all_parents(repository, entity, tenant, filters, after, size)
    is_of_one_session = hash_value is not None and entity.parent is SESSION
    if is_of_one_session and "task_uuid" in filters:
        source = _of_task(repository, source, tenant, filters["task_uuid"])
    must_tell_apart = len(_BEGINNING.intersection(statuses)) == 1
    if must_tell_apart:
        return with_statuses(partial(repository.get_many, SESSION_AGENT, tenant), source)
    return source


def _under_statuses(
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    statuses: Sequence[str],
    hash_value: str | None,
    after: list[str],
    *,
    size: int | None,
) -> Iterator[Row]:
    """The sessions of these statuses: all of their coordination when it has few, else what the
    index of statuses names.
    """
    table = repository.table(entity)
    is_position_in_partition = len(after) < len(_of_an_index(table))
    if hash_value is not None and is_position_in_partition:
        short = _rest_if_short(repository, table, tenant, hash_value, entity.newest_first, after)
        if short is not None:
            return short
        after = [hash_value, *after] if after else after
    among = _of_statuses(table, tenant, entity, statuses, hash_value, after)
    return _with_rows(repository, entity, tenant, among, size)


def _of_all_parents(
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    filters: Mapping[str, Any],
    after: list[str],
    size: int | None,
) -> Iterator[Row]:
    """The tenant's records, whatever their parents: from an index, or else from all sessions."""
    table = repository.table(entity)
    has_index = entity.by_tenant or entity.index is not None
    if not has_index:
        return _below_sessions(repository, table, tenant, filters, after)
    source = _tenant_index(table, tenant, entity, after, size)
    return _with_rows(repository, entity, tenant, source, size) if entity.keys_only else source


def _read(repository: Repository, known: dict[str, Any], record: Any, name: str) -> Any:
    """An attribute for a filter. A session agent that a client made is described by its
    coordination, read once.
    """
    value = getattr(record, name)
    if value is not None or name != "definition" or record.coordination_uuid is None:
        return value
    tenant, uuid = record.partition_key, record.coordination_uuid
    if uuid not in known:
        coordination = repository.get(COORDINATION, tenant, (tenant, uuid))
        found = coordination.agents if coordination else None
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
) -> Iterator[Row]:
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
) -> Iterator[Row] | None:
    """All rows from `after` on when few requests read them; None when there are more.

    An index of the whole tenant may name very many others before those of one parent.
    """
    above = after[-1] if after else None
    found = shards.rest_if_short(repository, table, tenant, hash_value, above, newest=newest)
    return (
        ((each, [getattr(each, table.range_key)]) for each in found) if found is not None else None
    )


def hash_value_of(
    table: Table[Any], entity: Entity[Any], tenant: str, filters: Mapping[str, Any]
) -> str | None:
    """The partition that holds the whole list, if there is one."""
    return tenant if entity is COORDINATION else filters.get(table.hash_key)


def index_of(table: Table[Any], entity: Entity[Any]) -> tuple[str, str, str]:
    """The index that lists a tenant's records: its name, its hash and its range attribute."""
    return entity.index or ("by_tenant", "partition_key", table.range_key)


def position_names(table: Table[Any], entity: Entity[Any]) -> list[str]:
    """What a position in the index is made of, beside the tenant."""
    return list(dict.fromkeys((table.hash_key, table.range_key, index_of(table, entity)[2])))


def _tenant_index(
    table: Table[Any], tenant: str, entity: Entity[Any], after: list[str], size: int | None
) -> Iterator[Row]:
    name, hash_name, _ = index_of(table, entity)
    names = position_names(table, entity)
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
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    source: Iterator[Row],
    size: int | None,
) -> Iterator[Row]:
    """The rows that an index names, read in batches (of `size`, where no more are wanted, for the
    index is read in pages of that); None for one that has gone since.
    """
    while page := list(islice(source, min(size or BATCH_GET_LIMIT, BATCH_GET_LIMIT))):
        keys = [each and each.key for each, _ in page]
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
    entity: Entity[Any],
    statuses: Sequence[str],
    above: str | None,
    after: list[str],
) -> Iterator[Row]:
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
) -> Iterator[Row]:
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
    for session, place in read_rows(repository, SESSION, tenant, session_filters, above, None):
        yield None, [*place, _FIRST]
        if session is None:
            continue
        for record, position in _partition(repository, table, tenant, session.session_uuid, []):
            yield record, [*place, *position]


def _of_task(
    repository: Repository, source: Iterator[Row], tenant: str, task_uuid: str
) -> Iterator[Row]:
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
