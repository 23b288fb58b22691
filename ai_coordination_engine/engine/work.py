"""What a worker does for a message of the queue, whatever it says."""

from threading import Event

from ai_coordination_engine.engine import step
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.scheduling import firing, owed
from ai_coordination_engine.ports import Backfill, Fire, QueueMessage


def work_off(
    app: App,
    message: QueueMessage,
    *,
    deadline: float | None = None,
    stopping: Event | None = None,
) -> None:
    """Do what the message stands for; as `step.run_step`. Raises `Busy` when it must be kept."""
    if isinstance(message, Fire):
        firing.fire(app, message)
    elif isinstance(message, Backfill):
        owed.go_on(app, message)
    else:
        step.run_step(app, message, deadline=deadline, stopping=stopping)


def poison(app: App, message: QueueMessage, reason: str) -> None:
    """A message cannot be worked off and goes to the dead-letter queue: what it stands for ends."""
    if isinstance(message, Fire):
        firing.give_up(app, message, reason)
    elif isinstance(message, Backfill):
        pass  # what it stands for is still owed: the dead letter, sent again, goes on
    else:
        step.poison(app, message, reason)
