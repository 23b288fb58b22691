import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_coordination_engine.domain.shapes import (
    Agent,
    AgentAction,
    parse_agent_action,
    parse_agent_actions,
    parse_agents,
    parse_subtask_queries,
    stored_list,
    stored_map,
)
from ai_coordination_engine.errors import BadUserInput

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
KNOWN = {
    name for field, info in {**Agent.model_fields, **AgentAction.model_fields}.items() for name in (field, info.alias)
}
UNKNOWN = st.dictionaries(st.text().filter(lambda key: key not in KNOWN), JSON, max_size=5)


def text(value: Any) -> str:
    """Tells `1` from `1.0` and `true`, which `==` does not."""
    return json.dumps(value, sort_keys=True)


@given(UNKNOWN)
def test_keys_that_the_schema_does_not_know_come_back_byte_for_byte(unknown: dict[str, Any]) -> None:
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
    assert agent.wire() == {"agentUuid": "a", "agentName": "A", "agentDescription": "d", "agentType": "triage"}


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


@pytest.mark.parametrize("secret", ["apiKey", "API_KEY", "api-key", "Authorization", "token", "baseUrl", "password"])
def test_a_runtime_holds_no_secret(secret: str) -> None:
    with pytest.raises(BadUserInput, match=rf"agents\[0\].runtime: .*{secret} does not belong in a record"):
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
        ([{}], r"^agents\[0\].agentUuid: Field required\.$"),
        ([{"agentUuid": ""}], r"^agents\[0\].agentUuid: "),
        ([{"agentUuid": "x" * 257}], r"^agents\[0\].agentUuid: "),
        ([{"agentUuid": 5}], r"^agents\[0\].agentUuid: "),
        ([{"agentUuid": "a"}, {"agentUuid": "b", "agentType": "boss"}], r"^agents\[1\].agentType: "),
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
    assert caught.value.message.count("Field required") == 5


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ([], r"^agentActions: "),
        ({"a": None}, r"^agentActions.a: "),
        ({"a": {"predecessors": "b"}}, r"^agentActions.a.predecessors: "),
        ({"a": {"predecessors": [1]}}, r"^agentActions.a.predecessors\[0\]: "),
        ({"a": {"primaryPath": "perhaps"}}, r"^agentActions.a.primaryPath: "),
        ({"a": {"actionFunction": None}}, r"^agentActions.a.actionFunction: "),
    ],
)
def test_a_wrong_action_is_named_with_its_agent(actions: Any, words: str) -> None:
    if actions == []:
        assert parse_agent_actions(actions) == {}  # nothing is nothing, whatever its brackets
        return
    with pytest.raises(BadUserInput, match=words):
        parse_agent_actions(actions)
