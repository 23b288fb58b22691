"""The directory of `--data-dir`: its owner's alone, and used by one server at a time."""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ai_coordination_engine.database.log import sync_directory
from ai_coordination_engine.forks import close_in_children

FILE = "ace.db"
_LOCK = "lock"
_SAID = "server"  # what the last server said of itself
TEMPORARY = "temporary"  # marks a directory that goes with its server
EARLIER = "journal.jsonl"  # in which versions before the SQLite file kept everything


class DataDirError(Exception):
    """The data directory cannot be used; the message says why and what to do."""


class NoDataDir(DataDirError):
    """There cannot be a data directory of this name: another one is meant."""


def lock(data_dir: Path, served_at: str | None = None) -> IO[str]:
    """Lock the directory against other servers until the result is closed, or this process ends,
    whatever processes it has forked. `served_at`: the address of the server that holds it, if it is
    known. Raises `DataDirError`.
    """
    held = open(data_dir / _LOCK, "a", opener=private)  # noqa: SIM115
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise DataDirError(f"{data_dir} {_why_not_locked(error, served_at)}") from error
    close_in_children(held)
    return held


def _why_not_locked(error: OSError, served_at: str | None) -> str:
    if error.errno in (errno.EWOULDBLOCK, errno.EACCES):  # flock(2), fcntl(2)
        where = f" ({served_at})" if served_at else ""
        return f"is in use by another server{where}; stop it or choose another directory."
    return (
        f"cannot be locked ({error.strerror}): its file system has no locks. Choose a directory on"
        " a local disk."
    )


def said_by_server(data_dir: Path) -> dict[str, Any]:
    """What the last server of the directory said of itself (`say`); empty if it said nothing."""
    try:
        with open(data_dir / _SAID, encoding="utf-8") as file:
            return read_object(file)
    except OSError:
        return {}


def say(data_dir: Path, about: Mapping[str, Any]) -> None:
    """Let the server that has locked the directory say something of itself. Raises `OSError`."""
    write_object(data_dir / _SAID, about)


def write_object(path: Path, about: Mapping[str, Any]) -> None:
    """Write an object of JSON to a file of its owner's alone: others find it complete, or as it was
    before. Only the server of the directory writes such files. Raises `OSError`.
    """
    new = path.with_name(f"{path.name}.new")
    with open(new, "w", encoding="utf-8", opener=private) as file:
        json.dump(about, file)
    new.rename(path)


def read_object(file: IO[str]) -> dict[str, Any]:
    """Read an object of JSON; empty if the file has something else, or only a part of it."""
    try:
        found = json.loads(file.read())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def has_data(data_dir: Path) -> bool:
    """Whether a server has stored data in the directory."""
    return any((data_dir / each).is_file() for each in (FILE, EARLIER))


def refuse_earlier(data_dir: Path) -> None:
    """Raise `DataDirError` if a version without the SQLite file has stored data in it."""
    if (data_dir / EARLIER).is_file():
        raise DataDirError(
            f"{data_dir} holds the data of an earlier version ({EARLIER}), which this version"
            f" cannot read. Choose another directory, or move {EARLIER} out of this one."
        )


def make_private(data_dir: Path) -> None:
    """Create the directory, or remove all access rights of other users.

    Raises `DataDirError` when that could lock others out of files of theirs.
    """
    try:
        _make(data_dir)
    except (FileExistsError, NotADirectoryError) as error:
        raise NoDataDir(
            f"{data_dir} is not a directory, or lies below a file; choose another."
        ) from error
    if not stat.S_IMODE(data_dir.stat().st_mode) & 0o077:
        return
    if any(data_dir.iterdir()) and not has_data(data_dir):
        raise DataDirError(
            f"{data_dir} is accessible to other users and holds other files. Choose an empty"
            f" directory, or remove their access: chmod 700 {data_dir}"
        )
    try:
        data_dir.chmod(0o700)
    except PermissionError as error:
        raise DataDirError(
            f"{data_dir} is accessible to other users and belongs to one of them; choose another."
        ) from error


def _make(data_dir: Path) -> None:
    """Create a directory, and those around it, so that they survive a power failure."""
    missing = [each for each in (data_dir, *data_dir.parents) if not each.exists()]
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in missing:
        with suppress(PermissionError):  # it may be written to, but not opened
            sync_directory(each.parent)


def private(path: str, flags: int) -> int:
    """Open a file that only its owner can read and write."""
    file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    os.fchmod(file, 0o600)
    return file
