"""One step: a worker handles one message.

It claims the session agent that the message names, runs it, records the attempt, concludes it and
hands off. Then it continues with the successor that it has claimed.

The order of the calls is `run_step` → `_begin` → `_attempt` → `conclude` → `advance.hand_off`. The
caller deletes the message when `run_step` returns. If the worker dies before that, the message
comes again, and everything that is missing is computed from the stored agent (promise P4).
"""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from threading import Event
from typing import Any

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.lifecycle.phases import Phase, is_held, phase
from ai_coordination_engine.engine import recovery, traces
from ai_coordination_engine.engine.advance import (
    accounts,
    asking,
    ending,
    long_jobs,
    maps,
    over_budget,
    pinning,
    questions,
)
from ai_coordination_engine.engine.advance.conclusion import (
    Record,
    conclude,
    conclude_as_recorded,
    conclude_failed,
    log_event,
    record_completed,
    record_failed,
)
from ai_coordination_engine.engine.advance.ending import lease_lost_before_call
from ai_coordination_engine.engine.advance.giving_up import dead_letter, fail, poison
from ai_coordination_engine.engine.app import App, Busy
from ai_coordination_engine.engine.app import wake as wake_of
from ai_coordination_engine.engine.attempt import action, budgets, runs, structured
from ai_coordination_engine.engine.attempt.branches import Branches
from ai_coordination_engine.engine.attempt.leases import Claim, ExpiringOnError, claim, new_lease
from ai_coordination_engine.engine.attempt.persistence import persist
from ai_coordination_engine.engine.attempt.request import Chain, call, read_for_all, request_of
from ai_coordination_engine.engine.attempt.tries import (
    SUSPECT,
    resumptions,
    why_hopeless,
    why_not_resumed,
)
from ai_coordination_engine.engine.graph.edge_outcomes import check_output, edges
from ai_coordination_engine.engine.waits import waiting
from ai_coordination_engine.ports import (
    AgentFailure,
    AgentRequest,
    AgentResult,
    Question,
    Wake,
)
from ai_coordination_engine.stand_ins import calling, is_overdue
from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.attempts import (
    Lease,
    died_in_a_row,
    lost_since_set_back,
)
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected

__all__ = ["Busy", "poison", "run_step"]


def run_step(
    app: App,
    wake: Wake,
    *,
    deadline: float | None = None,
    stopping: Event | None = None,
    claimed: Claim | None = None,
    finish: Callable[[bool], None] | None = None,
    stand_in: Callable[[SessionAgent], None] | None = None,
    branches: Branches | None = None,
) -> None:
    """Handle one message: run its agent, then the successors that it claims.

    `deadline` is in epoch seconds of the clock; None is no limit. Once `stopping` is set,
    successors are left to other workers. `claimed`: the claim of the agent, if it was made already.
    `finish`: called at the end of each transaction that ends an attempt, if there are any, with
    whether the message may be deleted; it is called again when the transaction is repeated, and
    only the last call counts. `stand_in`: called in another thread if an agent takes longer than it
    may; it handles the message again, with this agent claimed, where it is `overdue`. `branches`:
    where further successors run at the same time; all of them end before this returns. Returns when
    the message may be deleted: the work is done, or another message stands for it. Raises `Busy`
    when the message must be kept for later.
    """
    chain = Chain(deadline, stopping, finish, stand_in, branches=branches)
    with branches or nullcontext():
        try:
            _run(app, _begin(app, wake, chain, claimed or claim(app, wake)), chain)
        finally:
            chain.end()


def _run(app: App, agent: SessionAgent | None, chain: Chain) -> None:
    """Run a claimed agent, then the successors that are claimed with the end of each; of several,
    the others run beside the first one.
    """
    try:
        while agent is not None:
            if chain.beside:
                _branch(app, agent, chain)
            with ExpiringOnError(app, agent):
                agent = _attempt(app, agent, chain)
            chain.run_beside_others()
    finally:
        chain.end()


def _branch(app: App, agent: SessionAgent, chain: Chain) -> None:
    """Start the agents that were claimed beside this one."""
    beside, chain.beside = chain.beside, []
    with ExitStack() as held:
        for each in (agent, *beside):
            held.enter_context(ExpiringOnError(app, each))
        read_for_all(app, [agent, *beside], chain)
    for each in beside:
        chain.taken -= 1  # given back at the end of the work
        assert chain.branches is not None
        chain.branches.start(partial(_run, app, each, chain.branch()))


# Beginning


def _begin(app: App, wake: Wake, chain: Chain, claimed: Claim) -> SessionAgent | None:
    """The agent of a message if it was claimed; None if the message has nothing left to do."""
    agent = claimed.outcome.record
    if isinstance(claimed.outcome, Applied):
        return agent
    if agent is None:
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


# An attempt


def _attempt(app: App, agent: SessionAgent, chain: Chain) -> SessionAgent | None:
    """Run a claimed agent to its end and return the successor that was claimed with it, if any."""
    started = datetime.fromtimestamp(agent.started_at, UTC)
    if not is_overdue():
        log_event("attempt started", agent)
    agent.is_attempted_here = True
    budget, held = Budget(), None
    reported: dict[str, Any] = {}
    record = partial(runs.record, app, agent, started, reported=reported)
    try:
        with calling():
            result = _result(app, agent, chain, budget)
        if result is None:
            return None
        if isinstance(result, SessionRun):
            return _conclude_earlier(app, agent, result, chain)
        if result.async_task_uuid is not None:
            log_event("attempt goes on elsewhere", agent)
            persist(app, agent, chain, partial(long_jobs.wait, app, agent, started, result))
            return None
        reported |= {"usage": result.usage, "tool_calls": result.tool_calls}
        accounts.meter(agent, result.usage)
        if result.question is not None:
            asks = asking.asks_of(agent, result.question)
            log_event("attempt asks a person", agent)
            asking.record_asked(app, agent, chain, record, asks)
            return None
        reported["choice"] = questions.choice_of(
            agent, structured.read(agent, result.output, budget)
        )
        pinning.check(agent, result.output)
        if not action.is_set(agent):
            held = check_output(edges(agent.successors), result.output, budget)
    except AgentFailure as failure:
        reported["tool_calls"] = failure.tool_calls or reported.get("tool_calls")
        accounts.meter(agent, failure.usage)
        return _failed(app, agent, chain, record, failure)
    log_event("attempt completed", agent)
    return record_completed(app, agent, chain, record, result.output, budget=budget, held=held)


def _failed(
    app: App, agent: SessionAgent, chain: Chain, record: Record, failure: AgentFailure
) -> SessionAgent | None:
    """Conclude an attempt that failed, or let its agent wait for room in a budget."""
    if isinstance(failure, budgets.OverBudget) and failure.pauses:
        log_event("attempt waits for a budget", agent)
        over_budget.wait(app, agent, chain, failure)
        return None
    log_event("attempt failed", agent, error_class=failure.error_class)
    return record_failed(app, agent, chain, record, failure)


def _result(
    app: App, agent: SessionAgent, chain: Chain, budget: Budget
) -> AgentResult | SessionRun | None:
    """The result of the runtime, or the outputs of a map's elements; None if a map was just
    expanded, or the lease was lost.

    An attempt that took over from a lost one looks for that one's run once more right before the
    call, and returns the run if it has a result.
    """
    earlier = lost_since_set_back(agent)
    try:
        request = None if maps.is_map(agent) else request_of(app, agent, chain, budget)
    except AgentFailure:  # an input is gone; an earlier attempt may have run before that
        if (ended := runs.ended(app, agent, earlier)) is not None:
            return ended
        raise
    if request is not None and not _is_here(app, agent, request):
        return None
    if (ended := runs.ended(app, agent, earlier)) is not None:
        return ended
    if earlier:
        log_event("attempt lost", agent, attempt=earlier[-1][0], run_uuid=earlier[-1][1])
    if request is None:
        return _map(app, agent, budget)
    known = questions.again(app, agent)
    return _call(app, agent, request, chain) if known is None else AgentResult(known)


def _call(app: App, agent: SessionAgent, request: AgentRequest, chain: Chain) -> AgentResult | None:
    """The result of the runtime, once there is room in the budgets of the agent; None when the
    attempt was given up meanwhile.
    """
    if not persist(app, agent, chain, partial(budgets.reserve, app, agent, request)):
        stored = app.records.get_stored(SESSION_AGENT, agent.partition_key, agent.key)
        lease_lost_before_call(app, agent, stored)
        return None
    return call(app, budgets.capped(app, agent, request), chain.instead_of(agent))


def _map(app: App, agent: SessionAgent, budget: Budget) -> AgentResult | None:
    """The outputs of the elements of a map; None when it has just been expanded, or has
    failed to.
    """
    if agent.mapped is not None:
        return maps.gather(app, agent, budget)
    try:
        return maps.expand(app, agent, budget)
    except maps.NotStarted as failure:
        fail(app, failure.agent, failure.message)
        return None


def _is_here(app: App, agent: SessionAgent, request: AgentRequest) -> bool:
    """Whether this worker makes the call. Another one has the extra that the runtime needs, and
    the agent is sent on to it; or the lease was lost.
    """
    needs = app.needs(request.runtime)
    if not app.is_elsewhere(needs):
        return _is_renewed(app, agent, request)
    sent_on = app.agents.send_on(agent, needs)
    if isinstance(sent_on, Rejected):
        lease_lost_before_call(app, agent, sent_on.record)
    else:
        app.queue.send([wake_of(sent_on.record)])
    return False


def _is_renewed(app: App, agent: SessionAgent, request: AgentRequest) -> bool:
    """Whether the attempt's lease is long enough for the call; renew it if it is not.

    Usually no request is made: only if reading the inputs took long.
    """
    left = agent.lease_until - app.clock.now().timestamp()
    needed = request.timeout_seconds + app.settings.lease_margin_seconds / 2
    if left >= needed or is_overdue():
        return True
    renewed = app.agents.renew(agent, new_lease(app))
    if isinstance(renewed, Rejected):
        lease_lost_before_call(app, agent, renewed.record)
        return False
    return True


def _conclude_earlier(
    app: App, agent: SessionAgent, run: SessionRun, chain: Chain
) -> SessionAgent | None:
    """Give the lease back to the earlier attempt, which has a run with a result, and conclude from
    it. The agent is not called again.
    """
    given_back = app.agents.give_back(agent, runs.started_at(run, agent.started_at))
    if isinstance(given_back, Rejected):
        lease_lost_before_call(app, agent, given_back.record)
        return None
    with ExpiringOnError(app, given_back.record):
        return conclude_as_recorded(app, given_back.record, run, chain)
