"""What an attempt is given."""

from copy import deepcopy
from dataclasses import replace

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult
from tests.kit.stage import stage_of


@pytest.mark.parametrize("is_default", [False, True])
def test_what_a_function_changes_in_its_runtime_is_not_given_to_the_next_attempt(
    app: App, is_default: bool
) -> None:
    """A definition is parsed once for many attempts; all tenants have one default runtime."""
    stage = stage_of(app)
    runtime = {"kind": "function", "name": "f", "tools": ["one"], "ratio": 1.50}
    own = {} if is_default else {"runtime": runtime}
    default = deepcopy(runtime) if is_default else app.settings.default_runtime
    settings = app.settings.model_copy(update={"default_runtime": default})
    stage.app = replace(stage.app, settings=settings)
    names = stage.define({"a": []}, agents={"a": own})
    given: list[object] = []

    def spoils(request: AgentRequest) -> AgentResult:
        given.append({**request.runtime, "tools": [*request.runtime["tools"]]})
        request.runtime["tools"].append("two")
        return AgentResult("done")

    stage.runtime.behaviours["a"] = spoils
    for _ in range(2):
        stage.start(names)
        stage.drain()
    assert given == [runtime, runtime]
