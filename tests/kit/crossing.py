"""Tables on SQLite whose every request crosses the border between the engine and the world, as the
requests to DynamoDB do.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.batches import BATCH_GET_LIMIT
from ai_coordination_engine.store.tables.items import (
    Answer,
    Database,
    Items,
    Query,
    RawItem,
    RawKey,
    Write,
)
from ai_coordination_engine.store.tables.one_transaction import OneTransaction

Cross = Callable[[str, Callable[[], Any]], Any]
"""Makes a call, given its name, and says so before and after it."""


class CrossedTables:
    """The tables of a database."""

    def __init__(self, database: Database, cross: Cross) -> None:
        self.database, self._cross = database, cross

    def items(self, model: type[Record], name: str) -> Items:
        return _CrossedItems(self.database.items(model, name), self._cross)

    def write_together(self, writes: Sequence[Write]) -> None:
        self._cross("TransactWriteItems", lambda: self.database.write_together(writes))

    def get_items(
        self, wanted: Iterable[tuple[str, RawKey]], *, consistent: bool
    ) -> Iterator[Mapping[str, Sequence[RawItem]]]:
        keys = [*wanted]
        for start in range(0, len(keys), BATCH_GET_LIMIT):
            batch = keys[start : start + BATCH_GET_LIMIT]
            read = partial(self.database.get_items, batch, consistent=consistent)
            yield from self._cross("BatchGetItem", lambda read=read: [*read()])  # type: ignore[misc]


class _CrossedItems:
    def __init__(self, items: Items, cross: Cross) -> None:
        self._items, self._cross = items, cross

    def get(self, key: Key, *, consistent: bool) -> RawItem | None:
        found = self._cross("GetItem", lambda: self._items.get(key, consistent=consistent))
        return found  # type: ignore[no-any-return]

    def put(self, item: RawItem, condition: Condition) -> None:
        self._cross("PutItem", lambda: self._items.put(item, condition))

    def update(self, key: Key, actions: Sequence[Action], condition: Condition) -> RawItem:
        found = self._cross("UpdateItem", lambda: self._items.update(key, actions, condition))
        return found  # type: ignore[no-any-return]

    def delete(self, key: Key, condition: Condition) -> RawItem:
        found = self._cross("DeleteItem", lambda: self._items.delete(key, condition))
        return found  # type: ignore[no-any-return]

    def query(self, query: Query) -> Answer:
        return self._cross("Query", lambda: self._items.query(query))  # type: ignore[no-any-return]

    def write_many(self, requests: Iterable[RawKey]) -> None:
        self._cross("BatchWriteItem", lambda: self._items.write_many(requests))


# The transactions of a thread


def has_written(parallel: OneTransaction) -> bool:
    """Whether this thread is in a transaction that has begun: nobody else writes until its end."""
    return parallel._file._own() is not None


@contextmanager
def somebody_else(parallel: OneTransaction) -> Iterator[None]:
    """Let this thread act as another one, which is in no transaction."""
    mine = vars(parallel._file._mine)
    before = dict(mine)
    mine.clear()
    try:
        yield
    finally:
        mine.clear()
        mine.update(before)


@contextmanager
def failing_whole(parallel: OneTransaction) -> Iterator[None]:
    """Have the transaction of this thread fail as a whole when it is refused something."""
    try:
        yield
    except Throttled as error:
        parallel._file._mine.failure = error
        raise
