"""Write records: one repository for all six entities. Each write is conditional.

Each access checks the tenant: a record of another tenant does not exist. Large values are written
to blobs; the returned records load them on access (`store.payload`). The API's CRUD operations are
the main caller.
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
"""(parent, is_new) → the attributes to write. The parent is None if it was not read."""


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
        """Update the record under `key`, or create it if there is none.

        `parent_key`: None if the caller did not name a parent; then no child is created. An update
        needs `condition` to hold; else it raises `Changed` with the message `conflict`. Also raises
        `NotFound` and `Conflict`.
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
            if confirmed is not None or not self._is_confirmed_by_agent(old, tenant):
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
        """Create the record under `key`. One call; for a child three (promise P1).

        A child is reserved, its parent is read, then the child is filled. A reserved record is
        invisible, but it prevents the deletion of its parent.
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
        except Exception:  # after any error, the reservation must be removed
            self.release(entity, tenant, key, reservation)
            raise
        return self.confirm(entity, tenant, key, reservation, actions)

    def create_once(
        self, entity: Entity[M], tenant: str, key: Key, content: Mapping[str, Any], parent_key: Key
    ) -> M:
        """Create an immutable record.

        If it exists with the same content, that is a success; with other content, raises
        `Immutable`.
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
        """Delete a record that is still reserved; do nothing if it is gone already."""
        table = self.table(entity)
        try:
            table.delete(tenant, key, table.model.unconfirmed == reservation)
        except Refused:
            return

    def confirm(
        self, entity: Entity[M], tenant: str, key: Key, reservation: str, actions: Sequence[Action]
    ) -> M:
        """Fill a reserved record and make it visible.

        Raises `Conflict` if the reservation has expired and another writer has taken it over.
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
            # an earlier try succeeded, but its response was lost
            old: M | None = refused.old
            if old is not None and old.confirmed == reservation:
                return old
            raise Conflict(
                f"Creating the {entity.name} took too long and was undone; try again."
            ) from refused

    def living_parent(self, entity: Entity[M], tenant: str, key: Key) -> M | None:
        """The parent of a child that has just been reserved; None if the parent is deleted.

        A deletion in progress is cancelled: its tombstone is removed, so it cannot complete.
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
        """Write large values to blobs; return the attributes to store.

        They contain `has_blobs` if a blob was written. `nonce`: the record's.
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
        """Update a record. For a session that agent 0 confirms, also remove the reservation."""
        if confirmed is None:
            return table.update(tenant, key, actions, condition)
        stored = table.update(tenant, key, [*actions, Session.unconfirmed.remove()], condition)
        if isinstance(stored, Session):
            stored.first_agent = confirmed.first_agent
        return stored

    def _is_confirmed_by_agent(self, session: Any, tenant: str) -> bool:
        """Whether agent 0 confirms a session of this tenant whose row shows a reservation."""
        if session is None or not is_starting(session):
            return False
        if session.partition_key != tenant:
            return False
        self.resolve_starts([session], consistent=True)
        return session.unconfirmed is None

    def _stored_values(
        self, entity: Entity[Any], values: Mapping[str, Any], prefix: Callable[[], str]
    ) -> dict[str, Any]:
        payloads = entity.model.payload_names()
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
        """Reserve the key of a new child. Returns its reservation and its nonce."""
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
        """The condition of an update: the record is visible, and `condition` holds.

        `still`: the record is a session that agent 0 confirms; it must not be deleted meanwhile.
        """
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
    """The prefix for the large values of an update.

    It depends on the record's nonce, so the record is read first, unless it is `known`.
    """

    def __init__(
        self, records: Repository, entity: Entity[Any], tenant: str, key: Key, known: Record | None
    ) -> None:
        self._records, self._entity, self._tenant, self._key = records, entity, tenant, key
        self._record = known

    def __call__(self) -> str:
        """The prefix. Raises `Refused` if the record does not exist. One GetItem, at most once."""
        if self._record is None:
            found = self._records.table(self._entity).get(self._tenant, self._key, consistent=True)
            if found is None or found.unconfirmed is not None:
                raise Refused(found)
            self._record = found
        return blob_prefix(self._entity, self._tenant, self._key, self._record.nonce)

    def is_the_same(self, condition: Condition) -> Any:
        """`condition`, and that the record is still the one that was read."""
        if self._record is None:
            return condition
        return condition & same(self._entity.model.nonce, self._record.nonce)

    def was_left(self, now: Record | None) -> bool:
        """Whether the record was deleted meanwhile; then its blobs are removed.

        A deleted record never comes back: a new one with the same key has another nonce.
        """
        seen = self._record
        if seen is None or (now is not None and now.nonce == seen.nonce):
            return False
        if seen.nonce is not None:
            self._records.blobs.delete_all(self())
        return True


class Changed(Conflict):
    """The record does not meet the condition of an update; `old` is its present state."""

    def __init__(self, message: str, old: Any) -> None:
        super().__init__(message)
        self.old = old


class _Exists(Conflict):
    """The record that was to be created exists already; `old` is that record."""

    def __init__(self, old: Any) -> None:
        super().__init__(f"This {old.record_name} exists already.")
        self.old = old


def _absent(table: Table[M]) -> Condition:
    return table.model.get_attributes()[table.hash_key].does_not_exist()
