"""The SQL of a table: its statements, columns and indexes."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from sqlite3 import Connection
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.tables.items import RawItem, RawKey
from ai_coordination_engine.store.tables.sqlite_keys import HASH_BYTES, RANGE_BYTES


@dataclass(frozen=True)
class Index:
    """A global index: its hash and range key, and the attributes it contains (None: all)."""

    hash_key: str
    range_key: str
    kept: frozenset[str] | None


@dataclass(frozen=True)
class Layout:
    """A table: its name and key, its indexes by name, and the attributes that are columns."""

    name: str
    key_names: Key
    indexes: Mapping[str, Index]

    @classmethod
    def of(cls, model: type[Record], name: str) -> "Layout":
        """The layout of a model."""
        names = model.key_names()
        described = model.schema()["global_secondary_indexes"]
        return cls(name, names, {each["index_name"]: _index(each, names) for each in described})

    def key_of(self, item: RawItem) -> Key:
        """The stored key of an item."""
        hash_key, range_key = self.key_names
        return item[hash_key]["S"], item[range_key]["S"]

    def raw_key(self, key: Key) -> RawKey:
        """A key as attributes."""
        return {name: {"S": value} for name, value in zip(self.key_names, key, strict=True)}

    def columns_of(self, item: RawItem) -> tuple[Any, ...]:
        """The values of the columns; numbers stay numbers, so that they are in order."""
        return tuple(column_value(item.get(name)) for name in self.columns)

    def column(self, attribute: str) -> str:
        """The column, quoted, that holds an attribute of a key."""
        if attribute in self.key_names:
            return "hr"[self.key_names.index(attribute)]
        return f'"i_{attribute}"'

    @cached_property
    def columns(self) -> Sequence[str]:
        """The attributes that are columns beside the key."""
        named = (name for each in self.indexes.values() for name in (each.hash_key, each.range_key))
        return [*dict.fromkeys(name for name in named if name not in self.key_names)]

    @cached_property
    def key_bytes(self) -> Sequence[int]:
        """How many bytes each of the columns may have."""
        of_range = {each.range_key for each in self.indexes.values()}
        return [RANGE_BYTES if name in of_range else HASH_BYTES for name in self.columns]

    # Statements

    @cached_property
    def table(self) -> str:
        """The name of the table, quoted."""
        return f'"{self.name}"'

    @cached_property
    def select(self) -> str:
        """Reads an item by its key."""
        return f"SELECT item FROM {self.table} WHERE h = ? AND r = ?"  # noqa: S608

    @cached_property
    def replace(self) -> str:
        """Writes an item with its key and its columns, whether it exists or not."""
        return f"INSERT OR REPLACE INTO {self._values}"

    @cached_property
    def insert(self) -> str:
        """Writes an item with its key and its columns, unless its key is taken."""
        return f"INSERT INTO {self._values} ON CONFLICT DO NOTHING"

    @cached_property
    def _values(self) -> str:
        names = ", ".join(["h", "r", "item", *map(self.column, self.columns)])
        marks = ", ".join("?" * (3 + len(self.columns)))
        return f"{self.table} ({names}) VALUES ({marks})"

    @cached_property
    def replace_item(self) -> str:
        """Writes an item that exists and whose columns do not change."""
        return f"UPDATE {self.table} SET item = ? WHERE h = ? AND r = ?"  # noqa: S608

    @cached_property
    def replace_known(self) -> str:
        """Writes an item whose columns do not change, if it is as it is expected."""
        return f"{self.replace_item} AND item = ?"

    @cached_property
    def delete(self) -> str:
        """Removes an item by its key."""
        return f"DELETE FROM {self.table} WHERE h = ? AND r = ?"  # noqa: S608

    def create(self, connection: Connection) -> None:
        """Create the table, or add the columns and indexes that one of an earlier version lacks.

        It has rowids: without them, an item of more than a quarter of a page takes pages of its own
        ("Clustered Indexes and the WITHOUT ROWID Optimization", SQLite).
        """
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self.table} (h TEXT NOT NULL, r TEXT NOT NULL,"
            " item TEXT NOT NULL, PRIMARY KEY (h, r))"
        )
        known = {row[1] for row in connection.execute(f"PRAGMA table_info({self.table})")}
        for each in self.columns:
            if f"i_{each}" not in known:
                self._add_column(connection, each)
        for name, index in self.indexes.items():
            self._create_index(connection, name, index)

    def _add_column(self, connection: Connection, attribute: str) -> None:
        column = self.column(attribute)
        connection.execute(f"ALTER TABLE {self.table} ADD COLUMN {column}")
        connection.execute(
            f"UPDATE {self.table} SET {column} = COALESCE(json_extract(item, ?),"  # noqa: S608
            " CAST(json_extract(item, ?) AS REAL))",
            (f'$."{attribute}".S', f'$."{attribute}".N'),
        )

    def _create_index(self, connection: Connection, name: str, index: Index) -> None:
        """Create a sparse index: an item without its keys is not in it."""
        columns = [self.column(index.hash_key), self.column(index.range_key)]
        present = " AND ".join(f"{each} IS NOT NULL" for each in columns if each not in "hr")
        connection.execute(
            f'CREATE INDEX IF NOT EXISTS "{self.name} {name}" ON {self.table}'
            f" ({', '.join(dict.fromkeys([*columns, 'h', 'r']))}) WHERE {present}"
        )


def column_value(value: Mapping[str, Any] | None) -> str | float | None:
    """The value of a column that holds an attribute."""
    if value is None:
        return None
    return float(value["N"]) if "N" in value else value.get("S")


def _index(described: Mapping[str, Any], own: Iterable[str]) -> Index:
    names = {each["KeyType"]: each["AttributeName"] for each in described["key_schema"]}
    projection = described["projection"]
    keys = names["HASH"], names["RANGE"]
    if projection["ProjectionType"] == "ALL":
        return Index(*keys, None)
    return Index(*keys, frozenset({*own, *keys, *projection.get("NonKeyAttributes", ())}))
