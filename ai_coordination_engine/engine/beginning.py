"""The beginning of a step: what a message asks for.

Its agent is claimed as a rule. An agent that cannot be claimed now has ended, is held by another
worker or waits, or its worker died: then the next attempt takes over, or what the lost one has left
is concluded. `engine.step` is the caller.
"""

from dataclasses import replace
from functools import partial

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.lifecycle.phases import Phase, is_held, phase
from ai_coordination_engine.engine import recovery, traces
from ai_coordination_engine.engine.advance import (
    accounts,
    asking,
    ending,
    long_jobs,
)
from ai_coordination_engine.engine.advance.conclusion import (
    conclude,
    conclude_as_recorded,
    conclude_failed,
)
from ai_coordination_engine.engine.advance.giving_up import dead_letter
from ai_coordination_engine.engine.app import App, Busy
from ai_coordination_engine.engine.attempt import budgets, runs
from ai_coordination_engine.engine.attempt.chain import Chain
from ai_coordination_engine.engine.attempt.leases import Claim, ExpiringOnError
from ai_coordination_engine.engine.attempt.tries import (
    SUSPECT,
    resumptions,
    why_hopeless,
    why_not_resumed,
)
from ai_coordination_engine.engine.waits import waiting
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.runtime_ports import AgentFailure, AgentResult, Question
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.transitions.attempts import (
    Lease,
    died_in_a_row,
    lost_since_set_back,
)
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected


def begin(app: App, wake: Wake, chain: Chain, claimed: Claim) -> SessionAgent | None:
    """The agent of a message if it was claimed; None if the message has nothing left to do.

    Raises `Busy` when the message must be kept for later.
    """
    agent = claimed.outcome.record
    if isinstance(claimed.outcome, Applied):
        return agent
    if agent is None:
        budgets.drop_of_deleted(app, wake)
        runs.sweep(app, wake)
        return None
    if agent.partition_key != wake.tenant:
        return None
    if app.is_elsewhere(agent.needs):
        app.queue.send([replace(wake, needs=agent.needs or "")])
        return None
    return _dispatch(app, agent, claimed.lease, chain)


def _dispatch(app: App, agent: SessionAgent, lease: Lease, chain: Chain) -> SessionAgent | None:
    """Handle a message whose agent cannot be claimed now; returns a successor that was claimed."""
    found = phase(agent, lease.now)
    match found:
        case Phase.ENDED:
            _dispatch_ended(app, agent)
        case Phase.EXECUTING | Phase.ACTING:
            raise Busy(max(agent.lease_until - lease.now, 0))
        case Phase.LEASE_EXPIRED:
            return _take_over(app, agent, lease, chain)
        case Phase.WAITING_FOR_JOB | Phase.ACTION_DUE:
            return _resume(app, agent, lease, chain)
        case Phase.PAUSED:
            return _dispatch_paused(app, agent, lease, chain)
        case _:
            waiting.look_at(app, agent, lease.now, found)
    return None


def _dispatch_paused(
    app: App, agent: SessionAgent, lease: Lease, chain: Chain
) -> SessionAgent | None:
    """Do nothing: resuming the session sends all messages again. Only a lost attempt in an ended
    session, which is never resumed, is ended here.
    """
    is_lost = agent.state == "executing" and agent.lease_until is not None
    return _take_over(app, agent, lease, chain) if is_lost and ending.is_over(app, agent) else None


def _dispatch_ended(app: App, agent: SessionAgent) -> None:
    """Finish what follows from an ended agent, and record attempts during which it was ended."""
    recovery.recover(app, agent)
    if not ending.owes_runs(agent):
        return
    now = app.clock.now().timestamp()
    if is_held(agent, now):
        raise Busy(max(agent.lease_until - now, 0))
    ending.record_lost(app, agent)


def _take_over(app: App, agent: SessionAgent, lease: Lease, chain: Chain) -> SessionAgent | None:
    """Begin the next attempt of an agent whose worker died. When the lost attempt has left a run
    with its result, conclude from that run instead.
    """
    attempts = [*lost_since_set_back(agent), (agent.attempt, agent.run_uuid)]
    look = partial(ending.is_over, app, agent), partial(runs.ended, app, agent, attempts)
    over, run = app.records.parallel.pair(*look)
    if over:  # the result is no longer needed
        return _abandon(app, agent, lease, chain)
    if (why := why_hopeless(agent, run)) is not None:
        return _dead_letter(app, agent, lease, chain, why)
    if died_in_a_row(agent) + (agent.resumed or 0) >= SUSPECT:
        chain.run_alone()
    if run is None:
        taken_over = app.agents.take_over(agent, lease)
        return _or_dispatch(app, taken_over, lease, chain)
    fenced = app.agents.fence(agent, lease, again=True)
    if isinstance(fenced, Rejected):
        return _or_dispatch(app, fenced, lease, chain)
    with ExpiringOnError(app, fenced.record):
        claimed = conclude_as_recorded(app, fenced.record, run, chain)
        chain.run_beside_others()
        return claimed


def _or_dispatch(
    app: App, held: Outcome[SessionAgent], lease: Lease, chain: Chain
) -> SessionAgent | None:
    """The agent if it was claimed. Else another worker was faster: handle the message again."""
    if isinstance(held, Applied):
        return held.record
    return _dispatch(app, held.record, lease, chain) if held.record is not None else None


def _abandon(app: App, agent: SessionAgent, lease: Lease, chain: Chain) -> SessionAgent | None:
    """End an agent whose session has ended. When another worker was faster, handle the message
    anew.
    """
    abandoned = ending.abandon(app, agent)
    return _or_dispatch(app, abandoned, lease, chain) if isinstance(abandoned, Rejected) else None


def _dead_letter(
    app: App, agent: SessionAgent, lease: Lease, chain: Chain, why: str
) -> SessionAgent | None:
    """Fail the agent and keep its message in the dead-letter queue, unless its worker is still
    alive.
    """
    fenced = app.agents.fence(agent, lease)
    if isinstance(fenced, Rejected):
        return _or_dispatch(app, fenced, lease, chain)
    dead_letter(app, agent, fenced.record, why)
    return None


def _resume(app: App, agent: SessionAgent, lease: Lease, chain: Chain) -> SessionAgent | None:
    """Continue an attempt that has its result already: its long job has ended, or its action
    function did not finish.
    """
    if resumptions(agent) >= SUSPECT:
        chain.run_alone()
    result = _earlier_result(app, agent, chain)
    if result is None:
        # the worker that let it wait may have died before it saw that the session has ended
        return _abandon(app, agent, lease, chain) if ending.is_over(app, agent) else None
    if (why := why_not_resumed(agent)) is not None:
        return _dead_letter(app, agent, lease, chain, why)
    resumed = app.agents.resume_attempt(agent, lease)
    if isinstance(resumed, Rejected):
        return _or_dispatch(app, resumed, lease, chain)
    held = resumed.record
    traces.job_ended(app, held, result, runs.priced(app, result.usage))
    accounts.meter(held, result.usage)
    with ExpiringOnError(app, held):
        if not agent.acting:  # its job has ended; the run was written before
            budgets.settle(app, held, held.run_uuid, result.usage)
        if isinstance(result, AgentFailure):
            return conclude_failed(app, held, result)
        if result.question is not None:
            _ask_later(app, held, result.question)
            return None
        claimed = conclude(app, held, result.output, chain, budget=Budget())
        chain.run_beside_others()
        return claimed


def _ask_later(app: App, agent: SessionAgent, question: Question) -> None:
    """Ask a person what the long job of the agent asks."""
    try:
        asking.ask_later(app, agent, question)
    except AgentFailure as failure:
        conclude_failed(app, agent, failure)


def _earlier_result(
    app: App, agent: SessionAgent, chain: Chain
) -> AgentResult | AgentFailure | None:
    """The result that the attempt has already: the output for its action function, or the result of
    its long job. None while the job runs.
    """
    if agent.acting:
        return AgentResult(agent.agent_output or "")
    if agent.async_task_uuid is None:
        return None
    try:
        return long_jobs.look(app, agent, chain)
    except AgentFailure as failure:
        return failure
