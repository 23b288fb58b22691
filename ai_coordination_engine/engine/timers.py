"""What wakes an agent later: a delayed message, or for a long wait the sweep."""

from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.ending import end_agents
from ai_coordination_engine.store.models import SessionAgent

LONGEST_DELAY = 900  # seconds, of a message (Amazon SQS API reference: DelaySeconds)


def wake_at(app: App, agent: SessionAgent, when: float) -> None:
    """Have the agent woken at `when` (epoch seconds), or up to a minute later when that is far away."""
    delay = max(when - app.clock.now().timestamp(), 0)
    if delay <= LONGEST_DELAY:
        app.queue.send([wake(agent)], delay=delay)
    else:
        key = (agent.coordination_uuid, agent.session_uuid)
        session = app.transitions.session.watch(agent.partition_key, key, when)
        if session is not None and session.status in TERMINAL_SESSION_STATUSES:
            end_agents(app, session)  # it has ended meanwhile, and nobody looks after it any more


def end_wait(app: App, agent: SessionAgent) -> None:
    """Wake an agent whose wait is over, and have the sweep look after its session again: it may only have waited."""
    key = (agent.coordination_uuid, agent.session_uuid)
    app.transitions.session.watch(agent.partition_key, key, app.clock.now().timestamp() + app.settings.watch_seconds)
    app.queue.send([wake(agent)])
