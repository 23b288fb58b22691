"""Give the space that deleted rows have left in the file back to the disk."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ai_coordination_engine.database.failures import FileError, is_full
from ai_coordination_engine.database.soundness import size_text


def vacuum(path: Path) -> str:
    """Shrink the file and return what was gained, for people. The file stays as it is, and
    `FileError` is raised, when another process uses it or the disk has no room for a second copy.
    """
    before = path.stat().st_size
    try:
        with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        if is_full(error):
            raise FileError(
                f"{path} cannot be made smaller: the disk has no room for it twice."
            ) from error
        raise FileError(f"{path} cannot be made smaller ({error}): stop what uses it.") from error
    return f"The file was {size_text(before)} and is {size_text(path.stat().st_size)}."
