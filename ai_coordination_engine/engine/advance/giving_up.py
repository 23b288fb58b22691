"""Fail agents whose messages cannot be handled, or that keep crashing their workers.

Their sessions fail too, according to the failure policy. `engine.beginning`,
`engine.step` and `engine.work` are the callers.
"""

from ai_coordination_engine.domain.lifecycle.phases import is_held
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.engine.advance import hand_off as advance
from ai_coordination_engine.engine.advance.sinks import fail_for
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import budgets, runs
from ai_coordination_engine.engine.attempt.cancelling import cancel_jobs
from ai_coordination_engine.engine.attempt.leases import ExpiringOnError, new_lease
from ai_coordination_engine.engine.graph.inputs import label
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.attempts import lost
from ai_coordination_engine.store.transitions.outcome import applied


def poison(app: App, wake: Wake, reason: str) -> None:
    """Fail the agent and the session of a message that goes to the dead-letter queue.

    Nothing happens if a worker holds the agent, if it has ended, or if it was reset after the
    message was sent. `reason` is shown to people: it must be readable and free of secrets.
    """
    agent = app.records.get(SESSION_AGENT, wake.tenant, wake.key, consistent=True)
    if agent is None or agent.state in TERMINAL_AGENT_STATES or (agent.epoch or 0) != wake.epoch:
        return
    if is_held(agent, app.clock.now().timestamp()):
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
    """Fence the agent's worker, so that its attempt may be recorded as lost.

    Returns the agent as it is then; None if another process was faster.
    """
    if agent.state != "executing" or agent.lease_until is None:
        return agent
    return applied(app.agents.fence(agent, new_lease(app)))


def _give_up(app: App, agent: SessionAgent, note: str) -> SessionAgent | None:
    """Record the agent's attempts as lost and fail it. None if it has changed since it was read."""
    current = (
        [(agent.attempt, agent.run_uuid)] if agent.state == "executing" and agent.run_uuid else []
    )
    for attempt, run_uuid in [*lost(agent), *current]:
        runs.record_lost(app, agent, attempt, run_uuid)
    cancel_jobs(app, [agent])
    budgets.drop(app, agent)
    return applied(app.agents.fail_poisoned(agent, {"notes": note}))


def fail(app: App, agent: SessionAgent, note: str) -> None:
    """Fail an agent that no worker holds, and do what follows from that."""
    if (failed := _give_up(app, agent, note)) is not None:
        advance.ended(app, failed)


def dead_letter(app: App, agent: SessionAgent, held: SessionAgent, note: str) -> None:
    """Fail an agent that keeps crashing its worker, and put its message in the dead-letter queue.

    `held`: the agent after its attempt was fenced.
    """
    with ExpiringOnError(app, held, died=True):
        if agent.state == "executing":  # `agent` still shows in which way the attempt was lost
            runs.record_lost(app, agent, agent.attempt, agent.run_uuid)
        # before the agent fails: after that, nothing would send the dead letter again
        app.queue.dead_letter(wake(held))
        fail(app, held, note)
