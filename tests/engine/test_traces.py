"""The trace of a session: it continues the caller's, and each attempt passes it on."""

import json
from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.domain.trace_context import attempt_span, trace_id
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.planning.ask import Question, ask
from ai_coordination_engine.engine.planning.fork import fork_session
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.store.models import Session
from tests.kit.fakes import failing
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.telemetry import FakeTelemetry

TRACE, SPAN, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "a" * 32
CALLER = f"00-{TRACE}-{SPAN}-01"
STORED = f"{CALLER} vendor=x"


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def traced(stage: Stage, flags: int = 1) -> Stage:
    return replace(stage, app=replace(stage.app, telemetry=FakeTelemetry(flags)))


def start(stage: Stage, names: tuple[str, str], trace: str | None, **more: Any) -> Session:
    return execute_procedure(stage.app, TENANT, Start(*names, **more), trace=trace)


def sent(stage: Stage) -> list[tuple[str, str]]:
    return [(each.traceparent, each.tracestate) for each in stage.runtime.requests]


def test_without_a_caller_and_without_spans_nothing_is_sent(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    stage.drain()
    assert sent(stage) == [("", "")] * 2
    stored = [*map(vars, stage.agents(session.session_uuid)), vars(stage.session(session))]
    assert all("trace" not in each["item_read"] for each in stored)


def test_a_process_that_exports_no_spans_passes_the_callers_context_on(stage: Stage) -> None:
    start(stage, stage.define({"a": "", "b": "a"}), STORED)
    stage.drain()
    assert sent(stage) == [(CALLER, "vendor=x")] * 2


def test_each_attempt_is_a_span_of_the_callers_trace(stage: Stage) -> None:
    stage = traced(stage)
    stage.runtime.behaviours["b"] = failing("no", times=1, retryable=True)
    session = start(stage, stage.define({"a": "", "b": "a"}), STORED)
    stage.drain()
    uuid = session.session_uuid
    ids = {each.agent_uuid: each.session_agent_uuid for each in stage.agents(uuid)}
    spans = [
        attempt_span(TENANT, uuid, ids[name], int(number)) for name, number in ("a1", "b1", "b2")
    ]
    assert sent(stage) == [(f"00-{TRACE}-{span}-01", "own=1") for span in spans]


@pytest.mark.parametrize("flags", [0, 1])
def test_without_a_caller_the_session_has_a_trace_of_its_own(stage: Stage, flags: int) -> None:
    stage = traced(stage, flags)
    session = start(stage, stage.define({"a": ""}), None)
    stage.drain()
    uuid = session.session_uuid
    span = attempt_span(TENANT, uuid, stage.agent(uuid, "a").session_agent_uuid, 1)
    assert sent(stage) == [(f"00-{trace_id(TENANT, uuid)}-{span}-0{flags}", "own=1")]


def test_a_caller_that_does_not_sample_is_heeded(stage: Stage) -> None:
    stage = traced(stage)
    start(stage, stage.define({"a": ""}), f"00-{TRACE}-{SPAN}-00")
    stage.drain()
    assert [each[-2:] for each, _ in sent(stage)] == ["00"]


def test_a_repeated_start_keeps_the_first_trace(stage: Stage) -> None:
    names = stage.define({"a": ""})
    uuid = start(stage, names, STORED).session_uuid
    again = start(stage, names, f"00-{OTHER}-{SPAN}-01", session_uuid=uuid)
    stage.drain()
    assert (again.trace, sent(stage)) == (STORED, [(CALLER, "vendor=x")])


def test_elements_of_a_map_are_in_the_trace(stage: Stage) -> None:
    stage.runtime.behaviours["a"] = lambda request: json.dumps(["x", "y"])
    start(stage, stage.define({"a": "", "m": "a"}, actions={"m": {"map": {"over": "a"}}}), STORED)
    stage.drain()
    assert sent(stage) == [(CALLER, "vendor=x")] * 3


def test_a_question_is_in_the_trace_of_its_session(stage: Stage) -> None:
    coordination, _ = stage.define({"a": ""})
    asked = ask(stage.app, TENANT, Question(coordination, "Why?", trace=STORED))
    stage.drain()
    again = Question(
        coordination, "And?", session_uuid=asked.session_uuid, trace=f"00-{OTHER}-{SPAN}-01"
    )
    ask(stage.app, TENANT, again)
    stage.drain()
    assert sent(stage) == [(CALLER, "vendor=x")] * 2


@pytest.mark.parametrize("trace", [None, f"00-{OTHER}-{SPAN}-01"])
def test_a_fork_is_in_the_trace_of_who_asked_for_it(stage: Stage, trace: str | None) -> None:
    session = start(stage, stage.define({"a": "", "b": "a"}), STORED)
    stage.drain()
    stage.runtime.requests.clear()
    first = stage.agent(session.session_uuid, "b").session_agent_uuid
    fork_session(stage.app, TENANT, *session.key, from_session_agent_uuid=first, trace=trace)
    stage.drain()
    assert sent(stage) == [(trace or "", "")]
