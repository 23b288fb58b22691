"""A commit is acknowledged when it is on the disk; others may write before that."""

import errno
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ai_coordination_engine import database_file
from ai_coordination_engine.database import log as logs
from ai_coordination_engine.database.failures import FileError
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.errors import FileUnusable


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DatabaseFile]:
    with closing(DatabaseFile(tmp_path / "ace.db")) as file:
        file.write(lambda connection: connection.execute("CREATE TABLE t (n)"))
        yield file


class Disk:
    """Stands for `fdatasync`: it waits, or fails."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.error: OSError | None = None
        self.syncs = 0

    def sync(self, file: int) -> None:
        assert os.fstat(file).st_size >= 0
        self.syncs += 1
        self.begun.release()
        assert self.go.acquire(timeout=60)
        if self.error is not None:
            raise self.error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, file: DatabaseFile) -> Disk:
    disk = Disk()
    monkeypatch.setattr(logs, "_sync", disk.sync)
    return disk


def add(file: DatabaseFile, number: int) -> None:
    file.write(lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)))


def add_together(file: DatabaseFile, number: int) -> None:
    with file.together():
        add(file, number)


def numbers(file: DatabaseFile) -> list[int]:
    with file.reading() as connection:
        return [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it does not come")


@pytest.mark.parametrize("write", [add, add_together])
def test_a_write_waits_for_the_disk_and_others_may_write_meanwhile(
    file: DatabaseFile, disk: Disk, write: Callable[[DatabaseFile, int], None]
) -> None:
    told: list[int] = []
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(write, file, 1)
        assert disk.begun.acquire(timeout=60)
        others = [pool.submit(write, file, number) for number in range(2, 6)]
        wait_until(lambda: numbers(file) == [1, 2, 3, 4, 5])  # while the first one waits
        for each in (first, *others):
            each.add_done_callback(lambda _: told.append(disk.syncs))
        assert told == []
        disk.go.release()
        first.result(60)
        assert disk.begun.acquire(timeout=60)
        assert told == [1]  # the others came after what is synced now
        disk.go.release()
        for each in others:
            each.result(60)
        assert disk.syncs == 2  # one for all four


def test_what_follows_a_transaction_follows_its_sync(file: DatabaseFile, disk: Disk) -> None:
    told: list[str] = []

    def write() -> None:
        with file.together():
            add(file, 1)
            file.afterwards(lambda: told.append("afterwards"))

    with ThreadPoolExecutor(1) as pool:
        written: Future[None] = pool.submit(write)
        assert disk.begun.acquire(timeout=60)
        assert told == []
        disk.go.release()
        written.result(60)
    assert told == ["afterwards"]


@pytest.mark.parametrize("write", [add, add_together])
def test_a_sync_that_fails_acknowledges_nothing(
    file: DatabaseFile, disk: Disk, write: Callable[[DatabaseFile, int], None]
) -> None:
    assert numbers(file) == []
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    disk.go.release()
    with pytest.raises(FileUnusable, match=r"cannot be synced \(Input/output error\): a power"):
        write(file, 1)
    disk.error = None
    disk.go.release()
    with pytest.raises(FileUnusable, match=r"cannot be synced \(Input/output error\)"):
        write(file, 2)
    assert (disk.syncs, numbers(file)) == (1, [1])
    assert re.search("Look at its disk", file.problem() or "")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_who_waits_behind_a_sync_that_fails_is_not_told_that_the_next_one_worked(
    file: DatabaseFile, disk: Disk, number: int
) -> None:
    """The system reports an error once (fsync(2)): the next sync works, and says nothing."""
    with ThreadPoolExecutor(8) as pool:
        add_first = pool.submit(add, file, 0)
        assert disk.begun.acquire(timeout=60)
        others = [pool.submit(add, file, each) for each in range(1, 5)]
        wait_until(lambda: numbers(file) == [0, 1, 2, 3, 4])
        disk.error = OSError(number, os.strerror(number))
        for _ in range(5):
            disk.go.release()
        for each in (add_first, *others):
            assert isinstance(each.exception(60), FileUnusable)
    assert disk.syncs == 1


def test_what_was_synced_before_stays_acknowledged(file: DatabaseFile, disk: Disk) -> None:
    disk.go.release()
    add(file, 1)
    done = file._log._written
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    disk.go.release()
    with pytest.raises(FileUnusable):
        add(file, 2)
    file._log.sync(done)


def test_a_change_of_nothing_waits_for_no_disk(file: DatabaseFile, disk: Disk) -> None:
    with file.together():
        assert numbers(file) == []
    assert disk.syncs == 0


@pytest.mark.parametrize("durability", ["process", "none"])
def test_what_need_not_survive_a_power_failure_is_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: database_file.Durability
) -> None:
    disk = Disk()
    monkeypatch.setattr(logs, "_sync", disk.sync)
    with closing(DatabaseFile(tmp_path / "ace.db", durability)) as file:
        file.write(lambda connection: connection.execute("CREATE TABLE t (n)"))
        add_together(file, 1)
    assert disk.syncs == 0


def test_the_log_is_taken_over_beside_the_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_file, "_TAKE_OVER_AFTER", 10)
    with closing(DatabaseFile(tmp_path / "ace.db", "process")) as file:
        file.write(lambda connection: connection.execute("CREATE TABLE t (n)"))
        size = file.path.stat().st_size
        for number in range(8):
            file.write(
                lambda connection, number=number: connection.execute(  # type: ignore[misc]
                    "INSERT INTO t VALUES (?)", (f"{number}" * 20_000,)
                )
            )
        assert file.path.stat().st_size == size
        add(file, 1)  # the tenth commit
        wait_until(lambda: file.path.stat().st_size > 8 * 20_000)
    assert not file.path.with_name("ace.db-wal").exists()  # a close waits for it


def test_a_commit_that_a_close_did_not_sync_is_not_acknowledged(tmp_path: Path) -> None:
    (tmp_path / "ace.db-wal").touch()
    log = logs.Log(tmp_path / "ace.db", syncs=True)
    log.sync(log.written())
    log.close()
    log.sync(1)
    with pytest.raises(logs.NotSynced, match="Bad file descriptor"):
        log.sync(log.written())
    log.close()


def test_a_directory_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("ai_coordination_engine.database_turns.fcntl.flock", refuse)
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(FileError, match="has no locks"):
        DatabaseFile(tmp_path / "ace.db")
    assert len(os.listdir("/dev/fd")) == before
