"""The base class of all stored records: key, reservation, tombstone and payloads.

`store.models` derives the six records from it.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from inspect import getmembers
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeVar, cast

from pynamodb.attributes import AttributeContainer
from pynamodb.constants import ATTR_NAME, ATTR_TYPE, KEY_TYPE
from pynamodb.indexes import Index
from pynamodb.types import HASH, RANGE

from ai_coordination_engine.ports import Blobs
from ai_coordination_engine.store.attributes import (
    SETS,
    BooleanAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from ai_coordination_engine.store.parent_keys import ParentKey
from ai_coordination_engine.store.payload import (
    REFERENCE,
    BlobReference,
    Inline,
    Payload,
    check_out,
)


@cache
def _key_names(model: "type[Record]") -> tuple[str, str]:
    """The names of the hash key and the range key attribute of a model."""
    attributes = model.get_attributes().items()
    (hash_key,) = (name for name, attribute in attributes if attribute.is_hash_key)
    (range_key,) = (name for name, attribute in attributes if attribute.is_range_key)
    return hash_key, range_key


@cache
def _payload_names(model: "type[Record]") -> tuple[str, ...]:
    attributes = model.get_attributes().items()
    return tuple(name for name, attribute in attributes if isinstance(attribute, Payload))


class Record(AttributeContainer):
    """A stored record.

    Of PynamoDB it has the attributes and the indexes, without a connection: that needs botocore,
    which only the tables on DynamoDB import.

    `unconfirmed` is its reservation, which becomes `confirmed`; `deleting` is its tombstone
    (promise P1). `has_blobs`: blobs may exist under the record's prefix. Reading a payload
    attribute loads its value; before the record is read from, or written to, a table, that raises
    `RuntimeError`. Thread-safe; two threads that read a payload at the same time may both load it.
    """

    Meta: ClassVar[Any]
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

    # not stored: the item that the record was read from, and the attributes that were read or set
    item_read: Mapping[str, Any] = MappingProxyType({})
    values_read: dict[str, Any]

    def __init__(
        self, hash_key: str | None = None, range_key: str | None = None, **values: Any
    ) -> None:
        """A record that is not stored. A payload may be an `Inline`. PynamoDB's own looks for
        defaults, which there are none of.
        """
        for name, value in zip(self.key_names(), (hash_key, range_key), strict=True):
            if value is not None:
                values[name] = value
        if unknown := values.keys() - self.get_attributes().keys():
            raise ValueError(f"A {self.record_name} has no {', '.join(sorted(unknown))}.")
        texts = {name: each.raw for name, each in values.items() if type(each) is Inline}
        if texts:
            values = {name: each for name, each in values.items() if name not in texts}
            self.item_read = texts
        self.values_read = values

    @classmethod
    def once(cls, **values: Any) -> dict[str, Inline]:
        """Values for many records, by attribute: they are serialised once. None is left out."""
        attributes = cls.get_attributes()
        return {
            name: Inline({attributes[name].attr_type: attributes[name].serialize(value)}, 0)
            for name, value in values.items()
            if value is not None
        }

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """The definitions of the attributes, the key, and the global indexes, as PynamoDB names
        them.
        """
        attributes = [
            each for each in cls.get_attributes().values() if each.is_hash_key or each.is_range_key
        ]
        schema: Any = {
            "attribute_definitions": [
                {ATTR_NAME: each.attr_name, ATTR_TYPE: each.attr_type} for each in attributes
            ],
            "key_schema": [
                {ATTR_NAME: each.attr_name, KEY_TYPE: HASH if each.is_hash_key else RANGE}
                for each in attributes
            ],
            "global_secondary_indexes": [],
        }
        for _, index in getmembers(cls, lambda member: isinstance(member, Index)):
            index._update_model_schema(schema)
        return cast(dict[str, Any], schema)

    @classmethod
    def from_raw_data(cls, data: Mapping[str, Any], blobs: Blobs | None = None) -> Self:
        """The record of an item, which must not change any more; raises `ValueError` for an item of
        an earlier layout.

        An attribute is converted when it is read first: a step reads a few of them.
        """
        record = cls.__new__(cls)
        record.item_read, record.values_read, record.blobs = data, {}, blobs
        record.stored(cls.key_names()[0])
        return record

    @property  # PynamoDB's own is an attribute
    def attribute_values(self) -> dict[str, Any]:  # type: ignore[override]
        """The values of all attributes by name, payloads as they are stored."""
        for name in self.item_read.keys() & self.get_attributes().keys():
            self.stored(name)
        return self.values_read

    def serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        """The item as it is stored. PynamoDB's own would load the payloads.

        A set is always written anew: its order is that of Python, wherever the record comes from.
        """
        attributes, values = self.get_attributes(), self.values_read
        item: dict[str, dict[str, Any]] = {}
        for name, raw in self.item_read.items():
            if name not in attributes or name in values:
                continue
            if attributes[name].attr_type in SETS:  # it is written anew below
                self.stored(name)
            elif "NULL" not in raw:
                item[name] = raw
        for name, value in values.items():
            if value is not None:
                text = attributes[name].serialize(value)
                if text is not None:
                    item[name] = {attributes[name].attr_type: text}
        hash_key, range_key = self.key_names()
        if isinstance(above := attributes[hash_key], ParentKey):
            shard = above.shard_of(self.stored(range_key))
            stored = above.stored(self.partition_key, self.stored(hash_key), shard)
            item[hash_key] = {above.attr_type: stored}
        return item

    def json_of(self, name: str) -> str | None:
        """The JSON of a payload as it is stored inline; None for a blob, and for one that was read
        or set before.
        """
        if name in self.values_read or name not in self.item_read:
            return None
        text = str(self.item_read[name].get("S", REFERENCE))
        return None if text.startswith(REFERENCE) else text

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
        """The value of an attribute; a payload in its stored form: its value, or a `BlobReference`.
        No blob is read.
        """
        values = self.values_read
        if name in values:
            return values[name]
        attribute, raw = self.get_attributes()[name], self.item_read.get(name)
        if raw is None or "NULL" in raw:
            return None
        # another thread may have been faster: its value is the record's
        return values.setdefault(name, attribute.deserialize(attribute.get_value(raw)))

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
    def payload_names(cls) -> tuple[str, ...]:
        """The names of the attributes whose values may live in blobs."""
        return _payload_names(cls)


M = TypeVar("M", bound=Record)
"""The model of a record."""
