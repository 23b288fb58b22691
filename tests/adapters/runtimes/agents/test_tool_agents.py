"""Agents that call tools: the library's scripted model, and a real MCP server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_ai.exceptions import (
    ModelConnectionError,
    ModelHTTPError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    UnexpectedModelBehavior,
)

from ai_coordination_engine.adapters.runtimes.agent import ToolAgentRuntime
from ai_coordination_engine.runtime_ports import (
    AgentFailure,
    AgentRequest,
    AgentResult,
    Message,
    Resumed,
)
from ai_coordination_engine.settings import Settings
from tests.kit import tool_agents as kit
from tests.kit.fakes import FakeSecrets
from tests.kit.tool_agents import MODEL, TOOLS, script

Requests = Callable[..., AgentRequest]
ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def fresh() -> None:
    script.play()
    for each in (kit.seen, kit.ordered, kit.requests, kit.begin):
        each.clear()  # type: ignore[attr-defined]


def settings_of(**given: Any) -> Settings:
    models = {MODEL: {"factory": "tests.kit.tool_agents:model"}}
    return Settings(**{"agent_models": models, "tools": TOOLS, "auth": "local", **given})


def runtime_of(**given: Any) -> ToolAgentRuntime:
    return ToolAgentRuntime(settings_of(**given), FakeSecrets(token="Bearer s3cret"))


@pytest.fixture
def asking(agent_request: Requests) -> Requests:
    """A request to an agent whose record has these keys."""

    def make(request: dict[str, Any] | None = None, **runtime: Any) -> AgentRequest:
        kind = {"kind": "agent", "model": MODEL, "tools": [*TOOLS], **runtime}
        return agent_request(runtime=kind, **(request or {}))

    return make


def failure_of(runtime: ToolAgentRuntime, request: AgentRequest) -> AgentFailure:
    with pytest.raises(AgentFailure) as caught:
        runtime.run(request)
    return caught.value


def calls(result: AgentResult | AgentFailure) -> list[tuple[str, str, Any, Any]]:
    return [
        (call["name"], call["outcome"], call["arguments"], call["result"])
        for call in result.tool_calls
    ]


def test_a_text_without_tools(asking: Requests) -> None:
    script.play("hello")
    result = runtime_of().run(asking(tools=[]))
    assert result.output == "hello"
    assert result.usage == {
        "input_tokens": 10,
        "output_tokens": 2,
        "total_tokens": 12,
        "cached_tokens": 4,
        "requests": 1,
        "model": "scripted",
    }
    assert script.offered == [[]]


def test_tools_are_called_and_recorded_in_order(asking: Requests) -> None:
    script.play([("add", {"a": 1, "b": 2}), ("shout", {"text": "hi"})], "done")
    result = runtime_of().run(asking())
    assert result.output == "done"
    assert sorted(calls(result)) == [
        ("add", "completed", {"a": 1, "b": 2}, 3),
        ("shout", "completed", {"text": "hi"}, "HI"),
    ]
    assert all(call["duration_ms"] >= 0 and call["started_at"] for call in result.tool_calls)
    assert (result.usage["requests"], result.usage["tool_calls"]) == (2, 2)
    assert {name for name, _, _ in script.returns()} == {"add", "shout"}


def test_a_tool_that_is_loaded_anew_is_called_with_its_new_schema(asking: Requests) -> None:
    def add(a: int, b: int, c: int) -> int:
        return a * b * c

    new: Any = {"add": add}
    runtime = runtime_of()
    for given, sum_ in (({"a": 2, "b": 3}, 5), ({"a": 2, "b": 3, "c": 4}, 24)):
        script.play([("add", given)], "done")
        assert calls(runtime.run(asking())) == [("add", "completed", given, sum_)]
        runtime.functions.replace(new)


def test_a_tool_gets_the_context_and_a_key_of_its_call(asking: Requests) -> None:
    keys = []
    for run, item in (("run-1", "tea"), ("run-2", "tea"), ("run-3", "milk")):
        script.play([("order", {"item": item}), ("order", {"item": item})], "done")
        trace = {"run_uuid": run, "traceparent": "00-1-2-01"}
        runtime_of().run(asking(trace))
        keys.append([each.idempotency_key for each in kit.seen[-2:]])
    first = kit.seen[0]
    assert (first.tenant, first.session_uuid, first.run_uuid, first.traceparent) == (
        "acme",
        "session-1",
        "run-1",
        "00-1-2-01",
    )
    assert keys[0] == keys[1]  # a later attempt that repeats the calls
    assert len({*keys[0], *keys[2]}) == 4  # equal calls of one attempt differ, other calls too


def test_a_tool_that_fails_is_told_to_the_model(asking: Requests) -> None:
    script.play([("broken", {"text": "x"})], "sorry")
    result = runtime_of().run(asking())
    reason = "ValueError: cannot read x at tool_agents.py:"
    assert result.output == "sorry"
    ((name, outcome, arguments, said),) = calls(result)
    assert (name, outcome, arguments) == ("broken", "failed", {"text": "x"})
    assert said.startswith(reason)
    ((_, content, told),) = script.returns()
    assert reason in content
    assert told == "failed"


def test_a_tool_may_end_the_attempt(asking: Requests) -> None:
    script.play([("stopping", {})])
    failure = failure_of(runtime_of(), asking())
    assert (failure.message, failure.error_class, failure.retryable) == (
        "the shop is closed",
        "unavailable",
        True,
    )
    assert failure.usage["requests"] == 1
    assert calls(failure) == [("stopping", "failed", {}, "the shop is closed")]


def test_only_the_tools_of_the_record_are_offered(asking: Requests) -> None:
    script.play("hello")
    runtime_of().run(asking(tools=["add"]))
    assert script.offered == [["add"]]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"tools": ["rm"]}, "the tool 'rm' is not offered; it is one of: add, broken"),
        (
            {"tools": ["mcp:x"]},
            "the MCP server 'x' is not offered; it is one of: none; see ACE_MCP_SERVERS",
        ),
        (
            {"tools": ["ad"]},
            "the tool 'ad' is not offered; did you mean \"add\"? it is one of: add",
        ),
        ({"tools": [{"name": "add", "aproval": "USER"}]}, "a tool in `runtime.tools` has no key"),
        ({"tools": "add"}, "`runtime.tools` must be a list of names"),
        ({"tools": [{"name": "add", "approval": "NO"}]}, "the `approval` of a tool"),
        ({"tools": [{"name": "add", "url": "x"}]}, "a tool in `runtime.tools` has no key 'url'"),
        ({"tools": [7]}, "a tool in `runtime.tools` is a name"),
        ({"model": "openai:gpt-5"}, "the model 'openai:gpt-5' is not allowed; `runtime.model` is"),
        ({"model": None}, "the model None is not allowed"),
        ({"endpoint": "x"}, "the model endpoint 'x' is not configured; configured: none"),
        ({"max_requests": 0}, "`runtime.max_requests` must be a whole number of at least 1"),
        ({"max_total_tokens": "9"}, "`runtime.max_total_tokens` must be a whole number"),
        ({"output_mode": "x"}, "`runtime.output_mode` is one of: tool, native, prompted"),
        ({"output_schema": {"type": "string"}}, "`runtime.output_schema` must have the type"),
        ({"output_schema": {"type": "x"}}, "`runtime.output_schema`: it is not a JSON Schema"),
    ],
)
def test_what_the_settings_do_not_allow_is_refused_before_anything_runs(
    asking: Requests, record: dict[str, Any], message: str
) -> None:
    failure = failure_of(runtime_of(), asking(**record))
    assert failure.message.startswith(message)
    assert failure.error_class in ("not_allowed", "invalid_request")
    assert script.asked == []


def test_a_pattern_allows_the_models_of_a_provider() -> None:
    runtime = runtime_of(agent_models={"openai:*": {}, "anthropic:claude-x": {}})
    for model in ("openai:gpt-5", "anthropic:claude-x"):
        runtime.check({"kind": "agent", "model": model})
    for model in ("openai", "anthropic:claude-y", "*"):
        with pytest.raises(AgentFailure):
            runtime.check({"kind": "agent", "model": model})


def test_a_command_is_refused_where_there_is_a_queue_of_aws() -> None:
    servers = {"files": {"command": "python"}}
    runtime = runtime_of(mcp_servers=servers, queue_url="https://sqs.example/1/q")
    with pytest.raises(AgentFailure, match="runs on one machine only"):
        runtime.check({"kind": "agent", "model": MODEL, "tools": ["mcp:files"]})


def test_a_structured_output_conforms_to_its_schema(asking: Requests) -> None:
    schema = {
        "type": "object",
        "properties": {"size": {"type": "integer"}},
        "required": ["size"],
    }
    script.play([("final_result", {"size": "big"})], [("final_result", {"size": 3})])
    result = runtime_of().run(asking(output_schema=schema, tools=[]))
    assert result.output == '{"size": 3}'
    assert result.usage["requests"] == 2


def test_the_thread_comes_before_the_input(asking: Requests) -> None:
    script.play("hello")
    thread = [Message("user", "one"), Message("assistant", "two")]
    runtime_of().run(asking({"thread": thread, "instructions": "Be brief."}))
    (messages,) = script.asked
    assert [part.content for each in messages for part in each.parts] == [
        "one",
        "two",
        "Write a line.",
    ]
    assert messages[-1].instructions == "Be brief."  # type: ignore[union-attr]


def test_limits_end_an_attempt_with_what_it_has_used(asking: Requests) -> None:
    again = [("add", {"a": 1, "b": 2})]
    script.play(again, again, again)
    failure = failure_of(runtime_of(), asking(max_requests=2))
    assert "request_limit of 2" in failure.message
    assert (failure.error_class, failure.retryable) == ("error", False)
    assert (failure.usage["requests"], failure.usage["tool_calls"]) == (2, 2)
    script.play(again, again, again)
    assert "tool_calls_limit" in failure_of(runtime_of(), asking(max_tool_calls=1)).message
    script.play(again, again)
    assert "tokens_limit" in failure_of(runtime_of(agent_max_tokens=11), asking()).message


def test_where_a_budget_applies_no_request_may_exceed_what_it_has_reserved(
    asking: Requests,
) -> None:
    limits: list[Any] = []

    def settings(turn: Any) -> Callable[..., Any]:
        def answer(messages: Any, info: Any) -> Any:
            limits.append(info.model_settings["max_tokens"])
            return turn

        return answer

    def run(most: int, **runtime: Any) -> AgentFailure | None:
        limits.clear()
        script.play(settings([("add", {"a": 1, "b": 2})]), settings("three"))
        request = asking({"max_tokens": 40}, max_total_tokens=most, **runtime)
        try:
            runtime_of().run(request)
        except AgentFailure as failure:
            return failure
        return None

    assert run(100_000) is None
    assert limits == [40, 40]
    assert run(100_000, max_tokens=7) is None
    assert limits == [7, 7]
    failure = run(1_000)  # less than its tools alone may come to
    assert limits == []
    assert failure is not None
    assert "may exceed the total_tokens_limit of 1000" in failure.message
    assert (failure.error_class, failure.usage) == ("error", {})


@pytest.mark.parametrize(
    ("most", "runtime", "sent"),
    [
        (40, {}, 40),
        (40, {"max_tokens": 7}, 7),
        (40, {"max_tokens": 900}, 40),
        (None, {"max_tokens": 9}, 9),
        (None, {}, None),
    ],
)
def test_what_a_budget_has_reserved_is_in_the_body_of_the_request(
    server: Any, asking: Requests, most: int | None, runtime: dict[str, Any], sent: int | None
) -> None:
    provider = "openai" if sent == 7 else None  # other servers may know the old name only
    message = {"role": "assistant", "content": "hi"}
    server.answers(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }
    )
    endpoint = {"base_url": f"{server.url}/v1", "model": "m", "provider": provider}
    named = {"model": None, "endpoint": "e", "tools": [], **runtime}
    request = asking({"max_tokens": most}, **named)
    assert runtime_of(openai_endpoints={"e": endpoint}).run(request).output == "hi"
    (received,) = server.received
    body = received.json()
    names = ("max_completion_tokens", "max_tokens")[:: 1 if provider else -1]
    assert [body.get(name) for name in names] == [sent, None]


def test_what_was_counted_is_not_estimated_again(asking: Requests) -> None:
    inputs: list[int] = []

    def look(turn: Any) -> Callable[..., Any]:
        def answer(messages: Any, info: Any) -> Any:
            inputs.append(100_000 - info.model_settings["max_tokens"])
            return turn

        return answer

    script.play(look([("add", {"a": 1, "b": 2})]), look("three"))
    runtime_of().run(asking({"max_tokens": 200_000}, max_total_tokens=100_000))
    first, second = inputs
    assert first > 1_000  # the schemas of the tools, in bytes
    assert 24 < second < 24 + 1_000  # 12 tokens are spent, and come again; and the tool's answer


@pytest.mark.parametrize(
    ("error", "error_class", "retryable", "retry_after"),
    [
        (
            ModelHTTPError.for_category(
                ModelRateLimitError, status_code=429, model_name="m", headers={"retry-after": "7"}
            ),
            "rate_limit",
            True,
            7,
        ),
        (ModelHTTPError(503, "m"), "unavailable", True, None),
        (ModelHTTPError(401, "m"), "not_allowed", False, None),
        (ModelHTTPError(400, "m"), "invalid_request", False, None),
        (UnexpectedModelBehavior("nonsense"), "invalid_output", True, None),
    ],
)
def test_the_errors_of_a_provider_have_their_class(
    asking: Requests, error: Exception, error_class: str, retryable: bool, retry_after: float | None
) -> None:
    script.play([("add", {"a": 1, "b": 2})], error)
    failure = failure_of(runtime_of(), asking())
    assert (failure.error_class, failure.retryable, failure.retry_after) == (
        error_class,
        retryable,
        retry_after,
    )
    assert failure.message.startswith(f"the model '{MODEL}': ")
    assert failure.usage["requests"] == 1
    assert [call["name"] for call in failure.tool_calls] == ["add"]


def test_a_model_that_cannot_be_reached_says_it_with_the_words_of_the_system(
    asking: Requests,
) -> None:
    error = ModelConnectionError("m", "Connection error.")
    error.__cause__ = ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)")
    script.play(error)
    failure = failure_of(runtime_of(), asking())
    assert failure.message == f"the model '{MODEL}' cannot be reached: Connection refused"
    assert (failure.error_class, failure.retryable) == ("unavailable", True)


def test_a_model_without_a_key_says_where_to_set_one(
    asking: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    runtime = runtime_of(agent_models={"openai:*": {}})
    failure = failure_of(runtime, asking(model="openai:gpt-5"))
    assert failure.message == (
        "the model 'openai:gpt-5' has no key: set `api_key_secret` in ACE_AGENT_MODELS, or"
        " OPENAI_API_KEY in the environment of the workers"
    )
    assert (failure.error_class, failure.retryable) == ("not_allowed", False)


def test_a_key_is_in_no_message(asking: Requests) -> None:
    models = {
        MODEL: {"factory": "tests.kit.tool_agents:model", "api_key": SecretStr("sk-12345678")}
    }
    script.play(UnexpectedModelBehavior("bad key sk-12345678"))
    failure = failure_of(runtime_of(agent_models=models), asking())
    assert "sk-12345678" not in failure.message
    assert "***" in failure.message


def test_an_attempt_ends_at_its_timeout(asking: Requests) -> None:
    import time

    script.play(lambda messages, info: time.sleep(0.3) or "late")
    failure = failure_of(runtime_of(), asking({"timeout_seconds": 0.1}))
    assert failure.error_class == "timeout"


def test_the_text_streams_to_who_watches(asking: Requests) -> None:
    parts: list[str] = []
    models = {"streams:one": {"factory": "tests.kit.tool_agents:streaming_model"}}
    runtime = runtime_of(agent_models=models)
    result = runtime.run(asking({"on_delta": parts.append}, model="streams:one"))
    assert (result.output, parts) == ("hello you", ["hello", " you"])


REJECTED = ModelHTTPError(400, "m", "no such tool")
REFUSES = ModelHTTPError.for_category(
    ModelRequestRejectedError,
    status_code=400,
    model_name="m",
    body={"message": "Your organization must be verified to Stream this model."},
)


@pytest.mark.parametrize(
    "error", [None, REFUSES, ModelHTTPError(400, "m", "no streaming"), NotImplementedError()]
)
def test_a_model_that_cannot_stream_answers_who_watches_too(
    asking: Requests, error: Exception | None
) -> None:
    """Also a model class without streams (the error is None) and a provider that refuses them."""
    turns = [("add", {"a": 1, "b": 2})], "three"
    script.play(*turns)
    unwatched = runtime_of().run(asking())
    models = {MODEL: {"factory": "tests.kit.tool_agents:" + ("refusing" if error else "model")}}
    parts: list[str] = []
    kit.refusals[:] = [error] * 2 if error else []
    script.play(*turns)
    result = runtime_of(agent_models=models).run(asking({"on_delta": parts.append}))
    assert (result.output, parts, result.usage) == ("three", ["three"], unwatched.usage)
    assert (calls(result), kit.refusals) == (calls(unwatched), [])


@pytest.mark.parametrize("error", [ModelHTTPError(429, "m", "too many streams"), REJECTED])
def test_other_errors_of_a_stream_are_those_of_the_attempt(
    asking: Requests, error: Exception
) -> None:
    models = {MODEL: {"factory": "tests.kit.tool_agents:refusing"}}
    kit.refusals[:] = [error]
    assert (
        str(error)
        in failure_of(runtime_of(agent_models=models), asking({"on_delta": print})).message
    )
    assert script.asked == []


# Approvals


APPROVED = {**TOOLS, "order": {"function": TOOLS["order"], "approval": "USER"}}


def asked(runtime: ToolAgentRuntime, asking: Requests, *turns: Any, **record: Any) -> AgentResult:
    script.play(*turns)
    result = runtime.run(asking(**record))
    assert result.question is not None
    return result


def resume(
    runtime: ToolAgentRuntime,
    asking: Requests,
    result: AgentResult,
    answer: str,
    *turns: Any,
    attempt: int = 2,
    **record: Any,
) -> AgentResult:
    assert result.question is not None
    script.play(*turns)
    resumed = Resumed(result.question.state, answer)
    return runtime.run(asking({"resumed": resumed, "attempt": attempt}, **record))


def test_a_call_is_made_when_a_person_has_allowed_it(asking: Requests) -> None:
    runtime = runtime_of(tools=APPROVED)
    result = asked(runtime, asking, [("add", {"a": 1, "b": 2}), ("order", {"item": "tea"})])
    question = result.question
    assert question is not None
    assert question.text == (
        'The agent wants to call:\n1. order({"item": "tea"})\nAnswer yes, or why not.'
    )
    assert question.details == {
        "calls": [{"id": "call-1-1", "tool": "order", "arguments": {"item": "tea"}}]
    }
    assert (kit.ordered, result.output) == ([], "")
    assert sorted(each[:2] for each in calls(result)) == [("add", "completed"), ("order", "asked")]
    assert result.usage["requests"] == 1
    after = resume(runtime, asking, result, "yes", "done")
    assert (after.output, kit.ordered) == ("done", ["tea"])
    assert calls(after) == [("order", "completed", {"item": "tea"}, "ordered tea")]
    assert after.usage["requests"] == 1  # the model was not asked again for what it had answered
    assert sorted(script.returns()) == [
        ("add", 3, "success"),
        ("order", "ordered tea", "success"),
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("too expensive", "The user did not allow this call: too expensive"),
        ("no", "The user did not allow this call: no"),
        ("false", "The user did not allow this call."),
        ('{"approved": false, "reason": "not today"}', "not today"),
        ('{"1": "not today"}', "The user did not allow this call: not today"),
    ],
)
def test_a_denial_goes_to_the_model_with_its_reason(
    asking: Requests, answer: str, reason: str
) -> None:
    runtime = runtime_of(tools=APPROVED)
    result = asked(runtime, asking, [("order", {"item": "tea"})])
    after = resume(runtime, asking, result, answer, "left out")
    assert (after.output, kit.ordered) == ("left out", [])
    assert calls(after) == [("order", "denied", {"item": "tea"}, reason)]
    assert script.returns() == [("order", reason, "denied")]


def test_several_calls_are_decided_one_by_one(asking: Requests) -> None:
    runtime = runtime_of(tools=APPROVED)
    result = asked(runtime, asking, [("order", {"item": "tea"}), ("order", {"item": "gold"})])
    assert result.question is not None
    assert result.question.text.endswith('{"1": true, "2": "why not"}.')
    resume(runtime, asking, result, '{"1": true, "2": "too much"}', "done")
    assert kit.ordered == ["tea"]


def test_another_call_asks_anew(asking: Requests) -> None:
    runtime = runtime_of(tools=APPROVED)
    result = asked(runtime, asking, [("order", {"item": "tea"})])
    again = resume(runtime, asking, result, "yes", [("order", {"item": "gold"})])
    assert kit.ordered == ["tea"]
    assert again.question is not None
    assert again.question.details["calls"][0]["arguments"] == {"item": "gold"}
    resume(runtime, asking, again, "yes", "done", attempt=3)
    assert kit.ordered == ["tea", "gold"]


def test_an_approval_counts_for_the_arguments_that_were_shown(asking: Requests) -> None:
    runtime = runtime_of(tools=APPROVED)
    result = asked(runtime, asking, [("order", {"item": "tea"})])
    assert result.question is not None
    for message in result.question.state["messages"]:
        for part in message["parts"]:
            if part["part_kind"] == "tool-call":
                part["args"] = {"item": "gold"}
    again = resume(runtime, asking, result, "yes")
    assert kit.ordered == []
    assert again.question is not None


def test_a_record_may_ask_for_more_approvals_than_the_settings(asking: Requests) -> None:
    tools = [{"name": "order", "approval": "USER"}]
    result = asked(runtime_of(), asking, [("order", {"item": "tea"})], tools=tools)
    assert kit.ordered == []
    resume(runtime_of(), asking, result, "yes", "done", tools=tools)
    assert kit.ordered == ["tea"]


def test_an_approved_call_is_not_repeated_without_another_approval(asking: Requests) -> None:
    """The attempt that made the call was lost, or failed afterwards."""
    runtime = runtime_of(tools=APPROVED)
    result = asked(runtime, asking, [("order", {"item": "tea"})])
    with pytest.raises(AgentFailure):
        resume(runtime, asking, result, "yes", ModelHTTPError(503, "m"))
    assert kit.ordered == ["tea"]
    again = resume(runtime, asking, result, "yes", attempt=3)
    assert kit.ordered == ["tea"]
    assert again.question is not None
    assert again.question.text.startswith("An earlier attempt was lost or failed after these")
    resume(runtime, asking, again, "yes", "done", attempt=4)
    assert kit.ordered == ["tea", "tea"]


def test_a_denied_call_needs_no_second_answer(asking: Requests) -> None:
    runtime = runtime_of(tools=APPROVED)
    result = asked(runtime, asking, [("order", {"item": "tea"})])
    after = resume(runtime, asking, result, "no", "left out", attempt=3)
    assert after.output == "left out"


def test_an_approved_call_of_an_idempotent_tool_is_repeated_with_its_key(asking: Requests) -> None:
    tools = {"order": {"function": TOOLS["order"], "approval": "USER", "idempotent": True}}
    runtime = runtime_of(tools=tools)
    result = asked(runtime, asking, [("order", {"item": "tea"})], tools=["order"])
    for attempt in (2, 3):
        resume(runtime, asking, result, "yes", "done", attempt=attempt, tools=["order"])
    first, second = kit.seen
    assert first.idempotency_key == second.idempotency_key


def test_the_limits_count_the_parts_of_an_attempt_together(asking: Requests) -> None:
    runtime = runtime_of(tools=APPROVED)
    result = asked(runtime, asking, [("order", {"item": "tea"})], max_requests=1)
    with pytest.raises(AgentFailure, match="request_limit"):
        resume(runtime, asking, result, "yes", "done", max_requests=1)


# MCP servers


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with kit.mcp_over_http() as url:
        yield url


def test_the_tools_of_an_mcp_server_over_http(asking: Requests, url: str) -> None:
    servers = {"files": {"url": url, "headers_secret": {"Authorization": "token"}}}
    script.play([("files_read", {"path": "a"}), ("files_remove", {"path": "/"})], "done")
    runtime = runtime_of(mcp_servers=servers)
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    result = runtime.run(asking(trace, tools=["mcp:files"]))
    assert result.output == "done"
    assert script.offered[0] == ["files_read", "files_remove"]
    by_name = {name: (outcome, said) for name, outcome, _, said in calls(result)}
    assert by_name["mcp:files/read"] == ("completed", "a: hello")
    assert by_name["mcp:files/remove"][0] == "failed"
    assert "remove" in by_name["mcp:files/remove"][1]
    (received,) = kit.requests
    assert received["headers"]["authorization"] == "Bearer s3cret"
    assert received["meta"]["ai-coordination-engine/idempotencyKey"]
    assert received["meta"]["traceparent"] == trace["traceparent"]
    assert "s3cret" not in str(result)


def test_a_key_that_an_mcp_server_quotes_is_not_recorded(asking: Requests, url: str) -> None:
    servers = {"files": {"url": url, "headers_secret": {"Authorization": "token"}}}
    script.play([("files_read", {"path": "a"})], [("files_remove", {"path": "who"})], "done")
    result = runtime_of(mcp_servers=servers).run(asking(tools=["mcp:files"]))
    assert [said for *_, said in calls(result)] == ["a: hello", "called with ***"]


def test_one_tool_of_an_mcp_server_and_its_approval(asking: Requests, url: str) -> None:
    servers = {"files": {"url": url, "approval": ["remove"]}}
    runtime = runtime_of(mcp_servers=servers)
    tools = ["mcp:files/remove"]
    result = asked(runtime, asking, [("files_remove", {"path": "a"})], tools=tools)
    assert script.offered == [["files_remove"]]
    assert result.question is not None
    assert result.question.details["calls"][0]["tool"] == "mcp:files/remove"
    after = resume(runtime, asking, result, "yes", "done", tools=tools)
    assert calls(after) == [("mcp:files/remove", "completed", {"path": "a"}, "removed a")]


def test_what_is_stored_of_an_agent_that_asks_has_no_secret(asking: Requests, url: str) -> None:
    """The server quotes the key; the model repeats it in a call that a person must allow."""
    secret = {"Authorization": "token"}
    servers = {"files": {"url": url, "headers_secret": secret}}
    runtime = runtime_of(mcp_servers=servers, tools=APPROVED)
    quoted = [("files_read", {"path": "a"})], [("files_remove", {"path": "who"})]
    tools, ordered = ["mcp:files", "order"], [("order", {"item": 'of "s3cret"'})]
    result = asked(runtime, asking, *quoted, ordered, tools=tools)
    assert result.question is not None
    assert "s3cret" not in str(result)
    assert "called with ***" in str(result.question.state["messages"])
    assert result.question.details["calls"][0]["arguments"] == {"item": 'of "***"'}
    after = resume(runtime, asking, result, "yes", "done", tools=tools)
    assert (after.output, kit.ordered) == ("done", ['of "***"'])  # what was shown is what is done


def test_a_tool_that_the_server_does_not_offer(asking: Requests, url: str) -> None:
    runtime = runtime_of(mcp_servers={"files": {"url": url}})
    failure = failure_of(runtime, asking(tools=["mcp:files/format"]))
    assert failure.message == "the MCP server 'files' offers no tool 'format'"


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (
            {"url": "http://127.0.0.1:9/mcp?key=s3cret"},
            "at 127.0.0.1:9 cannot be used: Connection refused; look whether it runs, and at its"
            " url and headers; see ACE_MCP_SERVERS",
        ),
        (
            {"command": "false"},
            "was started, but is no use as an MCP server: Connection closed; start 'false' by hand"
            " to see what it writes; see ACE_MCP_SERVERS",
        ),
    ],
)
def test_an_mcp_server_that_is_not_there(
    asking: Requests, server: dict[str, str], message: str
) -> None:
    failure = failure_of(runtime_of(mcp_servers={"files": server}), asking(tools=["mcp:files"]))
    assert failure.message == f"the MCP server 'files' {message}"
    assert (failure.error_class, failure.retryable) == ("unavailable", True)


def test_an_mcp_server_whose_program_is_not_here_is_not_tried(asking: Requests) -> None:
    runtime = runtime_of(mcp_servers={"files": {"command": "no-such-program"}})
    failure = failure_of(runtime, asking(tools=["mcp:files"]))
    assert failure.message == (
        "the MCP server 'files' cannot be started: there is no program 'no-such-program' on this"
        " machine; see ACE_MCP_SERVERS"
    )
    assert (failure.error_class, failure.retryable) == ("not_allowed", False)


def test_an_mcp_server_that_is_a_command(asking: Requests) -> None:
    command, *args = kit.OVER_STDIO
    env = {"GREETING": "good day", "PYTHONPATH": str(ROOT)}
    runtime = runtime_of(mcp_servers={"files": {"command": command, "args": args, "env": env}})
    script.play([("files_read", {"path": "a"})], "done")
    result = runtime.run(asking(tools=["mcp:files"]))
    assert calls(result) == [("mcp:files/read", "completed", {"path": "a"}, "a: ***")]
