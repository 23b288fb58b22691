"""Process a received message and decide what to do with it: delete, keep, resend or give up.

The Lambda worker and the local worker share this module.
"""

from collections.abc import Callable, Sequence
from random import Random
from time import time
from typing import Protocol

from ai_coordination_engine.assembly import MAX_RECEIVES
from ai_coordination_engine.backend import passing
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.engine.app import Busy
from ai_coordination_engine.errors import BadUserInput, FileUnusable
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import QueueMessage
from ai_coordination_engine.telemetry_ports import Telemetry

# After this many deliveries, a message that waits for a backend is resent as a new one.
RESEND_AFTER = MAX_RECEIVES - 1
_RANDOM = Random()  # noqa: S311 (jitter needs no secure randomness)


class Messages(Protocol):
    """The queue operations that a consumer needs."""

    def read(self, body: str) -> QueueMessage:
        """Return the message in a body; raises `BadUserInput` when it is not a valid message."""

    def delay_of(self, body: str) -> float:
        """Return the delay, in seconds, with which the message of a body was sent."""

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        """See `ports.Queue.send`."""

    def postpone(self, receipt: str, seconds: float) -> None:
        """Keep a received message and hide it for `seconds` from now."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as received; `received` counts its deliveries, this one included. `sent`: when it
    was sent, in milliseconds, as SQS says it.
    """

    body: str
    message_id: str
    received: int
    sent: str | None = None


@dataclass(frozen=True)
class Deliveries:
    """Runs the step of each delivery and decides what happens to the message.

    SQS moves a message to the dead-letter queue after `MAX_RECEIVES` deliveries. Only a step that
    raises unexpected errors uses up these deliveries: `poison` then ends the work that the message
    stands for. A message that must wait (for a busy agent, or for a backend that refuses requests)
    is sent again as a new message before the limit, however long it has to wait.
    """

    messages: Messages
    poison: Callable[[QueueMessage, str], None]
    longest_backoff: float
    telemetry: Telemetry | None = None

    def process(self, delivery: Delivery, step: Callable[[QueueMessage], None]) -> float | None:
        """Run the step of a message.

        Returns None when the message is to be deleted, or else the seconds for which it stays
        hidden. Raises `FileUnusable`.
        """
        try:
            message = self.messages.read(delivery.body)
        except BadUserInput as error:
            logger.error(
                "poison message", extra={"message_id": delivery.message_id, "reason": error.message}
            )
            return 0  # no wait helps; the redrive policy moves it to the dead-letter queue
        self._tell_age(delivery)
        try:
            step(message)
        except Busy as busy:
            return self._resend(message, delivery, busy.retry_after)
        except FileUnusable:
            raise
        except Exception as error:
            if passing(error) is not None:
                return self._wait_for_backend(message, delivery, error)
            logger.exception("step failed", extra={"message_id": delivery.message_id})
            if delivery.received >= MAX_RECEIVES and self._give_up(message, delivery, error):
                return 0
            return self._backoff(delivery)
        return None

    def _tell_age(self, delivery: Delivery) -> None:
        """Export how long a message has waited to be delivered first."""
        if self.telemetry is None or delivery.sent is None or delivery.received > 1:
            return
        due = int(delivery.sent) / 1000 + self.messages.delay_of(delivery.body)
        self.telemetry.received(time() - due)

    def _backoff(self, delivery: Delivery) -> float:
        return min(2.0 ** min(delivery.received, 16), self.longest_backoff)

    def _wait_for_backend(
        self, message: QueueMessage, delivery: Delivery, error: Exception
    ) -> float | None:
        reason = f"{type(error).__name__}: {error}"
        logger.warning(
            "backend unavailable", extra={"message_id": delivery.message_id, "reason": reason}
        )
        seconds = self._backoff(delivery) * (1 - _RANDOM.random() / 2)
        return (
            seconds
            if delivery.received < RESEND_AFTER
            else self._resend(message, delivery, seconds)
        )

    def _resend(self, message: QueueMessage, delivery: Delivery, seconds: float) -> float | None:
        try:
            self.messages.send([message], delay=max(seconds, 1))
        except FileUnusable:
            raise
        except Exception as error:  # keep the old message; this delivery counts
            log = logger.exception if passing(error) is None else logger.warning
            log("could not resend the message", extra={"message_id": delivery.message_id})
            return seconds
        return None

    def _give_up(self, message: QueueMessage, delivery: Delivery, error: Exception) -> bool:
        try:
            self.poison(
                message,
                f"{type(error).__name__} (message {delivery.message_id}); the log has the rest",
            )
        except Exception:  # the sweep finds the stalled work
            logger.exception(
                "could not fail the work of a poison message",
                extra={"message_id": delivery.message_id},
            )
            return False
        return True
