"""One step: a worker handles one message.

It claims the session agent that the message names, runs it, records the attempt, concludes it and
hands off. Then it continues with the successor that it has claimed.

The order of the calls is `run_step` → `beginning.begin` → `_attempt` → `conclude` →
`advance.hand_off`. The caller deletes the message when `run_step` returns. If the worker dies
before that, the message comes again, and everything that is missing is computed from the stored
agent (promise P4).
"""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from functools import partial
from threading import Event
from typing import Any

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.engine.advance import (
    accounts,
    asking,
    long_jobs,
    maps,
    over_budget,
    pinning,
    questions,
)
from ai_coordination_engine.engine.advance.conclusion import (
    Record,
    conclude_as_recorded,
    log_event,
    record_completed,
    record_failed,
)
from ai_coordination_engine.engine.advance.ending import lease_lost_before_call
from ai_coordination_engine.engine.advance.giving_up import fail, poison
from ai_coordination_engine.engine.app import App, Busy
from ai_coordination_engine.engine.app import wake as wake_of
from ai_coordination_engine.engine.attempt import action, budgets, runs, structured
from ai_coordination_engine.engine.attempt.branches import Branches
from ai_coordination_engine.engine.attempt.chain import Chain
from ai_coordination_engine.engine.attempt.leases import Claim, ExpiringOnError, claim, new_lease
from ai_coordination_engine.engine.attempt.persistence import persist
from ai_coordination_engine.engine.attempt.request import call, read_for_all, request_of
from ai_coordination_engine.engine.beginning import begin
from ai_coordination_engine.engine.graph.edge_outcomes import check_output, edges
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.stand_ins import calling, is_overdue
from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.attempts import (
    lost_since_set_back,
)
from ai_coordination_engine.store.transitions.outcome import Rejected

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
            _run(app, begin(app, wake, chain, claimed or claim(app, wake)), chain)
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
