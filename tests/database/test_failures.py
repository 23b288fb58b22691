"""An error of SQLite says what failed and what to do."""

import sqlite3
from pathlib import Path

import pytest

from ai_coordination_engine.database.failures import of_opening, of_serving
from ai_coordination_engine.errors import FileUnusable, Unavailable

PATH = Path("/data/ace.db")


def error(name: str, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    made = kind("what SQLite says")
    made.sqlite_errorname = name  # type: ignore[misc]
    return made


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SQLITE_FULL", r"cannot be written \(what SQLite says\)\. Reads still work"),
        ("SQLITE_IOERR_WRITE", "cannot be written .*once there is space"),
        ("SQLITE_READONLY_DIRECTORY", "cannot be written"),
        (
            "SQLITE_IOERR_READ",
            r"/data/ace.db cannot be read \(what SQLite says\): look at its disk",
        ),
        ("SQLITE_BUSY", "Another process has been writing to /data/ace.db"),
        ("SQLITE_BUSY_SNAPSHOT", "Another process has been writing"),
    ],
)
def test_what_may_pass_is_tried_again(name: str, message: str) -> None:
    with pytest.raises(Unavailable, match=message):
        raise of_serving(PATH, error(name))


@pytest.mark.parametrize("name", ["SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX", "SQLITE_NOTADB"])
def test_damage_does_not_pass(name: str) -> None:
    found = of_serving(PATH, error(name, sqlite3.DatabaseError))
    assert isinstance(found, FileUnusable)
    assert found.message.startswith("/data/ace.db is damaged (what SQLite says). Stop the server")


def test_other_errors_are_faults_of_the_engine() -> None:
    for each in (error("SQLITE_CONSTRAINT_UNIQUE"), KeyError("mine"), error("")):
        assert of_serving(PATH, each) is each


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (error("SQLITE_CORRUPT"), "is damaged or not a file of the engine: restore it"),
        (error("SQLITE_IOERR_LOCK"), "has no locks or no shared memory"),
        (error("SQLITE_IOERR_SHMMAP"), "has no locks or no shared memory"),
        (error("SQLITE_CANTOPEN"), "the file and its directory must be writable"),
        (error("SQLITE_FULL"), "cannot be used: what SQLite says. Look at its disk: is it full?"),
        (PermissionError(13, "Permission denied"), "cannot be used: Permission denied"),
        (OSError(30, "Read-only file system"), "cannot be used: Read-only file system"),
    ],
)
def test_a_file_that_cannot_be_opened_is_named(given: Exception, message: str) -> None:
    found = str(of_opening(PATH, given))
    assert found.startswith("/data/ace.db ")
    assert message in found
