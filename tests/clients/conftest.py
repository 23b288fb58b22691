"""A local server with sessions of one task, and what runs the scripts of Node beside it."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import pytest

from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings
from tests.kit.node import installed

HERE = Path(__file__).parent
DOCS = (HERE.parents[1] / "docs" / "clients.md").read_text(encoding="utf-8")
SETUP = """mutation($agents: [JSONCamelCase], $actions: JSONCamelCase) {
  insertUpdateCoordination(coordinationUuid: "c", coordinationName: "Ask", agents: $agents,
      updatedBy: "me") {
    coordination { id } }
  insertUpdateTask(coordinationUuid: "c", taskUuid: "t", taskName: "T", agentActions: $actions,
      updatedBy: "me") {
    task { id } } }"""
START = """mutation { executeProcedureTaskSession(coordinationUuid: "c", taskUuid: "t",
  taskQuery: "go") {
  procedureTaskSession { sessionUuid } } }"""
STATES = """query($s: String!) { session(coordinationUuid: "c", sessionUuid: $s) {
  sessionAgents { state } } }"""


def send(url: str, query: str, **variables: Any) -> Any:
    answer = httpx.post(url, json={"query": query, "variables": variables}).json()
    assert "errors" not in answer, answer
    return answer["data"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Settings(auth="local"), port=0) as running:
        agents = [{"agentUuid": "a", "agentName": "Ada"}, {"agentUuid": "b", "agentName": "Bob"}]
        actions = {"b": {"predecessors": ["a"], "userInTheLoop": "ann"}}
        send(running.url, SETUP, agents=agents, actions=actions)
        yield running.url


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    """A folder with the packages, the scripts, and the clients as the documentation sets
    them up.
    """
    packages = installed(HERE)
    work = Path(mkdtemp(dir=packages.parent))
    (work / "node_modules").symlink_to(packages / "node_modules")
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, work)
    for name in ("apollo", "graphcache"):
        (work / f"{name}-client.mjs").write_text(documented(name), encoding="utf-8")
    yield work
    shutil.rmtree(work)


@pytest.fixture
def session(url: str) -> str:
    """A session whose second agent waits for a person, and an earlier one like it."""
    for _ in range(2):
        started = send(url, START)["executeProcedureTaskSession"]["procedureTaskSession"][
            "sessionUuid"
        ]
        for _ in range(500):
            agents = send(url, STATES, s=started)["session"]["sessionAgents"]
            if agents[1]["state"] == "wait_for_user_input":
                break
    return str(started)


def documented(name: str) -> str:
    """Return the set-up of a client in docs/clients.md."""
    (block,) = re.findall(rf"```js\n(// clients: {name}\n.*?)```", DOCS, re.DOTALL)
    return str(block)


@pytest.fixture(scope="session")
def run() -> Callable[..., Any]:
    """Run a script of Node in a folder, and return what it prints as JSON."""

    def printed(work: Path, script: str, *arguments: str) -> Any:
        command = ["node", script, *arguments]
        done = subprocess.run(
            command, cwd=work, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return printed
