"""The session of a fork: which agents it copies, which run again, and how both are stored.

`planning.fork` is the caller.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.records import SESSION as SESSION_FIELDS
from ai_coordination_engine.domain.records import carried
from ai_coordination_engine.domain.shapes import Agent, AgentAction
from ai_coordination_engine.domain.subtasks import refuse_missing
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.reconcile import reconcile_session
from ai_coordination_engine.engine.control.reset import (
    as_planned,
    counter_shard_count,
    descendants,
    ends_early,
)
from ai_coordination_engine.engine.graph.keys import agent_key, element_ordinal, family
from ai_coordination_engine.engine.graph.session_agents import Filling
from ai_coordination_engine.engine.graph.sharing import Sharing
from ai_coordination_engine.engine.planning.writing import Item, reserve, write_and_confirm
from ai_coordination_engine.errors import Conflict
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.payload import BlobReference, ReadOnce
from ai_coordination_engine.store.records import write_tokens
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.records.session_status import status_key
from ai_coordination_engine.store.transitions import counter_shards
from ai_coordination_engine.store.transitions.counter_shards import how_many
from ai_coordination_engine.store.transitions.session_controls import ControlRequest
from ai_coordination_engine.store.transitions.session_writes import watch_shard

_COPIED = carried(SESSION_FIELDS)
_SNAPSHOT = (
    "agent_action",
    "definition",
    "predecessors",
    "successors",
    "rules",
    "query",
    "task_query",
    "input_files",
)
_RESULTS = ("agent_output", "user_input", "chosen", "plan")


@dataclass(frozen=True)
class Changes:
    """The input that differs from the source; None: unchanged.

    `start`: the ordinal of the agent from which everything runs again; `subtask_query` is its new
    subtask.
    """

    start: int | None
    task_query: str | None
    subtask_query: str | None
    input_files: list[Any] | None

    @property
    def may_be_large(self) -> bool:
        """Whether a changed value may be too large for an item."""
        return any(
            each is not None for each in (self.task_query, self.subtask_query, self.input_files)
        )


def _open_sinks(sinks: Sequence[SessionAgent]) -> set[int]:
    """The ordinals of the sinks, or the numbers of their counter shards."""
    count = how_many(sinks[0].sink_count or 0)
    return {each.ordinal % count if count else each.ordinal for each in sinks}


@dataclass(frozen=True)
class Fork:
    """The new session, made from the agents of the source. `trace`: that of its caller."""

    app: App
    source: Session
    agents: Sequence[SessionAgent]
    changes: Changes
    trace: str | None = None

    def write(self, key: Key, request: ControlRequest, user_id: str | None) -> Session:
        """Write, confirm and start the fork, or continue an earlier try; return the session."""
        app, tenant = self.app, self.source.partition_key
        for each in self._fresh_ones(self._kept()):
            self._changed(each)  # raises for invalid input before anything is written
        session = self._session(key, request, user_id)
        others = app.records.is_any_below(SESSION_AGENT, tenant, key[1])
        session.strays = 0 if others else None
        stored = reserve(app, session, partial(self._check, request))
        if stored.unconfirmed is not None:
            if stored is not session:  # an earlier try has written it
                stored.incarnation = session.nonce
            write_and_confirm(app, stored, self._records(stored))
        return reconcile_session(app, tenant, *key)

    # The session

    def _session(self, key: Key, request: ControlRequest, user_id: str | None) -> Session:
        source, now = self.source, self.app.clock.now()
        kept = self._kept()
        values = self._values(kept, request, user_id)
        sinks = self._sinks_of_source()
        if not sinks:
            raise Conflict(
                "Nothing is left of the session that could be forked: its agents were deleted."
            )
        nonce = write_tokens.new_nonce()
        stored_values = self.app.records.store(SESSION, source.partition_key, key, values, nonce)
        if source.has_blobs or self.changes.may_be_large:
            stored_values["has_blobs"] = True  # its agents may share blobs
        return Session(
            *key,
            partition_key=source.partition_key,
            created_at=now,
            updated_at=now,
            unconfirmed=write_tokens.new_token(now),
            nonce=nonce,
            open_sinks=_open_sinks(sinks),
            open_sink_count=len(sinks),
            early=source.early or ends_early(self._fresh_ones(kept)) or None,
            plan_hash=source.plan_hash,
            trace=self.trace,
            control_keys={request.digest},
            by_status=status_key(source.partition_key, key[1], stored_values["status"]),
            watch=watch_shard(source.partition_key, key[1]),
            watch_at=now.timestamp() + self.app.settings.watch_seconds,
            **stored_values,
        )

    def _values(
        self, kept: set[int], request: ControlRequest, user_id: str | None
    ) -> dict[str, Any]:
        """The attributes of the new session: copied from the source, or changed."""
        values = {
            **{name: getattr(self.source, name) for name in _COPIED},
            "user_id": user_id or self.source.user_id,
            "task_query": self._task_query,
            "iteration_count": 0,
            "subtask_queries": self._subtask_queries(),
            "status": "in_progress" if 0 in kept else "dispatched",
            "updated_by": request.by or user_id or "engine",
            "restart": {"kept": sorted(kept)},
        }
        if self.changes.input_files is not None:
            values["input_files"] = self.changes.input_files
        return values

    def _sinks_of_source(self) -> list[SessionAgent]:
        return [each for each in self.agents if each.sink_count]

    @staticmethod
    def _check(request: ControlRequest, old: Session) -> None:
        if not request.was_carried_out(old):
            raise Conflict("This newSessionUuid stands for another session; choose a new one.")

    def _kept(self) -> set[int]:
        """The ordinals of the agents that are copied: completed, and not after the point of the
        fork.
        """
        start = self.changes.start
        again = set() if start is None else descendants(self.agents, start)
        kept = {
            each.ordinal: each
            for each in self.agents
            if each.state == "completed" and each.ordinal not in again
        }
        return {ordinal for ordinal, each in kept.items() if self._is_kept_element(each, kept)}

    @staticmethod
    def _is_kept_element(agent: SessionAgent, kept: dict[int, SessionAgent]) -> bool:
        """Whether an element belongs to the latest expansion of its map, which is kept too.

        True for agents that are not elements.
        """
        if agent.map_ordinal is None:
            return True
        parent = kept.get(agent.map_ordinal)
        if parent is None or parent.mapped is None:
            return False
        return family(agent.ordinal) == family(
            element_ordinal(parent.ordinal, parent.generation, 0)
        )

    @property
    def _task_query(self) -> str:
        changed = self.changes.task_query
        return changed if changed is not None else self.source.task_query or ""

    def _subtask_queries(self) -> Any:
        """The subtasks of the source, in which the changed one is replaced."""
        subtasks = [dict(each) for each in self.source.subtask_queries or ()]
        if self.changes.subtask_query is None:
            return subtasks or None
        agent = next(each for each in self.agents if each.ordinal == self.changes.start)
        changed = {"agent_uuid": agent.agent_uuid, "subtask_query": self.changes.subtask_query}
        places = [
            place for place, each in enumerate(subtasks) if each["agent_uuid"] == agent.agent_uuid
        ]
        index = self._siblings(agent).index(agent.ordinal)
        if index < len(places):
            subtasks[places[index]] = changed
        else:
            subtasks.append(changed)
        return subtasks

    def _siblings(self, agent: SessionAgent) -> list[int]:
        """The ordinals of all session agents of the same agent, in the order of its subtasks."""
        return [
            each.ordinal
            for each in self.agents
            if each.agent_uuid == agent.agent_uuid and each.map_ordinal is None
        ]

    # Its agents

    def _records(self, session: Session) -> list[Item]:
        kept = set(session.restart["kept"])
        share = Sharing(self.app, session)
        taken = [each for each in self.agents if each.ordinal in kept]
        is_same = len(taken) == len(kept) and all(each.state == "completed" for each in taken)
        # an earlier try may have read it before its plan was pinned
        if not is_same or _open_sinks(self._sinks_of_source()) != set(session.open_sinks):
            raise Conflict(
                "The session was run again while it was forked; fork it anew, with another uuid."
            )
        fresh = self._fresh_ones(kept)
        copied = [self._copy(session, each, share) for each in taken]
        records: list[Item] = [
            *copied,
            *(record for each in fresh for record in self._fresh(session, each, share)),
        ]
        share.write()
        return [*records, *self._sinks(session)]

    def _fresh_ones(self, kept: set[int]) -> list[SessionAgent]:
        return [
            each for each in self.agents if each.ordinal not in kept and each.map_ordinal is None
        ]

    def _copy(self, session: Session, agent: SessionAgent, share: Sharing) -> SessionAgent:
        """A copy of a completed agent with its results. Its runs stay in the source session."""
        key = agent_key(session, agent.ordinal)
        results = {name: agent.read(name) for name in _RESULTS}
        return SessionAgent(
            **self._common(session, agent),
            **{name: self._again(agent, name, share) for name in _SNAPSHOT},
            **self.app.records.store(SESSION_AGENT, session.partition_key, key, results),
            state="completed",
            in_degree=0,
            mapped=agent.mapped,
            generation=agent.generation,
            elements_sent=agent.elements_sent,
            map_ordinal=agent.map_ordinal,
        )

    def _fresh(self, session: Session, agent: SessionAgent, share: Sharing) -> list[Item]:
        """An agent that is to run, and the counter shards of a wide join."""
        # `share.once` calls its function before it returns, so the loop variables are bound
        key = agent_key(session, agent.ordinal)
        changed = {
            name: share.once((name, id(each)), lambda: each)  # noqa: B023
            for name, each in self._changed(agent).items()
        }  # noqa: B023, RUF100
        kept = {name: self._again(agent, name, share) for name in _SNAPSHOT if name not in changed}
        before = [each for each in agent.read("predecessors") or () if each in self._present]
        made = SessionAgent(
            **self._common(session, agent),
            **kept,
            **changed,
            **as_planned(agent, before),
        )
        count = counter_shard_count(agent)
        spread = counter_shards.spread(before, count) if count else {}
        return [
            made,
            *(
                counter_shards.counter_shard(counter_shards.join_key(key, 0, number), made, each)
                for number, each in spread.items()
            ),
        ]

    @staticmethod
    def _again(agent: SessionAgent, name: str, share: Sharing) -> Any:
        """A value of the source agent; a blob that several agents share is read and written
        once.
        """
        stored = agent.stored(name)
        if isinstance(stored, BlobReference):
            return share.once(stored.key, partial(agent.read, name))
        return share(stored)

    def _changed(self, agent: SessionAgent) -> dict[str, Any]:
        """The changed input of an agent. Agents with the same input get the same objects, so that
        it is stored once.
        """
        changes = self.changes
        values: dict[str, Any] = {}
        if changes.input_files is not None:
            values["input_files"] = changes.input_files
        if changes.task_query is not None:
            values["task_query"] = changes.task_query or None
            raw = self._subtasks.get(agent.ordinal)
            values["query"] = self._asked(agent, raw) if raw else None
        if changes.subtask_query is not None and agent.ordinal == changes.start:
            values["query"] = self._asked(agent, changes.subtask_query)
        return values

    def _asked(self, agent: SessionAgent, text: str) -> Any:
        """The filled subtask of an agent.

        Raises `BadUserInput`; in a strict task, also for a placeholder without a value.
        """
        definition = self._agents[agent.agent_uuid]
        action = AgentAction.model_validate(agent.agent_action or {})
        subtask = self._filling(text, definition, action)
        if (agent.rules or {}).get("strict"):
            refuse_missing([(definition.label, subtask)])
        return subtask.text

    @cached_property
    def _subtasks(self) -> dict[int, str | None]:
        """The subtasks of the source, not filled, by the ordinals of their agents."""
        own: dict[str, list[str | None]] = defaultdict(list)
        for each in self.source.subtask_queries or ():
            own[each["agent_uuid"]].append(each.get("subtask_query"))
        left = {uuid: iter(texts) for uuid, texts in own.items()}
        with_subtasks = [
            each for each in self.agents if each.map_ordinal is None and each.agent_uuid in left
        ]
        return {each.ordinal: next(left[each.agent_uuid], None) for each in with_subtasks}

    @cached_property
    def _present(self) -> set[int]:
        return {each.ordinal for each in self.agents}

    @cached_property
    def _filling(self) -> Filling:
        return Filling(self._task_query, self._agents)

    @cached_property
    def _agents(self) -> dict[str, Agent]:
        read = ReadOnce()
        definitions = [
            read(each, "definition") or {"agent_uuid": each.agent_uuid}
            for each in self.agents
            if each.map_ordinal is None
        ]
        return {each["agent_uuid"]: Agent.model_validate(each) for each in definitions}

    def _common(self, session: Session, agent: SessionAgent) -> dict[str, Any]:
        threads = {each.session_agent_uuid: each.ordinal for each in self.agents}
        root = threads.get(agent.thread_uuid)
        return {
            "session_uuid": session.session_uuid,
            "session_agent_uuid": agent_key(session, agent.ordinal)[1],
            "partition_key": session.partition_key,
            "coordination_uuid": session.coordination_uuid,
            "agent_uuid": agent.agent_uuid,
            "ordinal": agent.ordinal,
            "sink_count": agent.sink_count,
            "lease_seconds": agent.lease_seconds,
            "thread_uuid": agent.thread_uuid if root is None else agent_key(session, root)[1],
            "thread": agent.thread,
            "created_at": session.created_at,
            "updated_at": session.created_at,
            "updated_by": session.updated_by,
            "trace": session.trace,
        }

    def _sinks(self, session: Session) -> list[CounterShard]:
        sinks = self._sinks_of_source()
        ordinals, count = [each.ordinal for each in sinks], how_many(sinks[0].sink_count or 0)
        key = partial(counter_shards.sink_key, session)
        spread = counter_shards.spread(ordinals, count) if count else {}
        return [
            counter_shards.counter_shard(key(number), session, each)
            for number, each in spread.items()
        ]
