"""A server that is restarted without a function, by mistake, and then with it again."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings
from tests.kit.servers import COORDINATION, START, TASK

NODES = """{ session(coordinationUuid: "c", sessionUuid: "s") { status sessionAgents {
  sessionAgentUuid agentUuid attempt state agentOutput whyNotRunning { code message } } } }"""
ANSWER = """mutation($a: String!) {
  executeForUserInput(sessionUuid: "s", sessionAgentUuid: $a, userInput: "yes") { ok } }"""
WITH = Settings(functions={"loud": "builtins:str"})
WITHOUT = Settings()


def data(url: str, query: str, **variables: Any) -> Any:
    answer = httpx.post(url, json={"query": query, "variables": variables}, timeout=60).json()
    assert "errors" not in answer, answer
    return answer["data"]


def wait_for(look: Callable[[], bool]) -> None:
    for _ in range(2000):
        if look():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it does not come")


def agent(url: str) -> Any:
    (found,) = data(url, NODES)["session"]["sessionAgents"]
    return found


def test_a_session_goes_on_when_its_function_is_back(tmp_path: Path) -> None:
    runtime = {"kind": "function", "name": "loud"}

    def meanwhile(settings: Settings, act: Callable[[str], object]) -> None:
        with serving(settings, port=0, data_dir=tmp_path / "data") as running:
            act(running.url)

    def begin(url: str) -> None:
        data(url, COORDINATION, agents=[{"agentUuid": "a", "runtime": runtime}])
        data(url, TASK, actions={"a": {"userInTheLoop": "ann"}})
        data(url, START, s="s")
        wait_for(lambda: agent(url)["state"] == "wait_for_user_input")

    def is_refused(url: str) -> None:
        data(url, ANSWER, a=agent(url)["sessionAgentUuid"])
        wait_for(lambda: agent(url)["attempt"] == 1 and agent(url)["state"] == "pending")
        why = agent(url)["whyNotRunning"]
        assert why["code"] == "WAITS_FOR_SETTINGS"
        assert "the function 'loud' is not offered" in why["message"]

    def goes_on(url: str) -> None:
        wait_for(lambda: data(url, NODES)["session"]["status"] == "completed")
        assert agent(url)["agentOutput"].startswith("AgentRequest(")

    meanwhile(WITH, begin)
    meanwhile(WITHOUT, is_refused)
    meanwhile(WITH, goes_on)
