"""Copies of the file, complete and checked, while others read and write it."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from ai_coordination_engine.database.failures import FileError, is_damage, is_full
from ai_coordination_engine.database.identity import files_of
from ai_coordination_engine.database.restored import has_other_log

PART = ".part"  # the end of the name of an unfinished copy
_PAGES = 1000  # that are copied between two looks at the keyboard
_BUSY_SECONDS = 10.0


class CopyError(Exception):
    """The file cannot be copied; the message says why and what to do. The target is unchanged."""


def copy_of(path: Path, target: Path, *, replace: bool = False, is_open: bool = False) -> None:
    """Copy the file to `target`, which only its owner can read. It is there as a whole or not at
    all, and survives a power failure.

    It contains what was committed when the copy began ("Online Backup API", SQLite). `replace`: an
    existing file is replaced. `is_open` as in `reading`. Raises `CopyError`.
    """
    _check(path, target, replace=replace)
    part = target.with_name(target.name + PART)
    try:
        with _locked(part):
            _fill(path, part, is_open=is_open)
            os.replace(part, target)
            _sync(target.parent)
    except OSError as error:
        raise CopyError(f"{target} cannot be written: {error.strerror or error}.") from error


@contextmanager
def reading(path: Path, *, is_open: bool = False) -> Iterator[sqlite3.Connection]:
    """Open the file for reads only, in one transaction; raises `FileError`.

    `is_open`: this process has it open already, so that only SQLite may open it: when another
    descriptor is closed, SQLite loses its locks (fcntl(2)), and the next process that closes the
    file deletes the log that is in use.
    """
    if not is_open and has_other_log(path):
        raise FileError(
            f"{path} was restored, and the log of the file before is still beside it: start the"
            f" server once, or delete {files_of(path)[1].name}."
        )
    file, log, _ = files_of(path.resolve())
    # SQLite makes a log even for reads; without one, nobody writes to a file in this directory
    is_effective = os.access in os.supports_effective_ids
    can_write = os.access(file.parent, os.W_OK, effective_ids=is_effective)
    is_fixed = not can_write and not log.exists()
    address = f"{file.as_uri()}?{'immutable=1' if is_fixed else 'mode=rw'}"
    with closing(
        sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    ) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        yield connection


def _check(path: Path, target: Path, *, replace: bool) -> None:
    """Raise `CopyError` for a target that must not be written."""
    if not target.parent.is_dir():
        raise CopyError(f"There is no directory {target.parent}; make it first.")
    log, *_ = of_target = files_of(target)[1:]
    own = {each.resolve() for each in files_of(path)}
    if own & {each.resolve() for each in (target, *of_target)}:
        raise CopyError(f"{target} is a file of the state itself; choose another name.")
    if not os.path.lexists(target):
        return
    if not target.is_file():
        raise CopyError(f"{target} is not a file; choose another name.")
    if not replace:
        raise CopyError(f"{target} exists; choose another name, or replace it with --force.")
    if log.exists():
        raise CopyError(
            f"{target} is the file of a server ({log.name} is beside it); choose another name."
        )


@contextmanager
def _locked(part: Path) -> Iterator[IO[bytes]]:
    """Lock an unfinished copy, which is removed when it fails. The remains of a killed copy are
    replaced.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(part, flags, 0o600), "r+b") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CopyError(f"{part} is being written by another command.") from error
        try:
            os.fchmod(held.fileno(), 0o600)
            held.truncate(0)
            yield held
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _fill(path: Path, part: Path, *, is_open: bool) -> None:
    try:
        with reading(path, is_open=is_open) as source:
            # takes the snapshot, so that writes of others do not begin the copy anew
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            with closing(sqlite3.connect(part, isolation_level=None)) as copy:
                source.backup(copy, pages=_PAGES, progress=lambda *_: None)
                copy.execute("PRAGMA journal_mode = DELETE").fetchone()  # one file, no log
                _check_copy(path, copy)
    except FileError as error:
        raise CopyError(str(error)) from error
    except sqlite3.Error as error:
        raise CopyError(_why(path, part, error)) from error
    _sync(part)


def _check_copy(path: Path, copy: sqlite3.Connection) -> None:
    found = [text for (text,) in copy.execute("PRAGMA integrity_check(1)")]
    if found != ["ok"]:
        raise CopyError(_damaged(path, " ".join(found[0].split())))


def _damaged(path: Path, what: str) -> str:
    return (
        f"{path} is damaged ({what}): see what with ace check-db, and restore it from an earlier"
        " backup."
    )


def _why(path: Path, part: Path, error: sqlite3.Error) -> str:
    if is_damage(error):
        return _damaged(path, str(error))
    if is_full(error):
        return f"{part} cannot be written ({error}): make space, or choose another disk."
    return f"{path} cannot be copied ({error})."


def _sync(path: Path) -> None:
    """Write a file or a directory to the disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
