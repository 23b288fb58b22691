import time
from typing import Any

import pytest

from ai_coordination_engine.domain.answers import check_answer, check_schema
from ai_coordination_engine.errors import BadUserInput

TREE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/tree",
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name"],
    "additionalProperties": False,
}
EXPLOSION = {
    "$defs": {f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(40)}
    | {"a40": {"type": "string"}},
    "$ref": "#/$defs/a0",
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string"},
        {"enum": ["yes", "no"]},
        TREE,
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}, "$ref": "#/definitions/a"},
        {"properties": {"pattern": {"type": "string"}, "$ref": {"type": "string"}}},
        {"$defs": {"word": {"$anchor": "word", "type": "string"}}, "$ref": "#word"},
    ],
)
def test_a_schema_is_accepted(schema: Any) -> None:
    check_schema(schema)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (None, r"^a JSON Schema is an object\.$"),
        (True, r"^a JSON Schema is an object\.$"),
        ([], r"^a JSON Schema is an object\.$"),
        ({"type": "text"}, r"^it is no JSON Schema: at \$\.type, 'text' is not valid "),
        ({"properties": []}, r"^it is no JSON Schema: at \$\.properties, "),
        ({"enum": ["x" * 32_768]}, r"^a JSON Schema takes at most 32768 bytes; this has 32782\.$"),
        ({"pattern": "(a+)+$"}, r"^the JSON Schema uses pattern, which is not supported: it can take too long\.$"),
        ({"items": [{"not": {"pattern": "a"}}]}, "uses pattern"),
        ({"const": {"pattern": "a"}, "$ref": "#/const"}, "uses pattern"),
        ({"patternProperties": {"a": {}}}, "uses patternProperties"),
        ({"unevaluatedProperties": False}, "uses unevaluatedProperties"),
        ({"$ref": "https://example.com/other"}, r"^the JSON Schema refers to https://example.com/other; it may only "),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "it may only refer to itself"),
        ({"$ref": "#/$defs/none"}, r"^the JSON Schema refers to /\$defs/none, which is not in it\.$"),
        ({"$ref": "#"}, "refers to itself without an end"),
        (EXPLOSION, "refers to itself without an end"),
        ({"$schema": "urn:mine"}, r"^\$schema stands at the top and names draft 2020-12, 2019-09, 7 or 6\.$"),
        ({"not": {"$schema": "https://json-schema.org/draft/2020-12/schema"}}, r"^\$schema stands at the top"),
    ],
)
def test_a_schema_is_refused_with_a_reason(schema: Any, words: str) -> None:
    with pytest.raises(BadUserInput, match=words):
        check_schema(schema)


def test_a_schema_that_is_nested_deeply_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(2_000):
        schema = {"not": schema}
    with pytest.raises(BadUserInput, match="nested too deeply"):
        check_schema(schema)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "blue"),
        ({"type": "string"}, '"blue"'),
        ({"type": "string"}, "42"),  # what people type is a text, too
        ({"type": "number"}, "42"),
        ({"type": "boolean"}, "true"),
        ({"enum": ["yes", "no"]}, "yes"),
        ({"type": "null"}, "null"),
        (TREE, '{"name": "a", "children": [{"name": "b", "children": []}]}'),
        ({"uniqueItems": True}, "[1, true, 1.5, [1], {}]"),
        ({"type": "string"}, "NaN"),
    ],
)
def test_an_answer_conforms(schema: Any, text: str) -> None:
    check_answer(schema, text)


@pytest.mark.parametrize(
    ("schema", "text", "words"),
    [
        ({"type": "number"}, "blue", r"^the answer does not conform to the answerSchema: at \$, 'blue' is not of type"),
        ({"enum": ["yes", "no"]}, "perhaps", "'perhaps' is not one of"),
        (TREE, '{"children": []}', r"'name' is a required property\.$"),
        (TREE, '{"name": "a", "children": [{"name": 5}]}', r"at \$\.children\[0\]\.name, 5 is not of type 'string'"),
        (TREE, '{"name": "a", "x": 1}', "Additional properties are not allowed"),
        ({"type": "number"}, "NaN", "is not of type 'number'"),
        ({"type": "array", "uniqueItems": True}, '[{"a": 1}, {"a": 1.0}]', "the list has non-unique elements"),
        ({"type": "object"}, "[" * 100_000, "is not of type 'object'"),
        ({"multipleOf": 0.1}, "9" * 400, "cannot be checked"),
        (
            {"type": "string"},
            "x" * 262_145,
            r"^the answer has 262145 characters; with an answerSchema it takes 262144\.$",
        ),
        (EXPLOSION, "blue", "it takes too long"),
    ],
)
def test_an_answer_does_not_conform(schema: Any, text: str, words: str) -> None:
    with pytest.raises(BadUserInput, match=words):
        check_answer(schema, text)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"uniqueItems": True}, "[" + ",".join(f'{{"{number}":1}}' for number in range(20_000)) + "]"),
        ({"type": "array", "items": {"allOf": [{"type": "number"}] * 1_000}}, "[" + "0," * 50_000 + "0]"),
    ],
)
def test_no_answer_keeps_the_server_busy(schema: Any, text: str) -> None:
    check_schema(schema)
    begun = time.process_time()
    try:
        check_answer(schema, text)
    except BadUserInput as error:
        assert error.message == "the answer cannot be checked against the answerSchema: it takes too long."
    assert time.process_time() - begun < 10


def test_a_long_value_does_not_fill_the_message() -> None:
    with pytest.raises(BadUserInput) as caught:
        check_answer({"type": "number"}, "x" * 100_000)
    assert len(caught.value.message) < 400
