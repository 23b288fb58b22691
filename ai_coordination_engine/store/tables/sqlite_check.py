"""Whether the rows of the tables in an SQLite file are what their items say."""

import json
from collections.abc import Iterator, Sequence
from sqlite3 import Connection
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.store.models import MODELS
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.items import RawItem
from ai_coordination_engine.store.tables.sqlite_layout import Layout

_MOST = 10  # problems of one kind that are told one by one


@dataclass(frozen=True)
class CheckedTable:
    """A table of a file: the model of its items, the prefix of its name, its columns."""

    model: type[Record]
    prefix: str
    layout: Layout

    def rows(self, connection: Connection) -> Iterator[tuple[Any, ...]]:
        """Yield the key, the text and the columns of each item; those columns that do not exist
        yet are left out.
        """
        names = ", ".join(["h", "r", "item", *map(self.layout.column, self.columns(connection))])
        yield from connection.execute(f"SELECT {names} FROM {self.layout.table}")  # noqa: S608

    def columns(self, connection: Connection) -> Sequence[str]:
        """The attributes that are columns; a file of an earlier version may lack some."""
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({self.layout.table})")}
        return [each for each in self.layout.columns if f"i_{each}" in known]

    def items(self, connection: Connection) -> Iterator[RawItem]:
        """Yield the items that can be read."""
        for _, _, text, *_ in self.rows(connection):
            if isinstance(item := _loaded(text), dict):
                yield item


def checked_tables(connection: Connection) -> list[CheckedTable]:
    """The tables of the file that hold records, whatever their prefix is."""
    names = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    ]
    return [
        CheckedTable(model, name.removesuffix(end), Layout.of(model, name))
        for model in MODELS
        for name in names
        if name.endswith(end := f"-{model.Meta.table_name}")
    ]


def wrong_rows(connection: Connection) -> Iterator[str]:
    """Yield what is wrong with rows by themselves, and what to do."""
    for table in checked_tables(connection):
        yield from told(
            table.layout.name,
            _wrong(connection, table),
            "restore the file from a backup, or write the record again",
        )


def told(where: str, found: Iterator[str], advice: str) -> Iterator[str]:
    """Yield the first problems of one kind with the advice, and how many more there are."""
    count = 0
    for count, each in enumerate(found, 1):
        if count <= _MOST:
            yield f"{where}: {each}: {advice}."
    if count > _MOST:
        yield f"{where}: {count - _MOST} more like these: {advice}."


def _wrong(connection: Connection, table: CheckedTable) -> Iterator[str]:
    layout, columns = table.layout, table.columns(connection)
    for hash_value, range_value, text, *values in table.rows(connection):
        name = f"{hash_value}/{range_value}"
        item = _loaded(text)
        if not isinstance(item, dict):
            yield f"the record {name} cannot be read"
        elif _key(layout, item) != (hash_value, range_value):
            yield f"the record {name} has another key inside"
        else:
            wanted = dict(zip(layout.columns, layout.columns_of(item), strict=True))
            for column, value in zip(columns, values, strict=True):
                if value != wanted[column]:
                    yield f"the index of {column} is wrong for the record {name}"


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError):
        return None


def _key(layout: Layout, item: RawItem) -> tuple[Any, Any] | None:
    try:
        return layout.key_of(item)
    except (KeyError, TypeError):
        return None
