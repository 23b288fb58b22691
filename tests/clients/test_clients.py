"""Caches of real clients, set up as in docs/clients.md: Apollo Client and urql's graphcache."""

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import pytest

from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings
from tests.kit.node import installed, needs_node

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

pytestmark = [pytest.mark.conformance, needs_node]


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
        (block,) = re.findall(rf"```js\n(// clients: {name}\n.*?)```", DOCS, re.DOTALL)
        (work / f"{name}-client.mjs").write_text(block, encoding="utf-8")
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


def run(work: Path, script: str, *arguments: str) -> Any:
    command = ["node", script, *arguments]
    done = subprocess.run(
        command, cwd=work, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def on_the_screen(found: Any) -> tuple[str, str]:
    """Return the first and last status of the latest session in a displayed list, without a
    refetch.
    """
    statuses = [each[0] for each in found["seen"]]
    return statuses[0], statuses[-1]


def test_apollo_keeps_one_entry_a_record_and_a_mutation_updates_them(
    url: str, work: Path, session: str
) -> None:
    found = run(work, "apollo.mjs", url, "c", session)
    assert found["told"] == []
    records = [key for key in found["after"] if not key.startswith(("ROOT", "__META"))]
    kinds = Counter(key.partition(":")[0] for key in records)
    assert kinds == {
        "CoordinationType": 1,
        "TaskType": 1,
        "SessionType": kinds["SessionType"],
        "SessionAgentType": 2,
        "SessionRunType": 1,
    }
    assert kinds["SessionType"] >= 2
    assert all(found["after"][key]["id"] == key.partition(":")[2] for key in records)
    mine = f"SessionType:{found['id']}"
    assert (found["before"][mine]["status"], found["after"][mine]["status"]) == (
        "in_progress",
        "cancelled",
    )
    assert found["node"] == {
        **found["node"],
        "id": found["id"],
        "sessionUuid": session,
        "status": "in_progress",
    }
    assert on_the_screen(found) == ("in_progress", "cancelled")
    agents = [(each["agentName"], each["state"]) for each in found["detail"]["sessionAgents"]]
    assert (found["detail"]["status"], agents) == (
        "cancelled",
        [("Ada", "completed"), ("Bob", "cancelled")],
    )
    (completed,) = found["detail"]["sessionAgents"][0]["sessionRuns"]
    assert (completed["attempt"], completed["status"], completed["totalTokens"]) == (
        1,
        "completed",
        None,
    )


def test_graphcache_is_silent_and_a_mutation_updates_its_queries(
    url: str, work: Path, session: str
) -> None:
    found = run(work, "graphcache.mjs", url, "c", session)
    assert found["told"] == []
    assert found["node"] == {
        **found["node"],
        "id": found["id"],
        "sessionUuid": session,
        "status": "in_progress",
    }
    assert on_the_screen(found) == ("in_progress", "cancelled")
    assert [
        each["status"] for each in found["list"]["sessionList"] if each["id"] == found["id"]
    ] == ["cancelled"]
    agents = [(each["agentName"], each["state"]) for each in found["detail"]["sessionAgents"]]
    assert (found["detail"]["status"], agents) == (
        "cancelled",
        [("Ada", "completed"), ("Bob", "cancelled")],
    )
