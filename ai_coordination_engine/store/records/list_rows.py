"""Read the rows of a list from the smallest partition or index that holds all of its records.

`store.records.lists` makes pages of them.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any

from pynamodb.expressions.condition import Condition

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
from ai_coordination_engine.store.records.waiting import Waiting
from ai_coordination_engine.store.tables import shards
from ai_coordination_engine.store.tables.items import BATCH_GET_LIMIT
from ai_coordination_engine.store.tables.table import Table

Row = tuple[Any, list[str]]  # a record and its position; None for a record that was filtered out
_BEGINNING = {"dispatched", "in_progress"}  # the same stored status (`store.records.begun`)
_KEYS = 200  # keys that one request to an index reads
_FIRST = " "  # sorts before every printable range key
_LAST = "\U0010ffff"  # sorts after every printable character


def read_rows(
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    filters: Mapping[str, Any],
    after: list[str],
    want: int | None,
    *,
    waiting: Waiting | None = None,
) -> Iterator[Row]:
    """The rows after a position; a record that does not pass the filters is None.

    `after`: empty for the beginning. `want`: the number of records that the caller needs.
    `waiting`: those for the filter `waits_for_person` of sessions.
    """
    # the agents of coordinations, by uuid, that filters have read
    known: dict[str, Any] = {}
    checks = [
        (entity.filters[name], value) for name, value in filters.items() if name in entity.filters
    ]
    size = want if not checks else None
    rows = (
        _stored(repository, entity, tenant, filters, after, size)
        if waiting is None
        else _by_waiting(repository, entity, tenant, filters, after, size, waiting=waiting)
    )
    for record, position in rows:
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
    """The rows after a position from the best source; not all of them pass the filters.

    `size`: the number of rows that the caller needs; None if there are filters.
    """
    table = repository.table(entity)
    hash_value = hash_value_of(table, entity, tenant, filters)
    statuses = filters.get("statuses", ()) if entity.model is Session else ()
    among = prefix_of(table, filters)
    if statuses and INDEXED.issuperset(statuses) and among is None:
        source = _under_statuses(repository, entity, tenant, statuses, hash_value, after, size=size)
    elif hash_value is not None:
        source = _partition(
            repository,
            table,
            tenant,
            hash_value,
            after,
            size,
            newest=entity.newest_first,
            among=among,
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
    """The sessions with these statuses.

    If their coordination has few sessions, all of those are read; else the index by status.
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
    """The tenant's records of all parents: from an index, or session by session."""
    table = repository.table(entity)
    has_index = entity.by_tenant or entity.index is not None
    if not has_index:
        return _below_sessions(repository, table, tenant, filters, after)
    source = _tenant_index(table, tenant, entity, after, size, prefix_of(table, filters))
    return _with_rows(repository, entity, tenant, source, size) if entity.keys_only else source


def _read(repository: Repository, known: dict[str, Any], record: Any, name: str) -> Any:
    """Read an attribute for a filter.

    A session agent that a client created has no definition of its own; its coordination is read,
    once per list, and kept in `known`.
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
    among: Condition | None = None,
) -> Iterator[Row]:
    above = _part(after, -1, 1) if after else None
    for record in shards.rows(
        repository, table, tenant, hash_value, above, size, newest=newest, among=among
    ):
        yield record, [getattr(record, table.range_key)]


def _rest_if_short(
    repository: Repository,
    table: Table[Any],
    tenant: str,
    hash_value: str,
    newest: bool,
    after: list[str],
) -> Iterator[Row] | None:
    """All rows after a position, if one request per shard reads them; None if there are more.

    For a short list this is cheaper than an index of the whole tenant, which may hold very many
    rows of other parents.
    """
    above = after[-1] if after else None
    found = shards.rest_if_short(repository, table, tenant, hash_value, above, newest=newest)
    return (
        ((each, [getattr(each, table.range_key)]) for each in found) if found is not None else None
    )


def hash_value_of(
    table: Table[Any], entity: Entity[Any], tenant: str, filters: Mapping[str, Any]
) -> str | None:
    """The hash key of the partition that holds the whole list; None if there is none."""
    return tenant if entity is COORDINATION else filters.get(table.hash_key)


def prefix_of(table: Table[Any], filters: Mapping[str, Any]) -> Condition | None:
    """The condition that the own uuids of a list's records begin with a prefix; None without
    one.
    """
    prefix = filters.get(f"{table.range_key}_prefix")
    if prefix is None:
        return None
    own: Any = table.model.get_attributes()[table.range_key]
    among: Condition = own.between(prefix, prefix + _LAST)
    return among


def index_of(table: Table[Any], entity: Entity[Any]) -> tuple[str, str, str]:
    """The index of all records of a tenant: its name, hash attribute and range attribute."""
    return entity.index or ("by_tenant", "partition_key", table.range_key)


def position_names(table: Table[Any], entity: Entity[Any]) -> list[str]:
    """The names of the attributes, beside the tenant, that form a position in the index."""
    return list(dict.fromkeys((table.hash_key, table.range_key, index_of(table, entity)[2])))


def _tenant_index(
    table: Table[Any],
    tenant: str,
    entity: Entity[Any],
    after: list[str],
    size: int | None,
    prefix: Condition | None,
) -> Iterator[Row]:
    name, hash_name, range_name = index_of(table, entity)
    among = prefix if range_name == table.range_key else None
    names = position_names(table, entity)
    start = None
    if after:
        position = {each: _part(after, at, len(names)) for at, each in enumerate(names)}
        start = table.raw_key(tenant, {hash_name: tenant} | position)
    while True:
        records, start = table.query_index(
            name,
            tenant,
            after=start,
            limit=size,
            forward=not entity.newest_first,
            range_condition=among,
        )
        for record in records:
            yield record, [getattr(record, each) for each in names]
        if start is None:
            return


def _by_waiting(
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    filters: Mapping[str, Any],
    after: list[str],
    size: int | None,
    *,
    waiting: Waiting,
) -> Iterator[Row]:
    """The sessions that wait for a person, in the order of a list, or those that do not."""
    if not filters["waits_for_person"]:
        for record, position in _stored(repository, entity, tenant, filters, after, size):
            yield None if record and record.key in waiting.sessions else record, position
        return
    above, prefix = filters.get("coordination_uuid"), filters.get("session_uuid_prefix", "")
    start = (_part(after, 0, 2), _part(after, 1, 2)) if after else None
    source = ((Session(*key), [*key]) for key in waiting.below(above, prefix, start))
    yield from _with_rows(repository, entity, tenant, source, size)


def _with_rows(
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    source: Iterator[Row],
    size: int | None,
) -> Iterator[Row]:
    """Read the rows whose keys an index gave, in batches of at most `size`.

    A row that was deleted meanwhile is None.
    """
    while page := list(islice(source, min(size or BATCH_GET_LIMIT, BATCH_GET_LIMIT))):
        keys = [each and each.key for each, _ in page]
        found = repository.get_many(entity, tenant, [key for key in keys if key])
        yield from (
            (key and found.get(key), position)
            for key, (_, position) in zip(keys, page, strict=True)
        )


def _of_an_index(table: Table[Any]) -> list[str]:
    """The names of the attributes that form a position in the index by status."""
    return [table.hash_key, table.range_key]


def _of_statuses(
    table: Table[Any],
    tenant: str,
    entity: Entity[Any],
    statuses: Sequence[str],
    above: str | None,
    after: list[str],
) -> Iterator[Row]:
    """The keys of the sessions in the index by status, merged in one order.

    `above`: the coordination; None means all of the tenant.
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
    """The children of all sessions of a coordination or tenant, session by session.

    There is no index for this list: it would make each write of a step more expensive.
    """
    session_filters = {
        name: filters[name] for name in ("coordination_uuid", "task_uuid") if name in filters
    }
    above, among = after[:-1], prefix_of(table, filters)
    if after:
        for record, position in _partition(
            repository, table, tenant, _part(after, -2, 2), after[-1:], among=among
        ):
            yield record, [*above, *position]
    for session, place in read_rows(repository, SESSION, tenant, session_filters, above, None):
        yield None, [*place, _FIRST]
        if session is None:
            continue
        for record, position in _partition(
            repository, table, tenant, session.session_uuid, [], among=among
        ):
            yield record, [*place, *position]


def _of_task(
    repository: Repository, source: Iterator[Row], tenant: str, task_uuid: str
) -> Iterator[Row]:
    """The rows of one session if it runs this task; else none."""
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
