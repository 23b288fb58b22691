"""What a server and its worker processes export over OTLP, as a collector receives it."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_coordination_engine.adapters.message_bodies import body_of
from ai_coordination_engine.domain import trace_context
from ai_coordination_engine.ports import Wake
from tests.kit.commands import ACE, ENVIRONMENT
from tests.kit.servers import COORDINATION, DIAMOND, ROOT, START, TASK
from tests.kit.telemetry import Collector, attributes, collecting

TRACEPARENT = f"00-{'b' * 32}-{'c' * 16}-01"
SESSIONS = [f"session-{number}" for number in range(8)]
AGENTS = """query($s: String!) { session(coordinationUuid: "c", sessionUuid: $s) {
  status sessionAgents { sessionAgentUuid agentUuid agentOutput } } }"""
ATTEMPTS = ("a1", "b1", "b2", "c1", "d1")  # the first of b fails


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


def variables(collector: Collector) -> dict[str, str]:
    return {
        **ENVIRONMENT,
        "ACE_FUNCTIONS": json.dumps({"traced": "tests.kit.functions:traced"}),
        "ACE_BACKOFF_SECONDS": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret-1,s3cret-2",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_METRIC_EXPORT_INTERVAL": "60000",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }


def ask(url: str, query: str, headers: dict[str, str] | None = None, **given: Any) -> Any:
    body = {"query": query, "variables": given}
    answer = httpx.post(url, json=body, headers=headers, timeout=60).json()
    assert "errors" not in answer, answer
    return answer["data"]


def define(url: str) -> None:
    runtime = {"kind": "function", "name": "traced"}
    ask(url, COORDINATION, agents=[{"agentUuid": each, "runtime": runtime} for each in DIAMOND])
    ask(url, TASK, actions={each: {"predecessors": before} for each, before in DIAMOND.items()})


def expected(url: str, session: str) -> tuple[dict[str, tuple[str, str]], dict[str, Any]]:
    """Each span of a session by its id: the trace and the parent; and the agents' outputs."""
    agents = ask(url, AGENTS, s=session)["session"]["sessionAgents"]
    ids = {each["agentUuid"]: each["sessionAgentUuid"] for each in agents}
    is_first = session == SESSIONS[0]
    trace = "b" * 32 if is_first else trace_context.trace_id("local", session)
    above = trace_context.workflow_span("local", session)
    spans = {above: (trace, "c" * 16 if is_first else "")}
    for name, number in ATTEMPTS:
        own = trace_context.attempt_span("local", session, ids[name], int(number))
        spans[own] = trace, above
        if (name, number) != ("b", "1"):
            spans[trace_context.inner_span(own, "execute_tool", 0)] = trace, own
    return spans, {each["agentUuid"]: each["agentOutput"] for each in agents}


def repeat_messages(data_dir: Path, url: str) -> int:
    """Deliver the messages of a session again."""
    agents = ask(url, AGENTS, s=SESSIONS[1])["session"]["sessionAgents"]
    bodies = [body_of(Wake("local", SESSIONS[1], each["sessionAgentUuid"])) for each in agents]
    with closing(sqlite3.connect(data_dir / "ace.db", timeout=10)) as connection, connection:
        connection.executemany(
            "INSERT INTO messages (tenant, body, sent_at, visible_at) VALUES ('local', ?, 0, 0)",
            [(each,) for each in bodies],
        )
    return len(bodies)


def wait_until_handled(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "ace.db", timeout=10)) as connection:
        while connection.execute("SELECT 1 FROM messages").fetchone():
            threading.Event().wait(0.02)


def test_a_server_and_its_workers_export_one_trace_a_session_and_exact_counts(
    tmp_path: Path, collector: Collector
) -> None:
    command = [*ACE, "serve", "--port", "0", "--data-dir", str(tmp_path), "--workers", "2"]
    log = tmp_path / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables(collector),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout
    try:
        url = next(line.split()[-1] for line in process.stdout if line.startswith("API:"))
        define(url)
        for each in SESSIONS:
            ask(url, START, {"traceparent": TRACEPARENT} if each == SESSIONS[0] else None, s=each)
        count = len(SESSIONS) * 10
        collector.until(lambda: len(collector.spans()) >= count)
        spans: dict[str, tuple[str, str]] = {}
        for each in SESSIONS:
            found, outputs = expected(url, each)
            spans |= found
            own = trace_context.trace_id("local", each) if each != SESSIONS[0] else "b" * 32
            assert {json.loads(text)["trace"] for text in outputs.values()} == {own}
        repeated = repeat_messages(tmp_path, url)
        wait_until_handled(tmp_path)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()
    sent = [
        (s.span_id.hex(), (s.trace_id.hex(), s.parent_span_id.hex())) for s in collector.spans()
    ]
    assert len(sent) == count
    assert dict(sent) == spans
    links = [each for span in collector.spans() for each in span.links]
    assert len(links) == len(SESSIONS)
    assert {attributes(s)["gen_ai.operation.name"] for s in collector.spans()} == {
        "invoke_workflow",
        "invoke_agent",
        "execute_tool",
    }
    check_metrics(collector, repeated)
    said = log.read_text()
    assert "s3cret" not in said
    assert {each["authorization"] for each in collector.headers} == {"Bearer s3cret-1"}
    assert not [path for path, body in collector.bodies if b"content-" in body]


def check_metrics(collector: Collector, repeated: int) -> None:
    totals, most = collector.totals(), len(SESSIONS)
    ages = totals.pop(("ace.queue.age",))
    assert ages >= most + repeated
    assert totals == {
        ("ace.sessions", "completed"): most,
        ("ace.attempts", "completed", "function", "none"): 4 * most,
        ("ace.attempts", "failed", "function", "timeout"): most,
        ("ace.attempt.duration", "completed", "function"): 4 * most,
        ("ace.attempt.duration", "failed", "function"): most,
        ("ace.hand_off.latency",): 3 * most,
        ("ace.tokens", "small", "input"): 4 * 3 * most,
        ("ace.tokens", "small", "output"): 4 * 2 * most,
        ("ace.unpriced", "small"): 4 * most,
    }


WITHOUT_EXTRA = """
import sys
{before}
from ai_coordination_engine.adapters.telemetry.setup import telemetry
from ai_coordination_engine.settings import Settings
print(telemetry(Settings()), "opentelemetry.sdk" in sys.modules)
"""


@pytest.mark.parametrize(
    ("before", "given", "said", "warning"),
    [
        ("", {}, "None False", ""),
        (
            "",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_SDK_DISABLED": "true"},
            "None False",
            "",
        ),
        (
            "sys.modules['opentelemetry.sdk'] = None",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:s3cret@h"},
            "None True",
            "the extra is missing",
        ),
        (
            "",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "None False",
            "must be http/protobuf",
        ),
    ],
)
def test_what_is_not_configured_or_not_installed_is_not_imported(
    before: str, given: dict[str, str], said: str, warning: str
) -> None:
    code = WITHOUT_EXTRA.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == said
    assert len(done.stderr.splitlines()) == bool(warning)
    assert warning in done.stderr
    assert "s3cret" not in done.stderr
