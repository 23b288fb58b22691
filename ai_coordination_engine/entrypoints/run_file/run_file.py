"""Read a run file: one YAML file with a coordination, a task and a query.

`ace run` and `ace validate` call it. Keys have a short form (`name`, `after`) and the names of the
API in camelCase or snake_case. Agents are referred to by name or uuid. All problems are reported at
once, each with line and column.
"""

import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import field, replace
from pathlib import Path

import yaml

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.budgets import check_fallback, parse_budget
from ai_coordination_engine.domain.charsets import Undecodable, decode, without_bom
from ai_coordination_engine.domain.exposure import Exposure
from ai_coordination_engine.domain.graph import plan
from ai_coordination_engine.domain.json_text import JSONObject
from ai_coordination_engine.domain.plan_limits import PLAN_FALLBACKS, PlanLimits
from ai_coordination_engine.domain.rules import ON_FAILURE, check_rules
from ai_coordination_engine.domain.runtimes import KINDS
from ai_coordination_engine.domain.shapes import (
    parse_agent_actions,
    parse_agents,
    parse_subtask_queries,
)
from ai_coordination_engine.domain.subtasks import PLACEHOLDERS
from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.entrypoints.run_file import run_file_keys as keys
from ai_coordination_engine.entrypoints.run_file.run_file_actions import (
    Actions,
    read_policy,
    read_reference,
)
from ai_coordination_engine.entrypoints.run_file.run_file_places import Places
from ai_coordination_engine.entrypoints.run_file.yaml_nodes import (
    MAX_BYTES,
    Problem,
    Reader,
    compose,
)
from ai_coordination_engine.errors import BadUserInput

AGENT_TYPES = ("task", "triage", "decompose", "planning")


class RunFileError(BadUserInput):
    """The file is not valid; the message has a line `file:line:column: problem` for each
    problem.
    """

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(problem_line(name, each) for each in self.problems))


@dataclass(frozen=True)
class RunFile:
    """The content of a run file in the form of the API: lists and objects with snake_case keys.

    Uuids are derived from the names unless the file gives them, so that running a file again
    updates the same records. `task_query` is a text; an object in the file becomes JSON.
    """

    coordination_uuid: str
    coordination_name: str
    coordination_description: str
    agents: list[JSONObject]
    task_uuid: str
    task_name: str
    task_description: str
    subtask_queries: list[JSONObject]
    agent_actions: dict[str, JSONObject]
    task_query: str
    on_failure: str | None = None
    placeholders: str | None = None
    plan: bool = False
    plan_limits: JSONObject | None = None
    plan_fallback: str | None = None
    expose_as: JSONObject | None = None
    budget: JSONObject | None = None
    coordination_budget: JSONObject | None = None
    name: str = field(default="", compare=False)
    places: Places | None = field(default=None, compare=False, repr=False)

    def problems(self, message: str) -> list[Problem]:
        """Convert a message of the API to problems of this file, with their places."""
        return self.places.problems(message) if self.places else [Problem(1, 1, message)]

    def located(self, message: str, kind: str = "") -> list[str]:
        """Convert a message of the API to lines `file:line:column: problem` about this file."""
        found = self.problems(message)
        return [
            problem_line(self.name, each._replace(message=kind + each.message)) for each in found
        ]

    def agent_problem(self, uuid: str, key: str, message: str) -> Problem:
        """Return a problem of a key of an agent or of its action."""
        if self.places is None:
            return Problem(1, 1, message)
        return self.places.agent_problem(uuid, key, message)


def problem_line(name: str, problem: Problem) -> str:
    """Return a problem as one line."""
    return f"{name}:{problem.line}:{problem.column}: {problem.message}"


def read_run_file(path: Path, query: str | None = None) -> RunFile:
    """Read the run file at `path`, `-` for stdin; `query` replaces its query.

    Raises `RunFileError`, also when the file cannot be read.
    """
    name = "<stdin>" if str(path) == "-" else str(path)
    try:
        with nullcontext(sys.stdin.buffer) if name == "<stdin>" else path.open("rb") as file:
            data = file.read(2 * MAX_BYTES + 3)  # enough for UTF-16 with a byte order mark
        text = decode(data) if len(data) < 2 * MAX_BYTES + 3 else "x" * (MAX_BYTES + 1)
    except OSError as error:
        raise RunFileError(name, [Problem(1, 1, f"cannot be read: {error.strerror}")]) from error
    except Undecodable as error:
        raise RunFileError(name, [Problem(1, 1, "is not UTF-8 text; save it as UTF-8")]) from error
    run = parse_run_file(text, name)
    return run if query is None else replace(run, task_query=without_bom(query))


def parse_run_file(text: str, name: str = "<text>") -> RunFile:
    """Read a run file from `text`; `name` stands for its path in messages. Raises
    `RunFileError`.
    """
    reader = Reader()
    root = compose(text, reader)
    run = _run_file(reader, root, name) if root else None
    if reader.problems or run is None:
        raise RunFileError(name, reader.problems)
    return run


def _run_file(reader: Reader, root: yaml.Node, name: str) -> RunFile | None:
    top = reader.mapping(root, "the file", keys.TOP)
    _check_top(reader, root, top)
    coordination = reader.mapping(top.get("coordination"), "coordination", keys.COORDINATION)
    task = reader.mapping(top.get("task"), "task", keys.TASK)
    agents, references = _agents(reader, coordination.get("agents"), top.get("coordination"))
    subtasks = [
        _subtask(reader, node, references)
        for node in reader.sequence(task.get("subtask_queries"), "subtasks")
    ]
    actions = Actions(reader, references)
    actions.read(task.get("agent_actions"))
    title = reader.text(coordination.get("coordination_name"), "name") or "Coordination"
    task_name = reader.text(task.get("task_name"), "name") or title
    coordination_uuid = _uuid(reader, coordination.get("coordination_uuid"), title)
    run = RunFile(
        coordination_uuid=coordination_uuid,
        coordination_name=title,
        coordination_description=_description(reader, coordination.get("coordination_description")),
        agents=agents,
        task_uuid=_uuid(reader, task.get("task_uuid"), coordination_uuid + task_name),
        task_name=task_name,
        task_description=_description(reader, task.get("task_description")),
        subtask_queries=subtasks,
        agent_actions=actions.found,
        task_query=_query(reader, top.get("task_query") or task.get("initial_task_query")),
        on_failure=_word(reader, task.get("on_failure"), "on_failure", ON_FAILURE),
        placeholders=_word(reader, task.get("placeholders"), "placeholders", PLACEHOLDERS),
        plan=_flag(reader, task.get("plan"), "plan"),
        plan_limits=_checked(reader, task.get("plan_limits"), PlanLimits.of),
        plan_fallback=_word(reader, task.get("plan_fallback"), "plan_fallback", PLAN_FALLBACKS),
        expose_as=_checked(reader, task.get("expose_as"), Exposure.of),
        budget=_checked(reader, task.get("budget"), parse_budget),
        coordination_budget=_checked(reader, coordination.get("budget"), parse_budget),
        name=name,
    )
    if reader.problems:
        return run
    places = Places(root, [each["agent_uuid"] for each in agents], references)
    return _with_places(reader, run, places)


def _check_top(reader: Reader, root: yaml.Node, top: Mapping[str, yaml.Node]) -> None:
    for needed in ("coordination", "task"):
        if needed not in top and isinstance(root, yaml.MappingNode):
            reader.problem(root, f'the file needs the key "{needed}"')


def _uuid(reader: Reader, node: yaml.Node | None, name: str) -> str:
    """Return the uuid in the file, or one derived from the name."""
    return reader.text(node, "uuid") or str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _description(reader: Reader, node: yaml.Node | None) -> str:
    return reader.text(node, "description") or ""


def _with_places(reader: Reader, run: RunFile, places: Places) -> RunFile:
    """Report what the API would refuse; return the run file with the places of its values."""
    for message in _refused(run):
        reader.problems += places.problems(message)
    return replace(run, places=places)


def _refused(run: RunFile) -> Iterator[str]:
    """Yield what the API and the engine would refuse; checks the graph only if all parts
    are valid.
    """
    try:
        agents = parse_agents(run.agents)
        subtasks = parse_subtask_queries(run.subtask_queries)
    except BadUserInput as error:
        yield error.message
        return
    wrong = False
    for agent_uuid, action in run.agent_actions.items():
        try:
            check_rules(agents, parse_agent_actions({agent_uuid: action}))
        except BadUserInput as error:
            wrong = True
            yield error.message
    if not wrong:
        try:
            actions = parse_agent_actions(run.agent_actions)
            plan(agents, subtasks, actions)
            if run.budget is not None and not run.plan:
                check_fallback(parse_budget(run.budget), actions)
        except BadUserInput as error:
            yield error.message


def _word(reader: Reader, node: yaml.Node | None, key: str, accepted: Sequence[str]) -> str | None:
    value = reader.text(node, key)
    if node is not None and value is not None and value not in accepted:
        hint = did_you_mean(value, accepted)
        reader.problem(node, f"{key} must be one of {', '.join(accepted)}{hint}")
    return value


def _flag(reader: Reader, node: yaml.Node | None, key: str) -> bool:
    value = False if node is None else reader.value(node)
    if node is not None and not isinstance(value, bool):
        reader.problem(node, f"{key} must be true or false")
    return value is True


def _checked(
    reader: Reader, node: yaml.Node | None, check: Callable[[object], object]
) -> JSONObject | None:
    """Return an object that `check` accepts; it raises `BadUserInput`."""
    if node is None:
        return None
    value = reader.value(node)
    try:
        check(value)
    except BadUserInput as error:
        reader.problem(node, error.message.replace("planLimits", "plan_limits", 1))
    return value if isinstance(value, dict) else None


def _query(reader: Reader, node: yaml.Node | None) -> str:
    if node is None:
        return ""
    if isinstance(node, yaml.MappingNode):
        return json_text.dumps(reader.value(node, digits=True))
    return reader.text(node, "query") or ""


def _agents(
    reader: Reader, node: yaml.Node | None, parent: yaml.Node | None
) -> tuple[list[JSONObject], dict[str, str]]:
    """Return the agents, and a map of each name and uuid to the uuid."""
    agents: list[JSONObject] = []
    references: dict[str, str] = {}
    for each in reader.sequence(node, "agents"):
        agent = _agent(reader, each)
        if agent is None:
            continue
        for name in {agent["agent_uuid"], agent.get("agent_name") or agent["agent_uuid"]}:
            if name in references:
                reader.problem(each, f'agent "{name}" is defined twice')
            references[name] = agent["agent_uuid"]
        agents.append(agent)
    if not agents and parent is not None and not reader.problems:
        reader.problem(node or parent, "coordination needs at least one agent")
    return agents, references


def _agent(reader: Reader, node: yaml.Node) -> JSONObject | None:
    fields = reader.mapping(node, "an agent", keys.AGENT)
    agent: JSONObject = {
        key: reader.text(each, key)
        for key, each in fields.items()
        if key not in ("runtime", "policy")
    }
    agent.setdefault("agent_uuid", agent.get("agent_name"))
    if not agent["agent_uuid"]:
        if isinstance(node, yaml.MappingNode) and not {"agent_uuid", "agent_name"} & set(fields):
            reader.problem(node, "an agent needs a name")
        return None
    if agent.get("agent_type", "task") not in AGENT_TYPES:
        hint = did_you_mean(agent["agent_type"], AGENT_TYPES)
        reader.problem(fields["agent_type"], f"type must be one of {', '.join(AGENT_TYPES)}{hint}")
    if "runtime" in fields:
        agent["runtime"] = _runtime(reader, fields["runtime"])
    if "policy" in fields:
        agent["policy"] = read_policy(reader, fields["policy"])
    return agent


def _runtime(reader: Reader, node: yaml.Node) -> JSONObject:
    if not isinstance(node, yaml.MappingNode):
        reader.problem(node, "runtime must be a mapping, such as {kind: function, name: echo}")
        return {}
    runtime = {
        key: reader.value(each) for key, each in reader.mapping(node, "runtime", None).items()
    }
    kind = runtime.get("kind")
    if kind not in KINDS:
        wrong = "" if kind is None else f", not {str(kind)[:100]!r}"
        wrong += did_you_mean(kind, KINDS)
        reader.problem(node, f"runtime needs a kind: one of {', '.join(KINDS)}{wrong}")
    return runtime


def _subtask(reader: Reader, node: yaml.Node, references: Mapping[str, str]) -> JSONObject:
    fields = reader.mapping(node, "a subtask", keys.SUBTASK)
    if isinstance(node, yaml.MappingNode) and "agent_uuid" not in fields:
        reader.problem(node, "a subtask needs an agent")
    subtask = {"agent_uuid": read_reference(reader, fields.get("agent_uuid"), references)}
    if "subtask_query" in fields:
        subtask["subtask_query"] = reader.text(fields["subtask_query"], "query")
    return subtask
