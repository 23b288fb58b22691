"""Long jobs: an agent that answered "pending" waits for a job elsewhere, without a message and
without a process.

Nothing polls. Who completes a job writes its item first and wakes the agent then; who parks an
agent parks it first and looks at the item then: whichever comes second sees the other. The item's
one write from pending decides how the job ended; the agent takes it from there when it is woken, as
often as that may be.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.charsets import without_mark
from ai_coordination_engine.domain.ids import MAX_ID, is_id
from ai_coordination_engine.domain.usage import plain_usage
from ai_coordination_engine.engine.advance.ending import own_end
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import runs
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.inputs import MAX_TEXT
from ai_coordination_engine.engine.waits import timers
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.ports import AgentFailure, AgentResult
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.jobs import AsyncTask

# The engine's side


def wait(app: App, agent: SessionAgent, started: datetime, result: AgentResult) -> None:
    """Record the attempt as pending and park its agent until the job of `result` ends, or is not
    heard of in time.

    Raises `AgentFailure`, before anything is written, when the job's uuid cannot be used.
    """
    uuid = result.async_task_uuid or ""
    if not is_id(uuid):
        message = f"An async task uuid has 1 to {MAX_ID} printable bytes, and no space at its ends."
        raise AgentFailure(message, error_class="invalid_output")
    try:
        task = app.jobs.open(agent, uuid, result.heartbeat_seconds or rules.heartbeat(app, agent))
    except Refused as refused:
        raise AgentFailure(
            "The async task uuid is in use by another session agent.", error_class="invalid_output"
        ) from refused
    runs.record(app, agent, started, outcome="pending", usage=result.usage, async_task_uuid=uuid)
    park(app, agent, uuid, task)


def park(app: App, agent: SessionAgent, uuid: str, task: AsyncTask | None) -> None:
    """Park an agent whose attempt is recorded as pending until its long job ends; at once when
    nobody knows the job.
    """
    deadline = task.deadline if task is not None else app.clock.now().timestamp()
    try:
        parked = app.agents.wait_for_task(agent, uuid, deadline)
    except Refused as refused:
        own_end(app, refused.old, agent, "pending")
    else:
        _watch_over(app, parked, app.jobs.get(agent.partition_key, uuid))


def look(app: App, agent: SessionAgent) -> AgentResult | None:
    """What became of the job that the agent waits for; None while it goes on. Raises
    `AgentFailure`.

    The agent has one message under way that ends its wait. Whoever comes at that time and finds
    that the job was heard of sends the next; who comes earlier sends none, or there would be more
    of them with every look, but has the sweep look then: whoever was to send one may have died.
    """
    task = _task_of(app, agent)
    if task is None:
        raise AgentFailure(
            "Nothing is known of the long job any more.", retryable=True, error_class="lost"
        )
    if task.status != "pending":
        return _result(app, task)
    is_due = agent.due_at <= app.clock.now().timestamp()
    if is_due and app.agents.defer(agent, task.deadline):
        timers.wake_at(app, agent, task.deadline)
    else:
        timers.look_at(app, agent, task.deadline)
    return None


def _task_of(app: App, agent: SessionAgent) -> AsyncTask | None:
    """The job that the agent waits for; it has expired once it was not heard of in time."""
    task = app.jobs.get(agent.partition_key, agent.async_task_uuid)
    if task is None or task.status != "pending":
        return task
    is_in_time = task.deadline > app.clock.now().timestamp()
    return task if is_in_time else app.jobs.expire(task)


def _result(app: App, task: AsyncTask) -> AgentResult:
    """What an ended job has answered. Raises `AgentFailure`."""
    if task.status == "failed":
        raise AgentFailure(app.records.load(task.notes) or "The long job failed.", retryable=True)
    if task.status == "expired":
        raise AgentFailure(_expired(task), retryable=True, error_class="timeout")
    return AgentResult(app.records.load(task.agent_output) or "", task.usage or {})


def states(
    app: App, tenant: str, async_task_uuids: Sequence[str], *, consistent: bool = False
) -> dict[str, dict[str, Any]]:
    """What became of these long jobs, by uuid: `status`, and where there are any `ended_at`,
    `usage`, `error`, `error_class`, `heartbeat_until`. Session runs never change; this is what has
    happened since.
    """
    known = [each for each in async_task_uuids if is_id(each)]
    found = app.jobs.get_many(tenant, known, consistent=consistent)
    return {uuid: _state(app, task) for uuid, task in found.items()}


# The job's side


def complete_async_task(
    app: App,
    tenant: str,
    async_task_uuid: str,
    *,
    result: Any = None,
    error: str | None = None,
    usage: Mapping[str, Any] | None = None,
) -> None:
    """End a long job with its `result` (a text, or any JSON) or its `error`, and wake the agent
    that waits for it.

    The same again, with its usage or without, is a success that changes nothing. Raises `NotFound`;
    `Conflict` when the job has ended otherwise; `BadUserInput` for neither or both, or more than
    `MAX_TEXT` characters. A job whose agent waits no longer (it was cancelled, or tries again) ends
    all the same, and nothing follows.
    """
    status, values = _ending(result, error, usage)
    task = _find(app, tenant, async_task_uuid)
    agent_key = (task.agent_session_uuid, task.session_agent_uuid)
    agent = app.records.get(SESSION_AGENT, tenant, agent_key, consistent=True)
    if agent is None:
        raise _missing(async_task_uuid, ": its session agent was deleted")
    digest = _digest(status, values)
    if is_pending := task.status == "pending":
        packed = app.records.store(SESSION_AGENT, tenant, agent_key, values, agent.nonce)
        timers.keep_watching(app, agent)
        try:
            task = app.jobs.end(task, status, packed, digest)
        except Refused as refused:
            task = refused.old
    if task is None or (task.status, task.digest) != (status, digest):
        is_same_end = task is not None and task.digest == _digest(
            status, {**values, "usage": app.records.load(task.usage)}
        )
        if not is_same_end or usage is not None:  # a repetition need not say the usage again
            raise _ended(task, async_task_uuid, other_usage=is_same_end)
    if not is_pending:  # a repetition, whose first try may have died
        timers.keep_watching(app, agent)
    app.queue.send([wake(agent)])


def heartbeat(app: App, tenant: str, async_task_uuid: str) -> None:
    """A long job is still at work: its deadline begins anew. Raises `NotFound`, or `Conflict` when
    it has ended.
    """
    task = _find(app, tenant, async_task_uuid)
    try:
        app.jobs.heartbeat(task)
    except Refused as refused:
        raise _ended(refused.old, async_task_uuid) from refused


# Inside


def _watch_over(app: App, agent: SessionAgent, task: AsyncTask | None) -> None:
    """A job that ended before its agent was parked wakes it now; any other one when its time is
    over.
    """
    if task is None or task.status != "pending":
        app.queue.send([wake(agent)])
    else:
        timers.wake_at(app, agent, task.deadline)


def _ending(result: Any, error: str | None, usage: object) -> tuple[str, dict[str, Any]]:
    """The status of the job, and what is kept of its end."""
    if (result is None) == (error is None):
        raise BadUserInput("completeAsyncTask takes either a result or an error.")
    text = error if error is not None else _text(result)
    if len(text) > MAX_TEXT:
        raise BadUserInput(
            f"The {'error' if error else 'result'} has {len(text)} characters; it takes {MAX_TEXT}."
        )
    if error is not None and not text.strip():
        raise BadUserInput("error is empty; it says why the job failed.")
    status, name = ("completed", "agent_output") if error is None else ("failed", "notes")
    return status, {name: text, "usage": plain_usage(usage) or None}


def _text(result: Any) -> str:
    return without_mark(result) if isinstance(result, str) else _json(result)


def _json(result: Any) -> str:
    try:
        return json_text.dumps(result, compact=True)
    except json_text.NotJSON as error:
        raise BadUserInput(f"result is no JSON: {error}.") from error


def _digest(status: str, values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([status, values], sort_keys=True).encode()).hexdigest()


def _find(app: App, tenant: str, async_task_uuid: str) -> AsyncTask:
    task = app.jobs.get(tenant, async_task_uuid) if is_id(async_task_uuid) else None
    if task is None:
        raise _missing(async_task_uuid)
    return task


def _missing(async_task_uuid: str, why: str = "") -> NotFound:
    return NotFound(f'There is no such async task: "{async_task_uuid[:MAX_ID]}"{why}.')


def _ended(task: AsyncTask | None, async_task_uuid: str, *, other_usage: bool = False) -> Exception:
    if task is None:
        return _missing(async_task_uuid)
    if other_usage:
        return Conflict(
            f"The async task has {task.status} already, with this end but another usage.",
            status=task.status,
        )
    if task.status in ("completed", "failed"):
        return Conflict(f"The async task has {task.status} already.", status=task.status)
    return Conflict(
        "The async task was not heard of in time and has been given up.", status="expired"
    )


def _state(app: App, task: AsyncTask) -> dict[str, Any]:
    details = {"status": task.status, "ended_at": task.ended_at, "usage": task.usage}
    if task.status == "pending":
        details["heartbeat_until"] = datetime.fromtimestamp(task.deadline, UTC).isoformat()
    if task.status == "failed":
        details |= {"error": app.records.load(task.notes), "error_class": "error"}
    if task.status == "expired":
        details |= {"error": _expired(task), "error_class": "timeout"}
    return {name: value for name, value in details.items() if value is not None}


def _expired(task: AsyncTask) -> str:
    return f"The long job was not heard of for {task.heartbeat_seconds:g} seconds."


def _key(agent: SessionAgent) -> tuple[str, str]:
    return agent.session_uuid, agent.session_agent_uuid
