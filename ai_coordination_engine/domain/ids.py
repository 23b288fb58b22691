"""Create and check identifiers.

New identifiers are version 7 uuids (RFC 9562, section 5.7), so that records sort by their time of
creation.
"""

import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, UUID

MAX_ID = 256  # bytes
_URLS = NAMESPACE_URL.bytes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ORDINAL_BITS = 32
_TAIL_BITS = 42  # 12 (rand_a) + 62 (rand_b) - 32 (ordinal)


def is_id(text: str) -> bool:
    """Whether a client may use this text as an id: printable, 1 to 256 bytes.

    Ids are compared byte by byte, without Unicode normalization.
    """
    return is_plain(text) and 1 <= len(text.encode()) <= MAX_ID


def begins_ids(text: str) -> bool:
    """Whether an id may begin with this text."""
    return text.isprintable() and text == text.lstrip() and len(text.encode()) <= MAX_ID


def is_plain(text: str) -> bool:
    """Whether all characters are printable and no space is at the start or the end.

    Not printable are control, format (zero-width, bidirectional), private and unassigned
    characters, and every white space except the space (`str.isprintable`).
    """
    return text.isprintable() and text == text.strip()


def _uuid7(milliseconds: int, random_74_bits: int) -> str:
    value = (milliseconds & (2**48 - 1)) << 80
    value |= 0x7 << 76
    value |= (random_74_bits >> 62) << 64
    value |= 0b10 << 62
    value |= random_74_bits & (2**62 - 1)
    return _written(f"{value:032x}")


def _written(digits: str) -> str:
    """The text of a uuid with these hexadecimal digits; the class of Python takes four times as
    long.
    """
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _random_62_bits() -> int:
    return int.from_bytes(os.urandom(8), "big") >> 2


def name_uuid(name: str) -> str:
    """The uuid of a name: that of `uuid.uuid5` in the namespace of URLs (RFC 9562, section 5.5)."""
    digest = hashlib.sha1(_URLS + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return _written(f"{digest[:12]}5{digest[13:16]}{variant}{digest[17:32]}")


def new_uuid(now: datetime) -> str:
    """A new version 7 uuid for the time `now`; uuids sort by time to the microsecond.

    Source: RFC 9562, section 6.2, method 3.
    """
    microseconds = (now - _EPOCH) // timedelta(microseconds=1)
    milliseconds, rest = divmod(microseconds, 1000)
    return _uuid7(milliseconds, (rest * 2**12 // 1000) << 62 | _random_62_bits())


def derived_uuid(instant: datetime, *names: str) -> str:
    """A version 7 uuid computed from `instant` and `names`: equal arguments give an equal uuid."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    milliseconds = (instant - _EPOCH) // timedelta(milliseconds=1)
    return _uuid7(milliseconds, int.from_bytes(digest[:10], "big") >> 6)


def child_uuid(parent_uuid: str, ordinal: int, now: datetime) -> str:
    """The uuid of the session agent `ordinal` of a session created at `now`.

    It is computed from the arguments, so that a repeated start uses the same uuid. The uuids of one
    session sort by `ordinal` (0 … 2**32 - 1); sessions sort by their time of creation.
    """
    tail = int.from_bytes(hashlib.sha256(parent_uuid.encode()).digest()[:8], "big") >> (
        64 - _TAIL_BITS
    )
    return _uuid7(int(now.timestamp() * 1000), (ordinal % 2**_ORDINAL_BITS) << _TAIL_BITS | tail)


def sibling_uuid(uuid: str, ordinal: int) -> str:
    """The uuid of the session agent `ordinal` in the session of the session agent `uuid`.

    `uuid` must come from `child_uuid`.
    """
    value = UUID(uuid).int
    tail = value & (2**_TAIL_BITS - 1)
    return _uuid7(value >> 80, (ordinal % 2**_ORDINAL_BITS) << _TAIL_BITS | tail)
