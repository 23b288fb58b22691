"""The queue in the SQLite file of one machine, with delays, visibility timeouts and dead letters.

Messages have the shape of SQS, so that the same consumers process them. Tenants take turns.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from sqlite3 import Connection
from time import monotonic
from typing import Any

from ai_coordination_engine.adapters.message_bodies import body_of, delay_of, message_from_body
from ai_coordination_engine.adapters.sqlite_retention import Retention
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import Clock, QueueMessage, Wake

LONGEST_DELAY = 900  # seconds, of a new message, as in SQS
LONGEST_WAIT = 43_200  # seconds that a received message is hidden, as in SQS
LONGEST_POLL = 20.0  # seconds that `receive` waits
_LOOK_AGAIN = 1.0  # seconds between looks for messages of other processes
_TABLE = """
CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, body TEXT NOT NULL,
  sent_at REAL NOT NULL, visible_at REAL NOT NULL, received INTEGER NOT NULL DEFAULT 0,
  is_held INTEGER NOT NULL DEFAULT 0, is_dead INTEGER NOT NULL DEFAULT 0,
  holder TEXT NOT NULL DEFAULT '')
"""
_HOLDER = "ALTER TABLE messages ADD COLUMN holder TEXT NOT NULL DEFAULT ''"
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS messages_in_time ON messages (is_dead, visible_at)",
    "CREATE INDEX IF NOT EXISTS messages_ready ON messages (tenant, visible_at)"
    " WHERE is_dead = 0 AND is_held = 0",
    "CREATE INDEX IF NOT EXISTS messages_hidden ON messages (visible_at)"
    " WHERE is_dead = 0 AND is_held > 0",
)
# values of `is_held`: a hidden message is ready only when its time has come and it was looked at
_READY, _RECEIVED, _DELAYED = 0, 1, 2


class SqliteQueue:
    """Implements `ports.Queue` in a `DatabaseFile`, and what its consumers need. Thread-safe.

    A received message is hidden for `visible_after` seconds; after `max_receives` deliveries it
    becomes a dead letter. Old messages are deleted (`Retention`). Tenants that have messages take
    turns. `clock` should not go back: messages would stay hidden. `holder` names this process in
    the messages that it has received; `wake_others` tells the other processes that there are new
    messages. Each method raises `Unavailable` when the file cannot be written.
    """

    def __init__(
        self,
        file: DatabaseFile,
        clock: Clock,
        visible_after: float,
        max_receives: int,
        holder: str = "",
        wake_others: Callable[[], None] = lambda: None,
    ) -> None:
        self._file, self._clock = file, clock
        self._holder, self._wake_others = holder, wake_others
        self._visible_after, self._max_receives = visible_after, max_receives
        self._changed = threading.Condition()
        self._changes = self._waiting = 0
        self._is_interrupted = False
        self._served = ""  # the tenant whose turn was last
        file.write(_create)
        self._retention = Retention(self._now())

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None:
        """Send all messages, visible after `delay` seconds (900 at most), in one transaction."""
        if not messages:
            return
        now = self._now()
        visible_at = now + min(max(delay, 0), LONGEST_DELAY)
        held = _DELAYED if visible_at > now else _READY
        delay = visible_at - now
        self._insert(
            [(each.tenant, body_of(each, delay), now, visible_at, held, 0) for each in messages]
        )
        self._file.afterwards(self._tell if held == _READY else self.notice)

    def dead_letter(self, wake: Wake) -> None:
        """Add a wake-up to the dead letters."""
        now = self._now()
        self._insert([(wake.tenant, body_of(wake), now, now, _READY, 1)])

    def delay_of(self, body: str) -> float:
        """Return the delay with which the message of a body was sent."""
        return delay_of(body)

    def read(self, body: str) -> QueueMessage:
        """Return the message in a received body; raises `BadUserInput` when it is not a valid
        message.
        """
        return message_from_body(body)

    def receive(
        self, most: int, *, wait: bool = True, each: Callable[[dict[str, Any]], None] | None = None
    ) -> list[dict[str, Any]]:
        """Receive up to `most` messages and hide them; with `wait`, wait for the first one.

        `each` is called with each of them in the transaction that receives them.

        Messages that this process sends are noticed at once, and those of others when they wake
        this one (`notice`), or else within a second. Empty when none came within `LONGEST_POLL`
        seconds, and after `interrupt`.
        """
        end = monotonic() + (LONGEST_POLL if wait else 0)
        while True:
            seen = self._changes
            if self._is_interrupted:
                return []
            self._purge()
            with self._file.reading() as connection:
                next_at = _next_at(connection)
            messages = self._take_ready(most, each) if self._has_come(next_at) else []
            if messages or monotonic() >= end:
                return messages
            self._wait(seen, next_at)

    def interrupt(self) -> None:
        """Receive nothing more: this process stops."""
        self._is_interrupted = True
        self.notice()

    def finish(self, receipt: str, most: int) -> list[dict[str, Any]]:
        """Delete a received message, unless it has been delivered again since, and receive up to
        `most` others without waiting, in one transaction.
        """

        def finish(connection: Connection) -> list[dict[str, Any]]:
            _delete(connection, receipt)
            if most and self._has_come(_next_at(connection)):
                return self._take(connection, most)
            return []

        return self._file.write(finish)

    def notice(self) -> None:
        """Let those look again who wait for messages: another process has sent some."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def wait_for_waiting(self, seconds: float, stopping: threading.Event) -> bool:
        """Wait up to `seconds` until somebody waits for messages, or until `stopping` is set and
        `notice` follows; whether somebody waits.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting > 0 or stopping.is_set(), seconds)
            return self._waiting > 0

    def postpone(self, receipt: str, seconds: float) -> None:
        """Keep a received message in the queue and hide it for `seconds` from now.

        Does nothing when the message no longer exists, or has been delivered again since.
        """
        visible_at = self._now() + min(max(seconds, 0), LONGEST_WAIT)
        self._file.write(
            lambda connection: connection.execute(
                "UPDATE messages SET visible_at = ?, is_held = ? WHERE id = ? AND received = ?",
                (visible_at, _DELAYED, *_named(receipt)),
            )
        )
        self._file.afterwards(self._tell if seconds <= 0 else self.notice)

    def delete(self, receipt: str) -> None:
        """Delete a received message, unless it has been delivered again since."""
        self._file.write(lambda connection: _delete(connection, receipt))

    def held(self, is_lost: Callable[[str], bool]) -> list[QueueMessage]:
        """The received messages whose holders are lost."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT holder, body FROM messages INDEXED BY messages_hidden"
                " WHERE is_dead = 0 AND is_held > 0 AND is_held = ?",
                (_RECEIVED,),
            ).fetchall()
        found: list[QueueMessage] = []
        for holder, body in rows:
            if is_lost(holder):
                with suppress(BadUserInput):  # it becomes a dead letter
                    found.append(self.read(body))
        return found

    def release_held(self, is_lost: Callable[[str], bool]) -> None:
        """Make the received messages visible again whose holders are lost: they are dead.

        Messages that were sent later than now, because the clock has been set back, count as sent
        now.
        """
        now = self._now()

        def release(connection: Connection) -> None:
            holders = connection.execute(
                "SELECT DISTINCT holder FROM messages INDEXED BY messages_hidden"
                " WHERE is_dead = 0 AND is_held > 0 AND is_held = ?",
                (_RECEIVED,),
            ).fetchall()
            connection.executemany(
                "UPDATE messages INDEXED BY messages_hidden SET visible_at = ?, is_held = 0"
                " WHERE is_dead = 0 AND is_held > 0 AND is_held = ? AND holder = ?",
                [(now, _RECEIVED, holder) for (holder,) in holders if is_lost(holder)],
            )
            connection.execute(
                "UPDATE messages SET sent_at = ?1, visible_at = visible_at - sent_at + ?1"
                " WHERE sent_at > ?1 AND visible_at > ?1",
                (now,),
            )

        self._file.write(release)
        self._file.afterwards(self._tell)

    def receive_dead(self, most: int, hidden_seconds: float) -> list[dict[str, Any]]:
        """Receive up to `most` dead letters, the oldest first, and hide them for
        `hidden_seconds`.
        """
        now = self._now()

        def take(connection: Connection) -> list[dict[str, Any]]:
            self._retention.purge(connection, now)
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM messages WHERE is_dead = 1 AND visible_at <= ?"  # noqa: S608
                " ORDER BY id LIMIT ?",
                (now, most),
            ).fetchall()
            return [_held(connection, row, now + hidden_seconds, "") for row in rows]

        return self._file.write(take)

    # Inside

    def _insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._file.write(
            lambda connection: connection.executemany(
                "INSERT INTO messages (tenant, body, sent_at, visible_at, is_held, is_dead)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        )

    def _purge(self) -> None:
        """Delete old messages from time to time."""
        now = self._now()
        if self._retention.is_due(now):
            self._file.write(lambda connection: self._retention.purge(connection, now))

    def _has_come(self, moment: float | None) -> bool:
        return moment is not None and moment <= self._now()

    def _take_ready(
        self, most: int, each: Callable[[dict[str, Any]], None] | None
    ) -> list[dict[str, Any]]:
        if each is None:
            return self._file.write(lambda connection: self._take(connection, most))
        with self._file.together():
            messages = self._file.write(lambda connection: self._take(connection, most))
            for message in messages:
                each(message)
        return messages

    def _take(self, connection: Connection, most: int) -> list[dict[str, Any]]:
        """Receive messages, one of each tenant in turn."""
        now, found = self._now(), list[dict[str, Any]]()
        connection.execute(
            "UPDATE messages INDEXED BY messages_hidden SET is_held = 0"
            " WHERE is_dead = 0 AND is_held > 0 AND visible_at <= ?",
            (now,),
        )
        for row in self._in_turn(connection, now):
            found.append(_held(connection, row, now + self._visible_after, self._holder))
            if len(found) == most:
                break
        return found

    def _in_turn(self, connection: Connection, now: float) -> Iterator[tuple[Any, ...]]:
        """Yield visible messages, beginning with the tenant after the one that was served last."""
        skipped: set[str] = set()
        while (tenant := self._next_tenant(connection)) is not None and tenant not in skipped:
            self._served = tenant
            row = self._first_of(connection, tenant, now)
            if row is None:
                skipped.add(tenant)
            else:
                skipped.clear()
                yield row

    def _next_tenant(self, connection: Connection) -> str | None:
        """Return the next tenant with a message that is ready, in alphabetical order; after the
        last one comes the first.
        """
        for after in (self._served, ""):
            row = connection.execute(
                "SELECT tenant FROM messages INDEXED BY messages_ready"
                " WHERE is_dead = 0 AND is_held = 0 AND tenant > ?"
                " ORDER BY tenant LIMIT 1",
                (after,),
            ).fetchone()
            if row is not None:
                return str(row[0])
        return None

    def _first_of(self, connection: Connection, tenant: str, now: float) -> tuple[Any, ...] | None:
        """Return the first visible message of a tenant.

        Those before it that were delivered too often become dead letters, which ends the receipts
        of their last delivery; they cost the tenant no turn.
        """
        while True:
            row: tuple[Any, ...] | None = connection.execute(
                f"SELECT {_COLUMNS} FROM messages WHERE is_dead = 0 AND is_held = 0"  # noqa: S608
                " AND tenant = ? AND visible_at <= ? ORDER BY visible_at, id LIMIT 1",
                (tenant, now),
            ).fetchone()
            if row is None or row[4] < self._max_receives:
                return row
            connection.execute(
                "UPDATE messages SET is_dead = 1, received = received + 1 WHERE id = ?", (row[0],)
            )

    def _wait(self, seen: int, next_at: float | None) -> None:
        """Wait for a change, or until the next message becomes visible."""
        seconds = _LOOK_AGAIN
        if next_at is not None:
            seconds = min(seconds, max(next_at - self._now(), 0.001))
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._changes != seen, seconds)
            self._waiting -= 1

    def _tell(self) -> None:
        self.notice()
        self._wake_others()

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _create(connection: Connection) -> None:
    """Create the table, or add what one of an earlier version lacks."""
    connection.execute(_TABLE)
    known = {row[1] for row in connection.execute("PRAGMA table_info(messages)")}
    for text in (*([] if "holder" in known else [_HOLDER]), *_INDEXES):
        connection.execute(text)


_COLUMNS = "id, body, sent_at, tenant, received"


def _next_at(connection: Connection) -> float | None:
    """Return when the next message becomes visible; a past time if one is visible."""
    row = connection.execute(
        "SELECT visible_at FROM messages WHERE is_dead = 0 ORDER BY visible_at LIMIT 1"
    ).fetchone()
    return None if row is None else float(row[0])


def _delete(connection: Connection, receipt: str) -> None:
    connection.execute("DELETE FROM messages WHERE id = ? AND received = ?", _named(receipt))


def _held(
    connection: Connection, row: tuple[Any, ...], until: float, holder: str
) -> dict[str, Any]:
    """Hide a message and return it in the form of SQS."""
    number, body, sent_at, _, received = row
    connection.execute(
        "UPDATE messages SET visible_at = ?, received = ?, is_held = 1, holder = ? WHERE id = ?",
        (until, received + 1, holder, number),
    )
    return {
        "MessageId": str(number),
        "ReceiptHandle": f"{number}:{received + 1}",
        "Body": body,
        "Attributes": {
            "ApproximateReceiveCount": str(received + 1),
            "SentTimestamp": str(int(sent_at * 1000)),
        },
    }


def _named(receipt: str) -> tuple[int, int]:
    """Return the message and the delivery of a receipt."""
    number, received = receipt.split(":")
    return int(number), int(received)
