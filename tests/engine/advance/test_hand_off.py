"""The moment between an agent and the next: who holds what when something fails there, takes long,
or stalls.
"""

from typing import Any

import pytest

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.chain import Chain
from ai_coordination_engine.engine.attempt.request import request_of
from ai_coordination_engine.engine.graph.inputs import output_of
from ai_coordination_engine.engine.graph.keys import edge_id
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.records.guards import delete
from tests.kit.controls import cancel, rerun
from tests.kit.crashes import Refusals
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of

PLANS: dict[str, Any] = {
    "an only child": {"a": "", "b": "a", "c": "a", "d": "a"},
    "two joins": {"a": "", "x": "", "j": "ax", "k": "ax"},
    "a join beside an only child": {"a": "", "x": "", "b": "a", "j": "ax"},
}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def work_one(stage: Stage) -> None:
    """A worker without time for a second attempt."""
    found = stage.queue.receive()
    assert found is not None
    run_step(stage.app, found.wake, deadline=stage.clock.now().timestamp() + 1)
    stage.queue.delete(found)


def started(stage: Stage, graph: Any) -> Session:
    """A session in which whatever begins beside `a` has ended."""
    session = stage.start(stage.define(graph))
    first, *others = stage.queue.waiting
    for each in others:
        run_step(stage.app, each.wake)
        stage.queue.waiting.remove(each)
    assert stage.runtime.ran() == [name for name in ("x",) if name in graph]
    assert (
        first.wake.session_agent_uuid == stage.agent(session.session_uuid, "a").session_agent_uuid
    )
    return session


# Faults


@pytest.mark.parametrize("plan", PLANS)
def test_whatever_is_refused_nobody_is_left_claimed(stage: Stage, plan: str) -> None:
    """Each call of a step is refused once; its redelivery need not wait for any lease."""
    number = 0
    while True:
        session = started(stage.renew(), PLANS[plan])
        message = stage.queue.receive()
        assert message is not None
        refused = refuse_call(stage, number)
        try:
            run_step(stage.app, message.wake)
        except Throttled:
            stage.queue.put_back(message)
        if not refused:
            break
        held = [
            each.agent_uuid
            for each in stage.agents(session.session_uuid)
            if (each.lease_until or 0) > 0
        ]
        assert held == [], number
        now = stage.clock.now()
        stage.drain()
        assert stage.clock.now() == now
        check_promises(stage, session)
        number += 1
    assert number >= 8


@pytest.mark.only_on("dynamodb")  # on SQLite messages are part of the commit, which is repeated
def test_what_follows_has_no_attempt_when_the_queue_refuses_the_others(stage: Stage) -> None:
    session = started(stage, PLANS["an only child"])
    stage.queue.refuses = True
    with pytest.raises(Throttled):
        run_step(stage.app, stage.queue.sent[0])
    assert {(each.agent_uuid, each.attempt) for each in stage.agents(session.session_uuid)} == {
        ("a", 1),
        ("b", None),
        ("c", None),
        ("d", None),
    }
    stage.queue.refuses = False
    stage.drain()
    check_promises(stage, session)
    assert {run.async_task["status"] for run in stage.runs(session.session_uuid)} == {"completed"}


def refuse_call(stage: Stage, number: int) -> list[str]:
    """Have the call with this number refused, and nothing else; its name, once that has
    happened.
    """
    begun = 0
    inside = ""
    refused: list[str] = []

    def reach(name: str) -> None:
        nonlocal begun, inside
        if inside == name:
            inside = ""
            return
        inside, begun = name, begun + (name != "run")
        if name != "run" and begun == number + 1:
            stage.boundary.reach = lambda name: None
            refused.append(name)
            raise Throttled("not now")

    stage.boundary.reach = Refusals(reach)
    return refused


# Time


def each_takes(stage: Stage, call: str, seconds: float) -> None:
    """Every such call takes so long, half of it before it is carried out."""

    def reach(name: str) -> None:
        if name == call:
            stage.clock.advance(seconds / 2)

    stage.boundary.reach = reach


@pytest.mark.parametrize("plan", PLANS)
def test_the_lease_runs_from_the_attempt_however_long_the_fan_out_takes(
    stage: Stage, plan: str
) -> None:
    lease, left = stage.app.settings.lease_seconds, []

    def look(request: AgentRequest) -> str:
        agent = stage.agent(request.session_uuid, request.agent_uuid)
        now = stage.clock.now().timestamp()
        left.append((agent.lease_until - now, now - agent.started_at))
        return "well"

    session = started(stage, PLANS[plan])
    following = [name for name in PLANS[plan] if name not in "ax"]
    stage.runtime.behaviours.update(dict.fromkeys(following, look))
    each_takes(stage, "UpdateItem", 2)
    stage.drain()
    check_promises(stage, session)
    assert len(left) == len(following)
    assert min(left)[0] >= lease - 2  # which the claim itself takes
    assert max(since for _, since in left) <= 2


def test_what_an_agent_is_given_may_take_long_to_read(stage: Stage) -> None:
    """The lease is renewed before the call then, and only then: an update more."""
    settings, left = stage.app.settings, []

    def look(request: AgentRequest) -> str:
        lease_until = stage.agent(request.session_uuid, "b").lease_until
        left.append(lease_until - stage.clock.now().timestamp())
        return "well"

    updates = []
    for seconds in (0, settings.lease_margin_seconds / 2, settings.lease_margin_seconds):
        session = stage.renew(behaviours={"b": look}).start(stage.define({"a": "", "b": "a"}))
        work_one(stage)
        each_takes(stage, "BatchGetItem", seconds)
        stage.requests.clear()
        stage.drain()
        updates.append(stage.requests["UpdateItem"])
        check_promises(stage, session)
    assert left == [
        settings.lease_seconds,
        settings.lease_seconds - settings.lease_margin_seconds / 2,
        settings.lease_seconds,
    ]
    assert updates == [updates[0], updates[0], updates[0] + 1]


@pytest.mark.parametrize("meanwhile", ["taken over", "cancelled", "deleted"])
def test_an_attempt_that_lost_its_lease_before_it_began_calls_nobody(
    stage: Stage, meanwhile: str
) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    work_one(stage)
    message = stage.queue.receive()
    assert message is not None

    def reach(name: str) -> None:
        if name == "BatchGetItem":
            stage.boundary.reach = lambda name: None
            stage.clock.advance(stage.app.settings.lease_seconds + 1)
            act()

    def act() -> None:
        agent = stage.agent(session.session_uuid, "b")
        if meanwhile == "taken over":
            run_step(stage.app, message.wake)
        elif meanwhile == "cancelled":
            cancel(stage, session)
        else:
            delete(
                stage.app.records,
                SESSION_AGENT,
                TENANT,
                (agent.session_uuid, agent.session_agent_uuid),
            )

    stage.boundary.reach = reach
    run_step(stage.app, message.wake)
    if meanwhile == "deleted":
        assert len(stage.runs(session.session_uuid)) == 1
    else:
        check_promises(stage, session, status={"taken over": "completed"}.get(meanwhile, meanwhile))
    assert stage.runtime.ran() == ["a", *(["b"] if meanwhile == "taken over" else [])]


# Stale input


def story(stage: Stage, session: Session) -> None:
    """The session is cancelled and `a` runs again, with another output; its worker has no time for
    what follows.
    """
    cancel(stage, session)
    rerun(stage, session, "a")
    work_one(stage)


@pytest.mark.parametrize("stalls", ["finish_edge", "claim_as_read", "finish_last_edge_and_claim"])
def test_a_worker_that_stalls_hands_no_output_of_before_a_rerun_to_what_runs_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, stalls: str
) -> None:
    """Before it releases the edge, between that and the claim, and before both in one write."""
    outputs = iter(["old", "new"])
    stage.runtime.behaviours["a"] = lambda request: next(outputs)
    graph = (
        {"a": "", "b": "a"}
        if stalls == "finish_last_edge_and_claim"
        else {"a": "", "x": "", "b": "ax"}
    )
    session = started(stage, graph)
    transitions = stage.app.agents
    going_on = getattr(transitions, stalls)

    def stall(*given: Any, **more: Any) -> Any:
        monkeypatch.setattr(transitions, stalls, going_on)
        story(stage, session)
        return going_on(*given, **more)

    monkeypatch.setattr(transitions, stalls, stall)
    message = stage.queue.receive()
    assert message is not None
    run_step(stage.app, message.wake)
    assert "b" not in stage.runtime.ran(), "whoever is late claims nothing"
    stage.drain()
    check_promises(stage, session)
    (request,) = [each for each in stage.runtime.requests if each.agent_uuid == "b"]
    assert [each.output for each in request.predecessors if each.agent_uuid == "a"] == ["new"]


def test_a_chain_remembers_what_it_ran_by_the_epoch(stage: Stage) -> None:
    """The memory of a worker is not asked about agents that were set back since."""
    session = stage.start(stage.define({"a": "", "b": "a", "c": "ab"}))
    outputs = iter(["old", "new"])
    stage.runtime.behaviours["a"] = lambda request: next(outputs)
    chain = Chain(None, None)
    work_one(stage)
    chain.outputs[edge_id(stage.agent(session.session_uuid, "a"))] = output_of(
        stage.agent(session.session_uuid, "a")
    )
    cancel(stage, session)
    rerun(stage, session, "a")
    stage.drain()
    request = request_of(stage.app, stage.agent(session.session_uuid, "c"), chain, Budget())
    assert [each.output for each in request.predecessors] == ["new", "B"]
