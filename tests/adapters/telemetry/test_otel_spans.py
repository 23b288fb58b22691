"""Spans through the SDK, as a collector receives them."""

import time
from collections.abc import Iterator
from dataclasses import replace
from logging import WARNING, LogRecord
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)

from ai_coordination_engine.adapters.telemetry.contents import Contents
from ai_coordination_engine.adapters.telemetry.exports import Exports
from ai_coordination_engine.adapters.telemetry.otel_spans import OtelSpans
from ai_coordination_engine.adapters.telemetry.otlp import OneWarning
from ai_coordination_engine.domain.trace_context import TraceContext, read, trace_id
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from tests.kit.telemetry import ATTEMPT, CALLER, SESSION, Collector, attributes, collecting

_DEFAULT = ParentBased(ALWAYS_ON)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def exporting(
    collector: Collector, sampler: Sampler = _DEFAULT, contents: Any = None, timeout: float = 5
) -> Exports:
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(collector.url + "/v1/traces", timeout=timeout)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    spans = OtelSpans(provider, contents)
    return Exports(spans, [], flushes=[provider.force_flush], closes=[provider.shutdown])


def sent(exports: Exports, collector: Collector) -> dict[str, ProtoSpan]:
    exports.flush(10)
    exports.close(10)
    found = {each.name: each for each in collector.spans()}
    assert len(found) == len(collector.spans())
    return found


def test_the_spans_of_an_attempt_have_computed_ids_and_the_names_of_the_convention(
    collector: Collector,
) -> None:
    exports = exporting(collector)
    exports.attempt_ended(ATTEMPT)
    exports.session_ended(SESSION)
    spans = sent(exports, collector)
    assert {*spans} == {
        "invoke_agent Writer",
        "chat small",
        "execute_tool search",
        "execute_tool pay",
        "invoke_workflow",
    }
    assert {each.trace_id.hex() for each in spans.values()} == {"b" * 32}
    assert {each.trace_state for each in spans.values()} == {"vendor=x"}
    agent, workflow = spans["invoke_agent Writer"], spans["invoke_workflow"]
    assert (workflow.span_id.hex(), workflow.parent_span_id.hex()) == (SESSION.span_id, "c" * 16)
    assert (agent.span_id.hex(), agent.parent_span_id.hex()) == (ATTEMPT.span_id, SESSION.span_id)
    assert {each.parent_span_id.hex() for name, each in spans.items() if "invoke" not in name} == {
        ATTEMPT.span_id
    }
    assert [each.span_id.hex() for each in agent.links] == [ATTEMPT.earlier_span_id]
    assert (agent.start_time_unix_nano, agent.end_time_unix_nano) == (
        1_798_761_600_000_000_000,
        1_798_761_602_500_000_000,
    )
    assert attributes(agent) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.id": "writer",
        "gen_ai.agent.name": "Writer",
        "gen_ai.conversation.id": "t",
        "ace.tenant": "acme",
        "ace.coordination_uuid": "c",
        "ace.session_uuid": "s",
        "ace.session_agent_uuid": "sa",
        "ace.run_uuid": "r",
        "ace.attempt": 2,
        "ace.attempt.status": "completed",
        "ace.runtime.kind": "openai",
        "ace.cost.micro_usd": 77,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.response.model": "small-1",
        "gen_ai.provider.name": "openai",
        "gen_ai.response.finish_reasons": ["stop"],
    }
    assert attributes(spans["chat small"]) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "small",
        "ace.requests": 2,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.response.model": "small-1",
        "gen_ai.provider.name": "openai",
        "gen_ai.response.finish_reasons": ["stop"],
    }
    assert spans["chat small"].kind == ProtoSpan.SPAN_KIND_CLIENT
    tool, denied = spans["execute_tool search"], spans["execute_tool pay"]
    assert tool.end_time_unix_nano - tool.start_time_unix_nano == 250_000_000
    assert attributes(tool) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "ace.tool.outcome": "completed",
    }
    assert (attributes(denied)["error.type"], denied.status.code) == (
        "denied",
        Status.STATUS_CODE_ERROR,
    )
    assert attributes(workflow)["ace.session.status"] == "failed"
    assert workflow.status.code == Status.STATUS_CODE_ERROR
    assert b"secret" not in collector.bodies[0][1]


def test_content_is_exported_only_where_it_is_asked_for(collector: Collector) -> None:
    exports = exporting(collector, contents=Contents())
    request = AgentRequest(instructions="Be brief.", input="What?")
    context = read(f"00-{'b' * 32}-{ATTEMPT.span_id}-01")
    assert context is not None
    exports.content(context, request, AgentResult("That."))
    exports.attempt_ended(ATTEMPT)
    spans = sent(exports, collector)
    said = attributes(spans["invoke_agent Writer"])
    assert said["gen_ai.input.messages"] == (
        '[{"role": "user", "parts": [{"type": "text", "content": "What?"}]}]'
    )
    assert said["gen_ai.output.messages"] == (
        '[{"role": "assistant", "parts": [{"type": "text", "content": "That."}]}]'
    )
    assert said["gen_ai.system_instructions"] == "Be brief."
    tool = attributes(spans["execute_tool search"])
    assert tool["gen_ai.tool.call.arguments"] == '{"q": "a secret question"}'


def test_contents_that_are_never_exported_are_not_kept_for_ever() -> None:
    contents = Contents()
    for number in range(1_005):
        contents.keep(str(number), AgentRequest(input="x" * 40_000), AgentResult("y"))
    assert contents.take("4") == {}
    assert len(contents.take("5")["gen_ai.input.messages"]) < 33_000


@pytest.mark.parametrize(
    ("sampler", "caller", "is_sampled"),
    [
        (ParentBased(ALWAYS_ON), None, True),
        (ParentBased(ALWAYS_ON), replace(CALLER, flags=0), False),
        (ParentBased(ALWAYS_OFF), None, False),
        (ParentBased(ALWAYS_OFF), CALLER, True),
        (ALWAYS_OFF, CALLER, False),
        (ParentBased(TraceIdRatioBased(0)), None, False),
        (TraceIdRatioBased(1), None, True),
    ],
)
def test_the_sampler_decides_once_for_the_whole_session(
    collector: Collector, sampler: Sampler, caller: TraceContext | None, is_sampled: bool
) -> None:
    exports = exporting(collector, sampler)
    attempt, session = replace(ATTEMPT, caller=caller), replace(SESSION, caller=caller)
    root = exports.root(attempt.trace_id, caller)
    assert root.is_sampled is is_sampled
    exports.attempt_ended(attempt)
    exports.session_ended(session)
    assert len(sent(exports, collector)) == (5 if is_sampled else 0)


def test_a_ratio_samples_the_same_sessions_in_every_process(collector: Collector) -> None:
    one, two = (exporting(collector, ParentBased(TraceIdRatioBased(0.5))) for _ in range(2))
    traces = [trace_id("acme", str(number)) for number in range(400)]
    decided = [one.root(each, None).is_sampled for each in traces]
    assert decided == [two.root(each, None).is_sampled for each in traces]
    assert 150 < sum(decided) < 250
    one.close(1)
    two.close(1)


def test_spans_of_other_instrumentation_are_below_the_attempt(collector: Collector) -> None:
    exports = exporting(collector)
    attempt = TraceContext("b" * 32, "d" * 16, 1)
    with exports.running(attempt):
        inner = trace.get_current_span().get_span_context()
    assert (inner.trace_id, inner.span_id) == (int("b" * 32, 16), int("d" * 16, 16))
    assert not trace.get_current_span().get_span_context().is_valid
    exports.close(1)


def test_a_collector_that_does_not_answer_is_not_waited_for() -> None:
    unreachable = Collector(url="http://127.0.0.1:9")
    exports = exporting(unreachable, timeout=0.1)
    begun = time.process_time()
    for _ in range(100):
        exports.attempt_ended(ATTEMPT)
    exports.flush(0.05)
    exports.close(0.05)
    assert time.process_time() - begun < 5


def test_what_cannot_be_exported_is_logged_and_harms_nothing(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    exports = exporting(collector)
    exports.attempt_ended(replace(ATTEMPT, caller=TraceContext("not hex", "", 1)))
    assert "could not export a span" in caplog.text
    exports.close(1)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionError("Max retries exceeded"), "Connection refused"),
        (ValueError("Invalid URL 'http:/me:s3cret@x'"), "Invalid URL 'http:/***@x'"),
    ],
)
def test_a_collector_that_is_away_is_one_warning(
    caplog: pytest.LogCaptureFixture, error: Exception, reason: str
) -> None:
    if isinstance(error, ConnectionError):
        error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    handler = OneWarning(60)
    for _ in range(3):
        line = ("Transient error %s while exporting %s", (error, "span"), None)
        handler.emit(LogRecord("opentelemetry.exporter.otlp", WARNING, "", 1, *line))
    (warning,) = caplog.records
    assert warning.getMessage() == (
        "traces and metrics do not arrive, and work goes on without: look whether the collector of"
        " OTEL_EXPORTER_OTLP_ENDPOINT runs"
    )
    assert vars(warning)["reason"] == reason


def test_another_line_of_the_libraries_is_passed_on_once(caplog: pytest.LogCaptureFixture) -> None:
    handler = OneWarning(60)
    for name in ("foo", "foo", "bar"):
        line = ("no sampler %s", (name,), None)
        handler.emit(LogRecord("opentelemetry.sdk.trace.sampling", WARNING, "", 1, *line))
    assert caplog.messages == ["no sampler foo", "no sampler bar"]
