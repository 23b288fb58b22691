"""Check JSON Schemas of tenants, and values against them, within a budget. Pure.

Source: JSON Schema draft 2020-12 (json-schema.org), unless `$schema` names draft 6, 7 or 2019-09.
Schemas come from tenants who share the process. So a schema may not fetch anything or use regular
expressions (some never end), and each step is charged to a budget. All of this is checked when a
schema is stored, and again each time it is used. `domain.answers` is the caller.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NoReturn

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import SchemaError, UnknownType, ValidationError, best_match
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from ai_coordination_engine.domain.budget import MAX_WORK, Budget, Spent
from ai_coordination_engine.domain.shown import Shown
from ai_coordination_engine.errors import BadUserInput, TooCostly

MAX_SCHEMA = 32 * 1024
_PROBE = MAX_WORK // 10  # the budget to check one schema; the largest schema needs less
_ERRORS = 20  # errors that are collected; the most relevant one is reported
# prices in units of a `Budget`
_SUBSCHEMA = 2_000  # to check a schema against the metaschema
_KEYWORD = 100  # to evaluate a keyword
_ENTRY = 30  # each entry of a keyword's value, and of the instance if the keyword iterates over it
_COMPARED = 10  # each value inside values that are compared
_REFERENCE = 200  # to follow a reference
_NODE = 20  # each value of a schema that is searched for an anchor
_GO_THROUGH = (
    "items",
    "additionalItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "prefixItems",
)
_COMPARE = ("enum", "const")
_UNBOUNDED = (
    "pattern",
    "patternProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
)
_REFERENCES = ("$ref", "$recursiveRef")
_DIALECTS = ("draft/2020-12", "draft/2019-09", "draft-07", "draft-06")
Keyword = Callable[[Any, Any, Any, Any], object]
"""The check of a keyword: (validator, the keyword's value, instance, schema) → errors, or None."""
# errors that the library raises for an invalid schema
_UNFIT = (TypeError, AttributeError, LookupError, ValueError, ArithmeticError)


def check(schema: object, budget: Budget) -> None:
    """Raise `BadUserInput` if `schema` is not a JSON Schema, is too large or uses a forbidden
    keyword; `TooCostly` when the budget is used up.
    """
    try:
        if not isinstance(schema, dict):
            raise BadUserInput("a JSON Schema is an object.")
        text = _allowed(schema)
        budget.spend(len(text) + _SUBSCHEMA * _subschemas(schema))
        budget.spend(_checked(text))
    except Spent as error:
        raise TooCostly(
            "it comes after more expressions and schemas than can be checked at once."
        ) from error
    except RecursionError as error:
        raise _endless() from error


def problems(
    schema: object,
    values: Sequence[object],
    budget: Budget,
    *,
    what: str = "the answer",
    by: str = "the answerSchema",
) -> list[str | None]:
    """What is wrong with each value; None for a value that conforms.

    `what` and `by` name the values and the schema in messages. Raises `BadUserInput` if the schema
    cannot be used, or checking takes too long.
    """
    try:
        _allowed(schema)
        return [_problem(schema, each, budget) for each in values]
    except BadUserInput as error:
        raise BadUserInput(f"{by} cannot be used: {error.message}") from error
    except (Spent, RecursionError, OverflowError) as error:
        raise BadUserInput(f"{what} cannot be checked against {by}: it takes too long.") from error
    except Unresolvable as error:
        raise BadUserInput(f"{by} refers to {_cut(str(error.ref))}, which is not in it.") from error
    except (UnknownType, *_UNFIT) as error:
        raise BadUserInput(f"{what} cannot be checked: {by} is not a JSON Schema.") from error


def violations(schema: Mapping[str, Any], value: object, budget: Budget) -> list[str]:
    """What is wrong with a value, each after the JSON Pointer of its place (RFC 6901; the whole
    value: `/`); the first 20. The schema is the engine's own. Raises `Spent`.
    """
    try:
        errors = islice(_validator(schema, budget).iter_errors(Shown.of(value)), _ERRORS)
        return [f"at {_pointer(each)}, {_cut(each.message)}" for each in errors]
    except RecursionError:
        return ["at /, it is nested too deeply"]


def _pointer(error: ValidationError) -> str:
    steps = (str(each).replace("~", "~0").replace("/", "~1") for each in error.absolute_path)
    return _cut("/" + "/".join(steps))


def _problem(schema: Any, value: object, budget: Budget) -> str | None:
    error = best_match(islice(_validator(schema, budget).iter_errors(Shown.of(value)), _ERRORS))
    return None if error is None else f"at {_cut(error.json_path)}, {_cut(error.message)}"


# Schemas


def _allowed(schema: object) -> str:
    """The JSON text of a schema; raises `BadUserInput` if it is too large or has a forbidden
    keyword.
    """
    text = json.dumps(schema)
    if (size := len(text)) > MAX_SCHEMA:
        raise BadUserInput(f"a JSON Schema takes at most {MAX_SCHEMA} bytes; this has {size}.")
    _check_keywords(schema, root=True)
    return text


def _check_keywords(value: object, *, root: bool = False) -> None:
    """Check all objects in the schema: a `$ref` can turn any part of it into a schema."""
    if isinstance(value, list):
        for each in value:
            _check_keywords(each)
    if isinstance(value, dict):
        _check_own_keywords(value, root=root)
        for each in value.values():
            _check_keywords(each)


def _check_own_keywords(schema: Mapping[str, object], *, root: bool) -> None:
    for name in _UNBOUNDED:
        if _uses_unbounded(schema, name):
            raise BadUserInput(
                f"the JSON Schema uses {name}, which is not supported: it can take too long."
            )
    for name in _REFERENCES:
        reference = schema.get(name)
        if isinstance(reference, str) and not reference.startswith("#"):
            raise BadUserInput(
                f"the JSON Schema refers to {_cut(reference)}; it may only refer to itself (#…)."
            )
    if "$schema" in schema:
        _check_dialect(schema["$schema"], root=root)


def _uses_unbounded(schema: Mapping[str, object], name: str) -> bool:
    """Whether a forbidden keyword is used.

    `pattern` with a value that is not a string is the name of a property, not a keyword.
    """
    return isinstance(schema.get(name), str) if name == "pattern" else name in schema


def _check_dialect(dialect: object, *, root: bool) -> None:
    """Check `$schema`. Below the root, a value that is not a string makes it a property's name."""
    is_text = isinstance(dialect, str)
    is_known = isinstance(dialect, str) and any(each in dialect for each in _DIALECTS)
    is_wrong = not is_known if root else is_text
    if is_wrong:
        raise BadUserInput("$schema stands at the top and names draft 2020-12, 2019-09, 7 or 6.")


def _subschemas(value: object) -> int:
    """An upper bound of the number of schemas in a schema: each object and each boolean."""
    within: Iterable[object] = ()
    if isinstance(value, list):
        within = value
    elif isinstance(value, dict):
        within = value.values()
    return isinstance(value, dict | bool) + sum(map(_subschemas, within))


@lru_cache(128)
def _checked(text: str) -> int:
    """The price of checking a schema, given as JSON text; cached.

    Raises `BadUserInput` if it is not a JSON Schema, or refers to a part that is not one.
    """
    schema = json.loads(text)
    budget = Budget(_PROBE)
    try:
        validator = _validator(schema, budget)
        validator.check_schema(validator.schema, format_checker=None)
        resolver = Registry().resolver_with_root(
            Resource.from_contents(schema, default_specification=DRAFT202012)
        )
        for reference in dict.fromkeys(_references(schema)):
            part = resolver.lookup(reference).contents
            budget.spend(_REFERENCE + _SUBSCHEMA * _subschemas(part) // 10)
            # `check_schema` above skips parts that are schemas only because a `$ref` names them
            validator.check_schema(Shown.of(part), format_checker=None)
        list(validator.iter_errors(""))  # finds references that form an endless loop
    except SchemaError as error:
        raise BadUserInput(
            f"it is not a JSON Schema: at {error.json_path}, {_cut(error.message)}."
        ) from error
    except Unresolvable as error:
        raise BadUserInput(
            f"the JSON Schema refers to {_cut(str(error.ref))}, which is not in it."
        ) from error
    except (Spent, RecursionError) as error:
        raise _endless() from error
    except _UNFIT as error:
        raise BadUserInput(
            "it is not a JSON Schema: a keyword has a value that it does not take."
        ) from error
    return _PROBE - budget.left


def _endless() -> BadUserInput:
    return BadUserInput("the JSON Schema refers to itself without an end, or is nested too deeply.")


def _references(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    elif isinstance(value, dict):
        yield from (value[name] for name in _REFERENCES if isinstance(value.get(name), str))
        for each in value.values():
            yield from _references(each)


# Validation


def _validator(schema: Mapping[str, object], budget: Budget) -> Any:
    """A validator that charges each keyword, fetches nothing and runs no regular expression."""
    dialect = validators.validator_for(schema, default=Draft202012Validator)
    size = _values(schema)

    def paid(name: str, keyword: Keyword) -> Keyword:
        def check(validator: object, value: object, instance: object, whole: object) -> object:
            budget.spend(_price(name, value, instance, size))
            return keyword(validator, value, instance, whole)

        return check

    keywords = {
        **dialect.VALIDATORS,
        "uniqueItems": _unique_items,
        **dict.fromkeys(_UNBOUNDED, _refuse),
    }
    bounded = validators.extend(
        dialect, {name: paid(name, keyword) for name, keyword in keywords.items()}
    )
    # With a `$schema`, a reference to the root would make the library use its own validator class.
    top = Shown.of({name: value for name, value in schema.items() if name != "$schema"})
    return bounded(top, registry=Registry())


def _price(name: str, value: object, instance: object, size: int) -> int:
    """The price of evaluating a keyword: by the entries of its value, and of the instance if the
    keyword iterates over it.
    """
    price = _KEYWORD + (_ENTRY * len(value) if isinstance(value, list | dict) else 0)
    if name in _GO_THROUGH and isinstance(instance, list | dict):
        price += _ENTRY * len(instance)
    if name in _COMPARE and isinstance(instance, list | dict):
        price += _COMPARED * _values(value)
    if name == "uniqueItems" and isinstance(instance, list):
        price += _COMPARED * _values(instance)
    if name in _REFERENCES:
        # a path is followed step by step; an anchor is searched in the whole schema
        price += _REFERENCE + _NODE * (str(value).count("/") or size)
    return price


def _values(value: object) -> int:
    """The number of values inside a value; each 64 characters of a text count as one more."""
    count, rest = 0, [value]
    while rest:
        each = rest.pop()
        count += 1
        if isinstance(each, list):
            rest.extend(each)
        elif isinstance(each, dict):
            count += len(each)
            rest.extend(each.values())
        elif isinstance(each, str):
            count += len(each) // 64
    return count


def _refuse(*_: object) -> NoReturn:
    raise BadUserInput(
        "the JSON Schema uses a keyword that is not supported: it can take too long."
    )


def _unique_items(
    validator: object, wanted: object, instance: object, whole: object
) -> Iterator[ValidationError]:
    """Check `uniqueItems` in linear time; the library needs quadratic time."""
    if wanted and isinstance(instance, list) and len(set(map(_same, instance))) < len(instance):
        yield ValidationError("the list has non-unique elements")


def _same(value: object) -> tuple[bool, object]:
    """A hashable key that is equal only for equal JSON values: true differs from 1."""
    if isinstance(value, list | dict):
        return True, (json.dumps(_plain(value), sort_keys=True),)
    return isinstance(value, bool), value


def _plain(value: object) -> object:
    """A copy in which whole floats are ints: 1.0 and 1 are the same JSON number."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _cut(text: str) -> str:
    """Cut the middle of a long message: the library puts the value first and the problem last."""
    text = text.rstrip(".")
    return text if len(text) <= 200 else f"{text[:100]}…{text[-100:]}"
