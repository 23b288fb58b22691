"""All children of one parent, in order, from the shards in which they lie; a table without shards has one."""

import heapq
import math
from collections.abc import Iterator
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any

from pynamodb.expressions.condition import Condition

from ai_coordination_engine.store.parallel import Parallel
from ai_coordination_engine.store.table import RawKey, Table


def rows(
    parallel: Parallel,
    table: Table[Any],
    tenant: str,
    hash_value: str,
    after: str | None,
    size: int | None,
    *,
    newest: bool,
) -> Iterator[Any]:
    """The rows after a range key, of which `size` are wanted; the first page of each shard is read at the same time."""
    limit = None if size is None else _share(size, table.shards)
    read = partial(table.query, tenant, hash_value, limit=limit, forward=not newest)

    def going_on(shard: int, page: list[Any], start: RawKey | None) -> Iterator[Any]:
        yield from page
        while start is not None:
            page, start = read(after=start, shard=shard)
            yield from page

    pages = parallel.run([partial(read, **each) for each in _starts(table, tenant, hash_value, after)])
    parts = [going_on(shard, *page) for shard, page in enumerate(pages)]
    yield from heapq.merge(*parts, key=attrgetter(table.range_key), reverse=newest)


def rest_if_short(
    parallel: Parallel, table: Table[Any], tenant: str, hash_value: str, after: str | None, *, newest: bool
) -> Iterator[Any] | None:
    """All rows after a range key when one request of each shard reads them; None when there are more."""
    read = partial(table.query, tenant, hash_value, forward=not newest)
    pages = parallel.run([partial(read, **each) for each in _starts(table, tenant, hash_value, after)])
    if any(more is not None for _, more in pages):
        return None
    return heapq.merge(*(found for found, _ in pages), key=attrgetter(table.range_key), reverse=newest)


def skip(
    table: Table[Any], tenant: str, hash_value: str, condition: Condition | None, count: int, *, newest: bool
) -> tuple[int, str | None]:
    """How many of `count` rows that meet the condition there are, and the range key of the last unless they are fewer.

    Reads keys alone.
    """
    keys = partial(table.range_keys, tenant, hash_value, condition, _share(count, table.shards), forward=not newest)
    merged = heapq.merge(*(keys(shard=shard) for shard in range(table.shards)), reverse=newest)
    found = list(islice(merged, count))
    return len(found), found[-1] if len(found) == count else None


def _starts(table: Table[Any], tenant: str, hash_value: str, after: str | None) -> list[dict[str, Any]]:
    """Where the rows of each shard begin, as arguments of a query."""
    return [
        {"shard": shard, "after": table.after(tenant, hash_value, after, shard) if after is not None else None}
        for shard in range(table.shards)
    ]


def _share(wanted: int, shards: int) -> int:
    """How many rows to read of each shard: its part, and four standard deviations more, so that a second request is
    rare.
    """
    if shards == 1:
        return wanted
    return min(wanted, math.ceil(wanted / shards + 4 * math.sqrt(wanted * (shards - 1)) / shards))
