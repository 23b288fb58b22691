"""Tables on SQLite: one SQL table for each, with the items as JSON, and the attributes of the
indexes as columns.

A write reads the item, evaluates the condition and the update, and writes, in one transaction.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from sqlite3 import Connection
from typing import Any, TypeVar

from pynamodb.expressions.condition import Condition, NotExists
from pynamodb.expressions.update import Action

from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.meter import charge_write
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.expressions import holds, name_of, updated
from ai_coordination_engine.store.tables.items import (
    BATCH_GET_LIMIT,
    BATCH_WRITE_LIMIT,
    Answer,
    Items,
    Query,
    RawItem,
    RawKey,
    Refused,
    Write,
)
from ai_coordination_engine.store.tables.sqlite_layout import Layout
from ai_coordination_engine.store.tables.sqlite_queries import answer
from ai_coordination_engine.store.tables.texts import Texts
from ai_coordination_engine.store.tables.values import Invalid, item_size, stored

ITEM_BYTES = 409_600  # "Service, account, and table quotas in Amazon DynamoDB"
T = TypeVar("T")
Change = tuple[Key, RawItem | None, RawItem]
Statement = tuple[str, tuple[Any, ...]]


class SqliteTables:
    """The tables in one file."""

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self._texts = Texts()
        self._made: dict[str, SqliteItems] = {}

    def items(self, model: type[Record], name: str) -> Items:
        """The items of a table, which is created or given missing indexes first."""
        if name not in self._made:
            layout = Layout.of(model, name)
            self._file.write(layout.create)
            self._made[name] = SqliteItems(self._file, layout, self._texts)
        return self._made[name]

    def write_together(self, writes: Sequence[Write]) -> None:
        """One transaction."""
        charge_write(len(writes))

        def write_all(connection: Connection) -> None:
            # an error must not leave anything written: check everything first
            changes = [self._made[each.table].change_of(connection, each) for each in writes]
            for each, change in zip(writes, changes, strict=True):
                self._made[each.table].write_change(connection, change)

        self._file.write(write_all)

    def get_items(
        self, wanted: Iterable[tuple[str, RawKey]], *, consistent: bool
    ) -> Iterator[Mapping[str, Sequence[RawItem]]]:
        """In pages like those of DynamoDB, so that a request is charged the same."""
        keys = [*wanted]
        for start in range(0, len(keys), BATCH_GET_LIMIT):
            found: dict[str, list[RawItem]] = {}
            with self._file.reading() as connection:
                for name, key in keys[start : start + BATCH_GET_LIMIT]:
                    items = self._made[name]
                    item = items.read(connection, items.layout.key_of(key))
                    if item is not None:
                        found.setdefault(name, []).append(item)
            yield found


class SqliteItems:
    """The items of one table."""

    def __init__(self, file: DatabaseFile, layout: Layout, texts: Texts) -> None:
        self.layout = layout
        self._file, self._texts = file, texts

    def get(self, key: Key, *, consistent: bool) -> RawItem | None:
        """One statement; it sees everything committed before."""
        with self._file.reading() as connection:
            return self.read(connection, key)

    def put(self, item: RawItem, condition: Condition) -> None:
        """One transaction."""
        new = {name: stored(value) for name, value in item.items()}
        key = self.layout.key_of(item)
        # made first: an item that is not valid is refused before its condition
        columns = self._columns(key, new)

        def write(connection: Connection, old: RawItem | None) -> None:
            self._write(connection, key, old, new)

        if self._is_of_a_free_key(condition):
            self._insert(key, new, columns)
        else:
            self._change(key, condition, write)

    def update(self, key: Key, actions: Sequence[Action], condition: Condition) -> RawItem:
        """One transaction."""

        def write(connection: Connection, old: RawItem | None) -> RawItem:
            before = old or self.layout.raw_key(key)
            new = updated(before, actions, self.layout.key_names)
            self._write(connection, key, old, new)
            return new

        return self._change(key, condition, write)

    def delete(self, key: Key, condition: Condition) -> RawItem:
        """One transaction."""

        def write(connection: Connection, old: RawItem | None) -> RawItem:
            self._remove(connection, key)
            return old or {}

        return self._change(key, condition, write)

    def query(self, query: Query) -> Answer:
        """One statement."""
        with self._file.reading() as connection:
            return answer(connection, self.layout, query)

    def write_many(self, requests: Iterable[RawKey]) -> None:
        """One transaction; a request is charged as for DynamoDB's pages."""
        works = [*requests]
        for start in range(0, len(works), BATCH_WRITE_LIMIT):
            charge_write(len(works[start : start + BATCH_WRITE_LIMIT]))
        # made before the transaction: an error must not leave anything written
        statements = [*map(self._statement_of, works)]

        def write_all(connection: Connection) -> None:
            for each in statements:
                connection.execute(*each)

        self._file.write(write_all)

    def change_of(self, connection: Connection, write: Write) -> Change:
        """The change by a part of a transaction: the key, the item before and after it. Raises
        `Refused` and `BadUserInput`.
        """
        key = write.key or self.layout.key_of(write.item or {})
        old = self.read(connection, key)
        if not holds(write.condition, old or {}):
            raise Refused(None)
        if write.item is None:
            before = old or self.layout.raw_key(key)
            new = updated(before, write.actions, self.layout.key_names)
        else:
            new = {name: stored(value) for name, value in write.item.items()}
        self._text(new), self._columns(key, new)
        return key, old, new

    def read(self, connection: Connection, key: Key) -> RawItem | None:
        """One statement. The item must not be changed: it may be given to others. Raises `Invalid`
        for an empty text in the key.
        """
        _check_key(key)
        row = connection.execute(self.layout.select, key).fetchone()
        return None if row is None else self._texts.item(row[0])

    def write_change(self, connection: Connection, change: Change) -> None:
        """Write a change that `change_of` returned."""
        self._write(connection, *change)

    # Inside

    def _change(
        self, key: Key, condition: Condition, write: Callable[[Connection, RawItem | None], T]
    ) -> T:
        """Write if the condition holds; raises `Refused` with the stored item."""
        charge_write()

        def change(connection: Connection) -> T:
            old = self.read(connection, key)
            if condition is not None and not holds(condition, old or {}):
                raise Refused(old)
            return write(connection, old)

        return self._file.write(change)

    def _is_of_a_free_key(self, condition: Condition) -> bool:
        """Whether a condition holds exactly if there is no item."""
        is_absence = isinstance(condition, NotExists)
        return is_absence and name_of(condition.values[0]) in self.layout.key_names

    def _insert(self, key: Key, new: RawItem, columns: Sequence[Any]) -> None:
        """Write an item if its key is free, without a look at it before."""
        charge_write()
        values = (*key, self._text(new), *columns)

        def insert(connection: Connection) -> None:
            if connection.execute(self.layout.insert, values).rowcount == 0:
                raise Refused(self.read(connection, key))

        self._file.write(insert)

    def _write(self, connection: Connection, key: Key, old: RawItem | None, new: RawItem) -> None:
        """Replace a whole item; the indexes are written only if they change."""
        if old is not None and self._columns(key, new) == self.layout.columns_of(old):
            connection.execute(self.layout.replace_item, (self._text(new), *key))
        else:
            connection.execute(*self._replacing(key, new))

    def _columns(self, key: Key, item: RawItem) -> tuple[Any, ...]:
        """The columns of an item. Raises `Invalid` for an empty text in a key of the table or of an
        index, as DynamoDB does.
        """
        _check_key(key)
        columns = self.layout.columns_of(item)
        _check_key(columns)
        return columns

    def _replacing(self, key: Key, new: RawItem) -> Statement:
        """The statement that writes an item and its columns; raises `BadUserInput`, `Invalid`."""
        return self.layout.replace, (*key, self._text(new), *self._columns(key, new))

    def _remove(self, connection: Connection, key: Key) -> None:
        connection.execute(self.layout.delete, key)

    def _statement_of(self, request: RawKey) -> Statement:
        """The statement that puts or deletes an item; raises `BadUserInput`."""
        if "DeleteRequest" in request:
            key = self.layout.key_of(request["DeleteRequest"]["Key"])
            _check_key(key)
            return self.layout.delete, key
        item = request["PutRequest"]["Item"]
        new = {name: stored(value) for name, value in item.items()}
        return self._replacing(self.layout.key_of(item), new)

    def _text(self, item: RawItem) -> str:
        """The JSON of an item, in ASCII: at least as long as the item is large. Raises
        `BadUserInput`.
        """
        text = self._texts.text(item)
        if len(text) > ITEM_BYTES and item_size(item) > ITEM_BYTES:
            raise BadUserInput("The record is too large: shorten its names and lists.")
        return text


def _check_key(values: Sequence[Any]) -> None:
    if "" in values:
        raise Invalid("a key of the table or of an index is an empty text")
