"""What a start of a task would do: layers, longest chain, calls and warnings. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import islice

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import task_warnings
from ai_coordination_engine.domain.graph import PlannedAgent
from ai_coordination_engine.domain.literals import suspicious_conditions
from ai_coordination_engine.domain.rules import idle_keys, missing_people
from ai_coordination_engine.domain.shapes import Agent, AgentAction, SubtaskQuery
from ai_coordination_engine.domain.subtasks import Subtask


@dataclass(frozen=True)
class DryRun:
    """What a start would do; agents are named by their uuids.

    `layers`: an agent is in the layer after its last predecessor, once for each of its subtasks.
    `critical_path`: the longest chain. The calls assume that no attempt fails; None stands for a
    map, whose number of elements is not known. `models`: the model of each agent, if it names one.
    `tokens` and `cost_micro_usd`: ranges (`domain.forecast`), if they were asked for.
    """

    layers: Sequence[Sequence[str]]
    critical_path: Sequence[str]
    agent_calls: Mapping[str, int | None]
    model_calls: Mapping[str, int | None]
    warnings: Sequence[str]
    models: Mapping[str, str | None] = field(default_factory=dict)
    tokens: Mapping[str, int] | None = None
    cost_micro_usd: Mapping[str, int] | None = None

    @property
    def width(self) -> int:
        """The number of session agents in the largest layer."""
        return max(map(len, self.layers), default=0)


def dry_run(
    agents: Sequence[Agent],
    subtask_queries: Sequence[SubtaskQuery],
    planned: Sequence[PlannedAgent],
    subtasks: Sequence[Subtask],
    model_of: Callable[[Agent], str | None],
    *,
    is_strict: bool = False,
) -> DryRun:
    """Return what a start of `planned` would do.

    `model_of` returns the model that an agent asks, or None. `is_strict`: a placeholder without a
    value is an error.
    """
    depths = _depths(planned)
    layers: list[list[str]] = [[] for _ in range(max(depths, default=-1) + 1)]
    for each, depth in zip(planned, depths, strict=True):
        layers[depth].append(each.agent.agent_uuid)
    calls = _calls(planned, lambda agent: agent.agent_uuid)
    return DryRun(
        layers=layers,
        critical_path=_critical_path(planned, depths),
        agent_calls=calls,
        model_calls=_calls(planned, model_of),
        models={each.agent.agent_uuid: model_of(each.agent) for each in planned},
        warnings=[
            warning
            for kind in _warnings(agents, subtask_queries, planned, subtasks, is_strict=is_strict)
            for warning in kind
        ],
    )


def _depths(planned: Sequence[PlannedAgent]) -> list[int]:
    """Return the length of the longest chain before each agent, by ordinal."""
    depths: list[int] = []
    seen: dict[tuple[int, ...], int] = {}  # subtasks of one agent share them
    for each in planned:
        before = each.predecessors
        if before not in seen:
            seen[before] = 1 + max((depths[ordinal] for ordinal in before), default=-1)
        depths.append(seen[before])
    return depths


def _critical_path(planned: Sequence[PlannedAgent], depths: Sequence[int]) -> list[str]:
    """Return the longest chain; of several, the first by ordinal."""
    if not planned:
        return []
    ordinal = max(range(len(planned)), key=lambda each: depths[each])
    path = [planned[ordinal]]
    while path[-1].predecessors:
        ordinal = max(path[-1].predecessors, key=lambda each: depths[each])
        path.append(planned[ordinal])
    return [each.agent.agent_uuid for each in reversed(path)]


def _calls(
    planned: Sequence[PlannedAgent], name_of: Callable[[Agent], str | None]
) -> dict[str, int | None]:
    """Return the number of calls by name; None if a map is among them."""
    named = [(name_of(each.agent), each.action.map) for each in planned]
    unknown = {name for name, mapped in named if mapped is not None}
    counts = Counter(name for name, _ in named if name is not None)
    return {name: None if name in unknown else count for name, count in counts.items()}


def _warnings(
    agents: Sequence[Agent],
    subtask_queries: Sequence[SubtaskQuery],
    planned: Sequence[PlannedAgent],
    subtasks: Sequence[Subtask],
    *,
    is_strict: bool,
) -> Iterator[Iterator[str]]:
    """Yield the warnings, a group for each kind."""
    actions: Mapping[str, AgentAction] = {each.agent.agent_uuid: each.action for each in planned}
    yield _few(task_warnings.unfilled(subtask_queries, planned, subtasks))
    yield task_warnings.refused(subtasks if is_strict else ())
    yield task_warnings.of_graph(agents, subtask_queries, planned)
    yield _few(suspicious_conditions(actions))
    yield _few(idle_keys(actions))
    yield _few(missing_people(agents, actions, actions))


def _few(warnings: Iterator[str]) -> Iterator[str]:
    """Return the first `MAX_WARNINGS` different ones."""
    return islice(dict.fromkeys(warnings), task_warnings.MAX_WARNINGS)
