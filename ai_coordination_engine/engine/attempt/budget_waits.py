"""Agents that wait for room in a budget: they enter a list, and who frees room or raises the limit
wakes those that fit.

The wait and the end of the need may come at the same time, so both sides write before they read: an
agent enters the list and then looks for room, a settlement frees room and then looks at the list.
Only as many agents are woken as fit into the room. The sweep wakes those that were missed, and
those of a new day.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ai_coordination_engine.domain.budgets import Amount, Budget, next_day
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import limits
from ai_coordination_engine.store.budget_items import BudgetWaiter
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions.budgets import Full, Period

_LOOKS = 10  # at agents that wait, when a limit changes
_NAMES = {
    ("task", "session"): "of the task for one session",
    ("task", "day"): "of the task for this day",
    ("task", "total"): "of the task",
    ("coordination", "session"): "of the coordination for one session",
    ("coordination", "day"): "of the coordination for this day",
    ("coordination", "total"): "of the coordination",
    ("tenant", "day"): "of the tenant for this day (ACE_BUDGETS)",
}


def wanted(app: App, full: Full) -> dict[str, Any]:
    """What an agent stores of the budget that it waits for."""
    now, scope = app.clock.now(), full.scope
    return {
        "scope": scope.kind,
        "per": scope.per,
        "period": scope.period,
        "limit": {"micro_usd": scope.budget.micro_usd, "tokens": scope.budget.tokens},
        "spent": _numbers(full.used.spent),
        "reserved": _numbers(full.used.reserved),
        "needed": _numbers(full.needed),
        "until": next_day(now).isoformat() if scope.per == "day" else None,
        "unpriced": full.unpriced,
        "message": message(full),
    }


def enter(app: App, agent: SessionAgent, full: Full) -> None:
    """Enter an agent that waits, and wake it again if there is room meanwhile."""
    app.budgets.wait(agent, full)
    period = Period.of(full.scope)
    tenant = agent.partition_key
    limit = limits.of_record(app, tenant, agent.coordination_uuid, full.scope.kind, full.scope.uuid)
    budget = limit(agent)
    used = app.budgets.used(tenant, [period])[period].all
    has_room = budget is None or _fits(budget, full.needed, used)
    if has_room and full.unpriced is None:
        app.queue.send([wake(agent)])


def wake_waiting(app: App, tenant: str, coordination_uuid: str, periods: Sequence[Period]) -> None:
    """Wake the agents that wait for these budgets, as many as fit."""
    for period in periods:
        # before the list: the mark of an agent that enters meanwhile must stay
        used = app.budgets.used(tenant, [period])[period]
        waiters = app.budgets.waiters(tenant, period)
        if waiters:
            limit = limits.of_record(app, tenant, coordination_uuid, period.kind, period.uuid)
            _wake(app, tenant, waiters, limit, {period.name: used.all})
        elif used.waiting is not None:
            app.budgets.nobody_waits(tenant, period, used.waiting)


def wake_all(app: App, tenant: str, coordination_uuid: str, kind: str, uuid: str) -> None:
    """Wake the agents that wait for any period of a budget whose limit has changed, some hundreds
    at most; settlements and the sweep wake the others.

    Some requests for each hundred of them, and one DeleteItem for each that is woken.
    """
    seen: set[str] = set()
    for _ in range(_LOOKS):
        waiters = app.budgets.waiters(tenant, Period(kind, uuid, ""))
        if seen.issuperset(each.token for each in waiters):  # those that were woken are gone
            return
        seen.update(each.token for each in waiters)
        periods = [Period(kind, uuid, each) for each in {each.period for each in waiters}]
        used = app.budgets.used(tenant, periods)
        limit = limits.of_record(app, tenant, coordination_uuid, kind, uuid)
        _wake(app, tenant, waiters, limit, {each.name: used[each].all for each in periods})


def _wake(
    app: App,
    tenant: str,
    waiters: Sequence[BudgetWaiter],
    limit: Callable[[SessionAgent], Budget | None],
    used: Mapping[str, Amount],
) -> None:
    """Wake those that fit beside what is used in their periods, and remove them from the list, with
    those that do not wait any more.
    """
    waiting = _still_waiting(app, tenant, waiters)
    fitting = _fitting(waiting, limit, used)
    app.queue.send([wake(agent) for _, agent in fitting])
    stay = {each.name for each, _ in waiting} - {each.name for each, _ in fitting}
    for each in waiters:  # one by one: the caller may be in a thread of the pool
        if each.name not in stay:
            app.budgets.forget(tenant, each)


def _still_waiting(
    app: App, tenant: str, waiters: Sequence[BudgetWaiter]
) -> list[tuple[BudgetWaiter, SessionAgent]]:
    keys = [(each.session_uuid, each.session_agent_uuid) for each in waiters]
    found = app.records.get_many(SESSION_AGENT, tenant, keys, consistent=True)
    agents = [(waiter, found.get(key)) for waiter, key in zip(waiters, keys, strict=True)]
    return [
        (waiter, agent)
        for waiter, agent in agents
        if agent is not None and agent.over_budget is not None
    ]


def _fitting(
    waiting: Sequence[tuple[BudgetWaiter, SessionAgent]],
    limit: Callable[[SessionAgent], Budget | None],
    used: Mapping[str, Amount],
) -> list[tuple[BudgetWaiter, SessionAgent]]:
    """Those for which there is room together, those of the oldest sessions first."""
    fitting, sums = [], {**used}
    for each, agent in waiting:
        needed, budget = Amount(each.needed_micro_usd or 0, each.needed_tokens or 0), limit(agent)
        if budget is None or _fits(budget, needed, sums[each.period]):
            sums[each.period] += needed
            fitting.append((each, agent))
    return fitting


def _fits(budget: Budget, needed: Amount, used: Amount) -> bool:
    return all(
        limit is None or most + have <= limit
        for limit, most, have in (
            (budget.micro_usd, needed.micro_usd, used.micro_usd),
            (budget.tokens, needed.tokens, used.tokens),
        )
    )


def _numbers(amount: Amount) -> dict[str, int]:
    return {"micro_usd": amount.micro_usd, "tokens": amount.tokens}


def message(full: Full) -> str:
    """Why there is no room, in words."""
    scope, used, needed = full.scope, full.used, full.needed
    name = f"The budget {_NAMES[scope.kind, scope.per]}"
    if full.unpriced is not None:
        return (
            f"{name} limits microUsd, and the price of the model {full.unpriced[:200]!r} is not"
            " known: set it in ACE_PRICES, or limit tokens alone."
        )
    parts = [
        f"of {limit:,} {unit}, {spent:,} are spent and {reserved:,} reserved, and the attempt may"
        f" need {most:,}"
        for limit, unit, spent, reserved, most in (
            (
                scope.budget.micro_usd,
                "microUsd",
                used.spent.micro_usd,
                used.reserved.micro_usd,
                needed.micro_usd,
            ),
            (
                scope.budget.tokens,
                "tokens",
                used.spent.tokens,
                used.reserved.tokens,
                needed.tokens,
            ),
        )
        if limit is not None and spent + reserved + most > limit
    ]
    return f"{name} has no room: {'; '.join(parts)}.{_never_fits(scope.budget, needed)}"


def _never_fits(budget: Budget, needed: Amount) -> str:
    """What to do about an attempt for which the whole limit is too low; empty if it is not."""
    if _fits(budget, needed, Amount()):
        return ""
    return (
        " That is more than the whole limit: raise it, or lower `max_tokens` (of an agent that"
        " calls tools, also `max_total_tokens`) in the runtime."
    )
