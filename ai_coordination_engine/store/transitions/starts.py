"""How a start ends: the put of its first agent confirms it, unless somebody who takes it back was
faster.

The row of the session is written before the coordination is read and the other agents are; nothing
is written in it for the confirmation, for the rows of a coordination's sessions share a partition.
Under the key of the first agent stands either that agent or a fence, whichever came first, by one
conditional write: so nobody has to be asked who won.
"""

from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records import write_tokens
from ai_coordination_engine.store.records.begun import first_key
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.table import Refused


def confirm(repository: Repository, first: SessionAgent) -> bool:
    """Put the first agent of a session, the others of which are written; False: a fence stands
    there.
    """
    try:
        repository.table(SESSION_AGENT).put_new(first)
    except Refused:
        return False
    return True


def fence(repository: Repository, session: Session) -> bool:
    """Keep the start that has written `session` from confirming it; False: it has done so before.

    The fence is no agent: nobody sees or counts it. It goes with what else does not count, once the
    start is over.
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
    """Whether a start is so old that somebody may have taken it back, fence and all: whoever has
    confirmed it looks.

    Nobody does so before its reservation has run out, by twice this time; clocks differ by less
    than the other half.
    """
    return bool(repository.clock.now() - session.created_at > write_tokens.TOKEN_LIFETIME / 2)
