"""The key prefixes of the blobs of each record."""

from hashlib import sha256
from typing import Any
from urllib.parse import quote

from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.records.entities import Entity

_LONGEST_PLACE = 200  # characters: a key of S3 has at most 1,024 bytes ("Naming Amazon S3 objects")


def blob_prefix(entity: Entity[Any], tenant: str, key: Key, nonce: str | None) -> str:
    """The prefix of the keys of a record's blobs, in at most 720 bytes.

    No record's prefix begins with another record's. The nonce separates the record from earlier
    ones with the same key, whose blobs may still be about to be removed.
    """
    place = "/".join(map(_place, (tenant, entity.model.Meta.table_name, *key)))
    return f"{place}/" if nonce is None else f"{place}+{nonce}/"


def _place(part: str) -> str:
    """One part of a blob's key: percent-encoded after `=`, or a hash after `~` if that is long."""
    quoted = quote(f"={part}", safe="=")
    return quoted if len(quoted) <= _LONGEST_PLACE else f"~{sha256(part.encode()).hexdigest()}"
