"""Attributes that hold JSON values of any size: inline, or as a reference to a blob.

This is the claim-check pattern (promise P8): a large value is stored as a blob. Reading the
attribute of a record returns the value in both cases.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self, overload

from pynamodb.constants import STRING

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import Blobs
from ai_coordination_engine.store.attributes import Stored

_LONGEST_IN_JSON = 6  # bytes of a character, as `\u0000`
REFERENCE = "@blob:"  # never the start of a JSON text


@dataclass(frozen=True, slots=True)
class BlobReference:
    """A reference to a value that is stored as the blob `key`."""

    key: str


@dataclass(frozen=True, slots=True)
class Inline:
    """A value as it is stored, for many records: it is made once. `size`: its bytes, of a
    payload.
    """

    raw: Mapping[str, str]
    size: int

    @property
    def text(self) -> str:
        """Its JSON."""
        return self.raw[STRING]


class HasPayloads(Protocol):
    """The part of a record that `Payload` and `ReadOnce` use."""

    item_read: Mapping[str, Any]
    values_read: dict[str, Any]

    def load_payload(self, name: str) -> Any:
        """The value of the payload `name`; the record keeps it."""

    def read(self, name: str) -> Any:
        """The value of the payload `name`; it is not kept."""

    def stored(self, name: str) -> Any:
        """The inline value of the payload `name`, or a `BlobReference`."""


class Payload(Stored[Any]):
    """An attribute with any JSON value, stored as JSON text or as a `BlobReference`.

    Keys and the digits of numbers stay unchanged. Reading the attribute returns the value: a blob
    is read at the first access, and its value is kept as long as the record. `Record.stored`
    returns the stored form, `Record.read` reads without keeping, `ReadOnce` reads blobs that many
    records share. Raises the errors of `Blobs.get`.
    """

    attr_type = STRING

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: HasPayloads, owner: Any) -> Any: ...
    def __get__(self, instance: HasPayloads | None, owner: Any) -> Any:
        if instance is None:
            return self
        name = self.name
        read = instance.values_read
        if name in read:
            stored = read[name]
        elif name in instance.item_read:
            stored = instance.stored(name)
        else:
            return None
        return instance.load_payload(name) if isinstance(stored, BlobReference) else stored

    def serialize(self, value: Any) -> str:
        """The stored text: JSON, or the key of the blob after a prefix."""
        return REFERENCE + value.key if isinstance(value, BlobReference) else to_json(value)

    def deserialize(self, value: str) -> Any:
        """The value, or a `BlobReference`."""
        if value.startswith(REFERENCE):
            return BlobReference(value.removeprefix(REFERENCE))
        return json_text.loads(value)


def to_json(value: Any) -> str:
    """The compact JSON text of `value`; raises `BadUserInput` if JSON or UTF-8 cannot hold it."""
    try:
        text = json_text.encode(value)
        text.encode()
    except ValueError as error:
        raise BadUserInput(
            "A value is not valid JSON: it holds a NaN, an invalid character or too many levels."
        ) from error
    return text


def inline(value: Any) -> Any:
    """The `Inline` of a value; None, blobs and what is one already stay as they are. Raises
    `BadUserInput`.
    """
    if value is None or isinstance(value, BlobReference | Inline):
        return value
    text = to_json(value)
    return Inline({STRING: text}, len(text.encode()))


def check_in(blobs: Blobs, prefix: Callable[[], str], value: Any, inline_limit: int) -> Any:
    """Store `value` as a blob if its JSON has more than `inline_limit` bytes.

    Returns the value itself, or the `BlobReference`. The blob's key is a hash of the content: a
    blob never changes, and a repeated write is harmless. `prefix` is called only for a large value.
    """
    if value is None or isinstance(value, BlobReference):
        return value
    is_short = type(value) is str and _LONGEST_IN_JSON * len(value) + 2 <= inline_limit
    if is_short and value.isascii():  # others may be nothing that UTF-8 holds
        return value
    data = to_json(value).encode()
    if len(data) <= inline_limit:
        return value
    reference = blob_of(prefix(), data)
    blobs.put(reference.key, data)
    return reference


def blob_of(prefix: str, data: bytes) -> BlobReference:
    """The reference to the blob with this content under `prefix`."""
    return BlobReference(f"{prefix}/{hashlib.sha256(data).hexdigest()}")


def check_out(blobs: Blobs, reference: BlobReference) -> Any:
    """Read the value behind a reference."""
    return json_text.loads(blobs.get(reference.key).decode())


class ReadOnce:
    """Reads payloads of many records, each blob once. The records do not keep the values."""

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
