"""Find out from agent 0 whether a session is confirmed and whether it has begun.

The session's own row is not written when it starts and begins: all sessions of a coordination share
a partition, which takes 1,000 writes a second. `store.records.reads` and the lists are the callers.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeGuard

from ai_coordination_engine.domain.ids import child_uuid
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent, SessionRun
from ai_coordination_engine.store.record import Record

_AT_ONCE = 100  # rows whose first agents are read in one request


def first_key(session: Session) -> Key:
    """The key of agent 0 of the start that wrote the session's row.

    Another start with the same session uuid has a different key.
    """
    return _agent_key(session, 0, session.nonce)


def agent_key_of(session: Session, ordinal: int) -> Key:
    """The key of the session agent `ordinal` in a session.

    The uuid is computed from three things. Tenant and coordination, because clients may choose
    session uuids, and two sessions with the same uuid share the partition of their agents. And the
    session's incarnation, so that agents of an earlier session, or of a start that was given up,
    are never taken for this session's agents.
    """
    return _agent_key(session, ordinal, session.incarnation or session.nonce)


def _agent_key(session: Session, ordinal: int, incarnation: str | None) -> Key:
    name = f"{session.partition_key}/{session.coordination_uuid}/{session.session_uuid}"
    if incarnation:
        name = f"{name}/{incarnation}"
    return session.session_uuid, child_uuid(name, ordinal, session.created_at)


def is_starting(session: Record) -> TypeGuard[Session]:
    """Whether the record is a session whose row does not say whether it is confirmed.

    Its agent 0 does (`store.transitions.starts`).
    """
    if not isinstance(session, Session):
        return False
    is_reserved = session.unconfirmed is not None and session.deleting is None
    return is_reserved and session.plan_hash is not None and session.stored("restart") is None


def mark_if_confirmed(session: Session, first: SessionAgent | None) -> None:
    """Mark a starting session as confirmed, in memory, if its agent 0 says so."""
    if first is not None and first.unconfirmed is None:
        session.unconfirmed, session.first_agent = None, first


class KnownStarts:
    """The agents and runs that one request has read, and that show that a start is confirmed.

    They save reads of agent 0. The uuid of an agent is computed from its session's nonce, so agents
    of an earlier session with the same uuid, or of a start that was given up, never match.
    """

    def __init__(self) -> None:
        self._first: dict[Key, SessionAgent] = {}
        self._begun: dict[str, tuple[int, str]] = {}  # one agent that has begun, by session uuid
        self._ran: set[Key] = set()

    def remember(self, record: Any) -> None:
        """Remember an agent or a run; call it only for visible records."""
        if isinstance(record, SessionRun):
            self._ran.add((record.session_uuid, record.session_agent_uuid))
        elif isinstance(record, SessionAgent) and record.ordinal is not None:
            if record.ordinal == 0:
                self._first[record.session_uuid, record.session_agent_uuid] = record
            elif record.attempt:
                self._begun[record.session_uuid] = record.ordinal, record.session_agent_uuid

    def mark_if_confirmed(self, session: Session, *, with_first: bool) -> bool:
        """Whether the request knows that a starting session is confirmed; then it is marked so.

        `with_first`: the agent 0 that was read may be used for the session's status.
        """
        key = first_key(session)
        first = self._first.get(key)
        ordinal, uuid = self._begun.get(session.session_uuid, (0, ""))
        has_begun = key in self._ran or _agent_key(session, ordinal, session.nonce)[1] == uuid
        if first is None and not has_begun:
            return False
        session.unconfirmed, session.first_agent = None, first if with_first else None
        return True


def may_have_begun(session: Session) -> bool:
    """Whether the session's row does not say if the session has begun.

    The row says `dispatched` until the session is paused, reset or ended.
    """
    return session.status == "dispatched" and session.plan_hash is not None


def status_of(session: Session, first: SessionAgent | None) -> str:
    """The status of a session for which `may_have_begun`; `first` is its agent 0, or None if that
    was deleted.
    """
    has_begun = first is not None and first.attempt
    return "in_progress" if has_begun else str(session.status)


def with_statuses(read: Any, rows: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Rows of sessions with their actual status; `read` reads many session agents by key."""
    source = iter(rows)
    while chunk := list(islice(source, _AT_ONCE)):
        open_ones: Sequence[Session] = [
            each for each, _ in chunk if each is not None and may_have_begun(each)
        ]
        unknown = [agent_key_of(each, 0) for each in open_ones if each.first_agent is None]
        first = read(unknown) if unknown else {}
        for each in open_ones:
            each.status = status_of(each, each.first_agent or first.get(agent_key_of(each, 0)))
        yield from chunk
