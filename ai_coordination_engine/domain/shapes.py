"""The shapes inside the JSON (contract): agents, subtask queries, agent actions.

Keys of the schema come in camelCase or snake_case, are stored in snake_case and go out in
camelCase. Keys that the schema does not know are data: kept and returned byte for byte.
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

_PREAMBLE = re.compile("^(?:Value error, |((?:Input|String|List|Value) should ))")
_WRONG = {
    "missing": "is needed",
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
    """A JSON object with some keys of the schema and any others."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True
    )

    @model_validator(mode="before")
    @classmethod
    def _is_spelled_once(cls, value: object) -> object:
        """A key in both spellings would be two values of one field."""
        if not isinstance(value, dict):
            return value
        for name, setting in cls.model_fields.items():
            if name != setting.alias and name in value and setting.alias in value:
                raise ValueError(f"{setting.alias} is given twice, also as {name}")
        return value

    def stored(self) -> dict[str, object]:
        """The object as it is stored: what was given, in snake_case."""
        return self.model_dump(exclude_unset=True)

    def wire(self) -> dict[str, object]:
        """The object as it goes out: what was given, in camelCase."""
        return self.model_dump(exclude_unset=True, by_alias=True)


class Runtime(Shape):
    """How an agent is executed; the keys beside `kind` belong to the runtime of that kind."""

    kind: Annotated[str, AfterValidator(check_kind)]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: object = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        """Endpoints and keys are the server's settings: a record never stores them."""
        refuse_secrets(self.__pydantic_extra__ or {})
        return self


def _number(value: object) -> object:
    """A number as it was given: JSON's `true` is none, and neither is what JSON cannot hold."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not isfinite(value)):
        raise ValueError("must be a number")
    return value


def _error_class(value: str) -> str:
    if value not in ERROR_CLASSES:
        raise ValueError(
            f"{value[:100]!r} is no class of errors; it takes {', '.join(ERROR_CLASSES)}"
        )
    return value


Number = Annotated[Any, PlainValidator(_number)]
Whole = Annotated[int, Field(strict=True)]


class Policy(Shape):
    """What happens when an attempt of an agent fails; what is not given the server's settings say.
    Seconds.
    """

    attempts: Annotated[Whole, Field(ge=1, le=100)] | None = None
    backoff_seconds: Annotated[Number, Field(ge=0, le=900)] | None = None
    backoff_factor: Annotated[Number, Field(ge=1, le=10)] | None = None
    max_backoff_seconds: Annotated[Number, Field(ge=0, le=900)] | None = None
    timeout_seconds: Annotated[Number, Field(gt=0, le=840)] | None = None
    retry_on: list[Annotated[str, AfterValidator(_error_class)]] | None = None
    heartbeat_seconds: Annotated[Number, Field(ge=1, le=2_592_000)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        """A null would look like a value when policies are merged."""
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
        """What people call the agent: its name, else its uuid."""
        return self.agent_name or self.agent_uuid


class SubtaskQuery(Shape):
    """What one agent is asked to do; an agent may have several."""

    agent_uuid: str = Field(min_length=1, max_length=256)
    subtask_query: str | None = None


class ActionFunction(Shape):
    """The function that runs on an agent's output, by name."""

    module_name: str | None = None
    function_name: str | None = None


class MapRule(Shape):
    """One session agent for each element of a list: the output of the predecessor `over`, or
    `items` (a JMESPath) of it.
    """

    over: str = Field(min_length=1, max_length=256)
    items: str | None = None
    join: Literal["all", "all_terminal"] = "all"


class AgentAction(Shape):
    """Whom an agent waits for, and what happens around it. Whether its keys agree is
    `rules.check_rules`.
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

    def complete(self) -> dict[str, object]:
        """The action as it is stored, with the defaults of the contract filled in for what was not
        given.
        """
        return {
            "primary_path": self.primary_path,
            "user_in_the_loop": self.user_in_the_loop,
            "predecessors": list(self.predecessors),
            "action_function": self.action_function.stored(),
            **self.stored(),
        }


class Usage(Shape):
    """What an attempt used, in whatever form its runtime counted it."""

    input_tokens: object = None
    output_tokens: object = None
    total_tokens: object = None


class AsyncTask(Shape):
    """How an attempt went: the details of a session run."""

    status: object = None
    attempt: object = None
    started_at: object = None
    ended_at: object = None
    heartbeat_until: object = None
    error: object = None
    error_class: object = None
    usage: Usage | None = None


def unknown_keys(shapes: Iterable[tuple[str, Shape]]) -> Iterator[str]:
    """Words on each key that the schema does not know; every shape comes with its place.

    Such keys are kept. Those of a runtime are none: they belong to it.
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
        problems = "; ".join(
            f"{_path(name, problem['loc'])}: {_words(problem)}"
            for problem in error.errors(include_url=False)[:5]
        )
        raise BadUserInput(f"{problems}.") from error


def _words(problem: Mapping[str, Any]) -> str:
    """What is wrong in words of JSON; the library's are those of Python."""
    wrong = _WRONG.get(problem["type"])
    if wrong is None:
        return _PREAMBLE.sub(lambda found: "must " if found[1] else "", problem["msg"])
    if problem["type"] != "missing":
        return wrong
    return wrong + _misspelt(str(problem["loc"][-1]), problem["input"])


def _misspelt(missing: str, given: object) -> str:
    """Words on the key that was given in place of the missing one, if one of the first is close."""
    keys = [str(key)[:100] for key in islice(given, 20)] if isinstance(given, dict) else []
    close = get_close_matches(missing, keys, n=1)
    return f'; the key "{close[0]}" is not read' if close else ""


def _path(name: str, location: tuple[int | str, ...]) -> str:
    return name + "".join(
        f"[{part}]" if isinstance(part, int) else f".{str(part)[:100]}" for part in location
    )


def parse_agents(value: object) -> list[Agent]:
    """The agents of a coordination; raises `BadUserInput` for a wrong shape or an agent uuid given
    twice.
    """
    agents = _parse(_AGENTS, "agents", value or [])
    seen: set[str] = set()
    for agent in agents:
        if agent.agent_uuid in seen:
            raise BadUserInput(f"agents: agentUuid {agent.agent_uuid!r} is given twice.")
        seen.add(agent.agent_uuid)
    return agents


def parse_subtask_queries(value: object) -> list[SubtaskQuery]:
    """The subtask queries of a task; raises `BadUserInput`."""
    return _parse(_SUBTASKS, "subtaskQueries", value or [])


def parse_agent_actions(value: object) -> dict[str, AgentAction]:
    """The actions of a task by agent uuid (a key that is data); raises `BadUserInput`."""
    return _parse(_ACTIONS, "agentActions", value or {})


def parse_agent_action(value: object) -> AgentAction:
    """One agent's action; raises `BadUserInput`."""
    return _parse(_ACTION, "agentAction", value or {})


def stored_list(shapes: Sequence[Shape]) -> list[dict[str, object]]:
    """A list of shapes as it is stored."""
    return [shape.stored() for shape in shapes]


def stored_map(shapes: Mapping[str, Shape]) -> dict[str, dict[str, object]]:
    """Shapes by a key that is data, as they are stored."""
    return {key: shape.stored() for key, shape in shapes.items()}
