"""What an attempt is given."""

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.ports import AgentRequest, AgentResult
from tests.kit.stage import stage_of


def test_what_a_function_changes_in_its_runtime_is_not_given_to_the_next_attempt(app: App) -> None:
    """Its definition is parsed once for many attempts."""
    stage = stage_of(app)
    runtime = {"kind": "function", "name": "f", "tools": ["one"], "ratio": 1.50}
    names = stage.define({"a": []}, agents={"a": {"runtime": runtime}})
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
