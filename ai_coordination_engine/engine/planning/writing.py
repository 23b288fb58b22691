"""Write a new session and its agents, then confirm it, or take it back.

`planning.start` and `planning.fork` are the callers.
"""

from collections.abc import Callable, Sequence
from functools import partial

from ai_coordination_engine.engine.advance.ending import remove_strays
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import Conflict, NotFound
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.records import guards, write_tokens
from ai_coordination_engine.store.records.begun import mark_if_confirmed
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION
from ai_coordination_engine.store.transitions import starts
from ai_coordination_engine.store.transitions.outcome import Applied

Item = SessionAgent | CounterShard
"""An item of a session that is being started."""


def reserve(app: App, session: Session, check: Callable[[Session], None]) -> Session:
    """Write a session with a reservation. If its key is taken, join the session that is there.

    `check` is called with the session that is there, and raises an error if that is a different
    one. An expired reservation under the key is removed first. If this start's session is not
    written, its blobs are removed. Raises the errors of `check`, `NotFound` and `Conflict`.
    """
    try:
        stored = _reserved(app, session, check)
    except (Conflict, NotFound):
        if session.has_blobs:
            now = app.records.get_stored(SESSION, session.partition_key, session.key)
            _remove_unused_blobs(app, session, now)
        raise
    _remove_unused_blobs(app, session, stored)
    return stored


def _remove_unused_blobs(app: App, session: Session, stored: Session | None) -> None:
    """Remove the blobs of a start, unless `stored` is the session that this start has written."""
    if stored is None or stored.nonce != session.nonce:
        guards.remove_blobs(app.records, SESSION, session)


def _reserved(app: App, session: Session, check: Callable[[Session], None]) -> Session:
    tenant, key = session.partition_key, session.key
    while True:
        reserved = app.sessions.reserve(session)
        if isinstance(reserved, Applied):
            return session
        old = reserved.record
        if old is None or old.partition_key != tenant:
            raise SESSION.missing(key)
        if _is_going(app, old):
            if not guards.swept(app.records, SESSION, tenant, old):
                raise Conflict("The session is being deleted; choose a new sessionUuid.")
            continue
        if old.nonce == session.nonce:
            return session  # the write was repeated because its response was lost
        app.records.resolve_starts([old], consistent=True)
        check(old)
        if old.unconfirmed is None:
            return old
        joined = app.sessions.join(old, write_tokens.new_token(app.clock.now()))
        if isinstance(joined, Applied):
            return joined.record  # else the session has changed: read it again


def _is_going(app: App, old: Session) -> bool:
    """Whether a session is being deleted.

    The tombstone of a crashed deletion expires. On a reserved session it counts for ever: the start
    was given up.
    """
    return old.deleting is not None and (
        old.unconfirmed is not None or write_tokens.is_live(old.deleting, app.clock.now())
    )


def write_and_begin(
    app: App, session: Session, first: SessionAgent, others: Sequence[Item]
) -> Session | None:
    """Write the agents and counter shards, then agent 0, which confirms the session.

    The session's row must come from this start. Returns and raises like `write_and_confirm`. None:
    another try has fenced this start, and neither has confirmed the session yet.
    """
    if not _written(app, session, others):
        _undo(app, session, None, is_gone=True)
    if starts.confirm(app.records, first) and not starts.may_be_taken_back(app.records, session):
        return _undo(app, session, _confirmed(session, first))
    # another process may have taken the start back
    now = app.records.get_stored(SESSION, session.partition_key, session.key)
    app.records.resolve_starts([now] if now is not None else [], consistent=True)
    if now is not None and _is_undecided(session, now):
        return None
    return _undo(app, session, now)


def _is_undecided(session: Session, now: Session) -> bool:
    """Whether the session of this start is neither confirmed nor given up."""
    return now.nonce == session.nonce and now.unconfirmed is not None and now.deleting is None


def _confirmed(session: Session, first: SessionAgent) -> Session:
    """The stored session after its agent 0 has confirmed it."""
    stored = Session.from_raw_data(session.serialize(), session.blobs)
    mark_if_confirmed(stored, first)
    return stored


def write_and_confirm(app: App, session: Session, items: Sequence[Item]) -> Session:
    """Write the agents and counter shards, read the coordination again, and confirm the session.

    Returns the session as it is then. The start is taken back if the coordination is gone (raises
    `NotFound`), if it took too long (raises `Conflict`), or if another try was faster.
    """
    is_there = _written(app, session, items)
    return _undo(
        app,
        session,
        app.sessions.confirm(session).record if is_there else None,
        is_gone=not is_there,
    )


def _written(app: App, session: Session, items: Sequence[Item]) -> bool:
    """Write the agents and counter shards; return whether the coordination still exists.

    The session's row is written before, so the coordination is read after it (promise P1). The
    agents are written without conditions: no other process knows their uuids, and none runs them
    before the session is confirmed.
    """
    tenant = session.partition_key
    parent = partial(
        app.records.living_parent, COORDINATION, tenant, (tenant, session.coordination_uuid)
    )
    calls: list[Callable[[], object]] = [parent, *app.agents.writes(items)]
    return app.records.parallel.run(calls)[0] is not None


def _undo(app: App, session: Session, now: Session | None, *, is_gone: bool = False) -> Session:
    """Take a start back, unless the session `now` is confirmed with the agents of this start.

    Agents that do not count are removed. Returns the confirmed session; raises `NotFound` if the
    coordination is gone (`is_gone`), and `Conflict` if the session is not confirmed.
    """
    confirmed = now if now is not None and _is_confirmed(session, now) else None
    counts = confirmed is not None and confirmed.incarnation == session.incarnation
    if not counts:
        app.sessions.take_back(session)
    if is_gone:
        raise COORDINATION.missing((session.partition_key, session.coordination_uuid))
    if confirmed is None:
        raise Conflict("Starting the session took too long and was undone; try again.")
    if confirmed.strays is not None or not counts:
        remove_strays(app, confirmed)
    return confirmed


def _is_confirmed(session: Session, now: Session) -> bool:
    """Whether this try or another one has confirmed the session."""
    return now.nonce == session.nonce and now.unconfirmed is None


def is_same(old: Session, new: Session, name: str) -> bool:
    """Whether two sessions have equal values of an attribute, inline or in a blob."""
    return bool(old.stored(name) == new.stored(name) or getattr(old, name) == getattr(new, name))
