"""Recording attempts: exactly one immutable SessionRun each (promise P5)."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from ai_coordination_engine.domain.ids import child_uuid
from ai_coordination_engine.engine import rules
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.store.attempts import lost
from ai_coordination_engine.store.entities import SESSION, SESSION_RUN
from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.table import Refused


def record(
    app: App,
    agent: SessionAgent,
    started: datetime,
    *,
    outcome: str,
    usage: Mapping[str, Any] | None = None,
    error: str | None = None,
    error_class: str | None = None,
    async_task_uuid: str | None = None,
) -> None:
    """Write the run of the current attempt; it may be written already. `outcome`: completed, failed or pending.

    A pending one names the long job, whose state is kept elsewhere.

    Attempts before it that have left no run until now are recorded as lost: until here a late result was in time.
    """
    details: dict[str, Any] = {
        "status": outcome,
        "attempt": agent.attempt,
        "started_at": started.isoformat(),
        "ended_at": app.clock.now().isoformat() if outcome != "pending" else None,
        "usage": dict(usage) if usage else None,
        "error": error,
        "error_class": error_class,
    }
    given = {name: value for name, value in details.items() if value is not None}
    earlier = [partial(record_lost, app, agent, attempt, run) for attempt, run in lost(agent)]
    app.records.parallel.run([partial(_put, app, agent, agent.run_uuid, given, async_task_uuid), *earlier])


def record_lost(app: App, agent: SessionAgent, attempt: int, run_uuid: str) -> None:
    """Write the run of an attempt before this one, whose lease ran out, unless its worker did."""
    details = {
        "status": "lost",
        "attempt": attempt,
        "error": "No result came: the lease ran out, or the process that ran it ended.",
        "error_class": "lost",
    }
    _put(app, agent, run_uuid, details)


def forget(app: App, agent: SessionAgent) -> None:
    """Take back the run of an attempt whose agent is gone: nothing hangs below a deleted record (promise P1)."""
    key = (agent.session_uuid, agent.run_uuid)
    with suppress(Refused):
        app.records.table(SESSION_RUN).delete(agent.partition_key, key, SessionRun.run_uuid.exists())


def sweep(app: App, wake: Wake) -> None:
    """Delete what attempts of a deleted agent have left under a session that is gone too (promise P1)."""
    table = app.records.table(SESSION_RUN)
    for run in table.query_all(wake.tenant, wake.session_uuid, consistent=True):
        if run.session_agent_uuid != wake.session_agent_uuid:
            continue
        session_key = (run.coordination_uuid, run.session_uuid)
        if app.records.table(SESSION).get(wake.tenant, session_key, consistent=True) is None:
            with suppress(Refused):
                table.delete(wake.tenant, (run.session_uuid, run.run_uuid), SessionRun.run_uuid.exists())


def _put(
    app: App, agent: SessionAgent, run_uuid: str, details: dict[str, Any], async_task_uuid: str | None = None
) -> None:
    """Write a run under the uuid of its attempt, or, where a client has written a run of its own there, under one that
    follows from the attempt.
    """
    try:
        _put_under(app, agent, run_uuid, run_uuid, details, async_task_uuid)
    except Refused:
        logger.error("the uuid of a run is taken", extra={"run_uuid": run_uuid, "partition_key": agent.partition_key})
        other = child_uuid(f"{agent.session_agent_uuid}/{run_uuid}", agent.attempt or 0, agent.created_at)
        _put_under(app, agent, other, run_uuid, details, async_task_uuid)


def _put_under(
    app: App, agent: SessionAgent, uuid: str, run_uuid: str, details: dict[str, Any], async_task_uuid: str | None
) -> None:
    key = (agent.session_uuid, uuid)
    now = app.clock.now()
    packed = app.records.packed(SESSION_RUN, agent.partition_key, key, {"async_task": details})
    run = SessionRun(
        *key,
        partition_key=agent.partition_key,
        coordination_uuid=agent.coordination_uuid,
        session_agent_uuid=agent.session_agent_uuid,
        agent_uuid=rules.executed_by(app, agent),
        thread_uuid=agent.thread_uuid or agent.session_agent_uuid,
        async_task_uuid=async_task_uuid or run_uuid,  # else the engine runs the attempt itself: the run is the task
        updated_by="engine",
        created_at=now,
        updated_at=now,
        **packed,
    )
    app.records.table(SESSION_RUN).put_new(run)
