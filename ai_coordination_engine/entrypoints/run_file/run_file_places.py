"""Find the place in a run file that a message of the API is about, and the key written there."""

import re
from collections.abc import Mapping, Sequence

import yaml
from pydantic.alias_generators import to_camel

from ai_coordination_engine.entrypoints.run_file import run_file_keys as keys
from ai_coordination_engine.entrypoints.run_file.yaml_nodes import Keys, Problem, Reader

_LISTS = ("agents", "subtaskQueries", "agentActions")  # walked separately
_BELOW: Mapping[str, Keys] = {
    "policy": keys.POLICY,
    "action_function": keys.FUNCTION,
    "map": keys.MAP,
}
_OF_COORDINATION = {"budget": "budget"}
_KEY = re.compile(': the key "([^"]+)"')
_LONGEST = 1_000  # characters of a path in a message
_ENDS = frozenset(":.[ ,;")
# The API reports up to five problems in one message.
_NEXT = re.compile(r"; (?=(?:agents\[|agentActions\.|subtaskQueries\[))")
# Names of the API that sentences use, with the short forms of a run file.
_WORDS: dict[str, str] = {}
for _table in (keys.TASK, keys.AGENT, keys.ACTION, keys.POLICY, keys.FUNCTION, keys.SUBTASK):
    for _written, _stored in _table.items():
        if to_camel(_stored) != _stored:
            _WORDS.setdefault(to_camel(_stored), _written)
_WORD = re.compile(r"\b(?:" + "|".join(_WORDS) + r")\b")


class Places:
    """The places of a file whose structure is valid.

    `uuids` are those of the agents in order; `references` maps each name and uuid to the uuid.
    """

    def __init__(
        self, root: yaml.Node, uuids: Sequence[str], references: Mapping[str, str]
    ) -> None:
        self._reader = Reader()  # its problems are ignored: they were reported before
        self._found: dict[str, tuple[yaml.Node, str]] = {}
        self._references = references
        self._agents: dict[str, str] = {}
        top = self._fields(root, keys.TOP)
        self._root = root
        self._task = top.get("task", (root, ""))[0]
        self._coordination = top.get("coordination", (root, ""))[0]
        self._walk(("", ""), self._task, "", keys.TASK)  # first: `budget` is the one of the task
        self._walk(("", ""), self._coordination, "", keys.COORDINATION)
        self._walk(("coordination", "coordination"), self._coordination, "", _OF_COORDINATION)
        if "task_query" in top:
            self._add("taskQuery", top["task_query"][0], "query")
        for index, (uuid, node) in enumerate(zip(uuids, self._list("agents"), strict=False)):
            self._agents[uuid] = path = f"agents[{index}]"
            self._add(path, node, "")
            self._walk((path, path), node, "", keys.AGENT)
            name = self._found.get(f"{path}.agent_name", (node, ""))
            for uuid_path in (f"{path}.agent_uuid", f"{path}.agentUuid"):
                self._add(uuid_path, *name)  # unless it is written, the name is the uuid
        for index, node in enumerate(self._list("subtaskQueries")):
            path = f"subtaskQueries[{index}]"
            self._add(path, node, "")
            self._walk((path, path), node, "", keys.SUBTASK)
        self._actions(self._found.get("agentActions"))

    def problems(self, message: str) -> list[Problem]:
        """Split a message of the API into problems, each with its place and the key as written."""
        return [self._problem(part) for part in _NEXT.split(message)]

    def agent_problem(self, uuid: str, key: str, message: str) -> Problem:
        """Return a problem with a key of an agent or of its action, or with the agent itself."""
        agent = self._agents.get(uuid, "")
        paths = [f"{agent}.{key}", f"agentActions.{uuid}.{key}", agent]
        node, _ = next(
            (self._found[each] for each in paths if each in self._found), (self._root, "")
        )
        return _at(node, message)

    def _problem(self, message: str) -> Problem:
        ends = [end for end in range(1, min(len(message), _LONGEST)) if message[end] in _ENDS]
        path = next((message[:end] for end in reversed(ends) if message[:end] in self._found), None)
        if path is None:
            about_task = re.match("(?:The )?(?:task|agentActions|subtask)", message)
            return _at(self._task if about_task else self._coordination, _friendly(message))
        node, shown = self._found[path]
        rest = message[len(path) :]
        if (key := _KEY.match(rest)) and f"{path}.{key[1]}" in self._found:
            node, _ = self._found[f"{path}.{key[1]}"]
        rest = _friendly(rest)
        return _at(node, f"{shown}{rest}".lstrip(": ."))

    def _fields(self, node: yaml.Node, table: Keys | None) -> dict[str, tuple[yaml.Node, str]]:
        """Return the value and the written key of each stored key."""
        found: dict[str, tuple[yaml.Node, str]] = {}
        for key, value, _ in (
            self._reader.entries(node) if isinstance(node, yaml.MappingNode) else ()
        ):
            stored = str(key.value) if table is None else table.get(str(key.value))
            if stored is not None:
                found.setdefault(stored, (value, str(key.value)))
        return found

    def _list(self, path: str) -> Sequence[yaml.Node]:
        node = self._found.get(path, (None, ""))[0]
        return node.value if isinstance(node, yaml.SequenceNode) else ()

    def _add(self, path: str, node: yaml.Node, shown: str) -> None:
        self._found.setdefault(path, (node, shown))

    def _walk(
        self, paths: tuple[str, str], node: yaml.Node, shown: str, table: Keys | None
    ) -> None:
        """Record the place of everything below `node` under its paths in the API.

        There are two paths: with the stored names and in camelCase.
        """
        below: list[tuple[str, str, yaml.Node, str, Keys | None]] = []
        stored, wire = paths
        if isinstance(node, yaml.SequenceNode):
            for index, each in enumerate(node.value):
                below.append(
                    (f"{stored}[{index}]", f"{wire}[{index}]", each, f"{shown}[{index}]", None)
                )
        for name, (value, written) in self._fields(node, table).items():
            at = (
                f"{stored}.{name}",
                f"{wire}.{to_camel(name)}",
                value,
                f"{shown}.{written}",
                _BELOW.get(name),
            )
            below.append(at)
        for first, second, each, words, keys_below in below:
            first, second, words = (  # noqa: PLW2901
                first.lstrip("."),
                second.lstrip("."),
                words.lstrip("."),
            )  # noqa: PLW2901, RUF100
            self._add(first, each, words)
            self._add(second, each, words)
            if second not in _LISTS:
                self._walk((first, second), each, words, keys_below)

    def _actions(self, found: tuple[yaml.Node, str] | None) -> None:
        if found is None or not isinstance(found[0], yaml.MappingNode):
            return
        for key, node, _ in self._reader.entries(found[0]):
            uuid = self._references.get(str(key.value), "")
            for path in {f"agentActions.{uuid}", f"agentActions.{uuid[:100]}"}:
                self._add(path, key, "")
                self._short_forms(path, self._fields(node, keys.ACTION))
                self._walk((path, path), node, "", keys.ACTION)

    def _short_forms(self, path: str, fields: Mapping[str, tuple[yaml.Node, str]]) -> None:
        """Record the places of short forms: names of agents stand for uuids, a scalar for a
        mapping.
        """
        conditions, written = fields.get("conditions", (None, ""))
        for key, value in self._fields(conditions, None).items() if conditions is not None else ():
            uuid = self._references.get(key, key)
            self._add(f"{path}.conditions.{uuid[:100]}", value[0], f"{written}.{key}")
        if isinstance(conditions, yaml.ScalarNode):
            for uuid in set(self._references.values()):
                self._add(f"{path}.conditions.{uuid[:100]}", conditions, written)
        mapped, written = fields.get("map", (None, ""))
        if isinstance(mapped, yaml.ScalarNode):
            self._add(f"{path}.map.over", mapped, written)


def _at(node: yaml.Node, message: str) -> Problem:
    return Problem(node.start_mark.line + 1, node.start_mark.column + 1, message)


def _friendly(text: str) -> str:
    return _WORD.sub(lambda found: _WORDS[found[0]], text)
