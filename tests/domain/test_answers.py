import json
from contextlib import suppress
from typing import Any

import pytest

from ai_coordination_engine.domain.answers import check_answer, check_schema
from ai_coordination_engine.domain.budget import MAX_WORK, Budget
from ai_coordination_engine.errors import BadUserInput

TREE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/tree",
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "children": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["name"],
    "additionalProperties": False,
}
EXPLOSION = {
    "$defs": (
        {f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(40)}
        | {"a40": {"type": "string"}}
    ),
    "$ref": "#/$defs/a0",
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string"},
        {"enum": ["yes", "no"]},
        TREE,
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a": {}},
            "$ref": "#/definitions/a",
        },
        {"properties": {"pattern": {"type": "string"}, "$ref": {"type": "string"}}},
        {"$defs": {"word": {"$anchor": "word", "type": "string"}}, "$ref": "#word"},
    ],
)
def test_a_schema_is_accepted(schema: Any) -> None:
    check_schema(schema, Budget())


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (None, r"^a JSON Schema is an object\.$"),
        (True, r"^a JSON Schema is an object\.$"),
        ([], r"^a JSON Schema is an object\.$"),
        ({"type": "text"}, r"^it is not a JSON Schema: at \$\.type, 'text' is not valid "),
        ({"properties": []}, r"^it is not a JSON Schema: at \$\.properties, "),
        ({"$id": 5}, r"^it is not a JSON Schema: a keyword has a value that it does not take\.$"),
        ({"$defs": {"a": {"$id": []}}, "$ref": "#/$defs/a"}, r"^it is not a JSON Schema: "),
        ({"enum": ["x" * 32_768]}, r"^a JSON Schema takes at most 32768 bytes; this has 32782\.$"),
        (
            {"pattern": "(a+)+$"},
            r"^the JSON Schema uses pattern, which is not supported: it can take too long\.$",
        ),
        ({"items": [{"not": {"pattern": "a"}}]}, "uses pattern"),
        ({"const": {"pattern": "a"}, "$ref": "#/const"}, "uses pattern"),
        ({"patternProperties": {"a": {}}}, "uses patternProperties"),
        ({"unevaluatedProperties": False}, "uses unevaluatedProperties"),
        (
            {"$ref": "https://example.com/other"},
            r"^the JSON Schema refers to https://example.com/other; it may only ",
        ),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "it may only refer to itself"),
        (
            {"$ref": "#/$defs/none"},
            r"^the JSON Schema refers to /\$defs/none, which is not in it\.$",
        ),
        ({"$ref": "#"}, "refers to itself without an end"),
        (EXPLOSION, "refers to itself without an end"),
        (
            {"$schema": "urn:mine"},
            r"^\$schema stands at the top and names draft 2020-12, 2019-09, 7 or 6\.$",
        ),
        (
            {"not": {"$schema": "https://json-schema.org/draft/2020-12/schema"}},
            r"^\$schema stands at the top",
        ),
    ],
)
def test_a_schema_is_refused_with_a_reason(schema: Any, words: str) -> None:
    with pytest.raises(BadUserInput, match=words):
        check_schema(schema, Budget())


def test_a_schema_that_is_nested_deeply_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(2_000):
        schema = {"not": schema}
    with pytest.raises(BadUserInput, match="nested too deeply"):
        check_schema(schema, Budget())


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
        (
            {"type": "number"},
            "blue",
            r"^the answer does not conform to the answerSchema: at \$, 'blue' is not of type",
        ),
        ({"enum": ["yes", "no"]}, "perhaps", "'perhaps' is not one of"),
        (TREE, '{"children": []}', r"'name' is a required property\.$"),
        (
            TREE,
            '{"name": "a", "children": [{"name": 5}]}',
            r"at \$\.children\[0\]\.name, 5 is not of type 'string'",
        ),
        (TREE, '{"name": "a", "x": 1}', "Additional properties are not allowed"),
        ({"type": "number"}, "NaN", "is not of type 'number'"),
        (
            {"type": "array", "uniqueItems": True},
            '[{"a": 1}, {"a": 1.0}]',
            "the list has non-unique elements",
        ),
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


NUMBERS = "[" + "0," * 50_000 + "0]"
KEYS = json.dumps({f"key {number}": number for number in range(10_000)})


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "array", "items": {"allOf": [{"type": "number"}] * 1_000}}, NUMBERS),
        ({"items": {"enum": [*(f"word {number}" for number in range(2_000)), 0]}}, NUMBERS),
        (
            {
                "allOf": [{"$ref": "#/$defs/a"}] * 10,
                "$defs": {"a": {"items": {"const": [[0] * 5_000]}}},
            },
            f"[{','.join([str([[0] * 5_000])] * 15)}]",
        ),
        ({"allOf": [{"uniqueItems": True}] * 1_000}, NUMBERS),
        ({"allOf": [{"contains": {"const": 1}}] * 500}, NUMBERS),
        ({"allOf": [{"contains": True}] * 1_000}, NUMBERS),
        ({"allOf": [{"items": True}] * 1_000}, NUMBERS),
        ({"anyOf": [{"items": {"type": "string"}}] * 500}, NUMBERS),
        ({"oneOf": [{"items": {"anyOf": [{"type": "string"}] * 20}}] * 20}, NUMBERS),
        (
            {"items": {"anyOf": [{"$ref": "#/$defs/a"}] * 100}, "$defs": {"a": {"type": "string"}}},
            NUMBERS,
        ),
        (
            {
                "items": {"$ref": "#word"},
                "$defs": {"a": {"$anchor": "word"}, **{str(n): {} for n in range(1_000)}},
            },
            NUMBERS,
        ),
        ({"anyOf": [{"additionalProperties": False, "properties": {}}] * 500}, KEYS),
        ({"allOf": [{"propertyNames": {"maxLength": 99}}] * 100}, KEYS),
        ({"allOf": [{"additionalProperties": {"type": "number"}}] * 100}, KEYS),
        (
            {"items": {"anyOf": [{"required": [f"key {number}" for number in range(200)]}] * 10}},
            f"[{','.join(['{}'] * 50_000)}]",
        ),
        (
            {"items": {"properties": {f"k{number}": {} for number in range(1_500)}}},
            f"[{','.join(['{}'] * 50_000)}]",
        ),
    ],
)
def test_no_answer_is_looked_at_more_than_it_is_worth(schema: Any, text: str) -> None:
    check_schema(schema, Budget())
    with pytest.raises(
        BadUserInput, match=r"^the answer cannot be checked .* it takes too long\.$"
    ):
        check_answer(schema, text, Budget(1_500_000))


def test_a_large_answer_can_be_checked() -> None:
    rows = json.dumps([{"id": number, "name": "x" * 20} for number in range(3_000)])
    row = {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "name": {"type": "string", "maxLength": 99}},
        "required": ["id", "name"],
        "additionalProperties": False,
    }
    check_answer({"type": "array", "items": row, "uniqueItems": True}, rows)


def test_the_work_of_an_answer_is_counted_by_its_size() -> None:
    def work(count: int) -> int:
        budget = Budget()
        check_answer(
            {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
            json.dumps([*range(count)]),
            budget,
        )
        return MAX_WORK - budget.left

    assert work(1_000) - work(0) == 10 * (work(100) - work(0)) == 1_000 * (30 + 100 + 10)


@pytest.mark.parametrize(
    "value",
    ["x" * 200_000, ["x" * 100] * 2_000, {f"key {number}": [0] for number in range(10_000)}],
)
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "null"},
        {"enum": ["x" * 10_000, ["y"] * 2_000]},
        {"const": {"a": "y" * 10_000}},
        {"not": {}},
        {"anyOf": [{"type": "null"}, {"const": 1}, False]},
        {"maxLength": 1, "maxItems": 1, "maxProperties": 1},
        {"additionalProperties": False, "items": False, "type": ["array", "object"]},
        {"contains": False, "minProperties": 100_000, "type": ["array", "object"]},
    ],
)
def test_no_message_holds_the_answer_or_the_schema(
    schema: Any, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jsonschema.exceptions import ValidationError

    lengths: list[int] = []
    made = ValidationError.__init__

    def noted(self: Any, message: str, *given: Any, **more: Any) -> None:
        lengths.append(len(message))
        made(self, message, *given, **more)

    monkeypatch.setattr(ValidationError, "__init__", noted)
    check_schema(schema, Budget())
    with pytest.raises(BadUserInput) as caught:
        check_answer(schema, value if isinstance(value, str) else json.dumps(value))
    assert len(caught.value.message) < 700
    # that lists the names, and is paid
    assert max(lengths) < (300_000 if "additionalProperties" in schema else 2_000)


STORED = [
    {"pattern": "(a+)+$"},
    {"properties": {"a": {"pattern": "(a+)+$"}}},
    {"patternProperties": {"(a+)+$": {}}},
    {"additionalProperties": False, "patternProperties": {"(a+)+$": {}}},
    {"propertyNames": {"pattern": "(a+)+$"}},
    {"$defs": {"x": {"pattern": "(a+)+$"}}, "$ref": "#/$defs/x"},
    {"enum": [{"pattern": "(a+)+$"}], "$ref": "#/enum/0"},
    {"x-notes": {"deep": [{"pattern": "(a+)+$"}]}, "$ref": "#/x-notes/deep/0"},
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "dependencies": {"a": {"pattern": "(a+)+$"}},
    },
    {"$schema": "http://json-schema.org/draft-06/schema#", "contains": {"pattern": "(a+)+$"}},
    {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$recursiveRef": "#",
        "pattern": "(a+)+$",
    },
    {"if": {"pattern": "(a+)+$"}},
    {"unevaluatedProperties": {"pattern": "(a+)+$"}},
    {"not": {"items": [{"pattern": "(a+)+$"}]}},
]


@pytest.mark.parametrize("schema", STORED)
def test_no_regular_expression_is_run_whoever_stored_it(
    schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jsonschema import _keywords, _utils

    class Never:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("a regular expression is used")

    with pytest.raises(BadUserInput, match="is not supported: it can take too long"):
        check_schema(schema, Budget())
    for module in (_keywords, _utils):
        monkeypatch.setattr(module, "re", Never())
    for text in (
        "a" * 40 + "!",
        json.dumps({"a" * 40 + "!": "a" * 40 + "!"}),
        json.dumps(["a" * 40 + "!"]),
    ):
        with pytest.raises(
            BadUserInput, match=r"^the answerSchema cannot be used: the JSON Schema uses "
        ):
            check_answer(schema, text)


def test_a_format_is_a_note_and_never_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {
        "format": "regex",
        "properties": {"a": {"format": "regex"}},
        "type": ["string", "object"],
    }
    check_schema(schema, Budget())
    check_answer(schema, "(a+")
    check_answer(schema, '{"a": "("}')


@pytest.mark.parametrize(
    "schema",
    [
        {"const": {"properties": 5}, "$ref": "#/const"},
        {"const": {"pattern": 5}, "$ref": "#/const"},
        {"enum": [5], "$ref": "#/enum/0"},
        {"x": {"items": "y"}, "$ref": "#/x"},
        {"$schema": ["https://json-schema.org/draft/2020-12/schema"]},
        {"$schema": 5},
        {"$ref": "#/properties/a", "properties": {"a": {"required": 5}}},
        {"required": {"a": 1}},
        {"type": 5},
        {"minLength": "x"},
        {"multipleOf": 0},
    ],
)
def test_what_is_no_schema_is_refused_where_it_is_stored_and_where_it_is_used(schema: Any) -> None:
    with pytest.raises(BadUserInput):
        check_schema(schema, Budget())
    for text in ("x", "5", "[1]", '{"a": 1}'):
        with suppress(BadUserInput):  # and nothing else
            check_answer(schema, text)


def test_a_long_value_does_not_fill_the_message() -> None:
    with pytest.raises(BadUserInput) as caught:
        check_answer({"type": "number"}, "x" * 100_000)
    assert len(caught.value.message) < 400
