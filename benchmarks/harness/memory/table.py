"""A table of DynamoDB in memory: its items by key, each with its last version before."""

from bisect import insort
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness.memory.expressions import Invalid
from benchmarks.harness.memory.values import Item, Stored

ITEM_BYTES = 409_600
Key = tuple[Any, Any]


@dataclass
class Table:
    """The items of a table by key. Items are replaced, never modified, so that readers can keep
    them.
    """

    description: dict[str, Any]
    items: dict[Key, Stored] = field(default_factory=dict)
    ranges: dict[Any, list[Any]] = field(default_factory=lambda: defaultdict(list))
    # each item before its last change
    older: dict[Key, Stored | None] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, str]:
        return key_names(self.description)

    def key_of(self, attributes: Mapping[str, Any]) -> Key:
        """Return the key of an item; raises `Invalid`."""
        hash_name, range_name = self.names
        if hash_name not in attributes or range_name not in attributes:
            raise Invalid("One of the required keys was not given a value")
        found = (attributes[hash_name], attributes[range_name])
        for each in found:
            if list(each) != ["S"]:
                raise Invalid("Type mismatch for key")
            if not each["S"]:
                raise Invalid("One or more parameter values are not valid: a key may not be empty")
        return found[0]["S"], found[1]["S"]

    def write(self, key: Key, item: Item | None) -> None:
        """Replace an item, or delete it when `item` is None."""
        before = self.items.get(key)
        self.older[key] = before
        if item is None:
            if before is not None:
                del self.items[key]
                self.ranges[key[0]].remove(key[1])
            return
        stored = Stored(item)
        if stored.size > ITEM_BYTES:
            raise Invalid("Item size has exceeded the maximum allowed size")
        self.items[key] = stored
        if before is None:
            insort(self.ranges[key[0]], key[1])

    def restore(self, key: Key, stored: Stored | None) -> None:
        """Put an item back as it was before its last change."""
        if self.items.get(key) is not stored:
            self.write(key, stored)

    def read(self, key: Key, *, lagging: bool) -> Stored | None:
        """Return an item; with `lagging`, as it was before its last change."""
        return self.older[key] if lagging and key in self.older else self.items.get(key)

    def index(self, name: str) -> dict[str, Any]:
        """Return the description of an index."""
        for each in self.description.get("GlobalSecondaryIndexes", ()):
            if each["IndexName"] == name:
                return dict(each)
        raise Invalid(f"The table does not have the specified index: {name}")


def key_names(described: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the hash key and the range key of a table or an index."""
    names = {each["KeyType"]: each["AttributeName"] for each in described["KeySchema"]}
    return names["HASH"], names["RANGE"]
