"""Read the earlier sessions of a schedule: whether they still run, and whether one has failed."""

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.overlaps import OverlapPolicy
from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import Session, TaskSchedule

_FAILED = ("failed", "timeout")


@dataclass(frozen=True, slots=True)
class Earlier:
    """The earlier sessions of a schedule.

    `open`: those that run; a paused one counts, a deleted one does not. `running`: the uuids of
    those that may run. `failed`: the uuid of one that has failed since the last look.
    """

    open: tuple[Session, ...] = ()
    running: frozenset[str] = frozenset()
    failed: str | None = None


def policy_of(schedule: TaskSchedule) -> OverlapPolicy:
    """The overlap policy of a schedule, or the default."""
    return OverlapPolicy(schedule.overlap_policy or OverlapPolicy.SKIP)


def look_at_earlier(app: App, schedule: TaskSchedule) -> Earlier:
    """Read the earlier sessions of a schedule. One BatchGetItem.

    No call if it has none, or if it fires in any case.
    """
    waits = schedule.pause_on_failure or schedule.buffered
    if policy_of(schedule) is OverlapPolicy.ALLOW_ALL and not waits:
        return Earlier(running=frozenset(schedule.running or ()))
    found = app.schedules.sessions(schedule)
    still_open = tuple(each for each in found if is_open(each))
    failed = (each.session_uuid for each in found if each.status in _FAILED)
    running = frozenset(each.session_uuid for each in still_open)
    return Earlier(still_open, running, max(failed, default=None))


def is_open(session: Session) -> bool:
    """Whether a stored session has not ended; false if its start was given up."""
    return session.status in OPEN_SESSION_STATUSES and session.deleting is None
