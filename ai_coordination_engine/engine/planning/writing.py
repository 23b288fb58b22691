"""Writing a session that is started or forked: its reservation, its agents, and what confirms it or
takes it back.
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

Planned = SessionAgent | CounterShard


def reserve(app: App, session: Session, check: Callable[[Session], None]) -> Session:
    """Write an unconfirmed session; or the one that stands there, which passes `check`, and which
    this start joins.

    What stands there and was given up is removed first; what this start has put into blobs in vain,
    too. Raises what `check` raises, `NotFound` and `Conflict`.
    """
    try:
        stored = _reserved(app, session, check)
    except (Conflict, NotFound):
        if session.has_blobs:
            now = app.records.get_stored(SESSION, session.partition_key, session.key)
            _remove_in_vain(app, session, now)
        raise
    _remove_in_vain(app, session, stored)
    return stored


def _remove_in_vain(app: App, session: Session, stored: Session | None) -> None:
    """Remove what a start has put into blobs, unless its session is what stands there, whoever
    joined it since.
    """
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
            return session  # the client repeated the write, whose answer was lost
        app.records.look_at_starts([old], consistent=True)
        check(old)
        if old.unconfirmed is None:
            return old
        joined = app.sessions.join(old, write_tokens.new_token(app.clock.now()))
        if isinstance(joined, Applied):
            return joined.record  # else it has changed: look again


def _is_going(app: App, old: Session) -> bool:
    """Whether a session is being deleted; a delete that died does not go on, but what was given up
    is for the sweep.
    """
    return old.deleting is not None and (
        old.unconfirmed is not None or write_tokens.is_live(old.deleting, app.clock.now())
    )


def write_and_begin(
    app: App, session: Session, first: SessionAgent, others: Sequence[Planned]
) -> Session | None:
    """Write the agents and counter shards of a session that this start has written, the first agent
    last: that confirms it.

    Answers like `write_and_confirm`; None: the start was fenced, and it is not decided which one
    confirms.
    """
    if not _written(app, session, others):
        _undo(app, session, None, is_gone=True)
    if starts.confirm(app.records, first) and not starts.may_be_taken_back(app.records, session):
        return _undo(app, session, _confirmed(session, first))
    now = app.records.get_stored(
        SESSION, session.partition_key, session.key
    )  # somebody may have taken the start back
    app.records.look_at_starts([now] if now is not None else [], consistent=True)
    if now is not None and _is_undecided(session, now):
        return None
    return _undo(app, session, now)


def _is_undecided(session: Session, now: Session) -> bool:
    """Whether the start stands there as it was, neither confirmed nor given up."""
    return now.nonce == session.nonce and now.unconfirmed is not None and now.deleting is None


def _confirmed(session: Session, first: SessionAgent) -> Session:
    """The session as it is stored, once its first agent has confirmed it."""
    stored = Session.from_raw_data(session.serialize(), session.blobs)
    mark_if_confirmed(stored, first)
    return stored


def write_and_confirm(app: App, session: Session, planned: Sequence[Planned]) -> Session:
    """Write agents and counter shards, read the coordination again and make the session visible;
    the session as it is then.

    The start is taken back when the coordination is gone, or an equal start was faster.
    """
    is_there = _written(app, session, planned)
    return _undo(
        app,
        session,
        app.sessions.confirm(session).record if is_there else None,
        is_gone=not is_there,
    )


def _written(app: App, session: Session, planned: Sequence[Planned]) -> bool:
    """Write agents and counter shards, and see whether the coordination is there: read once the
    session is written.

    Nobody else knows the uuids of the agents, so they are written without a condition; and nobody
    runs them before the session is confirmed.
    """
    tenant = session.partition_key
    parent = partial(
        app.records.living_parent, COORDINATION, tenant, (tenant, session.coordination_uuid)
    )
    calls: list[Callable[[], object]] = [parent, *app.agents.writes(planned)]
    return app.records.parallel.run(calls)[0] is not None


def _undo(app: App, session: Session, now: Session | None, *, is_gone: bool = False) -> Session:
    """Take a start back unless the session is confirmed `now` with its agents; remove what does not
    count.
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
    """Whether the session is visible now, by this start or by an equal one."""
    return now.nonce == session.nonce and now.unconfirmed is None


def is_same(old: Session, new: Session, name: str) -> bool:
    """Whether two sessions have the same value of this attribute, wherever it lives."""
    return bool(old.stored(name) == new.stored(name) or getattr(old, name) == getattr(new, name))
