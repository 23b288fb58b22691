"""What wakes an agent later: a delayed message, or for a long wait the sweep."""

from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine.advance.ending import end_those
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent

LONGEST_DELAY = 900  # seconds, of a message (Amazon SQS API reference: DelaySeconds)


def wake_at(app: App, agent: SessionAgent, when: float) -> None:
    """Have the agent woken at `when` (epoch seconds), or up to a minute later when that is far
    away.
    """
    delay = max(when - app.clock.now().timestamp(), 0)
    if delay <= LONGEST_DELAY:
        app.queue.send([wake(agent)], delay=delay)
    else:
        look_at(app, agent, when)


def look_at(app: App, agent: SessionAgent, when: float) -> None:
    """Have the sweep look after the agent's session at `when` (epoch seconds), or sooner."""
    is_question = agent.sink_count == 0
    session = app.sessions.watch(
        agent.partition_key, _session_key(agent), when, lasting=is_question
    ).record
    if session is None or session.status not in TERMINAL_SESSION_STATUSES:
        return
    if not is_question or session.status == "cancelled":
        # it has ended meanwhile, and nobody looks after it any more
        end_those(app, session, [agent])


def keep_watching(app: App, agent: SessionAgent, *, early: bool = False) -> None:
    """Before the agent's wait is ended: have the sweep look after its session again, which may only
    have waited.

    `early`: the session may then end before others do, which the agent does not wait for any more.
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
