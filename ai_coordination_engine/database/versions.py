"""The versions of the file's layout, and the steps from each version to the next.

What an addition needs is no version: its owner creates tables, columns and indexes that do not
exist. A change of what is stored already is a row of `MIGRATIONS`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from sqlite3 import Connection

from ai_coordination_engine.database.copies import CopyError, copy_of
from ai_coordination_engine.database.failures import FileError
from ai_coordination_engine.observability import logger

APPLICATION = 0x41434521  # "ACE!", of the header of the file


def _hidden_messages_are_marked(connection: Connection) -> None:
    """Messages that wait for their time are marked, and those that are ready have an index of their
    own.
    """
    if not _has_table(connection, "messages"):
        return
    connection.execute("DROP INDEX IF EXISTS messages_of_tenant")
    connection.execute(
        "UPDATE messages SET is_held = 2 WHERE is_dead = 0 AND is_held = 0 AND visible_at > sent_at"
    )


MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {2: _hidden_messages_are_marked}
"""For each version the function that makes a file of the version before into one of it."""
VERSION = max(MIGRATIONS)
OLDEST = min(MIGRATIONS) - 1


def prepare(connection: Connection, path: Path, *, alone: bool) -> None:
    """Make the file one of the newest version, whether it is new, older, or that already.

    An older one is copied beside it first. A death leaves the old file or the new one. Raises
    `FileError`: the file belongs to another program, its version is unknown, or it is older and
    this process is not `alone` with it.
    """
    connection.execute("BEGIN")  # another process may be making the tables
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    application, version = application_of(connection), version_of(connection)
    connection.execute("COMMIT")
    if not tables:
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        return
    if application != APPLICATION:
        raise FileError(f"{path} belongs to another program; choose another directory.")
    if (problem := problem_of(version)) is not None:
        raise FileError(f"{path} {problem}")
    if version < VERSION and not alone:
        raise FileError(
            f"{path} was written by an earlier version. Stop its server, and start it with this"
            f" version: ace serve --data-dir {path.parent}"
        )
    if version < VERSION:
        _migrate(connection, path)


def problem_of(version: int) -> str | None:
    """Return why a file of this version cannot be used, as the end of a sentence, or None."""
    if version > VERSION:
        return "was written by a newer version; use that, or another directory."
    if version < OLDEST:
        return (
            f"has the version {version}, which is unknown: this engine reads the versions {OLDEST}"
            f" to {VERSION}. Restore the file from a backup, or choose another directory."
        )
    return None


def application_of(connection: Connection) -> int:
    """The number of the program that made the file."""
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def version_of(connection: Connection) -> int:
    """The version of the file's layout."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: Connection, path: Path) -> None:
    """Run all steps that are missing in one transaction, after a copy of the file as it is."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection)
        if version < VERSION:  # no other process was first
            kept = path.with_name(f"{path.name}.version-{version}")
            _copied(path, kept)
            for number in range(version + 1, VERSION + 1):
                MIGRATIONS[number](connection)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            logger.warning(
                "the file was migrated",
                extra={"file": str(path), "from": version, "to": VERSION, "kept": str(kept)},
            )
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _copied(path: Path, kept: Path) -> None:
    try:
        copy_of(path, kept, replace=True, is_open=True)
    except CopyError as error:
        raise FileError(
            f"{path} was written by an earlier version, and cannot be copied before it is changed:"
            f" {error}"
        ) from error


def _has_table(connection: Connection, name: str) -> bool:
    found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(found, (name,)).fetchone() is not None
