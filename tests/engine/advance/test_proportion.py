"""Work in proportion: what messages cost in a session that has ended, or whose fan-out is under
way.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from ai_coordination_engine.domain.statuses import OPEN_AGENT_STATES
from ai_coordination_engine.engine.advance import ending
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.leases import new_lease
from ai_coordination_engine.engine.control.reconcile import SOON
from ai_coordination_engine.engine.step import Busy, run_step
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from tests.kit.controls import cancel, every_death, once, put_right, retry, sweep_after
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import failing
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, crowd, stage_of

COUNT = 30
NAMES = [f"m{number:02d}" for number in range(COUNT)]


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def handle_all(stage: Stage) -> int:
    """Every message in sight, once each; how many there were."""
    handled = 0
    while delivery := stage.queue.receive():
        run_step(stage.app, delivery.wake)
        stage.queue.delete(delivery)
        handled += 1
    return handled


def test_a_message_to_an_agent_of_a_cancelled_session_settles_that_agent_alone(
    stage: Stage,
) -> None:
    session = stage.start(stage.define(dict.fromkeys(NAMES, "")))
    stage.requests.clear()
    cancel(stage, session)
    assert stage.requests["Query"] <= 3  # however many agents there are
    stage.requests.clear()
    assert handle_all(stage) == COUNT
    # a claim that is refused, and the session
    assert stage.requests == {"UpdateItem": COUNT, "GetItem": COUNT}
    assert set(stage.states(session.session_uuid).values()) == {"cancelled"}


def test_agents_that_fail_with_their_session_read_it_once_together(stage: Stage) -> None:
    stage.runtime.behaviours.update(dict.fromkeys(NAMES, failing("no")))
    session = stage.start(stage.define({**dict.fromkeys(NAMES, ""), "z": NAMES}))
    stage.requests.clear()
    assert handle_all(stage) == COUNT
    assert stage.requests["Query"] == 1
    assert stage.session(session).status == "failed"
    assert set(stage.states(session.session_uuid).values()) == {"failed", "skipped"}


def test_a_fan_out_whose_message_returns_is_sent_once_more_and_then_no_more(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", **dict.fromkeys(NAMES, "a"), "z": NAMES}))
    first = stage.queue.receive()
    assert first is not None
    # there is no time for a successor: all of them are sent
    run_step(stage.app, first.wake, deadline=0)
    held = stage.agent(session.session_uuid, NAMES[0])
    key = (held.session_uuid, held.session_agent_uuid)
    # as the worker did that keeps the message
    stage.app.agents.claim(TENANT, key, new_lease(stage.app))
    sent = [len(stage.queue.sent)]
    for _ in range(10):
        with pytest.raises(Busy):
            run_step(stage.app, first.wake)
        sent.append(len(stage.queue.sent))
    assert sent == [1 + COUNT] + [1 + COUNT + COUNT - 1] * 10
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    run_step(stage.app, first.wake)  # its worker has died
    assert stage.queue.sent[-1].session_agent_uuid == held.session_agent_uuid
    assert len(stage.queue.sent) == sent[-1] + 1
    stage.drain()
    check_promises(stage, session)


@pytest.mark.only_on("dynamodb")  # requests to AWS are counted
def test_a_message_that_returns_reads_what_was_held_and_writes_nothing(stage: Stage) -> None:
    names = [f"m{number:02d}" for number in range(50)]
    session = stage.start(stage.define({"a": "", **dict.fromkeys(names, "a"), "z": names}))
    first = stage.queue.receive()
    assert first is not None
    run_step(stage.app, first.wake, deadline=0)
    held = stage.agent(session.session_uuid, names[0])
    stage.app.agents.claim(
        TENANT, (held.session_uuid, held.session_agent_uuid), new_lease(stage.app)
    )
    stage.requests.clear()
    with pytest.raises(Busy):
        run_step(stage.app, first.wake)
    claim_and_session = {"UpdateItem": 1, "GetItem": 1}
    # all 50, and who is held
    assert stage.requests == {**claim_and_session, "BatchGetItem": 1, "UpdateItem": 2}
    read = items_read(stage)
    for _ in range(9):
        with pytest.raises(Busy):
            run_step(stage.app, first.wake)
    assert stage.requests == {"UpdateItem": 2 + 9, "GetItem": 10, "BatchGetItem": 10}
    assert read == [1] * 9
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    stage.queue.put_back(first)
    stage.drain()
    check_promises(stage, session)
    stage.requests.clear()
    for wake in [first.wake] * 10:
        run_step(stage.app, wake)  # the session has ended
    assert stage.requests == {"UpdateItem": 10, "GetItem": 10}


def items_read(stage: Stage) -> list[int]:
    """How many items each BatchGetItem from now on asks for."""
    read: list[int] = []

    def count(params: Any, **_: Any) -> None:
        read.extend(len(each["Keys"]) for each in params["RequestItems"].values())

    table = stage.app.records.table(SESSION_AGENT)
    table.database.client.meta.events.register(
        "before-parameter-build.dynamodb.BatchGetItem", count
    )
    return read


def test_the_message_of_a_chain_that_returns_begins_where_it_was(stage: Stage) -> None:
    """Five calls for each return, however long the chain is: the claim, the session, who was held,
    who is, the note.
    """
    graph = {"m00": "", **{after: [before] for before, after in pairwise(NAMES)}}

    def returns(request: AgentRequest) -> str:
        if request.agent_uuid != "m00":
            stage.requests.clear()
            with pytest.raises(Busy):
                run_step(stage.app, first.wake)
            calls.append(dict(stage.requests))
        return "done"

    calls: list[dict[str, int]] = []
    stage.runtime.behaviours.update(dict.fromkeys(NAMES, returns))
    session = stage.start(stage.define(graph))
    first = stage.queue.receive()
    assert first is not None
    run_step(stage.app, first.wake)
    begins = {"UpdateItem": 2, "GetItem": 1, "BatchGetItem": 1}
    assert calls == [begins] + [{**begins, "BatchGetItem": 2}] * (COUNT - 2)
    assert len(stage.queue.sent) == 1
    check_promises(stage, session)


def test_an_edge_of_a_wide_join_that_is_gone_is_read(stage: Stage) -> None:
    """A hundred and one predecessors are counted in two counter shards: those that are left are
    read once, not once each.
    """
    graph, subtasks = crowd(101)
    session = stage.start(stage.define({**dict.fromkeys(graph, ""), "z": graph}, subtasks=subtasks))
    wakes = [each.wake for each in stage.queue.waiting]
    for wake in wakes[:-1]:
        delivery = stage.queue.receive()
        assert delivery is not None
        run_step(stage.app, wake)
        stage.queue.delete(delivery)
    stage.requests.clear()
    for wake in wakes[:-1]:
        run_step(stage.app, wake)
    assert stage.requests == {"UpdateItem": 100, "GetItem": 100, "BatchGetItem": 100}
    stage.requests.clear()
    put_right(stage, session)
    # the next look; the first agent, which tells that the session is confirmed, and both counter
    # shards
    assert (stage.requests["UpdateItem"], stage.requests["BatchGetItem"]) == (1, 2)
    stage.drain()
    check_promises(stage, session)


def test_what_gets_ready_after_a_fan_out_was_sent_again_is_sent(stage: Stage) -> None:
    """A worker dies anywhere, also between what it releases and what it sends; the fan-out has
    returned before.
    """
    names = stage.define({"a": "", "b": "a", "c": "a", "d": "b", "e": "b"})
    point = 1
    while True:
        session = stage.start(names)
        first = stage.queue.receive()
        assert first is not None
        run_step(stage.app, first.wake, deadline=0)
        held = stage.agent(session.session_uuid, "c")
        stage.app.agents.claim(
            TENANT, (held.session_uuid, held.session_agent_uuid), new_lease(stage.app)
        )
        with pytest.raises(Busy):
            run_step(stage.app, first.wake)
        stage.queue.put_back(first)
        with tripping(stage, point) as tripwire:
            stage.drain()
        check_promises(stage, session)
        stage.queue.sent.clear()
        if not tripwire.trips:
            break
        point += 4
    assert point > 40


# on SQLite the end of an attempt is one commit: nobody dies or comes within it
@pytest.mark.only_on("dynamodb")
@pytest.mark.parametrize(
    "result",
    [
        AgentFailure("no", retryable=True),
        AgentResult("", async_task_uuid="job", heartbeat_seconds=60),
    ],
)
def test_what_a_chain_held_when_its_message_returned_is_sent_once_it_waits(
    stage: Stage, result: AgentFailure | AgentResult
) -> None:
    """Its worker dies between the write by which the successor waits, and what would wake that: it
    has no message.
    """

    def twice(request: AgentRequest) -> Any:
        if stage.runtime.ran().count("b") > 1:
            return "done"
        with pytest.raises(Busy):
            run_step(stage.app, first.wake)  # the message is delivered a second time
        stage.boundary.reach = die
        if isinstance(result, AgentFailure):
            raise result
        return result

    def die(name: str) -> None:
        if name == "send":
            raise Crash

    stage.runtime.behaviours["b"] = twice
    agents = {"b": {"policy": {"max_attempts": 2}}}
    session = stage.start(stage.define({"a": "", "b": "a"}, agents=agents))
    first = stage.queue.receive()
    assert first is not None
    with pytest.raises(Crash):
        run_step(stage.app, first.wake)
    stage.boundary.reach = lambda name: None
    assert stage.states(session.session_uuid) == {"a": "completed", "b": "pending"}
    stage.queue.put_back(first)
    stage.drain()
    # nobody hears of the job in time, and the sweep was asked to look
    if isinstance(result, AgentResult):
        assert sweep_after(stage, 61) == 1
        stage.drain()
    assert stage.runtime.ran() == ["a", "b", "b"]
    check_promises(stage, session)


FAN = {"a": "", **dict.fromkeys(NAMES[:7], "a"), "z": NAMES[:7]}


@pytest.fixture
def three_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "MOST_AT_ONCE", 3)


def open_ones(stage: Stage, session: Session) -> int:
    return sum(each.state in OPEN_AGENT_STATES for each in stage.agents(session.session_uuid))


@pytest.mark.usefixtures("three_at_once")
def test_a_cancelled_session_ends_some_agents_at_once_and_the_others_by_messages(
    stage: Stage,
) -> None:
    session = stage.start(stage.define(FAN))
    stage.queue.waiting.clear()
    assert cancel(stage, session).status == "cancelled"
    assert open_ones(stage, session) == 6
    (message,) = stage.queue.waiting
    assert (
        stage.agent(session.session_uuid, "a").session_agent_uuid == message.wake.session_agent_uuid
    )
    stage.requests.clear()
    run_step(stage.app, replace(message.wake, session_agent_uuid=ended_other(stage, session)))
    # whoever comes to another agent leaves it to that one
    assert stage.requests == {"UpdateItem": 1, "GetItem": 1}
    assert handle_all(stage) == 2
    assert set(stage.states(session.session_uuid).values()) == {"cancelled"}
    assert stage.session(session).agents_ended == [0, []]
    assert (stage.runtime.requests, stage.queue.waiting) == ([], [])
    assert stage.session(session).watch_at is None


@pytest.mark.only_on("dynamodb")  # requests to AWS are counted
@pytest.mark.parametrize("fails", [False, True])
def test_the_end_of_a_session_reads_each_agent_once(
    fails: bool, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "MOST_AT_ONCE", 10)
    names = [f"m{number:02d}" for number in range(94)]
    stage.runtime.behaviours["a"] = failing("no")
    session = stage.start(stage.define({"a": "", **dict.fromkeys(names, "a")}))
    read = rows_read(stage)
    stage.requests.clear()
    if not fails:
        cancel(stage, session)
    assert handle_all(stage) == 10  # the message of the first agent, and nine turns
    assert open_ones(stage, session) == 0
    assert sum(read) == 95
    # how far it has come, and that it has ended
    claims, notes, status = 10, 10, 1 if fails else 2
    assert stage.requests["UpdateItem"] == 95 + claims + notes + status
    assert stage.session(session).watch_at is None
    assert sweep_after(stage, SOON + 2) == 0


@pytest.mark.only_on("dynamodb")  # requests to AWS are counted
@pytest.mark.parametrize("most", [30, 5])
def test_what_others_hold_in_a_session_that_fails_is_read_by_who_may_have_handed_on(
    most: int, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them die. Where they are too many to be named, the sweep ends them."""
    monkeypatch.setattr(ending, "_MOST_HELD", most)
    stage.runtime.behaviours["f"] = failing("no")
    names = NAMES[:20]
    session = stage.start(stage.define({"f": "", **dict.fromkeys(names, ""), "z": ["f", *names]}))
    failing_one, *others = [each.wake for each in stage.queue.waiting]
    stage.queue.waiting.clear()
    for each in stage.agents(session.session_uuid)[1:11]:
        stage.app.agents.claim(
            TENANT, (each.session_uuid, each.session_agent_uuid), new_lease(stage.app)
        )
    run_step(stage.app, failing_one)
    assert (stage.session(session).status, open_ones(stage, session)) == ("failed", 10)
    read = items_read(stage)
    for wake in others[10:]:
        run_step(stage.app, wake)
    assert read == []
    if most == 30:
        with pytest.raises(Busy):
            run_step(stage.app, failing_one)
    else:
        run_step(stage.app, failing_one)
    assert read == ([10] if most == 30 else [])
    stage.clock.advance(stage.app.settings.lease_seconds + 2)
    if most == 30:
        run_step(stage.app, failing_one)
    assert sweep_after(stage, SOON) == 1
    assert open_ones(stage, session) == 0
    check_promises(stage, session, status="failed")
    assert sweep_after(stage, SOON) == 0


def test_who_reconciles_a_session_looks_at_all_of_its_agents_again(stage: Stage) -> None:
    """After a disaster: a table that was restored may have them as they were before their session
    ended.
    """
    session = stage.start(stage.define(FAN))
    cancel(stage, session)
    restored = stage.agent(session.session_uuid, "m03")
    table = stage.app.records.table(SESSION_AGENT)
    key = (restored.session_uuid, restored.session_agent_uuid)
    table.update(
        TENANT, key, [SessionAgent.state.set("initial")], SessionAgent.state == "cancelled"
    )
    put_right(stage, session)
    assert open_ones(stage, session) == 0
    assert stage.session(session).agents_ended == [0, []]


def rows_read(stage: Stage) -> list[int]:
    """How many session agents each Query from now on reads."""
    read: list[int] = []

    def count(parsed: Any, **_: Any) -> None:
        read.extend(1 for each in parsed["Items"] if "ordinal" in each)

    table = stage.app.records.table(SESSION_AGENT)
    table.database.client.meta.events.register("after-call.dynamodb.Query", count)
    return read


def ended_other(stage: Stage, session: Session) -> str:
    return next(
        each.session_agent_uuid
        for each in stage.agents(session.session_uuid)
        if each.state == "cancelled" and each.agent_uuid != "a"
    )


@pytest.mark.usefixtures("three_at_once")
def test_the_sweep_goes_on_where_the_messages_of_an_ended_session_are_lost(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = failing("no")
    session = stage.start(stage.define(FAN))
    delivery = stage.queue.receive()
    assert delivery is not None
    run_step(stage.app, delivery.wake)
    assert (stage.session(session).status, open_ones(stage, session)) == ("failed", 6)
    for left in (3, 0):
        stage.queue.waiting.clear()
        assert sweep_after(stage, SOON + 2) == 1
        assert open_ones(stage, session) == left
    assert set(stage.states(session.session_uuid).values()) == {"failed", "skipped"}
    assert sweep_after(stage, SOON + 2) == 0


@pytest.mark.parametrize("fails", [False, True])
def test_an_ended_session_ends_all_its_agents_though_every_message_becomes_a_dead_letter(
    fails: bool, stage: Stage
) -> None:
    """It fails, or completes before others do, for a join needs only one of its predecessors."""
    any_of_both = {"z": {"join": "any"}}
    names = (
        stage.define(FAN)
        if fails
        else stage.define({"a": "", "b": "", "z": "ab"}, actions=any_of_both)
    )
    if fails:
        stage.runtime.behaviours["a"] = failing("no")

    def end(session: Session) -> None:
        message = stage.queue.receive()
        assert message is not None
        once(stage, lambda: run_step(stage.app, message.wake))
        stage.queue.waiting.clear()

    deaths, statuses = 0, set()
    for session in every_death(stage, lambda: stage.start(names), end):
        deaths += 1
        for _ in range(3):
            sweep_after(stage, stage.app.settings.watch_seconds + SOON)
            stage.drain()
        assert open_ones(stage, session) == 0
        found = stage.session(session)
        statuses.add((found.status, found.watch_at))
    assert deaths > 10
    assert statuses == {("failed" if fails else "completed", None)}


@pytest.mark.usefixtures("three_at_once")
@pytest.mark.parametrize("fails", [False, True])
def test_an_ended_session_ends_all_its_agents_whoever_dies_on_the_way(
    fails: bool, stage: Stage
) -> None:
    if fails:
        stage.runtime.behaviours["a"] = failing("no")
    names = stage.define(FAN)

    def end(session: Session) -> None:
        if not fails:
            once(stage, lambda: cancel(stage, session))
        stage.drain()

    deaths, statuses = 0, set()
    for session in every_death(stage, lambda: stage.start(names), end, every=2):
        deaths += 1
        for _ in range(3):
            sweep_after(stage, SOON + 2)
            stage.drain()
        assert open_ones(stage, session) == 0
        assert stage.session(session).watch_at is None
        statuses.add(stage.session(session).status)
    assert deaths > 20
    # completed: it was not cancelled at all
    assert statuses == ({"failed"} if fails else {"completed", "cancelled"})


@pytest.mark.usefixtures("three_at_once")
@pytest.mark.parametrize("turns", [0, 1])
def test_a_retry_of_a_session_whose_agents_are_still_being_ended_runs_them(
    turns: int, stage: Stage
) -> None:
    session = stage.start(stage.define(FAN))
    stage.queue.waiting.clear()
    cancel(stage, session)
    for _ in range(turns):
        delivery = stage.queue.receive()
        assert delivery is not None
        run_step(stage.app, delivery.wake)
    assert open_ones(stage, session) == 6 - 3 * turns
    retry(stage, session)
    stage.drain()
    check_promises(stage, session)
    assert len(stage.runtime.requests) == 9
