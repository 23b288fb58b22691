"""The worker on one machine: waits on the queue and runs steps on threads of its own."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol, cast

from ai_coordination_engine.backend import READ_SECONDS
from ai_coordination_engine.bootstrap import client
from ai_coordination_engine.domain.json_text import JSONObject
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.work import poison, work_off
from ai_coordination_engine.entrypoints import deliveries
from ai_coordination_engine.entrypoints.deliveries import Deliveries, Delivery
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import Queue, QueueMessage, Wake

MOST_AT_ONCE = 10  # messages of one ReceiveMessage (Amazon SQS API reference)
LONGEST_POLL = 20  # seconds, likewise
LONGEST_BACKOFF = 60.0
AFTER_AN_ERROR = 1.0  # seconds until the queue is asked again


class Step(Protocol):
    """Works off one message; raises `Busy` to be called again later."""

    def __call__(self, message: QueueMessage) -> None: ...  # noqa: D102


class Messages(deliveries.Messages, Protocol):
    """What the worker needs of the queue."""

    def receive(self, most: int, *, wait: bool = True) -> list[JSONObject]:
        """Up to `most` messages, in the shape of SQS; empty when none came for a while, or none is
        there now.
        """

    def delete(self, receipt: str) -> None:
        """Remove a received message."""


@dataclass(frozen=True)
class SqsMessages:
    """The queue of an app whose queue is SQS."""

    sqs: Any
    queue_url: str
    queue: deliveries.Messages

    def receive(self, most: int, *, wait: bool = True) -> list[JSONObject]:
        """A long poll, or a look."""
        answer = self.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=LONGEST_POLL if wait else 0,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return cast(list[JSONObject], answer.get("Messages", []))

    def read(self, body: str) -> QueueMessage:
        """As the queue itself reads it."""
        return self.queue.read(body)

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        """As the queue itself sends."""
        self.queue.send(messages, delay=delay)

    def postpone(self, receipt: str, seconds: float) -> None:
        """Change the message's visibility."""
        self.queue.postpone(receipt, seconds)

    def delete(self, receipt: str) -> None:
        """Delete the message."""
        self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=receipt)


@dataclass(frozen=True)
class RingingQueue:
    """A queue that rings when this process has sent something: a long poll may be slow to
    notice.
    """

    queue: Queue
    bell: threading.Event

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        """Enqueue all of them; delayed ones are left to the long poll."""
        self.queue.send(messages, delay=delay)
        if messages and delay <= 0:
            self.bell.set()

    def dead_letter(self, wake: Wake) -> None:
        """Put a wake-up among the dead letters."""
        self.queue.dead_letter(wake)


class LocalWorker:
    """Two threads that receive, `concurrency` threads that run; neither receives more than can run.

    One waits on the queue, the other looks when `bell` rings. All threads are daemons: a step that
    outlives `stop` is abandoned, its lease ends and its message comes back.
    """

    def __init__(
        self,
        step: Step,
        messages: Messages,
        concurrency: int,
        poison: Callable[[QueueMessage, str], None],
        bell: threading.Event | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        self._step = step
        self._bell = bell or threading.Event()
        self._messages = messages
        self._deliveries = Deliveries(messages, poison, LONGEST_BACKOFF)
        self._concurrency = concurrency
        self._unfinished = 0
        self._finished = threading.Condition()
        self._received: SimpleQueue[JSONObject] = SimpleQueue()
        self._stopping = stopping or threading.Event()

    @classmethod
    def of(cls, app: App) -> tuple[App, "LocalWorker"]:
        """The worker of an app, and the app whose wake-ups it hears at once."""
        sqs = client("sqs", read_seconds=LONGEST_POLL + READ_SECONDS)
        messages = SqsMessages(sqs, app.settings.queue_url, cast(deliveries.Messages, app.queue))
        bell, stopping = threading.Event(), threading.Event()
        app = replace(app, queue=RingingQueue(app.queue, bell))
        step = partial(work_off, app, stopping=stopping)
        concurrency = app.settings.worker_concurrency
        return app, cls(step, messages, concurrency, partial(poison, app), bell, stopping)

    def start(self) -> None:
        """Begin to receive."""
        for number in range(self._concurrency):
            threading.Thread(target=self._run, name=f"ace-step-{number}", daemon=True).start()
        threading.Thread(target=self._wait, name="ace-wait", daemon=True).start()
        threading.Thread(target=self._look, name="ace-look", daemon=True).start()

    def stop(self, grace: float) -> bool:
        """Receive nothing more and wait up to `grace` seconds for what runs; whether all of it
        ended.
        """
        self._stopping.set()
        self._bell.set()
        with self._finished:
            return self._finished.wait_for(lambda: self._unfinished == 0, grace)

    def _wait(self) -> None:
        while not self._stopping.is_set():
            self._receive(wait=True)

    def _look(self) -> None:
        while not self._stopping.is_set():
            self._bell.wait()
            self._bell.clear()
            while self._receive(wait=False):
                pass  # until the queue has nothing more to give

    def _receive(self, *, wait: bool) -> bool:
        """Receive once, as much as can run; whether anything came."""
        with self._finished:
            self._finished.wait_for(lambda: self._unfinished < self._concurrency)
            free = self._concurrency - self._unfinished
        if self._stopping.is_set():
            return False
        messages = self._poll(min(free, MOST_AT_ONCE), wait)
        if self._stopping.is_set():
            self._give_back(messages)
            return False
        with self._finished:
            self._unfinished += len(messages)
        for message in messages:
            self._received.put(message)
        return bool(messages)

    def _poll(self, most: int, wait: bool) -> list[JSONObject]:
        try:
            return self._messages.receive(most, wait=wait)
        except Exception:
            if not self._stopping.is_set():
                logger.exception("could not receive")
                self._stopping.wait(AFTER_AN_ERROR)
            return []

    def _give_back(self, messages: list[JSONObject]) -> None:
        for message in messages:
            try:
                self._messages.postpone(message["ReceiptHandle"], 0)
            except Exception:  # it comes back later
                logger.exception("could not give a message back")

    def _run(self) -> None:
        while True:
            message = self._received.get()
            try:
                self._work_off(message)
            except Exception:  # the message comes back when its visibility timeout ends
                logger.exception("could not delete or return a message")
            finally:
                with self._finished:
                    self._unfinished -= 1
                    self._finished.notify_all()

    def _work_off(self, message: JSONObject) -> None:
        received = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
        delivery = Delivery(message["Body"], message.get("MessageId", ""), received)
        seconds = self._deliveries.work_off(delivery, self._step)
        if seconds is None:
            self._messages.delete(message["ReceiptHandle"])
        else:
            self._messages.postpone(message["ReceiptHandle"], seconds)
