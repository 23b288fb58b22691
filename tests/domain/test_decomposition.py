import json
from typing import Any

import pytest

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.decomposition import Decomposition, Subtasks, planning_of
from ai_coordination_engine.domain.planning import Planning
from ai_coordination_engine.domain.structured import Unfit

STORED: dict[str, Any] = {
    "agents": [
        {"agent_uuid": "a", "agent_name": "Ann", "agent_description": "Searches."},
        {"agent_uuid": "b"},
    ],
    "actions": {"b": {"predecessors": ["a"]}},
    "limits": {"attempts": 2},
    "subtasks": [{"agent_uuid": "b", "subtask_query": "First draft"}, {"agent_uuid": "b"}],
    "order": ["a", "b", "b"],
}
A, B, C = (
    {"agentUuid": uuid, "subtaskQuery": text}
    for uuid, text in (("a", "Find {topic}"), ("b", "Write it"), ("b", "Check it"))
)


def read(answer: object) -> Subtasks:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return Decomposition.of(STORED).read(text)


def unfit(answer: object) -> tuple[str, ...]:
    with pytest.raises(Unfit) as caught:
        read(answer)
    return caught.value.problems


def test_what_is_stored_comes_back_as_what_it_was() -> None:
    found = planning_of(STORED)
    assert isinstance(found, Decomposition)
    assert found.stored() == STORED
    plain = {name: each for name, each in STORED.items() if name != "order"}
    assert type(planning_of(plain)) is Planning


def test_the_agent_is_told_who_runs_who_waits_and_what_was_drafted() -> None:
    lines = Decomposition.of(STORED).structured().orders.splitlines()
    assert [each for each in lines if each.startswith("- ")] == [
        "- a: Ann. Searches.",
        "- b: no description. It waits for a. A draft of its subtask: First draft",
        "- b: no description. It waits for a",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        {"subtaskQueries": [A, B, C]},
        {"schema": "ace.subtasks/1", "subtaskQueries": [A, B, C], "cannotDo": None},
        {"subtaskQueries": [A, B, C], "cannotDo": " "},
        f"Here you are:\n```json\n{json.dumps({'subtaskQueries': [A, B, C]})}\n```",
    ],
)
def test_a_subtask_is_read_for_each_agent_whatever_stands_around(answer: object) -> None:
    found = read(answer)
    assert [(each.agent_uuid, each.subtask_query) for each in found.queries] == [
        ("a", "Find {topic}"),
        ("b", "Write it"),
        ("b", "Check it"),
    ]
    assert found.wire() == {
        "schema": "ace.subtasks/1",
        "subtaskQueries": [A, B, C],
        "cannotDo": None,
    }


def test_an_agent_may_say_that_it_cannot_be_done() -> None:
    assert read({"cannotDo": " nobody can "}) == Subtasks((), "nobody can")


@pytest.mark.parametrize(
    ("answer", "problems"),
    [
        ({}, ["a has 0 entries; it needs 1", "b has 0 entries; it needs 2"]),
        ({"subtaskQueries": [A, B]}, ["b has 1 entries; it needs 2"]),
        ({"subtaskQueries": [A, A, B, C]}, ["a has 2 entries; it needs 1"]),
    ],
)
def test_each_agent_needs_as_many_subtasks_as_it_runs(answer: object, problems: list[str]) -> None:
    assert unfit(answer) == tuple(f"at /subtaskQueries, {each}" for each in problems)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (
            {"subtaskQueries": [A, B, {"agentUuid": "x", "subtaskQuery": "q"}]},
            "at /subtaskQueries/2/agentUuid, 'x' is not one of ['a', 'b']",
        ),
        (
            {"subtaskQueries": [A, B, {"agentUuid": "b", "subtaskQuery": " "}]},
            "at /subtaskQueries/2/subtaskQuery, it is empty",
        ),
        (
            {"subtaskQueries": [A, B, {"agentUuid": "b", "subtaskQuery": None}]},
            "at /subtaskQueries/2/subtaskQuery, None is not of type 'string'",
        ),
        (
            {"subtaskQueries": [A, B, {"agentUuid": "b"}]},
            "at /subtaskQueries/2, 'subtaskQuery' is a required property",
        ),
        (
            {"subtaskQueries": [A, B, {**C, "runtime": {"kind": "http"}}]},
            "at /subtaskQueries/2, Additional properties are not allowed ('runtime' was"
            " unexpected)",
        ),
        ({"subtaskQueries": {"a": "q"}}, "at /subtaskQueries, {'a': 'q'} is not of type 'array'"),
        ([A, B, C], f"at /, {[A, B, C]} is not of type 'object'"),
        ("Ann does it.", 'it is not valid JSON; it begins: "Ann does it."'),
        ("x" * 262_145, "at /, it has 262145 characters; it may have 262144"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(answer: object, problem: str) -> None:
    assert unfit(answer)[0] == problem


def test_every_object_of_the_schema_names_all_of_its_keys() -> None:
    schema = Decomposition.of(STORED).structured().schema
    subtask = schema["properties"]["subtaskQueries"]["items"]
    for each in (schema, subtask):
        assert each["required"] == list(each["properties"])
        assert each["additionalProperties"] is False
    assert subtask["properties"]["agentUuid"]["enum"] == ["a", "b"]


def test_reading_has_its_price() -> None:
    with pytest.raises(Unfit, match="takes too long"):
        Decomposition.of(STORED).structured().read('{"cannotDo": "no"}', Budget(1))
