"""Count what long jobs have used for which no agent waits when they are reported: it was cancelled,
its attempt was lost, or the job had expired. Each may be repeated.

`async_tasks` is the caller.
"""

from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.domain.usage import Usage
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.advance import accounts
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import budgets, runs
from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.records.entities import SESSION_AGENT, SESSION_RUN
from ai_coordination_engine.store.transitions.attempts import lost
from ai_coordination_engine.store.transitions.jobs import Job


def note(app: App, agent: SessionAgent, usage: object) -> None:
    """Call this before a job ends: if its agent has ended, its session is to be counted again."""
    if agent.state in TERMINAL_AGENT_STATES and Usage.of(usage).is_metered:
        app.late_usage.note(agent.partition_key, agent.session_key)


def count_expired(app: App, agent: SessionAgent, job: Job, usage: object) -> None:
    """Keep and count the usage of a job that had expired before it was reported; the first report
    counts.
    """
    if not Usage.of(usage).is_metered:
        return
    priced = runs.priced(app, usage)
    if app.late_usage.of_job(job, agent.session_key, priced):
        traces.usage_learned(app, agent, _run_of(agent, job), {"status": job.status, **priced})
    known = app.jobs.get(job.partition_key, job.async_task_uuid)
    _count(app, agent, job, usage if known is None else known.usage)


def count(app: App, agent: SessionAgent, job: Job) -> None:
    """Settle what a job that has ended had reserved. Count the job unless its agent waits for it
    and so counts it itself.
    """
    if job.attempt_uuid is not None:  # now: its agent may be cancelled before it reads the job
        budgets.settle(app, agent, job.attempt_uuid, job.usage)
    if not Usage.of(job.usage).is_metered:
        return
    now = app.records.get_stored(SESSION_AGENT, agent.partition_key, agent.key)
    if now is None:
        return
    if _is_awaited(now, job):
        accounts.note(app, now)
        return
    _count(app, now, job, job.usage)


def _is_awaited(agent: SessionAgent, job: Job) -> bool:
    is_in_it = job.async_task_uuid == agent.async_task_uuid or job.attempt_uuid == agent.run_uuid
    return is_in_it and agent.state not in TERMINAL_AGENT_STATES


def _count(app: App, agent: SessionAgent, job: Job, usage: object) -> None:
    _tell_lost(app, agent, job)
    budgets.settle(app, agent, _run_of(agent, job), usage)
    agent.metered = True
    accounts.count_late(app, agent)


def _tell_lost(app: App, agent: SessionAgent, job: Job) -> None:
    """If the attempt that began the job was lost, its run tells the job from now on."""
    run: SessionRun | None
    run_uuid = _run_of(agent, job)
    attempts = [attempt for attempt, run in lost(agent) if run == run_uuid]
    if attempts:
        run = runs.record_lost(app, agent, attempts[0], run_uuid)
    else:
        key = (agent.session_uuid, run_uuid)
        run = app.records.get_stored(SESSION_RUN, agent.partition_key, key)
    if run is not None and run.session_agent_uuid == agent.session_agent_uuid:
        runs.learn(app, agent, run, {"async_task_uuid": job.async_task_uuid})


def _run_of(agent: SessionAgent, job: Job) -> str:
    return job.attempt_uuid or agent.run_uuid or ""
