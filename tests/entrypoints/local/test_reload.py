"""A server that reloads: a running attempt finishes on the old code, the next one has the new."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ai_coordination_engine.client import Client, operations
from ai_coordination_engine.entrypoints.cli.failures import Failure
from ai_coordination_engine.entrypoints.cli.serve_command import serve
from ai_coordination_engine.entrypoints.local.reload import reloading
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings

CODE = """
import threading

BEGUN, GO_ON = threading.Event(), threading.Event()

def speak(request):
    BEGUN.set()
    GO_ON.wait(20)
    return WORD

WORD = "old"
"""
NAME = "reloaded_of_test"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{NAME}.py").write_text(CODE)
    yield tmp_path / f"{NAME}.py"
    sys.modules.pop(NAME, None)


def start(client: Client) -> str:
    return str(client.start("c", "t", "q").session_uuid)


def output(client: Client, session: str) -> str | None:
    return client.wait("c", session, timeout=20).session_agents[0].agent_output


def test_a_running_attempt_finishes_on_the_old_code(file: Path) -> None:
    told, is_told = list[str](), threading.Event()

    def tell(line: str) -> None:
        told.append(line)
        if "changed" in line:
            is_told.set()

    settings = Settings(auth="local", functions={"speak": f"{NAME}:speak"})
    with (
        serving(settings, port=0) as running,
        reloading(running.app, tell),
        Client(running.url) as client,
    ):
        agent = {"agentUuid": "a", "runtime": {"kind": "function", "name": "speak"}}
        client.send(
            operations.insert_update_coordination(
                coordination_uuid="c", agents=[agent], updated_by="me"
            )
        )
        client.send(
            operations.insert_update_task(
                coordination_uuid="c",
                task_uuid="t",
                task_name="T",
                subtask_queries=[{"agentUuid": "a", "subtaskQuery": "q"}],
                updated_by="me",
            )
        )
        first, old = start(client), sys.modules[NAME]
        assert old.BEGUN.wait(20)
        file.write_text(CODE.replace('"old"', '"new"').replace("GO_ON.wait(20)", "pass"))
        assert is_told.wait(20)
        second = start(client)
        assert output(client, second) == "new"
        old.GO_ON.set()
        assert output(client, first) == "old"
    assert told == [
        f"Functions are loaded anew when these files change: {file}",
        f"{file.name} changed: functions are loaded anew.",
    ]


def test_it_is_for_one_process() -> None:
    with pytest.raises(Failure, match="--reload is for one process: leave out --workers"):
        serve(Settings(), None, None, aws=False, workers=2, reload=True)
