"""A server that reloads: running attempts finish on the old code, the next ones have the new; in
each process.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ai_coordination_engine.assembly import allow_list, function_files
from ai_coordination_engine.client import Client, operations
from ai_coordination_engine.entrypoints.local.home import home
from ai_coordination_engine.entrypoints.local.reload import reloading
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings

CODE = """
import os, time
from pathlib import Path

WORD, HERE = "old", Path(__file__).parent
(HERE / f"{os.getpid()}.{WORD}").touch()

def speak(request):
    (HERE / f"{os.getpid()}.begun").touch()
    while not (HERE / "go on").exists():
        time.sleep(0.01)
    return f"{os.getpid()}.{WORD}"
"""
NAME = "reloaded_of_test"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{NAME}.py").write_text(CODE)
    yield tmp_path / f"{NAME}.py"
    sys.modules.pop(NAME, None)


def outputs(client: Client, session: str) -> set[str | None]:
    agents = client.wait("c", session, timeout=20).session_agents
    return {each.agent_output for each in agents}


def wait_for(look: Callable[[], bool]) -> None:
    for _ in range(3000):
        if look():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it does not come")


def test_the_files_of_tools_are_watched_too(file: Path) -> None:
    tools = {"speak": f"{NAME}:speak"}
    with home(None) as found:
        app = found.build(Settings(auth="local", tools=tools))
        assert [*allow_list(app.settings).problems()] == []
        assert function_files(app).names == [str(file)]


def test_running_attempts_finish_on_the_old_code_in_each_process(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, functions = list[str](), {"speak": f"{NAME}:speak"}
    monkeypatch.setenv("ACE_FUNCTIONS", json.dumps(functions))  # of the worker process
    monkeypatch.setenv("ACE_WORKER_CONCURRENCY", "1")
    settings = Settings(auth="local", functions=functions, worker_concurrency=1)
    there = file.parent
    with (
        serving(settings, port=0, data_dir=there / "data", workers=2, reload=True) as running,
        reloading(running.app, told.append),
        Client(running.url) as client,
    ):
        runtime = {"kind": "function", "name": "speak"}
        agents = [{"agentUuid": each, "runtime": runtime} for each in "ab"]
        client.send(
            operations.insert_update_coordination(
                coordination_uuid="c", agents=agents, updated_by="me"
            )
        )
        client.send(
            operations.insert_update_task(
                coordination_uuid="c",
                task_uuid="t",
                task_name="T",
                agent_actions={"a": {}, "b": {}},
                updated_by="me",
            )
        )
        first = str(client.start("c", "t", "q").session_uuid)
        wait_for(lambda: len([*there.glob("*.begun")]) == 2)  # one in each process
        file.write_text(CODE.replace('"old"', '"new"'))
        wait_for(lambda: len([*there.glob("*.new")]) == 2 and len(told) == 2)
        (there / "go on").touch()
        old = {each.name for each in there.glob("*.old")}
        assert f"{os.getpid()}.old" in old
        assert outputs(client, first) == old
        second = str(client.start("c", "t", "q").session_uuid)
        assert outputs(client, second) <= {each.replace("old", "new") for each in old}
    assert told == [
        f"Functions are loaded anew when these files change: {file}",
        f"{file.name} changed: functions are loaded anew.",
    ]
