"""What a person is asked, in few words: the calls to allow, and which answers are expected."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST = 100  # characters of a schema that is shown as it is
_WORDS = {
    "boolean": "true or false",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


def in_one_line(question: object) -> str:
    """The question of a runtime: the calls that it wants to make, or else its first line; empty if
    there is none.
    """
    if not isinstance(question, Mapping):
        return ""
    details = question.get("details")
    calls = details.get("calls") if isinstance(details, Mapping) else None
    if isinstance(calls, list) and calls:
        return ", ".join(map(_call, calls))
    lines = str(question.get("text") or "").strip().splitlines()
    return lines[0] if lines else ""


def expected(schema: object) -> str:
    """The answers that a JSON Schema allows: as it is if it is short, else in words."""
    text = json.dumps(schema, ensure_ascii=False)
    return text if len(text) <= LONGEST else _words(schema)


def _call(call: object) -> str:
    if not isinstance(call, Mapping):
        return str(call)
    arguments = json.dumps(call.get("arguments"), ensure_ascii=False)
    return f"{call.get('tool')}({arguments})"


def _words(schema: object) -> str:
    if not isinstance(schema, Mapping):
        return "any answer"
    for name in ("anyOf", "oneOf"):
        if isinstance(schema.get(name), list):
            return ", or ".join(dict.fromkeys(map(_words, schema[name])))
    if isinstance(schema.get("enum"), list):
        return " or ".join(json.dumps(each, ensure_ascii=False) for each in schema["enum"])
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties:
        return f"{{{', '.join(_properties(properties, schema.get('required')))}}}"
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(_WORDS.get(str(each), "any answer") for each in kinds)


def _properties(properties: Mapping[str, Any], required: object) -> Iterator[str]:
    """The names of an object's keys; those that may be left out have a question mark."""
    needed = required if isinstance(required, list) else []
    for name in properties:
        yield json.dumps(name, ensure_ascii=False) + ("" if name in needed else "?")
