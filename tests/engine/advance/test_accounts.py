"""What runs used is counted once, whoever dies when, and without a request of any step."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ai_coordination_engine.domain.accounts import Counts, loaded, total
from ai_coordination_engine.engine.advance.accounts import accounts_of
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.control.controls import cancel_session
from ai_coordination_engine.engine.control.reconcile import sweep
from ai_coordination_engine.engine.control.restart import retry_session
from ai_coordination_engine.engine.planning.ask import Question, ask
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import SESSION, SESSION_RUN
from tests.kit.crashes import tripping
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of

EVERY = 1 if os.environ.get("CI") else 3  # points at which somebody dies
USED = {"input_tokens": 10, "output_tokens": 5, "model": "gpt-4o-mini", "provider": "openai"}
TOKENS: Any = {"runs": 1, "input_tokens": 10, "output_tokens": 5, "tokens_squared": 15**2}
ONCE = Counts(**TOKENS, micro_usd=5, micro_usd_squared=25)  # 4.5, rounded up
FAILED = replace(ONCE, failed_runs=1)


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def asks(request: AgentRequest) -> AgentResult:
    return AgentResult("fine", USED)


def counted(stage: Stage) -> Counts:
    """What the counters of all days say."""
    day, counters = stage.clock.now().date(), stage.app.usage_counters
    days = [(day - timedelta(days=back)).isoformat() for back in range(3)]
    return total(each.counts for day in days for each in counters.of_days(TENANT, day))


def check(stage: Stage, *sessions: Session, before: Counts | None = None) -> Counts:
    """The counters of the days, those of the coordinations and the sessions say what the runs do,
    and `before` of sessions that are not looked at again.
    """
    now, before = [stage.session(each) for each in sessions], before or Counts()
    found = before + total(
        counts for each in now for counts in accounts_of(stage.app, each).values()
    )
    of_sessions = before + total(counts for each in now for counts in loaded(each.counted).values())
    coordinations = {each.coordination_uuid for each in now}
    of_coordinations = total(
        counter.counts
        for each in coordinations
        for counter in stage.app.usage_counters.of_coordination(TENANT, each, None)
    )
    assert (counted(stage), of_sessions, of_coordinations) == (found, found, found)
    return found


def times(counts: Counts, number: int) -> Counts:
    return total([counts] * number)


GRAPHS = {
    "chain": {"a": "", "b": "a"},
    "join": {"a": "", "b": "", "c": ["a", "b"]},
    "sinks": {"a": "", "b": "a", "c": "a"},
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_a_session_is_counted_with_its_end(stage: Stage, graph: Any) -> None:
    stage.runtime.behaviours["a"] = asks  # the others ask no model
    session = stage.start(stage.define(graph))
    stage.drain()
    assert check(stage, session) == ONCE


def test_a_session_that_asks_no_model_makes_no_request_for_it(stage: Stage) -> None:
    names = stage.define({"a": "", "b": "a", "c": "a"})
    stage.start(names)
    stage.requests.clear()
    stage.drain()
    without = dict(stage.requests)
    stage.runtime.behaviours |= dict.fromkeys("abc", asks)
    stage.start(names)
    stage.requests.clear()
    stage.drain()
    more = {
        name: stage.requests[name] - without.get(name, 0)
        for name in stage.requests
        if stage.requests[name] != without.get(name, 0)
    }
    assert sum(more.values()) == 3, more  # once a session: its runs, the day's models, the counters


def test_many_sinks_and_elements_are_counted(stage: Stage) -> None:
    stage.runtime.behaviours |= {"list": lambda _: AgentResult("[1, 2, 3]", USED), "each": asks}
    names = stage.define(
        {"list": "", "each": ["list"]}, actions={"each": {"map": {"over": "list"}}}
    )
    session = stage.start(names)
    stage.drain()
    assert check(stage, session) == times(ONCE, 4)


def test_failed_attempts_count_and_so_do_unknown_prices(stage: Stage) -> None:
    def fails_once(request: AgentRequest) -> AgentResult:
        if request.attempt == 1:
            raise AgentFailure("busy", retryable=True, usage=USED)
        return AgentResult("fine", {**USED, "model": "nobody's"})

    stage.runtime.behaviours["a"] = fails_once
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    unpriced = Counts(**TOKENS, unpriced_runs=1)
    assert check(stage, session) == FAILED + unpriced


def test_a_session_that_fails_is_counted(stage: Stage) -> None:
    def fails(request: AgentRequest) -> AgentResult:
        raise AgentFailure("no", usage=USED)

    stage.runtime.behaviours |= {"a": fails, "b": asks}
    session = stage.start(stage.define({"a": "", "b": "", "c": ["a", "b"]}))
    stage.drain()
    assert stage.status(session) == "failed"
    assert check(stage, session).failed_runs == 1


def test_a_retry_adds_what_is_new(stage: Stage) -> None:
    def fails(request: AgentRequest) -> AgentResult:
        raise AgentFailure("no", usage=USED)

    stage.runtime.behaviours |= {"a": asks, "b": fails}
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    assert check(stage, session) == ONCE + FAILED
    stage.runtime.behaviours["b"] = asks
    retry_session(stage.app, TENANT, session.coordination_uuid, session.session_uuid)
    stage.drain()
    assert check(stage, session) == times(ONCE, 2) + FAILED


def test_a_cancelled_session_counts_what_came_too_late(stage: Stage) -> None:
    def is_cancelled(request: AgentRequest) -> AgentResult:
        cancel_session(stage.app, TENANT, session.coordination_uuid, session.session_uuid)
        return AgentResult("late", USED)

    stage.runtime.behaviours["a"] = is_cancelled
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    assert (stage.status(session), check(stage, session)) == ("cancelled", ONCE)


def swept(stage: Stage) -> None:
    """The sweep looks at what it is asked to look at, until that is nothing."""
    for _ in range(3):
        stage.clock.advance(stage.app.settings.watch_seconds + 1)
        sweep(stage.app)
        stage.drain()


def slow(stage: Stage, answers: Callable[[AgentRequest], AgentResult]) -> Any:
    """A behaviour whose first attempt answers when the second one has completed."""

    def behave(request: AgentRequest) -> AgentResult:
        if request.attempt == 1:
            stage.clock.advance(stage.app.settings.lease_seconds + 1)
            run_step(stage.app, stage.queue.sent[0])
            return answers(request)
        return AgentResult("in time", USED)

    return behave


def fails_late(request: AgentRequest) -> AgentResult:
    raise AgentFailure("too slow", usage=USED)


@pytest.mark.parametrize("answers", [asks, fails_late])
@pytest.mark.parametrize("graph", [{"a": ""}, {"a": "", "b": "a"}], ids=["ended", "open"])
def test_a_result_that_comes_after_its_attempt_was_recorded_as_lost_is_counted(
    stage: Stage, graph: Any, answers: Any
) -> None:
    stage.runtime.behaviours["a"] = slow(stage, answers)
    session = stage.start(stage.define(graph))
    stage.drain()
    check_promises(stage, session)
    assert check(stage, session) == ONCE + FAILED
    lost = next(each for each in stage.runs(session.session_uuid) if each.late)
    assert (lost.async_task["status"], "usage" in lost.async_task) == ("lost", False)


def test_a_late_result_is_counted_where_a_client_has_taken_the_uuid_of_its_run(
    stage: Stage,
) -> None:
    def takes(request: AgentRequest) -> AgentResult:
        key, agent = (request.session_uuid, request.run_uuid), request.session_agent_uuid
        content = {
            "coordination_uuid": session.coordination_uuid,
            "session_agent_uuid": agent,
            "async_task": {"status": "a client's"},
            "updated_by": "ann",
        }
        stage.app.records.create_once(SESSION_RUN, TENANT, key, content, session.key)
        return slow(stage, asks)(request)

    behave = slow(stage, asks)
    stage.runtime.behaviours["a"] = lambda request: (
        takes(request) if request.attempt == 1 else behave(request)
    )
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    assert check(stage, session) == ONCE + FAILED


def whoever_dies(stage: Stage, names: Any, sessions: list[Session]) -> None:
    """At each call in turn a process dies in a new session; the sweep finishes what is left."""
    trips, at = 1, 1
    while trips:
        stage.queue.sent.clear()
        sessions.append(stage.start(names))
        with tripping(stage, at) as tripwire:
            stage.drain()
        trips, at = tripwire.trips, at + EVERY
    assert at > 10
    swept(stage)
    check(stage, *sessions)


def test_a_late_result_is_counted_once_whoever_dies(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = slow(stage, asks)
    whoever_dies(stage, stage.define({"a": ""}), [])


def test_what_came_too_late_for_a_cancelled_session_is_counted_whoever_dies(stage: Stage) -> None:
    sessions = list[Session]()

    def is_cancelled(request: AgentRequest) -> AgentResult:
        cancel_session(stage.app, TENANT, sessions[-1].coordination_uuid, request.session_uuid)
        return AgentResult("late", USED)

    stage.runtime.behaviours["a"] = is_cancelled
    whoever_dies(stage, stage.define({"a": ""}), sessions)


def test_a_session_of_many_accounts_is_counted_whoever_dies(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai_coordination_engine.engine.advance.accounts.AT_ONCE", 1)
    stage.runtime.behaviours |= dict.fromkeys("ab", asks)
    whoever_dies(stage, stage.define({"a": "", "b": "a"}), [])


def test_a_rerun_counts_whole_where_the_runs_before_it_were_deleted(stage: Stage) -> None:
    stage.runtime.behaviours |= {"a": asks, "b": fails_late}
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    before = check(stage, session)
    for run in stage.runs(session.session_uuid):
        guards.delete(stage.app.records, SESSION_RUN, TENANT, run.key)
    stage.runtime.behaviours["b"] = asks
    retry_session(stage.app, TENANT, session.coordination_uuid, session.session_uuid)
    stage.drain()
    assert total(accounts_of(stage.app, stage.session(session)).values()) == ONCE
    of_session = total(loaded(stage.session(session).counted).values())
    assert counted(stage) == of_session == before + ONCE


def test_each_question_is_counted(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = asks
    coordination = stage.define({"a": ""})[0]
    first = ask(stage.app, TENANT, Question(coordination, "When?", agent_uuid="a"))
    stage.drain()
    key = (coordination, first.session_uuid)
    session = stage.looking.get(SESSION, TENANT, key)
    assert check(stage, session) == ONCE
    ask(
        stage.app,
        TENANT,
        Question(coordination, "And?", agent_uuid="a", session_uuid=first.session_uuid),
    )
    stage.drain()
    assert check(stage, session) == times(ONCE, 2)


def test_days_end_at_midnight_in_utc(stage: Stage) -> None:
    def late(request: AgentRequest) -> AgentResult:
        stage.clock.advance(86_400)
        return AgentResult("fine", USED)

    stage.runtime.behaviours |= {"a": asks, "b": late}
    session = stage.start(stage.define({"a": "", "b": "a"}))
    before = stage.clock.now().date().isoformat()
    stage.drain()
    check(stage, session)
    of_day = stage.app.usage_counters.of_days(TENANT, before)
    assert total(each.counts for each in of_day) == ONCE


def test_another_tenant_sees_nothing(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = asks
    session = stage.start(stage.define({"a": ""}))
    stage.drain()
    day = stage.clock.now().date().isoformat()
    assert [*stage.app.usage_counters.of_days("other", day)] == []
    of_coordination = stage.app.usage_counters.of_coordination
    assert [*of_coordination("other", session.coordination_uuid, None)] == []


def test_a_day_counts_a_bounded_number_of_models_by_name(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai_coordination_engine.store.transitions.usage_counters.MOST_MODELS", 2)
    names = iter(["one", "two", "one", "three\n\u202e", "four"])
    stage.runtime.behaviours["a"] = lambda _: AgentResult("fine", {"model": next(names)})
    work = stage.define({"a": ""})
    sessions = [stage.start(work) for _ in range(5)]
    stage.drain()
    check(stage, *sessions)
    day = stage.clock.now().date().isoformat()
    found = {each.model: each.runs for each in stage.app.usage_counters.of_days(TENANT, day)}
    assert found == {"one": 2, "two": 1, "other": 2}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_nothing_is_lost_or_counted_twice_when_a_worker_dies(stage: Stage, graph: Any) -> None:
    names, sessions, at, trips = stage.define(graph), list[Session](), 1, 1
    stage.runtime.behaviours |= dict.fromkeys("abc", asks)
    before = Counts()
    while trips:
        session = stage.start(names)
        with tripping(stage, at) as tripwire:
            stage.drain()
        trips, at = tripwire.trips, at + EVERY
        sessions.append(session)
        ended = [each for each in stage.runs(session.session_uuid) if each.async_task.get("usage")]
        found = check(stage, session, before=before)
        assert found.runs - before.runs >= len(ended) >= len(graph)
        before = found
    assert at > 20
    assert check(stage, *sessions) == before
