"""How a session that is started or forked comes to be: joined, confirmed, or taken back."""

from pynamodb.expressions.update import Action

from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import marks
from ai_coordination_engine.store.records.begun import is_starting
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions import starts
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected
from ai_coordination_engine.store.transitions.session_writes import (
    SessionWrites,
    is_still,
    watch_shard,
    watching,
)


class SessionStarts(SessionWrites):
    """The transitions of sessions that are being started or forked."""

    def reserve(self, session: Session) -> Outcome[Session]:
        """Write an unconfirmed session, unless a record stands under its key. Rejected by this very
        session, too, when it was changed since its writing, whose answer was lost.
        """
        try:
            self._sessions.put(session, Session.session_uuid.does_not_exist())
        except Refused as refused:
            return Rejected(refused.old)
        return Applied(session)

    def join(self, session: Session, mark: str) -> Session:
        """Take part in a start that has written `session` and may have died; raises `Refused` when
        it has changed.

        Whoever confirms first wins: the agents of the others do not count, and are removed sooner
        or later.
        """
        until = marks.ends_at(self._clock.now())
        actions = [Session.unconfirmed.set(mark), Session.strays.set(until)]
        return self._sessions.update(
            session.partition_key,
            session.key,
            actions,
            Session.unconfirmed == session.unconfirmed,
        )

    def confirm(self, session: Session) -> Session | None:
        """Make a session visible whose agents, those of its `incarnation`, are all written; the
        session as it is then.

        None: it was taken away. Another incarnation: an equal start was faster. This is how an
        equal start and a fork confirm; the start that wrote the session does so by its first agent,
        and is fenced before.
        """
        if is_starting(session) and not starts.fence(self._repository, session):
            still = is_still(session) & Session.incarnation.does_not_exist()
            return self._change_session(
                session.partition_key, session.key, [Session.unconfirmed.remove()], still
            )
        actions: list[Action] = [Session.unconfirmed.remove(), Session.restart.remove()]
        if session.incarnation is not None:
            actions.append(Session.incarnation.set(session.incarnation))
        condition = (
            Session.unconfirmed.exists() & is_still(session) & Session.deleting.does_not_exist()
        )
        found = self._change_session(session.partition_key, session.key, actions, condition)
        taken = found is None or found.nonce != session.nonce or found.unconfirmed is not None
        return None if taken else found

    def take_back(self, session: Session) -> None:
        """Give up a start: it ends its reservation and deletes nothing, the sweep removes what was
        written below it.

        It puts a reservation back that was swept meanwhile, and says of another session of this
        uuid that there may be agents which do not count.
        """
        tenant, key = session.partition_key, session.key
        due: list[Action] = watching(tenant, key, 0)
        ended = [Session.unconfirmed.set(marks.ENDED), Session.deleting.set(marks.ENDED), *due]
        own = is_still(session) & Session.unconfirmed.exists()
        may_be_confirmed = session.incarnation is not None and is_starting(session)
        if may_be_confirmed and not starts.fence(self._repository, session):
            ended = due  # it was faster, and is confirmed
        now = self._change_session(tenant, key, ended, own)
        if now is None:
            now = self._put_back(session)
        if now is None:
            return
        is_own = now.nonce == session.nonce
        is_given_up = now.unconfirmed is not None and now.deleting is not None
        if not (is_own and is_given_up):
            strays = Session.strays.set(Session.strays | 0)
            self._change_session(tenant, key, [strays, *due], is_still(now))

    def _put_back(self, session: Session) -> Session | None:
        left = Session(
            *session.key,
            partition_key=session.partition_key,
            nonce=session.nonce,
            created_at=session.created_at,
            has_blobs=session.has_blobs,
            unconfirmed=marks.ENDED,
            deleting=marks.ENDED,
            watch=watch_shard(session.partition_key, session.session_uuid),
            watch_at=0,
        )
        try:
            self._sessions.put(left, Session.session_uuid.does_not_exist())
        except Refused as refused:
            return refused.old  # type: ignore[no-any-return]
        return left

    def without_strays(self, session: Session) -> None:
        """The agents that do not count were removed after the time until which somebody might write
        some.
        """
        still = is_still(session) & (Session.strays == session.strays)
        self._change_session(session.partition_key, session.key, [Session.strays.remove()], still)
