"""The keys of the items of one table: bare values, and what is stored for them."""

from collections.abc import Mapping
from typing import Generic

from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.parent_keys import ParentKey
from ai_coordination_engine.store.record import M
from ai_coordination_engine.store.tables.items import RawItem, RawKey


class TableKeys(Generic[M]):
    """The keys of the table of one model.

    The stored hash key of a child contains the tenant, so items of other tenants are never found.
    """

    def __init__(self, model: type[M]) -> None:
        self.model = model
        self.hash_key, self.range_key = model.key_names()
        attribute = model.get_attributes()[self.hash_key]
        self._above = attribute if isinstance(attribute, ParentKey) else None
        self.shards = self._above.shards if self._above else 1

    def stored_key(self, tenant: str, key: Key) -> Key:
        """The stored key of an item of this tenant."""
        shard = self._above.shard_of(key[1]) if self._above else 0
        return self.partition(tenant, key[0], shard), key[1]

    def partition(self, tenant: str, hash_value: str, shard: int) -> str:
        """The stored hash key of the items under `hash_value` in a shard."""
        return self._above.stored(tenant, hash_value, shard) if self._above else hash_value

    def key_of(self, item: RawItem) -> Key:
        """The stored key of an item."""
        return item[self.hash_key]["S"], item[self.range_key]["S"]

    def raw_key(self, tenant: str, key: Mapping[str, str]) -> RawKey:
        """The start key of a query of an index, from bare values by attribute."""
        own, _ = self.stored_key(tenant, (key[self.hash_key], key[self.range_key]))
        return {name: {"S": own if name == self.hash_key else value} for name, value in key.items()}

    def after(self, tenant: str, hash_value: str, range_value: str, shard: int = 0) -> RawKey:
        """The start key of a query after `range_value`, which may be in another shard."""
        return {
            self.hash_key: {"S": self.partition(tenant, hash_value, shard)},
            self.range_key: {"S": range_value},
        }

    def bare_key(self, key: RawKey) -> dict[str, str]:
        """The bare values of a start key, by attribute."""
        attribute = self.model.get_attributes()[self.hash_key]
        texts = {name: value["S"] for name, value in key.items() if "S" in value}
        return {**texts, self.hash_key: attribute.deserialize(texts[self.hash_key])}
