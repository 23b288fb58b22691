"""How an attempt is named to the services that it calls."""

from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.adapters.runtimes.attempts import attempt_headers, payload
from ai_coordination_engine.runtime_ports import AgentRequest


def test_an_attempt_is_named_in_headers_with_its_trace_where_it_has_one() -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    request = AgentRequest(run_uuid="run-1", idempotency_key="operation-1")
    names = {"Idempotency-Key": "operation-1", "X-Ace-Run": "run-1"}
    assert attempt_headers(request) == names
    traced = replace(request, traceparent=traceparent)
    assert attempt_headers(traced) == {**names, "traceparent": traceparent}
    stated = replace(traced, tracestate="a=1")
    assert attempt_headers(stated) == {
        **names,
        "traceparent": traceparent,
        "tracestate": "a=1",
    }


@pytest.mark.parametrize(
    ("runtime", "most", "told"),
    [
        ({}, None, None),
        ({"max_tokens": 9}, None, 9),
        ({"max_tokens": 9}, 7, 7),
        ({}, 7, 7),
        ({"max_tokens": "9"}, None, None),
        ({"max_tokens": -1}, None, None),
    ],
)
def test_a_limit_of_the_output_is_told_with_and_without_a_budget(
    runtime: dict[str, Any], most: int | None, told: int | None
) -> None:
    request = AgentRequest(runtime=runtime, max_tokens=most)
    assert payload(request).get("maxTokens") == told
