"""Let an agent wait whose attempt does not fit into a budget. `engine.step` is the caller;
`attempt.budget_waits` is the other side.
"""

from functools import partial

from ai_coordination_engine.engine.advance import timers
from ai_coordination_engine.engine.advance.ending import lease_lost_before_call
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import budget_waits
from ai_coordination_engine.engine.attempt.budgets import OverBudget
from ai_coordination_engine.engine.attempt.chain import Chain
from ai_coordination_engine.engine.attempt.persistence import persist
from ai_coordination_engine.engine.graph.outlook import budget_begins
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.transitions.outcome import Rejected


def wait(app: App, agent: SessionAgent, chain: Chain, over: OverBudget) -> None:
    """Let a claimed agent wait for room. It is woken when there is some, at the beginning of the
    next day of a budget of a day, and by the sweep in any case.
    """
    wanted = budget_waits.wanted(app, over.full)
    waits = persist(app, agent, chain, partial(app.agents.wait_for_budget, agent, wanted))
    if isinstance(waits, Rejected):
        lease_lost_before_call(app, agent, waits.record)
        return
    persist(app, agent, chain, partial(budget_waits.enter, app, waits.record, over.full))
    later = app.clock.now().timestamp() + app.settings.watch_seconds
    timers.look_at(app, waits.record, min(later, budget_begins(waits.record) or later))
