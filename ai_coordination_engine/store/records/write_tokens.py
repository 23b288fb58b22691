"""Tokens of writes in progress: reservations of creates and tombstones of deletes (promise P1).

A reservation is stored in the child's `unconfirmed`, a tombstone in the parent's `deleting`. A
token is `<ISO time in UTC>#<random>`. Tokens sort by time and expire, so that a crashed writer
blocks others for a minute at most.
"""

import secrets
from datetime import datetime, timedelta

TOKEN_LIFETIME = timedelta(seconds=60)
EXPIRED = "0"  # a token that has always expired, for a writer that gives up


def new_token(now: datetime) -> str:
    """A new, unique token."""
    return f"{_text(now)}#{secrets.token_hex(8)}"


def new_nonce() -> str:
    """A value that is unique among all records that ever have the same key."""
    return secrets.token_hex(8)


def expires_at(now: datetime) -> float:
    """When a token that is created at `now` expires (epoch seconds)."""
    return (now + TOKEN_LIFETIME).timestamp()


def oldest_live(now: datetime) -> str:
    """The smallest token that has not expired at `now`; smaller ones have."""
    return _text(now - TOKEN_LIFETIME)


def is_live(token: str, now: datetime) -> bool:
    """Whether the token has not expired: its writer may still be working."""
    return token >= oldest_live(now)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
