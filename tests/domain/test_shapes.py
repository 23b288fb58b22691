import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.domain.shapes import (
    Agent,
    AgentAction,
    MapRule,
    Policy,
    parse_agent_action,
    parse_agent_actions,
    parse_agents,
    parse_subtask_queries,
    stored_list,
    stored_map,
    unknown_keys,
)
from ai_coordination_engine.errors import BadUserInput

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
KNOWN = {
    name
    for shape in (Agent, AgentAction, Policy, MapRule)
    for field, info in shape.model_fields.items()
    for name in (field, info.alias)
}
UNKNOWN = st.dictionaries(st.text().filter(lambda key: key not in KNOWN), JSON, max_size=5)


def text(value: Any) -> str:
    """Tells `1` from `1.0` and `true`, which `==` does not."""
    return json.dumps(value, sort_keys=True)


@given(UNKNOWN)
def test_keys_that_the_schema_does_not_know_come_back_byte_for_byte(
    unknown: dict[str, Any],
) -> None:
    (agent,) = parse_agents([{"agentUuid": "a", **unknown}])
    assert text(agent.stored()) == text({"agent_uuid": "a", **unknown})
    assert text(Agent.model_validate(agent.stored()).wire()) == text({"agentUuid": "a", **unknown})


@given(st.dictionaries(st.text(), UNKNOWN, max_size=3))
def test_the_keys_of_agent_actions_are_data(actions: dict[str, Any]) -> None:
    stored = stored_map(parse_agent_actions(actions))
    assert text(stored) == text(actions)


@pytest.mark.parametrize(
    "given",
    [
        {"agentUuid": "a", "agentName": "A", "agentDescription": "d", "agentType": "triage"},
        {"agent_uuid": "a", "agent_name": "A", "agent_description": "d", "agent_type": "triage"},
        {"agent_uuid": "a", "agentName": "A", "agent_description": "d", "agentType": "triage"},
    ],
)
def test_keys_of_the_schema_come_in_either_case(given: dict[str, Any]) -> None:
    (agent,) = parse_agents([given])
    assert agent.stored() == {
        "agent_uuid": "a",
        "agent_name": "A",
        "agent_description": "d",
        "agent_type": "triage",
    }
    assert agent.wire() == {
        "agentUuid": "a",
        "agentName": "A",
        "agentDescription": "d",
        "agentType": "triage",
    }


def test_nested_shapes_change_their_own_keys_only() -> None:
    runtime = {
        "kind": "http",
        "max_tokens": 5,
        "url": "https://x",
        "headers": {"X-Max_Tokens": "max_tokens"},
        "maxTokens2": 1,
    }
    (agent,) = parse_agents([{"agentUuid": "a", "runtime": runtime}])
    assert agent.stored()["runtime"] == runtime
    assert agent.wire()["runtime"] == {
        "kind": "http",
        "maxTokens": 5,
        "url": "https://x",
        "headers": {"X-Max_Tokens": "max_tokens"},
        "maxTokens2": 1,
    }


def test_only_what_was_given_is_stored() -> None:
    assert stored_list(parse_agents([{"agentUuid": "a", "agentName": None}])) == [
        {"agent_uuid": "a", "agent_name": None}
    ]
    assert stored_list(parse_subtask_queries([{"agent_uuid": "a"}])) == [{"agent_uuid": "a"}]


def test_an_action_is_completed_with_the_defaults_of_the_contract() -> None:
    assert parse_agent_action({}).complete() == {
        "primary_path": True,
        "user_in_the_loop": None,
        "predecessors": [],
        "action_function": {},
    }
    given = {
        "primaryPath": False,
        "userInTheLoop": "ann",
        "predecessors": ["b"],
        "actionFunction": {"moduleName": "m", "function_name": "f", "X-y": 1},
        "note_Of": {"my_key": 1},
    }
    assert parse_agent_action(given).complete() == {
        "primary_path": False,
        "user_in_the_loop": "ann",
        "predecessors": ["b"],
        "action_function": {"module_name": "m", "function_name": "f", "X-y": 1},
        "note_Of": {"my_key": 1},
    }


def test_the_rules_of_an_action_are_kept_as_they_were_given() -> None:
    given = {
        "predecessors": ["A-1_b"],
        "join": "quorum",
        "quorum": 1,
        "conditions": {"A-1_b": "max_score > `1`"},
        "map": {"over": "A-1_b", "items": "x", "join": "all_terminal", "my_key": 1},
        "policy": {"attempts": 5, "backoffSeconds": 0.5, "retryOn": ["timeout"], "x_Y": None},
        "fallback": "c_d",
        "answerSchema": {
            "type": "object",
            "properties": {"first_name": {"maxLength": 3}, "lastName": {}},
        },
        "answerWithinSeconds": 60,
        "defaultAnswer": '{"first_name": "x"}',
    }
    action = parse_agent_action(given)
    stored = {
        **{
            name: given[name]
            for name in ("predecessors", "join", "quorum", "conditions", "map", "fallback")
        },
        "policy": {"attempts": 5, "backoff_seconds": 0.5, "retry_on": ["timeout"], "x_Y": None},
        "answer_schema": given["answerSchema"],
        "answer_within_seconds": 60,
        "default_answer": given["defaultAnswer"],
    }
    assert text(action.wire()) == text(given)
    assert text(action.stored()) == text(stored)
    defaults = {"primary_path": True, "user_in_the_loop": None, "action_function": {}}
    assert text(action.complete()) == text({**defaults, **stored})
    assert text(AgentAction.model_validate(action.complete()).wire()) == text(
        {"primaryPath": True, "userInTheLoop": None, "actionFunction": {}, **given}
    )


@given(UNKNOWN, UNKNOWN)
def test_schemas_and_unknown_keys_of_rules_are_data(
    schema: dict[str, Any], unknown: dict[str, Any]
) -> None:
    action = parse_agent_action(
        {"answerSchema": schema, "policy": unknown, "map": {"over": "a", **unknown}}
    )
    for kept in (action.stored()["answer_schema"], action.wire()["answerSchema"]):
        assert text(kept) == text(schema)
    for kept in (action.stored()["policy"], action.wire()["policy"]):
        assert text(kept) == text(unknown)


def test_an_agent_may_have_a_policy() -> None:
    (agent,) = parse_agents([{"agentUuid": "a", "policy": {"timeoutSeconds": 5}}])
    assert agent.stored() == {"agent_uuid": "a", "policy": {"timeout_seconds": 5}}
    assert agent.policy is not None
    assert agent.policy.timeout_seconds == 5


@pytest.mark.parametrize(
    ("key", "accepted", "refused"),
    [
        ("attempts", [1, 100], [-1, 0, 101, 1.5, True, "3", None]),
        (
            "backoffSeconds",
            [0, 0.5, 900],
            [-1, 900.5, True, "1", float("nan"), float("inf"), 10**400, None],
        ),
        ("backoffFactor", [1, 10], [0.9, 10.1, True, None]),
        ("maxBackoffSeconds", [0, 900], [-0.1, 901, None]),
        ("timeoutSeconds", [0.1, 840], [0, -1, 841, None]),
        ("retryOn", [[], ["timeout", "rate_limit"]], ["timeout", ["late"], [1], None]),
        ("heartbeatSeconds", [1, 2_592_000], [0, 0.5, 2_592_001, None]),
    ],
)
def test_a_policy_is_within_its_bounds(key: str, accepted: list[Any], refused: list[Any]) -> None:
    for value in accepted:
        assert parse_agent_action({"policy": {key: value}}).wire() == {"policy": {key: value}}
    for value in refused:
        with pytest.raises(BadUserInput, match=rf"^agentAction\.policy(\.{key}.*)?: "):
            parse_agent_action({"policy": {key: value}})


def test_minus_one_attempts_are_refused_with_the_place() -> None:
    with pytest.raises(BadUserInput) as caught:
        parse_agent_actions({"a-1": {"policy": {"attempts": -1}}})
    assert (
        caught.value.message
        == "agentActions.a-1.policy.attempts: must be greater than or equal to 1."
    )


@pytest.mark.parametrize(
    "secret", ["apiKey", "API_KEY", "api-key", "Authorization", "token", "baseUrl", "password"]
)
def test_a_runtime_holds_no_secret(secret: str) -> None:
    with pytest.raises(
        BadUserInput, match=rf"agents\[0\].runtime: .*{secret} does not belong in a record"
    ):
        parse_agents([{"agentUuid": "a", "runtime": {"kind": "openai", secret: "hush"}}])


def test_a_message_does_not_repeat_a_secret() -> None:
    with pytest.raises(BadUserInput) as caught:
        parse_agents([{"agentUuid": "a", "runtime": {"kind": "openai", "apiKey": "hush"}}])
    assert "hush" not in caught.value.message


@pytest.mark.parametrize(
    ("agents", "words"),
    [
        ("a", r"^agents: "),
        ([None], r"^agents\[0\]: "),
        ([{}], r"^agents\[0\].agentUuid: is needed\.$"),
        ([{"name": "a"}], r"^agents\[0\].agentUuid: is needed\.$"),
        (
            [{"agentUUid": "a"}],
            r'^agents\[0\].agentUuid: is needed; the key "agentUUid" is not read\.$',
        ),
        ([{"agent": "a"}], r'^agents\[0\].agentUuid: is needed; the key "agent" is not read\.$'),
        ([{"agentUuid": ""}], r"^agents\[0\].agentUuid: "),
        ([{"agentUuid": "x" * 257}], r"^agents\[0\].agentUuid: "),
        ([{"agentUuid": 5}], r"^agents\[0\].agentUuid: "),
        (
            [{"agentUuid": "a"}, {"agentUuid": "b", "agentType": "boss"}],
            r"^agents\[1\].agentType: ",
        ),
        ([{"agentUuid": "a", "runtime": {}}], r"^agents\[0\].runtime.kind: "),
        ([{"agentUuid": "a", "runtime": {"kind": "magic"}}], r"^agents\[0\].runtime.kind: "),
        ([{"agentUuid": "a"}, {"agent_uuid": "a"}], r"^agents: agentUuid 'a' is given twice\.$"),
    ],
)
def test_a_wrong_agent_is_named_with_its_place(agents: Any, words: str) -> None:
    with pytest.raises(BadUserInput, match=words):
        parse_agents(agents)


def test_a_long_list_of_problems_is_cut() -> None:
    with pytest.raises(BadUserInput) as caught:
        parse_agents([{} for _ in range(1000)])
    assert caught.value.message.count("is needed") == 5


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ([], r"^agentActions: "),
        ({"a": None}, r"^agentActions.a: "),
        ({"a": {"predecessors": "b"}}, r"^agentActions.a.predecessors: "),
        ({"a": {"predecessors": [1]}}, r"^agentActions.a.predecessors\[0\]: "),
        ({"a": {"primaryPath": "perhaps"}}, r"^agentActions.a.primaryPath: "),
        ({"a": {"actionFunction": None}}, r"^agentActions.a.actionFunction: "),
        ({"a": {"join": "most"}}, r"^agentActions.a.join: "),
        ({"a": {"quorum": True}}, r"^agentActions.a.quorum: "),
        ({"a": {"conditions": ["b"]}}, r"^agentActions.a.conditions: "),
        ({"a": {"conditions": {"b": 5}}}, r"^agentActions.a.conditions.b: "),
        ({"a": {"map": {}}}, r"^agentActions.a.map.over: "),
        ({"a": {"map": {"over": "b", "join": "any"}}}, r"^agentActions.a.map.join: "),
        ({"a": {"fallback": 5}}, r"^agentActions.a.fallback: "),
        ({"a": {"answerWithinSeconds": "1"}}, r"^agentActions.a.answerWithinSeconds: "),
        ({"a": {"defaultAnswer": {}}}, r"^agentActions.a.defaultAnswer: "),
    ],
)
def test_a_wrong_action_is_named_with_its_agent(actions: Any, words: str) -> None:
    if actions == []:
        assert parse_agent_actions(actions) == {}  # nothing is nothing, whatever its brackets
        return
    with pytest.raises(BadUserInput, match=words):
        parse_agent_actions(actions)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({"a": 5}, "agentActions.a: must be an object."),
        ({"a": {"predecessors": "b"}}, "agentActions.a.predecessors: must be a list."),
        ({"a": {"predecessors": [1]}}, "agentActions.a.predecessors[0]: must be a text."),
        ({"a": {"primaryPath": "perhaps"}}, "agentActions.a.primaryPath: must be true or false."),
        ({"a": {"quorum": 1.5}}, "agentActions.a.quorum: must be a whole number."),
        ({"a": {"conditions": ["b"]}}, "agentActions.a.conditions: must be an object."),
        ({"a": {"map": {"over": ""}}}, "agentActions.a.map.over: must have at least 1 character."),
        (
            {"a": {"policy": {"backoffSeconds": True}}},
            "agentActions.a.policy.backoffSeconds: must be a number.",
        ),
        (
            {"a": {"policy": {"attempts": None}}},
            "agentActions.a.policy: attempts is null; leave it out.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words_of_json(actions: Any, message: str) -> None:
    with pytest.raises(BadUserInput) as caught:
        parse_agent_actions(actions)
    assert caught.value.message == message


def test_keys_that_the_schema_does_not_know_are_named_with_what_may_be_meant() -> None:
    action = parse_agent_action(
        {
            "predecessor": ["a"],
            "join": "all",
            "policy": {"attempt": 3, "x" * 101: 1},
            "actionFunction": {"module": "m"},
        }
    )
    (agent,) = parse_agents(
        [{"agentUuid": "a", "agent_nam": "A", "runtime": {"kind": "http", "url": "https://x"}}]
    )
    assert list(unknown_keys([("agentAction", action), ("agents[0]", agent)])) == [
        (
            'agentAction: the key "predecessor" is unknown, and kept without effect; did you mean'
            ' "predecessors"?'
        ),
        (
            'agentAction.actionFunction: the key "module" is unknown, and kept without effect; did'
            ' you mean "moduleName"?'
        ),
        (
            'agentAction.policy: the key "attempt" is unknown, and kept without effect; did you'
            ' mean "attempts"?'
        ),
        f'agentAction.policy: the key "{"x" * 100}" is unknown, and kept without effect.',
        (
            'agents[0]: the key "agent_nam" is unknown, and kept without effect; did you mean'
            ' "agent_name"?'
        ),
    ]
