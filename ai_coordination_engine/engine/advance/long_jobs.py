"""Let an agent wait for a long job: its runtime answered "pending" with the uuid of an async task.

No worker and no message waits meanwhile. The wait and the end of the job may
happen at the same time, so both sides write before they read:

- The worker first writes that the agent waits, then reads the job.
- `completeAsyncTask` first writes the end of the job, then wakes the agent.

The one that comes second sees the other's write. A job ends by a single conditional write; the
agent reads the result from the job whenever it is woken. `engine.step` and `engine.beginning` are
the callers; `waits.async_tasks` is the other side.

A runtime may ask to be called again for a job (`look_seconds`), in case its report is lost. A look
is taken by a conditional write, so that each is made once; it ends the job as a report would.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ai_coordination_engine.domain.ids import MAX_ID, is_id
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.domain.usage import plain_usage
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.advance import timers
from ai_coordination_engine.engine.advance.ending import lease_lost
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import cancelling, runs
from ai_coordination_engine.engine.attempt.chain import Chain
from ai_coordination_engine.engine.attempt.request import bare_request
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.observability import logger
from ai_coordination_engine.runtime_ports import AgentFailure, AgentResult, FollowsJobs, Question
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.jobs import Job
from ai_coordination_engine.store.transitions.outcome import Applied, Rejected

LOOK_TIMEOUT_SECONDS = 30.0


def wait(app: App, agent: SessionAgent, started: datetime, result: AgentResult) -> None:
    """Record the attempt as pending and let its agent wait for the job in `result`.

    The wait ends when the job ends, or sends no heartbeat in time. Raises `AgentFailure`, before
    anything is written, if the job's uuid is invalid or in use.
    """
    uuid = result.async_task_uuid or ""
    if not is_id(uuid):
        message = f"An async task uuid has 1 to {MAX_ID} printable bytes, and no space at its ends."
        raise AgentFailure(message, error_class="invalid_output")
    heartbeat_seconds = result.heartbeat_seconds or rules.heartbeat(app, agent)
    opened = app.jobs.open(agent, uuid, heartbeat_seconds, result.look_seconds)
    if isinstance(opened, Rejected):
        message = "The async task uuid is in use by another session agent."
        raise AgentFailure(message, error_class="invalid_output")
    runs.record(
        app,
        agent,
        started,
        outcome="pending",
        reported={"usage": result.usage},
        async_task_uuid=uuid,
    )
    park(app, agent, uuid, opened.record)


def park(app: App, agent: SessionAgent, uuid: str, job: Job | None) -> None:
    """Let an agent wait whose attempt is recorded as pending. If `job` is None (unknown), the wait
    ends at once.
    """
    due_at = job.due_at if job is not None else app.clock.now().timestamp()
    parked = app.agents.wait_for_job(agent, uuid, due_at)
    if isinstance(parked, Applied):
        _watch_over(app, parked.record, app.jobs.get(agent.partition_key, uuid))
        return
    if parked.record is None or parked.record.state in TERMINAL_AGENT_STATES:
        cancelling.cancel_job(app, agent, uuid)  # it began while the agent was ended
    lease_lost(app, agent, parked.record)


def look(app: App, agent: SessionAgent, chain: Chain) -> AgentResult | None:
    """The result of the job that the agent waits for; None while it runs. Raises `AgentFailure`.

    One delayed message at a time ends the wait. If it arrives and the job has sent a heartbeat,
    or was looked at, the next delayed message is sent. A message that arrives earlier sends none,
    or they would multiply; it sets a watch for the sweep instead, in case the sender of the delayed
    message died.
    """
    job = _looked_at(app, agent, _job_of(app, agent), chain)
    if job is None:
        raise AgentFailure(
            "Nothing is known of the long job any more.", retryable=True, error_class="lost"
        )
    if job.status != "pending":
        if job.status == "expired":
            cancelling.cancel_job(app, agent, agent.async_task_uuid)
        return _result(job)
    is_due = agent.due_at <= app.clock.now().timestamp()
    if is_due and isinstance(app.agents.defer(agent, job.due_at), Applied):
        timers.wake_at(app, agent, job.due_at)
    else:
        timers.look_at(app, agent, job.due_at)
    return None


def _looked_at(app: App, agent: SessionAgent, job: Job | None, chain: Chain) -> Job | None:
    """The job after a look at it, if one is due and its runtime can look.

    A job that goes on has thereby sent a heartbeat. One that cannot be looked at now is looked at
    again later, until its deadline.
    """
    if job is None or job.status != "pending" or job.look_at is None:
        return job
    if job.look_at > app.clock.now().timestamp():
        return job
    begun = app.jobs.begin_look(job)
    if isinstance(begun, Rejected):
        return begun.record
    request = bare_request(app, agent, chain.timeout(app, LOOK_TIMEOUT_SECONDS))
    runtime = app.runtimes.find(str(request.runtime.get("kind")))
    if not isinstance(runtime, FollowsJobs):  # the settings have changed
        return begun.record
    try:
        found = runtime.look(request, job.async_task_uuid)
    except AgentFailure as failure:
        if failure.retryable:
            logger.warning("could not look at a long job", extra={"reason": failure.message})
            return begun.record
        return _end(app, agent, begun.record, failure)
    if found is None:
        return app.jobs.heartbeat(begun.record).record
    return _end(app, agent, begun.record, found)


def _end(app: App, agent: SessionAgent, job: Job, result: AgentResult | AgentFailure) -> Job | None:
    """End the job with what the look has found; a report that was faster counts."""
    values: dict[str, Any]
    if isinstance(result, AgentFailure):
        status = "failed"
        values = {"notes": result.message, "usage": plain_usage(result.usage) or None}
        details = {"error_class": result.error_class, "final": not result.retryable}
    else:
        status, details = "asked" if result.question else "completed", {}
        values = {"agent_output": result.output, "usage": plain_usage(result.usage) or None}
        if result.question is not None:
            values |= {"question": asdict(result.question)}
    priced = {**values, **runs.priced(app, result.usage)}
    stored = app.records.store(SESSION_AGENT, agent.partition_key, agent.key, priced, agent.nonce)
    timers.keep_watching(app, agent)
    digest = job_digest(status, values)
    return traces.job_stored(app, agent, app.jobs.end(job, status, {**stored, **details}, digest))


def job_digest(status: str, values: Mapping[str, Any]) -> str:
    """What identifies how a job ended: a repeated report has the same."""
    return hashlib.sha256(json.dumps([status, values], sort_keys=True).encode()).hexdigest()


def _job_of(app: App, agent: SessionAgent) -> Job | None:
    """The job that the agent waits for. A job without a heartbeat in time is expired here."""
    job = app.jobs.get(agent.partition_key, agent.async_task_uuid)
    if job is None or job.status != "pending":
        return job
    is_in_time = job.deadline > app.clock.now().timestamp()
    return job if is_in_time else traces.job_stored(app, agent, app.jobs.expire(job))


def _result(job: Job) -> AgentResult:
    """The result of an ended job. Raises `AgentFailure` if it failed or expired."""
    if job.status == "failed":
        raise AgentFailure(
            job.notes or "The long job failed.",
            retryable=not job.final,
            error_class=job.error_class or "error",
            usage=job.usage,
        )
    if job.status == "expired":
        raise AgentFailure(expired(job), retryable=True, error_class="timeout")
    question = Question(**job.question) if job.status == "asked" else None
    return AgentResult(job.agent_output or "", job.usage or {}, question=question)


def _watch_over(app: App, agent: SessionAgent, job: Job | None) -> None:
    """Wake the agent now if its job has ended meanwhile, else when the job is due."""
    if job is None or job.status != "pending":
        app.queue.send([wake(agent)])
    else:
        timers.wake_at(app, agent, job.due_at)


def expired(job: Job) -> str:
    """The message for a job that sent no heartbeat in time."""
    return f"The long job sent no heartbeat for {job.heartbeat_seconds:g} seconds."
