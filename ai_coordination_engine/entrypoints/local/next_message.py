"""Go from one message to the next in one transaction, where the queue is in the store."""

from collections.abc import Callable, Sequence
from threading import Event

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.json_text import JSONObject
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.leases import Claim, claim, claimed
from ai_coordination_engine.engine.work import process_message
from ai_coordination_engine.ports import QueueMessage, Wake
from ai_coordination_engine.store.models import SessionAgent

Finish = Callable[[], Sequence[JSONObject]]
"""Deletes the message of a step and receives the next one, if there is one to go on with."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that was received, and the claim of its agent, if it was made already."""

    message: JSONObject
    claimed: Claim | None = None


class NextMessage:
    """What follows a message: it is deleted, and the next one received and its agent claimed, in
    the transaction that ends the step.
    """

    def __init__(
        self,
        app: App,
        read: Callable[[str], QueueMessage],
        finish: Finish,
        stopping: Event,
        stand_in: Callable[[Claim], None] | None = None,
    ) -> None:
        self._app, self._read, self._finish, self._stopping = app, read, finish, stopping
        self._stand_in = stand_in
        self._is_done = False
        self._next: Received | None = None

    def run(self, message: QueueMessage, begun: Claim | None) -> None:
        """Run the step of the message, as `process_message`."""
        try:
            process_message(
                self._app,
                message,
                stopping=self._stopping,
                claimed=begun,
                finish=self._end,
                stand_in=self._stand_in and self._replace,
            )
        except BaseException:
            self._is_done = False  # the transaction may have failed
            raise

    def get(self) -> Received | None:
        """The next message. If the step has not ended in a transaction, go on in one now."""
        if not self._is_done:
            self._app.records.parallel.together(self._go_on)
        return self._next

    def _replace(self, agent: SessionAgent) -> None:
        """Go on in another thread than that of the agent, which takes longer than it may."""
        if self._stand_in is not None:
            self._stand_in(claimed(self._app, agent))

    def _end(self, is_done: bool) -> None:
        """End an attempt; what followed from it in a transaction that failed is forgotten."""
        self._is_done, self._next = False, None
        if is_done:
            self._go_on()

    def _go_on(self) -> None:
        self._next = None
        for message in self._finish():
            self._next = Received(message, claim_of(self._app, self._read, message))
        self._is_done = True


def claim_of(app: App, read: Callable[[str], QueueMessage], message: JSONObject) -> Claim | None:
    """Claim the agent of a message that was received in the same transaction. An error is that
    message's own, and whoever processes it meets it; one of the file makes the transaction fail.
    """
    try:
        found = read(message["Body"])
        return claim(app, found) if isinstance(found, Wake) else None
    except Exception:
        return None
