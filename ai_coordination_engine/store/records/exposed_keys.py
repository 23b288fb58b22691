"""The keys of the sparse index of a tenant's exposed tasks.

The range key is the name and the task's uuid: tasks sort by name, and of two tasks with the same
name the one with the smaller uuid, which is the older one, comes first and has the name.
"""

from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.store.keys import Key

_SEPARATOR = " "  # in no name; sorts before all of its characters
_AFTER = "!"  # the character after the separator, in no name either


def range_key(name: str, task_uuid: str) -> str:
    """The range key of a task in the index."""
    return f"{name}{_SEPARATOR}{task_uuid}"


def range_of(name: str) -> tuple[str, str]:
    """The bounds of the range keys of all tasks with this name."""
    return f"{name}{_SEPARATOR}", f"{name}{_AFTER}"


def name_in(key: str) -> str:
    """The name in a range key."""
    return key.partition(_SEPARATOR)[0]


def derived(tenant: str, key: Key, values: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that must be written together with `values` of a task."""
    if "expose_as" not in values:
        return {}
    if (exposed := values["expose_as"]) is None:
        return {"exposed": None, "exposed_name": None}
    return {"exposed": tenant, "exposed_name": range_key(exposed["name"], key[1])}
