"""Reset a session for a retry or a rerun: agents that run again get their initial values.

`control.reconcile` calls `continue_reset` for a session with a reset in progress.

1. The session's new epoch is written first, together with what to reset (`Session.restart`). From
   then on, any worker can resume an interrupted reset.
2. Each agent is reset once per epoch, with *all* of its predecessors unfinished.
3. The session is reconciled. Agents that keep their results release their edges again, so joins,
   conditions and counter shards are counted by the usual code.

The id of an edge contains the epoch of the agent at which it starts. A late worker therefore
releases an old edge and changes nothing. An agent that was reset waits only for edges of the new
epoch. So a predecessor may be reset, may go on running or may keep its result, and this may change
until it is written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.statuses import OPEN_AGENT_STATES
from ai_coordination_engine.engine.advance.ending import agents_of
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt import budgets
from ai_coordination_engine.engine.attempt.cancelling import cancel_jobs
from ai_coordination_engine.engine.graph import rules
from ai_coordination_engine.engine.graph.edge_outcomes import COUNTED, edges
from ai_coordination_engine.engine.graph.keys import (
    counter_shard_ordinal,
    edge_id_of,
    element_ordinal,
    family,
)
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.transitions import counter_shards
from ai_coordination_engine.store.transitions.counter_shards import how_many


def continue_reset(app: App, session: Session) -> Session:
    """Reset the agents that the session's `restart` asks for, and let the session run.

    Returns the session as it is then. May be repeated.
    """
    start = (session.restart or {}).get("from")
    while True:
        scene = Scene(app, agents_of(app, session), session.epoch, start)
        if not (calls := scene.calls()):
            break
        app.records.parallel.run(calls)
    refills = [
        partial(app.counter_shards.refill, each, session.epoch)
        for each in scene.sink_counter_shards(session)
    ]
    app.records.parallel.run([*refills] or [lambda: None])
    watch_at = app.clock.now().timestamp() + app.settings.watch_seconds
    early = ends_early([each for each in scene.agents if each.state in OPEN_AGENT_STATES])
    sinks = scene.open_sinks()
    restarted = app.sessions.restarted(session, sinks, scene.sink_count, watch_at, early=early)
    return restarted.record or session  # also if another process was faster


def descendants(agents: Iterable[SessionAgent], start: int) -> set[int]:
    """The ordinals of the agent `start` and of all its descendants.

    A planning agent whose plan is pinned is not among them: its steps run again, by the same plan.
    """
    there = list(agents)
    after = {
        each.ordinal: [edge.ordinal for edge in edges(each.read("successors"))] for each in there
    }
    pinned = {each.ordinal for each in there if each.stored("plan") is not None}
    found, frontier = {start}, [start]
    while frontier:
        further = {each for ordinal in frontier for each in after.get(ordinal, ())} - found
        found |= further
        frontier = list(further)
    return found - pinned


def ends_early(to_run: Sequence[SessionAgent]) -> bool:
    """Whether the session may end before these open agents do.

    True if a successor of one of them has its result already, or was deleted.
    """
    there = {each.ordinal for each in to_run}
    outgoing_edges = (edge for each in to_run for edge in edges(each.read("successors")))
    return any(edge.ordinal not in there for edge in outgoing_edges)


def is_kept(agent: SessionAgent) -> bool:
    """Whether a retry keeps the agent: it has completed, or was skipped, but not because of a
    failure.
    """
    return bool(
        agent.state == "completed" or (agent.state == "skipped" and not agent.upstream_failed)
    )


def counter_shard_count(agent: SessionAgent) -> int:
    """The number of counter shards of a planned agent.

    It depends on all of its predecessors, also deleted ones: the others compute the same number.
    """
    join: str = (agent.agent_action or {}).get("join", "all")
    return how_many(len(agent.read("predecessors") or ()), join)


def as_planned(
    agent: SessionAgent, before: Sequence[int], epoch: int | None = None
) -> dict[str, Any]:
    """The initial values of a planned agent, or of an element of a map.

    `before`: the ordinals of the agents that it waits for. A value None removes the attribute.
    """
    action: Mapping[str, Any] = agent.agent_action or {}
    count = counter_shard_count(agent) if agent.map_ordinal is None else 0
    counted = action.get("join") in COUNTED and bool(before)
    return {
        "state": "initial",
        **_waiting_for(before, count, epoch),
        "still_needed": (action.get("quorum") or 1) if counted else None,
        "awaits_user": None
        if "plan" in rules.of(agent)
        else action.get("user_in_the_loop") or None,
        # after its fallback: the worker that claims it finds out what its own runtime needs
        "needs": None if agent.on_fallback else agent.needs,
    }


def _waiting_for(before: Sequence[int], counter_shards: int, epoch: int | None) -> dict[str, Any]:
    unfinished = (
        {counter_shard_ordinal(each, counter_shards) for each in before}
        if counter_shards
        else before
    )
    return {
        "in_degree": len(before),
        "unfinished": {edge_id_of(each, epoch) for each in unfinished} or None,
        "counter_shards": counter_shards or None,
    }


@dataclass(frozen=True)
class Scene:
    """The agents of a session that is being reset to `epoch`, and the decisions about each.

    `start`: the ordinal of the agent that runs again with its descendants; None: only agents that
    did not complete run again.
    """

    app: App
    agents: list[SessionAgent]
    epoch: int
    start: int | None

    def calls(self) -> list[Callable[[], Any]]:
        """The next writes; empty when all agents are done. Call it again on freshly read agents.

        The order matters:

        1. Running attempts that go on get the new epoch. One that has ended meanwhile is seen in
           the next round, and may have to be reset.
        2. Elements are reset before their map, and counter shards before their join. An edge that
           is released in between then finds a join that is not reset yet, or one that is complete.
        3. Agents that keep their results get the new epoch last. Until then, an agent of this epoch
           is known to be one whose output may change.
        """
        adopted = [each for each in self._behind if self._is_adopted(each)]
        if adopted:
            return self._adopt(adopted)
        targets = [each for each in self._behind if each.ordinal in self._targets]
        if not targets:
            return self._adopt([each for each in self._behind if self._is_awaited(each)])
        elements = [each for each in targets if each.map_ordinal is not None]
        return self._reset(elements or targets)

    def _adopt(self, agents: Sequence[SessionAgent]) -> list[Callable[[], Any]]:
        """The writes that give these agents the new epoch and change nothing else."""
        return [partial(self.app.agents.adopt, each, self.epoch) for each in agents]

    def _reset(self, agents: Sequence[SessionAgent]) -> list[Callable[[], Any]]:
        """The writes that reset these agents. Their counter shards are reset first."""
        epoch = self.epoch
        refills = [
            partial(self.app.counter_shards.refill, counter_shard, epoch)
            for each in agents
            for counter_shard in self._counter_shards(each)
        ]
        if refills:
            self.app.records.parallel.run(refills)
        cancel_jobs(self.app, agents)
        budgets.drop_all(self.app, agents)
        return [partial(self.app.agents.reset, each, epoch, self._values(each)) for each in agents]

    @property
    def sink_count(self) -> int:
        """The number of sinks."""
        return len(self._sinks)

    def open_sinks(self) -> list[int]:
        """The edge ids of the sinks, or of their counter shards."""
        count, ordinals = self._sink_counter_shard_count, [each.ordinal for each in self._sinks]
        return [
            self._edge_id(each)
            for each in ({ordinal % count for ordinal in ordinals} if count else ordinals)
        ]

    def sink_counter_shards(self, session: Session) -> list[CounterShard]:
        """The counter shards of the sinks, with all edges unfinished; empty if there are none."""
        ordinals = [each.ordinal for each in self._sinks]
        return self._full(
            session,
            ordinals,
            self._sink_counter_shard_count,
            partial(counter_shards.sink_key, session),
        )

    # What is to be done

    @cached_property
    def _by_ordinal(self) -> dict[int, SessionAgent]:
        return {each.ordinal: each for each in self.agents}

    @cached_property
    def _sinks(self) -> list[SessionAgent]:
        return [each for each in self.agents if each.sink_count]

    @property
    def _sink_counter_shard_count(self) -> int:
        return how_many(self._sinks[0].sink_count) if self._sinks else 0

    @cached_property
    def _behind(self) -> list[SessionAgent]:
        """The task's agents that do not have the new epoch yet. Questions (`planning.ask`) are not
        among them.
        """
        return [
            each for each in self.agents if (each.epoch or 0) < self.epoch and each.sink_count != 0
        ]

    @cached_property
    def _again(self) -> set[int]:
        return set() if self.start is None else descendants(self.agents, self.start)

    @cached_property
    def _planned(self) -> set[int]:
        return {
            each.ordinal
            for each in self._behind
            if each.map_ordinal is None and self._runs_again(each)
        }

    @cached_property
    def _expanded(self) -> set[int]:
        return {each for each in self._planned if self._stays_expanded(self._by_ordinal[each])}

    @cached_property
    def _targets(self) -> set[int]:
        elements = {
            each.ordinal
            for each in self._behind
            if each.map_ordinal in self._expanded
            and self._is_current(each)
            and self._runs_again(each)
        }
        return self._planned | elements

    def _runs_again(self, agent: SessionAgent) -> bool:
        return agent.ordinal in self._again or not (is_kept(agent) or self._is_adopted(agent))

    def _is_adopted(self, agent: SessionAgent) -> bool:
        """Whether the agent's running attempt goes on.

        Not for a map, whose attempt is short. For an element, only while its map keeps its list.
        """
        if agent.state != "executing" or agent.ordinal in self._again or "map" in rules.of(agent):
            return False
        if agent.map_ordinal is None:
            return True
        return self._is_current(agent) and agent.map_ordinal not in self._planned - self._expanded

    def _is_awaited(self, agent: SessionAgent) -> bool:
        """Whether a kept agent needs the new epoch: it is a sink, or a successor was reset."""
        if not is_kept(agent) or (agent.map_ordinal is not None and not self._is_current(agent)):
            return False
        outgoing = edges(agent.read("successors"))
        after = [
            each for edge in outgoing if (each := self._by_ordinal.get(edge.ordinal)) is not None
        ]
        return not outgoing or any(each.epoch == self.epoch for each in after)

    def _is_current(self, element: SessionAgent) -> bool:
        """Whether an element belongs to the latest expansion of its map."""
        parent = self._by_ordinal.get(element.map_ordinal)
        if parent is None or parent.mapped is None:
            return False
        return family(element.ordinal) == family(
            element_ordinal(parent.ordinal, parent.generation, 0)
        )

    def _stays_expanded(self, agent: SessionAgent) -> bool:
        """Whether a map that is reset keeps its elements: all are written, and its list does not
        change.
        """
        if agent.mapped is None or not agent.elements_sent or agent.ordinal == self.start:
            return False
        before = [self._by_ordinal[each] for each in self._predecessors(agent)]
        return not any(
            each.ordinal in self._planned
            or (each.epoch or 0) == self.epoch
            or self._is_adopted(each)
            for each in before
        )

    # The values after the reset

    def _values(self, agent: SessionAgent) -> dict[str, Any]:
        """The initial values of the agent, or those of an expanded map; None removes a value."""
        before = self._before(agent)
        if self._stays_expanded(agent):
            return {"state": "pending", **_waiting_for(before, how_many(agent.mapped), self.epoch)}
        values = as_planned(agent, before, self.epoch)
        return {**values, "mapped": None, "elements_sent": None}

    def _counter_shards(self, agent: SessionAgent) -> list[CounterShard]:
        count, before = self._counter_shard_count(agent), self._before(agent)
        key = agent.key
        return (
            self._full(
                agent, before, count, partial(counter_shards.join_key, key, family(before[0]))
            )
            if before
            else []
        )

    def _full(
        self,
        of: Session | SessionAgent,
        ordinals: Sequence[int],
        count: int,
        key: Callable[[int], Key],
    ) -> list[CounterShard]:
        spread = counter_shards.spread(ordinals, count) if count else {}
        return [
            counter_shards.counter_shard(
                key(number),
                of,
                {self._edge_id(each) for each in found},
                counter_shard_ordinal(min(found), count),
            )
            for number, found in spread.items()
        ]

    def _counter_shard_count(self, agent: SessionAgent) -> int:
        """The number of counter shards, as the agent's predecessors compute it."""
        if self._stays_expanded(agent):
            return how_many(agent.mapped)
        if agent.map_ordinal is not None:
            return 0
        return counter_shard_count(agent)

    def _before(self, agent: SessionAgent) -> list[int]:
        """The ordinals of the agents that this one waits for; deleted agents are left out."""
        if agent.map_ordinal is not None:
            return []  # an element starts when its inputs are complete
        if not self._stays_expanded(agent):
            return self._predecessors(agent)
        ordinals = [
            element_ordinal(agent.ordinal, agent.generation, index) for index in range(agent.mapped)
        ]
        return [each for each in ordinals if each in self._by_ordinal]

    def _predecessors(self, agent: SessionAgent) -> list[int]:
        ordinals: Sequence[int] = agent.read("predecessors") or ()
        return [each for each in ordinals if each in self._by_ordinal]

    def _edge_id(self, ordinal: int) -> int:
        """The id, in the new epoch, of the edges that start at an agent or a counter shard."""
        return edge_id_of(ordinal, self.epoch)
