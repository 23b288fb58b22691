"""How a session that is started or forked comes to be: joined, confirmed, or taken back."""

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
        """Write an unconfirmed session, unless a record stands under its key. Rejected by this very
        session, too, when it was changed since its writing, whose answer was lost.
        """
        return self._put(rows.RESERVE, session)

    def join(self, session: Session, reservation: str) -> Outcome[Session]:
        """Take part in a start that has written `session` and may have died, unless it has changed.

        Whoever confirms first wins: the agents of the others do not count, and are removed sooner
        or later.
        """
        until = write_tokens.expires_at(self._clock.now())
        actions = [Session.unconfirmed.set(reservation), Session.strays.set(until)]
        joined = self._write(rows.JOIN, session, *actions)
        return or_repeated(joined, unconfirmed=reservation)

    def confirm(self, session: Session) -> Outcome[Session]:
        """Make a session visible whose agents, those of its `incarnation`, are all written.

        Rejected: it was taken away, or an equal start was faster. This is how an equal start and a
        fork confirm; the start that wrote the session does so by its first agent, and is fenced
        before.
        """
        if is_starting(session) and not starts.fence(self._repository, session):
            return self._write(rows.CONFIRM_BEGUN, session)
        own = session.incarnation
        actions = [] if own is None else [Session.incarnation.set(own)]
        confirmed = self._write(rows.CONFIRM, session, *actions)
        return or_repeated(confirmed, nonce=session.nonce, unconfirmed=None, incarnation=own)

    def take_back(self, session: Session) -> None:
        """Give up a start: it ends its reservation and deletes nothing, the sweep removes what was
        written below it.

        It puts a reservation back that was swept meanwhile, and says of another session of this
        uuid that there may be agents which do not count.
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
        """The agents that do not count were removed after the time until which somebody might write
        some.
        """
        self._write(rows.REMOVE_STRAYS, session)
