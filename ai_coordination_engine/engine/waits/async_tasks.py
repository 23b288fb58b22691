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
from ai_coordination_engine.engine.advance.ending import lease_lost
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import runs
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.inputs import MAX_TEXT
from ai_coordination_engine.engine.waits import timers
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.ports import AgentFailure, AgentResult
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.jobs import Job
from ai_coordination_engine.store.transitions.outcome import Applied, Rejected

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
    heartbeat_seconds = result.heartbeat_seconds or rules.heartbeat(app, agent)
    opened = app.jobs.open(agent, uuid, heartbeat_seconds)
    if isinstance(opened, Rejected):
        message = "The async task uuid is in use by another session agent."
        raise AgentFailure(message, error_class="invalid_output")
    runs.record(app, agent, started, outcome="pending", usage=result.usage, async_task_uuid=uuid)
    park(app, agent, uuid, opened.record)


def park(app: App, agent: SessionAgent, uuid: str, job: Job | None) -> None:
    """Park an agent whose attempt is recorded as pending until its long job ends; at once when
    nobody knows the job.
    """
    deadline = job.deadline if job is not None else app.clock.now().timestamp()
    parked = app.agents.wait_for_job(agent, uuid, deadline)
    if isinstance(parked, Applied):
        _watch_over(app, parked.record, app.jobs.get(agent.partition_key, uuid))
    else:
        lease_lost(app, agent, parked.record)


def look(app: App, agent: SessionAgent) -> AgentResult | None:
    """What became of the job that the agent waits for; None while it goes on. Raises
    `AgentFailure`.

    The agent has one message under way that ends its wait. Whoever comes at that time and finds
    that the job was heard of sends the next; who comes earlier sends none, or there would be more
    of them with every look, but has the sweep look then: whoever was to send one may have died.
    """
    job = _job_of(app, agent)
    if job is None:
        raise AgentFailure(
            "Nothing is known of the long job any more.", retryable=True, error_class="lost"
        )
    if job.status != "pending":
        return _result(job)
    is_due = agent.due_at <= app.clock.now().timestamp()
    if is_due and isinstance(app.agents.defer(agent, job.deadline), Applied):
        timers.wake_at(app, agent, job.deadline)
    else:
        timers.look_at(app, agent, job.deadline)
    return None


def _job_of(app: App, agent: SessionAgent) -> Job | None:
    """The job that the agent waits for; it has expired once it was not heard of in time."""
    job = app.jobs.get(agent.partition_key, agent.async_task_uuid)
    if job is None or job.status != "pending":
        return job
    is_in_time = job.deadline > app.clock.now().timestamp()
    return job if is_in_time else app.jobs.expire(job).record


def _result(job: Job) -> AgentResult:
    """What an ended job has answered. Raises `AgentFailure`."""
    if job.status == "failed":
        raise AgentFailure(job.notes or "The long job failed.", retryable=True)
    if job.status == "expired":
        raise AgentFailure(_expired(job), retryable=True, error_class="timeout")
    return AgentResult(job.agent_output or "", job.usage or {})


def states(
    app: App, tenant: str, async_task_uuids: Sequence[str], *, consistent: bool = False
) -> dict[str, dict[str, Any]]:
    """What became of these long jobs, by uuid: `status`, and where there are any `ended_at`,
    `usage`, `error`, `error_class`, `heartbeat_until`. Session runs never change; this is what has
    happened since.
    """
    known = [each for each in async_task_uuids if is_id(each)]
    found = app.jobs.get_many(tenant, known, consistent=consistent)
    return {uuid: _state(job) for uuid, job in found.items()}


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
    job = _find(app, tenant, async_task_uuid)
    agent_key = (job.agent_session_uuid, job.session_agent_uuid)
    agent = app.records.get(SESSION_AGENT, tenant, agent_key, consistent=True)
    if agent is None:
        raise _missing(async_task_uuid, ": its session agent was deleted")
    digest = _digest(status, values)
    now: Job | None = job
    if is_pending := job.status == "pending":
        packed = app.records.store(SESSION_AGENT, tenant, agent_key, values, agent.nonce)
        timers.keep_watching(app, agent)
        now = app.jobs.end(job, status, packed, digest).record
    if now is None or (now.status, now.digest) != (status, digest):
        is_same_end = now is not None and now.digest == _digest(
            status, {**values, "usage": now.usage}
        )
        if not is_same_end or usage is not None:  # a repetition need not say the usage again
            raise _ended(now, async_task_uuid, other_usage=is_same_end)
    if not is_pending:  # a repetition, whose first try may have died
        timers.keep_watching(app, agent)
    app.queue.send([wake(agent)])


def heartbeat(app: App, tenant: str, async_task_uuid: str) -> None:
    """A long job is still at work: its deadline begins anew. Raises `NotFound`, or `Conflict` when
    it has ended.
    """
    heard_of = app.jobs.heartbeat(_find(app, tenant, async_task_uuid))
    if isinstance(heard_of, Rejected):
        raise _ended(heard_of.record, async_task_uuid)


# Inside


def _watch_over(app: App, agent: SessionAgent, job: Job | None) -> None:
    """A job that ended before its agent was parked wakes it now; any other one when its time is
    over.
    """
    if job is None or job.status != "pending":
        app.queue.send([wake(agent)])
    else:
        timers.wake_at(app, agent, job.deadline)


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


def _find(app: App, tenant: str, async_task_uuid: str) -> Job:
    job = app.jobs.get(tenant, async_task_uuid) if is_id(async_task_uuid) else None
    if job is None:
        raise _missing(async_task_uuid)
    return job


def _missing(async_task_uuid: str, why: str = "") -> NotFound:
    return NotFound(f'There is no such async task: "{async_task_uuid[:MAX_ID]}"{why}.')


def _ended(job: Job | None, async_task_uuid: str, *, other_usage: bool = False) -> Exception:
    if job is None:
        return _missing(async_task_uuid)
    if other_usage:
        return Conflict(
            f"The async task has {job.status} already, with this end but another usage.",
            status=job.status,
        )
    if job.status in ("completed", "failed"):
        return Conflict(f"The async task has {job.status} already.", status=job.status)
    return Conflict(
        "The async task was not heard of in time and has been given up.", status="expired"
    )


def _state(job: Job) -> dict[str, Any]:
    details = {"status": job.status, "ended_at": job.ended_at, "usage": job.usage}
    if job.status == "pending":
        details["heartbeat_until"] = datetime.fromtimestamp(job.deadline, UTC).isoformat()
    if job.status == "failed":
        details |= {"error": job.notes, "error_class": "error"}
    if job.status == "expired":
        details |= {"error": _expired(job), "error_class": "timeout"}
    return {name: value for name, value in details.items() if value is not None}


def _expired(job: Job) -> str:
    return f"The long job was not heard of for {job.heartbeat_seconds:g} seconds."


def _key(agent: SessionAgent) -> tuple[str, str]:
    return agent.session_uuid, agent.session_agent_uuid
