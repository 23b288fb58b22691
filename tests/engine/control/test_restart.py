"""Retrying what failed and running a part again, with crashes at every point and beside late
workers.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.engine import recovery
from ai_coordination_engine.engine.advance import hand_off as advance
from ai_coordination_engine.engine.advance import maps
from ai_coordination_engine.engine.advance.sinks import fail_session
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt.leases import claim
from ai_coordination_engine.engine.control import restart
from ai_coordination_engine.engine.step import Busy, run_step
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import Conflict, NotFound
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest
from ai_coordination_engine.store.models import Session
from tests.kit.controls import (
    DIAMOND,
    cancel,
    every_death,
    once,
    pause,
    put_right,
    rerun,
    retry,
    sweep_after,
)
from tests.kit.crashes import Crash, Turns
from tests.kit.fakes import Behaviour, Delivery, failing
from tests.kit.promises import check_promises
from tests.kit.promises import check_redelivery_changes_nothing as check_redelivery
from tests.kit.stage import TENANT, Graph, Stage, crowd, stage_of

CI = bool(os.environ.get("CI"))


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def failed(stage: Stage, graph: Graph = DIAMOND, agent: str = "b", **task: Any) -> Session:
    """A session that failed at the first attempt of an agent."""
    stage.runtime.behaviours[agent] = failing("no", times=1)
    session = stage.start(stage.define(graph, **task))
    stage.drain()
    return session


# Retry


def test_a_retry_runs_what_failed_and_what_follows_and_keeps_what_completed(stage: Stage) -> None:
    session = failed(stage)
    check_promises(stage, session, status="failed")
    begun = stage.runtime.ran()
    again: Any = retry(stage, session)
    assert (again.status, again.epoch, again.restart) == ("in_progress", 1, None)
    stage.drain()
    check_promises(stage, session)
    check_redelivery(stage, session)
    assert sorted(stage.runtime.ran()[len(begun) :]) == sorted({"b", "c", "d"} - set(begun) | {"b"})
    assert stage.agent(session.session_uuid, "b").attempt == 2


@pytest.mark.parametrize(
    ("before", "action"),
    [
        ("f", {"join": "all_terminal"}),
        ("fg", {"join": "all_terminal"}),
        ("fg", {"join": "any"}),
        ("fgh", {"join": "quorum", "quorum": 2}),
    ],
)
def test_a_retry_keeps_what_completed_without_a_predecessor_that_has_a_result_now(
    stage: Stage, before: str, action: Mapping[str, Any]
) -> None:
    def heard() -> list[list[str]]:
        """Whose outputs `j` was given, attempt by attempt."""
        asked = [request for request in stage.runtime.requests if request.agent_uuid == "j"]
        return [[each.agent_uuid for each in request.predecessors] for request in asked]

    stage.runtime.behaviours = {"f": failing("no", times=1), "x": failing("no", times=1)}
    session = stage.start(
        stage.define({**dict.fromkeys(before, ""), "j": before, "x": "j"}, actions={"j": action})
    )
    stage.drain()
    others = [each for each in before if each != "f"]
    assert (stage.session(session).status, heard()) == ("failed", [others])
    retry(stage, session)
    stage.drain()
    check_promises(stage, session)
    assert (stage.agent(session.session_uuid, "f").agent_output, heard()) == ("ok", [others])
    rerun(stage, session, "f")
    stage.drain()
    check_promises(stage, session)
    assert heard() == [others, [*before]]


@pytest.mark.parametrize("key", [None, "once"])
def test_only_what_ended_badly_is_retried(stage: Stage, key: str | None) -> None:
    session = stage.start(stage.define({"a": ""}))
    with pytest.raises(Conflict, match="The session has not ended"):
        retry(stage, session, key)
    pause(stage, session)
    with pytest.raises(Conflict, match="The session is paused"):
        retry(stage, session, key)
    cancel(stage, session)
    retry(stage, session, key)
    stage.drain()
    check_promises(stage, session)
    if key is None:
        with pytest.raises(Conflict, match="nothing of it failed"):
            retry(stage, session)
    else:
        before = stage.everything(session)
        retry(stage, session, key)
        assert stage.everything(session) == before
    with pytest.raises(NotFound):
        retry(stage, Session("nobody", "nothing"))


def test_a_retry_with_the_key_of_an_earlier_one_has_no_second_effect(stage: Stage) -> None:
    session = failed(stage)
    stage.runtime.behaviours["b"] = failing("never")
    retry(stage, session, "once")
    stage.drain()
    assert stage.session(session).status == "failed"
    before = stage.everything(session)
    retry(stage, session, "once")
    assert stage.everything(session) == before
    assert stage.session(session).logs == "Agent b failed: never"
    retry(stage, session, "twice")
    assert (stage.session(session).status, stage.session(session).logs) == ("in_progress", None)


@dataclass(frozen=True)
class Case:
    """A session that fails once, and how it ends after a retry."""

    graph: Graph
    behaviours: Mapping[str, Behaviour]
    actions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    on_failure: str | None = None
    states: Mapping[str, str] | None = None
    subtasks: Sequence[Mapping[str, Any]] = ()
    every: int = 3  # between crash points in CI


def flaky_element(request: AgentRequest) -> str:
    if "y" in request.query:
        return str(failing("no", times=1)(request))
    return request.query.upper()


NO = failing("no", times=1)
CASES = {
    "chain": Case({"a": "", "b": "a", "c": "b"}, {"b": NO}, every=1),
    "first": Case({"a": "", "b": "a"}, {"a": NO}, every=1),
    "last": Case({"a": "", "b": "a"}, {"b": NO}, every=1),
    "diamond": Case(DIAMOND, {"b": NO}),
    "two of them": Case(DIAMOND, {"b": NO, "c": NO}, on_failure="continue"),
    "two sinks": Case({"a": "", "b": "a", "c": "a"}, {"b": NO}, on_failure="continue"),
    "condition": Case(
        {"a": "", "b": "a", "c": "a", "d": "bc"},
        {"a": lambda request: '{"go": false}', "c": NO},
        {"b": {"conditions": {"a": "go"}}, "d": {"join": "any"}},
        states={"a": "completed", "b": "skipped", "c": "completed", "d": "completed"},
    ),
    "person": Case({"a": "", "b": "a", "c": "b"}, {"b": NO}, {"b": {"user_in_the_loop": "ann"}}),
    "map": Case(
        {"a": "", "m": "a", "z": "m"},
        {"a": lambda request: '["x", "y", "z"]', "m": flaky_element},
        {"m": {"map": {"over": "a"}}},
        subtasks=[{"agent_uuid": "m", "subtask_query": "{item}"}],
    ),
}


def run(stage: Stage, case: Case) -> Session:
    """Start it and work until it has failed."""
    stage.runtime.behaviours = dict(case.behaviours)
    task = stage.define(
        case.graph, actions=case.actions, on_failure=case.on_failure, subtasks=case.subtasks
    )
    session = stage.start(task)
    work(stage, session)
    assert stage.session(session).status == "failed"
    return session


def work(stage: Stage, session: Session) -> None:
    """A worker, and a person who answers when they are asked."""
    stage.drain()
    for each in stage.agents(session.session_uuid):
        if each.state == "wait_for_user_input":
            given = (stage.app, TENANT, session.session_uuid, each.session_agent_uuid, "yes")
            stage.until_it_succeeds(lambda given=given: execute_for_user_input(*given))  # type: ignore[misc]
    stage.drain()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_retry_may_die_anywhere_and_be_repeated(stage: Stage, case: Case) -> None:
    def history(session: Session) -> None:
        stage.until_it_succeeds(lambda: retry(stage, session, "once"))
        work(stage, session)

    for session in every_death(
        stage, lambda: run(stage, case), history, every=case.every if CI else 17
    ):
        check_promises(stage, session, states=case.states)
        check_redelivery(stage, session)


def test_a_map_keeps_the_elements_that_completed(stage: Stage) -> None:
    session = run(stage, CASES["map"])
    before = stage.runtime.requests.copy()
    done = {
        each.session_agent_uuid
        for each in stage.agents(session.session_uuid)
        if each.state == "completed"
    }
    retry(stage, session)
    stage.drain()
    check_promises(stage, session)
    after = stage.runtime.requests[len(before) :]
    assert after[-1].agent_uuid == "z"
    assert done.isdisjoint(each.session_agent_uuid for each in after)
    assert "y" in {each.query for each in after}


def test_a_join_that_needs_some_counts_those_that_completed(stage: Stage) -> None:
    stage.runtime.behaviours.update({"b": NO, "c": NO})
    actions = {"d": {"join": "quorum", "quorum": 2}}
    session = stage.start(
        stage.define(
            {"a": "", "b": "", "c": "", "d": "abc"}, actions=actions, on_failure="continue"
        )
    )
    stage.drain()
    assert (stage.session(session).status, stage.states(session.session_uuid)["d"]) == (
        "failed",
        "skipped",
    )
    retry(stage, session)
    assert stage.agent(session.session_uuid, "d").still_needed == 1
    stage.drain()
    assert (stage.session(session).status, stage.states(session.session_uuid)["d"]) == (
        "completed",
        "completed",
    )
    assert stage.runtime.ran() == ["a", "b", "c", "b", "d"]


def test_a_map_over_another_list_is_expanded_anew(stage: Stage) -> None:
    lists = iter([["x", "y"], ["u", "v", "w"]])
    stage.runtime.behaviours["a"] = lambda request: json.dumps(next(lists))
    actions = {"m": {"map": {"over": "a"}}}
    subtasks = [{"agent_uuid": "m", "subtask_query": "{item}"}]
    stage.runtime.behaviours["m"] = lambda request: request.query.upper()
    session = stage.start(
        stage.define({"a": "", "m": "a", "z": "m"}, actions=actions, subtasks=subtasks)
    )
    stage.drain()
    rerun(stage, session, "a")
    stage.drain()
    check_promises(stage, session)
    join: Any = next(each for each in stage.agents(session.session_uuid) if each.mapped is not None)
    assert (json.loads(join.agent_output), join.generation) == (["U", "V", "W"], 2)


def test_a_wide_join_and_many_sinks_are_counted_anew(stage: Stage) -> None:
    middle = [f"m{number:03d}" for number in range(102)]
    many, subtasks = crowd(102)
    stage.runtime.behaviours.update({"m007": NO, "m050": NO})
    graph = {"a": "", **dict.fromkeys(many, "a"), "z": many}
    session = stage.start(stage.define(graph, subtasks=subtasks, on_failure="continue"))
    stage.drain()
    assert stage.session(session).status == "failed"
    retry(stage, session)
    stage.drain()
    assert set(stage.states(session.session_uuid).values()) == {"completed"}
    assert (stage.session(session).status, stage.runtime.ran()[-3:-1]) == (
        "completed",
        ["m007", "m050"],
    )
    sinks = stage.start(stage.define({"a": "", **dict.fromkeys(middle, "a")}))
    stage.runtime.behaviours = {"a": NO}
    stage.drain()
    retry(stage, sinks)
    stage.drain()
    assert (stage.session(sinks).status, stage.session(sinks).open_sink_count) == ("completed", 0)


def test_the_sweep_finishes_a_retry_that_nobody_repeats(stage: Stage) -> None:
    finished = 0
    for session in every_death(
        stage,
        lambda: failed(stage),
        lambda session: once(stage, lambda: retry(stage, session)),
        every=1 if CI else 9,
    ):
        sweep_after(stage, 1000)
        stage.drain()
        if stage.session(session).status == "completed":
            finished += 1
            check_promises(stage, session)
        else:
            check_promises(stage, session, status="failed")
    assert finished > (20 if CI else 2)


def test_a_worker_that_died_before_the_retry_leaves_its_run_as_lost(stage: Stage) -> None:
    def die(request: AgentRequest) -> str:
        if request.attempt == 1:
            raise Crash
        return "ok"

    stage.runtime.behaviours["a"] = die
    session = stage.start(stage.define({"a": "", "b": "a"}))
    with pytest.raises(Crash):
        run_step(stage.app, stage.queue.sent[0])
    cancel(stage, session)
    retry(stage, session)
    stage.drain()
    check_promises(stage, session)
    runs: list[Any] = stage.runs(session.session_uuid)
    assert sorted(each.async_task["status"] for each in runs) == ["completed", "completed", "lost"]


def test_a_refusal_names_the_status_that_clients_read(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    for status in ("dispatched", "in_progress"):
        with pytest.raises(Conflict, match="has not ended") as refused:
            retry(stage, session)
        assert refused.value.extensions == {"status": status}
        if status == "dispatched":
            claim(stage.app, stage.queue.sent[0])


def test_a_session_that_is_set_back_twice_before_it_runs_loses_no_run(stage: Stage) -> None:
    def die(request: AgentRequest) -> str:
        raise Crash

    stage.runtime.behaviours["a"] = die
    session = stage.start(stage.define({"a": "", "b": "a"}))
    with pytest.raises(Crash):
        run_step(stage.app, stage.queue.sent[0])
    cancel(stage, session)
    retry(stage, session)
    cancel(stage, session)
    stage.drain()
    sweep_after(stage, 2000)
    check_promises(stage, session, status="cancelled")


# Rerun


def test_an_agent_runs_again_and_all_that_follows_from_it(stage: Stage) -> None:
    session = stage.start(stage.define(DIAMOND))
    with pytest.raises(Conflict, match="cancel it, or wait"):
        rerun(stage, session, "b")
    stage.drain()
    before = len(stage.runtime.requests)
    rerun(stage, session, "b", "once")
    assert stage.states(session.session_uuid) == {
        "a": "completed",
        "b": "initial",
        "c": "completed",
        "d": "initial",
    }
    stage.drain()
    rerun(stage, session, "b", "once")
    stage.drain()
    assert stage.runtime.ran()[before:] == ["b", "d"]
    check_promises(stage, session)
    check_redelivery(stage, session)
    assert len(stage.runs(session.session_uuid)) == 6


def test_a_rerun_may_die_anywhere_and_be_repeated(stage: Stage) -> None:
    task = stage.define(DIAMOND)

    def prepare() -> Session:
        session = stage.start(task)
        stage.drain()
        return session

    def history(session: Session) -> None:
        stage.until_it_succeeds(lambda: rerun(stage, session, "b", "once"))
        stage.drain()

    for session in every_death(stage, prepare, history, every=3 if CI else 9):
        check_promises(stage, session)
        check_redelivery(stage, session)
        attempts = {each.agent_uuid: each.attempt for each in stage.agents(session.session_uuid)}
        assert attempts["a"] == attempts["c"] == 1


# Late workers


@pytest.mark.parametrize("seed", range(20 if CI else 8))
# one history, all in sight
def test_late_workers_and_old_messages_do_not_disturb_what_runs_again(  # noqa: C901
    stage: Stage, seed: int
) -> None:
    random = Random(seed)
    stage.app.records.parallel._order = random  # type: ignore[attr-defined]
    stage.runtime.behaviours["b"] = failing("no", times=1)
    session = stage.start(stage.define({"a": "", "b": "a", "c": "a", "d": "bc", "e": "c"}))
    turns = Turns(random)
    stage.boundary.reach = lambda name: turns.pause()

    def worker() -> None:
        while delivery := stage.queue.receive(random.randrange(100)):
            if random.random() < 0.3 and len(stage.queue.sent) < 60:
                stage.queue.put_back(Delivery(delivery.wake))
            try:
                run_step(stage.app, delivery.wake)
                stage.queue.delete(delivery)
            except Busy:
                stage.queue.put_back(delivery)
                return

    def client() -> None:
        for number in range(200):
            turns.pause()
            if stage.session(session).status == "failed":
                retry(stage, session, f"{number}")
                return

    while stage.session(session).status != "completed":
        turns.run([worker, worker, client])
        if not stage.queue.waiting and stage.session(session).status not in ("completed", "failed"):
            stage.boundary.reach = lambda name: None
            put_right(stage, session)
        elif stage.queue.waiting:
            stage.clock.advance(stage.app.settings.lease_seconds + 1)
    turns.run([worker])
    stage.boundary.reach = lambda name: None
    stage.drain()
    check_promises(stage, session)
    check_redelivery(stage, session)


def test_a_hand_off_that_comes_after_a_rerun_releases_nothing(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a", "c": "b"}))
    stage.drain()
    late = stage.agent(session.session_uuid, "b")
    rerun(stage, session, "a")
    advance.hand_off(stage.app, late)
    recovery.finish_outstanding(stage.app, stage.session(session), [late])
    assert stage.states(session.session_uuid) == {"a": "initial", "b": "initial", "c": "initial"}
    assert stage.agent(session.session_uuid, "c").in_degree == 1
    stage.drain()
    check_promises(stage, session)


def test_a_failure_that_comes_after_a_retry_does_not_fail_the_session(stage: Stage) -> None:
    session = failed(stage)
    late = stage.agent(session.session_uuid, "b")
    retry(stage, session)
    fail_session(stage.app, late)
    assert stage.session(session).status == "in_progress"
    assert "skipped" not in stage.states(session.session_uuid).values()
    stage.drain()
    check_promises(stage, session)


def test_an_element_of_a_list_that_is_made_anew_does_not_disturb_the_rerun(stage: Stage) -> None:
    lists = iter([["x", "y"], ["u", "v", "w"]])

    def element(request: AgentRequest) -> str:
        # while it runs the other fails the session, and somebody runs the list's agent again
        if request.query == "x":
            while delivery := stage.queue.receive():
                run_step(stage.app, delivery.wake)
            rerun(stage, session, "a")
            raise AgentFailure("late")
        if request.query == "y":
            raise AgentFailure("no")
        return request.query.upper()

    stage.runtime.behaviours.update({"a": lambda request: json.dumps(next(lists)), "m": element})
    subtasks = [{"agent_uuid": "m", "subtask_query": "{item}"}]
    graph = {"a": "", "m": "a", "z": "m"}
    session = stage.start(
        stage.define(graph, actions={"m": {"map": {"over": "a"}}}, subtasks=subtasks)
    )
    stage.drain()
    assert stage.session(session).status == "completed"
    join = next(each for each in stage.agents(session.session_uuid) if each.mapped is not None)
    assert json.loads(join.agent_output) == ["U", "V", "W"]


def test_a_map_that_is_expanded_anew_while_it_gathers_keeps_count_of_its_attempts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather = maps.gather

    def slowly(app: App, agent: Any, budget: Budget) -> Any:
        monkeypatch.setattr(maps, "gather", gather)
        cancel(stage, session)
        rerun(stage, session, "a")
        return gather(app, agent, budget)

    monkeypatch.setattr(maps, "gather", slowly)
    stage.runtime.behaviours["a"] = lambda request: '["x"]'
    session = stage.start(
        stage.define({"a": "", "m": "a", "z": "m"}, actions={"m": {"map": {"over": "a"}}})
    )
    stage.drain()
    check_promises(stage, session, states=None)
    join = next(each for each in stage.agents(session.session_uuid) if each.mapped is not None)
    assert join.attempt == 2


# Dead letters


def test_a_dead_letter_revives_a_failed_session_once(stage: Stage) -> None:
    session = failed(stage)
    message = wake(stage.agent(session.session_uuid, "b"))
    assert restart.revive(stage.app, message)
    assert not restart.revive(stage.app, message)
    assert not restart.revive(
        stage.app, Wake("other", message.session_uuid, message.session_agent_uuid)
    )
    assert not restart.revive(stage.app, Wake(TENANT, message.session_uuid, "nobody"))
    stage.drain()
    check_promises(stage, session)
