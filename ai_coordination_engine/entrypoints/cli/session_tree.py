"""A session as a tree of its agents, for `ace show`."""

from collections.abc import Iterator, Mapping, Sequence

from ai_coordination_engine.entrypoints.cli.columns import columns
from ai_coordination_engine.entrypoints.cli.output import on_one_line
from ai_coordination_engine.entrypoints.cli.progress import measures, over
from ai_coordination_engine.entrypoints.cli.session_view import (
    WAITS,
    AgentView,
    SessionView,
    predecessors,
    step_of,
)

_MARKS = {
    "completed": "+",
    "failed": "x",
    "executing": ">",
    WAITS: "?",
    "skipped": "-",
    "cancelled": "-",
}
_TELLING = ("failed", "executing", WAITS)
_WORDS = 300  # characters of a reason or a note
_ELEMENTS = 10  # elements of a map that are shown because of their states


def as_tree(view: SessionView, task: str, *, with_all: bool = False) -> str:
    """Return the session for people: a head, and a line for each agent below the last agent that it
    waits for.

    Of the elements of maps, the first that failed, run or wait are shown; or all of them.
    """
    return "\n".join([*_head(view, task), columns([*_rows(view, with_all)])])


def _head(view: SessionView, task: str) -> Iterator[str]:
    session = view.session
    yield f"session  {on_one_line(session.session_uuid)}"
    if task:
        yield f"task     {on_one_line(task)}"
    yield f"status   {session.status}"
    yield f"created  {session.created_at.isoformat(timespec='seconds')}"
    if session.user_id:
        yield f"user     {on_one_line(session.user_id)}"
    if session.task_query:
        yield f"query    {on_one_line(session.task_query[:200])}"
    if session.logs:
        yield f"logs     {on_one_line(session.logs[:1000])}"
    yield ""


def _rows(view: SessionView, with_all: bool) -> Iterator[list[str]]:
    own = [each for each in view.agents if not each.is_element]
    elements: dict[str, list[AgentView]] = {}
    for each in view.agents:
        if each.record.map_session_agent_uuid is not None:
            elements.setdefault(each.record.map_session_agent_uuid, []).append(each)
    counts, whole = view.elements(), view.with_whole_maps()
    for agent, depth in _ordered(own):
        indent = "  " * depth
        yield _row(whole.get(agent.uuid, agent), indent, counts.get(agent.uuid, {}))
        for each in _shown(elements.get(agent.uuid, ()), with_all):
            yield _row(each, f"{indent}  ", {})


def _shown(elements: Sequence[AgentView], with_all: bool) -> Sequence[AgentView]:
    if with_all:
        return elements
    return [each for each in elements if each.state in _TELLING][:_ELEMENTS]


def _row(agent: AgentView, indent: str, elements: Mapping[str, int]) -> list[str]:
    state = agent.state
    if elements:
        state = f"{state} {over(elements)}/{sum(elements.values())}"
    words = agent.why.message if agent.why else agent.record.notes or ""
    if agent.state == WAITS:
        words = agent.asking
    after = predecessors(agent.record)
    also = f"after {len(after)} agents. " if len(after) > 1 and agent.why is None else ""
    return [
        f"{indent}{_MARKS.get(agent.state, '.')} {on_one_line(agent.name)}",
        state,
        measures(agent, is_map=bool(elements)),
        also + on_one_line(words.split("\n")[0][:_WORDS]),
    ]


def _ordered(agents: Sequence[AgentView]) -> Iterator[tuple[AgentView, int]]:
    """The agents with their depths: each comes after the last of those that it waits for."""
    by_step: dict[str, list[AgentView]] = {}
    for each in agents:
        by_step.setdefault(step_of(each.record), []).append(each)
    depths = _depths(agents, by_step)
    below: dict[str | None, list[AgentView]] = {}
    for each in agents:
        before = [one for step in predecessors(each.record) for one in by_step.get(step, ())]
        deepest = max(before, key=lambda one: depths[one.uuid], default=None)
        below.setdefault(deepest.uuid if deepest else None, []).append(each)
    stack = [(each, 0) for each in reversed(below.get(None, []))]
    while stack:
        agent, depth = stack.pop()
        yield agent, depth
        stack += [(each, depth + 1) for each in reversed(below.get(agent.uuid, []))]


def _depths(agents: Sequence[AgentView], by_step: Mapping[str, list[AgentView]]) -> dict[str, int]:
    """The length of the longest chain before each agent. A graph has no cycles; what a client wrote
    by hand may have some, whose agents stay where they are.
    """
    depths = dict.fromkeys((each.uuid for each in agents), 0)
    for _ in agents:
        changed = False
        for each in agents:
            before = [one for step in predecessors(each.record) for one in by_step.get(step, ())]
            depth = max((depths[one.uuid] + 1 for one in before), default=0)
            if depth != depths[each.uuid] and depth <= len(agents):
                depths[each.uuid], changed = depth, True
        if not changed:
            break
    return depths
