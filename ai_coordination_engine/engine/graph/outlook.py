"""Find out when the sweep must look at a session again, and which waits nothing can end.

`control.reconcile` is the caller.
"""

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from typing import assert_never

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.lifecycle.phases import Phase, phase_if_resumed
from ai_coordination_engine.domain.statuses import OPEN_AGENT_STATES, OPEN_SESSION_STATUSES
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.keys import element_ordinal, ordinal_of
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.transitions import counter_shards

_NAMED = 10  # entries of a list in messages


@dataclass
class Outlook:
    """The times (epoch seconds) at which to look at the open agents, and waits that nothing can
    end.

    `missing`: such waits, in words. Both are empty if each open agent waits for a person or a
    client, or none is open.
    """

    times: list[float] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def outlook(app: App, session: Session, agents: Sequence[SessionAgent], now: float) -> Outlook:
    """The outlook of a session for which everything that can be done now was done."""
    seen, later = Outlook(), now + app.settings.watch_seconds
    is_open = [each for each in agents if each.state in OPEN_AGENT_STATES]
    ordinals = _ordinals(is_open)
    for each in is_open:
        if each.lease_until is not None:
            seen.times.append(max(later, each.lease_until))
        elif each.paused is None and session.status != "paused":  # else until a person resumes it
            _look_at(app, seen, each, ordinals, now)
    if not is_open and session.plan_hash is not None and session.status in OPEN_SESSION_STATUSES:
        seen.missing.append(f"the session waits for {session.open_sink_count} of its agents")
    seen.missing = seen.missing[:_NAMED]
    return seen


def _ordinals(is_open: Sequence[SessionAgent]) -> set[int]:
    """The ordinals of open agents, and of the questions that they answer."""
    return {ordinal for each in is_open for ordinal in (each.ordinal, each.question)}


def _look_at(app: App, seen: Outlook, agent: SessionAgent, is_open: set[int], now: float) -> None:
    """Add the outlook of an open agent without a lease."""
    later = now + app.settings.watch_seconds
    match phase_if_resumed(agent, now):
        case Phase.WAITING_FOR_PERSON | Phase.WAITING_FOR_JOB:
            if agent.due_at is not None:
                seen.times.append(agent.due_at if agent.due_at > now else later)
        case Phase.READY | Phase.ASKING | Phase.BACKOFF | Phase.ACTION_DUE | Phase.MAP_EXPANDING:
            seen.times.append(later)
        case Phase.WAITING_FOR_BUDGET:
            seen.times.append(min(later, budget_begins(agent) or later))
        case Phase.WAITING_FOR_PREDECESSORS | Phase.WAITING_FOR_ELEMENTS | Phase.UNSATISFIED:
            if missing := _missing(agent, is_open):
                seen.missing.append(
                    f"{agent.agent_uuid} ({agent.session_agent_uuid}) waits for {missing}"
                )
        case Phase.LEASE_EXPIRED | Phase.BY_HAND:
            pass  # the first has a lease, and the second is a client's
        case never:
            assert_never(never)


def budget_begins(agent: SessionAgent) -> float | None:
    """When the budget that the agent waits for begins anew (epoch seconds); None: never."""
    until = (agent.over_budget or {}).get("until")
    return datetime.fromisoformat(until).timestamp() if until else None


def _missing(agent: SessionAgent, is_open: set[int]) -> str:
    """The ended or deleted predecessors that the agent still waits for, in words, or "nobody".

    Empty if its wait can end.
    """
    if counter_shards.is_wide(agent):  # only its counter shards know which of them have ended
        before = waited_for(agent)
        return "" if before & is_open else f"its {len(before)} predecessors, which have ended"
    before = waited_for(agent)
    ended = ", ".join(map(str, sorted(before - is_open)[:_NAMED]))
    if ended:
        return f"the agents {ended} (by ordinal), which have ended or are gone"
    return "" if before else "nobody"


def waited_for(agent: SessionAgent) -> set[int]:
    """The ordinals of the unfinished predecessors; for a wide join, of all predecessors."""
    if not counter_shards.is_wide(agent):
        return {ordinal_of(int(each)) for each in agent.unfinished or ()}
    if agent.mapped is not None:
        return {
            element_ordinal(agent.ordinal, agent.generation, index) for index in range(agent.mapped)
        }
    return set(agent.read("predecessors") or ())
