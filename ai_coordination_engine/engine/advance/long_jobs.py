"""Agents that wait for a long job: they answered "pending", and go on without a message and without
a process.

Nothing polls. Who completes a job writes its item first and wakes the agent then; who parks an
agent parks it first and looks at the item then: whichever comes second sees the other. The item's
one write from pending decides how the job ended; the agent takes it from there when it is woken, as
often as that may be.
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
        raise AgentFailure(expired(job), retryable=True, error_class="timeout")
    return AgentResult(job.agent_output or "", job.usage or {})


def _watch_over(app: App, agent: SessionAgent, job: Job | None) -> None:
    """A job that ended before its agent was parked wakes it now; any other one when its time is
    over.
    """
    if job is None or job.status != "pending":
        app.queue.send([wake(agent)])
    else:
        timers.wake_at(app, agent, job.deadline)


def expired(job: Job) -> str:
    """Why a job is given up, in words."""
    return f"The long job was not heard of for {job.heartbeat_seconds:g} seconds."
