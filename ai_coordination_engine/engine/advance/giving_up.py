"""Agents that are given up: nobody works off their messages, or their attempts leave no result. The
session follows.
"""

from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.engine.advance import hand_off as advance
from ai_coordination_engine.engine.advance.sinks import fail_for
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import runs
from ai_coordination_engine.engine.attempt.leases import ExpiringOnError, new_lease
from ai_coordination_engine.engine.graph.inputs import label
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.attempts import lost
from ai_coordination_engine.store.transitions.outcome import applied


def poison(app: App, wake: Wake, reason: str) -> None:
    """A message cannot be worked off and goes to the dead-letter queue: its agent and its session
    fail.

    Nothing happens to an agent that somebody holds, that has ended, or that was set back since the
    message was sent. `reason` is shown to people: readable, and without secrets.
    """
    agent = app.records.get(SESSION_AGENT, wake.tenant, wake.key, consistent=True)
    if agent is None or agent.state in TERMINAL_AGENT_STATES or (agent.epoch or 0) != wake.epoch:
        return
    if agent.lease_until is not None and agent.lease_until >= app.lost_before():
        return
    held = _fenced(app, agent)
    if held is None:
        return
    note = f"Its message is in the dead-letter queue: {reason}"
    with ExpiringOnError(app, held, died=True):
        failed = _give_up(app, held, note)
        if failed is not None:
            fail_for(app, failed, f"Agent {label(failed)}: {note}")


def _fenced(app: App, agent: SessionAgent) -> SessionAgent | None:
    """The agent, whose worker ends nothing any more: no attempt is recorded as lost before. None:
    somebody was faster.
    """
    if agent.state != "executing" or agent.lease_until is None:
        return agent
    return applied(app.agents.fence(agent, new_lease(app)))


def _give_up(app: App, agent: SessionAgent, note: str) -> SessionAgent | None:
    """Fail an agent whose attempts leave no result; None when it is no longer as it was read."""
    current = (
        [(agent.attempt, agent.run_uuid)] if agent.state == "executing" and agent.run_uuid else []
    )
    for attempt, run_uuid in [*lost(agent), *current]:
        runs.record_lost(app, agent, attempt, run_uuid)
    return applied(app.agents.fail_poisoned(agent, {"notes": note}))


def fail(app: App, agent: SessionAgent, note: str) -> None:
    """Fail an agent that nobody runs, and what follows from it."""
    if (failed := _give_up(app, agent, note)) is not None:
        advance.ended(app, failed)


def dead_letter(app: App, agent: SessionAgent, held: SessionAgent, note: str) -> None:
    """Give up an agent that ends its workers, so that an operator finds it. `held`: the same, now
    that its attempt is fenced.
    """
    with ExpiringOnError(app, held, died=True):
        if agent.state == "executing":  # the lease told how the attempt was lost
            runs.record_lost(app, agent, agent.attempt, agent.run_uuid)
        # before the end: who comes later finds an agent that has failed
        app.queue.dead_letter(wake(held))
        fail(app, held, note)
