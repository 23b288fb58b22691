"""Keys of the session agents that the engine makes: they follow from the session and an ordinal."""

from ai_coordination_engine.domain.ids import child_uuid
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.table import Key


def agent_key(of: Session | SessionAgent, ordinal: int) -> Key:
    """The key of the session agent `ordinal` in the session `of`, or in the session of the agent `of`.

    Tenant and coordination go into the uuid: clients may choose session uuids, and two sessions of one uuid in two
    coordinations share the partition of their agents.
    """
    created_at = of.session_created_at if isinstance(of, SessionAgent) else of.created_at
    session = f"{of.partition_key}/{of.coordination_uuid}/{of.session_uuid}"
    return of.session_uuid, child_uuid(session, ordinal, created_at)
