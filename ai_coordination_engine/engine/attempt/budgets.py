"""Keep attempts to their budgets: each reserves its worst case before it is dispatched, and settles
what it has spent with its run.

An agent without a budget makes no call. `engine.step`, `attempt.runs` and what drops an attempt are
the callers; `limits` knows what each budget allows.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from ai_coordination_engine.domain.budgets import (
    NOTHING,
    Amount,
    Scope,
    Tokens,
    most_output,
    most_tokens,
)
from ai_coordination_engine.domain.statuses import OPEN_AGENT_STATES, TERMINAL_AGENT_STATES
from ai_coordination_engine.domain.usage import Usage
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import budget_waits, costs, limits
from ai_coordination_engine.engine.attempt.limits import applies
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest
from ai_coordination_engine.store.budget_items import Reservation
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.payload import to_json
from ai_coordination_engine.store.transitions.attempts import lost
from ai_coordination_engine.store.transitions.budgets import (
    UNKNOWN,
    Full,
    Gone,
    Period,
    Spent,
)

_NEVER_SENT = ("not_allowed", "invalid_request", "rate_limit", "budget")
"""Classes of failures whose request nobody has worked on, so that it costs nothing."""


class OverBudget(AgentFailure):
    """A budget has no room for the attempt; it was not dispatched."""

    def __init__(self, full: Full) -> None:
        is_final = full.scope.budget.on_exceeded != "fallback"
        super().__init__(budget_waits.message(full), error_class="budget", final=is_final)
        self.full = full

    @property
    def pauses(self) -> bool:
        """Whether the agent waits for room."""
        return self.full.scope.budget.on_exceeded == "pause"


# It begins


def capped(app: App, agent: SessionAgent, request: AgentRequest) -> AgentRequest:
    """The request, limited to the output that is reserved for it, if its agent has a budget."""
    if not applies(app, agent):
        return request
    most = most_output(request.runtime, app.settings.budget_max_tokens)
    return replace(request, max_tokens=most)


def reserve(app: App, agent: SessionAgent, request: AgentRequest) -> bool:
    """Reserve the worst case of an attempt, if its agent has a budget. One write; reads only when
    it is refused.

    False when the attempt was given up meanwhile. Raises `OverBudget`.
    """
    if not applies(app, agent):
        return True
    outcome = _try(app, agent, request, fresh=False)
    if isinstance(outcome, Full):  # perhaps a limit was raised
        outcome = _try(app, agent, request, fresh=True)
    if isinstance(outcome, Full):
        raise OverBudget(outcome)
    if isinstance(outcome, Gone):
        return False
    agent.reservation = outcome
    return True


def _try(
    app: App, agent: SessionAgent, request: AgentRequest, *, fresh: bool
) -> Reservation | Full | Gone | None:
    """None: no budget is left."""
    scopes = limits.scopes(app, agent, fresh=fresh)
    if not scopes:
        return None
    tokens = worst_case(app, request)
    if tokens is None:
        return app.budgets.reserve(agent, scopes, NOTHING)
    priced = next((each for each in scopes if each.budget.micro_usd is not None), None)
    cost = 0 if priced is None else costs.most(app, request.runtime, tokens)
    if cost is None:
        assert priced is not None
        return _unpriced(app, agent, request, priced, tokens)
    return app.budgets.reserve(agent, scopes, Amount(cost, tokens.total))


def worst_case(app: App, request: AgentRequest) -> Tokens | None:
    """The most tokens that the attempt may use; None if its runtime asks no model."""
    texts = [
        request.instructions,
        request.input,
        *(each.content for each in request.thread),
        to_json(request.runtime),
        to_json(request.output_schema),
    ]
    settings, messages = app.settings, len(request.thread) + 2
    of_agent = settings.agent_max_tokens, settings.agent_max_requests
    default = settings.budget_max_tokens
    return most_tokens(request.runtime, texts, messages, default, of_agent)


def _unpriced(
    app: App, agent: SessionAgent, request: AgentRequest, scope: Scope, tokens: Tokens
) -> Full:
    """A budget of money cannot be kept by a model whose price nobody knows."""
    period = Period.of(scope)
    used = app.budgets.used(agent.partition_key, [period])[period]
    model = costs.model_of(app, request.runtime)[0] or "(no name)"
    return Full(scope, used, Amount(0, tokens.total), model)


# It ends


def settle(
    app: App,
    agent: SessionAgent,
    run_uuid: str,
    usage: object = None,
    failure: AgentFailure | None = None,
) -> None:
    """Settle what an attempt has reserved with what it is known to have used; without that, all of
    it counts as spent. One write if this worker has made the attempt; agents that wait for the room
    are woken.
    """
    if not applies(app, agent):
        return
    spent = _spent(app, usage, failure)
    if agent.is_attempted_here and run_uuid == agent.run_uuid:
        if agent.reservation is None:
            return
        freed = app.budgets.settle(agent.reservation, spent)
    else:
        freed = app.budgets.settle_of(agent, run_uuid, spent)
    budget_waits.wake_waiting(app, agent.partition_key, agent.coordination_uuid, freed)


def is_owing(app: App, agent: SessionAgent) -> bool:
    """Whether the agent may have reserved something for an attempt that goes on without a worker,
    so that no run will tell what it has spent if it is dropped.
    """
    is_parked = agent.run_uuid is not None and agent.lease_until is None
    return is_parked and agent.state in OPEN_AGENT_STATES and applies(app, agent)


def drop(app: App, agent: SessionAgent) -> None:
    """Settle the attempt of an agent that is about to be ended, if it is owing, with what its long
    job has told. A late result corrects that.
    """
    if is_owing(app, agent):
        uuid = agent.async_task_uuid
        job = app.jobs.get(agent.partition_key, uuid) if uuid is not None else None
        settle(app, agent, agent.run_uuid, None if job is None else job.usage)


def drop_all(app: App, agents: Iterable[SessionAgent]) -> None:
    """Call `drop` for these agents."""
    dropped = [each for each in agents if is_owing(app, each)]
    app.records.parallel.run([partial(drop, app, each) for each in dropped])


def drop_ended(app: App, agent: SessionAgent) -> None:
    """Settle all attempts of an ended agent that is about to be deleted: no run may tell what they
    have spent. A late result corrects that.
    """
    if agent.state not in TERMINAL_AGENT_STATES or not applies(app, agent):
        return
    current = [agent.run_uuid] if agent.run_uuid is not None else []
    for run_uuid in [*(run for _, run in lost(agent)), *current]:
        settle(app, agent, run_uuid)


def drop_of_deleted(app: App, wake: Wake) -> None:
    """Settle what attempts of a deleted agent have still reserved. One Query, and one write for
    each.
    """
    for each in app.budgets.open_of(wake.tenant, *wake.key):
        freed = app.budgets.settle_later(wake.tenant, each.key, UNKNOWN)
        budget_waits.wake_waiting(app, wake.tenant, each.coordination_uuid, freed)


def _spent(app: App, usage: object, failure: AgentFailure | None) -> Spent:
    used = Usage.of(usage)
    if failure is not None and failure.error_class == "timeout":
        return UNKNOWN  # the request that took too long is not in its usage
    if used.total_tokens is not None:
        return Spent(costs.cost(app, used), used.total_tokens)
    never_sent = failure is not None and failure.error_class in _NEVER_SENT
    return Spent(0, 0) if never_sent else UNKNOWN
