"""Dispatch a message of the queue: wake an agent, fire a schedule, or cancel a long job.

The Lambda worker and the local worker are the callers.
"""

from collections.abc import Callable
from threading import Event

from ai_coordination_engine.engine import step
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import cancelling
from ai_coordination_engine.engine.attempt.branches import Branches
from ai_coordination_engine.engine.attempt.leases import Claim
from ai_coordination_engine.engine.scheduling import firing, owed
from ai_coordination_engine.ports import Backfill, CancelJob, Fire, QueueMessage
from ai_coordination_engine.store.models import SessionAgent


def process_message(
    app: App,
    message: QueueMessage,
    *,
    deadline: float | None = None,
    stopping: Event | None = None,
    claimed: Claim | None = None,
    finish: Callable[[bool], None] | None = None,
    stand_in: Callable[[SessionAgent], None] | None = None,
    branches: Branches | None = None,
) -> None:
    """Handle a message; arguments as in `step.run_step`. Raises `Busy` if it must be kept."""
    if isinstance(message, Fire):
        firing.fire(app, message)
    elif isinstance(message, Backfill):
        owed.go_on(app, message)
    elif isinstance(message, CancelJob):
        cancelling.cancel(app, message)
    else:
        step.run_step(
            app,
            message,
            deadline=deadline,
            stopping=stopping,
            claimed=claimed,
            finish=finish,
            stand_in=stand_in,
            branches=branches,
        )


def poison(app: App, message: QueueMessage, reason: str) -> None:
    """Give up the work of a message that goes to the dead-letter queue."""
    if isinstance(message, Fire):
        firing.give_up(app, message, reason)
    elif isinstance(message, Backfill):
        pass  # the backfill is stored; sending the dead letter again continues it
    elif isinstance(message, CancelJob):
        pass  # its agent has ended; only the service goes on for nothing
    else:
        step.poison(app, message, reason)
