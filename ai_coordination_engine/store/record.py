"""The base class of all stored records: key, reservation, tombstone and payloads.

`store.models` derives the six records from it.
"""

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
    """The names of the hash key and the range key attribute of a model."""
    attributes = model.get_attributes().items()
    (hash_key,) = (name for name, attribute in attributes if attribute.is_hash_key)
    (range_key,) = (name for name, attribute in attributes if attribute.is_range_key)
    return hash_key, range_key


class Record(Model):
    """A stored record.

    `unconfirmed` is its reservation, which becomes `confirmed`; `deleting` is its tombstone
    (promise P1). `has_blobs`: blobs may exist under the record's prefix. Reading a payload
    attribute loads its value; before the record is read from, or written to, a table, that raises
    `RuntimeError`. Thread-safe; two threads that read a payload at the same time may both load it.
    """

    record_name: ClassVar[str]
    # the attributes that differ if another writer wrote the item under this key
    identity: ClassVar[tuple[str, ...]] = ()

    partition_key = UnicodeAttribute(null=True)
    updated_by = UnicodeAttribute(null=True)
    created_at = UTCDateTimeAttribute(null=True)
    updated_at = UTCDateTimeAttribute(null=True)
    unconfirmed = UnicodeAttribute(null=True)
    confirmed = UnicodeAttribute(null=True)
    deleting = UnicodeAttribute(null=True)
    has_blobs = BooleanAttribute(null=True)
    # unique for each record, also among records that had the same key before
    nonce = UnicodeAttribute(null=True)
    # not stored: where its payloads live (None before it is stored), and the payloads that were
    # read
    blobs: Blobs | None = None
    _loaded: Mapping[BlobReference, Any] = MappingProxyType({})

    @classmethod
    def from_raw_data(cls, data: Mapping[str, Any], blobs: Blobs | None = None) -> Self:
        """The record of an item.

        Faster than PynamoDB's own, which goes twice through all attributes; most items have a third
        of them.
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
        """The item as it is stored. PynamoDB's own would load the payloads."""
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
        """The value of a payload; a blob is read at the first access, and its value is kept."""
        stored = self.stored(name)
        if not isinstance(stored, BlobReference):
            return stored
        if stored not in self._loaded:
            self._loaded = {**self._loaded, stored: self.read(name)}
        return self._loaded[stored]

    def read(self, name: str) -> Any:
        """The value of a payload, which is not kept; for many records with large values.

        The blob is read on each call, unless the attribute was accessed before.
        """
        stored = self.stored(name)
        if not isinstance(stored, BlobReference):
            return stored
        if stored in self._loaded:
            return self._loaded[stored]
        return check_out(self._bound(), stored)

    def deferred(self, name: str) -> Callable[[], Any]:
        """A function that reads a payload each time it is called; it does not keep the record."""
        stored = self.stored(name)
        if not isinstance(stored, BlobReference):
            return lambda: stored
        return partial(check_out, self._bound(), stored)

    def stored(self, name: str) -> Any:
        """The stored form of a payload: its value, or a `BlobReference`. No blob is read."""
        return self.attribute_values.get(self.get_attributes()[name].attr_name)

    def _bound(self) -> Blobs:
        if self.blobs is None:
            raise RuntimeError(f"This {self.record_name} is not stored: its blobs are not known.")
        return self.blobs

    @property
    def key(self) -> tuple[str, str]:
        """The hash and range key without tenant and shard."""
        hash_key, range_key = self.key_names()
        return getattr(self, hash_key), getattr(self, range_key)

    @classmethod
    def key_names(cls) -> tuple[str, str]:
        """The names of the hash key and the range key attribute."""
        return _key_names(cls)

    def is_same(self, other: "Record") -> bool:
        """Whether `other`, an item under the same key, was written for the same purpose.

        Its state may differ. Compares the attributes in `identity`.
        """
        return all(getattr(self, name) == getattr(other, name) for name in self.identity)

    @classmethod
    def payload_names(cls) -> list[str]:
        """The names of the attributes whose values may live in blobs."""
        return [
            name
            for name, attribute in cls.get_attributes().items()
            if isinstance(attribute, Payload)
        ]


M = TypeVar("M", bound=Record)
"""The model of a record."""
