"""The worker of the local server: receives messages and runs their steps on threads."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from time import monotonic
from typing import Any, Protocol, cast, runtime_checkable

from ai_coordination_engine.backend import READ_SECONDS
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.json_text import JSONObject
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.leases import Claim
from ai_coordination_engine.engine.work import poison, process_message
from ai_coordination_engine.entrypoints import deliveries
from ai_coordination_engine.entrypoints.branches import Branches
from ai_coordination_engine.entrypoints.deliveries import Deliveries, Delivery
from ai_coordination_engine.entrypoints.local.load import Load
from ai_coordination_engine.entrypoints.local.next_message import (
    Finish,
    NextMessage,
    Received,
    claim_of,
)
from ai_coordination_engine.errors import FileUnusable, Throttled
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import Queue, QueueMessage, Wake
from ai_coordination_engine.stand_ins import Replaced, overdue
from ai_coordination_engine.telemetry_ports import Telemetry

MAX_MESSAGES = 10  # of one ReceiveMessage (Amazon SQS API reference)
LONGEST_POLL = 20  # seconds (Amazon SQS API reference)
LONGEST_BACKOFF = 60.0
AT_ONCE = 2  # steps: one computes while another one waits for the disk
PAUSE_AFTER_ERROR = 1.0  # seconds


class Step(Protocol):
    """Processes one message; raises `Busy` to be called again later."""

    def __call__(self, message: QueueMessage) -> None: ...  # noqa: D102


@runtime_checkable
class Messages(deliveries.Messages, Protocol):
    """The queue operations that the worker needs."""

    def receive(
        self, most: int, *, wait: bool = True, each: Callable[[JSONObject], None] | None = None
    ) -> list[JSONObject]:
        """Return up to `most` messages in the form of SQS.

        With `wait`, wait some seconds for the first one. The list may be empty. `each` is called
        with each message in the transaction that receives it, where there are transactions.
        """

    def interrupt(self) -> None:
        """Let a running `receive` return soon, if it can, and receive nothing more."""

    def finish(self, receipt: str, most: int) -> list[JSONObject]:
        """Delete a received message, and receive up to `most` others where that is one request."""


@dataclass(frozen=True)
class SqsMessages:
    """Implements `Messages` with SQS."""

    sqs: Any
    queue_url: str
    queue: deliveries.Messages

    def receive(
        self, most: int, *, wait: bool = True, each: Callable[[JSONObject], None] | None = None
    ) -> list[JSONObject]:
        """Receive with a long poll, or without waiting."""
        answer = self.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=LONGEST_POLL if wait else 0,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        return cast(list[JSONObject], answer.get("Messages", []))

    def read(self, body: str) -> QueueMessage:
        """Return the message in a body."""
        return self.queue.read(body)

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        """Send messages."""
        self.queue.send(messages, delay=delay)

    def delay_of(self, body: str) -> float:
        """Return the delay with which the message of a body was sent."""
        return self.queue.delay_of(body)

    def postpone(self, receipt: str, seconds: float) -> None:
        """Change the visibility of a message."""
        self.queue.postpone(receipt, seconds)

    def interrupt(self) -> None:
        """Do nothing: a long poll goes on."""

    def finish(self, receipt: str, most: int) -> list[JSONObject]:
        """Delete a message."""
        self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=receipt)
        return []


@dataclass(frozen=True)
class NotifyingQueue:
    """A queue that sets `notified` when this process sends a message, since a long poll may
    react late.
    """

    queue: Queue
    notified: threading.Event

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        """Send all messages; delayed ones do not set `notified`."""
        self.queue.send(messages, delay=delay)
        if messages and delay <= 0:
            self.notified.set()

    def dead_letter(self, wake: Wake) -> None:
        """Send a wake-up to the dead-letter queue."""
        self.queue.dead_letter(wake)


class LocalWorker:
    """Receives messages and runs their steps on threads, as many as `load` admits.

    A thread whose step has ended takes the next message itself where the queue gives one with the
    deletion; else the thread that was used last is used first. One thread waits at the queue with
    long polls; another one polls when `notified` is set. All threads are daemons: a step that
    outlasts `stop` is abandoned, its lease expires and its message is delivered again.
    """

    def __init__(
        self,
        step: Step,
        messages: Messages,
        load: Load,
        poison: Callable[[QueueMessage, str], None],
        notified: threading.Event | None = None,
        stopping: threading.Event | None = None,
        *,
        app: App | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._step = step
        self._app = app  # where a step ends, and the next one begins, in a transaction
        self._notified = notified
        self._messages = messages
        self._deliveries = Deliveries(messages, poison, LONGEST_BACKOFF, telemetry)
        self._load = load
        self._idle: list[SimpleQueue[Received]] = []  # of each idle thread: its next message
        self._stopping = stopping or threading.Event()
        self._receiving = threading.Thread(
            target=self._long_poll, name="ace-long-poll", daemon=True
        )

    @classmethod
    def of(cls, app: App) -> tuple[App, "LocalWorker"]:
        """Create the worker of an app; the returned app notifies it of each message that
        it sends.
        """
        stopping, concurrency = threading.Event(), app.settings.worker_concurrency
        notified: threading.Event | None = None
        if isinstance(app.queue, Messages):  # it notices itself what this process sends
            messages: Messages = app.queue
            load = Load(concurrency, AT_ONCE)
        else:
            # Imported here because botocore takes half of a start, and SQLite needs none of it.
            from ai_coordination_engine.bootstrap import client  # noqa: PLC0415

            load, notified = Load(concurrency), threading.Event()
            sqs = client(
                "sqs",
                read_seconds=LONGEST_POLL + READ_SECONDS,
                kind=app.settings.aws_client,
            )
            queue = cast(deliveries.Messages, app.queue)
            messages = SqsMessages(sqs, app.settings.own_queue_url, queue)
            app = replace(app, queue=NotifyingQueue(app.queue, notified))

        def step(message: QueueMessage) -> None:
            process_message(app, message, stopping=stopping, branches=Branches(load))

        in_transactions = app if app.records.parallel.has_transactions else None
        give_up = partial(poison, app)
        given = messages, load, give_up, notified, stopping
        worker = cls(step, *given, app=in_transactions, telemetry=app.telemetry)
        return app, worker

    def start(self) -> None:
        """Start the threads that receive; the others start when they are needed."""
        self._receiving.start()
        if self._notified is not None:
            poll = partial(self._poll_when, self._notified)
            threading.Thread(target=poll, name="ace-poll", daemon=True).start()

    def stop(self, grace: float) -> bool:
        """Receive no more messages and wait up to `grace` seconds for running steps.

        Returns whether all of them ended, and no message was received that is not returned yet.
        """
        end = monotonic() + grace
        self._stopping.set()
        self._messages.interrupt()
        is_done = self._load.wait_for_end(grace)
        if self._notified is not None:  # a message that a long poll still brings comes again
            self._notified.set()
            return is_done
        if is_done and self._receiving.is_alive():
            self._receiving.join(max(end - monotonic(), 0))
        # it may have begun steps before it saw the end
        is_done = self._load.wait_for_end(max(end - monotonic(), 0))
        return is_done and not self._receiving.is_alive()

    def _long_poll(self) -> None:
        while not self._stopping.is_set():
            self._receive(wait=True)

    def _poll_when(self, notified: threading.Event) -> None:
        while not self._stopping.is_set():
            notified.wait()
            notified.clear()
            while self._receive(wait=False):
                pass  # while there may be more

    def _receive(self, *, wait: bool) -> bool:
        """Receive once, at most what can run; return whether as much came as was asked for."""
        most = min(self._load.wait_for_room(), MAX_MESSAGES)
        if self._stopping.is_set():
            return False
        received = self._poll(most, wait)
        if self._stopping.is_set():
            self._return([each.message for each in received if each.claimed is None])
            received = [each for each in received if each.claimed is not None]
        self._load.begin(len(received))
        for each in received:
            self._hand_over(each)
        return len(received) == most and not self._stopping.is_set()

    def _poll(self, most: int, wait: bool) -> list[Received]:
        try:
            return self._received(most, wait)
        except FileUnusable:
            self._give_up()
            return []
        except Throttled as error:  # another process writes for long, or the disk is full
            logger.warning("could not receive", extra={"reason": error.message})
            self._stopping.wait(PAUSE_AFTER_ERROR)
            return []
        except Exception:
            if not self._stopping.is_set():
                logger.exception("could not receive")
                self._stopping.wait(PAUSE_AFTER_ERROR)
            return []

    def _received(self, most: int, wait: bool) -> list[Received]:
        """Receive; where there are transactions, claim the agents in the same one."""
        app, claims = self._app, dict[str, Claim | None]()
        if app is None:
            return [*map(Received, self._messages.receive(most, wait=wait))]

        def claim(message: JSONObject) -> None:
            if not self._stopping.is_set():
                claims[message["ReceiptHandle"]] = claim_of(app, self._messages.read, message)

        messages = self._messages.receive(most, wait=wait, each=claim)
        return [Received(each, claims.get(each["ReceiptHandle"])) for each in messages]

    def _return(self, messages: list[JSONObject]) -> None:
        for message in messages:
            try:
                self._messages.postpone(message["ReceiptHandle"], 0)
            except FileUnusable:
                return
            except Exception:  # it comes back when its visibility timeout ends
                logger.exception("could not return a message to the queue")

    def _hand_over(self, received: Received) -> None:
        """Give a message to the thread that became idle last, or else to a new one. Where the
        system has none, wait for one; a message that a stop finds waiting counts as running.
        """
        while (inbox := self._inbox()) is None:
            logger.warning("no thread can be started; the message waits for one")
            if self._stopping.wait(PAUSE_AFTER_ERROR):
                return
        inbox.put(received)

    def _inbox(self) -> "SimpleQueue[Received] | None":
        with suppress(IndexError):
            return self._idle.pop()
        inbox: SimpleQueue[Received] = SimpleQueue()
        thread = threading.Thread(target=self._run, args=(inbox,), name="ace-step", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return None
        return inbox

    def _run(self, inbox: SimpleQueue[Received]) -> None:
        with suppress(Replaced):
            while True:
                self._process_all(inbox.get())
                self._idle.append(inbox)
                self._load.end()

    def _process_all(self, received: Received | None) -> None:
        """Process a message, and those that this thread receives after it."""
        while received is not None:
            received = self._process(received)

    def _stand_in(self, received: Received, claimed: Claim) -> None:
        """Go on in place of a thread whose agent takes longer than it may."""
        with suppress(Replaced):
            with overdue():
                then = self._process(replace(received, claimed=claimed))
            self._process_all(then)
            self._load.end()

    def _give_up(self) -> None:
        """Receive nothing more: the state is unusable, which is logged where it was noticed."""
        self._stopping.set()
        if self._notified is not None:
            self._notified.set()

    def _process(self, received: Received) -> Received | None:
        """Process a message; return the next one, if this thread is to process it."""
        message = received.message
        finish = partial(self._finish, message["ReceiptHandle"])
        try:
            said = message.get("Attributes", {})
            number = int(said.get("ApproximateReceiveCount", 1))
            names = message["Body"], message.get("MessageId", "")
            delivery = Delivery(*names, number, said.get("SentTimestamp"))
            then = self._next_message(received, finish)
            step = partial(then.run, begun=received.claimed) if then else self._step
            seconds = self._deliveries.process(delivery, step)
            if seconds is None:
                return then.get() if then else next(map(Received, finish()), None)
            self._messages.postpone(message["ReceiptHandle"], seconds)
        except FileUnusable:
            self._give_up()
        except Replaced:
            raise
        except BaseException:  # the message comes back when its visibility timeout ends
            logger.exception("could not delete or return a message")
        return None

    def _next_message(self, received: Received, finish: Finish) -> NextMessage | None:
        if self._app is None:
            return None
        stand_in = partial(self._stand_in, received)
        return NextMessage(self._app, self._messages.read, finish, self._stopping, stand_in)

    def _finish(self, receipt: str) -> list[JSONObject]:
        """Delete a message; receive the next one for the same thread, if that may go on."""
        may_go_on = not self._stopping.is_set() and self._load.may_go_on()
        return self._messages.finish(receipt, int(may_go_on))
