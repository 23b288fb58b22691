"""YAML's core schema (YAML 1.2.2, section 10.3), so that `NO`, `on`, `12:30`, `01234` and
`2026-12-24` stay texts.

A number is what JSON writes as one, with its digits, and what has no other reading: `0x1F`, `0o17`,
`.5`. With a leading zero or plus it is an article number or a telephone's: a text.
"""

import re
from math import isfinite

import yaml

from ai_coordination_engine.domain import json_text

_TAG = "tag:yaml.org,2002:"
MERGE = f"{_TAG}merge"
_FORMS = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"-?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", "-0123456789"),
    ("float", r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", "-.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
)
_SCALARS = {f"{_TAG}{name}" for name in ("str", "null", "bool", "int", "float", "merge")}
_KINDS = {
    yaml.ScalarNode: _SCALARS,
    yaml.SequenceNode: {f"{_TAG}seq"},
    yaml.MappingNode: {f"{_TAG}map"},
}

_BASES = {"0x": 16, "0o": 8}


class CoreLoader(yaml.SafeLoader):
    """Composes nodes whose tags are those of the core schema, and of merge keys (YAML 1.1, "Merge
    Key").
    """

    yaml_implicit_resolvers: dict[str, object] = {}  # noqa: RUF012  # the library's own name for it


for _name, _form, _first in _FORMS:
    _letters = [*_first, ""] if _name == "null" else [*_first]
    CoreLoader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"(?:{_form})\Z"), _letters)


def unknown_tag(node: yaml.Node) -> str | None:
    """The tag of a node as it is written, when it is none of the core schema, or not one for such a
    node.
    """
    if node.tag in _KINDS[type(node)]:
        return None
    return node.tag.replace(_TAG, "!!")


def is_null(node: yaml.Node) -> bool:
    """Whether the node is YAML's null."""
    return node.tag == f"{_TAG}null"


def is_text(node: yaml.Node) -> bool:
    """Whether the node is a text."""
    return node.tag in (f"{_TAG}str", MERGE)


def scalar(node: yaml.Node, *, digits: bool) -> object:
    """The value of a scalar; a number keeps its `digits` if need be (`1.10`, `1e400`). Raises
    `ValueError`.
    """
    text, kind = str(node.value), node.tag.removeprefix(_TAG)
    match kind:
        case "null":
            return None
        case "bool":
            return {"true": True, "false": False}[text.lower()]
        case "int" if text[:2] in _BASES:
            return int(text[2:], _BASES[text[:2]])
        case "int" | "float":
            return _number(text, is_whole=kind == "int", digits=digits)
        case _:
            return text


def _number(text: str, *, is_whole: bool, digits: bool) -> float:
    if "_" in text:  # Python takes it for a number
        raise ValueError("not a number of the core schema")
    value = json_text.number(text)
    if value is None:  # `!!int "007"`, `.5`
        value = int(text) if is_whole else float(text)
    elif not digits and type(value) is not int:
        value = float(value)
    if not isinstance(value, json_text.Number) and not isfinite(value):
        raise ValueError("not a number that JSON has")
    return value
