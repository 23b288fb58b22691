"""Forking: a new session from a point of another, with other input, in every order of deaths."""

import json
import os
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from ai_coordination_engine.domain import budget
from ai_coordination_engine.engine.advance.ending import agents_of
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import sharing
from ai_coordination_engine.engine.planning import fork
from ai_coordination_engine.errors import BadUserInput, Conflict, NotFound
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.payload import BlobReference
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT, SESSION_RUN
from ai_coordination_engine.store.records.guards import delete
from tests.kit.controls import DIAMOND, cancel, every_death, fork_from, names, once, rerun
from tests.kit.crashes import Crash, tripping
from tests.kit.fakes import failing
from tests.kit.planning import PLANNER, plan, planned, step
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, crowd, stage_of

EVERY = 3 if os.environ.get("CI") else 9
MANY = [f"m{number:03d}" for number in range(102)]


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def done(stage: Stage, graph: Any = DIAMOND, **task: Any) -> Session:
    session = stage.start(stage.define(graph, **task), input_files=[{"name": "old"}])
    stage.drain()
    stage.runtime.requests.clear()
    return session


def test_a_fork_takes_over_what_completed_before_its_point(stage: Stage) -> None:
    session = done(stage)
    before = stage.everything(session)
    forked = fork_from(stage, session, "b", updated_by="ann")
    assert stage.states(forked.session_uuid) == {
        "a": "completed",
        "b": "initial",
        "c": "completed",
        "d": "initial",
    }
    stage.drain()
    check_promises(stage, forked)
    check_redelivery_changes_nothing(stage, forked)
    assert stage.runtime.ran() == ["b", "d"]
    assert [each.output for each in stage.runtime.requests[1].predecessors] == ["B", "C"]
    after = stage.everything(session)
    assert [each for each in before if each not in after] == []
    assert (forked.task_uuid, forked.updated_by, forked.task_query) == (
        session.task_uuid,
        "ann",
        "begin",
    )


def test_a_fork_of_a_session_that_is_done_is_done(stage: Stage) -> None:
    session = done(stage)
    forked = fork_from(stage, session)
    assert (forked.status, forked.watch_at, stage.queue.waiting) == ("completed", None, [])
    check_promises(stage, forked)
    assert stage.agent(forked.session_uuid, "d").agent_output == "D"
    stage.runtime.behaviours["x"] = failing("no")
    other = done(stage, {"x": "", "y": "x"})
    stage.runtime.behaviours.clear()
    again = fork_from(stage, other)
    stage.drain()
    check_promises(stage, again)


def test_changed_input_applies_to_what_runs(stage: Stage) -> None:
    subtasks = [
        {"agent_uuid": "a", "subtask_query": "read {topic}"},
        {"agent_uuid": "b", "subtask_query": "sum up {topic}"},
        {"agent_uuid": "b", "subtask_query": "judge {topic}"},
    ]
    session = done(stage, {"a": "", "b": "a"}, subtasks=subtasks, query='{"topic": "tea"}')
    second = stage.agents(session.session_uuid)[2]
    forked: Any = fork_from(
        stage,
        session,
        from_session_agent_uuid=second.session_agent_uuid,
        task_query='{"topic": "rice"}',
        subtask_query="praise {topic}",
        input_files=[{"name": "new"}],
    )
    stage.drain()
    check_promises(stage, forked)
    (request,) = stage.runtime.requests
    assert (request.query, request.task_query, request.input_files) == (
        "praise rice",
        '{"topic": "rice"}',
        [{"name": "new"}],
    )
    assert forked.subtask_queries == [
        *subtasks[:2],
        {"agent_uuid": "b", "subtask_query": "praise {topic}"},
    ]
    stage.runtime.requests.clear()
    whole = fork_from(stage, session, task_query='{"topic": "corn"}', from_session_agent_uuid=None)
    assert whole.status == "completed"  # nothing is left to run
    first = stage.agents(session.session_uuid)[0]
    fork_from(
        stage,
        session,
        from_session_agent_uuid=first.session_agent_uuid,
        task_query='{"topic": "corn"}',
    )
    stage.drain()
    assert sorted(each.query for each in stage.runtime.requests) == [
        "judge corn",
        "read corn",
        "sum up corn",
    ]


def test_a_fork_keeps_maps_conditions_and_wide_joins(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = lambda request: '["x", "y"]'
    actions = {"m": {"map": {"over": "a"}}, "s": {"conditions": {"a": "[2]"}}, "z": {"join": "any"}}
    session = done(stage, {"a": "", "m": "a", "s": "a", "z": "ms"}, actions=actions)
    forked = fork_from(stage, session, "z")
    stage.drain()
    assert stage.runtime.ran() == ["z"]
    join: Any = next(each for each in stage.agents(forked.session_uuid) if each.mapped is not None)
    assert len(json.loads(join.agent_output)) == 2
    again = fork_from(stage, session, "a")
    stage.drain()
    assert stage.session(again).status == "completed"
    many, subtasks = crowd(102)
    wide = done(stage, {"a": "", **dict.fromkeys(many, "a"), "z": many}, subtasks=subtasks)
    third = fork_from(stage, wide, "m007")
    stage.drain()
    assert (stage.session(third).status, stage.runtime.ran()) == ("completed", ["m007", "z"])
    sinks = done(stage, {"a": "", **dict.fromkeys(MANY, "a")})
    fourth = fork_from(stage, sinks, "m007")
    stage.drain()
    assert (stage.session(fourth).status, stage.runtime.ran()) == ("completed", ["m007"])


def test_large_values_are_copied_below_the_new_session(app: App) -> None:
    stage = stage_of(app, inline_limit=256)
    stage.runtime.behaviours["a"] = lambda request: "x" * 1000
    session = done(stage, {"a": "", "b": "a"}, query="q" * 9000)
    stage.runtime.behaviours.clear()
    forked = fork_from(stage, session, "b")
    stage.drain()
    check_promises(stage, forked)
    stage.blobs.kept = {
        key: data for key, data in stage.blobs.kept.items() if forked.session_uuid in key
    }
    assert stage.agent(forked.session_uuid, "a").agent_output == "x" * 1000
    assert stage.runtime.requests[0].task_query == "q" * 9000


def test_setting_back_and_forking_keep_no_large_value_of_all_the_agents_they_read(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_of(app, inline_limit=256)
    stage.runtime.behaviours["a"] = lambda request: json.dumps({"text": "x" * 1000})
    few, condition = MANY[:12], f"text != `{'y' * 400}`"
    actions = {name: {"conditions": {"a": condition}} for name in few}
    session = done(stage, {"a": "", **dict.fromkeys(few, "a")}, actions=actions)
    assert isinstance(stage.agent(session.session_uuid, "a").stored("successors"), BlobReference)
    load, kept = Record.load_payload, set()

    def note(record: Record, name: str) -> Any:
        if isinstance(record.stored(name), BlobReference):
            kept.add(name)
        return load(record, name)

    monkeypatch.setattr(Record, "load_payload", note)
    rerun(stage, session, "m007")
    fork_from(stage, session, "m008")
    assert kept.isdisjoint({"agent_output", "successors", "predecessors"})


def test_the_same_order_makes_one_session(stage: Stage) -> None:
    session = done(stage)
    one = fork_from(stage, session, "b", idempotency_key="k")
    assert fork_from(stage, session, "b", idempotency_key="k").session_uuid == one.session_uuid
    assert fork_from(stage, session, "b", idempotency_key="l").session_uuid != one.session_uuid
    named = fork_from(stage, session, "b", new_session_uuid="mine")
    assert (
        fork_from(stage, session, "b", new_session_uuid="mine").session_uuid
        == named.session_uuid
        == "mine"
    )
    with pytest.raises(Conflict, match="stands for another session"):
        fork_from(stage, session, "c", new_session_uuid="mine")
    with pytest.raises(Conflict, match="stands for another session"):
        fork_from(stage, session, "b", new_session_uuid=session.session_uuid)
    rerun(stage, session, "a")
    assert fork_from(stage, session, "b", idempotency_key="k").session_uuid == one.session_uuid


def test_what_cannot_be_forked_is_refused(stage: Stage) -> None:
    session = done(stage)
    with pytest.raises(NotFound):
        fork_from(stage, session, from_session_agent_uuid="nobody")
    with pytest.raises(BadUserInput, match="fromSessionAgentUuid"):
        fork_from(stage, session, subtask_query="x")
    with pytest.raises(NotFound):
        fork_from(stage, Session("nobody", "nothing"))


@pytest.mark.parametrize("point", ["b", None])
def test_a_fork_may_die_anywhere_and_be_repeated(stage: Stage, point: str | None) -> None:
    task = stage.define(DIAMOND)
    forks: list[Session] = []

    def prepare() -> Session:
        session = stage.start(task)
        stage.drain()
        if point is None:
            rerun(stage, session, "b")
            cancel(stage, session)
            stage.drain()
        return session

    def history(session: Session) -> None:
        forks.append(
            stage.until_it_succeeds(lambda: fork_from(stage, session, point, idempotency_key="k"))
        )
        stage.drain()

    for session in every_death(stage, prepare, history, every=EVERY):
        check_promises(stage, forks[-1])
        check_redelivery_changes_nothing(stage, forks[-1])
        assert names(forks[-1]) != names(session)
        attempts = {each.agent_uuid: each.attempt for each in stage.agents(forks[-1].session_uuid)}
        assert (attempts["a"], attempts["c"]) == (None, None)


def test_a_session_that_is_being_set_back_is_set_back_as_a_whole_before_it_is_forked(
    stage: Stage,
) -> None:
    task = stage.define({"a": "", "b": "a", "c": "b"})

    def prepare() -> Session:
        session = stage.start(task)
        stage.drain()
        return session

    taken = set()
    for session in every_death(
        stage, prepare, lambda session: once(stage, lambda: rerun(stage, session, "a"))
    ):
        forked = fork_from(stage, session)
        states = stage.states(forked.session_uuid)
        taken.add(tuple(states.values()))
        stage.drain()
        check_promises(stage, forked)
    assert taken == {("completed",) * 3, ("initial",) * 3}


def test_what_its_agents_share_is_deleted_with_the_fork(stage: Stage) -> None:
    session = done(stage, {"a": "", "b": "a"}, agents={"a": {"agent_description": "x" * 5_000}})
    kept = set(stage.blobs.kept)
    forked = fork_from(stage, session, "b")
    stage.drain()
    assert len(stage.blobs.kept) > len(kept)
    for each in stage.runs(forked.session_uuid):
        delete(stage.app.records, SESSION_RUN, TENANT, (each.session_uuid, each.run_uuid))
    for agent in stage.agents(forked.session_uuid):
        delete(
            stage.app.records, SESSION_AGENT, TENANT, (agent.session_uuid, agent.session_agent_uuid)
        )
    delete(stage.app.records, SESSION, TENANT, names(forked))
    assert set(stage.blobs.kept) == kept


# What it may write


@pytest.mark.parametrize(
    "given",
    [{"task_query": json.dumps({"text": "x" * 10_000})}, {"input_files": [{"name": "x" * 10_000}]}],
    ids=["query", "files"],
)
def test_large_input_counts_once_however_many_agents_are_given_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    subtasks = [{"agent_uuid": "a", "subtask_query": "{text}"}] * 20
    session = stage.start(stage.define({"a": ""}, subtasks=subtasks))
    monkeypatch.setattr(sharing, "MAX_WRITTEN", 100_000)
    forked = fork_from(stage, session, **given)
    for name in given if "input_files" in given else ("task_query", "query"):
        assert len({each.stored(name) for each in stage.agents(forked.session_uuid)}) == 1


def test_a_fork_whose_query_fills_too_much_is_refused_before_anything_is_written(
    stage: Stage,
) -> None:
    subtasks = [{"agent_uuid": "a", "subtask_query": f"{number}: {{text}}"} for number in range(20)]
    names = stage.define({"a": ""}, subtasks=subtasks)
    session = stage.start(names)
    with pytest.raises(BadUserInput, match=r"would take more than 64000000 bytes together"):
        fork_from(stage, session, task_query=json.dumps({"text": "x" * 7_000_000}))
    assert len(list(stage.looking.table(SESSION).query_all(TENANT, names[0], consistent=True))) == 1


def test_the_paths_of_all_subtasks_of_a_fork_share_a_budget(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    subtasks = [
        {"agent_uuid": "a", "subtask_query": f"{number}: {{list.max(@)}}"} for number in range(20)
    ]
    session = stage.start(stage.define({"a": ""}, subtasks=subtasks))
    query = json.dumps({"list": list(range(1_000))})
    monkeypatch.setattr(budget, "MAX_WORK", 5_000)
    with pytest.raises(BadUserInput, match="takes too long, or makes too much"):
        fork_from(stage, session, task_query=query)


def test_a_fork_asks_the_steps_of_a_plan_that_is_pinned_while_it_reads(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks_about = plan(step("a", query="about {topic}"))
    stage, session = planned(app, asks_about, query='{"topic": "x"}', work=lambda stage: None)

    def pinned_before(app: App, source: Session) -> list[SessionAgent]:
        stage.drain()
        return agents_of(app, source)

    monkeypatch.setattr(fork, "agents_of", pinned_before)
    key = session.coordination_uuid, session.session_uuid
    forked = fork.fork_session(app, TENANT, *key, task_query='{"topic": "y"}')
    assert stage.session(forked).subtask_queries == [
        {"agent_uuid": "a", "subtask_query": "about {topic}"}
    ]


@pytest.mark.parametrize("death", range(7, 12))
def test_a_fork_that_died_before_a_plan_was_pinned_is_not_continued_after_it(
    app: App, death: int
) -> None:
    stage, session = planned(app, plan(step("a")), work=lambda stage: None)
    key = session.coordination_uuid, session.session_uuid
    again = partial(fork.fork_session, stage.app, TENANT, *key, idempotency_key="k")
    with tripping(stage, death) as tripwire, suppress(Crash):
        again()
    stage.drain()
    try:
        forked = again()
    except Conflict as error:
        assert "was run again while it was forked" in str(error)
        assert tripwire.trips
        return
    stage.drain()
    check_promises(stage, forked)
    assert stage.session(forked).status == "completed"


def test_a_fork_does_not_take_a_subtask_for_an_agent_whose_plan_it_keeps(app: App) -> None:
    stage, session = planned(app, plan(step("a")))
    with pytest.raises(BadUserInput, match="subtaskQuery cannot change a planning agent"):
        fork_from(stage, session, PLANNER, subtask_query="plan better")
    assert len(stage.queue.sent) == 1  # of the session itself
