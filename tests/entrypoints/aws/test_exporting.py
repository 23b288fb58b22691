"""The worker's function writes its metrics at the end of each invocation, before it is frozen."""

import json
import threading
from dataclasses import replace
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from ai_coordination_engine.adapters.message_bodies import body_of
from ai_coordination_engine.adapters.sqs import SqsQueue
from ai_coordination_engine.adapters.telemetry.emf import EmfMeter
from ai_coordination_engine.adapters.telemetry.exports import Exports
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.aws.worker_handler import build_handler
from tests.kit.stage import Stage, stage_of


class Context(LambdaContext):
    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 600_000


@pytest.fixture
def stage(shared_app: App) -> Stage:
    return stage_of(shared_app)


def metrics(lines: list[str]) -> dict[str, Any]:
    written = [json.loads(line) for line in lines]
    names = ("Sessions", "Attempts", "HandOffLatency", "QueueAge")
    return {name: each[name] for each in written for name in names if name in each}


def event(stage: Stage, delay: float, received: int) -> dict[str, Any]:
    (delivery,) = [each for each in [stage.queue.receive()] if each]
    told = {"SentTimestamp": "0", "ApproximateReceiveCount": str(received)}
    record = {"body": body_of(delivery.wake, delay), "messageId": "1", "receiptHandle": "1"}
    return {"Records": [{**record, "attributes": told}]}


@pytest.mark.parametrize(("received", "ages"), [(1, 1), (2, 0)])
def test_each_invocation_writes_what_it_has_measured_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, received: int, ages: int
) -> None:
    lines: list[str] = []
    meter = EmfMeter("svc", lines.append)
    exports = Exports(None, [meter], flushes=[meter.flush])
    monkeypatch.setattr("ai_coordination_engine.entrypoints.deliveries.time", lambda: 10.0)
    queue = SqsQueue(cast(Any, None), "")  # the successor goes on under the same message
    handler = build_handler(replace(stage.app, telemetry=exports, queue=queue))
    stage.start(stage.define({"a": "", "b": "a"}))
    assert handler(event(stage, 7.5, received), Context()) == {"batchItemFailures": []}
    found = metrics(lines)
    assert (found["Sessions"], found["Attempts"]) == ([1.0], [2.0])
    assert len(found["HandOffLatency"]) == 1
    assert found.get("QueueAge", []) == [2.5][:ages]
    lines.clear()
    assert handler({"Records": []}, Context()) == {"batchItemFailures": []}
    assert lines == []


def test_without_anything_to_export_the_handler_is_the_same(stage: Stage) -> None:
    assert build_handler(stage.app).__name__ == "handle"
    assert build_handler(stage.app).__self__.__class__.__name__ == "Worker"  # type: ignore[attr-defined]


def test_an_invocation_does_not_wait_for_a_collector_for_long() -> None:
    answers = threading.Event()
    exports = Exports(None, [], flushes=[answers.wait], closes=[answers.wait])
    exports.flush(0.01)
    exports.close(0.01)
    answers.set()
