"""Directories of servers without --data-dir do not stay, even if such a server is killed."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ai_coordination_engine.entrypoints.local.data_dir import lock
from ai_coordination_engine.entrypoints.local.home import home
from ai_coordination_engine.entrypoints.local.temporary import temporary_directory
from tests.kit.commands import ENVIRONMENT

SERVER = """
from ai_coordination_engine.entrypoints.local.home import home
from ai_coordination_engine.settings import Settings
with home(None) as found:
    found.build(Settings(auth="local")).records.blobs.put("mine", b"1")
    print("ready", flush=True)
    input()
"""


def left_by_a_killed_server(folder: Path) -> Path:
    """Return the directory of a server that was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env=ENVIRONMENT | {"TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"
        (made,) = folder.iterdir()
        server.send_signal(signal.SIGKILL)
    assert (made / "ace.db").exists()
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_server_left_is_removed_by_the_next_one(folder: Path) -> None:
    left = left_by_a_killed_server(folder)
    with temporary_directory() as mine:
        assert not left.exists()
        assert [*folder.iterdir()] == [mine]
    assert [*folder.iterdir()] == []


def test_only_directories_of_dead_servers_are_removed(folder: Path) -> None:
    for name in ("ace-alive", "ace-new", "ace-of-a-person", "other"):
        (folder / name).mkdir()
    for name in ("ace-alive", "other"):
        (folder / name / "ace.db").touch()
        (folder / name / "lock").touch()
        (folder / name / "temporary").touch()
    (folder / "ace-new" / "lock").touch()
    (folder / "ace-of-a-person" / "ace.db").touch()
    (folder / "ace-link").symlink_to(folder / "other")
    (folder / "ace-file").touch()
    with lock(folder / "ace-alive"), temporary_directory() as mine:
        found = {each.name for each in folder.iterdir()} - {mine.name}
        assert found == {
            *("ace-alive", "ace-new", "ace-of-a-person", "ace-link", "ace-file", "other")
        }
    (folder / "ace-alive" / "ace.db-wal").touch()
    with temporary_directory():
        assert not (folder / "ace-alive").exists()
    assert (folder / "other" / "ace.db").exists()


def test_a_data_directory_stays_whatever_it_is_called(folder: Path) -> None:
    mine, left = folder / "ace-data", left_by_a_killed_server(folder)
    for kept in (mine, left):  # one that somebody wants to keep is no longer temporary
        with home(kept):
            pass
    with home(None):
        assert (mine / "ace.db").is_file()
        assert (left / "ace.db").is_file()


def test_servers_that_start_at_once_leave_each_other_alone(folder: Path) -> None:
    both = threading.Barrier(8)
    problems: list[BaseException] = []

    def serve() -> None:
        try:
            for _ in range(10):
                with temporary_directory() as mine:
                    (mine / "ace.db").touch()
                    both.wait(20)
                    assert (mine / "ace.db").exists()
        except BaseException as error:
            problems.append(error)
            both.abort()

    threads = [threading.Thread(target=serve) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert problems == []
    assert os.listdir(folder) == []
