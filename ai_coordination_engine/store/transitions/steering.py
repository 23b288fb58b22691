"""The state changes of a session that a person steers: each is one conditional write, named as a
transition.

`epoch` says how often a session was set back (retry, rerun). Whatever ends, cancels or sets back an
agent names the epoch that it means, so that what is late changes nothing in a session that has
begun again.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from random import Random
from typing import Any

from pynamodb.expressions.condition import size
from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle import agents as rows
from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES
from ai_coordination_engine.store.models import Record, Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.records.session_status import setting_status
from ai_coordination_engine.store.tables.batches import RawKey
from ai_coordination_engine.store.tables.table import Key, Refused
from ai_coordination_engine.store.transitions.agent_writes import AgentWrites
from ai_coordination_engine.store.transitions.attempts import ended_with
from ai_coordination_engine.store.transitions.rows import same
from ai_coordination_engine.store.transitions.sessions import SHARDS, watch_shard

MOST_SEEN = 10_000  # sessions of a shard that are due, of which one sweep knows
KEPT_KEYS = 50  # orders of a session that are recognised for certain when they are repeated


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asks for: who, and the short hash by which a repetition is recognised (None: it
    is not).
    """

    by: str | None = None
    digest: str | None = None

    @classmethod
    def of(cls, by: str | None, idempotency_key: str | None, *what: str | None) -> "Order":
        """The order to do `what`; the same key for something else is another order."""
        if idempotency_key is None:
            return cls(by)
        text = json.dumps([idempotency_key, *what])
        return cls(by, hashlib.sha256(text.encode()).hexdigest()[:16])

    def was_carried_out(self, session: Session) -> bool:
        """Whether the session has seen this order; it remembers the latest `KEPT_KEYS` at least."""
        seen = (session.control_keys or set()) | (session.older_control_keys or set())
        return self.digest is not None and self.digest in seen


_RANDOM = Random()  # noqa: S311 (whose turn it is is no secret)


class Steering(AgentWrites):
    """The steering transitions of one store. Thread-safe. All of them raise `Refused` unless they
    say otherwise.
    """

    def __init__(self, repository: Repository) -> None:
        super().__init__(repository)
        self._sessions = repository.table(SESSION)
        self._parallel = repository.parallel

    # A session

    def cancel(self, seen: Session, order: Order, watch_at: float) -> Session:
        """End an open session; its agents are ended after it."""
        removed = (Session.pause_token, Session.paused_from, Session.restart)
        return self._steer(
            seen,
            order,
            [*_status(seen, "cancelled"), *_removing(removed), *_watching(seen, watch_at)],
            Session.status.is_in(*OPEN_SESSION_STATUSES) & Session.restart.does_not_exist(),
        )

    def pause(self, seen: Session, order: Order, token: str, watch_at: float) -> Session:
        """Pause an open session that is not paused; its agents are marked after it."""
        unpaused = [status for status in OPEN_SESSION_STATUSES if status != "paused"]
        return self._steer(
            seen,
            order,
            [
                Session.paused_from.set(Session.status),
                *_status(seen, "paused"),
                Session.pause_token.set(token),
                *_watching(seen, watch_at),
            ],
            Session.status.is_in(*unpaused) & Session.restart.does_not_exist(),
        )

    def resume(self, seen: Session, order: Order, watch_at: float) -> Session:
        """Let a paused session go on; its agents' marks are taken off after it."""
        return self._steer(
            seen,
            order,
            [
                *_status(seen, seen.paused_from or "in_progress"),
                *_removing((Session.paused_from, Session.pause_token)),
                *_watching(seen, watch_at),
            ],
            (Session.status == "paused") & same(Session.paused_from, seen.paused_from),
        )

    def note(self, seen: Session, order: Order) -> None:
        """Remember an order that had nothing to do, so that its repetition has no effect on what
        comes later.
        """
        if order.digest is not None and not order.was_carried_out(seen):
            self._steer(
                seen, order, [], (Session.status == seen.status) & same(Session.epoch, seen.epoch)
            )

    def set_back(
        self, seen: Session, order: Order, values: Mapping[str, Any], sinks: int, watch_at: float
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
        return self._steer(
            seen,
            order,
            [
                *_status(seen, "in_transit"),
                Session.epoch.set((seen.epoch or 0) + 1),
                Session.open_sink_count.set(sinks),
                *_setting(Session, values),
                *_removing(removed),
                *_watching(seen, watch_at),
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
        return self._steer(
            session,
            Order(),
            [
                *_status(session, "in_progress"),
                Session.open_sinks.set(names) if names else Session.open_sinks.remove(),
                Session.open_sink_count.set(sinks),
                Session.restart.remove(),
                *([Session.early.set(True)] if early else []),
                *_watching(session, watch_at),
            ],
            (Session.status == "in_transit")
            & Session.restart.exists()
            & (Session.epoch == session.epoch),
        )

    def rewatch(
        self, session: Session, at: float | None, *, gives_up: bool = False
    ) -> Session | None:
        """Have the sweep look at the session at `at` (None: no more), unless somebody wants it
        sooner than `session` says; the session as it is then, confirmed or not, and None where that
        was not written; the row of one that was seen to be confirmed says so then. With `gives_up`
        it stays as it is while somebody ends a wait. Never raises `Refused`.
        """
        key = _key_of(session)
        condition = same(Session.watch_at, session.watch_at)
        if at is None:
            actions = _removing((Session.watch, Session.watch_at, Session.watch_kept_until))
            condition &= Session.watch_at.exists()
        else:
            actions = _watching(session, at)
            later = Session.watch_at.does_not_exist() | (Session.watch_at > at)
            condition = Session.session_uuid.exists() & (condition | later)
        if session.nonce is not None and session.unconfirmed is None:  # as somebody has seen
            actions = [*actions, Session.unconfirmed.remove()]
            condition &= same(Session.nonce, session.nonce)
        if gives_up:
            condition &= ~(Session.watch_kept_until > self._clock.now().timestamp())
        try:
            return self._sessions.update(session.partition_key, key, actions, condition)  # type: ignore[no-any-return]
        except Refused:
            return None

    def due(self, before: float, shards: Sequence[int] = range(SHARDS)) -> list[Session]:
        """Sessions of these shards that the sweep should have looked at before then (epoch
        seconds), at most `MOST_SEEN` of each: keys, tenant, shard and `watch_at`. One Query a shard
        and megabyte, of what is due alone.

        Shards and tenants take turns, in random order: however many are due of a tenant, those of
        others come soon.
        """

        def look(shard: int) -> list[Session]:
            found, after = self._due(before, shard, None)
            while after is not None and len(found) < MOST_SEEN:
                more, after = self._due(before, shard, after)
                found += more
            return found

        pages = self._parallel.run(
            [partial(look, each) for each in _RANDOM.sample([*shards], len(shards))]
        )
        of_tenants: dict[str, list[Session]] = defaultdict(list)
        for each in _in_turns(pages):
            of_tenants[each.partition_key].append(each)
        return list(_in_turns(of_tenants.values()))

    def _due(
        self, before: float, shard: int, after: RawKey | None
    ) -> tuple[list[Session], RawKey | None]:
        is_due = Session.watch_at < before
        return self._sessions.query_index(
            "to_watch", f"{shard:02d}", after=after, range_condition=is_due
        )

    # A session agent

    def end(self, agent: SessionAgent, state: str, epoch: int) -> SessionAgent | None:
        """End an agent of a session that ended in `epoch`, `cancelled` or `skipped`; its attempt
        keeps its lease, until its run is recorded. Only cancelling takes a living lease. Never
        raises `Refused`: the agent as it is then.
        """
        if state == "cancelled":
            return self._change(rows.CANCEL, agent, *self._ending(), epoch=epoch)
        # not by a condition: a retry sets it back
        by_failure = SessionAgent.upstream_failed.set(True)
        return self._change(rows.SKIP_IN_ENDED, agent, by_failure, *self._ending(), epoch=epoch)

    def close(self, agent: SessionAgent) -> None:
        """The runs of an agent that was ended are recorded. Never raises `Refused`."""
        self._change(rows.CLOSE, agent)

    def mark(self, agent: SessionAgent, token: str) -> None:
        """Pause an agent that has not ended. Never raises `Refused`."""
        self._change(rows.PAUSE, agent, SessionAgent.paused.set(token))

    def unmark(self, agent: SessionAgent) -> None:
        """Take off the pause that the agent shows. Never raises `Refused`."""
        self._change(rows.UNPAUSE, agent)

    def adopt(self, agent: SessionAgent, epoch: int) -> None:
        """Take an agent along into a new epoch whose attempt goes on, or whose result is kept.
        Never raises `Refused`: when the agent has changed meanwhile, it has to be looked at again.
        """
        self._change(rows.ADOPT, agent, SessionAgent.epoch.set(epoch), epoch=epoch)

    def reset(self, agent: SessionAgent, epoch: int, values: Mapping[str, Any]) -> None:
        """Set an agent back, once an epoch; a value of None removes it. Never raises `Refused`:
        when the agent has changed meanwhile, it has to be looked at again.

        An attempt whose run may not be recorded yet is left to the next one, marked as none that
        was lost.
        """
        recorded = agent.state in ("completed", "failed") and agent.lease_until is None
        runs = None if recorded else ended_with(agent)
        given = {**values, "epoch": epoch, "set_back": epoch, "lost_runs": runs}
        self._change(rows.RESET, agent, *_setting(SessionAgent, given), self._now(), epoch=epoch)

    def refill(self, counter_shard: SessionAgent, epoch: int) -> None:
        """Write a counter shard anew, once an epoch. Never raises `Refused`."""
        counter_shard.epoch = epoch
        with suppress(Refused):
            self._agents.put(
                counter_shard,
                self._condition(rows.REFILL, counter_shard.partition_key, epoch=epoch),
            )

    # Inside

    def _steer(self, seen: Session, order: Order, actions: list[Action], condition: Any) -> Session:
        actions = [
            *actions,
            Session.updated_at.set(self._clock.now()),
            Session.unconfirmed.remove(),
        ]
        condition &= same(Session.nonce, seen.nonce)  # its blobs are no other's
        if order.by is not None:
            actions.append(Session.updated_by.set(order.by))
        if order.digest is not None:
            condition &= ~Session.control_keys.contains(order.digest)
            condition &= ~Session.older_control_keys.contains(order.digest)
            if len(seen.control_keys or ()) < KEPT_KEYS:
                actions.append(Session.control_keys.add({order.digest}))
            else:
                actions.append(Session.older_control_keys.set(Session.control_keys))
                actions.append(Session.control_keys.set({order.digest}))
                condition &= size(Session.control_keys) >= KEPT_KEYS  # type: ignore[no-untyped-call]
        return self._sessions.update(seen.partition_key, _key_of(seen), actions, condition)  # type: ignore[no-any-return]


def _in_turns(rows: Iterable[Iterable[Session]]) -> Iterator[Session]:
    """The first of each row, then the second of each, and so on."""
    for turn in zip_longest(*rows):
        yield from (each for each in turn if each is not None)


def _status(session: Session, status: str) -> list[Action]:
    return setting_status(session.partition_key, session.session_uuid, status)


def _key_of(session: Session) -> Key:
    return session.coordination_uuid, session.session_uuid


def _removing(attributes: Iterable[Any]) -> list[Action]:
    return [attribute.remove() for attribute in attributes]


def _watching(session: Session, at: float) -> list[Action]:
    return [
        Session.watch.set(watch_shard(session.partition_key, session.session_uuid)),
        Session.watch_at.set(at),
    ]


def _setting(model: type[Record], values: Mapping[str, Any]) -> list[Action]:
    attributes = model.get_attributes()
    return [
        attributes[name].remove() if value is None or value == [] else attributes[name].set(value)
        for name, value in values.items()
    ]
