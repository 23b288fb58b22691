"""Measurements: one table, two outputs, and a bounded number of time series."""

import json
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from ai_coordination_engine.adapters.telemetry.emf import EmfMeter
from ai_coordination_engine.adapters.telemetry.exports import Exports
from ai_coordination_engine.adapters.telemetry.making import made
from ai_coordination_engine.adapters.telemetry.otel_meter import OtelMeter
from ai_coordination_engine.domain.instruments import INSTRUMENTS, MOST_VALUES
from ai_coordination_engine.settings import OtelVariables, Settings
from tests.kit.telemetry import ATTEMPT, SESSION


def feed(exports: Exports) -> None:
    exports.attempt_measured(ATTEMPT)
    exports.attempt_measured(
        replace(ATTEMPT, status="failed", error_class="timeout", usage={}, cost=None)
    )
    exports.attempt_measured(replace(ATTEMPT, kind="http", usage={"model": "new"}, cost=None))
    exports.session_ended(SESSION)
    exports.session_ended(replace(SESSION, status="completed"))
    exports.handed_off(0.25)
    exports.received(-1.0)  # clocks differ


def test_cloudwatch_reads_one_line_for_each_set_of_labels() -> None:
    lines: list[str] = []
    meter = EmfMeter("svc", lines.append)
    feed(Exports(None, [meter], flushes=[meter.flush]))
    assert lines == []
    meter.flush()
    meter.flush()
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for line in map(json.loads, lines):
        (said,) = line.pop("_aws")["CloudWatchMetrics"]
        (dimensions,) = said["Dimensions"]
        assert said["Namespace"] == "AICoordinationEngine"
        names = tuple(line[each] for each in dimensions if each != "service")
        found[names] = {
            each["Name"]: (line[each["Name"]], each["Unit"]) for each in said["Metrics"]
        }
    assert found == {
        ("openai", "completed", "none"): {"Attempts": ([1.0], "Count")},
        ("openai", "failed", "timeout"): {"Attempts": ([1.0], "Count")},
        ("http", "completed", "none"): {"Attempts": ([1.0], "Count")},
        ("openai", "completed"): {"AttemptDuration": ([2.5], "Seconds")},
        ("openai", "failed"): {"AttemptDuration": ([2.5], "Seconds")},
        ("http", "completed"): {"AttemptDuration": ([2.5], "Seconds")},
        ("small-1", "input"): {"Tokens": ([12.0], "Count")},
        ("small-1", "output"): {"Tokens": ([5.0], "Count")},
        ("new",): {"Unpriced": ([1.0], "Count")},
        ("small-1",): {"CostMicroUsd": ([77.0], "Count")},
        ("failed",): {"Sessions": ([1.0], "Count")},
        ("completed",): {"Sessions": ([1.0], "Count")},
        (): {"HandOffLatency": ([0.25], "Seconds"), "QueueAge": ([0.0], "Seconds")},
    }


def test_counts_add_up_and_many_values_take_several_lines() -> None:
    lines: list[str] = []
    meter = EmfMeter("svc", lines.append)
    exports = Exports(None, [meter], flushes=[meter.flush])
    for _ in range(250):
        exports.handed_off(0.5)
        exports.session_ended(SESSION)
    meter.flush()
    found = [json.loads(line) for line in lines]
    assert [len(each["HandOffLatency"]) for each in found if "HandOffLatency" in each] == [
        99,
        99,
        52,
    ]
    assert [each["Sessions"] for each in found if "Sessions" in each] == [[250.0]]


def test_otlp_has_the_same_from_the_same_table() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    feed(Exports(None, [OtelMeter(provider)]))
    data = reader.get_metrics_data()
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    found = {
        each.name: [(dict(p.attributes), p) for p in each.data.data_points]
        for each in scope.metrics
    }
    assert {*found} == {each.name for each in INSTRUMENTS}
    assert {each.name: each.unit for each in scope.metrics} == {
        each.name: each.unit for each in INSTRUMENTS
    }
    assert [(labels, point.value) for labels, point in found["ace.tokens"]] == [
        ({"gen_ai.response.model": "small-1", "gen_ai.token.type": "input"}, 12),
        ({"gen_ai.response.model": "small-1", "gen_ai.token.type": "output"}, 5),
    ]
    ((_, hand_off),) = found["ace.hand_off.latency"]
    assert (hand_off.count, hand_off.sum) == (1, 0.25)
    for row in INSTRUMENTS:
        assert all({*labels} == {*row.labels} for labels, _ in found[row.name])


@pytest.mark.parametrize("by_tenant", [False, True])
def test_models_and_tenants_are_bounded(by_tenant: bool) -> None:
    lines: list[str] = []
    meter = EmfMeter("svc", lines.append)
    exports = Exports(None, [meter], by_tenant=by_tenant)
    for number in range(MOST_VALUES + 20):
        model, tenant = f"model-{number}", f"tenant-{number}"
        exports.attempt_measured(replace(ATTEMPT, tenant=tenant, usage={"model": model}, cost=1))
    meter.flush()
    costs = [json.loads(line) for line in lines if "CostMicroUsd" in line]
    assert len({each["ResponseModel"] for each in costs}) == MOST_VALUES + 1
    assert {each["ResponseModel"]: each["CostMicroUsd"] for each in costs}["other"] == [20.0]
    tenants = {each.get("Tenant") for each in costs}
    assert len(tenants) == (MOST_VALUES + 1 if by_tenant else 1)


def test_usage_that_is_known_late_is_measured_without_its_attempt_again() -> None:
    lines: list[str] = []
    meter = EmfMeter("svc", lines.append)
    Exports(None, [meter]).attempt_measured(ATTEMPT, usage_alone=True)
    meter.flush()
    found = [json.loads(line) for line in lines]
    names = {name for each in found for name in each if name[0].isupper()}
    assert names == {"CostMicroUsd", "Tokens", "ResponseModel", "TokenType"}
    assert [each["CostMicroUsd"] for each in found if "CostMicroUsd" in each] == [[77.0]]


def test_a_variable_with_a_wrong_value_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "-1")
    variables = OtelVariables(
        traces=False, metrics=True, protocol="http/protobuf", disabled=False, captures_content=False
    )
    assert made(Settings(), variables, is_configured=False) is None
    (warning,) = caplog.records
    assert warning.getMessage() == (
        "not all is exported: look at the variables OTEL_… and correct the one with this value"
    )
    assert vars(warning)["reason"].startswith("interval value -1.0 is invalid and needs")
