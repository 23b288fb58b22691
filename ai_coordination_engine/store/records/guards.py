"""Delete a record only if it has no children (promise P1).

Three steps: write a tombstone into the record, look for children with consistent reads, then delete
the record or remove the tombstone. The API's delete operations and the sweep are the callers.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.predicates import Predicate
from ai_coordination_engine.errors import Conflict, HasDependents
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.record import M, Record
from ai_coordination_engine.store.records import write_tokens
from ai_coordination_engine.store.records.begun import is_starting
from ai_coordination_engine.store.records.blob_places import blob_prefix
from ai_coordination_engine.store.records.entities import Entity
from ai_coordination_engine.store.records.reads import is_below
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.items import BATCH_WRITE_LIMIT
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions import counter_shards, starts
from ai_coordination_engine.store.transitions.rows import condition as compiled

_LOOK = 25  # children read per request; one prevents the deletion, more are not counted


@dataclass(frozen=True)
class _Look:
    """The children of one kind that were found.

    `count`: those that prevent the deletion; `is_all`: whether these are all. `dead`: expired
    reservations, which are not counted. `starting`: sessions that are counted, but may be expired
    reservations: their rows do not tell.
    """

    count: int
    is_all: bool
    dead: Sequence[Record]
    starting: Sequence[Session] = ()


def delete(
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    key: Key,
    *,
    condition: Predicate | None = None,
    conflict: str = "",
) -> None:
    """Delete the record if it has no children and `condition` holds.

    One call for a record that cannot have children; else two, and one for each kind of children.
    Raises `NotFound`, `HasDependents` (which counts up to 25 children of each kind), and `Conflict`
    with the message `conflict` if `condition` does not hold.
    """
    table = repository.table(entity)
    owned = (table.model.partition_key == tenant) & table.model.unconfirmed.does_not_exist()
    if condition is not None:
        owned &= compiled(condition, table.model, {})
    if not entity.guards:
        _remove(repository, entity, tenant, key, owned, conflict)
        return
    tombstone = _write_tombstone(repository, entity, tenant, key, owned)
    looks = _looks(repository, entity, tenant, key)
    if not any(look.count for look in looks):
        try:
            conflict = (
                f"Something was just created below this {entity.name}, or somebody else deletes it;"
                " try again."
            )
            _remove(repository, entity, tenant, key, table.model.deleting == tombstone, conflict)
        except Conflict:  # a child that has just been written has cancelled the deletion
            looks = _looks(repository, entity, tenant, key)
            if not any(look.count for look in looks):
                raise
        else:
            return
    with suppress(Refused):  # the tombstone is gone already
        table.update(
            tenant, key, [table.model.deleting.remove()], table.model.deleting == tombstone
        )
    raise _has_dependents(entity, looks)


def _write_tombstone(
    repository: Repository, entity: Entity[Any], tenant: str, key: Key, owned: Any
) -> str:
    table, now = repository.table(entity), repository.clock.now()
    deleting = table.model.deleting
    tombstone = write_tokens.new_token(now)
    try:
        table.update(
            tenant,
            key,
            [deleting.set(tombstone)],
            owned & (deleting.does_not_exist() | (deleting < write_tokens.oldest_live(now))),
        )
    except Refused as refused:
        old = refused.old
        if old is None or old.deleting != tombstone:  # else an earlier try has succeeded
            repository.resolve_starts([old] if old is not None else [], consistent=True)
            # agent 0 confirms the session, whose row was not written since: it has children
            if isinstance(old, Session) and old.first_agent is not None:
                raise _has_dependents(entity, _looks(repository, entity, tenant, key)) from refused
            _explain(old, entity, tenant, key, f"Somebody else is deleting this {entity.name}.")
    return tombstone


def _remove(
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    key: Key,
    condition: Any,
    conflict: str,
) -> None:
    try:
        old = repository.table(entity).delete(tenant, key, condition)
    except Refused as refused:
        # an earlier try has deleted it, but its response was lost
        if refused.old is None and (entity.guards or refused.again):
            return
        _explain(refused.old, entity, tenant, key, conflict)
    else:
        remove_blobs(repository, entity, old)


def remove_blobs(repository: Repository, entity: Entity[M], record: M) -> None:
    """Delete the blobs of a record that is deleted, or is about to be.

    Blobs of other records are never deleted.
    """
    if record.has_blobs or (isinstance(record, SessionAgent) and _may_have_stored(record)):
        prefix = blob_prefix(entity, record.partition_key, record.key, record.nonce)
        repository.blobs.delete_all(prefix)


def _may_have_stored(agent: SessionAgent) -> bool:
    """Whether an agent may have blobs that its record does not show.

    The blobs of outputs and answers are written before the agent's item; a worker may crash in
    between.
    """
    is_first = agent.attempt == 1 and agent.state == "completed"
    is_answered = agent.stored("user_input") is not None or agent.state == "wait_for_user_input"
    return is_answered or (bool(agent.attempt) and not is_first)


def _explain(old: Any, entity: Entity[Any], tenant: str, key: Key, conflict: str) -> None:
    if old is None or old.partition_key != tenant or old.unconfirmed is not None:
        raise entity.missing(key)
    raise Conflict(conflict)


def _looks(repository: Repository, entity: Entity[Any], tenant: str, key: Key) -> list[_Look]:
    """Look for children of each kind.

    If only expired reservations are found, they are deleted, and the search is repeated.
    """
    while True:
        looks = _look_at_all(repository, entity, tenant, key)
        dead = [
            (child, each)
            for child, look in zip(entity.guards, looks, strict=True)
            for each in look.dead
        ]
        if not dead or any(look.count for look in looks):
            return looks
        for child, each in dead:
            swept(repository, child, tenant, each)


def _look_at_all(repository: Repository, entity: Entity[Any], tenant: str, key: Key) -> list[_Look]:
    """Look for children of each kind once, in all shards at the same time."""
    shards = [
        (child, shard) for child in entity.guards for shard in range(repository.table(child).shards)
    ]
    calls = [partial(_look, repository, child, tenant, key, shard) for child, shard in shards]
    looks = repository.parallel.run(calls)
    starting = [each for look in looks for each in look.starting]
    repository.resolve_starts(starting, consistent=True)
    found = list(zip(shards, looks, strict=True))
    return [
        _merged([look for (each, _), look in found if each is child]) for child in entity.guards
    ]


def _merged(looks: Sequence[_Look]) -> _Look:
    """Merge the looks at all shards of one kind.

    Sessions in `starting` were checked before: those that still show a reservation are expired.
    """
    dead = [record for look in looks for record in look.dead]
    given_up = [each for look in looks for each in look.starting if each.unconfirmed is not None]
    count = sum(each.count for each in looks) - len(given_up)
    is_all = count <= _LOOK and all(each.is_all for each in looks)
    return _Look(min(count, _LOOK), is_all, [*dead, *given_up])


def _look(
    repository: Repository, child: Entity[Any], tenant: str, parent_key: Key, shard: int
) -> _Look:
    """Look for children in one shard; count up to `_LOOK` that prevent the deletion, or may."""
    table, now = repository.table(child), repository.clock.now()
    counted, dead, starting, after = 0, list[Record](), list[Session](), None
    while True:
        records, after = table.query(
            tenant, parent_key[1], after=after, limit=_LOOK, consistent=True, shard=shard
        )
        own = [
            each
            for each in records
            if each.partition_key == tenant and is_below(each, child, parent_key)
        ]
        ended, unsure = _over(own, now)
        counted += len(own) - len(ended)
        starting += unsure
        dead += ended
        if counted >= _LOOK or after is None:
            return _Look(counted, after is None, dead, starting)


def _over(records: Sequence[Any], now: datetime) -> tuple[list[Record], list[Session]]:
    """The expired reservations among `records`, and the sessions that may be ones.

    For the latter, agent 0 must be read to know.
    """
    over = [
        each
        for each in records
        if each.unconfirmed is not None and not write_tokens.is_live(each.unconfirmed, now)
    ]
    unsure = [each for each in over if is_starting(each)]
    asked = {id(each) for each in unsure}
    return [each for each in over if id(each) not in asked], unsure


def swept(repository: Repository, entity: Entity[M], tenant: str, record: M) -> bool:
    """Delete an expired reservation and everything below it; return whether it is gone.

    Children are deleted first, in batches. Only this function deletes reserved records of other
    writers. It may crash at any point and be repeated.
    """
    if record.unconfirmed is None or write_tokens.is_live(
        record.unconfirmed, repository.clock.now()
    ):
        return False
    table, key, reservation = repository.table(entity), record.key, record.unconfirmed
    if is_starting(record) and not starts.fence(repository, record):
        return False
    if entity.guards:  # its slow writer must not confirm it while its children are deleted
        reservation = write_tokens.new_token(repository.clock.now())
        unconfirmed, deleting = table.model.unconfirmed, table.model.deleting
        try:
            table.update(
                tenant,
                key,
                [unconfirmed.set(reservation), deleting.set(reservation)],
                unconfirmed == record.unconfirmed,
            )
        except Refused as refused:
            return refused.old is None
    for child in entity.guards:
        remove_many(repository, child, tenant, list(repository.stored_children(child, tenant, key)))
    remove_blobs(repository, entity, record)
    return _forget(repository, entity, tenant, key, table.model.unconfirmed == reservation)


def remove_many(
    repository: Repository, entity: Entity[M], tenant: str, records: Sequence[M]
) -> None:
    """Delete records without conditions, with their blobs; one request per 25 items.

    The counter shards of session agents are deleted first: only the agents name their keys.
    """
    table = repository.table(entity)
    keys = [each.key for each in records]
    agents = [each for each in records if isinstance(each, SessionAgent)]
    for each in records:
        remove_blobs(repository, entity, each)
    for every in (list(counter_shards.keys_of(agents)), keys):
        batches = [
            every[start : start + BATCH_WRITE_LIMIT]
            for start in range(0, len(every), BATCH_WRITE_LIMIT)
        ]
        if batches:
            repository.parallel.run(
                [partial(table.delete_many, tenant, batch) for batch in batches]
            )


def _forget(
    repository: Repository, entity: Entity[Any], tenant: str, key: Key, condition: Any
) -> bool:
    try:
        repository.table(entity).delete(tenant, key, condition)
    except Refused as refused:
        return refused.old is None
    return True


def _has_dependents(entity: Entity[Any], looks: Sequence[_Look]) -> HasDependents:
    found = {
        child.name: look for child, look in zip(entity.guards, looks, strict=True) if look.count
    }
    words = " and ".join(
        f"{'' if look.is_all else 'at least '}{look.count} {name}{'s' if look.count > 1 else ''}"
        for name, look in found.items()
    )
    counts = {name: look.count for name, look in found.items()}
    return HasDependents(
        f"The {entity.name} still has {words or 'dependents'}; delete them first.",
        dependents=counts,
    )
