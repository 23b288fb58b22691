"""Send what has changed to those who watch it; `push` calls `cold_start`.

Two kinds of events: batches of the table streams, which have keys only, and reminders of a queue.
A batch that is delivered again sends nothing but what was not sent.
"""

from asyncio import Runner
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import topics
from ai_coordination_engine.entrypoints.aws.sending import Sending
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.live_bootstrap import Live, build_live
from ai_coordination_engine.live_ports import Expire, Look
from ai_coordination_engine.observability import configure, logger
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.changed import topics_of_names
from ai_coordination_engine.store.connections import SocketWatcher, Watching
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.push_configurations import is_push

Event = Mapping[str, Any]
Handler = Callable[[Event, LambdaContext], dict[str, Any]]
STREAM = "aws:dynamodb"
MIN_SECONDS_LEFT = 10
"""The time that is needed to begin with another topic."""
SECOND_LOOK = 3
"""The seconds until lists are looked at again: their indexes may be behind the stream."""

MOST_TOPICS = 1_000
"""The topics whose second looks are remembered."""


@dataclass(frozen=True)
class Push:
    """Handles the events of the table streams and of the reminders."""

    sending: Sending
    # when lists are looked at again, by topic (epoch seconds)
    _second_looks: dict[str, float] = field(default_factory=dict)

    def handle(self, event: Event, context: LambdaContext) -> dict[str, Any]:
        """Process a batch; the response lists what to deliver again.

        See AWS Lambda developer guide, "Configuring partial batch response with DynamoDB and
        Lambda" and "Implementing partial batch responses" of Amazon SQS.
        """
        records = event["Records"]
        if records and records[0]["eventSource"] == STREAM:
            failed = self._changes(records, context)
        else:
            failed = self._reminders(records, context)
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}

    @property
    def _live(self) -> Live:
        return self.sending.live

    def _reminders(self, records: Iterable[Event], context: LambdaContext) -> list[str]:
        """Process reminders; the ids of those to deliver again. Notices come last, at the same
        time: a slow receiver holds up no connection, and no other receiver.
        """
        failed = list[str]()

        def process(record: Event) -> None:
            if not _has_time(context) or not self._is_done(record):
                failed.append(record["messageId"])

        notices = list[Callable[[], None]]()
        for each in records:
            if self._is_of_notice(each):
                notices.append(partial(process, each))
            else:
                process(each)
        if notices:
            self._live.app.records.parallel.beside(notices, threads=len(notices))
        return failed

    def _is_of_notice(self, record: Event) -> bool:
        try:
            message = self._live.reminders.read(record["body"])
        except BadUserInput:
            return False
        return isinstance(message, Look) and is_push(message.watcher or "")

    def _changes(self, records: Iterable[Event], context: LambdaContext) -> list[str]:
        """Look at each topic of a batch once; the sequence number from which on to deliver it
        again.
        """
        first: dict[str, str] = {}
        for record in records:
            for topic in _topics(record):
                first.setdefault(topic, record["dynamodb"]["SequenceNumber"])
        watched = self._watched(list(first))
        for topic, sequence_number in first.items():
            if watched is None or not _has_time(context):
                return [sequence_number]
            try:
                self._tell(topic, watched[topic])
            except Exception:
                logger.exception("could not send a change")
                return [sequence_number]
        return []

    def _tell(self, topic: str, watching: Watching) -> None:
        """Send what has changed to the connections; notices are sent by reminders, so that a slow
        receiver does not hold up a stream.
        """
        if watching.watchers:
            self.sending.look(watching.watchers)
            self._look_again(topic)
        if not watching.pushes:
            return
        # Imported here because most deployments send no notices: a cold start is without it.
        from ai_coordination_engine.served.a2a.notices import has_news  # noqa: PLC0415

        for each in watching.pushes:
            if has_news(self._live.app, each):
                self._live.reminders.send(Look(*each.key))

    def _watched(self, found: list[str]) -> dict[str, Watching] | None:
        """Who is told of each topic; None if they cannot be read."""
        read = self._live.connections.watching
        try:
            watchers = self._live.app.records.parallel.run([partial(read, each) for each in found])
        except Exception:
            logger.exception("could not read who watches")
            return None
        return dict(zip(found, watchers, strict=True))

    def _look_again(self, topic: str) -> None:
        """Send a reminder to look at lists again, unless one is on its way."""
        now = self._live.app.clock.now().timestamp()
        if not topics.is_of_lists(topic) or self._second_looks.get(topic, 0) > now + 1:
            return
        self._live.reminders.send(Look(topic), SECOND_LOOK)
        if len(self._second_looks) > MOST_TOPICS:
            self._second_looks.clear()
        self._second_looks[topic] = now + SECOND_LOOK

    def _is_done(self, record: Event) -> bool:
        """Process one reminder; whether it may be deleted."""
        try:
            message = self._live.reminders.read(record["body"])
            if isinstance(message, Expire):
                self._expire(message.connection)
            elif message.watcher is not None and is_push(message.watcher):
                self._deliver((message.topic, message.watcher))
            else:
                self.sending.look(list(self._watchers(message)), raises=message.watcher is not None)
        except Exception:
            logger.exception("could not process", extra={"message_id": record["messageId"]})
            return False
        return True

    def _deliver(self, key: Key) -> None:
        """Send a notice, if there is any news."""
        from ai_coordination_engine.served.a2a.notices import deliver  # noqa: PLC0415

        app, send = self._live.app, self._live.reminders.send
        read = app.push_configurations.get(key)
        if read is not None and app.notices is not None:
            deliver(app, app.notices, read, lambda each, wait: send(Look(*each.key), wait))

    def _watchers(self, look: Look) -> Iterator[SocketWatcher]:
        if look.watcher is None:
            yield from self._live.connections.watchers(look.topic)
        elif (found := self._live.connections.watcher(look.topic, look.watcher)) is not None:
            yield found

    def _expire(self, connection: str) -> None:
        """Close a connection that has not authenticated in time."""
        found = self._live.connections.get(connection)
        if found is None or found.partition_key is None:
            self.sending.end(connection)


def _has_time(context: LambdaContext) -> bool:
    """Whether there is time to begin with another topic, or another receiver."""
    return context.get_remaining_time_in_millis() >= MIN_SECONDS_LEFT * 1000


def _topics(record: Event) -> tuple[str, ...]:
    """The topics of a record of a stream; none for an item that is none of ours, which must not
    hold up the others.
    """
    try:
        return _changed(record)
    except Exception:
        logger.exception("could not read a change", extra={"record": record.get("eventID")})
        return ()


def _changed(record: Event) -> tuple[str, ...]:
    """The topics of the table and the keys of a changed item."""
    table = record["eventSourceARN"].split("/")[1]
    keys: Mapping[str, Mapping[str, str]] = record["dynamodb"]["Keys"]
    return topics_of_names(table, {name: value["S"] for name, value in keys.items()})


def build_handler(live: Live, runner: Runner | None = None) -> Handler:
    """Create a Lambda handler on these connections."""
    documents = Documents(SCHEMA.graphql_schema)
    return Push(Sending(live, documents, runner or Runner())).handle


def cold_start() -> Handler:
    """Create the handler from the environment."""
    settings = Settings()
    configure(settings.log_level)
    return build_handler(build_live(settings))
