"""The type of a record's key."""

Key = tuple[str, str]
"""The hash and range key of an item, without tenant and shard. For a child: its parent's uuid and
its own.
"""
