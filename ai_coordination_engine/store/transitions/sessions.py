"""The state changes of a session: each is one conditional write that may be repeated, named as a
transition.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.session_status import setting_status
from ai_coordination_engine.store.transitions.rows import assignments, same
from ai_coordination_engine.store.transitions.session_controls import SessionControls
from ai_coordination_engine.store.transitions.session_starts import SessionStarts
from ai_coordination_engine.store.transitions.session_watches import SessionWatches
from ai_coordination_engine.store.transitions.session_writes import watching

SOON = 60.0  # seconds until the sweep looks whether what follows from a write was done


class Sessions(SessionStarts, SessionControls, SessionWatches):
    """The transitions of the sessions of one store. Thread-safe."""

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
                *assignments(Session, values),
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
            assignments(Session, values),
            Session.status.is_in(*OPEN_SESSION_STATUSES)
            & (Session.epoch.does_not_exist() | (Session.epoch <= epoch)),
            leaves_agents=True,
        )

    def agents_ended(self, session: Session, held: Sequence[int] | None, look_at: float) -> None:
        """The agents of an ended session are ended, but for attempts of these (ordinals) that
        others hold. None: the sweep looks at all of them once more, at `look_at` (epoch seconds) or
        sooner.
        """
        done = [session.epoch or 0, held]
        if session.agents_ended == done:
            return
        tenant, key = session.partition_key, session.key
        actions: list[Action] = [Session.agents_ended.set(done)]
        condition = (Session.status == session.status) & same(Session.epoch, session.epoch)
        if held is None:
            actions += watching(tenant, key, look_at)
        elif session.watch_at is not None and _is_over(session):
            actions += [Session.watch.remove(), Session.watch_at.remove()]
            condition &= same(Session.watch_at, session.watch_at) & _OVER
        self._change_session(tenant, key, actions, condition)

    def agents_end_by(
        self, session: Session, held: Sequence[int] | None, by: int, after: str | None
    ) -> bool:
        """The agents of an ended session are being ended turn by turn, by messages of this one
        (ordinal), those next that come `after` this uuid; should they get lost, the sweep goes on.
        Whether no other turn was faster.
        """
        tenant, key, now = session.partition_key, session.key, self._clock.now().timestamp()
        begun = [session.epoch or 0, held, by, after]
        condition = (Session.status == session.status) & same(Session.epoch, session.epoch)
        condition &= same(Session.agents_ended, session.agents_ended)
        changed = self._change_session(
            tenant,
            key,
            [Session.agents_ended.set(begun), *watching(tenant, key, now + SOON)],
            condition,
        )
        return changed is not None and changed.agents_ended == begun

    def _end(
        self,
        tenant: str,
        key: Key,
        status: str,
        actions: Sequence[Action],
        condition: Any,
        *,
        leaves_agents: bool = False,
    ) -> Session | None:
        """End the session, and with it the watch, unless something in it may be open: then the
        sweep looks soon, should whoever ends it die. `leaves_agents`: it is, for certain.
        """
        done = [*actions, *setting_status(tenant, key[1], status), *self._touched()]
        watched = [*done, *watching(tenant, key, self._clock.now().timestamp() + SOON)]
        if leaves_agents:
            return self._change_session(tenant, key, watched, condition)
        unwatched = [*done, Session.watch.remove(), Session.watch_at.remove()]
        is_over = _OVER & Session.early.does_not_exist()
        ended = self._change_session(tenant, key, unwatched, condition & is_over)
        if ended is None or (_is_over(ended) and not ended.early):
            return ended
        return self._change_session(tenant, key, watched, condition & ~is_over)


# What outlives the end of a session: questions, pauses of agents, and agents that do not count
_LASTING = (Session.outlived, Session.pause_token, Session.strays)
_OVER = reduce(and_, (each.does_not_exist() for each in _LASTING))


def _is_over(session: Session) -> bool:
    return all(getattr(session, each.attr_name) is None for each in _LASTING)
