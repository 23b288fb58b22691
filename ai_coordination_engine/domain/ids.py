"""Identifiers: version 7 uuids, so that a range key is also the order of creation (RFC 9562,
section 5.7).
"""

import hashlib
import json
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

MAX_ID = 256  # bytes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ORDINAL_BITS = 32
_TAIL_BITS = 42  # 12 (rand_a) + 62 (rand_b) - 32 (ordinal)


def is_id(text: str) -> bool:
    """Whether clients may use this as an id: plain text of 1 to 256 bytes, compared without Unicode
    normalization.
    """
    return is_plain(text) and 1 <= len(text.encode()) <= MAX_ID


def is_plain(text: str) -> bool:
    """Whether all characters are printable and there is no space at the ends.

    Control, format (zero-width, bidirectional), private and unassigned characters are not
    printable, nor is any white space but the space (`str.isprintable`).
    """
    return text.isprintable() and text == text.strip()


def _uuid7(milliseconds: int, random_74_bits: int) -> str:
    value = (milliseconds & (2**48 - 1)) << 80
    value |= 0x7 << 76
    value |= (random_74_bits >> 62) << 64
    value |= 0b10 << 62
    value |= random_74_bits & (2**62 - 1)
    return str(UUID(int=value))


def new_uuid(now: datetime) -> str:
    """A fresh version 7 uuid for the instant `now`, in order down to the microsecond (RFC 9562,
    6.2, method 3).
    """
    microseconds = (now - _EPOCH) // timedelta(microseconds=1)
    milliseconds, rest = divmod(microseconds, 1000)
    return _uuid7(milliseconds, (rest * 2**12 // 1000) << 62 | secrets.randbits(62))


def derived_uuid(instant: datetime, *names: str) -> str:
    """The uuid of what the names stand for, at `instant`: the same names give the same one."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    milliseconds = (instant - _EPOCH) // timedelta(milliseconds=1)
    return _uuid7(milliseconds, int.from_bytes(digest[:10], "big") >> 6)


def child_uuid(parent_uuid: str, ordinal: int, now: datetime) -> str:
    """The uuid of the session agent `ordinal` of a session created at `now`: derived, so that a
    retry finds it again.

    Uuids of one session sort by `ordinal` (0 … 2**32 - 1) and follow the session's time of
    creation.
    """
    tail = int.from_bytes(hashlib.sha256(parent_uuid.encode()).digest()[:8], "big") >> (
        64 - _TAIL_BITS
    )
    return _uuid7(int(now.timestamp() * 1000), (ordinal % 2**_ORDINAL_BITS) << _TAIL_BITS | tail)


def sibling_uuid(uuid: str, ordinal: int) -> str:
    """The uuid of the session agent `ordinal` in the session of another one, whose uuid
    `child_uuid` made.
    """
    value = UUID(uuid).int
    tail = value & (2**_TAIL_BITS - 1)
    return _uuid7(value >> 80, (ordinal % 2**_ORDINAL_BITS) << _TAIL_BITS | tail)
