"""What foreign code raises, and what is asked of the settings beforehand."""

from typing import Any

import pytest

from ai_coordination_engine.adapters.action_functions import AllowedActionFunctions
from ai_coordination_engine.adapters.allowed import AllowedFunctions
from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.ports import ActionRequest, AgentFailure
from ai_coordination_engine.settings import Settings

REQUEST = ActionRequest("acme", "s", "sa", "writer", "Writer", "text", "query", [])


def late(request: ActionRequest) -> Any:
    raise TimeoutError("the shop is slow")


def busy(request: ActionRequest) -> Any:
    raise AgentFailure("the shop is full", error_class="rate_limit", retry_after=5)


def odd(request: ActionRequest) -> Any:
    return object()


@pytest.mark.parametrize(
    ("name", "message", "error_class"),
    [
        ("late", "the action function raised: TimeoutError: the shop is slow", "timeout"),
        ("busy", "the shop is full", "rate_limit"),
        ("odd", "the action function returned something that is no JSON: TypeError: Object", "invalid_output"),
    ],
)
def test_a_failure_of_an_action_function_whose_class_may_pass_is_tried_again(
    name: str, message: str, error_class: str
) -> None:
    functions = AllowedActionFunctions({f"shop.{name}": f"{__name__}:{name}"})
    with pytest.raises(AgentFailure) as failure:
        functions.run("shop", name, REQUEST)
    assert failure.value.message.startswith(message)
    assert (failure.value.error_class, failure.value.retryable) == (error_class, True)


def test_the_functions_that_do_not_load_are_named_with_the_reason() -> None:
    functions = AllowedFunctions({"good": f"{__name__}:late", "bad": "no_such_package:run"}, {"echo": late})
    assert list(functions.unloadable()) == [
        "'bad' (no_such_package:run) failed: ModuleNotFoundError: No module named 'no_such_package'"
    ]


@pytest.mark.parametrize(
    "runtime",
    [
        {"kind": "function", "name": "nothing"},
        {"kind": "http", "url": "https://elsewhere.example/"},
        {"kind": "openai", "endpoint": "other"},
    ],
)
def test_a_runtime_can_be_asked_beforehand(runtime: dict[str, Any]) -> None:
    registry = RuntimeRegistry(Settings(), None)  # type: ignore[arg-type]
    with pytest.raises(AgentFailure) as failure:
        registry.find(runtime["kind"]).check(runtime)
    assert (failure.value.error_class, failure.value.retryable) == ("not_allowed", False)
