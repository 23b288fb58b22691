"""Queries on SQLite: the key in SQL, the filter in Python, page by page."""

import json
from collections.abc import Iterator, Sequence
from sqlite3 import Connection
from typing import Any

from pynamodb.expressions import condition as conditions
from pynamodb.expressions.condition import Condition

from ai_coordination_engine.store.tables.expressions import holds, name_of
from ai_coordination_engine.store.tables.items import Answer, Query, RawItem
from ai_coordination_engine.store.tables.sqlite_layout import Layout, column_value

PAGE_BYTES = 1_048_576  # of a Query ("Paginating table query results", Amazon DynamoDB)


def answer(connection: Connection, layout: Layout, query: Query) -> Answer:
    """One page."""
    page = _Page(layout, query)
    cursor = connection.execute(*statement(layout, query))
    try:
        for (text,) in cursor:
            if page.is_full:
                return page.answer(more=True)
            page.add(text)
    finally:
        cursor.close()
    return page.answer(more=False)


class _Page:
    """The part of a query's result that has been read."""

    def __init__(self, layout: Layout, query: Query) -> None:
        self._layout, self._query = layout, query
        self._found: list[RawItem] = []
        self._last: RawItem = {}
        self._read = self._bytes = self._count = 0

    @property
    def is_full(self) -> bool:
        """Whether the page ends here."""
        return self._bytes >= PAGE_BYTES or self._read == self._query.limit

    def add(self, text: str) -> None:
        """One more item in the order of the query."""
        self._last = item = json.loads(text)
        self._bytes += len(text)
        self._read += 1
        condition = self._query.filter_condition
        if condition is None or holds(condition, item):
            self._count += 1
            if not self._query.counts:
                self._found.append(self._shown(item))

    def answer(self, *, more: bool) -> Answer:
        """The answer; `more`: there are other items after these."""
        page: dict[str, Any] = {"Count": self._count, "ScannedCount": self._read}
        if not self._query.counts:
            page["Items"] = self._found
        if more:
            names = dict.fromkeys([*self._layout.key_names, *_key_names(self._layout, self._query)])
            page["LastEvaluatedKey"] = {name: self._last[name] for name in names}
        return page

    def _shown(self, item: RawItem) -> RawItem:
        """The requested attributes of an item, out of those that the index contains."""
        query = self._query
        kept = None if query.index is None else self._layout.indexes[query.index].kept
        if query.attributes is not None:
            kept = frozenset(query.attributes)
        return item if kept is None else {name: item[name] for name in item if name in kept}


def _key_names(layout: Layout, query: Query) -> tuple[str, str]:
    """The hash key and the range key of a query; its items are in the order of the latter."""
    if query.index is None:
        return layout.key_names
    index = layout.indexes[query.index]
    return index.hash_key, index.range_key


def statement(layout: Layout, query: Query) -> tuple[str, list[Any]]:
    """The SQL that reads the items in order, and its values."""
    hash_key, range_key = _key_names(layout, query)
    order = [*dict.fromkeys([range_key, *(layout.key_names if query.index else ())])]
    columns = [*map(layout.column, order)]
    where, values = [f"{layout.column(hash_key)} = ?"], [query.hash_value]
    for text, bound in _bounds(query, order, columns):
        where.append(text)
        values += bound
    direction = "ASC" if query.forward else "DESC"
    limit = "" if query.limit is None else f" LIMIT {query.limit + 1}"
    return (
        f"SELECT item FROM {layout.table} WHERE {' AND '.join(where)}"  # noqa: S608
        f" ORDER BY {', '.join(f'{each} {direction}' for each in columns)}{limit}",
        values,
    )


def _bounds(
    query: Query, order: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[str, list[Any]]]:
    """The conditions on the attributes that define the order. The first attribute always has one:
    SQLite uses a partial index only if the query excludes NULL.
    """
    if query.range_condition is not None:
        yield _on_range(query.range_condition, order[0], columns[0])
    elif query.after is None:
        yield f"{columns[0]} IS NOT NULL", []
    if query.after is not None:
        operator = ">" if query.forward else "<"
        last = [column_value(query.after[name]) for name in order]
        yield f"{columns[0]} {operator}= ?", last[:1]
        yield f"({', '.join(columns)}) {operator} ({', '.join('?' * len(last))})", last


def _on_range(condition: Condition, range_key: str, column: str) -> tuple[str, list[Any]]:
    """A condition on the range key in SQL; raises `NotImplementedError` for other
    operators.
    """
    path, *operands = condition.values
    if name_of(path) != range_key:
        raise ValueError(f"the condition on the key names {name_of(path)}")
    values: list[Any] = [column_value(each.value) for each in operands]
    if isinstance(condition, conditions.Comparison) and condition.operator != "<>":
        return f"{column} {condition.operator} ?", values
    if isinstance(condition, conditions.Between):
        return f"{column} BETWEEN ? AND ?", values
    raise NotImplementedError(condition.operator)
