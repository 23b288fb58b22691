"""YAML taken apart node by node, so that whatever is wrong is said with its line and column."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml
from pydantic.alias_generators import to_camel

from ai_coordination_engine.domain.texts import did_you_mean

MAX_BYTES = 1_000_000
MAX_NODES = 100_000  # after aliases are expanded
MAX_DEPTH = 50


class Problem(NamedTuple):
    """What is wrong at a place; lines and columns begin at 1."""

    line: int
    column: int
    message: str


Keys = Mapping[str, str]


def keys_of(**friendly: str) -> Keys:
    """Every spelling of each key → the key as it is stored."""
    return {
        spelling: stored
        for stored, others in friendly.items()
        for spelling in (*others.split(), stored, to_camel(stored))
    }


def compose(text: str, reader: "Reader") -> yaml.Node | None:
    """The root of a text that is one YAML document of bearable size; None when it is not, which `reader` then notes."""
    if len(text.encode()) > MAX_BYTES:
        reader.problems.append(Problem(1, 1, f"is larger than {MAX_BYTES // 1_000_000} MB"))
        return None
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reader.problems.append(Problem(line, column, f"is not YAML: {error.problem or error.context}"))
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        reader.problems.append(Problem(line, 1, f"has a character that YAML forbids: #x{error.character:04x}"))
        return None
    except RecursionError:
        reader.problems.append(Problem(1, 1, f"is nested deeper than {MAX_DEPTH} levels"))
        return None
    if root is None:
        reader.problems.append(Problem(1, 1, "is empty; it needs coordination, task and query"))
    elif not reader.small_enough(root):
        return None
    return root


class Reader:
    """Takes nodes apart and notes what is wrong where."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def problem(self, node: yaml.Node, message: str) -> None:
        """Note what is wrong with a node."""
        self.problems.append(Problem(node.start_mark.line + 1, node.start_mark.column + 1, message))

    def small_enough(self, root: yaml.Node) -> bool:
        """Whether the tree stays within the limits when its aliases are followed."""
        stack, count = [(root, 1)], 0
        while stack:
            node, depth = stack.pop()
            count += 1
            if depth > MAX_DEPTH:
                self.problem(root, f"is nested deeper than {MAX_DEPTH} levels")
                return False
            if count > MAX_NODES:
                self.problem(root, f"has more than {MAX_NODES} values when its aliases are followed")
                return False
            stack.extend((child, depth + 1) for child in _children(node))
        return True

    def mapping(self, node: yaml.Node | None, what: str, keys: Keys | None) -> dict[str, yaml.Node]:
        """The values of a mapping by stored key (by the key itself when `keys` is None: any is good)."""
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, f"{what} must be a mapping")
            return {}
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            stored = key if keys is None else keys.get(key)
            if stored is None or not key:
                self.problem(key_node, f'{what} has no key "{key}"{did_you_mean(key, keys or {})}')
            elif stored in found:
                self.problem(key_node, f'{what} has "{key}" twice')
            elif keys is None or not is_null(value):  # among data, null is a value
                found[stored] = value
        return found

    def sequence(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        """The entries of a list."""
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.problem(node, f"{what} must be a list")
            return []
        return list(node.value)

    def text(self, node: yaml.Node | None, what: str) -> str | None:
        """A text; numbers and the like must be quoted."""
        if node is None:
            return None
        if not isinstance(node, yaml.ScalarNode):
            self.problem(node, f"{what} must be text")
        elif node.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp"):
            self.problem(node, f'{what} must be text; write "{node.value}" in quotes')
        else:
            return str(node.value)
        return None

    def value(self, node: yaml.Node) -> Any:
        """Any value as JSON has it."""
        if isinstance(node, yaml.MappingNode):
            return {key: self.value(each) for key, each in self.mapping(node, "this object", None).items()}
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each) for each in node.value]
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        try:
            value = yaml.SafeLoader("").construct_object(node)
            json.dumps(value, allow_nan=False)
        except (yaml.YAMLError, TypeError, ValueError):
            self.problem(node, f"{node.value[:40]!r} is not a value that JSON has")
            return None
        return value


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def is_null(node: yaml.Node) -> bool:
    """Whether the node is YAML's null."""
    return node.tag == "tag:yaml.org,2002:null"
