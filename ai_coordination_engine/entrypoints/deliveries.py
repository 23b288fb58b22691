"""What becomes of a received message, whoever received it: worked off, sent anew for later, kept,
or given up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from ai_coordination_engine.backend import passing
from ai_coordination_engine.bootstrap import MAX_RECEIVES
from ai_coordination_engine.engine.app import Busy
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import QueueMessage

# receipts after which a message that waits for a backend is; one try more is left
SENT_ANEW = MAX_RECEIVES - 1
_RANDOM = Random()  # noqa: S311 (jitter is no secret)


class Messages(Protocol):
    """What a consumer needs of the queue."""

    def read(self, body: str) -> QueueMessage:
        """The message in a body; raises `BadUserInput` for a body that can never be one."""

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        """As `ports.Queue`."""

    def postpone(self, receipt: str, seconds: float) -> None:
        """Keep a received message, hidden for `seconds` from now."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it was received, for the `received`-th time."""

    body: str
    message_id: str
    received: int


@dataclass(frozen=True)
class Deliveries:
    """Decides what becomes of messages. `poison` ends what a message stands for, whose step raises
    each time.

    The redrive policy takes a message away after `MAX_RECEIVES`. A busy one does not come near
    that: it is sent anew, and so is, in time, one whose step a backend refuses, for as many hours
    as that takes.
    """

    messages: Messages
    poison: Callable[[QueueMessage, str], None]
    longest_backoff: float

    def work_off(self, delivery: Delivery, step: Callable[[QueueMessage], None]) -> float | None:
        """Run the step of a message; None: delete it, otherwise how many seconds to keep it
        hidden.
        """
        try:
            message = self.messages.read(delivery.body)
        except BadUserInput as error:
            logger.error(
                "poison message", extra={"message_id": delivery.message_id, "reason": error.message}
            )
            return 0  # nothing to wait for: the redrive policy moves it to the dead-letter queue
        try:
            step(message)
        except Busy as busy:
            return self._send_anew(message, delivery, busy.retry_after)
        except Exception as error:
            if passing(error) is not None:
                return self._wait_for_backend(message, delivery, error)
            logger.exception("step failed", extra={"message_id": delivery.message_id})
            if delivery.received >= MAX_RECEIVES and self._give_up(message, delivery, error):
                return 0
            return self._backoff(delivery)
        return None

    def _backoff(self, delivery: Delivery) -> float:
        return min(2.0 ** min(delivery.received, 16), self.longest_backoff)

    def _wait_for_backend(
        self, message: QueueMessage, delivery: Delivery, error: Exception
    ) -> float | None:
        reason = f"{type(error).__name__}: {error}"
        logger.warning(
            "backend refuses", extra={"message_id": delivery.message_id, "reason": reason}
        )
        seconds = self._backoff(delivery) * (1 - _RANDOM.random() / 2)
        return (
            seconds
            if delivery.received < SENT_ANEW
            else self._send_anew(message, delivery, seconds)
        )

    def _send_anew(self, message: QueueMessage, delivery: Delivery, seconds: float) -> float | None:
        try:
            self.messages.send([message], delay=max(seconds, 1))
        except Exception as error:  # this one will do, only that it counts as one more receipt
            log = logger.exception if passing(error) is None else logger.warning
            log("could not send anew", extra={"message_id": delivery.message_id})
            return seconds
        return None

    def _give_up(self, message: QueueMessage, delivery: Delivery, error: Exception) -> bool:
        try:
            self.poison(
                message,
                f"{type(error).__name__} (message {delivery.message_id}); the log has the rest",
            )
        except Exception:  # the sweep finds what stands still
            logger.exception("could not give up", extra={"message_id": delivery.message_id})
            return False
        return True
