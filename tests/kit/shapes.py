"""Sessions of all kinds whose worker dies at each point, in several orders of parallel calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.store.models import Session
from tests.kit.crashes import tripping
from tests.kit.fakes import Behaviour, asking, failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Graph, Stage


@dataclass(frozen=True)
class Shape:
    """A session: its graph, its special agents, and how it ends."""

    graph: Graph
    status: str = "completed"
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    actions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    on_failure: str | None = None
    states: Mapping[str, str] | None = None


KEPT = 10  # sessions


def fan(width: int) -> dict[str, Sequence[str]]:
    middle = [f"m{number}" for number in range(width)]
    return {"first": (), **dict.fromkeys(middle, ("first",)), "last": middle}


SHAPES = {
    "chain": Shape({"a": "", "b": "a", "c": "b", "d": "c"}),
    "diamond": Shape({"a": "", "b": "a", "c": "a", "d": "bc"}),
    "shortcut": Shape({"a": "", "b": "a", "c": "ab"}),
    "two roots": Shape({"a": "", "b": "", "c": "ab"}),
    "two sinks": Shape({"a": "", "b": "a", "c": "a"}),
    "fan": Shape(fan(5)),
    "failure": Shape({"a": "", "b": "a", "c": "a", "d": "bc"}, "failed", {"b": failing("no idea")}),
    "person": Shape(
        {"a": "", "b": "a", "c": "a", "d": "bc"}, actions={"b": {"user_in_the_loop": "ann"}}
    ),
    "retry": Shape(
        {"a": "", "b": "a", "c": "b"}, behaviours={"b": failing("later", times=2, retryable=True)}
    ),
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
        states={
            "a": "completed",
            "b": "skipped",
            "c": "skipped",
            "d": "completed",
            "e": "completed",
        },
    ),
    "continue": Shape(
        {"a": "", "b": "a", "c": "a", "d": "bc", "e": "c"},
        "failed",
        {"b": failing("no idea")},
        on_failure="continue",
        states={
            "a": "completed",
            "b": "failed",
            "c": "completed",
            "d": "skipped",
            "e": "completed",
        },
    ),
    "tolerated": Shape(
        {"a": "", "b": "", "c": "ab"},
        behaviours={"b": failing("no idea")},
        actions={"c": {"join": "all_terminal"}},
        states={"a": "completed", "b": "failed", "c": "completed"},
    ),
    "map": Shape(
        {"a": "", "m": "a", "z": "m"},
        behaviours={"a": lambda request: '["x", "y", "z"]'},
        actions={"m": {"map": {"over": "a"}}},
    ),
    "asks": Shape({"a": "", "b": "a", "c": "b"}, behaviours={"b": asking("may I?", "really?")}),
    "elements ask": Shape(
        {"a": "", "m": "a", "z": "m"},
        behaviours={"a": lambda request: '["x", "y"]', "m": asking("may I?")},
        actions={"m": {"map": {"over": "a"}}},
    ),
    "person first": Shape({"a": "", "b": "a"}, actions={"a": {"user_in_the_loop": "ann"}}),
}


def deaths(
    stage: Stage, shape: Shape, *, order: int | None = None, apart: int = 0, every: int = 1
) -> int:
    """Die at each point in turn and check the promises each time; return the number of points.

    `order` draws the order of parallel calls, so that each death leaves a different part of a
    fan-out done. With `apart`, the next worker dies as well, so many points later.
    """
    tried = 0
    while True:
        stage.renew(Random(order) if order is not None else None, shape.behaviours)
        if tried % KEPT == 0:
            names = _anew(stage, shape)
        point, tried = 1 + tried * every, tried + 1
        session = stage.start(names)
        with tripping(stage, point, *([point + apart] if apart else [])) as tripwire:
            work(stage, session)
        check_promises(stage, session, status=shape.status, states=shape.states)
        check_redelivery_changes_nothing(stage, session)
        if not tripwire.trips:
            return -(-tripwire.points // every)


def _anew(stage: Stage, shape: Shape) -> tuple[str, str]:
    """Forget the sessions before, each of which is read after each death, and define the shape."""
    if stage.database is not None:
        stage.database.clear()
    return stage.define(
        shape.graph, actions=shape.actions, agents=shape.agents, on_failure=shape.on_failure
    )


def work(stage: Stage, session: Session) -> None:
    """Run a worker, and a person who answers every question."""
    stage.drain()
    while waiting := [
        each for each in stage.agents(session.session_uuid) if each.state == "wait_for_user_input"
    ]:
        for each in waiting:
            answer = (stage.app, TENANT, session.session_uuid, each.session_agent_uuid, "yes")
            stage.until_it_succeeds(lambda answer=answer: execute_for_user_input(*answer))  # type: ignore[misc]
        stage.drain()
