"""Compute the inputs of an agent: its subtask, and the outputs of the predecessors that pass.

Inputs are not stored. `attempt.request` computes them for an attempt, the API for `agentInput`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.placeholders import render
from ai_coordination_engine.domain.prompts import compose_input
from ai_coordination_engine.domain.text_parts import named_agents, output_name
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.edge_outcomes import Edge, Held, edges, held_again, passes
from ai_coordination_engine.engine.graph.keys import (
    agent_key,
    counter_shard_number,
    element_ordinal,
    family,
)
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import COUNTER_SHARDS, SESSION_AGENT
from ai_coordination_engine.store.transitions import counter_shards

MAX_TEXT = 8_000_000  # characters of one output, and of all outputs in the input of one agent


@dataclass(frozen=True, slots=True)
class AgentOutput:
    """The output of a completed agent, and the data to evaluate its edges.

    `chosen`: the successors that its action function chose. `successors`: a function that reads its
    stored edges. `held`: the conditions that were evaluated already. `ended_at`: when it ended, in
    epoch seconds.
    """

    ordinal: int
    agent_uuid: str
    name: str
    output: str
    chosen: Any = None
    successors: Callable[[], Any] = lambda: None
    held: Held = field(default_factory=dict)
    ended_at: float | None = None


def output_of(
    agent: SessionAgent, output: str | None = None, held: Held | None = None
) -> AgentOutput:
    """The output of a completed agent.

    `output` and `held`: pass them if they are known, to save reading and evaluating again.
    """
    definition = agent.definition or {}
    text = output if output is not None else agent.agent_output or ""
    name = definition.get("agent_name") or agent.agent_uuid
    chosen = agent.chosen
    return AgentOutput(
        agent.ordinal,
        agent.agent_uuid,
        name,
        text,
        chosen,
        agent.deferred("successors"),
        held or {},
        agent.ended_at,
    )


def task_query(agent: SessionAgent) -> str:
    """The query of the session; for an agent that was asked outside a task, the user's own words,
    also where another agent has handed the question on.
    """
    asked = agent.query if agent.sink_count == 0 else None
    return agent.task_query or asked or ""


def read_outputs(app: App, of: SessionAgent, ordinals: Sequence[int]) -> dict[int, AgentOutput]:
    """The outputs of the completed ones among these agents of the session, by ordinal.

    For a question that was handed on, the output of the agent that answered it. One BatchGetItem
    per 100, and per hand-off.
    """
    answers = answering(app, of, ordinals)
    return {ordinal: output_of(each) for ordinal, each in answers.items()}


def answering(app: App, of: SessionAgent, ordinals: Sequence[int]) -> dict[int, SessionAgent]:
    """The agents that have answered, by the ordinals of those that were asked; who has not
    completed is left out.
    """
    found = {each.ordinal: each for each in read(app, of, ordinals)}
    while routed := {
        ordinal: each.routed["ordinal"]
        for ordinal, each in found.items()
        if each.stored("routed") is not None
    }:
        after = {each.ordinal: each for each in read(app, of, list(routed.values()))}
        for ordinal, then in routed.items():
            del found[ordinal]
            if then in after:
                found[ordinal] = after[then]
    return {ordinal: found[ordinal] for ordinal in ordinals if _completed(found.get(ordinal))}


def _completed(agent: SessionAgent | None) -> bool:
    return agent is not None and agent.state == "completed"


def read(app: App, of: SessionAgent, ordinals: Iterable[int]) -> list[SessionAgent]:
    """The session's agents with these ordinals, in that order. One BatchGetItem per 100."""
    keys = {agent_key(of, each): each for each in ordinals}
    found = (
        app.records.get_many(SESSION_AGENT, of.partition_key, list(keys), consistent=True)
        if keys
        else {}
    )
    return [found[key] for key in keys if key in found]


def passing(
    agent: SessionAgent, outputs: Mapping[int, AgentOutput], budget: Budget
) -> list[AgentOutput]:
    """The outputs of the predecessors whose edges to this agent pass, in the agent's order.

    An element of a map gets the outputs that pass to the map. Raises `AgentFailure` when the budget
    is used up.
    """
    before: Sequence[int] = agent.predecessors or ()
    conditions = None
    if agent.map_ordinal is None:
        conditions = (agent.agent_action or {}).get("conditions") or {}
    return [
        outputs[each]
        for each in before
        if each in outputs and _passes(outputs[each], agent, conditions, budget)
    ]


def _passes(
    source: AgentOutput,
    agent: SessionAgent,
    conditions: Mapping[str, str] | None,
    budget: Budget,
) -> bool:
    """Whether the edge from `source` to the agent passes.

    `conditions`: the agent's own, by predecessor; this saves a search in the source's successors,
    which may be thousands. None for an element: the edge to its map counts.
    """
    if conditions is not None:
        condition = conditions.get(source.agent_uuid)
        edge = Edge(agent.ordinal, 0, condition=condition, agent_uuid=agent.agent_uuid)
    else:
        outgoing_edges = edges(source.successors())
        found = next((each for each in outgoing_edges if each.ordinal == agent.map_ordinal), None)
        if found is None:
            return False
        edge = found
    held = source.held
    if edge.condition and edge.condition not in held:
        held = held_again([edge.condition], source.output, budget)
    return passes(edge, source.chosen, held)


@dataclass(frozen=True, slots=True)
class Given:
    """The inputs of an agent.

    `query`: its filled subtask. `missing`: the placeholders in it without a value. `outputs`: of
    its predecessors, as (name, output, whether it is a turn of the agent's thread). `user_input`:
    the person's answer. `task_first`: the query comes before the outputs.
    """

    query: str
    missing: Sequence[str]
    outputs: Sequence[tuple[str, str, bool]]
    user_input: str | None
    task_first: bool

    def text(self, *, on_thread: bool = False) -> str:
        """The inputs as one text; `on_thread`: without outputs that are turns of the thread."""
        outputs = [
            (name, output) for name, output, is_turn in self.outputs if not (is_turn and on_thread)
        ]
        return compose_input(self.query, outputs, self.user_input, task_first=self.task_first)


def composed(app: App, agent: SessionAgent, before: Sequence[AgentOutput], budget: Budget) -> Given:
    """The inputs of an agent from the outputs `before` it.

    An output that a placeholder uses is not repeated after the query. Raises `AgentFailure` if the
    outputs in placeholders are too long in total, or the budget is used up.
    """
    asked = agent.query
    outputs: dict[str, list[str]] = {}
    for each in before:
        outputs.setdefault(each.agent_uuid, []).append(each.output)
        outputs[output_name(each.ordinal)] = [each.output]
    try:
        query, missing = (
            render(asked, outputs, budget=budget) if asked else (agent.task_query or "", [])
        )
    except BadUserInput as error:
        raise AgentFailure(error.message, error_class="invalid_output") from error
    named, thread = named_agents(asked), set(agent.thread or ())
    rest = [
        (each.name, each.output, each.ordinal in thread)
        for each in before
        if named.isdisjoint((each.agent_uuid, output_name(each.ordinal)))
    ]
    task_first = app.settings.task_position == "first"
    return Given(query, missing, rest, agent.user_input, task_first)


def given(
    app: App, agents: Sequence[SessionAgent], budget: Budget, *, on_thread: bool = False
) -> dict[str, str]:
    """The inputs of these agents as texts, by the agent's uuid.

    The agents may be of several sessions of one tenant. Raises `AgentFailure` like `composed`.
    """
    by_session: dict[tuple[str, str], list[SessionAgent]] = {}
    for agent in agents:
        by_session.setdefault(agent.session_key, []).append(agent)
    answers: dict[str, str] = {}
    for group in by_session.values():
        wanted: dict[int, None] = {}
        for agent in group:
            wanted.update(dict.fromkeys(agent.predecessors or ()))
        outputs = {
            each.ordinal: output_of(each)
            for each in group
            if each.ordinal in wanted and each.state == "completed"
        }
        outputs |= read_outputs(app, group[0], [each for each in wanted if each not in outputs])
        for agent in group:
            before = passing(agent, outputs, budget)
            answers[agent.session_agent_uuid] = composed(app, agent, before, budget).text(
                on_thread=on_thread
            )
    return answers


def in_degrees(app: App, agents: Sequence[SessionAgent]) -> dict[str, int]:
    """The numbers of unfinished predecessors of these wide joins, from their counter shards, by
    uuid.
    """
    reads = [partial(_unfinished, app, agent) for agent in agents]
    counts = app.records.parallel.run(reads) if reads else []
    return {agent.session_agent_uuid: count for agent, count in zip(agents, counts, strict=True)}


def _unfinished(app: App, agent: SessionAgent) -> int:
    source = counter_shard_family(agent)
    key = agent.key
    keys = [
        counter_shards.join_key(key, source, counter_shard_number(each))
        for each in agent.unfinished or ()
    ]
    found = (
        app.records.get_many(COUNTER_SHARDS, agent.partition_key, keys, consistent=True)
        if keys
        else {}
    )
    return sum(each.in_degree for each in found.values())


def counter_shard_family(agent: SessionAgent) -> int:
    """The family (`keys.family`) in the keys of this wide join's counter shards."""
    return (
        family(element_ordinal(agent.ordinal, agent.generation, 0))
        if agent.mapped is not None
        else 0
    )


def label(agent: SessionAgent) -> str:
    """The agent's name, else its uuid; for messages."""
    definition: Mapping[str, Any] = agent.definition or {}
    return definition.get("agent_name") or agent.agent_uuid
