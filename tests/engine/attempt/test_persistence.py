"""What an agent answered costs money: while a backend refuses to store it, it is held and not asked
for again.
"""

from collections.abc import Callable
from random import Random
from threading import Event
from typing import Any

import pytest

from ai_coordination_engine import backend
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.attempt.persistence import LONGEST_WAIT
from ai_coordination_engine.engine.step import Busy, run_step
from ai_coordination_engine.errors import Throttled, Unavailable
from ai_coordination_engine.runtime_ports import (
    ActionRequest,
    ActionResult,
    AgentRequest,
    AgentResult,
)
from ai_coordination_engine.store.models import Session
from tests.kit.crashes import Refusals
from tests.kit.fakes import failing
from tests.kit.promises import check_promises
from tests.kit.stage import Stage, stage_of
from tests.kit.waits import complete, pending, work_now

REFUSALS = 40  # a call; many minutes at the longest wait
Meanwhile = Callable[[], None]
ACT = {"action_function": {"module_name": "shop", "function_name": "act"}}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app, inline_limit=1_000)


def refusing(
    stage: Stage, call: str, times: int, *, unanswered: bool = False, also: Meanwhile = lambda: None
) -> None:
    """The next calls of this name are refused, so many of them; `unanswered` ones are carried out
    all the same. `also` happens each time.
    """
    left, inside = times, False

    def reach(name: str) -> None:
        nonlocal left, inside
        if name != call or not left:
            return
        inside = unanswered and not inside
        if not inside:
            left -= 1
            also()
            raise (Unavailable if unanswered else Throttled)("not now")

    stage.boundary.reach = Refusals(reach)


def once_answered(stage: Stage, then: Meanwhile, answer: Any = "A") -> None:
    """When agent `a` answers for the first time, `then` happens."""

    def behave(request: AgentRequest) -> str | AgentResult:
        if len(stage.runtime.requests) == 1:
            then()
        return answer(request) if callable(answer) else answer  # type: ignore[no-any-return]

    stage.runtime.behaviours["a"] = behave


def started(stage: Stage, **task: Any) -> Session:
    return stage.start(stage.define({"a": "", "b": "a"}, **task))


def statuses(stage: Stage, session: Session) -> list[tuple[str, int, str]]:
    runs = [
        (each.agent_uuid, each.async_task["attempt"], each.async_task["status"])
        for each in stage.runs(session.session_uuid)
    ]
    return sorted(runs)


@pytest.mark.parametrize("unanswered", [False, True], ids=["refused", "unanswered"])
@pytest.mark.parametrize(
    ("call", "answer"),
    [("PutItem", "A"), ("UpdateItem", "A"), ("put blob", "A" * 2_000)],
    ids=["run", "end", "blob"],
)
def test_what_an_agent_answered_is_held_until_it_is_stored(
    stage: Stage, call: str, answer: str, unanswered: bool
) -> None:
    session = started(stage)
    once_answered(stage, lambda: refusing(stage, call, REFUSALS, unanswered=unanswered), answer)
    began = stage.clock.now()
    stage.drain()
    assert REFUSALS < (stage.clock.now() - began).total_seconds() < REFUSALS * LONGEST_WAIT
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b"]
    assert statuses(stage, session) == [("a", 1, "completed"), ("b", 1, "completed")]


def test_a_failure_is_held_too_and_costs_no_attempt(stage: Stage) -> None:
    session = started(stage)
    once_answered(stage, lambda: refusing(stage, "PutItem", REFUSALS), failing("never"))
    stage.drain()
    check_promises(stage, session, status="failed")
    assert statuses(stage, session) == [("a", 1, "failed")]


def test_a_long_job_that_was_begun_is_not_begun_again(stage: Stage) -> None:
    session = started(stage)
    once_answered(stage, lambda: refusing(stage, "PutItem", REFUSALS), pending())
    work_now(stage)
    assert statuses(stage, session) == [("a", 1, "pending")]
    complete(stage)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b"]


def test_an_action_function_that_has_run_does_not_run_again(stage: Stage) -> None:
    def act(request: ActionRequest) -> ActionResult:
        refusing(stage, "UpdateItem", REFUSALS)
        return ActionResult("acted")

    stage.actions.functions["shop.act"] = act
    session = started(stage, actions={"a": ACT})
    stage.drain()
    check_promises(stage, session)
    assert len(stage.actions.requests) == 1
    assert stage.agent(session.session_uuid, "a").agent_output == "acted"


def test_the_lease_is_renewed_meanwhile_so_that_nobody_takes_over(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the waits are random: of some hundred sums, one is shorter than three leases
    monkeypatch.setattr(backend, "_RANDOM", Random(1))
    session = started(stage)
    waits: list[float] = []

    def look() -> None:
        with pytest.raises(Busy) as busy:
            run_step(stage.app, stage.queue.sent[0])
        waits.append(busy.value.retry_after)

    once_answered(stage, lambda: refusing(stage, "PutItem", REFUSALS, also=look))
    stage.requests.clear()
    began = stage.clock.now()
    stage.drain()
    seconds = (stage.clock.now() - began).total_seconds()
    lease = stage.app.settings.lease_seconds
    assert seconds > 3 * lease
    assert min(waits) >= lease / 2
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b"]
    looked = REFUSALS  # a refused claim each
    # two claims, of which the second ends an edge, and two ends; the session's and its sinks'
    ordinarily = 6
    # a wait of up to a quarter of the lease renews it where less than half would be left after it
    assert stage.requests["UpdateItem"] - looked <= ordinarily + 4 * seconds / lease + 1


def test_when_the_time_runs_out_the_lease_expires_and_counts_as_no_death(stage: Stage) -> None:
    session = started(stage)
    once_answered(stage, lambda: refusing(stage, "PutItem", 10_000))
    message = stage.queue.receive()
    assert message is not None
    deadline = stage.clock.now().timestamp() + 600
    with pytest.raises(Throttled):
        run_step(stage.app, message.wake, deadline=deadline)
    assert deadline - LONGEST_WAIT < stage.clock.now().timestamp() < deadline
    agent = stage.agent(session.session_uuid, "a")
    assert (agent.state, agent.attempt, agent.lease_until) == ("executing", 1, -1)
    stage.boundary.reach = lambda name: None
    stage.queue.put_back(message)
    now = stage.clock.now()
    stage.drain()
    assert stage.clock.now() == now, "the next try waits for no lease"
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "a", "b"]
    assert statuses(stage, session) == [
        ("a", 1, "lost"),
        ("a", 2, "completed"),
        ("b", 1, "completed"),
    ]


def test_a_process_that_is_about_to_end_tries_once_more_and_lets_go(stage: Stage) -> None:
    session = started(stage)
    stopping, tries = Event(), []

    def look() -> None:
        tries.append(stage.clock.now())
        if len(tries) == 3:
            stopping.set()

    once_answered(stage, lambda: refusing(stage, "PutItem", 10_000, also=look))
    with pytest.raises(Throttled):
        run_step(stage.app, stage.queue.sent[0], stopping=stopping)
    assert len(tries) == 3
    assert stage.agent(session.session_uuid, "a").lease_until == -1
