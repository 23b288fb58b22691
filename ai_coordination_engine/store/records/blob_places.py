"""Where the blobs of a record live."""

from hashlib import sha256
from typing import Any
from urllib.parse import quote

from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.records.entities import Entity

_LONGEST_PLACE = 200  # characters: a key of S3 has at most 1,024 bytes ("Naming Amazon S3 objects")


def blob_prefix(entity: Entity[Any], tenant: str, key: Key, nonce: str | None) -> str:
    """Where the blobs of a record live, in at most 720 bytes; no record's place lies within
    another's.

    The nonce tells it from what stood under its key before, which somebody may be about to remove.
    """
    place = "/".join(map(_place, (tenant, entity.model.Meta.table_name, *key)))
    return f"{place}/" if nonce is None else f"{place}+{nonce}/"


def _place(part: str) -> str:
    """One part of a blob's key: what is long in percent encoding is a hash, which begins like no
    other part.
    """
    quoted = quote(f"={part}", safe="=")
    return quoted if len(quoted) <= _LONGEST_PLACE else f"~{sha256(part.encode()).hexdigest()}"
