"""Parse the JSON values of the contract: agents, subtask queries, agent actions.

Known keys are accepted in camelCase or snake_case, stored in snake_case and returned in camelCase.
Unknown keys are data: they are stored and returned unchanged.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from math import isfinite
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from ai_coordination_engine.domain.ids import is_plain
from ai_coordination_engine.domain.policies import ERROR_CLASSES
from ai_coordination_engine.domain.runtimes import check_kind
from ai_coordination_engine.domain.secrets import refuse_secrets
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.errors import BadUserInput

_QUOTED = re.compile("'([^']+)'")
_PREAMBLE = re.compile("^(?:Value error, |((?:Input|String|List|Value) should ))")
_WRONG = {
    "missing": "is needed",
    "extra_forbidden": "is unknown",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
}


class Shape(BaseModel):
    """A JSON object with known keys (the model's fields) and any others."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True
    )

    @model_validator(mode="before")
    @classmethod
    def _is_spelled_once(cls, value: object) -> object:
        """Raise `ValueError` if a key is given in both spellings: the field has one value."""
        if not isinstance(value, dict):
            return value
        for name, setting in cls.model_fields.items():
            if name != setting.alias and name in value and setting.alias in value:
                raise ValueError(f"{setting.alias} is given twice, also as {name}")
        return value

    def stored(self) -> dict[str, object]:
        """The given keys in snake_case, as they are stored."""
        return self.model_dump(exclude_unset=True)

    def wire(self) -> dict[str, object]:
        """The given keys in camelCase, as clients get them."""
        return self.model_dump(exclude_unset=True, by_alias=True)


class Runtime(Shape):
    """How an agent is executed; the runtime of that `kind` reads the other keys."""

    kind: Annotated[str, AfterValidator(check_kind)]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: object = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    additional_model_request_fields: object = None
    long_job: object = None
    output_schema: object = None
    output_mode: object = None
    max_requests: object = None
    max_tool_calls: object = None
    max_total_tokens: object = None

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        """Raise `ValueError` for endpoints and API keys: they belong in the server's settings."""
        refuse_secrets(self.__pydantic_extra__ or {})
        return self


def _number(value: object) -> object:
    """Return a number unchanged; raise `ValueError` for a bool, NaN, infinity or another type."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not isfinite(value)):
        raise ValueError("must be a number")
    return value


def _error_class(value: str) -> str:
    if value not in ERROR_CLASSES:
        raise ValueError(
            f"{value[:100]!r} is not an error class{did_you_mean(value, ERROR_CLASSES) or ';'}"
            f" it takes {', '.join(ERROR_CLASSES)}"
        )
    return value


Number = Annotated[Any, PlainValidator(_number)]
Whole = Annotated[int, Field(strict=True)]


class Policy(Shape):
    """Retries and time limits of an agent, in seconds. Missing keys fall back to the settings."""

    attempts: Annotated[Whole, Field(ge=1, le=100)] | None = None
    backoff_seconds: Annotated[Number, Field(ge=0, le=900)] | None = None
    backoff_factor: Annotated[Number, Field(ge=1, le=10)] | None = None
    max_backoff_seconds: Annotated[Number, Field(ge=0, le=900)] | None = None
    timeout_seconds: Annotated[Number, Field(gt=0, le=840)] | None = None
    retry_on: list[Annotated[str, AfterValidator(_error_class)]] | None = None
    heartbeat_seconds: Annotated[Number, Field(ge=1, le=2_592_000)] | None = None

    @model_validator(mode="after")
    def _has_no_null(self) -> Self:
        """Raise `ValueError` for a null: it would replace a value when policies are merged."""
        for name in type(self).model_fields:
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{to_camel(name)} is null; leave it out")
        return self


def _an_id(text: str) -> str:
    if not is_plain(text):
        raise ValueError("must hold printable characters alone, and no space at its ends")
    return text


class Agent(Shape):
    """An agent of a coordination."""

    agent_uuid: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_an_id)]
    agent_name: str | None = None
    agent_description: str | None = None
    agent_type: Literal["task", "triage", "decompose", "planning"] | None = None
    runtime: Runtime | None = None
    policy: Policy | None = None

    @property
    def label(self) -> str:
        """The agent's name, else its uuid; for messages."""
        return self.agent_name or self.agent_uuid

    @property
    def gives_answer(self) -> bool:
        """Whether the agent is the built-in function `answer`: its output is a person's answer."""
        runtime = self.runtime.stored() if self.runtime else {}
        return (runtime.get("kind"), runtime.get("name")) == ("function", "answer")


class SubtaskQuery(Shape):
    """A query for one agent; an agent may have several."""

    agent_uuid: str = Field(min_length=1, max_length=256)
    subtask_query: str | None = None


class ActionFunction(Shape):
    """The name of the function that runs on an agent's output."""

    module_name: str | None = None
    function_name: str | None = None


class MapRule(Shape):
    """Runs the agent once for each element of a list.

    The list is the output of the predecessor `over`, or what `items` (a JMESPath) finds in it.
    """

    over: str = Field(min_length=1, max_length=256)
    items: str | None = None
    join: Literal["all", "all_terminal"] = "all"


class AgentAction(Shape):
    """The action of an agent: its predecessors, its join, its person, its failure policy.

    `rules.check_rules` checks whether its keys fit together. `plan_step` is written by the engine:
    the step of a plan (`domain.plan_graph`).
    """

    predecessors: list[str] = []
    primary_path: bool = True
    user_in_the_loop: str | None = None
    action_function: ActionFunction = ActionFunction()
    join: Literal["all", "any", "quorum", "all_terminal"] = "all"
    quorum: Whole | None = None
    conditions: dict[str, str] | None = None
    map: MapRule | None = None
    policy: Policy | None = None
    fallback: str | None = None
    answer_schema: object = None
    answer_within_seconds: Number | None = None
    default_answer: str | None = None
    plan_step: object = None

    def complete(self) -> dict[str, object]:
        """The stored form of the action, with the contract's defaults for missing keys."""
        return {
            "primary_path": self.primary_path,
            "user_in_the_loop": self.user_in_the_loop,
            "predecessors": list(self.predecessors),
            "action_function": self.action_function.stored(),
            **self.stored(),
        }


class Usage(Shape):
    """The usage of an attempt, in the form that its runtime reports."""

    input_tokens: object = None
    output_tokens: object = None
    total_tokens: object = None
    cached_tokens: object = None
    cache_write_tokens: object = None
    reasoning_tokens: object = None
    tool_calls: object = None


class ToolCall(Shape):
    """A call of a tool; its arguments and its result are the caller's own JSON."""

    name: object = None
    outcome: object = None
    started_at: object = None
    duration_ms: object = None
    arguments: object = None
    result: object = None
    truncated: object = None


class AsyncTask(Shape):
    """The details of an attempt, stored in a session run."""

    status: object = None
    attempt: object = None
    started_at: object = None
    ended_at: object = None
    heartbeat_until: object = None
    error: object = None
    error_class: object = None
    usage: Usage | None = None
    cost_micro_usd: object = None
    price_version: object = None
    tool_calls: list[ToolCall] | None = None


def unknown_keys(shapes: Iterable[tuple[str, Shape]]) -> Iterator[str]:
    """A warning for each unknown key. `shapes`: pairs of the path for messages and the shape.

    The keys of a runtime are skipped: `runtimes.idle_settings` checks them.
    """
    for place, shape in shapes:
        settings = type(shape).model_fields
        known = [
            spelling for name, each in settings.items() for spelling in (str(each.alias), name)
        ]
        for key in shape.__pydantic_extra__ or {}:
            hint = did_you_mean(key[:100], known) or "."
            yield f'{place}: the key "{key[:100]}" is unknown, and kept without effect{hint}'
        within = [
            (f"{place}.{each.alias}", getattr(shape, name)) for name, each in settings.items()
        ]
        yield from unknown_keys(
            (at, value)
            for at, value in within
            if isinstance(value, Shape) and not isinstance(value, Runtime)
        )


_AGENTS = TypeAdapter(list[Agent])
_SUBTASKS = TypeAdapter(list[SubtaskQuery])
_ACTIONS = TypeAdapter(dict[str, AgentAction])
_ACTION = TypeAdapter(AgentAction)
T = TypeVar("T")


def _parse(adapter: TypeAdapter[T], name: str, value: object) -> T:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise BadUserInput(problems_of(name, error)) from error


def problems_of(name: str, error: ValidationError) -> str:
    """What is wrong with the value `name`, each problem with its path, as one sentence."""
    problems = "; ".join(
        f"{path_of(name, problem['loc'])}: {message_of(problem)}"
        for problem in error.errors(include_url=False)[:5]
    )
    return problems if problems.endswith("?") else f"{problems}."


def message_of(problem: Mapping[str, Any]) -> str:
    """What is wrong, in terms of JSON; the library's messages name Python types."""
    wrong = _WRONG.get(problem["type"])
    if wrong is None:
        wrong = _PREAMBLE.sub(lambda found: "must " if found[1] else "", problem["msg"])
        if problem["type"] == "literal_error":
            known = _QUOTED.findall(problem["ctx"]["expected"])
            wrong += did_you_mean(problem.get("input"), known)
        return wrong
    if problem["type"] != "missing":
        return wrong
    return wrong + _misspelt(str(problem["loc"][-1]), problem.get("input"))


def _misspelt(missing: str, given: object) -> str:
    """The end of a message: a given key that resembles the missing one, or empty.

    Only the first 20 given keys are compared.
    """
    keys = [str(key)[:100] for key in islice(given, 20)] if isinstance(given, dict) else []
    close = get_close_matches(missing, keys, n=1)
    return f'; the key "{close[0]}" is not read' if close else ""


def path_of(name: str, location: Sequence[int | str]) -> str:
    """Where in the value `name` a problem is."""
    return name + "".join(
        f"[{part}]" if isinstance(part, int) else f".{str(part)[:100]}" for part in location
    )


def parse_agents(value: object) -> list[Agent]:
    """Parse the agents of a coordination.

    Raises `BadUserInput` for a wrong shape, and for an agent uuid that is given twice.
    """
    agents = _parse(_AGENTS, "agents", value or [])
    seen: set[str] = set()
    for agent in agents:
        if agent.agent_uuid in seen:
            raise BadUserInput(f"agents: agentUuid {agent.agent_uuid!r} is given twice.")
        seen.add(agent.agent_uuid)
    return agents


def parse_subtask_queries(value: object) -> list[SubtaskQuery]:
    """Parse the subtask queries of a task. Raises `BadUserInput`."""
    return _parse(_SUBTASKS, "subtaskQueries", value or [])


def parse_agent_actions(value: object) -> dict[str, AgentAction]:
    """Parse the actions of a task, by agent uuid. Raises `BadUserInput`."""
    return _parse(_ACTIONS, "agentActions", value or {})


def parse_agent_action(value: object) -> AgentAction:
    """Parse the action of one agent. Raises `BadUserInput`."""
    return _parse(_ACTION, "agentAction", value or {})


def stored_list(shapes: Sequence[Shape]) -> list[dict[str, object]]:
    """The stored form of a list of shapes."""
    return [shape.stored() for shape in shapes]


def stored_map(shapes: Mapping[str, Shape]) -> dict[str, dict[str, object]]:
    """The stored form of shapes by key; the keys are data and stay unchanged."""
    return {key: shape.stored() for key, shape in shapes.items()}
