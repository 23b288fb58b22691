"""What wakes an agent later: a delayed message, or for a long wait the sweep."""

from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.store.models import SessionAgent

LONGEST_DELAY = 900  # seconds, of a message (Amazon SQS API reference: DelaySeconds)


def wake_at(app: App, agent: SessionAgent, when: float) -> None:
    """Have the agent woken at `when` (epoch seconds), or up to a minute later when that is far away."""
    delay = max(when - app.clock.now().timestamp(), 0)
    if delay <= LONGEST_DELAY:
        app.queue.send([wake(agent)], delay=delay)
    else:
        app.transitions.session.watch((agent.coordination_uuid, agent.session_uuid), when)


def end_wait(app: App, agent: SessionAgent) -> None:
    """Wake an agent whose wait is over, and have the sweep look after its session again: it may only have waited."""
    key = (agent.coordination_uuid, agent.session_uuid)
    app.transitions.session.watch(key, app.clock.now().timestamp() + app.settings.watch_seconds)
    app.queue.send([wake(agent)])
