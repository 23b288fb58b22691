"""Decide whether an agent waits that the settings have allowed before and do not allow now.

A server that was restarted without an allow-list, by mistake, must not fail the sessions that have
begun: their agents wait until the settings allow them again. Sessions that begin later fail.
"""

from datetime import datetime
from random import Random

from ai_coordination_engine.domain.policies import Policy
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION

_POLICY = Policy(
    attempts=300, backoff_seconds=1, backoff_factor=2, max_backoff_seconds=300
)  # about a day


def may_pass(app: App, agent: SessionAgent, failure: AgentFailure) -> bool:
    """Whether the settings do not allow the agent that they may have allowed when its session
    began. One with a fallback does not wait for them: that takes its place.
    """
    if failure.error_class != "not_allowed" or rules.fallback(agent):
        return False
    return _refusals(agent) < _POLICY.attempts and _is_older(app, agent)


def _is_older(app: App, agent: SessionAgent) -> bool:
    """Whether it is of a session from before these settings. One that was asked beside the task
    counts from then.
    """
    is_older = _began_before(app, agent.created_at)
    if is_older or agent.sink_count == 0 or not app.settings_since:
        return is_older
    # an element of a map, or a step of a plan, is as old as its session
    session = app.records.get_stored(SESSION, agent.partition_key, agent.session_key)
    return session is not None and _began_before(app, session.created_at)


def _began_before(app: App, moment: datetime | None) -> bool:
    return moment is not None and moment.timestamp() < app.settings_since


def wait(agent: SessionAgent, random: Random) -> float:
    """Seconds until it is looked again whether the settings allow the agent."""
    return _POLICY.wait(_refusals(agent), None, random)


def values(agent: SessionAgent, failure: AgentFailure) -> dict[str, object]:
    """What is stored of the failure, which does not count as one of the agent's own."""
    return {"notes": failure.message, "refusals": _refusals(agent)}


def _refusals(agent: SessionAgent) -> int:
    return (agent.refusals or 0) + 1
