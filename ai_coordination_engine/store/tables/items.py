"""The protocol for the stored items of a table, on DynamoDB and on SQLite alike."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.record import Record

# of one request (BatchGetItem, BatchWriteItem and TransactWriteItems, "Amazon DynamoDB API")
BATCH_GET_LIMIT = 100
BATCH_WRITE_LIMIT = 25
TRANSACTION_LIMIT = 100
RawKey = dict[str, Any]
RawItem = Mapping[str, Any]
Answer = Mapping[str, Any]
"""The answer to a query: `Items`, `Count`, `ScannedCount`, `LastEvaluatedKey`, as in DynamoDB."""


class Refused(Exception):
    """A condition did not hold.

    `old`: the item at that time; None if there was none, or in a transaction. `again`: the client
    has sent the request more than once, so an earlier try may have succeeded.
    """

    def __init__(self, old: Any, *, again: bool = False) -> None:
        super().__init__("condition refused")
        self.old, self.again = old, again


def too_large() -> BadUserInput:
    """The error for an item, or a key, with more bytes than there may be."""
    return BadUserInput("The record is too large: shorten its names and lists.")


@dataclass(frozen=True, slots=True)
class Query:
    """A query for the items under a stored hash key of a table or an index.

    Only `attributes` are read of each item (None: all); with `counts`, only the number of items.
    """

    hash_value: str
    index: str | None = None
    range_condition: Condition | None = None
    filter_condition: Condition | None = None
    after: RawKey | None = None
    limit: int | None = None
    forward: bool = True
    consistent: bool = False
    attributes: Sequence[str] | None = None
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """A part of a transaction: `item` is put, or the item under `key` is changed by `actions`.

    `condition`: None if nothing must hold.
    """

    table: str
    condition: Condition | None
    item: RawItem | None = None
    key: Key | None = None
    actions: Sequence[Action] = ()


class Items(Protocol):
    """The items of one table under their stored keys; each call is one request. Thread-safe."""

    def get(self, key: Key, *, consistent: bool) -> RawItem | None:
        """An item, or None."""

    def put(self, item: RawItem, condition: Condition) -> None:
        """Write a whole item; raises `Refused` with the stored one."""

    def update(self, key: Key, actions: Sequence[Action], condition: Condition) -> RawItem:
        """Change an item and return the new one; raises `Refused`."""

    def delete(self, key: Key, condition: Condition) -> RawItem:
        """Delete an item and return the old one; raises `Refused`."""

    def query(self, query: Query) -> Answer:
        """One page of the items found, a megabyte at most."""

    def write_many(self, requests: Iterable[RawKey]) -> None:
        """Put and delete items without a condition; returns when all are written."""


class Database(Protocol):
    """The tables of one home. Thread-safe."""

    def items(self, model: type[Record], name: str) -> Items:
        """The items of the table `name`, whose keys and indexes are those of a model."""

    def write_together(self, writes: Sequence[Write]) -> None:
        """Write all of it or nothing, at most 100 different items; raises `Refused`, without an
        item, if one of the conditions does not hold.
        """

    def get_items(
        self, wanted: Iterable[tuple[str, RawKey]], *, consistent: bool
    ) -> Iterator[Mapping[str, Sequence[RawItem]]]:
        """Yield the existing items under the keys `wanted` (table name and key), by table, once for
        each request.
        """
