"""The operations on a schedule other than CRUD: run it now, and backfill a past range."""

from collections.abc import Mapping
from datetime import UTC, datetime

import graphene

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.operation import Operation
from ai_coordination_engine.api.prices import START
from ai_coordination_engine.api.types import SessionType, TaskScheduleType
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.overlaps import OverlapPolicy
from ai_coordination_engine.engine.scheduling import by_hand
from ai_coordination_engine.engine.scheduling.by_hand import Fired


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """The arguments of `runTaskSchedule`."""

    task_uuid: str
    schedule_uuid: str
    updated_by: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class BackfillRequest(RunRequest):
    """The arguments of `backfillTaskSchedule`.

    `idempotency_key` has no effect, because a time has one session.
    """

    from_: datetime
    to: datetime
    overlap_policy: str | None = None


def _run(context: Context, given: RunRequest) -> Fired:
    key = (given.task_uuid, given.schedule_uuid)
    return by_hand.run_now(
        context.app,
        context.tenant,
        key,
        by=given.updated_by,
        idempotency_key=given.idempotency_key,
        trace=context.trace,
    )


def _backfill(context: Context, given: BackfillRequest) -> Fired:
    return by_hand.backfill(
        context.app,
        context.tenant,
        (given.task_uuid, given.schedule_uuid),
        _aware(given.from_),
        _aware(given.to),
        policy=OverlapPolicy.ALLOW_ALL if given.overlap_policy is None else given.overlap_policy,
        by=given.updated_by,
    )


def _aware(moment: datetime) -> datetime:
    """Return the moment with a time zone; without one it is in UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_OUTPUT: Mapping[str, object] = {
    "task_schedule": graphene.Field(TaskScheduleType),
    "sessions": graphene.List(SessionType, description="The sessions of these times."),
}


def _answer(fired: Fired) -> dict[str, object]:
    return {"task_schedule": fired.schedule, "sessions": fired.sessions}


RUN = Operation(
    "runTaskSchedule",
    RunRequest,
    _run,
    "Start a session of a schedule now, regardless of its status and its overlap policy.",
    _OUTPUT,
    _answer,
    START,
)
BACKFILL = Operation(
    "backfillTaskSchedule",
    BackfillRequest,
    _backfill,
    "Start a session for each time of a schedule in a past range that has none, for at most 1,000"
    " times.",
    _OUTPUT,
    _answer,
    2 * START,
)
SCHEDULE_OPERATIONS = (RUN, BACKFILL)
