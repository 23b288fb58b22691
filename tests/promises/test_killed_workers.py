"""Worker processes that share a file are killed while they work: nothing is lost or done twice."""

import json
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

from tests.kit.forked_workers import Workers
from tests.kit.servers import COORDINATION, DIAMOND, START, TASK, Server, Servers, attempts_of

T = TypeVar("T")
SESSIONS, KILLS = (100, 20) if os.environ.get("CI") else (20, 4)
SLEEP = {"kind": "function", "name": "sleep", "seconds": 0.05}


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_one_of_three_workers_is_killed_again_and_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / "data"
    with (
        closing(Servers(tmp_path / "server.log", ACE_WORKER_CONCURRENCY="1")) as servers,
        closing(Workers(tmp_path / "worker.log", ACE_WORKER_CONCURRENCY="4")) as workers,
    ):
        define(servers, data_dir)
        pids = [workers.start(data_dir) for _ in range(3)]  # before the server
        with closing(Server(servers, data_dir)) as server:
            started = threading.Thread(target=start_all, args=(server,))
            started.start()
            alive = kill_some(workers, data_dir, pids)
            started.join()
            found = [attempts_of(server, name) for name in names()]
            wait_for(lambda: registered(data_dir) == {*alive, server.pid})
    attempts = Counter(status for each in found for status in each)
    died = [*said(workers.log, "worker died"), *said(tmp_path / "server.log", "worker died")]
    freed = sum(each["attempts_freed"] for each in died)
    with capsys.disabled():
        print(f"\n{KILLS} kills: {freed} attempts freed, {attempts['lost']} lost")  # noqa: T201
    assert attempts == {"completed": SESSIONS * len(DIAMOND), "lost": attempts["lost"]}
    assert attempts["lost"] > 0
    assert freed > 0  # fewer than were lost, if a process was killed while it freed some


def names() -> list[str]:
    return [f"session-{number}" for number in range(SESSIONS)]


def define(servers: Servers, data_dir: Path) -> None:
    with closing(Server(servers, data_dir)) as server:
        agents = [{"agentUuid": name, "runtime": SLEEP} for name in DIAMOND]
        server.data(COORDINATION, agents=agents)
        server.data(
            TASK, actions={name: {"predecessors": before} for name, before in DIAMOND.items()}
        )


def start_all(server: Server) -> None:
    for name in names():
        server.data(START, s=name)


def kill_some(workers: Workers, data_dir: Path, pids: Sequence[int]) -> set[int]:
    """Kill workers in the midst of their work, and start others in their place; return the ids of
    those that live.
    """
    random, alive = Random(5), set(pids)
    for _ in range(KILLS):
        pid = random.choice(sorted(wait_for(lambda: alive & working(data_dir))))
        workers.kill(pid)
        alive.remove(pid)
        alive.add(workers.start(data_dir))
    return alive


def working(data_dir: Path) -> set[int]:
    """Return the ids of the processes that have received a message."""
    with closing(sqlite3.connect(data_dir / "ace.db", timeout=10)) as connection:
        rows = connection.execute("SELECT DISTINCT holder FROM messages WHERE is_held = 1")
        files = [data_dir / "processes" / name for (name,) in rows if name]
    return pids_of(files)


def registered(data_dir: Path) -> set[int]:
    """Return the ids of the processes that are thought to live."""
    files = [each for each in (data_dir / "processes").iterdir() if not each.suffix]
    return pids_of(files)


def pids_of(files: Iterable[Path]) -> set[int]:
    found = set[int]()
    for each in files:
        with suppress(FileNotFoundError):  # it has just been freed
            found.add(json.loads(each.read_text())["pid"])
    return found


def wait_for(look: Callable[[], T]) -> T:
    for _ in range(6000):
        if found := look():
            return found
        threading.Event().wait(0.01)
    raise AssertionError("it does not come")


def said(log: Path, message: str) -> Iterator[dict[str, Any]]:
    """Return the entries of a log with this message."""
    for line in log.read_text().splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("message") == message:
            yield entry
