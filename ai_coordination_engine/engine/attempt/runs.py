"""Record attempts: write exactly one immutable SessionRun for each (promise P5).

`engine.step`, `advance` and `engine.recovery` are the callers.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from ai_coordination_engine.domain.ids import child_uuid
from ai_coordination_engine.domain.tool_calls import plain_tool_calls
from ai_coordination_engine.domain.usage import Usage, plain_usage
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import budgets, limits
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT, SESSION_RUN
from ai_coordination_engine.store.transitions.attempts import lost, met_error
from ai_coordination_engine.store.transitions.outcome import Rejected

_LATE = ("usage", "cost_micro_usd", "price_version")


def record(
    app: App,
    agent: SessionAgent,
    started: datetime,
    *,
    outcome: str,
    reported: Mapping[str, Any] | None = None,
    failure: AgentFailure | None = None,
    output: Any = None,
    async_task_uuid: str | None = None,
) -> None:
    """Write the run of the current attempt, unless it is written already.

    `outcome`: completed, failed, pending or asked. `reported`: what the attempt reported beside its
    output (`usage`, `tool_calls`, and the `choice` of who answers a question). A completed run
    stores the `output` in its stored form, a failed run the `failure` and the usage that it knows
    of, a pending run the uuid of the long job; a run that asked a person stores its question as the
    `output`. Earlier attempts without a run are recorded as lost, too: until now, a late result of
    one would have counted.
    """
    said = dict(reported or {})
    usage = said.pop("usage", None) or (failure.usage if failure else None)
    details: dict[str, Any] = {
        "status": outcome,
        "attempt": agent.attempt,
        "started_at": started.isoformat(),
        "ended_at": app.clock.now().isoformat() if outcome != "pending" else None,
        "error": failure.message if failure else None,
        "error_class": getattr(failure, "error_class", None),
        **_storable(app, said),
        **priced(app, usage),
    }
    given = {name: value for name, value in details.items() if value is not None}
    again = {name: getattr(failure, name, None) for name in ("retryable", "retry_after", "final")}
    kept = {"agent_output": output, "async_task_uuid": async_task_uuid, **again}
    calls: list[partial[Any]] = [
        partial(_put, app, agent, agent.run_uuid, given, kept),
        *_settling(app, agent, outcome, usage, failure),
        *(partial(record_lost, app, agent, attempt, run) for attempt, run in lost(agent)),
    ]
    app.records.parallel.run(calls)


def _settling(
    app: App, agent: SessionAgent, outcome: str, usage: object, failure: AgentFailure | None
) -> "list[partial[None]]":
    """The call that settles what the attempt has reserved, if its agent has a budget; one that goes
    on in a long job keeps it.
    """
    if outcome == "pending" or not limits.applies(app, agent):
        return []
    return [partial(budgets.settle, app, agent, agent.run_uuid, usage, failure)]


def priced(app: App, usage: object) -> dict[str, Any]:
    """What a runtime reported as its usage, and what that costs, as details of a run.

    This is the one place where the cost of an attempt is known.
    """
    plain = plain_usage(usage)
    if not plain:
        return {}
    cost = app.prices.cost(Usage.of(plain), app.clock.now())
    if cost is None:
        return {"usage": plain}
    return {"usage": plain, "cost_micro_usd": cost.micro_usd, "price_version": cost.version}


def _storable(app: App, reported: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in reported.items() if value}
    if calls := given.get("tool_calls"):
        with_content = app.settings.record_content
        given["tool_calls"] = plain_tool_calls(calls, with_content=with_content)
    return given


def ended(app: App, agent: SessionAgent, attempts: Sequence[tuple[int, str]]) -> SessionRun | None:
    """The run of one of these attempts that has a result, so that the agent is not called again.

    It is the latest completed run, else the latest that failed, asked a person or waits for a long
    job. The last attempt need not be the one: it may have died while it took over. None if no
    attempt has a result. At most one BatchGetItem.
    """
    if not attempts:
        return None
    keys = [
        (agent.session_uuid, each) for _, run in attempts for each in (_other_uuid(agent, run), run)
    ]
    found = app.records.get_many(SESSION_RUN, agent.partition_key, keys, consistent=True)
    mine = [
        found[key]
        for key in keys
        if key in found and found[key].session_agent_uuid == agent.session_agent_uuid
    ]
    completed = [run for run in mine if _is_complete(agent, run)]
    others = [run for run in mine if status(run) in ("failed", "pending", "asked")]
    return next(reversed(completed or others), None)


def _is_complete(agent: SessionAgent, run: SessionRun) -> bool:
    """Whether the run is completed and has its output; the output of a map is in its elements."""
    return status(run) == "completed" and (
        run.stored("agent_output") is not None or agent.mapped is not None
    )


def status(run: SessionRun) -> str | None:
    """The recorded status of the attempt; None for a run that a client wrote without one."""
    return (run.async_task or {}).get("status")


def started_at(run: SessionRun, otherwise: float) -> float:
    """When the attempt began, in epoch seconds; `otherwise` if the run does not say."""
    started = run.async_task.get("started_at")
    return datetime.fromisoformat(started).timestamp() if started else otherwise


def failure(run: SessionRun) -> AgentFailure:
    """The failure of a failed run."""
    details = run.async_task
    return AgentFailure(
        details.get("error", ""),
        retryable=bool(run.retryable),
        retry_after=run.retry_after,
        error_class=details.get("error_class", "error"),
        final=bool(run.final),
    )


def record_lost(app: App, agent: SessionAgent, attempt: int, run_uuid: str) -> SessionRun:
    """Write the run of a lost attempt (its lease expired, or it met an error), unless its worker
    has written one. Returns the run that is stored.
    """
    details = {
        "status": "lost",
        "attempt": attempt,
        "error": "No result came: the lease ran out, or the process that ran it ended.",
        "error_class": "lost",
    }
    if met_error(agent, run_uuid):
        details |= {
            "error": "It met an unexpected error; the log says which.",
            "error_class": "internal",
        }
    put = _put(app, agent, run_uuid, details)
    known = (status(put) in ("completed", "failed", "asked") and put.async_task) or {}
    failed = failure(put) if status(put) == "failed" else None
    budgets.settle(app, agent, run_uuid, known.get("usage"), failed)
    return put


def forget(app: App, agent: SessionAgent) -> None:
    """Delete the run and the output of an attempt whose agent was deleted (promise P1)."""
    guards.remove_blobs(app.records, SESSION_AGENT, agent)
    for run_uuid in (agent.run_uuid, _other_uuid(agent, agent.run_uuid)):
        if app.runs.take_back(agent, run_uuid):
            return


def sweep(app: App, wake: Wake) -> None:
    """Delete the runs and blobs of a deleted agent whose session was deleted too (promise P1)."""
    for run in app.runs.of_agent(wake.tenant, wake.session_uuid, wake.session_agent_uuid):
        if app.records.get_stored(SESSION, wake.tenant, run.session_key) is None:
            app.runs.delete(run)


def _put(
    app: App,
    agent: SessionAgent,
    run_uuid: str,
    details: Mapping[str, Any],
    kept: Mapping[str, Any] | None = None,
) -> SessionRun:
    """Write a run under the uuid of its attempt, unless it is there already; return the one there.

    If a client has written another run under that uuid, a second uuid is computed from the attempt.
    """
    values = {name: value for name, value in (kept or {}).items() if value is not None}
    # the engine runs the attempt itself: the run is the task
    values.setdefault("async_task_uuid", run_uuid)
    put = app.runs.put_once(_run(app, agent, run_uuid, details, values))
    if isinstance(put, Rejected):
        logger.error(
            "the uuid of a run is taken",
            extra={"run_uuid": run_uuid, "partition_key": agent.partition_key},
        )
        other = _other_uuid(agent, run_uuid)
        put = app.runs.put_once(_run(app, agent, other, details, values))
        if isinstance(put, Rejected):
            raise RuntimeError(f"Both uuids of the run {run_uuid} are taken.")
    if put.again:
        late = {name: details[name] for name in _LATE if name in details}
        if details["status"] == "pending":
            late["async_task_uuid"] = values["async_task_uuid"]
        learn(app, agent, put.record, late)
    else:
        traces.attempt_ended(app, agent, run_uuid, details)
    return put.record


def learn(app: App, agent: SessionAgent, run: SessionRun, late: Mapping[str, Any]) -> None:
    """Keep what has become known of an attempt, its usage or its long job, after it was recorded as
    lost, unless something is known. What its run says does not change. `accounts` counts it.
    """
    if not late or status(run) != "lost" or run.stored("late") is not None:
        return
    if app.late_usage.of_run(run, late) and "usage" in late:
        traces.usage_learned(app, agent, run.run_uuid, {**run.async_task, **late})


def _other_uuid(agent: SessionAgent, run_uuid: str) -> str:
    return child_uuid(f"{agent.session_agent_uuid}/{run_uuid}", 0, agent.created_at)


def _run(
    app: App,
    agent: SessionAgent,
    run_uuid: str,
    details: Mapping[str, Any],
    values: Mapping[str, Any],
) -> SessionRun:
    key = (agent.session_uuid, run_uuid)
    now = app.clock.now()
    stored_values = app.records.store(
        SESSION_RUN, agent.partition_key, key, {"async_task": details}
    )
    return SessionRun(
        session_uuid=agent.session_uuid,
        run_uuid=run_uuid,
        partition_key=agent.partition_key,
        coordination_uuid=agent.coordination_uuid,
        session_agent_uuid=agent.session_agent_uuid,
        agent_uuid=rules.executed_by(agent),
        thread_uuid=agent.thread_uuid or agent.session_agent_uuid,
        updated_by="engine",
        created_at=now,
        updated_at=now,
        epoch=agent.epoch,
        **values,
        **stored_values,
    )
