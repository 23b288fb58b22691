"""Rules of a task over the API are returned as given, or refused without being half-written."""

import json
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import session_agents
from benchmarks.harness.api import Api
from tests.kit.api import data, error, send
from tests.kit.records import COORDINATION, SESSION, SESSION_AGENT, TASK, items
from tests.kit.stage import TENANT, stage_of

RULES = {
    "b-1": {
        "predecessors": ["a_1"],
        "join": "any",
        "conditions": {"a_1": "max_score > `5`"},
        "policy": {"attempts": 2, "backoffSeconds": 0.5, "retryOn": ["timeout"]},
        "fallback": "a_1",
        "userInTheLoop": "ann",
        "answerSchema": {
            "type": "object",
            "properties": {"first_name": {}, "lastName": {"type": "string"}},
        },
        "answerWithinSeconds": 60,
        "defaultAnswer": "{}",
    },
    "c": {"predecessors": ["a_1"], "map": {"over": "a_1", "items": "rows", "join": "all_terminal"}},
}


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def above(api: Api) -> Any:
    agents = [
        {"agentUuid": "a_1", "policy": {"maxBackoffSeconds": 5}},
        {"agentUuid": "b-1"},
        {"agentUuid": "c"},
    ]
    return COORDINATION.put(api, {}, agents=agents)


def test_rules_come_back_byte_for_byte(api: Api, above: Any) -> None:
    assert above["agents"][0] == {"agentUuid": "a_1", "policy": {"maxBackoffSeconds": 5}}
    task = TASK.put(api, above, agentActions=RULES, onFailure="continue")
    assert task["agentActions"] == RULES
    assert task["onFailure"] == "continue"
    read = TASK.get(api, task)
    assert (read["agentActions"], read["onFailure"]) == (RULES, "continue")


def test_snake_case_is_understood(api: Api, above: Any) -> None:
    given = {
        "b-1": {
            "answer_within_seconds": 5,
            "policy": {"max_backoff_seconds": 1},
            "answer_schema": {"a_b": 1},
        }
    }
    task = TASK.put(api, above, agentActions=given)
    assert task["agentActions"] == {
        "b-1": {
            "answerWithinSeconds": 5,
            "policy": {"maxBackoffSeconds": 1},
            "answerSchema": {"a_b": 1},
        }
    }


def test_on_failure_may_be_left_out_changed_and_taken_back(api: Api, above: Any) -> None:
    task = TASK.put(api, above)
    assert task["onFailure"] is None
    for word in ("continue", "fail_fast", None):
        changed = TASK.put(api, above, taskUuid=task["taskUuid"], onFailure=word)
        assert changed["onFailure"] == word


def test_an_unknown_word_for_on_failure_is_refused(api: Api, above: Any, app: App) -> None:
    before = items(app)
    for word in ("stop", ""):
        refused = error(api, "insertUpdateTask", **TASK.required, **key(above), onFailure=word)
        assert refused == {
            "code": "BAD_USER_INPUT",
            "message": f"onFailure {word!r} is unknown; it takes one of: fail_fast, continue.",
        }
    assert items(app) == before


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            {"conditions": {"a_1": "score >"}},
            "conditions.a_1: score > is not a valid JMESPath expression: Incomplete expression.",
        ),
        (
            {"conditions": {"c": "score"}},
            "conditions.c is not a predecessor of this agent; name one of its predecessors.",
        ),
        (
            {"map": {"over": "c"}},
            "map.over is not a predecessor of this agent; name one of its predecessors.",
        ),
        (
            {"map": {"over": "a_1"}, "userInTheLoop": "ann"},
            "map and userInTheLoop exclude each other; let another agent wait for the person.",
        ),
        (
            {"join": "quorum"},
            'quorum is needed for the join "quorum": how many predecessors must complete.',
        ),
        ({"quorum": 2}, 'quorum counts for the join "quorum" only; the join is "all".'),
        (
            {"fallback": "b-1"},
            "fallback is the agent itself; name another agent of the coordination.",
        ),
        ({"fallback": "nobody"}, "fallback is not an agent of the coordination: 'nobody'."),
        ({"policy": {"attempts": -1}}, "policy.attempts: must be greater than or equal to 1."),
        (
            {"answerSchema": {"pattern": "(a+)+$"}},
            (
                "answerSchema: the JSON Schema uses pattern, which is not supported: it can take"
                " too long."
            ),
        ),
        (
            {"answerSchema": {"type": "number"}, "defaultAnswer": "blue"},
            (
                "defaultAnswer: the answer does not conform to the answerSchema: at $, 'blue' is"
                " not of type 'number'."
            ),
        ),
        ({"answerWithinSeconds": 0}, "answerWithinSeconds must be from 1 to 31536000."),
    ],
)
def test_rules_that_cannot_work_are_refused_and_nothing_is_written(
    api: Api, above: Any, app: App, action: dict[str, Any], message: str
) -> None:
    task = TASK.put(api, above)
    before = items(app)
    given = {"b-1": {"predecessors": ["a_1"], **action}}
    for uuid in ({}, {"taskUuid": task["taskUuid"]}):
        refused = error(
            api, "insertUpdateTask", **TASK.required, **key(above), **uuid, agentActions=given
        )
        assert refused == {"code": "BAD_USER_INPUT", "message": f"agentActions.b-1.{message}"}
    assert items(app) == before


def test_rules_of_an_agent_that_is_dropped_are_not_looked_at(api: Api, above: Any) -> None:
    given = {"nobody": {"join": "quorum"}}
    answer = send(api, "insertUpdateTask", **TASK.required, **key(above), agentActions=given)
    assert answer["data"]["insertUpdateTask"]["task"]["agentActions"] == {}
    assert answer["extensions"]["warnings"] == [
        "agentActions: nobody is not an agent of the coordination; dropped."
    ]


def test_keys_without_effect_are_kept_with_a_warning(api: Api, above: Any) -> None:
    given = {"b-1": {"predecessor": ["a_1"], "defaultAnswer": "x"}, "nobody": {"jion": "any"}}
    answer = send(api, "insertUpdateTask", **TASK.required, **key(above), agentActions=given)
    assert answer["data"]["insertUpdateTask"]["task"]["agentActions"] == {"b-1": given["b-1"]}
    assert answer["extensions"]["warnings"] == [
        "agentActions: nobody is not an agent of the coordination; dropped.",
        (
            'agentActions.b-1: the key "predecessor" is unknown, and kept without effect; did you'
            ' mean "predecessors"?'
        ),
        "agentActions.b-1: without userInTheLoop there is no effect of defaultAnswer.",
    ]
    fine = {"b-1": {"predecessors": ["a_1"], "userInTheLoop": "ann", "defaultAnswer": "x"}}
    answer = send(api, "insertUpdateTask", **TASK.required, **key(above), agentActions=fine)
    assert "extensions" not in answer


def test_unknown_keys_are_warned_about_wherever_they_are_given(api: Api, above: Any) -> None:
    def warnings(field: str, **arguments: Any) -> Any:
        return send(api, field, **arguments)["extensions"]["warnings"]

    subtasks = [{"agentUuid": "a_1"}, {"agentUuid": "a_1", "subtask": "x"}]
    of_a_subtask = [
        'subtaskQueries[1]: the key "subtask" is unknown, and kept without effect; did you mean'
        ' "subtaskQuery"?'
    ]
    agents = [{"agentUuid": "a", "policy": {"attempt": 3}}]
    assert warnings("insertUpdateCoordination", updatedBy="ann", agents=agents) == [
        'agents[0].policy: the key "attempt" is unknown, and kept without effect; did you mean'
        ' "attempts"?'
    ]
    runtime = {"kind": "openai", "model": "m", "temprature": 0.1}
    assert warnings(
        "insertUpdateCoordination", updatedBy="ann", agents=[{"agentUuid": "a", "runtime": runtime}]
    ) == [
        'agents[0].runtime: the key "temprature" is not read by the kind "openai", and kept without'
        ' effect; did you mean "temperature"?'
    ]
    assert (
        warnings("insertUpdateTask", **TASK.required, **key(above), subtaskQueries=subtasks)
        == of_a_subtask
    )
    assert (
        warnings("insertUpdateSession", updatedBy="ann", **key(above), subtaskQueries=subtasks)
        == of_a_subtask
    )
    session = SESSION.put(api, above)
    parents = {name: session[name] for name in SESSION_AGENT.parents}
    action = {"jion": "any"}
    assert warnings(
        "insertUpdateSessionAgent", **SESSION_AGENT.required, **parents, agentAction=action
    ) == ['agentAction: the key "jion" is unknown, and kept without effect; did you mean "join"?']


def test_placeholders_without_a_value_are_warned_about_where_the_task_has_a_query(
    api: Api, above: Any
) -> None:
    given = {
        **TASK.required,
        **key(above),
        "subtaskQueries": [{"agentUuid": "a_1", "subtaskQuery": "{größe} {b}"}],
    }
    # the query comes with the start
    assert "extensions" not in send(api, "insertUpdateTask", **given)
    answer = send(api, "insertUpdateTask", **given, initialTaskQuery='{"b": 1}')
    (warning,) = answer["extensions"]["warnings"]
    assert warning.startswith("subtaskQueries: {größe} of agent ")
    refused = error(api, "insertUpdateTask", **given, placeholders="lax")
    assert refused["message"] == "placeholders 'lax' is unknown; it takes one of: warn, strict."


def test_a_task_is_checked_for_placeholders_no_further_than_a_start_would_fill_them(
    api: Api, above: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_agents, "MAX_WRITTEN", 100_000)
    texts = [f"{{b}} {{nothing{number}}}" for number in range(20)]
    subtasks = [{"agentUuid": "a_1", "subtaskQuery": text} for text in texts]
    query = json.dumps({"b": "x" * 30_000})
    given = {**TASK.required, **key(above), "subtaskQueries": subtasks, "initialTaskQuery": query}
    answer = send(api, "insertUpdateTask", **given)
    assert len(answer["extensions"]["warnings"]) == 3  # of the subtasks that fit; the task is saved


def test_warnings_of_one_kind_are_cut(api: Api) -> None:
    agents = [{"agentUuid": "a", **{f"k{number}": 1 for number in range(50)}}]
    answer = send(api, "insertUpdateCoordination", updatedBy="ann", agents=agents)
    assert len(answer["extensions"]["warnings"]) == 20


def test_a_session_agent_by_hand_takes_any_rules_that_can_work(api: Api, above: Any) -> None:
    session = SESSION.put(api, above)
    action = {
        "join": "any",
        "predecessors": ["x_y"],
        "conditions": {"x_y": "a"},
        "answerSchema": {"a_b": 1},
    }
    made = SESSION_AGENT.put(api, session, agentAction=action)
    defaults = {
        "primaryPath": True,
        "userInTheLoop": None,
        "predecessors": [],
        "actionFunction": {},
    }
    assert made["agentAction"] == {**defaults, **action}
    refused = error(
        api,
        "insertUpdateSessionAgent",
        **{**SESSION_AGENT.required, **{name: session[name] for name in SESSION_AGENT.parents}},
        agentAction={"policy": {"attempts": -1}},
    )
    assert refused == {
        "code": "BAD_USER_INPUT",
        "message": "agentAction.policy.attempts: must be greater than or equal to 1.",
    }


def test_an_agent_with_a_policy_out_of_bounds_is_refused(api: Api) -> None:
    agents = [{"agentUuid": "a", "policy": {"timeoutSeconds": 900}}]
    refused = error(api, "insertUpdateCoordination", updatedBy="ann", agents=agents)
    assert (
        refused["message"] == "agents[0].policy.timeoutSeconds: must be less than or equal to 840."
    )


def test_an_answer_must_conform_to_the_schema_and_may_be_corrected(app: App, api: Api) -> None:
    stage = stage_of(app)
    client = Api(stage.app, api._runner, TENANT)
    schema = {
        "type": "object",
        "required": ["colour"],
        "properties": {"colour": {"enum": ["red", "blue"]}},
    }
    actions = {"a": {"user_in_the_loop": "ann", "answer_schema": schema}}
    session = stage.start(stage.define({"a": ""}, actions=actions))
    stage.drain()
    agent = stage.agent(session.session_uuid, "a")
    waiting = {"sessionUuid": session.session_uuid, "sessionAgentUuid": agent.session_agent_uuid}
    refused = error(client, "executeForUserInput", **waiting, userInput='{"colour": "green"}')
    assert refused == {
        "code": "BAD_USER_INPUT",
        "message": (
            "the answer does not conform to the answerSchema: at $.colour, 'green' is not one of "
            "['red', 'blue']."
        ),
    }
    assert stage.agent(session.session_uuid, "a").serialize() == agent.serialize()
    assert data(client, "executeForUserInput", **waiting, userInput='{"colour": "blue"}') == {
        "ok": True
    }
    stage.drain()
    assert stage.session(session).status == "completed"


def key(above: Any) -> dict[str, Any]:
    return {"coordinationUuid": above["coordinationUuid"]}


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            {"answerSchema": {"pattern": "(a+)+$"}},
            "answerSchema: the JSON Schema uses pattern, which is not supported",
        ),
        ({"answerSchema": {"type": "text"}}, "answerSchema: it is not a JSON Schema: at $.type"),
        ({"answer_schema": [1]}, "answerSchema: a JSON Schema is an object."),
        (
            {"answerSchema": {"type": "boolean"}, "defaultAnswer": "perhaps"},
            "defaultAnswer: the answer does not",
        ),
        ({"join": "quorum"}, 'quorum is needed for the join "quorum"'),
        (
            {"predecessors": ["a_1"], "conditions": {"a_1": "b["}},
            "conditions.a_1: b[ is not a valid JMESPath expression",
        ),
        ({"conditions": {"a_1": "b"}}, "conditions.a_1 is not a predecessor of this agent"),
        ({"map": {"over": "a_1"}}, "map.over is not a predecessor of this agent"),
        (
            {"predecessors": [f"p{number}" for number in range(101)]},
            "predecessors names 101 agents; it takes at most 100.",
        ),
        ({"answerWithinSeconds": 0}, "answerWithinSeconds must be from 1 to 31536000."),
    ],
)
def test_an_action_that_is_written_by_hand_is_checked_like_that_of_a_task(
    api: Api, above: Any, action: Any, message: str
) -> None:
    session = SESSION.put(api, above)
    made = SESSION_AGENT.put(api, session, agentUuid="b-1")
    new = {
        "sessionUuid": session["sessionUuid"],
        "coordinationUuid": session["coordinationUuid"],
        "agentUuid": "b-1",
    }
    for agent in (new, {**new, "sessionAgentUuid": made["sessionAgentUuid"]}):
        refused = error(
            api, "insertUpdateSessionAgent", **agent, agentAction=action, updatedBy="me"
        )
        assert refused["code"] == "BAD_USER_INPUT"
        assert refused["message"].startswith(f"agentAction.{message}")
    assert SESSION_AGENT.get(api, made)["agentAction"] == made["agentAction"]


def test_predecessors_are_a_set_that_comes_back_as_it_was_given(api: Api, above: Any) -> None:
    given = {"b-1": {"predecessors": ["a_1"] * 500, "join": "any"}}
    assert TASK.put(api, above, agentActions=given)["agentActions"] == given


def test_an_agent_waits_for_at_most_a_hundred_others(api: Api) -> None:
    uuids = [f"p{number}" for number in range(101)]
    above = COORDINATION.put(api, {}, agents=[{"agentUuid": each} for each in [*uuids, "z"]])
    TASK.put(api, above, agentActions={"z": {"predecessors": uuids[:100]}})
    given = {"z": {"predecessors": uuids}}
    refused = error(api, "insertUpdateTask", **TASK.required, **key(above), agentActions=given)
    assert (
        refused["message"] == "agentActions.z.predecessors names 101 agents; it takes at most 100."
    )


def test_a_planned_task_is_returned_as_given(api: Api, above: Any) -> None:
    said = {"plan": True, "planLimits": {"steps": 5, "attempts": 1}, "planFallback": "static"}
    task = TASK.put(api, above, **said)
    assert {name: TASK.get(api, task)[name] for name in said} == said


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"planFallback": "run"}, "planFallback 'run' is unknown; it takes one of: fail, static."),
        (
            {"planLimits": {"steps": 0}},
            "planLimits.steps must be a whole number from 1 to 90.",
        ),
        ({"planLimits": 3}, "planLimits must be an object, for example {steps: 20}."),
    ],
)
def test_what_a_plan_cannot_be_is_refused(
    api: Api, above: Any, said: dict[str, Any], message: str
) -> None:
    refused = error(api, "insertUpdateTask", **TASK.required, **key(above), **said)
    assert refused == {"code": "BAD_USER_INPUT", "message": message}


def test_an_exposed_task_is_returned_in_camel_case_until_it_is_set_to_null(
    api: Api, above: Any
) -> None:
    schema = {"type": "object", "properties": {"some_key": {"type": "string"}}}
    said = {"name": "report", "as": ["mcp"], "inputSchema": schema}
    task = TASK.put(api, above, exposeAs=said)
    assert TASK.get(api, task)["exposeAs"] == said
    TASK.put(api, above, taskUuid=task["taskUuid"], exposeAs={"name": "report"})  # its own name
    assert TASK.get(api, task)["exposeAs"] == {"name": "report", "as": ["mcp", "a2a"]}
    refused = error(api, "insertUpdateTask", **TASK.required, **key(above), exposeAs=said)
    assert refused["code"] == "CONFLICT"
    assert refused["message"].startswith("exposeAs.name: report is taken by the task")
    TASK.put(api, above, taskUuid=task["taskUuid"], exposeAs=None)
    assert TASK.get(api, task)["exposeAs"] is None
    TASK.put(api, above, exposeAs=said)


def test_what_cannot_be_exposed_is_refused(api: Api, above: Any) -> None:
    refused = error(
        api, "insertUpdateTask", **TASK.required, **key(above), exposeAs={"name": "a b"}
    )
    assert refused["code"] == "BAD_USER_INPUT"
    assert refused["message"].startswith("exposeAs.name must have 1 to 128 characters")


AGENTS = [{"agentUuid": "p", "agentType": "planning"}, {"agentUuid": "a"}]
NO_FALLBACK = (
    "planFallback: static has no effect: the task has no subtaskQueries and no agentActions of its"
    " own to run instead of a plan."
)


def warnings_of(api: Api, **given: Any) -> list[str]:
    answer = send(api, "insertUpdateTask", **TASK.required, **given)
    found: list[str] = answer.get("extensions", {}).get("warnings", [])
    return found


@pytest.mark.parametrize(
    ("agents", "said", "expected"),
    [
        (AGENTS, {"plan": True}, []),
        (AGENTS[1:], {"plan": False}, []),
        (
            AGENTS[1:],
            {"plan": True},
            [
                'plan: the coordination has no agent with agentType: "planning" or "decompose";'
                " until it has one, a start is refused."
            ],
        ),
        (AGENTS, {"plan": True, "planFallback": "static"}, [NO_FALLBACK]),
        (
            AGENTS,
            {
                "plan": True,
                "planFallback": "static",
                "subtaskQueries": [{"agentUuid": "p", "subtaskQuery": "plan"}],
            },
            [NO_FALLBACK],
        ),
        (
            AGENTS,
            {
                "plan": True,
                "planFallback": "static",
                "subtaskQueries": [{"agentUuid": "a", "subtaskQuery": "own"}],
            },
            [],
        ),
        (AGENTS, {"plan": True, "planFallback": "static", "agentActions": {"a": {}}}, []),
    ],
)
def test_a_task_that_nobody_plans_or_that_has_nothing_to_fall_back_on_warns(
    api: Api, agents: Any, said: dict[str, Any], expected: list[str]
) -> None:
    above = COORDINATION.put(api, {}, agents=agents)
    assert warnings_of(api, **key(above), **said) == expected


def test_a_task_that_is_planned_from_now_on_warns_too(api: Api) -> None:
    task = TASK.put(api, COORDINATION.put(api, {}, agents=AGENTS[1:]))
    found = warnings_of(api, **key(task), plan=True)
    assert [each.partition(";")[0] for each in found] == [
        'plan: the coordination has no agent with agentType: "planning" or "decompose"'
    ]
