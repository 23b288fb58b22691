"""Count the sessions of a tenant by status, up to a bound.

Each number is a count of keys in an index; no session is read. The API's `sessionCounts` is the
caller.
"""

from collections.abc import Sequence
from functools import partial

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.statuses import SESSION_STATUSES, SessionStatus
from ai_coordination_engine.store.records.entities import SESSION
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.records.session_status import INDEXED, SHARDS, status_keys
from ai_coordination_engine.store.records.waiting import waiting_sessions
from ai_coordination_engine.store.tables.shards import share

MAX_PER_STATUS = 1_000  # sessions that are counted for one status
COUNTABLE = tuple(each for each in SESSION_STATUSES if each != SessionStatus.DISPATCHED)
"""The statuses that have a count. A session that runs may be stored as `dispatched`, so these
count as `in_progress`."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number of sessions; `is_lower_bound`: there may be more."""

    count: int
    is_lower_bound: bool


@dataclass(frozen=True, slots=True)
class StatusCount(Count):
    """The number of sessions with a status."""

    status: str


def waiting_count(repository: Repository, tenant: str) -> Count:
    """The number of sessions that wait for a person."""
    waiting = waiting_sessions(repository, tenant)
    return Count(len(waiting.sessions), not waiting.is_all)


def session_counts(
    repository: Repository, tenant: str, statuses: Sequence[str]
) -> list[StatusCount]:
    """The number of sessions with each of these statuses, in the order of `COUNTABLE`.

    Completed sessions are those that have no other status, because no index holds them. Sessions
    that are being started or deleted count too. Raises `OverBudget`.
    """
    asked = {_counts_as(each) for each in statuses}
    wanted = [each for each in COUNTABLE if each in asked]
    needs_all = SessionStatus.COMPLETED in wanted
    counted = [each for each in COUNTABLE if each in INDEXED and (needs_all or each in wanted)]
    found = {each.status: each for each in _indexed(repository, tenant, counted)}
    if needs_all:
        found[SessionStatus.COMPLETED] = _completed(repository, tenant, [*found.values()])
    return [found[each] for each in wanted]


def _counts_as(status: str) -> str:
    return SessionStatus.IN_PROGRESS if status == SessionStatus.DISPATCHED else status


def _indexed(repository: Repository, tenant: str, statuses: Sequence[str]) -> list[StatusCount]:
    """The counts of statuses that the index by status holds; its parts are read at one time."""
    parts = [(each, key) for each in statuses for key in status_keys(tenant, [each])]
    most = share(MAX_PER_STATUS, SHARDS)
    with repository.counting():
        counts = repository.parallel.run(
            [partial(_count, repository, tenant, key, "by_status", most) for _, key in parts]
        )
    sums, cut = dict.fromkeys(statuses, 0), set[str]()
    for (status, _), (count, is_all) in zip(parts, counts, strict=True):
        sums[status] += count
        if not is_all:
            cut.add(status)
    return [_bounded(status, count, status not in cut) for status, count in sums.items()]


def _completed(repository: Repository, tenant: str, others: Sequence[StatusCount]) -> StatusCount:
    """The count of completed sessions: that of all sessions without those of all other statuses.

    If another count is only a lower bound, nothing is known.
    """
    if any(each.is_lower_bound for each in others):
        return StatusCount(0, True, SessionStatus.COMPLETED)
    rest = sum(each.count for each in others)
    with repository.counting():
        every, is_all = _count(repository, tenant, tenant, "by_tenant", MAX_PER_STATUS + rest)
    return _bounded(SessionStatus.COMPLETED, max(every - rest, 0), is_all)


def _count(
    repository: Repository, tenant: str, key: str, index: str, most: int
) -> tuple[int, bool]:
    """The number of keys in a part of an index, up to `most`, and whether these are all."""
    count, more = repository.table(SESSION).count(tenant, key, None, most, index=index)
    return count, more is None


def _bounded(status: str, count: int, is_all: bool) -> StatusCount:
    is_lower_bound = not is_all or count > MAX_PER_STATUS
    return StatusCount(min(count, MAX_PER_STATUS), is_lower_bound, status)
