"""`ace check-db` finds what is wrong with a file and says what to do."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from ai_coordination_engine import local_bootstrap
from ai_coordination_engine.database.versions import VERSION
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.entrypoints.cli import check_db_command
from ai_coordination_engine.entrypoints.cli.failures import FAILED, INVALID, Failure
from ai_coordination_engine.entrypoints.local.home import home
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION
from tests.kit.commands import ace
from tests.kit.files import damage, of_version_1

Connection = sqlite3.Connection


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound file with sessions, a message and a large value."""
    monkeypatch.setattr(check_db_command, "_AGAIN_SECONDS", 0.0)
    path = of_version_1(tmp_path / "ace.db")
    with closing(DatabaseFile(path)) as file:
        app = local_bootstrap.build_local_app(Settings(auth="local"), file)
        values = {"input_files": ["x" * 60_000], "updated_by": "me"}
        app.records.write(SESSION, "local", ("c", "done"), lambda *_: values, parent_key=None)
        file.write(lambda connection: connection.execute("DELETE FROM messages WHERE is_dead"))
    (tmp_path / "ace.db.version-1").unlink()
    return path


def changed(path: Path, *texts: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for text in texts:
            connection.execute(text)


def checked(path: Path, **options: Any) -> tuple[int, list[str]]:
    try:
        check_db_command.check_db(path, None, vacuums=options.get("vacuums", False))
    except Failure as failure:
        return failure.code, str(failure).splitlines()
    return 0, []


def problems(path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the problems of a file that has some."""
    code, (summary,) = checked(path)
    found = [
        line.removeprefix("problem: ")
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("problem: ")
    ]
    many = "" if len(found) == 1 else "s"
    assert (code, summary) == (FAILED, f"{len(found)} problem{many} found.")
    return found


def test_a_sound_file_is_counted_and_left_as_it_is(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = path.read_bytes()
    assert checked(path) == (0, [])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(path)
    assert lines[1].split() == ["version", str(VERSION)]
    assert [line.split() for line in lines[4:-1]] == [
        ["0", "ace-budgets"],
        ["1", "ace-coordinations"],
        ["3", "ace-session_agents"],
        ["3", "ace-session_runs"],
        ["2", "ace-sessions"],
        ["0", "ace-task_schedules"],
        ["2", "ace-tasks"],
        ["1", "blobs"],
        ["1", "messages"],
    ]
    assert lines[-1] == "No problems found."
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["ace.db"]


def test_a_file_of_an_earlier_version_is_no_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = of_version_1(tmp_path / "ace.db")
    changed(path, "DELETE FROM messages WHERE is_dead")
    assert checked(path) == (0, [])
    assert f"version     1 (ace serve makes it version {VERSION})" in capsys.readouterr().out


BODY = "UPDATE messages SET body = '{}'"
OF_AGENT = '{"v":1,"tenant":"local","session_uuid":"s","session_agent_uuid":"a"}'
OF_SCHEDULE = (
    '{"v":1,"tenant":"local","task_uuid":"t","schedule_uuid":"f","nominal":1,"revision":"r",'
    '"sent_at":1}'
)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            ["UPDATE \"ace-session_agents\" SET i_inbox = 'x' WHERE h = 'local waits'"],
            ["ace-session_agents: the index of inbox is wrong for the record local .*: restore"],
        ),
        (
            ["""UPDATE "ace-sessions" SET i_watch_at = 5 WHERE r = 'waits'"""],
            ["ace-sessions: the index of watch_at is wrong for the record local .* c/waits"],
        ),
        (
            ["UPDATE \"ace-tasks\" SET item = '{\"half' WHERE r = 't'"],
            ["ace-tasks: the record local c/t cannot be read: restore"],
        ),
        (
            ["""UPDATE "ace-tasks" SET r = 'other' WHERE r = 't'"""],
            ["ace-tasks: the record local c/other has another key inside"],
        ),
        (
            ["""DELETE FROM "ace-sessions" WHERE r = 'done'"""],
            [
                "ace-session_agents: the session agent .* of a session that does not exist: done",
                "ace-session_agents: the session agent .* of a session that does not exist: done",
                "ace-session_runs: the session run .* is of a session that does not exist: done",
                "ace-session_runs: the session run .* is of a session that does not exist: done",
                "blobs: the large value =local/=sessions/=c/=done.* of a record that does not",
            ],
        ),
        (
            ['DELETE FROM "ace-coordinations"'],
            [
                *["ace-tasks: the task . is of a coordination that does not exist: c"] * 2,
                *["ace-sessions: the session .* is of a coordination that does not exist: c"] * 2,
            ],
        ),
        (
            [BODY.format(OF_AGENT)],
            ["messages: the message 3 is for a session agent that does not exist: a: the worker"],
        ),
        (
            [BODY.format(OF_SCHEDULE)],
            ["messages: the message 3 is for a task schedule that does not exist: f: the worker"],
        ),
        (
            [BODY.format("no message")],
            ["messages: the message 3 cannot be read: the worker, or ace dlq redrive"],
        ),
        (
            ["INSERT INTO blobs VALUES ('=t/=tasks/=c/=gone/x/1', 'x')"],
            ["blobs: the large value =t/=tasks/=c/=gone/x/1 is of a record that does not exist"],
        ),
        (
            ["DELETE FROM blobs"],
            ["blobs: input_files of the record c/done is a large value that is not there: =local"],
        ),
        ([f"PRAGMA user_version = {VERSION + 1}"], ["The file was written by a newer version"]),
        (["PRAGMA application_id = 7"], ["The file belongs to another program: name a file of"]),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    path: Path, capsys: pytest.CaptureFixture[str], harm: list[str], said: list[str]
) -> None:
    changed(path, *harm)
    found = problems(path, capsys)
    assert len(found) == len(said), found
    for line, pattern in zip(found, said, strict=True):
        assert re.match(pattern, line), line


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8192])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: damage(path, "ace-sessions"), "The file is damaged"),
        (lambda path: damage(path, "messages_ready"), "The file is damaged"),
        (cut, "The file is damaged"),
        (lambda path: path.write_bytes(b"no database" * 1000), "The file is damaged, or not one"),
    ],
    ids=["a table", "an index", "cut off", "all"],
)
def test_a_damaged_file_is_found_and_its_remedy(
    path: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], object], said: str
) -> None:
    harm(path)
    for line in problems(path, capsys):
        assert line.startswith(said)
        assert line.endswith("restore the file from a backup.")


def test_an_empty_file_is_not_taken_for_a_sound_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "ace.db").touch()
    assert problems(path, capsys) == [
        "The file is empty: if it held anything, restore the file from a backup; else ace serve"
        " begins anew."
    ]


def test_many_problems_of_one_kind_are_counted(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)"
        " INSERT INTO blobs SELECT '=t/=tasks/=c/=gone-' || i || '/x/1', 'x' FROM n",
    )
    found = problems(path, capsys)
    assert len(found) == 11
    assert found[-1] == "blobs: 15 more like these: it only takes space."


def test_what_a_server_is_about_to_write_is_no_problem(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_problems, looks = local_bootstrap.state_problems, list[int]()

    def meanwhile(connection: Connection) -> Any:
        looks.append(len(looks))
        return [*state_problems(connection), *(["of a moment"] if len(looks) == 1 else [])]

    monkeypatch.setattr(check_db_command, "state_problems", meanwhile)
    assert checked(path) == (0, [])
    assert len(looks) == 2


def test_beside_a_server_that_writes_nothing_is_wrong(tmp_path: Path) -> None:
    stop = Event()
    with home(tmp_path) as found:
        app = found.build(Settings(auth="local"))

        def write() -> None:
            number, values = 0, {"coordination_name": "n", "updated_by": "me"}
            while not stop.is_set():
                app.records.create(
                    COORDINATION, "t", ("t", f"{number}"), lambda *_: values, parent_key=None
                )
                number += 1

        thread = Thread(target=write)
        thread.start()
        try:
            for _ in range(3):
                assert checked(tmp_path / "ace.db") == (0, [])
        finally:
            stop.set()
            thread.join()
        with pytest.raises(Failure, match="in use by another server"):
            check_db_command.check_db(None, tmp_path, vacuums=True)


def test_a_vacuum_gives_free_space_back(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(
        path,
        "INSERT INTO blobs VALUES ('x', zeroblob(900000))",
        "DELETE FROM blobs WHERE key = 'x'",
    )
    size = path.stat().st_size
    assert checked(path, vacuums=True) == (0, [])
    assert path.stat().st_size < size - 800_000
    assert "The file was 1.1 MB and is 1" in capsys.readouterr().out
    assert checked(path) == (0, [])


def test_the_command_names_what_it_needs_and_its_code(path: Path, tmp_path: Path) -> None:
    (data := tmp_path / "data").mkdir()
    for file, folder, message in (
        (None, None, "Say where the state is: --data-dir DIR"),
        (None, data, "There is no ace.db in"),
        (path, data, "not both"),
        (data, None, f"is a directory: ace check-db --data-dir {data}"),
        (data / "none", None, "There is no file"),
    ):
        with pytest.raises(Failure, match=message) as refused:
            check_db_command.check_db(file, folder, vacuums=False)
        assert refused.value.code == INVALID
    done = ace("check-db", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    changed(path, "DELETE FROM blobs")
    done = ace("check-db", "--data-dir", str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "ace: 1 problem found.\n")
    assert "restore the file from a backup" in done.stdout
