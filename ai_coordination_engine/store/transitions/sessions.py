"""The state changes of a session: each is one conditional write that may be repeated, named as a
transition.
"""

import zlib
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES, TERMINAL_SESSION_STATUSES
from ai_coordination_engine.store.models import Record, Session
from ai_coordination_engine.store.records import marks
from ai_coordination_engine.store.records.begun import is_starting
from ai_coordination_engine.store.records.entities import SESSION
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.records.session_status import setting_status
from ai_coordination_engine.store.tables.table import Key, Refused
from ai_coordination_engine.store.transitions import starts
from ai_coordination_engine.store.transitions.rows import same

SOON = 60.0  # seconds until the sweep looks whether what follows from a write was done
_KEPT_SECONDS = 120.0  # a request that ends a wait takes less
SHARDS = 16  # of the index of sessions that the sweep looks at: starts of all tenants meet there
_OF_A_TENANT = 4  # of these: however many sessions a tenant has, few others share all of its shards


def watch_shard(tenant: str, session_uuid: str) -> str:
    """The hash key of the sweep's index under which a session is watched."""
    which = zlib.crc32(session_uuid.encode()) % _OF_A_TENANT
    return f"{zlib.crc32(f'{which} {tenant}'.encode()) % SHARDS:02d}"


def setting(model: type[Record], values: Mapping[str, Any]) -> list[Action]:
    """The update that sets these attributes."""
    attributes = model.get_attributes()
    return [attributes[name].set(value) for name, value in values.items()]


class SessionTransitions:
    """The transitions of the sessions of one store. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._sessions = repository.table(SESSION)
        self._clock = repository.clock

    # A session that is being started or forked

    def join(self, session: Session, mark: str) -> Session:
        """Take part in a start that has written `session` and may have died; raises `Refused` when
        it has changed.

        Whoever confirms first wins: the agents of the others do not count, and are removed sooner
        or later.
        """
        until = marks.ends_at(self._clock.now())
        actions = [Session.unconfirmed.set(mark), Session.strays.set(until)]
        return self._sessions.update(  # type: ignore[no-any-return]
            session.partition_key,
            _key_of(session),
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
            still = _is_still(session) & Session.incarnation.does_not_exist()
            return self._change_session(
                session.partition_key, _key_of(session), [Session.unconfirmed.remove()], still
            )
        actions: list[Action] = [Session.unconfirmed.remove(), Session.restart.remove()]
        if session.incarnation is not None:
            actions.append(Session.incarnation.set(session.incarnation))
        condition = (
            Session.unconfirmed.exists() & _is_still(session) & Session.deleting.does_not_exist()
        )
        found = self._change_session(session.partition_key, _key_of(session), actions, condition)
        taken = found is None or found.nonce != session.nonce or found.unconfirmed is not None
        return None if taken else found

    def take_back(self, session: Session) -> None:
        """Give up a start: it ends its reservation and deletes nothing, the sweep removes what was
        written below it.

        It puts a reservation back that was swept meanwhile, and says of another session of this
        uuid that there may be agents which do not count.
        """
        tenant, key = session.partition_key, _key_of(session)
        due: list[Action] = [
            Session.watch.set(watch_shard(tenant, key[1])),
            Session.watch_at.set(0),
        ]
        ended = [Session.unconfirmed.set(marks.ENDED), Session.deleting.set(marks.ENDED), *due]
        own = _is_still(session) & Session.unconfirmed.exists()
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
            self._change_session(tenant, key, [strays, *due], _is_still(now))

    def _put_back(self, session: Session) -> Session | None:
        left = Session(
            *_key_of(session),
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
        still = _is_still(session) & (Session.strays == session.strays)
        self._change_session(
            session.partition_key, _key_of(session), [Session.strays.remove()], still
        )

    # Its life

    def finish_only_sink(
        self, tenant: str, key: Key, sink: int, status: str, values: Mapping[str, Any]
    ) -> Session | None:
        """The only sink is terminal: the session ends with `status`, in one write."""
        return self._end(
            tenant,
            key,
            status,
            [
                Session.open_sinks.delete([sink]),
                Session.open_sink_count.set(0),
                *setting(Session, values),
            ],
            Session.open_sinks.contains(sink) & Session.status.is_in(*OPEN_SESSION_STATUSES),
        )

    def finish_sink(
        self,
        tenant: str,
        key: Key,
        sink: int,
        *,
        width: int = 1,
        upstream_failed: bool = False,
        has_result: bool = False,
        logs: Any = None,
    ) -> Session | None:
        """One of several sinks (or a counter shard of them) is terminal; the session as it is
        afterwards.

        `upstream_failed`: because of a failure; `logs` says which, unless an earlier one said so.
        `has_result`: it completed.
        """
        actions = [
            Session.open_sinks.delete([sink]),
            Session.open_sink_count.add(-width),
            *self._touched(),
        ]
        if upstream_failed:
            actions.append(Session.upstream_failed.set(True))
        if has_result:
            actions.append(Session.has_result.set(True))
        if logs is not None:
            actions.append(Session.logs.set(Session.logs | logs))
        return self._change_session(tenant, key, actions, Session.open_sinks.contains(sink))

    def end_session(
        self, tenant: str, key: Key, status: str, *, logs: str | None = None
    ) -> Session | None:
        """Every sink is terminal; `logs` says what came of it, unless somebody has said
        something.
        """
        return self._end(
            tenant,
            key,
            status,
            [Session.logs.set(Session.logs | logs)] if logs else [],
            (Session.open_sink_count == 0) & Session.status.is_in(*OPEN_SESSION_STATUSES),
        )

    def fail_session(
        self, tenant: str, key: Key, epoch: int, values: Mapping[str, Any]
    ) -> Session | None:
        """The failure policy ends the session, unless it was set back since the `epoch` of the
        agent that failed.
        """
        return self._end(
            tenant,
            key,
            "failed",
            setting(Session, values),
            Session.status.is_in(*OPEN_SESSION_STATUSES)
            & (Session.epoch.does_not_exist() | (Session.epoch <= epoch)),
        )

    def agents_ended(self, session: Session, held: Sequence[int] | None, look_at: float) -> None:
        """The agents of an ended session are ended, but for attempts of these (ordinals) that
        others hold. None: the sweep looks at all of them once more, at `look_at` (epoch seconds) or
        sooner.
        """
        done = [session.epoch or 0, held]
        if session.agents_ended == done:
            return
        tenant, key = session.partition_key, _key_of(session)
        actions: list[Action] = [Session.agents_ended.set(done)]
        if held is None:
            actions += [
                Session.watch.set(watch_shard(tenant, key[1])),
                Session.watch_at.set(look_at),
            ]
        condition = (Session.status == session.status) & same(Session.epoch, session.epoch)
        self._change_session(tenant, key, actions, condition)

    def agents_end_by(
        self, session: Session, held: Sequence[int] | None, by: int, after: str | None
    ) -> bool:
        """The agents of an ended session are being ended turn by turn, by messages of this one
        (ordinal), those next that come `after` this uuid; should they get lost, the sweep goes on.
        Whether no other turn was faster.
        """
        tenant, key, now = session.partition_key, _key_of(session), self._clock.now().timestamp()
        begun = [session.epoch or 0, held, by, after]
        watching = [
            Session.watch.set(watch_shard(tenant, key[1])),
            Session.watch_at.set(now + SOON),
        ]
        condition = (Session.status == session.status) & same(Session.epoch, session.epoch)
        condition &= same(Session.agents_ended, session.agents_ended)
        changed = self._change_session(
            tenant, key, [Session.agents_ended.set(begun), *watching], condition
        )
        return changed is not None and changed.agents_ended == begun

    def watch(self, tenant: str, key: Key, at: float, *, lasting: bool = False) -> Session | None:
        """Have the sweep look at an open session at `at` (epoch seconds), or sooner when it does so
        anyway.

        `lasting`: also once it has ended, unless it is cancelled, for a question outlives it.
        """
        looked_at = _looked_at(lasting=lasting)
        later = Session.watch_at.does_not_exist() | (Session.watch_at > at)
        outlived = [Session.outlived.set(True)] if lasting else []
        watching = [Session.watch.set(watch_shard(tenant, key[1])), Session.watch_at.set(at)]
        watched = self._change_session(tenant, key, [*watching, *outlived], looked_at & later)
        if lasting and watched is not None and not watched.outlived:  # it is looked at sooner
            watched = self._change_session(tenant, key, outlived, looked_at)
        return watched

    def keep_watching(
        self,
        tenant: str,
        key: Key,
        at: float,
        *,
        lasting: bool = False,
        far: bool = False,
        early: bool = False,
    ) -> None:
        """Somebody is about to end a wait in the session: the sweep looks at it at `at` (epoch
        seconds) or sooner, and for two minutes it does not give that up, whatever it sees. `far`:
        it is likely to look much later. `early`: the session may end before other agents do.
        """
        kept_until = Session.watch_kept_until.set(self._clock.now().timestamp() + _KEPT_SECONDS)
        watching = [Session.watch.set(watch_shard(tenant, key[1])), kept_until]
        if early:
            watching.append(Session.early.set(True))
        soon = (Session.watch_at.set(Session.watch_at | at), ~(Session.watch_at > at))
        late = (Session.watch_at.set(at), Session.watch_at > at)
        for action, condition in (late, soon) if far else (soon, late):
            try:
                self._sessions.update(
                    tenant, key, [*watching, action], _looked_at(lasting=lasting) & condition
                )
                return
            except Refused as refused:
                if refused.old is None or refused.old.status in TERMINAL_SESSION_STATUSES:
                    return

    # Inside

    def _end(
        self, tenant: str, key: Key, status: str, actions: Sequence[Action], condition: Any
    ) -> Session | None:
        """End the session, and with it the watch, unless a question in it may be open, or agents
        that do not count may be left: then the sweep looks soon.
        """
        done = [*actions, *setting_status(tenant, key[1], status), *self._touched()]
        lasting = (Session.outlived, Session.pause_token, Session.strays)
        over = reduce(and_, (each.does_not_exist() for each in lasting))
        unwatched = [*done, Session.watch.remove(), Session.watch_at.remove()]
        ended = self._change_session(tenant, key, unwatched, condition & over)
        if ended is None or all(getattr(ended, each.attr_name) is None for each in lasting):
            return ended
        soon = Session.watch_at.set(self._clock.now().timestamp() + SOON)
        return self._change_session(
            tenant,
            key,
            [*done, Session.watch.set(watch_shard(tenant, key[1])), soon],
            condition & ~over,
        )

    def _touched(self) -> list[Action]:
        """Whose agents have ended is confirmed."""
        return [Session.updated_at.set(self._clock.now()), Session.unconfirmed.remove()]

    def _change_session(
        self, tenant: str, key: Key, actions: Sequence[Action], condition: Any
    ) -> Session | None:
        try:
            return self._sessions.update(tenant, key, actions, condition)  # type: ignore[no-any-return]
        except Refused as refused:
            return refused.old  # type: ignore[no-any-return]


def _looked_at(*, lasting: bool) -> Any:
    """Whether the sweep has anything to look after in a session: it is open, or what outlives it
    may be.
    """
    ended = (
        [status for status in TERMINAL_SESSION_STATUSES if status != "cancelled"] if lasting else []
    )
    return Session.status.is_in(*OPEN_SESSION_STATUSES, *ended)


def _is_still(session: Session) -> Any:
    """Whether no other session stands under the key of this one; one of an earlier version has no
    nonce.
    """
    return Session.session_uuid.exists() & same(Session.nonce, session.nonce)


def _key_of(session: Session) -> Key:
    return session.coordination_uuid, session.session_uuid
