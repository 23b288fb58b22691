"""When the sweep looks at a session."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from random import Random

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle import sessions as rows
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.tables.items import RawKey
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome
from ai_coordination_engine.store.transitions.rows import same
from ai_coordination_engine.store.transitions.session_writes import (
    FORMER,
    KEPT_SECONDS,
    SHARDS,
    SessionWrites,
    shards_at,
    watch_shard,
    watching,
)

MOST_SEEN = 10_000  # sessions of a shard that are due, of which one sweep knows
_FAR = 1e12  # epoch seconds after every watch
_RANDOM = Random()  # noqa: S311 (the order is no secret)


class SessionWatches(SessionWrites):
    """The transitions that say when the sweep looks at a session, and what is due."""

    def watch(self, tenant: str, key: Key, at: float, *, lasting: bool = False) -> Outcome[Session]:
        """Have the sweep look at an open session at `at` (epoch seconds). Rejected when the session
        has ended, or the sweep looks sooner anyway.

        `lasting`: also after its end, unless it is cancelled, because a question outlives it.
        """
        row = _looked_at(lasting=lasting)
        later = Session.watch_at.does_not_exist() | (Session.watch_at > at)
        outlived = [Session.outlived.set(True)] if lasting else []
        actions = [*watching(tenant, key, at), *outlived]
        watched = self._write_at(row, tenant, key, *actions, beside=later)
        if lasting and watched.record is not None and not watched.record.outlived:
            return self._write_at(row, tenant, key, *outlived)  # it is looked at sooner
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
        """Have the sweep look at the session at `at` (epoch seconds) or sooner, because a wait in
        it is about to end. For two minutes the sweep keeps this watch, whatever it sees.

        `far`: the sweep probably looks much later otherwise. `early`: the session may end before
        other agents do.
        """
        row = _looked_at(lasting=lasting)
        kept_until = Session.watch_kept_until.set(self._clock.now().timestamp() + KEPT_SECONDS)
        kept = [Session.watch.set(watch_shard(tenant, key[1])), kept_until]
        if early:
            kept.append(Session.early.set(True))
        soon = (Session.watch_at.set(Session.watch_at | at), ~(Session.watch_at > at))
        late = (Session.watch_at.set(at), Session.watch_at > at)
        for action, time in (late, soon) if far else (soon, late):
            watched = self._write_at(row, tenant, key, *kept, action, beside=time)
            if isinstance(watched, Applied) or _has_ended(watched.record):
                return

    def rewatch(
        self, session: Session, at: float | None, *, gives_up: bool = False
    ) -> Outcome[Session]:
        """Have the sweep look at the session at `at` (None: not again), unless somebody wants it
        sooner than `session` tells.

        A session that was seen to be confirmed gets that into its row. With `gives_up` nothing
        changes while somebody ends a wait.
        """
        row, actions, times = rows.LOOK_NO_MORE, list[Action](), Session.session_uuid.exists()
        if at is not None:
            row, actions = rows.LOOK_AGAIN, watching(session.partition_key, session.key, at)
            later = Session.watch_at.does_not_exist() | (Session.watch_at > at)
            times = same(Session.watch_at, session.watch_at) | later
        if session.nonce is not None and session.unconfirmed is None:  # as somebody has seen
            actions = [*actions, Session.unconfirmed.remove()]
            times &= same(Session.nonce, session.nonce)
        if gives_up:
            times &= ~(Session.watch_kept_until > self._clock.now().timestamp())
        return self._write(row, session, *actions, beside=times)

    def due(self, before: float, shards: Sequence[int] | None = None) -> list[Session]:
        """The sessions of these shards (None: of those whose turn it is) that the sweep should have
        looked at before then (epoch seconds), at most `MOST_SEEN` of each shard: keys, tenant,
        shard and `watch_at`. One Query per shard and megabyte, which reads only what is due.

        Shards and tenants are interleaved in random order: however many sessions of one tenant are
        due, those of others come soon.
        """

        def look(shard: int) -> list[Session]:
            found, after = self._due(before, shard, None)
            while after is not None and len(found) < MOST_SEEN:
                more, after = self._due(before, shard, after)
                found += more
            return found

        looked_at = shards_at(before) if shards is None else [*shards]
        pages = self._repository.parallel.run(
            [partial(look, each) for each in _RANDOM.sample(looked_at, len(looked_at))]
        )
        of_tenants: dict[str, list[Session]] = defaultdict(list)
        for each in _interleaved(pages):
            of_tenants[each.partition_key].append(each)
        return list(_interleaved(of_tenants.values()))

    def open(self) -> list[Session]:
        """The sessions that are watched, whenever that is; as `due`."""
        return self.due(_FAR, [*range(SHARDS), *FORMER])

    def _due(
        self, before: float, shard: int, after: RawKey | None
    ) -> tuple[list[Session], RawKey | None]:
        is_due = Session.watch_at < before
        return self._sessions.query_index(
            "to_watch", f"{shard:02d}", after=after, range_condition=is_due
        )


def _interleaved(rows: Iterable[Iterable[Session]]) -> Iterator[Session]:
    """The first of each row, then the second of each, and so on."""
    for those in zip_longest(*rows):
        yield from (each for each in those if each is not None)


def _looked_at(*, lasting: bool) -> Transition:
    """The row for a session that the sweep has reason to look at: it is open, or something that
    outlives it may be.
    """
    return rows.LOOK_AT_LASTING if lasting else rows.LOOK_AT


def _has_ended(session: Session | None) -> bool:
    return session is None or session.status in TERMINAL_SESSION_STATUSES
