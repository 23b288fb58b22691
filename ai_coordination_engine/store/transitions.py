"""The state changes of session agents: each is one conditional write, named as a transition.

What a transition answers says what the caller owes next. All of them may be repeated: a second try changes nothing and
answers with what the first one left behind (promises P2, P3, P6).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.store.agent_writes import AgentWrites
from ai_coordination_engine.store.attempts import (
    ATTEMPT,
    COMPLETE,
    REFUSED,
    TIMES,
    UNCLAIMED,
    WAIT,
    Lease,
    held_by,
    key_of,
    lost_with,
    ready,
    same,
    starting,
    until,
)
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.repository import Repository
from ai_coordination_engine.store.session_transitions import SessionTransitions, setting
from ai_coordination_engine.store.table import Key, Refused


class Transitions(AgentWrites):
    """The transitions of one store: of session agents, and of their sessions under `session`. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        super().__init__(repository)
        self.session = SessionTransitions(repository)

    # A session agent: its attempts

    def claim(self, tenant: str, key: Key, lease: Lease) -> SessionAgent:
        """Take the next attempt of a ready agent that nobody holds. Raises `Refused`."""
        return self._take(tenant, key, [], lease, ready(lease.now) & (SessionAgent.partition_key == tenant))

    def claim_as_read(self, agent: SessionAgent, lease: Lease) -> SessionAgent:
        """Take the next attempt of a ready agent, unless it was set back since it was read. Raises `Refused`."""
        condition = ready(lease.now) & same(SessionAgent.epoch, agent.epoch)
        return self._take(agent.partition_key, key_of(agent), [], lease, condition)

    def renew(self, agent: SessionAgent, lease: Lease) -> SessionAgent:
        """The attempt takes from now on as long as its lease. Raises `Refused` when it is no longer the current one."""
        actions = [SessionAgent.lease_until.set(until(lease)), self._now()]
        return self._agents.update(agent.partition_key, key_of(agent), actions, held_by(agent))  # type: ignore[no-any-return]

    def take_over(self, old: SessionAgent, lease: Lease) -> SessionAgent:
        """Take the attempt after that of `old`, whose lease ran out. Raises `Refused` when `old` is no longer current.

        `lost_runs` keeps every attempt before it: their workers may have died without a trace, one after the other.
        """
        return self._take(
            old.partition_key,
            key_of(old),
            [SessionAgent.lost_runs.set(lost_with(old))],
            lease,
            (SessionAgent.state == "executing")
            & (SessionAgent.lease_until < lease.lost_before)
            & (SessionAgent.run_uuid == old.run_uuid)
            & SessionAgent.paused.does_not_exist(),
        )

    def give_back(self, agent: SessionAgent, started_at: float) -> SessionAgent:
        """The attempt that was taken over does not begin: the one before it, whose end is known, is the current one
        again, under the same lease. Raises `Refused`.
        """
        *earlier, (attempt, run_uuid, *_) = agent.lost_runs
        actions = [
            SessionAgent.attempt.set(attempt),
            SessionAgent.run_uuid.set(run_uuid),
            SessionAgent.started_at.set(started_at),
            SessionAgent.lost_runs.set(earlier) if earlier else SessionAgent.lost_runs.remove(),
            self._now(),
        ]
        given_back = self._change(agent.partition_key, key_of(agent), actions, held_by(agent))
        if given_back is None or (given_back.lease_token, given_back.run_uuid) != (agent.lease_token, run_uuid):
            raise Refused(given_back)
        return given_back  # also when the client repeated a write whose answer was lost

    def resume_attempt(self, old: SessionAgent, lease: Lease) -> SessionAgent:
        """Go on with the attempt of `old`, which has its result and whom nobody holds. Raises `Refused`."""
        free = SessionAgent.lease_until.does_not_exist() | (SessionAgent.lease_until < lease.lost_before)
        held = [
            SessionAgent.lease_until.set(until(lease)),
            SessionAgent.lease_token.set(lease.token),
            SessionAgent.resumed.add(1),
            SessionAgent.not_before.remove(),
        ]
        condition = (
            (SessionAgent.state == "pending")
            & (SessionAgent.run_uuid == old.run_uuid)
            & SessionAgent.paused.does_not_exist()
            & free
        )
        return self._hold(old.partition_key, key_of(old), [*held, self._now()], lease, condition, "pending")

    def fence(self, old: SessionAgent, lease: Lease, *, again: bool = False) -> SessionAgent:
        """Hold an attempt whose lease ran out: its worker ends nothing any more. Raises `Refused`.

        `again`: to go on with it.
        """
        held: list[Action] = [SessionAgent.lease_until.set(until(lease)), SessionAgent.lease_token.set(lease.token)]
        if again:
            held.append(SessionAgent.resumed.add(1))
        condition = (
            (SessionAgent.state == old.state)
            & (SessionAgent.run_uuid == old.run_uuid)
            & (SessionAgent.lease_until < lease.lost_before)
            & SessionAgent.paused.does_not_exist()
        )
        return self._hold(old.partition_key, key_of(old), [*held, self._now()], lease, condition, old.state)

    def let_go(self, agent: SessionAgent, *, died: bool = True) -> None:
        """The lease of an attempt that ended unexpectedly has run out now; not `died`: a backend refused it."""
        actions: list[Action] = [SessionAgent.lease_until.set(0 if died else REFUSED)]
        if agent.resumed and not died:
            actions.append(SessionAgent.resumed.add(-1))
        self._change(agent.partition_key, key_of(agent), actions, held_by(agent))

    def finish_last_edge_and_claim(self, tenant: str, key: Key, edge: int, lease: Lease) -> SessionAgent:
        """Remove the last unfinished edge and take the next attempt, in one write. Raises `Refused`."""
        condition = (
            SessionAgent.unfinished.contains(edge)
            & (SessionAgent.in_degree == 1)
            & (SessionAgent.state == "initial")
            & SessionAgent.off.does_not_exist()
            & SessionAgent.run_uuid.does_not_exist()
            & SessionAgent.awaits_user.does_not_exist()
            & SessionAgent.paused.does_not_exist()
        )
        edges = [SessionAgent.unfinished.delete([edge]), SessionAgent.in_degree.set(0)]
        return self._take(tenant, key, edges, lease, condition)

    def complete(self, agent: SessionAgent, values: Mapping[str, Any]) -> SessionAgent:
        """End the attempt well, with its output; what an attempt before it failed for is told by its run alone.

        Raises `Refused` when it is no longer the current one.
        """
        told = [SessionAgent.notes] if agent.failures is not None and "notes" not in values else []
        return self._end(agent, "completed", values, told)

    def fail(self, agent: SessionAgent, values: Mapping[str, Any]) -> SessionAgent:
        """End the attempt and the agent, with a readable note. Raises `Refused` like `complete`."""
        return self._end(agent, "failed", values)

    def retry_later(self, agent: SessionAgent, not_before: float, values: Mapping[str, Any]) -> SessionAgent:
        """End the attempt; another one may begin at `not_before` (epoch seconds). Raises `Refused`."""
        removed = (SessionAgent.run_uuid, SessionAgent.lost_runs, *ATTEMPT)
        return self._wait_until(agent, not_before, values, [*(each.remove() for each in removed), *self._ending()])

    def act_later(self, agent: SessionAgent, not_before: float, values: Mapping[str, Any]) -> SessionAgent:
        """The action function failed; it may begin again at `not_before`, on the same answer. Raises `Refused`."""
        removed = [each.remove() for each in ATTEMPT if each is not SessionAgent.acting]
        return self._wait_until(agent, not_before, values, [*removed, self._now()])

    def act(self, agent: SessionAgent, lease: Lease, values: Mapping[str, Any]) -> SessionAgent:
        """The agent has answered; its action function runs under the renewed lease. Raises `Refused`."""
        actions = [
            SessionAgent.state.set("pending"),
            SessionAgent.acting.set(True),
            SessionAgent.lease_until.set(until(lease)),
            *setting(SessionAgent, values),
            self._now(),
        ]
        return self._agents.update(agent.partition_key, key_of(agent), actions, held_by(agent))  # type: ignore[no-any-return]

    def wait_for_task(self, agent: SessionAgent, async_task_uuid: str, due_at: float) -> SessionAgent | None:
        """A long job goes on elsewhere; None when the attempt was no longer the current one."""
        actions = [
            SessionAgent.state.set("pending"),
            SessionAgent.async_task_uuid.set(async_task_uuid),
            SessionAgent.due_at.set(due_at),
            SessionAgent.has_blobs.set(True),  # its output may come as one, at any time
            SessionAgent.lease_until.remove(),
            self._now(),
        ]
        try:
            return self._agents.update(agent.partition_key, key_of(agent), actions, held_by(agent))  # type: ignore[no-any-return]
        except Refused as refused:
            old = refused.old
            mine = old is not None and (old.run_uuid, old.async_task_uuid) == (agent.run_uuid, async_task_uuid)
            return old if mine else None

    def defer(self, agent: SessionAgent, due_at: float) -> bool:
        """The long job was heard of: its deadline is later; whether this call moved it."""
        condition = (SessionAgent.async_task_uuid == agent.async_task_uuid) & (SessionAgent.due_at == agent.due_at)
        try:
            self._agents.update(
                agent.partition_key, key_of(agent), [SessionAgent.due_at.set(due_at), self._now()], condition
            )
        except Refused:
            return False
        return True

    def expand(self, agent: SessionAgent, elements: int, unfinished: Sequence[int], tallies: int) -> SessionAgent:
        """A claimed map waits for its elements now; the claim was no attempt. Raises `Refused`."""
        before = agent.attempt - 1
        attempt = SessionAgent.attempt.set(before) if before else SessionAgent.attempt.remove()
        generation = (agent.generation or 0) + 1
        actions = [
            attempt,
            SessionAgent.state.set("pending"),
            SessionAgent.mapped.set(elements),
            SessionAgent.generation.set(generation),
            SessionAgent.in_degree.set(elements),
            SessionAgent.unfinished.set(set(unfinished)),
            SessionAgent.tallies.set(tallies) if tallies else SessionAgent.tallies.remove(),
            *(each.remove() for each in (SessionAgent.run_uuid, SessionAgent.missing)),
            *(each.remove() for each in (*ATTEMPT, *TIMES, SessionAgent.elements_sent)),
            self._now(),
        ]
        try:
            return self._agents.update(agent.partition_key, key_of(agent), actions, held_by(agent))  # type: ignore[no-any-return]
        except Refused as refused:
            old = refused.old
            if old is None or (old.state, old.generation, old.mapped) != ("pending", generation, elements):
                raise
            return old  # type: ignore[no-any-return]  # the client repeated a write whose answer was lost

    def elements_sent(self, agent: SessionAgent) -> None:
        """All elements of the map's current expansion are written and enqueued."""
        self._change(
            agent.partition_key,
            key_of(agent),
            [SessionAgent.elements_sent.set(True)],
            (SessionAgent.mapped.exists()) & (SessionAgent.generation == agent.generation),
        )

    def take_back(self, element: SessionAgent) -> bool:
        """Delete an element of a map that no longer waits for it, unless it has begun; whether it is gone."""
        try:
            self._agents.delete(
                element.partition_key, key_of(element), UNCLAIMED & SessionAgent.attempt.does_not_exist()
            )
        except Refused as refused:
            return refused.old is None
        return True

    def pause_element(self, element: SessionAgent, token: str) -> None:
        """Mark an element of a map that is paused."""
        self._change(element.partition_key, key_of(element), [SessionAgent.paused.set(token)], UNCLAIMED)

    # A session agent: its edges

    def finish_edge(
        self,
        tenant: str,
        key: Key,
        edge: int,
        *,
        width: int = 1,
        arrives: bool = False,
        off: bool = False,
        blamed: bool = False,
        note: str | None = None,
    ) -> SessionAgent | None:
        """Remove one named edge; the agent as it is afterwards, also when the edge was gone. None: no such agent.

        `width`: how many predecessors it stands for. `arrives`: it counts for a join that needs only some. `off`: the
        agent needs it, and will be skipped; `note` says why, unless an earlier one did. `blamed`: it is off because of
        a failure.
        """
        actions = [
            SessionAgent.unfinished.delete([edge]),
            SessionAgent.in_degree.add(-width),
            *([SessionAgent.missing.add(-1)] if arrives else []),
            *([SessionAgent.off.set(True)] if off else []),
            *([SessionAgent.blamed.set(True)] if blamed else []),
            *([SessionAgent.notes.set(SessionAgent.notes | note)] if note else []),
            self._now(),
        ]
        return self._change(tenant, key, actions, SessionAgent.unfinished.contains(edge))

    def skip(self, tenant: str, key: Key, epoch: int, values: Mapping[str, Any]) -> SessionAgent | None:
        """Give up an agent that nobody holds, unless it was set back since `epoch`; the agent as it is afterwards."""
        old = SessionAgent.epoch.does_not_exist() | (SessionAgent.epoch <= epoch)
        return self._change(tenant, key, [*self._skipping(), *setting(SessionAgent, values)], UNCLAIMED & old)

    # A session agent: its person

    def wait_for_user(self, agent: SessionAgent, due_at: float | None) -> SessionAgent | None:
        """Park a ready agent until its person answers; the agent as it is afterwards."""
        condition = (
            SessionAgent.state.is_in("initial", "pending")
            & COMPLETE
            & SessionAgent.run_uuid.does_not_exist()
            & SessionAgent.awaits_user.exists()
        )
        now = self._clock.now()
        actions = [
            SessionAgent.state.set("wait_for_user_input"),
            SessionAgent.inbox.set(agent.partition_key),
            SessionAgent.waits_since.set(f"{now.isoformat(timespec='microseconds')}#{agent.session_agent_uuid}"),
            self._now(),
        ]
        if due_at is not None:
            actions.append(SessionAgent.due_at.set(due_at))
        return self._change(agent.partition_key, key_of(agent), actions, condition)

    def answer(
        self, tenant: str, key: Key, values: Mapping[str, Any], nonce: str | None, *, due_at: float | None = None
    ) -> SessionAgent:
        """Give a waiting agent, the one of this nonce, the person's answer, or the default one when its wait ended at
        `due_at`. Raises `Refused`.
        """
        waits = (SessionAgent.state == "wait_for_user_input") & (SessionAgent.partition_key == tenant)
        waits &= same(SessionAgent.nonce, nonce)
        return self._agents.update(  # type: ignore[no-any-return]
            tenant,
            key,
            [
                SessionAgent.state.set("pending"),
                *setting(SessionAgent, values),
                SessionAgent.awaits_user.remove(),
                *(attribute.remove() for attribute in WAIT),
                self._now(),
            ],
            waits if due_at is None else waits & (SessionAgent.due_at == due_at),
        )

    def fail_waiting(self, agent: SessionAgent, values: Mapping[str, Any]) -> SessionAgent | None:
        """The wait for a person has run out, and lost attempts are recorded; the agent as it is afterwards."""
        return self._change(
            agent.partition_key,
            key_of(agent),
            [
                SessionAgent.state.set("failed"),
                *setting(SessionAgent, values),
                *(attribute.remove() for attribute in (*WAIT, SessionAgent.lost_runs)),
                self._now(),
            ],
            (SessionAgent.state == "wait_for_user_input") & (SessionAgent.due_at == agent.due_at),
        )

    def fail_poisoned(self, agent: SessionAgent, values: Mapping[str, Any]) -> SessionAgent | None:
        """End an agent whose step cannot be worked off, if nobody has begun anything with it since it was read.

        The agent as it is afterwards.
        """
        attempt = (SessionAgent.epoch, SessionAgent.run_uuid, SessionAgent.lease_token, SessionAgent.lease_until)
        unchanged = SessionAgent.state == agent.state
        for each in attempt:
            unchanged &= same(each, getattr(agent, each.attr_name))
        return self._change(
            agent.partition_key,
            key_of(agent),
            [
                SessionAgent.state.set("failed"),
                *setting(SessionAgent, values),
                *(
                    attribute.remove()
                    for attribute in (*ATTEMPT, SessionAgent.inbox, SessionAgent.waits_since, SessionAgent.lost_runs)
                ),
                *self._ending(),
            ],
            unchanged,
        )

    # Inside

    def _take(self, tenant: str, key: Key, actions: Sequence[Action], lease: Lease, condition: Any) -> SessionAgent:
        claiming = [
            SessionAgent.state.set("executing"),
            SessionAgent.attempt.add(1),
            SessionAgent.run_uuid.set(SessionAgent.first_run | lease.run_uuid),
            SessionAgent.first_run.remove(),
            SessionAgent.lease_until.set(until(lease)),
            SessionAgent.lease_token.set(lease.token),
            SessionAgent.not_before.remove(),
            *starting(lease.now),
            self._now(),
        ]
        return self._hold(tenant, key, [*actions, *claiming], lease, condition, "executing")

    def _end(
        self, agent: SessionAgent, state: str, values: Mapping[str, Any], outdated: Sequence[Any] = ()
    ) -> SessionAgent:
        kept = SessionAgent.lease_token  # it tells whose end it was
        removed = (each for each in (*ATTEMPT, SessionAgent.lost_runs, *outdated) if each is not kept)
        return self._agents.update(  # type: ignore[no-any-return]
            agent.partition_key,
            key_of(agent),
            [
                SessionAgent.state.set(state),
                *setting(SessionAgent, values),
                *(attribute.remove() for attribute in removed),
                *self._ending(),
            ],
            held_by(agent),
        )

    def _skipping(self) -> list[Action]:
        waits = (attribute.remove() for attribute in (*WAIT, SessionAgent.async_task_uuid, SessionAgent.not_before))
        return [SessionAgent.state.set("skipped"), *waits, *self._ending()]
