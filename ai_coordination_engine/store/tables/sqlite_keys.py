"""The rules for keys that SQLite does not have, and DynamoDB does."""

from collections.abc import Hashable, Sequence
from typing import Any

from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.tables.items import too_large
from ai_coordination_engine.store.tables.values import Invalid

# of a hash key and a range key ("Service, account, and table quotas in Amazon DynamoDB")
HASH_BYTES, RANGE_BYTES = 2048, 1024
_SURE = RANGE_BYTES // 4  # characters: they are never too many bytes


def check_texts(values: Sequence[Any]) -> None:
    """Raise `Invalid` for an empty text in a key of the table or of an index."""
    if "" in values:
        raise Invalid("a key of the table or of an index is an empty text")


def check_key(key: Key) -> None:
    """Raise `Invalid` for an empty text in a key of the table, `BadUserInput` for a long one."""
    check_texts(key)
    hash_value, range_value = key
    if len(hash_value) > _SURE:
        _check_bytes(hash_value, HASH_BYTES)
    if len(range_value) > _SURE:
        _check_bytes(range_value, RANGE_BYTES)


def check_columns(values: Sequence[Any], key_bytes: Sequence[int]) -> None:
    """The same for the columns of the indexes, which have at most so many bytes. They may be
    numbers, or None.
    """
    check_texts(values)
    for value, most in zip(values, key_bytes, strict=True):
        if type(value) is str and len(value) > _SURE:
            _check_bytes(value, most)


def check_distinct(keys: Sequence[Hashable], most: int) -> None:
    """Raise `Invalid` unless there are keys, at most so many, and each once."""
    if not 1 <= len(keys) <= most or len(set(keys)) < len(keys):
        raise Invalid(f"one request writes 1 to {most} items, each once")


def _check_bytes(value: str, most: int) -> None:
    if len(value.encode("utf-8", "surrogatepass")) > most:
        raise too_large()
