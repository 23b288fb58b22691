"""Wake agents at a later time: by a delayed message, or for a long wait by the sweep."""

from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine.advance.ending import end_those
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent

LONGEST_DELAY = 900  # seconds, of a message (Amazon SQS API reference: DelaySeconds)


def wake_at(app: App, agent: SessionAgent, when: float) -> None:
    """Wake the agent at `when` (epoch seconds), or up to a minute later if that is far away."""
    delay = max(when - app.clock.now().timestamp(), 0)
    if delay <= LONGEST_DELAY:
        app.queue.send([wake(agent)], delay=delay)
    else:
        look_at(app, agent, when)


def look_at(app: App, agent: SessionAgent, when: float) -> None:
    """Let the sweep reconcile the agent's session at `when` (epoch seconds), or sooner."""
    is_question = agent.sink_count == 0
    session = app.sessions.watch(
        agent.partition_key, _session_key(agent), when, lasting=is_question
    ).record
    if session is None or session.status not in TERMINAL_SESSION_STATUSES:
        return
    if not is_question or session.status == "cancelled":
        # the session has ended meanwhile, so no one else ends this agent
        end_those(app, session, [agent])


def keep_watching(app: App, agent: SessionAgent, *, early: bool = False) -> None:
    """Call this before a write ends the agent's wait: let the sweep reconcile its session again.

    A session in which everything waits has no watch. `early`: the agent may end while its
    predecessors are still open, so the session may end before they do.
    """
    now = app.clock.now()
    at = now.timestamp() + app.settings.watch_seconds
    waits_long = (
        agent.updated_at is not None
        and (now - agent.updated_at).total_seconds() > app.settings.watch_seconds
    )
    app.sessions.keep_watching(
        agent.partition_key,
        _session_key(agent),
        at,
        lasting=agent.sink_count == 0,
        far=waits_long and (agent.due_at or 0) > at,
        early=early,
    )


def _session_key(agent: SessionAgent) -> Key:
    return agent.coordination_uuid, agent.session_uuid
