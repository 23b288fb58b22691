"""The actions of a run file: whom each agent waits for, and by which rules it runs."""

from collections.abc import Mapping
from typing import Any

import yaml

from ai_coordination_engine.domain.graph import find_cycle
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.entrypoints import run_file_keys as keys
from ai_coordination_engine.entrypoints.yaml_core import is_null
from ai_coordination_engine.entrypoints.yaml_nodes import Reader


def read_reference(reader: Reader, node: yaml.Node | None, references: Mapping[str, str]) -> str | None:
    """The uuid of the agent that `node` names; `references` has the uuid of each name."""
    name = reader.text(node, "an agent's name")
    if node is None or name is None:
        return None
    if name not in references:
        reader.problem(node, f'agent "{name}" is not defined{did_you_mean(name, references)}')
    return references.get(name)


def read_policy(reader: Reader, node: yaml.Node) -> dict[str, Any]:
    """What happens when an attempt fails."""
    return {key: reader.value(each) for key, each in reader.mapping(node, "retry", keys.POLICY).items()}


class Actions:
    """Reads the actions: `found` is in the shape of the API, by agent uuid."""

    def __init__(self, reader: Reader, references: Mapping[str, str]) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self._reader = reader
        self._references = references
        self._keys: dict[str, yaml.Node] = {}

    def read(self, node: yaml.Node | None) -> None:
        """Read the mapping of agents to actions, and check that no agents wait for each other."""
        entries = self._reader.entries(node) if isinstance(node, yaml.MappingNode) else []
        seen: set[str] = set()
        for key, value, merged in entries:
            agent_uuid = self._reference(key)
            if agent_uuid in seen and not merged:
                self._reader.problem(key, f'actions has agent "{key.value}" twice')
            elif agent_uuid and agent_uuid not in seen and not is_null(value):
                self._keys[agent_uuid] = key
                self.found[agent_uuid] = self._action(self._reader.mapping(value, "an action", keys.ACTION))
            seen |= {agent_uuid} if agent_uuid else set()
        if node is not None and not isinstance(node, yaml.MappingNode):
            self._reader.problem(node, "actions must be a mapping of agents")
        cycle = find_cycle({name: action.get("predecessors", ()) for name, action in self.found.items()})
        if cycle:
            self._reader.problem(self._keys[cycle[0]], f"these agents wait for each other: {' -> '.join(cycle)}")

    def _action(self, fields: Mapping[str, yaml.Node]) -> dict[str, Any]:
        read: dict[str, Any] = {
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
        names = [node] if isinstance(node, yaml.ScalarNode) else self._reader.sequence(node, "after")
        found = [self._reference(name) for name in names]
        return list(dict.fromkeys(each for each in found if each))

    def _primary_path(self, node: yaml.Node) -> Any:
        value = self._reader.value(node)
        if not isinstance(value, bool):
            self._reader.problem(node, "primary_path must be true or false")
        return value

    def _function(self, node: yaml.Node) -> dict[str, Any]:
        function = self._reader.mapping(node, "function", keys.FUNCTION)
        return {key: self._reader.text(each, key) for key, each in function.items()}

    def _map(self, node: yaml.Node) -> dict[str, Any]:
        """`map: rows` is short for `map: {over: rows}`."""
        if isinstance(node, yaml.ScalarNode):
            return {"over": self._reference(node)}
        fields = self._reader.mapping(node, "map", keys.MAP)
        return {
            key: self._reference(each) if key == "over" else self._reader.text(each, key)
            for key, each in fields.items()
        }

    def _conditions(self, node: yaml.Node, after: yaml.Node | None) -> dict[str, Any]:
        """`when: expression` will do for an agent with one predecessor; otherwise a mapping names them."""
        if isinstance(node, yaml.ScalarNode):
            names = [after] if isinstance(after, yaml.ScalarNode) else getattr(after, "value", [])
            if len(names) != 1:
                self._reader.problem(node, "when must say which predecessor it is about, as {name: expression}")
                return {}
            uuid = self._references.get(str(names[0].value))
            return {uuid: self._reader.text(node, "when")} if uuid else {}
        if not isinstance(node, yaml.MappingNode):
            self._reader.problem(node, "when must be a mapping of predecessors")
            return {}
        found: dict[str, Any] = {}
        for key, each, merged in self._reader.entries(node):
            uuid = self._reference(key)
            if uuid and uuid not in found:
                found[uuid] = self._reader.text(each, "when")
            elif uuid and not merged:
                self._reader.problem(key, f'when has "{key.value}" twice')
        return found
