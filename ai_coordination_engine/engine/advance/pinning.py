"""End a planning agent: show its plan to a person if the task asks one, then pin the plan and start
its steps, or fail the session.

Everything is derived from the answer, which the run of the attempt keeps, and from the rules that
were stored when the session started. So a repetition derives the same steps. They are written
in one transaction, together with the end of the planning agent.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import decomposition, plans
from ai_coordination_engine.domain.decomposition import Subtasks
from ai_coordination_engine.domain.graph import PlannedAgent
from ai_coordination_engine.domain.plan_graph import graph_of, own_graph, planner_alone
from ai_coordination_engine.domain.planning import MAX_PLAN, MAX_SHOWN, Planning
from ai_coordination_engine.domain.plans import Made, plan_hash, shown
from ai_coordination_engine.domain.reviews import review_of
from ai_coordination_engine.domain.shapes import Agent, parse_agent_action
from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.domain.structured import Unfit
from ai_coordination_engine.domain.subtasks import Subtask
from ai_coordination_engine.engine.advance import accounts, timers
from ai_coordination_engine.engine.advance import hand_off as advance
from ai_coordination_engine.engine.advance.ending import lease_lost
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.chain import Chain
from ai_coordination_engine.engine.attempt.persistence import persist
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.edge_outcomes import COUNTED
from ai_coordination_engine.engine.graph.keys import edge_id_of
from ai_coordination_engine.engine.graph.session_agents import (
    Plan,
    fill_subtasks,
    session_agents,
)
from ai_coordination_engine.errors import BadUserInput, Throttled
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions.outcome import Applied

_NAMED = 5  # placeholders without a value that a note names
_TRIES = 10  # to pin a plan while the session is being controlled


@dataclass(frozen=True)
class Steps:
    """The graph that a session is about to run: its agents, with the planning one, their subtasks,
    and the plan that is pinned (None: it is the task's own graph).
    """

    planned: Plan
    subtasks: Sequence[Subtask]
    pinned: Mapping[str, Any] | None

    def unfilled(self) -> str | None:
        """A note on the placeholders without a value; None if there are none."""
        warnings = [warning for each in self.subtasks for warning in each.warnings]
        words = [each.removeprefix("subtaskQueries: ") for each in dict.fromkeys(warnings)]
        more = [f"And {len(words) - _NAMED} more."] if len(words) > _NAMED else []
        return " ".join([*words[:_NAMED], *more]) or None

    def stored_subtasks(self) -> list[dict[str, Any]]:
        """The subtasks as a session stores them."""
        return [
            {"agent_uuid": each.agent.agent_uuid, "subtask_query": each.subtask_query}
            for each in self.planned.agents
            if each.ordinal or each.subtask_query
        ]


def is_planner(agent: SessionAgent) -> bool:
    """Whether the agent makes the plan of its session."""
    return "plan" in rules.of(agent)


def planning_of(agent: SessionAgent) -> Planning:
    """The rules by which the planning agent was asked."""
    return decomposition.planning_of(rules.of(agent)["plan"])


def check(agent: SessionAgent, output: str) -> None:
    """Raises `AgentFailure` when a planning agent has answered no plan that may run."""
    if is_planner(agent):
        planning = planning_of(agent)
        _runnable(agent, planning, _read(planning, output))


def check_review(agent: SessionAgent, answer: str) -> None:
    """Raises `BadUserInput` when an answer is no review of the agent's plan, or changes it to one
    that may not run.
    """
    planning = planning_of(agent)
    edited = review_of(answer, planning).edited
    if edited is not None and edited.cannot_do is None:
        _steps(agent, planning, edited)


def conclude(app: App, agent: SessionAgent, output: str, chain: Chain) -> SessionAgent | None:
    """Go on with what a planning agent has answered: ask its person, or pin the plan. Returns a
    step that was claimed, if any.

    Raises `AgentFailure` for an answer that is no plan.
    """
    planning = planning_of(agent)
    made = _read(planning, output, MAX_SHOWN if agent.acting else MAX_PLAN)
    if made.cannot_do is None and _asks(agent) and agent.user_input is None:
        _propose(app, agent, made, chain)
        return None
    decided = _decided(agent, planning, made)
    if isinstance(decided, str):
        _failed(app, agent, decided)
        return None
    return _pin(app, agent, decided, chain)


def run_own_graph(app: App, agent: SessionAgent, failure: AgentFailure) -> bool:
    """Run the task's own graph because no plan came, if the task wants that. False: it does
    not.
    """
    if not is_planner(agent) or not (planning := planning_of(agent)).fallback:
        return False
    graph = own_graph(planning, _alone(agent))
    note = f"The task's own graph runs, because there is no plan: {failure.message}"
    _pin(app, agent, _filled(agent, planning, graph, None), None, note)
    return True


# Its answer


def _read(planning: Planning, output: str, most: int = MAX_PLAN) -> Made:
    try:
        return planning.read(output, most)
    except Unfit as error:
        raise AgentFailure(str(error), retryable=True, error_class="invalid_output") from error


def _runnable(agent: SessionAgent, planning: Planning, made: Made) -> Steps | str:
    """The steps of an answer, or why there are none. Raises `AgentFailure`."""
    try:
        return _steps(agent, planning, made) if made.cannot_do is None else made.cannot_do
    except BadUserInput as error:
        raise AgentFailure(error.message, retryable=True, error_class="invalid_output") from error


def _steps(agent: SessionAgent, planning: Planning, made: Made) -> Steps:
    """Raises `BadUserInput` when the placeholders are strict, or the texts too large."""
    return _filled(agent, planning, _graph(agent, planning, made), made.wire())


def _graph(agent: SessionAgent, planning: Planning, made: Made) -> list[PlannedAgent]:
    if isinstance(made, Subtasks):
        return own_graph(planning, _alone(agent), made.queries)
    return graph_of(cast(plans.Plan, made), planning, _alone(agent))


def _alone(agent: SessionAgent) -> Any:
    definition = Agent.model_validate(agent.definition)
    return planner_alone(definition, parse_agent_action(agent.agent_action), None)


def _filled(
    agent: SessionAgent, planning: Planning, graph: Sequence[Any], pinned: dict[str, Any] | None
) -> Steps:
    placeholders = "strict" if planning.strict else None
    # a step may have any agent of the coordination as its fallback
    by_uuid = {**planning.by_uuid, agent.agent_uuid: Agent.model_validate(agent.definition)}
    kept = rules.of(agent).get("budgets") or {}
    planned = Plan(graph, by_uuid, planning.on_failure, placeholders, budgets=kept)
    return Steps(planned, fill_subtasks(planned, agent.task_query or ""), pinned)


# Its person


def _asks(agent: SessionAgent) -> bool:
    return bool((agent.agent_action or {}).get("user_in_the_loop"))


def _decided(agent: SessionAgent, planning: Planning, made: Made) -> Steps | str:
    """The steps to run, or why there are none. After a review the agent is not asked again: what
    it would answer has not been seen by the person.
    """
    if not _asks(agent) or agent.user_input is None:
        return _runnable(agent, planning, made)
    try:
        review = review_of(agent.user_input, planning)
        if review.rejected is not None:
            return f"The plan was rejected: {review.rejected}"
        made = review.edited or made
        return _steps(agent, planning, made) if made.cannot_do is None else made.cannot_do
    except BadUserInput as error:  # a default answer, or one that a client wrote
        return error.message


def _propose(app: App, agent: SessionAgent, made: Made, chain: Chain) -> None:
    """Put the plan into the inbox of its person."""
    within = (agent.agent_action or {}).get("answer_within_seconds")
    due_at = app.clock.now().timestamp() + within if within is not None else None
    plan = {"agent_output": shown(made.wire()), "notes": None, **accounts.noted(agent)}
    values = _stored(app, agent, plan)
    proposed = persist(app, agent, chain, partial(app.agents.propose_plan, agent, values, due_at))
    if not isinstance(proposed, Applied):
        lease_lost(app, agent, proposed.record)
    elif proposed.record.due_at is not None:
        timers.wake_at(app, proposed.record, proposed.record.due_at)


# Its end


def _failed(app: App, agent: SessionAgent, why: str) -> None:
    failed = app.agents.fail(agent, _stored(app, agent, {"notes": why} | accounts.noted(agent)))
    if isinstance(failed, Applied):
        advance.ended(app, failed.record)
    else:
        lease_lost(app, agent, failed.record)


def _pin(
    app: App, agent: SessionAgent, steps: Steps, chain: Chain | None, note: str | None = None
) -> SessionAgent | None:
    """Write the steps and start those without predecessors; returns one that was claimed.

    If the session is paused or reset meanwhile, it is read again.
    """
    for _ in range(_TRIES):
        session = _open_session(app, agent)
        if session is None:
            _failed(app, agent, "The session ended before its plan could run.")
            return None
        try:
            made = _session_agents(app, session, agent, steps)
        except BadUserInput as error:  # they are too large together
            _failed(app, agent, error.message)
            return None
        write = partial(_write, app, session, agent, steps, made, note)
        if write() if chain is None else persist(app, agent, chain, write):
            return _begin(app, agent, made, chain)
        now = app.records.get_stored(SESSION_AGENT, agent.partition_key, agent.key)
        if _is_pinned_by(agent, now):  # by a try whose answer was lost
            return _begin(app, agent, made, chain)
        if now is None or not _is_held_by(agent, now):
            lease_lost(app, agent, now)
            return None
        agent = now
    raise _later()


def _open_session(app: App, agent: SessionAgent) -> Session | None:
    """The session, unless it has ended. Raises `Throttled` while it is being reset."""
    session = app.records.get_stored(SESSION, agent.partition_key, agent.session_key)
    if session is None or session.status in TERMINAL_SESSION_STATUSES:
        return None
    if session.stored("restart") is not None:
        raise _later()
    return session


def _later() -> Throttled:
    return Throttled("The session is being changed concurrently; its plan is pinned later.")


def _session_agents(
    app: App, session: Session, agent: SessionAgent, steps: Steps
) -> list[SessionAgent]:
    """The session agents of the steps, paused if the session is."""
    _, *made = session_agents(app, session, steps.planned, steps.subtasks, agent.epoch)
    now = app.clock.now()
    for each in made:
        each.created_at = each.updated_at = now
        each.paused = session.pause_token
    return made


def _write(
    app: App,
    session: Session,
    agent: SessionAgent,
    steps: Steps,
    made: Sequence[SessionAgent],
    note: str | None,
) -> bool:
    first = steps.planned.agents[0].successors
    pinned = steps.pinned
    values = {
        "agent_output": shown(pinned) if pinned is not None else None,
        "plan": {"plan": pinned, "hash": plan_hash(pinned) if pinned is not None else None},
        "successors": [[ordinal, 0] for ordinal in first],
        "notes": note or steps.unfilled(),
        **accounts.noted(agent),
    }
    sinks = steps.planned.sinks()
    key = session.key
    counted = {
        "subtask_queries": steps.stored_subtasks(),
        "open_sinks": {edge_id_of(each, agent.epoch) for each in sinks},
        "open_sink_count": len(sinks),
    }
    if any(each.action.join in COUNTED for each in steps.planned.agents):
        counted["early"] = True
    if session.has_blobs:
        counted["has_blobs"] = True
    stored = app.records.store(SESSION, session.partition_key, key, counted, session.nonce)
    return app.plans.pin(agent, _stored(app, agent, values), made, session, stored)


def _begin(
    app: App, agent: SessionAgent, made: Sequence[SessionAgent], chain: Chain | None
) -> SessionAgent | None:
    """Start the steps without predecessors."""
    ready = [each for each in made if each.in_degree == 0 and each.paused is None]
    if chain is None:
        advance.begin(app, agent, ready, advance.no_room)
        return None
    return chain.go_on_with(advance.begin(app, agent, ready, partial(chain.room, app)))


def _is_pinned_by(agent: SessionAgent, now: SessionAgent | None) -> bool:
    is_pinned = now is not None and now.stored("plan") is not None
    return is_pinned and now is not None and _is_same_attempt(agent, now)


def _is_held_by(agent: SessionAgent, now: SessionAgent) -> bool:
    return now.state in ("executing", "pending") and _is_same_attempt(agent, now)


def _is_same_attempt(agent: SessionAgent, now: SessionAgent) -> bool:
    return (now.run_uuid, now.lease_token) == (agent.run_uuid, agent.lease_token)


def _stored(app: App, agent: SessionAgent, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` of the planning agent in stored form."""
    return app.records.store(
        SESSION_AGENT, agent.partition_key, agent.key, dict(values), agent.nonce
    )
