"""A server with worker processes: they are started again when they die, and never outlive it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cyclopts import CycloptsError

from ai_coordination_engine.entrypoints.cli import cli
from ai_coordination_engine.entrypoints.cli.explanations import explain
from ai_coordination_engine.entrypoints.local import process_watch, working
from ai_coordination_engine.entrypoints.local.data_dir import FILE
from ai_coordination_engine.entrypoints.local.home import (
    Place,
    StartError,
    WrongInput,
    home,
    joined,
)
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.entrypoints.local.working import Child
from ai_coordination_engine.settings import Settings
from tests.kit.commands import served
from tests.kit.servers import COORDINATION, START, TASK

NAMES = ["a", "b"]
STATUS = """query($s: String!) { session(coordinationUuid: "c", sessionUuid: $s) {
  status sessionRuns { asyncTask } } }"""


def children(pid: int) -> set[int]:
    tasks = Path(f"/proc/{pid}/task")
    return {
        int(each) for task in tasks.iterdir() for each in (task / "children").read_text().split()
    }


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(look: Callable[[], Any]) -> Any:
    for _ in range(3000):
        if found := look():
            return found
        threading.Event().wait(0.01)
    raise AssertionError("it does not come")


def data(url: str, query: str, **variables: Any) -> Any:
    answer = httpx.post(url, json={"query": query, "variables": variables}, timeout=30).json()
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


def completes_a_session(url: str, name: str) -> None:
    data(url, COORDINATION, agents=[{"agentUuid": each} for each in NAMES])
    data(url, TASK, actions={"b": {"predecessors": ["a"]}})
    data(url, START, s=name)
    wait_for(lambda: data(url, STATUS, s=name)["session"]["status"] == "completed")
    runs = data(url, STATUS, s=name)["session"]["sessionRuns"]
    assert [each["asyncTask"]["status"] for each in runs] == ["completed"] * 2


def said(process: subprocess.Popen[str]) -> list[Any]:
    """Return what an ended server has logged."""
    assert process.stderr
    return [json.loads(line)["message"] for line in process.stderr if line.startswith("{")]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_a_worker_that_dies_is_started_again_and_ends_with_its_server(tmp_path: Path) -> None:
    with served("--workers", "2") as (process, url):
        (first,) = wait_for(lambda: children(process.pid))
        both = {process.pid, first}
        health = url.replace("graphql", "health")
        assert wait_for(lambda: both == {*httpx.get(health).json()["processes"]})
        completes_a_session(url, "one")
        os.kill(first, signal.SIGKILL)
        (second,) = wait_for(lambda: children(process.pid) - {first})
        completes_a_session(url, "two")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert not is_running(second)
        assert said(process).count("worker ended and is started again") == 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_no_worker_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with served("--workers", "3", "--data-dir", str(data_dir)) as (process, _):
        workers = wait_for(lambda: len(found := children(process.pid)) == 2 and found)
        process.kill()
        wait_for(lambda: not any(map(is_running, workers)))


@contextmanager
def child(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    start: Callable[..., Any],
    problem: str | None = None,
    pause: float = 0.001,
) -> Iterator[Child]:
    """Keep a child whose processes `start` makes, almost without pauses by default."""
    monkeypatch.setattr(working, "_FIRST_PAUSE", pause)
    monkeypatch.setattr(working, "_LONGEST_PAUSE", 0.004)
    monkeypatch.setattr(subprocess, "Popen", start)
    kept = Child(Place(tmp_path, "full"), lambda: problem)
    kept.start()
    yield kept
    kept.tell_to_end()
    kept.end(5)


def test_a_child_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begin, begun = subprocess.Popen, threading.Event()

    def start(command: list[str], **options: Any) -> Any:
        if len(said_of(caplog)) < 4:
            raise BlockingIOError("no room")
        begun.set()
        return begin([sys.executable, "-c", "input()"], **options)

    with child(monkeypatch, tmp_path, start):
        assert begun.wait(10)
    assert said_of(caplog)[:4] == [("no room", pause) for pause in (0.001, 0.002, 0.004, 0.004)]


def test_a_child_that_is_told_to_end_with_its_parent_is_not_news(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begin, ended = subprocess.Popen, threading.Event()

    def start(command: list[str], **options: Any) -> Any:
        process = begin([sys.executable, "-c", ""], **options)
        process.wait()
        ended.set()
        return process

    with child(monkeypatch, tmp_path, start, pause=20):
        assert ended.wait(10)
    assert [each.message for each in caplog.records] == []


def said_of(caplog: pytest.LogCaptureFixture) -> list[tuple[str, float]]:
    found = [vars(each) for each in caplog.records]
    return [(each["reason"], each["seconds"]) for each in found if "reason" in each]


def test_a_child_of_a_file_that_is_unusable_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begin, begun = subprocess.Popen, list[int]()

    def start(command: list[str], **options: Any) -> Any:
        begun.append(1)
        return begin([sys.executable, "-c", ""], **options)

    with child(monkeypatch, tmp_path, start, "damaged") as kept:
        kept._thread.join(10)
    assert begun == [1]


def test_a_directory_without_state_has_no_work(tmp_path: Path) -> None:
    message = "There is no ace.db in .*; name the directory of: ace serve --data-dir DIR"
    (tmp_path / "file").touch()
    for there in (tmp_path / "none", tmp_path, tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(WrongInput, match=message) as refused, joined(there, "full"):
            pass
        assert explain(refused.value) == (f"ace: {refused.value}", 2)  # as of ace backup
    (tmp_path / "file").unlink()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_refuses_a_file_that_is_not_the_engines(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database " * 1000)
    with pytest.raises(StartError, match="is damaged or not a file"), joined(tmp_path, "full"):
        pass


def test_a_worker_is_not_one_of_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StartError, match="unset AWS_ENDPOINT_URL"), joined(tmp_path, "full"):
        pass
    with (
        pytest.raises(StartError, match="--workers is for SQLite"),
        serving(Settings(), port=0, workers=2),
    ):
        pass


def test_workers_may_join_and_leave_beside_a_server_or_without_one(tmp_path: Path) -> None:
    with home(tmp_path) as found:
        assert found.processes
        with joined(tmp_path, "full") as worker:
            assert worker.processes
            assert set(found.processes.others()) == {worker.processes.name}
        assert found.processes.others() == {}
    with joined(tmp_path, "full") as one, joined(tmp_path, "full") as another:
        assert one.processes
        assert another.processes
        assert set(one.processes.others()) == {another.processes.name}


def test_a_process_ends_at_once_while_nobody_waits_for_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_watch, "_PAUSE_SECONDS", 60)
    with home(tmp_path) as found:
        assert found.processes
        watch = process_watch.ProcessWatch(found.build(Settings(auth="local")), found.processes)
        watch.start()
        time.sleep(0.1)  # until it waits
        begun = time.monotonic()
        watch.stop()
        assert time.monotonic() - begun < 30


def test_a_directory_that_is_deleted_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with home(tmp_path / "data") as found:
        assert found.processes
        app = found.build(Settings(auth="local"))
        watch = process_watch.ProcessWatch(app, found.processes, seconds=0.01)
        watch.start()
        shutil.rmtree(tmp_path / "data")
        wait_for(lambda: not watch._threads[0].is_alive())
        watch.stop()
    assert [each.message for each in caplog.records] == ["the file cannot be used"]


@pytest.mark.parametrize("command", ["serve", "worker --data-dir d"])
@pytest.mark.parametrize("number", ["0", "-1", "65", "x", "", "1.5", "2.0", "0x2"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(command: str, number: str) -> None:
    with pytest.raises(CycloptsError, match="--workers"):
        cli.app([*command.split(), "--workers", number], exit_on_error=False, print_error=False)
