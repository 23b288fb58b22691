"""Store large values in the SQLite file of one machine; the store calls it."""

from ai_coordination_engine.database_file import DatabaseFile

_LAST = "\U0010ffff"  # the greatest character, which no key contains


class SqliteBlobs:
    """Implements `ports.Blobs` in a `DatabaseFile`. Thread-safe.

    Each method raises `Unavailable` when the file cannot be written.
    """

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        file.write(
            lambda connection: connection.execute(
                "CREATE TABLE IF NOT EXISTS blobs (key TEXT NOT NULL UNIQUE, data BLOB NOT NULL)"
            )
        )

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`."""
        self._file.write(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO blobs (key, data) VALUES (?, ?)", (key, data)
            )
        )

    def get(self, key: str) -> bytes:
        """Return the bytes under `key`; raises `KeyError` when there are none."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT data FROM blobs WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return bytes(row[0])

    def delete_all(self, prefix: str) -> None:
        """Delete every key that begins with `prefix`."""
        self._file.write(
            lambda connection: connection.execute(
                "DELETE FROM blobs WHERE key >= ? AND key < ?", (prefix, prefix + _LAST)
            )
        )
