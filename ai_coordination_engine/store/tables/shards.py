"""Read the children of one parent, in order, from all shards of a table.

A table without shards counts as one shard. The lists (`store.records`) are the callers.
"""

import heapq
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any

from pynamodb.expressions.condition import Condition

from ai_coordination_engine.store.record import M
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.items import RawKey
from ai_coordination_engine.store.tables.table import Table

Page = tuple[list[M], RawKey | None]
"""Records, and the key after which the next page starts (None at the end)."""


def rows(
    repository: Repository,
    table: Table[M],
    tenant: str,
    hash_value: str,
    after: str | None,
    size: int | None,
    *,
    newest: bool,
    among: Condition | None = None,
) -> Iterator[M]:
    """The rows after a range key, in order; the caller wants `size` of them (None: all).

    `among`: a condition on the range key. The first pages of the shards are read at the same time.
    """
    limit = None if size is None else share(size, table.shards)
    read = partial(
        table.query, tenant, hash_value, limit=limit, forward=not newest, range_condition=among
    )

    def rows_of(shard: int, page: list[M], start: RawKey | None) -> Iterator[M]:
        yield from page
        while start is not None:
            page, start = read(after=start, shard=shard)
            repository.resolve_starts(page)
            yield from page

    pages = _first_pages(repository, table, tenant, hash_value, after, read)
    parts = [rows_of(shard, *page) for shard, page in enumerate(pages)]
    yield from heapq.merge(*parts, key=attrgetter(table.range_key), reverse=newest)


def rest_if_short(
    repository: Repository,
    table: Table[M],
    tenant: str,
    hash_value: str,
    after: str | None,
    *,
    newest: bool,
) -> Iterator[M] | None:
    """All rows after a range key, if one request per shard reads them; None if there are more."""
    read = partial(table.query, tenant, hash_value, forward=not newest)
    pages = _first_pages(repository, table, tenant, hash_value, after, read)
    if any(more is not None for _, more in pages):
        return None
    return heapq.merge(
        *(found for found, _ in pages), key=attrgetter(table.range_key), reverse=newest
    )


def skip(
    table: Table[Any],
    tenant: str,
    hash_value: str,
    condition: Condition | None,
    count: int,
    *,
    newest: bool,
) -> tuple[int, str | None]:
    """Skip `count` rows that meet the condition. Only keys are read.

    Returns the number of rows that were skipped, and the range key of the last one; None instead of
    the key if there are fewer rows than `count`.
    """
    keys = partial(
        table.range_keys,
        tenant,
        hash_value,
        condition,
        share(count, table.shards),
        forward=not newest,
    )
    merged = heapq.merge(*(keys(shard=shard) for shard in range(table.shards)), reverse=newest)
    found = list(islice(merged, count))
    return len(found), found[-1] if len(found) == count else None


def _first_pages(
    repository: Repository,
    table: Table[M],
    tenant: str,
    hash_value: str,
    after: str | None,
    read: Callable[..., Page[M]],
) -> list[Page[M]]:
    """The first page of each shard after a range key; the shards are read at the same time."""

    def page(shard: int) -> Page[M]:
        start = table.after(tenant, hash_value, after, shard) if after is not None else None
        return read(after=start, shard=shard)

    pages = repository.parallel.run([partial(page, shard) for shard in range(table.shards)])
    repository.resolve_starts([each for found, _ in pages for each in found])
    return pages


def share(wanted: int, shards: int) -> int:
    """The number of rows to read from each shard when `wanted` rows are needed in total.

    It is the mean plus four standard deviations, so that a second request is rare.
    """
    if shards == 1:
        return wanted
    return min(wanted, math.ceil(wanted / shards + 4 * math.sqrt(wanted * (shards - 1)) / shards))
