"""Topics: what a subscription waits for, as plain texts.

The keys of a changed item name its topics (`store.changed`), so a stream of keys is enough.
"""

_SEPARATOR = "\x1f"  # in no tenant and in no uuid: both are printable
_LISTS, _OUTPUT = "tenant", "output"


def of_session(tenant: str, session_uuid: str) -> str:
    """The topic of a session: its record, its agents and its runs."""
    return _SEPARATOR.join(("session", tenant, session_uuid))


def of_tenant(tenant: str) -> str:
    """The topic of a tenant's lists: its sessions, and its inbox."""
    return _SEPARATOR.join((_LISTS, tenant))


def of_output(tenant: str, session_uuid: str, session_agent_uuid: str) -> str:
    """The topic of the text that an agent is writing; it is in no table."""
    return _SEPARATOR.join((_OUTPUT, tenant, session_uuid, session_agent_uuid))


def of_notices() -> str:
    """The topic of those who send notices; it is in no table."""
    return "notices"


def is_of_lists(topic: str) -> bool:
    """Whether it is the topic of a tenant's lists, which are read from indexes."""
    return topic.startswith(_LISTS + _SEPARATOR)


def is_stored(topic: str) -> bool:
    """Whether items of tables have this topic."""
    return not topic.startswith(_OUTPUT + _SEPARATOR)
