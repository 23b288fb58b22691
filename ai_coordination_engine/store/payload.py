"""Values of any size in an item: JSON inline, or a reference to a blob (the claim-check pattern,
promise P8). They open themselves: an attribute of a record answers the value, wherever it lives.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self, overload

from pynamodb.attributes import Attribute
from pynamodb.constants import STRING

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import Blobs

_REFERENCE = "@blob:"  # never the start of a JSON text


@dataclass(frozen=True, slots=True)
class BlobReference:
    """A value that was moved to a blob under `key`."""

    key: str


class HasPayloads(Protocol):
    """What a payload, and a reader of many payloads, needs of a record."""

    attribute_values: dict[str, Any]

    def load_payload(self, name: str) -> Any:
        """The value of the payload `name`, kept by the record."""

    def read(self, name: str) -> Any:
        """The value, not kept."""

    def stored(self, name: str) -> Any:
        """The value that is stored inline, or a `BlobReference`."""


class Payload(Attribute[Any]):
    """Any JSON value, stored as its JSON text (digits and keys stay as they are) or as a
    `BlobReference`.

    Reading the attribute of a record answers the value: what lives in a blob is read at the first
    access and kept as long as the record. `Record.stored` answers what is stored, `Record.read`
    reads without keeping, `ReadOnce` reads what many records share. Raises what `Blobs.get` raises.
    """

    attr_type = STRING

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: HasPayloads, owner: Any) -> Any: ...
    def __get__(self, instance: HasPayloads | None, owner: Any) -> Any:
        if instance is None:
            return self
        stored = instance.attribute_values.get(self.attr_name)
        is_inline = not isinstance(stored, BlobReference)
        return stored if is_inline else instance.load_payload(self.attr_name)

    def serialize(self, value: Any) -> str:
        """JSON text, or the reference."""
        return _REFERENCE + value.key if isinstance(value, BlobReference) else to_json(value)

    def deserialize(self, value: str) -> Any:
        """The value, or a `BlobReference`."""
        if value.startswith(_REFERENCE):
            return BlobReference(value.removeprefix(_REFERENCE))
        return json_text.loads(value)


def to_json(value: Any) -> str:
    """The compact JSON text of `value`; raises `BadUserInput` for what JSON or UTF-8 cannot
    express.
    """
    try:
        text = json_text.encode(value)
        text.encode()
    except ValueError as error:
        raise BadUserInput(
            "A value is no JSON: it holds a NaN, an invalid character or too many levels."
        ) from error
    return text


def check_in(blobs: Blobs, prefix: Callable[[], str], value: Any, inline_limit: int) -> Any:
    """`value` itself when its JSON has at most `inline_limit` bytes, else a reference to a blob
    that now holds it.

    The key is made of the content, so that writing again is harmless and a blob never changes;
    `prefix` is asked for what is large alone.
    """
    if value is None or isinstance(value, BlobReference):
        return value
    data = to_json(value).encode()
    if len(data) <= inline_limit:
        return value
    reference = blob_of(prefix(), data)
    blobs.put(reference.key, data)
    return reference


def blob_of(prefix: str, data: bytes) -> BlobReference:
    """The reference to a blob of this content."""
    return BlobReference(f"{prefix}/{hashlib.sha256(data).hexdigest()}")


def check_out(blobs: Blobs, reference: BlobReference) -> Any:
    """The value behind a reference."""
    return json_text.loads(blobs.get(reference.key).decode())


class ReadOnce:
    """Reads payloads of many records, each blob once; not one of the records keeps a value."""

    def __init__(self) -> None:
        self._read: dict[BlobReference, Any] = {}

    def __call__(self, record: HasPayloads, name: str) -> Any:
        """The value of the payload `name` of a record."""
        stored = record.stored(name)
        if not isinstance(stored, BlobReference):
            return stored
        if stored not in self._read:
            self._read[stored] = record.read(name)
        return self._read[stored]
