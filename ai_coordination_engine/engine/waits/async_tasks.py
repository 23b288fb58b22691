"""Long jobs as seen by the service that does them: state, end and heartbeat.

The mutations `completeAsyncTask` and `heartbeatAsyncTask` are the callers.
`engine.advance.long_jobs` handles the agents that wait.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.charsets import without_bom
from ai_coordination_engine.domain.ids import MAX_ID, is_id
from ai_coordination_engine.domain.usage import plain_usage
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.advance import long_jobs, timers
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import runs
from ai_coordination_engine.engine.graph.inputs import MAX_TEXT
from ai_coordination_engine.engine.waits import late_jobs
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.jobs import Job
from ai_coordination_engine.store.transitions.outcome import Applied, Rejected


def states(
    app: App, tenant: str, async_task_uuids: Sequence[str], *, consistent: bool = False
) -> dict[str, dict[str, Any]]:
    """The present states of these long jobs, by uuid.

    Keys: `status`, and if known `ended_at`, `usage`, `error`, `error_class`, `heartbeat_until`, and
    `attempt_uuid` (the run of the latest attempt that goes on in it). A session run never changes,
    so it does not show how its job ended; this does.
    """
    known = [each for each in async_task_uuids if is_id(each)]
    found = app.jobs.get_many(tenant, known, consistent=consistent)
    return {uuid: _state(job) for uuid, job in found.items()}


def complete_async_task(
    app: App,
    tenant: str,
    async_task_uuid: str,
    *,
    result: Any = None,
    error: str | None = None,
    usage: Mapping[str, Any] | None = None,
) -> None:
    """End a long job with its `result` (a text, or any JSON) or its `error`, and wake its agent.

    A repetition, with or without the same `usage`, is a success without effect. If the agent no
    longer waits (it was cancelled, or is tried again), only the job changes. Raises `NotFound`;
    `Conflict` if the job has ended in another way; `BadUserInput` for neither or both of result and
    error, or for more than `MAX_TEXT` characters.
    """
    status, values = _ending(result, error, usage)
    job = _find(app, tenant, async_task_uuid)
    agent_key = (job.agent_session_uuid, job.session_agent_uuid)
    agent = app.records.get(SESSION_AGENT, tenant, agent_key, consistent=True)
    if agent is None:
        raise _missing(async_task_uuid, ": its session agent was deleted")
    digest = long_jobs.job_digest(status, values)
    now: Job | None = job
    if is_pending := job.status == "pending":
        priced = {**values, **runs.priced(app, usage)}
        stored_values = app.records.store(SESSION_AGENT, tenant, agent_key, priced, agent.nonce)
        timers.keep_watching(app, agent)
        late_jobs.note(app, agent, usage)
        ended = app.jobs.end(job, status, stored_values, digest)
        now = traces.job_stored(app, agent, ended)
    if now is None:
        raise _missing(async_task_uuid)
    if now.status == "expired":
        late_jobs.count_expired(app, agent, now, usage)
    if (now.status, now.digest) != (status, digest):
        is_same_end = now.digest == long_jobs.job_digest(status, {**values, "usage": now.usage})
        if not is_same_end or usage is not None:  # a repetition may leave the usage out
            raise _ended(now, async_task_uuid, other_usage=is_same_end)
    if not is_pending:  # a repetition: the first try may have died before it woke the agent
        timers.keep_watching(app, agent)
    late_jobs.count(app, agent, now)
    app.queue.send([wake(agent)])


def heartbeat(app: App, tenant: str, async_task_uuid: str) -> None:
    """Renew the deadline of a long job. Raises `NotFound`, and `Conflict` if it has ended."""
    heard_of = app.jobs.heartbeat(_find(app, tenant, async_task_uuid))
    if isinstance(heard_of, Rejected):
        raise _ended(heard_of.record, async_task_uuid)


def notice(app: App, tenant: str, session_uuid: str, session_agent_uuid: str) -> None:
    """Let a worker look at the long job of an agent now: somebody says that it has changed.

    Nothing happens if the agent waits for no job, or its job is never looked at. Raises `NotFound`.
    """
    key = (session_uuid, session_agent_uuid)
    agent = app.records.get(SESSION_AGENT, tenant, key, consistent=True)
    if agent is None:
        raise SESSION_AGENT.missing(key)
    if agent.async_task_uuid is None:
        return
    job = app.jobs.get(tenant, agent.async_task_uuid)
    if job is not None and isinstance(app.jobs.look_soon(job), Applied):
        app.queue.send([wake(agent)])


# Inside


def _ending(result: Any, error: str | None, usage: object) -> tuple[str, dict[str, Any]]:
    """The new status of the job, and the values to store. Raises `BadUserInput`."""
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
    return without_bom(result) if isinstance(result, str) else _json(result)


def _json(result: Any) -> str:
    try:
        return json_text.dumps(result, compact=True)
    except json_text.NotJSON as error:
        raise BadUserInput(f"result is not valid JSON: {error}.") from error


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
    if job.status in ("completed", "failed", "asked"):
        return Conflict(f"The async task has {job.status} already.", status=job.status)
    return Conflict("The async task sent no heartbeat in time and has expired.", status="expired")


def _state(job: Job) -> dict[str, Any]:
    details: dict[str, Any] = {"status": job.status, "ended_at": job.ended_at}
    names = ("usage", "cost_micro_usd", "price_version", "attempt_uuid")
    details |= {name: getattr(job, name) for name in names}
    if job.status == "pending":
        details["heartbeat_until"] = datetime.fromtimestamp(job.deadline, UTC).isoformat()
    if job.status == "failed":
        details |= {"error": job.notes, "error_class": "error"}
    if job.status == "expired":
        details |= {"error": long_jobs.expired(job), "error_class": "timeout"}
    return {name: value for name, value in details.items() if value is not None}
