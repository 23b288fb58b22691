"""Budgets: what fits is dispatched, and nothing else; what was reserved is settled once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.adapters.price_table import prices_of
from ai_coordination_engine.domain.budgets import Amount, Budget, Scope
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.attempt import budgets, costs
from ai_coordination_engine.engine.attempt.budget_waits import wake_waiting
from ai_coordination_engine.engine.attempt.limits import FRESH_SECONDS
from ai_coordination_engine.engine.control import budgets as control
from ai_coordination_engine.engine.control.controls import cancel_session
from ai_coordination_engine.engine.control.explain import Scene, Why, explain
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.engine.waits.async_tasks import complete_async_task
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.runtime_settings import OwnPrice
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.budget_items import BudgetWaiter
from ai_coordination_engine.store.models import Session, Task
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import COORDINATION, TASK
from ai_coordination_engine.store.transitions import budgets as transitions
from ai_coordination_engine.store.transitions.budgets import Budgets, Full, Period, Used
from tests.kit.budgets import MODEL, define, need, of_session, tokens, using
from tests.kit.crashes import tripping
from tests.kit.fakes import failing
from tests.kit.homes import CI
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of

EVERY = 1 if CI else 4  # points at which somebody dies
FALLBACK = {"kind": "function", "name": "echo"}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def money(stage: Stage, period: Period) -> tuple[int, int]:
    """Likewise, in millionths of a dollar."""
    used = stage.app.budgets.used(TENANT, [period])[period]
    return used.spent.micro_usd, used.reserved.micro_usd


def change(stage: Stage, names: tuple[str, str], budget: Mapping[str, Any] | None) -> None:
    """Write another budget of the task, as the API does."""
    record: Task = stage.app.records.write(
        TASK, TENANT, names, lambda *_: {"budget": budget}, parent_key=None
    )
    control.changed(stage.app, record)


def with_settings(stage: Stage, **given: Any) -> None:
    settings = {**stage.app.settings.model_dump(exclude={"prices"}), **given}
    stage.app = replace(stage.app, settings=Settings(**settings))


def why(stage: Stage, session: Session, name: str = "a") -> Why:
    now = stage.clock.now().timestamp()
    agent = stage.agent(session.session_uuid, name)
    return explain(agent, Scene(stage.session(session), [], 0, now))


# What fits


def test_what_fits_is_dispatched_and_settled_with_what_it_used(stage: Stage) -> None:
    most = need(stage)
    stage.runtime.behaviours["a"] = using(7)
    session = stage.start(define(stage, {"tokens": most}))
    stage.drain()
    assert stage.status(session) == "completed"
    assert tokens(stage, of_session(session)) == (7, 0)


def test_the_worst_case_is_the_bytes_of_the_input_and_max_tokens(stage: Stage) -> None:
    request = AgentRequest(runtime=MODEL, instructions="é", input="ab")
    found = budgets.worst_case(stage.app, request)
    texts = len('{"kind":"openai","model":"m","max_tokens":100}') + len("null")
    assert found is not None
    assert (found.input, found.output) == (2 + 2 + texts + 64 + 2 * 16, 100)


@pytest.mark.parametrize(
    ("runtime", "output"),
    [
        ({"kind": "openai"}, 4096),
        ({"kind": "openai", "max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"kind": "openai", "max_tokens": "5"}, 4096),
        ({"kind": "openai", "max_tokens": -1}, 4096),
        ({"kind": "openai", "max_tokens": 9, "max_completion_tokens": 6}, 9),
        ({"kind": "bedrock", "max_tokens": 9, "max_completion_tokens": 6}, 9),
        ({"kind": "bedrock", "max_completion_tokens": 6}, 4096),
        ({"kind": "function", "name": "f", "max_tokens": 5}, 5),
        ({"kind": "function", "name": "f"}, None),
        ({"kind": "http", "url": "u"}, None),
    ],
)
def test_the_output_is_what_the_agent_names_or_the_setting(
    stage: Stage, runtime: Mapping[str, Any], output: int | None
) -> None:
    found = budgets.worst_case(stage.app, AgentRequest(runtime=runtime))
    assert (found.output if found else None) == output


@pytest.mark.parametrize(
    ("runtime", "budget", "limit"),
    [
        ({"kind": "openai", "model": "m"}, {"tokens": 10_000}, 4096),
        (MODEL, {"tokens": 10_000}, 100),
        (MODEL, None, None),
        ({"kind": "function", "name": "f"}, {"tokens": 10_000}, None),
        ({"kind": "function", "name": "f", "max_tokens": 5}, {"tokens": 10_000}, 5),
    ],
)
def test_where_a_budget_applies_the_runtime_is_told_the_most_output(
    stage: Stage, runtime: Mapping[str, Any], budget: Any, limit: int | None
) -> None:
    stage.start(stage.define({"a": ""}, agents={"a": {"runtime": runtime}}, budget=budget))
    stage.drain()
    (request,) = stage.runtime.requests
    assert request.max_tokens == limit


def test_an_agent_with_tools_reserves_what_all_its_requests_may_use(stage: Stage) -> None:
    def most(**given: int) -> tuple[int, int]:
        runtime = {"kind": "agent", "model": "openai:m", **given}
        found = budgets.worst_case(stage.app, AgentRequest(runtime=runtime, input="x" * 1_000))
        assert found is not None
        return found.total, found.requests

    settings = stage.app.settings
    of_all = settings.agent_max_tokens, settings.agent_max_requests
    assert most() == of_all
    assert most(max_total_tokens=1_000, max_requests=2, max_tokens=5_000) == (1_000, 2)
    assert most(max_total_tokens=10**9, max_requests=10**4) == of_all


def test_a_function_reserves_nothing_and_what_it_reports_counts(stage: Stage) -> None:
    names = stage.define({"a": "", "b": "a"}, budget={"tokens": 10})
    stage.runtime.behaviours["a"] = using(11)
    session = stage.start(names)
    stage.drain()
    assert tokens(stage, of_session(session)) == (11, 0)
    assert stage.states(session.session_uuid) == {"a": "completed", "b": "failed"}


# What does not fit


def test_what_does_not_fit_fails_the_agent_with_class_budget(stage: Stage) -> None:
    most = need(stage)
    session = stage.start(define(stage, {"tokens": most - 1}))
    stage.drain()
    assert stage.runtime.ran() == []
    assert stage.attempts(session) == [(1, "failed", "budget")]
    assert stage.agent(session.session_uuid, "a").notes == (
        f"The budget of the task for one session has no room: of {most - 1:,} tokens, 0 are spent"
        f" and 0 reserved, and the attempt may need {most:,}. That is more than the whole limit:"
        " raise it, or lower `max_tokens` (of an agent that calls tools, also `max_total_tokens`)"
        " in the runtime."
    )
    assert tokens(stage, of_session(session)) == (0, 0)


@pytest.mark.parametrize(
    ("on_exceeded", "ran", "state"), [("fallback", ["f"], "completed"), ("fail", [], "failed")]
)
def test_only_the_budget_that_says_so_takes_the_fallback(
    stage: Stage, on_exceeded: str, ran: list[str], state: str
) -> None:
    names = stage.define(
        {"a": ""},
        agents={"a": {"runtime": MODEL}, "f": {"runtime": FALLBACK}},
        subtasks=[{"agent_uuid": "a"}],
        actions={"a": {"fallback": "f"}},
        budget={"tokens": 0, "on_exceeded": on_exceeded},
    )
    session = stage.start(names)
    stage.drain()
    assert stage.runtime.ran() == ran
    assert stage.agent(session.session_uuid, "a").state == state


def test_an_agent_that_waits_says_so_in_numbers_and_goes_on_when_the_limit_is_raised(
    stage: Stage,
) -> None:
    most = need(stage)
    names = define(stage, {"tokens": most - 1, "on_exceeded": "pause"})
    session = stage.start(names)
    stage.drain()
    agent: Any = stage.agent(session.session_uuid, "a")
    assert (agent.state, agent.attempt, agent.run_uuid) == ("pending", None, None)
    assert stage.runs(session.session_uuid) == []
    found = why(stage, session)
    assert (found.code, found.until) == ("WAITS_FOR_BUDGET", None)
    assert found.details == {
        "scope": "task",
        "per": "session",
        "period": f"session {session.session_uuid}",
        "limit": {"micro_usd": None, "tokens": most - 1},
        "spent": {"micro_usd": 0, "tokens": 0},
        "reserved": {"micro_usd": 0, "tokens": 0},
        "needed": {"micro_usd": 0, "tokens": most},
        "unpriced": None,
    }
    change(stage, names, {"tokens": most - 1, "on_exceeded": "pause"})
    assert stage.queue.waiting == []  # it would not fit
    change(stage, names, {"tokens": most, "on_exceeded": "pause"})
    stage.drain()
    check_promises(stage, session)
    assert stage.attempts(session) == [(1, "completed", None)]


def test_a_higher_limit_wakes_more_agents_than_one_look_reads(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transitions, "MOST_WOKEN", 2)
    most = need(stage)
    names = define(stage, {"tokens": 0, "on_exceeded": "pause"})
    sessions = [stage.start(names) for _ in range(5)]
    stage.drain()
    assert [why(stage, each).code for each in sessions] == ["WAITS_FOR_BUDGET"] * 5
    change(stage, names, {"tokens": most, "on_exceeded": "pause"})
    stage.drain(until=stage.clock.now().timestamp() + 1)
    assert [stage.status(each) for each in sessions] == ["completed"] * 5


def test_a_higher_limit_wakes_agents_of_many_sessions_with_few_requests(stage: Stage) -> None:
    most = need(stage)
    calls: list[Counter[str]] = []
    for count in (2, 6):
        names = define(stage, {"tokens": 0, "on_exceeded": "pause"})
        for _ in range(count):
            stage.start(names)
        stage.drain()
        reached: list[str] = []
        stage.boundary.reach = reached.append
        change(stage, names, {"tokens": most, "on_exceeded": "pause"})
        stage.boundary.reach = lambda name: None
        assert len(stage.queue.waiting) == count
        stage.queue.waiting.clear()
        calls.append(Counter(reached))
    both = 2 * (6 - 2)  # before and after each
    assert calls[1] - calls[0] == {"DeleteItem": both, "send": both}


def test_an_agent_goes_on_when_the_budget_is_removed(stage: Stage) -> None:
    names = define(stage, {"tokens": 0, "on_exceeded": "pause"})
    session = stage.start(names)
    stage.drain()
    change(stage, names, None)
    stage.drain()
    assert stage.status(session) == "completed"


@pytest.mark.parametrize("per", ["session", "total"])
def test_the_budget_of_a_deleted_task_stays_as_it_was_and_nobody_is_woken_for_nothing(
    stage: Stage, per: str
) -> None:
    names = define(stage, {"tokens": 0, "on_exceeded": "pause", "per": per}, "ab")
    session = stage.start(names)
    stage.drain()
    guards.delete(stage.app.records, TASK, TENANT, names)
    sent = len(stage.queue.sent)
    (agent,) = (each for each in stage.agents(session.session_uuid) if each.agent_uuid == "a")
    stage.queue.send([wake(agent)])
    stage.drain()
    assert len(stage.queue.sent) == sent + 1
    assert [why(stage, session, each).code for each in "ab"] == ["WAITS_FOR_BUDGET"] * 2
    period = of_session(session) if per == "session" else Period("task", names[1], "total")
    wake_waiting(stage.app, TENANT, session.coordination_uuid, [period])
    assert len(stage.queue.sent) == sent + 1


def test_an_agent_that_enters_the_list_while_it_is_read_is_woken_by_the_next_settlement(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = define(stage, {"tokens": 0, "on_exceeded": "pause"})
    session = stage.start(names)
    agent, period = stage.agent(session.session_uuid, "a"), Period("task", "t", "total")
    full = Full(Scope("task", "t", "total", Budget(tokens=1)), Used(), Amount(tokens=2))
    stage.app.budgets.wait(agent, full)
    (waiter,) = stage.app.budgets.waiters(TENANT, period)
    stage.app.budgets.forget(TENANT, waiter)
    read = Budgets.waiters

    def meanwhile(self: Budgets, tenant: str, period: Period) -> list[BudgetWaiter]:
        found = read(self, tenant, period)
        self.wait(agent, full)
        return found

    monkeypatch.setattr(Budgets, "waiters", meanwhile)
    wake_waiting(stage.app, TENANT, session.coordination_uuid, [period])
    assert stage.app.budgets.used(TENANT, [period])[period].waiting is not None


def test_a_lower_limit_holds_for_a_session_that_runs(stage: Stage) -> None:
    most = need(stage)
    names = stage.define(
        {"a": "", "b": "a"},
        agents={each: {"runtime": MODEL} for each in "ab"},
        budget={"tokens": 10 * most},
    )

    def lower(request: AgentRequest) -> str:
        change(stage, names, {"tokens": 1})
        stage.clock.advance(FRESH_SECONDS + 1)
        return "ok"

    stage.runtime.behaviours["a"] = lower
    session = stage.start(names)
    stage.drain()
    assert stage.states(session.session_uuid) == {"a": "completed", "b": "failed"}


def test_only_as_many_are_woken_as_fit_into_the_room_that_an_attempt_frees(stage: Stage) -> None:
    most = need(stage)
    stage.runtime.behaviours["b"] = stage.runtime.behaviours["c"] = using(most)
    waiting: list[int] = []

    def meanwhile(request: AgentRequest) -> AgentResult:
        stage.drain()
        waiting.append(len(stage.queue.sent))
        return using(0)(request)

    stage.runtime.behaviours["a"] = meanwhile
    names = define(stage, {"tokens": most, "on_exceeded": "pause"}, "abc")
    session = stage.start(names)
    stage.drain()
    assert stage.runtime.ran() == ["a", "b"]
    assert len(stage.queue.sent) == waiting[0] + 1
    assert why(stage, session, "c").code == "WAITS_FOR_BUDGET"
    assert tokens(stage, of_session(session)) == (most, 0)
    change(stage, names, {"tokens": 2 * most, "on_exceeded": "pause"})
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b", "c"]


def test_a_tenant_waits_until_the_next_utc_day(stage: Stage) -> None:
    most = need(stage)
    with_settings(stage, budgets={"*": {"tokens": most, "onExceeded": "pause"}})
    stage.runtime.behaviours["a"] = stage.runtime.behaviours["b"] = using(most)
    session = stage.start(define(stage, None, "ab"))
    stage.drain()
    assert stage.runtime.ran() == ["a"]
    found = why(stage, session, "b")
    assert found.until is not None
    assert found.until.isoformat() == "2026-11-03T00:00:00+00:00"
    assert "of the tenant for this day (ACE_BUDGETS)" in found.message
    sweep(stage.app)
    assert stage.queue.waiting == []
    stage.clock.advance(15 * 3_600 + 1)
    sweep(stage.app)
    stage.drain()
    check_promises(stage, session)
    assert stage.runtime.ran() == ["a", "b"]
    assert tokens(stage, Period("tenant", "", "2026-11-02")) == (most, 0)
    assert tokens(stage, Period("tenant", "", "2026-11-03")) == (most, 0)


def test_all_budgets_must_have_room_and_all_count(stage: Stage) -> None:
    most = need(stage)
    with_settings(stage, budgets={TENANT: {"tokens": most}})
    stage.runtime.behaviours["a"] = using(3)
    names = define(stage, {"tokens": most})
    stage.app.records.write(
        COORDINATION,
        TENANT,
        (TENANT, names[0]),
        lambda *_: {"budget": {"tokens": most, "per": "total"}},
        parent_key=None,
    )
    first, second = (stage.start(names) for _ in range(2))
    stage.drain()
    assert (stage.status(first), stage.status(second)) == ("completed", "failed")
    day, total = Period("tenant", "", "2026-11-02"), Period("coordination", names[0], "total")
    assert [tokens(stage, each) for each in (day, total)] == [(3, 0), (3, 0)]
    assert tokens(stage, of_session(second)) == (0, 0)


# What nobody knows


@pytest.mark.parametrize(
    ("failure", "spent"),
    [
        ({"error_class": "unavailable"}, "most"),
        ({"error_class": "timeout"}, "most"),
        ({"error_class": "timeout", "usage": {"input_tokens": 2, "output_tokens": 3}}, "most"),
        ({"error_class": "rate_limit"}, 0),
        ({"error_class": "not_allowed"}, 0),
        ({"usage": {"input_tokens": 2, "output_tokens": 3}}, 5),
    ],
)
def test_a_failure_spends_what_it_is_known_to_have_used_or_may_have(
    stage: Stage, failure: Mapping[str, Any], spent: object
) -> None:
    most = need(stage)
    stage.runtime.behaviours["a"] = failing("no", **failure)
    session = stage.start(define(stage, {"tokens": most}))
    stage.drain()
    assert tokens(stage, of_session(session)) == (most if spent == "most" else spent, 0)


def test_a_long_job_keeps_its_reservation_until_it_has_ended(stage: Stage) -> None:
    most = need(stage)
    stage.runtime.behaviours["a"] = lambda request: AgentResult("", async_task_uuid="job-1")
    session = stage.start(define(stage, {"tokens": most}))
    stage.drain(until=stage.clock.now().timestamp() + 1)
    assert tokens(stage, of_session(session)) == (0, most)
    usage = {"input_tokens": 1, "output_tokens": 1}
    complete_async_task(stage.app, TENANT, "job-1", result="done", usage=usage)
    stage.drain()
    assert stage.status(session) == "completed"
    assert tokens(stage, of_session(session)) == (2, 0)


def test_a_long_job_that_is_cancelled_may_have_spent_all(stage: Stage) -> None:
    most = need(stage)
    stage.runtime.behaviours["a"] = lambda request: AgentResult("", async_task_uuid="job-2")
    session = stage.start(define(stage, {"tokens": most}))
    stage.drain(until=stage.clock.now().timestamp() + 1)
    cancel_session(stage.app, TENANT, *session.key)
    assert tokens(stage, of_session(session)) == (most, 0)


def test_a_lost_attempt_may_have_spent_all_until_its_late_result_tells(stage: Stage) -> None:
    most = need(stage)

    def late(request: AgentRequest) -> AgentResult:
        if request.attempt == 1:
            stage.clock.advance(stage.app.settings.lease_seconds + 1)
            stage.queue.send([stage.queue.sent[-1]])
            stage.drain()
            assert tokens(stage, of_session(session)) == (most + 4, 0)
        return using(4)(request)

    stage.runtime.behaviours["a"] = late
    session = stage.start(define(stage, {"tokens": 2 * most}))
    stage.drain()
    assert [each.attempt for each in stage.runtime.requests] == [1, 2]
    assert tokens(stage, of_session(session)) == (8, 0)


# Money


PRICE = {"inputMicroUsdPerMillion": 3_000_000, "outputMicroUsdPerMillion": 15_000_000}


@pytest.mark.parametrize(
    ("runtime", "input_tokens", "cost"),
    [
        (MODEL, None, lambda most: 3 * (most - 100) + 15 * 100),
        ({"kind": "bedrock", "model": "m", "max_tokens": 7}, 9, lambda most: 3 * 9 + 15 * 7),
        ({"kind": "agent", "model": "x:m", "max_total_tokens": 10}, 10, lambda most: 3 * 10 + 150),
    ],
)
def test_the_worst_case_in_money_is_exact(
    stage: Stage, runtime: Mapping[str, Any], input_tokens: int | None, cost: Any
) -> None:
    stage.app = replace(stage.app, prices=prices_of({"m": OwnPrice(**PRICE)}))
    tokens = budgets.worst_case(stage.app, AgentRequest(runtime=runtime))
    assert tokens is not None
    if input_tokens is not None:
        tokens = replace(tokens, input=input_tokens)
    assert costs.most(stage.app, runtime, tokens) == cost(tokens.total)


def test_money_is_reserved_and_what_was_used_is_spent(stage: Stage) -> None:
    stage.app = replace(stage.app, prices=prices_of({"m": OwnPrice(**PRICE)}))
    most = 3 * (need(stage) - 100) + 15 * 100
    used = {"input_tokens": 20, "output_tokens": 4, "model": "m", "provider": "p"}
    seen: list[tuple[int, int]] = []

    def answer(request: AgentRequest) -> AgentResult:
        seen.append(money(stage, of_session(session)))
        return AgentResult("ok", used)

    stage.runtime.behaviours["a"] = answer
    session = stage.start(define(stage, {"micro_usd": most}))
    stage.drain()
    assert seen == [(0, most)]
    assert money(stage, of_session(session)) == (3 * 20 + 15 * 4, 0)
    session = stage.start(define(stage, {"micro_usd": most - 1}))
    stage.drain()
    assert (
        f"of {most - 1:,} microUsd, 0 are spent and 0 reserved, and the attempt may need {most:,}."
        in (stage.agent(session.session_uuid, "a").notes or "")
    )


def test_a_model_without_a_price_does_not_fit_a_budget_of_money(stage: Stage) -> None:
    session = stage.start(define(stage, {"micro_usd": 2**53, "tokens": 2**53}))
    stage.drain()
    assert stage.runtime.ran() == []
    assert stage.agent(session.session_uuid, "a").notes == (
        "The budget of the task for one session limits microUsd, and the price of the model 'm' is"
        " not known: set it in ACE_PRICES, or limit tokens alone."
    )


# Calls


@pytest.mark.only_on("dynamodb")  # it counts calls of AWS
def test_an_attempt_with_budgets_makes_two_calls_more_and_one_without_none(stage: Stage) -> None:
    def calls(budget: Mapping[str, Any] | None) -> dict[str, int]:
        session = stage.start(define(stage, budget))
        stage.requests.clear()
        stage.drain()
        assert stage.status(session) == "completed"
        return dict(stage.requests)

    without, of_task = calls(None), calls({"tokens": 10_000})
    with_settings(stage, budgets={"*": {"tokens": 10_000}})
    of_both = calls({"tokens": 10_000})
    assert "TransactWriteItems" not in without
    assert of_task == of_both == {**without, "TransactWriteItems": 2}


# Deaths


def possible(stage: Stage, session: Session) -> set[int]:
    """What may be spent: 1 by each attempt that has ended, and all that a lost one has reserved, if
    it did.
    """
    requests = {each.agent_uuid: each for each in stage.runtime.requests}
    dispatched = {each.run_uuid for each in stage.runtime.requests}
    found = {len(requests)}
    for run in stage.runs(session.session_uuid):
        if run.async_task["status"] == "lost":
            most = budgets.worst_case(stage.app, requests[run.agent_uuid])
            assert most is not None
            more = {each + most.total for each in found}
            found = more if run.run_uuid in dispatched else found | more
    return found


def test_no_reservation_is_lost_or_counted_twice_wherever_a_worker_dies(stage: Stage) -> None:
    most, at = need(stage), 0
    while True:
        at += 1
        stage.renew(behaviours={"a": using(1), "b": using(1)})
        names = stage.define(
            {"a": "", "b": "a"},
            agents={each: {"runtime": MODEL} for each in "ab"},
            budget={"tokens": 4 * most},
        )
        session = stage.start(names)
        with tripping(stage, at) as tripwire:
            stage.drain()
        check_promises(stage, session)
        spent, reserved = tokens(stage, of_session(session))
        assert reserved == 0, at
        assert spent in possible(stage, session), at
        if not tripwire.trips:
            return


def test_an_agent_waits_and_goes_on_wherever_a_worker_dies(stage: Stage) -> None:
    most, at = need(stage), 1 - EVERY
    while True:
        at += EVERY
        stage.renew(behaviours={"a": using(most), "b": using(most)})
        names = define(stage, {"tokens": most, "on_exceeded": "pause"}, "ab")
        session = stage.start(names)
        with tripping(stage, at) as tripwire:
            stage.drain()
            stage.until_it_succeeds(
                lambda: change(stage, names, {"tokens": 5 * most, "on_exceeded": "pause"})  # noqa: B023
            )
            stage.drain()
        stage.clock.advance(stage.app.settings.watch_seconds + 1)
        sweep(stage.app)
        stage.drain()
        check_promises(stage, session)
        spent, reserved = tokens(stage, of_session(session))
        assert reserved == 0
        assert spent <= 5 * most
        if not tripwire.trips:
            return


def test_a_failure_of_an_agent_function_is_not_a_budget(stage: Stage) -> None:
    assert AgentFailure("no").final is False
