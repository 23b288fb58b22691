"""Whether a session, as it is shown to clients, changes no more unless somebody changes it."""

from collections.abc import Iterable

from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES, TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine.graph.keys import FIRST_QUESTION, counts
from ai_coordination_engine.store.models import Session, SessionAgent


def has_ended(session: Session) -> bool:
    """Whether the status of the session is final. Agents of it may still run, or be ended."""
    return session.status in TERMINAL_SESSION_STATUSES


def is_final(session: Session, agents: Iterable[SessionAgent]) -> bool:
    """Whether an ended session has no agent that the engine still ends. A question that waits for
    its person may wait on.
    """
    return not any(_changes(session, each) for each in agents)


def _changes(session: Session, agent: SessionAgent) -> bool:
    if agent.ordinal is None or agent.state in TERMINAL_AGENT_STATES or not counts(session, agent):
        return False
    return agent.ordinal < FIRST_QUESTION or agent.state != "wait_for_user_input"
