"""One generic repository for the six records: every access checks the tenant, every write is
conditional.

A record of another tenant does not exist. Oversize attributes are moved to blobs when they are
written; those of the records that come back open themselves (`store.payload`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from hashlib import sha256
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

from pynamodb.connection import Connection
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.predicates import Predicate
from ai_coordination_engine.errors import Conflict, Immutable, NotFound
from ai_coordination_engine.ports import Blobs, Clock
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.meter import Meter, MeteredBlobs
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.payload import BlobReference, check_in
from ai_coordination_engine.store.record import M, Record
from ai_coordination_engine.store.records import marks
from ai_coordination_engine.store.records.begun import KnownStarts, first_key, is_starting, tell
from ai_coordination_engine.store.records.entities import COORDINATION, ENTITIES, Entity
from ai_coordination_engine.store.tables.batches import BATCH_GET_LIMIT
from ai_coordination_engine.store.tables.parallel import Parallel
from ai_coordination_engine.store.tables.table import Refused, Table, get_many_of
from ai_coordination_engine.store.transitions.rows import condition as compiled
from ai_coordination_engine.store.transitions.rows import same

T = TypeVar("T")
AT_ONCE = BATCH_GET_LIMIT
"""Records that one request reads."""
_LONGEST_PLACE = 200  # characters: a key of S3 has at most 1,024 bytes ("Naming Amazon S3 objects")
Content = Callable[[Record | None, bool], Mapping[str, Any]]
"""Makes the attributes to write from the parent (None when it was not asked for) and whether the
record is new.
"""


class Repository:
    """Reads and writes records of all six entities. Thread-safe."""

    def __init__(
        self, connection: Connection, prefix: str, blobs: Blobs, clock: Clock, inline_limit: int
    ) -> None:
        self.tables: dict[type[Record], Table[Any]] = {
            entity.model: Table(entity.model, connection, prefix, blobs) for entity in ENTITIES
        }
        self.tables[CounterShard] = self.tables[SessionAgent].holding(CounterShard)
        self.blobs: Blobs = blobs
        self.clock = clock
        self.parallel = Parallel()
        self._inline_limit = inline_limit
        self.meter: Meter | None = None
        self._known: KnownStarts | None = None

    def metered(self, meter: Meter) -> "Repository":
        """The same records, every read of them charged to a request; reads raise `OverBudget`.

        What the request reads of a session's agents and runs also tells that its start is
        confirmed.
        """
        other = copy(self)
        other.tables = {model: table.metered(meter) for model, table in self.tables.items()}
        other.blobs = MeteredBlobs(self.blobs, meter)
        other.meter = meter
        other._known = KnownStarts()
        return other

    def table(self, entity: Entity[M]) -> Table[M]:
        """The table that holds the entity."""
        return self.tables[entity.model]

    # Reading

    def get(
        self, entity: Entity[M], tenant: str, key: Key, *, consistent: bool = False
    ) -> M | None:
        """The record under `key`, or None when there is none for this tenant. One GetItem."""
        found = self.table(entity).get(tenant, key, consistent=consistent)
        if found is not None:
            self.look_at_starts([found], consistent=consistent)
        return self.seen(visible(found, tenant))

    def get_many(
        self, entity: Entity[M], tenant: str, keys: Sequence[Key], *, consistent: bool = False
    ) -> dict[Key, M]:
        """The records that exist for this tenant among `keys`. One BatchGetItem per 100 keys."""
        return self.get_many_of(tenant, {entity.model: keys}, consistent=consistent)[entity.model]

    def get_many_of(
        self,
        tenant: str,
        wanted: Mapping[type[Record], Sequence[Key]],
        *,
        consistent: bool = False,
    ) -> dict[type[Record], dict[Key, Any]]:
        """The records that exist for this tenant among the keys of each entity's model. One
        BatchGetItem per 100 keys, of whatever entities.
        """
        tables = {self.tables[model]: keys for model, keys in wanted.items()}
        read = get_many_of(tenant, tables, consistent=consistent)
        rows = [record for found in read.values() for record in found.values()]
        self.look_at_starts(rows, consistent=consistent)
        return {
            table.model: {
                key: self.seen(record) for key, record in found.items() if visible(record, tenant)
            }
            for table, found in read.items()
        }

    def get_stored(
        self, entity: Entity[M], tenant: str, key: Key, *, consistent: bool = True
    ) -> M | None:
        """The record under `key` as it stands there, confirmed or not. One GetItem."""
        return self.table(entity).get(tenant, key, consistent=consistent)

    def children(
        self, entity: Entity[M], tenant: str, parent_key: Key, *, consistent: bool = False
    ) -> Iterator[M]:
        """Every visible record of an entity below a parent, in order of creation. One Query a
        megabyte.
        """
        rows = self.stored_children(entity, tenant, parent_key, consistent=consistent)
        return (self.seen(record) for record in rows if visible(record, tenant))

    def stored_children(
        self, entity: Entity[M], tenant: str, parent_key: Key, *, consistent: bool = True
    ) -> Iterator[M]:
        """Every record of an entity below a parent as it stands there, confirmed or not, in order
        of creation. One Query a megabyte.
        """
        rows = self.table(entity).query_all(tenant, parent_key[1], consistent=consistent)
        return (record for record in rows if is_below(record, entity, parent_key))

    def is_any_below(self, entity: Entity[Any], tenant: str, parent_uuid: str) -> bool:
        """Whether there is any record of an entity under the uuid of a parent, whichever parent's,
        confirmed or not. One Query of one item.
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
        """As `children`, consistent, those of at most `limit` items `after` this uuid; and the uuid
        to go on from, None at the end. One Query.
        """
        table = self.table(entity)
        start = table.after(tenant, parent_key[1], after) if after is not None else None
        rows, last = table.query(tenant, parent_key[1], after=start, limit=limit, consistent=True)
        mine = [
            each for each in rows if visible(each, tenant) and is_below(each, entity, parent_key)
        ]
        return mine, getattr(rows[-1], table.range_key) if rows and last is not None else None

    def look_at_starts(self, records: Sequence[Any], *, consistent: bool = False) -> None:
        """See of sessions, which belong to one tenant, whether their starts are confirmed: then
        they show no reservation. One BatchGetItem per 100 of which neither their rows tell nor what
        the request has read; no call where there are none.
        """
        starting = [each for each in records if is_starting(each)]
        if (known := self._known) is not None:
            with_first = not consistent
            starting = [each for each in starting if not known.tell(each, with_first=with_first)]
        if starting:
            agents = self.tables[SessionAgent]
            tenant = starting[0].partition_key
            found = agents.get_many(
                tenant, [first_key(each) for each in starting], consistent=consistent
            )
            for each in starting:
                tell(each, found.get(first_key(each)))

    def seen(self, record: T) -> T:
        """The record, which people see; what a session's agent or run tells of its start is
        remembered for the request.
        """
        if self._known is not None:
            self._known.see(record)
        return record

    def counting(self) -> AbstractContextManager[None]:
        """What a count of many records is made in: a request makes one at a time, within its
        budget.
        """
        return self.meter.counting() if self.meter is not None else nullcontext()

    # Writing

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

        `parent_key` is None when the caller did not say enough to create; `condition` must hold for
        an update, and `conflict` says what it means when it does not. Raises `NotFound`,
        `Conflict`.
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

        Until it is filled the record is invisible; it holds its parent's delete back all the same.
        """
        if entity.parent is None:
            return self._create_root(entity, tenant, key, content)
        if parent_key is None:
            raise NotFound(
                f"There is no such {entity.name}; to create one, name its {entity.parent.name} too."
            )
        mark, nonce = self._reserve(entity, tenant, key, parent_key)
        try:
            parent = self._parent(entity, tenant, parent_key, new_child=True)
            values = {**content(parent, True), "created_at": self.clock.now()}
            actions = self._actions(
                entity, tenant, key, values, lambda: blob_prefix(entity, tenant, key, nonce)
            )
        except Exception:  # whatever it was, the reservation must not outlive it
            self.release(entity, tenant, key, mark)
            raise
        return self.confirm(entity, tenant, key, mark, actions)

    def create_once(
        self, entity: Entity[M], tenant: str, key: Key, content: Mapping[str, Any], parent_key: Key
    ) -> M:
        """Create an immutable record; the same content again is a success, another one raises
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

    def release(self, entity: Entity[Any], tenant: str, key: Key, mark: str) -> None:
        """Take an unconfirmed record back; it may be gone already."""
        table = self.table(entity)
        try:
            table.delete(tenant, key, table.model.unconfirmed == mark)
        except Refused:
            return

    def confirm(
        self, entity: Entity[M], tenant: str, key: Key, mark: str, actions: Sequence[Action]
    ) -> M:
        """Make an unconfirmed record visible; raises `Conflict` when its mark ran out and somebody
        took it away.
        """
        table = self.table(entity)
        try:
            return table.update(
                tenant,
                key,
                [*actions, table.model.unconfirmed.remove(), table.model.confirmed.set(mark)],
                table.model.unconfirmed == mark,
            )
        except Refused as refused:
            # the answer to a first try was lost
            old: M | None = refused.old
            if old is not None and old.confirmed == mark:
                return old
            raise Conflict(
                f"Creating the {entity.name} took too long and was undone; try again."
            ) from refused

    def living_parent(self, entity: Entity[M], tenant: str, key: Key) -> M | None:
        """The parent under `key` of a child that has just been written, or None when it is gone.

        A delete that is under way is called off: once its mark is removed it can no longer go
        through.
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
        return self._packed(entity, values, lambda: blob_prefix(entity, tenant, key, nonce))

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

    def _packed(
        self, entity: Entity[Any], values: Mapping[str, Any], prefix: Callable[[], str]
    ) -> dict[str, Any]:
        payloads = set(entity.model.payload_names())
        packed = {
            name: self._checked_in(prefix, name, value) if name in payloads else value
            for name, value in values.items()
        }
        if any(isinstance(value, BlobReference) for value in packed.values()):
            packed["has_blobs"] = True
        return packed

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
        packed = self._packed(entity, values, prefix)
        return [
            attributes[name].remove() if value is None else attributes[name].set(value)
            for name, value in packed.items()
        ]

    def _create_root(self, entity: Entity[M], tenant: str, key: Key, content: Content) -> M:
        table = self.table(entity)
        now = self.clock.now()
        values = {**content(None, True), "created_at": now, "updated_at": now}
        nonce = marks.new_nonce()
        packed = self.store(entity, tenant, key, values, nonce)
        record = table.model(*key, partition_key=tenant, nonce=nonce, **packed)
        try:
            table.put(record, _absent(table))
        except Refused as refused:
            raise Conflict(f"Somebody else is creating this {entity.name}; try again.") from refused
        return record

    def _reserve(
        self, entity: Entity[M], tenant: str, key: Key, parent_key: Key
    ) -> tuple[str, str]:
        """The mark and the nonce of the record to be."""
        table = self.table(entity)
        mark, nonce = marks.new_mark(self.clock.now()), marks.new_nonce()
        above: dict[str, Any] = {}
        if entity.parent is not COORDINATION:
            above = {"coordination_uuid": parent_key[0]}
        record = table.model(*key, partition_key=tenant, unconfirmed=mark, nonce=nonce, **above)
        try:
            table.put(record, _absent(table))
        except Refused as refused:
            old = refused.old
            if old is None or old.partition_key != tenant:
                raise entity.missing(key) from refused
            if old.unconfirmed is None:
                raise _Exists(old) from refused
            self._take_over(table, record, old, entity)
        return mark, nonce

    def _take_over(self, table: Table[M], record: M, old: Record, entity: Entity[M]) -> None:
        busy = Conflict(f"Somebody else is creating this {entity.name}; try again in a moment.")
        if marks.is_live(old.unconfirmed, self.clock.now()) or is_starting(old):
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
        raise Conflict(conflict)


class _Place:
    """Where the large values of an update go: below the very record that it is written to, which is
    read for them unless it is `known`.
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
        """Whether the record was deleted meanwhile; it never comes back, so that what was put below
        it is removed.
        """
        seen = self._record
        if seen is None or (now is not None and now.nonce == seen.nonce):
            return False
        if seen.nonce is not None:
            self._records.blobs.delete_all(self())
        return True


class _Exists(Conflict):
    """A record to be created exists already; `old` is it."""

    def __init__(self, old: Any) -> None:
        super().__init__(f"This {old.record_name} exists already.")
        self.old = old


def visible(record: M | None, tenant: str) -> M | None:
    """The record when this tenant may see it, else None."""
    if record is None or record.partition_key != tenant or record.unconfirmed is not None:
        return None
    return record


def is_below(record: Any, entity: Entity[Any], parent_key: Key) -> bool:
    """Whether a record in the partition of a parent's uuid is that parent's: two coordinations may
    share the uuid.
    """
    return entity.parent is COORDINATION or record.coordination_uuid == parent_key[0]


def blob_prefix(entity: Entity[Any], tenant: str, key: Key, nonce: str | None) -> str:
    """Where the blobs of a record live, in at most 720 bytes; no record's place lies within
    another's.

    The nonce tells it from what stood under its key before, which somebody may be about to remove.
    """
    place = "/".join(map(_place, (tenant, entity.model.Meta.table_name, *key)))
    return f"{place}/" if nonce is None else f"{place}+{nonce}/"


def _place(part: str) -> str:
    """One part of a blob's key: what is long in percent encoding is a hash, which begins like no
    other part.
    """
    quoted = quote(f"={part}", safe="=")
    return quoted if len(quoted) <= _LONGEST_PLACE else f"~{sha256(part.encode()).hexdigest()}"


def _absent(table: Table[M]) -> Condition:
    return table.model.get_attributes()[table.hash_key].does_not_exist()
