"""How a start ends: writing its first agent confirms it, unless a fence was written first.

The row of the session is written before the coordination is read and the other agents are written.
Confirming does not write to that row again, because the rows of all sessions of a coordination
share a partition. Either the first agent or a fence takes the key of the first agent: one
conditional write decides who wins.
"""

from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records import write_tokens
from ai_coordination_engine.store.records.begun import first_key
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.table import Refused


def confirm(repository: Repository, first: SessionAgent) -> bool:
    """Write the first agent of a session whose other agents are written. False when a fence was
    written before.
    """
    try:
        repository.table(SESSION_AGENT).put_new(first)
    except Refused:
        return False
    return True


def fence(repository: Repository, session: Session) -> bool:
    """Keep the start that has written `session` from confirming it. False when it is confirmed
    already.

    The fence is not an agent: it is invisible and not counted. It is removed with other items that
    do not count, once the start is over.
    """
    tenant, key = session.partition_key, first_key(session)
    reservation = write_tokens.new_token(repository.clock.now())
    fenced = SessionAgent(
        *key,
        partition_key=tenant,
        coordination_uuid=session.coordination_uuid,
        ordinal=0,
        unconfirmed=reservation,
    )
    try:
        repository.table(SESSION_AGENT).put(
            fenced, SessionAgent.session_agent_uuid.does_not_exist()
        )
    except Refused as refused:
        return refused.old is not None and refused.old.unconfirmed is not None
    return True


def may_be_taken_back(repository: Repository, session: Session) -> bool:
    """Whether a start is so old that another process may have taken it back, fence included.

    A process that has confirmed such a start must read the session again. A start is taken back
    only after its reservation has expired, which takes twice this time; the clocks of two machines
    differ by less than the other half.
    """
    return bool(repository.clock.now() - session.created_at > write_tokens.TOKEN_LIFETIME / 2)
