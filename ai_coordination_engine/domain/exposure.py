"""How a task is offered to other systems, as its `exposeAs` says. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.answers import check_schema
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.errors import BadUserInput

PROTOCOLS = ("mcp", "a2a")
MAX_NAME = 128  # of a tool ("Tool Names", Model Context Protocol)
MAX_DESCRIPTION = 4096
RESERVED = ("get_session_result",)
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME}}}")
_HEADER = "x-mcp-header"  # asks clients to repeat an argument as a header
_KEYS = ("name", "description", "as", "input_schema")
_WIRE = {"input_schema": "inputSchema"}


@dataclass(frozen=True)
class Exposure:
    """The name under which a task is called, and for whom.

    `description`: None means the one of the task. `protocols`: some of `PROTOCOLS`.
    `input_schema`: the JSON Schema of the arguments; None means that it is derived from the
    placeholders of the task.
    """

    name: str
    description: str | None = None
    protocols: Sequence[str] = PROTOCOLS
    input_schema: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, given: object) -> "Exposure | None":
        """The exposure of a task, or None if it is not exposed; raises `BadUserInput`."""
        if given is None:
            return None
        if not isinstance(given, Mapping):
            raise BadUserInput('exposeAs must be an object, for example {name: "report"}.')
        values = _known(given)
        return cls(
            _name(values.get("name")),
            _description(values.get("description")),
            _protocols(values.get("as")),
            _schema(values.get("input_schema")),
        )

    def stored(self) -> dict[str, Any]:
        """As it is stored: without what is not given."""
        values = (self.name, self.description, list(self.protocols), self.input_schema)
        return {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}


def wire(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored exposure as clients get it."""
    return {_WIRE.get(key, key): value for key, value in stored.items()}


def _known(given: Mapping[Any, Any]) -> dict[str, Any]:
    """The given values by their stored keys."""
    stored = {wire_name: key for key, wire_name in _WIRE.items()}
    values: dict[str, Any] = {}
    for name, value in given.items():
        key = stored.get(name, name)
        if key not in _KEYS:
            takes = [_WIRE.get(each, each) for each in _KEYS]
            hint = did_you_mean(str(name)[:100], takes) or "."
            raise BadUserInput(
                f'exposeAs: the key "{str(name)[:100]}" is unknown; it takes'
                f" {', '.join(takes)}{hint}"
            )
        if key in values:
            raise BadUserInput(f"exposeAs.{_WIRE.get(key, key)} is given twice, also as {key}.")
        values[key] = value
    return values


def _name(value: object) -> str:
    if value is None:
        raise BadUserInput('exposeAs.name is needed, for example {name: "report"}.')
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise BadUserInput(
            f"exposeAs.name must have 1 to {MAX_NAME} characters: letters from a to z, digits,"
            " _, - and dots."
        )
    if value in RESERVED:
        raise BadUserInput(f"exposeAs.name: {value} is a tool of the server itself.")
    return value


def _description(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > MAX_DESCRIPTION):
        raise BadUserInput(
            f"exposeAs.description must be a text of at most {MAX_DESCRIPTION} characters."
        )
    return value


def _protocols(value: object) -> Sequence[str]:
    if value is None:
        return PROTOCOLS
    is_some = isinstance(value, list) and value and all(each in PROTOCOLS for each in value)
    if not isinstance(value, list) or not is_some:
        raise BadUserInput(
            f"exposeAs.as must be a list of some of: {', '.join(PROTOCOLS)}. To expose the task to"
            " nobody, set exposeAs to null."
        )
    return [each for each in PROTOCOLS if each in value]


def _schema(value: object) -> Mapping[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("type") != "object":
        raise BadUserInput(
            'exposeAs.inputSchema must be a JSON Schema with the type "object": arguments have'
            " names."
        )
    try:
        check_schema(value, Budget())
        if any(_HEADER in each for each in _schemas(value)):
            raise BadUserInput(f"{_HEADER} is not supported; leave it out.")
    except BadUserInput as error:
        raise BadUserInput(f"exposeAs.inputSchema: {error.message}") from error
    return value


def _schemas(value: object) -> Iterator[dict[str, Any]]:
    """All objects in a schema."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            yield each
            left += each.values()
        elif isinstance(each, list):
            left += each
