"""Read one page of a list of records, by page number or by cursor, with an optional total.

A page is one Query in the simplest case. `list_rows` reads the rows; the API's list queries are the
caller.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any

from pynamodb.expressions.condition import Condition

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.ids import begins_ids, is_id
from ai_coordination_engine.errors import BadUserInput, TooComplex
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import cursors
from ai_coordination_engine.store.records.entities import (
    Entity,
)
from ai_coordination_engine.store.records.list_rows import (
    Row,
    hash_value_of,
    index_of,
    position_names,
    read_rows,
)
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.records.waiting import (
    MAX_QUESTIONS,
    Waiting,
    waiting_sessions,
)
from ai_coordination_engine.store.tables import shards
from ai_coordination_engine.store.tables.items import RawKey
from ai_coordination_engine.store.tables.shards import share
from ai_coordination_engine.store.tables.table import Table

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_READ = 4_000  # rows that are read for one page, at most
MAX_COUNTED = 20_000  # a total is not counted beyond this number of rows
_PREFIX = "_prefix"
_GO_ON = "go on with nextCursor, or narrow the filters"


@dataclass(frozen=True)
class Page:
    """One page of a list.

    `next_cursor`: None at the end of the list; until then a page may be short or even empty.
    `total`: None if it was not requested. `warnings`: the page is short although there may be more
    records, or the total is only a lower bound.
    """

    records: list[Any]
    page_size: int
    page_number: int
    total: int | None
    next_cursor: str | None
    warnings: tuple[str, ...] = ()


def read_page(
    repository: Repository,
    entity: Entity[Any],
    tenant: str,
    where: Mapping[str, Any],
    *,
    limit: int | None = None,
    page_number: int | None = None,
    cursor: str | None = None,
    with_total: bool = False,
) -> Page:
    """One page of a tenant's records that pass all filters in `where`; None values are ignored.

    The first page without filters is one Query. With filters, or for a later page number, reading
    goes on until the page is full. Raises `BadUserInput` for a limit outside 1 … 1000, a page
    number below 1 or beyond 10,000 records, and the cursor of another query. Raises `TooComplex`
    for a late page number of a list with filters.
    """
    size, number = _checked(limit, page_number, cursor)
    asked = _Asked(size, number, with_total)
    source = _List(repository, entity, tenant, _given(where))
    if not source.has_possible_ids:
        return asked.without_records(total=0)
    query = cursors.fingerprint(entity.name, entity.index, tenant, source.filters)
    after = cursors.decode(query, cursor) if cursor else []
    skip = (number - 1) * size
    if skip and source.is_plain:
        with repository.counting():
            skipped, position = source.skip(skip)
        if position is None:
            return asked.without_records(total=skipped)
        after, skip = position, 0
    found, stopped_at = source.take(after, skip + size + 1)
    end, ends_early = _end(entity, asked, found, skip, stopped_at)
    is_whole_list = not after and end is None
    total, is_only_part = _total(source, asked, len(found) if is_whole_list else None)
    return Page(
        [repository.seen(record) for record, _ in found[skip : skip + size]],
        size,
        number,
        total,
        cursors.encode(query, end) if end else None,
        (*ends_early, *is_only_part, *source.warnings),
    )


@dataclass(frozen=True)
class _Asked:
    """The requested page."""

    size: int
    number: int
    with_total: bool

    def without_records(self, total: int) -> Page:
        """An empty page."""
        return Page([], self.size, self.number, total if self.with_total else None, None)


def _given(where: Mapping[str, Any]) -> dict[str, Any]:
    # every uuid begins with an empty prefix
    return {
        name: value
        for name, value in where.items()
        if value is not None and not (value == "" and name.endswith(_PREFIX))
    }


def _end(
    entity: Entity[Any], asked: _Asked, found: list[Row], skip: int, stopped_at: list[str] | None
) -> tuple[list[str] | None, list[str]]:
    """The position after which the next page starts (None at the end of the list), and warnings.

    There is a warning if this page is short although there may be more records.
    """
    last = skip + asked.size
    if len(found) > last:
        return found[last - 1][1], []
    if not stopped_at:
        return None, []
    if skip:
        raise TooComplex(
            f"pageNumber {asked.number} lies beyond what is read for one page of a filtered list;"
            f" {_GO_ON}"
        )
    return stopped_at, [
        f"{entity.name}s: the page ends early, for many records do not pass the filters; {_GO_ON}"
    ]


def _total(source: "_List", asked: _Asked, read: int | None) -> tuple[int | None, list[str]]:
    """The total (None if not requested), and a warning if it is only a lower bound.

    `read`: the number of records, if the whole list was read; else None.
    """
    if not asked.with_total:
        return None, []
    if read is not None:
        return read, []
    total, is_all = source.total()
    if is_all:
        return total, []
    return total, [
        f"{source.entity.name}s: total is at least {total}; beyond that nothing is counted"
    ]


@dataclass(frozen=True)
class _List:
    """The records of a tenant that pass all filters."""

    repository: Repository
    entity: Entity[Any]
    tenant: str
    filters: Mapping[str, Any]

    @property
    def has_possible_ids(self) -> bool:
        """Whether the ids in the filters are valid; nothing is stored under an invalid id."""
        return all(
            begins_ids(value) if name.endswith(_PREFIX) else is_id(value)
            for name, value in self.filters.items()
            if name.endswith(("_uuid", _PREFIX))
        )

    @cached_property
    def waiting(self) -> Waiting | None:
        """The sessions that wait for a person, if the list is about them."""
        if "waits_for_person" not in self.filters:
            return None
        return waiting_sessions(self.repository, self.tenant)

    @property
    def warnings(self) -> list[str]:
        """That sessions were looked for in a part of the questions only."""
        if self.waiting is None or self.waiting.is_all:
            return []
        return [
            f"sessions: waitsForPerson looks at the {MAX_QUESTIONS:,} latest questions only; read"
            " userInbox for all of them"
        ]

    @property
    def is_plain(self) -> bool:
        """Whether the list is everything visible in one partition or index.

        Such a list is counted without transferring its items.
        """
        has_index = self.entity.by_tenant or self.entity.index is not None
        has_partition = self._partition is not None
        has_other_filters = bool(set(self.filters) - {self._table.hash_key})
        return (has_partition or has_index) and not has_other_filters

    def take(self, after: list[str], want: int) -> tuple[list[Row], list[str] | None]:
        """The first `want` records after a position, with their positions.

        Also returns the position at which reading stopped; None at the end of the list.
        """
        found: list[Row] = []
        for number, (record, position) in enumerate(self._rows(after, want), 1):
            if record is not None:
                found.append((record, position))
            if len(found) == want or self._has_read_enough(number, want):
                return found, position
        return found, None

    def total(self) -> tuple[int, bool]:
        """The number of records, and whether it is exact; counting a long list stops early."""
        if self.is_plain:
            with self.repository.counting():
                return self._counted()
        found = 0
        for number, (record, _) in enumerate(self._rows([], None), 1):
            found += record is not None
            if self._has_read_enough(number, 0):
                return found, False
        return found, True

    def _rows(self, after: list[str], want: int | None) -> Iterator[Row]:
        return read_rows(
            self.repository,
            self.entity,
            self.tenant,
            self.filters,
            after,
            want,
            waiting=self.waiting,
        )

    def skip(self, rows: int) -> tuple[int, list[str] | None]:
        """Skip rows of a plain list.

        Returns the number of rows that were skipped and the position after them; None instead of
        the position if the list has no more rows.
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
        """The number of rows of a plain list, up to `MAX_COUNTED`, and whether it is exact."""
        many = self._table.shards if self._partition is not None else 1
        most = share(MAX_COUNTED, many)
        found = self.repository.parallel.run(
            [partial(self._count, most, shard) for shard in range(many)]
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
            index=index_of(self._table, self.entity)[0] if self._partition is None else None,
            forward=not self.entity.newest_first,
            shard=shard,
        )

    @property
    def _table(self) -> Table[Any]:
        return self.repository.table(self.entity)

    @property
    def _partition(self) -> str | None:
        """The hash key of the partition that holds the whole list; None if an index is read."""
        return hash_value_of(self._table, self.entity, self.tenant, self.filters)

    @property
    def _position(self) -> list[str]:
        """The names of the attributes that form a position in the list."""
        if self._partition is not None:
            return [self._table.range_key]
        return position_names(self._table, self.entity)

    @property
    def _condition(self) -> Condition | None:
        """The condition for rows that are counted; None for an index that has keys only."""
        model = self._table.model
        confirmed: Condition = model.unconfirmed.does_not_exist()
        if issubclass(model, Session):  # the row of a starting session does not say if it counts
            starting = Session.plan_hash.exists() & Session.restart.does_not_exist()
            confirmed |= starting & Session.deleting.does_not_exist()
        if self._partition is not None:
            confirmed &= model.partition_key == self.tenant
        elif self.entity.keys_only:
            return None
        return confirmed

    def _has_read_enough(self, number: int, want: int) -> bool:
        if number == MAX_READ:
            return True
        meter = self.repository.meter
        return number > want and meter is not None and meter.half_spent


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
