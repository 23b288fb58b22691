"""Process the messages of an SQS event at the same time; `worker` calls `cold_start`."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, cast

from aws_lambda_powertools.utilities.typing import LambdaContext

from ai_coordination_engine.bootstrap import build_app
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.work import poison, process_message
from ai_coordination_engine.entrypoints.aws.exporting import exporting
from ai_coordination_engine.entrypoints.branches import Branches, Seats
from ai_coordination_engine.entrypoints.deliveries import Deliveries, Delivery, Messages
from ai_coordination_engine.observability import configure, logger
from ai_coordination_engine.ports import Clock, QueueMessage
from ai_coordination_engine.settings import Settings

LONGEST_BACKOFF = 900.0

SqsRecord = Mapping[str, Any]
"""A message of an SQS event (AWS Lambda developer guide, "Using Lambda with Amazon SQS")."""
Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


class Step(Protocol):
    """Processes one message."""

    def __call__(self, message: QueueMessage, *, deadline: float, branches: Branches) -> None:
        """Finish before `deadline` (epoch seconds); raises `Busy` to be called again later.

        `branches`: where further agents run at the same time.
        """


@dataclass(frozen=True)
class Worker:
    """Runs a step for each message of an SQS event."""

    step: Step
    deliveries: Deliveries
    clock: Clock
    pool: ThreadPoolExecutor
    seats: Seats

    def handle(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Process a batch; the response lists the messages to keep.

        See AWS Lambda developer guide, "Reporting batch item failures".
        """
        deadline = self.clock.now().timestamp() + context.get_remaining_time_in_millis() / 1000
        records = event["Records"]
        taken = self.seats.take(len(records))
        are_done = self.pool.map(partial(self._is_done, deadline=deadline), records)
        kept = [each for each, is_done in zip(records, are_done, strict=True) if not is_done]
        self.seats.give_back(taken)
        return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in kept]}

    def _is_done(self, record: SqsRecord, deadline: float) -> bool:
        """Process one message; whether it may be deleted."""
        received = int(record["attributes"].get("ApproximateReceiveCount", 1))
        try:
            sent = record["attributes"].get("SentTimestamp")
            delivery = Delivery(record["body"], record["messageId"], received, sent)
            step = partial(self.step, deadline=deadline, branches=Branches(self.seats))
            seconds = self.deliveries.process(delivery, step)
            if seconds is not None:
                self.deliveries.messages.postpone(record["receiptHandle"], seconds)
        except BaseException:  # the message comes back when its visibility timeout ends
            logger.exception(
                "could not process or postpone", extra={"message_id": record["messageId"]}
            )
            return False
        return seconds is None


def build_handler(app: App) -> Handler:
    """Create a Lambda handler that works for `app`."""
    messages = cast(Messages, app.queue)  # in Lambda the queue is an `SqsQueue`
    deliveries = Deliveries(messages, partial(poison, app), LONGEST_BACKOFF, app.telemetry)
    most = app.settings.worker_concurrency
    pool = ThreadPoolExecutor(most, thread_name_prefix="ace-step")
    step = partial(process_message, app)
    return exporting(app, Worker(step, deliveries, app.clock, pool, Seats(most)).handle)


def cold_start() -> Handler:
    """Create the handler from the environment."""
    settings = Settings()
    configure(settings.log_level)
    return build_handler(build_app(settings))
