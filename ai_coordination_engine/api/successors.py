"""The edges that start at session agents, as the API shows them: the session's graph."""

from collections.abc import Mapping, Sequence
from typing import Any

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.edge_outcomes import (
    Edge,
    EdgeOutcome,
    edges_of,
    evaluate,
    held_again,
)
from ai_coordination_engine.engine.graph.keys import agent_key
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.models import SessionAgent

Shown = list[dict[str, Any]]


def successors(_: App, agents: Sequence[SessionAgent]) -> Mapping[str, Shown]:
    """Return the edges of each agent by session agent uuid.

    The conditions of all agents share one budget; without a result, an outcome is None.
    """
    budget = Budget()
    return {each.session_agent_uuid: _shown(each, budget) for each in agents}


def _shown(agent: SessionAgent, budget: Budget) -> Shown:
    outgoing = [] if agent.ordinal is None else edges_of(agent)
    outcomes = _outcomes(agent, outgoing, budget)
    return [
        {
            "sessionAgentUuid": agent_key(agent, edge.ordinal)[1],
            "condition": edge.condition,
            "outcome": outcome and outcome.value,
        }
        for edge, outcome in zip(outgoing, outcomes, strict=True)
    ]


def _outcomes(
    agent: SessionAgent, outgoing: Sequence[Edge], budget: Budget
) -> Sequence[EdgeOutcome | None]:
    """Return whether each edge passes; None before the agent has ended."""
    unknown = [None] * len(outgoing)
    if agent.state not in TERMINAL_AGENT_STATES:
        return unknown
    conditions = dict.fromkeys(each.condition for each in outgoing if each.condition)
    needed = conditions if agent.state == "completed" else {}
    try:
        held = held_again(needed, agent.read("agent_output") or "", budget) if needed else {}
    except AgentFailure:
        return unknown
    failed, chosen = bool(agent.upstream_failed), agent.chosen
    return evaluate(outgoing, agent.state, upstream_failed=failed, chosen=chosen, held=held)
