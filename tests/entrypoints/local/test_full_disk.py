"""On a full disk, a change is written completely or refused, and acknowledged changes are kept."""

import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.kit.files import small_files
from tests.kit.servers import COORDINATION, START, TASK, Server, completed, serving

PUT = """mutation($u: String!, $d: String) {
  insertUpdateCoordination(coordinationUuid: $u, coordinationName: "n",
      coordinationDescription: $d, updatedBy: "me") {
    coordination { coordinationUuid } } }"""
LIST = """{ coordinationList(limit: 100) { coordinationList {
  coordinationUuid coordinationDescription } } }"""
FULL = "(disk I/O error)"  # SQLite's word for EFBIG, with which Linux refuses what exceeds a limit
ROOM = 30_000  # bytes of the log of some changes


def limit(server: Server, size: int | None) -> None:
    """Limit the size of the server's files; the kernel writes what fits and refuses the rest."""
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(
        server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY if size is None else size, hard)
    )


def asked(server: Server, query: str, **variables: Any) -> Any:
    """Return the whole response."""
    return httpx.post(server.url, json={"query": query, "variables": variables}, timeout=60).json()


def put(server: Server, uuid: str, length: int = 500) -> bool:
    """Return whether the change was acknowledged; otherwise check its error."""
    answer = asked(server, PUT, u=uuid, d=uuid * (length // len(uuid)))
    if "errors" not in answer:
        return True
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("THROTTLED", True)
    assert FULL in error["message"]
    return False


def found(server: Server) -> dict[str, str]:
    records = asked(server, LIST)["data"]["coordinationList"]["coordinationList"]
    return {each["coordinationUuid"]: each["coordinationDescription"] for each in records}


def log_of(data_dir: Path) -> Path:
    """Return the file that grows with each change."""
    return data_dir / "ace.db-wal"


def filled(server: Server, data_dir: Path, name: str) -> list[str]:
    """Return what was acknowledged until three changes were refused."""
    limit(server, log_of(data_dir).stat().st_size + ROOM)
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


def test_a_full_disk_refuses_changes_and_loses_none_that_it_acknowledged(tmp_path: Path) -> None:
    data_dir, log = tmp_path / "data", tmp_path / "log"
    with serving(data_dir, log) as server:
        assert put(server, "first")
        acknowledged = ["first", *filled(server, data_dir, "a")]
        assert len(acknowledged) > 1
        # reads go on, and what was refused is not there
        assert set(found(server)) == set(acknowledged)
        limit(server, None)
        assert put(server, "room")  # by itself
        acknowledged += ["room", *filled(server, data_dir, "b")]
        size = log_of(data_dir).stat().st_size
        server.kill()
    with small_files(size), serving(data_dir, log) as server:
        assert set(found(server)) == set(acknowledged)
        assert not put(server, "refused", 2 * size)  # the log is empty now, and takes `size` again
        limit(server, None)
        assert put(server, "later", 5000)
    with serving(data_dir, log) as server:
        assert found(server) == {
            each: each * ((5000 if each == "later" else 500) // len(each))
            for each in [*acknowledged, "later"]
        }


def test_sessions_that_were_acknowledged_before_the_disk_was_full_complete_when_there_is_room(
    tmp_path: Path,
) -> None:
    data_dir, log = tmp_path / "data", tmp_path / "log"
    with serving(data_dir, log) as server:
        server.data(COORDINATION, agents=[{"agentUuid": name} for name in "ab"])
        server.data(TASK, actions={"b": {"predecessors": ["a"]}})
        limit(server, log_of(data_dir).stat().st_size + 6 * ROOM)
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
