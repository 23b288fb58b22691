"""Processes take turns to write to one file."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from ai_coordination_engine import database_turns
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.errors import Unavailable

WRITE = "INSERT INTO t (who) VALUES (?)"


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Callable[[], DatabaseFile]]:
    """Open the file as further processes do: each has locks of its own."""
    made: list[DatabaseFile] = []

    def open_one() -> DatabaseFile:
        made.append(DatabaseFile(tmp_path / "ace.db", "none"))
        return made[-1]

    open_one().write(lambda connection: connection.execute("CREATE TABLE t (who)"))
    yield open_one
    for each in made:
        each.close()


def write(file: DatabaseFile, who: str) -> None:
    file.write(lambda connection: connection.execute(WRITE, (who,)))


def written(file: DatabaseFile) -> list[str]:
    with file.reading() as connection:
        return [who for (who,) in connection.execute("SELECT who FROM t ORDER BY rowid")]


@contextmanager
def writing(file: DatabaseFile) -> Iterator[None]:
    """Another process writes meanwhile."""
    with closing(sqlite3.connect(file.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it does not come")


def is_somebody_next(folder: Path) -> bool:
    directory = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(directory)
    return False


def test_who_has_waited_is_the_next(files: Callable[[], DatabaseFile], tmp_path: Path) -> None:
    one, another = files(), files()
    with ThreadPoolExecutor(2) as pool:
        with writing(one):
            waits = pool.submit(write, one, "waits")
            wait_until(lambda: is_somebody_next(tmp_path))
            comes = pool.submit(write, another, "comes later")
            threading.Event().wait(0.02)
        for each in (waits, comes):
            each.result(10)
    assert written(one) == ["waits", "comes later"]
    assert not is_somebody_next(tmp_path)


def test_all_wait_for_who_is_the_next(files: Callable[[], DatabaseFile], tmp_path: Path) -> None:
    file, directory = files(), os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(write, file, "x")
        threading.Event().wait(0.05)
        is_done = waits.done()
        os.close(directory)
        waits.result(10)
    assert not is_done
    assert written(file) == ["x"]


def test_many_writers_wait_for_one_that_takes_long(files: Callable[[], DatabaseFile]) -> None:
    processes = [files() for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        with writing(processes[0]):
            waiting = [pool.submit(write, each, "x") for each in processes for _ in range(2)]
            threading.Event().wait(0.3)
            assert not any(each.done() for each in waiting)
        for each in waiting:
            each.result(10)
    assert written(processes[0]) == ["x"] * 6


def test_a_writer_that_never_ends_is_named(
    files: Callable[[], DatabaseFile], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(database_turns, "BUSY_SECONDS", 0.05)
    file = files()
    with writing(file), pytest.raises(Unavailable, match="Another process has been writing"):
        write(file, "never")
    assert not is_somebody_next(tmp_path)
    write(file, "then")
    assert written(file) == ["then"]


@pytest.mark.parametrize("limit", ["BUSY_SECONDS", "_TRUST_SECONDS"])
def test_who_is_next_and_never_writes_keeps_nobody_waiting_for_long(
    files: Callable[[], DatabaseFile], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str
) -> None:
    """For example a process that was stopped."""
    monkeypatch.setattr(database_turns, limit, 0.05)
    file, directory = files(), os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    begun = monotonic()
    write(file, "late")
    assert monotonic() - begun < 0.9 * database_turns.BUSY_SECONDS or limit == "BUSY_SECONDS"
    os.close(directory)
    assert written(file) == ["late"]


def test_a_closed_file_keeps_no_directory_open(tmp_path: Path) -> None:
    def handles() -> int:
        return len(os.listdir("/proc/self/fd"))

    DatabaseFile(tmp_path / "ace.db", "none").close()
    before = handles()
    DatabaseFile(tmp_path / "ace.db", "none").close()
    assert handles() == before
