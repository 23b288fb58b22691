"""The topics of a changed item, from its table and its stored key."""

from collections.abc import Mapping

from ai_coordination_engine.domain import topics
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent, SessionRun
from ai_coordination_engine.store.parent_keys import SEPARATOR, ParentKey, tenant_of
from ai_coordination_engine.store.record import Record

_MODELS: Mapping[str, type[Record]] = {
    model.Meta.table_name: model for model in (Session, SessionAgent, SessionRun)
}


def topics_of(table: str, key: Key) -> tuple[str, ...]:
    """The topics of the item under a stored key (hash, range) of a table; none if nobody can watch
    it.

    `table` is the whole name, with its prefix.
    """
    model = _MODELS.get(table.rpartition("-")[2])
    if model is None:
        return ()
    tenant = tenant_of(key[0])
    if model is Session:
        return topics.of_session(tenant, key[1]), topics.of_tenant(tenant)
    above = model.get_attributes()[model.key_names()[0]]
    assert isinstance(above, ParentKey)
    session_uuid = above.deserialize(key[0])
    if session_uuid.startswith(SEPARATOR):  # an internal item
        return ()
    of_session = topics.of_session(tenant, session_uuid)
    return (of_session, topics.of_tenant(tenant)) if model is SessionAgent else (of_session,)


def topics_of_names(table: str, key: Mapping[str, str]) -> tuple[str, ...]:
    """The topics of an item whose stored key is given by the names of its attributes."""
    model = _MODELS.get(table.rpartition("-")[2])
    if model is None:
        return ()
    hash_key, range_key = model.key_names()
    return topics_of(table, (key[hash_key], key[range_key]))
