"""The stored hash keys of child tables: the parent's uuid, its tenant, and where one partition is
too slow a shard.
"""

import zlib
from typing import ClassVar

from pynamodb.attributes import UnicodeAttribute

SEPARATOR = " "  # of a tenant from the uuid
_EARLIER = (
    "The table holds items of an earlier layout: create the tables anew, with another prefix."
)


class ParentKey(UnicodeAttribute):
    """The uuid of the parent, as the hash key of a child table.

    The stored value begins with the tenant and a space (`acme#eu brief/one-page`), so that tenants
    never share a partition; here and on the wire it is the bare uuid. A space of the tenant is
    escaped, and no uuid begins with one: after a second space come internal items (`internal`), and
    shards (`ShardedParentKey`).
    """

    shards: ClassVar[int] = 1

    @classmethod
    def stored(cls, tenant: str, uuid: str, shard: int = 0) -> str:  # there is one
        """The value that is stored for a parent's uuid."""
        return f"{_escaped(tenant)}{SEPARATOR}{uuid}"

    @classmethod
    def shard_of(cls, uuid: str) -> int:
        """The shard in which the child of this uuid lies."""
        return zlib.crc32(uuid.encode()) % cls.shards

    def deserialize(self, value: str) -> str:
        """The bare uuid; raises `ValueError` for an item that a version before 0.1.0 has stored."""
        _, separator, uuid = value.partition(SEPARATOR)
        if not separator:
            raise ValueError(_EARLIER)
        return uuid


class ShardedParentKey(ParentKey):
    """The same for children that are so many that one partition does not take their writes:
    `acme#eu  1 brief`.

    The shard follows from the child's uuid, so that a child is found by its key; whoever looks for
    all children of a parent looks in each.
    """

    shards = 2

    @classmethod
    def stored(cls, tenant: str, uuid: str, shard: int = 0) -> str:
        """The value that is stored for a parent's uuid in one of the shards."""
        return SEPARATOR.join((_escaped(tenant), "", str(shard), uuid))

    def deserialize(self, value: str) -> str:
        """The bare uuid; raises `ValueError` for an item that was stored before there were
        shards.
        """
        _, _, rest = value.partition(SEPARATOR)
        if not rest.startswith(SEPARATOR):
            raise ValueError(_EARLIER)
        return rest.split(SEPARATOR, 2)[2]


def _escaped(tenant: str) -> str:
    return tenant.replace("%", "%25").replace(SEPARATOR, "%20")


def internal(*parts: object) -> str:
    """The hash key of items that are not records: no uuid of a client begins with a space."""
    return SEPARATOR + SEPARATOR.join(map(str, parts))
