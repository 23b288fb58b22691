"""Read and write items in batches. Items that DynamoDB leaves unprocessed are retried with backoff.

`store.tables.table` is the caller. Source: BatchGetItem and BatchWriteItem, "Amazon DynamoDB API".
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pynamodb.connection import Connection

from ai_coordination_engine.backend import Backoff
from ai_coordination_engine.store.meter import charge_write
from ai_coordination_engine.store.tables.items import (
    BATCH_GET_LIMIT,
    BATCH_WRITE_LIMIT,
    RawItem,
    RawKey,
)
from ai_coordination_engine.store.tables.translation import SERVICE, of_the_database


def get_items(
    connection: Connection, wanted: Iterable[tuple[str, RawKey]], *, consistent: bool
) -> Iterator[Mapping[str, Sequence[RawItem]]]:
    """Read the items under the keys `wanted`: pairs of a table's name and a key.

    Yields, for each request, the items that exist by the name of their table. One request per 100
    keys, of any tables, and more if DynamoDB leaves keys unprocessed.
    """
    pending = [*wanted]
    backoff = Backoff(SERVICE)
    while pending:
        page, pending = pending[:BATCH_GET_LIMIT], pending[BATCH_GET_LIMIT:]
        with of_the_database():
            answer = connection.dispatch(
                "BatchGetItem", {"RequestItems": _by_table(page, consistent=consistent)}
            )
        yield answer["Responses"]
        left = [
            (name, key)
            for name, each in answer.get("UnprocessedKeys", {}).items()
            for key in each["Keys"]
        ]
        pending.extend(left)
        backoff.left_over(len(left), len(page))


def write_items(connection: Connection, name: str, requests: Iterable[RawKey]) -> None:
    """Put and delete items of one table, without conditions; return when all are done."""
    pending = [*requests]
    backoff = Backoff(SERVICE)
    while pending:
        page, pending = pending[:BATCH_WRITE_LIMIT], pending[BATCH_WRITE_LIMIT:]
        charge_write(len(page))
        with of_the_database():
            answer = connection.dispatch("BatchWriteItem", {"RequestItems": {name: page}})
        left = answer.get("UnprocessedItems", {}).get(name, ())
        pending.extend(left)
        backoff.left_over(len(left), len(page))


def _by_table(page: Sequence[tuple[str, RawKey]], *, consistent: bool) -> dict[str, Any]:
    keys: dict[str, list[RawKey]] = defaultdict(list)
    for name, key in page:
        keys[name].append(key)
    how = {"ConsistentRead": True} if consistent else {}
    return {name: {**how, "Keys": each} for name, each in keys.items()}
