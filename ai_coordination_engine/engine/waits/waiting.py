"""A message finds an agent that waits: for a time, a person, predecessors or elements of a map."""

from typing import assert_never

from ai_coordination_engine.domain.lifecycle.phases import Phase, Waiting
from ai_coordination_engine.engine.advance import asking, ending, maps, timers
from ai_coordination_engine.engine.advance.giving_up import fail
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.waits import people
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.models import SessionAgent


def look_at(app: App, agent: SessionAgent, now: float, waits: Waiting) -> None:
    """Do what a message of an agent in this phase may do now."""
    match waits:
        case Phase.BACKOFF:
            timers.wake_at(app, agent, agent.not_before)
        case Phase.WAITING_FOR_BUDGET:
            pass  # it was claimed, and another worker has just let it wait again
        case Phase.ASKING:
            _park(app, agent)
        case Phase.WAITING_FOR_PERSON:
            _look_at_person(app, agent, now)
        case Phase.MAP_EXPANDING:
            _continue_expansion(app, agent)
        case Phase.WAITING_FOR_PREDECESSORS | Phase.WAITING_FOR_ELEMENTS | Phase.UNSATISFIED:
            pass  # the last predecessor to end sends a message, or skips this agent
        case Phase.READY | Phase.BY_HAND:
            pass  # another tenant's message, or a client's own agent
        case never:
            assert_never(never)


def _continue_expansion(app: App, agent: SessionAgent) -> None:
    try:
        maps.continue_expansion(app, agent)
    except AgentFailure as failure:  # the predecessor with its list was deleted meanwhile
        fail(app, agent, failure.message)


def _park(app: App, agent: SessionAgent) -> None:
    """Let the agent wait for its person; a delayed message is sent if the wait has an end."""
    within = (agent.agent_action or {}).get("answer_within_seconds")
    due_at = app.clock.now().timestamp() + within if within is not None else None
    parked = app.agents.wait_for_user(agent, due_at).record
    if parked is not None and parked.state == "wait_for_user_input" and parked.due_at is not None:
        timers.wake_at(app, parked, parked.due_at)


def _look_at_person(app: App, agent: SessionAgent, now: float) -> None:
    if asking.is_asking(agent) and ending.is_over(app, agent):
        ending.abandon(app, agent)  # its session ended while its attempt asked
        return
    if agent.due_at is None:
        return
    if agent.due_at <= now:
        people.expire(app, agent)
    else:
        timers.wake_at(app, agent, agent.due_at)
