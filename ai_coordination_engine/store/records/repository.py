"""One generic repository for the six records: every access checks the tenant, every write is
conditional.

A record of another tenant does not exist. Oversize attributes are written to blobs; the records
that are returned load them on access (`store.payload`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.predicates import Predicate
from ai_coordination_engine.errors import Conflict, Immutable, NotFound
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.payload import BlobReference, check_in
from ai_coordination_engine.store.record import M, Record
from ai_coordination_engine.store.records import write_tokens
from ai_coordination_engine.store.records.begun import is_starting
from ai_coordination_engine.store.records.blob_places import blob_prefix
from ai_coordination_engine.store.records.entities import COORDINATION, Entity
from ai_coordination_engine.store.records.reads import Reads
from ai_coordination_engine.store.tables.table import Refused, Table
from ai_coordination_engine.store.transitions.rows import condition as compiled
from ai_coordination_engine.store.transitions.rows import same

Content = Callable[[Record | None, bool], Mapping[str, Any]]
"""Makes the attributes to write from the parent (None when it was not asked for) and whether the
record is new.
"""


class Repository(Reads):
    """Reads and writes records of all six entities. Thread-safe."""

    def write(
        self,
        entity: Entity[M],
        tenant: str,
        key: Key,
        content: Content,
        *,
        parent_key: Key | None,
        needs_parent: bool = False,
        condition: Predicate | None = None,
        conflict: str = "",
    ) -> M:
        """Update the record under `key`, or create it when there is none.

        `parent_key` is None when the caller did not name a parent; without it nothing is created.
        `condition` must hold for an update; `conflict` is the message when it does not. Raises
        `NotFound`, `Conflict`, and `Changed` where the condition does not hold.
        """
        parent = (
            self._parent(entity, tenant, parent_key) if needs_parent and entity.parent else None
        )
        table = self.table(entity)
        confirmed: Session | None = None
        while True:
            place = _Place(self, entity, tenant, key, confirmed)
            exists = self._exists(table, tenant, condition, still=confirmed is not None)
            try:
                actions = self._actions(entity, tenant, key, content(parent, False), place)
                return self._update(
                    table, tenant, key, actions, place.is_the_same(exists), confirmed
                )
            except Refused as refused:
                old = refused.old
            if confirmed is not None or not self._now_says_so(old, tenant):
                break
            confirmed = old
        if place.was_left(old):
            conflict = f"Somebody has deleted this {entity.name} and created it anew; try again."
        if old is None:
            return self.create(entity, tenant, key, content, parent_key=parent_key)
        self._explain(old, entity, tenant, key, conflict)

    def create(
        self, entity: Entity[M], tenant: str, key: Key, content: Content, *, parent_key: Key | None
    ) -> M:
        """Create the record under `key`: 1 call, or 3 for a child (P1: reserve, read the parent,
        fill).

        Before it is filled the record is invisible, but it prevents the delete of its parent.
        """
        if entity.parent is None:
            return self._create_root(entity, tenant, key, content)
        if parent_key is None:
            raise NotFound(
                f"There is no such {entity.name}; to create one, name its {entity.parent.name} too."
            )
        reservation, nonce = self._reserve(entity, tenant, key, parent_key)
        try:
            parent = self._parent(entity, tenant, parent_key, new_child=True)
            values = {**content(parent, True), "created_at": self.clock.now()}
            actions = self._actions(
                entity, tenant, key, values, lambda: blob_prefix(entity, tenant, key, nonce)
            )
        except Exception:  # whatever it was, the reservation must not outlive it
            self.release(entity, tenant, key, reservation)
            raise
        return self.confirm(entity, tenant, key, reservation, actions)

    def create_once(
        self, entity: Entity[M], tenant: str, key: Key, content: Mapping[str, Any], parent_key: Key
    ) -> M:
        """Create an immutable record. Repeating it with the same content is a success; other
        content raises `Immutable`.
        """
        try:
            return self.create(
                entity, tenant, key, lambda parent, new: content, parent_key=parent_key
            )
        except _Exists as error:
            old: M = error.old
            compared = [name for name in content if name not in ("updated_at", "updated_by")]
            if all(content[name] == getattr(old, name) for name in compared):
                return old
            raise Immutable(
                f"This {entity.name} exists with another content; a {entity.name} never changes."
            ) from error

    # The steps of promise P1

    def release(self, entity: Entity[Any], tenant: str, key: Key, reservation: str) -> None:
        """Delete an unconfirmed record; it may be gone already."""
        table = self.table(entity)
        try:
            table.delete(tenant, key, table.model.unconfirmed == reservation)
        except Refused:
            return

    def confirm(
        self, entity: Entity[M], tenant: str, key: Key, reservation: str, actions: Sequence[Action]
    ) -> M:
        """Make an unconfirmed record visible. Raises `Conflict` when its reservation expired and
        somebody took it over.
        """
        table = self.table(entity)
        try:
            return table.update(
                tenant,
                key,
                [
                    *actions,
                    table.model.unconfirmed.remove(),
                    table.model.confirmed.set(reservation),
                ],
                table.model.unconfirmed == reservation,
            )
        except Refused as refused:
            # the answer to a first try was lost
            old: M | None = refused.old
            if old is not None and old.confirmed == reservation:
                return old
            raise Conflict(
                f"Creating the {entity.name} took too long and was undone; try again."
            ) from refused

    def living_parent(self, entity: Entity[M], tenant: str, key: Key) -> M | None:
        """The parent of a child that has just been written, or None when the parent is deleted.

        A delete in progress is cancelled: without its tombstone it cannot complete.
        """
        table = self.table(entity)
        record = self.get(entity, tenant, key, consistent=True)
        if record is None or record.deleting is None:
            return record
        try:
            return table.update(
                tenant,
                key,
                [table.model.deleting.remove()],
                table.model.deleting == record.deleting,
            )
        except Refused:
            return self.living_parent(entity, tenant, key)

    def store(
        self,
        entity: Entity[Any],
        tenant: str,
        key: Key,
        values: Mapping[str, Any],
        nonce: str | None = None,
    ) -> dict[str, Any]:
        """`values` with the oversize ones moved to blobs, and `has_blobs` when there are some.

        `nonce` is the record's.
        """
        return self._stored_values(entity, values, lambda: blob_prefix(entity, tenant, key, nonce))

    # Inside

    @staticmethod
    def _update(
        table: Table[M],
        tenant: str,
        key: Key,
        actions: list[Action],
        condition: Condition,
        confirmed: Session | None,
    ) -> M:
        """Update a record; a session that is `confirmed` by its agent 0 says so in its row then."""
        if confirmed is None:
            return table.update(tenant, key, actions, condition)
        stored = table.update(tenant, key, [*actions, Session.unconfirmed.remove()], condition)
        if isinstance(stored, Session):
            stored.first_agent = confirmed.first_agent
        return stored

    def _now_says_so(self, session: Any, tenant: str) -> bool:
        """Whether a session of this tenant is confirmed whose row does not say so."""
        if session is None or not is_starting(session):
            return False
        if session.partition_key != tenant:
            return False
        self.look_at_starts([session], consistent=True)
        return session.unconfirmed is None

    def _stored_values(
        self, entity: Entity[Any], values: Mapping[str, Any], prefix: Callable[[], str]
    ) -> dict[str, Any]:
        payloads = set(entity.model.payload_names())
        stored_values = {
            name: self._checked_in(prefix, name, value) if name in payloads else value
            for name, value in values.items()
        }
        if any(isinstance(value, BlobReference) for value in stored_values.values()):
            stored_values["has_blobs"] = True
        return stored_values

    def _checked_in(self, prefix: Callable[[], str], name: str, value: Any) -> Any:
        return check_in(self.blobs, lambda: prefix() + name, value, self._inline_limit)

    def _parent(
        self, entity: Entity[Any], tenant: str, key: Key | None, *, new_child: bool = False
    ) -> Record:
        above: Entity[Record] = entity.parent or entity
        if key is None:
            parent = None
        elif new_child:
            parent = self.living_parent(above, tenant, key)
        else:
            parent = self.get(above, tenant, key, consistent=True)
        if parent is None:
            raise above.missing(key) if key else NotFound(f"There is no such {above.name}.")
        return parent

    def _actions(
        self,
        entity: Entity[Any],
        tenant: str,
        key: Key,
        values: Mapping[str, Any],
        prefix: Callable[[], str],
    ) -> list[Action]:
        attributes = entity.model.get_attributes()
        values = {**values, **entity.derived(tenant, key, values), "updated_at": self.clock.now()}
        stored_values = self._stored_values(entity, values, prefix)
        return [
            attributes[name].remove() if value is None else attributes[name].set(value)
            for name, value in stored_values.items()
        ]

    def _create_root(self, entity: Entity[M], tenant: str, key: Key, content: Content) -> M:
        table = self.table(entity)
        now = self.clock.now()
        values = {**content(None, True), "created_at": now, "updated_at": now}
        nonce = write_tokens.new_nonce()
        stored_values = self.store(entity, tenant, key, values, nonce)
        record = table.model(*key, partition_key=tenant, nonce=nonce, **stored_values)
        try:
            table.put(record, _absent(table))
        except Refused as refused:
            raise Conflict(f"Somebody else is creating this {entity.name}; try again.") from refused
        return record

    def _reserve(
        self, entity: Entity[M], tenant: str, key: Key, parent_key: Key
    ) -> tuple[str, str]:
        """The reservation and the nonce of the record to be."""
        table = self.table(entity)
        reservation, nonce = write_tokens.new_token(self.clock.now()), write_tokens.new_nonce()
        above: dict[str, Any] = {}
        if entity.parent is not COORDINATION:
            above = {"coordination_uuid": parent_key[0]}
        record = table.model(
            *key, partition_key=tenant, unconfirmed=reservation, nonce=nonce, **above
        )
        try:
            table.put(record, _absent(table))
        except Refused as refused:
            old = refused.old
            if old is None or old.partition_key != tenant:
                raise entity.missing(key) from refused
            if old.unconfirmed is None:
                raise _Exists(old) from refused
            self._take_over(table, record, old, entity)
        return reservation, nonce

    def _take_over(self, table: Table[M], record: M, old: Record, entity: Entity[M]) -> None:
        busy = Conflict(f"Somebody else is creating this {entity.name}; try again in a moment.")
        if write_tokens.is_live(old.unconfirmed, self.clock.now()) or is_starting(old):
            raise busy
        try:
            table.put(record, table.model.unconfirmed == old.unconfirmed)
        except Refused as refused:
            raise busy from refused

    @staticmethod
    def _exists(
        table: Table[Any], tenant: str, condition: Predicate | None, *, still: bool = False
    ) -> Condition:
        """The condition of an update; `still`: the record was confirmed, and is not given up."""
        visible_now: Condition = table.model.unconfirmed.does_not_exist()
        if still:
            visible_now |= table.model.deleting.does_not_exist()
        exists: Condition = (table.model.partition_key == tenant) & visible_now
        if condition is not None:
            exists &= compiled(condition, table.model, {})
        return exists

    @staticmethod
    def _explain(old: Record, entity: Entity[M], tenant: str, key: Key, conflict: str) -> NoReturn:
        if old.partition_key != tenant:
            raise entity.missing(key)
        if old.unconfirmed is not None:
            raise Conflict(f"Somebody else is creating this {entity.name}; try again in a moment.")
        raise Changed(conflict, old)


class _Place:
    """Where the large values of an update go: below the record that is updated. The record is read
    for that unless it is `known`.
    """

    def __init__(
        self, records: Repository, entity: Entity[Any], tenant: str, key: Key, known: Record | None
    ) -> None:
        self._records, self._entity, self._tenant, self._key = records, entity, tenant, key
        self._record = known

    def __call__(self) -> str:
        """The prefix of their keys. Raises `Refused` when there is no such record yet. One GetItem,
        once.
        """
        if self._record is None:
            found = self._records.table(self._entity).get(self._tenant, self._key, consistent=True)
            if found is None or found.unconfirmed is not None:
                raise Refused(found)
            self._record = found
        return blob_prefix(self._entity, self._tenant, self._key, self._record.nonce)

    def is_the_same(self, condition: Condition) -> Any:
        """The condition, and that the record is still the one which was read."""
        if self._record is None:
            return condition
        return condition & same(self._entity.model.nonce, self._record.nonce)

    def was_left(self, now: Record | None) -> bool:
        """Whether the record was deleted meanwhile. It never comes back, so blobs that were put
        below it are removed.
        """
        seen = self._record
        if seen is None or (now is not None and now.nonce == seen.nonce):
            return False
        if seen.nonce is not None:
            self._records.blobs.delete_all(self())
        return True


class Changed(Conflict):
    """A record does not meet the condition of a change; `old` is how it stands."""

    def __init__(self, message: str, old: Any) -> None:
        super().__init__(message)
        self.old = old


class _Exists(Conflict):
    """A record to be created exists already; `old` is it."""

    def __init__(self, old: Any) -> None:
        super().__init__(f"This {old.record_name} exists already.")
        self.old = old


def _absent(table: Table[M]) -> Condition:
    return table.model.get_attributes()[table.hash_key].does_not_exist()
