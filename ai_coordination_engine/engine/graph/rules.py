"""Read the rules of a session agent, which were stored when its session started.

`SessionAgent.rules` has the keys `policy`, `fallback` (an agent), `on_failure`, `map`, `names` (of
its predecessors), `strict` (placeholders), `successor_uuids` and `budgets` (of its task and its
coordination when the session began). A key without a value is left out.
"""

from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.domain.policies import Policy
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.edge_outcomes import edges, tolerated
from ai_coordination_engine.store.models import SessionAgent


def of(agent: SessionAgent) -> Mapping[str, Any]:
    """All rules of the agent; empty if it has none."""
    return agent.rules or {}


def policy(app: App, agent: SessionAgent) -> Policy:
    """The retry policy of the agent, or of its fallback once that runs.

    Missing values fall back to the settings.
    """
    given = _given_policy(agent)
    settings = app.settings
    longest = float(given.get("max_backoff_seconds", settings.max_backoff_seconds))
    return Policy(
        attempts=given.get("attempts", settings.agent_attempts),
        backoff_seconds=float(given.get("backoff_seconds", settings.backoff_seconds)),
        backoff_factor=float(given.get("backoff_factor", 2)),
        max_backoff_seconds=longest,
        retry_on=given.get("retry_on"),
    )


def timeout(app: App, agent: SessionAgent) -> float:
    """How long an attempt may take, in seconds."""
    limit = app.settings.agent_timeout_seconds
    return min(float(_given_policy(agent).get("timeout_seconds", limit)), limit)


def heartbeat(app: App, agent: SessionAgent) -> float:
    """The seconds within which a long job must send a heartbeat."""
    return float(_given_policy(agent).get("heartbeat_seconds", app.settings.heartbeat_seconds))


def fallback(agent: SessionAgent) -> Mapping[str, Any] | None:
    """The agent that runs once all attempts have failed; None if there is none, or it runs
    already.
    """
    return None if agent.on_fallback else of(agent).get("fallback")


def executed_by(agent: SessionAgent) -> str:
    """The uuid of the agent that runs: the session agent's own, or its fallback's."""
    return of(agent)["fallback"]["agent_uuid"] if agent.on_fallback else agent.agent_uuid


def fails_session(agent: SessionAgent) -> bool:
    """Whether a failure of this agent ends the session at once."""
    if of(agent).get("on_failure") == "continue":
        return False
    return not tolerated(edges(agent.successors))


def _given_policy(agent: SessionAgent) -> Mapping[str, Any]:
    found = of(agent)
    if agent.on_fallback:
        return found["fallback"].get("policy") or {}
    return found.get("policy") or {}
