"""Setting a session back beside workers that move it, people who delete from it, and others who set
it back.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.runtime_ports import ActionResult
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions import counter_shards
from ai_coordination_engine.store.transitions.session_controls import ControlRequest
from tests.kit.controls import cancel, fail_by_hand, fork_from, put_right, race, retry
from tests.kit.crashes import Crash
from tests.kit.fakes import failing
from tests.kit.promises import check_promises
from tests.kit.stage import Graph, Stage, crowd, stage_of

CI = bool(os.environ.get("CI"))


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


# What moves while it is set back

FEW = [f"r{number:03d}" for number in range(5)]  # counted like many
ACTION = {"action_function": {"module_name": "m", "function_name": "f"}}


def ready(stage: Stage, graph: Graph, **task: Any) -> Session:
    """A session that has failed before its agents began."""
    session = stage.start(stage.define(graph, **task))
    fail_by_hand(stage, session)
    return session


def acting(stage: Stage) -> Session:
    """Agent y has answered, and its worker died in its action function."""
    results = iter([Crash(), ActionResult()])
    stage.actions.functions["m.f"] = lambda request: returned(next(results))
    return dying(stage, {"y": "", "other": "", "z": ["y", "other"]}, {"y": ACTION})


def gathering(stage: Stage) -> Session:
    """The map y has been expanded, and its worker died when it read what the elements had
    answered.
    """
    stage.runtime.behaviours["x"] = lambda request: '["u", "v"]'
    stage.boundary.reach = lambda name: die(
        name == "BatchGetItem" and len(stage.runtime.requests) == 3
    )
    graph = {"x": "", "y": "x", "other": "", "z": ["y", "other"]}
    return dying(stage, graph, {"y": {"map": {"over": "x"}}})


def dying(stage: Stage, graph: Graph, actions: Mapping[str, Mapping[str, Any]]) -> Session:
    """A session that has failed, some time after one of its workers died; the agent "other" has not
    begun.
    """
    session = stage.start(stage.define(graph, actions=actions))
    other = stage.agent(session.session_uuid, "other").session_agent_uuid
    stage.queue.waiting = [
        each for each in stage.queue.waiting if each.wake.session_agent_uuid != other
    ]
    with pytest.raises(Crash):
        while delivery := stage.queue.receive():
            run_step(stage.app, delivery.wake)
    stage.boundary.reach = lambda name: None
    stage.clock.advance(stage.app.settings.lease_seconds + 1)
    fail_by_hand(stage, session)
    return session


def die(now: bool) -> None:
    if now:
        raise Crash


def returned(result: ActionResult | Crash) -> ActionResult:
    if isinstance(result, Crash):
        raise result
    return result


@pytest.mark.parametrize("read", [1, 2] if CI else [1])
@pytest.mark.parametrize(
    ("prepare", "racer"),
    [
        (lambda stage: ready(stage, {"x": "", "y": "", "z": "xy"}), "y"),
        (lambda stage: ready(stage, {"x": "", "y": ""}), "y"),
        (lambda stage: ready(stage, {"y": ""}), "y"),
        (lambda stage: ready(stage, {**dict.fromkeys(FEW, ""), "z": FEW}), "r002"),
        (lambda stage: ready(stage, dict.fromkeys(FEW, "")), "r002"),
        (acting, "y"),
        (gathering, "y"),
    ],
    ids=["join", "sink", "only sink", "wide join", "many sinks", "acting", "map"],
)
def test_an_agent_that_completes_while_its_session_is_set_back_is_counted(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Stage], Session],
    racer: str,
    read: int,
) -> None:
    monkeypatch.setattr(counter_shards, "COUNTER_SHARD", 4)
    session = prepare(stage)
    message = wake(
        next(each for each in stage.agents(session.session_uuid) if each.agent_uuid == racer)
    )
    happened = race(stage, session, read, lambda: run_step(stage.app, message))
    retry(stage, session)
    stage.boundary.reach = lambda name: None
    assert happened() or read > 2
    stage.drain()
    check_promises(stage, session)


# What was deleted by hand


def delete(stage: Stage, session: Session, deleted: Callable[[Any], bool]) -> None:
    for each in stage.agents(session.session_uuid):
        if deleted(each):
            key = (each.session_uuid, each.session_agent_uuid)
            stage.app.records.table(SESSION_AGENT).delete(
                each.partition_key, key, SessionAgent.state.exists()
            )


def test_a_wide_join_waits_for_nobody_who_was_deleted(stage: Stage) -> None:
    many, subtasks = crowd(101)
    session = stage.start(stage.define({**dict.fromkeys(many, ""), "z": many}, subtasks=subtasks))
    cancel(stage, session)
    delete(stage, session, lambda each: each.ordinal < 100 and each.ordinal % 2 == 0)
    retry(stage, session)
    join: Any = stage.agent(session.session_uuid, "z")
    assert (join.in_degree, {name % 2**40 for name in join.unfinished}) == (51, {0, 1})
    cancel(stage, session)
    delete(stage, session, lambda each: each.ordinal < 101 and each.ordinal % 2 == 0)
    retry(stage, session)
    join = stage.agent(session.session_uuid, "z")
    assert (join.in_degree, {name % 2**40 for name in join.unfinished}) == (50, {1})
    cancel(stage, session)
    delete(stage, session, lambda each: each.ordinal < 101)
    retry(stage, session)
    stage.drain()
    assert (stage.agent(session.session_uuid, "z").attempt, stage.session(session).status) == (
        1,
        "failed",
    )


def test_a_session_whose_sinks_were_deleted_while_it_is_set_back_ends(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    cancel(stage, session)
    set_back(stage, session)
    delete(stage, session, lambda each: each.agent_uuid == "b")
    put_right(stage, session)
    stage.drain()
    found: Any = stage.session(session)
    assert (found.status, found.restart, found.open_sinks, found.open_sink_count) == (
        "completed",
        None,
        None,
        0,
    )


@pytest.mark.parametrize("deleted", ["", "c"])
@pytest.mark.parametrize("again", [retry, fork_from])
def test_what_nobody_waits_for_when_it_runs_again_ends_with_its_session(
    stage: Stage, again: Callable[[Stage, Session], Session], deleted: str
) -> None:
    stage.runtime.behaviours = {"a": failing("no"), "d": failing("no")}
    actions = {"c": {"join": "all_terminal"}, "d": {}}
    graph = {"a": "", "b": "a", "c": "b", "d": ""}
    session = stage.start(stage.define(graph, actions=actions, on_failure="continue"))
    stage.drain()
    ended = {"a": "failed", "b": "skipped", "c": "completed", "d": "failed"}
    # c is kept, and does not wait for b any more
    assert stage.states(session.session_uuid) == ended
    delete(stage, session, lambda each: each.agent_uuid == deleted)
    stage.renew()
    session = again(stage, session)
    stage.queue.waiting.reverse()  # d is faster than a
    stage.drain()
    ended = {"a": "skipped", "b": "skipped", "c": "completed", "d": "completed"}
    assert stage.states(session.session_uuid) == {
        each: ended[each] for each in ended if each != deleted
    }
    assert (stage.session(session).status, stage.session(session).watch_at) == ("completed", None)
    assert stage.runtime.ran() == ["d"]


def test_what_is_set_back_with_all_that_waits_for_it_is_waited_for(stage: Stage) -> None:
    stage.runtime.behaviours = {"a": failing("no", times=1), "d": failing("no", times=1)}
    session = stage.start(
        stage.define({"a": "", "b": "a", "d": ""}, actions={"d": {}}, on_failure="continue")
    )
    stage.drain()
    retry(stage, session)
    stage.queue.waiting.reverse()
    stage.drain()
    check_promises(stage, session)
    assert stage.session(session).early is None


def set_back(stage: Stage, session: Session, key: str | None = None) -> None:
    """Somebody has ordered a retry and died."""
    seen, request, stored_values = (
        stage.session(session),
        ControlRequest.of(None, key, "retry"),
        {"restart": {"from": None}},
    )
    stage.app.sessions.set_back(seen, request, stored_values, 1, stage.clock.now().timestamp() + 60)


def test_a_retry_that_finds_another_under_way_has_no_effect_later_either(stage: Stage) -> None:
    session = stage.start(stage.define({"a": ""}))
    cancel(stage, session)
    set_back(stage, session, "first")
    retry(stage, session, "second")
    assert stage.session(session).epoch == 1
    cancel(stage, session)
    for key in ("first", "second"):
        retry(stage, session, key)
    assert (stage.session(session).status, stage.session(session).epoch) == ("cancelled", 1)
