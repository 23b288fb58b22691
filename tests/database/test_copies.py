"""A copy is complete, checked and private, or not there at all."""

import fcntl
import os
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import pytest

from ai_coordination_engine.database import copies
from ai_coordination_engine.database.copies import CopyError, copy_of, reading
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.errors import FileUnusable
from tests.kit.files import damage, small_files
from tests.kit.forked import forked


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DatabaseFile]:
    (folder := tmp_path / "data").mkdir()
    made = DatabaseFile(folder / "ace.db", "process")
    made.write(lambda connection: connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x)"))
    yield made
    made.close()


def add(file: DatabaseFile, number: int) -> None:
    row = number, "x" * 3000
    file.write(lambda connection: connection.execute("INSERT INTO t VALUES (?, ?)", row))


def numbers(path: Path) -> list[int]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_copy_has_all_that_was_committed_before_it_and_is_one_private_file(
    file: DatabaseFile, tmp_path: Path
) -> None:
    add(file, 1)
    copy_of(file.path, target := tmp_path / "a copy?#%20.db")
    assert numbers(file.path) == [1]
    assert names(tmp_path) == [target.name, "data"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.chmod(0o400)
    target.rename(tmp_path / "b.db")
    assert numbers(tmp_path / "b.db") == [1]


def test_copies_are_whole_while_others_write(
    file: DatabaseFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_PAGES", 5)  # so that others write between two of its steps
    stop, written = Event(), [*range(50)]
    for each in written:
        add(file, each)

    def write() -> None:
        while not stop.is_set():
            add(file, len(written))
            written.append(len(written))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        for turn in range(3):
            before = len(written)
            copy_of(file.path, target := tmp_path / f"{turn}.db")
            assert before <= len(found := numbers(target)) <= len(written) + 1
            assert found == [*range(len(found))]
            while len(written) < before + 20:
                Event().wait(0.001)
        stop.set()
        writing.result(10)


def test_an_existing_file_is_replaced_only_if_asked(file: DatabaseFile, tmp_path: Path) -> None:
    (target := tmp_path / "b.db").write_text("mine")
    add(file, 1)
    with pytest.raises(CopyError, match=r"b\.db exists; choose another name, or .* --force"):
        copy_of(file.path, target)
    assert target.read_text() == "mine"
    copy_of(file.path, target, replace=True)
    assert numbers(target) == [1]


def test_a_target_that_is_no_place_for_a_copy_is_refused(
    file: DatabaseFile, tmp_path: Path
) -> None:
    add(file, 1)
    (tmp_path / "link.db").symlink_to(file.path)
    (tmp_path / "other.db").touch()
    (tmp_path / "other.db-wal").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere.db").symlink_to(tmp_path / "gone")
    for target, message in {
        tmp_path / "none" / "b.db": "There is no directory .*none; make it first",
        tmp_path / "other.db" / "b.db": "There is no directory",
        file.path: "is a file of the state itself",
        file.path.with_name("ace.db-wal"): "is a file of the state itself",
        tmp_path / "link.db": "is a file of the state itself",
        tmp_path / "data": "is not a file",
        tmp_path / "pipe": "is not a file",
        tmp_path / "nowhere.db": "is not a file",
        tmp_path / "other.db": "is the file of a server .*other.db-wal",
        Path("/proc/b.db"): "cannot be written",
    }.items():
        with pytest.raises(CopyError, match=message):
            copy_of(file.path, target, replace=True)
    assert names(tmp_path) == sorted(
        ["data", "link.db", "nowhere.db", "other.db", "other.db-wal", "pipe"]
    )
    assert numbers(file.path) == [1]


def test_on_a_full_disk_the_earlier_copy_stays(file: DatabaseFile, tmp_path: Path) -> None:
    copy_of(file.path, target := tmp_path / "b.db")
    before = target.read_bytes()
    for each in range(50):
        add(file, each)
    with small_files(60_000), pytest.raises(CopyError, match=r"cannot be written .*make space"):
        copy_of(file.path, target, replace=True)
    assert names(tmp_path) == ["b.db", "data"]
    assert target.read_bytes() == before
    copy_of(file.path, target, replace=True)
    assert len(numbers(target)) == 50


def test_the_remains_of_a_killed_copy_are_no_obstacle(file: DatabaseFile, tmp_path: Path) -> None:
    add(file, 1)
    part = tmp_path / "b.db.part"
    part.write_bytes(b"half" * 5000)
    part.chmod(0o644)
    copy_of(file.path, target := tmp_path / "b.db")
    assert (numbers(target), names(tmp_path)) == ([1], ["b.db", "data"])
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_death_within_a_copy_leaves_the_earlier_copy_or_the_new_one(
    file: DatabaseFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(file, 1)
    copy_of(file.path, target := tmp_path / "b.db")
    add(file, 2)
    calls = [(copies, "_fill"), (copies, "_check_copy"), (copies, "_sync"), (os, "replace")]
    found = []
    for place, name in calls:
        for before in (True, False):
            with monkeypatch.context() as patch:
                patch.setattr(place, name, dying(getattr(place, name), before=before))
                child = forked(partial(copy_of, file.path, target, replace=True))
            assert os.waitpid(child, 0)[1] == signal.SIGKILL
            found.append(numbers(target))
    assert found == [*[[1]] * 7, [1, 2]]
    copy_of(file.path, target, replace=True)
    assert (numbers(target), names(tmp_path)) == ([1, 2], ["b.db", "data"])


def dying(call: Callable[..., Any], *, before: bool) -> Callable[..., None]:
    def die(*given: Any, **named: Any) -> None:
        if not before:
            call(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    return die


def test_two_copies_to_one_file_do_not_mix(file: DatabaseFile, tmp_path: Path) -> None:
    with open(tmp_path / "b.db.part", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CopyError, match="is being written by another command"):
            copy_of(file.path, tmp_path / "b.db")
    assert names(tmp_path) == ["b.db.part", "data"]


@pytest.mark.parametrize("harmed", ["a table", "all"])
def test_a_damaged_file_is_not_copied(file: DatabaseFile, tmp_path: Path, harmed: str) -> None:
    add(file, 1)
    file.close()
    if harmed == "all":
        file.path.write_bytes(b"no database" * 1000)
    else:
        damage(file.path, "t")
    with pytest.raises(CopyError, match=r"is damaged .*ace check-db.*an earlier backup"):
        copy_of(file.path, tmp_path / "b.db")
    assert names(tmp_path) == ["data"]


def test_a_copy_in_the_place_of_the_file_is_not_mixed_with_the_log_of_the_file(
    file: DatabaseFile, tmp_path: Path
) -> None:
    add(file, 1)
    copy_of(file.path, target := tmp_path / "b.db")
    for each in range(2, 60):
        add(file, each)
    (restored := tmp_path / "restored").mkdir()
    for each in ("ace.db", "ace.db-wal"):  # as after kill -9
        (restored / each).write_bytes((file.path.parent / each).read_bytes())
    path = restored / "ace.db"
    path.write_bytes(target.read_bytes())  # as `cp` does
    with pytest.raises(CopyError, match="the log of the file before is still beside it"):
        copy_of(path, tmp_path / "c.db")
    again = DatabaseFile(path)
    add(again, 100)
    again.close()
    assert numbers(path) == [1, 100]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_copy_over_the_file_of_a_running_server_is_noticed_and_stays_as_it_is(
    file: DatabaseFile, tmp_path: Path
) -> None:
    add(file, 1)
    copy_of(file.path, target := tmp_path / "b.db")
    for each in range(2, 60):
        add(file, each)
    file.path.write_bytes(target.read_bytes())  # as `cp` does
    for _ in range(2):
        with pytest.raises(
            FileUnusable, match=r"was overwritten by another file .*Stop the server"
        ):
            add(file, 100)
    file.close()
    assert numbers(file.path) == [1]
    assert file.path.read_bytes() == target.read_bytes()
    again = DatabaseFile(file.path)
    add(again, 100)
    again.close()
    assert numbers(file.path) == [1, 100]


def test_an_emptied_file_of_a_running_server_is_noticed(file: DatabaseFile) -> None:
    add(file, 1)
    os.truncate(file.path, 0)
    with pytest.raises(FileUnusable, match="was overwritten by another file"):
        add(file, 2)
    file.close()


@pytest.mark.parametrize("kind", ["a file", "a copy"])
def test_a_file_in_a_directory_that_cannot_be_written_is_read(kind: str) -> None:
    with TemporaryDirectory() as name:
        (folder := Path(name) / "data").mkdir()
        Path(name).chmod(0o755)
        with closing(DatabaseFile(folder / "ace.db")) as file:
            file.write(lambda connection: connection.execute("CREATE TABLE t (n)"))
            copy_of(folder / "ace.db", folder / "b.db")
        user = os.geteuid()
        if not user:  # root may write everywhere
            for each in (folder, *folder.iterdir()):
                os.chown(each, 65534, 65534)
            os.seteuid(65534)
        folder.chmod(0o500)
        try:
            with reading(folder / ("ace.db" if kind == "a file" else "b.db")) as connection:
                assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
            assert names(folder) == ["ace.db", "b.db"]
        finally:
            folder.chmod(0o700)
            os.seteuid(user)


def test_a_log_that_is_the_files_own_is_kept(file: DatabaseFile, tmp_path: Path) -> None:
    add(file, 1)
    (killed := tmp_path / "killed").mkdir()
    for each in ("ace.db", "ace.db-wal"):
        (killed / each).write_bytes((file.path.parent / each).read_bytes())
    DatabaseFile(killed / "ace.db").close()
    assert numbers(killed / "ace.db") == [1]
