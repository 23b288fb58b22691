"""Remove the items that have expired, as DynamoDB's time to live does, some rows at a time.

The sweep of the local server is the caller.
"""

from collections.abc import Sequence
from sqlite3 import Connection

from ai_coordination_engine.database_file import DatabaseFile

LOOKED_AT = 1_000
"""Rows of a table that one call looks at."""
_EXPIRED = (  # most items never expire: the text alone tells
    "instr(item, '\"expires_at\"') > 0 AND CAST(json_extract(item, '$.expires_at.N') AS REAL) < ?"
)


class Expired:
    """The expired items of some tables. It remembers how far it has looked; not thread-safe."""

    def __init__(self, file: DatabaseFile, tables: Sequence[str]) -> None:
        self._file = file
        self._after = dict.fromkeys(tables, 0)

    def remove(self, now: float) -> int:
        """Remove the expired items among the next rows of each table; return how many. One read a
        table, and one transaction if there are any.
        """
        return sum(self._remove(table, now) for table in self._after)

    def _remove(self, table: str, now: float) -> int:
        with self._file.reading() as connection:
            rows = connection.execute(
                f'SELECT rowid, {_EXPIRED} FROM "{table}" WHERE rowid > ?'  # noqa: S608
                f" ORDER BY rowid LIMIT {LOOKED_AT}",
                (now, self._after[table]),
            ).fetchall()
        found = [rowid for rowid, is_expired in rows if is_expired]

        def delete(connection: Connection) -> int:
            # again: an item may have been written since
            statement = f'DELETE FROM "{table}" WHERE rowid = ? AND {_EXPIRED}'  # noqa: S608
            return sum(connection.execute(statement, (each, now)).rowcount for each in found)

        removed = self._file.write(delete) if found else 0
        self._after[table] = rows[-1][0] if len(rows) == LOOKED_AT else 0
        return removed
