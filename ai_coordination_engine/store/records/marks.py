"""The marks of promise P1: a child not yet confirmed, a parent being deleted. Each is a time and a
token in one string.

A mark is `<ISO time in UTC>#<token>`: marks compare in the order of time, and a crashed writer's
mark runs out.
"""

import secrets
from datetime import datetime, timedelta

MARK_LIFETIME = timedelta(seconds=60)
ENDED = "0"  # the mark of a writer that has given up: it ran out at once


def new_mark(now: datetime) -> str:
    """A mark of this writer."""
    return f"{_text(now)}#{secrets.token_hex(8)}"


def new_nonce() -> str:
    """What tells a record from every other that ever stood, or will stand, under its key."""
    return secrets.token_hex(8)


def ends_at(now: datetime) -> float:
    """When a mark that is made now runs out (epoch seconds)."""
    return (now + MARK_LIFETIME).timestamp()


def oldest_live(now: datetime) -> str:
    """Marks below this text have run out."""
    return _text(now - MARK_LIFETIME)


def is_live(mark: str, now: datetime) -> bool:
    """Whether the writer that set the mark may still be at work."""
    return mark >= oldest_live(now)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
