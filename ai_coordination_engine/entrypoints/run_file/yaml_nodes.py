"""Read YAML node by node, so that each problem is reported with its line and column."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import yaml
from pydantic.alias_generators import to_camel

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.charsets import without_bom
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.entrypoints.run_file.yaml_core import (
    MERGE,
    CoreLoader,
    is_null,
    is_text,
    scalar,
    unknown_tag,
)

MAX_BYTES = 1_000_000
MAX_NODES = 100_000  # after aliases are expanded
MAX_DEPTH = 50
_QUOTES_WITHIN = "; within { } and [ ] a text with any of { } [ ] , ? needs quotes"
_HINTS = {  # the parser's context or message → the most frequent cause
    "while parsing a flow mapping": _QUOTES_WITHIN,
    "while parsing a flow sequence": _QUOTES_WITHIN,
    "while parsing a block mapping": (
        "; keys of one mapping begin in one column, "
        "and a text that begins with {, [ or a quote needs quotes around all of it"
    ),
    "mapping values are not allowed here": "; a text with a colon and a space needs quotes",
}


class Problem(NamedTuple):
    """A problem and its place; lines and columns begin at 1."""

    line: int
    column: int
    message: str


Keys = Mapping[str, str]


def keys_of(**friendly: str) -> Keys:
    """Map every spelling of each key to the stored key."""
    return {
        spelling: stored
        for stored, others in friendly.items()
        for spelling in (*others.split(), stored, to_camel(stored))
    }


def compose(text: str, reader: "Reader") -> yaml.Node | None:
    """Return the root node of a text, or None when it is not one YAML document within the limits.

    Problems are added to `reader`.
    """
    if len(text.encode()) > MAX_BYTES:
        reader.problems.append(Problem(1, 1, f"is larger than {MAX_BYTES // 1_000_000} MB"))
        return None
    try:
        root = yaml.compose(without_bom(text), CoreLoader)
    except yaml.MarkedYAMLError as error:
        reader.problems.append(_unreadable(error))
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        reader.problems.append(
            Problem(line, 1, f"has a character that YAML forbids: #x{error.character:04x}")
        )
        return None
    except RecursionError:
        reader.problems.append(Problem(1, 1, f"is nested deeper than {MAX_DEPTH} levels"))
        return None
    if root is None:
        reader.problems.append(Problem(1, 1, "is empty; it needs coordination, task and query"))
    elif not reader.is_within_limits(root) or not reader.is_json(root):
        return None
    return root


def _unreadable(error: yaml.MarkedYAMLError) -> Problem:
    if error.context == "while scanning a quoted scalar":
        mark, what = error.context_mark, "the quotes that begin here do not end"
    else:
        mark = error.problem_mark or error.context_mark
        what = str(error.problem or error.context)
        what += _HINTS.get(what) or _HINTS.get(error.context or "", "")
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(line, column, f"is not YAML: {what}")


class Reader:
    """Reads nodes and collects problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._written: dict[int, str] = {}  # the key of a value, by the value's id

    def problem(self, node: yaml.Node, message: str) -> None:
        """Add a problem with a node."""
        self.problems.append(Problem(node.start_mark.line + 1, node.start_mark.column + 1, message))

    def is_within_limits(self, root: yaml.Node) -> bool:
        """Whether the tree is within the limits when its aliases are followed."""
        stack, count = [(root, 1)], 0
        while stack:
            node, depth = stack.pop()
            count += 1
            if depth > MAX_DEPTH:
                self.problem(root, f"is nested deeper than {MAX_DEPTH} levels")
                return False
            if count > MAX_NODES:
                self.problem(
                    root, f"has more than {MAX_NODES} values when its aliases are followed"
                )
                return False
            stack.extend((child, depth + 1) for child in _children(node))
        return True

    def is_json(self, root: yaml.Node) -> bool:
        """Whether JSON can hold the tree; adds a problem for each tag or character that
        it cannot.
        """
        stack, seen, is_json = [root], set(), True
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if tag := unknown_tag(node):
                self.problem(node, f'has the unsupported tag "{tag[:100]}"')
                is_json = False
            if isinstance(node, yaml.ScalarNode) and not node.value.isascii():
                try:  # "\uD83D\uDE00" is one character
                    node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
                except UnicodeDecodeError:
                    self.problem(node, "holds half of a surrogate pair, which is not a character")
                    is_json = False
            stack.extend(_children(node))
        return is_json

    def entries(self, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node, bool]]:
        """Return the keys and values of a mapping, each with whether it comes from a merge key
        (`<<`).

        Merged entries come last; the first entry of a name counts.
        """
        own = [(key, value, False) for key, value in node.value if key.tag != MERGE]
        merges = [(key, value) for key, value in node.value if key.tag == MERGE]
        for key, _ in merges[1:]:
            self.problem(key, '"<<" is given twice; give it a list of mappings instead')
        for _, value in merges[:1]:
            for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(each, yaml.MappingNode):
                    own += [(name, inner, True) for name, inner, _ in self.entries(each)]
                else:
                    self.problem(each, '"<<" takes a mapping, or a list of mappings')
        return own

    def mapping(self, node: yaml.Node | None, what: str, keys: Keys | None) -> dict[str, yaml.Node]:
        """Return the values of a mapping by stored key; with `keys` None, any key is allowed."""
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, f"{what} must be a mapping")
            return {}
        found: dict[str, yaml.Node] = {}
        for key_node, value, merged in self.entries(node):
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem(key_node, f"{what} has a key that is not text")
                continue
            key = str(key_node.value)
            stored = self._stored_key(node, key_node, value, what, keys)
            if stored is None:
                continue
            if stored not in found:
                found[stored] = value
                self._written[id(value)] = key
            elif not merged:
                self.problem(key_node, f'{what} has "{key}" twice')
        if keys is None:  # in free data, null is a value
            return found
        return {name: value for name, value in found.items() if not is_null(value)}

    def _stored_key(
        self,
        node: yaml.MappingNode,
        key_node: yaml.ScalarNode,
        value: yaml.Node,
        what: str,
        keys: Keys | None,
    ) -> str | None:
        """Return the stored key; None for an unknown key, which is reported, and for `x-…`.

        Keys that begin with `x-` are ignored, so that they can hold anchors.
        """
        key = str(key_node.value)
        if keys is None:
            return key
        if key.startswith("x-"):
            return None
        if key not in keys:
            comma = (
                "; a text with a comma needs quotes" if node.flow_style and is_null(value) else ""
            )
            self.problem(key_node, f'{what} has no key "{key}"{did_you_mean(key, keys) or comma}')
        return keys.get(key)

    def sequence(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        """Return the entries of a list."""
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.problem(node, f"{what} must be a list")
            return []
        return list(node.value)

    def text(self, node: yaml.Node | None, what: str) -> str | None:
        """Return a text. Numbers and other scalars must be quoted.

        Problems name the node's key, or else `what`.
        """
        if node is None:
            return None
        what = self._written.get(id(node), what)
        if not isinstance(node, yaml.ScalarNode):
            hint = (
                "; one that begins with { or [ needs quotes"
                if getattr(node, "flow_style", False)
                else ""
            )
            self.problem(node, f"{what} must be text{hint}")
        elif not is_text(node):
            self.problem(node, f'{what} must be text; write "{node.value}" in quotes')
        else:
            return str(node.value)
        return None

    def value(self, node: yaml.Node, *, digits: bool = False) -> object:
        """Return any value in the form of JSON; with `digits`, numbers keep their digits."""
        if isinstance(node, yaml.MappingNode):
            fields = self.mapping(node, "this object", None)
            return {key: self.value(each, digits=digits) for key, each in fields.items()}
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, digits=digits) for each in node.value]
        try:
            value = scalar(node, digits=digits)
            json_text.dumps(value)
        except (ValueError, LookupError):
            self.problem(node, f"{node.value[:40]!r} is not a value that JSON can hold")
            return None
        return value


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
