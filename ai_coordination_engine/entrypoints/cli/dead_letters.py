"""Read the dead-letter queue and send its messages again; `dead_letter_commands` calls it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import Any, Protocol, cast, runtime_checkable

from ai_coordination_engine.bootstrap import client, dead_letter_queues
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.json_text import JSONObject
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import restart
from ai_coordination_engine.engine.graph.inputs import label
from ai_coordination_engine.engine.scheduling import by_hand
from ai_coordination_engine.entrypoints.deliveries import Messages
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import Backfill, CancelJob, Fire, QueueMessage, Wake
from ai_coordination_engine.store.records.entities import SESSION_AGENT

HIDDEN_SECONDS = 120  # how long a dead letter is hidden while this command handles it
_NOTES = 300  # characters of a session agent's notes
_MOST = 10  # messages of one ReceiveMessage (Amazon SQS API reference)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in the dead-letter queue.

    `message` is None when the body is not valid; `problem` then says why. `agent` and `notes` are
    the name and the notes of its session agent, where they were looked up.
    """

    message_id: str
    receipt: str
    sent: datetime
    message: QueueMessage | None
    problem: str = ""
    agent: str = ""
    notes: str = ""

    @property
    def line(self) -> str:
        """The dead letter as one line for people."""
        head = f"{self.message_id}  {self.sent:%Y-%m-%d %H:%M:%SZ}  "
        if self.message is None:
            return head + f"unreadable ({self.problem})"
        problem = f" ({self.problem})" if self.problem else ""
        notes = f": {self.notes}" if self.notes else ""
        return f"{head}tenant {self.message.tenant}, {self._target(self.message)}{problem}{notes}"

    def _target(self, message: QueueMessage) -> str:
        if isinstance(message, Backfill):
            return f"task {message.task_uuid}, schedule {message.schedule_uuid}, a backfill of it"
        if isinstance(message, Fire):
            time = datetime.fromtimestamp(message.nominal, UTC)
            return (
                f"task {message.task_uuid}, schedule {message.schedule_uuid}, its time"
                f" {time:%Y-%m-%d %H:%M:%SZ}"
            )
        if isinstance(message, CancelJob):
            return f"session {message.session_uuid}, the end of job {message.async_task_uuid}"
        uuid = message.session_agent_uuid
        agent = f"{self.agent} ({uuid})" if self.agent else uuid
        return f"session {message.session_uuid}, agent {agent}"


@runtime_checkable
class LocalQueue(Protocol):
    """A queue that holds its dead letters itself."""

    def receive_dead(self, most: int, hidden_seconds: float) -> list[JSONObject]:
        """Take up to `most` dead letters, hidden for so long, in the shape of SQS."""

    def postpone(self, receipt: str, seconds: float) -> None:
        """Hide a letter for `seconds` from now."""

    def delete(self, receipt: str) -> None:
        """Delete a letter."""


@dataclass(frozen=True)
class _SqsDeadLetters:
    """The dead-letter queues at `urls`, SQS queues of their own: one for each worker's queue."""

    sqs: Any
    urls: Sequence[str]
    wait_seconds: int
    _url_of: dict[str, str] = field(default_factory=dict)  # by the receipt of a message

    def receive_dead(self, most: int, hidden_seconds: float) -> list[JSONObject]:
        """ReceiveMessage, up to `most` from each queue."""
        found: list[JSONObject] = []
        for url in self.urls:
            answer = self.sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=self.wait_seconds,  # a long poll asks all servers of SQS
                VisibilityTimeout=int(hidden_seconds),
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            messages = answer.get("Messages", [])
            self._url_of.update({each["ReceiptHandle"]: url for each in messages})
            found += messages
        return found

    def postpone(self, receipt: str, seconds: float) -> None:
        """ChangeMessageVisibility."""
        self.sqs.change_message_visibility(
            QueueUrl=self._url_of[receipt], ReceiptHandle=receipt, VisibilityTimeout=int(seconds)
        )

    def delete(self, receipt: str) -> None:
        """DeleteMessage."""
        self.sqs.delete_message(QueueUrl=self._url_of[receipt], ReceiptHandle=receipt)


class DeadLetters:
    """The dead letters of a queue; `read` converts a body to a message."""

    def __init__(self, queue: LocalQueue, read: Callable[[str], QueueMessage]) -> None:
        self._queue = queue
        self._read = read

    @classmethod
    def of(cls, app: App, wait_seconds: int = 1) -> "DeadLetters":
        """Create the reader for an app; raises `NotFound` without a dead-letter queue."""
        read = cast(Messages, app.queue).read
        if isinstance(app.queue, LocalQueue):
            return cls(app.queue, read)
        urls = dead_letter_queues(app.settings)
        return cls(_SqsDeadLetters(client("sqs"), urls, wait_seconds), read)

    def all(self) -> Iterator[DeadLetter]:
        """Yield every dead letter once; each is then hidden for `HIDDEN_SECONDS`."""
        seen: set[str] = set()
        while messages := [each for each in self._receive() if each["MessageId"] not in seen]:
            seen.update(each["MessageId"] for each in messages)
            yield from (self._letter(each) for each in messages)

    def put_back(self, letter: DeadLetter) -> None:
        """Make a dead letter visible again."""
        self._queue.postpone(letter.receipt, 0)

    def delete(self, letter: DeadLetter) -> None:
        """Delete a dead letter."""
        self._queue.delete(letter.receipt)

    def _receive(self) -> list[JSONObject]:
        return self._queue.receive_dead(_MOST, HIDDEN_SECONDS)

    def _letter(self, message: JSONObject) -> DeadLetter:
        sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
        read, problem = None, ""
        try:
            read = self._read(message["Body"])
        except BadUserInput as error:
            problem = error.message
        return DeadLetter(message["MessageId"], message["ReceiptHandle"], sent, read, problem)


def listed(app: App, letters: DeadLetters) -> list[DeadLetter]:
    """Return all dead letters with the notes of their session agents; leave them in the queue."""
    found = list(letters.all())
    for letter in found:
        letters.put_back(letter)
    return [_with_agent(app, letter) for letter in found]


def _with_agent(app: App, letter: DeadLetter) -> DeadLetter:
    wake = letter.message
    if not isinstance(wake, Wake):
        return letter
    agent = app.records.get(SESSION_AGENT, wake.tenant, wake.key)
    if agent is None:
        return letter
    try:
        name, notes = label(agent), agent.notes or ""
    except Exception:  # name and notes are optional
        logger.exception(
            "could not read the agent of a dead letter", extra={"message_id": letter.message_id}
        )
        return letter
    return replace(letter, agent=_plain(name), notes=_plain(notes)[:_NOTES])


def _plain(text: str) -> str:
    """Return the text in one line without control characters."""
    return "".join(each for each in " ".join(text.split()) if each.isprintable())


def redrive(app: App, letters: DeadLetters) -> Iterator[tuple[DeadLetter, str]]:
    """Send each dead letter again; yield it with what was done, or with "" if it remains.

    A wake-up repairs its session and is sent again. A time of a schedule starts its session. A dead
    letter remains when it cannot be read or processed; its `problem` says why.
    """
    kept: list[DeadLetter] = []
    for letter in letters.all():
        if letter.message is None:
            kept.append(letter)
            yield letter, ""
            continue
        try:
            done = _process(app, letter.message)
        except Exception as error:  # try the other dead letters
            logger.exception("could not redrive", extra={"message_id": letter.message_id})
            kept.append(letter)
            yield replace(letter, problem=f"{type(error).__name__}: {error}"), ""
            continue
        letters.delete(letter)
        yield letter, done
    for letter in kept:
        letters.put_back(letter)


def _process(app: App, message: QueueMessage) -> str:
    if isinstance(message, Fire):
        time = datetime.fromtimestamp(message.nominal, UTC)
        fired = by_hand.backfill(app, message.tenant, message.key, time, time)
        return "its session is started" if fired.sessions else "its schedule no longer has the time"
    if isinstance(message, Backfill):
        app.queue.send([message])
        return "its backfill continues"
    if isinstance(message, CancelJob):
        app.queue.send([message])
        return "its job is cancelled again"
    revived = restart.revive(app, message)
    app.queue.send([message])
    return "its session continues" if revived else "sent again; its session needed no repair"
