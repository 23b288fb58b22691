"""The state changes of a session and its agents: each is one conditional write, named as a transition.

What a transition answers says what the caller owes next. All of them may be repeated: a second try changes nothing and
answers with what the first one left behind (promises P2, P3, P6).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.domain.statuses import OPEN_SESSION_STATUSES
from ai_coordination_engine.store.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.models import Record, Session, SessionAgent
from ai_coordination_engine.store.repository import Repository
from ai_coordination_engine.store.table import Key, Refused

_READY = (
    SessionAgent.state.is_in("initial", "pending")
    & (SessionAgent.in_degree == 0)
    & SessionAgent.awaits_user.does_not_exist()
)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one attempt: `run_uuid` names it and fences every other, until `until` (epoch seconds).

    Leases that end before `lost_before` have run out, or their worker is known to be dead.
    """

    run_uuid: str
    lost_before: float
    until: float
    token: str  # of this very try to claim: a run uuid may have been promised, and then several tries share it


class Transitions:
    """The transitions of one store. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._agents = repository.table(SESSION_AGENT)
        self._sessions = repository.table(SESSION)
        self._clock = repository.clock

    # A session agent

    def claim(self, tenant: str, key: Key, lease: Lease) -> SessionAgent:
        """Take the first attempt of a ready agent. Raises `Refused`."""
        condition = _READY & SessionAgent.attempt.does_not_exist() & (SessionAgent.partition_key == tenant)
        return self._take(key, [], lease, condition)

    def take_over(self, old: SessionAgent, lease: Lease) -> SessionAgent:
        """Take the attempt after that of `old`, whose lease ran out. Raises `Refused` when `old` is no longer current.

        `lost_runs` keeps every attempt before it: their workers may have died without a trace, one after the other.
        """
        lost = (SessionAgent.state == "executing") & (SessionAgent.lease_until < lease.lost_before)
        runs = [*(old.lost_runs or ()), [old.attempt, old.run_uuid]]
        return self._take(
            (old.session_uuid, old.session_agent_uuid),
            [SessionAgent.lost_runs.set(runs)],
            lease,
            (_READY | lost) & (SessionAgent.run_uuid == old.run_uuid),
        )

    def finish_last_edge_and_claim(self, key: Key, edge: int, lease: Lease) -> SessionAgent:
        """Remove the last unfinished edge and take the first attempt, in one write. Raises `Refused`."""
        condition = (
            SessionAgent.unfinished.contains(edge)
            & (SessionAgent.in_degree == 1)
            & (SessionAgent.state == "initial")
            & SessionAgent.awaits_user.does_not_exist()
        )
        edges = [SessionAgent.unfinished.delete([edge]), SessionAgent.in_degree.set(0)]
        return self._take(key, edges, lease, condition)

    def finish_edge(self, key: Key, edge: int) -> SessionAgent | None:
        """Remove one named edge; the agent as it is afterwards, also when the edge was gone. None: no such agent."""
        try:
            return self._agents.update(  # type: ignore[no-any-return]
                key,
                [
                    SessionAgent.unfinished.delete([edge]),
                    SessionAgent.in_degree.add(-1),
                    SessionAgent.updated_at.set(self._clock.now()),
                ],
                SessionAgent.unfinished.contains(edge),
            )
        except Refused as refused:
            return refused.old  # type: ignore[no-any-return]

    def complete(self, key: Key, run_uuid: str, values: Mapping[str, Any]) -> SessionAgent:
        """End the attempt well, with its input and output. Raises `Refused` when it is no longer the current one."""
        return self._end(key, run_uuid, "completed", values)

    def fail(self, key: Key, run_uuid: str, values: Mapping[str, Any]) -> SessionAgent:
        """End the attempt and the agent, with a readable note. Raises `Refused` like `complete`."""
        return self._end(key, run_uuid, "failed", values)

    def skip(self, key: Key) -> SessionAgent | None:
        """Give up an agent that nobody has claimed; the agent as it is afterwards."""
        return self._change(
            key,
            [SessionAgent.state.set("skipped"), SessionAgent.updated_at.set(self._clock.now())],
            SessionAgent.state.is_in("initial", "pending", "wait_for_user_input"),
        )

    def give_up(self, agent: SessionAgent) -> SessionAgent | None:
        """End the attempt of a dead worker for good; the agent as it is afterwards."""
        return self._change(
            (agent.session_uuid, agent.session_agent_uuid),
            [
                SessionAgent.state.set("skipped"),
                SessionAgent.lease_until.remove(),
                SessionAgent.updated_at.set(self._clock.now()),
            ],
            (SessionAgent.run_uuid == agent.run_uuid) & SessionAgent.state.is_in("executing", "pending", "initial"),
        )

    def wait_for_user(self, key: Key) -> SessionAgent | None:
        """Park a ready agent until its person answers; the agent as it is afterwards."""
        return self._change(
            key,
            [SessionAgent.state.set("wait_for_user_input"), SessionAgent.updated_at.set(self._clock.now())],
            (SessionAgent.state == "initial") & (SessionAgent.in_degree == 0) & SessionAgent.awaits_user.exists(),
        )

    def answer(self, tenant: str, key: Key, values: Mapping[str, Any]) -> SessionAgent:
        """Give a waiting agent the person's answer. Raises `Refused`."""
        return self._agents.update(  # type: ignore[no-any-return]
            key,
            [
                SessionAgent.state.set("pending"),
                *_setting(SessionAgent, values),
                SessionAgent.awaits_user.remove(),
                SessionAgent.updated_at.set(self._clock.now()),
            ],
            (SessionAgent.state == "wait_for_user_input") & (SessionAgent.partition_key == tenant),
        )

    # A session

    def dispatch(self, key: Key, mark: str) -> Session | None:
        """Confirm a session whose roots are all enqueued, so that it is seen. None: it was taken away."""
        return self._change_session(key, [Session.unconfirmed.remove()], Session.unconfirmed == mark)

    def begin(self, key: Key) -> Session | None:
        """The first agent runs."""
        return self._change_session(
            key,
            [Session.status.set("in_progress"), self._touched()],
            Session.status == "dispatched",
        )

    def finish_only_sink(self, key: Key, sink: int) -> Session | None:
        """The only sink is terminal: the session is completed, in one write."""
        return self._change_session(
            key,
            [
                Session.open_sinks.delete([sink]),
                Session.open_sink_count.set(0),
                Session.status.set("completed"),
                self._touched(),
            ],
            Session.open_sinks.contains(sink) & Session.status.is_in(*OPEN_SESSION_STATUSES),
        )

    def finish_sink(self, key: Key, sink: int) -> Session | None:
        """One of several sinks is terminal; the session as it is afterwards."""
        return self._change_session(
            key,
            [Session.open_sinks.delete([sink]), Session.open_sink_count.add(-1), self._touched()],
            Session.open_sinks.contains(sink),
        )

    def complete_session(self, key: Key) -> Session | None:
        """Every sink is terminal."""
        return self._change_session(
            key,
            [Session.status.set("completed"), self._touched()],
            (Session.open_sink_count == 0) & Session.status.is_in(*OPEN_SESSION_STATUSES),
        )

    def fail_session(self, key: Key, values: Mapping[str, Any]) -> Session | None:
        """The failure policy ends the session."""
        return self._change_session(
            key,
            [Session.status.set("failed"), *_setting(Session, values), self._touched()],
            Session.status.is_in(*OPEN_SESSION_STATUSES),
        )

    # Inside

    def _take(self, key: Key, actions: Sequence[Action], lease: Lease, condition: Any) -> SessionAgent:
        claiming = [
            SessionAgent.state.set("executing"),
            SessionAgent.attempt.add(1),
            SessionAgent.run_uuid.set(lease.run_uuid),
            SessionAgent.lease_until.set(lease.until),
            SessionAgent.lease_token.set(lease.token),
            SessionAgent.updated_at.set(self._clock.now()),
        ]
        try:
            return self._agents.update(key, [*actions, *claiming], condition)  # type: ignore[no-any-return]
        except Refused as refused:
            if refused.old is None or refused.old.lease_token != lease.token or refused.old.state != "executing":
                raise
            return refused.old  # type: ignore[no-any-return]  # the client repeated a write whose answer was lost

    def _end(self, key: Key, run_uuid: str, state: str, values: Mapping[str, Any]) -> SessionAgent:
        return self._agents.update(  # type: ignore[no-any-return]
            key,
            [
                SessionAgent.state.set(state),
                *_setting(SessionAgent, values),
                SessionAgent.lease_until.remove(),
                SessionAgent.updated_at.set(self._clock.now()),
            ],
            (SessionAgent.state == "executing") & (SessionAgent.run_uuid == run_uuid),
        )

    def _change(self, key: Key, actions: list[Action], condition: Any) -> SessionAgent | None:
        try:
            return self._agents.update(key, actions, condition)  # type: ignore[no-any-return]
        except Refused as refused:
            return refused.old  # type: ignore[no-any-return]

    def _touched(self) -> Action:
        return Session.updated_at.set(self._clock.now())

    def _change_session(self, key: Key, actions: list[Action], condition: Any) -> Session | None:
        try:
            return self._sessions.update(key, actions, condition)  # type: ignore[no-any-return]
        except Refused as refused:
            return refused.old  # type: ignore[no-any-return]


def _setting(model: type[Record], values: Mapping[str, Any]) -> list[Action]:
    attributes = model.get_attributes()
    return [attributes[name].set(value) for name, value in values.items()]
