"""What the budgets of an agent allow: those of its task and its coordination, as these are now, and
the tenant's of the settings.

A session keeps to the budgets that its task and coordination have when it starts. Their limits may
change while it runs: a lower one counts after some seconds, a higher one at once.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from ai_coordination_engine.domain import budgets
from ai_coordination_engine.domain.budgets import Budget, Kind, Scope
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.store.models import Coordination, SessionAgent, Task
from ai_coordination_engine.store.record import Record

FRESH_SECONDS = 10.0
"""How long a limit counts that was read. Who is refused reads it again."""
_MOST_KNOWN = 1_000
_ORDER: tuple[Kind, ...] = ("task", "coordination", "tenant")
_MODELS: Mapping[str, type[Record]] = {"task": Task, "coordination": Coordination}
Known = tuple[float, Budget | None]
"""When a limit was read (epoch seconds), and the limit; None: there is none any more."""


def budgets_of(coordination: Coordination | None, task: Task | None = None) -> dict[str, Any]:
    """The budgets that a session of the task begins with, as rules store them; of a question
    without a task, that of the coordination.
    """
    records = {"task": task, "coordination": coordination}
    return {
        kind: {"uuid": record.key[1], "budget": record.budget}
        for kind, record in records.items()
        if record is not None and record.budget is not None
    }


def kept(agent: SessionAgent) -> dict[str, Any]:
    """The rule about budgets, for an agent that goes on with the work of this one."""
    given = rules.of(agent)
    return {"budgets": given["budgets"]} if "budgets" in given else {}


def applies(app: App, agent: SessionAgent) -> bool:
    """Whether the agent has a budget. No call."""
    return "budgets" in rules.of(agent) or of_tenant(app, agent.partition_key) is not None


def of_tenant(app: App, tenant: str) -> Budget | None:
    """What the tenant may spend in a day."""
    found = app.tenant_budgets
    return found.get(tenant) or found.get("*")


def scopes(app: App, agent: SessionAgent, *, fresh: bool = False) -> list[Scope]:
    """The budgets of an attempt that begins now: of its task, its coordination, its tenant.

    One BatchGetItem if `fresh`, or if nothing that was read lately tells the limits.
    """
    now = app.clock.now()
    given: Mapping[str, Any] = rules.of(agent).get("budgets", {})
    found = _limits(app, agent, given, now.timestamp(), fresh=fresh) if given else {}
    if (budget := of_tenant(app, agent.partition_key)) is not None:
        found["tenant"] = budget
    return scopes_of(found, given, agent.session_uuid, now)


def scopes_of(
    found: Mapping[str, Budget | None], given: Mapping[str, Any], session_uuid: str, now: datetime
) -> list[Scope]:
    """The budgets that were `found` as scopes; `given` has the uuids of their records."""
    return [
        budgets.scope(kind, given[kind]["uuid"] if kind in given else "", session_uuid, budget, now)
        for kind in _ORDER
        if (budget := found.get(kind)) is not None
    ]


def _limits(
    app: App, agent: SessionAgent, given: Mapping[str, Any], now: float, *, fresh: bool
) -> dict[str, Budget | None]:
    """The budgets of its task and its coordination, by kind."""
    at_start = agent.created_at.timestamp() if agent.created_at is not None else 0.0
    if not fresh and now - at_start < FRESH_SECONDS:
        return {kind: parsed(each["budget"]) for kind, each in given.items()}
    names = {kind: _name(agent, kind, each["uuid"]) for kind, each in given.items()}
    known = {} if fresh else _known(app, names, now)
    if len(known) < len(given):
        known = _read(app, agent, given)
        if len(app.known_budgets) > _MOST_KNOWN:
            app.known_budgets.clear()
        app.known_budgets.update({names[kind]: (now, each) for kind, each in known.items()})
    return known


def _known(app: App, names: Mapping[str, tuple[str, ...]], now: float) -> dict[str, Budget | None]:
    """The limits that this process has read lately."""
    read = {kind: app.known_budgets.get(name) for kind, name in names.items()}
    return {
        kind: each[1]
        for kind, each in read.items()
        if each is not None and now - each[0] < FRESH_SECONDS
    }


def _read(app: App, agent: SessionAgent, given: Mapping[str, Any]) -> dict[str, Budget | None]:
    """The limits as they are; of a record that is deleted, as they were. One BatchGetItem."""
    tenant = agent.partition_key
    keys = {
        kind: (tenant if kind == "coordination" else agent.coordination_uuid, each["uuid"])
        for kind, each in given.items()
    }
    wanted = {_MODELS[kind]: [key] for kind, key in keys.items()}
    read = app.records.get_many_of(tenant, wanted, consistent=True)
    found: dict[str, Budget | None] = {}
    for kind, each in given.items():
        record = read[_MODELS[kind]].get(keys[kind])
        found[kind] = parsed(each["budget"] if record is None else record.budget)
    return found


def of_record(
    app: App, tenant: str, coordination_uuid: str, kind: str, uuid: str
) -> Callable[[SessionAgent], Budget | None]:
    """The budget of a task or a coordination as it is now, or of a tenant, for an agent of it; of a
    record that is deleted, as it was when the agent's session started.
    """
    if kind == "tenant":
        return partial(_same, of_tenant(app, tenant))
    above = tenant if kind == "coordination" else coordination_uuid
    model = _MODELS[kind]
    found = app.records.get_many_of(tenant, {model: [(above, uuid)]}, consistent=True)
    record = found[model].get((above, uuid))
    return partial(_at_start, kind) if record is None else partial(_same, parsed(record.budget))


def _same(budget: Budget | None, agent: SessionAgent) -> Budget | None:
    return budget


def _at_start(kind: str, agent: SessionAgent) -> Budget | None:
    given = rules.of(agent).get("budgets", {})
    return parsed(given[kind]["budget"]) if kind in given else None


def parsed(stored: Mapping[str, Any] | None) -> Budget | None:
    """A budget as it is stored."""
    return None if stored is None else Budget.model_validate(stored)


def _name(agent: SessionAgent, kind: str, uuid: str) -> tuple[str, ...]:
    return agent.partition_key, kind, agent.coordination_uuid, uuid
