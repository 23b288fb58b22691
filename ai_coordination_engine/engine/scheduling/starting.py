"""Start, cancel and count the sessions of a schedule."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.controls import cancel_session
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.errors import Conflict, NotFound
from ai_coordination_engine.store.models import Session, TaskSchedule
from ai_coordination_engine.store.records.entities import SESSION
from ai_coordination_engine.store.transitions.outcome import Applied
from ai_coordination_engine.store.transitions.schedules import Handled


def start_session(
    app: App, schedule: TaskSchedule, session_uuid: str, trace: str | None = None
) -> Session:
    """Start the session with this uuid, or find it if it was started before, with any arguments.
    `trace`: that of the caller.

    Raises `NotFound` and `BadUserInput` if the task cannot start, and `Conflict` if another start
    of the session is in progress or has died a moment ago.
    """
    start = Start(
        schedule.coordination_uuid,
        schedule.task_uuid,
        task_query=schedule.task_query,
        user_id=schedule.user_id,
        session_uuid=session_uuid,
        input_files=schedule.input_files,
    )
    tenant = schedule.partition_key
    try:
        return execute_procedure(app, tenant, start, trace=trace)
    except Conflict:
        key = (schedule.coordination_uuid, session_uuid)
        session = app.records.get(SESSION, tenant, key, consistent=True)
        if session is None:
            raise
        return session


def cancel_all(app: App, sessions: Iterable[Session]) -> None:
    """Cancel sessions, unless they have ended."""
    for each in sessions:
        with suppress(Conflict, NotFound):
            cancel_session(app, each.partition_key, *each.key)


def count_started(
    app: App,
    schedule: TaskSchedule | None,
    started: Mapping[int, str],
    **beside: Any,
) -> TaskSchedule | None:
    """Count sessions that were started outside the schedule's next time, each once.

    Returns the schedule as it is then; None if it was deleted. `beside`: other fields of `Handled`.
    """
    while schedule is not None:
        known = schedule.recent or set()
        news = {nominal: uuid for nominal, uuid in started.items() if uuid not in known}
        handled = Handled(started=news, running=schedule.running or (), **beside)
        outcome = app.schedules.count(schedule, handled)
        if isinstance(outcome, Applied):
            return outcome.record
        schedule = outcome.record
    return None
