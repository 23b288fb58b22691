"""All children of one parent, in order, from the shards in which they lie; a table without shards
has one.
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
from ai_coordination_engine.store.tables.batches import RawKey
from ai_coordination_engine.store.tables.table import Table

Page = tuple[list[M], RawKey | None]
"""Records, and the key to go on from (None at the end)."""


def rows(
    repository: Repository,
    table: Table[M],
    tenant: str,
    hash_value: str,
    after: str | None,
    size: int | None,
    *,
    newest: bool,
) -> Iterator[M]:
    """The rows after a range key, of which `size` are wanted; the first page of each shard is read
    at the same time.
    """
    limit = None if size is None else share(size, table.shards)
    read = partial(table.query, tenant, hash_value, limit=limit, forward=not newest)

    def going_on(shard: int, page: list[M], start: RawKey | None) -> Iterator[M]:
        yield from page
        while start is not None:
            page, start = read(after=start, shard=shard)
            repository.look_at_starts(page)
            yield from page

    pages = _first_pages(repository, table, tenant, hash_value, after, read)
    parts = [going_on(shard, *page) for shard, page in enumerate(pages)]
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
    """All rows after a range key when one request of each shard reads them; None when there are
    more.
    """
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
    """How many of `count` rows that meet the condition there are, and the range key of the last
    unless they are fewer.

    Reads keys alone.
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
    """What each shard has after a range key, and where to go on: read at the same time."""

    def page(shard: int) -> Page[M]:
        start = table.after(tenant, hash_value, after, shard) if after is not None else None
        return read(after=start, shard=shard)

    pages = repository.parallel.run([partial(page, shard) for shard in range(table.shards)])
    repository.look_at_starts([each for found, _ in pages for each in found])
    return pages


def share(wanted: int, shards: int) -> int:
    """How many rows to read of each shard: its part, and four standard deviations more, so that a
    second request is rare.
    """
    if shards == 1:
        return wanted
    return min(wanted, math.ceil(wanted / shards + 4 * math.sqrt(wanted * (shards - 1)) / shards))
