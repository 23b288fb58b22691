"""The state changes of a session. Each is one conditional write that may be repeated, named as a
transition.

`domain.lifecycle.sessions` declares the statuses, the conditions and what is cleared; this module
adds the values that each sets. A transition whose condition may not hold returns an `Outcome`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle import sessions as rows
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.domain.predicates import holds
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.outcome import Outcome, or_repeated
from ai_coordination_engine.store.transitions.rows import assignments, condition
from ai_coordination_engine.store.transitions.session_controls import SessionControls
from ai_coordination_engine.store.transitions.session_starts import SessionStarts
from ai_coordination_engine.store.transitions.session_watches import SessionWatches
from ai_coordination_engine.store.transitions.session_writes import watching

SOON = 60.0  # seconds until the sweep looks whether what follows from a write was done


class Sessions(SessionStarts, SessionControls, SessionWatches):
    """The transitions of the sessions of one store. Thread-safe."""

    def finish_only_sink(
        self, tenant: str, key: Key, sink: int, status: str, values: Mapping[str, Any]
    ) -> Outcome[Session]:
        """End a session whose only sink has ended, with `status`, in one write."""
        has_failed = status == rows.FAIL_BY_ONLY_SINK.target
        row = rows.FAIL_BY_ONLY_SINK if has_failed else rows.COMPLETE_BY_ONLY_SINK
        actions = [
            Session.open_sinks.delete([sink]),
            Session.open_sink_count.set(0),
            *assignments(Session, values),
        ]
        ended = self._end(row, tenant, key, actions, sink=sink)
        return or_repeated(ended, status=status, open_sink_count=0)

    def finish_sink(
        self,
        tenant: str,
        key: Key,
        sink: int,
        *,
        width: int = 1,
        upstream_failed: bool = False,
        has_result: bool = False,
        metered: bool = False,
        logs: Any = None,
    ) -> Outcome[Session]:
        """Remove one sink (or a counter shard of sinks) that has ended. Rejected when it is removed
        already.

        `upstream_failed`: a failure is the cause; `logs` tells which, unless an earlier one does.
        `has_result`: the sink completed. `metered`: it, or an agent before it, has asked a model.
        """
        actions = [
            Session.open_sinks.delete([sink]),
            Session.open_sink_count.add(-width),
            self._now(),
        ]
        if upstream_failed:
            actions.append(Session.upstream_failed.set(True))
        if has_result:
            actions.append(Session.has_result.set(True))
        if metered:
            actions.append(Session.metered.set(True))
        if logs is not None:
            actions.append(Session.logs.set(Session.logs | logs))
        return self._write_at(rows.FINISH_SINK, tenant, key, *actions, sink=sink)

    def end_session(
        self, tenant: str, key: Key, status: str, *, logs: str | None = None
    ) -> Outcome[Session]:
        """End a session whose sinks have all ended; `logs` tells the result, unless there are logs
        already.
        """
        row = rows.FAIL_BY_SINKS if status == rows.FAIL_BY_SINKS.target else rows.COMPLETE
        said = [Session.logs.set(Session.logs | logs)] if logs else []
        return or_repeated(self._end(row, tenant, key, said), status=status)

    def fail_session(
        self, tenant: str, key: Key, epoch: int, values: Mapping[str, Any]
    ) -> Outcome[Session]:
        """Fail the session by its failure policy, unless it was reset after the `epoch` of the
        failed agent.
        """
        # for certain, some of its agents are left
        actions = [*assignments(Session, values), *self._look_soon(tenant, key), self._now()]
        failed = self._write_at(rows.FAIL, tenant, key, *actions, epoch=epoch)
        return or_repeated(failed, status=rows.FAIL.target)

    def agents_ended(
        self,
        session: Session,
        held: Sequence[int] | None,
        look_at: float,
        *,
        is_over: bool = False,
    ) -> None:
        """The agents of an ended session are ended, but for attempts of these (ordinals) that
        others hold. None: the sweep looks at all of them once more, at `look_at` (epoch seconds) or
        sooner. `is_over`: nothing is open or held, and the sweep need not look.
        """
        done = [session.epoch or 0, held]
        if session.agents_ended == done:
            return
        row, look = rows.AGENTS_ENDED, list[Action]()
        if held is None:
            look = watching(session.partition_key, session.key, look_at)
        elif is_over and session.watch_at is not None and holds(rows.NOT_KEPT, session, {}):
            row = rows.AGENTS_ENDED_FOR_GOOD
        self._write(row, session, Session.agents_ended.set(done), *look)

    def agents_end_by(
        self, session: Session, held: Sequence[int] | None, by: int, after: str | None
    ) -> Outcome[Session]:
        """The agents of an ended session are being ended turn by turn, by messages of this one
        (ordinal), those next that come `after` this uuid; should they get lost, the sweep goes on.
        Rejected: another turn was faster.
        """
        begun = [session.epoch or 0, held, by, after]
        look = self._look_soon(session.partition_key, session.key)
        changed = self._write(rows.AGENTS_END_BY, session, Session.agents_ended.set(begun), *look)
        return or_repeated(changed, agents_ended=begun)

    def _end(
        self, row: Transition, tenant: str, key: Key, actions: Sequence[Action], **given: Any
    ) -> Outcome[Session]:
        """End the session. The watch ends too, unless something in it may still be open: then the
        sweep looks soon, in case the process dies.
        """
        done = [*actions, self._now()]
        is_over = condition(rows.NOTHING_LEFT, Session, {})
        ended = self._write_at(row, tenant, key, *done, beside=is_over, **given)
        if ended.record is None or holds(rows.NOTHING_LEFT, ended.record, {}):
            return ended
        look = self._look_soon(tenant, key)
        return self._write_at(row, tenant, key, *done, *look, beside=~is_over, **given)

    def _look_soon(self, tenant: str, key: Key) -> list[Action]:
        return watching(tenant, key, self._clock.now().timestamp() + SOON)
