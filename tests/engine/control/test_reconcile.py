"""Reconciling: whatever was lost is found again, and nothing is done twice."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control import reconcile
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.engine.scheduling.due import send_due
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import NotFound, Throttled
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.payload import BlobReference
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions.session_writes import SHARDS, watch_shard
from ai_coordination_engine.store.transitions.sessions import SOON
from tests.kit.controls import DIAMOND, names, put_right, sweep_after
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def lose_everything(stage: Stage) -> None:
    """The queue's messages are gone."""
    stage.queue.waiting.clear()


@pytest.mark.parametrize(
    ("graph", "task"),
    [
        ({"a": "", "b": "a", "c": "b"}, {}),
        (DIAMOND, {}),
        ({"a": "", "b": "a", "c": "a"}, {}),
        ({"a": "", "m": "a", "z": "m"}, {"actions": {"m": {"map": {"over": "a"}}}}),
        (DIAMOND, {"actions": {"b": {"conditions": {"a": "[9]"}}, "d": {"join": "any"}}}),
    ],
    ids=["chain", "diamond", "two sinks", "map", "skip"],
)
def test_a_session_whose_message_and_worker_are_lost_goes_on(
    stage: Stage, graph: Any, task: Any
) -> None:
    stage.runtime.behaviours["a"] = lambda request: '["x", "y"]'
    names_of_task = stage.define(graph, **task)
    point = 1
    while True:
        session = stage.start(names_of_task)
        with tripping(stage, point) as tripwire:
            try:
                while delivery := stage.queue.receive():
                    run_step(stage.app, delivery.wake)
                    stage.queue.delete(delivery)
            except Crash:
                tripwire.revive()
        if not tripwire.trips:
            return
        lose_everything(stage)
        for _ in range(8):
            sweep_after(stage, stage.app.settings.watch_seconds + 1)
            stage.drain()
        check_promises(stage, session, states=None if "m" in graph else final(graph, task))
        check_redelivery_changes_nothing(stage, session)
        assert stage.session(session).watch_at is None
        stage.queue.sent.clear()
        point += 7


def final(graph: Any, task: Any) -> dict[str, str] | None:
    return {each: "skipped" if each == "b" else "completed" for each in graph} if task else None


def test_reconciling_what_is_in_order_changes_nothing(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND))
    stage.drain()
    before = stage.everything(session)
    put_right(stage, session)
    assert (stage.everything(session), stage.queue.waiting) == (before, [])
    with pytest.raises(NotFound):
        reconcile.reconcile_session(stage.app, "other", *names(session))


def test_reconciling_beside_a_worker_does_nothing_twice(stage: Stage) -> None:
    def slow(request: AgentRequest) -> str:
        put_right(stage, session)
        return "done"

    stage.runtime.behaviours = dict.fromkeys("abcd", slow)
    session = stage.start(stage.define(DIAMOND))
    stage.drain()
    check_promises(stage, session)
    assert sorted(stage.runtime.ran()) == ["a", "b", "c", "d"]


def test_the_sweep_leaves_alone_what_only_waits(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND, actions={"b": {"user_in_the_loop": "ann"}}))
    stage.drain()
    assert sweep_after(stage, 1) == 0
    assert sweep_after(stage, stage.app.settings.watch_seconds) == 1
    assert stage.session(session).watch_at is None
    stage.requests.clear()
    assert sweep_after(stage, 100_000) == 0
    assert stage.requests == {"Query": SHARDS + 1}
    uuid = stage.agent(session.session_uuid, "b").session_agent_uuid
    execute_for_user_input(stage.app, TENANT, session.session_uuid, uuid, "yes")
    stage.drain()
    check_promises(stage, session)


def test_a_long_wait_for_a_person_ends_by_the_sweep(stage: Stage) -> None:
    person = {"user_in_the_loop": "ann", "answer_within_seconds": 5000, "default_answer": "no"}
    session = stage.start(stage.define({"a": "", "b": "a"}, actions={"a": person}))
    stage.drain()
    assert sweep_after(stage, 1000) == 1
    due = stage.session(session).watch_at
    assert due is not None
    assert sweep_after(stage, 1000) == 0
    assert sweep_after(stage, 3001) == 1
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "a").user_input == "no"


def test_a_long_job_whose_end_was_noted_but_not_sent_is_found(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = lambda request: AgentResult("", async_task_uuid="job")
    session = stage.start(stage.define({"a": "", "b": "a"}))
    run_step(stage.app, stage.queue.sent[0])
    task = stage.app.jobs.get(TENANT, "job")
    assert task is not None
    stage.app.jobs.end(task, "completed", {"agent_output": "made"}, "digest")
    lose_everything(stage)
    put_right(stage, session)
    stage.drain()
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "a").agent_output == "made"


def test_a_failure_that_was_not_handed_on_fails_its_session(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = failing("no")
    names_of_task = stage.define({"a": "", "b": "a"})
    for point in range(1, 30):
        session = stage.start(names_of_task)
        with tripping(stage, point) as tripwire:
            try:
                run_step(stage.app, stage.queue.waiting[0].wake)
            except Crash:
                tripwire.revive()
        lose_everything(stage)
        sweep_after(stage, stage.app.settings.watch_seconds + 1)
        put_right(stage, session)
        stage.drain()
        check_promises(stage, session, status="failed")
        if not tripwire.trips:
            return


def test_a_start_that_died_is_swept_away(stage: Stage) -> None:
    task = stage.define(DIAMOND)
    for point in range(1, 40):
        with tripping(stage, point) as tripwire:
            try:
                execute_procedure(stage.app, TENANT, Start(*task, session_uuid=f"s{point}"))
            except Crash:
                tripwire.revive()
        if not tripwire.trips:
            break
        lose_everything(stage)
        sweep_after(stage, stage.app.settings.watch_seconds + 1)
        found = stage.looking.table(reconcile.SESSION).get(
            TENANT, (task[0], f"s{point}"), consistent=True
        )
        stage.looking.resolve_starts([found], consistent=True)
        agents = [each.state for each in stage.agents(f"s{point}")]
        assert (found is None and agents == []) or found.unconfirmed is None
    assert point > 5


def test_an_answer_beside_the_sweep_is_looked_after(stage: Stage) -> None:
    """Whatever the sweep has read when the answer comes, and though its message is lost."""
    people = {"a": {"user_in_the_loop": "ann"}}
    task = stage.define({"a": "", "b": "a"}, actions=people)
    point = 0
    while True:
        point += 1
        session = stage.start(task)
        stage.drain()
        uuid = stage.agent(session.session_uuid, "a").session_agent_uuid
        answered = answer_at(stage, session, uuid, point)
        sweep_after(stage, stage.app.settings.watch_seconds + 1)
        stage.boundary.reach = lambda name: None
        if not answered:
            break
        lose_everything(stage)
        assert stage.session(session).watch_at is not None
        sweep_after(stage, 2 * stage.app.settings.watch_seconds)
        stage.drain()
        check_promises(stage, session)
    assert point > 20


def answer_at(stage: Stage, session: Session, uuid: str, point: int) -> list[int]:
    """Have the person answer at this point of what comes next; what is answered is not empty once
    they did.
    """
    answered: list[int] = []
    points = iter(range(1, 1000))

    def reach(name: str) -> None:
        if next(points) == point:
            answered.append(point)
            stage.boundary.reach = lambda name: None
            execute_for_user_input(stage.app, TENANT, session.session_uuid, uuid, "yes")

    stage.boundary.reach = reach
    return answered


@pytest.mark.only_on("dynamodb")  # requests to AWS are counted
def test_the_sweep_looks_at_a_session_in_few_calls(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a", "c": "a"}))
    calls: list[str] = []
    stage.boundary.reach = calls.append
    assert sweep_after(stage, stage.app.settings.watch_seconds + 1) == 1
    seen = Counter(calls[::2])  # each is heard of before and after it
    assert seen == {
        "Query": SHARDS + 2,
        "UpdateItem": 2,
        "BatchGetItem": 1,
        "GetItem": 1,
        "send": 1,
    }
    assert stage.session(session).watch_at > stage.clock.now().timestamp()


def test_a_tenant_with_very_many_sessions_does_not_delay_another(stage: Stage) -> None:
    table, now = stage.app.records.table(SESSION), stage.clock.now().timestamp()
    for tenant, count, late in (("crowd", 500, 1000), ("quiet", 3, 1)):
        for number in range(count):
            uuid = f"{tenant}-{number}"
            # behind all of the others
            watched = {"watch": watch_shard("crowd", uuid), "watch_at": now - late}
            table.put(
                Session("c", uuid, partition_key=tenant, **watched),
                Session.session_uuid.does_not_exist(),
            )
    # others may have what is left
    assert len({watch_shard("crowd", str(number)) for number in range(500)}) == 3
    stage.requests.clear()
    found = stage.app.sessions.due(now)
    assert Counter(each.partition_key for each in found[:6]) == {"crowd": 3, "quiet": 3}
    assert len(found) == 503
    assert stage.requests == {"Query": SHARDS + 1}


def test_what_an_earlier_version_has_stored_is_looked_after_within_nine_minutes(
    stage: Stage,
) -> None:
    """There were sixteen shards; when it is looked after it moves into one of today's."""
    sessions = [stage.start(stage.define({"a": ""})) for _ in range(16)]
    table = stage.looking.table(SESSION)
    for shard, each in enumerate(sessions):
        table.update(TENANT, each.key, [Session.watch.set(f"{shard:02d}")], None)
    stage.clock.advance(stage.app.settings.watch_seconds + 1)
    assert reconcile.sweep(stage.app) == SHARDS + 1
    found = [sweep_after(stage, 60) for _ in range(8)]
    assert found == [1] * 8
    watched = {stage.session(each).watch for each in sessions}
    assert watched == {watch_shard(TENANT, each.session_uuid) for each in sessions}
    assert watched <= {f"{shard:02d}" for shard in range(SHARDS)}


def test_a_minute_in_which_nothing_is_due_takes_ten_queries(stage: Stage) -> None:
    stage.requests.clear()
    assert (send_due(stage.app), reconcile.sweep(stage.app)) == (0, 0)
    assert stage.requests == {"Query": 10}


def test_much_that_is_due_is_handed_out_by_shards_and_looked_after_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "MUCH", 20)
    monkeypatch.setattr(reconcile, "_AT_ONCE", 5)
    sessions = [stage.start(stage.define({"a": ""})) for _ in range(30)]
    stage.queue.waiting.clear()
    stage.clock.advance(stage.app.settings.watch_seconds + 1)
    given: list[int] = []

    def delegate(shards: Sequence[int]) -> list[int]:
        given.extend(shards[1:])  # the first one is not taken
        return given

    watched = Counter(int(stage.session(each).watch) for each in sessions)
    looked = reconcile.sweep(stage.app, has_time=lambda: True, delegate=delegate)
    kept = watched[min(watched)]
    assert sorted(given) == sorted(watched)[1:]
    assert kept <= looked <= kept + 5
    for shard in given:
        looked += reconcile.sweep(stage.app, [shard], has_time=lambda: True)
    assert (looked, len(stage.queue.waiting)) == (30, 30)


def test_whoever_comes_second_to_a_session_that_is_due_leaves_it(stage: Stage) -> None:
    stage.start(stage.define({"a": ""}))
    stage.queue.waiting.clear()
    stage.clock.advance(stage.app.settings.watch_seconds + 1)
    second: list[Session] = stage.app.sessions.due(stage.clock.now().timestamp())
    assert reconcile.sweep(stage.app) == 1
    stage.requests.clear()
    for each in second:
        reconcile._look_after(stage.app, each)
    assert (stage.requests, len(stage.queue.waiting)) == ({"UpdateItem": 1}, 1)


def test_one_session_that_cannot_be_reconciled_takes_no_turn_from_another(stage: Stage) -> None:
    sessions: list[Session] = [stage.start(stage.define({"a": ""})) for _ in range(5)]
    lose_everything(stage)
    broken = stage.agent(sessions[2].session_uuid, "a")
    key = (broken.session_uuid, broken.session_agent_uuid)
    table = stage.app.records.table(SESSION_AGENT)
    lost = [
        SessionAgent.state.set("completed"),
        SessionAgent.successors.set(BlobReference("nothing")),
    ]
    table.update(TENANT, key, lost, SessionAgent.state.exists())
    with pytest.raises(KeyError):
        sweep_after(stage, stage.app.settings.watch_seconds + 1)
    stage.drain()
    for session in sessions[:2] + sessions[3:]:
        check_promises(stage, session)
    off: Any = stage.session(sessions[2])
    assert (off.status, off.watch_at > stage.clock.now().timestamp()) == ("dispatched", True)


def test_one_session_that_cannot_be_reconciled_holds_back_no_other(stage: Stage) -> None:
    sessions: list[Session] = [stage.start(stage.define({"a": ""})) for _ in range(3)]
    lose_everything(stage)
    stage.queue.refuses = True
    for _ in sessions:
        with pytest.raises(Exception, match="refuses"):
            sweep_after(stage, stage.app.settings.watch_seconds + 1)
    stage.queue.refuses = False
    assert sweep_after(stage, stage.app.settings.watch_seconds + 1) == 3
    stage.drain()
    for session in sessions:
        check_promises(stage, session)


def test_a_look_that_a_backend_refuses_is_repeated_soon(stage: Stage) -> None:
    action = {"user_in_the_loop": "ann", "answer_within_seconds": 2_000}
    session = stage.start(stage.define({"a": "", "b": "a"}, actions={"a": action}))
    stage.drain()
    stage.queue.refuses = True
    for seconds in (2_001, SOON + 1, SOON + 1):
        with pytest.raises(Throttled):
            sweep_after(stage, seconds)
    stage.queue.refuses = False
    assert sweep_after(stage, SOON + 1) == 1
    stage.drain()
    assert stage.states(session.session_uuid) == {"a": "failed", "b": "skipped"}
