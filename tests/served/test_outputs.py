"""Which tasks have one output with a schema."""

from typing import Any

import pytest

from ai_coordination_engine.engine.planning.start import plan_of
from ai_coordination_engine.served import outputs
from ai_coordination_engine.store.models import Coordination, Task

OBJECT = {"type": "object"}
BY_FORMAT = {"response_format": {"type": "json_schema", "json_schema": {"schema": OBJECT}}}


def schema_of(runtime: dict[str, Any], action: dict[str, Any], *others: str) -> object:
    described = {"kind": "openai", **runtime}
    agents = [{"agent_uuid": "a", "runtime": described}, *({"agent_uuid": each} for each in others)]
    task = Task("c", "t", agent_actions={"a": {"predecessors": [], **action}})
    return outputs.schema_of(plan_of(Coordination("t", "c", agents=agents), task))


@pytest.mark.parametrize("runtime", [{"output_schema": OBJECT}, BY_FORMAT])
def test_one_sink_that_answers_by_a_schema_gives_the_task_its_schema(
    runtime: dict[str, Any],
) -> None:
    assert schema_of(runtime, {}) == OBJECT


@pytest.mark.parametrize(
    ("runtime", "action", "others"),
    [
        ({}, {}, ()),
        ({"output_schema": {"type": "string"}}, {}, ()),
        ({"output_schema": "text"}, {}, ()),
        ({"response_format": {"type": "json_object"}}, {}, ()),
        ({"output_schema": OBJECT}, {"fallback": "z"}, ("z",)),
        ({"output_schema": OBJECT}, {"action_function": {"function_name": "f"}}, ()),
    ],
)
def test_what_else_may_be_answered_has_none(
    runtime: dict[str, Any], action: dict[str, Any], others: tuple[str, ...]
) -> None:
    assert schema_of(runtime, action, *others) is None
