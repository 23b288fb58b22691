"""A server whose agents call remote agents over HTTP: notices, questions and cancels."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.runtime_settings import A2AAgent
from ai_coordination_engine.settings import Settings
from tests.kit.a2a_agent import RemoteAgent, remote_agent

GRAPHQL = """mutation($agents: [JSONCamelCase]) {
  insertUpdateCoordination(coordinationUuid: "c", agents: $agents, updatedBy: "me") {
    coordination { coordinationUuid } }
  insertUpdateTask(coordinationUuid: "c", taskUuid: "t", taskName: "t", updatedBy: "me") {
    task { taskUuid } } }"""
START = """mutation($query: String) { executeProcedureTaskSession(coordinationUuid: "c",
  taskUuid: "t", taskQuery: $query) { procedureTaskSession { sessionUuid } } }"""
SEEN = """query($uuid: String!) { session(coordinationUuid: "c", sessionUuid: $uuid) {
  status sessionAgents { sessionAgentUuid state agentOutput notes } } }"""
ANSWER = """mutation($uuid: String!, $agent: String!) {
  executeForUserInput(sessionUuid: $uuid, sessionAgentUuid: $agent, userInput: "red") { ok } }"""
CANCEL = """mutation($uuid: String!) {
  cancelSession(coordinationUuid: "c", sessionUuid: $uuid) { session { status } } }"""


class Caller:
    """Starts and sees sessions of one server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, document: str, **variables: Any) -> Any:
        answer = httpx.post(self._url, json={"query": document, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def start(self, query: str) -> str:
        started = self.ask(START, query=query)["executeProcedureTaskSession"]
        return str(started["procedureTaskSession"]["sessionUuid"])

    def until(self, uuid: str, is_so: Callable[[Any], bool]) -> Any:
        """The session once this holds."""
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            session = self.ask(SEEN, uuid=uuid)["session"]
            if is_so(session):
                return session
            time.sleep(0.05)
        raise AssertionError(session)

    def output(self, uuid: str) -> str:
        """The output of the agent once the session has ended."""
        session = self.until(uuid, lambda each: each["status"] in ("completed", "failed"))
        return str(session["sessionAgents"][0]["agentOutput"])


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def remote() -> Iterator[RemoteAgent]:
    with remote_agent(pushes=True, key="key-1") as agent:
        yield agent


@pytest.fixture(scope="module")
def server(remote: RemoteAgent) -> Iterator[Running]:
    port = free_port()
    settings = Settings(
        auth="local",
        a2a_agents={"desk": A2AAgent(url=remote.url, api_key=SecretStr("key-1"))},
        webhook_key=SecretStr("master"),
        public_url=f"http://127.0.0.1:{port}",
        backoff_seconds=0.1,
    )
    with serving(settings, port=port) as running:
        caller = Caller(running.url)
        caller.ask(
            GRAPHQL, agents=[{"agentUuid": "a", "runtime": {"kind": "a2a", "agent": "desk"}}]
        )
        yield running


@pytest.fixture
def caller(server: Running) -> Caller:
    return Caller(server.url)


def test_a_notice_ends_the_task_before_any_look(caller: Caller, remote: RemoteAgent) -> None:
    uuid = caller.start("long story")
    caller.until(uuid, lambda each: each["sessionAgents"][0]["state"] == "pending")
    began = time.monotonic()
    remote.let_go()
    assert caller.output(uuid) == "done: long story"
    assert time.monotonic() - began < 14  # seconds, before the first look that needs no notice


def test_a_question_of_the_task_is_answered_in_the_inbox(caller: Caller) -> None:
    uuid = caller.start("ask me")
    waiting = caller.until(
        uuid, lambda each: each["sessionAgents"][0]["state"] == "wait_for_user_input"
    )
    caller.ask(ANSWER, uuid=uuid, agent=waiting["sessionAgents"][0]["sessionAgentUuid"])
    assert caller.output(uuid) == "done: red"


def test_cancelling_the_session_cancels_the_task(caller: Caller, remote: RemoteAgent) -> None:
    remote.executor.go.clear()
    uuid = caller.start("long wait")
    caller.until(uuid, lambda each: each["sessionAgents"][0]["state"] == "pending")
    before = len(remote.executor.cancelled)
    caller.ask(CANCEL, uuid=uuid)
    ends = time.monotonic() + 10
    while len(remote.executor.cancelled) == before and time.monotonic() < ends:
        time.sleep(0.05)
    assert len(remote.executor.cancelled) == before + 1
