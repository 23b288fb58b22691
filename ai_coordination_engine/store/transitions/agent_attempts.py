"""The transitions of a session agent's attempt: it is claimed, goes on, and ends."""

from collections.abc import Mapping, Sequence
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.lifecycle import agents as rows
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.transitions.agent_writes import AgentWrites
from ai_coordination_engine.store.transitions.attempts import REFUSED, Lease, lost_with, until
from ai_coordination_engine.store.transitions.outcome import Outcome, or_repeated
from ai_coordination_engine.store.transitions.rows import assignments

_AT_ONCE = 1_000  # agents of one Query


class AgentAttempts(AgentWrites):
    """The transitions of an agent's attempt, for the worker that holds the attempt it has read.
    Rejected when that is no longer the current attempt.
    """

    # It begins

    def claim(self, tenant: str, key: Key, lease: Lease) -> Outcome[SessionAgent]:
        """Take the next attempt of a ready agent without a lease."""
        return self._take(rows.CLAIM, tenant, key, lease)

    def claim_as_read(self, agent: SessionAgent, lease: Lease) -> Outcome[SessionAgent]:
        """Take the next attempt of a ready agent, unless it was reset since it was read."""
        return self._take(rows.CLAIM_AS_READ, agent.partition_key, agent.key, lease, seen=agent)

    def finish_last_edge_and_claim(
        self, tenant: str, key: Key, edge_id: int, lease: Lease, *, metered: bool = False
    ) -> Outcome[SessionAgent]:
        """Remove the last unfinished edge and take the next attempt, in one write; `metered` as in
        `SessionAgents.finish_edge`.
        """
        edges = [SessionAgent.unfinished.delete([edge_id]), SessionAgent.in_degree.set(0)]
        edges += [SessionAgent.metered.set(True)] if metered else []
        return self._take(
            rows.FINISH_LAST_EDGE_AND_CLAIM, tenant, key, lease, edges, edge_id=edge_id
        )

    def take_over(self, old: SessionAgent, lease: Lease) -> Outcome[SessionAgent]:
        """Take the next attempt of `old`, whose lease expired.

        `lost_runs` keeps every attempt before it: several workers may have died one after another
        without recording a run.
        """
        lost = [SessionAgent.lost_runs.set(lost_with(old))]
        return self._take(rows.TAKE_OVER, old.partition_key, old.key, lease, lost, seen=old)

    def give_back(self, agent: SessionAgent, started_at: float) -> Outcome[SessionAgent]:
        """Make the attempt before this one, whose result is known, the current one again, under the
        same lease.
        """
        *earlier, (attempt, run_uuid, *_) = agent.lost_runs
        actions = [
            SessionAgent.attempt.set(attempt),
            SessionAgent.run_uuid.set(run_uuid),
            SessionAgent.started_at.set(started_at),
            *([SessionAgent.lost_runs.set(earlier)] if earlier else []),
            self._now(),
        ]
        given_back = self._write(rows.GIVE_BACK, agent, *actions)
        return or_repeated(given_back, lease_token=agent.lease_token, run_uuid=run_uuid)

    # It is held

    def held(self, tenant: str, session_uuid: str) -> list[Key]:
        """The keys of a session's agents that have a lease, expired or not."""
        has_lease = SessionAgent.lease_until.exists()
        keys = self._agents.range_keys(tenant, session_uuid, has_lease, _AT_ONCE)
        return [(session_uuid, each) for each in keys]

    def renew(self, agent: SessionAgent, lease: Lease) -> Outcome[SessionAgent]:
        """Renew the lease: it runs from now on."""
        return self._write(
            rows.RENEW, agent, SessionAgent.lease_until.set(until(lease)), self._now()
        )

    def resume_attempt(self, old: SessionAgent, lease: Lease) -> Outcome[SessionAgent]:
        """Resume the attempt of `old`, which has its result and no lease."""
        return self._hold(rows.RESUME_ATTEMPT, old, lease, [SessionAgent.resumed.add(1)], "pending")

    def fence(
        self, old: SessionAgent, lease: Lease, *, again: bool = False
    ) -> Outcome[SessionAgent]:
        """Take the expired lease of an attempt, so that its worker can no longer end it.

        `again`: the attempt is taken in order to go on with it.
        """
        return self._hold(
            rows.FENCE, old, lease, [SessionAgent.resumed.add(1)] if again else [], old.state
        )

    def expire_lease(self, agent: SessionAgent, ended: float = 0) -> None:
        """Expire the lease now, so that a retry need not wait: the attempt met an error (`REFUSED`
        or `ERROR`), but no worker died.
        """
        fewer = [SessionAgent.resumed.add(-1)] if agent.resumed and ended == REFUSED else []
        self._write(rows.EXPIRE_LEASE, agent, SessionAgent.lease_until.set(ended), *fewer)

    def act(
        self, agent: SessionAgent, lease: Lease, values: Mapping[str, Any]
    ) -> Outcome[SessionAgent]:
        """Store the answer of the agent; its action function runs under the renewed lease."""
        held = [SessionAgent.acting.set(True), SessionAgent.lease_until.set(until(lease))]
        return self._write(rows.ACT, agent, *held, *assignments(SessionAgent, values), self._now())

    # It goes on elsewhere, or later

    def wait_for_job(
        self, agent: SessionAgent, async_task_uuid: str, due_at: float
    ) -> Outcome[SessionAgent]:
        """Wait for a long job, which goes on without the worker."""
        actions = [
            SessionAgent.async_task_uuid.set(async_task_uuid),
            SessionAgent.due_at.set(due_at),
            SessionAgent.has_blobs.set(True),  # its output may come as one, at any time
            self._now(),
        ]
        parked = self._write(rows.WAIT_FOR_JOB, agent, *actions)
        return or_repeated(parked, run_uuid=agent.run_uuid, async_task_uuid=async_task_uuid)

    def defer(self, agent: SessionAgent, due_at: float) -> Outcome[SessionAgent]:
        """Move the deadline of a long job that has sent a heartbeat. Rejected when somebody has
        moved it already, perhaps to the same time.
        """
        return self._write(rows.DEFER, agent, SessionAgent.due_at.set(due_at), self._now())

    def ask(
        self, agent: SessionAgent, values: Mapping[str, Any], due_at: float | None
    ) -> Outcome[SessionAgent]:
        """End the attempt and let the agent wait for the person that its runtime asks."""
        actions = [*self._inbox(agent, due_at), *assignments(SessionAgent, values)]
        asked = self._write(rows.ASK, agent, *actions, *self._ending())
        return or_repeated(
            asked, state="wait_for_user_input", attempt=agent.attempt, asks=values["asks"]
        )

    def expand(
        self, agent: SessionAgent, elements: int, unfinished: Sequence[int], counter_shards: int
    ) -> Outcome[SessionAgent]:
        """Let a claimed map wait for its elements. The claim does not count as an attempt."""
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
        expanded = self._write(rows.EXPAND, agent, *actions)
        return or_repeated(expanded, state="pending", generation=generation, mapped=elements)

    def send_on(self, agent: SessionAgent, needs: str | None) -> Outcome[SessionAgent]:
        """Let the worker with the extra that the agent `needs` (None: the one without) take the
        attempt in place of this one, with the same run.
        """
        needed = {"needs": needs} if needs else {}
        sent_on = self._give_up(rows.SEND_ON, agent, needed)
        return or_repeated(sent_on, state="pending", first_run=agent.run_uuid, needs=needs)

    def wait_for_budget(
        self, agent: SessionAgent, wanted: Mapping[str, Any]
    ) -> Outcome[SessionAgent]:
        """Let a claimed agent wait for room in a budget. The claim does not count as an attempt;
        the next one has the same run.
        """
        waits = self._give_up(rows.WAIT_FOR_BUDGET, agent, {"over_budget": wanted})
        return or_repeated(waits, state="pending", over_budget=wanted, first_run=agent.run_uuid)

    def retry_later(
        self, agent: SessionAgent, not_before: float, values: Mapping[str, Any]
    ) -> Outcome[SessionAgent]:
        """End the attempt; another one may begin at `not_before` (epoch seconds)."""
        return self._wait_until(rows.RETRY_LATER, agent, not_before, values, self._ending())

    def act_later(
        self, agent: SessionAgent, not_before: float, values: Mapping[str, Any]
    ) -> Outcome[SessionAgent]:
        """Let the action function begin again at `not_before`, on the same answer."""
        return self._wait_until(rows.ACT_LATER, agent, not_before, values, [self._now()])

    # It ends

    def complete(self, agent: SessionAgent, values: Mapping[str, Any]) -> Outcome[SessionAgent]:
        """Complete the attempt with its output. The notes of an earlier failure are removed; its
        run keeps them.
        """
        has_failed = agent.failures is not None or agent.corrections or agent.refusals
        notes = [SessionAgent.notes.remove()] if has_failed and "notes" not in values else []
        return self._end(rows.COMPLETE, agent, *assignments(SessionAgent, values), *notes)

    def propose_plan(
        self, agent: SessionAgent, values: Mapping[str, Any], due_at: float | None
    ) -> Outcome[SessionAgent]:
        """Let a planning agent that has its plan wait for its person; the attempt goes on with the
        answer.
        """
        actions = [
            SessionAgent.acting.set(True),
            *self._inbox(agent, due_at),
            *assignments(SessionAgent, values),
            self._now(),
        ]
        proposed = self._write(rows.PROPOSE_PLAN, agent, *actions)
        return or_repeated(proposed, state="wait_for_user_input", run_uuid=agent.run_uuid)

    def fail(self, agent: SessionAgent, values: Mapping[str, Any]) -> Outcome[SessionAgent]:
        """End the attempt and the agent, with a readable note."""
        return self._end(rows.FAIL, agent, *assignments(SessionAgent, values))

    # Inside

    def _take(
        self,
        row: Transition,
        tenant: str,
        key: Key,
        lease: Lease,
        actions: Sequence[Action] = (),
        **given: Any,
    ) -> Outcome[SessionAgent]:
        claiming = [
            SessionAgent.attempt.add(1),
            SessionAgent.run_uuid.set(SessionAgent.first_run | lease.run_uuid),
            SessionAgent.started_at.set(lease.now),
        ]
        return self._hold_at(row, tenant, key, lease, [*actions, *claiming], "executing", **given)

    def _hold(
        self,
        row: Transition,
        seen: SessionAgent,
        lease: Lease,
        actions: Sequence[Action],
        state: str,
    ) -> Outcome[SessionAgent]:
        return self._hold_at(row, seen.partition_key, seen.key, lease, actions, state, seen=seen)

    def _hold_at(
        self,
        row: Transition,
        tenant: str,
        key: Key,
        lease: Lease,
        actions: Sequence[Action],
        state: str,
        **given: Any,
    ) -> Outcome[SessionAgent]:
        """The agent in `state`, under the lease."""
        taken = [
            SessionAgent.lease_until.set(until(lease)),
            SessionAgent.lease_token.set(lease.token),
            self._now(),
        ]
        held = self._write_at(row, tenant, key, [*actions, *taken], now=lease.now, **given)
        return or_repeated(held, lease_token=lease.token, state=state)

    def _give_up(
        self, row: Transition, agent: SessionAgent, values: Mapping[str, Any]
    ) -> Outcome[SessionAgent]:
        """Give up a claim, which does not count; the next one has the same run."""
        before = agent.attempt - 1
        actions = [
            *([SessionAgent.attempt.set(before)] if before else []),
            SessionAgent.first_run.set(agent.run_uuid),
            *assignments(SessionAgent, values),
            self._now(),
        ]
        return self._write(row, agent, *actions)

    def _wait_until(
        self,
        row: Transition,
        agent: SessionAgent,
        not_before: float,
        values: Mapping[str, Any],
        actions: Sequence[Action],
    ) -> Outcome[SessionAgent]:
        """Set the agent pending and give up its lease until `not_before`."""
        until_then = SessionAgent.not_before.set(not_before)
        waits = self._write(row, agent, until_then, *assignments(SessionAgent, values), *actions)
        return or_repeated(waits, state="pending", attempt=agent.attempt, not_before=not_before)

    def _end(self, row: Transition, agent: SessionAgent, *actions: Action) -> Outcome[SessionAgent]:
        ended = self._write(row, agent, *actions, *self._ending())
        return or_repeated(
            ended, state=str(row.target), run_uuid=agent.run_uuid, lease_token=agent.lease_token
        )
