"""The computed fields of a task schedule: next times, sessions, and why it does not fire."""

from collections.abc import Callable, Sequence

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.progress import moment
from ai_coordination_engine.api.scalars import DateTime
from ai_coordination_engine.domain.schedules import MAX_RECENT, MAX_UPCOMING, check_number
from ai_coordination_engine.engine.scheduling import explain
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Session, TaskSchedule
from ai_coordination_engine.store.records.schedule_times import timetable

SHOWN = 10
"""The number of times or sessions when no limit is given."""
_PARSED = 20  # units for parsing an expression; each computed time adds about one


class WhyNotFiredType(graphene.ObjectType):
    """Why a task schedule does not fire, as a code and in words."""

    code = graphene.String(description="The reason as a code for programs, such as `NOT_ACTIVE`.")
    message = graphene.String(description="The reason in words, for people.")
    until = DateTime(description="When it fires next without any action; null when it will not.")


def fields(session_type: Callable[[], type[graphene.ObjectType]]) -> dict[str, object]:
    """Return the fields that a client cannot set; `session_type` returns the type of a session."""
    limit = graphene.Int()
    return {
        "next_fire_at": moment(
            "next_fire_at",
            description="The next time, without jitter; null while the schedule is not active.",
        ),
        "last_fire_at": moment(
            "last_fire_at",
            description="The latest time that started a session; null before the first.",
        ),
        "run_count": _count("run_count", "The number of sessions that it has started."),
        "skipped_count": _count(
            "skipped_count", "The number of times skipped because a session had not ended."
        ),
        "missed_count": _count(
            "missed_count",
            "The number of times that were missed while the engine did not run, and not caught up.",
        ),
        "upcoming": graphene.Field(
            graphene.List(graphene.String),
            limit=limit,
            resolver=upcoming,
            description="The next times in ISO 8601 with the zone's offset, also of a schedule that"
            " is not active yet; empty once it is completed.",
        ),
        "sessions": graphene.Field(
            graphene.List(session_type),
            limit=limit,
            resolver=sessions,
            description="The sessions that it started, the latest first; at most the last"
            f" {MAX_RECENT}.",
        ),
        "why_not_fired": graphene.Field(
            WhyNotFiredType,
            resolver=why_not_fired,
            description="Why it does not fire. Never null; ask this first when it does not fire.",
        ),
    }


def _count(name: str, description: str) -> graphene.Field:
    """Return a field for a counter, which is absent until it is first counted."""
    return graphene.Field(
        graphene.Int,
        resolver=lambda schedule, info: getattr(schedule, name) or 0,
        description=description,
    )


async def upcoming(
    schedule: TaskSchedule, info: GraphQLResolveInfo, limit: int | None = None
) -> Sequence[str]:
    """Return the next times, without jitter; also for a schedule that is not active yet.

    Empty for a schedule that will not fire again.
    """
    context: Context = info.context
    number = check_number("limit", SHOWN if limit is None else limit, 1, MAX_UPCOMING)
    if schedule.max_runs is not None:
        number = min(number, schedule.max_runs - (schedule.run_count or 0))
    if schedule.status == "completed" or not schedule.schedule or number <= 0:
        return []
    context.meter.spend(_PARSED + number)
    return await context.call(_times, schedule, context, number)


def _times(schedule: TaskSchedule, context: Context, number: int) -> Sequence[str]:
    try:
        return timetable(schedule).upcoming(context.app.clock.now(), number)
    except BadUserInput:
        return []  # whyNotFired says what is wrong


async def sessions(
    schedule: TaskSchedule, info: GraphQLResolveInfo, limit: int | None = None
) -> Sequence[Session]:
    """Return the latest sessions that the schedule started and that still exist, the
    latest first.
    """
    number = check_number("limit", SHOWN if limit is None else limit, 1, MAX_RECENT)
    latest = sorted(schedule.recent or (), reverse=True)[:number]
    keys = [(schedule.coordination_uuid, each) for each in latest]
    found = await info.context.loaders.session.load_many(keys)
    return [each for each in found if each is not None]


async def why_not_fired(schedule: TaskSchedule, info: GraphQLResolveInfo) -> explain.WhyNotFired:
    """Return why the schedule does not fire."""
    context: Context = info.context
    context.meter.spend(_PARSED)
    kept = await context.loaders.payload.value(schedule, "why")
    return explain.why_not_fired(schedule, kept, context.app.clock.now())
