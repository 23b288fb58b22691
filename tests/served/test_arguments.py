"""The JSON Schema of an exposed task, and the query that its arguments make."""

import json
from typing import Any

import pytest

from ai_coordination_engine.engine.planning.start import plan_of
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.served import arguments
from ai_coordination_engine.store.models import Coordination, Task

TEXT = {"type": "string"}
AGENTS = [{"agent_uuid": "w", "agent_name": "writer"}, {"agent_uuid": "e", "agent_name": "editor"}]


def read(query: str | None, /, *subtasks: str, **given: Any) -> dict[str, Any]:
    """Return the schema, and the query that `given` makes of it."""
    coordination = Coordination("t", "c", agents=AGENTS)
    task = Task(
        "c",
        "t",
        initial_task_query=query,
        subtask_queries=[
            {"agent_uuid": uuid, "subtask_query": text}
            for uuid, text in zip("we", subtasks, strict=False)
        ],
        agent_actions={"e": {"predecessors": ["w"]}} if len(subtasks) > 1 else None,
    )
    plan = plan_of(coordination, task)
    schema = arguments.schema_of(task, plan)
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    return {
        "properties": schema["properties"],
        "required": schema["required"],
        "query": arguments.query_of(task, plan, given),
    }


def test_without_placeholders_the_argument_is_the_query() -> None:
    assert read(None, query="all of it") == {
        "properties": {"query": TEXT},
        "required": ["query"],
        "query": "all of it",
    }


def test_the_query_of_the_task_is_the_default() -> None:
    asked = {"properties": {"query": {**TEXT, "default": "news"}}, "required": []}
    assert read("news") == {**asked, "query": "news"}
    assert read("news", query="olds") == {**asked, "query": "olds"}


def test_placeholders_that_only_a_query_can_fill_are_arguments() -> None:
    found = read(None, "On {topic} for {who.name}", "Shorten {writer} to {n}", topic="x", n="3")
    assert found["properties"] == {"topic": TEXT, "who": {"type": "object"}, "n": TEXT}
    assert found["required"] == ["topic", "who", "n"]
    assert json.loads(found["query"]) == {"topic": "x", "n": "3"}


def test_a_name_that_is_used_as_a_whole_and_by_a_path_may_be_anything() -> None:
    assert read(None, "{who} and {who.name}")["properties"] == {"who": {}}


def test_the_keys_of_the_tasks_own_query_are_defaults() -> None:
    found = read('{"n": 3, "topic": "a", "deep": {"x": 1}}', "{topic} {n} {more}", n=4, more="m")
    assert found["properties"] == {
        "more": TEXT,
        "n": {"type": "integer", "default": 3},
        "topic": {**TEXT, "default": "a"},
        "deep": {"type": "object", "default": {"x": 1}},
    }
    assert found["required"] == ["more"]
    assert json.loads(found["query"]) == {"n": 4, "topic": "a", "deep": {"x": 1}, "more": "m"}


def test_the_placeholders_of_a_query_that_is_a_text_are_filled_into_it() -> None:
    found = read("Write on {topic} in {{braces}}", topic="{who}")
    assert found == {
        "properties": {"topic": TEXT},
        "required": ["topic"],
        "query": "Write on {who} in {braces}",
    }


def test_a_text_that_is_filled_stays_beside_the_arguments_of_subtasks() -> None:
    found = read("On {topic}", "Style: {style}", topic="x", style="dry")
    assert [*found["properties"]] == ["topic", "style"]
    assert json.loads(found["query"]) == {"query": "On x", "topic": "x", "style": "dry"}


def test_a_placeholder_that_is_called_query_is_one_among_others() -> None:
    assert json.loads(read(None, "Do {query}", query="it")["query"]) == {"query": "it"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "'topic' is a required property"),
        ({"topic": 3}, "3 is not of type 'string'"),
        ({"topic": "a", "tpic": "b"}, "('tpic' was unexpected)"),
    ],
)
def test_arguments_that_do_not_conform_are_refused(given: dict[str, Any], problem: str) -> None:
    schema = {
        "type": "object",
        "properties": {"topic": TEXT},
        "required": ["topic"],
        "additionalProperties": False,
    }
    with pytest.raises(BadUserInput) as refused:
        arguments.check(schema, given)
    assert refused.value.message.startswith("The arguments do not conform to the schema: at $")
    assert problem in refused.value.message
