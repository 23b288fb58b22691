from typing import Any

import pytest

from ai_coordination_engine.domain import known
from ai_coordination_engine.domain.known import ANYTHING, NOTHING, of_kinds, of_output, of_schema
from ai_coordination_engine.domain.shapes import parse_agent_action, parse_agents

BOOLEAN = {"type": "boolean"}
ANSWER = {"kind": "function", "name": "answer"}
MODEL = {"kind": "openai", "responseFormat": {"type": "json_object"}}
BY_SCHEMA = {
    "kind": "openai",
    "response_format": {"type": "json_schema", "json_schema": {"schema": BOOLEAN}},
}


@pytest.mark.parametrize(
    ("runtime", "action", "expected"),
    [
        (None, {}, ANYTHING),
        (MODEL, {}, of_kinds("object")),
        (BY_SCHEMA, {}, of_kinds("boolean")),
        (BY_SCHEMA, {"fallback": "b"}, ANYTHING),
        (BY_SCHEMA, {"actionFunction": {"moduleName": "m", "functionName": "f"}}, ANYTHING),
        (BY_SCHEMA, {"map": {"over": "b"}}, of_kinds("array")),
        (ANSWER, {"answerSchema": BOOLEAN}, of_kinds("boolean")),
        (ANSWER, {"answerSchema": {"type": ["string", "null"]}}, ANYTHING),  # 5 is a text, too
        (ANSWER, {}, ANYTHING),
        ({"kind": "function", "name": "echo"}, {"answerSchema": BOOLEAN}, ANYTHING),
        ({"kind": "openai", "response_format": "json"}, {}, ANYTHING),
        ({"kind": "openai", "response_format": {"type": "json_schema"}}, {}, ANYTHING),
    ],
)
def test_what_is_known_of_an_output(
    runtime: Any, action: dict[str, Any], expected: known.Known
) -> None:
    (agent,) = parse_agents([{"agentUuid": "a", "runtime": runtime}])
    assert of_output(agent, parse_agent_action(action)) == expected


@pytest.mark.parametrize(
    ("schema", "admitted", "refused"),
    [
        ({"type": "integer"}, [1, -1], ["1", None, True]),
        ({"type": ["array", "null"]}, [[], None], [{}]),
        ({"enum": ["a", 1]}, ["a", 1], [True, "b", None]),
        ({"const": None}, [None], [False]),
        ({"type": "string", "enum": ["a", 1]}, ["a"], [1]),
        ({"anyOf": [{"type": "string"}]}, ["a", 1, None], []),
        ({"type": "color"}, ["a", 1], []),
        (True, ["a", None], []),
        (False, [], ["a", None]),
    ],
)
def test_what_a_schema_admits(schema: object, admitted: list[Any], refused: list[Any]) -> None:
    found = of_schema(schema)
    assert [found.admits(each) for each in (*admitted, *refused)] == [
        *[True] * len(admitted),
        *[False] * len(refused),
    ]


def test_a_member_may_be_absent_unless_it_is_required() -> None:
    schema = {
        "type": "object",
        "properties": {"a": BOOLEAN, "b": BOOLEAN, "c": {"enum": [1]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    found = of_schema(schema)
    assert [sorted(found.member(name).kinds) for name in "abcd"] == [
        ["boolean"],
        ["boolean", "null"],
        ["null", "number"],
        ["null"],
    ]
    assert found.member("c").admits(None)
    anything = of_schema({"properties": {"a": BOOLEAN}, "required": ["a"]})
    assert sorted(anything.member("a").kinds) == ["boolean", "null"]
    assert anything.member("d") == ANYTHING
    assert of_kinds("array").member("a") == of_kinds("null")


def test_a_schema_of_any_depth_is_read() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(10_000):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    assert of_schema(schema).member("a").kinds == {"object"}


def test_nothing_admits_nothing() -> None:
    assert not NOTHING.admits(None)
