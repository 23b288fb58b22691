"""Answers of people: an action may declare a JSON Schema for them. Pure.

Draft 2020-12 (json-schema.org) unless `$schema` names draft 6, 7 or 2019-09. A schema comes from a tenant and runs in a
process that serves others too: it may not fetch anything, use regular expressions (some take for ever), or cost more
than a bounded number of steps.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ai_coordination_engine.errors import BadUserInput

MAX_SCHEMA = 32 * 1024
MAX_ANSWER = 256 * 1024
MAX_STEPS = 100_000
_PROBE_STEPS = 5_000  # more than a schema of the largest size has keywords
_UNBOUNDED = ("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef")
_REFERENCES = ("$ref", "$recursiveRef")
_DIALECTS = ("draft/2020-12", "draft/2019-09", "draft-07", "draft-06")


class _TooCostly(Exception):
    """The schema takes more steps than it may."""


def check_schema(schema: Any) -> None:
    """Raises `BadUserInput` for what is no JSON Schema, or one that is too large or uses what is not allowed."""
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415  # cold start: few tasks declare a schema
    from referencing import Registry, Resource  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415

    if not isinstance(schema, dict):
        raise BadUserInput("a JSON Schema is an object.")
    try:
        size = len(json.dumps(schema).encode())
        if size > MAX_SCHEMA:
            raise BadUserInput(f"a JSON Schema takes at most {MAX_SCHEMA} bytes; this has {size}.")
        _check_keywords(schema, root=True)
        validator = _validator(schema, _PROBE_STEPS)
        validator.check_schema(validator.schema)
        resolver = Registry().resolver_with_root(Resource.from_contents(schema, default_specification=DRAFT202012))
        for reference in _references(schema):
            resolver.lookup(reference)
        list(validator.iter_errors(""))  # what refers to itself without an end shows at once
    except SchemaError as error:
        raise BadUserInput(f"it is no JSON Schema: at {error.json_path}, {_cut(error.message)}.") from error
    except Unresolvable as error:
        raise BadUserInput(f"the JSON Schema refers to {_cut(str(error.ref))}, which is not in it.") from error
    except (_TooCostly, RecursionError) as error:
        raise BadUserInput("the JSON Schema refers to itself without an end, or is nested too deeply.") from error


def check_answer(schema: Any, text: str) -> None:
    """Raises `BadUserInput` when a person's answer does not conform.

    An answer that is JSON counts as the JSON value, or as the text that it is, whichever conforms; any other as a text.
    """
    from referencing.exceptions import Unresolvable  # noqa: PLC0415  # cold start: few tasks declare a schema

    if len(text) > MAX_ANSWER:
        raise BadUserInput(f"the answer has {len(text)} characters; with an answerSchema it takes {MAX_ANSWER}.")
    try:
        problems = [_problem(schema, value) for value in _readings(text)]
    except (_TooCostly, RecursionError, OverflowError) as error:
        raise BadUserInput("the answer cannot be checked against the answerSchema: it takes too long.") from error
    except Unresolvable as error:
        raise BadUserInput(f"the answerSchema refers to {_cut(str(error.ref))}, which is not in it.") from error
    if all(problems):
        raise BadUserInput(f"the answer does not conform to the answerSchema: {problems[0]}.")


def _readings(text: str) -> list[Any]:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return [text]
    return [value] if value == text else [value, text]


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _problem(schema: Any, value: Any) -> str | None:
    from jsonschema.exceptions import best_match  # noqa: PLC0415  # cold start: few tasks declare a schema

    error = best_match(_validator(schema).iter_errors(value))
    return None if error is None else f"at {error.json_path}, {_cut(error.message)}"


def _check_keywords(value: Any, *, root: bool = False) -> None:
    """What is a keyword wherever it stands: a reference may make a schema of any part."""
    if isinstance(value, list):
        for each in value:
            _check_keywords(each)
    if not isinstance(value, dict):
        return
    for name in _UNBOUNDED:
        if isinstance(value.get(name), str) or (name != "pattern" and name in value):
            raise BadUserInput(f"the JSON Schema uses {name}, which is not supported: it can take too long.")
    for name in _REFERENCES:
        if isinstance(value.get(name), str) and not value[name].startswith("#"):
            raise BadUserInput(f"the JSON Schema refers to {_cut(value[name])}; it may only refer to itself (#…).")
    dialect = value.get("$schema")
    if isinstance(dialect, str) and not (root and any(each in dialect for each in _DIALECTS)):
        raise BadUserInput("$schema stands at the top and names draft 2020-12, 2019-09, 7 or 6.")
    for each in value.values():
        _check_keywords(each)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    elif isinstance(value, dict):
        yield from (value[name] for name in _REFERENCES if isinstance(value.get(name), str))
        for each in value.values():
            yield from _references(each)


def _validator(schema: Mapping[str, Any], steps: int = MAX_STEPS) -> Any:
    """A validator that stops after so many keywords, and fetches nothing."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415  # cold start: few tasks declare a schema
    from referencing import Registry  # noqa: PLC0415

    dialect = validators.validator_for(schema, default=Draft202012Validator)
    left = iter(range(steps))

    def counted(keyword: Callable[..., Any]) -> Callable[..., Any]:
        def check(validator: Any, value: Any, instance: Any, whole: Any) -> Any:
            if next(left, None) is None:
                raise _TooCostly
            return keyword(validator, value, instance, whole)

        return check

    keywords = {**dialect.VALIDATORS, "uniqueItems": _unique_items}
    bounded = validators.extend(dialect, {name: counted(keyword) for name, keyword in keywords.items()})
    # with a `$schema` the library would go back to its own class wherever the schema refers to its top
    return bounded({name: value for name, value in schema.items() if name != "$schema"}, registry=Registry())


def _unique_items(validator: Any, wanted: Any, instance: Any, whole: Any) -> Iterator[Any]:
    """`uniqueItems` in a time that grows with the number of items, not with its square."""
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415  # cold start: few tasks declare a schema

    if wanted and isinstance(instance, list):
        texts = {json.dumps(_plain(each), sort_keys=True) for each in instance}
        if len(texts) < len(instance):
            yield ValidationError("the list has non-unique elements")


def _plain(value: Any) -> Any:
    """1.0 and 1 are the same number."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _cut(text: str) -> str:
    """The library begins with the value, which may be long, and ends with what is wrong with it."""
    text = text.rstrip(".")
    return text if len(text) <= 200 else f"{text[:100]}…{text[-100:]}"
