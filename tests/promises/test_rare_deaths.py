"""Promises P2–P6 when a process dies at a transition that no other crash test writes."""

import os
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.work import poison
from ai_coordination_engine.runtime_ports import ActionRequest, ActionResult, AgentFailure
from tests.kit.controls import sweep_after
from tests.kit.crashes import Crash, tripping
from tests.kit.promises import check_promises
from tests.kit.shapes import Shape, deaths
from tests.kit.stage import stage_of

EVERY = 1 if os.environ.get("CI") else 4
ACTS = {"action_function": {"module_name": "m", "function_name": "f"}}


def test_before_an_action_function_is_called_again(app: App) -> None:
    stage, called = stage_of(app), set[str]()

    def busy_at_first(request: ActionRequest) -> ActionResult:
        if request.session_uuid not in called:
            called.add(request.session_uuid)
            raise AgentFailure("busy", retryable=True)
        return ActionResult()

    stage.actions.functions["m.f"] = busy_at_first
    assert deaths(stage, Shape({"a": "", "b": "a"}, actions={"a": ACTS}), every=EVERY) > 4


@pytest.mark.parametrize("graph", [{"a": "", "b": "a"}, {"a": ""}])
def test_where_a_message_is_given_up(app: App, graph: Any) -> None:
    """The message is given up again, or the sweep ends what that has begun."""
    stage, point = stage_of(app), 1
    names = stage.define(graph)
    while True:
        stage.renew()
        session = stage.start(names)
        (message,) = stage.queue.waiting
        stage.queue.waiting.clear()
        with tripping(stage, point) as tripwire:
            try:
                poison(stage.app, message.wake, "no luck")
            except Crash:
                tripwire.revive()
                stage.clock.advance(stage.app.settings.lease_seconds + 1)
                poison(stage.app, message.wake, "no luck")
        for _ in range(2):
            stage.drain()
            sweep_after(stage, stage.app.settings.watch_seconds + 1)
        stage.drain()
        check_promises(stage, session, status="failed")
        if not tripwire.trips:
            break
        point += 1
    assert point > 5
