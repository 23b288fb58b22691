"""Remove the items that have expired, as DynamoDB's time to live does, some rows at a time.

The sweep of the local server is the caller.
"""

from collections.abc import Mapping
from sqlite3 import Connection
from typing import NamedTuple

from ai_coordination_engine.database_file import DatabaseFile

LOOKED_AT = 1_000
"""Rows of a table that one call looks at."""
_EXPIRED = (  # most items never expire: the text alone tells
    "instr(item, '\"expires_at\"') > 0 AND CAST(json_extract(item, '$.expires_at.N') AS REAL) < ?"
)


class Owner(NamedTuple):
    """The item of the same tenant in `table` whose key these attributes of an item name."""

    table: str
    hash_key: str
    range_key: str


class Expired:
    """The expired items of some tables, each with its owner: an item stays while its owner exists.
    It remembers how far it has looked; not thread-safe.
    """

    def __init__(self, file: DatabaseFile, tables: Mapping[str, Owner | None]) -> None:
        self._file = file
        self._tables = tables
        self._after = dict.fromkeys(tables, 0)

    def remove(self, now: float) -> int:
        """Remove the expired items among the next rows of each table; return how many. One read a
        table, and one transaction if there are any.
        """
        return sum(self._remove(table, now) for table in self._after)

    def _remove(self, table: str, now: float) -> int:
        is_due = _EXPIRED + _unless_owned(self._tables[table])
        with self._file.reading() as connection:
            rows = connection.execute(
                f'SELECT rowid, {is_due} FROM "{table}" AS own WHERE rowid > ?'  # noqa: S608
                f" ORDER BY rowid LIMIT {LOOKED_AT}",
                (now, self._after[table]),
            ).fetchall()
        found = [rowid for rowid, is_expired in rows if is_expired]

        def delete(connection: Connection) -> int:
            # again: an item may have been written since
            statement = f'DELETE FROM "{table}" AS own WHERE rowid = ? AND {is_due}'  # noqa: S608
            return sum(connection.execute(statement, (each, now)).rowcount for each in found)

        removed = self._file.write(delete) if found else 0
        self._after[table] = rows[-1][0] if len(rows) == LOOKED_AT else 0
        return removed


def _unless_owned(owner: Owner | None) -> str:
    if owner is None:
        return ""
    return (
        f' AND NOT EXISTS (SELECT 1 FROM "{owner.table}" AS owner'  # noqa: S608
        " WHERE owner.h = substr(own.h, 1, instr(own.h, ' '))"  # the tenant
        f" || json_extract(own.item, '$.{owner.hash_key}.S')"
        f" AND owner.r = json_extract(own.item, '$.{owner.range_key}.S'))"
    )
