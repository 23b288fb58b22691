"""The SQLite file of one machine: commits, and errors when the file cannot be used."""

import gc
import os
import re
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ai_coordination_engine import database_file
from ai_coordination_engine.database.failures import FileError
from ai_coordination_engine.database.versions import VERSION
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.errors import FileUnusable, Unavailable
from tests.kit.files import damage


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DatabaseFile]:
    made = DatabaseFile(tmp_path / "ace.db")
    made.write(lambda connection: connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    yield made
    made.close()


def add(file: DatabaseFile, number: int) -> None:
    file.write(lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)))


def numbers(file: DatabaseFile) -> list[int]:
    with file.reading() as connection:
        return [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]


def test_its_files_are_their_owners_alone(file: DatabaseFile) -> None:
    add(file, 1)
    assert {
        each.name: stat.S_IMODE(each.stat().st_mode) for each in file.path.parent.iterdir()
    } == {
        "ace.db": 0o600,
        "ace.db-wal": 0o600,
        "ace.db-shm": 0o600,
    }


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("process", 1), ("none", 0)])
def test_durability_is_that_of_sqlite(
    tmp_path: Path, durability: database_file.Durability, level: int
) -> None:
    file = DatabaseFile(tmp_path / "other.db", durability)
    with file.reading() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()


def test_writers_of_one_moment_share_a_commit(file: DatabaseFile) -> None:
    commits: list[str] = []
    file._writer.set_trace_callback(commits.append)
    held, go = threading.Event(), threading.Event()

    def first(connection: sqlite3.Connection) -> None:
        held.set()
        assert go.wait(10)
        connection.execute("INSERT INTO t VALUES (100)")

    with ThreadPoolExecutor(11) as pool:
        slow = pool.submit(file.write, first)
        assert held.wait(10)
        others = [pool.submit(add, file, number) for number in range(10)]
        while len(file._waiting) < 10:
            threading.Event().wait(0.001)
        go.set()
        for each in (slow, *others):
            each.result(10)
    assert numbers(file) == [*range(10), 100]
    assert commits.count("COMMIT") == 2


def test_an_error_of_one_writer_is_its_own(file: DatabaseFile) -> None:
    def refuse(connection: sqlite3.Connection) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        file.write(refuse)
    add(file, 1)
    assert numbers(file) == [1]


def half(file: DatabaseFile) -> None:
    """Write something, and fail."""

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (100)")
        raise KeyError("mine")

    file.write(write)


@pytest.mark.parametrize(
    ("fail", "error"),
    [(half, KeyError), (lambda file: add(file, 1), sqlite3.IntegrityError)],
    ids=["half written", "refused by SQLite"],
)
def test_a_write_that_fails_spoils_none_of_the_same_moment(
    file: DatabaseFile, fail: Callable[[DatabaseFile], None], error: type[Exception]
) -> None:
    add(file, 1)
    file._turn.acquire()
    with ThreadPoolExecutor(3) as pool:
        others = [pool.submit(add, file, 2), pool.submit(fail, file), pool.submit(add, file, 3)]
        while len(file._waiting) < 3:
            threading.Event().wait(0.001)
        file._turn.release()
        assert [type(each.exception(10)) for each in others] == [type(None), error, type(None)]
    assert numbers(file) == [1, 2, 3]
    with pytest.raises(error):
        fail(file)
    assert numbers(file) == [1, 2, 3]


def test_nothing_is_written_together_with_what_is_half_written(file: DatabaseFile) -> None:
    with pytest.raises(KeyError), file.together():
        add(file, 1)
        with pytest.raises(KeyError):
            half(file)
    assert numbers(file) == []


def test_nothing_is_written_together_with_a_read_that_fails(file: DatabaseFile) -> None:
    """SQLite rolls back a transaction in which the disk failed a read (`sqlite3_get_autocommit`),
    and what follows would be committed without what went before.
    """

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        connection.execute("SELECT * FROM unknown")

    with pytest.raises(sqlite3.OperationalError), file.together():
        add(file, 1)
        with pytest.raises(sqlite3.OperationalError), file.reading() as connection:
            fail(connection)
        with pytest.raises(sqlite3.OperationalError):
            add(file, 2)
    assert numbers(file) == []
    add(file, 3)
    assert numbers(file) == [3]


def test_a_file_that_cannot_be_opened_for_now_is_unavailable(file: DatabaseFile) -> None:
    add(file, 1)
    gc.collect()  # so that nothing closes a file meanwhile
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free(), hard))
    try:
        with pytest.raises(Unavailable, match="unable to open"):
            numbers(file)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert numbers(file) == [1]


def lowest_free() -> int:
    """Return the number of the next file descriptor: with that as its limit, a process opens
    nothing.
    """
    with open(os.devnull) as opened:
        return opened.fileno()


def test_what_is_written_together_is_committed_together(file: DatabaseFile) -> None:
    with file.together():
        add(file, 1)
        assert numbers(file) == [1]
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(numbers, file).result(10) == []
        with file.together():
            add(file, 2)
    assert numbers(file) == [1, 2]


def in_together(file: DatabaseFile, call: Callable[[sqlite3.Connection], Any]) -> Any:
    with file.together():
        return file.write(call)


@pytest.mark.parametrize("write", [DatabaseFile.write, in_together])
@pytest.mark.parametrize(
    "call",
    [
        lambda connection: connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)]),
        lambda connection: connection.execute("INSERT INTO t VALUES (1), (2) RETURNING n"),
        lambda connection: connection.execute("INSERT INTO t VALUES (1), (2)"),
    ],
    ids=["many", "returning", "one"],
)
def test_no_cursor_outlives_the_turn_of_its_write(
    file: DatabaseFile, write: Callable[..., Any], call: Callable[[sqlite3.Connection], Any]
) -> None:
    # freed later, it would reset the statement while another thread's write runs it
    cursor = write(file, call)
    with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
        cursor.fetchone()
    assert numbers(file) == [1, 2]


def test_nothing_is_written_when_an_error_leaves_it(file: DatabaseFile) -> None:
    with pytest.raises(KeyError), file.together():
        add(file, 1)
        raise KeyError
    add(file, 2)
    assert numbers(file) == [2]


def test_a_full_disk_is_said_and_goes_away(file: DatabaseFile) -> None:
    file.write(lambda connection: connection.execute("CREATE TABLE large (text TEXT)"))
    (pages,) = file._writer.execute("PRAGMA page_count").fetchone()
    file._writer.execute(f"PRAGMA max_page_count = {pages}")
    large = "INSERT INTO large VALUES (?)", ("x" * 100_000,)
    with pytest.raises(Unavailable, match=r"cannot be written .*full"):
        file.write(lambda connection: connection.execute(*large))
    with pytest.raises(Unavailable, match="full"), file.together():
        add(file, 7)
        with pytest.raises(Unavailable):
            file.write(lambda connection: connection.execute(*large))
    assert numbers(file) == []
    add(file, 1)
    file._writer.execute("PRAGMA max_page_count = 100000")
    file.write(lambda connection: connection.execute(*large))
    assert numbers(file) == [1]


def test_the_log_is_small_again_after_a_long_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_file, "_LOG_BYTES", 100_000)
    file = DatabaseFile(tmp_path / "ace.db", "none")
    file.write(lambda connection: connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x)"))

    def fill(writes: int) -> int:
        for number in range(writes):
            row = number % 10, "x" * 8000
            file.write(lambda to, row=row: to.execute("REPLACE INTO t VALUES (?, ?)", row))  # type: ignore[misc]
        return file.path.with_name("ace.db-wal").stat().st_size

    with file.reading() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT n FROM t").fetchall()
        assert fill(600) > 5_000_000
        connection.execute("COMMIT")
    fill(10)  # they are after what the reader saw
    assert fill(10) < 500_000
    file.close()


def test_the_log_is_bounded_while_there_is_always_a_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_file, "_LOG_BYTES", 500_000)
    monkeypatch.setattr(database_file, "_AFTER_A_LONG_READ", 0.0)  # readers of a busy machine
    file = DatabaseFile(tmp_path / "ace.db", "none")
    file.write(lambda connection: connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x)"))
    stop, begun = threading.Event(), list[int]()

    def read() -> None:
        while not stop.is_set():
            with file.reading() as connection:
                rows = connection.execute("SELECT n FROM t")
                rows.fetchone()
                begun.append(mine := len(begun))
                while len(begun) <= mine + 1 and not stop.is_set():  # until the next one has begun
                    threading.Event().wait(0.0005)
                rows.fetchall()

    add = "REPLACE INTO t VALUES (?, ?)"
    for number in range(10):
        file.write(lambda to, number=number: to.execute(add, (number, "")))  # type: ignore[misc]
    log, sizes = file.path.with_name("ace.db-wal"), []
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for number in range(1000):
            row = number % 10, "x" * 8000
            file.write(lambda to, row=row: to.execute(add, row))  # type: ignore[misc]
            sizes.append(log.stat().st_size)
        stop.set()
        for each in readers:
            each.result(10)
    assert len(begun) > 10
    assert max(sizes) < 2_000_000  # of 8,000,000 that were written
    file.close()


def test_damage_is_said_once_and_nothing_more_is_written(
    file: DatabaseFile, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(lambda connection: connection.execute("CREATE TABLE harmed (n INTEGER PRIMARY KEY)"))
    path = file.path
    file.close()
    damage(path, "harmed")
    file = DatabaseFile(path)
    add(file, 1)
    assert file.problem() is None
    said = f"^{re.escape(str(path))} is damaged .*Stop the server, and restore .* from a backup"
    for _ in range(2):
        with pytest.raises(FileUnusable, match=said) as refused, file.reading() as connection:
            connection.execute("SELECT * FROM harmed").fetchall()
        assert refused.value.extensions == {"retryable": False}
        with pytest.raises(FileUnusable, match=said):
            add(file, 2)
        with pytest.raises(FileUnusable, match=said), file.together():
            add(file, 2)
    assert re.match(said, file.problem() or "")
    assert numbers(file) == [1]  # what is whole can still be read
    assert [each.levelname for each in caplog.records] == ["CRITICAL"]
    file.close()


def write_of_damage(file: DatabaseFile) -> None:
    file.write(lambda connection: connection.execute("INSERT INTO harmed VALUES (1)"))


def test_damage_that_a_write_meets_is_said_to_that_write_alone(file: DatabaseFile) -> None:
    file.write(lambda connection: connection.execute("CREATE TABLE harmed (n INTEGER PRIMARY KEY)"))
    file.close()
    damage(file.path, "harmed")
    file = DatabaseFile(file.path)
    with pytest.raises(FileUnusable, match="is damaged"):
        write_of_damage(file)
    file.close()


def other_in_the_place_of(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize("name", ["ace.db", "ace.db-wal", "ace.db-shm"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Path.unlink, "cannot be found any more"),
        (lambda path: path.rename(path.with_suffix(".moved")), "cannot be found any more"),
        (other_in_the_place_of, "was replaced by another file"),
    ],
    ids=["deleted", "moved", "replaced"],
)
def test_a_file_that_goes_away_takes_nothing_more(
    file: DatabaseFile, name: str, change: Callable[[Path], object], said: str
) -> None:
    add(file, 1)
    assert numbers(file) == [1]
    path = file.path.with_name(name)
    change(path)
    for _ in range(2):
        with pytest.raises(FileUnusable, match=f"{re.escape(str(path))} {said}.*Stop the server"):
            add(file, 2)
    assert numbers(file) == [1]  # by the connection that is open
    with ThreadPoolExecutor(1) as pool, file.reading(), pytest.raises(FileUnusable, match=said):
        pool.submit(numbers, file).result(10)


def test_a_mistake_in_a_statement_is_none_of_the_disk(file: DatabaseFile) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        file.write(lambda connection: connection.execute("DELETE FROM none"))
    with pytest.raises(sqlite3.OperationalError), file.reading() as connection:
        connection.execute("SELECT * FROM none")
    add(file, 1)


def test_a_closed_file_says_so(file: DatabaseFile) -> None:
    file.close()
    with pytest.raises(Unavailable, match="stopping"):
        add(file, 1)
    with pytest.raises(Unavailable, match="stopping"):
        numbers(file)


def test_two_processes_take_turns(file: DatabaseFile) -> None:
    other = DatabaseFile(file.path)
    with ThreadPoolExecutor(4) as pool:
        for number in range(40):
            pool.submit(add, (file, other)[number % 2], number)
    assert numbers(file) == numbers(other) == [*range(40)]
    other.close()


def damaged(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def of_another_program(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (n)")
    other.close()


def of_a_newer_version(path: Path) -> None:
    file = DatabaseFile(path)
    file.write(lambda connection: connection.execute("CREATE TABLE t (n)"))
    file._writer.execute(f"PRAGMA user_version = {VERSION + 1}")
    file.close()


def test_a_file_that_another_process_is_making_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ace.db"
    prepare = database_file.prepare
    others: list[DatabaseFile] = []

    def make_it(text: str) -> None:
        if "PRAGMA user_version" in text and not others:
            monkeypatch.setattr(database_file, "prepare", prepare)
            others.append(DatabaseFile(path))
            others[0].write(lambda connection: connection.execute("CREATE TABLE t (n)"))

    def meet(connection: sqlite3.Connection, path: Path, *, alone: bool) -> None:
        connection.set_trace_callback(make_it)
        prepare(connection, path, alone=alone)

    monkeypatch.setattr(database_file, "prepare", meet)
    DatabaseFile(path).close()
    others[0].close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (damaged, "is damaged or not a file of the engine: restore it from a backup"),
        (of_another_program, "belongs to another program; choose another directory"),
        (of_a_newer_version, "was written by a newer version"),
        (Path.mkdir, "cannot be used"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "ace.db"
    make(path)
    with pytest.raises(FileError, match=message) as refused:
        DatabaseFile(path)
    assert str(path) in str(refused.value)


def test_a_file_system_without_shared_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def without(path: Path, **options: Any) -> sqlite3.Connection:
        return connect(f"file:{path}?vfs=unix-dotfile", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", without)
    with pytest.raises(FileError, match=r"no locks or no shared memory.*a local disk"):
        DatabaseFile(tmp_path / "ace.db")


def test_a_directory_that_cannot_be_written_is_named() -> None:
    with TemporaryDirectory() as name:
        (folder := Path(name)).chmod(0o755)
        (path := folder / "data" / "ace.db").parent.mkdir()
        DatabaseFile(path).close()
        user = os.geteuid()
        if not user:  # root may write everywhere
            for each in (path.parent, path):
                os.chown(each, 65534, 65534)
            os.seteuid(65534)
        path.parent.chmod(0o500)
        try:
            with pytest.raises(FileError, match="its directory must be writable"):
                DatabaseFile(path)
        finally:
            path.parent.chmod(0o700)
            os.seteuid(user)


@pytest.mark.parametrize("below", ["a file", "/proc"])
def test_a_place_that_takes_no_file_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(FileError, match="cannot be used"):
        DatabaseFile(tmp_path / below / "ace.db")


def test_wherever_the_log_is_cut_off_what_was_committed_before_is_there(
    tmp_path: Path,
) -> None:
    """As a disk may leave the log after a loss of power, and as a disk that is full does."""
    file = DatabaseFile(tmp_path / "ace.db", "process")
    file.write(lambda connection: connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    file._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log, ends = file.path.with_name("ace.db-wal"), []
    for number in range(3):
        add(file, number)
        ends.append(log.stat().st_size)
    whole, written = file.path.read_bytes(), log.read_bytes()
    file.close()
    for length in {*range(0, len(written), 1500), *(end - 1 for end in ends), *ends}:
        (tmp_path / str(length)).mkdir(0o700)
        path = tmp_path / str(length) / "ace.db"
        path.write_bytes(whole)
        path.with_name("ace.db-wal").write_bytes(written[:length])
        cut = DatabaseFile(path, "process")
        committed = sum(end <= length for end in ends)
        assert numbers(cut) == [*range(committed)]
        add(cut, committed)
        assert numbers(cut) == [*range(committed + 1)]
        cut.close()


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    script = """
import sys, pathlib
from ai_coordination_engine.database_file import DatabaseFile
file = DatabaseFile(pathlib.Path(sys.argv[1]), "process")
file.write(lambda connection: connection.execute("CREATE TABLE t (n)"))
number = 0
while True:
    file.write(lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)))
    print(number, flush=True)
    number += 1
"""
    path = tmp_path / "ace.db"
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        for line in writer.stdout:
            if int(line) == 100:
                writer.kill()
                break
        acknowledged = [100, *map(int, writer.stdout)]
    file = DatabaseFile(path)
    found = numbers(file)
    assert found[: len(found) - 1] == [*range(len(found) - 1)]
    assert len(found) - 1 in (acknowledged[-1], acknowledged[-1] + 1)
    file.close()
