"""Conclude an attempt: store its result and hand off, or try again, or fail the agent.

`engine.step` and `engine.beginning` are the callers.
"""

from collections.abc import Callable, Mapping
from functools import partial
from logging import INFO, WARNING
from random import Random

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.engine import traces
from ai_coordination_engine.engine.advance import (
    accounts,
    asking,
    ending,
    long_jobs,
    maps,
    pinning,
    questions,
    timers,
)
from ai_coordination_engine.engine.advance import hand_off as advance
from ai_coordination_engine.engine.advance.ending import lease_lost
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import action, budgets, refusals, runs, structured
from ai_coordination_engine.engine.attempt.chain import Chain
from ai_coordination_engine.engine.attempt.leases import new_lease
from ai_coordination_engine.engine.attempt.persistence import persist, persist_together
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.edge_outcomes import Held, check_output, edges
from ai_coordination_engine.engine.graph.inputs import output_of
from ai_coordination_engine.engine.graph.keys import edge_id
from ai_coordination_engine.observability import logger, logs
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.attempts import lost
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected

_LOGGED = (
    "partition_key",
    "coordination_uuid",
    "session_uuid",
    "session_agent_uuid",
    "agent_uuid",
    "attempt",
    "run_uuid",
)
WORTH_A_LOOK = ("attempt failed", "attempt lost", "action failed")
"""The events of attempts that are logged as warnings."""
_UNASKED: Mapping[str, object] = {"asks": None, "reply": None}
"""Of an agent that begins anew: what it was told in an earlier attempt is not used."""
_RANDOM = Random()  # noqa: S311 (jitter is no secret)
Record = Callable[..., None]
"""Writes the run of an attempt: `runs.record`, given the app and the agent."""


def record_completed(
    app: App,
    agent: SessionAgent,
    chain: Chain,
    record: Record,
    output: str,
    *,
    budget: Budget,
    held: Held | None,
) -> SessionAgent | None:
    """Write the run of a completed attempt and conclude it, in one transaction if there are any."""

    def write() -> SessionAgent | None:
        values: dict[str, object] = {"agent_output": output}
        stored = persist(app, agent, chain, partial(store_values, app, agent, values))
        kept = stored["agent_output"] if agent.mapped is None else None
        persist(app, agent, chain, partial(record, outcome="completed", output=kept))
        return conclude(
            app, agent, output, chain, budget=budget, held=held, stored=stored["agent_output"]
        )

    if action.is_set(agent) or pinning.is_planner(agent):
        return write()  # the function may take long, and a plan may be large
    return persist_together(app, agent, chain, lambda: chain.ending(write()))


def record_failed(
    app: App, agent: SessionAgent, chain: Chain, record: Record, failure: AgentFailure
) -> SessionAgent | None:
    """Write the run of a failed attempt and conclude it, in one transaction if there are any."""

    def write() -> SessionAgent | None:
        persist(app, agent, chain, partial(record, outcome="failed", failure=failure))
        return conclude_failed(app, agent, failure)

    return persist_together(app, agent, chain, lambda: chain.ending(write()))


def conclude(
    app: App,
    agent: SessionAgent,
    output: str,
    chain: Chain,
    *,
    budget: Budget,
    held: Held | None = None,
    stored: object = None,
) -> SessionAgent | None:
    """Complete an attempt with its output and hand off; return a successor that was claimed.

    If the lease was lost, nothing changes. `held`: which conditions of the edges hold, if they were
    evaluated already. `stored`: the stored form of the output, if it was written already.
    """
    if pinning.is_planner(agent):
        return _conclude_plan(app, agent, output, chain)
    values = {"agent_output": output if stored is None else stored, **accounts.noted(agent)}
    if note := chain.notes.get(agent.ordinal):
        values["notes"] = note
    try:
        outcome, held = _complete(app, agent, output, values, chain, budget=budget, held=held)
    except AgentFailure as failure:
        # the action function failed, or a long job's output does not fit the edges' conditions
        acting = action.is_set(agent)
        log_event(
            "action failed" if acting else "attempt failed", agent, error_class=failure.error_class
        )
        return conclude_failed(app, agent, failure, acting=acting)
    if isinstance(outcome, Rejected):
        lease_lost(app, agent, outcome.record)
        return None
    completed = outcome.record
    if completed.stored("routed") is None:
        may_differ = action.is_set(agent) or questions.is_asked(agent)
        text = completed.agent_output if may_differ else output
        chain.outputs[edge_id(completed)] = output_of(completed, text, held)
    return chain.go_on_with(advance.hand_off(app, completed, partial(chain.room, app), held))


def _conclude_plan(app: App, agent: SessionAgent, output: str, chain: Chain) -> SessionAgent | None:
    """Go on with the plan of a planning agent."""
    try:
        return pinning.conclude(app, agent, output, chain)
    except AgentFailure as failure:  # a long job has answered no plan
        log_event("attempt failed", agent, error_class=failure.error_class)
        return conclude_failed(app, agent, failure)


def _complete(
    app: App,
    agent: SessionAgent,
    output: str,
    values: dict[str, object],
    chain: Chain,
    *,
    budget: Budget,
    held: Held | None,
) -> tuple[Outcome[SessionAgent], Held | None]:
    """Run the action function, if there is one, and complete the agent.

    Returns the outcome of the write, and which conditions hold.
    """
    if action.is_set(agent):
        if not agent.acting:
            acting = app.agents.act(agent, new_lease(app), store_values(app, agent, values))
            if isinstance(acting, Rejected):
                return acting, held
            agent = acting.record
        decided = action.run(app, agent, output)
        values = {
            **values,
            **({} if decided.output is None else {"agent_output": decided.output}),
            **({} if decided.successors is None else {"chosen": list(decided.successors)}),
        }
        output = output if decided.output is None else decided.output
    else:
        values |= questions.decided(agent, output)
    if held is None:
        held = check_output(edges(agent.successors), output, budget)
    stored_values = persist(app, agent, chain, partial(store_values, app, agent, values))
    return persist(app, agent, chain, partial(app.agents.complete, agent, stored_values)), held


def conclude_as_recorded(
    app: App, agent: SessionAgent, run: SessionRun, chain: Chain
) -> SessionAgent | None:
    """Conclude an attempt whose run is written already. The agent is not called again."""
    log_event("attempt had ended", agent)
    others = [(agent.attempt, agent.run_uuid)] if run.run_uuid != agent.run_uuid else []
    for attempt, run_uuid in [*lost(agent), *others]:
        runs.record_lost(app, agent, attempt, run_uuid)
    usage = (run.async_task or {}).get("usage")
    accounts.meter(agent, usage)
    status, job = runs.status(run), run.async_task_uuid
    if status == "pending":
        long_jobs.park(app, agent, job, app.jobs.get(agent.partition_key, job))
        return None
    failed = runs.failure(run) if status == "failed" else None
    budgets.settle(app, agent, run.run_uuid, usage, failed)
    traces.recorded_attempt(app, agent, run)
    if status == "asked":
        asking.park(app, agent, run.stored("agent_output"))
        return None
    if failed is not None:
        return conclude_failed(app, agent, failed)
    return _conclude_completed(app, agent, run, chain)


def _conclude_completed(
    app: App, agent: SessionAgent, run: SessionRun, chain: Chain
) -> SessionAgent | None:
    budget, stored = Budget(), run.stored("agent_output")
    try:
        output = maps.gather(app, agent, budget).output if stored is None else run.agent_output
    except AgentFailure as failure:  # a client has changed the elements
        return conclude_failed(app, agent, failure)
    return conclude(app, agent, output, chain, budget=budget, stored=stored)


def conclude_failed(
    app: App, agent: SessionAgent, failure: AgentFailure, *, acting: bool = False
) -> SessionAgent | None:
    """Conclude a failed attempt: schedule the next one, use the fallback, or fail the agent.

    `acting`: the action function failed; then only the function is repeated, on the same output.
    Always returns None: no successor is claimed.
    """
    wait, values = _next_attempt(app, agent, failure, acting=acting)
    values |= accounts.noted(agent)
    now = app.clock.now().timestamp()
    has_fallback = rules.fallback(agent) and not failure.final
    if (wait is None and not has_fallback) or ending.is_over(app, agent):
        _fail_or_do_without(app, agent, failure, values)
    elif wait is not None:
        _begin_again(app, agent, now + wait, values, acting=acting)
    else:
        needs = app.needs(rules.of(agent)["fallback"].get("runtime"))
        none = {"corrections": None, "correction": None, **_UNASKED}
        anew = {"failures": 0, "needs": needs, **none}
        _begin_again(app, agent, now, {**values, **anew, "on_fallback": True}, acting=False)
    return None


def _next_attempt(
    app: App, agent: SessionAgent, failure: AgentFailure, *, acting: bool
) -> tuple[float | None, dict[str, object]]:
    """After how many seconds the agent is tried again (None: it is not), and what is stored of the
    failure.

    An agent whose answer was unfit is asked again at once, whatever its policy says.
    """
    if refusals.may_pass(app, agent, failure):
        return refusals.wait(agent, _RANDOM), refusals.values(agent, failure)
    asked_again = None if acting else structured.may_be_asked_again(agent, failure)
    if asked_again is not None:
        corrections = (agent.corrections or 0) + 1
        unfit = {"correction": failure.message, "corrections": corrections, **_UNASKED}
        return 0 if asked_again else None, {"notes": failure.message, **unfit}
    policy, failures = rules.policy(app, agent), (agent.failures or 0) + 1
    retries = policy.retries(failures, retryable=failure.retryable, error_class=failure.error_class)
    wait = policy.wait(failures, failure.retry_after, _RANDOM) if retries else None
    anew = {"refusals": 0} if agent.refusals else {}
    return wait, {"notes": failure.message, "failures": failures, **anew}


def _fail_or_do_without(
    app: App, agent: SessionAgent, failure: AgentFailure, values: dict[str, object]
) -> None:
    """Fail the agent; a planning agent's session may do without its plan."""
    if not pinning.run_own_graph(app, agent, failure):
        _fail(app, agent, values)


def _fail(app: App, agent: SessionAgent, values: dict[str, object]) -> None:
    failed = app.agents.fail(agent, store_values(app, agent, values))
    if isinstance(failed, Applied):
        advance.ended(app, failed.record)
    else:
        lease_lost(app, agent, failed.record)


def _begin_again(
    app: App, agent: SessionAgent, at: float, values: dict[str, object], *, acting: bool
) -> None:
    """Schedule the next attempt, or only the action function, for that time (epoch seconds)."""
    again = app.agents.act_later if acting else app.agents.retry_later
    later = again(agent, at, store_values(app, agent, values))
    if isinstance(later, Applied):
        timers.wake_at(app, later.record, at)
    else:
        lease_lost(app, agent, later.record)


# What all of them use


def store_values(app: App, agent: SessionAgent, values: dict[str, object]) -> dict[str, object]:
    """Write large values of an agent to blobs; return the attributes to store."""
    key = agent.key
    return app.records.store(SESSION_AGENT, agent.partition_key, key, values, agent.nonce)


def log_event(event: str, agent: SessionAgent, **details: object) -> None:
    """Log an event of an attempt, with ids only: never inputs or outputs of the agent."""
    is_warning = event in WORTH_A_LOOK
    if not logs(WARNING if is_warning else INFO):
        return
    write = logger.warning if is_warning else logger.info
    write(event, extra={**{name: getattr(agent, name) for name in _LOGGED}, **details})
