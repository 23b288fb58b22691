"""What people do to a running session by hand, and what clients' own uuids may not do to others."""

import itertools
from typing import Any

import pytest

from ai_coordination_engine.adapters.sqs import message_from_body
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.store.records.entities import SESSION as SESSIONS
from ai_coordination_engine.store.transitions.session_controls import ControlRequest
from benchmarks.harness.api import Api, Worker

COORDINATION = """mutation($c: String!, $agents: [JSONCamelCase]) {
  insertUpdateCoordination(coordinationUuid: $c, coordinationName: "c", agents: $agents,
      updatedBy: "me") {
    coordination { coordinationUuid } } }"""
TASK = """mutation($c: String!, $actions: JSONCamelCase) {
  insertUpdateTask(coordinationUuid: $c, taskUuid: "t", taskName: "t", agentActions: $actions,
      updatedBy: "me") {
    task { taskUuid } } }"""
START = """mutation($c: String!, $s: String!) {
  executeProcedureTaskSession(coordinationUuid: $c, taskUuid: "t", sessionUuid: $s,
      taskQuery: "q") {
    procedureTaskSession { sessionUuid } } }"""
SESSION = """query($c: String!, $s: String!) { session(coordinationUuid: $c, sessionUuid: $s) {
  status sessionAgents { sessionAgentUuid agentUuid state } sessionRuns { runUuid } } }"""
SET_STATE = """mutation($s: String!, $a: String!, $state: String!) {
  insertUpdateSessionAgent(sessionUuid: $s, sessionAgentUuid: $a, state: $state, updatedBy: "ann") {
    sessionAgent { state } } }"""
CANCEL = """mutation($c: String!, $s: String!) {
  insertUpdateSession(coordinationUuid: $c, sessionUuid: $s, status: "cancelled",
      updatedBy: "ann") {
    session { status } } }"""
SET_STATUS = """mutation($c: String!, $s: String!, $status: String!) {
  insertUpdateSession(coordinationUuid: $c, sessionUuid: $s, status: $status, updatedBy: "ann") {
    session { status } } }"""
RETRY = """mutation($c: String!, $s: String!) {
  retrySession(coordinationUuid: $c, sessionUuid: $s) { session { status } } }"""
DELETE = """mutation($s: String!, $a: String!) {
  deleteSessionAgent(sessionUuid: $s, sessionAgentUuid: $a) { ok } }"""
DIAMOND = {
    "b": {"predecessors": ["a"]},
    "c": {"predecessors": ["a"]},
    "d": {"predecessors": ["b", "c"]},
}


def start(api: Api, coordination: str, actions: Any = DIAMOND) -> dict[str, Any]:
    """Start session `s` of four agents; the session as it reads then."""
    api.data(COORDINATION, c=coordination, agents=[{"agentUuid": uuid} for uuid in "abcd"])
    api.data(TASK, c=coordination, actions=actions)
    api.data(START, c=coordination, s="s")
    return session(api, coordination)


def session(api: Api, coordination: str) -> dict[str, Any]:
    found: dict[str, Any] = api.data(SESSION, c=coordination, s="s")["session"]
    return found


def states(found: dict[str, Any]) -> list[str]:
    return [agent["state"] for agent in found["sessionAgents"]]


@pytest.mark.parametrize("status", ["in_progress", "in_transit", "completed"])
def test_a_session_that_is_being_set_back_is_changed_only_by_the_controls(
    api: Api, worker: Worker, status: str
) -> None:
    start(api, "c")
    api.data(CANCEL, c="c", s="s")
    seen = api.app.records.table(SESSIONS).get(api.tenant, ("c", "s"), consistent=True)
    assert seen is not None
    watch_at = api.app.clock.now().timestamp() + 60
    api.app.sessions.set_back(seen, ControlRequest(), {"restart": {"from": None}}, 1, watch_at)
    assert api.code(SET_STATUS, c="c", s="s", status=status) == "CONFLICT"
    api.data(RETRY, c="c", s="s")
    worker.drain()
    assert session(api, "c")["status"] == "completed"


@pytest.mark.parametrize(("state", "warnings"), [("completed", 1), ("skipped", 0)])
def test_completing_an_agent_that_waits_for_a_person_warns_that_nobody_has_answered(
    api: Api, worker: Worker, state: str, warnings: int
) -> None:
    start(api, "c", {"a": {"userInTheLoop": "ada", "answerSchema": {"enum": ["yes"]}}})
    worker.drain()
    (waiting,) = [
        each
        for each in session(api, "c")["sessionAgents"]
        if each["state"] == "wait_for_user_input"
    ]
    answer = api.send(SET_STATE, s="s", a=waiting["sessionAgentUuid"], state=state)
    assert answer["data"]["insertUpdateSessionAgent"]["sessionAgent"]["state"] == state
    told = answer.get("extensions", {}).get("warnings", [])
    assert [each.split(":")[0] for each in told] == [
        "The agent was waiting for a person and is now completed without an answer"
    ] * warnings
    assert "extensions" not in api.send(
        SET_STATE, s="s", a=waiting["sessionAgentUuid"], state=state
    )


@pytest.mark.parametrize(("state", "status"), [("cancelled", "failed"), ("skipped", "completed")])
def test_what_follows_from_an_agent_ended_by_hand_is_skipped_and_the_session_ends(
    api: Api, worker: Worker, state: str, status: str
) -> None:
    found = start(api, "c")
    first = found["sessionAgents"][0]["sessionAgentUuid"]
    api.data(SET_STATE, s="s", a=first, state=state)
    worker.drain()
    found = session(api, "c")
    assert (found["status"], states(found)) == (status, [state, "skipped", "skipped", "skipped"])
    if status == "failed":
        api.data(RETRY, c="c", s="s")
        worker.drain()
        found = session(api, "c")
        assert (found["status"], states(found)) == ("completed", ["completed"] * 4)


def test_what_an_agent_ended_by_hand_waited_for_ends_with_the_session(
    api: Api, worker: Worker
) -> None:
    found = start(api, "c", {"b": {"predecessors": ["a"]}, "c": {"predecessors": ["b"]}})
    first = worker.receive()  # its worker is slow
    (last,) = [
        each["sessionAgentUuid"] for each in found["sessionAgents"] if each["agentUuid"] == "c"
    ]
    api.data(SET_STATE, s="s", a=last, state="completed")
    worker.drain()
    found = session(api, "c")
    assert (found["status"], states(found)) == ("completed", ["skipped", "skipped", "completed"])
    for message in first:
        run_step(api.app, message_from_body(message["Body"]))
    assert session(api, "c") == {**found, "sessionRuns": []}


@pytest.mark.parametrize("state", ["initial", "pending", "executing", "wait_for_user_input"])
def test_the_engine_alone_moves_its_agents(api: Api, worker: Worker, state: str) -> None:
    found = start(api, "c")
    assert (
        api.code(SET_STATE, s="s", a=found["sessionAgents"][0]["sessionAgentUuid"], state=state)
        == "CONFLICT"
    )
    worker.drain()
    assert session(api, "c")["status"] == "completed"


def test_an_agent_that_something_follows_from_is_not_deleted(api: Api, worker: Worker) -> None:
    first = start(api, "c")["sessionAgents"][0]["sessionAgentUuid"]
    assert api.code(DELETE, s="s", a=first) == "CONFLICT"
    worker.drain()
    assert api.data(DELETE, s="s", a=first) == {"deleteSessionAgent": {"ok": True}}


@pytest.mark.parametrize("other", ["acme", "evil"])
def test_sessions_of_one_uuid_do_not_touch_each_other(api: Api, worker: Worker, other: str) -> None:
    start(api, "c")
    theirs = api.as_tenant(other)
    assert len(start(theirs, "c2")["sessionAgents"]) == 4
    theirs.data(CANCEL, c="c2", s="s")
    assert states(session(theirs, "c2")) == ["cancelled"] * 4
    assert states(session(api, "c")) == ["initial"] * 4
    worker.drain()
    found = session(api, "c")
    assert (found["status"], len(found["sessionRuns"])) == ("completed", 4)
    assert session(theirs, "c2")["sessionRuns"] == []


def test_outputs_that_grow_beyond_the_limit_fail_their_session(api: Api, worker: Worker) -> None:
    layers = [[f"{layer}-{place}" for place in range(4)] for layer in range(4)]
    agents = [{"agentUuid": uuid} for layer in layers for uuid in layer]
    actions = {
        uuid: {"predecessors": before}
        for before, after in itertools.pairwise(layers)
        for uuid in after
    }
    api.data(COORDINATION, c="c", agents=agents)
    api.data(TASK, c="c", actions=actions)
    start_with = START.replace('taskQuery: "q"', f'taskQuery: "{"x" * 400_000}"')
    api.data(start_with, c="c", s="s")
    worker.drain()
    found = api.data(SESSION.replace("status", "status logs", 1), c="c", s="s")["session"]
    assert found["status"] == "failed"
    assert found["logs"].endswith(
        "The predecessors' outputs have more than 8000000 characters together."
    )
