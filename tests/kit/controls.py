"""The controls of a session as clients call them, with crashes at every point."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ai_coordination_engine.engine.control import controls as control
from ai_coordination_engine.engine.control import reconcile, restart
from ai_coordination_engine.engine.planning import fork
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import SESSION
from tests.kit.crashes import Crash, Tripwire, tripping
from tests.kit.stage import TENANT, Stage

DIAMOND = {"a": "", "b": "a", "c": "a", "d": "bc"}


def cancel(stage: Stage, session: Session, key: str | None = None) -> Session:
    return control.cancel_session(stage.app, TENANT, *names(session), idempotency_key=key)


def pause(stage: Stage, session: Session, key: str | None = None) -> Session:
    return control.pause_session(stage.app, TENANT, *names(session), idempotency_key=key)


def resume(stage: Stage, session: Session, key: str | None = None) -> Session:
    return control.resume_session(stage.app, TENANT, *names(session), idempotency_key=key)


def retry(stage: Stage, session: Session, key: str | None = None) -> Session:
    return restart.retry_session(stage.app, TENANT, *names(session), idempotency_key=key)


def rerun(stage: Stage, session: Session, agent_uuid: str, key: str | None = None) -> Session:
    agent = next(
        each for each in stage.agents(session.session_uuid) if each.agent_uuid == agent_uuid
    )
    uuids = (session.session_uuid, agent.session_agent_uuid)
    return restart.rerun_session_agent(stage.app, TENANT, *uuids, idempotency_key=key)


def fork_from(
    stage: Stage, session: Session, agent_uuid: str | None = None, **given: Any
) -> Session:
    if agent_uuid is not None:
        given["from_session_agent_uuid"] = stage.agent(
            session.session_uuid, agent_uuid
        ).session_agent_uuid
    return fork.fork_session(stage.app, TENANT, *names(session), **given)


def put_right(stage: Stage, session: Session) -> Session:
    return reconcile.reconcile_session(stage.app, TENANT, *names(session))


def sweep_after(stage: Stage, seconds: float) -> int:
    """Let time pass and run the sweep."""
    stage.clock.advance(seconds)
    return reconcile.sweep(stage.app)


def race(stage: Stage, session: Session, read: int, act: Callable[[], Any]) -> Callable[[], bool]:
    """Run `act` right after a reset has read the agents for the `read`-th time.

    Returns a function that tells whether it has happened.
    """
    queries = 0

    def reach(name: str) -> None:
        nonlocal queries
        # before it, and after it
        queries += name == "Query" and stage.session(session).status == "in_transit"
        if queries == 2 * read:
            stage.boundary.reach = lambda name: None
            act()

    stage.boundary.reach = reach
    return lambda: queries == 2 * read


def fail_by_hand(stage: Stage, session: Session) -> None:
    """Set the session to failed, but do nothing that follows from it."""
    stage.app.records.table(SESSION).update(
        session.partition_key, names(session), [Session.status.set("failed")], None
    )


def names(session: Session) -> tuple[str, str]:
    return session.coordination_uuid, session.session_uuid


def every_death(
    stage: Stage,
    prepare: Callable[[], Session],
    history: Callable[[Session], None],
    *,
    every: int = 1,
) -> Iterator[Session]:
    """Run a history that dies at each point in turn; yield the session each time for checks."""
    point = 1
    while True:
        session = prepare()
        with tripping(stage, point) as tripwire:
            history(session)
        yield session
        stage.queue.sent.clear()
        if not tripwire.trips:
            return
        point += every


def once(stage: Stage, call: Callable[[], Any]) -> None:
    """Make a call as a client that does not repeat it when the server dies."""
    with suppress(Crash):
        call()
    if isinstance(stage.boundary.reach, Tripwire):
        stage.boundary.reach.revive()
