"""The arguments of an exposed task: their JSON Schema, and the query that they make.

The arguments are the keys of a query that is a JSON object. Their names are those of the
placeholders in the task's subtasks that only the query can fill, and the keys of the task's own
query, which are defaults. If there are none, the one argument `query` is the whole query.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.budget import MAX_WORK, Budget
from ai_coordination_engine.domain.placeholders import fill, query_keys
from ai_coordination_engine.domain.scope import Scope
from ai_coordination_engine.engine.graph.session_agents import Plan, filled_subtasks
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Task

# Cold start: `json_schema` is imported when the first arguments are checked.
# ruff: noqa: PLC0415

QUERY = "query"
"""The argument of a task without placeholders; with other arguments, the task's own query."""
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (str, "string"),
    (int, "integer"),
    (float, "number"),
    (list, "array"),
    (dict, "object"),
)


def schema_of(task: Task, plan: Plan) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the arguments, from the placeholders of the task."""
    own = task.initial_task_query or ""
    defaults = query_keys(own)
    properties: dict[str, Any] = {}
    for placeholder in _placeholders(plan, own):
        name, dot, _ = placeholder[1:-1].partition(".")
        kind = {"type": "object" if dot else "string"}
        is_other = name in properties and properties[name] != kind
        properties[name] = {} if is_other else kind  # used as a whole, and by a path
    for name, value in defaults.items():
        properties[name] = {**_type_of(value), "default": value}
    needed = [name for name in properties if name not in defaults]
    if not properties:
        properties[QUERY] = {"type": "string", **({"default": own} if own else {})}
        needed = [] if own else [QUERY]
    return {
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
    }


def query_of(task: Task, plan: Plan, arguments: Mapping[str, Any]) -> str:
    """The query of a session with these arguments, which conform to the schema.

    The task's own query is filled in: its keys where it is an object, its placeholders where it is
    a text. Raises `BadUserInput` if it becomes too large.
    """
    own = task.initial_task_query or ""
    if defaults := query_keys(own):
        return json_text.dumps({**defaults, **arguments})
    if not arguments:
        return own
    in_query, in_subtasks = _names(_in_query(own)), _names(_in_subtasks(plan, own))
    if not in_query and not in_subtasks and [*arguments] == [QUERY]:
        return str(arguments[QUERY])
    if not in_query:
        return json_text.dumps(dict(arguments))
    text = "".join(map(str, fill(own, Scope.of([arguments])).parts))
    if not in_subtasks and in_query.issuperset(arguments):
        return text
    return json_text.dumps({QUERY: text, **arguments})


def check(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raise `BadUserInput` if the arguments do not conform to the schema."""
    from ai_coordination_engine.domain import json_schema

    (problem,) = json_schema.problems(
        schema,
        [dict(arguments)],
        Budget(MAX_WORK),
        what="the arguments",
        by="the schema",
    )
    if problem is not None:
        raise BadUserInput(f"The arguments do not conform to the schema: {problem}.")


def _placeholders(plan: Plan, own: str) -> list[str]:
    """The placeholders that only arguments can fill, as written, each once."""
    return [*dict.fromkeys([*_in_query(own), *_in_subtasks(plan, own)])]


def _in_query(own: str) -> Iterator[str]:
    """Those of the task's own query, if it is a text."""
    if "{" in own and not query_keys(own):
        yield from fill(own, Scope.of([])).missing


def _in_subtasks(plan: Plan, own: str) -> Iterator[str]:
    for each in filled_subtasks(plan, own):
        yield from each.missing


def _names(placeholders: Iterator[str]) -> set[str]:
    return {each[1:-1].partition(".")[0] for each in placeholders}


def _type_of(value: object) -> dict[str, str]:
    return next(({"type": name} for each, name in _TYPES if isinstance(value, each)), {})
