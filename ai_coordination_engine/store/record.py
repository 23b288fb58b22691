"""What every record of the store has: its key, its reservation and tombstone, and its payloads."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeVar

from pynamodb.attributes import BooleanAttribute, UnicodeAttribute, UTCDateTimeAttribute
from pynamodb.models import Model

from ai_coordination_engine.ports import Blobs
from ai_coordination_engine.store.parent_keys import ParentKey
from ai_coordination_engine.store.payload import BlobReference, Payload, check_out


@cache
def _key_names(model: "type[Record]") -> tuple[str, str]:
    """The attributes that hold the hash and the range key of a model."""
    attributes = model.get_attributes().items()
    (hash_key,) = (name for name, attribute in attributes if attribute.is_hash_key)
    (range_key,) = (name for name, attribute in attributes if attribute.is_range_key)
    return hash_key, range_key


class Record(Model):
    """What every record has. `unconfirmed` (then `confirmed`) is its reservation and `deleting` its
    tombstone (promise P1); `has_blobs` says that blobs may exist below the record's prefix.

    Payloads open themselves, once the table that the record was read from, or is written to, has
    bound its blobs. Thread-safe; a value may be read twice where two threads ask for it at once.
    """

    record_name: ClassVar[str]
    # what tells it, beside its key, from a record that somebody else wrote
    identity: ClassVar[tuple[str, ...]] = ()

    partition_key = UnicodeAttribute(null=True)
    updated_by = UnicodeAttribute(null=True)
    created_at = UTCDateTimeAttribute(null=True)
    updated_at = UTCDateTimeAttribute(null=True)
    unconfirmed = UnicodeAttribute(null=True)
    confirmed = UnicodeAttribute(null=True)
    deleting = UnicodeAttribute(null=True)
    has_blobs = BooleanAttribute(null=True)
    # tells the record from others that stood under its key before
    nonce = UnicodeAttribute(null=True)
    # not stored: where its payloads live, None before it is stored; and those that were read
    blobs: Blobs | None = None
    _loaded: Mapping[BlobReference, Any] = MappingProxyType({})

    @classmethod
    def from_raw_data(cls, data: Mapping[str, Any], blobs: Blobs | None = None) -> Self:
        """The record of an item: PynamoDB's own goes twice through all attributes, of which most
        items have a third.
        """
        record, attributes = cls.__new__(cls), cls.get_attributes()
        record.attribute_values = {
            name: attributes[name].deserialize(attributes[name].get_value(value))
            for name, value in data.items()
            if name in attributes and "NULL" not in value
        }
        record.blobs = blobs
        return record

    def serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        """The item as it is stored; PynamoDB's own would open the payloads."""
        attributes = self.get_attributes()
        serialized = {
            name: attributes[name].serialize(value)
            for name, value in self.attribute_values.items()
            if value is not None
        }
        item = {
            name: {attributes[name].attr_type: value}
            for name, value in serialized.items()
            if value is not None
        }
        child = next((name for name, each in attributes.items() if each.is_range_key), "")
        for name, attribute in attributes.items():
            if isinstance(attribute, ParentKey):
                shard = attribute.shard_of(getattr(self, child))
                item[name] = {
                    attribute.attr_type: attribute.stored(
                        self.partition_key, getattr(self, name), shard
                    )
                }
        return item

    def load_payload(self, name: str) -> Any:
        """The value of a payload, read from its blob at the first access and kept."""
        stored = self.stored(name)
        if not isinstance(stored, BlobReference):
            return stored
        if stored not in self._loaded:
            self._loaded = {**self._loaded, stored: self.read(name)}
        return self._loaded[stored]

    def read(self, name: str) -> Any:
        """The value of a payload, not kept: for many records with large values. Reads its blob each
        time unless the attribute was accessed before.
        """
        stored = self.stored(name)
        if not isinstance(stored, BlobReference):
            return stored
        if stored in self._loaded:
            return self._loaded[stored]
        return check_out(self._bound(), stored)

    def deferred(self, name: str) -> Callable[[], Any]:
        """What answers a payload when it is called, reading each time; it does not hold the
        record.
        """
        stored = self.stored(name)
        if not isinstance(stored, BlobReference):
            return lambda: stored
        return partial(check_out, self._bound(), stored)

    def stored(self, name: str) -> Any:
        """What is stored of a payload: its value, or a `BlobReference`. Nothing is read."""
        return self.attribute_values.get(self.get_attributes()[name].attr_name)

    def _bound(self) -> Blobs:
        if self.blobs is None:
            raise RuntimeError(f"This {self.record_name} is not stored: its blobs are not known.")
        return self.blobs

    @property
    def key(self) -> tuple[str, str]:
        """The bare hash and range key."""
        hash_key, range_key = self.key_names()
        return getattr(self, hash_key), getattr(self, range_key)

    @classmethod
    def key_names(cls) -> tuple[str, str]:
        """The attributes that hold the hash and the range key."""
        return _key_names(cls)

    def is_same(self, other: "Record") -> bool:
        """Whether another item under the same key is this record, in whatever state, and not
        somebody else's.
        """
        return all(getattr(self, name) == getattr(other, name) for name in self.identity)

    @classmethod
    def payload_names(cls) -> list[str]:
        """The attributes that may live in a blob."""
        return [
            name
            for name, attribute in cls.get_attributes().items()
            if isinstance(attribute, Payload)
        ]


M = TypeVar("M", bound=Record)
"""The model of a record."""
