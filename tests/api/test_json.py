"""`JSONCamelCase` from the document to the database and back: data returns byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_coordination_engine.engine.app import App
from benchmarks.harness.api import Api
from tests.kit.api import data
from tests.kit.records import COORDINATION, SESSION, SESSION_AGENT, TASK, World

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    0.5,
    1.0,
    -0.0,
    1e300,
    5e-324,
    2**53 + 1,
    10**40,
    "",
    " ",
    "1",
    "true",
    "@blob:x",
    "\u0000\u001f\u007f",
    "é\u0301 ß 中文 \u202e\ufeff",
    "👩‍👩‍👧 😀",
    "\n\t\"'\\/",
    [],
    {},
    [[], {}, [None]],
    {"": {"": ""}},
    {
        " ": 1,
        "valid-1": 1,
        "API_KEY": 1,
        "agentA1-Bc": 1,
        "aPIKEY": 1,
        "snake_case": 1,
        "camelCase": 1,
    },
    {"é": 1, "😀": 2, "a.b": 3, "$ref": 4, "@type": 5, "0": 6, "__proto__": 7, "null": 8},
]


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def world(api: Api) -> World:
    return World(api)


def text(value: Any) -> str:
    """Return a text that distinguishes `1`, `1.0` and `true`, and the order of keys."""
    return json.dumps(value)


def answered(api: Api, source: str, **variables: Any) -> Any:
    """Return the only leaf of a response."""
    answer = api.data(source, **variables)
    while isinstance(answer, dict) and len(answer) == 1:
        (answer,) = answer.values()
    return answer


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_free_form_json_comes_back_byte_for_byte(value: Any, api: Api, world: World) -> None:
    given = [value, {"inside": value}]
    made = SESSION.put(api, world, inputFiles=given)
    assert text(made["inputFiles"]) == text(given)
    assert text(SESSION.get(api, made)["inputFiles"]) == text(given)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_keys_that_no_shape_knows_come_back_byte_for_byte(
    value: Any, api: Api, world: World
) -> None:
    agent = {"agentUuid": "a", "x": value, "my_Own-Key": {"agent_uuid": value, "agentName": value}}
    made = COORDINATION.put(api, {}, agents=[agent])
    assert text(COORDINATION.get(api, made)["agents"]) == text([agent])
    action = {"predecessors": [], "x": value, "PRIMARY_path": value}
    task = TASK.put(
        api, made, agentActions={"a": action}, subtaskQueries=[{"agentUuid": "a", "x_Y": value}]
    )
    found = TASK.get(api, task)
    assert text(found["agentActions"]) == text({"a": action})
    assert text(found["subtaskQueries"]) == text([{"agentUuid": "a", "x_Y": value}])
    of_session = SESSION_AGENT.put(api, world, agentAction={"x": value})["agentAction"]
    assert text(of_session["x"]) == text(value)


@pytest.mark.parametrize(
    "uuid", ["valid-1", "API_KEY", "agentA1-Bc", "agent_uuid", "é😀", "a b", "primaryPath", "0"]
)
def test_an_agents_uuid_as_a_key_is_data(uuid: str, api: Api) -> None:
    made = COORDINATION.put(api, {}, agents=[{"agentUuid": uuid}, {"agentUuid": "other"}])
    actions = {uuid: {"predecessors": ["other"]}, "other": {}}
    task = TASK.put(api, made, agentActions=actions, subtaskQueries=[{"agentUuid": uuid}])
    found = TASK.get(api, task)
    assert (found["agentActions"], found["subtaskQueries"]) == (actions, [{"agentUuid": uuid}])


def test_keys_of_the_schema_come_in_either_case_and_go_out_in_camel_case(
    api: Api, world: World
) -> None:
    made = COORDINATION.put(
        api,
        {},
        agents=[
            {"agent_uuid": "a", "agent_name": "A", "runtime": {"kind": "openai", "max_tokens": 5}}
        ],
    )
    assert made["agents"] == [
        {"agentUuid": "a", "agentName": "A", "runtime": {"kind": "openai", "maxTokens": 5}}
    ]
    action = {
        "primary_path": False,
        "user_in_the_loop": "ann",
        "action_function": {"module_name": "m", "functionName": "f"},
    }
    camel = {
        "primaryPath": False,
        "userInTheLoop": "ann",
        "actionFunction": {"moduleName": "m", "functionName": "f"},
    }
    assert TASK.put(api, made, agentActions={"a": action})["agentActions"] == {"a": camel}
    subtasks = [{"agent_uuid": "a", "subtask_query": "q"}]
    assert TASK.put(api, made, subtaskQueries=subtasks)["subtaskQueries"] == [
        {"agentUuid": "a", "subtaskQuery": "q"}
    ]
    assert SESSION_AGENT.put(api, world, agentAction=action)["agentAction"] == {
        "predecessors": [],
        **camel,
    }


def test_what_is_stored_is_in_snake_case(api: Api, app: App) -> None:
    made = COORDINATION.put(api, {}, agents=[{"agentUuid": "a", "agentName": "A", "xY": 1}])
    (item,) = [each for each in app.records.tables.values() if each.name.endswith("coordinations")]
    stored = item.get(api.tenant, (api.tenant, made["coordinationUuid"]))
    assert stored is not None
    assert stored.agents == [{"agent_uuid": "a", "agent_name": "A", "xY": 1}]


def test_literals_in_the_document_and_variables_inside_them(api: Api) -> None:
    source = """mutation($name: String, $whole: JSONCamelCase, $absent: JSONCamelCase,
        $uuid: String = "b") {
      insertUpdateCoordination(updatedBy: "me", agents: [
        {agentUuid: "a", agent_name: $name,
          n: [1, 1.0, 1e3, -0.0, 12345678901234567890, true, null, WORD],
         API_KEY: $whole, gone: $absent, text: "\\u00e9 \\u{1F600}", block: \"\"\"  a
           b\"\"\", empty: {}, nested: {list: [[{x: $whole}]]}},
        {agentUuid: $uuid}, $whole]) { coordination { agents } } }"""
    whole = {"agentUuid": "valid-1", "snake_key": {"a-b": 1}}
    assert text(answered(api, source, name="A", whole=whole)) == text(
        [
            {
                "agentUuid": "a",
                "agentName": "A",
                "n": [1, 1.0, 1000.0, -0.0, 12345678901234567890, True, None, "WORD"],
                "API_KEY": whole,
                "gone": None,
                "text": "é 😀",
                "block": "  a\nb",
                "empty": {},
                "nested": {"list": [[{"x": whole}]]},
            },
            {"agentUuid": "b"},
            whole,
        ]
    )


def test_one_object_stands_for_a_list_of_one(api: Api) -> None:
    source = """mutation($agents: [JSONCamelCase]) { insertUpdateCoordination(updatedBy: "me",
        agents: $agents) {
      coordination { agents } } }"""
    assert answered(api, source, agents={"agentUuid": "a"}) == [{"agentUuid": "a"}]
    inline = (
        'mutation { insertUpdateCoordination(updatedBy: "me", agents: {agentUuid: "a"}) {'
        " coordination { agents } } }"
    )
    assert answered(api, inline) == [{"agentUuid": "a"}]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=JSON)
def test_any_json_survives_the_way_there_and_back(value: Any, api: Api) -> None:
    uuid = COORDINATION.put(api, {}, agents=[{"agentUuid": "a", "value": value}])[
        "coordinationUuid"
    ]
    found = data(api, "coordination", "{ agents }", coordinationUuid=uuid)["agents"]
    assert text(found) == text([{"agentUuid": "a", "value": value}])
