"""Tables on SQLite: one SQL table for each, with the items as JSON, and the attributes of the
indexes as columns.

A write reads the item, evaluates the condition and the update, and writes, in one transaction. An
item that is as this process wrote it last is not read: the statement that writes compares it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from sqlite3 import Connection
from typing import Any, NamedTuple, TypeVar

from pynamodb.expressions.condition import Condition, NotExists
from pynamodb.expressions.update import Action

from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.live_ports import Changes
from ai_coordination_engine.store.changed import topics_of
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.meter import charge_write
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.expressions import given_size, holds, name_of, updated
from ai_coordination_engine.store.tables.items import (
    BATCH_GET_LIMIT,
    BATCH_WRITE_LIMIT,
    TRANSACTION_LIMIT,
    Answer,
    Items,
    Query,
    RawItem,
    RawKey,
    Refused,
    Write,
    too_large,
)
from ai_coordination_engine.store.tables.sqlite_keys import (
    check_columns,
    check_distinct,
    check_key,
    check_texts,
)
from ai_coordination_engine.store.tables.sqlite_layout import Layout
from ai_coordination_engine.store.tables.sqlite_queries import answer
from ai_coordination_engine.store.tables.texts import Known, Texts
from ai_coordination_engine.store.tables.values import Invalid, item_size, stored

ITEM_BYTES = 409_600  # "Service, account, and table quotas in Amazon DynamoDB"
TRANSACTION_BYTES = 4_194_304  # likewise
T = TypeVar("T")
Statement = tuple[str, tuple[Any, ...]]


class Row(NamedTuple):
    """An item as it is written: its key, its JSON, and the columns of the indexes."""

    key: Key
    text: str
    columns: tuple[Any, ...]


class SqliteTables:
    """The tables in one file. Writes are announced to `changes` once they are committed."""

    def __init__(self, file: DatabaseFile, changes: Changes | None = None) -> None:
        self._file, self._changes = file, changes
        self._texts = Texts()
        self._made: dict[str, SqliteItems] = {}

    def items(self, model: type[Record], name: str) -> Items:
        """The items of a table, which is created or given missing indexes first."""
        if name not in self._made:
            layout = Layout.of(model, name)
            self._file.write(layout.create)
            self._made[name] = SqliteItems(self._file, layout, self._texts, self._changes)
        return self._made[name]

    def write_together(self, writes: Sequence[Write]) -> None:
        """One transaction."""
        charge_write(len(writes))
        if sum(map(_bytes, writes)) > TRANSACTION_BYTES:
            raise too_large()
        # made before the transaction: what is not valid is refused before any condition
        parts = [self._made[each.table].part_of(each) for each in writes]
        places = [(each.table, key) for each, (key, _) in zip(writes, parts, strict=True)]
        check_distinct(places, TRANSACTION_LIMIT)

        def write_all(connection: Connection) -> None:
            # an error must not leave anything written: check everything first
            for statement in [part(connection) for _, part in parts]:
                connection.execute(*statement)

        self._file.write(write_all)
        for table, key in places:
            self._made[table].announce(key)

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


def _bytes(write: Write) -> int:
    """What a part of a transaction writes."""
    return sum(map(given_size, write.actions)) if write.item is None else item_size(write.item)


class SqliteItems:
    """The items of one table."""

    def __init__(
        self, file: DatabaseFile, layout: Layout, texts: Texts, changes: Changes | None
    ) -> None:
        self.layout = layout
        self._file, self._texts, self._changes = file, texts, changes
        self._known = Known()

    def get(self, key: Key, *, consistent: bool) -> RawItem | None:
        """One statement; it sees everything committed before."""
        with self._file.reading() as connection:
            return self.read(connection, key)

    def put(self, item: RawItem, condition: Condition) -> None:
        """One transaction."""
        row = self._row_of(item)  # first: an item that is not valid is refused before its condition

        def change(connection: Connection) -> None:
            connection.execute(*self._writing(self._met(connection, row.key, condition), row))

        if self._is_of_a_free_key(condition):
            self._insert(row)
        else:
            self._change(row.key, change)

    def update(self, key: Key, actions: Sequence[Action], condition: Condition) -> RawItem:
        """One transaction."""

        def change(connection: Connection) -> RawItem:
            new = self._updated_as_known(connection, key, actions, condition)
            if new is not None:
                return new
            old = self._met(connection, key, condition)
            new = self._updated(key, old, actions)
            connection.execute(*self._writing(old, self._row(key, new)))
            return new

        return self._change(key, change)

    def delete(self, key: Key, condition: Condition) -> RawItem:
        """One transaction."""

        def change(connection: Connection) -> RawItem:
            old = self._met(connection, key, condition)
            connection.execute(self.layout.delete, key)
            return old or {}

        return self._change(key, change)

    def query(self, query: Query) -> Answer:
        """One statement."""
        check_texts((query.hash_value,))
        with self._file.reading() as connection:
            return answer(connection, self.layout, query)

    def write_many(self, requests: Iterable[RawKey]) -> None:
        """One transaction; a request is charged as for DynamoDB's pages."""
        works = [*requests]
        for start in range(0, len(works), BATCH_WRITE_LIMIT):
            page = works[start : start + BATCH_WRITE_LIMIT]
            charge_write(len(page))
            check_distinct([*map(self._key_of, page)], BATCH_WRITE_LIMIT)
        # made before the transaction: an error must not leave anything written
        statements = [*map(self._statement_of, works)]

        def write_all(connection: Connection) -> None:
            for each in statements:
                connection.execute(*each)

        self._file.write(write_all)
        self.announce(*map(self._key_of, works))

    def part_of(self, write: Write) -> tuple[Key, Callable[[Connection], Statement]]:
        """The key of a part of a transaction, and what makes its statement. Both raise `Invalid`
        and `BadUserInput`, the latter `Refused` as well.
        """
        row = None if write.item is None else self._row_of(write.item)
        key = row.key if row else write.key or ("", "")
        check_key(key)

        def part(connection: Connection) -> Statement:
            old = self.read(connection, key)
            if write.condition is not None and not holds(write.condition, old or {}):
                raise Refused(None)
            new = row or self._row(key, self._updated(key, old, write.actions))
            return self._writing(old, new)

        return key, part

    def read(self, connection: Connection, key: Key) -> RawItem | None:
        """One statement. The item must not be changed: it may be given to others. Raises `Invalid`
        for an empty text in the key.
        """
        check_key(key)
        row = connection.execute(self.layout.select, key).fetchone()
        return None if row is None else self._texts.item(row[0])

    def announce(self, *keys: Key) -> None:
        """Tell who watches that these items have changed, once that is committed."""
        if self._changes is not None:
            # who watches is asked then, too: a watch may begin before the commit, and read before
            self._file.afterwards(partial(self._tell, self._changes, keys))

    def _tell(self, changes: Changes, keys: Iterable[Key]) -> None:
        if changes.is_told:
            changes.announce({topic for key in keys for topic in topics_of(self.layout.name, key)})

    # Inside

    def _change(self, key: Key, change: Callable[[Connection], T]) -> T:
        """Change an item in a transaction, and announce it."""
        charge_write()
        result = self._file.write(change)
        self.announce(key)
        return result

    def _met(self, connection: Connection, key: Key, condition: Condition) -> RawItem | None:
        """The stored item, which meets the condition; raises `Refused` with one that does not."""
        old = self.read(connection, key)
        if condition is not None and not holds(condition, old or {}):
            raise Refused(old)
        return old

    def _updated_as_known(
        self, connection: Connection, key: Key, actions: Sequence[Action], condition: Condition
    ) -> RawItem | None:
        """Update an item that is as this process wrote it last, without reading it; return it.

        None, and nothing is written, when it is not, or must be read: the condition does not hold,
        or an index changes.
        """
        if (known := self._known.text(key)) is None:
            return None
        old = self._texts.item(known)
        if condition is not None and not holds(condition, old):
            return None
        try:
            new = self._updated(key, old, actions)
            row = self._row(key, new)
        except (BadUserInput, Invalid):  # perhaps the item is another one now
            return None
        if row.columns != self.layout.columns_of(old):
            return None
        values = (row.text, *key, known)
        if connection.execute(self.layout.replace_known, values).rowcount == 0:
            self._known.is_of_others(key)
            return None
        self._known.keep(key, row.text)
        return new

    def _is_of_a_free_key(self, condition: Condition) -> bool:
        """Whether a condition holds exactly if there is no item."""
        is_absence = isinstance(condition, NotExists)
        return is_absence and name_of(condition.values[0]) in self.layout.key_names

    def _insert(self, row: Row) -> None:
        """Write an item if its key is free, without a look at it before."""
        charge_write()
        values = (*row.key, row.text, *row.columns)

        def insert(connection: Connection) -> None:
            if connection.execute(self.layout.insert, values).rowcount == 0:
                raise Refused(self.read(connection, row.key))
            self._known.keep(row.key, row.text)

        self._file.write(insert)
        self.announce(row.key)

    def _updated(self, key: Key, old: RawItem | None, actions: Sequence[Action]) -> RawItem:
        return updated(old or self.layout.raw_key(key), actions, self.layout.key_names)

    def _row_of(self, item: RawItem) -> Row:
        """The row of an item that is put; raises `BadUserInput`, `Invalid`."""
        new = {name: stored(value) for name, value in item.items()}
        return self._row(self.layout.key_of(item), new)

    def _row(self, key: Key, item: RawItem) -> Row:
        """The row of an item. Raises `BadUserInput` and `Invalid` for what DynamoDB does not take
        as an item, or as a key of the table or of an index.
        """
        check_key(key)
        columns = self.layout.columns_of(item)
        check_columns(columns, self.layout.key_bytes)
        return Row(key, self._text(item), columns)

    def _writing(self, old: RawItem | None, row: Row) -> Statement:
        """The statement that replaces a whole item; the indexes are written only if they change."""
        self._known.keep(row.key, row.text)
        if old is not None and row.columns == self.layout.columns_of(old):
            return self.layout.replace_item, (row.text, *row.key)
        return self.layout.replace, (*row.key, row.text, *row.columns)

    def _key_of(self, request: RawKey) -> Key:
        """The key of an item that is put or deleted."""
        if "DeleteRequest" in request:
            return self.layout.key_of(request["DeleteRequest"]["Key"])
        return self.layout.key_of(request["PutRequest"]["Item"])

    def _statement_of(self, request: RawKey) -> Statement:
        """The statement that puts or deletes an item; raises `BadUserInput`, `Invalid`."""
        if "DeleteRequest" in request:
            key = self._key_of(request)
            check_key(key)
            return self.layout.delete, key
        return self._writing(None, self._row_of(request["PutRequest"]["Item"]))

    def _text(self, item: RawItem) -> str:
        """The JSON of an item, in ASCII: at least as long as the item is large. Raises
        `BadUserInput`.
        """
        text = self._texts.text(item)
        if len(text) > ITEM_BYTES and item_size(item) > ITEM_BYTES:
            raise too_large()
        return text
