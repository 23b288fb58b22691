"""What an SQLite file holds, shown as the DynamoDB in memory shows what it holds."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ai_coordination_engine.store.tables.sqlite import SqliteTables

Key = tuple[str, str]


@dataclass
class Rows:
    """The items of a table by key, and the range keys of each hash key in order."""

    items: dict[Key, Any] = field(default_factory=dict)
    ranges: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class _ByName(Mapping[str, Rows]):
    """Tables, each of which is read when it is asked for."""

    def __init__(self, names: Mapping[str, object], read: Callable[[str], Rows]) -> None:
        self._names, self._read = names, read

    def __getitem__(self, name: str) -> Rows:
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Contents:
    """The items of all tables. Nothing goes wrong in a file: the faults of a service never occur.

    An item that is read twice is one object, as long as it does not change.
    """

    def __init__(self, tables: SqliteTables) -> None:
        self.file, self._known = tables._file, dict[tuple[str, Key], tuple[str, Any]]()
        self._names = tables._made
        self.leaves_over: Callable[[], bool] = lambda: False
        self.lags: Callable[[], bool] = lambda: False
        self.repeats: Callable[[str], bool] = lambda operation: False

    @property
    def tables(self) -> Mapping[str, Rows]:
        """By name."""
        return _ByName(self._names, self._rows)

    def clear(self) -> None:
        """Delete all items."""
        for name in self._names:
            delete = f'DELETE FROM "{name}"'  # noqa: S608
            self.file.write(lambda connection, text=delete: connection.execute(text))  # type: ignore[misc]

    def _rows(self, name: str) -> Rows:
        rows = Rows()
        select = f'SELECT h, r, item FROM "{name}" ORDER BY h, r'  # noqa: S608
        with self.file.reading() as connection:
            for h, r, text in connection.execute(select):
                rows.items[h, r] = self._parsed(name, (h, r), text)
                rows.ranges[h].append(r)
        return rows

    def _parsed(self, name: str, key: Key, text: str) -> Any:
        known = self._known.get((name, key))
        if known is None or known[0] != text:
            known = self._known[name, key] = text, json.loads(text)
        return known[1]
