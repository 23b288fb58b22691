"""A fake of the port `Telemetry`, and a collector that receives OTLP over HTTP."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ai_coordination_engine.domain.observed import EndedAttempt, EndedSession
from ai_coordination_engine.domain.trace_context import TraceContext
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult

CALLER = TraceContext("b" * 32, "c" * 16, 1, "vendor=x")
TOOLS = [
    {
        "name": "search",
        "started_at": "2027-01-01T00:00:01+00:00",
        "duration_ms": 250,
        "outcome": "completed",
        "arguments": {"q": "a secret question"},
        "result": "a secret answer",
    },
    {"name": "pay", "started_at": "soon", "duration_ms": None, "outcome": "denied"},
]
USAGE = {
    "input_tokens": 12,
    "output_tokens": 5,
    "cached_tokens": 4,
    "requests": 2,
    "model": "small-1",
    "provider": "openai",
    "finish_reason": "stop",
}
ATTEMPT = EndedAttempt(
    tenant="acme",
    session_uuid="s",
    session_agent_uuid="sa",
    coordination_uuid="c",
    agent_uuid="writer",
    agent_name="Writer",
    kind="openai",
    thread_uuid="t",
    run_uuid="r",
    attempt=2,
    status="completed",
    started=1_798_761_600.0,
    ended=1_798_761_602.5,
    caller=CALLER,
    model="small",
    usage=USAGE,
    cost=77,
    tool_calls=TOOLS,
    asks_model=True,
)
SESSION = EndedSession("acme", "s", "c", "t", "failed", 1_798_761_600.0, 1_798_761_610.0, CALLER)
"""An attempt and a session that have ended, with everything that can be exported."""


@dataclass
class FakeTelemetry:
    """Keeps what it is given; samples as it says."""

    flags: int = 1
    attempts: list[EndedAttempt] = field(default_factory=list)
    measured: list[EndedAttempt] = field(default_factory=list)
    learned: list[EndedAttempt] = field(default_factory=list)
    sessions: list[EndedSession] = field(default_factory=list)
    hand_offs: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def root(self, trace_id: str, caller: TraceContext | None) -> TraceContext:
        flags = caller.flags if caller else self.flags
        return TraceContext(trace_id, caller.span_id if caller else "", flags, "own=1")

    def running(self, attempt: TraceContext) -> AbstractContextManager[object]:
        self.ran.append(attempt.span_id)
        return nullcontext()

    def content(self, attempt: TraceContext, request: AgentRequest, result: AgentResult) -> None:
        pass

    def attempt_ended(self, attempt: EndedAttempt) -> None:
        self.attempts.append(attempt)

    def attempt_measured(self, attempt: EndedAttempt, *, usage_alone: bool = False) -> None:
        (self.learned if usage_alone else self.measured).append(attempt)

    def session_ended(self, session: EndedSession) -> None:
        self.sessions.append(session)

    def handed_off(self, seconds: float) -> None:
        self.hand_offs.append(seconds)

    def received(self, seconds: float) -> None:
        self.ages.append(seconds)

    def flush(self, seconds: float) -> None:
        pass

    def close(self, seconds: float) -> None:
        pass


@dataclass
class Collector:
    """What has been received: bodies by path, and the headers of each request."""

    url: str = ""
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def spans(self) -> list[Any]:
        """All spans, in the order in which they came."""
        return [
            span
            for path, body in [*self.bodies]
            if path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def points(self) -> dict[tuple[str, str], list[tuple[dict[str, str], float]]]:
        """The latest points of each metric: by instance of the service and name, labels and value
        (the count, of a histogram).
        """
        found: dict[tuple[str, str], list[tuple[dict[str, str], float]]] = {}
        for path, body in [*self.bodies]:
            if path != "/v1/metrics":
                continue
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                instance = attributes(resource.resource)["service.instance.id"]
                for metric in (each for scope in resource.scope_metrics for each in scope.metrics):
                    sums = [
                        (attributes(p), float(p.as_double or p.as_int))
                        for p in metric.sum.data_points
                    ]
                    counts = [(attributes(p), float(p.count)) for p in metric.histogram.data_points]
                    found[instance, metric.name] = sums + counts
        return found

    def totals(self) -> dict[tuple[str, ...], float]:
        """The sums over all instances: by name and the values of the labels."""
        totals: dict[tuple[str, ...], float] = {}
        for (_, name), points in self.points().items():
            for labels, value in points:
                key = (name, *(labels[each] for each in sorted(labels)))
                totals[key] = totals.get(key, 0) + value
        return totals

    def until(self, is_there: Any, seconds: float = 20) -> None:
        """Wait until what has come is what is waited for."""
        with self.changed:
            assert self.changed.wait_for(is_there, seconds), (len(self.spans()), self.totals())


def attributes(of: Any) -> dict[str, Any]:
    """The attributes of a message of OTLP."""

    def value(any_value: Any) -> Any:
        kind = any_value.WhichOneof("value")
        found = getattr(any_value, kind)
        return [value(each) for each in found.values] if kind == "array_value" else found

    return {each.key: value(each.value) for each in of.attributes}


@contextmanager
def collecting(status: int = 200) -> Iterator[Collector]:
    """Receive OTLP on a free port; answer every request with this status."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.end_headers()
            with collector.changed:
                collector.bodies.append((self.path, body))
                collector.headers.append(dict(self.headers.items()))
                collector.changed.notify_all()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        collector.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
