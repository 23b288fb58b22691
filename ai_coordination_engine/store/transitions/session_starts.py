"""How a started or forked session is written: joined, confirmed, or taken back."""

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle import sessions as rows
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import write_tokens
from ai_coordination_engine.store.records.begun import is_starting
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions import starts
from ai_coordination_engine.store.transitions.outcome import (
    Applied,
    Outcome,
    Rejected,
    or_repeated,
)
from ai_coordination_engine.store.transitions.rows import row_condition
from ai_coordination_engine.store.transitions.session_writes import (
    SessionWrites,
    watch_shard,
    watching,
)


class SessionStarts(SessionWrites):
    """The transitions of sessions that are being started or forked."""

    def reserve(self, session: Session) -> Outcome[Session]:
        """Write an unconfirmed session, unless its key is taken. Rejected by the same session, too,
        when the first try was written and the session has changed since.
        """
        return self._put(rows.RESERVE, session)

    def join(self, session: Session, reservation: str) -> Outcome[Session]:
        """Join a start that has written `session` and may have died, unless the session has
        changed.

        The first to confirm wins. The agents of the others do not count, and are removed later.
        """
        until = write_tokens.expires_at(self._clock.now())
        actions = [Session.unconfirmed.set(reservation), Session.strays.set(until)]
        joined = self._write(rows.JOIN, session, *actions)
        return or_repeated(joined, unconfirmed=reservation)

    def confirm(self, session: Session) -> Outcome[Session]:
        """Make a session visible after all agents of its `incarnation` are written.

        Rejected when it was taken back, or an equal start was faster. Joined starts and forks
        confirm in this way. The start that wrote the session confirms with its first agent instead,
        and is fenced first.
        """
        if is_starting(session) and not starts.fence(self._repository, session):
            return self._write(rows.CONFIRM_BEGUN, session)
        own = session.incarnation
        actions = [] if own is None else [Session.incarnation.set(own)]
        confirmed = self._write(rows.CONFIRM, session, *actions)
        return or_repeated(confirmed, nonce=session.nonce, unconfirmed=None, incarnation=own)

    def take_back(self, session: Session) -> None:
        """Give up a start. Its reservation expires; the sweep deletes what was written below it.

        When the reservation was swept already, it is written again, so that the sweep comes back.
        When another session has this uuid, it records that agents which do not count may be left
        below it.
        """
        due: list[Action] = watching(session.partition_key, session.key, 0)
        ended = [
            Session.unconfirmed.set(write_tokens.EXPIRED),
            Session.deleting.set(write_tokens.EXPIRED),
            *due,
        ]
        may_be_confirmed = session.incarnation is not None and is_starting(session)
        if may_be_confirmed and not starts.fence(self._repository, session):
            ended = due  # it was faster, and is confirmed
        now = self._write(rows.TAKE_BACK, session, *ended).record
        if now is None:
            now = self._put_back(session)
        if now is None:
            return
        is_own = now.nonce == session.nonce
        is_given_up = now.unconfirmed is not None and now.deleting is not None
        if not (is_own and is_given_up):
            self._write(rows.LEAVE_STRAYS, now, Session.strays.set(Session.strays | 0), *due)

    def _put_back(self, session: Session) -> Session | None:
        left = Session(
            *session.key,
            partition_key=session.partition_key,
            nonce=session.nonce,
            created_at=session.created_at,
            has_blobs=session.has_blobs,
            unconfirmed=write_tokens.EXPIRED,
            deleting=write_tokens.EXPIRED,
            watch=watch_shard(session.partition_key, session.session_uuid),
            watch_at=0,
        )
        return self._put(rows.PUT_BACK, left).record

    def _put(self, row: Transition, session: Session) -> Outcome[Session]:
        try:
            self._sessions.put(session, row_condition(row, Session, {}))
        except Refused as refused:
            return Rejected(refused.old)
        return Applied(session)

    def without_strays(self, session: Session) -> None:
        """Record that the agents which do not count are removed, and no more can be written
        of them.
        """
        self._write(rows.REMOVE_STRAYS, session)
