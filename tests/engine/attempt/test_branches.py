"""Agents that become ready together run at the same time under one message, on AWS."""

import os
import threading
from collections import Counter
from itertools import count
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.work import process_message
from ai_coordination_engine.entrypoints.branches import Branches, Seats
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.runtime_ports import AgentRequest
from tests.kit.crashes import Refusals
from tests.kit.fakes import FakeBranches
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.shapes import SHAPES, Shape, deaths
from tests.kit.stage import Stage, stage_of

# in a transaction of SQLite a message costs no request, and threads share one interpreter lock
pytestmark = pytest.mark.only_on("dynamodb")

LAYERS = {
    **dict.fromkeys("abc", ()),
    **{each: tuple("abc") for each in "def"},
    **{each: tuple("def") for each in "ghi"},
}
SHAPE = Shape(LAYERS)
EVERY = 1 if os.environ.get("CI") else 4
WIDE = ("diamond", "two sinks", "fan", "continue", "tolerated", "skip", "shortcut")


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def run(stage: Stage, width: int, graph: Any = None) -> Counter[str]:
    """Run a session; return its requests after the start, those of the queue included."""
    stage.renew()
    stage.width = width
    session = stage.start(stage.define(graph or LAYERS))
    stage.requests.clear()
    sent = len(stage.queue.sent)
    stage.drain()
    check_promises(stage, session)
    return Counter(stage.requests) + Counter(messages=len(stage.queue.sent) - sent)


def test_between_connected_layers_all_but_the_roots_need_no_message(stage: Stage) -> None:
    """The outputs that all of a layer need are read once."""
    through_the_queue, beside = run(stage, 0), run(stage, 9)
    assert through_the_queue - beside == Counter(messages=4, BatchGetItem=4)
    assert beside - through_the_queue == Counter()
    assert beside == Counter(PutItem=9, UpdateItem=40, BatchGetItem=2)


def test_as_many_run_beside_one_as_there_is_room_for(stage: Stage) -> None:
    graph = {"a": "", **{f"b{number}": "a" for number in range(7)}}
    assert [run(stage, width, graph)["messages"] for width in (0, 1, 4, 6, 9)] == [6, 5, 2, 0, 0]


@pytest.mark.parametrize("width", [1, 9])
def test_a_worker_may_die_at_any_point(stage: Stage, width: int) -> None:
    stage.width = width
    assert deaths(stage, SHAPE, every=EVERY) > 100 / EVERY


@pytest.mark.parametrize("name", WIDE)
def test_a_worker_of_a_branch_may_die_at_any_point(stage: Stage, name: str) -> None:
    stage.width = 2
    deaths(stage, SHAPES[name], every=EVERY, order=1)


@pytest.mark.parametrize("claim", range(3))
def test_a_refused_claim_gives_up_those_beside_it(stage: Stage, claim: int) -> None:
    """The message comes back, and finds every agent free to run at once."""
    session = stage.start(stage.define(LAYERS))
    points = count(1)

    def reach(name: str) -> None:
        # before and after: the end of c, three edges, three claims
        is_after_c = name == "UpdateItem" and len(stage.runtime.requests) == 3
        if is_after_c and next(points) == 2 * (1 + 3 + claim) + 1:
            raise Throttled("not now")

    begun, (*others, last) = stage.clock.now(), [each.wake for each in stage.queue.waiting]
    stage.queue.waiting.clear()
    for wake in others:
        process_message(stage.app, wake, branches=FakeBranches())
    stage.boundary.reach = Refusals(reach)
    with pytest.raises(Throttled):
        process_message(stage.app, last, branches=FakeBranches())
    process_message(stage.app, last)
    stage.drain()
    assert (stage.clock.now() - begun).total_seconds() < 1
    attempts = sorted(each.attempt for each in stage.agents(session.session_uuid))
    assert attempts == [1] * 7 + [2, 2]  # what the two others had begun is lost
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)


def test_they_run_at_the_same_time_on_threads_of_their_own(app: App) -> None:
    stage = stage_of(app, threads=4)
    together, seats = threading.Barrier(3, timeout=5), Seats(2)

    def meet(request: AgentRequest) -> str:
        together.wait()
        return threading.current_thread().name

    stage.runtime.behaviours = dict.fromkeys("bcd", meet)
    session = stage.start(stage.define({"a": "", "b": "a", "c": "a", "d": "a", "e": "bcd"}))
    (first,) = stage.queue.waiting
    stage.queue.waiting.clear()
    process_message(stage.app, first.wake, branches=Branches(seats))
    check_promises(stage, session)
    names = [stage.agent(session.session_uuid, each).agent_output for each in "bcd"]
    assert names.count("ace-branch") == 2
    assert seats.take(9) == 2


class Panic(BaseException):
    """What an extension in Rust raises when it meets a fault of its own."""


@pytest.mark.parametrize("kind", [ConnectionError, Panic])
def test_the_error_of_a_branch_keeps_the_message(kind: type[BaseException]) -> None:
    seats = Seats(3)
    done = []
    branches = Branches(seats)
    assert [branches.take(2), branches.take(9), branches.take(1)] == [2, 1, 0]
    branches.give_back(1)

    def fail() -> None:
        raise kind("no network")

    with pytest.raises(kind, match="no network"), branches:
        branches.start(fail)
        branches.start(lambda: done.append(threading.Event().wait(0.05)))
    assert (done, seats.take(9)) == ([False], 3)
