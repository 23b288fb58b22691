"""Only allowed action functions run, and what they return becomes a decision."""

from typing import Any

import pytest

from ai_coordination_engine.adapters.action_functions import AllowedActionFunctions
from ai_coordination_engine.runtime_ports import ActionRequest, ActionResult, AgentFailure

REQUEST = ActionRequest(
    "acme", "s", "sa", "writer", "Writer", '{"n": 1}', "query", ["left", "right"]
)
RETURNED: dict[str, Any] = {}


def act(request: ActionRequest) -> Any:
    return RETURNED[request.agent_uuid]


def route(request: ActionRequest) -> ActionResult:
    return ActionResult(successors=request.successors[:1])


def breaks(request: ActionRequest) -> Any:
    raise KeyError("colour")


def leaves(request: ActionRequest) -> Any:
    raise SystemExit(3)


def later(request: ActionRequest) -> Any:
    raise AgentFailure("the shop is shut", retryable=True, retry_after=5, error_class="unavailable")


FUNCTIONS = AllowedActionFunctions(
    {
        f"shop.{name}": f"{__name__}:{name}"
        for name in ("act", "route", "breaks", "leaves", "later", "missing")
    }
)


def failure_of(name: str) -> AgentFailure:
    with pytest.raises(AgentFailure) as failure:
        FUNCTIONS.run("shop", name, REQUEST)
    return failure.value


@pytest.mark.parametrize(
    ("returned", "result"),
    [
        (None, ActionResult()),
        ("", ActionResult("")),
        ("text", ActionResult("text")),
        ({"a": [1, None]}, ActionResult('{"a": [1, null]}')),
        (0, ActionResult("0")),
        (ActionResult("x", ["left"]), ActionResult("x", ["left"])),
        (ActionResult(successors=()), ActionResult(None, [])),
        (ActionResult({"a": 1}), ActionResult('{"a": 1}')),  # type: ignore[arg-type]
    ],
)
def test_what_a_function_returns_is_its_decision(
    monkeypatch: pytest.MonkeyPatch, returned: Any, result: ActionResult
) -> None:
    monkeypatch.setitem(RETURNED, "writer", returned)
    assert FUNCTIONS.run("shop", "act", REQUEST) == result


def test_a_function_sees_the_answer_and_who_waits_for_it() -> None:
    assert FUNCTIONS.run("shop", "route", REQUEST) == ActionResult(None, ["left"])


@pytest.mark.parametrize(
    "returned", [object(), float("nan"), ActionResult(successors="left"), b"x", [REQUEST]]
)
def test_what_is_no_json_is_a_failure(monkeypatch: pytest.MonkeyPatch, returned: Any) -> None:
    monkeypatch.setitem(RETURNED, "writer", returned)
    failure = failure_of("act")
    assert failure.message.startswith(
        "the action function returned a value that is not valid JSON: "
    )
    assert failure.error_class == "invalid_output"


@pytest.mark.parametrize(
    ("name", "reason"), [("breaks", "KeyError: 'colour'"), ("leaves", "SystemExit: 3")]
)
def test_what_a_function_raises_is_a_failure(name: str, reason: str) -> None:
    failure = failure_of(name)
    assert failure.message.startswith(
        f"the action function raised: {reason} at test_action_functions.py:"
    )
    assert failure.error_class == "error"
    assert not failure.retryable


def test_a_function_may_say_itself_that_a_retry_makes_sense() -> None:
    failure = failure_of("later")
    assert (failure.message, failure.retryable, failure.retry_after) == (
        "the shop is shut",
        True,
        5,
    )


@pytest.mark.parametrize(
    ("module", "function"), [("os", "system"), ("shop", "other"), ("", ""), (__name__, "act")]
)
def test_nothing_runs_that_is_not_allowed(module: str, function: str) -> None:
    with pytest.raises(AgentFailure, match="is not allowed") as failure:
        FUNCTIONS.run(module, function, REQUEST)
    assert failure.value.error_class == "not_allowed"


def test_a_setting_that_leads_nowhere_is_a_readable_failure() -> None:
    failure = failure_of("missing")
    assert failure.message.startswith("the action function 'shop.missing' failed: AttributeError: ")
    assert failure.error_class == "not_allowed"
