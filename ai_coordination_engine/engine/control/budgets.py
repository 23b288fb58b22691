"""What follows when a client changes a budget, and what a session's budgets have used."""

from collections.abc import Sequence
from datetime import datetime

from ai_coordination_engine.domain.budgets import Scope
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import limits
from ai_coordination_engine.engine.attempt.budget_waits import wake_all
from ai_coordination_engine.store.models import Coordination, Task


def changed(app: App, record: Coordination | Task) -> None:
    """Wake the agents that wait for the budget of a record whose limit has just been written. If
    this process dies before, the sweep wakes them.
    """
    kind = "task" if isinstance(record, Task) else "coordination"
    wake_all(app, record.partition_key, record.coordination_uuid, kind, record.key[1])


def scopes(
    app: App,
    tenant: str,
    session_uuid: str,
    coordination: Coordination | None,
    task: Task | None,
    now: datetime,
) -> Sequence[Scope]:
    """The budgets that a session of these records has now."""
    given = limits.budgets_of(coordination, task)
    found = {kind: limits.parsed(each["budget"]) for kind, each in given.items()}
    found["tenant"] = limits.of_tenant(app, tenant)
    return limits.scopes_of(found, given, session_uuid, now)
