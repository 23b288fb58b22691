"""Whether a session has begun: its first agent tells, so that the session's own row need not be
written for it.

The rows of a coordination's sessions lie in one partition, which takes 1,000 writes a second.
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
    """The key of agent 0 as the start has it that wrote the session; an equal start has another."""
    return _agent_key(session, 0, session.nonce)


def agent_key_of(session: Session, ordinal: int) -> Key:
    """The key of the session agent `ordinal` in a session.

    Tenant and coordination go into the uuid: clients may choose session uuids, and two sessions of
    one uuid in two coordinations share the partition of their agents. So does what tells its agents
    from those of an earlier session of its uuid, or of a start that was given up: agents count only
    with their session's incarnation.
    """
    return _agent_key(session, ordinal, session.incarnation or session.nonce)


def _agent_key(session: Session, ordinal: int, incarnation: str | None) -> Key:
    name = f"{session.partition_key}/{session.coordination_uuid}/{session.session_uuid}"
    if incarnation:
        name = f"{name}/{incarnation}"
    return session.session_uuid, child_uuid(name, ordinal, session.created_at)


def is_starting(session: Record) -> TypeGuard[Session]:
    """Whether it is a session whose row leaves it open that it is confirmed: its agent 0 tells
    (`store.transitions.starts`).
    """
    if not isinstance(session, Session):
        return False
    is_reserved = session.unconfirmed is not None and session.deleting is None
    return is_reserved and session.plan_hash is not None and session.stored("restart") is None


def tell(session: Session, first: SessionAgent | None) -> None:
    """Say of a session that is starting what its agent 0 says."""
    if first is not None and first.unconfirmed is None:
        session.unconfirmed, session.first_agent = None, first


class KnownStarts:
    """What one request has read that shows a start to be confirmed, so that it is read once.

    The uuid of an agent is made from its session's nonce: an earlier session of the same uuid, or a
    start that was given up, is never taken for this one.
    """

    def __init__(self) -> None:
        self._first: dict[Key, SessionAgent] = {}
        self._begun: dict[str, tuple[int, str]] = {}  # one agent that has begun, by session uuid
        self._ran: set[Key] = set()

    def see(self, record: Any) -> None:
        """Remember an agent or a run that people see."""
        if isinstance(record, SessionRun):
            self._ran.add((record.session_uuid, record.session_agent_uuid))
        elif isinstance(record, SessionAgent) and record.ordinal is not None:
            if record.ordinal == 0:
                self._first[record.session_uuid, record.session_agent_uuid] = record
            elif record.attempt:
                self._begun[record.session_uuid] = record.ordinal, record.session_agent_uuid

    def tell(self, session: Session, *, with_first: bool) -> bool:
        """Whether it is known that a session that is starting is confirmed, which it says then;
        `with_first`: its agent 0 is still as it was seen.
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
    """Whether the row leaves it open: it says `dispatched` until the session is paused, set back or
    ended.
    """
    return session.status == "dispatched" and session.plan_hash is not None


def status_of(session: Session, first: SessionAgent | None) -> str:
    """The status of a session that may have begun; `first` is its agent 0 (None: it was
    deleted).
    """
    has_begun = first is not None and first.attempt
    return "in_progress" if has_begun else str(session.status)


def with_statuses(read: Any, rows: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """The rows of sessions with the statuses that people see; `read` gets session agents by key,
    all at once.
    """
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
