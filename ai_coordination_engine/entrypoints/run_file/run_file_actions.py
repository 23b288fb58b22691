"""Read the actions of a run file: the predecessors of each agent and the rules by which it runs."""

from collections.abc import Callable, Iterator, Mapping

import yaml

from ai_coordination_engine.domain.graph import find_cycle
from ai_coordination_engine.domain.json_text import JSONObject
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.entrypoints.run_file import run_file_keys as keys
from ai_coordination_engine.entrypoints.run_file.yaml_core import is_null
from ai_coordination_engine.entrypoints.run_file.yaml_nodes import Reader


def read_reference(
    reader: Reader, node: yaml.Node | None, references: Mapping[str, str]
) -> str | None:
    """Return the uuid of the agent that `node` names; `references` maps names to uuids."""
    name = reader.text(node, "an agent's name")
    if node is None or name is None:
        return None
    if name not in references:
        reader.problem(node, f'agent "{name}" is not defined{did_you_mean(name, references)}')
    return references.get(name)


def read_policy(reader: Reader, node: yaml.Node) -> JSONObject:
    """Read the retry policy."""
    return {
        key: reader.value(each) for key, each in reader.mapping(node, "retry", keys.POLICY).items()
    }


class Actions:
    """Reads the actions; `found` maps agent uuids to actions in the form of the API."""

    def __init__(self, reader: Reader, references: Mapping[str, str]) -> None:
        self.found: dict[str, JSONObject] = {}
        self._reader = reader
        self._references = references
        self._keys: dict[str, yaml.Node] = {}

    def read(self, node: yaml.Node | None) -> None:
        """Read the mapping of agents to actions and report agents that wait for each other."""
        if isinstance(node, yaml.MappingNode):
            self._read_entries(node)
        elif node is not None:
            self._reader.problem(node, "actions must be a mapping of agents")
        cycle = find_cycle(
            {name: action.get("predecessors", ()) for name, action in self.found.items()}
        )
        if cycle:
            self._reader.problem(
                self._keys[cycle[0]], f"these agents wait for each other: {' -> '.join(cycle)}"
            )

    def _read_entries(self, node: yaml.MappingNode) -> None:
        for agent_uuid, key, value in self._unique_agents(node, "actions has agent"):
            if not is_null(value):
                self._keys[agent_uuid] = key
                self.found[agent_uuid] = self._action(
                    self._reader.mapping(value, "an action", keys.ACTION)
                )

    def _unique_agents(
        self, node: yaml.MappingNode, what: str
    ) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Yield each agent among the keys, with key and value; report and skip repeated agents."""
        seen: set[str] = set()
        for key, value, merged in self._reader.entries(node):
            agent_uuid = self._reference(key)
            if not agent_uuid:
                continue
            if agent_uuid not in seen:
                seen.add(agent_uuid)
                yield agent_uuid, key, value
            elif not merged:
                self._reader.problem(key, f'{what} "{key.value}" twice')

    def _action(self, fields: Mapping[str, yaml.Node]) -> JSONObject:
        read: dict[str, Callable[[yaml.Node], object]] = {
            "predecessors": self._predecessors,
            "primary_path": self._primary_path,
            "action_function": self._function,
            "map": self._map,
            "policy": lambda node: read_policy(self._reader, node),
            "fallback": self._reference,
            "user_in_the_loop": lambda node: self._reader.text(node, "ask"),
            "join": lambda node: self._reader.text(node, "join"),
            "default_answer": lambda node: self._reader.text(node, "default_answer"),
            "conditions": lambda node: self._conditions(node, fields.get("predecessors")),
        }
        return {key: read.get(key, self._reader.value)(node) for key, node in fields.items()}

    def _reference(self, node: yaml.Node | None) -> str | None:
        return read_reference(self._reader, node, self._references)

    def _predecessors(self, node: yaml.Node) -> list[str]:
        names = (
            [node] if isinstance(node, yaml.ScalarNode) else self._reader.sequence(node, "after")
        )
        found = [self._reference(name) for name in names]
        return list(dict.fromkeys(each for each in found if each))

    def _primary_path(self, node: yaml.Node) -> object:
        value = self._reader.value(node)
        if not isinstance(value, bool):
            self._reader.problem(node, "primary_path must be true or false")
        return value

    def _function(self, node: yaml.Node) -> JSONObject:
        function = self._reader.mapping(node, "function", keys.FUNCTION)
        return {key: self._reader.text(each, key) for key, each in function.items()}

    def _map(self, node: yaml.Node) -> JSONObject:
        """Read `map`; `map: rows` is short for `map: {over: rows}`."""
        if isinstance(node, yaml.ScalarNode):
            return {"over": self._reference(node)}
        fields = self._reader.mapping(node, "map", keys.MAP)
        return {
            key: self._reference(each) if key == "over" else self._reader.text(each, key)
            for key, each in fields.items()
        }

    def _conditions(self, node: yaml.Node, after: yaml.Node | None) -> JSONObject:
        """Read `when`: a mapping of predecessors to expressions, or one expression for one
        predecessor.
        """
        if isinstance(node, yaml.ScalarNode):
            return self._only_condition(node, after)
        if isinstance(node, yaml.MappingNode):
            return {
                uuid: self._reader.text(each, "when")
                for uuid, _, each in self._unique_agents(node, "when has")
            }
        self._reader.problem(node, "when must be a mapping of predecessors")
        return {}

    def _only_condition(self, node: yaml.ScalarNode, after: yaml.Node | None) -> JSONObject:
        names = [after] if isinstance(after, yaml.ScalarNode) else getattr(after, "value", [])
        if len(names) != 1:
            self._reader.problem(
                node, "when must say which predecessor it is about, as {name: expression}"
            )
            return {}
        uuid = self._references.get(str(names[0].value))
        return {uuid: self._reader.text(node, "when")} if uuid else {}
