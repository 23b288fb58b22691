"""What operators see of a session, made from the stored records: its trace, and what has ended.

Nothing of it is computed unless the process exports something (`App.telemetry`). An attempt or a
session is exported once its end is stored, by the process that stored it. Measurements are made
once at most: by whose write was the first. Spans may come again, under the same ids.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any
from uuid import UUID

from ai_coordination_engine.domain import trace_context
from ai_coordination_engine.domain.attempts import Attempt
from ai_coordination_engine.domain.observed import (
    ASKED,
    COMPLETED,
    EXPIRED,
    FAILED,
    LOST,
    EndedAttempt,
    EndedSession,
)
from ai_coordination_engine.domain.runtimes import MODEL_KINDS
from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.domain.trace_context import TraceContext
from ai_coordination_engine.domain.usage import plain_usage
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.inputs import AgentOutput
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session, SessionAgent, SessionRun
from ai_coordination_engine.store.transitions.jobs import Job
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome

_NOTHING = nullcontext()


def of_attempt(app: App, agent: SessionAgent) -> TraceContext | None:
    """What the current attempt sends to the services that it calls; None: nothing.

    A process that exports no spans passes the caller's context on unchanged.
    """
    caller = trace_context.read(agent.trace)
    if app.telemetry is None:
        return caller
    ids = agent.partition_key, agent.session_uuid
    root = app.telemetry.root(caller.trace_id if caller else trace_context.trace_id(*ids), caller)
    return root.span(trace_context.attempt_span(*ids, agent.session_agent_uuid, agent.attempt or 1))


def running(app: App, request: AgentRequest) -> AbstractContextManager[object]:
    """A context in which spans of other instrumentation are below the attempt of a request."""
    attempt = _context(request) if app.telemetry is not None else None
    return _NOTHING if attempt is None or app.telemetry is None else app.telemetry.running(attempt)


def answered(app: App, request: AgentRequest, result: AgentResult) -> None:
    """The agent has answered a request."""
    if app.telemetry is not None and (attempt := _context(request)) is not None:
        app.telemetry.content(attempt, request, result)


def _context(request: AgentRequest) -> TraceContext | None:
    return trace_context.read(f"{request.traceparent} {request.tracestate}".rstrip())


def attempt_ended(
    app: App,
    agent: SessionAgent,
    run_uuid: str,
    details: Mapping[str, Any],
    *,
    is_first: bool = True,
) -> None:
    """An attempt of the agent is stored with these `details` of its run. It is measured by the
    process that stored it alone (`is_first`).

    Exported once the transaction of this thread is committed, if it is in one. An attempt that goes
    on elsewhere is exported when its long job has ended.
    """
    if app.telemetry is None or details.get("status") not in (COMPLETED, FAILED, LOST, ASKED):
        return
    ended = _ended_attempt(app, agent, run_uuid, details)
    app.records.parallel.afterwards(partial(app.telemetry.attempt_ended, ended))
    if is_first:
        app.records.parallel.afterwards(partial(app.telemetry.attempt_measured, ended))


def recorded_attempt(app: App, agent: SessionAgent, run: SessionRun) -> None:
    """The stored run of an attempt is found by another worker; the one that wrote it may have died
    before it exported the attempt. Its spans are exported again, under the same ids; it is measured
    by who wrote it, or never.
    """
    if app.telemetry is not None and isinstance(run.async_task, Mapping):
        attempt_ended(app, agent, run.run_uuid, run.async_task, is_first=False)


def usage_learned(app: App, agent: SessionAgent, run_uuid: str, details: Mapping[str, Any]) -> None:
    """What an attempt has used is stored, which was not known when its end was exported: these
    `details` of its run tell it.
    """
    _measure(app, agent, run_uuid, details, usage_alone=True)


def job_stored(app: App, agent: SessionAgent, ended: Outcome[Job]) -> Job | None:
    """The job after the write that may have ended it: who has ended it measures its attempt, or its
    usage alone if the agent goes on without it.
    """
    job = ended.record
    if isinstance(ended, Applied):
        has_failed = ended.record.status in (FAILED, EXPIRED)
        details = {
            "status": FAILED if has_failed else COMPLETED,
            "error_class": ended.record.why if has_failed else None,
            **{name: getattr(job, name) for name in ("usage", "cost_micro_usd", "ended_at")},
        }
        run_uuid = ended.record.attempt_uuid or agent.run_uuid
        is_its_own = run_uuid == agent.run_uuid
        _measure(app, agent, run_uuid, details, usage_alone=not is_its_own)
    return job


def job_ended(
    app: App, agent: SessionAgent, result: AgentResult | AgentFailure, priced: Mapping[str, Any]
) -> None:
    """The long job of the agent's attempt has ended, and the attempt with it (`job_stored` measures
    it). `priced`: its usage and cost, as details of a run.
    """
    if app.telemetry is None or agent.acting:
        return
    details: dict[str, Any] = {"status": COMPLETED, "attempt": agent.attempt, **priced}
    if isinstance(result, AgentFailure):
        details |= {"status": FAILED, "error_class": result.error_class}
    attempt_ended(app, agent, agent.run_uuid, details, is_first=False)


def session_ended(app: App, outcome: Outcome[Session]) -> Outcome[Session]:
    """The outcome of a transition that may end a session; if it has just done so, it is exported
    as in `attempt_ended`.
    """
    if app.telemetry is not None and isinstance(outcome, Applied) and not outcome.again:
        session = outcome.record
        if session.status in TERMINAL_SESSION_STATUSES:
            ended = partial(app.telemetry.session_ended, _ended_session(session))
            app.records.parallel.afterwards(ended)
    return outcome


def handed_off(app: App, agent: SessionAgent, before: Sequence[AgentOutput]) -> None:
    """The first attempt of an agent begins, whose predecessors have these outputs."""
    if app.telemetry is None or agent.attempt != 1 or agent.user_input is not None:
        return
    ends = [each.ended_at for each in before if each.ended_at is not None]
    if ends and agent.map_ordinal is None and agent.started_at is not None:
        app.telemetry.handed_off(max(agent.started_at - max(ends), 0.0))


# Inside


def _measure(
    app: App, agent: SessionAgent, run_uuid: str, details: Mapping[str, Any], *, usage_alone: bool
) -> None:
    if app.telemetry is not None:
        ended = _ended_attempt(app, agent, run_uuid, details)
        measure = partial(app.telemetry.attempt_measured, ended, usage_alone=usage_alone)
        app.records.parallel.afterwards(measure)


def _ended_attempt(
    app: App, agent: SessionAgent, run_uuid: str, details: Mapping[str, Any]
) -> EndedAttempt:
    definition = _definition(agent)
    runtime = definition.get("runtime") or app.settings.default_runtime
    kind, model = str(runtime.get("kind")), runtime.get("model")
    run, now = Attempt.of(details), app.clock.now().timestamp()
    return EndedAttempt(
        tenant=agent.partition_key,
        session_uuid=agent.session_uuid,
        session_agent_uuid=agent.session_agent_uuid,
        coordination_uuid=agent.coordination_uuid,
        agent_uuid=rules.executed_by(agent),
        agent_name=definition.get("agent_name") or rules.executed_by(agent),
        kind=kind,
        thread_uuid=agent.thread_uuid or agent.session_agent_uuid,
        run_uuid=run_uuid,
        attempt=run.attempt or 1,
        status=run.status or LOST,
        started=_started(agent, run_uuid, run),
        ended=run.ended_at.timestamp() if run.ended_at else now,
        caller=trace_context.read(agent.trace),
        epoch=agent.set_back or 0,
        in_workflow=agent.sink_count != 0,
        error_class=run.error_class,
        model=model if isinstance(model, str) else None,
        usage=plain_usage(details.get("usage")),
        cost=run.cost_micro_usd,
        tool_calls=run.tool_calls or (),
        asks_model=kind in MODEL_KINDS,
        waited_for_person=_has_waited(agent),
    )


def _has_waited(agent: SessionAgent) -> bool:
    """Whether a person answered before the attempt: to its task, or to what its runtime asked."""
    return agent.user_input is not None or agent.stored("reply") is not None


def _definition(agent: SessionAgent) -> Mapping[str, Any]:
    """The definition of the agent that runs."""
    found = rules.of(agent)["fallback"] if agent.on_fallback else agent.definition
    return found or {}


def _started(agent: SessionAgent, run_uuid: str, run: Attempt) -> float:
    """When an attempt began: as its run says, or the agent while it is the latest. A lost one
    before that began when the uuid of its run was made.
    """
    if run.started_at is not None:
        return run.started_at.timestamp()
    if run_uuid == agent.run_uuid and agent.started_at is not None:
        return float(agent.started_at)
    return (UUID(run_uuid).int >> 80) / 1000


def _ended_session(session: Session) -> EndedSession:
    return EndedSession(
        tenant=session.partition_key,
        session_uuid=session.session_uuid,
        coordination_uuid=session.coordination_uuid,
        task_uuid=session.task_uuid or "",
        status=session.status,
        started=session.created_at.timestamp(),
        ended=session.updated_at.timestamp(),
        caller=trace_context.read(session.trace),
        epoch=session.epoch or 0,
    )
