"""Run a schedule by hand: now, or for each time of a past range, in any status.

The mutations `runTaskSchedule` and `backfillTaskSchedule` are the callers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.ids import derived_uuid
from ai_coordination_engine.domain.overlaps import OVERLAP_POLICIES, Firing, OverlapPolicy, firing
from ai_coordination_engine.domain.schedules import session_uuid_of
from ai_coordination_engine.domain.statuses import check_enum
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.scheduling.earlier import is_open
from ai_coordination_engine.engine.scheduling.owed import announce, start_owed
from ai_coordination_engine.engine.scheduling.starting import (
    cancel_all,
    count_started,
    start_session,
)
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, TaskSchedule
from ai_coordination_engine.store.records.entities import TASK_SCHEDULE
from ai_coordination_engine.store.records.schedule_times import (
    nominal_time,
    schedule_key,
    timetable,
)
from ai_coordination_engine.store.transitions.outcome import Applied
from ai_coordination_engine.store.transitions.schedules import Handled


@dataclass(frozen=True)
class Fired:
    """The schedule after the firing, and the sessions that were started or found."""

    schedule: TaskSchedule
    sessions: Sequence[Session]


def run_now(
    app: App,
    tenant: str,
    key: Key,
    *,
    by: str | None = None,
    idempotency_key: str | None = None,
    trace: str | None = None,
) -> Fired:
    """Start a session of a schedule now, regardless of its overlap policy.

    The same idempotency key again finds that session. `trace`: that of the caller.
    Raises `NotFound`, and `BadUserInput` if the task cannot start.
    """
    schedule = _find(app, tenant, key)
    now, own = app.clock.now(), schedule_key(schedule)
    uuid = (
        session_uuid_of(own, now)
        if idempotency_key is None
        else derived_uuid(schedule.created_at, *own, "run", idempotency_key)
    )
    session = start_session(app, schedule, uuid, trace)
    counted = count_started(app, schedule, {int(now.timestamp()): uuid}, by=by)
    return Fired(counted or schedule, [session])


@dataclass
class _Plan:
    """What a backfill does with its times: start, buffer or skip them."""

    started: list[int] = field(default_factory=list)
    buffered: list[int] = field(default_factory=list)
    skipped: int = 0
    cancels: bool = False

    def check(self, schedule: TaskSchedule) -> None:
        """Raise `BadUserInput` if times would wait for ever because the schedule is not active."""
        if self.buffered and schedule.status != "active":
            raise BadUserInput(
                f"overlapPolicy lets times wait, and this schedule is {schedule.status}: only one"
                " that is active looks at them. Take allow_all, or activate it first."
            )


def backfill(
    app: App,
    tenant: str,
    key: Key,
    first: datetime,
    last: datetime,
    *,
    policy: str = OverlapPolicy.ALLOW_ALL,
    by: str | None = None,
) -> Fired:
    """Start a session for each time of a past range, both ends included, at most 1,000.

    Times that have a session already are not started again. With `cancel_other`, only the last time
    is started. Returns the sessions that exist by then; a worker starts the rest if it takes too
    long for a request. Raises `NotFound`; `BadUserInput` for an invalid range or policy, or if the
    task cannot start; `Conflict` if another start of one of the sessions is in progress, for which
    a worker waits.
    """
    word = OverlapPolicy(check_enum("overlapPolicy", policy, OVERLAP_POLICIES))
    schedule: TaskSchedule | None = _find(app, tenant, key)
    now = app.clock.now()
    while schedule is not None:
        times = [int(each.timestamp()) for each in timetable(schedule).backfill(first, last, now)]
        running = [each for each in app.schedules.sessions(schedule) if is_open(each)]
        plan = _planned(word, times, len(running), len(schedule.buffered or ()))
        plan.check(schedule)
        found = _found(app, schedule, plan.started)
        owed = [time for time in plan.started if time not in found]
        if owed:
            announce(app, schedule)
        handled = Handled(
            running=schedule.running or (),
            skipped=plan.skipped,
            buffered=set(plan.buffered),
            owed=owed,
            by=by,
        )
        outcome = app.schedules.count(schedule, handled)
        if isinstance(outcome, Applied):
            return _started(app, outcome.record, plan, found, running)
        schedule = outcome.record
    raise TASK_SCHEDULE.missing(key)


def _started(
    app: App,
    schedule: TaskSchedule,
    plan: _Plan,
    found: Mapping[int, Session],
    running: Sequence[Session],
) -> Fired:
    """Start the owed sessions while there is time, and cancel others if the policy says so."""
    starts = start_owed(app, schedule, [time for time in plan.started if time not in found])
    if starts.refused is not None:
        raise starts.refused
    sessions = {**found, **starts.sessions}
    if plan.cancels:
        own = {each.session_uuid for each in sessions.values()}
        cancel_all(app, [each for each in running if each.session_uuid not in own])
    return Fired(
        starts.schedule or schedule, [sessions[each] for each in plan.started if each in sessions]
    )


def _found(app: App, schedule: TaskSchedule, times: Sequence[int]) -> dict[int, Session]:
    """The sessions of these times that exist and are confirmed."""
    own = schedule_key(schedule)
    uuids = {session_uuid_of(own, nominal_time(time)): time for time in times}
    found = app.schedules.sessions_of(schedule, uuids)
    app.records.resolve_starts(found, consistent=True)
    return {uuids[each.session_uuid]: each for each in found if each.unconfirmed is None}


def _planned(policy: OverlapPolicy, times: Sequence[int], running: int, buffered: int) -> _Plan:
    plan = _Plan()
    for time in times:
        waiting = buffered + len(plan.buffered)
        match firing(policy, running=running + len(plan.started), buffered=waiting):
            case Firing.START:
                plan.started.append(time)
            case Firing.CANCEL_AND_START:
                plan.started, plan.cancels = [time], True
            case Firing.BUFFER:
                plan.buffered.append(time)
            case Firing.SKIP:
                plan.skipped += 1
    return plan


def _find(app: App, tenant: str, key: Key) -> TaskSchedule:
    schedule = app.records.get(TASK_SCHEDULE, tenant, key, consistent=True)
    if schedule is None:
        raise TASK_SCHEDULE.missing(key)
    return schedule
