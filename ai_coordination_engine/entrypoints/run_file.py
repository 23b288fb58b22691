"""A run file: one YAML file that holds a coordination, a task and a query, checked with line-precise messages.

Keys have a friendly form (`name`, `after`) and the names of the API in camelCase or snake_case; agents are referred
to by name or uuid. All problems are reported at once.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic.alias_generators import to_camel

from ai_coordination_engine.domain.graph import find_cycle, plan
from ai_coordination_engine.domain.shapes import (
    RUNTIME_KINDS,
    parse_agent_actions,
    parse_agents,
    parse_subtask_queries,
)
from ai_coordination_engine.errors import BadUserInput

MAX_BYTES = 1_000_000
MAX_NODES = 100_000  # after aliases are expanded
MAX_DEPTH = 50
AGENT_TYPES = ("task", "triage", "decompose", "planning")


class Problem(NamedTuple):
    """What is wrong at a place; lines and columns begin at 1."""

    line: int
    column: int
    message: str


class RunFileError(BadUserInput):
    """The file cannot be run; the message has one line for every problem, as `file:line:column: what`."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(f"{name}:{line}:{column}: {what}" for line, column, what in self.problems))


@dataclass(frozen=True)
class RunFile:
    """What the file says, in the shapes of the API: lists and objects are plain, with snake_case keys as stored.

    The uuids follow from the names unless the file gives them, so running a file again updates the same records.
    `task_query` is a text; an object in the file becomes JSON.
    """

    coordination_uuid: str
    coordination_name: str
    coordination_description: str
    agents: list[dict[str, Any]]
    task_uuid: str
    task_name: str
    task_description: str
    subtask_queries: list[dict[str, Any]]
    agent_actions: dict[str, dict[str, Any]]
    task_query: str


def read_run_file(path: Path) -> RunFile:
    """The run file at `path`; raises `RunFileError`, also when it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8")
    except OSError as error:
        raise RunFileError(str(path), [Problem(1, 1, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise RunFileError(str(path), [Problem(1, 1, "is not UTF-8 text")]) from error
    return parse_run_file(text, str(path))


def parse_run_file(text: str, name: str = "<text>") -> RunFile:
    """The run file in `text`; `name` is what messages call it. Raises `RunFileError`."""
    reader = _Reader()
    root = _compose(text, reader)
    run = _run_file(reader, root) if root else None
    if reader.problems or run is None:
        raise RunFileError(name, reader.problems)
    return run


Keys = Mapping[str, str]


def _keys(**friendly: str) -> Keys:
    """Every spelling of each key → the key as it is stored."""
    return {
        spelling: stored
        for stored, others in friendly.items()
        for spelling in (*others.split(), stored, to_camel(stored))
    }


_TOP = _keys(coordination="", task="", task_query="query")
_COORDINATION = _keys(
    coordination_uuid="uuid", coordination_name="name", coordination_description="description", agents=""
)
_AGENT = _keys(agent_uuid="uuid", agent_name="name", agent_description="description", agent_type="type", runtime="")
_TASK = _keys(
    task_uuid="uuid",
    task_name="name",
    task_description="description",
    initial_task_query="query",
    subtask_queries="subtasks",
    agent_actions="actions",
)
_SUBTASK = _keys(agent_uuid="agent", subtask_query="query")
_ACTION = _keys(predecessors="after", primary_path="", user_in_the_loop="ask", action_function="function")
_FUNCTION = _keys(module_name="module", function_name="name")


def _compose(text: str, reader: "_Reader") -> yaml.Node | None:
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


class _Reader:
    """Takes nodes apart and notes what is wrong where."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def problem(self, node: yaml.Node, message: str) -> None:
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
                self.problem(key_node, f'{what} has no key "{key}"{_did_you_mean(key, keys or {})}')
            elif stored in found:
                self.problem(key_node, f'{what} has "{key}" twice')
            elif not _is_null(value):
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


def _is_null(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"


def _did_you_mean(word: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _run_file(reader: _Reader, root: yaml.Node) -> RunFile | None:
    top = reader.mapping(root, "the file", _TOP)
    for needed in ("coordination", "task"):
        if needed not in top and isinstance(root, yaml.MappingNode):
            reader.problem(root, f'the file needs the key "{needed}"')
    coordination = reader.mapping(top.get("coordination"), "coordination", _COORDINATION)
    task = reader.mapping(top.get("task"), "task", _TASK)
    agents, references = _agents(reader, coordination.get("agents"), top.get("coordination"))
    subtasks = [_subtask(reader, node, references) for node in reader.sequence(task.get("subtask_queries"), "subtasks")]
    actions = _actions(reader, task.get("agent_actions"), references)
    query = top.get("task_query") or task.get("initial_task_query")
    name = reader.text(coordination.get("coordination_name"), "name") or "Coordination"
    task_name = reader.text(task.get("task_name"), "name") or name
    given = reader.text(coordination.get("coordination_uuid"), "uuid")
    coordination_uuid = given or str(uuid.uuid5(uuid.NAMESPACE_OID, name))
    task_uuid = reader.text(task.get("task_uuid"), "uuid")
    run = RunFile(
        coordination_uuid=coordination_uuid,
        coordination_name=name,
        coordination_description=reader.text(coordination.get("coordination_description"), "description") or "",
        agents=agents,
        task_uuid=task_uuid or str(uuid.uuid5(uuid.NAMESPACE_OID, coordination_uuid + task_name)),
        task_name=task_name,
        task_description=reader.text(task.get("task_description"), "description") or "",
        subtask_queries=subtasks,
        agent_actions=actions,
        task_query=_query(reader, query),
    )
    if not reader.problems:
        _check_as_the_engine_does(reader, top["task"], run)
    return run


def _query(reader: _Reader, node: yaml.Node | None) -> str:
    if node is None:
        return ""
    if isinstance(node, yaml.MappingNode):
        return json.dumps(reader.value(node), ensure_ascii=False)
    return reader.text(node, "query") or ""


def _agents(
    reader: _Reader, node: yaml.Node | None, parent: yaml.Node | None
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The agents, and the uuid of each name and uuid."""
    agents: list[dict[str, Any]] = []
    references: dict[str, str] = {}
    for each in reader.sequence(node, "agents"):
        agent = _agent(reader, each)
        if agent is None:
            continue
        for name in {agent["agent_uuid"], agent.get("agent_name", agent["agent_uuid"])}:
            if name in references:
                reader.problem(each, f'agent "{name}" is defined twice')
            references[name] = agent["agent_uuid"]
        agents.append(agent)
    if not agents and parent is not None and not reader.problems:
        reader.problem(node or parent, "coordination needs at least one agent")
    return agents, references


def _agent(reader: _Reader, node: yaml.Node) -> dict[str, Any] | None:
    fields = reader.mapping(node, "an agent", _AGENT)
    agent = {key: reader.text(each, key) for key, each in fields.items() if key != "runtime"}
    agent.setdefault("agent_uuid", agent.get("agent_name"))
    if not agent["agent_uuid"]:
        if isinstance(node, yaml.MappingNode) and not {"agent_uuid", "agent_name"} & set(fields):
            reader.problem(node, "an agent needs a name")
        return None
    if agent.get("agent_type", "task") not in AGENT_TYPES:
        reader.problem(fields["agent_type"], f"type must be one of {', '.join(AGENT_TYPES)}")
    if "runtime" not in fields:
        return agent
    return {**agent, "runtime": _runtime(reader, fields["runtime"])}


def _runtime(reader: _Reader, node: yaml.Node) -> dict[str, Any]:
    runtime = {key: reader.value(each) for key, each in reader.mapping(node, "runtime", None).items()}
    if isinstance(node, yaml.MappingNode) and runtime.get("kind") not in RUNTIME_KINDS:
        reader.problem(node, f"runtime needs a kind: one of {', '.join(RUNTIME_KINDS)}")
    return runtime


def _reference(reader: _Reader, node: yaml.Node | None, references: Mapping[str, str]) -> str | None:
    """The uuid of the agent that `node` names."""
    name = reader.text(node, "an agent's name")
    if node is None or name is None:
        return None
    if name not in references:
        reader.problem(node, f'agent "{name}" is not defined{_did_you_mean(name, references)}')
    return references.get(name)


def _subtask(reader: _Reader, node: yaml.Node, references: Mapping[str, str]) -> dict[str, Any]:
    fields = reader.mapping(node, "a subtask", _SUBTASK)
    if isinstance(node, yaml.MappingNode) and "agent_uuid" not in fields:
        reader.problem(node, "a subtask needs an agent")
    subtask = {"agent_uuid": _reference(reader, fields.get("agent_uuid"), references)}
    if "subtask_query" in fields:
        subtask["subtask_query"] = reader.text(fields["subtask_query"], "query")
    return subtask


def _actions(reader: _Reader, node: yaml.Node | None, references: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    actions: dict[str, dict[str, Any]] = {}
    places: dict[str, yaml.Node] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        agent_uuid = _reference(reader, key, references)
        if agent_uuid in actions:
            reader.problem(key, f'actions has agent "{key.value}" twice')
        elif agent_uuid and not _is_null(value):
            actions[agent_uuid] = _action(reader, value, references)
            places[agent_uuid] = key
    if node is not None and not isinstance(node, yaml.MappingNode):
        reader.problem(node, "actions must be a mapping of agents")
    cycle = find_cycle({name: action.get("predecessors", ()) for name, action in actions.items()})
    if cycle:
        reader.problem(places[cycle[0]], f"these agents wait for each other: {' -> '.join(cycle)}")
    return actions


def _action(reader: _Reader, node: yaml.Node, references: Mapping[str, str]) -> dict[str, Any]:
    fields = reader.mapping(node, "an action", _ACTION)
    action: dict[str, Any] = {}
    if "predecessors" in fields:
        after = fields["predecessors"]
        names = [after] if isinstance(after, yaml.ScalarNode) else reader.sequence(after, "after")
        found = [_reference(reader, name, references) for name in names]
        action["predecessors"] = list(dict.fromkeys(each for each in found if each))
    if "primary_path" in fields:
        action["primary_path"] = reader.value(fields["primary_path"])
        if not isinstance(action["primary_path"], bool):
            reader.problem(fields["primary_path"], "primary_path must be true or false")
    if "user_in_the_loop" in fields:
        action["user_in_the_loop"] = reader.text(fields["user_in_the_loop"], "ask")
    if "action_function" in fields:
        function = reader.mapping(fields["action_function"], "function", _FUNCTION)
        action["action_function"] = {key: reader.text(each, key) for key, each in function.items()}
    return action


def _check_as_the_engine_does(reader: _Reader, task: yaml.Node, run: RunFile) -> None:
    try:
        plan(
            parse_agents(run.agents),
            parse_subtask_queries(run.subtask_queries),
            parse_agent_actions(run.agent_actions),
        )
    except BadUserInput as error:
        reader.problem(task, error.message)
