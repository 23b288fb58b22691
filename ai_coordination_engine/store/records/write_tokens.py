"""Write tokens: the values of reservations (of creates) and tombstones (of deletes), promise P1.

A child's reservation is its `unconfirmed`, a parent's tombstone its `deleting`. A token is
`<ISO time in UTC>#<random>`: tokens compare in the order of time, and they expire, so that a
crashed writer blocks nobody for long.
"""

import secrets
from datetime import datetime, timedelta

TOKEN_LIFETIME = timedelta(seconds=60)
EXPIRED = "0"  # the token of a writer that has given up


def new_token(now: datetime) -> str:
    """The token of a reservation or a tombstone; no other writer has the same."""
    return f"{_text(now)}#{secrets.token_hex(8)}"


def new_nonce() -> str:
    """A value that tells a record from all others that have, had or will have its key."""
    return secrets.token_hex(8)


def expires_at(now: datetime) -> float:
    """When a token that is made now expires (epoch seconds)."""
    return (now + TOKEN_LIFETIME).timestamp()


def oldest_live(now: datetime) -> str:
    """Tokens below this text have expired."""
    return _text(now - TOKEN_LIFETIME)


def is_live(token: str, now: datetime) -> bool:
    """Whether the writer of the token may still be at work."""
    return token >= oldest_live(now)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
