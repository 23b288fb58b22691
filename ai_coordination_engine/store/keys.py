"""The key of a record."""

Key = tuple[str, str]
"""The bare hash and range key of an item; of a child, its parent's uuid and its own."""
