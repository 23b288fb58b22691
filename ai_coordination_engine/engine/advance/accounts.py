"""Count what the runs of a session used, once it has ended (`store.transitions.usage_counters`).

A step makes no request for it: an agent that has asked a model is `metered`, which its edges and
sinks hand on in the writes that they make anyway. A session that ends and is metered reads its runs
once, and counts what was not counted of them. All of it may be repeated.
"""

from collections.abc import Mapping, Sequence

from ai_coordination_engine.domain.accounts import (
    Accounts,
    Counts,
    account_of,
    counts_of,
    loaded,
    new_in,
)
from ai_coordination_engine.domain.attempts import Attempt
from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.domain.usage import Usage
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.store.models import Session, SessionAgent, SessionRun
from ai_coordination_engine.store.records.entities import SESSION, SESSION_RUN
from ai_coordination_engine.store.transitions.jobs import Job
from ai_coordination_engine.store.transitions.usage_counters import AT_ONCE, UNCOUNTED

_TRIES = 6


def meter(agent: SessionAgent, usage: object) -> None:
    """Note that the agent has asked a model, if its usage says so; its next write stores that."""
    if Usage.of(usage).is_metered:
        agent.metered = True


def noted(agent: SessionAgent) -> dict[str, object]:
    """What a write stores for an agent that has asked a model."""
    return {"metered": True} if agent.metered else {}


def count_ended(app: App, session: Session) -> None:
    """Count a session that has ended, unless that was done since; and one of which more has become
    known.
    """
    if session.metered and _is_due(session) and not is_counted(session):
        count(app, session)


def count_question(app: App, agent: SessionAgent) -> None:
    """Count what a question (`planning.ask`) has used, which its session does not wait for."""
    if agent.metered:
        _count_of(app, agent, also_open=True)


def count_late(app: App, agent: SessionAgent) -> None:
    """Count an attempt whose result came too late for its agent. If the session has not ended, it
    is noted there, unless the late result has noted it.
    """
    if agent.metered:
        _count_of(app, agent, also_open=agent.sink_count == 0)


def note(app: App, agent: SessionAgent) -> None:
    """Note in the agent's session that a long job of it has asked a model: the agent may be
    cancelled before it learns that.
    """
    _count_of(app, agent, also_open=False)


def is_counted(session: Session) -> bool:
    """Whether the session was counted since its latest reset."""
    return session.counted_epoch is not None and session.counted_epoch >= (session.epoch or 0)


def count(app: App, session: Session) -> None:
    """Count what the session's runs used and was not counted yet. Raises `Throttled` when others
    count it at the same time.

    One Query a megabyte of runs, and a transaction for each `AT_ONCE` accounts.
    """
    now: Session | None = session
    for tries in range(_TRIES):
        if now is None:
            return
        counted = loaded(now.counted)
        new = new_in(accounts_of(app, now), counted)
        some = dict(sorted(new.items())[:AT_ONCE])
        is_all = len(some) == len(new)
        if not some:
            return
        added = app.usage_counters.add(now, counted, some, is_all=is_all, again=tries > 0)
        if added and is_all:
            return
        now = app.records.get_stored(SESSION, session.partition_key, session.key)
    raise Throttled("The usage of the session is being counted concurrently; it is counted later.")


def accounts_of(app: App, session: Session) -> Accounts:
    """What the session's runs used, as far as it is known."""
    rows = app.records.children(SESSION_RUN, session.partition_key, session.key, consistent=True)
    mine = [each for each in rows if each.coordination_uuid == session.coordination_uuid]
    found: Accounts = {}
    for run, attempt in attempts_of(app, session.partition_key, mine):
        counts = counts_of(attempt)
        if counts.runs:
            account = account_of(attempt, run.agent_uuid or "", run.created_at, run.epoch)
            found[account] = found.get(account, Counts()) + counts
    return found


def attempts_of(
    app: App, tenant: str, runs: Sequence[SessionRun]
) -> list[tuple[SessionRun, Attempt]]:
    """The attempts that these runs describe; of a long job, with how it ended."""
    read = [(each, Attempt.of(each.async_task, each.late)) for each in runs]
    waiting = [uuid for run, attempt in read if (uuid := job_of(run, attempt)) is not None]
    jobs = app.jobs.get_many(tenant, waiting, consistent=True) if waiting else {}
    found = [jobs.get(job_of(*each) or "") for each in read]
    return [(each[0], _with_job(*each, job)) for each, job in zip(read, found, strict=True)]


def job_of(run: SessionRun, attempt: Attempt) -> str | None:
    """The uuid of the long job in which an attempt goes on, also if that is known late; else
    None.
    """
    if attempt.status == "pending":
        return run.async_task_uuid or None
    return run.late.get("async_task_uuid") if isinstance(run.late, Mapping) else None


def _with_job(run: SessionRun, attempt: Attempt, job: Job | None) -> Attempt:
    """The attempt with what its long job used, unless a later attempt goes on in the job."""
    if job is None or job.usage is None or job.attempt_uuid not in (None, run.run_uuid):
        return attempt
    names = ["ended_at", "usage", "cost_micro_usd", "price_version"]
    if attempt.status == "pending":
        names.append("status")
    return Attempt.of({**(attempt.details or {}), **{each: getattr(job, each) for each in names}})


def _count_of(app: App, agent: SessionAgent, *, also_open: bool) -> None:
    session = app.records.get_stored(SESSION, agent.partition_key, agent.session_key)
    if session is None:
        return
    if not also_open and not _is_due(session) and not session.metered:
        noted = app.usage_counters.note(session)
        if noted is None:
            return
        session = noted
    if also_open or _is_due(session):  # perhaps by now
        count(app, session)


def _is_due(session: Session) -> bool:
    return session.status in TERMINAL_SESSION_STATUSES or session.counted_epoch == UNCOUNTED
