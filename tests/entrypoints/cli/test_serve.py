"""`ace serve`: its port, its end, its data directory, and another AWS endpoint."""

import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_coordination_engine import bootstrap
from tests.kit.commands import EXAMPLES, ace, served


def post(url: str, query: str, **options: Any) -> httpx.Response:
    return httpx.post(url, json={"query": query}, timeout=30, **options)


def test_a_chosen_port_that_is_taken_is_a_clear_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ace("serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == f"ace: Port {port} cannot be used: Address already in use. Choose another,"
        " or leave out --port: then a free one is taken.\n"
    )


@pytest.mark.parametrize(("port", "rule"), [("65536", "<= 65535"), ("-1", ">= 0")])
def test_a_port_that_cannot_be_is_a_clear_message(port: str, rule: str) -> None:
    done = ace("serve", f"--port={port}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f'ace: Invalid value "{port}" for --port. Must be {rule}.')


def test_the_default_port_gives_way_when_it_is_taken() -> None:
    try:
        taken = socket.create_server(("127.0.0.1", 8000))
    except OSError:  # somebody else has it: as good
        taken = socket.socket()
    with taken:
        done = ace("demo", "--exit")
    assert done.returncode == 0, done.stderr
    assert "Port 8000 is busy; using " in done.stdout


@pytest.fixture
def as_from_a_shell() -> Iterator[None]:
    """What is started ignores Ctrl-C, as what a shell starts in the background does, and its
    terminal may close, also if these tests run under nohup.
    """
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("as_from_a_shell")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serve_ends_promptly_when_told(ending: signal.Signals) -> None:
    with served() as (process, url):
        assert post(url, "{ ping }").json()["data"]["ping"].startswith("Hello at ")
        with begun(url) as hung, begun(url) as gone:
            gone.close()
            process.send_signal(ending)
            assert process.wait(timeout=20) == 0
            assert b" 408 " in hung.recv(65536)
        assert process.stderr
        assert process.stderr.read() == ""


def begun(url: str) -> socket.socket:
    """Return a connection with half a request that the server has begun to read."""
    address = httpx.URL(url)
    connection = socket.create_connection((address.host, address.port or 0), timeout=60)
    connection.sendall(
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        b"Content-Length: 99\r\n\r\n{"
    )
    assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
    return connection


def test_serve_listens_on_loopback_and_refuses_other_names() -> None:
    with served() as (_, url):
        assert url.startswith("http://127.0.0.1:")
        assert post(url, "{ ping }", headers={"Host": "evil.example"}).status_code == 400


SCHEDULED = """mutation {
  insertUpdateTask(coordinationUuid: "c", taskUuid: "t", taskName: "n", initialTaskQuery: "Hello",
      updatedBy: "t") {
    task { taskUuid } }
  insertUpdateTaskSchedule(coordinationUuid: "c", taskUuid: "t", scheduleUuid: "s",
      schedule: "at(TIME)", status: "active", updatedBy: "t") {
    taskSchedule { nextFireAt } } }"""


def fired(url: str) -> Any:
    """Return the schedule `s` once it is completed."""
    read = (
        '{ taskSchedule(taskUuid: "t", scheduleUuid: "s") { status runCount missedCount sessions {'
        " status taskQuery } } }"
    )
    end = time.monotonic() + 90
    while time.monotonic() < end:
        found = post(url, read).json()["data"]["taskSchedule"]
        if [each["status"] for each in found["sessions"]] == ["completed"]:
            return found
        threading.Event().wait(0.1)
    raise AssertionError(found)


def test_sessions_and_schedules_survive_a_kill(tmp_path: Path) -> None:
    """The schedule becomes due while no server runs."""
    save = (
        'mutation { insertUpdateCoordination(coordinationUuid: "c", agents: [{agentUuid: "a"}],'
        ' updatedBy: "t") { coordination { createdAt } } }'
    )
    read = '{ coordination(coordinationUuid: "c") { createdAt } }'
    with served("--data-dir", str(tmp_path)) as (process, url):
        saved = post(url, save).json()["data"]["insertUpdateCoordination"]["coordination"]
        at = f"{datetime.now(UTC) + timedelta(seconds=3):%Y-%m-%dT%H:%M:%S}"
        planned = post(url, SCHEDULED.replace("TIME", at)).json()["data"][
            "insertUpdateTaskSchedule"
        ]["taskSchedule"]
        assert planned == {"nextFireAt": f"{at}+00:00"}
        process.kill()
        process.wait()
    with served("--data-dir", str(tmp_path)) as (_, url):
        assert post(url, read).json()["data"]["coordination"] == saved
        second = ace("serve", "--data-dir", str(tmp_path), "--port", "0")
        assert second.returncode == 1
        assert (
            second.stderr
            == f"ace: {tmp_path} is in use by another server ({url}); stop it or choose another"
            " directory.\n"
        )
        assert fired(url) == {
            "status": "completed",
            "runCount": 1,
            "missedCount": 0,
            "sessions": [{"status": "completed", "taskQuery": "Hello"}],
        }


def test_another_endpoint_is_used_when_the_standard_variable_names_one(
    moto_server: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    created = ace("tables", "create", **moto_server)
    assert created.returncode == 0, created.stderr
    assert "Created ace-sessions." in created.stdout.splitlines()
    assert ace("tables", "create", **moto_server).stdout == "All tables exist.\n"
    done = ace("run", str(EXAMPLES / "hello.yaml"), **moto_server)
    assert done.returncode == 0, done.stderr
    for name, value in moto_server.items():
        monkeypatch.setenv(name, value)
    assert bootstrap.client("dynamodb").scan(TableName="ace-session_agents")["Count"] == 2
