"""Lists: one Query for a page, in order of creation or the other way round, by page number or by
cursor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pynamodb.expressions.condition import Condition

from ai_coordination_engine.domain.ids import is_id
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
from ai_coordination_engine.store.tables import shards
from ai_coordination_engine.store.tables.batches import RawKey
from ai_coordination_engine.store.tables.shards import share
from ai_coordination_engine.store.tables.table import Table

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_READ = 4_000  # rows that one page may cost
MAX_COUNTED = 20_000  # rows that a total is counted to
_GO_ON = "go on with nextCursor, or narrow the filters"


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
    entity: Entity[Any],
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
        (*ends_early, *is_only_part),
    )


@dataclass(frozen=True)
class _Asked:
    """Which page is asked for."""

    size: int
    number: int
    with_total: bool

    def without_records(self, total: int) -> Page:
        """The page when nothing is on it."""
        return Page([], self.size, self.number, total if self.with_total else None, None)


def _given(where: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in where.items() if value is not None}


def _end(
    entity: Entity[Any], asked: _Asked, found: list[Row], skip: int, stopped_at: list[str] | None
) -> tuple[list[str] | None, list[str]]:
    """The position that the next page follows, None at the end of the list; and a warning when this
    page is short although there may be more.
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
    """The total, where it is asked for, and a warning when it is only a part; `read`: how many
    there are, when the whole list was read.
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
    """The records of a tenant that pass every filter."""

    repository: Repository
    entity: Entity[Any]
    tenant: str
    filters: Mapping[str, Any]

    @property
    def has_possible_ids(self) -> bool:
        """Whether anything can be stored under the ids that the filters name."""
        return all(is_id(value) for name, value in self.filters.items() if name.endswith("_uuid"))

    @property
    def is_plain(self) -> bool:
        """Whether it is all that is visible in one partition or index: then it is counted without
        being read.
        """
        has_index = self.entity.by_tenant or self.entity.index is not None
        has_partition = self._partition is not None
        has_other_filters = bool(set(self.filters) - {self._table.hash_key})
        return (has_partition or has_index) and not has_other_filters

    def take(self, after: list[str], want: int) -> tuple[list[Row], list[str] | None]:
        """The first `want` rows, and the position to go on from when reading was stopped before the
        end.
        """
        found: list[Row] = []
        rows = read_rows(self.repository, self.entity, self.tenant, self.filters, after, want)
        for number, (record, position) in enumerate(rows, 1):
            if record is not None:
                found.append((record, position))
            if len(found) == want or self._has_read_enough(number, want):
                return found, position
        return found, None

    def total(self) -> tuple[int, bool]:
        """How many there are, and whether these are all: a long list is not counted to its end."""
        if self.is_plain:
            with self.repository.counting():
                return self._counted()
        found = 0
        for number, (record, _) in enumerate(
            read_rows(self.repository, self.entity, self.tenant, self.filters, [], None), 1
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
        """The hash key of the partition that is the whole list; None when an index is."""
        return hash_value_of(self._table, self.entity, self.tenant, self.filters)

    @property
    def _position(self) -> list[str]:
        """What a position in the list is made of."""
        if self._partition is not None:
            return [self._table.range_key]
        return position_names(self._table, self.entity)

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
