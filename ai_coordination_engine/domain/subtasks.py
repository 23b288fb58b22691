"""Fill the placeholders of subtasks when a session is planned. Pure.

The keys of the task query are filled in now; outputs of predecessors are filled in when the agent
runs. `engine.planning` calls this.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.placeholders import Filled, fill
from ai_coordination_engine.domain.scope import Scope
from ai_coordination_engine.domain.shapes import Agent, AgentAction
from ai_coordination_engine.domain.text_parts import output_name
from ai_coordination_engine.errors import BadUserInput

PLACEHOLDERS = ("warn", "strict")
"""The settings of a task: a placeholder without a value gives a warning, or is an error."""
_SHOWN = 5


@dataclass(frozen=True)
class Subtask:
    """The filled subtask of one agent.

    `text` has its stored form (`placeholders.Filled.stored`); the text of a map is not filled yet.
    `missing` are the placeholders without a value, as written.
    """

    text: object
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def predecessor_names(action: AgentAction, agents: Mapping[str, Agent]) -> dict[str, str]:
    """The names by which placeholders can refer to an agent's predecessors → the uuids.

    A uuid is always such a name; an agent's name is one if no other predecessor has it.
    """
    found = {uuid: uuid for uuid in action.predecessors}
    names = {uuid: agents[uuid].agent_name for uuid in action.predecessors if uuid in agents}
    count = Counter(names.values())
    for uuid, name in names.items():
        if name and count[name] == 1:
            found.setdefault(name, uuid)
    for name, ordinal in _steps_before(action).items():
        found.setdefault(name, output_name(ordinal))
    return found


def step_id(action: AgentAction) -> str | None:
    """The id of the step of a plan whose action this is; None for any other."""
    found = _step(action).get("id")
    return found if isinstance(found, str) else None


def _step(action: AgentAction) -> Mapping[str, object]:
    return action.plan_step if isinstance(action.plan_step, dict) else {}


def _steps_before(action: AgentAction) -> Mapping[str, int]:
    """The ordinals of the session agents before a step of a plan, by the ids of their steps."""
    before = _step(action).get("after")
    return before if isinstance(before, dict) else {}


def fill_subtask(
    text: str,
    agent: Agent,
    action: AgentAction,
    agents: Mapping[str, Agent],
    query: Scope,
    budget: Budget | None = None,
) -> Subtask:
    """Fill the keys of the query into the subtask of `agent`; outputs are filled in later.

    The text of a map is left unchanged: the keys of its elements have precedence, and they are not
    known yet. Raises `BadUserInput` like `placeholders.fill`.
    """
    if "{" not in text or action.map is not None:
        return Subtask(text)
    others = {
        name for each in agents.values() for name in (each.agent_uuid, each.agent_name) if name
    }
    predecessors = predecessor_names(action, agents)
    filled = fill(text, query.with_agents(predecessors, others), budget=budget)
    return Subtask(
        filled.stored(),
        tuple(dict.fromkeys(filled.missing)),
        tuple(_warnings(filled, agent, others, query)),
    )


def _warnings(filled: Filled, agent: Agent, others: Collection[str], query: Scope) -> Iterator[str]:
    for placeholder in dict.fromkeys(filled.missing):
        name = placeholder[1:-1].partition(".")[0]
        lacks = "has no such value" if any(query.layers) else "is not a JSON object with values"
        why = f"the query {lacks}, and no predecessor is called so"
        if query.has(name):
            why = f"its path finds nothing in the {name[:100]} of the query"
        elif name in others:
            why = f"{name[:100]} is an agent, but no predecessor of it"
        yield (
            f"subtaskQueries: {placeholder[:200]} of agent {agent.label[:100]} has no value: {why}."
        )
    for name in dict.fromkeys(filled.clashes):
        yield (
            f"subtaskQueries: {{{name[:100]}}} of agent {agent.label[:100]} is a key of the query"
            " and a predecessor; it takes the value of the query."
        )


def refuse_missing(subtasks: Iterable[tuple[str, Subtask]]) -> None:
    """Raise `BadUserInput` that lists the placeholders without a value, if there are any.

    `subtasks`: pairs of the agent's label and its subtask.
    """
    missing = [
        f"{name[:200]} of agent {label[:100]}" for label, each in subtasks for name in each.missing
    ]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        shown = ", ".join(missing[:_SHOWN])
        raise BadUserInput(
            f"subtaskQueries: placeholders are strict, and these have no value: {shown}{more}."
        )
