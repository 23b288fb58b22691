"""Plan the graph of a session: its agents, the edges between them, and their threads. Pure.

Each session agent has an *ordinal*. Ordinals follow a topological order: a predecessor has a
smaller ordinal than its successors. `engine.planning` calls `plan` when a session starts.
"""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from itertools import repeat

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.shapes import Agent, AgentAction, SubtaskQuery
from ai_coordination_engine.errors import BadUserInput

MAX_AGENTS = 10_000
MAX_EDGES = 100_000
MAX_COUNTED = 1_000  # predecessors of a join "any" or "quorum"
MAX_THREAD_TURNS = 50


@dataclass(frozen=True, slots=True)
class PlannedAgent:
    """A session agent that is planned, but not stored yet.

    `subtask_query`: None means the task query. `predecessors` and `successors` are ordinals.
    `thread`: the ordinals of the earlier agents on the same thread, oldest first. `thread_root`:
    the ordinal of the first agent on the thread; its own, if it is the first. The map of a step of
    a plan is over the output of the agent `map_over` (an ordinal) and takes `map_limit` elements.
    """

    ordinal: int
    agent: Agent
    action: AgentAction
    subtask_query: str | None
    predecessors: tuple[int, ...]
    successors: tuple[int, ...]
    thread: tuple[int, ...]
    thread_root: int
    map_over: int | None = None
    map_limit: int | None = None


def check_actions(agents: Sequence[Agent], actions: Mapping[str, AgentAction]) -> None:
    """Raise `BadUserInput` for a predecessor that is not an agent of the coordination, and for a
    cycle.
    """
    known = {agent.agent_uuid for agent in agents}
    for agent_uuid, action in actions.items():
        for predecessor in action.predecessors:
            if predecessor not in known:
                raise BadUserInput(
                    f"agentActions.{agent_uuid}: predecessor {predecessor[:100]!r} is not an agent"
                    " of the coordination."
                )
    cycle = find_cycle({uuid: action.predecessors for uuid, action in actions.items()})
    if cycle:
        raise BadUserInput(
            f"agentActions: these agents wait for each other: {' -> '.join(cycle)}.", cycle=cycle
        )


def find_cycle(predecessors: Mapping[str, Sequence[str]]) -> list[str]:
    """The agents on a cycle, in the order of execution; the first agent is repeated at the end.

    Empty if there is no cycle.
    """
    done: set[str] = set()
    for start in predecessors:
        path: list[str] = []
        on_path: set[str] = set()
        stack = [(start, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                on_path.discard(path.pop())
                done.add(node)
            elif node in on_path:
                return [node, *reversed(path[path.index(node) :])]
            elif node not in done:
                path.append(node)
                on_path.add(node)
                stack.append((node, True))
                stack.extend((each, False) for each in predecessors.get(node, ()))
    return []


def plan(
    agents: Sequence[Agent],
    subtask_queries: Sequence[SubtaskQuery],
    actions: Mapping[str, AgentAction],
) -> list[PlannedAgent]:
    """The session agents of a task, in topological order.

    An agent takes part if it has a subtask or an action, or is a predecessor. If no agent does,
    every agent of type `task` takes part. Each subtask of an agent becomes one session agent, and a
    successor waits for all of them. Raises `BadUserInput` for a task that cannot be run.
    """
    check_actions(agents, actions)
    by_uuid = {agent.agent_uuid: agent for agent in agents}
    subtasks: dict[str, list[str | None]] = defaultdict(list)
    for subtask in subtask_queries:
        if subtask.agent_uuid in by_uuid:
            subtasks[subtask.agent_uuid].append(subtask.subtask_query)
    order = _topological(_participants(agents, subtasks, actions), actions)
    ordinals: dict[str, list[int]] = {}
    rows: list[tuple[int, str, str | None]] = []
    for agent_uuid in order:
        queries = subtasks[agent_uuid] or [None]
        ordinals[agent_uuid] = list(range(len(rows), len(rows) + len(queries)))
        rows.extend(zip(ordinals[agent_uuid], repeat(agent_uuid), queries, strict=False))
    if len(rows) > MAX_AGENTS:
        raise BadUserInput(
            f"The task has {len(rows)} subtasks to run; a session takes at most {MAX_AGENTS}."
        )
    return _with_edges(rows, ordinals, by_uuid, actions)


def _participants(
    agents: Sequence[Agent],
    subtasks: Mapping[str, Sequence[str | None]],
    actions: Mapping[str, AgentAction],
) -> list[str]:
    named = set(subtasks)
    for agent_uuid, action in actions.items():
        named.add(agent_uuid)
        named.update(action.predecessors)
    chosen = [agent.agent_uuid for agent in agents if agent.agent_uuid in named] or [
        agent.agent_uuid for agent in agents if agent.agent_type in (None, "task")
    ]
    if not chosen:
        raise BadUserInput(
            'The coordination has no agent that could run; it needs one with agentType: "task" (the'
            " default)."
        )
    return chosen


def _topological(agent_uuids: Sequence[str], actions: Mapping[str, AgentAction]) -> list[str]:
    waits = {
        uuid: set(actions[uuid].predecessors) if uuid in actions else set() for uuid in agent_uuids
    }
    followers: dict[str, list[str]] = defaultdict(list)
    for uuid in agent_uuids:
        for predecessor in waits[uuid]:
            followers[predecessor].append(uuid)
    ready = deque(uuid for uuid in agent_uuids if not waits[uuid])
    order: list[str] = []
    while ready:
        uuid = ready.popleft()
        order.append(uuid)
        for follower in followers[uuid]:
            waits[follower].discard(uuid)
            if not waits[follower]:
                ready.append(follower)
    return order


def _with_edges(
    rows: Sequence[tuple[int, str, str | None]],
    ordinals: Mapping[str, Sequence[int]],
    by_uuid: Mapping[str, Agent],
    actions: Mapping[str, AgentAction],
) -> list[PlannedAgent]:
    waited_for = {uuid: actions[uuid].predecessors if uuid in actions else () for uuid in ordinals}
    _check_number_of_edges(rows, ordinals, waited_for)
    before = _predecessors(ordinals, waited_for)
    _check_joins(actions, before)
    after = _successors(rows, before)
    found: list[PlannedAgent] = []
    for ordinal, uuid, query in rows:
        action = actions.get(uuid) or AgentAction()
        parent = thread_parent(action, before[uuid], found)
        found.append(
            PlannedAgent(
                ordinal=ordinal,
                agent=by_uuid[uuid],
                action=action,
                subtask_query=query,
                predecessors=before[uuid],
                successors=tuple(after[ordinal]),
                thread=(*parent.thread, parent.ordinal)[-MAX_THREAD_TURNS:] if parent else (),
                thread_root=parent.thread_root if parent else ordinal,
            )
        )
    return found


def _predecessors(
    ordinals: Mapping[str, Sequence[int]], waited_for: Mapping[str, Sequence[str]]
) -> dict[str, tuple[int, ...]]:
    return {
        uuid: tuple(dict.fromkeys(each for name in names for each in ordinals[name]))
        for uuid, names in waited_for.items()
    }


def _successors(
    rows: Sequence[tuple[int, str, str | None]], before: Mapping[str, Sequence[int]]
) -> Mapping[int, Sequence[int]]:
    after: dict[int, list[int]] = defaultdict(list)
    for ordinal, uuid, _ in rows:
        for predecessor in before[uuid]:
            after[predecessor].append(ordinal)
    return after


def _check_number_of_edges(
    rows: Sequence[tuple[int, str, str | None]],
    ordinals: Mapping[str, Sequence[int]],
    waited_for: Mapping[str, Sequence[str]],
) -> None:
    """Runs before the edges are built: too many would not fit into memory."""
    edges = sum(len(ordinals[name]) for _, uuid, _ in rows for name in set(waited_for[uuid]))
    if edges > MAX_EDGES:
        raise BadUserInput(
            f"The task has {edges} edges between its subtasks; a session takes at most {MAX_EDGES}."
        )


def _check_joins(actions: Mapping[str, AgentAction], before: Mapping[str, Sequence[int]]) -> None:
    for uuid, ordinals in before.items():
        action = actions.get(uuid)
        if action is None or action.join not in ("any", "quorum"):
            continue
        if len(ordinals) > MAX_COUNTED:
            count = f"at most {MAX_COUNTED} predecessors; this has {len(ordinals)}."
            raise BadUserInput(f"agentActions.{uuid}.join: {action.join} takes {count}")
        if (action.quorum or 1) > len(ordinals):
            raise BadUserInput(
                f"agentActions.{uuid}.quorum: {action.quorum} of {len(ordinals)} can never be"
                " reached."
            )


def thread_parent(
    action: AgentAction, predecessors: Sequence[int], earlier: Sequence[PlannedAgent]
) -> PlannedAgent | None:
    """The agent whose thread this agent continues, if both are on the primary path.

    It is the first predecessor that is on the primary path; None if there is none.
    """
    if not action.primary_path:
        return None
    return next((earlier[each] for each in predecessors if earlier[each].action.primary_path), None)
