"""On a full disk, a change is written completely or refused, and acknowledged changes are kept."""

import json
import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_coordination_engine.entrypoints.local.embedded import DataDirError, EmbeddedAws
from ai_coordination_engine.entrypoints.local.embedded_journal import Journal, _State
from ai_coordination_engine.entrypoints.local.journal_file import JournalFile, Unwritable
from tests.kit.embedded import TABLE, client, item
from tests.kit.servers import (
    COORDINATION,
    HOMES,
    START,
    TASK,
    Server,
    completed,
    of_a_journal,
    serving,
)

PUT = """mutation($u: String!, $d: String) {
  insertUpdateCoordination(coordinationUuid: $u, coordinationName: "n",
      coordinationDescription: $d, updatedBy: "me") {
    coordination { coordinationUuid } } }"""
LIST = """{ coordinationList(limit: 100) { coordinationList {
  coordinationUuid coordinationDescription } } }"""
# EFBIG, which is how Linux refuses what a file's size limit does not allow; SQLite's word for it
FULL = ("(File too large)", "(disk I/O error)")


def limit(server: Server, size: int | None) -> None:
    """Limit the size of the server's files; the kernel writes what fits and refuses the rest."""
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(
        server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY if size is None else size, hard)
    )


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """Limit the size of files of processes that are started in the context."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def asked(server: Server, query: str, **variables: Any) -> Any:
    """Return the whole response."""
    return httpx.post(server._url, json={"query": query, "variables": variables}, timeout=60).json()


def put(server: Server, uuid: str, length: int = 500) -> bool:
    """Return whether the change was acknowledged; otherwise check its error."""
    answer = asked(server, PUT, u=uuid, d=uuid * (length // len(uuid)))
    if "errors" not in answer:
        return True
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("THROTTLED", True)
    assert any(each in error["message"] for each in FULL), error
    return False


def found(server: Server) -> dict[str, str]:
    records = asked(server, LIST)["data"]["coordinationList"]["coordinationList"]
    return {each["coordinationUuid"]: each["coordinationDescription"] for each in records}


@dataclass(frozen=True)
class Home:
    """A data directory, the file in it that grows with each change, and by how much."""

    data_dir: Path
    file: Path
    room: int


@pytest.fixture(params=HOMES)
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Home:
    folder = tmp_path / "data"
    if request.param == "sqlite":
        return Home(folder, folder / "ace.db-wal", 30_000)
    return Home(of_a_journal(folder), folder / "journal.jsonl", 2000)


def filled(server: Server, home: Home, name: str) -> list[str]:
    """Return what was acknowledged until three changes were refused."""
    limit(server, home.file.stat().st_size + home.room)
    acknowledged, refused = [], 0
    for number in range(100):
        uuid = f"{name}-{number:02}"
        if put(server, uuid):
            acknowledged.append(uuid)
        else:
            refused += 1
        if refused == 3:
            return acknowledged
    raise AssertionError("nothing was refused")


def test_a_full_disk_refuses_changes_and_loses_none_that_it_acknowledged(
    home: Home, tmp_path: Path
) -> None:
    data_dir, log = home.data_dir, tmp_path / "log"
    with serving(data_dir, log) as server:
        assert put(server, "first")
        acknowledged = ["first", *filled(server, home, "a")]
        assert len(acknowledged) > 1
        # reads go on, and what was refused is not there
        assert set(found(server)) == set(acknowledged)
        if home.file.suffix == ".jsonl":
            assert home.file.read_bytes().endswith(b"\n")
        limit(server, None)
        assert put(server, "room")  # by itself
        acknowledged += ["room", *filled(server, home, "b")]
        size = home.file.stat().st_size
        server.kill()
    with small_files(size), serving(data_dir, log) as server:  # as full as before
        assert set(found(server)) == set(acknowledged)
        assert not put(server, "refused", 5000)
        limit(server, None)
        assert put(server, "later", 5000)
    with serving(data_dir, log) as server:
        assert found(server) == {
            each: each * ((5000 if each == "later" else 500) // len(each))
            for each in [*acknowledged, "later"]
        }


def test_sessions_that_were_acknowledged_before_the_disk_was_full_complete_when_there_is_room(
    home: Home, tmp_path: Path
) -> None:
    data_dir, log = home.data_dir, tmp_path / "log"
    with serving(data_dir, log) as server:
        server.data(COORDINATION, agents=[{"agentUuid": name} for name in "ab"])
        server.data(TASK, actions={"b": {"predecessors": ["a"]}})
        limit(server, home.file.stat().st_size + 6 * home.room)
        started = []
        with ThreadPoolExecutor(4) as pool:
            for uuid, answer in zip(
                (names := [f"s-{number}" for number in range(6)]),
                pool.map(lambda each: asked(server, START, s=each), names),
                strict=True,
            ):
                if "errors" not in answer:
                    started.append(uuid)
                else:
                    assert {each["extensions"]["code"] for each in answer["errors"]} <= {
                        "THROTTLED",
                        "CONFLICT",
                    }
        server.kill()
    assert 0 < len(started) < 6
    with serving(data_dir, log) as server:
        for uuid in started:
            assert {each["state"] for each in completed(server, uuid)["sessionAgents"]} == {
                "completed"
            }


# The file


def test_whatever_a_journal_is_cut_off_at_it_loads_what_was_written_as_a_whole(
    tmp_path: Path,
) -> None:
    with EmbeddedAws(tmp_path) as aws:
        dynamodb = client("dynamodb", aws)
        dynamodb.create_table(**TABLE)
        for number in range(3):
            dynamodb.put_item(TableName="t", Item=item(number, text={"S": "é€𝄞"}))
        client("sqs", aws).create_queue(QueueName="q")
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    for length in (
        each
        for each in range(len(whole) + 1)
        if each % 23 == 0 or b"\n" in whole[each - 2 : each + 1]
    ):
        path.write_bytes(whole[:length])
        file, state = JournalFile(tmp_path), _State()
        for _, line in file.lines():
            for change in json.loads(line):
                state.apply(change)
        file.open()
        file.append("[]")
        file.close()
        complete = whole[:length].rpartition(b"\n")
        assert path.read_bytes() == complete[0] + complete[1] + b"[]\n"
        lines = [json.loads(line)[0] for line in complete[0].splitlines()]
        # tables and queues come first
        assert list(state) == sorted(lines, key=lambda change: "item" in change)
    path.write_bytes(whole[:-10])
    with EmbeddedAws(tmp_path) as aws:
        assert client("dynamodb", aws).scan(TableName="t")["Count"] == 3
        assert client("sqs", aws).list_queues().get("QueueUrls") is None


def test_a_file_that_cannot_be_repaired_takes_nothing_until_it_can(tmp_path: Path) -> None:
    file = JournalFile(tmp_path)
    list(file.lines())
    file.open()
    file.append('["one"]')
    kept = os.dup(file._file)  # type: ignore[arg-type]
    reading = os.open(file.path, os.O_RDONLY)
    # neither writing nor cutting off is possible
    os.dup2(reading, file._file)  # type: ignore[arg-type]
    # of the write, then of the repair that comes before it
    for reason in ("Bad file descriptor", "Invalid argument"):
        with pytest.raises(Unwritable, match=reason):
            file.append('["two"]')
    os.write(kept, b'["torn')  # what a disk may have taken of it
    os.dup2(kept, file._file)  # type: ignore[arg-type]
    file.append('["three"]')
    assert file.path.read_text() == '["one"]\n["three"]\n'
    for each in (kept, reading):
        os.close(each)
    file.close()


def test_an_item_that_could_not_be_written_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedAws(tmp_path) as aws:
        dynamodb = client("dynamodb", aws)
        dynamodb.create_table(**TABLE)
        dynamodb.put_item(TableName="t", Item=item(1, n={"N": "1"}))

        def full(self: Journal, changes: Any) -> None:
            raise Unwritable("No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(Journal, "_append", full)
            plus = {
                "UpdateExpression": "ADD n :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            }
            for call, arguments in (
                (dynamodb.put_item, {"Item": item(2)}),
                (dynamodb.put_item, {"Item": item(1)}),
                (dynamodb.update_item, {"Key": item(1), **plus}),
                (dynamodb.update_item, {"Key": item(3), **plus}),
                (dynamodb.delete_item, {"Key": item(1)}),
            ):
                with pytest.raises(
                    dynamodb.exceptions.ClientError, match="No space left on device"
                ):
                    call(TableName="t", **arguments)
            requests = [{"PutRequest": {"Item": item(4)}}, {"DeleteRequest": {"Key": item(1)}}]
            with pytest.raises(dynamodb.exceptions.ClientError, match="No space left on device"):
                dynamodb.batch_write_item(RequestItems={"t": requests})
        assert dynamodb.scan(TableName="t")["Items"] == [item(1, n={"N": "1"})]


# Whose it is


def modes(data_dir: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in data_dir.iterdir()}


def test_the_directory_and_its_files_are_their_owners_alone_also_where_they_were_open(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    for _ in range(2):
        with EmbeddedAws(data_dir):
            assert (data_dir.stat().st_mode & 0o777, modes(data_dir)) == (0o700, {0o600})
        for each in data_dir.iterdir():
            each.chmod(0o644)
        data_dir.chmod(0o755)


def test_an_open_directory_of_other_files_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "notes.txt").write_text("mine")
    with (
        pytest.raises(DataDirError, match=f"accessible to other users.*chmod 700 {tmp_path}"),
        EmbeddedAws(tmp_path),
    ):
        pass
    assert (tmp_path.stat().st_mode & 0o777, [each.name for each in tmp_path.iterdir()]) == (
        0o755,
        ["notes.txt"],
    )
    tmp_path.chmod(0o700)
    with EmbeddedAws(tmp_path):
        assert (tmp_path / "journal.jsonl").exists()
