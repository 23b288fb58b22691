"""Explain why a session agent was skipped. Pure; `control.explain` calls it."""

from collections.abc import Sequence

from ai_coordination_engine.engine.control.words import because, cut, label, listed
from ai_coordination_engine.engine.graph.edge_outcomes import Edge, edges
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.payload import BlobReference


def why_skipped(
    agent: SessionAgent, before: Sequence[SessionAgent], session: Session | None
) -> str:
    """The first reason that is certain. `before`: the predecessors that were read."""
    unfinished = [each for each in before if each.state in ("failed", "skipped", "cancelled")]
    if unfinished and agent.upstream_failed:
        return f"It was skipped because of a failure before it: {listed(unfinished)}."
    if not unfinished and (reason := _not_passed(agent, before)):
        return f"It was skipped: {reason}."
    if session is not None and session.status in ("failed", "cancelled", "timeout"):
        return f"It was skipped: the session is {session.status}; retrySession tries again."
    if unfinished:
        return f"It was skipped because of what was skipped before it: {listed(unfinished)}."
    return (
        f"It was skipped{because(agent)}: no condition led to it, no function chose it, or a"
        " person ended it."
    )


def _not_passed(agent: SessionAgent, before: Sequence[SessionAgent]) -> str:
    """The conditions or choices of completed predecessors because of which the agent was skipped.

    Empty if that is not certain. No output is read and no condition is evaluated, which may take
    long; the reason is found by elimination.
    """
    are_all_known = len(before) == len(predecessor_ordinals(agent))
    if not are_all_known or not _lacks_predecessors(agent):
        return ""
    conditions = []
    for each in before:
        if not _shows_where_it_led(each):
            return ""
        edge = _edge_between(each, agent)
        if edge is None:
            continue
        chosen = each.stored("chosen")
        if chosen is not None and edge.agent_uuid not in chosen:
            others = "others" if chosen else "none"
            return f"the action function of {label(each)} chose {others}"
        if edge.condition is not None:
            conditions.append(f'"{cut(edge.condition, 200)}" on the output of {label(each)}')
    return _unmet(conditions)


def _lacks_predecessors(agent: SessionAgent) -> bool:
    """Whether too few predecessors can complete for the agent's join."""
    if agent.still_needed is None:
        return bool(agent.unsatisfied)
    return bool(agent.still_needed > (agent.in_degree or 0))


def _shows_where_it_led(predecessor: SessionAgent) -> bool:
    """Whether the predecessor completed, and its edges and choice are inline, not in blobs."""
    has_edges = isinstance(predecessor.stored("successors"), list)
    has_choice = not isinstance(predecessor.stored("chosen"), BlobReference)
    return predecessor.state == "completed" and has_edges and has_choice


def _edge_between(predecessor: SessionAgent, agent: SessionAgent) -> Edge | None:
    outgoing = edges(predecessor.stored("successors"))
    return next((each for each in outgoing if each.ordinal == agent.ordinal), None)


def _unmet(conditions: Sequence[str]) -> str:
    if not conditions:
        return ""
    if len(conditions) == 1:
        return f"the condition {conditions[0]} was not met"
    return f"of the conditions {', '.join(conditions)} too few were met"


def predecessor_ordinals(agent: SessionAgent) -> Sequence[int]:
    """The ordinals of the agent's predecessors; empty if the list is in a blob."""
    stored = agent.stored("predecessors")
    return stored if isinstance(stored, list) else []
