"""Each transition is one conditional write that may be repeated: in memory and on Amazon's
DynamoDB Local.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.attempts import Lease
from ai_coordination_engine.store.transitions.outcome import Applied, Outcome, Rejected, applied
from ai_coordination_engine.store.transitions.session_controls import ControlRequest
from ai_coordination_engine.store.transitions.sessions import SOON
from tests.kit.dynamodb_local import Store

TENANT = "acme"
FIRST = Lease("run-1", now=110, seconds=90, token="run-1")
SECOND = Lease("run-2", now=210, seconds=90, token="run-2")


class Agents:
    """Makes session agents and sessions as a start leaves them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        # PynamoDB's types know no absent attribute
        self.act: Any = store.app.agents
        self.sessions: Any = store.app.sessions

    def new(self, **values: Any) -> Key:
        key = (str(uuid4()), str(uuid4()))
        record = SessionAgent(
            *key, **{"partition_key": TENANT, "state": "initial", "in_degree": 0, **values}
        )
        self.store.records.table(SESSION_AGENT).put(
            record, SessionAgent.session_uuid.does_not_exist()
        )
        return key

    def session(self, sinks: int, **values: Any) -> Key:
        key = (str(uuid4()), str(uuid4()))
        given = {
            "status": "dispatched",
            "open_sinks": range(sinks),
            "open_sink_count": sinks,
            **values,
        }
        record = Session(*key, partition_key=TENANT, **given)
        self.store.records.table(SESSION).put(record, Session.session_uuid.does_not_exist())
        return key

    def record(self, key: Key) -> Any:
        return self.store.records.table(SESSION_AGENT).get(TENANT, key, consistent=True)

    def stored(self, key: Key, entity: Any = SESSION_AGENT) -> dict[str, Any]:
        record = self.store.records.table(entity).get(TENANT, key, consistent=True)
        assert record is not None
        return dict(record.serialize())


@pytest.fixture
def agents(store: Store) -> Agents:
    return Agents(store)


def rejected(agents: Agents, key: Key, call: Callable[[], Any], entity: Any = SESSION_AGENT) -> Any:
    """The item that a rejected transition names, which it has not changed."""
    before = agents.stored(key, entity)
    outcome = call()
    assert isinstance(outcome, Rejected)
    assert outcome.record is not None
    assert agents.stored(key, entity) == outcome.record.serialize() == before
    return outcome.record


def done(outcome: Any) -> Any:
    """The agent as an applied transition has left it."""
    assert isinstance(outcome, Applied)
    return outcome.record


# Claiming


@pytest.mark.parametrize("state", ["initial", "pending"])
def test_a_ready_agent_is_claimed_once(agents: Agents, state: str) -> None:
    key = agents.new(state=state)
    agent = done(agents.act.claim(TENANT, key, FIRST))
    assert (agent.state, agent.attempt, agent.run_uuid, agent.lease_until) == (
        "executing",
        1,
        "run-1",
        200,
    )
    assert rejected(agents, key, lambda: agents.act.claim(TENANT, key, SECOND)).run_uuid == "run-1"


@pytest.mark.parametrize(
    "values",
    [
        {"in_degree": 1, "unfinished": [3]},
        {"awaits_user": "ann"},
        {"state": "wait_for_user_input", "awaits_user": "ann"},
        {"state": "completed"},
        {"state": "failed"},
        {"state": "skipped"},
        {"state": "cancelled"},
        {"run_uuid": "run-0"},
        {"paused": "token"},
        {"not_before": 110.5},
        {"in_degree": 0, "still_needed": 1},
    ],
    ids=str,
)
def test_an_agent_that_is_not_ready_is_not_claimed(agents: Agents, values: dict[str, Any]) -> None:
    key = agents.new(**values)
    rejected(agents, key, lambda: agents.act.claim(TENANT, key, FIRST))


def test_an_agent_of_another_tenant_is_not_there(agents: Agents) -> None:
    key = agents.new(partition_key="other")
    calls: list[Callable[[], Any]] = [
        lambda: agents.act.claim(TENANT, key, FIRST),
        lambda: agents.act.finish_last_edge_and_claim(TENANT, key, 0, FIRST),
    ]
    for call in calls:
        assert call() == Rejected(None)


@pytest.mark.parametrize(
    "values",
    [{"not_before": 110}, {"in_degree": 2, "unfinished": [1, 2], "still_needed": 0}],
    ids=str,
)
def test_an_agent_is_ready_after_its_backoff_and_when_enough_have_arrived(
    agents: Agents, values: dict[str, Any]
) -> None:
    agent = done(agents.act.claim(TENANT, agents.new(**values), FIRST))
    assert (agent.state, agent.not_before) == ("executing", None)


def test_an_item_that_names_another_tenant_than_its_key_is_not_claimed(agents: Agents) -> None:
    key = agents.new()
    table = agents.store.records.table(SESSION_AGENT)
    table.update(
        TENANT, key, [SessionAgent.partition_key.set("other")], SessionAgent.session_uuid.exists()
    )
    rejected(agents, key, lambda: agents.act.claim(TENANT, key, FIRST))


def test_an_agents_own_lease_counts(agents: Agents) -> None:
    assert done(agents.act.claim(TENANT, agents.new(lease_seconds=7), FIRST)).lease_until == 117


def test_a_claim_whose_answer_was_lost_is_found_again_by_its_own_repeat(agents: Agents) -> None:
    key = agents.new()
    first = done(agents.act.claim(TENANT, key, FIRST))
    again = done(agents.act.claim(TENANT, key, FIRST))
    assert (again.serialize(), again.attempt) == (first.serialize(), 1)
    copy = replace(FIRST, token="another copy of the message")
    rejected(agents, key, lambda: agents.act.claim(TENANT, key, copy))


def test_a_put_whose_answer_was_lost_is_found_again_by_its_own_repeat(agents: Agents) -> None:
    record = SessionAgent("s-lost", "a", partition_key=TENANT, state="initial", unfinished=[1, 2])
    table, absent = (
        agents.store.records.table(SESSION_AGENT),
        SessionAgent.session_uuid.does_not_exist(),
    )
    table.put(record, absent)
    table.put(record, absent)
    with pytest.raises(Refused):
        table.put(SessionAgent("s-lost", "a", partition_key=TENANT, state="pending"), absent)


def test_an_agent_that_does_not_exist_is_rejected_without_one(agents: Agents) -> None:
    assert agents.act.claim(TENANT, ("no", "body"), FIRST) == Rejected(None)


def test_an_attempt_is_taken_over_when_its_lease_has_run_out(agents: Agents) -> None:
    key = agents.new()
    old = done(agents.act.claim(TENANT, key, FIRST))
    early = replace(SECOND, now=200)
    rejected(agents, key, lambda: agents.act.take_over(old, early))
    agent = done(agents.act.take_over(old, SECOND))
    assert (agent.attempt, agent.run_uuid, agent.lost_runs) == (2, "run-2", [[1, "run-1"]])
    late = Lease("run-3", now=410, seconds=90, token="run-3")
    # `old` is not the current attempt any more
    rejected(agents, key, lambda: agents.act.take_over(old, late))
    agent = done(agents.act.take_over(agent, late))
    assert (agent.attempt, agent.lost_runs) == (3, [[1, "run-1"], [2, "run-2"]])


def test_sixteen_claims_at_once_have_one_winner(agents: Agents) -> None:
    key = agents.new()

    def claim(number: int) -> str:
        lease = replace(FIRST, run_uuid=f"run-{number}", token=str(number))
        claimed = applied(agents.act.claim(TENANT, key, lease))
        return str(claimed.run_uuid) if claimed is not None else ""

    winners = [each for each in at_once(claim, 16) if each]
    assert len(winners) == 1
    assert agents.stored(key)["run_uuid"] == {"S": winners[0]}


def at_once(call: Callable[[int], Any], number: int) -> list[Any]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(call, range(number)))


# Edges


def test_a_named_edge_is_removed_once(agents: Agents) -> None:
    key = agents.new(in_degree=2, unfinished=[0, 7])
    for _ in range(2):
        agent = agents.act.finish_edge(TENANT, key, 7).record
        assert agent is not None
        assert (agent.in_degree, agent.unfinished, agent.state) == (1, {0}, "initial")
    for _ in range(2):
        agent = agents.act.finish_edge(TENANT, key, 0).record
        assert agent is not None
        assert (agent.in_degree, agent.unfinished) == (0, None)


def test_an_edge_that_never_was_and_an_agent_that_never_was(agents: Agents) -> None:
    key = agents.new(in_degree=1, unfinished=[0])
    before = agents.stored(key)
    assert agents.act.finish_edge(TENANT, key, 5).record is not None
    assert agents.stored(key) == before
    assert agents.act.finish_edge(TENANT, ("no", "body"), 5).record is None


def test_fifty_edges_removed_twice_at_once_leave_none(agents: Agents) -> None:
    key = agents.new(in_degree=50, unfinished=range(50))

    def remove(number: int) -> int:
        agent = agents.act.finish_edge(TENANT, key, number % 50).record
        assert agent is not None
        return int(agent.in_degree)

    degrees = at_once(remove, 100)
    assert set(degrees) == set(range(50))
    stored = agents.stored(key)
    assert stored["in_degree"] == {"N": "0"}
    assert "unfinished" not in stored


def test_the_last_edge_and_the_claim_are_one_write(agents: Agents) -> None:
    key = agents.new(in_degree=1, unfinished=[4])
    agent = done(agents.act.finish_last_edge_and_claim(TENANT, key, 4, FIRST))
    assert (agent.in_degree, agent.unfinished, agent.state, agent.attempt) == (
        0,
        None,
        "executing",
        1,
    )
    rejected(agents, key, lambda: agents.act.finish_last_edge_and_claim(TENANT, key, 4, SECOND))


@pytest.mark.parametrize(
    "values",
    [
        {"in_degree": 2, "unfinished": [4, 5]},
        {"in_degree": 1, "unfinished": [5]},
        {"in_degree": 1, "unfinished": [4], "awaits_user": "ann"},
        {"in_degree": 1, "unfinished": [4], "state": "skipped"},
    ],
    ids=str,
)
def test_the_last_edge_is_not_taken_with_a_claim_that_cannot_be(
    agents: Agents, values: dict[str, Any]
) -> None:
    key = agents.new(**values)
    rejected(agents, key, lambda: agents.act.finish_last_edge_and_claim(TENANT, key, 4, FIRST))


# Ends


def test_only_the_current_attempt_ends_the_agent(agents: Agents) -> None:
    key = agents.new()
    old = done(agents.act.claim(TENANT, key, FIRST))
    current = done(agents.act.take_over(old, SECOND))
    for act in ends(agents, old):
        rejected(agents, key, act)
    rejected(agents, key, lambda: agents.act.wait_for_job(old, "job", 500))
    agent = done(agents.act.complete(current, {"agent_output": {"é": 1.5}}))
    assert (agent.state, agent.agent_output, agent.lease_until) == ("completed", {"é": 1.5}, None)
    again = agents.act.complete(current, {"agent_output": "its answer was lost"})
    assert done(again).serialize() == agent.serialize()
    for act in ends(agents, current)[1:]:
        rejected(agents, key, act)


def ends(agents: Agents, agent: Any) -> list[Callable[[], Any]]:
    return [
        lambda: agents.act.complete(agent, {"agent_output": "late"}),
        lambda: agents.act.fail(agent, {"notes": "late"}),
        lambda: agents.act.retry_later(agent, 500, {"notes": "late"}),
        lambda: agents.act.act(agent, SECOND, {"agent_output": "late"}),
        lambda: agents.act.expand(agent, 1, [7], 0),
    ]


def test_a_failure_leaves_its_note(agents: Agents) -> None:
    agent = done(
        agents.act.fail(done(agents.act.claim(TENANT, agents.new(), FIRST)), {"notes": "no"})
    )
    assert (agent.state, agent.notes, agent.lease_until) == ("failed", "no", None)


def test_a_failed_attempt_makes_room_for_the_next_after_the_backoff(agents: Agents) -> None:
    key = agents.new()
    claimed = done(agents.act.claim(TENANT, key, FIRST))
    for _ in range(2):  # the client may repeat it
        agent = done(agents.act.retry_later(claimed, 205, {"notes": "busy", "failures": 1}))
        assert (agent.state, agent.run_uuid, agent.lease_until, agent.not_before) == (
            "pending",
            None,
            None,
            205,
        )
    rejected(agents, key, lambda: agents.act.claim(TENANT, key, replace(SECOND, now=204)))
    agent = done(agents.act.claim(TENANT, key, SECOND))
    assert (agent.attempt, agent.run_uuid, agent.not_before, agent.failures) == (
        2,
        "run-2",
        None,
        1,
    )


def test_an_attempt_with_its_result_goes_on_with_the_action_function(agents: Agents) -> None:
    key = agents.new()
    agent = done(
        agents.act.act(
            done(agents.act.claim(TENANT, key, FIRST)),
            replace(FIRST, now=150),
            {"agent_output": "raw"},
        )
    )
    assert (agent.state, agent.acting, agent.agent_output, agent.lease_until) == (
        "pending",
        True,
        "raw",
        240,
    )
    rejected(agents, key, lambda: agents.act.resume_attempt(agent, SECOND))
    rejected(agents, key, lambda: agents.act.claim(TENANT, key, SECOND))
    other = done(agents.act.resume_attempt(agent, replace(SECOND, now=241)))
    assert (other.attempt, other.run_uuid, other.lease_token) == (1, "run-1", "run-2")
    rejected(agents, key, lambda: agents.act.complete(agent, {"agent_output": "late"}))
    assert done(agents.act.complete(other, {"agent_output": "done"})).agent_output == "done"


def test_a_long_job_holds_no_lease_and_is_resumed_once(agents: Agents) -> None:
    key = agents.new()
    claimed = done(agents.act.claim(TENANT, key, FIRST))
    for _ in range(2):
        agent = done(agents.act.wait_for_job(claimed, "job", 500))
        assert (agent.state, agent.async_task_uuid, agent.due_at, agent.lease_until) == (
            "pending",
            "job",
            500,
            None,
        )
    held = done(agents.act.resume_attempt(agent, SECOND))
    assert (held.attempt, held.run_uuid, held.lease_until) == (1, "run-1", 300)
    rejected(agents, key, lambda: agents.act.resume_attempt(agent, replace(SECOND, token="other")))
    agent = done(agents.act.complete(held, {"agent_output": "x"}))
    assert (agent.state, agent.async_task_uuid, agent.due_at) == ("completed", None, None)


def test_a_map_waits_for_its_elements_and_its_expansion_was_no_attempt(agents: Agents) -> None:
    key = agents.new()
    lost = done(agents.act.claim(TENANT, key, FIRST))
    agent = done(agents.act.expand(done(agents.act.take_over(lost, SECOND)), 250, [0, 1, 2], 3))
    assert (agent.state, agent.attempt, agent.run_uuid, agent.lost_runs) == (
        "pending",
        1,
        None,
        [[1, "run-1"]],
    )
    assert (agent.mapped, agent.in_degree, agent.unfinished, agent.generation) == (
        250,
        250,
        {0, 1, 2},
        1,
    )
    for counter_shard in (0, 1, 1):
        agent = agents.act.finish_edge(TENANT, key, counter_shard, width=100).record
    assert (agent.in_degree, agent.unfinished) == (50, {2})
    agents.act.finish_edge(TENANT, key, 2, width=50)
    assert done(agents.act.claim(TENANT, key, SECOND)).attempt == 2


def test_an_agent_that_needs_an_edge_which_is_off_is_not_ready_but_skipped(agents: Agents) -> None:
    key = agents.new(in_degree=2, unfinished=[0, 7])
    for _ in range(2):
        agent = agents.act.finish_edge(
            TENANT, key, 7, unsatisfied=True, upstream_failed=True, note="why"
        ).record
        assert (
            agent.in_degree,
            agent.unfinished,
            agent.unsatisfied,
            agent.upstream_failed,
            agent.notes,
        ) == (
            1,
            {0},
            True,
            True,
            "why",
        )
    rejected(agents, key, lambda: agents.act.finish_last_edge_and_claim(TENANT, key, 0, FIRST))
    assert (
        agents.act.finish_edge(TENANT, key, 0, unsatisfied=True, note="another").record.notes
        == "why"
    )
    rejected(agents, key, lambda: agents.act.claim(TENANT, key, FIRST))
    assert agents.act.skip(TENANT, key, 0, {}).record.state == "skipped"


def test_an_agent_that_was_set_back_is_not_skipped_by_who_comes_late(agents: Agents) -> None:
    key = agents.new(epoch=2)
    assert agents.act.skip(TENANT, key, 1, {}).record.state == "initial"
    assert agents.act.skip(TENANT, key, 2, {}).record.state == "skipped"


def test_arrivals_are_counted_once_for_a_join_of_some(agents: Agents) -> None:
    key = agents.new(in_degree=3, unfinished=[0, 1, 2], still_needed=2)
    for edge in (1, 1, 2):
        agent = agents.act.finish_edge(TENANT, key, edge, arrives=True).record
    assert (agent.in_degree, agent.still_needed) == (1, 0)
    assert done(agents.act.claim(TENANT, key, FIRST)).state == "executing"


@pytest.mark.parametrize("state", ["initial", "pending", "wait_for_user_input"])
def test_what_nobody_claimed_is_skipped(agents: Agents, state: str) -> None:
    key = agents.new(state=state, in_degree=1, unfinished=[0])
    for _ in range(2):
        agent = agents.act.skip(TENANT, key, 0, {}).record
        assert agent is not None
        assert agent.state == "skipped"


@pytest.mark.parametrize("state", ["executing", "completed", "failed", "cancelled"])
def test_what_somebody_claimed_is_not_skipped(agents: Agents, state: str) -> None:
    key = agents.new(state=state)
    before = agents.stored(key)
    agents.act.skip(TENANT, key, 0, {})
    assert agents.stored(key) == before


# A person


def test_an_agent_is_parked_answered_and_claimed(agents: Agents) -> None:
    key = agents.new(awaits_user="ann")
    rejected(agents, key, lambda: agents.act.answer(agents.record(key), {"user_input": "early"}))
    for _ in range(2):
        agent = agents.act.wait_for_user(agents.record(key), 500).record
        assert agent is not None
        assert (agent.state, agent.inbox, agent.due_at) == ("wait_for_user_input", TENANT, 500)
        assert agent.waits_since.endswith(f"#{key[1]}")
    others = agents.record(key)
    others.partition_key = "other"
    assert agents.act.answer(others, {"user_input": "theirs"}) == Rejected(None)
    assert agents.record(key).user_input is None
    rejected(agents, key, lambda: agents.act.claim(TENANT, key, FIRST))
    agent = done(agents.act.answer(agents.record(key), {"user_input": "blue"}))
    assert (agent.state, agent.user_input, agent.awaits_user) == ("pending", "blue", None)
    assert (agent.inbox, agent.waits_since, agent.due_at) == (None, None, None)
    rejected(agents, key, lambda: agents.act.answer(agents.record(key), {"user_input": "red"}))
    agent = agents.act.wait_for_user(agents.record(key), 500).record
    assert agent is not None
    assert agent.state == "pending"
    assert done(agents.act.claim(TENANT, key, FIRST)).user_input == "blue"


def test_a_wait_ends_at_the_deadline_that_it_has_now(agents: Agents) -> None:
    key = agents.new(state="wait_for_user_input", awaits_user="ann", due_at=100)
    stale = agents.record(key)
    table = agents.store.records.table(SESSION_AGENT)
    table.update(TENANT, key, [SessionAgent.due_at.set(200)], SessionAgent.session_uuid.exists())
    assert agents.act.fail_waiting(stale, {}).record.state == "wait_for_user_input"
    rejected(
        agents, key, lambda: agents.act.answer(stale, {"user_input": "default"}, by_default=True)
    )
    assert agents.act.fail_waiting(agents.record(key), {}).record.state == "failed"


def test_an_agent_with_unfinished_predecessors_is_not_parked(agents: Agents) -> None:
    key = agents.new(awaits_user="ann", in_degree=1, unfinished=[0])
    before = agents.stored(key)
    agents.act.wait_for_user(agents.record(key), 500)
    assert agents.stored(key) == before


# Sessions


def after(outcome: Outcome[Session]) -> Session:
    """The session after a transition that was written."""
    session = applied(outcome)
    assert session is not None
    return session


def test_a_session_is_confirmed_by_a_start_of_it_alone_and_the_first_wins(agents: Agents) -> None:
    key = agents.session(1, unconfirmed="reservation", nonce="n")
    starts = {
        each: Session(*key, partition_key=TENANT, nonce="n", incarnation=each)
        for each in ("first", "second", None)
    }
    confirm = agents.sessions.confirm
    earlier = confirm(Session(*key, partition_key=TENANT, nonce="of an earlier one"))
    assert isinstance(earlier, Rejected)
    for _ in range(2):
        for each in ("first", "second", None):
            confirmed = confirm(starts[each])
            assert isinstance(confirmed, Applied if each == "first" else Rejected)
            session = confirmed.record
            assert session is not None
            assert (session.unconfirmed, session.status, session.incarnation) == (
                None,
                "dispatched",
                "first",
            )
    nobody = Session("no", "body", partition_key=TENANT, nonce="n")
    assert confirm(nobody) == Rejected(None)


def test_a_start_that_was_taken_back_is_not_confirmed(agents: Agents) -> None:
    key = agents.session(1, unconfirmed="reservation", nonce="n")
    start = Session(*key, partition_key=TENANT, nonce="n")
    agents.sessions.take_back(start)
    assert isinstance(agents.sessions.confirm(start), Rejected)


def test_a_session_ends_once(agents: Agents) -> None:
    key = agents.session(1)
    session = after(agents.sessions.finish_only_sink(TENANT, key, 0, "completed", {}))
    assert (session.status, session.open_sinks, session.open_sink_count) == ("completed", None, 0)
    before = agents.stored(key, SESSION)
    repeated: list[Callable[[], Any]] = [
        lambda: agents.sessions.finish_only_sink(TENANT, key, 0, "completed", {}),
        lambda: agents.sessions.end_session(TENANT, key, "completed"),
    ]
    for again in repeated:
        assert after(again()).status == "completed"
    late: list[Callable[[], Any]] = [
        lambda: agents.sessions.finish_sink(TENANT, key, 0),
        lambda: agents.sessions.finish_only_sink(TENANT, key, 0, "failed", {}),
        lambda: agents.sessions.end_session(TENANT, key, "failed"),
        lambda: agents.sessions.fail_session(TENANT, key, 0, {"logs": "late"}),
    ]
    for other in late:
        outcome = other()
        assert isinstance(outcome, Rejected)
        assert outcome.record.status == "completed"
    assert agents.stored(key, SESSION) == before


def test_a_session_of_several_sinks_is_completed_after_the_last(agents: Agents) -> None:
    key = agents.session(3, status="in_progress")
    for sink, left, kind in ((1, 2, Applied), (1, 2, Rejected), (0, 1, Applied)):
        finished = agents.sessions.finish_sink(TENANT, key, sink)
        assert isinstance(finished, kind)
        assert finished.record is not None
        assert finished.record.open_sink_count == left
    early = agents.sessions.end_session(TENANT, key, "completed")
    assert isinstance(early, Rejected)  # one is open
    assert early.record is not None
    assert early.record.status == "in_progress"
    session = after(agents.sessions.finish_sink(TENANT, key, 2))
    assert (session.open_sink_count, session.open_sinks) == (0, None)
    session = after(agents.sessions.end_session(TENANT, key, "completed"))
    assert session.status == "completed"


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "timeout"])
def test_a_terminal_session_stays_what_it_is(agents: Agents, status: str) -> None:
    key = agents.session(1, status=status)
    agents.sessions.finish_only_sink(TENANT, key, 0, "completed", {})
    agents.sessions.finish_sink(TENANT, key, 0)
    agents.sessions.end_session(TENANT, key, "completed")
    agents.sessions.fail_session(TENANT, key, 0, {"logs": "late"})
    assert agents.stored(key, SESSION)["status"] == {"S": status}


@pytest.mark.parametrize(
    ("control", "status", "becomes"),
    [
        ("cancel", "active", "cancelled"),
        ("pause", "active", "paused"),
        ("resume", "paused", "in_transit"),
    ],
)
def test_a_control_is_applied_once_and_known_again_by_its_key(
    agents: Agents, control: str, status: str, becomes: str
) -> None:
    key = agents.session(1, status=status, nonce="n", paused_from="in_transit")
    seen = agents.store.records.table(SESSION).get(TENANT, key, consistent=True)
    write = getattr(agents.sessions, control)
    request = ControlRequest.of("ann", "key", control)
    assert after(write(seen, request, 60)).status == becomes
    before = agents.stored(key, SESSION)
    assert after(write(seen, request, 60)).status == becomes
    for other in (ControlRequest("bob"), ControlRequest.of("bob", "another", control)):
        late = rejected(agents, key, partial(write, seen, other, 60), SESSION)
        assert late.updated_by == "ann"
    assert agents.stored(key, SESSION) == before


def test_a_session_of_another_start_under_the_key_is_not_controlled(agents: Agents) -> None:
    key = agents.session(1, nonce="the next one's")
    seen = Session(*key, partition_key=TENANT, status="dispatched", nonce="n")
    for write in (agents.sessions.cancel, agents.sessions.pause):
        rejected(agents, key, partial(write, seen, ControlRequest("ann"), 60), SESSION)


def test_one_turn_of_the_end_of_a_sessions_agents_wins_and_the_sweep_looks_after_it(
    agents: Agents,
) -> None:
    key = agents.session(1, status="failed")
    seen = agents.store.records.table(SESSION).get(TENANT, key, consistent=True)
    turn = partial(agents.sessions.agents_end_by, seen, None)
    now = agents.store.app.clock.now().timestamp()
    session = after(turn(3, "z"))
    assert session.agents_ended == [0, None, 3, "z"]
    assert now + SOON <= session.watch_at < now + 2 * SOON
    assert after(turn(3, "z")).watch_at == session.watch_at
    rejected(agents, key, partial(turn, 4, "z"), SESSION)
    agents.sessions.agents_ended(after(turn(3, "z")), [], now)
    rejected(agents, key, partial(turn, 3, "z"), SESSION)
