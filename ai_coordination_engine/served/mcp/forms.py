"""Questions to people as forms of the client, and forms as answers.

A form is a flat object of simple values ("Elicitation", section "Requested Schema"). A question
whose answer is one simple value, or any text, is a form with the one field `answer`.
"""

from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.served.sessions import Question

ANSWER = "answer"
_SIMPLE = ("string", "number", "integer", "boolean")
_KEPT = (
    "type",
    "title",
    "description",
    "default",
    "enum",
    "enumNames",
    "oneOf",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "format",
)
_FORMATS = ("email", "uri", "date", "date-time")


def form_of(question: Question) -> dict[str, Any]:
    """The parameters of `elicitation/create` for a question."""
    asked = f"{question.agent} asks {question.person}" if question.person else question.agent
    return {
        "mode": "form",
        "message": f"{asked}:\n\n{question.text}",
        "requestedSchema": _schema(question.schema),
    }


def answer_in(question: Question, result: Mapping[str, Any]) -> str | None:
    """The answer in the form of a client; None if nobody gave one. Raises `BadUserInput`."""
    if result.get("action") != "accept":
        return None
    content = result.get("content")
    if not isinstance(content, Mapping):
        raise BadUserInput("content must be an object with the fields of the form.")
    if _is_flat(question.schema):
        return json_text.dumps(dict(content))
    # a client that knows the question by heart may name its one field otherwise
    values = [content[ANSWER]] if ANSWER in content else [*content.values()]
    if len(values) != 1:
        raise BadUserInput(f"content must have the field {ANSWER}.")
    return values[0] if isinstance(values[0], str) else json_text.dumps(values[0])


def _schema(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    if schema is not None and _is_flat(schema):
        needed = [each for each in schema.get("required", ()) if each in schema["properties"]]
        fields = {name: _field(each) for name, each in schema["properties"].items()}
        return {"type": "object", "properties": fields, "required": needed}
    return {
        "type": "object",
        "properties": {ANSWER: _one(schema)},
        "required": [ANSWER],
    }


def _one(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    if schema is None:
        return {"type": "string"}
    if _is_simple(schema):
        return _field(schema)
    shown = json_text.dumps(dict(schema))
    return {"type": "string", "description": f"JSON that conforms to {shown[:2_000]}"}


def _field(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A field of a form, with the keywords that forms have."""
    if schema.get("type") == "array":
        return dict(schema)
    kept = {name: value for name, value in schema.items() if name in _KEPT}
    if kept.get("format", _FORMATS[0]) not in _FORMATS:
        del kept["format"]
    return {"type": "string", **kept}


def _is_flat(schema: Mapping[str, Any] | None) -> bool:
    if schema is None or schema.get("type") != "object":
        return False
    fields = schema.get("properties")
    return (
        isinstance(fields, Mapping)
        and bool(fields)
        and all(isinstance(each, Mapping) and _is_simple(each) for each in fields.values())
    )


def _is_simple(schema: Mapping[str, Any]) -> bool:
    """Whether a form has a field for such a value: a simple one, or some of several texts."""
    kind = schema.get("type")
    if kind in _SIMPLE:
        return "oneOf" not in schema or kind == "string"
    if kind == "array":
        items = schema.get("items")
        return isinstance(items, Mapping) and bool({"enum", "anyOf"} & items.keys())
    choices = schema.get("enum")
    return kind is None and isinstance(choices, list) and all(isinstance(x, str) for x in choices)
