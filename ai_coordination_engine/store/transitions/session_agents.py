"""The state changes of session agents: each is one conditional write, named as a transition.

States, conditions and what is cleared are the rows of `domain.lifecycle.agents`; here stands what
each sets beside them. What a transition answers says what the caller owes next. All of them may be
repeated: a second try changes nothing and answers with what the first one left behind (promises P2,
P3, P6).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle import agents as rows
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.agent_writes import AgentWrites
from ai_coordination_engine.store.transitions.attempts import (
    REFUSED,
    Lease,
    ended_with,
    lost_with,
    until,
)
from ai_coordination_engine.store.transitions.rows import assignments


class SessionAgents(AgentWrites):
    """The transitions of the session agents of one store. Thread-safe."""

    # A session agent: its attempts

    def claim(self, tenant: str, key: Key, lease: Lease) -> SessionAgent:
        """Take the next attempt of a ready agent that nobody holds. Raises `Refused`."""
        return self._take(rows.CLAIM, tenant, key, lease)

    def claim_as_read(self, agent: SessionAgent, lease: Lease) -> SessionAgent:
        """Take the next attempt of a ready agent, unless it was set back since it was read. Raises
        `Refused`.
        """
        return self._take(rows.CLAIM_AS_READ, agent.partition_key, agent.key, lease, seen=agent)

    def finish_last_edge_and_claim(
        self, tenant: str, key: Key, edge_id: int, lease: Lease
    ) -> SessionAgent:
        """Remove the last unfinished edge and take the next attempt, in one write. Raises
        `Refused`.
        """
        edges = [SessionAgent.unfinished.delete([edge_id]), SessionAgent.in_degree.set(0)]
        return self._take(
            rows.FINISH_LAST_EDGE_AND_CLAIM, tenant, key, lease, edges, edge_id=edge_id
        )

    def take_over(self, old: SessionAgent, lease: Lease) -> SessionAgent:
        """Take the attempt after that of `old`, whose lease ran out. Raises `Refused` when `old` is
        no longer current.

        `lost_runs` keeps every attempt before it: their workers may have died without a trace, one
        after the other.
        """
        lost = [SessionAgent.lost_runs.set(lost_with(old))]
        return self._take(rows.TAKE_OVER, old.partition_key, old.key, lease, lost, seen=old)

    def renew(self, agent: SessionAgent, lease: Lease) -> SessionAgent:
        """The attempt takes from now on as long as its lease. Raises `Refused` when it is no longer
        the current one.
        """
        return self._write(
            rows.RENEW, agent, SessionAgent.lease_until.set(until(lease)), self._now()
        )

    def give_back(self, agent: SessionAgent, started_at: float) -> SessionAgent:
        """The attempt that was taken over does not begin: the one before it, whose end is known, is
        the current one again, under the same lease. Raises `Refused`.
        """
        *earlier, (attempt, run_uuid, *_) = agent.lost_runs
        actions = [
            SessionAgent.attempt.set(attempt),
            SessionAgent.run_uuid.set(run_uuid),
            SessionAgent.started_at.set(started_at),
            *([SessionAgent.lost_runs.set(earlier)] if earlier else []),
            self._now(),
        ]
        given_back = self._change(rows.GIVE_BACK, agent, *actions)
        if given_back is None or (given_back.lease_token, given_back.run_uuid) != (
            agent.lease_token,
            run_uuid,
        ):
            raise Refused(given_back)
        return given_back  # also when the client repeated a write whose answer was lost

    def resume_attempt(self, old: SessionAgent, lease: Lease) -> SessionAgent:
        """Go on with the attempt of `old`, which has its result and whom nobody holds. Raises
        `Refused`.
        """
        return self._hold(rows.RESUME_ATTEMPT, old, lease, [SessionAgent.resumed.add(1)], "pending")

    def fence(self, old: SessionAgent, lease: Lease, *, again: bool = False) -> SessionAgent:
        """Hold an attempt whose lease ran out: its worker ends nothing any more. Raises `Refused`.

        `again`: to go on with it.
        """
        return self._hold(
            rows.FENCE, old, lease, [SessionAgent.resumed.add(1)] if again else [], old.state
        )

    def expire_lease(self, agent: SessionAgent, ended: float = 0) -> None:
        """The lease of an attempt that ended unexpectedly has run out now: `REFUSED` or `ERROR`,
        where nothing died.
        """
        fewer = [SessionAgent.resumed.add(-1)] if agent.resumed and ended == REFUSED else []
        self._change(rows.EXPIRE_LEASE, agent, SessionAgent.lease_until.set(ended), *fewer)

    def complete(self, agent: SessionAgent, values: Mapping[str, Any]) -> SessionAgent:
        """End the attempt well, with its output; what an attempt before it failed for is told by
        its run alone.

        Raises `Refused` when it is no longer the current one.
        """
        told = (
            [SessionAgent.notes.remove()]
            if agent.failures is not None and "notes" not in values
            else []
        )
        return self._write(
            rows.COMPLETE, agent, *assignments(SessionAgent, values), *told, *self._ending()
        )

    def fail(self, agent: SessionAgent, values: Mapping[str, Any]) -> SessionAgent:
        """End the attempt and the agent, with a readable note. Raises `Refused` like `complete`."""
        return self._write(rows.FAIL, agent, *assignments(SessionAgent, values), *self._ending())

    def retry_later(
        self, agent: SessionAgent, not_before: float, values: Mapping[str, Any]
    ) -> SessionAgent:
        """End the attempt; another one may begin at `not_before` (epoch seconds). Raises
        `Refused`.
        """
        return self._wait_until(rows.RETRY_LATER, agent, not_before, values, self._ending())

    def act_later(
        self, agent: SessionAgent, not_before: float, values: Mapping[str, Any]
    ) -> SessionAgent:
        """The action function failed; it may begin again at `not_before`, on the same answer.
        Raises `Refused`.
        """
        return self._wait_until(rows.ACT_LATER, agent, not_before, values, [self._now()])

    def act(self, agent: SessionAgent, lease: Lease, values: Mapping[str, Any]) -> SessionAgent:
        """The agent has answered; its action function runs under the renewed lease. Raises
        `Refused`.
        """
        held = [SessionAgent.acting.set(True), SessionAgent.lease_until.set(until(lease))]
        return self._write(rows.ACT, agent, *held, *assignments(SessionAgent, values), self._now())

    def wait_for_task(
        self, agent: SessionAgent, async_task_uuid: str, due_at: float
    ) -> SessionAgent:
        """A long job goes on elsewhere. Raises `Refused` when the attempt is no longer the current
        one.
        """
        actions = [
            SessionAgent.async_task_uuid.set(async_task_uuid),
            SessionAgent.due_at.set(due_at),
            SessionAgent.has_blobs.set(True),  # its output may come as one, at any time
            self._now(),
        ]
        try:
            return self._write(rows.WAIT_FOR_TASK, agent, *actions)
        except Refused as refused:
            old = refused.old
            if old is None or (old.run_uuid, old.async_task_uuid) != (
                agent.run_uuid,
                async_task_uuid,
            ):
                raise
            # the client repeated a write whose answer was lost
            return old  # type: ignore[no-any-return]

    def defer(self, agent: SessionAgent, due_at: float) -> bool:
        """The long job was heard of: its deadline is later; whether this call moved it."""
        try:
            self._write(rows.DEFER, agent, SessionAgent.due_at.set(due_at), self._now())
        except Refused:
            return False
        return True

    def expand(
        self, agent: SessionAgent, elements: int, unfinished: Sequence[int], counter_shards: int
    ) -> SessionAgent:
        """A claimed map waits for its elements now; the claim was no attempt. Raises `Refused`."""
        before, generation = agent.attempt - 1, (agent.generation or 0) + 1
        actions = [
            *([SessionAgent.attempt.set(before)] if before else []),
            SessionAgent.mapped.set(elements),
            SessionAgent.generation.set(generation),
            SessionAgent.in_degree.set(elements),
            SessionAgent.unfinished.set(set(unfinished)),
            *([SessionAgent.counter_shards.set(counter_shards)] if counter_shards else []),
            self._now(),
        ]
        try:
            return self._write(rows.EXPAND, agent, *actions)
        except Refused as refused:
            old = refused.old
            if old is None or (old.state, old.generation, old.mapped) != (
                "pending",
                generation,
                elements,
            ):
                raise
            # the client repeated a write whose answer was lost
            return old  # type: ignore[no-any-return]

    def elements_sent(self, agent: SessionAgent) -> None:
        """All elements of the map's current expansion are written and enqueued."""
        self._change(rows.ELEMENTS_SENT, agent, SessionAgent.elements_sent.set(True))

    def take_back(self, element: SessionAgent) -> bool:
        """Delete an element of a map that no longer waits for it, unless it has begun; whether it
        is gone.
        """
        condition = self._condition(rows.TAKE_BACK, element.partition_key)
        try:
            self._agents.delete(element.partition_key, element.key, condition)
        except Refused as refused:
            return refused.old is None
        return True

    def pause_element(self, element: SessionAgent, token: str) -> None:
        """Mark an element of a map that is paused."""
        self._change(rows.PAUSE_ELEMENT, element, SessionAgent.paused.set(token))

    # A session agent: its edges

    def finish_edge(
        self,
        tenant: str,
        key: Key,
        edge_id: int,
        *,
        width: int = 1,
        arrives: bool = False,
        unsatisfied: bool = False,
        upstream_failed: bool = False,
        note: str | None = None,
    ) -> SessionAgent | None:
        """Remove one named edge; the agent as it is afterwards, also when the edge was gone. None:
        no such agent.

        `width`: how many predecessors it stands for. `arrives`: it counts for a join that needs
        only some. `off`: the agent needs it, and will be skipped; `note` says why, unless an
        earlier one did. `upstream_failed`: it is off because of a failure.
        """
        actions = [
            SessionAgent.unfinished.delete([edge_id]),
            SessionAgent.in_degree.add(-width),
            *([SessionAgent.still_needed.add(-1)] if arrives else []),
            *([SessionAgent.unsatisfied.set(True)] if unsatisfied else []),
            *([SessionAgent.upstream_failed.set(True)] if upstream_failed else []),
            *([SessionAgent.notes.set(SessionAgent.notes | note)] if note else []),
            self._now(),
        ]
        return self._change_at(rows.FINISH_EDGE, tenant, key, actions, edge_id=edge_id)

    def skip(
        self, tenant: str, key: Key, epoch: int, values: Mapping[str, Any]
    ) -> SessionAgent | None:
        """Give up an agent that nobody holds, unless it was set back since `epoch`; the agent as it
        is afterwards.
        """
        actions = [*assignments(SessionAgent, values), *self._ending()]
        return self._change_at(rows.SKIP, tenant, key, actions, epoch=epoch)

    # A session agent: its person

    def wait_for_user(self, agent: SessionAgent, due_at: float | None) -> SessionAgent | None:
        """Park a ready agent until its person answers; the agent as it is afterwards."""
        since = f"{self._clock.now().isoformat(timespec='microseconds')}#{agent.session_agent_uuid}"
        inbox = [SessionAgent.inbox.set(agent.partition_key), SessionAgent.waits_since.set(since)]
        due = [] if due_at is None else [SessionAgent.due_at.set(due_at)]
        return self._change(rows.WAIT_FOR_USER, agent, *inbox, *due, self._now())

    def answer(
        self, waiting: SessionAgent, values: Mapping[str, Any], *, by_default: bool = False
    ) -> SessionAgent:
        """Give an agent the answer of its person that was seen waiting, or the default one unless
        it waits longer now.

        Raises `Refused`.
        """
        row = rows.ANSWER_BY_DEFAULT if by_default else rows.ANSWER
        return self._write(row, waiting, *assignments(SessionAgent, values), self._now())

    def fail_waiting(self, agent: SessionAgent, values: Mapping[str, Any]) -> SessionAgent | None:
        """The wait for a person has run out, and lost attempts are recorded; the agent as it is
        afterwards.
        """
        return self._change(
            rows.FAIL_WAITING, agent, *assignments(SessionAgent, values), self._now()
        )

    def fail_poisoned(self, agent: SessionAgent, values: Mapping[str, Any]) -> SessionAgent | None:
        """End an agent whose step cannot be worked off, if nobody has begun anything with it since
        it was read.

        The agent as it is afterwards.
        """
        return self._change(
            rows.FAIL_POISONED, agent, *assignments(SessionAgent, values), *self._ending()
        )

    # A session agent: its session is controlled

    def end(self, agent: SessionAgent, state: str, epoch: int) -> SessionAgent | None:
        """End an agent of a session that ended in `epoch`, `cancelled` or `skipped`; its attempt
        keeps its lease, until its run is recorded. Only cancelling takes a living lease. Never
        raises `Refused`: the agent as it is then.
        """
        if state == "cancelled":
            return self._change(rows.CANCEL, agent, *self._ending(), epoch=epoch)
        # not by a condition: a retry sets it back
        by_failure = SessionAgent.upstream_failed.set(True)
        return self._change(rows.SKIP_IN_ENDED, agent, by_failure, *self._ending(), epoch=epoch)

    def close(self, agent: SessionAgent) -> None:
        """The runs of an agent that was ended are recorded. Never raises `Refused`."""
        self._change(rows.CLOSE, agent)

    def mark(self, agent: SessionAgent, token: str) -> None:
        """Pause an agent that has not ended. Never raises `Refused`."""
        self._change(rows.PAUSE, agent, SessionAgent.paused.set(token))

    def unmark(self, agent: SessionAgent) -> None:
        """Take off the pause that the agent shows. Never raises `Refused`."""
        self._change(rows.UNPAUSE, agent)

    def adopt(self, agent: SessionAgent, epoch: int) -> None:
        """Take an agent along into a new epoch whose attempt goes on, or whose result is kept.
        Never raises `Refused`: when the agent has changed meanwhile, it has to be looked at again.
        """
        self._change(rows.ADOPT, agent, SessionAgent.epoch.set(epoch), epoch=epoch)

    def reset(self, agent: SessionAgent, epoch: int, values: Mapping[str, Any]) -> None:
        """Set an agent back, once an epoch; a value of None removes it. Never raises `Refused`:
        when the agent has changed meanwhile, it has to be looked at again.

        An attempt whose run may not be recorded yet is left to the next one, marked as none that
        was lost.
        """
        recorded = agent.state in ("completed", "failed") and agent.lease_until is None
        runs = None if recorded else ended_with(agent)
        given = {**values, "epoch": epoch, "set_back": epoch, "lost_runs": runs or None}
        self._change(rows.RESET, agent, *assignments(SessionAgent, given), self._now(), epoch=epoch)

    def refill(self, counter_shard: SessionAgent, epoch: int) -> None:
        """Write a counter shard anew, once an epoch. Never raises `Refused`."""
        counter_shard.epoch = epoch
        with suppress(Refused):
            self._agents.put(
                counter_shard,
                self._condition(rows.REFILL, counter_shard.partition_key, epoch=epoch),
            )

    # Inside

    def _take(
        self,
        row: Transition,
        tenant: str,
        key: Key,
        lease: Lease,
        actions: Sequence[Action] = (),
        **given: Any,
    ) -> SessionAgent:
        claiming = [
            SessionAgent.attempt.add(1),
            SessionAgent.run_uuid.set(SessionAgent.first_run | lease.run_uuid),
            SessionAgent.started_at.set(lease.now),
        ]
        return self._hold_at(row, tenant, key, lease, [*actions, *claiming], "executing", **given)
