"""What a person asks of a session: to cancel, pause, resume it, or to set it back.

`epoch` says how often a session was set back (retry, rerun). Whatever ends, cancels or sets back an
agent names the epoch that it means, so that what is late changes nothing in a session that has
begun again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pynamodb.expressions.condition import size
from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.transitions.rows import assignments, same
from ai_coordination_engine.store.transitions.session_writes import (
    SessionWrites,
    status_of,
    watching,
)

KEPT_KEYS = 50  # control requests of a session that are recognised for certain when repeated


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """What somebody asks for: who, and the short hash by which a repetition is recognised (None: it
    is not).
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
    """The transitions of sessions that a person controls. All of them raise `Refused`."""

    def cancel(self, seen: Session, request: ControlRequest, watch_at: float) -> Session:
        """End an open session; its agents are ended after it."""
        removed = (Session.pause_token, Session.paused_from, Session.restart)
        return self._control(
            seen,
            request,
            [
                *status_of(seen, "cancelled"),
                *_removing(removed),
                *watching(seen.partition_key, seen.key, watch_at),
            ],
            Session.status.is_in(*OPEN_SESSION_STATUSES) & Session.restart.does_not_exist(),
        )

    def pause(self, seen: Session, request: ControlRequest, token: str, watch_at: float) -> Session:
        """Pause an open session that is not paused; its agents are marked after it."""
        unpaused = [status for status in OPEN_SESSION_STATUSES if status != "paused"]
        return self._control(
            seen,
            request,
            [
                Session.paused_from.set(Session.status),
                *status_of(seen, "paused"),
                Session.pause_token.set(token),
                *watching(seen.partition_key, seen.key, watch_at),
            ],
            Session.status.is_in(*unpaused) & Session.restart.does_not_exist(),
        )

    def resume(self, seen: Session, request: ControlRequest, watch_at: float) -> Session:
        """Let a paused session go on; its agents' marks are taken off after it."""
        return self._control(
            seen,
            request,
            [
                *status_of(seen, seen.paused_from or "in_progress"),
                *_removing((Session.paused_from, Session.pause_token)),
                *watching(seen.partition_key, seen.key, watch_at),
            ],
            (Session.status == "paused") & same(Session.paused_from, seen.paused_from),
        )

    def note(self, seen: Session, request: ControlRequest) -> None:
        """Remember a request that had nothing to do, so that its repetition has no effect on what
        comes later.
        """
        if request.digest is not None and not request.was_carried_out(seen):
            self._control(
                seen, request, [], (Session.status == seen.status) & same(Session.epoch, seen.epoch)
            )

    def set_back(
        self,
        seen: Session,
        request: ControlRequest,
        values: Mapping[str, Any],
        sinks: int,
        watch_at: float,
    ) -> Session:
        """Open an ended session again, in transit: until it is `restarted` it cannot end, for no
        sink is named.
        """
        removed = [
            Session.upstream_failed,
            Session.has_result,
            Session.open_sinks,
            Session.pause_token,
            Session.paused_from,
        ]
        if seen.status in ("failed", "completed"):
            removed.append(Session.logs)  # they say why it failed, or has no result
        return self._control(
            seen,
            request,
            [
                *status_of(seen, "in_transit"),
                Session.epoch.set((seen.epoch or 0) + 1),
                Session.open_sink_count.set(sinks),
                *assignments(Session, values),
                *_removing(removed),
                *watching(seen.partition_key, seen.key, watch_at),
            ],
            (Session.status == seen.status) & same(Session.epoch, seen.epoch),
        )

    def restarted(
        self,
        session: Session,
        open_sinks: Iterable[int],
        sinks: int,
        watch_at: float,
        *,
        early: bool,
    ) -> Session:
        """All agents are set back: the session goes on until its sinks, so many, have ended.

        `early`: that may be before other agents do.
        """
        names: set[Any] = set(open_sinks)
        return self._control(
            session,
            ControlRequest(),
            [
                *status_of(session, "in_progress"),
                Session.open_sinks.set(names) if names else Session.open_sinks.remove(),
                Session.open_sink_count.set(sinks),
                Session.restart.remove(),
                *([Session.early.set(True)] if early else []),
                *watching(session.partition_key, session.key, watch_at),
            ],
            (Session.status == "in_transit")
            & Session.restart.exists()
            & (Session.epoch == session.epoch),
        )

    def _control(
        self, seen: Session, request: ControlRequest, actions: list[Action], condition: Any
    ) -> Session:
        actions = [
            *actions,
            Session.updated_at.set(self._clock.now()),
            Session.unconfirmed.remove(),
        ]
        condition &= same(Session.nonce, seen.nonce)  # its blobs are no other's
        if request.by is not None:
            actions.append(Session.updated_by.set(request.by))
        if request.digest is not None:
            condition &= ~Session.control_keys.contains(request.digest)
            condition &= ~Session.older_control_keys.contains(request.digest)
            if len(seen.control_keys or ()) < KEPT_KEYS:
                actions.append(Session.control_keys.add({request.digest}))
            else:
                actions.append(Session.older_control_keys.set(Session.control_keys))
                actions.append(Session.control_keys.set({request.digest}))
                condition &= size(Session.control_keys) >= KEPT_KEYS  # type: ignore[no-untyped-call]
        return self._sessions.update(seen.partition_key, seen.key, actions, condition)


def _removing(attributes: Iterable[Any]) -> list[Action]:
    return [attribute.remove() for attribute in attributes]
