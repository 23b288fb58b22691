"""Where the state of `ace` lies, and what is said when it cannot lie there."""

import os
import re
import socket
import stat
from pathlib import Path

import pytest

from ai_coordination_engine.database_file import Durability
from ai_coordination_engine.entrypoints.local.forks import close_in_children
from ai_coordination_engine.entrypoints.local.home import StartError, home
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.records.entities import COORDINATION

SETTINGS = Settings(auth="local")
NAMES = {"coordination_name": "n", "updated_by": "me"}


def test_all_lies_in_one_file_that_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "data"
    with home(folder) as found:
        app = found.build(SETTINGS)
        app.records.create(COORDINATION, "t", ("t", "c"), lambda *_: NAMES, parent_key=None)
        app.records.blobs.put("a", b"1")
        app.queue.send([Wake("t", "s", "a")])
        assert found.where == f"State: {folder / 'ace.db'}"
        files = [each for each in folder.rglob("*") if each.is_file()]
        assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert sorted(each.name for each in folder.iterdir()) == ["ace.db", "lock", "processes"]
    assert list((folder / "processes").iterdir()) == []
    assert {stat.S_IMODE(each.stat().st_mode) for each in (folder, folder / "processes")} == {0o700}
    with home(folder) as found:
        app = found.build(SETTINGS)
        assert app.records.get(COORDINATION, "t", ("t", "c")) is not None
        assert app.records.get(COORDINATION, "u", ("t", "c")) is None
        assert app.records.blobs.get("a") == b"1"
        assert len(app.queue.receive(10, wait=False)) == 1  # type: ignore[attr-defined]
    with home(folder) as found:  # its receiver is dead
        assert len(found.build(SETTINGS).queue.receive(10, wait=False)) == 1  # type: ignore[attr-defined]


def test_without_a_directory_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with home(None) as found:
        app = found.build(SETTINGS)
        app.queue.send([Wake("t", "s", "a")])
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert "nothing is kept" in found.where
    assert list(tmp_path.iterdir()) == []


def test_a_directory_takes_one_server_and_commands_beside_it(tmp_path: Path) -> None:
    with home(tmp_path):
        with pytest.raises(StartError, match="in use by another server"), home(tmp_path):
            pass
        with home(tmp_path, alone=False) as beside:
            assert beside.build(SETTINGS).process == ""


def test_a_directory_that_may_not_be_entered_is_named(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(0)
    user = os.geteuid()
    if not user:  # root may enter each
        os.seteuid(65534)
    try:
        with pytest.raises(StartError, match="data cannot be used: Permission denied"):
            home(theirs / "data").__enter__()
    finally:
        os.seteuid(user)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_outlives_its_server_keeps_neither_directory_nor_port(tmp_path: Path) -> None:
    read, write = os.pipe()
    started, starts = os.pipe()
    with home(tmp_path), socket.create_server(("127.0.0.1", 0)) as port:
        close_in_children(port)
        address = port.getsockname()
        child = os.fork()
        if not child:
            os.close(write)
            os.write(starts, b".")
            os.read(read, 1)  # until the test ends
            os._exit(0)
    try:
        os.read(started, 1)  # a child closes what it must not keep before it does anything else
        with home(tmp_path), socket.create_server(address):
            pass
    finally:
        for end in (write, read, started, starts):
            os.close(end)
        os.waitpid(child, 0)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "ace.db").write_bytes(b"no database " * 1000)
    with pytest.raises(StartError, match=f"{re.escape(str(tmp_path / 'ace.db'))} is damaged"):
        home(tmp_path).__enter__()
    with pytest.raises(StartError, match="is damaged"):  # it is not locked for ever
        home(tmp_path).__enter__()


@pytest.mark.parametrize("below", ["file", "file/data"])
def test_a_directory_that_cannot_be_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="not a directory"), home(tmp_path / below):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"durability": "full"}, "--durability is that of a data directory"),
        ({"data_dir": "d", "aws": True}, "A data directory does not work with AWS"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, options: dict[str, str], message: str
) -> None:
    folder = tmp_path / options.pop("data_dir") if "data_dir" in options else None
    with pytest.raises(StartError, match=message), home(folder, **options):  # type: ignore[arg-type]
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("durability", ["full", "process"])
def test_both_durabilities_serve(tmp_path: Path, durability: Durability) -> None:
    with home(tmp_path, durability=durability) as found:
        assert found.build(SETTINGS).records.get(COORDINATION, "t", ("t", "c")) is None


def test_an_unknown_default_runtime_is_refused(tmp_path: Path) -> None:
    with home(tmp_path) as found, pytest.raises(BadUserInput, match="bogus"):
        found.build(Settings(default_runtime={"kind": "bogus"}))
