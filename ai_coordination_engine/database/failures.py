"""Errors of SQLite and of the operating system, as errors that say what to do."""

import errno
import sqlite3
from pathlib import Path

from ai_coordination_engine.database.log import NotSynced
from ai_coordination_engine.errors import FileUnusable, Unavailable

_DAMAGED = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
# errors that may be temporary ("Result and Error Codes", SQLite)
_PASSING = frozenset(
    {
        "SQLITE_BUSY",
        "SQLITE_CANTOPEN",
        "SQLITE_FULL",
        "SQLITE_IOERR",
        "SQLITE_LOCKED",
        "SQLITE_NOMEM",
        "SQLITE_READONLY",
    }
)
_WITHOUT_LOCKS = frozenset({"SQLITE_IOERR_LOCK", "SQLITE_IOERR_RDLOCK", "SQLITE_IOERR_SHMMAP"})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})  # flock(2)
_NOT_WRITTEN = frozenset(
    {"SQLITE_FULL", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_WRITE"}
)
_OF_THE_DISK = frozenset({"SQLITE_FULL", "SQLITE_IOERR"})


class FileError(Exception):
    """The file cannot be used; the message says why and what to do."""


def of_serving(path: Path, error: Exception) -> Exception:
    """Convert an error while the file is in use; other errors than SQLite's stay as they are."""
    if is_damage(error):
        return FileUnusable(
            f"{path} is damaged ({error}). Stop the server, and restore the file from a backup."
        )
    if isinstance(error, NotSynced):
        return FileUnusable(
            f"{path} cannot be synced ({error}): a power failure would take back the changes since."
            " Look at its disk, and start all processes that use the file anew."
        )
    if isinstance(error, OSError):
        return Unavailable(f"{path} cannot be locked ({error.strerror or error}).")
    if _primary(error) not in _PASSING:
        return error
    if _primary(error) == "SQLITE_BUSY":
        return Unavailable(f"Another process has been writing to {path} for too long; try again.")
    if _exact(error) == "SQLITE_IOERR_READ":
        return Unavailable(f"{path} cannot be read ({error}): look at its disk, or try again.")
    return Unavailable(
        f"The data directory cannot be written ({error}). Reads still work; writes work again"
        " once there is space."
    )


def of_opening(path: Path, error: Exception) -> FileError:
    """Convert an error at the start."""
    if isinstance(error, OSError) and error.errno in _NO_LOCKS:
        return without_locks(path)
    if isinstance(error, OSError):
        return FileError(f"{path} cannot be used: {error.strerror or error}.")
    if is_damage(error):
        return FileError(
            f"{path} is damaged or not a file of the engine: restore it from a backup, or choose"
            " another directory."
        )
    if _exact(error) in _WITHOUT_LOCKS:
        return without_locks(path)
    if _primary(error) in ("SQLITE_CANTOPEN", "SQLITE_READONLY"):
        return FileError(
            f"{path} cannot be used ({error}): the file and its directory must be writable."
        )
    hint = " Look at its disk: is it full?" if _primary(error) in _OF_THE_DISK else ""
    return FileError(f"{path} cannot be used: {error}.{hint}")


def without_locks(path: Path) -> FileError:
    """The error of a file system on which SQLite cannot share a file."""
    return FileError(
        f"{path} cannot be used: its file system has no locks or no shared memory, as some network"
        " file systems. Choose a directory on a local disk."
    )


def is_damage(error: BaseException) -> bool:
    """Whether the content of the file is not what SQLite wrote."""
    return _primary(error) in _DAMAGED


def is_full(error: BaseException) -> bool:
    """Whether a file could not grow: no space, or a limit of its size."""
    return _exact(error) in _NOT_WRITTEN


def _primary(error: BaseException) -> str:
    """The primary name of an error of SQLite ("Result and Error Codes")."""
    return "_".join(_exact(error).split("_")[:2])


def _exact(error: BaseException) -> str:
    """The whole name of an error of SQLite; "" of another error."""
    return str(getattr(error, "sqlite_errorname", "")) if isinstance(error, sqlite3.Error) else ""
