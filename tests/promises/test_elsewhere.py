"""Two workers with a queue each: agents whose runtime needs an extra run in the one that has it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from ai_coordination_engine.domain.runtimes import KINDS, KindSpec, needs_of
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from tests.kit.crashes import tripping
from tests.kit.fakes import FakeRuntime, failing
from tests.kit.promises import check_promises
from tests.kit.shapes import Shape, deaths
from tests.kit.stage import TENANT, Stage, stage_of

TOOLS = {"runtime": {"kind": "tools"}}
CHAIN = {"a": "", "b": "a", "c": "b", "d": "c"}


class Runtimes:
    """The runtimes of a worker that has one extra, and refuses agents that do not need it."""

    def __init__(self, fake: FakeRuntime, extra: str) -> None:
        self._fake, self._extra = fake, extra

    def find(self, kind: str) -> "Runtimes":
        return self

    def wants_thread(self, kind: str) -> bool:
        return False

    def run(self, request: AgentRequest) -> AgentResult:
        assert needs_of(request.runtime["kind"]) == self._extra, request.agent_uuid
        return self._fake.run(request)


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that needs the extra."""
    kinds = cast(dict[str, KindSpec], KINDS)
    monkeypatch.setitem(kinds, "tools", KindSpec("", (), needs="agents"))


@pytest.fixture
def stage(app: App) -> Stage:
    return staged(app)


def staged(app: App, **settings: Any) -> Stage:
    """Two workers on one store."""
    found = stage_of(app)
    at = app.settings.model_copy(update={"agents_queue_url": "agents", **settings})
    found.app = replace(found.app, settings=at, runtimes=Runtimes(found.runtime, ""))
    found.extras["agents"] = replace(
        found.app,
        settings=at.model_copy(update={"worker_extra": "agents"}),
        runtimes=Runtimes(found.runtime, "agents"),
    )
    return found


def forget(stage: Stage, session: Session, **values: str | None) -> None:
    """Let what the session's agents need be as an older version has stored it."""
    table = stage.looking.table(SESSION_AGENT)
    for each in stage.agents(session.session_uuid):
        for name, needs in values.items():
            if each.agent_uuid == name:
                action = type(each).needs
                change = action.remove() if needs is None else action.set(needs)
                table.update(TENANT, each.key, [change], None)


EVERY = {"dynamodb": 1, "sqlite": 5}


def survives(stage: Stage, names: tuple[str, str], every: int, **stored: str | None) -> None:
    """Die at each point in turn. Messages of the wrong queue are sent on, however often."""
    behaviours, point, trips = stage.runtime.behaviours, 1 - every, 1
    while trips:
        point += every
        stage.renew(behaviours=behaviours)
        session = stage.start(names)
        forget(stage, session, **stored)
        with tripping(stage, point) as tripwire:
            stage.drain()
        check_promises(stage, session)
        before = stage.everything(session)
        for each in list(stage.queue.sent):
            run_step(stage.worker_of(each), each)
        stage.drain()
        assert stage.everything(session) == before
        trips = tripwire.trips
    assert point > 20


@pytest.mark.parametrize(
    "shape",
    [
        Shape({"a": "", "b": "a", "c": "b"}, agents={"b": TOOLS}),
        Shape({"a": "", "b": "a", "c": "b"}, agents={"a": TOOLS, "c": TOOLS}),
        Shape({"a": "", "b": "a", "c": "a", "d": "bc"}, agents={"b": TOOLS, "d": TOOLS}),
        Shape(
            {"a": "", "b": "a"},
            behaviours={"b": failing("later", times=1, retryable=True)},
            agents={"b": TOOLS},
        ),
        Shape({"a": "", "b": "a"}, actions={"b": {"user_in_the_loop": "ann"}}, agents={"b": TOOLS}),
    ],
    ids=["one", "all but one", "diamond", "retry", "person"],
)
def test_each_agent_runs_where_its_extra_is_whatever_dies(
    stage: Stage, app_home: str, shape: Shape
) -> None:
    assert deaths(stage, shape, every=EVERY[app_home]) > 3


@pytest.mark.parametrize("kind", ["plain", "tools"])
def test_a_fallback_runs_where_its_own_extra_is(stage: Stage, app_home: str, kind: str) -> None:
    stage.runtime.behaviours["b"] = failing("never")
    own, other = ({}, TOOLS) if kind == "tools" else (TOOLS, {})
    graph, actions = {"a": "", "b": "a"}, {"b": {"fallback": "spare"}}
    names = stage.define(graph, actions=actions, agents={"b": own, "spare": other})
    survives(stage, names, EVERY[app_home])


def test_a_hand_off_costs_no_claim_in_vain(stage: Stage) -> None:
    session = stage.start(stage.define(CHAIN, agents={"b": TOOLS}))
    stage.drain()
    assert [each.needs for each in stage.queue.sent] == ["", "agents", ""]
    assert stage.attempts(session) == [(1, "completed", None)] * 4


@pytest.mark.parametrize("stored", [{"a": None, "b": None}, {"b": "agents", "c": "agents"}, {}])
@pytest.mark.parametrize("graph", [CHAIN, {"a": "", "b": "", "c": "ab"}])
def test_who_meets_an_agent_of_the_other_worker_sends_it_on(
    stage: Stage, graph: Mapping[str, str], stored: Mapping[str, str | None]
) -> None:
    session = stage.start(stage.define(graph, agents={"a": TOOLS, "b": TOOLS}))
    forget(stage, session, **stored)
    # all messages are in the wrong queue
    for each in list(stage.queue.sent):
        other = stage.app if each.needs else stage.extras["agents"]
        run_step(other, each)
    stage.drain()
    check_promises(stage, session)
    assert set(stage.attempts(session)) == {(1, "completed", None)}
    assert len(stage.runs(session.session_uuid)) == len(graph)


def test_an_agent_that_is_sent_on_has_the_run_that_was_promised(stage: Stage) -> None:
    session = stage.start(stage.define({"a": ""}, agents={"a": TOOLS}))
    forget(stage, session, a=None)
    promised = stage.agent(session.session_uuid, "a").first_run
    run_step(stage.app, wake(stage.agent(session.session_uuid, "a")))
    sent_on = stage.agent(session.session_uuid, "a")
    assert (sent_on.state, sent_on.attempt, sent_on.needs) == ("pending", None, "agents")
    assert (sent_on.started_at, sent_on.lease_until) == (None, None)
    stage.drain()
    (run,) = stage.runs(session.session_uuid)
    assert run.run_uuid == (promised or sent_on.first_run)


def test_the_worker_that_sends_an_agent_on_may_die(stage: Stage, app_home: str) -> None:
    names = stage.define({"a": "", "b": "a"}, agents={"a": TOOLS})
    survives(stage, names, EVERY[app_home], a=None, b="agents")


def test_without_the_second_worker_the_plain_one_takes_every_message(app: App) -> None:
    stage = staged(app, agents_queue_url="")
    assert not stage.app.is_elsewhere("agents")
    assert not stage.app.is_elsewhere("others")


def test_a_default_runtime_that_needs_the_extra_counts(app: App) -> None:
    stage = staged(app, default_runtime={"kind": "tools"})
    session = stage.start(
        stage.define({"a": "", "b": "a"}, agents={"b": {"runtime": {"kind": "http"}}})
    )
    stage.drain()
    assert [each.needs for each in stage.queue.sent] == ["agents", ""]
    check_promises(stage, session)
