"""The stored hash keys of child tables: tenant, parent's uuid, and a shard for busy parents.

`store.models` declares them; `store.tables` computes the stored values.
"""

import zlib
from typing import ClassVar

from ai_coordination_engine.store.attributes import UnicodeAttribute

SEPARATOR = " "  # between the tenant and the uuid
_EARLIER = (
    "The table holds items of an earlier layout: create the tables anew, with another prefix."
)


class ParentKey(UnicodeAttribute):
    """The parent's uuid as the hash key of a child table.

    The attribute's value is the bare uuid. The stored value is the tenant, a space and the uuid
    (`acme#eu brief/one-page`), so that tenants never share a partition. A space in the tenant is
    escaped. A uuid never begins with a space, so two spaces mark internal items (`internal`) and
    shards (`ShardedParentKey`).
    """

    shards: ClassVar[int] = 1

    @classmethod
    def stored(cls, tenant: str, uuid: str, shard: int = 0) -> str:
        """The stored value for a parent's uuid; `shard` is always 0 here."""
        return f"{_escaped(tenant)}{SEPARATOR}{uuid}"

    @classmethod
    def shard_of(cls, uuid: str) -> int:
        """The shard of the child with this uuid."""
        return zlib.crc32(uuid.encode()) % cls.shards

    def deserialize(self, value: str) -> str:
        """The bare uuid; raises `ValueError` for an item of a version before 0.1.0."""
        _, separator, uuid = value.partition(SEPARATOR)
        if not separator:
            raise ValueError(_EARLIER)
        return uuid


class ShardedParentKey(ParentKey):
    """A `ParentKey` for parents with more writes of children than one partition takes.

    A stored value is `acme#eu  1 brief`, where 1 is the shard. The shard is computed from the
    child's uuid, so a read by key needs one request. A list of all children reads every shard.
    """

    shards = 2

    @classmethod
    def stored(cls, tenant: str, uuid: str, shard: int = 0) -> str:
        """The stored value for a parent's uuid in a shard."""
        return SEPARATOR.join((_escaped(tenant), "", str(shard), uuid))

    def deserialize(self, value: str) -> str:
        """The bare uuid; raises `ValueError` for an item of a version without shards."""
        _, _, rest = value.partition(SEPARATOR)
        if not rest.startswith(SEPARATOR):
            raise ValueError(_EARLIER)
        return rest.split(SEPARATOR, 2)[2]


def _escaped(tenant: str) -> str:
    return tenant.replace("%", "%25").replace(SEPARATOR, "%20")


def tenant_of(stored: str) -> str:
    """The tenant in the stored hash key of a child table."""
    return stored.partition(SEPARATOR)[0].replace("%20", SEPARATOR).replace("%25", "%")


def internal(*parts: object) -> str:
    """The hash key of an internal item; it begins with a space, which no client's uuid does."""
    return SEPARATOR + SEPARATOR.join(map(str, parts))
