"""The controls of a session: cancel, pause, resume, and reset.

`epoch` counts how often a session was reset (retry, rerun). A write that ends, cancels or resets an
agent names the epoch that it belongs to, so a late write changes nothing in a session that has
begun again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pynamodb.expressions.condition import size
from pynamodb.expressions.update import Action

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.ids import new_uuid
from ai_coordination_engine.domain.lifecycle import sessions as rows
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, or_repeated
from ai_coordination_engine.store.transitions.rows import assignments
from ai_coordination_engine.store.transitions.session_writes import SessionWrites, watching

KEPT_KEYS = 50  # control requests of a session that are recognised for certain when repeated


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A control that somebody requests: who requests it, and the short hash that recognises a
    repetition (None: repetitions are not recognised).
    """

    by: str | None = None
    digest: str | None = None

    @classmethod
    def of(cls, by: str | None, idempotency_key: str | None, *what: str | None) -> "ControlRequest":
        """The request to do `what`; the same key for something else is another request."""
        if idempotency_key is None:
            return cls(by)
        text = json.dumps([idempotency_key, *what])
        return cls(by, hashlib.sha256(text.encode()).hexdigest()[:16])

    def was_carried_out(self, session: Session) -> bool:
        """Whether the session has seen this request; it remembers the latest `KEPT_KEYS` at
        least.
        """
        seen = (session.control_keys or set()) | (session.older_control_keys or set())
        return self.digest is not None and self.digest in seen


class SessionControls(SessionWrites):
    """The transitions of controls. Applied also when the session has carried out the request
    before.
    """

    def cancel(self, seen: Session, request: ControlRequest, watch_at: float) -> Outcome[Session]:
        """End an open session; its agents are ended after it."""
        return self._control(rows.CANCEL, seen, request, *_watching(seen, watch_at))

    def pause(self, seen: Session, request: ControlRequest, watch_at: float) -> Outcome[Session]:
        """Pause an open session that is not paused; its agents are paused after it."""
        token = new_uuid(self._clock.now())
        actions = [Session.paused_from.set(Session.status), Session.pause_token.set(token)]
        paused = self._control(rows.PAUSE, seen, request, *actions, *_watching(seen, watch_at))
        return or_repeated(paused, pause_token=token)

    def resume(self, seen: Session, request: ControlRequest, watch_at: float) -> Outcome[Session]:
        """Let a paused session go on; its agents go on after it."""
        before = seen.paused_from or "in_progress"
        look = _watching(seen, watch_at)
        return self._control(rows.RESUME, seen, request, *look, paused_from=before)

    def note(self, seen: Session, request: ControlRequest) -> Outcome[Session]:
        """Remember a request that had nothing to do, so that its repetition has no effect later."""
        if request.digest is None or request.was_carried_out(seen):
            return Applied(seen)
        return self._control(rows.NOTE, seen, request)

    def set_back(
        self,
        seen: Session,
        request: ControlRequest,
        values: Mapping[str, Any],
        sinks: int,
        watch_at: float,
    ) -> Outcome[Session]:
        """Open an ended session again. It cannot end before it is `restarted`, because no sink is
        named.
        """
        # they say why it failed, or has no result
        is_told = seen.status in ("failed", "completed")
        actions = [
            Session.epoch.set((seen.epoch or 0) + 1),
            Session.open_sink_count.set(sinks),
            *assignments(Session, values),
            *([Session.logs.remove()] if is_told else []),
            *_watching(seen, watch_at),
        ]
        return self._control(rows.SET_BACK, seen, request, *actions)

    def restarted(
        self,
        session: Session,
        open_sinks: Iterable[int],
        sinks: int,
        watch_at: float,
        *,
        early: bool,
    ) -> Outcome[Session]:
        """Let the session run after all its agents are reset; it ends with this number of sinks.

        `early`: the session may end before other agents do.
        """
        names: set[Any] = set(open_sinks)
        actions = [
            *([Session.open_sinks.set(names)] if names else []),
            Session.open_sink_count.set(sinks),
            *([Session.early.set(True)] if early else []),
            *_watching(session, watch_at),
        ]
        restarted = self._control(rows.RESTARTED, session, ControlRequest(), *actions)
        return or_repeated(restarted, restart=None, epoch=session.epoch)

    def _control(
        self,
        row: Transition,
        seen: Session,
        request: ControlRequest,
        *actions: Action,
        **given: Any,
    ) -> Outcome[Session]:
        remembered, unseen = _remembering(seen, request)
        by = [] if request.by is None else [Session.updated_by.set(request.by)]
        changed = self._write(
            row, seen, *actions, self._now(), *by, *remembered, beside=unseen, **given
        )
        if isinstance(changed, Applied) or changed.record is None:
            return changed
        was_carried_out = request.was_carried_out(changed.record)
        return Applied(changed.record, again=True) if was_carried_out else changed


def _watching(session: Session, at: float) -> list[Action]:
    return watching(session.partition_key, session.key, at)


def _remembering(seen: Session, request: ControlRequest) -> tuple[list[Action], Any]:
    """What has the session remember the request, and the condition that it has not seen it
    (None: the request has no key).
    """
    if request.digest is None:
        return [], None
    unseen = ~Session.control_keys.contains(request.digest)
    unseen &= ~Session.older_control_keys.contains(request.digest)
    if len(seen.control_keys or ()) < KEPT_KEYS:
        return [Session.control_keys.add({request.digest})], unseen
    are_many = size(Session.control_keys) >= KEPT_KEYS  # type: ignore[no-untyped-call]
    moved: list[Action] = [
        Session.older_control_keys.set(Session.control_keys),
        Session.control_keys.set({request.digest}),
    ]
    return moved, unseen & are_many
