"""YAML's core schema (YAML 1.2.2, section 10.3).

`NO`, `on`, `12:30` and `2026-12-24` are texts. A number is what JSON writes as a number, and also
`0x1F`, `0o17` and `.5`. With a leading zero or plus it is a text, such as an article number or a
phone number.
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
    """Composes nodes with the tags of the core schema and of merge keys (YAML 1.1, "Merge Key")."""

    yaml_implicit_resolvers: dict[str, object] = {}  # noqa: RUF012  # the library's own name for it


for _name, _form, _first in _FORMS:
    _letters = [*_first, ""] if _name == "null" else [*_first]
    CoreLoader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"(?:{_form})\Z"), _letters)


def unknown_tag(node: yaml.Node) -> str | None:
    """Return the tag of a node when the core schema does not have it for such a node, or
    else None.
    """
    if node.tag in _KINDS[type(node)]:
        return None
    return node.tag.replace(_TAG, "!!")


def is_null(node: yaml.Node) -> bool:
    """Whether the node is null."""
    return node.tag == f"{_TAG}null"


def is_text(node: yaml.Node) -> bool:
    """Whether the node is a text."""
    return node.tag in (f"{_TAG}str", MERGE)


def scalar(node: yaml.Node, *, digits: bool) -> object:
    """Return the value of a scalar; raises `ValueError`.

    With `digits`, a number keeps its digits as written (`1.10`, `1e400`).
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
    if "_" in text:  # Python would accept it as a number
        raise ValueError("not a number of the core schema")
    value = json_text.number(text)
    if value is None:  # `!!int "007"`, `.5`
        value = int(text) if is_whole else float(text)
    elif not digits and type(value) is not int:
        value = float(value)
    if not isinstance(value, json_text.Number) and not isfinite(value):
        raise ValueError("not a number that JSON has")
    return value
