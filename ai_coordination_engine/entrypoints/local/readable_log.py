"""The log as lines for people, for commands that print lines of their own beside it."""

import logging

from ai_coordination_engine.engine.advance.conclusion import WORTH_A_LOOK

_OWN = frozenset(vars(logging.makeLogRecord({})))
"""The attributes that every record has; all others are details of the event."""


class ReadableLines(logging.Formatter):
    """Formats a record as `warning: EVENT (name: value, …)`, with the traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of the record."""
        found = [f"{name}: {value}" for name, value in vars(record).items() if name not in _OWN]
        details = f" ({', '.join(found)})" if found else ""
        lines = [f"{record.levelname.lower()}: {record.getMessage()}{details}"]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        return "\n".join(lines)


def untold(record: logging.LogRecord) -> bool:
    """Whether it is no event of an attempt, which such a command tells in its own words."""
    return record.msg not in WORTH_A_LOOK
