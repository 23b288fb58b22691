"""Notice a copy that was put in the place of the file while the log of the file is still there.

SQLite would add the log, which belongs to the earlier content, to the copy, and damage it. A copy
of `copies` says in its header that it has no log; the file of a server never says so.
"""

from pathlib import Path

from ai_coordination_engine.database.identity import FORMAT, WITHOUT_LOG, files_of
from ai_coordination_engine.observability import logger


def has_other_log(path: Path) -> bool:
    """Whether the log beside the file is that of another one."""
    log = files_of(path)[1]
    try:
        if not log.stat().st_size:
            return False
        with path.open("rb") as file:
            return file.read(FORMAT.stop)[FORMAT] == WITHOUT_LOG
    except FileNotFoundError:
        return False


def drop_other_log(path: Path) -> None:
    """Delete the log beside the file if it is that of another one."""
    if has_other_log(path):
        _, *others = files_of(path)
        for each in others:
            each.unlink(missing_ok=True)
        logger.warning(
            "the file was restored: the log of the file before is deleted",
            extra={"file": str(path)},
        )
