"""What sessions and coordinations cost, and what a tenant used on which day: read from counters."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.accounts import Counts, total
from ai_coordination_engine.domain.records import MAX_PLAIN
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.records import cursors
from ai_coordination_engine.store.transitions.usage_counters import (
    UsageCounter,
    UsageCounters,
    row_without_shard,
)

MOST_DAYS = 366
MOST_ROWS = 1_000
DEFAULT_ROWS = 50
_AT_ONCE = 1_000  # counters of one request
_MOST_READ = 8_000  # counters of one page: a filter may find few among many


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which days, the first and the last included, and of what; a page of at most `limit` rows."""

    first: date
    last: date
    coordination_uuid: str | None = None
    agent_uuid: str | None = None
    model: str | None = None
    limit: int = DEFAULT_ROWS
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class UsageOfDay:
    """What one agent of a coordination used of one model on one day."""

    day: str
    coordination_uuid: str
    agent_uuid: str
    model: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class UsagePage:
    """One page, and where the next one begins; None at the end."""

    rows: list[UsageOfDay]
    next_cursor: str | None


def usage_by_day(counters: UsageCounters, tenant: str, query: UsageQuery) -> UsagePage:
    """What was used, by day. Raises `BadUserInput` for days or a limit that cannot be."""
    _check(query)
    told = (tenant, query.first, query.last, query.coordination_uuid, query.agent_uuid, query.model)
    mark = cursors.fingerprint("usage_by_day", *told)
    begins = cursors.decode(mark, query.cursor) if query.cursor else None
    rows, last, read = list[UsageOfDay](), None, 0
    for (day, _), shards in groupby(_counters(counters, tenant, query, begins), key=_group):
        if len(rows) == query.limit or read >= _MOST_READ:
            return UsagePage(rows, cursors.encode(mark, last) if last is not None else None)
        found = [*shards]
        read, last = read + len(found), (day, found[-1].run_uuid)
        if _is_wanted(query, found[0]):
            rows.append(_row(found))
    return UsagePage(rows, None)


def cost_of_coordination(
    counters: UsageCounters, tenant: str, coordination_uuid: str, since: datetime | None
) -> Counts:
    """What the sessions of a coordination have cost since the beginning of that day, if any."""
    day = None if since is None else since.date().isoformat()
    return total(each.counts for each in counters.of_coordination(tenant, coordination_uuid, day))


def _check(query: UsageQuery) -> None:
    if query.last < query.first:
        raise BadUserInput("to is before from.")
    if (query.last - query.first).days >= MOST_DAYS:
        raise BadUserInput(f"from and to are more than {MOST_DAYS} days apart.")
    if not 1 <= query.limit <= MOST_ROWS:
        raise BadUserInput(f"limit must be from 1 to {MOST_ROWS}.")
    if query.model is not None and not 1 <= len(query.model.encode()) <= MAX_PLAIN:
        raise BadUserInput(f"model must have 1 to {MAX_PLAIN} bytes.")


def _counters(
    counters: UsageCounters, tenant: str, query: UsageQuery, begins: list[str] | None
) -> Iterator[UsageCounter]:
    first = query.first if begins is None else date.fromisoformat(begins[0])
    for back in range((query.last - first).days + 1):
        yield from counters.of_days(
            tenant,
            (first + timedelta(days=back)).isoformat(),
            coordination_uuid=query.coordination_uuid,
            after=begins[1] if begins is not None and not back else None,
            most=_AT_ONCE,
        )


def _group(counter: UsageCounter) -> tuple[str, str]:
    return counter.day, row_without_shard(counter)


def _is_wanted(query: UsageQuery, counter: UsageCounter) -> bool:
    return (query.agent_uuid in (None, counter.agent_uuid)) and (
        query.model in (None, counter.model)
    )


def _row(shards: list[UsageCounter]) -> UsageOfDay:
    one = shards[0]
    counts = total(each.counts for each in shards)
    return UsageOfDay(one.day, one.coordination_uuid, one.agent_uuid, one.model, counts)
