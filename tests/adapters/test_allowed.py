"""Exceptions of the operator's functions, and checks of the settings before anything runs."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ai_coordination_engine.adapters.action_functions import AllowedActionFunctions
from ai_coordination_engine.adapters.allowed import AllowedFunctions, function_errors
from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.adapters.runtimes.function import FunctionRuntime
from ai_coordination_engine.observability import logger
from ai_coordination_engine.runtime_ports import ActionRequest, AgentFailure
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
        (
            "odd",
            "the action function returned a value that is not valid JSON: TypeError: Object",
            "invalid_output",
        ),
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


CODE = """\
import asyncio
import json

def boom(request):
    def inner():
        return {}["x"]
    return inner()

async def together(request):
    async with asyncio.TaskGroup() as group:
        group.create_task(bad())

async def bad():
    json.loads("{")

class Agent:
    def __call__(self, request):
        exec("1 / 0")

agent = Agent()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The package with an operator's code."""
    (tmp_path / "my_shop").mkdir()
    (tmp_path / "my_shop" / "my_agents.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "my_shop" / "broken.py").write_text("\n{}['x']\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_shop.my_agents"
    for name in [each for each in sys.modules if each.startswith("my_shop")]:
        del sys.modules[name]


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    entries: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = entries.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    yield entries
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("boom", "KeyError: 'x' at my_agents.py:6 in inner"),
        ("agent", "ZeroDivisionError: division by zero at <string>:1 in <module>"),
        (
            "together",
            (
                "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column"
                " 2 (char 1) at my_agents.py:14 in bad"
            ),
        ),
    ],
)
def test_what_was_raised_is_told_with_its_place_and_the_traceback_is_logged(
    place: str, agent_request: Any, log: list[logging.LogRecord], name: str, reason: str
) -> None:
    with pytest.raises(AgentFailure) as failure:
        FunctionRuntime({"f": f"{place}:{name}"}).run(agent_request(runtime={"name": "f"}))
    assert failure.value.message == f"the function 'f' failed: {reason}"
    (entry,) = log
    assert (entry.levelname, entry.getMessage(), entry.exc_info is not None) == (
        "WARNING",
        "a function raised",
        True,
    )


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Speechless(), "f failed: Speechless at test_allowed.py:"),
        (
            FileNotFoundError(2, "No such file", "name\udce9.txt"),
            "f failed: FileNotFoundError: [Errno 2] No such file: ",
        ),
        (OSError("name\udce9"), "f failed: OSError: name? at test_allowed.py:"),
        (AgentFailure("name\udce9"), "name?"),
    ],
)
def test_whatever_is_raised_becomes_words_that_can_be_stored(error: Exception, words: str) -> None:
    with pytest.raises(AgentFailure) as failure, function_errors("f failed"):
        raise error
    assert failure.value.message.startswith(words)
    assert str(failure.value).encode().decode() == failure.value.message


def test_an_action_function_is_told_with_its_place_too(place: str) -> None:
    functions = AllowedActionFunctions(
        {"shop.f": f"{place}:boom", "shop.broken": "my_shop.broken:f"}
    )
    with pytest.raises(AgentFailure) as failure:
        functions.run("shop", "f", REQUEST)
    assert (
        failure.value.message
        == "the action function raised: KeyError: 'x' at my_agents.py:6 in inner"
    )
    with pytest.raises(AgentFailure) as failure:
        functions.run("shop", "broken", REQUEST)
    assert (
        failure.value.message
        == "the action function 'shop.broken' failed: KeyError: 'x' at broken.py:2 in <module>"
    )


def test_of_an_installed_package_the_place_is_where_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agent_request: Any
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "bought.py").write_text(
        "def inner():\n    {}['x']\n\ndef run(request):\n    inner()\n"
    )
    monkeypatch.syspath_prepend(str(packages))
    with pytest.raises(AgentFailure) as failure:
        FunctionRuntime({"f": "bought:run"}).run(agent_request(runtime={"name": "f"}))
    assert failure.value.message == "the function 'f' failed: KeyError: 'x' at bought.py:5 in run"


def test_the_functions_that_do_not_load_are_named_with_the_reason() -> None:
    functions = AllowedFunctions(
        {"good": f"{__name__}:late", "bad": "no_such_package:run"}, {"echo": late}
    )
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
