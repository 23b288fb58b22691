"""Fields that say how a task schedule is getting on: worked out when they are asked for."""

from collections.abc import Callable, Sequence

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.progress import moment
from ai_coordination_engine.domain.schedules import MAX_RECENT, MAX_UPCOMING, check_number
from ai_coordination_engine.engine.scheduling import explain
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Session, TaskSchedule
from ai_coordination_engine.store.records.schedule_times import timetable

SHOWN = 10
"""How many times or sessions without a limit."""
_PARSED = 20  # units of an expression; about one more for each of its times


class WhyNotFiredType(graphene.ObjectType):
    """Why a task schedule does not fire now, as a code and in words."""

    code = graphene.String(description="The reason as a code such as `NOT_ACTIVE`, for programs.")
    message = graphene.String(description="The reason in words, for people.")
    until = graphene.DateTime(
        description="When it fires next, if nobody does anything; null when it does not."
    )


def fields(session_type: Callable[[], type[graphene.ObjectType]]) -> dict[str, object]:
    """The fields of a schedule that a client does not set."""
    limit = graphene.Int()
    return {
        "next_fire_at": moment(
            "next_fire_at",
            description="The next time, without its jitter; null while it is not active.",
        ),
        "last_fire_at": moment(
            "last_fire_at",
            description="The latest time that started a session; null before the first.",
        ),
        "run_count": _count("run_count", "How many sessions it has started."),
        "skipped_count": _count(
            "skipped_count", "How many times were skipped: a session of it had not ended."
        ),
        "missed_count": _count(
            "missed_count", "How many times were missed for good because nothing ran then."
        ),
        "upcoming": graphene.Field(
            graphene.List(graphene.String),
            limit=limit,
            resolver=upcoming,
            description="Its next times, ISO 8601 with the zone's offset, also before it is active;"
            " none once it is completed.",
        ),
        "sessions": graphene.Field(
            graphene.List(session_type),
            limit=limit,
            resolver=sessions,
            description="The latest sessions that it started, the latest time first; it remembers"
            f" {MAX_RECENT}.",
        ),
        "why_not_fired": graphene.Field(
            WhyNotFiredType,
            resolver=why_not_fired,
            description="The first thing to ask when it does not fire; it is never null.",
        ),
    }


def _count(name: str, words: str) -> graphene.Field:
    """A number that is absent until something is counted."""
    return graphene.Field(
        graphene.Int,
        resolver=lambda schedule, info: getattr(schedule, name) or 0,
        description=words,
    )


async def upcoming(
    schedule: TaskSchedule, info: GraphQLResolveInfo, limit: int | None = None
) -> Sequence[str]:
    """The next nominal times, also of one that is not active yet; none where nothing is left."""
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
    """The latest sessions that it started and that still exist, the latest time first."""
    number = check_number("limit", SHOWN if limit is None else limit, 1, MAX_RECENT)
    latest = sorted(schedule.recent or (), reverse=True)[:number]
    keys = [(schedule.coordination_uuid, each) for each in latest]
    found = await info.context.loaders.session.load_many(keys)
    return [each for each in found if each is not None]


async def why_not_fired(schedule: TaskSchedule, info: GraphQLResolveInfo) -> explain.WhyNotFired:
    """Why it does not fire now."""
    context: Context = info.context
    context.meter.spend(_PARSED)
    kept = await context.loaders.payload.value(schedule, "why")
    return explain.why_not_fired(schedule, kept, context.app.clock.now())
