"""Whether the file as a whole is sound: its pages, its program, its version."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ai_coordination_engine.database.failures import is_damage
from ai_coordination_engine.database.identity import files_of
from ai_coordination_engine.database.versions import (
    APPLICATION,
    VERSION,
    application_of,
    problem_of,
    version_of,
)

RESTORE = "restore the file from a backup"
_MOST = 20  # messages of SQLite about one file


def problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what is wrong and what to do; nothing else need be looked at then."""
    try:
        yield from _problems(connection)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        yield f"The file is damaged, or not one of ace ({error}): {RESTORE}."


def _problems(connection: sqlite3.Connection) -> Iterator[str]:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application_of(connection) != APPLICATION:
        yield "The file belongs to another program: name a file of ace serve --data-dir."
        return
    if tables and (problem := problem_of(version_of(connection))) is not None:
        yield f"The file {problem}"
        return
    if not tables:
        yield f"The file is empty: if it held anything, {RESTORE}; else ace serve begins anew."
    for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST})"):
        if text != "ok":
            yield f"The file is damaged ({' '.join(text.split())}): {RESTORE}."


def facts(connection: sqlite3.Connection, path: Path) -> Iterator[str]:
    """Yield the version, the sizes and the rows of each table, for people."""
    version = version_of(connection)
    older = f" (ace serve makes it version {VERSION})" if version < VERSION else ""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    file, log, _ = files_of(path)
    yield f"version     {version}{older}"
    yield f"size        {_bytes(file)}, of which {size_text(free * page)} are free"
    yield f"log         {_bytes(log)}"
    for name, rows in counts(connection):
        yield f"{rows:>10}  {name}"


def counts(connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """Yield the tables and their numbers of rows."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        " ORDER BY name"
    ).fetchall()
    for (name,) in tables:
        quoted = name.replace('"', '""')
        yield name, connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0]  # noqa: S608


def size_text(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _bytes(path: Path) -> str:
    return size_text(path.stat().st_size if path.exists() else 0)
