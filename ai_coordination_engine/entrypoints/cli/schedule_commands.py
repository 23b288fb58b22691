"""The command `ace schedule preview`."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from ai_coordination_engine.domain.schedules import DEFAULT_TIMEZONE, MAX_UPCOMING, Timetable
from ai_coordination_engine.entrypoints.cli.output import write
from ai_coordination_engine.entrypoints.cli.whole_numbers import whole_number

schedule = App(name="schedule", help="Schedule expressions: the times at which a task starts.")


@schedule.command
def preview(
    expression: Annotated[
        str, Parameter(help='Such as "0 9 * * MON-FRI", "cron(0 9 ? * 2-6 *)" or "rate(1 day)".')
    ],
    *,
    timezone: Annotated[
        str, Parameter(help="IANA name of the time zone, such as Europe/Berlin.")
    ] = DEFAULT_TIMEZONE,
    limit: Annotated[
        int,
        Parameter(
            help="How many times to print.",
            converter=whole_number,
            validator=Number(gte=1, lte=MAX_UPCOMING),
        ),
    ] = 10,
) -> None:
    """Print the next times of an expression, with the offset of the time zone. A rate counts from
    now.
    """
    now = datetime.now(UTC)
    times = Timetable.of(expression, timezone=timezone, counts_from=now).upcoming(now, limit)
    write("\n".join(times) or "It does not fire any more.")
