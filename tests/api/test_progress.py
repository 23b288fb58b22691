"""The computed fields of a session: its definition, why an agent does not run, and
agents' inputs.
"""

from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.control import restart
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.async_tasks import heartbeat
from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.cli.session_view import Why
from ai_coordination_engine.errors import Unavailable
from ai_coordination_engine.runtime_ports import ActionResult, AgentRequest, AgentResult
from ai_coordination_engine.store.records.entities import COORDINATION, TASK
from benchmarks.harness.api import Api
from tests.kit import views
from tests.kit.api import data
from tests.kit.controls import rerun
from tests.kit.crashes import Crash
from tests.kit.fakes import failing
from tests.kit.records import COORDINATION as COORDINATION_CASE
from tests.kit.records import SESSION, SESSION_AGENT
from tests.kit.stage import TENANT, Stage, crowd, stage_of

WHY = "{ agentUuid whyNotRunning { code message until waitsFor { agentUuid } details } }"


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


@pytest.fixture
def client(stage: Stage, api: Api) -> Api:
    return Api(stage.app, api._runner, TENANT)


def key(session: Any) -> dict[str, str]:
    return {"coordinationUuid": session.coordination_uuid, "sessionUuid": session.session_uuid}


def reasons(client: Api, session: Any) -> dict[str, Any]:
    """Return why each agent does not run, by agent."""
    found = data(client, "session", f"{{ sessionAgents {WHY} }}", **key(session))["sessionAgents"]
    return {each["agentUuid"]: each["whyNotRunning"] for each in found}


def codes(client: Api, session: Any) -> dict[str, str]:
    return {name: why["code"] for name, why in reasons(client, session).items()}


# Why it is not running


def test_a_session_explains_itself_from_its_start_to_its_end(stage: Stage, client: Api) -> None:
    session = stage.start(
        stage.define({"a": "", "b": "a", "c": "b"}, actions={"b": {"user_in_the_loop": "ann"}})
    )
    assert codes(client, session) == {
        "a": "WAITS_FOR_WORKER",
        "b": "WAITS_FOR_PREDECESSORS",
        "c": "WAITS_FOR_PREDECESSORS",
    }
    stage.drain()
    found = reasons(client, session)
    assert found["a"]["code"] == "COMPLETED"
    assert found["b"]["code"] == "WAITS_FOR_USER"
    assert found["b"]["message"] == "It waits for the answer of ann, in the inbox."
    assert found["b"]["details"]["user"] == "ann"
    assert found["c"] == {
        "code": "WAITS_FOR_PREDECESSORS",
        "message": "It waits for 1 unfinished predecessor: b (waits for ann).",
        "until": None,
        "waitsFor": [{"agentUuid": "b"}],
        "details": {"unfinished": 1},
    }
    agent = stage.agent(session.session_uuid, "b")
    data(
        client,
        "executeForUserInput",
        sessionUuid=session.session_uuid,
        sessionAgentUuid=agent.session_agent_uuid,
        userInput="yes",
    )
    assert codes(client, session)["b"] == "WAITS_FOR_WORKER"
    stage.drain()
    assert codes(client, session) == {"a": "COMPLETED", "b": "COMPLETED", "c": "COMPLETED"}


def test_a_paused_a_cancelled_and_a_failed_session_explain_themselves(
    stage: Stage, client: Api
) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    data(client, "pauseSession", "{ session { status } }", **key(session))
    found = reasons(client, session)
    assert (found["a"]["code"], found["a"]["details"]["then"]) == ("PAUSED", "WAITS_FOR_WORKER")
    assert (found["b"]["code"], found["b"]["details"]["then"]) == (
        "PAUSED",
        "WAITS_FOR_PREDECESSORS",
    )
    data(client, "cancelSession", "{ session { status } }", **key(session))
    assert set(codes(client, session).values()) == {"CANCELLED"}
    stage.runtime.behaviours["a"] = failing("no idea")
    failed = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    found = reasons(client, failed)
    assert found["a"]["code"] == "FAILED"
    assert found["a"]["message"].startswith("It has failed (no idea")
    assert found["b"]["code"] == "SKIPPED"


def test_a_skip_says_which_condition_or_function_led_elsewhere(stage: Stage, client: Api) -> None:
    stage.runtime.behaviours["a"] = lambda request: '{"ok": false}'
    stage.actions.functions["shop.act"] = lambda request: ActionResult(successors=["c"])
    act = {"action_function": {"module_name": "shop", "function_name": "act"}}
    graph = {"a": "", "b": "a", "c": "a", "d": "c", "e": "c"}
    actions = {
        "a": act,
        "d": {"conditions": {"c": "ok == `true`"}},
        "e": {"conditions": {"c": "ok == `false`"}},
    }
    stage.runtime.behaviours["c"] = lambda request: '{"ok": false}'
    session = stage.start(
        stage.define(graph, agents={"a": {"agent_name": "Triage"}}, actions=actions)
    )
    stage.drain()
    found = reasons(client, session)
    assert {name: why["code"] for name, why in found.items()} == {
        **dict.fromkeys("ace", "COMPLETED"),
        **dict.fromkeys("bd", "SKIPPED"),
    }
    assert found["b"]["message"] == "It was skipped: the action function of Triage chose others."
    assert (
        found["d"]["message"]
        == 'It was skipped: the condition "ok == `true`" on the output of c was not met.'
    )


def test_a_session_whose_rerun_died_says_that_it_is_being_set_back(
    stage: Stage, client: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()

    def die(*key: str) -> None:
        raise Crash

    monkeypatch.setattr(restart, "reconcile_session", die)
    with pytest.raises(Crash):
        rerun(stage, session, "b")
    found = reasons(client, session)
    assert {name: (why["code"], why["details"]) for name, why in found.items()} == dict.fromkeys(
        "ab", ("RESTARTING", {"untilThen": "COMPLETED"})
    )
    assert found["a"]["until"] == "2026-11-02T09:01:00+00:00"
    stage.clock.advance(1000)
    sweep(stage.app)
    assert codes(client, session) == {"a": "COMPLETED", "b": "WAITS_FOR_WORKER"}


def test_elements_of_a_map_have_their_place(stage: Stage, client: Api) -> None:
    stage.runtime.behaviours["a"] = lambda request: "[1, 2, 3]"
    session = stage.start(stage.define({"a": "", "m": "a"}, actions={"m": {"map": {"over": "a"}}}))
    stage.drain()
    fields = "{ sessionAgents { agentUuid sessionAgentUuid mapIndex mapSessionAgentUuid } }"
    found = data(client, "session", fields, **key(session))["sessionAgents"]
    uuid = {
        each["agentUuid"]: each["sessionAgentUuid"] for each in found if each["mapIndex"] is None
    }
    places = sorted(
        (each["agentUuid"], each["mapIndex"] or 0, each["mapSessionAgentUuid"] or "")
        for each in found
    )
    assert places == sorted(
        [("a", 0, ""), ("m", 0, ""), *(("m", index, uuid["m"]) for index in range(3))]
    )


def test_a_backoff_a_lease_and_a_long_job_say_until_when(stage: Stage, client: Api) -> None:
    seen: list[Any] = []

    def look(request: AgentRequest) -> AgentResult:
        session = request.session_uuid
        agent = {"sessionUuid": session, "sessionAgentUuid": request.session_agent_uuid}
        fields = "{ state attempt leaseUntil dueAt notBefore whyNotRunning { code until } }"
        seen.append(data(client, "sessionAgent", fields, **agent))
        return AgentResult("", async_task_uuid=f"job-{session}", heartbeat_seconds=3600)

    stage.runtime.behaviours["a"] = look
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    (running,) = seen
    assert (running["state"], running["attempt"], running["whyNotRunning"]["code"]) == (
        "executing",
        1,
        "EXECUTING",
    )
    assert running["leaseUntil"] == running["whyNotRunning"]["until"] == "2026-11-02T09:00:45+00:00"
    found = reasons(client, session)["a"]
    assert (found["code"], found["until"]) == ("WAITS_FOR_ASYNC_TASK", "2026-11-02T10:00:00+00:00")
    assert found["details"] == {"asyncTaskUuid": f"job-{session.session_uuid}"}
    stage.clock.advance(60)
    heartbeat(stage.app, TENANT, f"job-{session.session_uuid}")
    assert reasons(client, session)["a"]["until"] == "2026-11-02T10:01:00+00:00"
    agent = data(
        client,
        "sessionAgent",
        "{ dueAt }",
        sessionUuid=session.session_uuid,
        sessionAgentUuid=stage.agent(session.session_uuid, "a").session_agent_uuid,
    )
    assert agent == {"dueAt": "2026-11-02T10:00:00+00:00"}


@pytest.mark.parametrize(
    ("error", "code"),
    [(Unavailable("later"), "WAITS_FOR_BACKEND"), (ValueError("a bug"), "INTERNAL_ERROR")],
)
def test_an_attempt_whose_lease_was_expired_is_held_until_no_time(
    error: Exception, code: str, stage: Stage, client: Api
) -> None:
    def refuse(request: AgentRequest) -> AgentResult:
        raise error

    stage.runtime.behaviours["a"] = refuse
    session = stage.start(stage.define({"a": ""}))
    with pytest.raises(type(error)):
        stage.drain()
    agent = {
        "sessionUuid": session.session_uuid,
        "sessionAgentUuid": stage.agent(session.session_uuid, "a").session_agent_uuid,
    }
    found = data(client, "sessionAgent", "{ leaseUntil whyNotRunning { code } }", **agent)
    assert found == {"leaseUntil": None, "whyNotRunning": {"code": code}}


def test_the_reasons_of_many_agents_are_read_together(stage: Stage, client: Api) -> None:
    graph = {
        **{f"a{number}": "" for number in range(12)},
        **{f"b{number}": [f"a{number}"] for number in range(12)},
    }
    session = stage.start(stage.define(graph))
    stage.requests.clear()
    found = reasons(client, session)
    assert len(found) == 24
    # the session, its agents; the session again for the reasons; whom they wait for
    assert stage.requests == {"GetItem": 1, "Query": 1, "BatchGetItem": 2}


def test_a_wide_join_is_counted_where_its_edges_are_kept(stage: Stage, client: Api) -> None:
    many, subtasks = crowd(150)
    session = stage.start(stage.define({**dict.fromkeys(many, ""), "z": many}, subtasks=subtasks))
    agent = stage.agent(session.session_uuid, "z")
    query = {"sessionUuid": session.session_uuid, "sessionAgentUuid": agent.session_agent_uuid}
    found = data(
        client,
        "sessionAgent",
        "{ inDegree whyNotRunning { code message waitsFor { agentUuid } } }",
        **query,
    )
    assert found["inDegree"] == 150
    why = found["whyNotRunning"]
    assert (why["code"], len(why["waitsFor"])) == ("WAITS_FOR_PREDECESSORS", 10)
    assert why["message"].startswith("It waits for 150 unfinished predecessors: m")
    assert why["message"].endswith(", and 140 more.")


def test_an_agent_of_a_client_is_not_the_engines_to_run(client: Api) -> None:
    session = SESSION.put(client, COORDINATION_CASE.put(client, {}))
    agent = SESSION_AGENT.put(client, session)
    found = data(
        client,
        "sessionAgent",
        WHY,
        sessionUuid=session["sessionUuid"],
        sessionAgentUuid=agent["sessionAgentUuid"],
    )
    assert found["whyNotRunning"]["code"] == "NOT_PLANNED"


# The definition


def test_a_session_shows_what_it_was_started_with_whatever_changed_since(
    stage: Stage, client: Api
) -> None:
    names = stage.define(
        {"a-1": "", "b_2": ["a-1"]},
        agents={
            "a-1": {"agent_name": "Reader", "policy": {"max_backoff_seconds": 5}},
            "spare": {"My-Key": {"x_y": 1}},
        },
        actions={
            "b_2": {"policy": {"attempts": 2}, "fallback": "spare", "conditions": {"a-1": "`true`"}}
        },
        subtasks=[
            {"agent_uuid": "a-1", "subtask_query": "read {what}"},
            {"agent_uuid": "a-1", "subtask_query": "more"},
        ],
        query='{"what": "it all"}',
        on_failure="continue",
    )
    session = stage.start(names)
    action = {"primaryPath": True, "userInTheLoop": None, "predecessors": [], "actionFunction": {}}
    expected = {
        "agents": [
            {"agentUuid": "a-1", "agentName": "Reader", "policy": {"maxBackoffSeconds": 5}},
            {"agentUuid": "b_2"},
            {"agentUuid": "spare", "My-Key": {"x_y": 1}},
        ],
        "agentActions": {
            "a-1": action,
            "b_2": {
                **action,
                "predecessors": ["a-1"],
                "policy": {"attempts": 2},
                "fallback": "spare",
                "conditions": {"a-1": "`true`"},
            },
        },
        "subtaskQueries": [
            {"agentUuid": "a-1", "subtaskQuery": "read it all"},
            {"agentUuid": "a-1", "subtaskQuery": "more"},
        ],
        "onFailure": "continue",
    }
    assert data(client, "session", "{ definition }", **key(session)) == {"definition": expected}
    coordination, task = names
    stage.app.records.write(
        COORDINATION,
        TENANT,
        (TENANT, coordination),
        lambda *_: {"agents": [{"agent_uuid": "x"}]},
        parent_key=None,
    )
    stage.app.records.write(
        TASK,
        TENANT,
        (coordination, task),
        lambda *_: {"agent_actions": {}, "on_failure": None},
        parent_key=None,
    )
    stage.drain()
    assert data(client, "session", "{ definition }", **key(session)) == {"definition": expected}


def test_the_elements_of_a_map_are_no_part_of_the_definition(stage: Stage, client: Api) -> None:
    stage.runtime.behaviours["a"] = lambda request: "[1, 2, 3]"
    session = stage.start(stage.define({"a": "", "m": "a"}, actions={"m": {"map": {"over": "a"}}}))
    stage.drain()
    assert len(stage.agents(session.session_uuid)) == 5
    found = data(client, "session", "{ definition }", **key(session))["definition"]
    assert [each["agentUuid"] for each in found["agents"]] == ["a", "m"]
    assert found["agentActions"]["m"]["map"] == {"over": "a"}
    assert found["subtaskQueries"] == []
    assert found["onFailure"] == "fail_fast"


def test_large_definitions_are_read_once(app: App, api: Api) -> None:
    stage = stage_of(app)
    client = Api(stage.app, api._runner, TENANT)
    big = {f"a{number}": {"agent_description": "x" * 5000} for number in range(3)}
    subtasks = [
        {"agent_uuid": name, "subtask_query": f"{name} {index}"}
        for name in big
        for index in range(5)
    ]
    session = stage.start(stage.define(dict.fromkeys(big, ""), agents=big, subtasks=subtasks))
    gets: list[str] = []
    get = stage.blobs.get
    stage.blobs.get = lambda name: gets.append(name) or get(name)  # type: ignore[method-assign,func-returns-value]
    found = data(client, "session", "{ definition }", **key(session))["definition"]
    assert (len(found["agents"]), len(found["subtaskQueries"])) == (3, 15)
    assert len(gets) == len(set(gets)) == 3


def test_a_session_by_hand_has_no_definition(client: Api) -> None:
    session = SESSION.put(client, COORDINATION_CASE.put(client, {}))
    SESSION_AGENT.put(client, session)
    uuids = {name: session[name] for name in ("coordinationUuid", "sessionUuid")}
    assert data(client, "session", "{ definition }", **uuids) == {"definition": None}


# What an agent was given


def test_the_input_is_worked_out_again_when_it_is_asked_for(stage: Stage, client: Api) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    fields = "{ sessionAgents { agentUuid agentInput } }"
    before = data(client, "session", fields, **key(session))["sessionAgents"]
    assert [each["agentInput"] for each in before] == [None, None]
    stage.drain()
    after = data(client, "session", fields, **key(session))["sessionAgents"]
    assert [each["agentInput"] for each in after] == ["begin", "Output of a:\nA\n\nbegin"]


def test_a_client_is_told_why_nothing_moves(
    stage: Stage, client: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = stage.start(
        stage.define(
            {"a": ""}, actions={"a": {"retry": {"max_attempts": 2, "interval_seconds": 60}}}
        )
    )
    stage.runtime.behaviours["a"] = failing("overloaded", retryable=True)
    found = stage.agent(session.session_uuid, "a")
    run_step(stage.app, wake(found))
    agent = views.agent(found.session_agent_uuid)
    with Client("http://unused") as told:
        monkeypatch.setattr(
            told, "execute", lambda document, variables: client.data(document, **variables)
        )
        (explained,) = told.with_reasons(
            views.view([agent], session_uuid=session.session_uuid)
        ).agents
    reason = reasons(client, session)["a"]
    assert explained == replace(agent, why=Why(reason["code"], reason["message"]))
    assert reason["message"].startswith("Attempt 1 failed (overloaded); the next begins at ")


# The graph


EDGES = "{ sessionAgents { agentUuid sessionAgentUuid state successors } }"


def edges(client: Api, session: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Return the edges that start at each agent: the successor, the condition and the outcome."""
    found = data(client, "session", EDGES, **key(session))["sessionAgents"]
    names = {each["sessionAgentUuid"]: each["agentUuid"] for each in found}
    return {
        each["agentUuid"]: [
            (names[edge["sessionAgentUuid"]], edge["condition"], edge["outcome"])
            for edge in each["successors"]
        ]
        for each in found
    }


def test_a_session_shows_its_edges_and_their_outcomes(stage: Stage, client: Api) -> None:
    session = stage.start(
        stage.define(
            {"a": "", "b": "a", "c": "a", "d": "c"},
            actions={
                "b": {"conditions": {"a": "@ == `1`"}},
                "c": {"conditions": {"a": "@ == `2`"}},
            },
        )
    )
    assert edges(client, session) == {
        "a": [("b", "@ == `1`", None), ("c", "@ == `2`", None)],
        "b": [],
        "c": [("d", None, None)],
        "d": [],
    }
    stage.runtime.behaviours["a"] = lambda _: "1"
    stage.drain()
    assert edges(client, session) == {
        "a": [("b", "@ == `1`", "passes"), ("c", "@ == `2`", "unsatisfied")],
        "b": [],
        "c": [("d", None, "unsatisfied")],
        "d": [],
    }


def test_a_session_tells_the_phases_of_its_agents_and_whom_it_waits_for(
    stage: Stage, client: Api
) -> None:
    people = {"a": "ann", "b": "bob", "c": "ann"}
    actions = {name: {"user_in_the_loop": person} for name, person in people.items()}
    session = stage.start(stage.define({"a": "", "b": "", "c": "", "d": "a"}, actions=actions))
    selection = "{ waitsFor sessionAgents { agentUuid phase } }"
    before = data(client, "session", selection, **key(session))
    assert before["waitsFor"] == []
    assert {each["agentUuid"]: each["phase"] for each in before["sessionAgents"]} == {
        "a": "asking",
        "b": "asking",
        "c": "asking",
        "d": "waiting for predecessors",
    }
    stage.drain()
    after = data(client, "session", selection, **key(session))
    assert after["waitsFor"] == ["ann", "bob"]
    assert [each["phase"] for each in after["sessionAgents"]] == [
        *["waiting for a person"] * 3,
        "waiting for predecessors",
    ]
