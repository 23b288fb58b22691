"""Guarded deletes (promise P1): mark the record, look for children consistently, then delete it or unmark it."""

from contextlib import suppress
from functools import partial
from typing import Any

from ai_coordination_engine.errors import Conflict, HasDependents, NotFound

from . import marks
from .entities import Entity
from .models import Record
from .repository import Repository, blob_prefix
from .table import Key, Refused

_LOOK = 25  # children read at once: the first visible one decides


def delete(
    repository: Repository,
    entity: Entity,
    tenant: str,
    key: Key,
    *,
    condition: Any = None,
    conflict: str = "",
) -> None:
    """Delete the record when it has no dependents.

    1 call without guards; with n guarding children n + 2, or n + 2 and a count when there are some. `condition` must
    hold beside, and `conflict` says what it means when it does not. Raises `NotFound`, `HasDependents`, `Conflict`.
    """
    table = repository.table(entity)
    owned = (table.model.partition_key == tenant) & table.model.unconfirmed.does_not_exist()
    if condition is not None:
        owned &= condition
    if not entity.guards:
        _remove(repository, entity, tenant, key, owned, conflict)
        return
    mark = _mark(repository, entity, tenant, key, owned)
    looks = [partial(_has_child, repository, child, tenant, key[1]) for child in entity.guards]
    if not any(repository.parallel.run(looks)):
        _remove(
            repository,
            entity,
            tenant,
            key,
            table.model.deleting == mark,
            "The delete took too long; try again.",
        )
        return
    with suppress(Refused):  # it ran out and somebody took it off
        table.update(key, [table.model.deleting.remove()], table.model.deleting == mark)
    raise _has_dependents(repository, entity, tenant, key[1])


def _mark(repository: Repository, entity: Entity, tenant: str, key: Key, owned: Any) -> str:
    table, now = repository.table(entity), repository.clock.now()
    deleting = table.model.deleting
    mark = marks.new_mark(now)
    try:
        table.update(
            key,
            [deleting.set(mark)],
            owned & (deleting.does_not_exist() | (deleting < marks.oldest_live(now))),
        )
    except Refused as refused:
        _explain(refused.old, entity, tenant, f"Somebody else is deleting this {entity.name}.")
    return mark


def _remove(repository: Repository, entity: Entity, tenant: str, key: Key, condition: Any, conflict: str) -> None:
    try:
        old = repository.table(entity).delete(key, condition)
    except Refused as refused:
        _explain(refused.old, entity, tenant, conflict)
    else:
        if old.has_blobs:
            repository.blobs.delete_all(blob_prefix(entity, tenant, key))


def _explain(old: Any, entity: Entity, tenant: str, conflict: str) -> None:
    if old is None or old.partition_key != tenant or old.unconfirmed is not None:
        raise NotFound(f"There is no such {entity.name}.")
    raise Conflict(conflict)


def _has_child(repository: Repository, child: Entity, tenant: str, parent_uuid: str) -> bool:
    """Whether a child stands in the way; reservations of crashed writers are swept aside."""
    table = repository.table(child)
    after = None
    while True:
        records, after = table.query(parent_uuid, after=after, limit=_LOOK, consistent=True)
        for record in records:
            if record.partition_key == tenant and not _swept(repository, child, tenant, record):
                return True
        if after is None:
            return False


def _swept(repository: Repository, entity: Entity, tenant: str, record: Record) -> bool:
    if record.unconfirmed is None or marks.is_live(record.unconfirmed, repository.clock.now()):
        return False
    table = repository.table(entity)
    key = (getattr(record, table.hash_key), getattr(record, table.range_key))
    for child in entity.guards:
        below = repository.table(child)
        for each in below.query_all(key[1], consistent=True):
            if each.partition_key == tenant:
                _forget(
                    repository,
                    child,
                    (key[1], getattr(each, below.range_key)),
                    below.model.partition_key == tenant,
                )
    return _forget(repository, entity, key, table.model.unconfirmed == record.unconfirmed)


def _forget(repository: Repository, entity: Entity, key: Key, condition: Any) -> bool:
    try:
        repository.table(entity).delete(key, condition)
    except Refused as refused:
        return refused.old is None
    return True


def _has_dependents(repository: Repository, entity: Entity, tenant: str, uuid: str) -> HasDependents:
    counts = {
        child.name: sum(1 for each in repository.table(child).query_all(uuid) if each.partition_key == tenant)
        for child in entity.guards
    }
    found = {name: count for name, count in counts.items() if count}
    words = " and ".join(f"{count} {name}{'s' if count > 1 else ''}" for name, count in found.items())
    return HasDependents(f"The {entity.name} still has {words or 'dependents'}; delete them first.", dependents=found)
