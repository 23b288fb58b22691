"""A tool that needs approval, from the task to the answer of a person over GraphQL."""

from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.settings import Settings
from benchmarks.harness.api import Api
from tests.kit import tool_agents as kit
from tests.kit.api import code, data
from tests.kit.crashes import Crash
from tests.kit.fakes import FakeSecrets
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.tool_agents import MODEL, TOOLS, script

RUNTIME = {"kind": "agent", "model": MODEL, "tools": ["add", "order"]}
WAITING = """{ sessionAgentList { sessionAgentUuid sessionUuid agentInput question
  whyNotRunning { code message } } }"""
RUNS = "{ sessionRunList { status attempt inputTokens toolCalls } }"


@pytest.fixture(autouse=True)
def fresh() -> None:
    for each in (kit.seen, kit.ordered, kit.begin):
        each.clear()  # type: ignore[attr-defined]


@pytest.fixture
def stage(app: App) -> Stage:
    stage = stage_of(app)
    settings = Settings(
        auth="local",
        agent_models={MODEL: {"factory": "tests.kit.tool_agents:model"}},
        tools={**TOOLS, "order": {"function": TOOLS["order"], "approval": "USER"}},
    )
    stage.app = replace(stage.app, runtimes=RuntimeRegistry(settings, FakeSecrets()))
    return stage


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


class Dying:
    """Runtimes at whose first use the process dies."""

    def __init__(self, runtimes: Any, die: Any) -> None:
        self._runtimes, self._die = runtimes, die

    def find(self, kind: str) -> Any:
        self._die()
        return self._runtimes.find(kind)

    def wants_thread(self, kind: str) -> bool:
        return bool(self._runtimes.wants_thread(kind))


def begin(stage: Stage, *turns: Any) -> Any:
    script.play(*turns)
    session = stage.start(stage.define({"a": ""}, agents={"a": {"runtime": RUNTIME}}))
    stage.drain()
    return session


def answer(client: Api, waiting: Any, text: str) -> None:
    key = {name: waiting[name] for name in ("sessionUuid", "sessionAgentUuid")}
    data(
        client,
        "executeForUserInput",
        **key,
        userInput=text,
        questionId=waiting["question"]["id"],
    )


def waiting_of(client: Api) -> Any:
    (found,) = data(client, "userInbox", WAITING)["sessionAgentList"]
    return found


def test_a_call_waits_in_the_inbox_and_is_made_when_it_is_allowed(
    stage: Stage, client: Api
) -> None:
    session = begin(stage, [("add", {"a": 1, "b": 2}), ("order", {"item": "tea"})], "done")
    waiting = waiting_of(client)
    text = 'The agent wants to call:\n1. order({"item": "tea"})\nAnswer yes, or why not.'
    assert waiting["agentInput"] == waiting["question"]["text"]
    assert kit.ordered == []
    assert waiting["question"]["details"]["calls"][0]["tool"] == "order"
    assert waiting["whyNotRunning"]["code"] == "WAITS_FOR_USER"
    assert text.splitlines()[0] in waiting["agentInput"]
    answer(client, waiting, "yes")
    stage.drain()
    assert kit.ordered == ["tea"]
    assert len(script.asked) == 2
    key = {"sessionUuid": session.session_uuid}
    runs = data(client, "sessionRunList", RUNS, **key)["sessionRunList"]
    runs.sort(key=lambda run: run["attempt"])
    assert [(run["status"], run["inputTokens"]) for run in runs] == [
        ("asked", 10),
        ("completed", 10),
    ]
    first, second = (sorted(run["toolCalls"], key=lambda call: call["name"]) for run in runs)
    assert [(call["name"], call["outcome"]) for call in first] == [
        ("add", "completed"),
        ("order", "asked"),
    ]
    assert [(call["name"], call["outcome"]) for call in second] == [("order", "completed")]
    assert first[1]["arguments"] == {"item": "tea"}
    assert {"startedAt", "durationMs", "result"} <= {*second[0]}


def test_an_answer_to_an_earlier_question_allows_nothing(stage: Stage, client: Api) -> None:
    begin(stage, [("order", {"item": "tea"})], [("order", {"item": "gold"})], "done")
    first = waiting_of(client)
    answer(client, first, "yes")
    stage.drain()
    key = {name: first[name] for name in ("sessionUuid", "sessionAgentUuid")}
    late = {**key, "userInput": "yes", "questionId": first["question"]["id"]}
    assert code(client, "executeForUserInput", **late) == "CONFLICT"
    assert kit.ordered == ["tea"]


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_worker_that_dies_at_an_approved_call_does_not_make_it_twice(
    stage: Stage, client: Api, dies: str
) -> None:
    """Nobody knows whether the call was made: the person is asked again, and told why."""
    session = begin(stage, [("order", {"item": "tea"})], "done")
    answer(client, waiting_of(client), "yes")
    died: list[bool] = []

    def die() -> None:
        if not died:
            died.append(True)
            raise Crash("order")

    if dies == "after":
        kit.begin.append(die)
    else:
        stage.app = replace(stage.app, runtimes=Dying(stage.app.runtimes, die))
    assert stage.drain() == 1
    assert kit.ordered == (["tea"] if dies == "after" else [])
    again = waiting_of(client)
    assert again["question"]["text"].startswith("An earlier attempt was lost or failed")
    answer(client, again, "the first one has arrived")
    stage.drain()
    assert kit.ordered == (["tea"] if dies == "after" else [])
    assert stage.attempts(session) == [
        (1, "asked", None),
        (2, "lost", "lost"),
        (3, "asked", None),
        (4, "completed", None),
    ]
    redelivery_changes_nothing(stage, session)


def redelivery_changes_nothing(stage: Stage, session: Any) -> None:
    before, asked = stage.everything(session), len(script.asked)
    for each in list(stage.queue.sent):
        stage.queue.send([each])
    stage.drain()
    assert (stage.everything(session), len(script.asked)) == (before, asked)
