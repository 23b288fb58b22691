"""ListTasks: the sessions of the exposed tasks, a page at a time.

The pages follow each other by the uuids of the sessions, for no index has the times of their
changes. The tasks of one page are in the order of the protocol: those that have
changed last come first (section 3.1.4).
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from ai_coordination_engine.domain.a2a import TaskState
from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.a2a.cards import skills_of
from ai_coordination_engine.served.a2a.errors import invalid
from ai_coordination_engine.served.a2a.tasks import state_of, task_of
from ai_coordination_engine.served.a2a.wire import Listing
from ai_coordination_engine.served.sessions import ServedSession
from ai_coordination_engine.store.records.entities import SERVED_SESSION
from ai_coordination_engine.store.records.lists import read_page
from ai_coordination_engine.store.records.waiting import waiting_sessions

_SEPARATOR = "."
_OF_QUESTIONS = "q"
"""In a token: the sessions are looked for among the open questions, unless these are too many."""
_STATUSES: Mapping[TaskState, Sequence[str]] = {
    TaskState.SUBMITTED: ("initial", "dispatched"),
    TaskState.WORKING: tuple(
        each for each in OPEN_SESSION_STATUSES if each not in ("initial", "dispatched")
    ),
    TaskState.INPUT_REQUIRED: tuple(OPEN_SESSION_STATUSES),
    TaskState.COMPLETED: ("completed",),
    TaskState.FAILED: ("failed", "timeout"),
    TaskState.CANCELED: ("cancelled",),
}


def list_tasks(app: App, tenant: str, asked: Listing) -> dict[str, Any]:
    """One page of the tasks, and the token of the next (empty at the end).

    A page may be short although another follows. The total is counted for the first page, up to a
    bound, and goes on in the token. If there is but one page, it is the number of its tasks; else
    it may count open sessions that do not pass the filters.
    """
    total, cursor, among = _position(asked.token)
    tasks = {each.task.task_uuid: each.task for each in skills_of(app, tenant)}
    if asked.state is not None and asked.state not in _STATUSES:  # no session is in this state
        return _page([], None, asked, 0)
    statuses = None if asked.state is None else list(_STATUSES[asked.state])
    if cursor is None and asked.state is TaskState.INPUT_REQUIRED:
        among = _OF_QUESTIONS if waiting_sessions(app.records, tenant).is_all else ""
    try:
        page = read_page(
            app.records,
            SERVED_SESSION,
            tenant,
            {
                "statuses": statuses,
                "task_uuids": sorted(tasks),
                "context_id": asked.context_id,
                "changed_since": asked.after,
                "waits_for_person": True if among else None,
            },
            limit=asked.size,
            cursor=cursor,
            with_total=total is None,
        )
    except BadUserInput as error:
        raise invalid("pageToken", error.message) from error
    found = _tasks(app, asked, [(each, tasks[each.task_uuid]) for each in page.records])
    if total is None:
        total = page.total if page.next_cursor else len(found)
    token = page.next_cursor and f"{total or 0}{among}{_SEPARATOR}{page.next_cursor}"
    return _page(found, token, asked, total or 0)


def _tasks(app: App, asked: Listing, found: Sequence[Any]) -> list[dict[str, Any]]:
    seen = [each for each in sessions.seen_together(app, found) if _is_asked_for(asked, each)]
    seen.sort(key=attrgetter("updated_at"), reverse=True)
    with_artifacts = asked.with_artifacts
    return [task_of(each, asked.history_length, with_artifacts=with_artifacts) for each in seen]


def _is_asked_for(asked: Listing, seen: ServedSession) -> bool:
    is_recent = asked.after is None or seen.updated_at >= asked.after
    return is_recent and asked.state in (None, state_of(seen))


def _page(
    tasks: list[dict[str, Any]], token: str | None, asked: Listing, total: int
) -> dict[str, Any]:
    return {
        "tasks": tasks,
        "nextPageToken": token or "",
        "pageSize": asked.size,
        "totalSize": total,
    }


def _position(token: str) -> tuple[int | None, str | None, str]:
    """The total and the cursor in a token, and `_OF_QUESTIONS` if the list is made from these."""
    if not token:
        return None, None, ""
    total, separator, cursor = token.partition(_SEPARATOR)
    among = _OF_QUESTIONS if total.endswith(_OF_QUESTIONS) else ""
    total = total.removesuffix(_OF_QUESTIONS)
    if not separator or not (total.isascii() and total.isdecimal() and len(total) < 10):
        raise invalid("pageToken", "is not one that this server gave")
    return int(total), cursor, among
