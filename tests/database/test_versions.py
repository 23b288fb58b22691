"""A file of an older version is copied and migrated, and a death leaves the old or the new one."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ai_coordination_engine import local_bootstrap
from ai_coordination_engine.database import versions
from ai_coordination_engine.database.failures import FileError
from ai_coordination_engine.database.versions import VERSION
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from tests.kit.files import of_version_1, small_files
from tests.kit.forked import forked

SETTINGS = Settings(auth="local")


def asked(path: Path, text: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(text).fetchall()


def version(path: Path) -> int:
    return int(asked(path, "PRAGMA user_version")[0][0])


def messages(path: Path) -> list[Any]:
    return asked(path, "SELECT id, is_held, is_dead FROM messages ORDER BY id")


def indexes(path: Path) -> set[str]:
    found = asked(path, "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    return {name for (name,) in found if name.startswith("messages")}


BEFORE, AFTER = [(3, 0, 0), (4, 0, 1)], [(3, 2, 0), (4, 0, 1)]


def test_a_file_of_an_earlier_version_is_copied_migrated_and_used(tmp_path: Path) -> None:
    path = of_version_1(tmp_path / "ace.db")
    assert messages(path) == BEFORE
    file = DatabaseFile(path)
    app = local_bootstrap.build_local_app(SETTINGS, file)
    done = app.records.get(SESSION, "local", ("c", "done"))
    assert done is not None
    assert done.status == "completed"
    agents, _ = app.records.table(SESSION_AGENT).query("local", "done", consistent=True)
    assert [each.agent_output for each in agents] == ["one", "Output of a:\none\n\ntwo"]
    file.close()
    assert (version(path), messages(path)) == (VERSION, AFTER)
    assert indexes(path) == {"messages_in_time", "messages_ready", "messages_hidden"}
    kept = tmp_path / "ace.db.version-1"
    assert (version(kept), messages(kept), kept.stat().st_mode & 0o777) == (1, BEFORE, 0o600)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ace.db", "ace.db.version-1"]
    kept.unlink()
    DatabaseFile(path).close()  # it is of this version now
    assert not kept.exists()


def test_another_process_leaves_the_log_of_a_file_that_was_migrated_after_a_crash(
    tmp_path: Path,
) -> None:
    def in_another_process(statement: str, at_end: str) -> None:
        code = (
            "import os, sqlite3, sys\n"
            "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            f"connection.execute({statement!r}).fetchall(); {at_end}"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)

    path = of_version_1(tmp_path / "ace.db")
    in_another_process("CREATE TABLE more (x)", "os._exit(0)")
    assert (tmp_path / "ace.db-wal").stat().st_size
    with closing(DatabaseFile(path)) as file:
        # the last one to close it deletes the log
        in_another_process("SELECT * FROM more", "connection.close()")
        assert file.problem() is None
        file.write(lambda connection: connection.execute("INSERT INTO more VALUES (1)"))
    assert asked(path, "SELECT x FROM more") == [(1,)]


def test_a_death_at_any_statement_of_a_migration_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = DatabaseFile._connected

    def dying(at: int) -> Any:
        left = iter(range(at))

        def die(_: str) -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        def connect(file: DatabaseFile) -> sqlite3.Connection:
            connection = connected(file)
            connection.set_trace_callback(die)
            return connection

        return connect

    seen, old = set(), of_version_1(tmp_path / "ace.db").read_bytes()
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        (path := folder / "ace.db").write_bytes(old)
        with monkeypatch.context() as patch:
            patch.setattr(DatabaseFile, "_connected", dying(number))
            child = forked(partial(DatabaseFile, path))
        ended = os.waitpid(child, 0)[1]
        seen.add(state := (version(path), messages(path) == AFTER, len(indexes(path))))
        assert state in {(1, False, 2), (VERSION, True, 1)}
        DatabaseFile(path).close()
        assert (version(path), messages(path)) == (VERSION, AFTER)
        if not ended:
            break
    assert ended == 0  # the last one lived
    assert number > 5
    assert len(seen) == 2


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM messages")
        raise KeyError("mine")

    path = of_version_1(tmp_path / "ace.db")
    monkeypatch.setattr(versions, "MIGRATIONS", {2: fails})
    with pytest.raises(KeyError, match="mine"):
        DatabaseFile(path)
    assert (version(path), messages(path)) == (1, BEFORE)


def test_without_room_for_the_copy_nothing_is_migrated(tmp_path: Path) -> None:
    path = of_version_1(tmp_path / "ace.db")
    (tmp_path / "ace.db.version-1").mkdir()
    with pytest.raises(FileError, match=r"cannot be copied before it is changed: .* is not a file"):
        DatabaseFile(path)
    assert (version(path), messages(path)) == (1, BEFORE)


def test_on_a_full_disk_nothing_is_migrated(tmp_path: Path) -> None:
    path = of_version_1(tmp_path / "ace.db")
    with small_files(40_000), pytest.raises(FileError, match=r"before it is changed: .*make space"):
        DatabaseFile(path)
    assert (version(path), messages(path)) == (1, BEFORE)
    assert [each.name for each in tmp_path.iterdir()] == ["ace.db"]


def test_beside_a_server_of_the_earlier_version_nothing_is_migrated(tmp_path: Path) -> None:
    path = of_version_1(tmp_path / "ace.db")
    with pytest.raises(FileError, match=f"by an earlier version. Stop its server.*{tmp_path}"):
        DatabaseFile(path, alone=False)
    assert version(path) == 1


@pytest.mark.parametrize("other", [-1, 0, VERSION + 1])
def test_a_version_that_is_not_known_is_refused(tmp_path: Path, other: int) -> None:
    path = of_version_1(tmp_path / "ace.db")
    asked(path, f"PRAGMA user_version = {other}")
    message = "a newer version" if other > VERSION else f"has the version {other}, which is unknown"
    with pytest.raises(FileError, match=message):
        DatabaseFile(path)
    assert (version(path), messages(path)) == (other, BEFORE)


def test_two_processes_that_find_an_older_file_migrate_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = of_version_1(tmp_path / "ace.db")
    migrate, calls = versions._migrate, list[str]()

    def second(connection: sqlite3.Connection, path: Path) -> None:
        monkeypatch.setattr(versions, "_migrate", migrate)
        DatabaseFile(path).close()  # another process is first
        calls.append("first")
        migrate(connection, path)

    monkeypatch.setattr(versions, "_migrate", second)
    DatabaseFile(path).close()
    assert calls == ["first"]
    assert (version(path), version(tmp_path / "ace.db.version-1")) == (VERSION, 1)


def test_every_version_has_a_migration() -> None:
    assert [*versions.MIGRATIONS] == [*range(versions.OLDEST + 1, VERSION + 1)]
