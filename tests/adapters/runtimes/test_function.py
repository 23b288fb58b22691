import asyncio
import contextvars
import re
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from ai_coordination_engine.adapters.allowed import ENTRY_POINT_GROUP, function_errors
from ai_coordination_engine.adapters.runtimes.function import FunctionRuntime
from ai_coordination_engine.observability import logger
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest, AgentResult

Requests = Callable[..., AgentRequest]
AGENTS = Path(__file__).parents[3] / "docs/agents.md"
CORRELATION = contextvars.ContextVar("CORRELATION", default="none")


def shout(request: AgentRequest) -> str:
    return request.input.upper() + "!" * request.runtime.get("marks", 1)


def counted(request: AgentRequest) -> AgentResult:
    return AgentResult(
        "done",
        {"inputTokens": 3, "model": "abacus", "ok": True, "ratio": float("nan"), "x": 10**400},
    )


def returned(request: AgentRequest) -> Any:
    return eval(request.input)  # noqa: S307  the tests' own expressions


async def slept(request: AgentRequest) -> str:
    await asyncio.sleep(float(request.input))
    return "slept"


def correlated(request: AgentRequest) -> str:
    return CORRELATION.get()


def job(request: AgentRequest) -> AgentResult:
    return AgentResult("ignored", async_task_uuid=request.input, heartbeat_seconds=60)


def fails(request: AgentRequest) -> str:
    raise ValueError("the harvest was poor")


def fails_for_now(request: AgentRequest) -> str:
    raise AgentFailure("come back later", retryable=True, retry_after=7)


def is_busy(request: AgentRequest) -> str:
    raise AgentFailure("the shop is full", error_class=request.input)


def exits(request: AgentRequest) -> str:
    sys.exit(3)


def gives_up(request: AgentRequest) -> str:
    raise asyncio.CancelledError


may_end = threading.Event()


def blocks(request: AgentRequest) -> str:
    may_end.wait(10)
    return "too late"


def times_out(request: AgentRequest) -> str:
    raise TimeoutError


not_a_function = 42


def allowed(*names: str) -> FunctionRuntime:
    return FunctionRuntime({name: f"{__name__}:{name}" for name in names})


def failure_of(runtime: FunctionRuntime, request: AgentRequest) -> AgentFailure:
    with pytest.raises(AgentFailure) as failure:
        runtime.run(request)
    return failure.value


@pytest.mark.parametrize(
    ("name", "output"),
    [("echo", "two  words"), ("upper", "TWO  WORDS"), ("word_count", '{"words": 2}')],
)
def test_built_in_functions_need_no_setting(
    agent_request: Requests, name: str, output: str
) -> None:
    runtime = FunctionRuntime({})
    assert runtime.run(agent_request(runtime={"name": name}, input="two  words")) == AgentResult(
        output
    )


def test_the_output_of_answer_is_what_the_person_said(agent_request: Requests) -> None:
    runtime = FunctionRuntime({})
    request = agent_request(
        runtime={"name": "answer"}, input="Answer of the user:\nyes", user_input='{"a": 1.10}\n'
    )
    assert runtime.run(request) == AgentResult('{"a": 1.10}\n')
    failure = failure_of(runtime, agent_request(runtime={"name": "answer"}, user_input=None))
    assert "asks no person: set userInTheLoop" in failure.message
    assert not failure.retryable


def test_an_allowed_function_gets_the_request_with_its_own_settings(
    agent_request: Requests,
) -> None:
    request = agent_request(runtime={"name": "shout", "marks": 3}, input="hey")
    assert allowed("shout").run(request) == AgentResult("HEY!!!")


def test_an_allowed_function_takes_the_place_of_a_built_in_one(agent_request: Requests) -> None:
    runtime = FunctionRuntime({"echo": f"{__name__}:shout"})
    assert runtime.run(agent_request(runtime={"name": "echo"}, input="hey")).output == "HEY!"


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "fails",
        "os:system",
        f"{__name__}:fails",
        "entry_point:fails",
        ["echo"],
        "x" * 5000,
    ],
)
def test_a_record_can_name_nothing_but_an_offered_function(
    agent_request: Requests, name: object
) -> None:
    failure = failure_of(allowed("shout"), agent_request(runtime={"name": name}))
    assert failure.message.endswith(
        "is not offered; `runtime.name` is one of: answer, echo, shout, upper, word_count"
    )
    assert failure.message.startswith(
        "a function without a name" if name is None else "the function "
    )
    assert len(failure.message) < 250
    assert (failure.error_class, failure.retryable) == ("not_allowed", False)


@pytest.mark.parametrize(
    ("expression", "output"),
    [
        ("'plain'", "plain"),
        ("None", ""),
        ("{'a': [1, 'é', None]}", '{"a": [1, "é", null]}'),
        ("False", "false"),
        ("'half \\ud800 pair'", "half ? pair"),
        ("['\\ud800']", '["\\ud800"]'),
    ],
)
def test_what_a_function_returns_becomes_text(
    agent_request: Requests, expression: str, output: str
) -> None:
    request = agent_request(runtime={"name": "returned"}, input=expression)
    assert allowed("returned").run(request) == AgentResult(output)


@pytest.mark.parametrize(("expression", "warnings"), [("None", 1), ("''", 0)])
def test_a_function_that_returns_nothing_is_warned_of(
    agent_request: Requests, monkeypatch: pytest.MonkeyPatch, expression: str, warnings: int
) -> None:
    told: list[str] = []
    monkeypatch.setattr(logger, "warning", lambda message, **_: told.append(message))
    allowed("returned").run(agent_request(runtime={"name": "returned"}, input=expression))
    assert told == ["a function returned None, so its output is empty; return a text"] * warnings


@pytest.mark.parametrize(
    ("expression", "raised"),
    [
        ("object()", "TypeError"),
        ("float('nan')", "NotJSON"),
        ("{(1, 2): 3}", "TypeError"),
        ("b'bytes'", "TypeError"),
        ("(x := [], x.append(x))[0]", "NotJSON"),
    ],
)
def test_what_is_not_json_is_a_failure(
    agent_request: Requests, expression: str, raised: str
) -> None:
    failure = failure_of(
        allowed("returned"), agent_request(runtime={"name": "returned"}, input=expression)
    )
    assert failure.message.startswith(f"the function 'returned' failed: {raised}: ")
    assert failure.message.endswith(", in what it returned")
    assert (failure.error_class, failure.retryable) == ("invalid_output", True)


def test_a_function_may_leave_its_answer_to_a_long_job(agent_request: Requests) -> None:
    result = allowed("job").run(agent_request(runtime={"name": "job"}, input="job-7"))
    assert result == AgentResult("", async_task_uuid="job-7", heartbeat_seconds=60)
    failure = failure_of(allowed("job"), agent_request(runtime={"name": "job"}, input=""))
    assert (
        failure.message
        == "the function 'job' failed: ValueError: asyncTaskUuid must have 1 to 256 bytes,"
        " in what it returned"
    )
    assert failure.error_class == "invalid_output"


def test_usage_is_kept_as_plain_values_under_snake_case_names(agent_request: Requests) -> None:
    result = allowed("counted").run(agent_request(runtime={"name": "counted"}))
    assert result == AgentResult("done", {"input_tokens": 3, "model": "abacus"})


def test_a_coroutine_function_runs_to_its_end(agent_request: Requests) -> None:
    assert (
        allowed("slept").run(agent_request(runtime={"name": "slept"}, input="0.01")).output
        == "slept"
    )


def test_a_function_sees_the_callers_context_variables(agent_request: Requests) -> None:
    token = CORRELATION.set("request-9")
    try:
        assert (
            allowed("correlated").run(agent_request(runtime={"name": "correlated"})).output
            == "request-9"
        )
    finally:
        CORRELATION.reset(token)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fails", "ValueError: the harvest was poor"),
        ("exits", "SystemExit: 3"),
        ("gives_up", "CancelledError"),
    ],
)
def test_an_exception_becomes_a_readable_final_failure(
    agent_request: Requests, name: str, reason: str
) -> None:
    failure = failure_of(allowed(name), agent_request(runtime={"name": name}))
    said = f"the function {name!r} failed: {reason} at test_function.py:LINE in {name}"
    assert (re.sub(":[0-9]+ in", ":LINE in", failure.message), failure.retryable) == (said, False)
    assert failure.error_class == "error"


def test_a_function_may_say_itself_that_a_retry_makes_sense(agent_request: Requests) -> None:
    failure = failure_of(allowed("fails_for_now"), agent_request(runtime={"name": "fails_for_now"}))
    assert (failure.message, failure.retryable, failure.retry_after) == ("come back later", True, 7)


@pytest.mark.parametrize(
    ("error_class", "retryable"),
    [
        ("timeout", True),
        ("rate_limit", True),
        ("unavailable", True),
        ("invalid_output", True),
        ("invalid_request", False),
        ("not_allowed", False),
        ("error", False),
        ("another", False),
    ],
)
def test_the_class_that_a_function_names_says_whether_it_is_tried_again(
    agent_request: Requests, error_class: str, retryable: bool
) -> None:
    failure = failure_of(
        allowed("is_busy"), agent_request(runtime={"name": "is_busy"}, input=error_class)
    )
    assert (failure.message, failure.error_class, failure.retryable) == (
        "the shop is full",
        error_class,
        retryable,
    )


def test_the_function_that_the_readme_shows_says_when_to_come_back(agent_request: Requests) -> None:
    (block,) = re.findall(
        r"```python\n(# my_shop\.py\n.*?)```", AGENTS.read_text(encoding="utf-8"), re.DOTALL
    )
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102
    with (
        pytest.raises(AgentFailure, match=r"^the shop is full$") as failure,
        function_errors("order"),
    ):
        names["order"](agent_request())
    assert (failure.value.error_class, failure.value.retryable, failure.value.retry_after) == (
        "rate_limit",
        True,
        30,
    )


def test_a_timeout_that_a_function_raises_itself_may_pass(agent_request: Requests) -> None:
    failure = failure_of(allowed("times_out"), agent_request(runtime={"name": "times_out"}))
    assert failure.message.startswith(
        "the function 'times_out' failed: TimeoutError at test_function.py:"
    )
    assert (failure.error_class, failure.retryable) == ("timeout", True)


@pytest.mark.parametrize(("name", "text"), [("blocks", ""), ("slept", "10")])
def test_a_function_that_takes_too_long_fails_on_time(
    agent_request: Requests, name: str, text: str
) -> None:
    may_end.clear()
    started = time.monotonic()
    failure = failure_of(
        allowed(name), agent_request(runtime={"name": name}, input=text, timeout_seconds=0.1)
    )
    may_end.set()
    assert time.monotonic() - started < 9, "it waited until the function ended"
    assert failure.message == f"the function {name!r} did not finish within 0.1 s"
    assert (failure.error_class, failure.retryable) == ("timeout", False)


@pytest.mark.parametrize("seconds", [0, -3.5])
def test_no_time_left_starts_nothing(agent_request: Requests, seconds: float) -> None:
    failure = failure_of(
        allowed("exits"), agent_request(runtime={"name": "exits"}, timeout_seconds=seconds)
    )
    assert failure.message == "the function 'exits' did not finish within 0 s"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_package.module:run", "ModuleNotFoundError: No module named 'no_such_package'"),
        (
            f"{__name__}:no_such_function",
            f"AttributeError: module '{__name__}' has no attribute 'no_such_function'",
        ),
        (f"{__name__}:not_a_function", "TypeError: it is set to int, which cannot be called"),
        (
            "entry_point:nobody",
            "LookupError: 0 installed packages provide this entry point; one must",
        ),
    ],
)
def test_a_setting_that_leads_nowhere_is_a_readable_failure(
    agent_request: Requests, target: str, reason: str
) -> None:
    failure = failure_of(
        FunctionRuntime({"broken": target}), agent_request(runtime={"name": "broken"})
    )
    assert failure.message == f"the function 'broken' failed: {reason}"
    assert failure.error_class == "not_allowed"


def test_an_installed_entry_point_runs_only_when_it_is_allowed(
    agent_request: Requests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "shop-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        f"[{ENTRY_POINT_GROUP}]\nprices = {__name__}:shout\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert [point.name for point in entry_points(group=ENTRY_POINT_GROUP)] == ["prices"]

    by_setting = FunctionRuntime({"cost": "entry_point:prices"})
    assert by_setting.run(agent_request(runtime={"name": "cost"}, input="hey")).output == "HEY!"
    failure = failure_of(FunctionRuntime({}), agent_request(runtime={"name": "prices"}))
    assert failure.message.startswith("the function 'prices' is not offered")
