"""Warnings about a task that can be started; each begins with its place in the task. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.feasibility import can_hold
from ai_coordination_engine.domain.graph import PlannedAgent
from ai_coordination_engine.domain.known import Known, of_output
from ai_coordination_engine.domain.shapes import Agent, AgentAction, SubtaskQuery
from ai_coordination_engine.domain.subtasks import Subtask

MAX_WARNINGS = 20  # of one kind
MAX_WORK = 2_000_000
"""Units for all conditions of a task: about 0.2 seconds."""
MAX_NEEDS = 50  # conditions on the way to one agent that are looked at together
_SHOWN = 200
Needs = frozenset[tuple[str, str]]
"""Pairs of an agent (uuid) and a condition on its output."""


def of_graph(
    agents: Sequence[Agent],
    subtask_queries: Sequence[SubtaskQuery],
    planned: Sequence[PlannedAgent],
) -> Iterator[str]:
    """Yield the warnings about who runs, at most `MAX_WARNINGS` of a kind."""
    yield from islice(without_subtask(agents, subtask_queries, planned), MAX_WARNINGS)
    yield from islice(impossible(planned), MAX_WARNINGS)
    yield from islice(unneeded(agents, planned), MAX_WARNINGS)


def unfilled(
    subtask_queries: Sequence[SubtaskQuery],
    planned: Sequence[PlannedAgent],
    subtasks: Sequence[Subtask],
) -> Iterator[str]:
    """Yield a warning for each placeholder without a value, at the first subtask that has it."""
    places: dict[tuple[str, str | None], int] = {}
    for index, each in enumerate(subtask_queries):
        places.setdefault((each.agent_uuid, each.subtask_query), index)
    for agent, subtask in zip(planned, subtasks, strict=True):
        index = places.get((agent.agent.agent_uuid, agent.subtask_query), 0)
        for warning in subtask.warnings:
            words = warning.removeprefix("subtaskQueries")
            yield f"subtaskQueries[{index}].subtaskQuery{words}"


def refused(subtasks: Iterable[Subtask]) -> Iterator[str]:
    """Yield a warning if a strict start is refused because a placeholder has no value."""
    if any(each.missing for each in subtasks):
        yield "placeholders are strict: a start with this query is refused."


def without_subtask(
    agents: Sequence[Agent],
    subtask_queries: Sequence[SubtaskQuery],
    planned: Sequence[PlannedAgent],
) -> Iterator[str]:
    """Yield a warning for each agent that runs without a subtask while others have one.

    The elements of a map are given their elements, and an `answer` agent needs no subtask.
    """
    asked = {each.agent_uuid for each in subtask_queries}
    actions = {each.agent.agent_uuid: each.action for each in planned}
    for index, agent in enumerate(agents if asked else ()):
        action = actions.get(agent.agent_uuid)
        if action is None or agent.agent_uuid in asked:
            continue
        if action.map is None and not agent.gives_answer:
            yield f"{_named(index, agent)} has no subtask, so it gets the query itself."


def unneeded(agents: Sequence[Agent], planned: Sequence[PlannedAgent]) -> Iterator[str]:
    """Yield a warning for each agent that does not run, and for each without an edge while others
    have edges.
    """
    connected = {
        each.agent.agent_uuid: bool(each.predecessors or each.successors) for each in planned
    }
    standing_by = {each.action.fallback for each in planned}
    has_edges = any(connected.values())
    for index, agent in enumerate(agents):
        uuid = agent.agent_uuid
        if uuid in connected:
            if has_edges and not connected[uuid]:
                yield (
                    f"{_named(index, agent)} stands alone: it waits for nobody, and nobody waits"
                    " for it."
                )
        elif agent.agent_type in (None, "task") and uuid not in standing_by:
            yield (
                f"{_named(index, agent)} does not run: it has no subtask and no action, and nobody"
                " waits for it."
            )


def _named(index: int, agent: Agent) -> str:
    return f'agents[{index}]: the agent "{agent.label[:100]}"'


def impossible(planned: Sequence[PlannedAgent]) -> Iterator[str]:
    """Yield a warning for each condition that can never hold, and each agent that can never run."""
    return _Ways(planned).words()


class _Ways:
    """Checks each agent of a graph once, predecessors first."""

    def __init__(self, planned: Sequence[PlannedAgent]) -> None:
        self._agents: Mapping[str, PlannedAgent] = {each.agent.agent_uuid: each for each in planned}
        self._budget = Budget(MAX_WORK)
        self._known: dict[str, Known] = {}
        self._found: dict[Needs, bool] = {}
        self._needs: dict[str, Needs] = {}
        self._never: set[str] = set()

    def words(self) -> Iterator[str]:
        for uuid, each in self._agents.items():
            yield from self._of_agent(uuid, each)

    def _of_agent(self, uuid: str, each: PlannedAgent) -> Iterator[str]:
        action = each.action
        conditions = action.conditions or {}
        before = list(dict.fromkeys(action.predecessors))
        asked = [(name, conditions[name]) for name in before if name in conditions]
        broken = [name for name, text in asked if not self._can_hold(frozenset([(name, text)]))]
        passing = set(before) - self._never - set(broken)
        if len(passing) < _needed(action, before):
            self._never.add(uuid)
        place = f"agentActions.{uuid[:100]}"
        for name in broken:
            so = f" {each.agent.label[:100]} never runs." if uuid in self._never else ""
            yield f"{place}.conditions.{name[:100]}: {_cut(conditions[name])} can never hold.{so}"
        if uuid not in self._never and action.join == "all":
            yield from self._of_way(uuid, place, each, before)

    def _of_way(
        self, uuid: str, place: str, each: PlannedAgent, before: Sequence[str]
    ) -> Iterator[str]:
        """Yield a warning if the conditions on the way to the agent exclude each other."""
        conditions = each.action.conditions or {}
        own: Needs = frozenset((name, conditions[name]) for name in before if name in conditions)
        inherited = [self._needs.get(name, frozenset()) for name in before]
        needs = own.union(*inherited)
        if len(needs) > MAX_NEEDS:
            return
        self._needs[uuid] = needs
        for name, asked in _by_agent(needs).items():
            if any(asked <= known for known in inherited) or self._can_hold(asked):
                continue
            self._never.add(uuid)
            texts = ", ".join(_cut(each) for _, each in sorted(asked))
            yield (
                f"{place}: {each.agent.label[:100]} never runs: what leads to it needs of"
                f" {name[:100]} what can never hold together: {texts}."
            )

    def _can_hold(self, asked: Needs) -> bool:
        """Return whether one output can satisfy these conditions, all on the same agent."""
        if asked not in self._found:
            ((uuid, _), *_) = asked
            if uuid not in self._known:
                agent = self._agents[uuid]
                self._known[uuid] = of_output(agent.agent, agent.action)
            texts = [each for _, each in sorted(asked)]
            self._found[asked] = can_hold(texts, self._known[uuid], self._budget)
        return self._found[asked]


def _by_agent(needs: Needs) -> dict[str, Needs]:
    """Group by agent the conditions of agents that have several."""
    counts = Counter(name for name, _ in needs)
    several = sorted(each for each in needs if counts[each[0]] > 1)
    return {name: frozenset(group) for name, group in groupby(several, itemgetter(0))}


def _needed(action: AgentAction, before: Sequence[str]) -> int:
    """Return how many predecessors (agents, not subtasks) must pass at least."""
    if action.join == "all":
        return len(before)
    return 1 if before and action.join in ("any", "quorum") else 0


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
