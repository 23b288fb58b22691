"""How long the SQLite queue keeps messages; template.yaml has the same numbers for SQS."""

from sqlite3 import Connection

MESSAGE_SECONDS = 345_600  # four days
DEAD_SECONDS = 1_209_600  # fourteen days
_EVERY_SECONDS = 900  # between two looks for old messages


class Retention:
    """Deletes messages that are too old. Both ages count from when a message was sent.

    `now` (epoch seconds): the time from which this process serves the queue. Time in which nobody
    serves it does not make a message too old: what was acknowledged happens.
    """

    def __init__(self, now: float) -> None:
        self._since = self._due = now

    def is_due(self, now: float) -> bool:
        """Whether it is time to look for old messages."""
        return now >= self._due

    def purge(self, connection: Connection, now: float) -> None:
        """Delete the messages and dead letters that are too old."""
        self._due = now + _EVERY_SECONDS
        connection.execute(
            "DELETE FROM messages WHERE is_dead = 1 AND sent_at <= ?", (now - DEAD_SECONDS,)
        )
        if self._since <= now - MESSAGE_SECONDS:
            connection.execute(
                "DELETE FROM messages WHERE is_dead = 0 AND sent_at <= ?", (now - MESSAGE_SECONDS,)
            )
