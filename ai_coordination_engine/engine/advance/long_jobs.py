"""Let an agent wait for a long job: its runtime answered "pending" with the uuid of an async task.

No worker and no message waits meanwhile, and nothing polls. The wait and the end of the job may
happen at the same time, so both sides write before they read:

- The worker first writes that the agent waits, then reads the job.
- `completeAsyncTask` first writes the end of the job, then wakes the agent.

The one that comes second sees the other's write. A job ends by a single conditional write; the
agent reads the result from the job whenever it is woken. `engine.step` is the caller;
`waits.async_tasks` is the other side.
"""

from datetime import datetime

from ai_coordination_engine.domain.ids import MAX_ID, is_id
from ai_coordination_engine.engine.advance import timers
from ai_coordination_engine.engine.advance.ending import lease_lost
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import runs
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.ports import AgentFailure, AgentResult
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.transitions.jobs import Job
from ai_coordination_engine.store.transitions.outcome import Applied, Rejected


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
    opened = app.jobs.open(agent, uuid, heartbeat_seconds)
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
    deadline = job.deadline if job is not None else app.clock.now().timestamp()
    parked = app.agents.wait_for_job(agent, uuid, deadline)
    if isinstance(parked, Applied):
        _watch_over(app, parked.record, app.jobs.get(agent.partition_key, uuid))
    else:
        lease_lost(app, agent, parked.record)


def look(app: App, agent: SessionAgent) -> AgentResult | None:
    """The result of the job that the agent waits for; None while it runs. Raises `AgentFailure`.

    One delayed message at a time ends the wait. If it arrives and the job has sent a heartbeat,
    the next delayed message is sent. A message that arrives earlier sends none, or they would
    multiply; it sets a watch for the sweep instead, in case the sender of the delayed message died.
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
    """The job that the agent waits for. A job without a heartbeat in time is expired here."""
    job = app.jobs.get(agent.partition_key, agent.async_task_uuid)
    if job is None or job.status != "pending":
        return job
    is_in_time = job.deadline > app.clock.now().timestamp()
    return job if is_in_time else app.jobs.expire(job).record


def _result(job: Job) -> AgentResult:
    """The result of an ended job. Raises `AgentFailure` if it failed or expired."""
    if job.status == "failed":
        raise AgentFailure(job.notes or "The long job failed.", retryable=True)
    if job.status == "expired":
        raise AgentFailure(expired(job), retryable=True, error_class="timeout")
    return AgentResult(job.agent_output or "", job.usage or {})


def _watch_over(app: App, agent: SessionAgent, job: Job | None) -> None:
    """Wake the agent now if its job has ended meanwhile, else at the job's deadline."""
    if job is None or job.status != "pending":
        app.queue.send([wake(agent)])
    else:
        timers.wake_at(app, agent, job.deadline)


def expired(job: Job) -> str:
    """The message for a job that sent no heartbeat in time."""
    return f"The long job sent no heartbeat for {job.heartbeat_seconds:g} seconds."
