"""Promises P2–P6: the worker dies before and after every call to the store, the queue and the runtime in turn."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.resume import execute_for_user_input
from ai_coordination_engine.store.models import Session
from tests.fakes import Behaviour, failing
from tests.sessions import TENANT, Graph, Stage, check_promises, check_redelivery_changes_nothing, stage_of, tripping

CI = bool(os.environ.get("CI"))
EVERY = 1 if CI else 2  # the larger graphs: every point in CI, every second elsewhere


@dataclass(frozen=True)
class Shape:
    """A session: its graph, what is special about its agents, how it ends, and the step between crash points."""

    graph: Graph
    status: str = "completed"
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    actions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    on_failure: str | None = None
    states: Mapping[str, str] | None = None
    every: int = 1


def fan(width: int) -> dict[str, Sequence[str]]:
    middle = [f"m{number}" for number in range(width)]
    return {"first": (), **dict.fromkeys(middle, ("first",)), "last": middle}


SHAPES = {
    "chain": Shape({"a": "", "b": "a", "c": "b", "d": "c"}),
    "diamond": Shape({"a": "", "b": "a", "c": "a", "d": "bc"}),
    "shortcut": Shape({"a": "", "b": "a", "c": "ab"}),
    "two roots": Shape({"a": "", "b": "", "c": "ab"}),
    "two sinks": Shape({"a": "", "b": "a", "c": "a"}),
    "fan": Shape(fan(5), every=EVERY),
    "failure": Shape({"a": "", "b": "a", "c": "a", "d": "bc"}, "failed", {"b": failing("no idea")}, every=EVERY),
    "person": Shape({"a": "", "b": "a", "c": "a", "d": "bc"}, actions={"b": {"user_in_the_loop": "ann"}}, every=EVERY),
    "retry": Shape({"a": "", "b": "a", "c": "b"}, behaviours={"b": failing("later", times=2, retryable=True)}),
    "fallback": Shape(
        {"a": "", "b": "a", "c": "b"},
        behaviours={"b": failing("never")},
        actions={"b": {"fallback": "spare"}},
        agents={"spare": {}},
    ),
    "skip": Shape(
        {"a": "", "b": "a", "c": "b", "d": "a", "e": "cd"},
        behaviours={"a": lambda request: '{"go": false}'},
        actions={"b": {"conditions": {"a": "go"}}, "e": {"join": "any"}},
        states={"a": "completed", "b": "skipped", "c": "skipped", "d": "completed", "e": "completed"},
        every=EVERY,
    ),
    "continue": Shape(
        {"a": "", "b": "a", "c": "a", "d": "bc", "e": "c"},
        "failed",
        {"b": failing("no idea")},
        on_failure="continue",
        states={"a": "completed", "b": "failed", "c": "completed", "d": "skipped", "e": "completed"},
        every=EVERY,
    ),
    "tolerated": Shape(
        {"a": "", "b": "", "c": "ab"},
        behaviours={"b": failing("no idea")},
        actions={"c": {"join": "all_terminal"}},
        states={"a": "completed", "b": "failed", "c": "completed"},
        every=EVERY,
    ),
    "map": Shape(
        {"a": "", "m": "a", "z": "m"},
        behaviours={"a": lambda request: '["x", "y", "z"]'},
        actions={"m": {"map": {"over": "a"}}},
        every=EVERY,
    ),
    "person first": Shape({"a": "", "b": "a"}, actions={"a": {"user_in_the_loop": "ann"}}),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_worker_may_die_at_any_point(app: App, shape: Shape) -> None:
    stage = stage_of(app, behaviours=shape.behaviours)
    names = stage.define(shape.graph, actions=shape.actions, agents=shape.agents, on_failure=shape.on_failure)
    point, tried = 1, 0
    while True:
        session = stage.start(names)
        with tripping(stage, point) as tripwire:
            work(stage, session)
        check_promises(stage, session, status=shape.status, states=shape.states)
        check_redelivery_changes_nothing(stage, session)
        stage.queue.sent.clear()
        if not tripwire.trips:
            break
        tried, point = tried + 1, point + shape.every
    assert tried == -(-tripwire.points // shape.every)


@pytest.mark.parametrize("apart", [1, 2, 3, 5] if not CI else range(1, 12))
def test_the_worker_after_it_may_die_as_well(app: App, apart: int) -> None:
    stage = stage_of(app)
    names = stage.define({"a": "", "b": "a"})
    point = 1
    while True:
        session = stage.start(names)
        with tripping(stage, point, point + apart) as tripwire:
            stage.drain()
        check_promises(stage, session)
        stage.queue.sent.clear()
        if not tripwire.trips:
            return
        point += 1


def work(stage: Stage, session: Session) -> None:
    """A worker, and a person who answers when they are asked."""
    stage.drain()
    for each in stage.agents(session.session_uuid):
        if each.state == "wait_for_user_input":
            answer = (stage.app, TENANT, session.session_uuid, each.session_agent_uuid, "yes")
            stage.until_it_succeeds(lambda answer=answer: execute_for_user_input(*answer))  # type: ignore[misc]
    stage.drain()
