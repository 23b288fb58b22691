"""The Lambda function of the queue: it processes the messages of a batch concurrently.

Its handler is `ai_coordination_engine.entrypoints.aws.worker.handler`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from aws_lambda_powertools.utilities.batch import (
    AsyncBatchProcessor,
    EventType,
    async_process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from ai_coordination_engine.bootstrap import build_app
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.work import poison, process_message
from ai_coordination_engine.entrypoints.deliveries import Deliveries, Delivery, Messages
from ai_coordination_engine.observability import configure, logger
from ai_coordination_engine.ports import Clock, QueueMessage
from ai_coordination_engine.settings import Settings

LONGEST_BACKOFF = 900.0

Handler = Callable[[dict[str, object], LambdaContext], PartialItemFailureResponse]


class Step(Protocol):
    """Processes one message."""

    def __call__(self, message: QueueMessage, *, deadline: float) -> None:
        """Finish before `deadline` (epoch seconds); raises `Busy` to be called again later."""


class _KeepMessage(Exception):
    """Raised for a message that stays on the queue."""


@dataclass(frozen=True)
class Worker:
    """Runs a step for each message of an SQS event."""

    step: Step
    deliveries: Deliveries
    clock: Clock
    pool: ThreadPoolExecutor

    def handle(
        self, event: dict[str, object], context: LambdaContext
    ) -> PartialItemFailureResponse:
        """Process a batch; the response lists the messages to keep.

        See AWS Lambda developer guide, "Reporting batch item failures".
        """
        deadline = self.clock.now().timestamp() + context.get_remaining_time_in_millis() / 1000

        async def run(record: SQSRecord) -> None:
            await asyncio.get_running_loop().run_in_executor(
                self.pool, self._process, record, deadline
            )

        processor = AsyncBatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        return async_process_partial_response(event, run, processor)

    def _process(self, record: SQSRecord, deadline: float) -> None:
        """Process one message; raises `_KeepMessage` when it stays on the queue."""
        received = int(record.attributes.approximate_receive_count or 1)
        delivery = Delivery(record.body, record.message_id, received)
        seconds = self.deliveries.process(delivery, partial(self.step, deadline=deadline))
        if seconds is None:
            return
        try:
            self.deliveries.messages.postpone(record.receipt_handle, seconds)
        except Exception:  # the message comes back when its visibility timeout ends
            logger.exception("could not postpone", extra={"message_id": record.message_id})
        raise _KeepMessage(record.message_id)


def build_handler(app: App) -> Handler:
    """Create a Lambda handler that works for `app`."""
    messages = cast(Messages, app.queue)  # in Lambda the queue is an `SqsQueue`
    deliveries = Deliveries(messages, partial(poison, app), LONGEST_BACKOFF)
    pool = ThreadPoolExecutor(app.settings.worker_concurrency, thread_name_prefix="ace-step")
    return Worker(partial(process_message, app), deliveries, app.clock, pool).handle


def __getattr__(name: str) -> Handler:
    """Build `handler` when Lambda's runtime accesses it in the init phase.

    Importing this module creates nothing.
    """
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    settings = Settings()
    configure(settings.log_level)
    globals()[name] = built = build_handler(build_app(settings))
    return built
