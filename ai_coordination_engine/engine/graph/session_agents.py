"""Make the session agents and counter shards of a planned session, ready to be stored.

`planning.start` and `advance.pinning` are the callers; `planning.forked_session` uses `Filling`.
"""

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import field
from functools import cache, partial
from typing import Any, TypeVar

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.graph import PlannedAgent
from ai_coordination_engine.domain.placeholders import query_keys
from ai_coordination_engine.domain.planning import Planning
from ai_coordination_engine.domain.scope import Scope
from ai_coordination_engine.domain.shapes import Agent, AgentAction
from ai_coordination_engine.domain.subtasks import (
    Subtask,
    fill_subtask,
    predecessor_names,
    refuse_missing,
    step_id,
)
from ai_coordination_engine.domain.text_parts import parts_of
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.edge_outcomes import COUNTED, Edge
from ai_coordination_engine.engine.graph.keys import agent_key, edge_id_of
from ai_coordination_engine.engine.graph.sharing import MAX_WRITTEN, Sharing, too_much
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.payload import inline, to_json
from ai_coordination_engine.store.transitions import counter_shards

T = TypeVar("T")


def plan_hash(plan: "Plan") -> str:
    """A hash of the plan; equal plans have equal hashes."""
    return str(plan.once("hash", lambda: _hash(plan)))


def _hash(plan: "Plan") -> str:
    known: dict[str, str] = {}
    digest = hashlib.sha256((plan.on_failure or "").encode())
    if plan.planning is not None:
        digest.update(to_json(plan.planning.stored()).encode())
    for each in plan.agents:
        uuid = each.agent.agent_uuid
        if uuid not in known:
            known[uuid] = to_json([each.agent.stored(), each.action.complete()])
            digest.update(known[uuid].encode())
        digest.update(to_json([uuid, each.subtask_query, each.predecessors]).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Plan:
    """The plan of a session.

    `agents`: its session agents, by ordinal. `by_uuid`: all agents of the coordination.
    `on_failure` and `placeholders`: the task's settings; with `strict`, a placeholder without a
    value is an error. `planning`: the only agent is the planning one, and its plan is still to be
    made. `budgets`: those of the task and the coordination, by kind, as rules store them.
    """

    agents: Sequence[PlannedAgent]
    by_uuid: Mapping[str, Agent]
    on_failure: str | None = None
    placeholders: str | None = None
    planning: Planning | None = None
    budgets: Mapping[str, Any] = field(default_factory=dict)
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns, which depends on the plan alone: it is made once for each `name`."""
        if name not in self._made:
            self._made[name] = make()
        found: T = self._made[name]
        return found

    def stored(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """The same as it is stored inline."""
        return self.once(name, lambda: inline(make()))

    def sinks(self) -> list[int]:
        """The ordinals of the agents without successors."""
        return [each.ordinal for each in self.agents if not each.successors]


class Filling:
    """Fills the placeholders in the subtasks of one start or fork, within one budget.

    A text that an agent has several times is filled once, but for each step of a plan. Raises
    `BadUserInput` when the budget is used up, or all texts together have more than `MAX_WRITTEN`
    characters.
    """

    def __init__(self, query: str, by_uuid: Mapping[str, Agent]) -> None:
        self._keys, self._by_uuid = Scope.of([query_keys(query)]), by_uuid
        self._budget, self._left = Budget(), MAX_WRITTEN
        self._known: dict[tuple[str, str | None, str], Subtask] = {}

    def __call__(self, text: str, agent: Agent, action: AgentAction) -> Subtask:
        """The filled subtask of an agent."""
        name = (agent.agent_uuid, step_id(action), text)
        if name not in self._known:
            filled = fill_subtask(text, agent, action, self._by_uuid, self._keys, self._budget)
            self._left -= sum(len(part) for part in parts_of(filled.text) if isinstance(part, str))
            if self._left < 0:
                raise too_much()
            self._known[name] = filled
        return self._known[name]


def filled_subtasks(plan: Plan, query: str) -> list[Subtask]:
    """The filled subtasks of a plan's agents, in the order of the agents, however strict the plan.

    Raises `BadUserInput` if all texts together are too large.
    """
    filling = Filling(query, plan.by_uuid)
    return [
        (
            filling(each.subtask_query, each.agent, each.action)
            if each.subtask_query
            else Subtask(None)
        )
        for each in plan.agents
    ]


def fill_subtasks(plan: Plan, query: str) -> list[Subtask]:
    """The filled subtasks of a plan's agents, in the order of the agents.

    Raises `BadUserInput`; if the plan is strict, also for a placeholder without a value.
    """
    subtasks = filled_subtasks(plan, query)
    if plan.placeholders == "strict":
        refuse_missing(
            (each.agent.label, subtask) for each, subtask in zip(plan.agents, subtasks, strict=True)
        )
    return subtasks


def session_agents(
    app: App,
    session: Session,
    plan: Plan,
    subtasks: Sequence[Subtask],
    epoch: int | None = None,
) -> list[SessionAgent]:
    """The session agents of a plan, ready to be stored. `epoch`: how often the session was reset.

    Large values are written to blobs under the session's prefix; a value that several agents share
    is written once. Sets `session.has_blobs` if there are such blobs. Raises `BadUserInput`, before
    anything is written, if all agents together are too large.
    """
    share = Sharing(app, session)
    uuid = cache(lambda ordinal: agent_key(session, ordinal)[1])
    input_files = session.input_files
    common = {
        **SessionAgent.once(
            partition_key=session.partition_key,
            coordination_uuid=session.coordination_uuid,
            created_at=session.created_at,
            updated_at=session.created_at,
            updated_by=session.updated_by,
            trace=session.trace,
        ),
        "task_query": share(session.task_query or None),
        "input_files": share(input_files),
    }
    sinks = len(plan.sinks())
    agents = [
        SessionAgent(
            **common,
            session_uuid=session.session_uuid,
            **_values(app, uuid, plan, each, share, epoch),
            # called at once
            query=share.once(("query", id(subtask)), lambda: subtask.text),  # noqa: B023
            lease_seconds=_lease_seconds(app, each),
            sink_count=None if each.successors else sinks,
        )
        for each, subtask in zip(plan.agents, subtasks, strict=True)
    ]
    share.write()
    return agents


def session_counter_shards(session: Session, plan: Plan) -> list[CounterShard]:
    """The counter shards of a plan: of its wide joins, and of its sinks if there are many."""
    found = []
    for each in plan.agents:
        if count := counter_shards.how_many(len(each.predecessors), each.action.join):
            key = agent_key(session, each.ordinal)
            found += [
                counter_shards.counter_shard(
                    counter_shards.join_key(key, 0, number), session, edges
                )
                for number, edges in counter_shards.spread(each.predecessors, count).items()
            ]
    sinks = plan.sinks()
    if count := counter_shards.how_many(len(sinks)):
        found += [
            counter_shards.counter_shard(counter_shards.sink_key(session, number), session, edges)
            for number, edges in counter_shards.spread(sinks, count).items()
        ]
    return found


def open_sinks(plan: Plan) -> list[int]:
    """The initial value of `Session.open_sinks`: the sinks, or the numbers of their counter
    shards.
    """
    sinks = plan.sinks()
    return (
        list(counter_shards.spread(sinks, count))
        if (count := counter_shards.how_many(len(sinks)))
        else sinks
    )


def _values(
    app: App,
    uuid: Callable[[int], str],
    plan: Plan,
    each: PlannedAgent,
    share: Sharing,
    epoch: int | None,
) -> Mapping[str, Any]:
    def once(kind: str, name: Hashable, make: Callable[[], Any]) -> Any:
        return share.once((kind, name), partial(plan.stored, (kind, name), make))

    counter_shard = counter_shards.how_many(len(each.predecessors), each.action.join)
    # the subtasks of an agent have one action, the steps of a plan each their own
    own = (each.agent.agent_uuid, step_id(each.action))
    before, after, thread = map(tuple, (each.predecessors, each.successors, each.thread))
    return {
        "session_agent_uuid": uuid(each.ordinal),
        "agent_uuid": each.agent.agent_uuid,
        "agent_action": once("action", own, each.action.complete),
        "definition": once("definition", each.agent.agent_uuid, each.agent.stored),
        "needs": needs_of_agent(app, each.agent),
        "ordinal": each.ordinal,
        "epoch": epoch,
        "state": "initial",
        "in_degree": len(each.predecessors),
        "unfinished": _unfinished(each, counter_shard, epoch),
        "counter_shards": counter_shard or None,
        "still_needed": _missing(each),
        "predecessors": once("before", before, lambda: list(before) or None),
        "successors": once("edges", (own, after), lambda: _edges(app, plan, each)),
        "rules": once("rules", own, lambda: _rules(plan, each) or None),
        "thread_uuid": uuid(each.thread_root),
        "thread": plan.stored(("thread", thread), lambda: list(thread) or None),
        # the person of a planning agent is asked about its plan
        "awaits_user": None if plan.planning else each.action.user_in_the_loop or None,
    }


def _unfinished(each: PlannedAgent, counter_shard: int, epoch: int | None) -> set[int] | None:
    if counter_shard:
        return set(counter_shards.spread(each.predecessors, counter_shard))
    return {edge_id_of(before, epoch) for before in each.predecessors} or None


def _missing(each: PlannedAgent) -> int | None:
    if each.action.join not in COUNTED or not each.predecessors:
        return None
    return each.action.quorum if each.action.join == "quorum" else 1


def needs_of_agent(app: App, agent: Agent) -> str | None:
    """The extra that the agent needs; None for none."""
    return app.needs({"kind": agent.runtime.kind} if agent.runtime else None)


def _edges(app: App, plan: Plan, each: PlannedAgent) -> list[list[Any]] | None:
    return [_edge(app, plan, each, ordinal).stored() for ordinal in each.successors] or None


def _edge(app: App, plan: Plan, each: PlannedAgent, successor: int) -> Edge:
    after = plan.agents[successor]
    return Edge(
        successor,
        len(after.predecessors),
        after.action.join,
        (after.action.conditions or {}).get(each.agent.agent_uuid),
        after.agent.agent_uuid if each.action.action_function.function_name else None,
        needs_of_agent(app, after.agent),
    )


def _rules(plan: Plan, each: PlannedAgent) -> dict[str, Any]:
    """The rules of an agent, which `engine.graph.rules` reads; empty values are left out."""
    action = each.action
    after = [plan.agents[ordinal].agent.agent_uuid for ordinal in each.successors]
    given = {
        "policy": _policy(each),
        "fallback": plan.by_uuid[action.fallback].stored() if action.fallback else None,
        "on_failure": plan.on_failure if plan.on_failure != "fail_fast" else None,
        "map": _map(each),
        "names": predecessor_names(action, plan.by_uuid) if action.map else None,
        "strict": plan.placeholders == "strict",
        "plan": plan.planning.stored() if plan.planning else None,
        "budgets": plan.budgets,
        "successor_uuids": (
            list(dict.fromkeys(after)) if action.action_function.function_name else None
        ),
    }
    return {name: value for name, value in given.items() if value}


def _map(each: PlannedAgent) -> dict[str, Any] | None:
    if each.action.map is None:
        return None
    of_step = {"ordinal": each.map_over, "most": each.map_limit}
    return {**each.action.map.stored(), **(of_step if each.map_over is not None else {})}


def _policy(each: PlannedAgent) -> dict[str, Any]:
    """The policy of the agent, overridden by the policy in the task."""
    own, tasks = each.agent.policy, each.action.policy
    policy = {**(own.stored() if own else {}), **(tasks.stored() if tasks else {})}
    return {name: value for name, value in policy.items() if value is not None}


def _lease_seconds(app: App, each: PlannedAgent) -> float | None:
    """The length of the agent's lease, from its policy; None if the settings decide.

    An agent with a fallback uses the settings: the fallback may need more time.
    """
    policies = [policy for policy in (each.action.policy, each.agent.policy) if policy]
    own = next((policy.timeout_seconds for policy in policies if policy.timeout_seconds), None)
    if own is None or each.action.fallback:
        return None
    return min(float(own), app.settings.agent_timeout_seconds) + app.settings.lease_margin_seconds
