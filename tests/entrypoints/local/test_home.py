"""Where the state of `ace` lies, and what is said when it cannot lie there."""

import errno
import os
import re
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import pytest
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.database_file import Durability
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import lost_workers
from ai_coordination_engine.entrypoints.local.home import Home, StartError, home, joined
from ai_coordination_engine.entrypoints.local.process_watch import ProcessWatch, free_all_lost
from ai_coordination_engine.errors import BadUserInput, Unavailable
from ai_coordination_engine.forks import close_in_children
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.records.entities import COORDINATION
from tests.kit.forked import forked, stay_until

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
        app = found.build(SETTINGS)
        assert app.queue.receive(10, wait=False) == []  # type: ignore[attr-defined]
        assert found.processes
        free_all_lost(app, found.processes)
        assert len(app.queue.receive(10, wait=False)) == 1  # type: ignore[attr-defined]


def test_a_server_tries_again_to_free_what_nobody_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, is_free = list[str](), threading.Event()

    def free(app: App, *_: object) -> int:
        tries.append(app.process)
        if len(tries) == 1:
            raise Unavailable("the disk is full")
        is_free.set()
        return 0

    monkeypatch.setattr(lost_workers, "free", free)
    with home(tmp_path) as found:
        assert found.processes
        watch = ProcessWatch(found.build(SETTINGS), found.processes, begins=True, seconds=0.01)
        watch.start()
        assert is_free.wait(60)
        watch.stop()
        assert tries == [found.processes.name] * 2


def test_a_directory_and_files_that_were_open_are_their_owners_alone(tmp_path: Path) -> None:
    with home(tmp_path):
        pass
    files = [tmp_path / "ace.db", tmp_path / "lock"]
    for each in files:
        each.chmod(0o644)
    tmp_path.chmod(0o755)
    with home(tmp_path):
        assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_the_names_of_a_new_directory_and_its_files_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power failure could take the directory back, with all that was acknowledged in it."""
    synced: list[tuple[int, int]] = []

    def sync(file: int) -> None:
        found = os.fstat(file)
        synced.append((found.st_dev, found.st_ino))

    monkeypatch.setattr("ai_coordination_engine.database.log.os.fsync", sync)
    with home(tmp_path / "a" / "b"):
        pass
    folders = (tmp_path / "a", tmp_path, tmp_path / "a" / "b")
    assert synced == [(each.stat().st_dev, each.stat().st_ino) for each in folders]


def test_an_open_directory_of_other_files_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StartError, match=f"accessible to other users.*chmod 700 {tmp_path}"):
        home(tmp_path).__enter__()
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    tmp_path.chmod(0o700)
    with home(tmp_path):
        assert (tmp_path / "ace.db").exists()


@pytest.mark.parametrize("beside", [[], ["lock"], ["ace.db"]])
@pytest.mark.parametrize(
    "opened", [home, partial(home, alone=False), partial(joined, durability="full")]
)
def test_the_data_of_an_earlier_version_is_refused_and_left_as_it_is(
    tmp_path: Path, beside: list[str], opened: Callable[[Path], AbstractContextManager[Home]]
) -> None:
    tmp_path.chmod(0o755)
    for name in ("journal.jsonl", *beside):
        (tmp_path / name).write_text("theirs")
    with pytest.raises(StartError) as refused:
        opened(tmp_path).__enter__()
    assert str(refused.value) == (
        f"{tmp_path} holds the data of an earlier version (journal.jsonl), which this version"
        " cannot read. Choose another directory, or move journal.jsonl out of this one."
    )
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == dict.fromkeys(
        ["journal.jsonl", *beside], "theirs"
    )
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_directory_whose_earlier_data_was_moved_out_is_used(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(0o700)
    for name in ("journal.jsonl", "lock"):
        (data_dir / name).touch(0o600)
    with pytest.raises(StartError, match="holds the data of an earlier version"):
        home(data_dir).__enter__()
    (data_dir / "journal.jsonl").rename(tmp_path / "journal.jsonl")
    with home(data_dir) as found:
        assert found.build(SETTINGS).records.get(COORDINATION, "t", ("t", "c")) is None


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


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refused)
    said = f"cannot be locked .{os.strerror(number)}.*no locks. Choose a directory on a local disk"
    with pytest.raises(StartError, match=said):
        home(tmp_path).__enter__()


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
        child = forked(partial(stay_until, read, write, starts))
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


@pytest.mark.parametrize(("aws", "endpoint"), [(True, False), (False, True)], ids=str)
def test_aws_is_where_the_option_or_the_standard_variable_says(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, aws: bool, endpoint: bool
) -> None:
    variables = request.getfixturevalue("moto_server") if endpoint else {}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    where = variables.get("AWS_ENDPOINT_URL", "the account of the environment")
    with nullcontext() if endpoint else mock_aws(), home(None, aws=aws) as found:
        assert found.where == f"AWS:  {where}"
        app = found.build(SETTINGS)
        app.records.create(COORDINATION, "t", ("t", "c"), lambda *_: NAMES, parent_key=None)
        keys = bootstrap.client("dynamodb").scan(TableName="ace-coordinations")["Items"]
        assert [each["coordination_uuid"] for each in keys] == [{"S": "c"}]
        assert (app.process, found.processes) == ("", None)


@pytest.mark.parametrize("durability", ["full", "process"])
def test_both_durabilities_serve(tmp_path: Path, durability: Durability) -> None:
    with home(tmp_path, durability=durability) as found:
        assert found.build(SETTINGS).records.get(COORDINATION, "t", ("t", "c")) is None


def test_an_unknown_default_runtime_is_refused(tmp_path: Path) -> None:
    with home(tmp_path) as found, pytest.raises(BadUserInput, match="bogus"):
        found.build(Settings(default_runtime={"kind": "bogus"}))
